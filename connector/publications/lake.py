"""The Parquet publication: `DIR/runs/RUN_ID/TABLE/part-0.parquet` and one `DIR/manifest.json` that names the run.

Promised: readers resolve the manifest once and see one run; files never change once they are named; the run that was
named before stays; only folders that hold a manifest of ours are ever deleted. Never done: following a path out of
the lake.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from connector.errors import FixInput
from connector.files import remove, replace
from connector.publications import targets
from connector.publications.contents import Edition, Part, RunInfo, check_version
from connector.publications.targets import Target
from connector.store.database import Database
from connector.tables.schemas import SCHEMA_VERSION

FORMAT = "flexsync-parquet"
FORMAT_VERSION = 1
ROW_GROUP = 122_880  # rows; what DuckDB reads as one piece of work
MANIFEST = "manifest.json"


class File(msgspec.Struct, frozen=True):
    """One Parquet file; `path` is relative to the lake."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Entry(msgspec.Struct, frozen=True):
    """One table."""

    rows: int
    files: tuple[File, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `manifest.json` says."""

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
        """The run that it names."""
        return RunInfo(self.run_id, self.mode, self.status, self.started_at, self.finished_at, self.reasons)


def read(lake: Path) -> Manifest:
    """Read a lake's manifest.

    Raises:
        FixInput: there is none, it is not ours, too new, or names files outside of the lake.
    """
    path = lake / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise FixInput(f"{path} does not exist.", remedy="Publish to this lake first, or mend the path.") from error
    except OSError as error:
        raise FixInput(f"{path} cannot be read: {error}.", remedy="Give a lake that can.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_ours(path, str(error)) from error
    if manifest.format != FORMAT:
        raise _not_ours(path, f'its format is "{manifest.format}"')
    if manifest.format_version > FORMAT_VERSION:
        raise FixInput(f"{path} has format version {manifest.format_version}.", remedy="Upgrade Flexsync.")
    check_version(path, manifest.schema_version)
    _inside(path, manifest)
    return manifest


def write(db: Database, store: str, edition: Edition, target: Target) -> Manifest:
    """Write an edition as the lake's newest run, then let the manifest name it.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        edition: what to write.
        target: the lake; the caller is its only publisher.
    """
    runs = target.path / "runs"
    runs.mkdir(exist_ok=True)
    final = _folder(target, edition.run.run_id)
    unfinished = targets.passing(target)
    try:
        files = {part.name: _part(db, store, part, unfinished, final.name) for part in edition.parts}
        manifest = _manifest(edition, {name: Entry(file.rows, (file,)) for name, file in files.items()})
        body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (unfinished / MANIFEST).write_bytes(body)  # marks the folder as ours
        kept = {_named(target.path), final.name}
        replace(unfinished, final)
        _name_it(target, body)
    finally:
        remove(unfinished)
    _prune(target, kept)
    return manifest


def _part(db: Database, store: str, part: Part, folder: Path, run: str) -> File:
    path = folder / part.name / "part-0.parquet"
    path.parent.mkdir(parents=True)
    written = str(path).replace("'", "''")
    count = db.execute(
        f"""COPY ({part.query.format(store=store)}) TO '{written}'
        (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"""
    ).fetchall()[0][0]
    return File(f"runs/{run}/{part.name}/{path.name}", int(count), path.stat().st_size, digest(path))


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(edition: Edition, tables: dict[str, Entry]) -> Manifest:
    run = edition.run
    return Manifest(
        run_id=run.run_id,
        mode=run.mode,
        status=run.status,
        green=run.green,
        reasons=run.reasons,
        started_at=run.started_at,
        finished_at=run.finished_at,
        published_at=edition.published_at,
        environment_id=edition.environment_id,
        excluded=edition.excluded,
        tables=tables,
    )


def _folder(target: Target, run_id: str) -> Path:
    """Choose a folder that does not exist yet; a run that is published again gets a number.

    One that the manifest does not name (the publisher died before that) makes way.
    """
    number, final = 1, target.path / "runs" / run_id
    while final.exists():
        if _ours(final) and final.name != _named(target.path):
            _delete(target, final)
            break
        number += 1
        final = final.with_name(f"{run_id}.{number}")
    return final


def _name_it(target: Target, body: bytes) -> None:
    unfinished = targets.passing(target)
    unfinished.write_bytes(body)
    replace(unfinished, target.path / MANIFEST)


def _named(lake: Path) -> str:
    """Return the folder that the manifest names, or "" where there is no manifest."""
    try:
        tables = read(lake).tables
    except FixInput:
        return ""
    return next((PurePosixPath(entry.files[0].path).parts[1] for entry in tables.values()), "")


def _prune(target: Target, kept: set[str]) -> None:
    """Leave the new run and the one that was named before: a reader may have read the manifest a moment ago."""
    for folder in (target.path / "runs").iterdir():
        if folder.name not in kept and _ours(folder):
            _delete(target, folder)


def _delete(target: Target, folder: Path) -> None:
    """Take the name away first, so that a half-deleted run never bears one."""
    doomed = targets.passing(target)
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
        f"{path} is no manifest of Flexsync's: {why}.", remedy="Give another folder, or move that file away."
    )
