"""Opening what exists: the working store for writing, or the store or a publication for reading.

Promised: no file is created; what is opened is closed. Never done: choosing a file that the settings do not name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import FixInput, LockHeld
from connector.publications import reading as copies
from connector.publications.reading import Reading
from connector.settings import Sync as SyncSettings
from connector.store.store import Store


def existing_store(path: Path) -> Store:
    """Open a store for writing.

    Args:
        path: the store's file.

    Raises:
        FixInput: there is none.
        LockHeld: another process has it.
    """
    if not path.exists():
        raise FixInput(f"{path} does not exist.", remedy="Correct --store, or run `flexsync sync` first.")
    return Store.open(path)


@contextmanager
def readable(settings: SyncSettings, path: str | None = None, option: str = "--store") -> Iterator[tuple[Reading, str]]:
    """Open for reading: `path`, else the store, else (while a sync holds the store) the newest publication.

    Args:
        settings: [sync]: the store, and the publications to fall back to.
        path: a publication or a store.
        option: of the command, with which a user names what to read.

    Yields:
        The open reading, and a remark about what it is when it is not the store.

    Raises:
        FixInput: there is nothing to read.
        LockHeld: a sync holds the store, and nothing is published.
    """
    source = Path(path) if path else settings.store
    remark = ""
    if not path and not source.exists():
        raise FixInput(
            f"{source} does not exist.", remedy=f"Name the copy with {option}, or run `flexsync sync` first."
        )
    try:
        opened = copies.open(source)
    except LockHeld:
        newest = copies.newest(settings.publish)
        if not newest:
            raise
        opened, remark = copies.open(newest.partition(":")[2]), f"a sync holds {source}; this is {newest}"
    try:
        yield opened, remark
    finally:
        opened.close()
