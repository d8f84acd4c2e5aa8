"""The history of usage: one row for every figure or limit that was seen to change.

Promised: a figure is written in the transaction of the row that holds it, so one that is held back as suspect never is;
a run that sees the same figures writes nothing; of one run and figure at most one row stays, the last. Never done:
opening or committing a transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.store.database import Database, count, registered

_FIGURES = "current_period_start, next_usage_reset_at, current_usage, total_limit, usage_percent"
_ALONE = {"usage": "''", "subscription_usage": "t.subscription_id"}
_KEYS = "customer_id, subscription_id, feature_id"
_MATCH = "s.customer_id = h.customer_id AND s.subscription_id = h.subscription_id AND s.feature_id = h.feature_id"
_SAME = """s.current_usage IS NOT DISTINCT FROM h.current_usage AND s.total_limit IS NOT DISTINCT FROM h.total_limit
    AND s.next_usage_reset_at IS NOT DISTINCT FROM h.next_usage_reset_at"""

# All of these run for figures whose {owner} is in the view `touched`; {kind} tells a customer's from a subscription's.
_STATE = """state AS (SELECT t.customer_id, {alone} AS subscription_id, t.feature_id, t.observed_at, {figures}
    FROM "{table}" t WHERE t.{owner} IN (SELECT key FROM touched))"""
_OURS = "h.{owner} IN (SELECT key FROM touched) AND (h.subscription_id = '') = {plain}"
_LAST = """latest AS (SELECT * FROM usage_history h WHERE {ours}
    QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY run_id DESC) = 1)"""
_OF_RUN = "SELECT count(*) FROM usage_history h WHERE h.run_id = $run AND {ours}"
_UNDO = """WITH {state} DELETE FROM usage_history h WHERE h.run_id = $run AND {ours}
    AND NOT EXISTS (SELECT 1 FROM state s WHERE {match} AND {same} AND NOT h.ended)"""
_REOPEN = """UPDATE usage_history h SET last_confirmed_run = NULL, last_confirmed_at = NULL
    WHERE {ours} AND h.last_confirmed_run IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM usage_history s WHERE {match} AND s.run_id > h.run_id)"""
_ADD = """WITH {state}, {last} INSERT INTO usage_history BY NAME
    SELECT s.customer_id, s.subscription_id, s.feature_id, {new}, s.observed_at, $run AS run_id, false AS ended,
        coalesce(NOT h.ended AND s.next_usage_reset_at IS NOT DISTINCT FROM h.next_usage_reset_at
            AND s.current_usage < h.current_usage, false) AS restated
    FROM state s LEFT JOIN latest h ON {match} WHERE h.run_id IS NULL OR h.ended OR NOT ({same})"""
_END = """WITH {state}, {last} INSERT INTO usage_history BY NAME
    SELECT h.customer_id, h.subscription_id, h.feature_id, $now AS observed_at, $run AS run_id, true AS ended,
        false AS restated
    FROM latest h WHERE NOT h.ended AND NOT EXISTS (SELECT 1 FROM state s WHERE {match})"""
_CONFIRM = """UPDATE usage_history h SET last_confirmed_run = coalesce(s.confirmed_run, h.run_id),
        last_confirmed_at = coalesce(s.confirmed_at, h.observed_at)
    FROM (SELECT n.customer_id, n.subscription_id, n.feature_id, coalesce(a.run_id, p.run_id) AS confirmed_run,
            coalesce(a.observed_at, p.observed_at) AS confirmed_at
        FROM usage_history n LEFT JOIN flexsync.answers a ON a.customer_id = n.customer_id AND a.resource = 'usage'
            AND a.subscription_id = n.subscription_id AND a.run_id < $run
        LEFT JOIN flexsync.answers p ON p.customer_id = n.customer_id AND p.resource = 'usage'
            AND p.subscription_id = '' AND p.run_id < $run
        WHERE n.run_id = $run AND n.{owner} IN (SELECT key FROM touched) AND (n.subscription_id = '') = {plain}) s
    WHERE {match} AND h.run_id < $run AND h.last_confirmed_run IS NULL"""


def follow(db: Database, table: str, run_id: str, owner: str, touched: Any, now: datetime) -> None:
    """Write the figures that changed, and the end of those that are not there any more.

    Args:
        db: the connection, inside the transaction that changed the rows; the answers of this run are not stored yet.
        table: usage or subscription_usage.
        run_id: the run that saw the figures.
        owner: which column `touched` names: customer_id or subscription_id.
        touched: Arrow table with one column, `key`.
        now: when figures that are not there any more were missed, by the server's clock.
    """
    given = {"run": run_id}
    with registered(db, touched=touched):
        if count(db, _text(_OF_RUN, table, owner), given):  # this run has seen other figures before
            db.execute(_text(_UNDO, table, owner), given)
        db.execute(_text(_ADD, table, owner), given)
        db.execute(_text(_END, table, owner), {**given, "now": now})
        db.execute(_text(_CONFIRM, table, owner), given)
        db.execute(_text(_REOPEN, table, owner))


def begin_all(db: Database, run_id: str, now: datetime) -> None:
    """Begin the history of a store that has figures and no history yet, as one of an older version."""
    if count(db, "SELECT count(*) FROM usage_history"):
        return
    for table in ("usage", "subscription_usage"):
        customers = db.sql(f"SELECT DISTINCT customer_id AS key FROM {table}").to_arrow_table()
        if customers.num_rows:
            follow(db, table, run_id, "customer_id", customers, now)


def _text(template: str, table: str, owner: str) -> str:
    fields = {
        "table": table,
        "alone": _ALONE[table],
        "owner": owner,
        "plain": str(table == "usage").lower(),
        "keys": _KEYS,
        "figures": ", ".join(f"t.{name}" for name in _FIGURES.split(", ")),
        "new": ", ".join(f"s.{name}" for name in _FIGURES.split(", ")),
        "match": _MATCH,
        "same": _SAME,
    }
    fields |= {"ours": _OURS.format(**fields)}
    fields |= {"state": _STATE.format(**fields), "last": _LAST.format(**fields)}
    return template.format(**fields)
