"""The listing: customers and subscriptions, walked by keyset, or by offset on servers without filters.

Promised: a full run reads every row that existed when it began; an incremental one every row that changed since the
cursor; a row that no listing named is asked for by its id. Never done: calls per customer (see `calling`).
"""

from __future__ import annotations

from connector.errors import Refused, SkipRow
from connector.pull.pages import FilterIgnoredError, Walk
from connector.pull.windows import FULL, Run
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session
from pipelines.sync.walks import (
    ACTIVE_STATUSES,
    CUSTOMER_STATUSES,
    customers_walk,
    load_by_offset,
    load_listing,
    subscriptions_walk,
)


async def list_account(session: Session, run: Run) -> None:
    """Load customers and, where asked for, subscriptions: everything in a full run, else what changed."""
    await _list_customers(session, run, "walk", full=run.mode == FULL)
    if "subscriptions" in run.resources:
        await _list_subscriptions(session, run)


async def list_customers_again(session: Session, run: Run) -> None:
    """Walk all customers a second time in the same run, because their number does not fit."""
    # What the first walk met may be gone by now.
    await session.in_store(session.store.forget_seen, run, "customers", "proof/customers/published")
    await _list_customers(session, run, "proof", full=True)


async def list_customers_by_offset(session: Session, run: Run, phase: str, error: Exception) -> None:
    """Load customers from a server without the filter language (design section 4, old servers).

    Args:
        session: of the run.
        run: the run.
        phase: the step of the run: walk, closing or proof; part of the walks' names.
        error: how the server showed that it does not filter.
    """
    session.method = "offset"
    session.note(f"customers were listed by offset, because the search does not filter: {error}")
    for status in CUSTOMER_STATUSES:
        await load_by_offset(session, run, f"{phase}/offset/{status}", status)


async def list_subscriptions_unfiltered(session: Session, run: Run, phase: str, error: Exception) -> None:
    """Load the subscriptions of a server without filters, if one page holds them all, and call every customer.

    Args:
        session: of the run.
        run: the run.
        phase: the step of the run: walk or closing; part of the walk's name.
        error: how the server showed that it does not filter.
    """
    session.every_customer = True
    session.note(f"every customer is called, because active subscriptions cannot be listed: {error}")
    try:
        plan = subscriptions_walk("created_at")
        await load_listing(session, run, f"{phase}/whole/subscriptions", "subscriptions", plan)
    except (FilterIgnoredError, SkipRow) as again:
        session.unlisted.add("subscriptions")
        session.faults.append(f"subscriptions: they could not be listed: {again}")


async def _list_customers(session: Session, run: Run, phase: str, *, full: bool) -> None:
    """Walk customers of both statuses: by `created_at` from the beginning, or by `updated_at` from the cursor."""
    by, since = ("created_at", None) if full else ("updated_at", run.since)
    try:
        for status in CUSTOMER_STATUSES:
            plan = customers_walk(status, by, since)
            await load_listing(session, run, f"{phase}/customers/{status}", "customers", plan, integrations=full)
    except (FilterIgnoredError, Refused) as error:
        await list_customers_by_offset(session, run, phase, error)
    if full:
        await _find_gone_customers(session, run, f"{phase}/customers/gone")


async def _find_gone_customers(session: Session, run: Run, step: str) -> None:
    """Ask by id for customers that we hold and that the full walk did not name."""
    store = session.store
    if store.done(run, step):
        return
    await load_by_ids(session, run, "customers", store.unseen(run, "customers"))
    await session.in_store(store.settle_listing, run, "customers")
    await session.in_store(store.step_done, run, step)


async def _list_subscriptions(session: Session, run: Run) -> None:
    """Walk subscriptions in every status; in an incremental run, also list all active and trialing ones."""
    try:
        if run.mode == FULL:  # every status from the beginning holds the active ones too
            await _walk_subscriptions(session, run, "walk", subscriptions_walk("created_at"))
        else:
            await _walk_subscriptions(session, run, "walk", subscriptions_walk("updated_at", run.since))
            await _walk_subscriptions(session, run, "sweep", subscriptions_walk("created_at", None, ACTIVE_STATUSES))
        await _find_ended_subscriptions(session, run)
    except (FilterIgnoredError, SkipRow) as error:
        await list_subscriptions_unfiltered(session, run, "walk", error)


async def _walk_subscriptions(session: Session, run: Run, phase: str, plan: Walk) -> None:
    await load_listing(session, run, f"{phase}/subscriptions", "subscriptions", plan)


async def _find_ended_subscriptions(session: Session, run: Run) -> None:
    """Ask by id for subscriptions that we hold and that the listing did not name, so that a cancellation arrives."""
    store, step = session.store, "gone/subscriptions"
    if store.done(run, step):
        return
    unlisted = set(store.unswept())
    if run.mode == FULL:
        unlisted |= set(store.unseen(run, "subscriptions"))
    await load_by_ids(session, run, "subscriptions", sorted(unlisted))
    if run.mode == FULL:
        await session.in_store(store.settle_listing, run, "subscriptions")
    await session.in_store(store.step_done, run, step)
