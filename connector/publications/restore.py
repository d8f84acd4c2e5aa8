"""Restoring a working store from a publication, so that a machine that lost its disk continues incrementally.

Promised: cursors, answers, sweep, suspects, certificates and runs are restored with the tables; a publication of an
older schema version gives the store that its own store becomes by migration; the store appears whole or not at all; a
lake's files are checked against their SHA-256. Excluded columns are NULL in the restored store; its cursors and the
body hashes of the tables concerned are removed, so the next sync is a full one and fills them. Bodies of rejects are
not restored: no publication has them. Never done: replacing a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from connector import files
from connector.errors import FixInput, LockHeld
from connector.locks import Lock, TakenError
from connector.publications import contents, lake, parts, reading, targets
from connector.publications.publish import explained
from connector.publications.targets import PARQUET, Target, wal
from connector.store import ddl, migrations, restored
from connector.store.database import literal
from connector.tables.resources import RESOURCES

MEMORY = "256MB"  # DuckDB's own limit; containers without a disk are often small


def restore(target: str, path: Path | str) -> None:
    """Make a working store from a publication.

    Args:
        target: `duckdb:PATH` or `parquet:DIR`.
        path: the store's file; must not exist yet.

    Raises:
        FixInput: the publication is missing, damaged, not Flexsync's or of a newer version; the path exists.
        LockHeld: a sync is making that store.
    """
    source, path = targets.parse(target), Path(path).resolve()
    with _exclusive(path):
        unfinished = files.unfinished(path)
        try:
            with explained(path):
                _fill(unfinished, source)
                files.replace(unfinished, path)
        finally:
            files.remove(unfinished)
            files.remove(wal(unfinished))


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of the store, so that no sync makes it meanwhile."""
    if not path.parent.is_dir():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --store.")
    try:
        lock = Lock.take(Path(f"{path}.lock"))
    except TakenError as error:
        raise LockHeld(f"another run is using {path}.", remedy="Wait for it, or give another --store.") from error
    except OSError as error:
        raise FixInput(f"{path}.lock cannot be written: {error}.", remedy="Give another --store.") from error
    try:
        for there in (path, wal(path)):
            if there.exists():
                raise FixInput(f"{there} exists already.", remedy="Move it away, or give another --store.")
        files.clear_unfinished(path)
        yield
    finally:
        lock.release()


def _fill(path: Path, source: Target) -> None:
    with duckdb.connect(str(path)) as db:
        db.execute(f"SET memory_limit = '{MEMORY}'")
        db.execute("SET preserve_insertion_order = false")  # tables have no order, and keeping one costs memory
        version, tables, excluded = _attach(db, source)
        db.execute("BEGIN")
        for statement in ddl.statements():
            db.execute(statement)
        for name, query in tables.items():
            _insert(db, name, query)
        for statement in migrations.statements(version):
            db.execute(statement)
        restored.leave_out(db, excluded)
        _require_full_sync(db, excluded)
        db.execute("COMMIT")
        db.execute("CHECKPOINT")


def _attach(db: Any, source: Target) -> tuple[int, dict[str, str], tuple[str, ...]]:
    """Return the version, table -> what to select it from, and the columns left out, after checking the publication."""
    if source.kind == PARQUET:
        manifest = lake.read(source.path)
        version = _restorable(source, manifest.schema_version)
        return version, _checked(source.path, manifest, version), manifest.excluded
    with reading.open(source.path) as publication:
        if publication.published_at is None:
            raise FixInput(f"{source} is a working store, not a publication.", remedy="Copy the file instead.")
        version = _restorable(source, publication.schema_version)
        names = _required(source, publication.tables, version)
        excluded = publication.excluded
    db.execute(f"ATTACH {literal(source.path)} AS {reading.CATALOG} (TYPE duckdb, READ_ONLY)")
    return version, {name: _path(name, reading.CATALOG) for name in names}, excluded


def _restorable(source: Target, version: str | int) -> int:
    """Return the schema version as a number, if it can be migrated; a newer one was refused at opening."""
    number = int(version) if str(version).isdigit() else 0
    if number < migrations.OLDEST:
        raise FixInput(f"{source} has schema version {version}, which is too old.", remedy="Sync into a new --store.")
    return number


def _required(source: object, there: Collection[str], version: int) -> list[str]:
    """Return the tables that a publication of a version has, if they are there; later ones stay empty."""
    names = [name for name in contents.stored() if name not in migrations.tables_since(version)]
    missing = [name for name in names if name not in there]
    if missing:
        raise FixInput(f"{source} lacks {', '.join(missing)}.", remedy="Publish to it again.")
    return names


def _path(name: str, catalog: str) -> str:
    schema, _, table = name.rpartition(".")
    return f'{catalog}."{schema or "main"}"."{table}"'


def _checked(folder: Path, manifest: parts.Manifest, version: int) -> dict[str, str]:
    queries = {}
    for name in _required(folder, manifest.tables, version):
        files = manifest.tables[name].files
        for file in files:
            _check(folder / file.path, file)
        queries[name] = f"read_parquet([{', '.join(literal(folder / file.path) for file in files)}])"
    return queries


def _check(path: Path, file: parts.File) -> None:
    if not path.is_file():
        raise FixInput(f"{path} is missing.", remedy="If a sync has just published, restore again.")
    if parts.digest(path) != file.sha256:
        raise FixInput(
            f"{path} is damaged: its SHA-256 is not the manifest's.", remedy="Publish again, or restore another copy."
        )


def _insert(db: Any, name: str, query: str) -> None:
    own = ", ".join(literal(key) for key in contents.PUBLICATION_META)
    where = f" WHERE key NOT IN ({own})" if name == "flexsync.meta" else ""
    db.execute(f"INSERT INTO {name} BY NAME FROM {query}{where}")


def _require_full_sync(db: Any, excluded: tuple[str, ...]) -> None:
    """Where columns are missing, make the next sync a full one that reads every body of their tables."""
    if not excluded:
        return
    tables = {name.partition(".")[0] for name in excluded}
    resources = [name for name, resource in RESOURCES.items() if tables & set(resource.tables)]
    db.execute("DELETE FROM flexsync.cursors")
    db.execute(
        "UPDATE flexsync.answers SET body_hash = NULL WHERE list_contains($resources, resource)",
        {"resources": resources},
    )
