"""The work queue: one row per (customer, resource) call of a run, as SQL over the store.

Promised: a customer is called only if a subscription that counts says so, if its last answer was not empty, or as one
of the audit sample (design section 4); a call that is done is never handed out again in the same run.
Never done: sending; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.pull.work import Item
from connector.store.database import Database, rows
from connector.tables.resources import RESOURCES
from connector.tables.schemas import SCHEMA_VERSION

_COLUMNS = ", ".join(Item.__slots__)
_ACTIVE = """active AS (
    SELECT customer_id, count(*) AS n, string_agg(subscription_id, ',' ORDER BY subscription_id) AS subs,
        arg_max(subscription_id, (created_at, subscription_id)) AS counted,
        arg_max(current_period_start, (created_at, subscription_id)) AS period_start
    FROM flexsync.sweep WHERE subscription_type IS DISTINCT FROM 'inherited' GROUP BY customer_id)"""
_CONTEXT = f"""concat_ws('|', '{SCHEMA_VERSION}', coalesce({{0}}.subs, ''),
    coalesce(epoch_us({{0}}.period_start)::VARCHAR, ''))"""
_REFRESH = f"""WITH {_ACTIVE} UPDATE flexsync.queue q SET sole = a.n = 1, counted = a.counted,
    period_start = a.period_start, previous_hash = NULL, same_context = false, context = {_CONTEXT.format("a")}
    FROM active a WHERE q.customer_id = a.customer_id AND q.subscription_id = '' AND q.state IN ('pending', 'again')
    AND (q.sole <> (a.n = 1) OR q.counted <> a.counted)"""
_INSERT = f"""INSERT INTO flexsync.queue ({_COLUMNS})
    WITH {_ACTIVE}, wanted AS (%s), known AS (
        SELECT DISTINCT customer_id, resource FROM flexsync.answers)
    SELECT (SELECT coalesce(max(item), 0) FROM flexsync.queue) + row_number() OVER (ORDER BY w.customer_id),
        $resource, w.customer_id, w.subscription_id, w.why, coalesce(w.counted, ''), w.period_start, w.sole,
        k.customer_id IS NULL,
        {_CONTEXT.format("w")} AS context, coalesce(a.context = context, false), a.body_hash, a.rows, 'pending'
    FROM wanted w
    LEFT JOIN known k ON k.customer_id = w.customer_id AND k.resource = $resource
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


def fill(db: Database, resources: Sequence[str], run_id: str, *, sample: int, everyone: bool) -> int:
    """Queue the calls that this run still needs; what it already holds is not queued twice.

    Args:
        db: the connection, inside a transaction.
        resources: child resources that were asked for.
        run_id: seeds the audit sample.
        sample: size of the audit sample; 0 for none.
        everyone: call customers without subscriptions too.

    Returns:
        Calls added.
    """
    db.execute(_REFRESH)  # calls that wait must know what their customer's subscriptions are now
    added = 0
    for name in resources:
        wanted = [_PLAIN, _LEFT]
        if name == "usage":
            wanted.append(_EACH)
        if everyone:
            wanted.append(_ALL)
        for query in wanted:
            tables = {"tables": list(RESOURCES[name].tables)} if query is _LEFT else {}
            added += _insert(db, query, {"resource": name, **tables})
        if sample and not everyone and RESOURCES[name].audited:
            added += _insert(db, _AUDIT, {"resource": name, "run": run_id, "sample": sample})
    return added


def _insert(db: Database, wanted: str, parameters: dict[str, object]) -> int:
    return int(db.execute(_INSERT % wanted, parameters).fetchone()[0])


def take(db: Database, resource: str, state: str, beyond: int, count: int) -> list[Item]:
    """Read the next `count` items of a resource in a state, in order of their numbers."""
    query = f"""SELECT {_COLUMNS} FROM flexsync.queue
        WHERE state = $state AND resource = $resource AND item > $beyond ORDER BY item LIMIT $count"""
    given = {"state": state, "resource": resource, "beyond": beyond, "count": count}
    return [Item(*row) for row in rows(db, query, given)]


def mark(db: Database, marks: object) -> None:
    """Write the outcome of items. `marks`: Arrow table (item, state, error, status)."""
    db.register("marks", marks)
    db.execute(
        """UPDATE flexsync.queue q SET state = m.state, error = m.error, status = m.status, fresh = false
        FROM marks m WHERE q.item = m.item"""
    )
    db.unregister("marks")
