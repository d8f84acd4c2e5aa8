"""A customer as the server holds it: its fields, their fingerprint, and bulk look-ups.

Promised: a look-up asks for a thousand identifiers a call, never with an empty list (the server would answer with all
customers, contract.md 3.1), always gives the status, and refuses an answer with rows that were not asked for.
It uses search, not GET by id, whose answer may be 30 minutes old (contract.md 3.8). Never done: writing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from connector.api.calls import PAGE, Call, Reply, search_customers
from connector.api.fields import TEXTS, CustomerFields
from connector.api.grammar import UNREADABLE
from connector.errors import Refused
from connector.pull.pages import FilterIgnoredError, Walk, walk_whole

__all__ = ["Customer", "Send", "everybody", "fingerprint", "look_up", "total"]

Send = Callable[[Call], Awaitable[Reply]]
COMPARED = (*TEXTS, "metadata", "status")
DEFAULTS = {"timezone": "UTC"}  # what the server sets where a create gives nothing (contract.md 5.1)
LATER: dict[str, str | None] = {}  # fields that older versions did not hash → what their absence means


class Customer(CustomerFields, frozen=True, kw_only=True, gc=False):
    """The columns of a customer that can be written, and those that identify it (contract.md 4)."""

    status: str = "published"

    def with_changes(self, changes: dict[str, Any]) -> Customer:
        """The same customer with other values."""
        return msgspec.structs.replace(self, **changes)


class _Pagination(msgspec.Struct, gc=False):
    total: int = 0


class _Page(msgspec.Struct, gc=False):
    items: list[Customer]
    pagination: _Pagination


_read = msgspec.json.Decoder(_Page).decode


def fingerprint(customer: Customer) -> str:
    """A hash of all compared columns. `updated_at` is not among them: it moves without a change (contract.md 5.3).

    A field of `LATER` takes part, with its name, only where it differs: plans and journals of older versions stay true.
    """
    values: list[Any] = [getattr(customer, name) for name in COMPARED if name not in LATER]
    values += [(name, value) for name, absent in LATER.items() if (value := getattr(customer, name)) != absent]
    return blake2b(msgspec.json.encode(values, order="deterministic"), digest_size=16).hexdigest()


async def look_up(
    send: Send, by: str, wanted: Iterable[str], status: str = "published", page: int = PAGE
) -> dict[str, Customer]:
    """Find customers by `external_id` or `id`.

    Args:
        send: makes one call.
        by: `external_id` or `id`.
        wanted: the identifiers; nothing is sent for none.
        status: published or archived.
        page: identifiers a call.

    Returns:
        Identifier → customer. Where several archived customers share an external_id, the one with the newest id.

    Raises:
        Refused: the answer is no page, or holds rows that were not asked for.
    """
    names = list(dict.fromkeys(wanted))
    found: dict[str, Customer] = {}
    for start in range(0, len(names), page):
        asked = names[start : start + page]
        while asked:
            items = await _asked(send, by, asked, status)
            for customer in items:
                key = getattr(customer, by)
                if key not in found or found[key].id < customer.id:
                    found[key] = customer
            # Several archived customers can share an external_id (contract.md 5.1), and crowd others out of the page.
            asked = [name for name in asked if name not in found] if len(items) == PAGE and status == "archived" else []
    return found


async def _asked(send: Send, by: str, asked: Sequence[str], status: str) -> list[Customer]:
    key = "customer_ids" if by == "id" else "external_ids"
    body = {key: asked, "status": status, "limit": PAGE}
    items, known = await _page(send, body), set(asked)
    strangers = [item for item in items if getattr(item, by) not in known or item.status != status]
    if strangers:
        raise Refused(
            f"a search by {key} was answered with {len(strangers)} customers that were not asked for.",
            remedy="This server does not know that filter: it is too old to import into.",
        )
    return items


async def _page(send: Send, body: dict[str, Any]) -> list[Customer]:
    return _paged(await send(search_customers(body))).items


def _paged(reply: Reply) -> _Page:
    try:
        return _read(reply.body)
    except UNREADABLE as error:
        raise Refused(f"a search was not answered with a page of customers: {error}.") from None


async def everybody(send: Send) -> AsyncIterator[list[Customer]]:
    """Walk all published customers, oldest first. Pages may repeat customers, and omit none (`connector.pull.pages`).

    Args:
        send: makes one call.

    Raises:
        Refused: the answer is no page, or the server does not know the filters that a walk needs.
    """
    listing = Walk("customers", search_customers, "created_at", {"status": "published"})
    try:
        async for page in walk_whole(listing, send):
            yield _paged(page.reply).items
    except FilterIgnoredError as error:
        remedy = "This server ignores filters: it is too old to be walked."
        raise Refused(f"{error}.", remedy=remedy) from None


async def total(send: Send) -> tuple[int, str]:
    """How many published customers there are, and the id of their environment ("" in an empty account)."""
    page = _paged(await send(search_customers({"status": "published", "limit": 1})))
    return page.pagination.total, page.items[0].environment_id if page.items else ""
