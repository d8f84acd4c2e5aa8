"""Locks between processes: a file beside what is locked, with the operating system's lock on it.

Promised: one process holds a lock at a time, also while others wait, take it or give it back; the file is removed
when the lock is given back, so that a command that ended leaves none. A process that was killed leaves the file, but
holds nothing: the next one takes the lock, and removes it. Never done: deciding by the file's existence.

The file is removed while it is locked. Who opened it before that and gets its lock afterwards holds a file that has no
name any more: filelock (from 4.0 on) sees that it has no link, and opens the name again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

__all__ = ["Lock", "TakenError", "held"]

_MOMENT = 0.1
"""Seconds for which a lock is asked for again: a file that was just removed looks like one that another holds."""


_POLL = 0.01  # seconds between two attempts


class TakenError(Exception):
    """Another process holds the lock."""


class Lock:
    """A lock that this process holds. Take it with `Lock.take`.

    Args:
        path: the file of the lock.
        inner: filelock's.
    """

    def __init__(self, path: Path, inner: filelock.BaseFileLock) -> None:
        self._path = path
        self._inner = inner

    @classmethod
    def take(cls, path: Path, patience: float = 0.0) -> Lock:
        """Take a lock.

        Args:
            path: its file; the folder exists.
            patience: seconds to wait for another process.

        Raises:
            TakenError: another process holds it.
            OSError: the file cannot be written.
        """
        inner = filelock.FileLock(path)
        try:
            inner.acquire(timeout=max(patience, _MOMENT), poll_interval=_POLL)
        except filelock.Timeout:
            raise TakenError(path) from None
        except NotImplementedError as error:
            raise OSError(f"{path}: {error}") from error
        return cls(path, inner)

    def release(self) -> None:
        """Remove the file and give the lock back; safe to call twice."""
        if isinstance(self._inner, filelock.UnixFileLock) and self._inner.is_locked:  # the other kinds remove it
            with suppress(OSError):  # a folder that cannot be written any more keeps the file
                self._path.unlink()
        self._inner.release()


@contextmanager
def held(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock during a block. Arguments and errors are those of `Lock.take`."""
    lock = Lock.take(path, patience)
    try:
        yield
    finally:
        lock.release()
