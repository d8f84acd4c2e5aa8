"""Edits that the server has lost: it was restored from a backup, or a replica without the last commits took over.

Such a row has its older `updated_at` again, so no walk of changes brings it; and its edit, which an earlier run read,
lies so close to the cursor that the walk should have named it.

Promised: no call where the walks named every edit of their windows again; a row is only asked for when it was read
longer ago than a replica may lag; once one edit turns out to be lost, the whole listing is read anew. Never done:
believing that an edit is lost because a walk did not name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from connector.errors import SkipRow
from connector.pull.proof_windows import Window
from connector.pull.watermarks import LISTINGS, listing_of
from connector.pull.windows import FULL, Run
from connector.store import listing_facts
from pipelines.sync.listing import list_window
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session


async def read_undone(session: Session, run: Run, overlap: timedelta) -> None:
    """Ask by id for stored rows whose last edit lies in the window of a walk by `updated_at` that did not name them.

    A listing of which the server has lost an edit is walked as a whole: other edits may have been lost with it.

    Args:
        session: of the run.
        run: the run.
        overlap: how long a row can take to become visible; what was read less than that before the run is left alone.
    """
    if run.mode == FULL:
        return
    filtered = {"customers": session.method == "keyset", "subscriptions": session.subscriptions_filtered}
    for resource in LISTINGS:
        if filtered[resource]:
            await _read_undone(session, run, resource, overlap)


async def _read_undone(session: Session, run: Run, resource: str, overlap: timedelta) -> None:
    """Ask for the rows of one listing; a run that was stopped between question and verdict assumes the worst."""
    store, asked, settled = session.store, f"undone/{resource}/asked", f"undone/{resource}/settled"
    if store.done(run, settled):
        return
    lost, unnamed = store.done(run, asked), _unnamed(session, run, resource, overlap)
    if unnamed:
        await session.step_done(run, asked)
        try:
            lost |= await _any_lost(session, run, resource, unnamed)
        except SkipRow as error:
            session.found.fault(f"{resource}: edits that no walk named again could not be read by id: {error}")
            session.found.lacking.add(resource)  # the next run reads the same window
            return
    if lost:
        session.note(f"{resource}: all were listed again, because the server has lost edits that an earlier run read")
        await list_window(session, run, resource, Window(None, run.t0), "undone")
    if unnamed or lost:
        await session.step_done(run, settled)


def _unnamed(session: Session, run: Run, resource: str, overlap: timedelta) -> list[str]:
    """Return the rows of a listing that its walks should have named."""
    found: list[str] = []
    for name, start in run.starts.items():
        if listing_of(name) == resource:
            given = (name.partition("/")[2], start.since, run.started_at - overlap)
            found += session.store.facts(listing_facts.unnamed_edits, resource, *given)
    return found


async def _any_lost(session: Session, run: Run, resource: str, ids: Sequence[str]) -> bool:
    """Read rows by id, and return whether one has an older edit than the store had."""
    before = session.store.facts(listing_facts.edited_at, resource, ids)
    await load_by_ids(session, run, resource, ids)
    after = session.store.facts(listing_facts.edited_at, resource, ids)
    return any(after.get(id, edited) < edited for id, edited in before.items())
