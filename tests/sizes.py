"""How much of a proof runs: a small size by default, a seeded tenth for every commit, all of it by hand.

A proof that can be made as large as one likes (crash points, schedules, fuzz) is one test with three sizes:

- default: a few cases, always the same ones.
- `sampled` (`pytest -m sampled`, run by `.ci/run`): about a tenth, other ones for each commit. The seed comes from
  `FLEXSYNC_TEST_SEED`, any text; `.ci/run` gives the commit's hash. The same text draws the same cases again.
  Variants of what runs by default, and whole runs under one more condition, are marked so too; all of them run then.
- `thorough` (`pytest -m thorough`): the full size, from the same seed; takes hours.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ParameterSet = type(pytest.param())
TEXT = os.environ.get("FLEXSYNC_TEST_SEED", "")
SEED = int.from_bytes(sha256(TEXT.encode()).digest()[:4]) if TEXT else 0
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@dataclass(frozen=True)
class Size:
    """How many cases one run of a proof tries, and the seed that chooses them."""

    count: int
    seed: int

    def chance(self) -> random.Random:
        """Random numbers that follow from the seed alone."""
        return random.Random(self.seed)

    def examples(self, check: Callable[..., Any], *drawn: st.SearchStrategy[Any], **named: Any) -> None:
        """Call `check` with so many drawn examples; a failure is made as small as possible and printed."""
        given_to = given(*drawn, **named)(check)
        limits = settings(max_examples=self.count, derandomize=False, database=None, suppress_health_check=QUIET)
        limits(hypothesis.seed(self.seed)(given_to))()


def sampled(*values: Any, id: str | None = None) -> Any:
    """One parameter set of `pytest.mark.parametrize`, a variant of what others show, that `-m sampled` adds."""
    return pytest.param(*values, id=id, marks=pytest.mark.sampled)


def few(values: Iterable[Any], number: int = 1) -> list[Any]:
    """The first `number` values for every run; the further ones are variants that `-m sampled` adds."""
    return [v if place < number or isinstance(v, ParameterSet) else sampled(v) for place, v in enumerate(values)]


def examples(full: int) -> int:
    """Number of examples of a property test: a tenth, or all of them where FLEXSYNC_TEST_FULL is set."""
    return full if os.environ.get("FLEXSYNC_TEST_FULL") else max(20, full // 10)


def thorough(*values: Any, id: str | None = None) -> Any:
    """One parameter set of `pytest.mark.parametrize`, a variant of what others show, that is run by hand."""
    return pytest.param(*values, id=id, marks=pytest.mark.thorough)


def sizes(default: int, sampled: int, thorough: int) -> pytest.MarkDecorator:
    """Parametrize a test with `size`: a `Size` of `default`, `sampled` and `thorough` cases; default 0 is left out."""
    return pytest.mark.parametrize(
        "size",
        [
            *([pytest.param(Size(default, 0), id="default")] if default else []),
            pytest.param(Size(sampled, SEED), id="sampled", marks=pytest.mark.sampled),
            pytest.param(Size(thorough, SEED), id="thorough", marks=pytest.mark.thorough),
        ],
    )
