"""The ten operations, by hand: the server's JSON as it came.

Promised: the text has every field that the server sent, in its order, indented; a customer is meant by one of its two
ids, in every operation alike; metadata that is merged is read by a search just before, because GET by id may be 30
minutes old (contract.md 3.8). Never done: storing, printing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from connector.api import answers, calls
from connector.api.calls import Call, Json
from connector.api.client import Client
from connector.api.fields import Identity
from connector.api.grammar import UNREADABLE
from connector.clients.asking import SERVER_ID, decoded, id_of, nobody
from connector.clients.walking import Rows, new_rows, plan_of
from connector.errors import NotFound
from connector.push.account.customer import Customer, look_up
from connector.settings import Settings
from pipelines.runner import run_with_client

__all__ = ["Merge", "Whose", "delete", "entitlements", "get", "grants", "page", "send", "update", "usage", "walk"]

Take = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True)
class Whose:
    """A customer, by one of its ids.

    Attributes:
        id: the server's, or "".
        external_id: the user's own, or "".
    """

    id: str = ""
    external_id: str = ""


@dataclass(frozen=True)
class Merge:
    """Metadata to lay over the stored one: key -> text, None removes the key."""

    pairs: dict[str, str | None]

    def over(self, stored: dict[str, str] | None) -> dict[str, str]:
        """Return the whole metadata that has to be sent: PUT replaces it (contract.md 5.3)."""
        return {key: text for key, text in {**(stored or {}), **self.pairs}.items() if text is not None}


def send(call: Call, settings: Settings) -> str:
    """Make one call.

    Args:
        call: from `connector.api.calls`.
        settings: account.

    Returns:
        The body as indented JSON; "" when there is none.

    Raises:
        FlexsyncError: the call was refused, or no answer came.
    """
    return run_with_client(settings, lambda api: _sent(api, call))


def get(settings: Settings, whose: Whose, *, expand: str | None = None) -> str:
    """Get a customer, as indented JSON; an own id that does not fit a path is searched (contract.md 1.1).

    Raises:
        NotFound: there is none.
    """

    async def work(api: Client) -> str:
        async with _about(whose):
            if whose.id:
                return await _sent(api, calls.get_customer(whose.id, expand=expand))
            if calls.fits_path(whose.external_id):
                return await _sent(api, calls.get_customer_by_external_id(whose.external_id, expand=expand))
            given: Json = {"external_id": whose.external_id, "status": "published", "limit": 1, "expand": expand}
            call = calls.search_customers(given)
            for row in decoded(call, await api.send(call), Rows).items:
                return _indented(call, bytes(row))
            raise nobody(whose.external_id)

    return run_with_client(settings, work)


def update(settings: Settings, whose: Whose, body: Json, merge: Merge | None = None) -> str:
    """Update a customer.

    Args:
        settings: account.
        whose: the customer.
        body: fields, as the API takes them.
        merge: metadata to lay over that of the body or, if that has none, over the stored one.

    Returns:
        The customer as indented JSON; its `updated_at` is the old one (contract.md 5.3).

    Raises:
        NotFound: there is no such customer.
    """

    async def work(api: Client) -> str:
        async with _about(whose):
            whole = body
            if merge and body.get("metadata") is not None:
                whole = {**body, "metadata": merge.over(body["metadata"])}
            elif merge:
                held = await _held(api, whose)
                whole = {**body, "metadata": merge.over(held.metadata)}
                if held.metadata is None and "external_id" in body:
                    # the server cannot change an external_id beside null metadata (contract.md 5.3)
                    await api.send(calls.update_customer({"metadata": whole["metadata"]}, id=held.id))
            call = calls.update_customer(whole, id=whose.id, external_customer_id=whose.external_id)
            return await _sent(api, call)

    return run_with_client(settings, work)


def delete(settings: Settings, whose: Whose) -> str:
    """Archive a customer; the API has no way back (contract.md 5.4). Raises NotFound where there is none."""
    return run_with_client(settings, lambda api: _on_id(api, whose, calls.delete_customer))


def grants(settings: Settings, whose: Whose) -> str:
    """Get the upcoming grants of a customer, as indented JSON. Raises NotFound where there is none."""
    return run_with_client(settings, lambda api: _on_id(api, whose, calls.get_upcoming_grants))


def usage(settings: Settings, whose: Whose, **only: Sequence[str]) -> str:
    """Get the usage of a customer, as indented JSON; `only`: as `calls.get_usage` takes it."""

    async def work(api: Client) -> str:
        async with _about(whose):
            key = whose.external_id or None
            return await _sent(api, calls.get_usage(whose.id or None, customer_lookup_key=key, **only))

    return run_with_client(settings, work)


def entitlements(settings: Settings, whose: Whose, **only: Sequence[str]) -> str:
    """Get the entitlements of a customer, as indented JSON; `only`: as `calls.get_entitlements` takes it.

    The server answers an unknown id with empty lists (contract.md 6.2): where they come for what does not look like an
    id of the server's, one more call asks for the customer.
    """

    async def work(api: Client) -> str:
        async with _about(whose):
            if calls.fits_path(whose.external_id):
                return await _sent(api, calls.get_entitlements_by_external_id(whose.external_id, **only))
            id = whose.id or await id_of(api.send, whose.external_id)
            call = calls.get_entitlements(id, **only)
            reply = await api.send(call)
            found = decoded(call, reply, _Entitlements)
            if not (found.features or found.subscriptions or SERVER_ID.fullmatch(id)):
                asked = calls.get_customer(id)
                decoded(asked, await api.send(asked), Identity)
            return _indented(call, reply.body)

    return run_with_client(settings, work)


def page(settings: Settings, call: Call, take: Take) -> int | None:
    """Make the call of a listing, and hand its rows on as they came.

    Returns:
        How many customers match, by the server's count; None where it sent none.
    """

    async def work(api: Client) -> int | None:
        reply = await api.send(call)
        take([bytes(row) for row in decoded(call, reply, Rows).items])
        pagination = decoded(call, reply, _Total).pagination
        return pagination.total if pagination else None

    return run_with_client(settings, work)


def walk(settings: Settings, body: Json, page_size: int, take: Take) -> None:
    """Walk all customers of a search by `created_at`, oldest first, without offsets.

    Args:
        settings: account.
        body: keys of the search, without sort, order, limit and offset.
        page_size: customers a call.
        take: gets the rows of each page that did not come before, as they came.

    Raises:
        Refused: the server ignores filters, or counts rows that it does not send.
    """

    async def work(api: Client) -> None:
        plan = plan_of("customers search --all", calls.search_customers, body, page_size)
        async for _, rows in new_rows(plan, api.send, "--limit and --offset"):
            take(list(rows.values()))

    run_with_client(settings, work)


# --- one customer -----------------------------------------------------------------------------------------------


class _Entitlements(msgspec.Struct):
    features: list[msgspec.Raw]
    subscriptions: list[msgspec.Raw]


class _Pagination(msgspec.Struct):
    total: int | None = None


class _Total(msgspec.Struct):
    pagination: _Pagination | None = None


async def _on_id(api: Client, whose: Whose, make: Callable[[str], Call]) -> str:
    """Make a call that takes the server's id only; one more looks it up."""
    async with _about(whose):
        return await _sent(api, make(whose.id or await id_of(api.send, whose.external_id)))


async def _held(api: Client, whose: Whose) -> Customer:
    """Read a customer as it is now; by its id, archived ones are found too."""
    by, wanted = ("id", whose.id) if whose.id else ("external_id", whose.external_id)
    for status in ("published", "archived") if whose.id else ("published",):
        if found := await look_up(api.send, by, [wanted], status):
            return found[wanted]
    raise NotFound(f"No customer has the id {wanted!r}.", status=404) if whose.id else nobody(wanted)


@asynccontextmanager
async def _about(whose: Whose) -> AsyncIterator[None]:
    """Let a NotFound say how to write the other kind of id, where the given one looks like it."""
    try:
        yield
    except NotFound as error:
        error.remedy = " ".join([*filter(None, [error.remedy]), *_other_kind(whose)])
        raise


def _other_kind(whose: Whose) -> Iterator[str]:
    if whose.id and not SERVER_ID.fullmatch(whose.id):
        yield f"If this is your own id, write --external-id {whose.id}."
    if SERVER_ID.fullmatch(whose.external_id):
        yield "If this is the server's id, write it without --external-id."


async def _sent(api: Client, call: Call) -> str:
    return _indented(call, (await api.send(call)).body)


def _indented(call: Call, body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode() if body else ""
    except UNREADABLE as error:
        raise answers.unreadable(call) from error
