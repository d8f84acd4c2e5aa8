"""Zeros of metered usage with no earlier figure of the same window to compare them with.

Such a zero may be true, or a failed query of the server's analytics store (contract.md 11). Promised: each one that is
not held back as a suspect is listed in flexsync.unproven. Never done: deciding what is suspect; opening or committing a
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from connector.store.batch import Batch
from connector.store.database import Database, registered, rows
from connector.store.suspects import EARLIER_RUNS
from connector.tables.schemas import TABLES


class Zero(NamedTuple):
    """A zero without an earlier figure of its window.

    Attributes:
        asked: subscription that was asked for; "" for the plain answer.
        subscription_id: subscription that the figure belongs to.
        has_row: the table holds a figure of another window.
        runs_before: how many runs in a row held this zero back, as in `connector.pull.suspicion.Fall`.
    """

    customer_id: str
    asked: str
    subscription_id: str
    feature_id: str
    has_row: bool
    runs_before: int


SAME_WINDOW = """s.subscription_id = t.subscription_id
        AND (s.never_resets OR s.current_period_start IS NOT DISTINCT FROM t.current_period_start)
        AND s.next_usage_reset_at IS NOT DISTINCT FROM t.next_usage_reset_at
        AND coalesce(s.never_resets = t.never_resets, true)"""
"""The condition, as SQL, that a staged figure `s` counts one subscription in one window with a stored figure `t`.

What is never reset has one window, whichever billing period it is (contract.md 6.1)."""

_INCOMPARABLE = """SELECT s.customer_id, {asked}, s.subscription_id, s.feature_id, t.feature_id IS NOT NULL,
        {earlier}
    FROM staged s JOIN features f ON f.id = s.feature_id AND f.type = 'metered'
    LEFT JOIN "{table}" t ON {keys}
    LEFT JOIN flexsync.suspects x ON x.customer_id = s.customer_id AND x.resource = 'usage'
        AND x.subscription_id = {asked} AND x.feature_id = s.feature_id AND x.run_id <> $run
    WHERE s.current_usage = 0 AND NOT coalesce({window}, false)"""
_UNPROVEN = "run_id, customer_id, subscription_id, feature_id"
_TABLES = (("usage", "''"), ("subscription_usage", "s.subscription_id"))


def incomparable(db: Database, run_id: str, batch: Batch, recent: list[str]) -> list[Zero]:
    """Return the zeros of a batch of usage that nothing can be compared with; `recent` as in `Suspects`."""
    found: list[Zero] = []
    for table, asked in _TABLES:
        keys = " AND ".join(f"s.{name} = t.{name}" for name in TABLES[table].key)
        window, earlier = SAME_WINDOW, EARLIER_RUNS
        query = _INCOMPARABLE.format(table=table, asked=asked, keys=keys, window=window, earlier=earlier)
        with registered(db, staged=batch.decoded.tables[table]):
            found += [Zero(*row) for row in rows(db, query, {"run": run_id, "recent": recent})]
    return found


def record(db: Database, run_id: str, zeros: Sequence[Zero]) -> None:
    """List zeros as unproven."""
    if not zeros:
        return
    columns = {
        "c": pa.array([zero.customer_id for zero in zeros], pa.string()),
        "s": pa.array([zero.subscription_id for zero in zeros], pa.string()),
        "f": pa.array([zero.feature_id for zero in zeros], pa.string()),
    }
    with registered(db, zeros=pa.table(columns)):
        db.execute(f"INSERT INTO flexsync.unproven ({_UNPROVEN}) SELECT $run, c, s, f FROM zeros", {"run": run_id})


def record_all(db: Database, run_id: str, batch: Batch) -> None:
    """List every metered zero of a batch of customers that are called for the first time."""
    asked = [r.item.subscription_id for r in batch.results if r.item.subscription_id]
    for table in ("usage", "subscription_usage") if asked else ("usage",):
        only = "AND list_contains($asked, s.subscription_id)" if table == "subscription_usage" else ""
        with registered(db, staged=batch.decoded.tables[table]):
            db.execute(
                f"""INSERT INTO flexsync.unproven ({_UNPROVEN})
                SELECT $run, s.customer_id, s.subscription_id, s.feature_id
                FROM staged s JOIN features f ON f.id = s.feature_id AND f.type = 'metered'
                WHERE s.current_usage = 0 {only}""",
                {"run": run_id, **({"asked": asked} if only else {})},
            )
