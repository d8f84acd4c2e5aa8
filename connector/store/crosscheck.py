"""Two answers about one customer that contradict each other, though the server makes both of the same entitlements.

A usage answer has the entitlements of all of a customer's subscriptions as its sources, and so has the entitlements
answer; a subscription that fails to load is missing from one of them without a word (contract.md 6.1, 6.2, 6.4: the
sources' subscription ids say nothing, their entitlement ids do). A usage answer for one subscription alone is empty
when that one fails to load, though the plain usage answer has entitlements of it as its sources.

Promised: only answers of this run that were stored whole are compared, and only features of the types that this server
reports usage of. Never done: deciding which of two answers is right; opening or committing a transaction.
"""

from __future__ import annotations

from connector.store.database import Database, column

CONTRADICTED = "usage and entitlements contradict each other"

_SOURCES = """SELECT customer_id, feature_id, entitlement_id, count(*) AS n FROM {table}
    WHERE entitlement_id <> '' AND customer_id IN (SELECT customer_id FROM compared)
    AND feature_id IN (SELECT id FROM features WHERE type IN (SELECT type FROM reported)) GROUP BY ALL"""
# Which features the answers for one subscription must have, by the plain answer. Its `plan` sources are one for each
# subscription to the plan but for those in which an entitlement of their own takes its place; its `subscription`
# sources name theirs; of an add-on it is not known whose it is, so one subscription at least must have its features.
_ALONE = """alone AS MATERIALIZED (SELECT w.item, w.customer_id, w.subscription_id, s.plan_id FROM whole w
        JOIN subscriptions s ON s.id = w.subscription_id WHERE w.resource = 'usage'),
    sources AS MATERIALIZED (SELECT customer_id, feature_id, entity_type, entity_id, entitlement_id, count(*) AS n
        FROM usage_sources WHERE customer_id IN (SELECT customer_id FROM alone) AND customer_id IN (
            SELECT customer_id FROM whole WHERE resource = 'usage' AND subscription_id = '') GROUP BY ALL),
    own AS (SELECT DISTINCT a.*, n.feature_id FROM alone a JOIN sources n ON n.customer_id = a.customer_id
        AND n.entity_type = 'subscription' AND n.entity_id = a.subscription_id),
    planned AS (SELECT a.*, n.feature_id, max(n.n) AS n FROM alone a JOIN sources n ON n.customer_id = a.customer_id
        AND n.entity_type = 'plan' AND n.entity_id = a.plan_id
        ANTI JOIN own ON own.item = a.item AND own.feature_id = n.feature_id GROUP BY ALL),
    held AS (SELECT p.*, u.feature_id IS NOT NULL AS has FROM planned p LEFT JOIN subscription_usage u
        ON u.subscription_id = p.subscription_id AND u.feature_id = p.feature_id),
    counted AS (SELECT *, least(n, count(*) OVER of_plan) AS needed, count(*) FILTER (has) OVER of_plan AS found
        FROM held WINDOW of_plan AS (PARTITION BY customer_id, plan_id, feature_id)),
    nowhere AS (SELECT customer_id FROM sources n WHERE NOT EXISTS (SELECT 1 FROM subscription_usage u
        WHERE u.customer_id = n.customer_id AND u.feature_id = n.feature_id)),
    poor AS (SELECT customer_id, item FROM counted WHERE NOT has AND found < needed
        UNION SELECT customer_id, item FROM own ANTI JOIN subscription_usage USING (subscription_id, feature_id)
        UNION SELECT customer_id, item FROM alone WHERE customer_id IN (SELECT customer_id FROM nowhere)
            AND subscription_id NOT IN (SELECT subscription_id FROM subscription_usage))"""
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
    {_ALONE}"""


def contradicting(db: Database, accept: frozenset[str] = frozenset()) -> list[int]:
    """Return the queue items of this run whose answers contradict each other.

    Args:
        db: the connection.
        accept: customer ids, or "all", whose answers are believed at once (`--accept-lower`).
    """
    if "all" in accept:
        return []
    query = f"""{_COMPARED} SELECT item FROM (SELECT customer_id, unnest([usage, entitlements]) AS item FROM compared
            WHERE customer_id IN (SELECT customer_id FROM differing) UNION SELECT * FROM poor)
        WHERE NOT list_contains($accept, customer_id) ORDER BY item"""
    return column(db, query, {"accept": sorted(accept) or [""]})


def contradicted(db: Database) -> list[str]:
    """Return the customers whose answers still contradict each other after the second calls."""
    query = f"SELECT DISTINCT customer_id FROM flexsync.queue WHERE error = '{CONTRADICTED}' ORDER BY customer_id"
    return column(db, query)
