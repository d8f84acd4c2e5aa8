"""Cursors, windows and run ids: arithmetic only.

Promised: a cursor is the moment at which its run began by the server's clock, never later (design section 4); a window
starts an overlap before the cursor, because a row can become visible late (contract.md 3.7). Never done: I/O,
reading a clock that is not handed in.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FULL, INCREMENTAL = "full", "incremental"


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        run_id: sorts by the time at which the run began.
        mode: full or incremental.
        t0: when it began, by the server's clock, in whole seconds.
        since: start of the incremental window; None for a full run.
        resumed: how often it was resumed.
        resources: what it loads.
    """

    run_id: str
    mode: str
    t0: datetime
    since: datetime | None
    resumed: int
    resources: tuple[str, ...]


_STAMP = "%Y%m%dT%H%M%SZ"


def new_run_id(now: datetime, last: str | None = None) -> str:
    """Make an id that sorts after every earlier one: 20261123T211712Z-3f9a1c.

    Args:
        now: when the run begins.
        last: the newest id so far. When two runs begin in one second, or the server's clock was set back, the new id
            takes the second after `last`, so that the newest run always sorts last.
    """
    moment = now.astimezone(UTC)
    if last:
        after = datetime.strptime(last.partition("-")[0], _STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)
        moment = max(moment, after)
    return f"{moment:{_STAMP}}-{secrets.token_hex(3)}"


def mode_of(cursor: datetime | None, full_at: datetime | None, now: datetime, full_every: timedelta) -> str:
    """Choose full on the first run and whenever the last full walk is older than `full_every`, else incremental."""
    if cursor is None or full_at is None or now - full_at >= full_every:
        return FULL
    return INCREMENTAL


def window_start(cursor: datetime, overlap: timedelta) -> datetime:
    """Return where an incremental window starts: `overlap` before the cursor, by the server's clock."""
    return cursor - overlap


def resumable(started_at: datetime, now: datetime, resume_for: timedelta) -> bool:
    """Whether an interrupted run is young enough to be resumed; one that began far in the future is not."""
    return abs(now - started_at) < resume_for
