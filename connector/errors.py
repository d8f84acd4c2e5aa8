"""Every error that Flexsync raises, sorted by what its reader does next.

::

    FlexsyncError
    ├── StopRun            the run cannot go on; state is kept                     exit 3
    │   ├── Unreachable        no answer from the host, or only transient faults
    │   ├── KeyRefused         401: the key is unknown to this server
    │   ├── AccessRefused      403: environment, permission or tenant
    │   └── BudgetSpent        deadline, max_calls or max_pause reached           exit 1
    ├── TryAgain           the same call may succeed later; only the retry loop sees it
    │   └── UnknownOutcome     a write was sent, and no usable answer came         exit 3
    ├── SkipRow            this call or row is refused; the others continue        exit 1
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   └── Refused            any other permanent answer (400, permanent 500 …)
    ├── FixInput           flags, settings, SQL or files must be changed first     exit 2
    ├── LockHeld           another run holds the store                             exit 4
    ├── Interrupted        SIGINT or SIGTERM; state is kept                        exit 130
    └── OurFault           a state that the code rules out                         exit 5

A message says the thing, the value and the way out. No error ever carries the API key: messages are made without
headers, answers are redacted, and `connector.settings.Secret` prints as ``***``.
"""

from __future__ import annotations

import re
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
    "UnknownOutcome",
    "Unreachable",
]

_CLOSED_TWICE = re.compile(r"([!?…]|(?<!\.)\.|\.{3})\.(?=\s|$)")
"""A sentence that ended already where our own full stop follows: it quotes what another program or a server said."""


class FlexsyncError(Exception):
    """Root of the tree. A message that quotes a closed sentence is not closed a second time.

    Args:
        message: the thing and the value.
        remedy: what the reader can do about it, in one sentence.
    """

    exit_code = 5

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message, self.remedy = (_CLOSED_TWICE.sub(r"\1", text) for text in (message, remedy))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class _Answered(FlexsyncError):
    """An error that a server's answer caused. It keeps what the answer said (contract.md 2).

    Args:
        message: the thing and the value.
        remedy: what the reader can do about it, in one sentence.
        status: HTTP status, or 0 when no answer came.
        code: the server's error code.
        details: the server's details.
        request_id: the server's `X-Request-Id`.
        retry_after: seconds that the server asked to wait, or None.
    """

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
    """The run cannot go on. Committed rows stay; the same command continues from there."""

    exit_code = 3


class Unreachable(StopRun):
    """The host did not answer, or answered with transient faults until the attempts were used up."""


class KeyRefused(StopRun):
    """A 401 that stays: the key is not valid on this server (contract.md 1.2)."""


class AccessRefused(StopRun):
    """403: environment missing, permission missing or tenant suspended (contract.md 1.2)."""


class BudgetSpent(StopRun):
    """A limit that the user set was reached: deadline, calls, or length of a pause."""

    exit_code = 1


class TryAgain(_Answered):
    """A transient fault: time-out, cut connection, torn body, 408, 429, 500, 502, 503, 504."""

    exit_code = 3


class UnknownOutcome(TryAgain):
    """A write was sent and no usable answer came: it may or may not have been carried out.

    The caller looks it up first, and sends it again only if it is not there (contract.md 5.1).
    """

    unknown_outcome = True


class SkipRow(_Answered):
    """The server refuses this call permanently; other calls are not affected."""

    exit_code = 1


class NotFound(SkipRow):
    """404, as JSON or as plain text (contract.md 2.2)."""


class Conflict(SkipRow):
    """409: the identifier belongs to another published customer (contract.md 2.4)."""


class Refused(SkipRow):
    """Any other answer that a retry does not change."""


class FixInput(FlexsyncError):
    """The user must change a flag, a setting, a query or a file."""

    exit_code = 2


class LockHeld(FlexsyncError):
    """Another run is writing to the same store."""

    exit_code = 4


class Interrupted(FlexsyncError):
    """A signal ended the run; committed rows are kept."""

    exit_code = 130


class OurFault(FlexsyncError):
    """A state that the code rules out. Please report it with the log."""

    exit_code = 5


def public_name(error: FlexsyncError) -> str:
    """Return the name of an error's class, or of its nearest public one: what machines tell errors apart by."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in __all__)
