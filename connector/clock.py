"""The clock of this machine, for jobs that hand it down.

Promised: UTC in whole seconds, as the server's `Date` header has it. Never done: being read by `connector.pull` or
`connector.tables` themselves; a job hands it to them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "utc_now"]

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current moment in UTC, without its fraction of a second."""
    return datetime.now(UTC).replace(microsecond=0)
