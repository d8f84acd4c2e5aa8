"""The ten operations, one call at a time: the server's JSON as it came.

Promised: the body is printed with every field that the server sent, indented, nothing decoded and written anew.
Never done: paging, storing.
"""

from __future__ import annotations

import msgspec

from connector.api import calls
from connector.api.calls import Call
from connector.api.client import AsyncFlexprice
from connector.errors import NotFound
from connector.settings import Settings
from pipelines.jobs import run


def send(call: Call, settings: Settings) -> str:
    """Make one call; returns its body as indented JSON, "" when there is none. Raises `FlexsyncError`."""
    body = run(_send(call, settings))
    return msgspec.json.format(body, indent=2).decode() if body else ""


async def _send(call: Call, settings: Settings) -> bytes:
    async with AsyncFlexprice(settings) as api:
        return (await api.send(call)).body


def get(settings: Settings, *, id: str | None, external_id: str | None, expand: str | None) -> str:
    """Get one customer by either id; an external id that cannot stand in a path is searched (contract.md 1.1)."""
    if id:
        return send(calls.get_customer(id, expand=expand), settings)
    if external_id and calls.fits_path(external_id):
        return send(calls.get_customer_by_external_id(external_id, expand=expand), settings)
    call = calls.search_customers(external_id=external_id, status="published", expand=expand, limit=1)
    page = msgspec.json.decode(run(_send(call, settings)), type=_Page)
    if not page.items:
        raise NotFound(f"no published customer has the external id {external_id!r}.", status=404)
    return msgspec.json.format(bytes(page.items[0]), indent=2).decode()


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
