"""Runs: beginning, resuming, interrupting and finishing one, and the environment that the store belongs to.

Promised: everything that a killed run needs to continue is in the store. Never done: reading a clock; opening or
committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from connector.pull.watermarks import LISTINGS, starts
from connector.pull.windows import FULL, Beginning, Run, certified_until, mode_of, new_run_id, resumable
from connector.store import counts, cursors, endings, figures, keeping, listing_facts, restored, versions, walks
from connector.store.database import Database, rows

_UNFINISHED = ("running", "interrupted")
_PER_RUN = ("met", "walks", "queue", "sweep", "unproven")  # tables that hold the working state of one run


def environment(db: Database) -> str | None:
    """Return the environment that the store belongs to; None while it is empty."""
    found = rows(db, "SELECT value FROM flexsync.meta WHERE key = 'environment_id'")
    return str(found[0][0]) if found else None


def set_environment(db: Database, environment_id: str) -> None:
    """Record the environment."""
    db.execute("INSERT INTO flexsync.meta VALUES ('environment_id', $id)", {"id": environment_id})


def unfinished(db: Database) -> Run | None:
    """Return the newest run if it never ended."""
    found = rows(db, "SELECT run_id, resumed, status FROM flexsync.runs ORDER BY run_id DESC LIMIT 1")
    if not found or found[0][2] not in _UNFINISHED:
        return None
    begun = walks.run_as_begun(db, found[0][0])
    return begun and replace(begun, resumed=found[0][1])


def last_finished(db: Database) -> Run | None:
    """Return the newest run that ended green or degraded."""
    found = rows(
        db,
        """SELECT run_id, mode, started_at, resumed, resources FROM flexsync.runs
        WHERE status IN ('green', 'degraded') ORDER BY run_id DESC LIMIT 1""",
    )
    if not found:
        return None
    run_id, mode, started_at, resumed, resources = found[0]
    begun = walks.run_as_begun(db, run_id)  # gone when the store was restored, or an older version made it
    return begun or Run(run_id, mode, started_at, started_at, {}, resumed, tuple(resources))


def can_resume(run: Run, now: datetime, resume_for: timedelta, resources: tuple[str, ...], full: bool) -> bool:
    """Return whether an unfinished run is young enough and loads what is asked for now."""
    wanted = run.mode == FULL or not full
    return wanted and run.resources == resources and resumable(run.started_at, now, resume_for)


def resume(db: Database, run: Run) -> Run:
    """Mark an unfinished run as running again and return it."""
    db.execute(
        "UPDATE flexsync.runs SET status = 'running', resumed = resumed + 1 WHERE run_id = $run", {"run": run.run_id}
    )
    return replace(run, resumed=run.resumed + 1)


def begin(
    db: Database,
    beginning: Beginning,
    resources: tuple[str, ...],
    *,
    full: bool,
    full_every: timedelta,
    overlap: timedelta,
    version: str,
) -> Run:
    """Begin a run: choose its mode and empty the working tables of the run before."""
    run = _new_run(db, beginning, resources, full=full, full_every=full_every, overlap=overlap)
    for name in _PER_RUN:
        db.execute(f"DELETE FROM flexsync.{name}")
    db.execute(
        """UPDATE flexsync.runs SET status = 'failed', reasons = ['given up for a new run']
        WHERE status IN ('running', 'interrupted')"""
    )
    db.execute(
        """INSERT INTO flexsync.runs (run_id, mode, status, started_at, resources, resumed, calls, version)
        VALUES ($run, $mode, 'running', $began, $resources, 0, 0, $version)""",
        {
            "run": run.run_id,
            "mode": run.mode,
            "began": beginning.began,
            "resources": list(resources),
            "version": version,
        },
    )
    walks.record_run(db, run)
    versions.begin_all(db, run.run_id, run.started_at)
    figures.begin_all(db, run.run_id, run.started_at)
    return run


def _new_run(
    db: Database,
    beginning: Beginning,
    resources: tuple[str, ...],
    *,
    full: bool,
    full_every: timedelta,
    overlap: timedelta,
) -> Run:
    full_at = cursors.oldest_full_walk(db, list(beginning.watermarks))
    last, began = rows(db, "SELECT max(run_id), arg_max(started_at, run_id) FROM flexsync.runs")[0]
    full = full or _unsettled(db, began, overlap)
    mode = FULL if full else mode_of(full_at, beginning.clock, full_every)
    return Run(
        new_run_id(beginning.began, last),
        mode,
        beginning.began,
        certified_until(beginning.began, [*beginning.newest, *_newest_stored(db)]),
        starts(cursors.by_walk(db), beginning.watermarks, beginning.clocks, overlap),
        0,
        resources,
        beginning.clock,
    )


def _unsettled(db: Database, began: datetime | None, overlap: timedelta) -> bool:
    """Return whether the run before met a row whose edit the server has lost, and did not read all of them anew."""
    return began is not None and any(listing_facts.any_older(db, name, began - overlap) for name in LISTINGS)


def _newest_stored(db: Database) -> list[datetime]:
    """Return `created_at` of the newest row of each listing that the store holds as not gone.

    T0 lies after it too: the server's own newest row may have been deleted by hand, and it has to be missed.
    """
    moments = [rows(db, f"SELECT max(created_at) FROM {name} WHERE gone_at IS NULL")[0][0] for name in LISTINGS]
    return [moment for moment in moments if moment]


def interrupt(db: Database, run_id: str, calls: int) -> None:
    """Record that a run was stopped and can be resumed, with the calls it made so far."""
    db.execute(
        "UPDATE flexsync.runs SET status = 'interrupted', calls = calls + $calls WHERE run_id = $run",
        {"calls": calls, "run": run_id},
    )


def finish(
    db: Database,
    run_id: str,
    status: str,
    clocks: Sequence[datetime],
    reasons: list[str],
    report: dict[str, Any],
    since: datetime | None,
) -> None:
    """Finish a run: its status, reasons and report, one row of counts per table, and histories from `since` on."""
    counts.compact(db, run_id)
    restored.settle(db)
    figures.unsettle(db, run_id)
    ended = endings.settle(db, run_id, clocks)
    keeping.heal(db, max(clocks))
    keeping.prune(db, since)
    db.execute(
        """UPDATE flexsync.runs SET status = $status, finished_at = $now, reasons = $reasons,
        calls = coalesce(calls, 0) + $calls,
        seconds = $seconds, report = $report WHERE run_id = $run""",
        {
            "run": run_id,
            "status": status,
            "now": ended,
            "reasons": reasons,
            "calls": report.get("calls", 0),
            "seconds": report.get("seconds", 0.0),
            "report": msgspec.json.encode(report).decode(),
        },
    )
