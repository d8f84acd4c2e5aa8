"""Walks of a listing into the store: each page is committed together with the walk's position.

Promised: a killed walk continues behind its last committed page; one page is fetched while the one before it is being
committed, and no more; rows that the server counts and does not send degrade the run. Never done: choosing the walk
(see `listing` and `closing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES, Call, Json
from connector.errors import Refused
from connector.pull.pages import Page, Walk, walk, walk_by_offset, with_body
from connector.pull.windows import Run
from pipelines.sync.session import Session

CUSTOMER_STATUSES = ("published", "archived")
ACTIVE_STATUSES = ("active", "trialing")  # of subscriptions that give usage, entitlements and grants
_BAD_REQUEST = 400  # also what a server answers that cannot expand (contract.md 2.4)

Pages = Callable[..., AsyncGenerator[Page, None]]  # called with start=, the position to continue from


def customers_walk(status: str, by: str) -> Walk:
    """Describe a walk of the customers of one status, sorted by `by`."""
    return Walk(f"customers {status}", calls.search_customers, by, {"status": status})


def subscriptions_walk(by: str, statuses: Sequence[str] = SUBSCRIPTION_STATUSES) -> Walk:
    """Describe a walk of the subscriptions of these statuses, sorted by `by`."""
    return Walk("subscriptions", calls.search_subscriptions, by, {"subscription_status": list(statuses)})


def walk_of(name: str, by: str) -> Walk:
    """Describe the walk of `connector.pull.watermarks.WALKS` called `name`, sorted by `by`."""
    listing, _, status = name.partition("/")
    return customers_walk(status, by) if listing == "customers" else subscriptions_walk(by)


async def load_listing(
    session: Session, run: Run, name: str, resource: str, plan: Walk, *, integrations: bool = False
) -> None:
    """Walk a listing into the store, from where this run's walk of that name stands.

    Args:
        session: of the run.
        run: the run.
        name: of the walk, unique within the run.
        resource: customers or subscriptions.
        plan: what to walk.
        integrations: load each customer's integrations too, where the server can expand them.

    Raises:
        FilterIgnoredError: the server does not know the filter.
        FlexsyncError: a call was refused, or the run has to end.
    """
    plan, integrations = replace(plan, size=session.page_size), integrations and session.expands
    if integrations:
        plan = with_body(plan, expand="integrations")
    pages = partial(walk, plan, session.api.send)
    try:
        await _commit_pages(session, run, name, resource, pages, integrations=integrations)
    except Refused as error:
        if not (integrations and cannot_expand(session, error)):
            raise
        await load_listing(session, run, name, resource, with_body(plan, expand=None))


async def load_customers_by_offset(session: Session, run: Run, name: str, status: str) -> None:
    """Walk the customers of one status by offset, with their integrations where the server can expand them."""
    try:
        await _load_by_offset(session, run, name, "customers", _customers(status, "integrations"), integrations=True)
    except Refused as error:
        if error.status != _BAD_REQUEST:
            raise
        _note_no_integrations(session)
        await _load_by_offset(session, run, name, "customers", _customers(status))


async def load_subscriptions_by_offset(session: Session, run: Run, name: str) -> None:
    """Walk the subscriptions of every status by offset."""
    await _load_by_offset(session, run, name, "subscriptions", _subscriptions)


async def _load_by_offset(
    session: Session,
    run: Run,
    name: str,
    resource: str,
    make: Callable[[int, int], Call],
    *,
    integrations: bool = False,
) -> None:
    """Walk a listing by offset, for servers without the filter language; `make` gets limit and offset."""
    pages = partial(walk_by_offset, name, make, session.api.send, size=session.page_size)
    await _commit_pages(session, run, name, resource, pages, integrations=integrations)


def _customers(status: str, expand: str | None = None) -> Callable[[int, int], Call]:
    """Return the call for one page of the customers of a status, the oldest first."""
    return lambda limit, offset: calls.list_customers(
        limit=limit, offset=offset, status=status, order="asc", expand=expand
    )


def cannot_expand(session: Session, error: Refused) -> bool:
    """Return whether a server refused to expand integrations, and note that they are not loaded in this run."""
    if error.details.get("field") != "integrations":
        return False
    _note_no_integrations(session)
    return True


def _note_no_integrations(session: Session) -> None:
    session.expands = False
    note = "integrations were not loaded: this server cannot expand them"
    if note not in session.found.notes:
        session.note(note)


def _subscriptions(limit: int, offset: int) -> Call:
    """Return the call for one page of the subscriptions of every status, the oldest first."""
    body: Json = {"subscription_status": list(SUBSCRIPTION_STATUSES), "limit": limit, "offset": offset, "order": "asc"}
    return calls.search_subscriptions(body)


async def _commit_pages(
    session: Session, run: Run, name: str, resource: str, pages: Pages, *, integrations: bool
) -> None:
    start = await session.in_store(session.store.position, run, name)
    session.progress.step(name)

    before: set[str] = set()

    async def commit(page: Page) -> None:
        nonlocal before
        await session.in_store(session.store.commit_page, run, name, resource, page, integrations=integrations)
        session.progress.advance(name, len(set(page.ids) - before))  # pages overlap
        before = set(page.ids)

    committing: asyncio.Task[None] | None = None
    try:
        async for page in pages(start=start):
            if committing:
                await committing
            committing = asyncio.create_task(commit(page))
        if committing:
            await committing
    except BaseException:
        if committing:
            await asyncio.wait([committing])
        raise
    ended = await session.in_store(session.store.position, run, name)
    if ended and ended.lacking:
        session.found.lacks(run, name, ended.lacking)
