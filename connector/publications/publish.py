"""What readers open: a DuckDB file or a Parquet dataset, each the copy of exactly one run.

Promised: one consistent snapshot, put in place of the old publication in one step (design sections 2.4 and 5); killed
at any instruction, either the old or the new one is there, whole; a file or lake that is not Flexsync's, or that
holds another environment, is not replaced. Never done: changing the store, deciding whether a run may be published.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from connector import files
from connector.errors import FixInput, LockHeld
from connector.publications import contents, lake, reading, targets
from connector.publications.contents import Edition, Part, RunInfo, Source
from connector.publications.targets import DUCKDB, Target

STORAGE = "v1.0.0"  # older clients open it


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published.

    Attributes:
        target: where.
        run: the run that it holds.
        rows: by table.
        bytes: on the disk.
        seconds: that it took.
        excluded: columns left out.
    """

    target: str
    run: RunInfo
    rows: dict[str, int] = field(repr=False)
    bytes: int
    seconds: float
    excluded: tuple[str, ...]


def publish(store: Source, target: str, exclude: Sequence[str] = ()) -> Publication:
    """Publish the store's newest run.

    Args:
        store: an open working store.
        target: `duckdb:PATH` or `parquet:DIR`.
        exclude: columns to leave out, as `customers.email`; keys cannot be.

    Returns:
        What was written.

    Raises:
        FixInput: the target cannot be written, is the store, or is not ours; a column is unknown or a key; no run
            has ended yet; the disk is full.
        LockHeld: another publisher is writing there.
    """
    place, began = targets.parse(target), time.monotonic()
    contents.excluded(exclude)
    if place.path == store.path.resolve():
        raise FixInput(f"{target} is the working store itself.", remedy="Give the publication a name of its own.")
    with targets.alone(place), told(place), contents.snapshot(store) as db:
        edition, rows, size = _write(db, place, exclude)
    return Publication(target, edition.run, rows, size, time.monotonic() - began, edition.excluded)


@contextmanager
def told(target: object) -> Iterator[None]:
    """Say in words what the disk or DuckDB could not do; both are for the person to mend."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        text = str(error).splitlines()[0]
        raise FixInput(
            f"{target} could not be written: {text}",
            remedy="Free some space or mend the folder, and run it again; what was there before is untouched.",
        ) from error


def _write(db: Any, place: Target, exclude: Sequence[str]) -> tuple[Edition, dict[str, int], int]:
    store = quoted(db.execute("SELECT current_database()").fetchall()[0][0])
    if place.kind == DUCKDB:
        return _duckdb(db, store, place, exclude)
    db.execute("BEGIN")
    edition = contents.edition(db, store, exclude)
    _refuse_foreign(place, edition)
    manifest = lake.write(db, store, edition, place)
    db.execute("ROLLBACK")  # nothing was written to the store
    rows = {name: entry.rows for name, entry in manifest.tables.items()}
    return edition, rows, sum(file.bytes for entry in manifest.tables.values() for file in entry.files)


# --- the DuckDB file ------------------------------------------------------------------------------------------


def _duckdb(db: Any, store: str, place: Target, exclude: Sequence[str]) -> tuple[Edition, dict[str, int], int]:
    unfinished = targets.passing(place)
    try:
        with _attached(db, unfinished) as out:
            db.execute("BEGIN")  # the store is read in this one transaction only
            edition = contents.edition(db, store, exclude)
            _refuse_foreign(place, edition)
            db.execute(f"CREATE SCHEMA {out}.flexsync")
            rows = {part.name: _copy(db, store, out, part) for part in edition.parts}
            db.execute("COMMIT")
            db.execute(f"CHECKPOINT {out}")
        unfinished.chmod(0o444)
        wal(place.path).unlink(missing_ok=True)  # beside the new file it would lock everybody out
        files.replace(unfinished, place.path)
    finally:
        files.remove(unfinished)
        files.remove(wal(unfinished))
    return edition, rows, place.path.stat().st_size


@contextmanager
def _attached(db: Any, path: Path) -> Iterator[str]:
    """Make a database file beside the store's, in the format that older clients read."""
    name = quoted(path.name)
    db.execute(f"ATTACH {text(path)} AS {name} (STORAGE_VERSION '{STORAGE}')")
    try:
        yield name
    except BaseException:
        with suppress(duckdb.Error):  # the transaction may be over already
            db.execute("ROLLBACK")
        raise
    finally:
        db.execute(f"DETACH {name}")


def _copy(db: Any, store: str, out: str, part: Part) -> int:
    rows = db.execute(f"CREATE TABLE {out}.{part.path} AS {part.query.format(store=store)}").fetchall()[0][0]
    for column, meaning in part.comments.items():
        of = f'COLUMN {out}.{part.path}."{column}"' if column else f"TABLE {out}.{part.path}"
        db.execute(f"COMMENT ON {of} IS {text(meaning)}")
    return int(rows)


def wal(path: Path) -> Path:
    """Where DuckDB keeps the log of a file."""
    return path.with_name(path.name + ".wal")


def quoted(name: str) -> str:
    """Write a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: object) -> str:
    """Write a string as SQL."""
    return "'" + str(value).replace("'", "''") + "'"


# --- what must not be replaced --------------------------------------------------------------------------------


def _refuse_foreign(place: Target, edition: Edition) -> None:
    """Replace only publications of ours that hold the same environment."""
    held = _holder(place)
    if held is not None and edition.environment_id not in (None, held):
        raise FixInput(
            f"{place} holds environment {held}, the store holds {edition.environment_id}.",
            remedy="Give another target, or move the old publication away.",
        )


def _holder(place: Target) -> str | None:
    """Return the environment of the publication that is there, or None."""
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
    raise FixInput(f"{place} is a working store, not a publication.", remedy="Give a name of its own.")
