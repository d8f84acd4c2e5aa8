"""The Parquet publication: `DIR/runs/RUN_ID/TABLE/part-0.parquet`, and a `DIR/manifest.json` that names the newest run.

Promised: a reader reads the manifest once and sees one run; the files of a run never change; the run before the newest
stays, for readers that have just read the older manifest; only folders with a manifest of Flexsync's are ever deleted.
Never done: following a path out of the lake.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from connector.errors import FixInput
from connector.files import remove, replace
from connector.publications import targets
from connector.publications.contents import PublishedTable, RunInfo, Snapshot, check_version
from connector.publications.targets import Target
from connector.store.database import Database, literal
from connector.tables.schemas import SCHEMA_VERSION

FORMAT = "flexsync-parquet"
FORMAT_VERSION = 1
ROW_GROUP = 122_880  # rows; the unit in which DuckDB reads in parallel
MANIFEST = "manifest.json"


class File(msgspec.Struct, frozen=True):
    """One Parquet file; `path` is relative to the lake."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Entry(msgspec.Struct, frozen=True):
    """One table of the manifest."""

    rows: int
    files: tuple[File, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `manifest.json`."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    schema_version: int = SCHEMA_VERSION
    run_id: str
    mode: str
    status: str
    green: bool
    reasons: tuple[str, ...]
    started_at: datetime | None
    finished_at: datetime | None
    published_at: datetime
    environment_id: str | None
    excluded: tuple[str, ...]
    tables: dict[str, Entry]

    @property
    def run(self) -> RunInfo:
        """Return the run that it names."""
        return RunInfo(self.run_id, self.mode, self.status, self.started_at, self.finished_at, self.reasons)


def read(lake: Path) -> Manifest:
    """Read a lake's manifest.

    Raises:
        FixInput: there is none; it is not Flexsync's, is too new, or names files outside the lake.
    """
    path = lake / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise FixInput(f"{path} does not exist.", remedy="Publish to this lake first, or correct the path.") from error
    except OSError as error:
        raise FixInput(f"{path} cannot be read: {error}.", remedy="Give a lake that can be read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_ours(path, str(error)) from error
    if manifest.format != FORMAT:
        raise _not_ours(path, f'its format is "{manifest.format}"')
    if manifest.format_version > FORMAT_VERSION:
        raise FixInput(f"{path} has format version {manifest.format_version}.", remedy="Upgrade Flexsync.")
    check_version(path, manifest.schema_version)
    _inside(path, manifest)
    return manifest


def write(db: Database, store: str, snapshot: Snapshot, target: Target) -> Manifest:
    """Write a snapshot as the lake's newest run, then switch the manifest to it.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        snapshot: what to write.
        target: the lake; the caller holds its lock.
    """
    runs = target.path / "runs"
    runs.mkdir(exist_ok=True)
    final = _new_folder(target, snapshot.run.run_id)
    unfinished = targets.temporary(target)
    try:
        files = {table.name: _copy(db, store, table, unfinished, final.name) for table in snapshot.tables}
        manifest = _manifest(snapshot, {name: Entry(file.rows, (file,)) for name, file in files.items()})
        body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (unfinished / MANIFEST).write_bytes(body)  # marks the folder as Flexsync's
        kept = {_current_folder(target.path), final.name}
        replace(unfinished, final)
        _switch(target, body)
    finally:
        remove(unfinished)
    _prune(target, kept)
    return manifest


def _copy(db: Database, store: str, table: PublishedTable, folder: Path, run: str) -> File:
    path = folder / table.name / "part-0.parquet"
    path.parent.mkdir(parents=True)
    count = db.execute(
        f"""COPY ({table.query.format(store=store)}) TO {literal(path)}
        (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"""
    ).fetchall()[0][0]
    return File(f"runs/{run}/{table.name}/{path.name}", int(count), path.stat().st_size, digest(path))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(snapshot: Snapshot, tables: dict[str, Entry]) -> Manifest:
    run = snapshot.run
    return Manifest(
        run_id=run.run_id,
        mode=run.mode,
        status=run.status,
        green=run.green,
        reasons=run.reasons,
        started_at=run.started_at,
        finished_at=run.finished_at,
        published_at=snapshot.published_at,
        environment_id=snapshot.environment_id,
        excluded=snapshot.excluded,
        tables=tables,
    )


def _new_folder(target: Target, run_id: str) -> Path:
    """Return a folder name that is free; a run that is published again gets a number.

    A folder of the run that the manifest does not name is deleted: its publisher was killed before the switch.
    """
    number, final = 1, target.path / "runs" / run_id
    while final.exists():
        if _ours(final) and final.name != _current_folder(target.path):
            _delete(target, final)
            break
        number += 1
        final = final.with_name(f"{run_id}.{number}")
    return final


def _switch(target: Target, body: bytes) -> None:
    """Let the manifest name the new run."""
    unfinished = targets.temporary(target)
    unfinished.write_bytes(body)
    replace(unfinished, target.path / MANIFEST)


def _current_folder(lake: Path) -> str:
    """Return the name of the folder that the manifest names; "" if there is no manifest."""
    try:
        tables = read(lake).tables
    except FixInput:
        return ""
    return next((PurePosixPath(entry.files[0].path).parts[1] for entry in tables.values()), "")


def _prune(target: Target, kept: set[str]) -> None:
    """Delete all runs but the new one and the one before: a reader may have just read the older manifest."""
    for folder in (target.path / "runs").iterdir():
        if folder.name not in kept and _ours(folder):
            _delete(target, folder)


def _delete(target: Target, folder: Path) -> None:
    """Rename a folder, then delete it, so that a half-deleted run never has a run's name."""
    doomed = targets.temporary(target)
    folder.rename(doomed)
    remove(doomed)


def _ours(folder: Path) -> bool:
    try:
        return bool(msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest).format == FORMAT)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False


def _inside(path: Path, manifest: Manifest) -> None:
    for entry in manifest.tables.values():
        for file in entry.files:
            parts = PurePosixPath(file.path).parts
            if len(parts) < 3 or parts[0] != "runs" or ".." in parts:
                raise _not_ours(path, f"it names {file.path}")


def _not_ours(path: Path, why: str) -> FixInput:
    return FixInput(
        f"{path} is not a manifest of Flexsync's: {why}.", remedy="Give another folder, or move that file away."
    )
