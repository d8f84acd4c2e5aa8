"""Nights of the demo: a sandbox account that lives on, and a sync in each of its nights.

The sandbox's clock is the job's clock, and it stands during a sync: runs and `observed_at` are dated in these nights.
Promised: the last night is not after now, so no date lies in the future; what happens follows from the
seed. Never done: publishing before the last night (readers see one copy, and it is the last), touching a real account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

from connector.clock import Clock, utc_now
from connector.errors import FixInput, OurFault
from connector.settings import Settings
from pipelines import demo, jobs
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync import Options

__all__ = ["Night", "play"]

HOUR = 2
"""The hour of a night's sync, in UTC."""
DAY = timedelta(days=1)
SMALL = {"audit_sample": 10, "proof_windows": 4}
"""Settings for an account of a few hundred customers: what suffices there, so that thirty nights take a minute."""


@dataclass(frozen=True)
class Night:
    """One night: when its sync ran, by the clock of the account, and the report of that sync."""

    at: datetime
    report: Report

    @property
    def customers(self) -> int:
        """Customers that existed, archived ones included, as the certificate counted them."""
        return int(self.report.certificate["customers"]["stored"])

    @property
    def calls(self) -> int:
        """Calls that the sync made."""
        return int(self.report.flow["calls"])


def play(
    folder: Path, nights: int, customers: int, seed: int, progress: Progress, last: datetime
) -> tuple[list[Night], Any]:
    """Sync a sandbox account into `folder` night after night, and answer the question on the last copy.

    Args:
        folder: made when missing; files of an earlier demo are replaced.
        nights: how many, at least 1; between them the account lives a day.
        customers: number of customers in the account at the first night.
        seed: of its invented data and of what happens.
        progress: gets one step, the nights.
        last: the last night, from `latest_night` or `night_of`.

    Returns:
        The nights in their order, and the answer as an Arrow table.

    Raises:
        FixInput: the folder holds something else.
        FlexsyncError: a sync could not end.
    """
    demo.clear(folder)
    first = last - (nights - 1) * DAY
    given = ("--customers", str(customers), "--seed", str(seed), "--first", first.isoformat())
    progress.step("nights", nights, ("sync to make", "syncs to make"))
    played: list[Night] = []
    with demo.server("connector.sandbox.nights", *given) as (base_url, process):
        for number in range(nights):
            at = _lived(process) if number else first
            settings = demo.settings_for(folder, base_url, published=number == nights - 1, **SMALL)
            played.append(Night(at, _synced(settings, at)))
            progress.advance("nights", 1)
    return played, demo.answer(folder)


def night_of(day: datetime, clock: Clock = utc_now) -> datetime:
    """Return the moment of the nightly sync of a day.

    Raises:
        FixInput: it has not come yet.
    """
    moment = day.replace(hour=HOUR, tzinfo=UTC)
    if moment > clock():
        raise FixInput(f"the night of {day:%Y-%m-%d} has not come yet.", remedy="Give a date in the past.")
    return moment


def latest_night(clock: Clock = utc_now) -> datetime:
    """Return the latest moment of a nightly sync that is not in the future."""
    now = clock()
    tonight = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return tonight if tonight <= now else tonight - DAY


def _synced(settings: Settings, at: datetime) -> Report:
    return jobs.sync(settings, Options(), Progress(), clock=lambda: at)


def _lived(process: Popen[str]) -> datetime:
    """Let the account live a day; returns the time of its clock."""
    if process.stdin is None or process.stdout is None:
        raise OurFault("the sandbox has no pipes.")
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline().strip()
    if not line:
        raise OurFault("the sandbox ended between two nights.", remedy="The lines above say why.")
    return datetime.fromisoformat(line)
