"""When runs ended: what was known at a moment rests on it, and so does how far back histories reach.

A run ends by this machine's clock, or by the server's where the two disagree: one of them is wrong then. Promised: no
run ends before an earlier one, or in the future of both clocks, as long as one of them is right. Never done: reading a
clock; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.store.database import Database, rows


def last_known(schema: str, moment: str) -> str:
    """Return a query of `newest`, the last run of those that had ended at a moment, as SQL; NULL where none had.

    A run whose end was written under a clock that was behind had not ended before the runs that it followed.

    Args:
        schema: of the table of runs.
        moment: SQL for the moment.
    """
    return f"""SELECT max(run_id) AS newest FROM (
            SELECT run_id, finished_at, max(finished_at) OVER (ORDER BY run_id) AS all_ended FROM {schema}.runs)
        WHERE finished_at IS NOT NULL AND all_ended <= {moment}"""


# No run lasts that long, so one of a run's two moments is wrong; if the end is out of order, it is that one.
_CORRECT = """UPDATE flexsync.runs r SET finished_at = least(r.started_at, $latest) FROM (
        SELECT run_id, lag(finished_at) OVER runs AS previous, lead(finished_at, 1, $latest) OVER runs AS following
        FROM flexsync.runs WHERE finished_at IS NOT NULL WINDOW runs AS (ORDER BY run_id)) n
    WHERE n.run_id = r.run_id AND (r.finished_at < n.previous OR r.finished_at > n.following)
        AND (r.finished_at < r.started_at - INTERVAL 2 DAY OR r.finished_at > r.started_at + INTERVAL 2 DAY)"""


def settle(db: Database, run_id: str, clocks: Sequence[datetime]) -> datetime:
    """Return when a run ends, and correct the ends that earlier versions wrote under a clock that was wrong.

    Args:
        db: the connection, inside the transaction that finishes the run.
        run_id: the run.
        clocks: this machine's, and the server's if it disagrees.
    """
    db.execute(_CORRECT, {"latest": max(clocks)})
    before = rows(db, "SELECT max(finished_at) FROM flexsync.runs WHERE run_id <> $run", {"run": run_id})[0][0]
    # A clock that has not come as far as an earlier run is behind; of two that may be right, one may be ahead.
    possible = [moment for moment in clocks if before is None or moment >= before]
    return min(possible, default=before) if before else min(possible)


def newest(db: Database) -> datetime | None:
    """Return when the newest run that ended did; None where none has."""
    query = "SELECT finished_at FROM flexsync.runs WHERE finished_at IS NOT NULL ORDER BY run_id DESC LIMIT 1"
    found = rows(db, query)
    return found[0][0] if found else None
