"""The ten operations, one call at a time: the server's JSON as it came.

Promised: the text has every field that the server sent, in its order, indented. Never done: paging, storing, printing.
"""

from __future__ import annotations

import msgspec

from connector.api import answers, calls
from connector.api.calls import Call
from connector.api.client import Client
from connector.api.grammar import UNREADABLE
from connector.errors import NotFound
from connector.settings import Settings
from pipelines.runner import run_with_client


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
    body = _body(call, settings)
    try:
        return msgspec.json.format(body, indent=2).decode() if body else ""
    except UNREADABLE as error:
        raise answers.unreadable(call) from error


def _body(call: Call, settings: Settings) -> bytes:
    async def send_one(api: Client) -> bytes:
        return (await api.send(call)).body

    return run_with_client(settings, send_one)


def get(settings: Settings, *, id: str | None, external_id: str | None, expand: str | None) -> str:
    """Get one customer.

    Args:
        settings: account.
        id: its id, or None.
        external_id: its external id, when there is no id. One that does not fit a path is searched (contract.md 1.1).
        expand: what to load with it, e.g. integrations.

    Returns:
        The customer as indented JSON.

    Raises:
        NotFound: there is none.
    """
    if id:
        return send(calls.get_customer(id, expand=expand), settings)
    if external_id and calls.fits_path(external_id):
        return send(calls.get_customer_by_external_id(external_id, expand=expand), settings)
    call = calls.search_customers(external_id=external_id, status="published", expand=expand, limit=1)
    try:
        items = msgspec.json.decode(_body(call, settings), type=_Page).items
        found = msgspec.json.format(bytes(items[0]), indent=2).decode() if items else ""
    except UNREADABLE as error:
        raise answers.unreadable(call) from error
    if not found:
        raise NotFound(f"no published customer has the external id {external_id!r}.", status=404)
    return found


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
