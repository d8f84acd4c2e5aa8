"""Windows of `created_at` in which a certificate compares the server's count with the store's.

One total can agree by accident: a row that somebody deleted by hand and one that became visible late cancel out. In
windows they do so only where both fall into the same one, and the boundaries are drawn anew for each run.

Promised: the windows of a run cover every moment before T0 once, without gap or overlap, and are the same when the run
is resumed. Never done: I/O; counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import msgspec

__all__ = ["FEWEST", "Window", "cut", "number_of_windows"]

FEWEST = 4  # windows where counting is slow, or where few calls are made
CALLS_PER_WINDOW = 300  # calls of a run for which one more window is counted: about 1 % more calls
SLOW = 0.5  # seconds for one count
_RECENT = timedelta(days=30)  # half of the boundaries lie in here, where rows appear late and are deleted


class Window(msgspec.Struct, frozen=True):
    """A half-open window of `created_at`.

    Attributes:
        begins: first moment inside; None for everything before `ends`.
        ends: first moment after it.
    """

    begins: datetime | None
    ends: datetime


def number_of_windows(most: int, calls: int, seconds: float) -> int:
    """Return in how many windows to count.

    Args:
        most: the setting `proof_windows`.
        calls: per customer that the run makes.
        seconds: that the first count took.
    """
    if seconds > SLOW:
        return min(most, FEWEST)
    return min(most, max(FEWEST, calls // CALLS_PER_WINDOW))


def cut(t0: datetime, number: int, created: Sequence[datetime], seed: str) -> list[Window]:
    """Cut the time before T0 into windows.

    Args:
        t0: the certificate's moment.
        number: of windows, at least 1. Fewer come out where boundaries coincide.
        created: `created_at` of some rows of the store, drawn at random.
        seed: the run id.
    """
    chance = Random(seed)  # noqa: S311  # nobody gains by guessing them
    recent = [t0 - _RECENT * chance.random() ** 4 for _ in range(number // 2)]  # the closer to T0, the finer
    drawn = chance.sample(sorted(created), min(len(created), number - 1 - len(recent)))
    edges = sorted({edge for edge in (*recent, *drawn) if edge < t0})
    begins = [None, *edges]
    return [Window(begin, end) for begin, end in zip(begins, [*edges, t0], strict=True)]
