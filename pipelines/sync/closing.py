"""The closing pass: what changed while the run was under way, and the second calls.

Promised: a customer that became active since T0 is called too; a call that failed or looked suspect is made once more
before the run says so. Never done: moving a cursor past T0 (the next run reads the same window again).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.errors import Refused, SkipRow
from connector.pull.pages import FilterIgnoredError
from connector.pull.windows import Run, window_start
from pipelines.sync.calling import make_calls, per_customer, queue_calls
from pipelines.sync.doubting import make_second_calls
from pipelines.sync.listing import list_customers_by_offset, list_subscriptions_unfiltered
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session
from pipelines.sync.walks import CUSTOMER_STATUSES, customers_walk, load_listing, subscriptions_walk


async def close(session: Session, run: Run, accept_lower: frozenset[str], overlap: timedelta) -> None:
    """Read what changed since the run began, call whoever became active, and make the second calls.

    Args:
        session: of the run.
        run: the run.
        accept_lower: customer ids, or "all", whose lower figures are believed.
        overlap: how long before T0 the window starts, because a row can become visible late.
    """
    since = window_start(run.t0, overlap)
    if session.method == "keyset":
        await _close_customers(session, run, since)
    if "subscriptions" in run.resources and not session.every_customer:
        await _close_subscriptions(session, run, since)
    if per_customer(run):
        await queue_calls(session, run)
        await make_calls(session, run, accept_lower)
        await make_second_calls(session, run, accept_lower)
        await _look_up_unknown_customers(session, run)


async def _close_customers(session: Session, run: Run, since: datetime) -> None:
    try:
        for status in CUSTOMER_STATUSES:
            plan = customers_walk(status, "updated_at", since)
            await load_listing(session, run, f"closing/customers/{status}", "customers", plan)
    except (FilterIgnoredError, Refused) as error:  # the run's first question that needed a filter
        await list_customers_by_offset(session, run, "closing", error)


async def _close_subscriptions(session: Session, run: Run, since: datetime) -> None:
    try:
        plan = subscriptions_walk("updated_at", since)
        await load_listing(session, run, "closing/subscriptions", "subscriptions", plan)
    except (FilterIgnoredError, SkipRow) as error:
        await list_subscriptions_unfiltered(session, run, "closing", error)


async def _look_up_unknown_customers(session: Session, run: Run) -> None:
    """Ask by id for customers whose call was answered 404 twice."""
    unknown = session.store.not_found()
    if unknown:
        await load_by_ids(session, run, "customers", unknown)
