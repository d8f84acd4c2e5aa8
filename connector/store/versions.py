"""Versions: the histories of customers, subscriptions and entitlements follow their tables.

A version is made when the content of a row changes, in the transaction of the row. Promised: of a key at most one
version is open, and it has the content of the row; a version begins after the one before it; one run makes at most one
version of a key, the last that it saw; a row that did not change costs nothing; a row that is gone ends its version,
and begins one when it comes back. Never done: opening or committing a transaction; reading a clock.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from connector.store.database import Database, count, registered
from connector.tables.histories import VERSIONED, content, history_of
from connector.tables.schemas import TABLES, Table

# The server draws this one at random where the sources tie (contract.md 6.2), which one source alone cannot.
_DRAWN = """CASE WHEN (SELECT count(*) FROM entitlement_sources s WHERE s.customer_id = t.customer_id
    AND s.feature_id = t.feature_id) < 2 THEN t."usage_reset_period" END"""

# All of these run for the rows of table {table} whose {column} is in the view `touched`.
_STATE = """state AS (SELECT t.*, {hash} AS content_hash FROM "{table}" t
    WHERE t."{column}" IN (SELECT key FROM touched){alive})"""
_LAST = """latest AS (SELECT {keys}, valid_from, valid_to, content_hash FROM "{history}" h
    WHERE h."{column}" IN (SELECT key FROM touched)
    QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY valid_from DESC) = 1)"""
_UNDO = """WITH {state} DELETE FROM "{history}" h WHERE h.known_from = $run
    AND h."{column}" IN (SELECT key FROM touched)
    AND NOT EXISTS (SELECT 1 FROM state s WHERE {match} AND s.content_hash = h.content_hash)"""
_REOPEN = """UPDATE "{history}" h SET valid_to = NULL, known_to = NULL WHERE h.known_to = $run
    AND h."{column}" IN (SELECT key FROM touched)
    AND NOT EXISTS (SELECT 1 FROM "{history}" s WHERE {match} AND s.known_from = $run)"""
_END = """WITH {state} UPDATE "{history}" h SET known_to = $run,
    valid_to = greatest($now, h.valid_from + INTERVAL 1 MICROSECOND)
    WHERE h.valid_to IS NULL AND h."{column}" IN (SELECT key FROM touched)
    AND NOT EXISTS (SELECT 1 FROM state s WHERE {match})"""
_BEGIN = """WITH {state}, {last}, begun AS (SELECT s.*, coalesce({updated}, false) AS dated, {after} AS earliest
        FROM state s LEFT JOIN latest h ON {match}
        WHERE h.valid_from IS NULL OR h.valid_to IS NOT NULL OR h.content_hash IS DISTINCT FROM s.content_hash)
    INSERT INTO "{history}" ({keys}, valid_from, valid_basis, known_from, content_hash, {columns}, run_id)
    SELECT {keys}, CASE WHEN dated THEN {updated_at} ELSE greatest(observed_at, earliest) END,
        CASE WHEN dated THEN 'updated_at' ELSE 'observed_at' END, $run, content_hash, {columns}, $run FROM begun"""
_CLOSE = """UPDATE "{history}" h SET valid_to = s.valid_from, known_to = $run
    FROM "{history}" s WHERE {match} AND s.known_from = $run AND s.valid_to IS NULL
    AND s."{column}" IN (SELECT key FROM touched) AND h.valid_to IS NULL AND h.known_from <> $run"""
# A Date header has no fraction of a second, so a row may have been written within the second of its answer.
_UPDATED = """s.updated_at < s.observed_at + INTERVAL 1 SECOND
    AND (h.valid_from IS NULL OR s.updated_at > coalesce(h.valid_to, h.valid_from))"""
_AFTER = "coalesce(h.valid_to, h.valid_from + INTERVAL 1 MICROSECOND)"


def follow(db: Database, name: str, run_id: str, column: str, touched: Any, now: datetime) -> None:
    """Bring the versions of rows that may have changed up to their table, as it stands.

    Args:
        db: the connection, inside the transaction that changed the rows.
        name: a versioned table.
        run_id: the run that found the changes.
        column: which of its columns `touched` names: its key, or its owner.
        touched: Arrow table with one column, `key`; rows of other values are left alone.
        now: when rows that are not there any more were missed, by the server's clock.
    """
    given = {"run": run_id}
    with registered(db, touched=touched):
        if count(db, _text(_OF_RUN, name, column), given):  # this run has seen these rows before, and otherwise
            db.execute(_text(_UNDO, name, column), given)
            db.execute(_text(_REOPEN, name, column), given)
        db.execute(_text(_END, name, column), {**given, "now": now})
        db.execute(_text(_BEGIN, name, column), given)
        db.execute(_text(_CLOSE, name, column), given)


_OF_RUN = """SELECT count(*) FROM "{history}" h WHERE (h.known_from = $run OR h.known_to = $run)
    AND h."{column}" IN (SELECT key FROM touched)"""


def begin_all(db: Database, run_id: str, now: datetime) -> None:
    """Begin the history of every table that has rows and no version yet, as a store of an older version does.

    Args:
        db: the connection, inside the transaction that begins the run.
        run_id: the run.
        now: when it began, by the server's clock.
    """
    for name in VERSIONED:
        column = TABLES[name].key[0]
        if count(db, f'SELECT count(*) FROM "{name}"') and not count(db, f'SELECT count(*) FROM "{name}_history"'):
            keys = db.sql(f'SELECT DISTINCT "{column}" AS key FROM "{name}"').to_arrow_table()
            follow(db, name, run_id, column, keys, now)


@cache
def _text(template: str, name: str, column: str) -> str:
    """Return one of the statements above for a table."""
    table, history = TABLES[name], history_of(name)
    written = {column.name for column in table.columns}
    fields = {
        "table": name,
        "history": history.name,
        "column": column,
        "keys": ", ".join(f'"{key}"' for key in table.key),
        "match": " AND ".join(f's."{key}" = h."{key}"' for key in table.key),
        "columns": ", ".join(f'"{c}"' for c in history.names if c in {*written, "observed_at"} - {*table.key}),
        "hash": content_hash(table),
        "alive": " AND t.gone_at IS NULL" if "gone_at" in written else "",
        "updated": _UPDATED if "updated_at" in written else "NULL",
        "updated_at": "updated_at" if "updated_at" in written else "observed_at",
        "after": _AFTER,
    }
    fields |= {"state": _STATE.format(**fields), "last": _LAST.format(**fields)}
    return template.format(**fields)


def content_hash(table: Table) -> str:
    """Return SQL for the hash of a row `t`. A column that is NULL has no part in it, so adding one changes no hash."""
    return f"md5(concat_ws(chr(31), {', '.join(_part(table, name) for name in content(table))}))"


def _part(table: Table, name: str) -> str:
    drawn = (table.name, name) == ("entitlements", "usage_reset_period")
    return f"'{name}=' || " + (_DRAWN if drawn else f't."{name}"::VARCHAR')
