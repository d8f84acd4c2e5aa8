"""The work queue: one row per (customer, resource) call of a run.

Promised: a customer is called only if it has an active or trialing subscription, if its last answer was not empty, or
as part of the audit sample (design section 4); a call that is done is never handed out again in the same run.
Never done: sending; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from connector.pull.work import Item
from connector.store.database import Database, changed, column, registered, rows
from connector.tables.resources import RESOURCES

_COLUMNS = ", ".join(Item.__slots__)
_DECODING = 3  # raise it when bodies are decoded or judged in another way, so that equal bodies are read once more
_ACTIVE = """active AS (
    SELECT customer_id, count(*) AS n, string_agg(subscription_id, ',' ORDER BY subscription_id) AS subs,
        arg_max(subscription_id, (created_at, subscription_id)) AS counted,
        arg_max(current_period_start, (created_at, subscription_id)) AS period_start
    FROM flexsync.sweep WHERE subscription_type IS DISTINCT FROM 'inherited' GROUP BY customer_id)"""
_CONTEXT = f"""concat_ws('|', '{_DECODING}', coalesce({{0}}.subs, ''),
    coalesce(epoch_us({{0}}.period_start)::VARCHAR, ''))"""
_REFRESH = f"""WITH {_ACTIVE} UPDATE flexsync.queue q SET sole = a.n = 1, counted = a.counted,
    period_start = a.period_start, previous_hash = NULL, same_context = false, context = {_CONTEXT.format("a")}
    FROM active a WHERE q.customer_id = a.customer_id AND q.subscription_id = '' AND q.state IN ('pending', 'again')
    AND (q.sole <> (a.n = 1) OR q.counted <> a.counted)"""
_INSERT = f"""INSERT INTO flexsync.queue ({_COLUMNS})
    WITH {_ACTIVE}, known AS (SELECT DISTINCT customer_id FROM flexsync.answers WHERE resource = $resource),
    wanted AS (SELECT * FROM (%s)
        QUALIFY row_number() OVER (PARTITION BY customer_id, subscription_id ORDER BY place) = 1)
    SELECT (SELECT coalesce(max(item), 0) FROM flexsync.queue)
            + row_number() OVER (ORDER BY w.place, w.customer_id, w.subscription_id),
        $resource, w.customer_id, w.subscription_id, w.why, coalesce(w.counted, ''), w.period_start, w.sole,
        k.customer_id IS NULL,
        {_CONTEXT.format("w")} AS context, coalesce(a.context = context, false), a.body_hash, a.rows, 'pending'
    FROM wanted w
    LEFT JOIN known k ON k.customer_id = w.customer_id
    LEFT JOIN flexsync.answers a ON a.customer_id = w.customer_id AND a.resource = $resource
        AND a.subscription_id = w.subscription_id
    WHERE NOT EXISTS (SELECT 1 FROM flexsync.queue q WHERE q.resource = $resource
        AND q.customer_id = w.customer_id AND q.subscription_id = w.subscription_id
        AND (q.why = w.why OR (w.why <> 'active' AND (q.why <> 'active' OR q.state IN ('pending', 'again')))))"""
_PLAIN = (
    "SELECT customer_id, '' AS subscription_id, 'active' AS why, counted, period_start, n = 1 AS sole, subs FROM active"
)
_EACH = """SELECT s.customer_id, s.subscription_id, 'active' AS why, s.subscription_id AS counted,
    s.current_period_start AS period_start, false AS sole, a.subs
    FROM flexsync.sweep s JOIN active a ON a.customer_id = s.customer_id
    WHERE a.n > 1 AND s.subscription_type IS DISTINCT FROM 'inherited'"""
_OTHERS = (
    "'' AS subscription_id, '{why}' AS why, '' AS counted, NULL::TIMESTAMPTZ AS period_start, true AS sole, '' AS subs"
)
_LEFT = f"""SELECT customer_id, {_OTHERS.format(why="left")} FROM (
        SELECT customer_id FROM flexsync.answers WHERE resource = $resource AND subscription_id = '' AND rows > 0
        UNION SELECT customer_id FROM flexsync.suspects WHERE resource = $resource
        UNION SELECT owner FROM flexsync.rejects WHERE owner <> '' AND list_contains($tables, table_name))
    WHERE customer_id NOT IN (SELECT customer_id FROM active)
    AND customer_id NOT IN (SELECT id FROM customers WHERE gone_at IS NOT NULL)"""
_REST = "FROM customers WHERE gone_at IS NULL AND id NOT IN (SELECT customer_id FROM active)"
_AUDIT = f"""SELECT id AS customer_id, {_OTHERS.format(why="audit")} {_REST}
    AND id NOT IN (SELECT customer_id FROM flexsync.answers WHERE rows > 0)
    ORDER BY hash(id || $run) LIMIT $sample"""
_ALL = f"SELECT id AS customer_id, {_OTHERS.format(why='all')} {_REST}"


class Mark(NamedTuple):
    """The outcome of one item.

    Attributes:
        item: its number.
        state: its new state: done, again, held or failed.
        error: why it is not simply done.
        status: HTTP status.
        asked_at: `time.monotonic` of the process that made the call, when the answered exchange started, in seconds;
            None when nobody measured it.
        answered_at: the same when it was complete.
    """

    item: int
    state: str
    error: str
    status: int
    asked_at: float | None = None
    answered_at: float | None = None


_MARKS = pa.schema(
    [
        ("item", pa.int64()),
        ("state", pa.string()),
        ("error", pa.string()),
        ("status", pa.int32()),
        ("asked_at", pa.float64()),
        ("answered_at", pa.float64()),
    ]
)


def fill(db: Database, resources: Sequence[str], run_id: str, *, sample: int, everyone: bool) -> int:
    """Queue the calls that this run still needs; a call that is queued already is not queued again.

    Args:
        db: the connection, inside a transaction.
        resources: child resources that were asked for.
        run_id: seeds the audit sample.
        sample: size of the audit sample; 0 for none.
        everyone: call customers without subscriptions too.

    Returns:
        Number of calls added.
    """
    db.execute(_REFRESH)  # subscriptions may have changed since the waiting calls were queued
    return sum(_insert(db, name, run_id, sample, everyone) for name in resources)


def _insert(db: Database, name: str, run_id: str, sample: int, everyone: bool) -> int:
    """Queue the calls for one resource; a customer that several queries want is queued by the first."""
    given: dict[str, object] = {"resource": name, "tables": list(RESOURCES[name].tables)}
    queries = [_PLAIN, _LEFT, *([_EACH] if name == "usage" else []), *([_ALL] if everyone else [])]
    if sample and not everyone and RESOURCES[name].audited:
        queries.append(_AUDIT)
        given |= {"run": run_id, "sample": sample}
    wanted = " UNION ALL ".join(f"SELECT *, {place} AS place FROM ({query})" for place, query in enumerate(queries))
    return changed(db, _INSERT % wanted, given)


def take(db: Database, resource: str, state: str, beyond: int, number: int) -> list[Item]:
    """Return the next `number` items of a resource in a state, after item `beyond`, in order."""
    query = f"""SELECT {_COLUMNS} FROM flexsync.queue
        WHERE state = $state AND resource = $resource AND item > $beyond ORDER BY item LIMIT $count"""
    given = {"state": state, "resource": resource, "beyond": beyond, "count": number}
    return [Item(*row) for row in rows(db, query, given)]


def mark(db: Database, marks: Sequence[Mark]) -> None:
    """Write the outcome of items."""
    columns = list(zip(*marks, strict=True)) or [()] * len(_MARKS)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, _MARKS.types, strict=True)]
    with registered(db, marks=pa.Table.from_arrays(arrays, schema=_MARKS)):
        db.execute(
            """UPDATE flexsync.queue q SET state = m.state, error = m.error, status = m.status, fresh = false,
            asked_at = m.asked_at, answered_at = m.answered_at FROM marks m WHERE q.item = m.item"""
        )


def waiting(db: Database, state: str) -> dict[str, int]:
    """Return the number of items in a state, by resource."""
    query = "SELECT resource, count(*) FROM flexsync.queue WHERE state = $state GROUP BY resource"
    return {name: int(number) for name, number in rows(db, query, {"state": state})}


def audit_hits(db: Database) -> list[str]:
    """Return the customers of the audit sample whose answer was not empty."""
    query = """SELECT DISTINCT q.customer_id FROM flexsync.queue q JOIN flexsync.answers a
        ON a.customer_id = q.customer_id AND a.resource = q.resource AND a.rows > 0
        WHERE q.why = 'audit' AND q.state = 'done' ORDER BY 1"""
    return column(db, query)


def not_found(db: Database) -> list[str]:
    """Return the customers whose call failed with 404."""
    return column(db, "SELECT DISTINCT customer_id FROM flexsync.queue WHERE state = 'failed' AND status = 404")
