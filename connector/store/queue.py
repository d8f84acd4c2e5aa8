"""The work queue: one row per (customer, resource) call of a run.

Promised: a customer is called only if it is not gone, and if it has an active or trialing subscription, or its last
answer was not empty, or as part of the audit sample (design section 4); a call that is done is handed out again in the
same run only when other subscriptions of its customer count by then, or none again, or another one is the newest, or
when the customer was gone and is back. Never done: sending; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from connector.pull.work import Item
from connector.store.database import Database, changed, column, count, registered, rows
from connector.tables.resources import RESOURCES

_COLUMNS = ", ".join(Item.__slots__)
_DECODING = 3  # raise it when bodies are decoded or judged in another way, so that equal bodies are read once more
_ACTIVE = """active AS (
    SELECT customer_id, count(*) AS n, string_agg(subscription_id, ',' ORDER BY subscription_id) AS subs,
        arg_max(subscription_id, (created_at, subscription_id)) AS counted,
        arg_max(current_period_start, (created_at, subscription_id)) AS period_start
    FROM flexsync.sweep WHERE subscription_type IS DISTINCT FROM 'inherited' AND customer_id NOT IN (
        SELECT id FROM customers WHERE gone_at IS NOT NULL) GROUP BY customer_id)"""
_CONTEXT = f"""concat_ws('|', '{_DECODING}', coalesce({{0}}, ''), coalesce(epoch_us({{1}})::VARCHAR, ''))"""
_PLAIN = (
    "SELECT customer_id, '' AS subscription_id, 'active' AS why, counted, period_start, n = 1 AS sole, subs FROM active"
)
_EACH = """SELECT s.customer_id, s.subscription_id, 'active' AS why, s.subscription_id AS counted,
    s.current_period_start AS period_start, false AS sole, a.subs
    FROM flexsync.sweep s JOIN active a ON a.customer_id = s.customer_id
    WHERE a.n > 1 AND s.subscription_type IS DISTINCT FROM 'inherited'"""
_PRESENT = f"WITH {_ACTIVE}, present AS ({_PLAIN} UNION ALL {_EACH})"
# What makes an answer wrong: other subscriptions count, or another one is the newest. A period that began since does
# not: the next run calls everybody anyway. An answer for one subscription is wrong if that one did not count meanwhile.
_OUTDATED = f"""CASE WHEN p.customer_id IS NULL THEN q.context <> '' WHEN q.subscription_id <> '' THEN q.context = ''
    ELSE q.counted <> p.counted OR q.context <> {_CONTEXT.format("p.subs", "q.period_start")} END"""
# The context '' is that of no answer: whatever counts from now on, the call is made again.
_REFRESH = f"""{_PRESENT}, moved AS (SELECT q.item, p.* FROM flexsync.queue q
        LEFT JOIN present p ON p.customer_id = q.customer_id AND p.subscription_id = q.subscription_id
        WHERE (q.why = 'active' OR (q.state IN ('pending', 'again') AND p.customer_id IS NOT NULL)) AND {_OUTDATED})
    UPDATE flexsync.queue q SET sole = coalesce(m.sole, q.sole), counted = coalesce(m.counted, q.counted),
    period_start = m.period_start, previous_hash = NULL, same_context = false,
    context = CASE WHEN m.customer_id IS NULL THEN '' ELSE {_CONTEXT.format("m.subs", "m.period_start")} END,
    state = CASE WHEN m.customer_id IS NULL OR q.state = 'again' THEN q.state ELSE 'pending' END,
    error = CASE WHEN m.customer_id IS NULL OR q.state = 'again' THEN q.error ELSE '' END
    FROM moved m WHERE q.item = m.item"""
_BACK = "SELECT id FROM customers WHERE gone_at IS NULL"
_RETURNED = (
    f"""INSERT INTO flexsync.sweep SELECT id, customer_id, subscription_type, created_at, current_period_start
    FROM subscriptions WHERE gone_at IS NULL AND subscription_status IN ('active', 'trialing') AND customer_id IN (
        SELECT customer_id FROM flexsync.queue WHERE error = 'gone' AND customer_id IN ({_BACK}))
    AND id NOT IN (SELECT subscription_id FROM flexsync.sweep)""",
    f"""UPDATE flexsync.queue SET state = 'pending', error = '', previous_hash = NULL, same_context = false
    WHERE error = 'gone' AND customer_id IN ({_BACK})""",
)
# Who was called as one without subscriptions, and since then for one that ended too, has rows of it.
_NOBODY = _CONTEXT.format("''", "NULL::TIMESTAMPTZ")
_LEFT_AGAIN = f"""UPDATE flexsync.queue q SET state = 'pending', error = '', previous_hash = NULL, same_context = false,
    counted = '', period_start = NULL, sole = true, context = {_NOBODY} FROM flexsync.answers a
    WHERE q.why <> 'active' AND q.state = 'done' AND a.customer_id = q.customer_id AND a.resource = q.resource
    AND a.subscription_id = '' AND a.rows > 0 AND a.context <> {_NOBODY} AND EXISTS (SELECT 1 FROM flexsync.queue o
        WHERE o.customer_id = q.customer_id AND o.resource = q.resource AND o.why = 'active' AND o.context = ''
        AND o.subscription_id = '')"""
_UNANSWERED = f"""{_PRESENT} SELECT count(DISTINCT p.customer_id) FROM present p
    LEFT JOIN flexsync.queue q ON q.resource = $r AND q.why = 'active' AND q.error <> 'gone'
        AND q.customer_id = p.customer_id AND q.subscription_id = p.subscription_id
    WHERE ($r = 'usage' OR p.subscription_id = '') AND (q.item IS NULL OR {_OUTDATED})"""
_OTHERS = (
    "'' AS subscription_id, '{why}' AS why, '' AS counted, NULL::TIMESTAMPTZ AS period_start, true AS sole, '' AS subs"
)
_LEFT = f"""SELECT r.resource, customer_id, {_OTHERS.format(why="left")} FROM asked r JOIN (
        SELECT resource, customer_id FROM flexsync.answers WHERE rows > 0
        UNION SELECT resource, customer_id FROM flexsync.suspects
        UNION SELECT o.resource, owner FROM flexsync.rejects JOIN asked o ON list_contains(o.tables, table_name)
            WHERE owner <> '') USING (resource)
    WHERE customer_id NOT IN (SELECT customer_id FROM active)
    AND customer_id NOT IN (SELECT id FROM customers WHERE gone_at IS NOT NULL)"""
_REST = "FROM customers WHERE gone_at IS NULL AND id NOT IN (SELECT customer_id FROM active)"
_AUDIT = f"""SELECT id AS customer_id, {_OTHERS.format(why="audit")} {_REST}
    AND id NOT IN (SELECT customer_id FROM flexsync.answers WHERE rows > 0)
    ORDER BY hash(id || $run) LIMIT CASE WHEN $everyone THEN 0 ELSE $sample END"""
_ALL = f"SELECT id AS customer_id, {_OTHERS.format(why='all')} {_REST} AND $everyone"
# A customer whom several queries want is queued by the first.
_WANTED = (
    f"SELECT r.resource, w.* FROM asked r CROSS JOIN ({_PLAIN}) w",
    _LEFT,
    f"SELECT 'usage' AS resource, w.* FROM ({_EACH}) w WHERE 'usage' IN (SELECT resource FROM asked)",
    f"SELECT r.resource, w.* FROM asked r CROSS JOIN ({_ALL}) w",
    f"SELECT r.resource, w.* FROM asked r CROSS JOIN ({_AUDIT}) w WHERE r.audited",
)
# Customers whose rows an answer for one subscription has written, held or lost since their own answer, and who are not
# asked for that subscription alone now: their own answer has to be read, though it may be word for word as before.
_REWRITTEN = """rewritten AS (
    SELECT DISTINCT o.resource, o.customer_id FROM (
        SELECT resource, customer_id, subscription_id FROM flexsync.answers
        UNION ALL SELECT resource, customer_id, subscription_id FROM flexsync.suspects
        UNION ALL SELECT 'usage', owner, subscription_id FROM flexsync.rejects) o
    ANTI JOIN wanted n USING (resource, customer_id, subscription_id) WHERE o.subscription_id <> '')"""
# One statement for all resources: it is planned once, which takes longer than a small account's rows.
_INSERT = f"""INSERT INTO flexsync.queue ({_COLUMNS})
    WITH {_ACTIVE}, known AS (SELECT DISTINCT resource, customer_id FROM flexsync.answers),
    wanted AS (SELECT * FROM ({" UNION ALL ".join(f"SELECT *, {n} AS place FROM ({q})" for n, q in enumerate(_WANTED))})
        QUALIFY row_number() OVER (PARTITION BY resource, customer_id, subscription_id ORDER BY place) = 1),
    {_REWRITTEN}
    SELECT (SELECT coalesce(max(item), 0) FROM flexsync.queue)
            + row_number() OVER (ORDER BY w.place, w.customer_id, w.subscription_id, w.resource),
        w.resource, w.customer_id, w.subscription_id, w.why, coalesce(w.counted, ''), w.period_start, w.sole,
        k.customer_id IS NULL,
        {_CONTEXT.format("w.subs", "w.period_start")},
        coalesce(a.context = {_CONTEXT.format("w.subs", "w.period_start")}, false),
        CASE WHEN w.subscription_id = '' AND r.customer_id IS NOT NULL THEN NULL ELSE a.body_hash END, a.rows, 'pending'
    FROM wanted w
    LEFT JOIN rewritten r ON r.customer_id = w.customer_id AND r.resource = w.resource
    LEFT JOIN known k ON k.customer_id = w.customer_id AND k.resource = w.resource
    LEFT JOIN flexsync.answers a ON a.customer_id = w.customer_id AND a.resource = w.resource
        AND a.subscription_id = w.subscription_id
    WHERE NOT EXISTS (SELECT 1 FROM flexsync.queue q WHERE q.resource = w.resource
        AND q.customer_id = w.customer_id AND q.subscription_id = w.subscription_id
        AND (q.why = w.why OR (w.why <> 'active' AND (q.why <> 'active' OR q.state IN ('pending', 'again')))))"""


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
_ASKED = pa.schema([("resource", pa.string()), ("tables", pa.list_(pa.string())), ("audited", pa.bool_())])


def fill(db: Database, resources: Sequence[str], run_id: str, *, sample: int, everyone: bool) -> int:
    """Queue the calls that this run still needs, those whose answer is outdated included.

    A call that was answered is queued again when other subscriptions of its customer count now than when it was queued,
    or another one is the newest; or when the customer was gone and is back.

    Args:
        db: the connection, inside a transaction.
        resources: child resources that were asked for.
        run_id: seeds the audit sample.
        sample: size of the audit sample; 0 for none.
        everyone: call customers without subscriptions too.

    Returns:
        Number of calls added, those queued again apart.
    """
    for statement in (*_RETURNED, _REFRESH, _LEFT_AGAIN):
        db.execute(statement)
    with registered(db, asked=_asked(resources)):
        return changed(db, _INSERT, {"run": run_id, "sample": sample, "everyone": everyone})


def _asked(resources: Sequence[str]) -> pa.Table:
    """Return a row per resource: what `_INSERT` has to know of it."""
    kinds = [RESOURCES[name] for name in resources]
    columns = [list(resources), [kind.tables for kind in kinds], [kind.audited for kind in kinds]]
    return pa.Table.from_arrays([pa.array(c, t) for c, t in zip(columns, _ASKED.types, strict=True)], schema=_ASKED)


def take(db: Database, resource: str, state: str, beyond: int, number: int) -> list[Item]:
    """Return the next `number` items of a resource in a state, after item `beyond`, in order."""
    query = f"""SELECT {_COLUMNS} FROM flexsync.queue
        WHERE state = $state AND resource = $resource AND item > $beyond ORDER BY item LIMIT $number"""
    given = {"state": state, "resource": resource, "beyond": beyond, "number": number}
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


def waiting_customers(db: Database) -> list[str]:
    """Return the customers who wait for a call of this run, the first or a second one."""
    return column(db, "SELECT DISTINCT customer_id FROM flexsync.queue WHERE state IN ('pending', 'again') ORDER BY 1")


def unanswered(db: Database, resource: str) -> int:
    """Return the number of customers whose subscriptions, as they count now, no call of this run was queued for."""
    return count(db, _UNANSWERED, {"r": resource})


def outdate(db: Database, customer_ids: Sequence[str]) -> None:
    """Let the next `fill` queue the calls of customers again, because other subscriptions count than are known."""
    if customer_ids:
        db.execute(
            """UPDATE flexsync.queue SET context = '' WHERE why = 'active' AND subscription_id = ''
            AND list_contains($ids, customer_id)""",
            {"ids": list(customer_ids)},
        )


def audit_hits(db: Database) -> list[str]:
    """Return the customers of the audit sample whose answer was not empty."""
    query = """SELECT DISTINCT q.customer_id FROM flexsync.queue q JOIN flexsync.answers a
        ON a.customer_id = q.customer_id AND a.resource = q.resource AND a.rows > 0
        WHERE q.why = 'audit' AND q.state = 'done' ORDER BY 1"""
    return column(db, query)


def not_found(db: Database) -> list[str]:
    """Return the customers whose call failed with 404."""
    return column(db, "SELECT DISTINCT customer_id FROM flexsync.queue WHERE state = 'failed' AND status = 404")
