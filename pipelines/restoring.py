"""Restoring a store that is missing: a container without a disk of its own has only the publications.

Promised: of the publications that hold the newest run, the one whose histories reach furthest back. Never done:
replacing a store.
"""

from __future__ import annotations

from connector.publications import reading
from connector.publications.restore import restore
from connector.settings import Sync as SyncSettings

__all__ = ["restore_missing"]


def restore_missing(settings: SyncSettings) -> str:
    """Make a missing store from the newest publication.

    Args:
        settings: [sync]: the store and the publications.

    Returns:
        What was done, to tell the user; "" if the store is there, or nothing is published.

    Raises:
        FixInput: the publication cannot be restored from.
        LockHeld: a sync is making that store.
    """
    newest = "" if settings.store.exists() else reading.newest(settings.publish, history=True)
    if not newest:
        return ""
    restore(newest, settings.store)
    return f"{settings.store} was missing: restored from {newest}"
