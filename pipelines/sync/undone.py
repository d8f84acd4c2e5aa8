"""Edits that the server has lost: it was restored from a backup, or a replica without the last commits took over.

Such a row has its older `updated_at` again, so no walk of changes brings it; and its edit, which an earlier run read,
lies so close to the cursor that the walk should have named it.

Promised: no call where every edit of the walk's window came again; a row is only asked for when it was read longer ago
than a replica may lag. Never done: believing that an edit is lost because a walk did not name it.
"""

from __future__ import annotations

from datetime import timedelta

from connector.pull.watermarks import listing_of
from connector.pull.windows import FULL, Run
from connector.store import listing_facts
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session


async def read_undone(session: Session, run: Run, overlap: timedelta) -> None:
    """Ask by id for stored rows whose last edit lies in the window of a walk by `updated_at` that did not name them.

    Args:
        session: of the run.
        run: the run.
        overlap: how long a row can take to become visible; what was read less than that before the run is left alone.
    """
    if run.mode == FULL:
        return
    filtered = {"customers": session.method == "keyset", "subscriptions": session.subscriptions_filtered}
    for name, start in run.starts.items():
        resource, _, status = name.partition("/")
        if start.since and resource in run.resources and filtered[listing_of(name)]:
            given = (resource, status, start.since, run.started_at - overlap)
            await load_by_ids(session, run, resource, session.store.facts(listing_facts.unnamed_edits, *given))
