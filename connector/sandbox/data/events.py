"""A few raw events, for callers that ask whether the analytics store answers (contract.md 7.1, 12).

Promises the shape of a page. Never holds the events that the usage figures would be counted from.
"""

from __future__ import annotations

from connector.sandbox.clock import SECOND, stamp
from connector.sandbox.data.account import Account
from connector.sandbox.data.customers import PUBLISHED
from connector.sandbox.replies import Json

__all__ = ["MOST_EVENTS", "events_of"]

MOST_EVENTS = 50
"""The largest page of GET /events, and its default (contract.md 7.1)."""
EVENTS = 3


def events_of(account: Account, page_size: int) -> Json:
    """GET /events and POST /events/query: the newest events, one of each of some customers."""
    kinds = account.customers.kinds
    numbers = [number for number in range(min(account.customers.count, MOST_EVENTS)) if kinds[number] == PUBLISHED]
    found = [_event(account, number, place) for place, number in enumerate(numbers[:EVENTS])]
    shown = found[: max(1, min(page_size, MOST_EVENTS))]
    return {
        "events": shown,
        "has_more": len(shown) < len(found),
        "iter_first_key": shown[0]["id"] if shown else "",
        "iter_last_key": shown[-1]["id"] if shown else "",
        "total_count": len(found),
    }


def _event(account: Account, number: int, place: int) -> Json:
    customer = account.customer(number)
    return {
        "id": f"event_{number:07d}",
        "external_customer_id": customer["external_id"],
        "customer_id": customer["id"],
        "event_name": "api_call",
        "timestamp": stamp(account.base - (1 + place) * SECOND),
        "properties": {"count": 1},
        "source": "",
        "environment_id": account.environment,
    }
