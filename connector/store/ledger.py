"""Runs, cursors and walks: what a run has done so far, as rows.

Promised: everything that a killed run needs to go on is here, committed together with the rows it speaks of.
Never done: opening or committing a transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from connector.pull.pages import Position
from connector.pull.windows import FULL, INCREMENTAL, Run, mode_of, new_run_id, resumable, window_start
from connector.store.database import Database, one, rows
from connector.store.merge import Counts

_SLACK = timedelta(seconds=5)  # several servers are never of one mind
_OPEN = ("running", "interrupted")


def environment(db: Database) -> str | None:
    """Environment that the store belongs to, or None while it is empty."""
    found = rows(db, "SELECT value FROM flexsync.meta WHERE key = 'environment_id'")
    return str(found[0][0]) if found else None


def set_environment(db: Database, environment_id: str) -> None:
    """Remember the environment."""
    db.execute("INSERT INTO flexsync.meta VALUES ('environment_id', $id)", {"id": environment_id})


def open_run(db: Database) -> Run | None:
    """Return the newest run if it never ended."""
    found = rows(
        db,
        "SELECT run_id, mode, started_at, resumed, resources, status FROM flexsync.runs ORDER BY run_id DESC LIMIT 1",
    )
    if not found or found[0][5] not in _OPEN:
        return None
    run_id, mode, started_at, resumed, resources, _ = found[0]
    since = rows(db, "SELECT position FROM flexsync.walks WHERE run_id = $run AND name = 'since'", {"run": run_id})
    moment = datetime.fromisoformat(since[0][0]) if since and since[0][0] else None
    return Run(run_id, mode, started_at, moment, resumed, tuple(resources))


def resume(db: Database, run: Run) -> Run:
    """Take an interrupted run up again."""
    db.execute(
        "UPDATE flexsync.runs SET status = 'running', resumed = resumed + 1 WHERE run_id = $run", {"run": run.run_id}
    )
    return Run(run.run_id, run.mode, run.t0, run.since, run.resumed + 1, run.resources)


def can_resume(run: Run, now: datetime, resume_for: timedelta, resources: tuple[str, ...], full: bool) -> bool:
    """Whether the open run is young enough and is what is asked for now."""
    wanted = run.mode == FULL or not full
    return wanted and run.resources == resources and resumable(run.t0, now, resume_for)


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
    """Begin a run: choose its mode, forget the last one's working tables."""
    cursor, full_at = _least_cursor(db, resources)
    back = cursor is not None and now < cursor - _SLACK  # then changes of the hours between would lie before the window
    mode = FULL if full or back else mode_of(cursor, full_at, now, full_every)
    since = window_start(cursor, overlap) if cursor and mode == INCREMENTAL else None
    last = rows(db, "SELECT max(run_id) FROM flexsync.runs")[0][0]
    run = Run(new_run_id(now, last), mode, now, since, 0, resources)
    for name in ("met", "walks", "queue", "sweep", "unproven"):
        db.execute(f"DELETE FROM flexsync.{name}")
    db.execute(
        """UPDATE flexsync.runs SET status = 'failed', reasons = ['given up for a new run']
        WHERE status IN ('running', 'interrupted')"""
    )
    db.execute(
        """INSERT INTO flexsync.runs (run_id, mode, status, started_at, resources, resumed, calls, version)
        VALUES ($run, $mode, 'running', $now, $resources, 0, 0, $version)""",
        {"run": run.run_id, "mode": mode, "now": now, "resources": list(resources), "version": version},
    )
    db.execute(
        "INSERT INTO flexsync.walks VALUES ($run, 'since', $since, true, 0, 0)",
        {"run": run.run_id, "since": since.isoformat() if since else ""},
    )
    return run


def _least_cursor(db: Database, resources: tuple[str, ...]) -> tuple[datetime | None, datetime | None]:
    """Return the oldest cursor and full walk among the listings asked for; None where one was never read."""
    pairs = [cursor_of(db, name) for name in ("customers", "subscriptions") if name in resources]
    if any(None in pair for pair in pairs):
        return None, None
    return min(pair[0] for pair in pairs if pair[0]), min(pair[1] for pair in pairs if pair[1])


def cursor_of(db: Database, resource: str) -> tuple[datetime | None, datetime | None]:
    """Cursor of a listing and the beginning of its last full walk."""
    found = rows(db, "SELECT cursor, full_at FROM flexsync.cursors WHERE resource = $r", {"r": resource})
    return (found[0][0], found[0][1]) if found else (None, None)


def set_cursor(db: Database, resource: str, cursor: datetime, full_at: datetime | None, run_id: str) -> None:
    """Move a cursor to the beginning of the run that read the listing."""
    kept = full_at or cursor_of(db, resource)[1]
    db.execute("DELETE FROM flexsync.cursors WHERE resource = $r", {"r": resource})
    db.execute(
        "INSERT INTO flexsync.cursors VALUES ($r, $cursor, $full_at, $run)",
        {"r": resource, "cursor": cursor, "full_at": kept, "run": run_id},
    )


def position_of(db: Database, run_id: str, name: str) -> Position | None:
    """Where a walk of this run stands; None when it has not begun."""
    given = {"run": run_id, "name": name}
    found = rows(db, "SELECT position FROM flexsync.walks WHERE run_id = $run AND name = $name", given)
    return msgspec.json.decode(found[0][0], type=Position) if found else None


def set_position(db: Database, run_id: str, name: str, position: Position, page_rows: int) -> None:
    """Note where a walk stands, together with the page that brought it there."""
    given = {"run": run_id, "name": name}
    before = rows(db, "SELECT pages, rows FROM flexsync.walks WHERE run_id = $run AND name = $name", given)
    pages, total = before[0] if before else (0, 0)
    db.execute("DELETE FROM flexsync.walks WHERE run_id = $run AND name = $name", given)
    db.execute(
        "INSERT INTO flexsync.walks VALUES ($run, $name, $position, $done, $pages, $rows)",
        {
            **given,
            "position": msgspec.json.encode(position).decode(),
            "done": position.done,
            "pages": pages + 1,
            "rows": total + page_rows,
        },
    )


def add_counts(db: Database, run_id: str, counts: Counts) -> None:
    """Add rows moved to the run's tally."""
    figures: list[Any] = []
    for table in {name for counter in counts.all() for name in counter}:
        four = [counter[table] for counter in counts.all()]
        figures += [run_id, table, *four] if any(four) else []
    if figures:
        values = ", ".join("(?, ?, ?, ?, ?, ?)" for _ in range(len(figures) // 6))
        db.execute(f"INSERT INTO flexsync.run_tables VALUES {values}", figures)


def counts_of(db: Database, run_id: str) -> dict[str, dict[str, int]]:
    """Rows that a run moved, by table."""
    found = rows(
        db,
        """SELECT table_name, sum(inserted), sum(updated), sum(deleted), sum(rejected) FROM flexsync.run_tables
        WHERE run_id = $run GROUP BY table_name ORDER BY table_name""",
        {"run": run_id},
    )
    names = ("inserted", "updated", "deleted", "rejected")
    return {table: dict(zip(names, map(int, figures), strict=True)) for table, *figures in found}


def finish(db: Database, run_id: str, status: str, now: datetime, reasons: list[str], report: dict[str, Any]) -> None:
    """End a run: its status, its reasons, its report; its tally is put together into one row a table."""
    tally = counts_of(db, run_id)
    db.execute("DELETE FROM flexsync.run_tables WHERE run_id = $run", {"run": run_id})
    for table, figures in tally.items():
        db.execute(
            "INSERT INTO flexsync.run_tables VALUES ($1, $2, $3, $4, $5, $6)", [run_id, table, *figures.values()]
        )
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


def last_share(db: Database, run_id: str) -> float | None:
    """Share of zeros in the last green run before this one."""
    found = rows(
        db,
        """SELECT body FROM flexsync.certificates WHERE green AND run_id < $run
        AND json_extract(body, '$.zeros.metered')::BIGINT > 0 ORDER BY run_id DESC LIMIT 1""",
        {"run": run_id},
    )
    zeros = msgspec.json.decode(found[0][0]).get("zeros") if found else None
    return zeros["share"] if zeros and zeros["metered"] else None


def count(db: Database, query: str, parameters: dict[str, Any] | None = None) -> int:
    """Return the one number that a query gives."""
    return int(one(db, query, parameters)[0] or 0)
