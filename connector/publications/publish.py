"""Publishing: the store's newest run as a DuckDB file or a Parquet lake.

Promised: one consistent snapshot, which replaces the old publication in one step (design sections 2.4 and 5); if the
process is killed, either the old publication or the new one is there, whole; a run that is degraded, or that loaded
only some of the store's resources, leaves the last green one readable; a file or lake that is not Flexsync's, or that
holds another environment, is not replaced. Never done: changing the store; deciding whether to publish a run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from connector import files
from connector.clock import Clock, exact_now
from connector.errors import FixInput, LockHeld
from connector.publications import contents, green, lake, reading, targets
from connector.publications.contents import PublishedTable, RunInfo, Snapshot, Source
from connector.publications.targets import DUCKDB, Target, wal
from connector.store import asof, keeping
from connector.store.database import identifier, literal

STORAGE = "v1.0.0"  # DuckDB's storage version that older clients can open


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published.

    Attributes:
        target: as it was given.
        run: the run that it holds.
        rows: number of rows, by table.
        bytes: size on the disk.
        seconds: how long it took.
        excluded: columns left out.
        last_green: the run that `open(…, green=True)` shows now; None if there is none.
    """

    target: str
    run: RunInfo
    rows: dict[str, int] = field(repr=False)
    bytes: int
    seconds: float
    excluded: tuple[str, ...]
    last_green: str | None


def publish(
    store: Source,
    target: str,
    exclude: Sequence[str] = (),
    *,
    keep_green: bool = True,
    since: datetime | None = None,
    clock: Clock = exact_now,
) -> Publication:
    """Publish the store's newest run.

    Args:
        store: an open working store.
        target: `duckdb:PATH` or `parquet:DIR`.
        exclude: columns to leave out, as `customers.email`; keys cannot be.
        keep_green: if the run is degraded, or loaded only some resources, keep the last green publication beside it.
            It is not kept if it holds a column that is to be left out now.
        since: how far back its histories have to answer; None: as far as the store's. A lake holds more: once a month
            it leaves out what no question needs.
        clock: this machine's, for `published_at`.

    Returns:
        What was written.

    Raises:
        FixInput: the target cannot be written, is the store, or is not Flexsync's; a column is unknown or required;
            no run has ended yet; the disk is full.
        LockHeld: another publisher is writing to the target.
    """
    place, began = targets.parse(target), time.monotonic()
    contents.excluded(exclude)
    if store.path.resolve() in (place.path, targets.green_copy(place.path)):
        raise FixInput(f"{target} is the working store itself.", remedy="Give the publication a name of its own.")
    with targets.exclusive(place), explained(place), contents.connection(store) as db:
        snapshot, rows, size, last_green = _write(db, place, exclude, keep_green, since, clock())
    return Publication(target, snapshot.run, rows, size, time.monotonic() - began, snapshot.excluded, last_green)


@contextmanager
def explained(target: object) -> Iterator[None]:
    """Turn errors of DuckDB and of the disk into `FixInput`: the user can fix both."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        text = str(error).splitlines()[0]
        raise FixInput(
            f"{target} could not be written: {text}",
            remedy="Free some space or make the folder writable, then try again; what was there before is untouched.",
        ) from error


_Written = tuple[Snapshot, dict[str, int], int, str | None]  # with rows by table, bytes, and the last green run


def _write(
    db: Any, place: Target, exclude: Sequence[str], keep_green: bool, since: datetime | None, now: datetime
) -> _Written:
    store = identifier(db.execute("SELECT current_database()").fetchall()[0][0])
    if place.kind == DUCKDB:
        return _duckdb(db, store, place, exclude, keep_green, since, now)
    db.execute("BEGIN")
    snapshot = contents.snapshot(db, store, exclude, now)
    _refuse_foreign(place, snapshot)
    horizon = keeping.horizon(db, store, since)
    manifest = lake.write(db, store, snapshot, place, keep_green=keep_green, horizon=horizon)
    db.execute("ROLLBACK")  # nothing was written to the store
    rows = {name: entry.rows for name, entry in manifest.tables.items()}
    size = sum(file.bytes for entry in manifest.tables.values() for file in entry.files)
    return snapshot, rows, size, manifest.last_green.run_id if manifest.last_green else None


# --- the DuckDB file ------------------------------------------------------------------------------------------


def _duckdb(
    db: Any,
    store: str,
    place: Target,
    exclude: Sequence[str],
    keep_green: bool,
    since: datetime | None,
    now: datetime,
) -> _Written:
    unfinished = targets.temporary(place)
    try:
        with _attached(db, unfinished, store) as out:
            db.execute("BEGIN")  # the whole store is read in this one transaction
            snapshot = contents.snapshot(db, store, exclude, now, keeping.horizon(db, store, since))
            _refuse_foreign(place, snapshot)
            db.execute(f"CREATE SCHEMA {out}.flexsync")
            rows = {table.name: _copy(db, store, out, table) for table in snapshot.tables}
            db.execute(f"USE {out}")
            for statement in asof.statements(snapshot.excluded):
                db.execute(statement)
            db.execute("COMMIT")
            db.execute(f"CHECKPOINT {out}")
        unfinished.chmod(0o444)
        last_green = _switch(unfinished, place, snapshot, keep_green)
    finally:
        files.remove(unfinished)
        files.remove(wal(unfinished))
    return snapshot, rows, place.path.stat().st_size, last_green


def _switch(unfinished: Path, place: Target, snapshot: Snapshot, keep_green: bool) -> str | None:
    """Give the finished file its name; returns the last green run that can be read now."""
    proven = snapshot.run.proven
    kept = green.keep(place, snapshot) if keep_green and not proven else None
    wal(place.path).unlink(missing_ok=True)  # beside the new file it would keep every reader out
    files.replace(unfinished, place.path)
    if proven or not keep_green:
        green.drop(place, snapshot)
    return snapshot.run.run_id if proven else kept


@contextmanager
def _attached(db: Any, path: Path, store: str) -> Iterator[str]:
    """Make and attach a database file in the format that older clients read, beside the store; gives its catalog."""
    name = identifier(path.name)
    db.execute(f"ATTACH {literal(path)} AS {name} (TYPE duckdb, STORAGE_VERSION '{STORAGE}')")
    try:
        yield name
    except BaseException:
        with suppress(duckdb.Error):  # the transaction may be over already
            db.execute("ROLLBACK")
        raise
    finally:
        db.execute(f"USE {store}")
        db.execute(f"DETACH {name}")


def _copy(db: Any, store: str, out: str, table: PublishedTable) -> int:
    rows = db.execute(f"CREATE TABLE {out}.{table.path} AS {table.query.format(store=store)}").fetchall()[0][0]
    for column, meaning in table.comments.items():
        of = f'COLUMN {out}.{table.path}."{column}"' if column else f"TABLE {out}.{table.path}"
        db.execute(f"COMMENT ON {of} IS {literal(meaning)}")
    return int(rows)


# --- what must not be replaced --------------------------------------------------------------------------------


def _refuse_foreign(place: Target, snapshot: Snapshot) -> None:
    """Refuse to replace anything but a publication of the same environment."""
    held = _environment_at(place)
    if held is not None and snapshot.environment_id not in (None, held):
        raise FixInput(
            f"{place} holds environment {held}, the store holds {snapshot.environment_id}.",
            remedy="Give another target, or move the old publication away.",
        )


def _environment_at(place: Target) -> str | None:
    """Return the environment of the publication at a target; None if there is none, or it names none."""
    if place.kind != DUCKDB:
        return lake.read(place.path).environment_id if (place.path / lake.MANIFEST).exists() else None
    if not place.path.exists():
        return None
    try:
        with reading.open(place.path) as old:
            if old.published_at is not None:
                return old.environment_id
    except LockHeld as error:
        raise FixInput(f"{place} is a store in use.", remedy="Give the publication a name of its own.") from error
    raise FixInput(f"{place} is a working store, not a publication.", remedy="Give the publication a name of its own.")
