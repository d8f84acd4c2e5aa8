"""Publications and other copies that hold something personal about a customer, and publishing again without it.

Promised: a file or folder that cannot be read is named, never passed over; after publishing again no run that held the
person is kept, the last green one included. Never done: changing a file; removing anything but runs that Flexsync
published and copies that it made of a store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from connector import files
from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.paths import database_file
from connector.publications import lake, publish, targets
from connector.publications.targets import DUCKDB, Target
from connector.store import holdings, migrations
from connector.store.database import literal
from connector.store.holdings import Person
from connector.store.store import Store

CATALOG = "copy"


@dataclass(frozen=True)
class Copy:
    """A copy of a store, or a run of a lake.

    Attributes:
        path: the file, or the folder of a lake.
        rows: that hold something personal; None if it cannot be read.
        why: why it cannot be read.
    """

    path: Path
    rows: int | None
    why: str = ""

    @property
    def holds(self) -> bool:
        """Return whether it holds the person, for all that is known."""
        return self.rows != 0


def published(target: str, person: Person) -> list[Copy]:
    """Return the files of a publication, those of kept runs included, with what they hold.

    Raises:
        FixInput: the target is neither `duckdb:PATH` nor `parquet:DIR`.
    """
    place = targets.parse(target)
    if place.kind == DUCKDB:
        return [look_into(path, person) for path in (place.path, targets.green_copy(place.path)) if path.exists()]
    return [_folder(folder, person) for folder in _folders(place.path)]


def older(store: Path, person: Person) -> list[Copy]:
    """Return the copies that migrations left beside a store, with what they hold."""
    return [look_into(path, person) for path in migrations.copies(store)]


def look_into(path: Path, person: Person) -> Copy:
    """Return what a DuckDB file holds: a publication, a store that nobody writes to, or a copy of one."""
    query = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $c"
    try:
        with closing(duckdb.connect()) as db:
            db.execute(f"ATTACH {literal(database_file(path))} AS {CATALOG} (TYPE duckdb, READ_ONLY)")
            tables = db.execute(query, {"c": CATALOG}).fetchall()
            sources = {_path(schema, name): f'{CATALOG}."{schema}"."{name}"' for schema, name in tables}
            return _counted(db, path, sources, person)
    except (duckdb.Error, OSError, FixInput) as error:
        return Copy(path, None, str(error).splitlines()[0])


def republish(
    store: Store,
    target: str,
    person: Person,
    exclude: Sequence[str],
    *,
    keep_green: bool,
    since: datetime | None = None,
    clock: Clock = exact_now,
) -> list[Path]:
    """Publish a store in which the customer was forgotten, and remove the kept runs that hold the person.

    Args:
        store: the open store.
        target: `duckdb:PATH` or `parquet:DIR`.
        person: who was forgotten.
        exclude: columns to leave out.
        keep_green: keep the last green run beside a degraded one, if it does not hold the person.
        since: how far back its histories have to answer; None: as far as the store's.
        clock: this machine's.

    Returns:
        The runs and files that are no more.

    Raises:
        FixInput, LockHeld: as `publish`; nothing was removed.
    """
    found = published(target, person)
    keep_green = keep_green and all(copy.rows is not None for copy in found)  # what cannot be read is not kept
    publish.publish(store, target, exclude, keep_green=keep_green, since=since, clock=clock)
    place = targets.parse(target)
    if place.kind != DUCKDB:
        with targets.exclusive(place):
            _remove_runs(place, person)
    return [copy.path for copy in found if copy.holds and not copy.path.exists()]


def _remove_runs(place: Target, person: Person) -> None:
    """Remove kept runs that hold the person, and then their histories; the newest was just written without."""
    newest = lake.read(place.path).tables["customers"].files[0].path
    for copy in published(str(place), person):
        if copy.holds and copy.path.parent.name == "runs" and not (place.path / newest).is_relative_to(copy.path):
            doomed = targets.temporary(place)
            copy.path.rename(doomed)  # so that a half-removed run never has a run's name
            files.remove(doomed)
    lake.prune_histories(place.path)


# --- looking into copies ----------------------------------------------------------------------------------------


def _folders(path: Path) -> Iterator[Path]:
    """Yield the folders of a lake that hold a folder for each table."""
    runs = sorted((path / "runs").iterdir()) if (path / "runs").is_dir() else []
    yield from (folder for folder in [*runs, path / "history"] if folder.is_dir())


def _folder(folder: Path, person: Person) -> Copy:
    try:
        with closing(duckdb.connect()) as db:
            return _counted(db, folder, _sources(folder), person)
    except (duckdb.Error, OSError, FixInput) as error:
        return Copy(folder, None, str(error).splitlines()[0])


def _sources(folder: Path) -> dict[str, str]:
    """Return the tables of a folder, and the histories that a run names, with what to select them from."""
    found = {table.name: [*table.glob("*.parquet")] for table in folder.iterdir() if table.is_dir()}
    if (folder / lake.MANIFEST).exists():
        place = folder.parents[1]
        for name, entry in lake.of_run(folder).tables.items():
            found.setdefault(name, [place / file.path for file in entry.files])
    lists = {name: ", ".join(map(literal, paths)) for name, paths in found.items() if paths}
    return {name: f"read_parquet([{paths}], union_by_name = true)" for name, paths in lists.items()}


def _counted(db: Any, path: Path, sources: dict[str, str], person: Person) -> Copy:
    return Copy(path, sum(holdings.places(db, person, sources).values()))


def _path(schema: str, name: str) -> str:
    return name if schema == "main" else f"{schema}.{name}"
