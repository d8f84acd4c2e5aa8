"""Versions: what rows of customers, subscriptions and entitlements were, follows their tables.

A version is added when the content of a row changes, and an end when the row is no more, in the transaction of the row.
Promised: the newest version of a key has the content of its row; versions of a key follow each other, in time and by
run; one run adds at most one for a key, the last that it saw; a row that did not change costs nothing; a version that
was restored without some of its columns is completed by the first row that fits it in all others. Never done: changing
what an earlier run added in another way; opening or committing a transaction; reading a clock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.store import restored
from connector.store.database import Database, count, portions, registered
from connector.tables.histories import VERSIONED, content, versions_of, without
from connector.tables.schemas import TABLES, Table

# Sources that tie let the server draw the reset period at random (contract.md 6.2); one alone makes it a fact.
_SOLE = """, (SELECT count(*) FROM entitlement_sources o WHERE o.customer_id = t.customer_id
    AND o.feature_id = t.feature_id) < 2 AS sole"""
_PERIOD = "usage_reset_period"
_DRAWN = f' AND NOT (s.sole AND s."{_PERIOD}" IS DISTINCT FROM v."{_PERIOD}")'

# All of these run for the rows whose {column} is in the view `touched`.
_STATE = """state AS (SELECT t.*, {hash} AS content_hash{sole} FROM "{table}" t
    WHERE t."{column}" IN (SELECT key FROM touched){alive})"""
# The newest version of each key, in the view `latest` while the others run. One of this run is the newest of its key.
_LATEST = """SELECT {keys}, valid_from, ended, content_hash, run_id{drawn} FROM flexsync.{versions} v
    WHERE v."{column}" IN (SELECT key FROM touched)
    QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY valid_from DESC) = 1"""
_TOUCHED = 'v.run_id = $run AND v."{column}" IN (SELECT key FROM touched)'
_UNDO = """WITH {state} DELETE FROM flexsync.{versions} v WHERE {touched}
    AND NOT EXISTS (SELECT 1 FROM state s WHERE {match} AND {same} AND NOT v.ended)
    AND NOT (v.ended AND NOT EXISTS (SELECT 1 FROM state s WHERE {match}))"""
_COMPLETE = """WITH {state} UPDATE flexsync.{versions} v SET {sets}, content_hash = s.content_hash FROM state s
    WHERE {match} AND v.content_hash IS NULL AND NOT v.ended AND {fits} AND NOT EXISTS (
        SELECT 1 FROM flexsync.{versions} s WHERE {match} AND s.valid_from > v.valid_from)"""
_END = """WITH {state}
    INSERT INTO flexsync.{versions} ({keys}, valid_from, valid_basis, ended, run_id, observed_at)
    SELECT {keys}, greatest($now, valid_from + INTERVAL 1 MICROSECOND), 'observed_at', true, $run, $now
    FROM latest v WHERE NOT ended AND NOT EXISTS (SELECT 1 FROM state s WHERE {match})"""
# A row that this run did not change can mean something else since now: its last source but one went away.
_ADD = """WITH {state}, added AS (
        SELECT s.* REPLACE (CASE WHEN v.valid_from IS NULL OR s.run_id = $run THEN s.observed_at ELSE $now END
            AS observed_at), {dated} AS dated, v.valid_from + INTERVAL 1 MICROSECOND AS earliest
        FROM state s LEFT JOIN latest v ON {match}{before}
        WHERE v.valid_from IS NULL OR v.ended OR NOT ({same}))
    INSERT INTO flexsync.{versions} ({keys}, valid_from, valid_basis, ended, content_hash, {columns}, run_id)
    SELECT {keys}, CASE WHEN dated THEN {updated_at} ELSE greatest(observed_at, earliest) END,
        CASE WHEN dated THEN 'updated_at' ELSE 'observed_at' END, false, content_hash, {columns}, $run FROM added"""
_PARTS = {"state": _STATE, "touched": _TOUCHED}
# A Date header has no fraction of a second, so a row may have been written within the second of its answer.
# An `updated_at` with which the content before was seen says nothing about this one: a plan's rename moves none.
_DATED = """coalesce(s.updated_at < s.observed_at + INTERVAL 1 SECOND AND (v.valid_from IS NULL OR (
    s.updated_at > v.valid_from AND (v.ended OR b.key IS NULL OR b.updated_at IS NULL OR s.updated_at > b.updated_at)
    )), false)"""
_BEFORE = " LEFT JOIN before b ON b.key = s.id"
# What this run has dated so already, and was seen to change once more, had not been seen with that `updated_at` before.
_UNDATED = """SELECT * FROM before b WHERE NOT EXISTS (SELECT 1 FROM flexsync.{versions} v
    WHERE v.run_id = $run AND v."{column}" = b.key AND NOT v.ended AND v.valid_basis = 'updated_at')"""


def follow(
    db: Database,
    name: str,
    run_id: str,
    column: str,
    touched: Any,
    now: datetime,
    before: Any = None,
    ends: bool = True,
) -> None:
    """Add the versions, and the ends, of rows that may have changed.

    Args:
        db: the connection, inside the transaction that changed the rows.
        name: a versioned table.
        run_id: the run that found the changes.
        column: which of its columns `touched` names: its key, or its owner.
        touched: Arrow table with one column, `key`; rows of other values are left alone.
        now: when rows were missed that are not there any more, by the server's clock.
        before: what `written` returned before the rows were changed; None: no row that was there changed its
            `updated_at`, or the table has none.
        ends: a row may be there no more; a page of a listing holds all of its own.
    """
    given = {"run": run_id}
    if before is None:
        before = written(db, name, touched)
    with registered(db, touched=touched):
        latest = _latest(db, name, column)
        of_run, unhashed = _seen(latest, run_id)
        if of_run:  # this run has seen other contents before
            with registered(db, before=before):
                before = db.sql(_text(_UNDATED, name, column), params=given).to_arrow_table()
            db.execute(_text(_UNDO, name, column), given)
        if unhashed:
            _complete(db, name, column)
        latest = _latest(db, name, column) if of_run or unhashed else latest
        with registered(db, latest=latest, before=before):
            if ends:
                db.execute(_text(_END, name, column), {**given, "now": now})
            db.execute(_text(_ADD, name, column), {**given, "now": now})


def _complete(db: Database, name: str, column: str) -> None:
    """Complete versions that were restored from a publication that leaves columns out."""
    left_out = frozenset(without(versions_of(name), restored.noted(db)))
    db.execute(_text(_COMPLETE, name, column, left_out))


def _latest(db: Database, name: str, column: str) -> pa.Table:
    """Return the newest version of each key that is touched."""
    return db.sql(_text(_LATEST, name, column)).to_arrow_table()


def _seen(latest: pa.Table, run_id: str) -> tuple[bool, bool]:
    """Return whether newest versions are of this run, and whether some lack their hash, without which they are open."""
    unhashed = pc.and_(latest.column("content_hash").is_null(), pc.invert(latest.column("ended")))
    return pc.any(pc.equal(latest.column("run_id"), run_id)).as_py() or False, pc.any(unhashed).as_py() or False


def written(db: Database, name: str, touched: Any) -> Any:
    """Return `updated_at` of rows as they are now, as an Arrow table of `key` and `updated_at`.

    Args:
        db: the connection.
        name: a versioned table.
        touched: Arrow table with one column, `key`.

    Returns:
        The table; `touched` itself for a table without `updated_at`, whose versions nothing else dates.
    """
    if "updated_at" not in TABLES[name].names:
        return touched
    with registered(db, asked=touched):
        query = f'SELECT id AS key, updated_at FROM "{name}" WHERE id IN (SELECT key FROM asked)'
        return db.sql(query).to_arrow_table()


def begin_all(db: Database, run_id: str, now: datetime) -> None:
    """Begin the history of every table that has rows and no version yet, as in a store of an older version.

    Args:
        db: the connection, inside the transaction that begins the run.
        run_id: the run.
        now: when it began, by the server's clock.
    """
    for name in VERSIONED:
        column = TABLES[name].key[0]
        empty = not count(db, f"SELECT count(*) FROM flexsync.{versions_of(name).name}")
        for keys in portions(db, f'SELECT DISTINCT "{column}" AS key FROM "{name}"') if empty else ():
            follow(db, name, run_id, column, keys, now)


@cache
def _text(template: str, name: str, column: str, left_out: frozenset[str] = frozenset()) -> str:
    """Return one of the statements above for a table; of `left_out`, a version may lack the value that its row has."""
    table, versions = TABLES[name], versions_of(name)
    own = {column.name for column in table.columns}
    fields = {
        "table": name,
        "versions": versions.name,
        "column": column,
        "keys": ", ".join(f'"{key}"' for key in table.key),
        "match": " AND ".join(f's."{key}" = v."{key}"' for key in table.key),
        "columns": ", ".join(f'"{c}"' for c in versions.names if c in {*own, "observed_at"} - {*table.key}),
        "hash": content_hash(table),
        "sets": ", ".join(f'"{c}" = s."{c}"' for c in (*content(table), *_drawn(name, left_out))),
        "fits": " AND ".join(_fits(c, c in left_out) for c in content(table)) + _drawn_fits(name, left_out),
        "drawn": f', "{_PERIOD}"' if name == "entitlements" else "",
        "sole": _SOLE if name == "entitlements" else "",
        "same": "s.content_hash IS NOT DISTINCT FROM v.content_hash" + (_DRAWN if name == "entitlements" else ""),
        "alive": " AND t.gone_at IS NULL" if "gone_at" in own else "",
        "before": _BEFORE if "updated_at" in own else "",
        "dated": _DATED if "updated_at" in own else "false",
        "updated_at": "updated_at" if "updated_at" in own else "observed_at",
    }
    fields |= {name: text.format(**fields) for name, text in _PARTS.items()}
    return template.format(**fields)


def _drawn(name: str, left_out: Collection[str]) -> tuple[str, ...]:
    """Return the columns that the server may draw, and that a version lacks."""
    return (_PERIOD,) if name == "entitlements" and _PERIOD in left_out else ()


def _drawn_fits(name: str, left_out: Collection[str]) -> str:
    return f" AND (NOT s.sole OR {_fits(_PERIOD, _PERIOD in left_out)})" if name == "entitlements" else ""


def _fits(column: str, left_out: bool) -> str:
    same = f'v."{column}" IS NOT DISTINCT FROM s."{column}"'
    return f'(v."{column}" IS NULL OR {same})' if left_out else same


def content_hash(table: Table) -> str:
    """Return SQL for the hash of a row `t`. A column that is NULL has no part in it, so adding one changes no hash."""
    parts = ", ".join(f"""'{name}=' || t."{name}"::VARCHAR""" for name in content(table))
    return f"md5(concat_ws(chr(31), {parts}))"
