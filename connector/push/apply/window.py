"""The time between the check of a batch and its writes: measured, limited, and adapted to what the pace allows.

Promised: a write is not sent later than `until`. A row that never gets its turn does not loop forever: the batch
shrinks, and for a single row the window grows. Never done: sending, sleeping.
"""

from __future__ import annotations

import time

from connector.api.calls import Reply
from connector.push.apply.orders import Pace

__all__ = ["Window"]


class Window:
    """The window of one batch after the other.

    Attributes:
        batch: rows that are checked together now.
        until: moment of `time.monotonic` after which no write of the batch may be sent.
        longest: seconds, the longest time between a check and the sending of its write so far.
    """

    def __init__(self, pace: Pace) -> None:
        self._most, self.batch, self._seconds = pace.batch, pace.batch, pace.window
        self.until = self.longest = self._opened = 0.0

    def open(self) -> None:
        """Begin anew: the customers are about to be read."""
        self._opened = time.perf_counter()
        self.until = time.monotonic() + self._seconds

    def measure(self, reply: Reply) -> None:
        """Note how long after the check a write was sent."""
        self.longest = max(self.longest, time.perf_counter() - reply.elapsed - self._opened)

    def adapt(self, ready: int, late: int) -> None:
        """Check as many rows together as can be sent in time."""
        if late == ready == 1:
            self._seconds *= 2
        self.batch = max(1, ready - late) if late else min(self._most, self.batch * 2)
