"""Figures: every figure and limit of usage that was seen to change.

Promised: a figure is added in the transaction of the row that holds it, so one that is held back as suspect never is; a
run that sees the same figures adds nothing; one run adds at most one row for a figure, the last that it saw. Never
done: changing what an earlier run added, but for completing a figure that was restored without some of its columns;
opening or committing a transaction.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from connector.pull.suspicion import GROWING
from connector.store import restored
from connector.store.database import Database, count, identifier, literal, portions, registered
from connector.tables.histories import ADDITIVE, restorable

_FIGURES = (
    "current_period_start",
    "next_usage_reset_at",
    "never_resets",
    "current_usage",
    "total_limit",
    "usage_percent",
)
_COMPARED = ("counted_subscription_id", "current_period_start", "next_usage_reset_at", "current_usage", "total_limit")
_ALONE = {"usage": "''", "subscription_usage": "t.subscription_id"}
_MATCH = "s.customer_id = f.customer_id AND s.subscription_id = f.subscription_id AND s.feature_id = f.feature_id"
_SAME = """s.current_usage IS NOT DISTINCT FROM f.current_usage AND s.total_limit IS NOT DISTINCT FROM f.total_limit
    AND {window}"""
# Most reset periods send no moment of the next reset (contract.md 6.1): only the subscription's period tells. What is
# never reset has one window, whichever period it is. Figures of an older version do not say whether they are.
_KIND = " AND coalesce(s.never_resets = f.never_resets, true)"
_PERIOD = "(coalesce(s.never_resets, false) OR s.current_period_start IS NOT DISTINCT FROM f.current_period_start)"
_WINDOW = f"""s.counted_subscription_id IS NOT DISTINCT FROM f.counted_subscription_id
    AND s.next_usage_reset_at IS NOT DISTINCT FROM f.next_usage_reset_at
    AND {_PERIOD}{_KIND}"""

# All of these run for figures whose customer is in the view `touched`: plain ones, or those of single subscriptions.
_STATE = """state AS (SELECT t.customer_id, {alone} AS subscription_id, t.feature_id, t.observed_at,
        t.subscription_id AS counted_subscription_id, {figures},
        coalesce(m.meter_aggregation_type IN {additive}, false) AS additive,
        coalesce(m.meter_aggregation_type IN {steady}, false) AS steady,
        coalesce(m.type = 'metered' AND t.current_usage = 0, false) AS zero
    FROM "{table}" t LEFT JOIN features m ON m.id = t.feature_id WHERE t.customer_id IN (SELECT key FROM touched))"""
_OURS = "f.customer_id IN (SELECT key FROM touched) AND (f.subscription_id = '') = {plain}"
# An answer confirms a figure only if all of it was stored: others have no hash, as where a figure was held back.
# A subscription that nobody asked about alone is confirmed by the customer's plain answer, if it was the only one then:
# the context names all that counted (see connector.store.queue). One of this run may not settle its subscriptions.
_OWN = "a.customer_id = f.customer_id AND a.resource = 'usage' AND a.subscription_id = f.subscription_id"
_SOLE = """p.customer_id = f.customer_id AND p.resource = 'usage' AND p.subscription_id = '' AND p.run_id < $run
        AND p.body_hash IS NOT NULL AND split_part(p.context, '|', 2) = f.subscription_id AND a.customer_id IS NULL"""
_CONFIRMED = "CASE WHEN a.customer_id IS NULL THEN p.{0} WHEN a.body_hash IS NOT NULL THEN a.{0} END"
# The newest figure of each, and when it was confirmed, in the view `latest` while _END and _ADD run.
_LATEST = """WITH newest AS (SELECT f.* FROM (
        FROM {earlier} UNION ALL BY NAME FROM flexsync.usage_figures WHERE run_id = $run) f
    WHERE {ours}
    WINDOW figure AS (PARTITION BY f.customer_id, f.subscription_id, f.feature_id ORDER BY f.run_id DESC)
    QUALIFY row_number() OVER figure = 1)
SELECT f.*,
        greatest(f.run_id, coalesce(u.previous_confirmed_run, {run})) AS confirmed_run,
        greatest(f.observed_at, coalesce(u.previous_confirmed_at, {at})) AS confirmed_at
    FROM newest f
    LEFT JOIN undone u USING (customer_id, subscription_id, feature_id)
    LEFT JOIN flexsync.answers a ON {own}
    LEFT JOIN flexsync.answers p ON {sole}"""
# Whether a zero was proven is not known any more.
_COMPLETE = """WITH {state} UPDATE {held} f SET {sets}, unproven = coalesce(f.unproven, s.zero), lacking = NULL
    FROM state s WHERE {match} AND f.lacking AND NOT f.ended AND {fits}
    AND NOT EXISTS (SELECT 1 FROM {held} s WHERE {match} AND s.run_id > f.run_id)"""
# The newest figures of earlier runs do not change while a run lasts, so they are looked for once: it takes all of them.
_EARLIER = """CREATE TEMP TABLE IF NOT EXISTS {earlier} AS SELECT * FROM flexsync.usage_figures WHERE rowid IN (
    SELECT arg_max(rowid, run_id) FROM flexsync.usage_figures WHERE run_id <> {run}
    GROUP BY customer_id, subscription_id, feature_id)"""
_OF_RUN = "SELECT f.* FROM flexsync.usage_figures f WHERE f.run_id = $run AND {ours}"
_UNDO = """WITH {state} DELETE FROM flexsync.usage_figures f WHERE f.run_id = $run AND {ours}
    AND NOT EXISTS (SELECT 1 FROM state s WHERE {match} AND {same} AND NOT f.ended)
    AND NOT (f.ended AND NOT EXISTS (SELECT 1 FROM state s WHERE {match}))"""
# A zero with no earlier figure of its window may be a failure (contract.md 11), and so stays unproven while it lasts.
_ADD = """WITH {state} INSERT INTO flexsync.usage_figures BY NAME
    SELECT s.customer_id, s.subscription_id, s.feature_id, {new}, s.observed_at, $run AS run_id,
        s.additive, false AS ended,
        coalesce(NOT f.ended AND {window} AND s.steady AND s.current_usage < f.current_usage, false) AS restated,
        s.zero AND (f.run_id IS NULL OR f.ended OR NOT ({window}) OR coalesce(f.unproven, false)) AS unproven,
        f.confirmed_run AS previous_confirmed_run, f.confirmed_at AS previous_confirmed_at
    FROM state s LEFT JOIN latest f ON {match} WHERE f.run_id IS NULL OR f.ended OR NOT ({same})"""
_END = """WITH {state} INSERT INTO flexsync.usage_figures BY NAME
    SELECT f.customer_id, f.subscription_id, f.feature_id, $now AS observed_at, $run AS run_id, true AS ended,
        false AS restated, f.confirmed_run AS previous_confirmed_run, f.confirmed_at AS previous_confirmed_at
    FROM latest f WHERE NOT f.ended AND NOT EXISTS (SELECT 1 FROM state s WHERE {match})"""


def follow(db: Database, table: str, run_id: str, touched: Any, now: datetime) -> None:
    """Add the figures that changed, and the ends of those that are not there any more.

    Args:
        db: the connection, inside the transaction that changed the rows; the answers themselves are stored after it.
        table: usage or subscription_usage.
        run_id: the run that saw the figures.
        touched: Arrow table with one column, `key`: customers.
        now: when figures that are not there any more were missed, by the server's clock.
    """
    given = {"run": run_id}
    earlier = identifier(f"figures before {run_id}")
    db.execute(_EARLIER.format(earlier=earlier, run=literal(run_id)))
    left_out = frozenset(restorable(restored.noted(db)))
    with registered(db, touched=touched):
        for held in ("flexsync.usage_figures", earlier) if left_out else ():
            db.execute(_text(_COMPLETE, table, held, left_out))
        # What this run has added so far knows when the figures before were last confirmed.
        undone = db.sql(_text(_OF_RUN, table, earlier), params=given).to_arrow_table()
        with registered(db, undone=undone):
            if undone.num_rows:
                db.execute(_text(_UNDO, table, earlier), given)
            latest = db.sql(_text(_LATEST, table, earlier), params=given).to_arrow_table()
        with registered(db, latest=latest):
            db.execute(_text(_END, table, earlier), {**given, "now": now})
            db.execute(_text(_ADD, table, earlier), given)


def unsettle(db: Database, run_id: str) -> None:
    """Leave out the period of figures whose subscription was renewed while the run lasted.

    The answer may have been given before or after that, so nobody knows which period it counts. Where the server sends
    the end of the window, that tells.

    Args:
        db: the connection, inside the transaction that finishes the run; it has read the subscriptions once more.
        run_id: the run.
    """
    db.execute(
        """UPDATE flexsync.usage_figures f SET current_period_start = NULL, restated = false,
            unproven = unproven OR (f.additive AND f.current_usage = 0)
        FROM subscriptions s WHERE f.run_id = $run AND NOT f.ended AND s.id = f.counted_subscription_id
            AND f.next_usage_reset_at IS NULL AND NOT coalesce(f.never_resets, false)
            AND f.current_period_start <> s.current_period_start""",
        {"run": run_id},
    )


def begin_all(db: Database, run_id: str, now: datetime) -> None:
    """Begin the history of a store that has figures and no history yet, as one of an older version.

    Args:
        db: the connection, inside the transaction that begins the run.
        run_id: the run.
        now: when it began, by the server's clock.
    """
    if count(db, "SELECT count(*) FROM flexsync.usage_figures"):
        return
    for table in _ALONE:
        for customers in portions(db, f"SELECT DISTINCT customer_id AS key FROM {table}"):
            follow(db, table, run_id, customers, now)


def _fits(column: str, left_out: bool) -> str:
    same = _PERIOD if column == "current_period_start" else f"s.{column} IS NOT DISTINCT FROM f.{column}"
    return f"(f.{column} IS NULL OR {same})" if left_out else same


@cache
def _text(template: str, table: str, earlier: str, left_out: frozenset[str] = frozenset()) -> str:
    fields = {
        "earlier": earlier,
        "held": earlier,
        "table": table,
        "alone": _ALONE[table],
        "plain": str(table == "usage").lower(),
        "figures": ", ".join(f"t.{name}" for name in _FIGURES),
        "new": ", ".join(f"s.{name}" for name in ("counted_subscription_id", *_FIGURES)),
        "match": _MATCH,
        "window": _WINDOW,
        "same": _SAME.format(window=_WINDOW),
        "additive": ADDITIVE,
        "steady": (*ADDITIVE, *sorted(GROWING)),  # an average or a last value may fall without a correction
        "sets": ", ".join(f"{name} = s.{name}" for name in sorted(left_out)),
        "fits": " AND ".join(_fits(name, name in left_out) for name in _COMPARED) + _KIND,
        "own": _OWN,
        "sole": _SOLE,
        "run": _CONFIRMED.format("run_id"),
        "at": _CONFIRMED.format("observed_at"),
    }
    fields |= {"ours": _OURS.format(**fields)}
    fields |= {"state": _STATE.format(**fields)}
    return template.format(**fields)
