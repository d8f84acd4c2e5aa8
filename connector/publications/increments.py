"""Files of a lake's histories: `DIR/history/TABLE/RUN.parquet`, one for what each publication adds.

Promised: a file holds the rows that were added since the publication before, and is never changed; where a month is
over, its files become one, `MONTH.parquet`, when the manifest that names it takes over, and so do those of all months
before the time that is kept, without the rows that no question about that time needs; files are deleted only when no
kept manifest names them. A history begins anew where the store does not continue the lake's: the store knows no run of
it, or removed rows that the lake never got; other columns are left out; the lake forgot somebody whom the store still
knows; the lake was cut under a clock that was ahead; or the schema version changed. Never done: switching the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from connector.files import remove, replace, unfinished
from connector.publications.contents import PublishedTable, RunInfo, Snapshot
from connector.publications.parts import Entry, File, Manifest, copy
from connector.store import tombstones
from connector.store.database import Database, count, literal
from connector.store.keeping import Horizon, needed
from connector.store.keeping import horizon as store_horizon
from connector.tables.histories import HISTORIES
from connector.tables.schemas import SCHEMA_VERSION

FOLDER = "history"


def continued(db: Database, store: str, snapshot: Snapshot, lake: Path, before: Manifest | None) -> Manifest | None:
    """Return the manifest of before if the store's histories continue those that it names.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        snapshot: what is added.
        lake: the lake's folder.
        before: the manifest of before; None: there is none.
    """
    if before is None or before.schema_version != SCHEMA_VERSION or before.excluded != snapshot.excluded:
        return None
    if before.history_since and snapshot.run.finished_at and before.history_since > snapshot.run.finished_at:
        return None
    if before.forgotten != snapshot.forgotten and not _remembers(db, store, lake, before):
        return None
    known = f"SELECT count(*) FROM {store}.flexsync.runs WHERE run_id = $run AND started_at = $began"
    given = {"run": before.run_id, "began": before.started_at}
    if not count(db, known, given):
        return None
    pruned = store_horizon(db, store, snapshot.since)
    # Of what the lake never got, ends may be gone: what ended would be open in it for ever. What the store still has
    # answers as far back as a lake with such a gap could.
    return None if pruned and pruned.known > before.run_id else before


def _remembers(db: Database, store: str, lake: Path, before: Manifest) -> bool:
    """Return whether the store knows everybody who was forgotten in a lake, and the lake's files are there."""
    files = [file for name, entry in before.tables.items() if _of(name) in HISTORIES for file in entry.files]
    meta = before.tables["flexsync.meta"].files[0]
    if not all((lake / file.path).is_file() for file in (meta, *files)):
        return False  # what cannot be blanked is given up
    source, known = f"read_parquet({literal(lake / meta.path)})", f"SELECT key FROM {store}.flexsync.meta"
    mine = f"starts_with(key, '{tombstones.FORGOTTEN}')"
    return not count(db, f"SELECT count(*) FROM {source} WHERE {mine} AND key NOT IN ({known})")


def due(before: Manifest, horizon: Horizon | None) -> bool:
    """Return whether a history has files to make one of, of months that were over before a horizon."""
    files = [entry.files for name, entry in before.tables.items() if _of(name) in HISTORIES]
    return horizon is not None and any(sum(_over(file, horizon) for file in group) > 1 for group in files)


def reached(before: Manifest, horizon: Horizon | None) -> datetime | None:
    """Return how far back a lake can be asked that goes on; None: its histories hold everything.

    Args:
        before: the manifest whose files it continues.
        horizon: what its files are cut to now.
    """
    return max(filter(None, [before.history_since, horizon and horizon.since]), default=None)


def write(
    db: Database,
    store: str,
    table: PublishedTable,
    lake: Path,
    run: RunInfo,
    before: Manifest | None,
    horizon: Horizon | None,
) -> Entry:
    """Write what a history has more than a lake, and return all of its files.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        table: the history.
        lake: the lake's folder.
        run: the run that is published; its file is named after it.
        before: the manifest whose files the history continues; None writes all of it.
        horizon: make one file of those of all months before it, without the rows that nobody needs any more.
    """
    files = list(before.tables[table.name].files) if before and table.name in before.tables else []
    folder = lake / FOLDER / table.name
    folder.mkdir(parents=True, exist_ok=True)
    query = table.query.format(store=store)
    if files:
        files = _merged(db, lake, table, files, _ended_in(run), horizon)
        query = f"FROM ({query}) WHERE run_id > {literal(before.run_id if before else '')}"
        if not count(db, f"SELECT count(*) FROM ({query})"):
            return _entry(files)
    month = _ended_in(run)
    stem = run.run_id if run.run_id.startswith(month) else f"{month}-{run.run_id}"
    return _entry([*files, add(db, query, folder, stem, lake)])


def _ended_in(run: RunInfo) -> str:
    """Return the month of a run: after one night in which the server's clock was ahead, run ids are for years."""
    return f"{run.finished_at:%Y%m}" if run.finished_at else run.run_id[:6]


def _merged(
    db: Database, lake: Path, table: PublishedTable, files: Sequence[File], now: str, horizon: Horizon | None
) -> list[File]:
    """Make one file of those of each month that is over, and one of those of all months before a horizon."""
    groups: dict[str, list[File]] = {}
    for file in files:
        groups.setdefault("" if horizon and _over(file, horizon) else _month(file), []).append(file)
    found: list[File] = []
    for name, group in groups.items():
        if name == now or len(group) == 1:
            found += group
            continue
        source = f"read_parquet([{', '.join(literal(lake / file.path) for file in group)}])"
        query = f"FROM {source}" if name or not horizon else _needed(table, source, horizon)
        found.append(add(db, query, lake / FOLDER / table.name, max(map(_month, group)), lake))
    return found


def _needed(table: PublishedTable, source: str, horizon: Horizon) -> str:
    return needed(HISTORIES[_of(table.name)], source, horizon, [column for column in table.comments if column])


def _over(file: File, horizon: Horizon) -> bool:
    """Return whether the month of a file was over at a horizon."""
    return _month(file) < min(horizon.known[:6], f"{horizon.since:%Y%m}")  # run ids can be of a year to come


def _month(file: File) -> str:
    return PurePosixPath(file.path).name[:6]


def _of(name: str) -> str:
    return name.removeprefix("flexsync.")


def add(db: Database, query: str, folder: Path, stem: str, lake: Path) -> File:
    """Write a file under a name that no file has: one that is there may belong to a kept manifest.

    Args:
        db: a connection that the query runs on.
        query: its rows.
        folder: where it will lie.
        stem: its name without the suffix; begins with its month.
        lake: the lake's folder.
    """
    path = _free(folder, stem)
    temporary = unfinished(path)
    file = copy(db, query, temporary, lake, final=path)
    replace(temporary, path)
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
