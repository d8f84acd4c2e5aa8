"""Which of many customers have a subscription.

Promised: a call asks about a thousand customers and pages to the end; it never sends an empty list (contract.md 3.1).
Never done: writing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connector.api.calls import PAGE, SUBSCRIPTION_STATUSES, among, ascending, search_subscriptions
from connector.api.grammar import UNREADABLE
from connector.errors import Refused
from connector.push.account.customer import Send

__all__ = ["subscribed"]

OVER = ("cancelled",)


class _Row(msgspec.Struct, gc=False):
    id: str
    customer_id: str = ""
    subscription_status: str = ""


class _Page(msgspec.Struct, gc=False):
    items: list[_Row]


_read = msgspec.json.Decoder(_Page).decode


async def subscribed(send: Send, customers: Sequence[str], *, every: bool = False) -> dict[str, str]:
    """Find subscriptions of customers.

    Args:
        send: makes one call.
        customers: ids.
        every: whether cancelled subscriptions count too.

    Returns:
        Customer id → status of one of its subscriptions. Customers without one are not in it.

    Raises:
        Refused: the answer is no page, or is about customers that were not asked for.
    """
    statuses = [status for status in SUBSCRIPTION_STATUSES if every or status not in OVER]
    found: dict[str, str] = {}
    for start in range(0, len(customers), PAGE):
        asked = list(customers[start : start + PAGE])
        while asked:
            items = await _asked(send, asked, statuses)
            found.update({row.customer_id: row.subscription_status for row in items})
            asked = [id for id in asked if id not in found] if len(items) == PAGE else []
    return found


async def _asked(send: Send, asked: Sequence[str], statuses: Sequence[str]) -> list[_Row]:
    body = {
        "subscription_status": statuses, "filters": [among("customer_id", asked)], "limit": PAGE,
        "sort": ascending("created_at", "id"),
    }  # fmt: skip
    reply = await send(search_subscriptions(body))
    try:
        items = _read(reply.body).items
    except UNREADABLE as error:
        raise Refused(f"a search was not answered with a page of subscriptions: {error}.") from None
    if not {row.customer_id for row in items} <= set(asked):
        raise Refused("a search for subscriptions of some customers was answered with those of others.")
    return items
