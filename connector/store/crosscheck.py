"""Two answers about one customer that contradict each other, though the server makes both of the same entitlements.

A usage answer has the entitlements of all of a customer's subscriptions as its sources, and so has the entitlements
answer; a subscription that fails to load is missing from one of them without a word (contract.md 6.1, 6.2, 6.4: the
sources' subscription ids say nothing, their entitlement ids do). A usage answer for one subscription alone is empty
when that one fails to load, though the entitlements answer has entitlements of its plan.

Promised: only answers of this run that were stored whole are compared, and only features of the types that this server
reports usage of. Never done: deciding which of two answers is right; opening or committing a transaction.
"""

from __future__ import annotations

from connector.store.database import Database, column

CONTRADICTED = "usage and entitlements contradict each other"

_SOURCES = """SELECT customer_id, feature_id, entitlement_id, count(*) AS n FROM {table}
    WHERE entitlement_id <> '' AND customer_id IN (SELECT customer_id FROM compared)
    AND feature_id IN (SELECT id FROM features WHERE type IN (SELECT type FROM reported)) GROUP BY ALL"""
_COMPARED = f"""WITH whole AS MATERIALIZED (SELECT * FROM flexsync.queue WHERE state = 'done' AND why = 'active'
        AND customer_id NOT IN (SELECT owner FROM flexsync.rejects)),
    compared AS MATERIALIZED (SELECT u.customer_id, u.item AS usage, e.item AS entitlements FROM whole u JOIN whole e
        ON e.customer_id = u.customer_id AND e.resource = 'entitlements' AND u.resource = 'usage'
        AND u.subscription_id = ''),
    reported AS MATERIALIZED (SELECT DISTINCT f.type FROM usage u JOIN features f ON f.id = u.feature_id),
    used AS MATERIALIZED ({_SOURCES.format(table="usage_sources")}),
    entitled AS MATERIALIZED ({_SOURCES.format(table="entitlement_sources")}),
    differing AS (SELECT customer_id FROM (
        (SELECT * FROM used EXCEPT SELECT * FROM entitled) UNION (SELECT * FROM entitled EXCEPT SELECT * FROM used))),
    plans AS (SELECT w.customer_id, p.plan_id, min(w.subscription_id) AS subscription_id FROM flexsync.sweep w
        JOIN subscriptions p ON p.id = w.subscription_id WHERE w.subscription_type IS DISTINCT FROM 'inherited'
        GROUP BY ALL HAVING count(*) = 1),
    empty AS (SELECT u.customer_id, u.item FROM whole u JOIN plans p ON p.subscription_id = u.subscription_id
        WHERE u.resource = 'usage' AND u.customer_id IN (SELECT customer_id FROM compared)
        AND u.subscription_id NOT IN (SELECT subscription_id FROM subscription_usage)
        AND EXISTS (SELECT 1 FROM entitlement_sources s WHERE s.customer_id = p.customer_id AND s.entity_type = 'plan'
            AND s.entity_id = p.plan_id AND s.feature_id IN (
                SELECT id FROM features WHERE type IN (SELECT type FROM reported))))"""


def contradicting(db: Database, accept: frozenset[str] = frozenset()) -> list[int]:
    """Return the queue items of this run whose answers contradict each other.

    Args:
        db: the connection.
        accept: customer ids, or "all", whose answers are believed at once (`--accept-lower`).
    """
    if "all" in accept:
        return []
    query = f"""{_COMPARED} SELECT item FROM (SELECT customer_id, unnest([usage, entitlements]) AS item FROM compared
            WHERE customer_id IN (SELECT customer_id FROM differing) UNION SELECT * FROM empty)
        WHERE NOT list_contains($accept, customer_id) ORDER BY item"""
    return column(db, query, {"accept": sorted(accept) or [""]})


def contradicted(db: Database) -> list[str]:
    """Return the customers whose answers still contradict each other after the second calls."""
    query = f"SELECT DISTINCT customer_id FROM flexsync.queue WHERE error = '{CONTRADICTED}' ORDER BY customer_id"
    return column(db, query)
