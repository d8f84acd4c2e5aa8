"""Keeping: which rows of the histories a question needs that asks no further back than to a moment.

A row is needed unless a later row of its key takes its place, in time and by what was known, at that moment already.
Promised: a question about that moment or a later one, by what was known then or later, has the same answer without the
other rows; the newest row of a key is needed, but for an end that decides nothing any more. Never done: reading a
clock; opening or committing a transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from connector.store.database import Database, literal, rows
from connector.tables.columns import Table
from connector.tables.histories import FIGURES, HISTORIES, origin
from connector.tables.schemas import TABLES

SINCE = "history_since"
"""Key of flexsync.meta: how far back the histories can be asked; missing where they hold everything."""

_OLD = '({a}.run_id <= {known} AND {a}."{moment}" <= {since})'
_PLACE_TAKEN = """(SELECT {keys}, max("{order}") AS newest FROM {rows} o WHERE {old} {which} GROUP BY {keys})"""


class Horizon(NamedTuple):
    """How far back histories can be asked.

    Attributes:
        since: the earliest moment.
        known: the last run that had ended then.
    """

    since: datetime
    known: str


def horizon(db: Database, catalog: str, since: datetime | None) -> Horizon | None:
    """Return the horizon of a moment; None where no run had ended then, so that every row is needed.

    Args:
        db: a connection that sees the store.
        catalog: the store's, quoted.
        since: the earliest moment that can be asked about; None: all that there is.
    """
    query = f"SELECT max(run_id) FROM {catalog}.flexsync.runs WHERE finished_at <= $since"
    known = rows(db, query, {"since": since})[0][0] if since else None
    return Horizon(since, known) if since and known else None


def reach(db: Database, catalog: str) -> datetime | None:
    """Return how far back the histories of a store can be asked; None where they hold everything."""
    found = rows(db, f"SELECT value FROM {catalog}.flexsync.meta WHERE key = '{SINCE}'")
    return datetime.fromisoformat(found[0][0]) if found else None


def needed(history: Table, source: str, horizon: Horizon) -> str:
    """Return a query of the rows that are needed.

    Args:
        history: the history.
        source: what its rows are selected from.
        horizon: how far back it has to answer.
    """
    taken = _taken(history, source, horizon)
    ended = f" AND NOT (coalesce(v.ended, false) AND {_old(history, 'v', horizon)})" if not _dates(history) else ""
    match = _match(history)
    return f"""SELECT * FROM {source} v
        WHERE NOT EXISTS (SELECT 1 FROM {taken} n WHERE {match} AND v."{_order(history)}" < n.newest){ended}"""


def prune(db: Database, since: datetime | None) -> None:
    """Delete the rows that are not needed, and record how far back the histories can be asked from now on.

    Args:
        db: the connection, inside a transaction.
        since: the earliest moment that can be asked about; None: all that there is.
    """
    catalog = '"store"'
    now, before = horizon(db, catalog, since), reach(db, catalog)
    if now is None or (before and now.since <= before):
        return
    settled = horizon(db, catalog, before)
    for history in HISTORIES.values():
        _prune(db, history, now, settled)
    db.execute(f"DELETE FROM flexsync.meta WHERE key = '{SINCE}'")
    db.execute("INSERT INTO flexsync.meta VALUES ($key, $value)", {"key": SINCE, "value": now.since.isoformat()})


def _prune(db: Database, history: Table, now: Horizon, settled: Horizon | None) -> None:
    path, match = f"flexsync.{history.name}", _match(history)
    # What had taken another's place at the last pruning has nothing before it any more.
    which = f"AND (o.ended OR NOT {_old(history, 'o', settled)})" if settled else ""
    db.execute(f"""DELETE FROM {path} v USING {_taken(history, path, now, which)} n
        WHERE {match} AND v."{_order(history)}" < n.newest""")
    if not _dates(history):
        db.execute(f"DELETE FROM {path} v WHERE v.ended AND {_old(history, 'v', now)}")


def _taken(history: Table, source: str, horizon: Horizon, which: str = "") -> str:
    """Return a subquery: keys, and the newest of their rows that had taken the place of all before at the horizon."""
    keys = ", ".join(f'"{name}"' for name in _keys(history))
    old = _old(history, "o", horizon)
    return _PLACE_TAKEN.format(keys=keys, order=_order(history), rows=source, old=old, which=which)


def _old(history: Table, alias: str, horizon: Horizon) -> str:
    moment = "observed_at" if history is FIGURES else "valid_from"
    since = f"TIMESTAMPTZ {literal(horizon.since.isoformat())}"
    return _OLD.format(a=alias, known=literal(horizon.known), moment=moment, since=since)


def _dates(history: Table) -> bool:
    """Return whether an end says from when on a row that comes back is true (see `connector.store.versions`)."""
    return history is not FIGURES and "updated_at" in TABLES[origin(history.name)[0]].names


def _order(history: Table) -> str:
    return history.key[-1]


def _keys(history: Table) -> tuple[str, ...]:
    return history.key[:-1]


def _match(history: Table) -> str:
    return " AND ".join(f'n."{name}" = v."{name}"' for name in _keys(history))
