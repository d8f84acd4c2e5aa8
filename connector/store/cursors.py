"""Cursors: up to which moment each walk has read its listing.

Promised: one row a walk, also for one that never had a row (its cursor is NULL then). Never done: deciding a cursor
(`connector.pull.watermarks` does); opening or committing a transaction.
"""

from __future__ import annotations

from datetime import datetime

from connector.pull.watermarks import listing_of
from connector.pull.windows import FULL, Run
from connector.store.database import Database, rows


def by_walk(db: Database) -> dict[str, datetime | None]:
    """Return the cursor of every walk that a run has read."""
    return dict(rows(db, "SELECT resource, cursor FROM flexsync.cursors"))


def oldest_full_walk(db: Database, walks: list[str]) -> datetime | None:
    """Return when the oldest full walk of these walks began; None if one was never read."""
    found: dict[str, datetime | None] = dict(rows(db, "SELECT resource, full_at FROM flexsync.cursors"))
    moments = [found.get(walk) for walk in walks]
    return None if None in moments else min(moment for moment in moments if moment)


def move(db: Database, run: Run, listings: set[str]) -> None:
    """Move the cursors of the listings that a run has read to their end.

    Args:
        db: the connection, inside a transaction.
        run: the run.
        listings: customers, subscriptions, or both.
    """
    before: dict[str, datetime | None] = dict(rows(db, "SELECT resource, full_at FROM flexsync.cursors"))
    for walk, start in run.starts.items():
        if listing_of(walk) in listings:
            full_at = run.full_at if run.mode == FULL else before.get(walk)
            db.execute("DELETE FROM flexsync.cursors WHERE resource = $walk", {"walk": walk})
            db.execute(
                "INSERT INTO flexsync.cursors VALUES ($walk, $cursor, $full_at, $run)",
                {"walk": walk, "cursor": start.cursor, "full_at": full_at, "run": run.run_id},
            )
