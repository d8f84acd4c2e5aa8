"""Opening what exists: the working store for writing, or the store or a publication for reading.

Promised: no file is created; what is opened is closed. Never done: choosing a file that the settings do not name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.errors import FixInput, FlexsyncError, LockHeld
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
def readable(
    settings: SyncSettings,
    path: str | None = None,
    option: str = "--store",
    *,
    green: bool = False,
    meanwhile: str = "set publish under [sync]",
) -> Iterator[tuple[Reading, str]]:
    """Open for reading: `path`, else the store, else (while a sync holds the store) the newest publication.

    Args:
        settings: [sync]: the store, and the publications to fall back to.
        path: a publication or a store.
        option: of the command, with which a user names what to read.
        green: open the last green run. If `path` is not given and the store's newest run is not green, or loaded only
            some resources, that is the one that the publications keep.
        meanwhile: how a user of the command names a publication to read while a sync holds the store.

    Yields:
        The open reading, and a remark about what it is when it is not the store.

    Raises:
        FixInput: there is nothing to read.
        LockHeld: a sync holds the store, and nothing is published.
        FixInput: there is no green run.
    """
    if not path and not settings.store.exists():
        raise FixInput(
            f"{settings.store} does not exist.", remedy=f"Name the copy with {option}, or run `flexsync sync` first."
        )
    try:
        opened, remark = _open(settings, path, green)
    except LockHeld as error:
        raise LockHeld(error.message, remedy=_while_locked(settings, meanwhile, green)) from error
    try:
        yield opened, remark
    finally:
        opened.close()


def _while_locked(settings: SyncSettings, meanwhile: str, green: bool) -> str:
    where = " or ".join(settings.publish)
    if where:
        return f"Wait for it: no {'green ' if green else ''}run is published as {where} yet."
    return f"Wait for it, or read a publication: {meanwhile}."


def _open(settings: SyncSettings, path: str | None, green: bool) -> tuple[Reading, str]:
    source = path or str(settings.store)
    try:
        opened = copies.open(source, green=green and path is not None)
    except LockHeld:
        newest = copies.newest(settings.publish, green=green)
        if not newest:
            raise
        return copies.open(newest, green=green), f"a sync holds {source}; this is {newest}"
    if path or not green or (opened.run_or_none and opened.run.proven):
        return opened, ""
    opened.close()
    newest = copies.newest(settings.publish, green=True)
    if not newest:
        raise FixInput(
            f"the newest run of {source} {_lacking(opened)}, and no publication holds a green one.",
            remedy="Name a publication with --publish or --on, or read the newest run without --green.",
        )
    found = copies.open(newest, green=True)
    return found, f"the newest run of {source} {_lacking(opened)}; this is run {_id(found)} of {newest}"


def publications_of(settings: SyncSettings) -> list[dict[str, Any]]:
    """Describe every publication.

    Returns:
        For each its `target`, `run_id`, `status` and `published_at`; where it cannot be read these are None, and
        `error` says why. `green`: `run_id` and `published_at` of the last green run that it keeps, or None.
    """
    return [{"target": target, **_published(target), "green": _green(target)} for target in settings.publish]


def _published(target: str) -> dict[str, str | None]:
    try:
        with copies.open(target) as found:
            return {**_told(found), "error": None}
    except FlexsyncError as error:
        return {"run_id": None, "status": None, "published_at": None, "error": error.message}


def _green(target: str) -> dict[str, str] | None:
    try:
        with copies.open(target, green=True) as found:
            told = _told(found)
            return {name: told[name] for name in ("run_id", "published_at")}
    except FlexsyncError:
        return None


def _told(found: Reading) -> dict[str, str]:
    published = found.published_at.isoformat(timespec="seconds") if found.published_at else ""
    return {"run_id": found.run.run_id, "status": found.run.status, "published_at": published}


def unfinished(reading: Reading) -> str:
    """Say that a store's last run did not finish, so that rows are missing or older than others; "" if it did."""
    if reading.run_or_none and reading.run.finished:
        return ""
    if not reading.sql("FROM flexsync.runs WHERE status IN ('green', 'degraded') LIMIT 1").num_rows:
        return f"{reading.path} has never finished a run: rows are missing"
    return f"the last run of {reading.path}, {_id(reading)}, did not finish: some rows are older than others"


def _lacking(reading: Reading) -> str:
    """Say why the run of a store is not the last green one."""
    return "loaded only some resources" if reading.run_or_none and reading.run.green else "is not green"


def _id(reading: Reading) -> str:
    return reading.run.run_id if reading.run_or_none else ""
