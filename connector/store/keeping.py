"""Keeping: which rows of the histories a question needs that asks no further back than to a moment.

A row is needed unless a later row of its key takes its place, in time and by what was known, at that moment already.
Promised: a question about that moment or a later one, by what was known then or later, has the same answer without the
other rows; the newest row of a key is needed, but for an end that decides nothing any more, and so is the proven figure
that later ones are compared with. Never done: reading a clock; opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from connector.store.database import Database, literal, rows
from connector.store.endings import last_known
from connector.tables.columns import Table
from connector.tables.histories import FIGURES, HISTORIES, origin
from connector.tables.schemas import TABLES

SINCE = "history_since"
"""Key of flexsync.meta: how far back the histories can be asked; missing where they hold everything."""


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
    query = last_known(f"{catalog}.flexsync", "$since")
    known = rows(db, query, {"since": since})[0][0] if since else None
    return Horizon(since, known) if since and known else None


def reach(db: Database, catalog: str) -> datetime | None:
    """Return how far back the histories of a store can be asked; None where they hold everything."""
    found = rows(db, f"SELECT value FROM {catalog}.flexsync.meta WHERE key = '{SINCE}'")
    return datetime.fromisoformat(found[0][0]) if found else None


def needed(history: Table, source: str, horizon: Horizon, there: Collection[str] | None = None) -> str:
    """Return a query of the rows that are needed.

    Args:
        history: the history.
        source: what its rows are selected from.
        horizon: how far back it has to answer.
        there: the columns that the source has; None: all.
    """
    old, keys, order = _old(history, horizon), _listed(history), _order(history)
    if history is FIGURES:
        match = _match(history, "n", "o")
        return f"""SELECT * FROM {source} o WHERE NOT {old} UNION ALL SELECT o.* FROM {source} o
            JOIN ({_of_figures(source, old, there)}) n ON {match} WHERE {old} AND o.run_id >= n.first AND NOT n.over"""
    ended = "" if _dates(history) else " AND NOT coalesce(o.ended, false)"
    # Two parts, because most rows are young: an anti-join over all of them takes thirty times as long.
    return f"""SELECT * FROM {source} o WHERE NOT {old} UNION ALL SELECT * FROM {source} o
        WHERE {old}{ended} AND ({keys}, "{order}") IN (
            SELECT ({keys}, max("{order}")) FROM {source} o WHERE {old} GROUP BY {keys})"""


def heal(db: Database, latest: datetime) -> None:
    """Correct how far back histories can be asked where it lies in the future: a clock was wrong in an earlier run.

    What that run removed, and whatever ended before it, is lost. From the newest run on, every row is there.

    Args:
        db: the connection, inside the transaction that finishes a run; earlier runs have right ends.
        latest: the latest moment that it can be.
    """
    before = reach(db, '"store"')
    if before and before > latest:
        _record(db, rows(db, "SELECT coalesce(max(finished_at), $latest) FROM flexsync.runs", {"latest": latest})[0][0])


def _of_figures(source: str, old: str, there: Collection[str] | None) -> str:
    """Return a query of the first old figure that is needed of each key, and whether the newest old one is an end.

    What is used after the horizon is the difference to the last proven figure before it. When that was confirmed stands
    in the next one, so all from there on are needed. Of a figure that had ended by then, none is.
    """
    comparable = there is None or {"additive", "unproven"} <= set(there)
    proven = "NOT coalesce(o.ended, false) AND o.additive AND o.unproven IS NOT TRUE" if comparable else "false"
    return f"""SELECT {_listed(FIGURES)}, max(o.run_id) AS newest,
            coalesce(max(o.run_id) FILTER ({proven}), max(o.run_id)) AS first,
            max_by(coalesce(o.ended, false), o.run_id) AS over
        FROM {source} o WHERE {old} GROUP BY {_listed(FIGURES)}"""


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
    _record(db, now.since)


def _record(db: Database, since: datetime) -> None:
    db.execute(f"DELETE FROM flexsync.meta WHERE key = '{SINCE}'")
    db.execute("INSERT INTO flexsync.meta VALUES ($key, $value)", {"key": SINCE, "value": since.isoformat()})


def _prune(db: Database, history: Table, now: Horizon, settled: Horizon | None) -> None:
    path, keys, order, old = f"flexsync.{history.name}", _listed(history), _order(history), _old(history, now)
    if history is FIGURES:
        db.execute(f"""DELETE FROM {path} v USING ({_of_figures(path, old, None)}) n
            WHERE {_match(history, "n", "v")} AND (v.run_id < n.first OR (n.over AND v.run_id <= n.newest))""")
        return
    # What had taken another's place at the last pruning has nothing before it any more.
    unsettled = f"AND (o.ended OR NOT {_old(history, settled)})" if settled else ""
    db.execute(f"""DELETE FROM {path} v
        USING (SELECT {keys}, max("{order}") AS newest FROM {path} o WHERE {old} {unsettled} GROUP BY {keys}) n
        WHERE {_match(history, "n", "v")} AND v."{order}" < n.newest""")
    if not _dates(history):
        db.execute(f"DELETE FROM {path} o WHERE o.ended AND {old}")


def _old(history: Table, horizon: Horizon) -> str:
    """Return the condition for rows `o` that were true, and known, at a horizon or before."""
    moment = "observed_at" if history is FIGURES else "valid_from"
    since = f"TIMESTAMPTZ {literal(horizon.since.isoformat())}"
    return f'(o.run_id <= {literal(horizon.known)} AND o."{moment}" <= {since})'


def _dates(history: Table) -> bool:
    """Return whether an end says from when on a row that comes back is true (see `connector.store.versions`)."""
    return history is not FIGURES and "updated_at" in TABLES[origin(history.name)[0]].names


def _match(history: Table, left: str, right: str) -> str:
    return " AND ".join(f'{left}."{name}" = {right}."{name}"' for name in history.key[:-1])


def _order(history: Table) -> str:
    return history.key[-1]


def _listed(history: Table) -> str:
    return ", ".join(f'"{name}"' for name in history.key[:-1])
