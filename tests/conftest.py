"""What holds for every test: how hypothesis draws, and which seed the sampled proofs have."""

from __future__ import annotations

import gc
from hashlib import sha256

import pytest
import sizes
from hypothesis import settings

# The same examples on every machine, and no time limit for one of them, for a machine may be busy. Other examples for
# each commit are what `-m sampled` is for (`sizes.py`).
settings.register_profile("flexsync", max_examples=sizes.examples(100), deadline=None, derandomize=True, database=None)
settings.load_profile("flexsync")


def pytest_report_header() -> str:
    """Name the seed, so that a failure of `-m sampled` can be repeated."""
    return f"sampled proofs: FLEXSYNC_TEST_SEED={sizes.TEXT!r}, which is seed {sizes.SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where a seed is given, as in CI, draw a tenth of the further conditions that `-m sampled` adds.

    Proofs that have a size of their own, and the pages of docs/, run for every seed. Other commits draw other tenths.
    """
    if not sizes.TEXT or config.getoption("markexpr") != "sampled":
        return
    left = [item for item in items if not _is_drawn(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if _is_drawn(item)]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what collecting made: it stays until the end, and is searched often."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let it clear up again: a library that still has objects when the process ends prints that they leaked."""
    gc.unfreeze()


def _is_drawn(item: pytest.Item) -> bool:
    sized = "size" in getattr(item, "fixturenames", ()) or item.path.name == "test_docs.py"
    if item.get_closest_marker("thorough"):
        return False
    return sized or sha256(f"{sizes.SEED} {item.nodeid}".encode()).digest()[0] % 10 == 0
