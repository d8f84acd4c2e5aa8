"""Two answers about one customer that contradict each other, though the server makes both of the same entitlements.

A usage answer has the entitlements of all of a customer's subscriptions as its sources, and so has the entitlements
answer; a subscription that fails to load is missing from one of them without a word (contract.md 6.1, 6.2, 6.4: the
sources' subscription ids say nothing, their entitlement ids do). A usage answer for one subscription alone is empty
when that one fails to load, though the plain usage answer has entitlements of it as its sources; and the plain one
lacks what they have when it was the one that failed.

Promised: only answers of this run that were stored whole are compared, and only features of the types that this server
reports usage of: metered ones, and those that any usage answer has. An empty answer is believed where nothing says that
its subscription has entitlements. Never done: deciding which of two answers is right; opening or committing a
transaction.
"""

from __future__ import annotations

from connector.store.database import Database, column

CONTRADICTED = "usage and entitlements contradict each other"

_SOURCES = """SELECT customer_id, feature_id, entitlement_id, count(*) AS n FROM {table}
    WHERE entitlement_id <> '' AND customer_id IN (SELECT customer_id FROM compared)
    AND feature_id IN (SELECT id FROM features WHERE type IN (SELECT type FROM reported)) GROUP BY ALL"""
# What the answers for one subscription alone must have, by the plain answer. Its `plan` sources are one for each
# subscription to the plan but for those in which an entitlement of their own takes its place; its `subscription`
# sources name theirs. Of an add-on it is not known whose it is.
_ALONE = """plain AS (SELECT customer_id, item FROM whole WHERE resource = 'usage' AND subscription_id = ''),
    counting AS MATERIALIZED (SELECT customer_id, subscription_id FROM flexsync.sweep
        WHERE subscription_type IS DISTINCT FROM 'inherited'),
    alone AS MATERIALIZED (SELECT w.item, w.customer_id, w.subscription_id, s.plan_id FROM whole w
        JOIN counting USING (customer_id, subscription_id) JOIN plain USING (customer_id)
        JOIN subscriptions s ON s.id = w.subscription_id WHERE w.resource = 'usage'),
    sources AS MATERIALIZED (SELECT customer_id, feature_id, entity_type, entity_id, entitlement_id, count(*) AS n
        FROM usage_sources WHERE customer_id IN (SELECT customer_id FROM alone) GROUP BY ALL),
    found AS MATERIALIZED (SELECT customer_id, u.feature_id, count(*) AS n,
            CASE WHEN count(*) = count(u.total_limit) THEN sum(u.total_limit) END AS total_limit
        FROM alone a JOIN subscription_usage u USING (customer_id, subscription_id) GROUP BY ALL),
    empty AS (SELECT * FROM alone ANTI JOIN subscription_usage USING (customer_id, subscription_id)),
    own AS (SELECT DISTINCT a.*, n.feature_id FROM alone a JOIN sources n ON n.customer_id = a.customer_id
        AND n.entity_type = 'subscription' AND n.entity_id = a.subscription_id),
    planned AS (SELECT a.*, n.feature_id, max(n.n) AS n FROM alone a JOIN sources n ON n.customer_id = a.customer_id
        AND n.entity_type = 'plan' AND n.entity_id = a.plan_id
        ANTI JOIN own ON own.item = a.item AND own.feature_id = n.feature_id GROUP BY ALL),
    held AS (SELECT p.*, u.feature_id IS NOT NULL AS has FROM planned p LEFT JOIN subscription_usage u
        ON u.subscription_id = p.subscription_id AND u.feature_id = p.feature_id),
    counted AS (SELECT *, least(n, count(*) OVER of_plan) AS needed, count(*) FILTER (has) OVER of_plan AS found
        FROM held WINDOW of_plan AS (PARTITION BY customer_id, plan_id, feature_id)),"""
# Limits are summed over the sources (contract.md 11), so those of all answers alone give the plain one's; and a feature
# has a source at least for each answer alone that has it. An add-on's sources are one for each subscription that has
# it, but a subscription may have it twice: then its limits add up.
_SUMMED = """complete AS (SELECT customer_id FROM counting GROUP BY customer_id HAVING count(*) > 1
        AND count(*) = (SELECT count(*) FROM alone a WHERE a.customer_id = counting.customer_id)),
    summed AS MATERIALIZED (SELECT p.customer_id, p.feature_id, p.total_limit,
            f.feature_id IS NOT NULL AND p.total_limit IS NOT DISTINCT FROM f.total_limit AS agrees
        FROM usage p JOIN complete USING (customer_id) LEFT JOIN found f USING (customer_id, feature_id)),
    sourced AS (SELECT customer_id, feature_id, sum(n) AS n FROM sources GROUP BY ALL),
    more AS (SELECT f.customer_id FROM found f LEFT JOIN usage p USING (customer_id, feature_id)
        LEFT JOIN sourced s USING (customer_id, feature_id) WHERE p.feature_id IS NULL OR f.n > s.n),
    unequal AS (SELECT customer_id FROM more UNION SELECT customer_id FROM summed WHERE NOT agrees),
    addons AS (SELECT n.customer_id, n.entity_id, bool_or(n.n > coalesce(f.n, 0)) AS lacking,
            coalesce(bool_or(s.agrees AND s.total_limit > 0), false) AS adds_up
        FROM sources n LEFT JOIN found f USING (customer_id, feature_id)
        LEFT JOIN summed s USING (customer_id, feature_id) WHERE n.entity_type = 'addon' GROUP BY ALL),
    nowhere AS (SELECT customer_id FROM sources ANTI JOIN found USING (customer_id, feature_id)
        UNION SELECT customer_id FROM addons WHERE lacking AND NOT adds_up),
    poor AS (SELECT customer_id, item FROM counted WHERE NOT has AND found < needed
        UNION SELECT customer_id, item FROM own ANTI JOIN subscription_usage USING (subscription_id, feature_id)
        UNION SELECT customer_id, item FROM empty WHERE customer_id IN (SELECT customer_id FROM nowhere)
        UNION SELECT customer_id, item FROM (FROM plain UNION SELECT customer_id, item FROM alone)
            WHERE customer_id IN (SELECT customer_id FROM unequal))"""
_COMPARED = f"""WITH whole AS MATERIALIZED (SELECT * FROM flexsync.queue WHERE state = 'done' AND why = 'active'
        AND customer_id NOT IN (SELECT owner FROM flexsync.rejects)),
    compared AS MATERIALIZED (SELECT u.customer_id, u.item AS usage, e.item AS entitlements FROM whole u JOIN whole e
        ON e.customer_id = u.customer_id AND e.resource = 'entitlements' AND u.resource = 'usage'
        AND u.subscription_id = ''),
    reported AS MATERIALIZED (SELECT 'metered' AS type
        UNION SELECT f.type FROM usage u JOIN features f ON f.id = u.feature_id),
    used AS MATERIALIZED ({_SOURCES.format(table="usage_sources")}),
    entitled AS MATERIALIZED ({_SOURCES.format(table="entitlement_sources")}),
    differing AS (SELECT customer_id FROM (
        (SELECT * FROM used EXCEPT SELECT * FROM entitled) UNION (SELECT * FROM entitled EXCEPT SELECT * FROM used))),
    {_ALONE}
    {_SUMMED}"""


def contradicting(db: Database, accept: frozenset[str] = frozenset()) -> list[int]:
    """Return the queue items of this run whose answers contradict each other.

    Args:
        db: the connection.
        accept: customer ids whose answers are believed at once (`--accept-lower`); "all" is for figures that fell.
    """
    query = f"""{_COMPARED} SELECT item FROM (SELECT customer_id, unnest([usage, entitlements]) AS item FROM compared
            WHERE customer_id IN (SELECT customer_id FROM differing) UNION SELECT * FROM poor)
        WHERE NOT list_contains($accept, customer_id) ORDER BY item"""
    return column(db, query, {"accept": sorted(accept) or [""]})


def contradicted(db: Database) -> list[str]:
    """Return the customers whose answers still contradict each other after the second calls."""
    query = f"SELECT DISTINCT customer_id FROM flexsync.queue WHERE error = '{CONTRADICTED}' ORDER BY customer_id"
    return column(db, query)
