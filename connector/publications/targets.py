"""Where publications go: `duckdb:PATH` or `parquet:DIR`.

Promised: one publisher at a time writes to a target; an unfinished file has a temporary name in the target's folder, so
any temporary file that a publisher finds when it starts was left by a killed one, and is removed. Never done: reading
or writing tables; renaming (`connector.files` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector import files
from connector.errors import FixInput, LockHeld
from connector.locks import Lock, TakenError
from connector.paths import database_file, expanded

DUCKDB, PARQUET = "duckdb", "parquet"
LOCK_TIMEOUT = 60  # seconds to wait for another publisher


@dataclass(frozen=True, slots=True)
class Target:
    """Where a publication goes.

    Attributes:
        kind: `duckdb` or `parquet`.
        path: the file, or the lake's folder; absolute.
    """

    kind: str
    path: Path

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"

    @property
    def folder(self) -> Path:
        """Return the folder of the temporary files."""
        return self.path.parent if self.kind == DUCKDB else self.path


def parse(target: str) -> Target:
    """Parse a target.

    Raises:
        FixInput: it is neither `duckdb:PATH` nor `parquet:DIR`; DuckDB cannot open that path.
    """
    kind, colon, path = target.partition(":")
    if kind not in (DUCKDB, PARQUET) or not colon or not path:
        file = path if kind.lower() == DUCKDB else "" if colon and len(kind) > 1 else target  # C: is a drive
        meant = f"duckdb:{file}" if file.endswith(".duckdb") else "duckdb:PATH or parquet:DIR"
        raise FixInput(f'"{target}" is not a publication target.', remedy=f"Write {meant}.")
    return Target(kind, (database_file(path) if kind == DUCKDB else expanded(path)).resolve())


def check(target: Target) -> None:
    """Refuse a target where something else stands already, without opening it.

    Raises:
        FixInput: a file that is not DuckDB's, a folder in place of a file, or a file in place of a lake; a new file
            that DuckDB would call `flexsync`.
    """
    own = "Give the publication a name of its own."
    if target.kind == DUCKDB and not target.path.exists() and _hides_schema(target.path):
        raise FixInput(
            f"{target.path.name} cannot be asked: its views read the schema flexsync, and DuckDB calls the file so.",
            remedy="Give the publication another name, as billing.duckdb.",
        )
    if target.kind == PARQUET and target.path.is_file():
        raise FixInput(f"{target.path} is a file, not a folder.", remedy=own)
    if target.kind == DUCKDB and target.path.is_dir():
        raise FixInput(f"{target.path} is a folder, not a file.", remedy=own)
    if target.kind == DUCKDB and target.path.exists() and not is_duckdb(target.path):
        raise FixInput(f"{target.path} is not a DuckDB file.", remedy=own)


def _hides_schema(path: Path) -> bool:
    """Return whether the name that DuckDB gives a file, up to its first dot, is that of the schema in it."""
    return path.name.partition(".")[0].lower() == "flexsync"


@contextmanager
def exclusive(target: Target) -> Iterator[None]:
    """Hold the lock of a target, and remove what killed publishers left.

    Raises:
        LockHeld: another publisher still has it after a minute.
        FixInput: the folder cannot be made or written.
    """
    _make_folder(target)
    try:
        lock = Lock.take(target.folder / f".{_name(target).name}.lock", LOCK_TIMEOUT)
    except TakenError as error:
        raise LockHeld(f"another publisher is writing {target}.", remedy="Wait for it, then publish again.") from error
    except OSError as error:
        raise FixInput(f"{target} cannot be written: {error}.", remedy="Give a folder that can be written.") from error
    try:
        files.clear_unfinished(_name(target))
        yield
    finally:
        lock.release()


def temporary(target: Target) -> Path:
    """Return a new temporary name in the folder of the final one."""
    return files.unfinished(_name(target))


def green_copy(path: Path) -> Path:
    """Return where the last green publication of a DuckDB file is kept: `NAME.green.duckdb` beside `NAME.duckdb`."""
    return path.with_name(f"{path.stem}.green{path.suffix}")


def is_duckdb(path: Path) -> bool:
    """Return whether a file is a DuckDB file, whatever its name. Raises `OSError` if it cannot be read."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


def wal(path: Path) -> Path:
    """Return where DuckDB keeps the write-ahead log of a file."""
    return path.with_name(path.name + ".wal")


def _name(target: Target) -> Path:
    """Return what the lock and the temporary files of a target are called after."""
    return target.path if target.kind == DUCKDB else target.folder / "lake"


def _make_folder(target: Target) -> None:
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FixInput(f"{target} cannot be made: {error}.", remedy="Give a folder that can be written.") from error
