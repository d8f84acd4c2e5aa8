"""Edits that the server has lost: it was restored from a backup, or a replica without the last commits took over.

Such a row has its older `updated_at` again, or is gone if it was created, so no walk of changes brings it; and its
edit, which an earlier run read, lies so close to the cursor that the walk should have named it.

Promised: no call where the walks named every edit of their windows again; a row is only asked for when it was read
longer ago than a replica may lag; once one edit turns out to be lost, in whichever answer, all listings are read anew.
A row that somebody deleted soon after its last edit looks like a lost one, and costs that too, once. Never done:
believing that an edit is lost because a walk did not name it.
"""

from __future__ import annotations

from datetime import timedelta

from connector.errors import SkipRow
from connector.pull.proof_windows import Window
from connector.pull.watermarks import LISTINGS, Start, listing_of
from connector.pull.windows import FULL, Run
from connector.store import listing_facts
from pipelines.sync.listing import list_window
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session

_LOST, _SETTLED = "undone/lost", "undone/settled"


async def read_undone(session: Session, run: Run, overlap: timedelta) -> None:
    """Ask by id for stored rows whose last edit lies in the window of a walk by `updated_at` that did not name them.

    Where the server has lost an edit, every listing is walked as a whole: others may have been lost with it.

    Args:
        session: of the run.
        run: the run.
        overlap: how long a row can take to become visible; what was read less than that before the run is left alone.
    """
    if run.mode == FULL:
        await session.in_store(session.store.forget_older)  # it has read everything
    if run.mode == FULL or session.store.done(run, _SETTLED):
        return
    filtered = {"customers": session.method == "keyset", "subscriptions": session.subscriptions_filtered}
    listings = [name for name in LISTINGS if filtered[name] and _starts(run, name)]
    try:
        for resource in listings:
            await load_by_ids(session, run, resource, _unnamed(session, run, resource, overlap))
        lost = any(_any_lost(session, run, resource, overlap) for resource in listings)
        if lost or session.store.done(run, _LOST):
            await _list_all_again(session, run, listings)
    except SkipRow as error:
        session.found.fault(f"edits that no walk named again, or that are lost, could not be read: {error}")
        session.found.lacking.update(listings)  # the next run reads the same windows


async def _list_all_again(session: Session, run: Run, listings: list[str]) -> None:
    await session.step_done(run, _LOST)  # a run that is stopped between two listings still reads the second
    for resource in listings:
        session.note(f"{resource}: all were listed again, because the server has lost edits that an earlier run read")
        await list_window(session, run, resource, Window(None, run.t0), "undone")
    await session.in_store(session.store.forget_older)
    await session.step_done(run, _SETTLED)


def _starts(run: Run, resource: str) -> list[tuple[str, Start]]:
    """Return the statuses that the walks of a listing read, "" for every one, and where each of them started."""
    return [(name.partition("/")[2], start) for name, start in run.starts.items() if listing_of(name) == resource]


def _unnamed(session: Session, run: Run, resource: str, overlap: timedelta) -> list[str]:
    """Return the rows of a listing that its walks should have named."""
    found: list[str] = []
    for status, start in _starts(run, resource):
        given = (status, start.since, run.started_at - overlap)
        found += session.store.facts(listing_facts.unnamed_edits, resource, *given)
    return found


def _any_lost(session: Session, run: Run, resource: str, overlap: timedelta) -> bool:
    """Return whether an answer of this run held a row with an older edit than the store had, or an edited row is gone.

    Both are in the store, so a run that was stopped knows them after it was resumed, and the next one if it never was.
    """
    facts, refused = session.store.facts, sorted(session.found.not_marked[resource])
    return facts(listing_facts.any_older, resource, run.started_at - overlap) or any(
        facts(listing_facts.gone_edits, resource, status, start.since, run.run_id, refused)
        for status, start in _starts(run, resource)
    )
