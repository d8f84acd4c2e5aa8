"""Doubts about answers that were stored: which of them to ask for once more, and which doubts stay.

An answer is doubtful when its exchange touched an outage of the server, or when it reads zero and no probe vouches for
it though one said that the analytics store was down (contract.md 11, 12). Both can be told only from what happens after
the answer, so they are decided when the calls are over, by the moments in flexsync.queue. Those are of the clock of one
process: a process that resumes a run asks again for what is doubtful in the newest ones of the process before, and then
forgets them.

Promised: a doubt that stays is the `error` of a queue item that is done, so the certificate can be built again later.
Never done: deciding what is doubtful; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from connector.store.database import Database, column, registered, rows

OUTAGE = "the server was failing"
UNPROBED = "the analytics store was down"

_ZERO = """EXISTS (SELECT 1 FROM {table} t JOIN features f ON f.id = t.feature_id AND f.type = 'metered'
    WHERE t.current_usage = 0 AND {owner})"""
_READS_ZERO = f"""q.resource = 'usage' AND CASE WHEN q.subscription_id = ''
    THEN {_ZERO.format(table="usage", owner="t.customer_id = q.customer_id")}
    ELSE {_ZERO.format(table="subscription_usage", owner="t.subscription_id = q.subscription_id")} END"""
_FIGURES = """SELECT customer_id, subscription_id, feature_id, current_usage, '' AS asked FROM usage
    UNION ALL SELECT customer_id, subscription_id, feature_id, current_usage, subscription_id FROM subscription_usage"""
_METERED = f"SELECT t.* FROM ({_FIGURES}) t JOIN features f ON f.id = t.feature_id AND f.type = 'metered'"

Moments = tuple[int, float | None, float | None]  # item, when its exchange started, when its answer was complete


def answered(db: Database, since: float = float("-inf")) -> list[Moments]:
    """Return the moments of the answers of this run that were stored and that this process got.

    Args:
        db: the connection.
        since: leave out those that were complete before this moment, in seconds.
    """
    query = """SELECT item, asked_at, answered_at FROM flexsync.queue
        WHERE state = 'done' AND asked_at IS NOT NULL AND answered_at >= $since ORDER BY item"""
    return [(int(item), began, ended) for item, began, ended in rows(db, query, {"since": since})]


def reading_zero(db: Database) -> list[Moments]:
    """Return the moments of the usage answers of this run in which a metered figure is zero; None where forgotten."""
    query = f"SELECT item, asked_at, answered_at FROM flexsync.queue q WHERE state = 'done' AND {_READS_ZERO}"
    return [(int(item), began, ended) for item, began, ended in rows(db, query)]


def ask_again(db: Database, items: Sequence[int], why: str) -> None:
    """Queue answered items for their second call."""
    _set(db, items, f"state = 'again', error = '{why}'")


def leave(db: Database, items: Sequence[int], why: str) -> None:
    """Record a doubt that stays."""
    _set(db, items, f"error = '{why}'")


def left(db: Database, why: str) -> list[int]:
    """Return the answered items for which a doubt is recorded."""
    return _items(db, "done", why)


def waiting(db: Database, why: str) -> list[int]:
    """Return the items that wait for their second call because of a doubt."""
    return _items(db, "again", why)


def _items(db: Database, state: str, why: str) -> list[int]:
    query = "SELECT item FROM flexsync.queue WHERE state = $state AND error = $why ORDER BY item"
    return column(db, query, {"state": state, "why": why})


def forget_moments(db: Database) -> None:
    """Forget the moments that another process wrote: its clock is not this one's."""
    db.execute("UPDATE flexsync.queue SET asked_at = NULL, answered_at = NULL WHERE asked_at IS NOT NULL")


def settle_zeros(db: Database, run_id: str, unprobed: Sequence[int]) -> None:
    """Say of each unproven zero whether it was probed, and drop those that a second call replaced.

    Args:
        db: the connection, inside a transaction.
        run_id: the run.
        unprobed: items that read zero and that no probe vouches for.
    """
    still = f"""SELECT 1 FROM ({_METERED}) t WHERE t.customer_id = u.customer_id AND t.current_usage = 0
        AND t.subscription_id = u.subscription_id AND t.feature_id = u.feature_id"""
    db.execute(f"DELETE FROM flexsync.unproven u WHERE run_id = $run AND NOT EXISTS ({still})", {"run": run_id})
    with registered(db, unprobed=pa.table({"item": pa.array(unprobed, pa.int64())})):
        db.execute(
            """UPDATE flexsync.unproven u SET probed = NOT EXISTS (SELECT 1 FROM flexsync.queue q
            WHERE q.item IN (SELECT item FROM unprobed) AND q.customer_id = u.customer_id
            AND q.subscription_id IN ('', u.subscription_id)) WHERE run_id = $run""",
            {"run": run_id},
        )


def figures(db: Database) -> int:
    """Return the number of metered figures: one per customer, subscription and feature."""
    query = f"SELECT count(*) FROM (SELECT DISTINCT customer_id, subscription_id, feature_id FROM ({_METERED}))"
    return int(rows(db, query)[0][0])


def doubtful_zeros(db: Database) -> int:
    """Return the number of figures that read zero while the analytics store was down, second calls included."""
    query = f"""SELECT count(*) FROM (SELECT DISTINCT t.customer_id, t.subscription_id, t.feature_id
        FROM ({_METERED}) t JOIN flexsync.queue q ON q.resource = 'usage' AND q.customer_id = t.customer_id
        AND q.subscription_id = t.asked AND q.error = '{UNPROBED}' AND q.state = 'done' WHERE t.current_usage = 0)"""
    return int(rows(db, query)[0][0])


def _set(db: Database, items: Sequence[int], assignments: str) -> None:
    if items:
        with registered(db, doubted=pa.table({"item": pa.array(items, pa.int64())})):
            db.execute(
                f"UPDATE flexsync.queue q SET {assignments} FROM doubted d WHERE q.item = d.item AND q.state = 'done'"
            )
