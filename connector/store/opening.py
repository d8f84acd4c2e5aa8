"""Opening the store's file: its lock, the DuckDB connection, the schema version, and DuckDB's errors in words.

Promised: one process writes at a time; a store of an older schema version is copied beside itself, then migrated in one
transaction; a file that Flexsync did not make, or of a newer schema version, is refused and left as it is. Never done:
replacing a file; a migration to an older version.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from connector.errors import FixInput, LockHeld, OurFault
from connector.locks import Lock, TakenError
from connector.paths import database_file
from connector.store import ddl, migrations
from connector.store.database import literal
from connector.tables.schemas import SCHEMA_VERSION

MEMORY = "192MB"  # DuckDB's own limit; beyond it spills to disk
_FULL = ("No space left", "disk is full", "Disk is full", "File too large", "Disk quota", "max_temp_directory_size")


def lock(path: Path) -> Lock:
    """Take the lock of a store, so that no other process writes to it.

    Raises:
        LockHeld: another process has it.
        FixInput: the folder does not exist or cannot be written; the path is no file, or none for DuckDB.
    """
    database_file(path)
    if not path.parent.exists():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --store.")
    try:
        return Lock.take(Path(f"{path}.lock"))
    except TakenError as error:
        raise LockHeld(
            f"another run is writing to {path}.",
            remedy="Wait for it, or read a publication: `flexsync status --publish KIND:PATH`.",
        ) from error
    except OSError as error:
        raise FixInput(
            f"{path}.lock cannot be written: {error}.", remedy="Give a --store in a folder that can be written."
        ) from error


def connect(path: Path) -> Any:
    """Open the file. It is attached as `store`, because a catalog called `flexsync` would hide the schema `flexsync`.

    Raises:
        LockHeld: another process has the file open.
        FixInput: it is not a DuckDB file.
    """
    db = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2})
    try:
        attach(db, path)
    except BaseException:
        db.close()
        raise
    db.execute("SET preserve_insertion_order = false")
    return db


def attach(db: Any, path: Path) -> None:
    """Attach the file to a connection and begin a session. Raises as `connect`."""
    try:
        # With the type, because DuckDB gives another kind of file (CSV, JSON, Parquet) an empty database in memory.
        db.execute(f"ATTACH {literal(database_file(path))} AS store (TYPE duckdb)")
    except duckdb.Error as error:
        text = str(error).splitlines()[0]
        if "lock" in text.lower() or "Unique file handle" in text:
            raise LockHeld(
                f"{path} is open in another process: {text}", remedy="Close it there; one process writes at a time."
            ) from error
        raise FixInput(
            f"{path} cannot be opened as a DuckDB file: {text}", remedy="Give a store of Flexsync's, or a new name."
        ) from error
    begin_session(db)


def detach(db: Any) -> None:
    """Write the log into the file and let go of it; the connection stays open."""
    db.execute("USE memory")
    db.execute("DETACH store")


def begin_session(db: Any) -> None:
    """Give a new session what every session of a store has: the attached file, and UTC whatever the machine's zone."""
    db.execute("USE store")
    db.execute("SET TimeZone = 'UTC'")  # not in `config`: the time zone extension is loaded after connecting


def prepare(db: Any, path: Path) -> Path | None:
    """Make the tables of an empty file, or bring a store to this schema version.

    Returns:
        The copy that a migration left beside the file; None if there was nothing to migrate.

    Raises:
        FixInput: Flexsync did not make it, or it has a newer schema version; the copy cannot be written.
    """
    query = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'store'"
    tables = {row[0] for row in db.execute(query).fetchall()}
    if not tables:
        _create(db)
        return None
    if "flexsync.meta" not in tables:
        raise FixInput(f"{path} is a DuckDB file that Flexsync did not make.", remedy="Give --store a name of its own.")
    version = _version(db, path)
    return _migrate(db, path, version) if version < SCHEMA_VERSION else None


def _version(db: Any, path: Path) -> int:
    found = db.execute("SELECT value FROM flexsync.meta WHERE key = 'schema_version'").fetchall()
    version = int(found[0][0]) if found else 0
    if version > SCHEMA_VERSION:
        raise FixInput(
            f"{path} has schema version {version}, this Flexsync knows {SCHEMA_VERSION}.",
            remedy="Upgrade Flexsync, or give another --store.",
        )
    if version < migrations.OLDEST:
        raise FixInput(f"{path} has schema version {version}, which is too old.", remedy="Sync into a new --store.")
    return version


def _migrate(db: Any, path: Path, version: int) -> Path:
    """Copy the file beside itself, then migrate it. A process that is killed leaves the old store, or the new one."""
    db.execute("CHECKPOINT store")
    detach(db)  # closing a second handle of the file would release DuckDB's lock on it
    copy = migrations.copy_beside(path, version)
    attach(db, path)
    db.execute("BEGIN")
    for statement in migrations.statements(version):
        db.execute(statement)
    db.execute("COMMIT")
    return copy


def _create(db: Any) -> None:
    db.execute("BEGIN")
    for statement in ddl.statements():
        db.execute(statement)
    db.execute("INSERT INTO flexsync.meta VALUES ('schema_version', $v)", {"v": str(SCHEMA_VERSION)})
    db.execute("INSERT INTO flexsync.meta VALUES ('made_by', 'flexsync')")
    db.execute("COMMIT")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into Flexsync's.

    Raises:
        FixInput: the disk is full.
        OurFault: any other error.
    """
    try:
        yield
    except duckdb.Error as error:
        text = str(error).splitlines()[0]
        if any(sign in str(error) for sign in _FULL):
            raise FixInput(
                f"the disk of {path} is full: {text}",
                remedy="Free some space and run the same command again; what was committed is kept.",
            ) from error
        raise OurFault(f"{path}: {text}", remedy="Please report it.") from error


def roll_back(db: Any) -> None:
    """Roll the transaction back, if there still is one."""
    try:
        db.execute("ROLLBACK")
    except duckdb.Error:  # a failed COMMIT has rolled back already
        return
