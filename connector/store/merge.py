"""How rows enter the data tables: merged by key, replaced by owner. Runs inside the caller's transaction.

Promised: an unchanged row is not touched (its `run_id` and `observed_at` stay); a row goes only when an answer for its
very owner no longer holds it; within a run the newer `updated_at` wins, across runs the later observation (design
section 4). Never done: opening, committing or rolling back anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from connector.store.database import Database
from connector.tables.schemas import TABLES, Table


@dataclass
class Counts:
    """Rows inserted, updated, deleted and rejected, by table."""

    inserted: Counter[str]
    updated: Counter[str]
    deleted: Counter[str]
    rejected: Counter[str]

    @classmethod
    def none(cls) -> Counts:
        """All zeros."""
        return cls(Counter(), Counter(), Counter(), Counter())

    def add(self, other: Counts) -> None:
        """Add another's figures to these."""
        for mine, theirs in zip(self.all(), other.all(), strict=True):
            mine.update(theirs)

    def all(self) -> tuple[Counter[str], ...]:
        """The four counters in order."""
        return self.inserted, self.updated, self.deleted, self.rejected

    @property
    def moved(self) -> int:
        """Rows that were inserted, updated or deleted."""
        return sum(self.inserted.values()) + sum(self.updated.values()) + sum(self.deleted.values())


def _content(table: Table, alias: str) -> str:
    skipped = {*table.key, "run_id", "observed_at"}
    return "row(" + ", ".join(f'{alias}."{name}"' for name in table.names if name not in skipped) + ")"


def _names(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.names)


def _match(table: Table, left: str = "t", right: str = "s") -> str:
    return " AND ".join(f'{left}."{name}" = {right}."{name}"' for name in table.key)


def _once(table: Table, view: str, newest: str) -> str:
    """Rows of a staged view, one per key: the newest."""
    keys = ", ".join(f'"{name}"' for name in table.key)
    return f"(SELECT * FROM {view} QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {newest}) = 1)"


def insert(db: Database, table: Table, view: str, run_id: str, counts: Counts) -> None:
    """Append staged rows whose owners have none yet."""
    names = ", ".join("$run" if name == "run_id" else f'"{name}"' for name in table.names)
    sql = f'INSERT INTO "{table.name}" ({_names(table)}) SELECT {names} FROM {view}'
    counts.inserted[table.name] += db.execute(sql, {"run": run_id}).fetchone()[0]


def merge(db: Database, table: Table, view: str, run_id: str, counts: Counts, *, guard: str, newest: str) -> None:
    """Merge staged rows by key: insert new ones, update those whose content differs and that `guard` allows."""
    source = _once(table, view, newest)
    sets = ", ".join(f'"{n}" = ' + ("$run" if n == "run_id" else f's."{n}"') for n in table.names if n not in table.key)
    values = ", ".join("$run" if name == "run_id" else f's."{name}"' for name in table.names)
    sql = f"""MERGE INTO "{table.name}" t USING {source} s ON {_match(table)}
        WHEN MATCHED AND {guard} AND {_content(table, "t")} IS DISTINCT FROM {_content(table, "s")}
            THEN UPDATE SET {sets}
        WHEN NOT MATCHED THEN INSERT ({_names(table)}) VALUES ({values})
        RETURNING merge_action"""
    actions = Counter(action for (action,) in db.execute(sql, {"run": run_id}).fetchall())
    counts.inserted[table.name] += actions["INSERT"]
    counts.updated[table.name] += actions["UPDATE"]


def merge_listing(db: Database, table: Table, resource: str, staged: Any, run_id: str, counts: Counts) -> None:
    """Merge a page of customers or subscriptions and note its ids as met.

    Within this run (a row met before) an older `updated_at` does not overwrite a newer one.
    """
    db.register("staged", staged)
    met = "NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = t.id)"
    guard = f"({met.replace('$resource', _text(resource))} OR s.updated_at >= t.updated_at)"
    newest = "updated_at DESC NULLS LAST, observed_at DESC"
    known = db.execute(f"SELECT count(*) FROM {table.name} WHERE id IN (SELECT id FROM staged)").fetchall()[0][0]
    if known:
        merge(db, table, "staged", run_id, counts, guard=guard, newest=newest)
    else:  # a page of a first run: there is nothing to compare with
        insert(db, table, _once(table, "staged", newest), run_id, counts)
    db.execute(
        """INSERT INTO flexsync.met SELECT DISTINCT $resource, id FROM staged s
        WHERE NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = s.id)""",
        {"resource": resource},
    )
    db.unregister("staged")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def replace_owned(db: Database, table: Table, staged: Any, scope: Any, run_id: str, counts: Counts) -> None:
    """Make the rows of every owner in `scope` exactly those staged.

    Args:
        db: the connection, inside a transaction.
        table: a table with an owner.
        staged: Arrow table of rows, without `run_id`.
        scope: Arrow table (owner, fresh, keep): `fresh` owners have no rows yet; of `keep` owners none is deleted,
            because part of their answer was rejected or is held back.
        run_id: for the rows that are new or changed.
        counts: is added to.
    """
    db.register("staged", staged)
    db.register("scope", scope)
    column = f'"{table.owner}"'
    mine = f"(SELECT * FROM staged WHERE {column} IN (SELECT owner FROM scope))"
    # Where the key does not name the customer, a row may have come over from another one, fresh or not.
    moved = bool(staged.num_rows) and "customer_id" not in table.key and _known(db, table)
    if all(scope.column("fresh").to_pylist()) and not moved:
        if staged.num_rows:
            insert(db, table, mine, run_id, counts)
        db.unregister("staged")
        db.unregister("scope")
        return
    fresh = f"(SELECT * FROM staged WHERE {column} IN (SELECT owner FROM scope WHERE fresh))"
    known = f"(SELECT * FROM staged WHERE {column} IN (SELECT owner FROM scope WHERE NOT fresh))"
    if staged.num_rows and not moved:
        insert(db, table, fresh, run_id, counts)
    if staged.num_rows:
        merge(db, table, mine if moved else known, run_id, counts, guard="true", newest="observed_at DESC")
    sql = f"""DELETE FROM "{table.name}" t
        WHERE {column} IN (SELECT owner FROM scope WHERE NOT fresh AND NOT keep)
        AND NOT EXISTS (SELECT 1 FROM staged s WHERE {_match(table)} AND s.{column} = t.{column})"""
    counts.deleted[table.name] += db.execute(sql).fetchone()[0]
    db.unregister("staged")
    db.unregister("scope")


def _known(db: Database, table: Table) -> bool:
    """Whether any staged key is in the table already."""
    sql = f'SELECT count(*) FROM "{table.name}" t WHERE EXISTS (SELECT 1 FROM staged s WHERE {_match(table)})'
    return bool(db.execute(sql).fetchall()[0][0])


def merge_features(db: Database, staged: Any, run_id: str, counts: Counts) -> None:
    """Merge features: the newest `updated_at` wins, of equal ones the later observation."""
    db.register("staged", staged)
    guard = "(s.updated_at >= t.updated_at OR t.updated_at IS NULL)"
    newest = "updated_at DESC NULLS LAST, observed_at DESC"
    merge(db, TABLES["features"], "staged", run_id, counts, guard=guard, newest=newest)
    db.unregister("staged")
