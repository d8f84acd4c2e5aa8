"""Erasure: the store's file written anew without anything personal about one customer.

DuckDB keeps what was deleted in free blocks of its file, so nothing is deleted: a new file is filled, then renamed.
Promised: the customer's rows keep their keys, states, figures and times, so every count and proof stays right; versions
and figures keep their order; killed at any instant, the old file is there, or the new one. Never done: erasing in
publications and other files; changing another customer's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from connector import files
from connector.errors import FixInput
from connector.store import asof, ddl, holdings, opening, tombstones
from connector.store.database import column, literal
from connector.store.holdings import Person
from connector.store.versions import content_hash
from connector.tables.histories import VERSIONED, versions_of
from connector.tables.personal import personal, whose
from connector.tables.schemas import TABLES, Table

_NEW = "rewritten"  # the catalog of the new file


def rewrite(db: Any, path: Path, person: Person, now: datetime) -> None:
    """Write the store's file anew, with the customer blanked and a tombstone added, and attach it.

    Args:
        db: the store's connection, outside a transaction; nobody else uses it.
        path: the store's file; the caller holds its lock.
        person: whom to forget.
        now: by this machine's clock.

    Raises:
        FixInput: the file holds tables, views, macros or the like that Flexsync did not make, and that would be lost;
            it cannot be written.
    """
    _refuse_foreign(db, path)
    file = path.resolve()  # the file itself, not a link to it
    unfinished = files.unfinished(file)
    try:
        _fill(db, unfinished, person, now)
        unfinished.chmod(file.stat().st_mode)
        db.execute("CHECKPOINT store")  # nothing of the old file may be left in a log beside the new one
        opening.detach(db)
        try:
            files.replace(unfinished, file)
        finally:
            opening.attach(db, path)
    except OSError as error:
        raise files.no_room(path, error) from error
    finally:
        files.clear_unfinished(file)


_OBJECTS = " UNION ".join(
    f"SELECT schema_name || '.' || {name} AS path FROM {listing}() WHERE database_name = 'store'{but}"
    for listing, name, but in (
        ("duckdb_tables", "table_name", ""),
        ("duckdb_views", "view_name", " AND NOT internal"),
        ("duckdb_functions", "function_name", " AND NOT internal"),
        ("duckdb_sequences", "sequence_name", ""),
        ("duckdb_types", "type_name", " AND NOT internal"),
        ("duckdb_indexes", "index_name", ""),
    )
)


def _refuse_foreign(db: Any, path: Path) -> None:
    known = {_qualified(name) for name in (*paths(), *asof.VIEWS, *asof.MACROS)}
    if foreign := [name for name in column(db, f"{_OBJECTS} ORDER BY path") if name not in known]:
        raise FixInput(
            f"{path} holds what Flexsync did not make: {', '.join(foreign)}.",
            remedy="Move it to another file: this one is written anew.",
        )


def _qualified(path: str) -> str:
    return path if "." in path else f"main.{path}"


def paths() -> list[str]:
    """Return the path of every table of a store, as `customers` or `flexsync.runs`."""
    return [*ddl.paths(), *(f"flexsync.{name}" for name in ddl.INTERNAL)]


def _fill(db: Any, unfinished: Path, person: Person, now: datetime) -> None:
    db.execute(f"ATTACH {literal(unfinished)} AS {_NEW} (TYPE duckdb)")
    try:
        db.execute(f"USE {_NEW}")
        db.execute("BEGIN")
        for statement in ddl.statements():
            db.execute(statement)
        for path, query in _queries():
            used = {name: value for name, value in person.parameters.items() if f"${name}" in query}
            db.execute(f"INSERT INTO {path} BY NAME {query}", used or None)
        for key, value in tombstones.entries(tombstones.read(db), person.id, now):
            db.execute("INSERT INTO flexsync.meta VALUES ($key, $value)", {"key": key, "value": value})
        db.execute("COMMIT")
        db.execute(f"CHECKPOINT {_NEW}")
    except BaseException:
        opening.roll_back(db)
        raise
    finally:
        db.execute("USE store")
        db.execute(f"DETACH {_NEW}")


def _queries() -> Iterator[tuple[str, str]]:
    """Yield every table of a store with the query of its rows, the customer's blanked; tables before histories."""
    histories = {f"flexsync.{versions_of(name).name}": TABLES[name] for name in VERSIONED}
    for path, table in ddl.paths().items():
        yield path, _version(path, table, histories[path]) if path in histories else _blanked(path, table)
    for name in ddl.INTERNAL:
        path = f"flexsync.{name}"
        yield path, _INTERNAL.get(path, f"SELECT * FROM store.{path}")


def _blanked(path: str, table: Table, also: str = "") -> str:
    """Return the query of a table's rows; with `also`, further columns."""
    mine = f'"{whose(table)}" = $id'
    blanks = ", ".join(f'CASE WHEN {mine} THEN NULL ELSE "{name}" END AS "{name}"' for name in personal(table))
    return f"SELECT *{f' REPLACE ({blanks})' if blanks else ''}{also} FROM store.{path}"


def _version(path: str, table: Table, base: Table) -> str:
    """Return the query of a history's rows; a version that lost something gets the hash of what is left.

    One without a hash lacks columns since a restore, and is completed by a later row: it stays without.
    """
    lost = " OR ".join(f'"{name}" IS NOT NULL' for name in personal(table))
    inner = _blanked(path, table, f', "{whose(table)}" = $id AND content_hash IS NOT NULL AND ({lost}) AS lost')
    hashed = f"CASE WHEN lost THEN {content_hash(base)} ELSE content_hash END AS content_hash"
    return f"SELECT * EXCLUDE (lost) REPLACE ({hashed}) FROM ({inner}) t"


_MINE = holdings.reject(("raw",))
_LOST = ", ".join(f"CASE WHEN {holdings.journal(c)} THEN NULL ELSE {c} END AS {c}" for c in holdings.JOURNAL)
_INTERNAL = {
    "flexsync.rejects": f"""SELECT * REPLACE (CASE WHEN {_MINE} THEN '' ELSE value END AS value,
            CASE WHEN {_MINE} THEN '{tombstones.WITHHELD}' ELSE reason END AS reason,
            CASE WHEN {_MINE} OR coalesce(contains(hex(raw), $hex), false) THEN ''::BLOB ELSE raw END AS raw)
        FROM store.flexsync.rejects""",
    "flexsync.import_journal": f"SELECT * REPLACE ({_LOST}) FROM store.flexsync.import_journal",
}
