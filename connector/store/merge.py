"""Upserts: rows merged into the data tables by key, or replaced as a whole for an owner.

Promised: a row whose content is unchanged is not touched (its `run_id` and `observed_at` stay); a row is deleted only
when a newer answer for its own owner no longer has it; within a run the newer `updated_at` wins, across runs the later
observation (design section 4). Never done: opening, committing or rolling back a transaction.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from connector.store.counts import Counts
from connector.store.database import Database, changed, column, count, literal, registered
from connector.tables.schemas import TABLES, Table

NEWEST_UPDATE = "updated_at DESC NULLS LAST, observed_at DESC"


def merge(db: Database, table: Table, view: str, run_id: str, counts: Counts, *, guard: str, newest: str) -> None:
    """Merge staged rows by key: insert new ones, update those whose content differs.

    Args:
        db: the connection, inside a transaction.
        table: the target.
        view: the staged rows: a view, or a subquery in parentheses.
        run_id: for the rows that are new or changed.
        counts: is added to.
        guard: condition over `t` (target) and `s` (staged) under which an update is allowed.
        newest: ORDER BY that puts first the row to keep, where a key is staged more than once.
    """
    sets = ", ".join(f'"{n}" = ' + ("$run" if n == "run_id" else f's."{n}"') for n in table.names if n not in table.key)
    values = ", ".join("$run" if name == "run_id" else f's."{name}"' for name in table.names)
    sql = f"""MERGE INTO "{table.name}" t USING {one_per_key(table, view, newest)} s ON {_match(table)}
        WHEN MATCHED AND {guard} AND {_content(table, "t")} IS DISTINCT FROM {_content(table, "s")}
            THEN UPDATE SET {sets}
        WHEN NOT MATCHED THEN INSERT ({_names(table)}) VALUES ({values})
        RETURNING merge_action"""
    actions = Counter(action for (action,) in db.execute(sql, {"run": run_id}).fetchall())
    counts.inserted[table.name] += actions["INSERT"]
    counts.updated[table.name] += actions["UPDATE"]


class Compared(NamedTuple):
    """The rows of the view `staged` beside those of a listing's table.

    Attributes:
        known: how many have a known key.
        moved: how many are new, or differ from the table's.
        lower: how many have an older `updated_at` than the table's.
        before: Arrow table of `key` and `updated_at` of the table's rows as they are now, each once.
    """

    known: int
    moved: int
    lower: int
    before: pa.Table


def compare(db: Database, table: Table) -> Compared:
    """Compare the rows of the view `staged` with those of a table of a listing, which reads the table once."""
    query = f"""SELECT t.id AS key, t.updated_at, coalesce(s.updated_at < t.updated_at, false) AS lower,
            t.run_id IS NULL OR {_content(table, "t")} IS DISTINCT FROM {_content(table, "s")} AS moved
        FROM staged s LEFT JOIN "{table.name}" t ON {_match(table)}"""
    found = db.sql(query).to_arrow_table()
    known = found.filter(pc.is_valid(found.column("key")))
    moved, lower = (pc.sum(found.column(name)).as_py() or 0 for name in ("moved", "lower"))
    before = known.select(["key", "updated_at"]).group_by(["key", "updated_at"]).aggregate([])
    return Compared(known.num_rows, moved, lower, before)


def insert(db: Database, table: Table, view: str, run_id: str, counts: Counts) -> None:
    """Append staged rows that are known to be new."""
    names = ", ".join("$run" if name == "run_id" else f'"{name}"' for name in table.names)
    sql = f'INSERT INTO "{table.name}" ({_names(table)}) SELECT {names} FROM {view}'
    counts.inserted[table.name] += changed(db, sql, {"run": run_id})


def merge_features(db: Database, staged: Any, run_id: str, counts: Counts) -> None:
    """Merge features. One that this run has met before only yields to an `updated_at` that is as new.

    An `updated_at` that lies a day beyond the answer was written under a wrong clock, and holds no longer.
    """
    table = TABLES["features"]
    guard = f"({yielding(table)} OR t.updated_at IS NULL OR t.updated_at > s.observed_at + INTERVAL 1 DAY)"
    with registered(db, staged=staged):
        merge(db, table, "staged", run_id, counts, guard=guard, newest=NEWEST_UPDATE)
        remember(db, table)


def yielding(table: Table) -> str:
    """Return the guard of `merge` by which a row that this run has met before only yields to one that is as new."""
    met = f"SELECT 1 FROM flexsync.met m WHERE m.resource = {literal(table.name)} AND m.id = t.id"
    return f"(NOT EXISTS ({met}) OR s.updated_at >= t.updated_at)"


def awaited(resource: str) -> str:
    """Return the name under which flexsync.met holds the ids of a listing that are awaited once more."""
    return f"{resource}, awaited again"


def older(resource: str) -> str:
    """Return the name under which flexsync.met holds when rows were read that came back with an older edit."""
    return f"{resource}, older"


RETURNED = "customers, returned"  # the name under which flexsync.met holds customers that are back without their links


def remember(db: Database, table: Table) -> None:
    """Record that this run has met the rows of the view `staged`."""
    db.execute(
        "DELETE FROM flexsync.met WHERE resource = $awaited AND id IN (SELECT id FROM staged)",
        {"awaited": awaited(table.name)},
    )
    db.execute(
        """INSERT INTO flexsync.met SELECT DISTINCT $resource, id FROM staged s
        WHERE NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = s.id)""",
        {"resource": table.name},
    )


def note_older(db: Database, table: Table) -> None:
    """Note which rows of the view `staged` have an older `updated_at` than the store: by when the newer one was read.

    A row that this run has met before comes from a replica that lags, and shows nothing.
    """
    db.execute(
        f"""INSERT INTO flexsync.met SELECT DISTINCT $older, CAST(t.observed_at AS VARCHAR)
        FROM (SELECT id, max(updated_at) AS updated_at FROM staged GROUP BY id) s JOIN "{table.name}" t ON t.id = s.id
        WHERE s.updated_at < t.updated_at
        AND NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = t.id)""",
        {"older": older(table.name), "resource": table.name},
    )


def replace_owned(db: Database, table: Table, staged: Any, scope: Any, run_id: str, counts: Counts) -> list[str]:
    """Make the rows of every owner in `scope` exactly those staged.

    Args:
        db: the connection, inside a transaction.
        table: a table with an owner.
        staged: Arrow table of rows, without `run_id`.
        scope: Arrow table (owner, fresh, keep): `fresh` owners have no rows yet; no row of a `keep` owner is deleted,
            because part of its answer was rejected or is held back.
        run_id: for the rows that are new or changed.
        counts: is added to.

    Returns:
        The customers whose rows are another customer's now.
    """
    with registered(db, staged=staged, scope=scope):
        # Where the key does not name the customer, a staged row may replace another customer's.
        moved = bool(staged.num_rows) and "customer_id" not in table.key and _any_known(db, table)
        if all(scope.column("fresh").to_pylist()) and not moved:
            if staged.num_rows:
                insert(db, table, _of_owners(table), run_id, counts)
            return []
        deprived = _deprived(db, table) if moved else []
        if staged.num_rows and not moved:
            insert(db, table, _of_owners(table, "WHERE fresh"), run_id, counts)
        if staged.num_rows:
            known = _of_owners(table) if moved else _of_owners(table, "WHERE NOT fresh")
            merge(db, table, known, run_id, counts, guard="true", newest="observed_at DESC")
        _delete_vanished(db, table, counts)
        return deprived


def _of_owners(table: Table, where: str = "") -> str:
    return f'(SELECT * FROM staged WHERE "{table.owner}" IN (SELECT owner FROM scope {where}))'


def _any_known(db: Database, table: Table) -> bool:
    """Return whether any staged key is in the table already."""
    sql = f'SELECT count(*) FROM "{table.name}" t WHERE EXISTS (SELECT 1 FROM staged s WHERE {_match(table)})'
    return count(db, sql) > 0


def _deprived(db: Database, table: Table) -> list[str]:
    """Return the customers whose rows the staged ones replace by rows of another customer."""
    if "customer_id" not in table.names:
        return []
    sql = f"""SELECT DISTINCT t.customer_id FROM "{table.name}" t JOIN {_of_owners(table)} s ON {_match(table)}
        WHERE t.customer_id <> s.customer_id ORDER BY 1"""
    return column(db, sql)


def _delete_vanished(db: Database, table: Table, counts: Counts) -> None:
    owner = f'"{table.owner}"'
    sql = f"""DELETE FROM "{table.name}" t
        WHERE {owner} IN (SELECT owner FROM scope WHERE NOT fresh AND NOT keep)
        AND NOT EXISTS (SELECT 1 FROM staged s WHERE {_match(table)} AND s.{owner} = t.{owner})"""
    counts.deleted[table.name] += changed(db, sql)


# --- SQL fragments ----------------------------------------------------------------------------------------------


def one_per_key(table: Table, view: str, newest: str) -> str:
    """Return a subquery over staged rows with one row per key: the first by `newest`."""
    keys = ", ".join(f'"{name}"' for name in table.key)
    return f"(SELECT * FROM {view} QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {newest}) = 1)"


def _content(table: Table, alias: str) -> str:
    skipped = {*table.key, "run_id", "observed_at"}
    return "row(" + ", ".join(f'{alias}."{name}"' for name in table.names if name not in skipped) + ")"


def _names(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.names)


def _match(table: Table) -> str:
    return " AND ".join(f't."{name}" = s."{name}"' for name in table.key)
