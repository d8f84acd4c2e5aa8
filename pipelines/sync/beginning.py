"""How a run begins: the server's clock, the environment of the key, and the run itself.

Promised: a store never holds two environments; an interrupted run is resumed while it is young enough. Never done:
loading rows.
"""

from __future__ import annotations

from importlib.metadata import version

from connector.api import calls
from connector.api.calls import Reply
from connector.errors import Refused
from connector.pull.windows import Run
from connector.settings import Sync as SyncSettings
from connector.tables.resources import chosen
from pipelines.sync.session import Session
from pipelines.sync.walks import CUSTOMER_STATUSES


async def begin(session: Session, settings: SyncSettings, *, full: bool) -> Run:
    """Begin a run, or resume the interrupted one.

    Args:
        session: of the run.
        settings: [sync]: what to load, and how fresh it has to be.
        full: walk everything, whatever the cursors say.

    Returns:
        The run; its T0 is the server's clock, else this machine's.

    Raises:
        FixInput: the store belongs to another environment than the key.
        Refused: the server is not FlexPrice.
    """
    reply = await _first_row(session)
    return await session.in_store(
        session.store.begin,
        reply.date or session.clock(),
        chosen(settings.only),
        full=full or reply.date is None,  # without the server's clock no window can be trusted
        full_every=settings.full_every,
        overlap=settings.overlap,
        resume_for=settings.resume_for,
        version=version("flexsync"),
    )


async def _first_row(session: Session) -> Reply:
    """Ask for one customer, and tie the store to its environment. Returns the reply, for its `Date`."""
    for status in CUSTOMER_STATUSES:
        reply = await session.api.send(calls.search_customers(status=status, limit=1))
        items = reply.json().get("items")
        if not isinstance(items, list):
            raise Refused(
                "POST /customers/search answered without a list of items.",
                remedy="Is the base URL a FlexPrice server, with its /v1?",
            )
        if items:
            environment = str(items[0].get("environment_id") or "")
            if environment:
                await session.in_store(session.store.bind, environment)
            break
    return reply
