"""Files of a lake's histories: `DIR/history/TABLE/RUN.parquet`, one for what each publication adds.

Promised: a file holds the rows that were added since the publication before, and is never changed; where a month is
over, its files become one, `MONTH.parquet`, when the manifest that names it takes over; files are deleted only when no
kept manifest names them. A history begins anew where the store does not continue the lake's: the store knows no run of
it, other columns are left out, or the schema version changed. Never done: switching the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from connector.files import remove, replace
from connector.publications.contents import PublishedTable, Snapshot
from connector.publications.parts import Entry, File, Manifest, copy
from connector.publications.targets import TEMPORARY
from connector.store.database import Database, count, literal
from connector.tables.schemas import SCHEMA_VERSION

FOLDER = "history"


def continued(db: Database, store: str, snapshot: Snapshot, before: Manifest | None) -> Manifest | None:
    """Return the manifest of before if the store's histories continue those that it names."""
    if before is None or before.schema_version != SCHEMA_VERSION:
        return None
    if (before.excluded, before.forgotten) != (snapshot.excluded, snapshot.forgotten):
        return None
    known = f"SELECT count(*) FROM {store}.flexsync.runs WHERE run_id = $run AND started_at = $began"
    given = {"run": before.run_id, "began": before.started_at}
    return before if count(db, known, given) else None


def write(db: Database, store: str, table: PublishedTable, lake: Path, run_id: str, before: Manifest | None) -> Entry:
    """Write what a history has more than a lake, and return all of its files.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        table: the history.
        lake: the lake's folder.
        run_id: the run that is published; file names sort by it.
        before: the manifest whose files the history continues; None writes all of it.
    """
    files = list(before.tables[table.name].files) if before and table.name in before.tables else []
    folder = lake / FOLDER / table.name
    folder.mkdir(parents=True, exist_ok=True)
    query = table.query.format(store=store)
    if files:
        files = _one_a_month(db, lake, folder, files, run_id[:6])
        query = f"FROM ({query}) WHERE run_id > {literal(before.run_id if before else '')}"
        if not count(db, f"SELECT count(*) FROM ({query})"):
            return _entry(files)
    return _entry([*files, _add(db, query, folder, run_id, lake)])


def _one_a_month(db: Database, lake: Path, folder: Path, files: Sequence[File], now: str) -> list[File]:
    """Make one file of those of each month that is over."""
    months: dict[str, list[File]] = {}
    for file in files:
        months.setdefault(PurePosixPath(file.path).name[:6], []).append(file)
    found: list[File] = []
    for month, group in months.items():
        if month == now or len(group) == 1:
            found += group
            continue
        paths = ", ".join(literal(lake / file.path) for file in group)
        found.append(_add(db, f"FROM read_parquet([{paths}])", folder, month, lake))
    return found


def _add(db: Database, query: str, folder: Path, stem: str, lake: Path) -> File:
    """Write a file under a name that no file has: one that is there may belong to a kept manifest."""
    unfinished, path = folder / f"{TEMPORARY}{stem}", _free(folder, stem)
    file = copy(db, query, unfinished, lake, final=path)
    replace(unfinished, path)
    return file


def _free(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.parquet", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}.{number}.parquet"
    return path


def _entry(files: Iterable[File]) -> Entry:
    kept = tuple(files)
    return Entry(sum(file.rows for file in kept), kept)


def prune(lake: Path, kept: Iterable[Manifest]) -> None:
    """Delete the files of histories that no kept manifest names."""
    named = {file.path for manifest in kept for entry in manifest.tables.values() for file in entry.files}
    for path in (lake / FOLDER).glob("*/*"):
        if path.relative_to(lake).as_posix() not in named:
            remove(path)
