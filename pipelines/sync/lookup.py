"""Rows by their ids: the evidence that a row is gone, and the state of one that no listing named.

Promised: a row is marked gone only when an answer to a question for its id, in every status, does not hold it; where
an earlier answer of the same run did, one of the two perhaps comes from a replica that lags, and the run is degraded;
a subscription that has a status which this version does not know is not gone. Never done: marking a row gone because a
listing does not hold it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES, Call, Json
from connector.errors import Refused
from connector.pull.absence import believable, whole
from connector.pull.page import Found, Page, Position, ask_sized
from connector.pull.windows import Run
from connector.store import listing_facts
from pipelines.sync.session import Session
from pipelines.sync.walks import CUSTOMER_STATUSES, cannot_expand

ID_BATCH = 1000  # ids in one question (contract.md 9, 26)
OTHER_STATUS = calls.not_among("subscription_status", SUBSCRIPTION_STATUSES)  # lifts the default too (contract.md 7.1)


async def load_by_ids(session: Session, run: Run, resource: str, ids: Sequence[str], *, keep_met: bool = False) -> None:
    """Read rows by id, in every status, into the store; mark those that the server no longer knows as gone.

    A question whose answer is shorter than its total is asked again in halves, down to one id. Where more rows are gone
    than is believable, nothing is marked and the run is degraded. It is so, too, for a row that this run has read.

    Args:
        session: of the run.
        run: the run.
        resource: customers or subscriptions.
        ids: any number of them.
        keep_met: do not mark rows that this run has read; nothing after this step would find them again.
    """
    gone: list[str] = []
    questions = deque(_batches(ids, ID_BATCH))
    while questions:
        batch = questions.popleft()
        answers = await _ask(session, resource, batch)
        for found in answers:
            page = Page(found.reply, found.ids, found.total, Position(done=True))
            links = resource == "customers" and session.expands
            await session.in_store(
                session.store.commit_page, run, f"ids/{resource}", resource, page, integrations=links
            )
        named = {id for found in answers for id in found.ids}
        session.found.denied[resource] -= named
        missing = [id for id in batch if id not in named]
        if whole(answers, len(batch)):
            gone += missing
        elif missing and len(batch) > 1:
            questions.extend(_batches(missing, -(-len(missing) // 2)))
        elif missing:  # whether it was edited is not known, so the cursors stay
            session.found.fault(f"{resource}: asked for {missing[0]}, the server counts a row and sends none")
            session.found.lacking.add(resource)
    if resource == "subscriptions" and session.subscriptions_filtered:
        gone = await _without_other_statuses(session, run, gone)
    doubted = session.store.facts(listing_facts.met, resource, gone) if gone and keep_met else []
    session.found.denied[resource].update(doubted)
    if len(gone) > len(doubted):
        await _mark_gone(session, run, resource, sorted(set(gone) - set(doubted)))


async def _without_other_statuses(session: Session, run: Run, ids: Sequence[str]) -> list[str]:
    """Return those subscriptions of `ids` that are not there in a status which this version does not know either.

    The status may be newer than this version. Those that have one are read into the store with it.
    """
    left = list(ids)
    for batch in _batches(ids, ID_BATCH):
        body: Json = {"filters": [calls.among("id", batch), OTHER_STATUS]}
        try:
            found = await _sized(session, "subscriptions", calls.search_subscriptions, body)
        except Refused:  # a server that cannot be asked so has no further status to tell
            break
        page = Page(found.reply, found.ids, found.total, Position(done=True))
        await session.in_store(session.store.commit_page, run, "ids/subscriptions", "subscriptions", page)
        left = [id for id in left if id not in found.ids]
    return left


def denied(session: Session, run: Run, resource: str) -> list[str]:
    """Say how many rows this run had read and could not read by id later; the next run sees which answer was right."""
    gone = session.store.facts(listing_facts.met_and_gone, resource, run.run_id)
    ids = session.found.denied[resource].union(gone)
    if not ids:
        return []
    return [
        f"{resource}: this run had read {len(ids)} rows, such as {min(ids)}, that the server did not know by id later;"
        " the next run sees whether they are gone"
    ]


def too_many_gone(session: Session, run: Run, resource: str) -> list[str]:
    """Say how many rows the server no longer knows that were not marked as gone, because so many are not believed."""
    refused = session.found.not_marked[resource]
    if not refused:
        return []
    marked = session.store.facts(listing_facts.gone_in_run, resource, run.run_id)
    return [
        f"{resource}: the server no longer knows {len(refused)} rows, such as {min(refused)}; so many are not believed,"
        f" and none was marked as gone; if they are, run once with --accept-gone {marked + len(refused)}"
    ]


async def _mark_gone(session: Session, run: Run, resource: str, gone: Sequence[str]) -> None:
    """Mark rows as gone, unless they are more than is believable in one run."""
    store = session.store
    stored = store.facts(listing_facts.stored, resource)
    marked = store.facts(listing_facts.gone_in_run, resource, run.run_id)
    refused = session.found.not_marked[resource]
    refused.update(gone)
    if not believable(marked + len(refused), stored + marked, session.accept_gone):
        return  # the report says so once, for all of them
    refused.clear()
    if resource == "customers":
        await session.in_store(store.delete_child_rows, run, gone, run.started_at)
    await session.in_store(store.mark_gone, run, resource, gone, run.started_at)


async def load_subscriptions_of(session: Session, run: Run, customer_ids: Sequence[str]) -> None:
    """Read the subscriptions of some customers, in every status, into the store; at most `ID_BATCH` rows."""
    found = await _subscriptions(session, "customer_id", customer_ids)
    page = Page(found.reply, found.ids, found.total, Position(done=True))
    await session.in_store(session.store.commit_page, run, "ids/subscriptions", "subscriptions", page)


async def _ask(session: Session, resource: str, ids: Sequence[str]) -> list[Found]:
    """Ask for rows by id, in every status: one answer for customers' statuses each."""
    if resource == "subscriptions":
        return [await _subscriptions_by_id(session, ids)]
    return await _customers_by_id(session, ids)


async def _customers_by_id(session: Session, ids: Sequence[str]) -> list[Found]:
    """Ask for customers by id, with their integrations where the server can expand them."""
    given: Json = {"customer_ids": list(ids), **({"expand": "integrations"} if session.expands else {})}
    bodies: list[Json] = [{**given, "status": status} for status in CUSTOMER_STATUSES]
    try:
        return [await _sized(session, "customers", calls.search_customers, body) for body in bodies]
    except Refused as error:
        if not (session.expands and cannot_expand(session, error)):
            raise
    return await _customers_by_id(session, ids)


async def _subscriptions_by_id(session: Session, ids: Sequence[str]) -> Found:
    """Ask for subscriptions by id; a server without filters has a key for it (contract.md 11)."""
    if session.subscriptions_filtered:
        return await _subscriptions(session, "id", ids)
    body: Json = {"subscription_status": list(SUBSCRIPTION_STATUSES), "subscription_ids": list(ids)}
    return await _sized(session, "subscriptions", calls.search_subscriptions, body)


async def _subscriptions(session: Session, field: str, values: Sequence[str]) -> Found:
    filters = [calls.among(field, values)]
    body: Json = {"subscription_status": list(SUBSCRIPTION_STATUSES), "filters": filters}
    return await _sized(session, "subscriptions", calls.search_subscriptions, body)


async def _sized(session: Session, name: str, make: Callable[[Json], Call], body: Json) -> Found:
    return await ask_sized(name, lambda rows: make({**body, "limit": rows}), session.api.send, session.page_size)


def _batches(ids: Sequence[str], length: int) -> list[Sequence[str]]:
    return [ids[first : first + length] for first in range(0, len(ids), length)]
