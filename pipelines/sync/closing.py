"""The closing pass: what changed while the run was under way, and the second calls.

Promised: a customer that became active since T0 is called too, and one whose subscriptions are others by now is called
again; a customer that was gone and is back gets its integrations again; a call that failed or looked suspect is made
once more before the run says so. Never done: moving a cursor past the start watermark (the next run reads the same
window again).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from connector.errors import Refused, SkipRow
from connector.pull.pages import FilterIgnoredError, Walk
from connector.pull.watermarks import listing_of
from connector.pull.windows import FULL, Run
from connector.store import listing_facts, queue
from pipelines.sync.beginning import newest_updates
from pipelines.sync.calling import make_calls, per_customer, queue_calls
from pipelines.sync.doubting import make_second_calls
from pipelines.sync.listing import list_customers_by_offset, list_subscriptions_unfiltered
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session
from pipelines.sync.walks import load_listing, walk_of

Newest = dict[str, datetime | None]  # walk -> `updated_at` of its newest row


async def close(session: Session, run: Run, accept_lower: frozenset[str], overlap: timedelta) -> None:
    """Read what changed since the run began, call whoever became active, and make the second calls.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        overlap: how long before a walk's start watermark its window starts, because a row can become visible late.
    """
    newest = await _newest_now(session, run)
    if session.method == "keyset":
        await _close_customers(session, run, overlap, newest)
        await load_by_ids(session, run, "customers", session.store.facts(listing_facts.returned))
    if "subscriptions" in run.resources and session.subscriptions_filtered:
        await _close_subscriptions(session, run, overlap, newest)
    if per_customer(run):
        await queue_calls(session, run)
        await _make_all_calls(session, run, accept_lower)


async def call_outdated(session: Session, run: Run, accept_lower: frozenset[str]) -> bool:
    """Call customers whose answers were made for other subscriptions than count now; return whether there are any.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
    """
    if not per_customer(run):
        return False
    await queue_calls(session, run)
    if not (session.store.waiting("pending") or session.store.waiting("again")):
        return False
    await _make_all_calls(session, run, accept_lower)
    return True


async def _make_all_calls(session: Session, run: Run, accept_lower: frozenset[str]) -> None:
    await make_calls(session, run, accept_lower)
    await make_second_calls(session, run, accept_lower)
    await _look_up_unknown_customers(session, run)


async def _newest_now(session: Session, run: Run) -> Newest:
    """Ask for the newest row of every walk that is read: the closing walks end soon after it."""
    read = {"customers": session.method == "keyset", "subscriptions": session.subscriptions_filtered}
    names = [name for name in run.starts if read[listing_of(name)]]
    return await newest_updates(session, [name for name in names if not session.store.done(run, f"closing/{name}")])


def _plan(run: Run, name: str, overlap: timedelta, newest: Newest) -> Walk:
    since = run.starts[name].closing(overlap)
    return replace(walk_of(name, "updated_at"), since=since, began=newest.get(name))


async def _close_customers(session: Session, run: Run, overlap: timedelta, newest: Newest) -> None:
    try:
        for name in run.starts:
            if listing_of(name) == "customers":
                plan = _plan(run, name, overlap, newest)
                await load_listing(session, run, f"closing/{name}", "customers", plan, integrations=run.mode == FULL)
    except (FilterIgnoredError, Refused) as error:  # the run's first question that needed a filter
        await list_customers_by_offset(session, run, "closing", error)


async def _close_subscriptions(session: Session, run: Run, overlap: timedelta, newest: Newest) -> None:
    try:
        plan = _plan(run, "subscriptions", overlap, newest)
        await load_listing(session, run, "closing/subscriptions", "subscriptions", plan)
    except (FilterIgnoredError, SkipRow) as error:
        await list_subscriptions_unfiltered(session, run, "closing", error)


async def _look_up_unknown_customers(session: Session, run: Run) -> None:
    """Ask by id for customers whose call was answered 404 twice."""
    unknown = session.store.facts(queue.not_found)
    if unknown:
        await load_by_ids(session, run, "customers", unknown)
