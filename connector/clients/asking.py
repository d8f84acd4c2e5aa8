"""One call and one typed answer: what all operations stand on.

Promised: a 404 about a customer says how to give an id of your own, or the server's, where the given one looks like the
other kind; a body that does not fit its type names the field. Never done: HTTP, see `connector.api.client`.
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import msgspec

from connector.api import answers, calls
from connector.api.calls import Call, Reply
from connector.api.fields import Identity
from connector.api.grammar import UNREADABLE
from connector.api.retries import Retries
from connector.clients.models import Result, received
from connector.clock import Clock
from connector.errors import NotFound, Refused

__all__ = ["SERVER_ID", "Asking", "Retries", "Send", "about", "id_of"]

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R", bound=Result)
Send = Callable[[Call], Awaitable[Reply]]
SERVER_ID = re.compile(r"cust_[0-9A-HJKMNP-TV-Z]{26}")  # contract.md 4; older rows may differ, so it only hints


class _Page(msgspec.Struct):
    items: list[Identity]


class Asking:
    """Calls by way of `send`."""

    clock: Clock

    async def send(self, call: Call, *, retries: Retries = None, timeout: float | None = None) -> Reply:
        """Make a call; implemented by `connector.api.client.Client`."""
        raise NotImplementedError

    async def _get(self, call: Call, model: type[T], retries: Retries, timeout: float | None) -> T:
        """Make a call and read its answer."""
        return decoded(call, await self.send(call, retries=retries, timeout=timeout), model)

    async def _rows(
        self, call: Call, model: type[R], retries: Retries, timeout: float | None, customer_id: str = ""
    ) -> R:
        """As `_get`, for answers that give tables; the customer's id where the body does not hold it."""
        reply = await self.send(call, retries=retries, timeout=timeout)
        result = decoded(call, reply, model)
        whose = getattr(result, "customer_id", customer_id)
        return received(result, reply.body, reply.date or self.clock(), whose)

    async def _id_of(self, external_id: str, retries: Retries, timeout: float | None) -> str:
        """Look up the id of a published customer."""
        return await id_of(partial(self.send, retries=retries, timeout=timeout), external_id)


async def id_of(send: Send, external_id: str) -> str:
    """Look up the id of a published customer.

    An id that cannot stand in a path (it holds ``/``, contract.md 1.1) is searched for.

    Raises:
        NotFound: no published customer has it.
    """
    if calls.fits_path(external_id):
        call = calls.get_customer_by_external_id(external_id)
        return decoded(call, await send(call), Identity).id
    call = calls.search_customers(external_id=external_id, status="published", limit=1)
    for customer in decoded(call, await send(call), _Page).items:
        return customer.id
    raise nobody(external_id)


def nobody(external_id: str) -> NotFound:
    """Return the error for an external id that a search did not find."""
    return NotFound(f"No published customer has the external_id {external_id!r}.", status=404, code="not_found")


def decoded(call: Call, reply: Reply, model: type[T]) -> T:
    """Read an answer as `model`; raises Refused where it does not fit."""
    try:
        return msgspec.json.decode(reply.body, type=model)
    except msgspec.ValidationError as error:
        message = f"{answers.describe(call)}: the answer does not fit {model.__name__}: {error}."
        remedy = "The server may be another version: send(call).json() returns the body as it is."
        raise Refused(message, remedy=remedy, status=reply.status, request_id=reply.request_id) from None
    except UNREADABLE as error:
        raise answers.unreadable(call) from error


@contextmanager
def about(customer_id: str | None, external_id: str | None) -> Iterator[None]:
    """Let a NotFound say how to write the other kind of id, where the given one looks like it."""
    try:
        yield
    except NotFound as error:
        error.remedy = f"{error.remedy} {_other_kind(customer_id, external_id)}".strip()
        raise


def _other_kind(customer_id: str | None, external_id: str | None) -> str:
    if customer_id is not None and not SERVER_ID.fullmatch(customer_id):
        return f"If this is your own id, write external_id={customer_id!r}."
    if external_id is not None and SERVER_ID.fullmatch(external_id):
        return "If this is the server's id, write it first, without external_id=."
    return ""
