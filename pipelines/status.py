"""The status: how old the copy is, and what its last runs say about it.

Promised: it reads, also while a sync holds the store. Never done: calls to the API (see `verify`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from connector.publications.contents import proven_run
from connector.publications.reading import CATALOG, Reading
from connector.tables.schemas import TABLES
from pipelines.remembered import read


@dataclass(frozen=True)
class Ages:
    """What an age is measured with. A run begins by the server's clock and ends by that of the machine that made it.

    Attributes:
        now: by this machine's clock.
        max_age: of a copy that is not stale; None for any.
        overlap: by which clocks may differ.
    """

    now: datetime
    max_age: timedelta | None = None
    overlap: timedelta = timedelta(minutes=10)

    def of(self, began: datetime, ended: datetime) -> timedelta:
        """Return the age of a run: the larger of what both clocks say, or a negative one when one says the future."""
        ages = (self.now - began, self.now - ended)
        return min(ages) if min(ages) < -self.overlap else max(*ages, timedelta())

    def stale(self, age: timedelta | None) -> bool:
        """Return whether a copy of that age is stale; an age that is not known, because clocks disagree, is."""
        return age is None or age < timedelta() or bool(self.max_age is not None and age > self.max_age)


def describe(reading: Reading, source: str, ages: Ages, *, locked: bool) -> dict[str, Any]:
    """Describe a store or a publication.

    Args:
        reading: open.
        source: what it is, in words.
        ages: the time, and how old a copy may be.
        locked: a sync is writing to the store, so a running run really runs.

    Returns:
        Age in seconds (negative: the run lies in this machine's future), stale or not, the last runs, the last green
        one, and counts of rows, rejects and suspects.
    """
    runs = reading.sql(
        """SELECT run_id, mode, status, started_at, finished_at, calls, reasons FROM flexsync.runs
        ORDER BY run_id DESC LIMIT 5"""
    ).to_pylist()
    for entry in runs:
        if entry["status"] == "running" and not locked:  # its process was killed
            entry["status"] = "interrupted"
    finished = [entry for entry in runs if entry["status"] in ("green", "degraded")]
    age = ages.of(finished[0]["started_at"], finished[0]["finished_at"]) if finished else None
    return {
        "source": source,
        "age_seconds": None if age is None else round(age.total_seconds()),
        "stale": ages.stale(age),
        "runs": runs,
        "last_green": _green(reading),
        "rows": {name: _rows(reading, f'"{name}"') for name in TABLES if name in reading.tables},
        "rejects": _rows(reading, "flexsync.rejects"),
        "suspects": _rows(reading, "flexsync.suspects"),
    }


def first_run(store: str, ages: Ages) -> dict[str, Any]:
    """Describe a store that a sync holds and of which nothing is published yet, as `describe` does.

    It is stale only where an age was asked for: its first run is under way.
    """
    return {
        "source": f"a sync holds {store}; nothing is published yet",
        "age_seconds": None,
        "stale": ages.max_age is not None,
        "runs": [],
        "last_green": None,
        "rows": {},
        "rejects": 0,
        "suspects": 0,
    }


def running_of(store: Path) -> dict[str, Any] | None:
    """Return the run that holds a locked store: its id, mode, begin and last steps; None where nothing is told."""
    last = read(store)
    if last is None or last.run.status != "running":
        return None
    run = msgspec.to_builtins(last.run)
    return {name: run[name] for name in ("run_id", "mode", "began", "seen", "steps")}


def last_green(known: dict[str, Any] | None, publications: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the last green run that a ledger names or a publication keeps.

    Args:
        known: of the ledger, as `describe` gives it.
        publications: as `pipelines.opening.publications_of` gives them.

    Returns:
        Its id, when it ended (None where no ledger says so), when it was published first, and the targets that hold it,
        the first of them as `target` too; None where no run was green.
    """
    kept = [
        (one["green"]["run_id"], one["green"]["published_at"], one["target"]) for one in publications if one["green"]
    ]
    newest = max([run_id for run_id, _, _ in kept] + ([known["run_id"]] if known else []), default=None)
    if newest is None:
        return None
    holding = [(published, target) for run_id, published, target in kept if run_id == newest]
    return {
        "run_id": newest,
        "finished_at": known["finished_at"] if known and known["run_id"] == newest else None,
        "published_at": min((published for published, _ in holding), default=None),
        "target": holding[0][1] if holding else None,
        "targets": [target for _, target in holding],
    }


def _green(reading: Reading) -> dict[str, Any] | None:
    run = proven_run(reading.connection, CATALOG)
    return {"run_id": run.run_id, "finished_at": run.finished_at} if run else None


def _rows(reading: Reading, table: str) -> int:
    return int(reading.sql(f"SELECT count(*) FROM {table}").column(0)[0].as_py())
