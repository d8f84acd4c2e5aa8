"""Integrations that answers left out: of customers without any more, or because the server ignored the question.

Promised: an integration is deleted only when a second answer leaves it out too, and never many at once: then all are
kept, the run is degraded, and the next one walks everything again. Never done: a call where none is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.pull.absence import believable
from connector.pull.windows import Run
from connector.store import links
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session


async def settle_links(session: Session, run: Run) -> None:
    """Delete the integrations that the answers of this run left out, or say that so many are not believed.

    Args:
        session: of the run.
        run: the run.
    """
    missing = session.store.facts(links.missing)
    if missing and _believable(session, missing):
        await load_by_ids(session, run, "customers", sorted({customer for _, customer in missing}))
        missing = session.store.facts(links.missing)
    if not missing:
        return
    if _believable(session, missing):
        await session.in_store(session.store.delete_missing_links, run)
        return
    session.found.lacking.add("customers")  # the next run is as full as this one
    session.found.fault(
        f"customer_integrations: {len(missing)} of {session.store.facts(links.all_stored)} were in no answer, such as"
        f" {missing[0][0]} of {missing[0][1]}; so many are not believed, and all were kept; if they are gone, run"
        f" once with --full --accept-gone {len(missing)}"
    )


def _believable(session: Session, missing: Sequence[tuple[str, str]]) -> bool:
    return believable(len(missing), session.store.facts(links.all_stored), session.accept_gone)
