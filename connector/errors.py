"""Every error Flexsync raises, sorted by what its reader does next.

::

    FlexsyncError
    ├── StopRun            the run cannot go on; state is kept                     exit 3
    │   ├── Unreachable        no answer from the host, or only passing faults
    │   ├── KeyRefused         401: the key is unknown to this server
    │   ├── AccessRefused      403: environment, permission or tenant
    │   └── BudgetSpent        deadline, max_calls or max_pause reached           exit 1
    ├── TryAgain           the same call may succeed later; only the retry loop reads it
    ├── SkipRow            this call or row is refused for good; the others go on  exit 1
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   └── Refused            any other answer that repeats (400, permanent 500 …)
    ├── FixInput           flags, settings, SQL or files must be changed first     exit 2
    ├── LockHeld           another run holds the store                             exit 4
    ├── Interrupted        SIGINT or SIGTERM; state is kept                        exit 130
    └── OurFault           something that must not happen did                      exit 5

A message says the thing, the value and the way out. No error ever carries the API key: bodies and URLs
are put together without headers, and `connector.settings.Secret` prints as ``***``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AccessRefused",
    "BudgetSpent",
    "Conflict",
    "FixInput",
    "FlexsyncError",
    "Interrupted",
    "KeyRefused",
    "LockHeld",
    "NotFound",
    "OurFault",
    "Refused",
    "SkipRow",
    "StopRun",
    "TryAgain",
    "Unreachable",
]


class FlexsyncError(Exception):
    """Root of the tree.

    Args:
        message: the thing and the value.
        remedy: what the reader can do about it, one sentence.
    """

    exit_code = 5

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class _Answered(FlexsyncError):
    """An error that a server's answer caused; keeps what the answer said (contract.md 2)."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        status: int = 0,
        code: str = "",
        details: Mapping[str, Any] | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.code = code
        self.details = dict(details or {})
        self.request_id = request_id
        self.retry_after = retry_after


class StopRun(_Answered):
    """The run cannot go on. What was committed stays; the same command goes on from there."""

    exit_code = 3


class Unreachable(StopRun):
    """The host did not answer, or answered with passing faults until the tries were spent."""


class KeyRefused(StopRun):
    """401 that did not pass: the key is not valid on this server (contract.md 1.2)."""


class AccessRefused(StopRun):
    """403: environment missing, permission missing or tenant suspended (contract.md 1.2)."""


class BudgetSpent(StopRun):
    """A limit that the user set was reached: deadline, calls, or length of a pause."""

    exit_code = 1


class TryAgain(_Answered):
    """A passing fault: time-out, cut connection, torn body, 408, 429, 500, 502, 503, 504."""

    exit_code = 3


class SkipRow(_Answered):
    """The server refuses this very call for good; other calls are not touched by it."""

    exit_code = 1


class NotFound(SkipRow):
    """404, as JSON or as plain text (contract.md 2.2)."""


class Conflict(SkipRow):
    """409: the identifier belongs to another published customer (contract.md 2.4)."""


class Refused(SkipRow):
    """Any other answer that will not change by asking again."""


class FixInput(FlexsyncError):
    """The person must change a flag, a setting, a query or a file."""

    exit_code = 2


class LockHeld(FlexsyncError):
    """Another run is writing to the same store."""

    exit_code = 4


class Interrupted(FlexsyncError):
    """A signal ended the run; everything committed is kept."""

    exit_code = 130


class OurFault(FlexsyncError):
    """A state that the code rules out. Please report it with the log."""

    exit_code = 5
