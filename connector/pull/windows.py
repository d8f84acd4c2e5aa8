"""Runs: their ids, their mode, and how long one can be resumed. Arithmetic only.

Promised: a run id sorts after every earlier one; everything that a run decided when it began is plain data, so that an
interrupted run goes on from the same decisions. Never done: I/O, reading a clock that is not handed in.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import msgspec

from connector.pull.watermarks import Start

FULL, INCREMENTAL = "full", "incremental"


class Run(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        run_id: sorts by the time at which the run began.
        mode: full or incremental.
        started_at: when it began, by the server's `Date`, else by this machine's clock; whole seconds.
        t0: the certificate's moment: whatever was created before it has to be in the store.
        starts: where each walk starts, by walk (`connector.pull.watermarks`).
        resumed: how often it was resumed.
        resources: what it loads.
        full_at: when it began, by this machine's clock; the age of a full walk is measured from here.
    """

    run_id: str
    mode: str
    started_at: datetime
    t0: datetime
    starts: dict[str, Start] = {}
    resumed: int = 0
    resources: tuple[str, ...] = ()
    full_at: datetime | None = None


class Beginning(msgspec.Struct, frozen=True):
    """What a run asks before its first page.

    Attributes:
        clock: this machine's clock.
        date: the server's `Date`; None when it sent none.
        watermarks: `updated_at` of the newest row, by walk; None where it has none.
        newest: `created_at` of the newest row of each status, as far as there is one.
    """

    clock: datetime
    date: datetime | None
    watermarks: dict[str, datetime | None]
    newest: list[datetime] = []

    @property
    def began(self) -> datetime:
        """When the run began, by the server's clock where it sent one."""
        return self.date or self.clock

    @property
    def clocks(self) -> list[datetime]:
        """Every clock that is known."""
        return [self.clock, self.date] if self.date else [self.clock]


_STAMP = "%Y%m%dT%H%M%SZ"
_MICROSECOND = timedelta(microseconds=1)


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


def certified_until(began: datetime, newest: list[datetime]) -> datetime:
    """Return T0: just after the run's beginning and after every row that existed then, whatever the clocks say.

    Args:
        began: the server's `Date` at the beginning, else this machine's clock.
        newest: `created_at` of the newest rows, on the server and in the store, as far as there are some.
    """
    return max(began, *newest) + _MICROSECOND if newest else began + _MICROSECOND


def mode_of(full_at: datetime | None, now: datetime, full_every: timedelta) -> str:
    """Choose full on the first run and whenever the last full walk is older than `full_every`, else incremental.

    A full walk that lies in the future says that a clock was wrong: its age is unknown, so the run is full.
    """
    if full_at is None or now < full_at or now - full_at >= full_every:
        return FULL
    return INCREMENTAL


def resumable(started_at: datetime, now: datetime, resume_for: timedelta) -> bool:
    """Whether an interrupted run is young enough to be resumed; one that began far in the future is not."""
    return abs(now - started_at) < resume_for
