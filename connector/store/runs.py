"""Runs: beginning, resuming, interrupting and finishing one, and the environment that the store belongs to.

Promised: everything that a killed run needs to continue is in the store. Never done: reading a clock; opening or
committing a transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from connector.pull.windows import FULL, INCREMENTAL, Run, mode_of, new_run_id, resumable, window_start
from connector.store import counts, cursors, walks
from connector.store.database import Database, rows

_CLOCK_SKEW = timedelta(seconds=5)  # the clocks of several servers differ a little
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
    found = rows(
        db,
        "SELECT run_id, mode, started_at, resumed, resources, status FROM flexsync.runs ORDER BY run_id DESC LIMIT 1",
    )
    if not found or found[0][5] not in _UNFINISHED:
        return None
    run_id, mode, started_at, resumed, resources, _ = found[0]
    return Run(run_id, mode, started_at, walks.window_start(db, run_id), resumed, tuple(resources))


def last_finished(db: Database) -> Run | None:
    """Return the newest run that ended green or degraded."""
    found = rows(
        db,
        """SELECT run_id, mode, started_at, resumed, resources FROM flexsync.runs
        WHERE status IN ('green', 'degraded') ORDER BY run_id DESC LIMIT 1""",
    )
    if not found:
        return None
    run_id, mode, t0, resumed, resources = found[0]
    return Run(run_id, mode, t0, None, resumed, tuple(resources))


def can_resume(run: Run, now: datetime, resume_for: timedelta, resources: tuple[str, ...], full: bool) -> bool:
    """Return whether an unfinished run is young enough and loads what is asked for now."""
    wanted = run.mode == FULL or not full
    return wanted and run.resources == resources and resumable(run.t0, now, resume_for)


def resume(db: Database, run: Run) -> Run:
    """Mark an unfinished run as running again and return it."""
    db.execute(
        "UPDATE flexsync.runs SET status = 'running', resumed = resumed + 1 WHERE run_id = $run", {"run": run.run_id}
    )
    return Run(run.run_id, run.mode, run.t0, run.since, run.resumed + 1, run.resources)


def begin(
    db: Database,
    now: datetime,
    resources: tuple[str, ...],
    *,
    full: bool,
    full_every: timedelta,
    overlap: timedelta,
    version: str,
) -> Run:
    """Begin a run: choose its mode and empty the working tables of the run before."""
    run = _new_run(db, now, resources, full=full, full_every=full_every, overlap=overlap)
    for name in _PER_RUN:
        db.execute(f"DELETE FROM flexsync.{name}")
    db.execute(
        """UPDATE flexsync.runs SET status = 'failed', reasons = ['given up for a new run']
        WHERE status IN ('running', 'interrupted')"""
    )
    db.execute(
        """INSERT INTO flexsync.runs (run_id, mode, status, started_at, resources, resumed, calls, version)
        VALUES ($run, $mode, 'running', $now, $resources, 0, 0, $version)""",
        {"run": run.run_id, "mode": run.mode, "now": now, "resources": list(resources), "version": version},
    )
    walks.set_window_start(db, run.run_id, run.since)
    return run


def _new_run(
    db: Database, now: datetime, resources: tuple[str, ...], *, full: bool, full_every: timedelta, overlap: timedelta
) -> Run:
    cursor, full_at = cursors.oldest(db, resources)
    # After a server's clock was set back, an incremental window would miss the changes of the hours between.
    clock_set_back = cursor is not None and now < cursor - _CLOCK_SKEW
    mode = FULL if full or clock_set_back else mode_of(cursor, full_at, now, full_every)
    since = window_start(cursor, overlap) if cursor and mode == INCREMENTAL else None
    last = rows(db, "SELECT max(run_id) FROM flexsync.runs")[0][0]
    return Run(new_run_id(now, last), mode, now, since, 0, resources)


def interrupt(db: Database, run_id: str, calls: int) -> None:
    """Record that a run was stopped and can be resumed, with the calls it made so far."""
    db.execute(
        "UPDATE flexsync.runs SET status = 'interrupted', calls = calls + $calls WHERE run_id = $run",
        {"calls": calls, "run": run_id},
    )


def finish(db: Database, run_id: str, status: str, now: datetime, reasons: list[str], report: dict[str, Any]) -> None:
    """Finish a run: its status, reasons and report, and one row of counts per table."""
    counts.compact(db, run_id)
    db.execute(
        """UPDATE flexsync.runs SET status = $status, finished_at = $now, reasons = $reasons,
        calls = coalesce(calls, 0) + $calls,
        seconds = $seconds, report = $report WHERE run_id = $run""",
        {
            "run": run_id,
            "status": status,
            "now": now,
            "reasons": reasons,
            "calls": report.get("calls", 0),
            "seconds": report.get("seconds", 0.0),
            "report": msgspec.json.encode(report).decode(),
        },
    )
