"""What a lake's manifest says: its files, their tables, and the run that they hold.

Never done: reading or writing a manifest (see `connector.publications.lake`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec

from connector.publications.contents import RunInfo
from connector.store.database import Database, literal
from connector.tables.schemas import SCHEMA_VERSION

FORMAT = "flexsync-parquet"
FORMAT_VERSION = 1
ROW_GROUP = 122_880  # rows; the unit in which DuckDB reads in parallel


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


class LastGreen(msgspec.Struct, frozen=True):
    """The last green run that can be read; `manifest` is its own, relative to the lake."""

    run_id: str
    published_at: datetime
    manifest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `manifest.json`."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    schema_version: int = SCHEMA_VERSION
    run_id: str
    mode: str
    status: str
    green: bool
    whole: bool = True  # it loaded every resource that its store holds
    reasons: tuple[str, ...]
    started_at: datetime | None
    finished_at: datetime | None
    published_at: datetime
    environment_id: str | None
    excluded: tuple[str, ...]
    forgotten: str = ""  # whose personal data it lacks, as `tombstones.digest`
    history_since: datetime | None = None  # how far back its histories can be asked; None: they hold everything
    last_green: LastGreen | None = None  # itself, if it is green and whole
    tables: dict[str, Entry]

    @property
    def run(self) -> RunInfo:
        """Return the run that it names."""
        return RunInfo(self.run_id, self.mode, self.status, self.started_at, self.finished_at, self.reasons, self.whole)


def copy(db: Database, query: str, path: Path, lake: Path, *, final: Path | None = None) -> File:
    """Write the rows of a query into a Parquet file, onto the disk.

    Args:
        db: a connection that the query runs on.
        query: with every catalog written out.
        path: the file.
        lake: the folder that the manifest's paths are relative to.
        final: where the file will lie, if it is renamed later.
    """
    options = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
    number = db.execute(f"COPY ({query}) TO {literal(path)} {options}").fetchall()[0][0]
    name = (final or path).relative_to(lake).as_posix()
    return File(name, int(number), path.stat().st_size, digest(path))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
