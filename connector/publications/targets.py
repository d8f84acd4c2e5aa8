"""Where publications go: `duckdb:PATH` or `parquet:DIR`, and how a file gets there whole.

Promised: a name that readers use is only ever given to something complete and on the disk (write under a passing
name in the same folder, sync, rename, sync the folder); one publisher at a time, so that whatever passing names lie
there when it starts belong to a dead one and are removed. Never done: reading or writing tables.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from connector import files
from connector.errors import FixInput, LockHeld

DUCKDB, PARQUET = "duckdb", "parquet"
PATIENCE = 60  # seconds to wait for another publisher
PASSING = ".flexsync-"  # how the names of unfinished things begin


@dataclass(frozen=True, slots=True)
class Target:
    """A place for publications.

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
        """Where the passing names lie."""
        return self.path.parent if self.kind == DUCKDB else self.path


def parse(target: str) -> Target:
    """Read a target.

    Raises:
        FixInput: it is neither `duckdb:PATH` nor `parquet:DIR`.
    """
    kind, colon, path = target.partition(":")
    if kind not in (DUCKDB, PARQUET) or not colon or not path:
        raise FixInput(f'"{target}" is no publication target.', remedy="Write duckdb:PATH or parquet:DIR.")
    return Target(kind, Path(path).expanduser().resolve())


@contextmanager
def alone(target: Target) -> Iterator[None]:
    """Be the only publisher of a target, and clear away what dead ones left.

    Raises:
        LockHeld: another one is still at it after a minute.
        FixInput: the folder cannot be made or written.
    """
    _make_folder(target)
    lock = filelock.FileLock(target.folder / f".{_word(target)}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout as error:
        raise LockHeld(f"another publisher is writing {target}.", remedy="Wait for it, then publish again.") from error
    except (OSError, NotImplementedError) as error:
        raise FixInput(f"{target} cannot be written: {error}.", remedy="Give a folder that can.") from error
    try:
        _clear(target)
        yield
    finally:
        lock.release()


def passing(target: Target) -> Path:
    """Make up a name for something unfinished, in the folder of its final name."""
    return target.folder / f"{PASSING}{_word(target)}-{secrets.token_hex(4)}"


def _word(target: Target) -> str:
    return target.path.name if target.kind == DUCKDB else "lake"


def _make_folder(target: Target) -> None:
    folder = target.path.parent if target.kind == DUCKDB else target.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FixInput(f"{target} cannot be made: {error}.", remedy="Give a folder that can.") from error


def _clear(target: Target) -> None:
    for left in target.folder.glob(f"{PASSING}{_word(target)}-*"):
        files.remove(left)
