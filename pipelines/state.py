"""The state that the next sync starts from: cursors, body hashes, the open run.

Promised: a cursor moves back, never forward, because that would leave a hole; rows stay. Never done: calls.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.errors import FixInput
from connector.publications.reading import Reading
from connector.store.store import Store


def show(reading: Reading) -> dict[str, Any]:
    """Return the cursors, the last runs and what the store knows about itself."""
    return {
        "meta": dict(reading.sql("SELECT key, value FROM flexsync.meta").to_pandas().itertuples(index=False)),
        "cursors": reading.sql("SELECT * FROM flexsync.cursors").to_pylist(),
        "runs": reading.sql(
            "SELECT run_id, status, started_at FROM flexsync.runs ORDER BY run_id DESC LIMIT 3"
        ).to_pylist(),
    }


def reset(store: Store) -> None:
    """Delete cursors and body hashes, so that the next run reads everything again."""
    with store.transaction() as db:
        db.execute("DELETE FROM flexsync.cursors")
        db.execute("UPDATE flexsync.answers SET body_hash = NULL")
        db.execute("UPDATE flexsync.runs SET status = 'failed' WHERE status IN ('running', 'interrupted')")


def move_back(store: Store, moment: datetime) -> int:
    """Move the cursors back to `moment`; those that are earlier stay.

    Returns:
        How many cursors moved.

    Raises:
        FixInput: there is no cursor, or `moment` is later than all of them.
    """
    latest = store.rows("SELECT max(cursor) FROM flexsync.cursors")[0][0]
    if latest is None:
        raise FixInput("there is no cursor yet.", remedy="Run `flexsync sync` first.")
    if moment > latest:
        raise FixInput(
            f"{moment.isoformat()} is later than the cursor {latest.isoformat()}: rows between them would be lost.",
            remedy="Give an earlier moment.",
        )
    with store.transaction() as db:
        moved = db.execute("UPDATE flexsync.cursors SET cursor = $moment WHERE cursor > $moment", {"moment": moment})
        return int(moved.fetchone()[0])
