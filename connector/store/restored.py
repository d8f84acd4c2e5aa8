"""What a restore left out: columns that histories lack since, until rows and answers have completed them.

Promised: the columns are noted in flexsync.meta until the newest version and figure of every key are completed. Never
done: completing them (see `connector.store.versions` and `connector.store.figures`); opening or committing a
transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from connector.store.database import Database, count, rows
from connector.tables.histories import FIGURES, HISTORIES, VERSIONED, restorable, versions_of, without
from connector.tables.schemas import Table

LEFT_OUT = "restored_without"
"""Key of flexsync.meta: columns that histories were restored without."""


def noted(db: Database) -> frozenset[str]:
    """Return the columns, as `customers.email`, that histories were restored without and still lack."""
    found = rows(db, f"SELECT value FROM flexsync.meta WHERE key = '{LEFT_OUT}'")
    return frozenset(found[0][0].split() if found else ())


def leave_out(db: Database, excluded: Collection[str]) -> None:
    """Note in a store that its histories were restored without columns.

    Args:
        db: the connection, inside the transaction that restores; flexsync.meta is restored already.
        excluded: the columns, as `customers.email`.
    """
    if restorable(excluded):
        db.execute(f"UPDATE flexsync.{FIGURES.name} SET lacking = true WHERE NOT ended")
    _note(db, {full for full in excluded if any(without(table, [full]) for table in HISTORIES.values())} | noted(db))


def settle(db: Database) -> None:
    """Forget which columns the histories were restored without whose newest rows are all completed.

    Args:
        db: the connection, inside a transaction.
    """
    if known := noted(db):
        lacking = {versions_of(name): "content_hash IS NULL" for name in VERSIONED} | {FIGURES: "lacking"}
        waiting = [table for table, lacks in lacking.items() if _waits(db, table, lacks)]
        _note(db, {full for full in known if any(without(table, [full]) for table in waiting)})


def _waits(db: Database, history: Table, lacks: str) -> bool:
    """Return whether the newest row of any key lacks columns."""
    *keys, order = history.key
    listed = ", ".join(f'"{key}"' for key in keys)
    newest = f"""SELECT max_by({lacks} AND NOT ended, "{order}") AS waits FROM flexsync.{history.name}
        GROUP BY {listed}"""
    return count(db, f"SELECT count(*) FILTER (waits) FROM ({newest})") > 0


def _note(db: Database, columns: Collection[str]) -> None:
    db.execute(f"DELETE FROM flexsync.meta WHERE key = '{LEFT_OUT}'")
    if columns:
        row = {"key": LEFT_OUT, "value": " ".join(sorted(columns))}
        db.execute("INSERT INTO flexsync.meta VALUES ($key, $value)", row)
