"""How many calls of one endpoint class may be in flight: a limit that follows the server's answers (AIMD).

Promised: a limit starts at `START`; it grows while latency stays level, doubling until the first sign of queueing and
by one afterwards; it shrinks when latency doubles for no throughput; a failure halves it, once per generation of
calls. Never done: I/O, waiting.

Every endpoint class has a limit of its own because their costs differ tenfold (contract.md section 11).
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections import deque
from typing import Any

__all__ = ["START", "EndpointLimit"]

START = 4  # calls in flight that every endpoint begins with: enough to learn, too few to hurt
LEAST_WINDOW = 8  # successes that a window needs at least, so that its median means something
QUEUEING = 2.0  # a median this many times the best one says that the server is queueing
GAIN = 1.1  # a rate this many times the best one is worth its latency
FADE = 1.05  # per window at the lowest limit, so that a record from quieter times does not hold forever


class EndpointLimit:
    """One endpoint class: its limit, its waiting callers, and what the last window of answers showed."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.limit = float(min(START, most))
        self.in_flight = 0
        self.peak = 0
        self.queue: deque[asyncio.Future[int]] = deque()
        self.turn = 0  # when it was last served; the longest-waiting endpoint wins a tie
        self.calls = 0
        self.failed = 0
        self.best = math.inf  # seconds: the lowest median of a window
        self.best_rate = 0.0
        self.median = 0.0
        self.fresh = True  # doubles its limit per window until the first sign of queueing
        self.cut_at = 0  # calls started before this number cannot halve the limit again
        self.window: list[float] = []
        self.window_began = -1.0
        self.full = False  # the limit was reached in this window, so it is the limit that was measured

    @property
    def has_room(self) -> bool:
        """Whether one more call may start."""
        return self.in_flight < int(self.limit)

    def started(self, number: int) -> None:
        """Count one call that starts; `number` is its place among all calls of the run."""
        self.calls += 1
        self.in_flight += 1
        self.turn = number
        self.peak = max(self.peak, self.in_flight)
        if not self.has_room:
            self.full = True

    def answered(self, elapsed: float, now: float) -> None:
        """Take in one answer that took `elapsed` seconds; judge the window once it is full."""
        if self.window_began < 0:
            self.window_began = now - elapsed
        self.window.append(elapsed)
        if len(self.window) >= max(LEAST_WINDOW, self.limit):
            self._judge(now)
            self.restart_window()

    def halve(self, started: int) -> None:
        """Halve the limit, once per generation of calls: thirty failing together are one piece of news."""
        self.limit = max(1.0, self.limit / 2)
        self.cut_at = started
        self.fresh = False
        self.restart_window()

    def restart_window(self) -> None:
        """Forget the answers of the running window."""
        self.window.clear()
        self.window_began = -1.0
        self.full = False

    def report(self, seconds: float) -> dict[str, Any]:
        """Return counts and rates over `seconds` of running, as plain JSON."""
        return {
            "calls": self.calls,
            "failed": self.failed,
            "in_flight_most": self.peak,
            "limit": int(self.limit),
            "median_ms": round(self.median * 1000, 1),
            "calls_per_second": rate(self.calls, seconds),
            "possible_per_second": rate(int(self.limit), self.median),  # Little's law: what this limit can carry
        }

    def _judge(self, now: float) -> None:
        self.median = statistics.median(self.window)
        throughput = len(self.window) / max(now - self.window_began, 1e-9)
        queueing = self.median > QUEUEING * self.best and throughput < GAIN * self.best_rate
        least = min(START, self.most)  # only failures go below the start: slow answers are not a refusal
        fade = FADE if self.limit <= least else 1.0  # at the bottom an unreachable record gives way, elsewhere it holds
        self.best = min(self.best * fade, self.median)
        self.best_rate = max(self.best_rate / fade, throughput)
        if queueing:
            lower = self.limit / 2 if self.fresh else self.limit - 1
            self.limit = min(self.limit, max(least, lower))
            self.fresh = False
        elif self.full:
            self.limit = min(float(self.most), self.limit * 2 if self.fresh else self.limit + 1)


def rate(count: int, seconds: float) -> float:
    """Return `count` per second, rounded; 0 for no time at all."""
    return round(count / seconds, 1) if seconds > 0 else 0.0
