"""A lake's histories without those whom the store has forgotten since they were written.

A lake may hold more than its store, as when the store came back from a DuckDB file, so its own files are written anew.
Promised: a file that holds nothing personal of them stays as it is; rows, their order and their months stay. Never
done: deleting a file; switching the manifest.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec

from connector.publications.contents import Snapshot
from connector.publications.increments import add
from connector.publications.parts import Entry, File, Manifest
from connector.store import tombstones
from connector.store.database import Database, column, count, literal
from connector.store.versions import content_hash
from connector.tables.histories import HISTORIES, origin, without
from connector.tables.personal import personal, whose
from connector.tables.schemas import TABLES, Table


def blanked(db: Database, lake: Path, snapshot: Snapshot, before: Manifest) -> Manifest:
    """Return a lake's manifest with files that hold nothing personal of whom the store has forgotten.

    Args:
        db: a connection to the store, inside a transaction.
        lake: the lake's folder.
        snapshot: what is published next, which leaves out the same columns.
        before: the manifest whose files it continues.
    """
    if before.forgotten == snapshot.forgotten:
        return before
    tables = dict(before.tables)
    for name, history in HISTORIES.items():
        entry = tables.get(f"flexsync.{name}")
        columns = [c for c in personal(history) if c not in without(history, snapshot.excluded)]
        if entry and columns:
            tables[f"flexsync.{name}"] = _entry(db, lake, history, entry, columns)
    return msgspec.structs.replace(before, tables=tables)


def _entry(db: Database, lake: Path, history: Table, entry: Entry, columns: list[str]) -> Entry:
    """Write those files of a history anew that hold something personal of somebody who was forgotten."""
    there = " OR ".join(f'"{name}" IS NOT NULL' for name in columns)
    known = tombstones.read(db)
    source = f"read_parquet([{', '.join(literal(lake / file.path) for file in entry.files)}])"
    everybody = column(db, f'SELECT DISTINCT "{whose(history)}" FROM {source} WHERE {there}')
    forgotten = [literal(who) for who in everybody if known.names(who)]
    if not forgotten:
        return entry
    lost = f'"{whose(history)}" IN ({", ".join(forgotten)}) AND ({there})'
    return Entry(entry.rows, tuple(_file(db, lake, history, file, columns, lost) for file in entry.files))


def _file(db: Database, lake: Path, history: Table, file: File, columns: list[str], lost: str) -> File:
    source = f"read_parquet({literal(lake / file.path)})"
    if not count(db, f"SELECT count(*) FROM {source} WHERE {lost}"):
        return file
    blanks = ", ".join(f'CASE WHEN {lost} THEN NULL ELSE "{name}" END AS "{name}"' for name in columns)
    query = f"SELECT * REPLACE ({blanks}), {lost} AS lost FROM {source}"
    hashed = (
        _hashed(history) if "content_hash" in column(db, f"SELECT column_name FROM (DESCRIBE FROM {source})") else ""
    )
    folder, stem = (lake / file.path).parent, PurePosixPath(file.path).name.partition(".")[0]
    return add(db, f"SELECT * EXCLUDE (lost){hashed} FROM ({query}) t", folder, stem, lake)


def _hashed(history: Table) -> str:
    """Return the REPLACE clause that gives a version the hash of what is left."""
    fresh = content_hash(TABLES[origin(history.name)[0]])
    hashed = f"CASE WHEN lost AND content_hash IS NOT NULL THEN {fresh} ELSE content_hash END"
    return f" REPLACE ({hashed} AS content_hash)"
