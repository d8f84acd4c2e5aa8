"""The HTTP calls of an entry.

Promised: a call sends what the plan shows, and what the server needs to leave other columns as they are (contract.md
5.3). Never done: sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from connector.api.calls import Call, Reply, create_customer, delete_customer, update_customer
from connector.api.grammar import UNREADABLE
from connector.push.account.customer import Customer
from connector.push.plan.entry import Entry

__all__ = ["created_id", "requests_of"]


def requests_of(entry: Entry, held: Customer | None, onboarding: str) -> Iterator[Call]:
    """The calls of an entry, in their order.

    Args:
        entry: create, update or archive.
        held: the customer as it is now, or None.
        onboarding: see `Orders.onboarding`.
    """
    if entry.do == "create":
        yield create_customer({**entry.changes, **_onboarding(onboarding)})
    elif entry.do == "archive":
        yield delete_customer(entry.id)
    else:
        yield from _updates(entry, held)


def _updates(entry: Entry, held: Customer | None) -> Iterator[Call]:
    """PUTs of an update.

    An external_id is changed together with the wanted metadata, or the server would write its list of (wrong) old ids
    into it. Beside null metadata the change fails, so the metadata becomes an object first (contract.md 5.3).
    """
    changes = dict(entry.changes)
    if "external_id" in changes:
        stored = held.metadata if held else None
        changes.setdefault("metadata", stored or {})
        if stored is None:
            yield update_customer({"metadata": changes["metadata"]}, id=entry.id)
    yield update_customer(changes, id=entry.id)


def _onboarding(choice: str) -> dict[str, Any]:
    if choice == "skip":
        return {"skip_onboarding_workflow": True}
    name = choice.partition(":")[2]
    return {"onboarding_workflow_name": name} if name else {}


class _Created(msgspec.Struct):
    id: str = ""


def created_id(reply: Reply) -> str:
    """The id in the answer to a create; "" where there is none."""
    try:
        return msgspec.json.decode(reply.body, type=_Created).id if reply.body else ""
    except UNREADABLE:
        return ""
