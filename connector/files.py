"""Atomic file replacement: a file appears under its name complete and on the disk, or not at all.

Promised: a file or folder that others read survives a power cut (write under a temporary name in the same folder, sync,
rename, sync the folder); a full disk is an error that says so. Never done: overwriting in place; deciding whether a
file may be replaced.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import IO

from connector.errors import FixInput

__all__ = [
    "FULL",
    "atomic_write",
    "clear_unfinished",
    "no_room",
    "remove",
    "replace",
    "set_aside",
    "sync",
    "unfinished",
]

_UNFINISHED = ".flexsync-"  # prefix of temporary names

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, a full quota and a file size limit."""


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(source: Path, final: Path) -> None:
    """Give a finished file or folder its final name, durably: it survives a power cut."""
    if source.is_dir():
        for folder, _, names in os.walk(source):
            for name in names:
                sync(Path(folder, name))
            sync(Path(folder))
    else:
        sync(source)
    source.replace(final)
    sync(final.parent)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unfinished(final: Path) -> Path:
    """Return a new temporary name beside a file or folder, as `clear_unfinished` finds it."""
    return final.with_name(f"{_UNFINISHED}{final.name}-{secrets.token_hex(4)}")


def clear_unfinished(final: Path) -> None:
    """Remove what has a name of `unfinished`, DuckDB's files beside it included; the caller holds the lock."""
    name = re.compile(rf"{re.escape(f'{_UNFINISHED}{final.name}')}-[0-9a-f]{{8}}(\.\w+)?")
    for left in final.parent.iterdir():
        if name.fullmatch(left.name):
            remove(left)


def set_aside(path: Path) -> Path:
    """Move a file to a free name beside it, ``NAME~``, ``NAME~2`` …, and return that path."""
    names = chain([f"{path.name}~"], (f"{path.name}~{number}" for number in count(2)))
    free = next(other for name in names if not (other := path.with_name(name)).exists())
    path.replace(free)
    return free


def no_room(path: Path, error: OSError) -> FixInput:
    """Return the error for a file that could not be written completely."""
    return FixInput(f"{path} cannot be written: {error.strerror}.", remedy="Make room.")


@contextmanager
def atomic_write(
    path: Path, *, keep_other: bool = False, aside: Callable[[Path], object] = set_aside
) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name once it is complete, readable by its owner only.

    Args:
        path: its name.
        keep_other: keep an older file of that name with other content.
        aside: moves that older file away, once the new one is complete and on the disk.

    Raises:
        FixInput: the folder cannot be written, or the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise FixInput(f"{path} cannot be written: {error.strerror}.", remedy="Give another place.") from None
    temporary, file = Path(name), os.fdopen(handle, "wb")
    try:
        yield file
        _complete(file, temporary, path, aside if keep_other else None)
    except OSError as error:
        if error.errno in FULL:
            raise no_room(path, error) from None
        raise
    finally:
        with suppress(OSError):
            file.close()
        with suppress(FileNotFoundError):
            temporary.unlink()


def _complete(file: IO[bytes], temporary: Path, path: Path, aside: Callable[[Path], object] | None) -> None:
    try:
        file.flush()
        file.close()
        if aside and path.exists() and not filecmp.cmp(path, temporary, shallow=False):
            sync(temporary)  # a disk that is full shows it here, and nothing has moved
            aside(path)
        replace(temporary, path)
    except OSError as error:
        raise no_room(path, error) from None
