"""Rows by their ids: the evidence that a row is gone, and the state of one that no listing named.

Promised: a row is marked gone only when an answer to a question for its id, in every status, does not hold it.
Never done: marking a row gone because a listing does not hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES, Reply
from connector.pull.pages import Page, Position
from connector.pull.windows import Run
from pipelines.sync.session import Session
from pipelines.sync.walks import CUSTOMER_STATUSES

ID_BATCH = 1000  # ids in one question (contract.md 9, 26)


async def load_by_ids(session: Session, run: Run, resource: str, ids: Sequence[str]) -> None:
    """Read rows by id, in every status, into the store; mark those that the server no longer knows as gone.

    Args:
        session: of the run.
        run: the run.
        resource: customers or subscriptions.
        ids: any number of them.
    """
    found: set[str] = set()
    for first in range(0, len(ids), ID_BATCH):
        for page in await _pages(session, resource, ids[first : first + ID_BATCH]):
            await session.in_store(session.store.commit_page, run, f"ids/{resource}", resource, page)
            found.update(page.ids)
    gone = [id for id in ids if id not in found]
    if gone and resource == "customers":
        await session.in_store(session.store.delete_child_rows, run, gone)
    await session.in_store(session.store.mark_gone, run, resource, gone, run.t0)


async def load_subscriptions_of(session: Session, run: Run, customer_ids: Sequence[str]) -> None:
    """Read the subscriptions of some customers, in every status, into the store; at most `ID_BATCH` rows."""
    page = await _subscriptions(session, "customer_id", customer_ids)
    await session.in_store(session.store.commit_page, run, "ids/subscriptions", "subscriptions", page)


async def _pages(session: Session, resource: str, ids: Sequence[str]) -> list[Page]:
    if resource == "subscriptions":
        return [await _subscriptions(session, "id", ids)]
    bodies = [{"customer_ids": list(ids), "status": status, "limit": ID_BATCH} for status in CUSTOMER_STATUSES]
    return [_page(await session.api.send(calls.search_customers(body))) for body in bodies]


async def _subscriptions(session: Session, field: str, values: Sequence[str]) -> Page:
    filters = [calls.among(field, values)]
    body = {"subscription_status": list(SUBSCRIPTION_STATUSES), "filters": filters, "limit": ID_BATCH}
    return _page(await session.api.send(calls.search_subscriptions(body)))


def _page(reply: Reply) -> Page:
    found = msgspec.json.decode(reply.body, type=dict[str, Any])
    ids = tuple(str(item["id"]) for item in found.get("items", ()))
    return Page(reply, ids, len(ids), Position(done=True))
