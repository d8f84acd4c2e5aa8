"""The clock of this machine: a job takes it as one argument and hands it down.

Promised: UTC. Nothing else in `connector` and `pipelines` reads the time of day, the sandbox's own clock apart, so that
a test can give a job any time. Never done: measuring how long something takes (`time.monotonic` does).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "exact_now", "utc_now"]

Clock = Callable[[], datetime]


def exact_now() -> datetime:
    """Return the current moment in UTC, for plans and journals."""
    return datetime.now(UTC)


def utc_now() -> datetime:
    """Return the current moment in UTC without its fraction of a second, as the server's `Date` has it."""
    return exact_now().replace(microsecond=0)
