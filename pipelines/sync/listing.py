"""The listing: customers and subscriptions, walked by keyset, or by offset on servers without filters.

Promised: a full run reads every row that existed when it began; an incremental one every row that changed since the
cursor; a row that no listing named is asked for by its id. Never done: calls per customer (see `calling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from connector.errors import Refused, SkipRow
from connector.pull.pages import FilterIgnoredError, Walk
from connector.pull.proof_windows import Window
from connector.pull.watermarks import listing_of
from connector.pull.windows import FULL, Run
from connector.store import listing_facts
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session
from pipelines.sync.walks import (
    ACTIVE_STATUSES,
    CUSTOMER_STATUSES,
    load_customers_by_offset,
    load_listing,
    load_subscriptions_by_offset,
    subscriptions_walk,
    walk_of,
)

_MICROSECOND = timedelta(microseconds=1)


async def list_account(session: Session, run: Run) -> None:
    """Load customers and, where asked for, subscriptions: everything in a full run, else what changed."""
    await _list_customers(session, run)
    if "subscriptions" in run.resources:
        await _list_subscriptions(session, run)
    if session.page_size.refused:
        session.note(
            f"the server refused pages of {session.page_size.refused} rows: {session.page_size.rows} are asked"
        )


async def list_window(session: Session, run: Run, resource: str, window: Window, phase: str) -> None:
    """Walk the rows created in a window a second time in the same run, because their number does not fit.

    Args:
        session: of the run.
        run: the run.
        resource: customers or subscriptions.
        window: of `created_at`.
        phase: part of the walks' names, unique within the run.
    """
    store, walks = session.store, [name for name in run.starts if listing_of(name) == resource]
    first = f"{phase}/{walks[0]}"
    await session.in_store(store.await_again, run, resource, window, first)
    since = window.begins - _MICROSECOND if window.begins else None
    for name in walks:
        plan = replace(walk_of(name, "created_at"), since=since, until=window.ends)
        await load_listing(session, run, f"{phase}/{name}", resource, plan, integrations=resource == "customers")
    await find_gone(session, run, resource, window, f"{phase}/{resource}/gone")


async def find_gone(session: Session, run: Run, resource: str, window: Window, step: str) -> None:
    """Ask by id for rows of a window that we hold and that no walk of this run has named."""
    store = session.store
    if store.done(run, step):
        return
    unseen = store.facts(listing_facts.unseen_in, resource, window)
    await load_by_ids(session, run, resource, unseen, keep_met=True)
    if window == Window(None, run.t0):  # of a part, nothing is known about the rest
        await session.in_store(store.settle_listing, run, resource)
    await session.step_done(run, step)


async def list_customers_by_offset(session: Session, run: Run, phase: str, error: Exception) -> None:
    """Load all customers from a server without the filter language (design section 4, old servers).

    Those that we hold and that no listing named are asked for by id, whichever step found out.

    Args:
        session: of the run.
        run: the run.
        phase: the step of the run: walk, closing or proof; part of the walks' names.
        error: how the server showed that it does not filter.
    """
    session.method = "offset"
    session.note(f"customers were listed by offset, because the search does not filter: {error}")
    for status in CUSTOMER_STATUSES:
        await load_customers_by_offset(session, run, f"{phase}/offset/{status}", status)
    await find_gone(session, run, "customers", Window(None, run.t0), f"{phase}/offset/customers/gone")


async def list_subscriptions_unfiltered(session: Session, run: Run, phase: str, error: Exception) -> None:
    """Load the subscriptions of a server without filters by offset, and call every customer.

    Args:
        session: of the run.
        run: the run.
        phase: the step of the run: walk or closing; part of the walk's name.
        error: how the server showed that it does not filter.
    """
    session.found.every_customer = True
    session.note(f"every customer is called, because active subscriptions cannot be listed: {error}")
    try:
        await list_subscriptions_by_offset(session, run, phase)
    except SkipRow as again:
        session.found.unlisted.add("subscriptions")
        session.found.fault(f"subscriptions: they could not be listed: {again}")


async def list_subscriptions_by_offset(session: Session, run: Run, phase: str) -> None:
    """Load all subscriptions by offset, and ask by id for those that we hold and that no listing named."""
    session.subscriptions_filtered = False
    name = f"{phase}/offset/subscriptions"
    await load_subscriptions_by_offset(session, run, name)
    await find_gone(session, run, "subscriptions", Window(None, run.t0), f"{name}/gone")


async def _list_customers(session: Session, run: Run) -> None:
    """Walk customers of both statuses: by `created_at` from the beginning, or by `updated_at` from the cursor."""
    full = run.mode == FULL
    try:
        for status in CUSTOMER_STATUSES:
            name = f"customers/{status}"
            await load_listing(session, run, f"walk/{name}", "customers", _plan(run, name), integrations=full)
    except (FilterIgnoredError, Refused) as error:
        await list_customers_by_offset(session, run, "walk", error)
        return
    if full:
        await find_gone(session, run, "customers", Window(None, run.t0), "walk/customers/gone")


def _plan(run: Run, name: str) -> Walk:
    """Describe this run's walk of a listing."""
    if run.mode == FULL:
        return replace(walk_of(name, "created_at"), until=run.t0)
    start = run.starts[name]
    return replace(walk_of(name, "updated_at"), since=start.since, began=start.watermark)


async def _list_subscriptions(session: Session, run: Run) -> None:
    """Walk subscriptions in every status; in an incremental run, also list all active and trialing ones."""
    try:
        await _walk_subscriptions(session, run, "walk", _plan(run, "subscriptions"))
        if run.mode != FULL:  # every status from the beginning holds the active ones too
            sweep = replace(subscriptions_walk("created_at", ACTIVE_STATUSES), until=run.t0)
            await _walk_subscriptions(session, run, "sweep", sweep)
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
    unswept = store.unswept()
    unlisted = set(unswept)
    if run.mode == FULL:
        unlisted |= set(store.facts(listing_facts.unseen_in, "subscriptions", Window(None, run.t0)))
    await load_by_ids(session, run, "subscriptions", sorted(unlisted))
    if run.mode == FULL:
        await session.in_store(store.settle_listing, run, "subscriptions")
    _check_sweep(session, run, unswept)
    await session.step_done(run, step)


def _check_sweep(session: Session, run: Run, unswept: Sequence[str]) -> None:
    """Call every customer where the sweep left out a subscription that was active before it began."""
    began = run.starts["subscriptions"].watermark
    left_out = session.store.facts(listing_facts.still_active, unswept, began) if began and unswept else []
    if left_out:
        session.found.every_customer = True
        session.note(
            f"every customer is called, because the list of active subscriptions left out {len(left_out)} that are"
            f" active, such as {left_out[0]}"
        )
