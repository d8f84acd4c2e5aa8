"""Cursors: up to which moment each listing has been read.

Promised: a cursor is the start, by the server's clock, of the last run that read the listing. Never done: opening or
committing a transaction.
"""

from __future__ import annotations

from datetime import datetime

from connector.store.database import Database, rows

LISTINGS = ("customers", "subscriptions")


def get(db: Database, resource: str) -> tuple[datetime | None, datetime | None]:
    """Return a listing's cursor and the start of its last full walk; None where there is none yet."""
    found = rows(db, "SELECT cursor, full_at FROM flexsync.cursors WHERE resource = $r", {"r": resource})
    return (found[0][0], found[0][1]) if found else (None, None)


def oldest(db: Database, resources: tuple[str, ...]) -> tuple[datetime | None, datetime | None]:
    """Return the oldest cursor and full walk among the listings asked for; None if one was never read."""
    pairs = [get(db, name) for name in LISTINGS if name in resources]
    if any(None in pair for pair in pairs):
        return None, None
    return min(pair[0] for pair in pairs if pair[0]), min(pair[1] for pair in pairs if pair[1])


def put(db: Database, resource: str, cursor: datetime, full_at: datetime | None, run_id: str) -> None:
    """Move a cursor to the start of the run that read the listing.

    Args:
        db: the connection, inside a transaction.
        resource: the listing.
        cursor: start of the run, by the server's clock.
        full_at: the same where the run walked the whole listing; None keeps what is there.
        run_id: the run.
    """
    kept = full_at or get(db, resource)[1]
    db.execute("DELETE FROM flexsync.cursors WHERE resource = $r", {"r": resource})
    db.execute(
        "INSERT INTO flexsync.cursors VALUES ($r, $cursor, $full_at, $run)",
        {"r": resource, "cursor": cursor, "full_at": kept, "run": run_id},
    )
