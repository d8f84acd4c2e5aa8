"""The wire, recorded: one flow through all ten operations, and one answer of every error class.

Recorded against the sandbox, replayed with the network blocked, so a request that changes by one byte fails here.
To record anew: ``pytest tests/test_cassettes.py --record-mode=rewrite``. Cassettes hold no key and no port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import tenacity
from tapes import CONFIG, account, address, scrubbed

from connector.api import calls
from connector.api.retries import Retry
from connector.clients.asynchronous import AsyncFlexprice
from connector.errors import (
    AccessRefused,
    Conflict,
    FixInput,
    FlexsyncError,
    KeyRefused,
    NotFound,
    Refused,
    StopRun,
    Unreachable,
)
from connector.sandbox import Faults, Key

KEY = "sk_MARKER0123456789WRITER"
READER = "sk_MARKER0123456789READER"
WRONG = "sk_MARKER0123456789WRONG"
EAGER = Retry(3, tenacity.wait_none())


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture
def base_url(record_mode: str, request: pytest.FixtureRequest) -> Iterator[str]:
    broken = Faults(proxy502=1.0) if "proxy" in request.node.name else None
    yield from address(record_mode, account(40, {KEY: Key(), READER: Key(role="event_ingestor")}, broken))


def client(base_url: str, key: str = KEY) -> AsyncFlexprice:
    return AsyncFlexprice(base_url=base_url, api_key=key)


@pytest.mark.vcr
@pytest.mark.block_network
def test_all_operations(base_url: str, vcr: Any, record_mode: str) -> None:
    """Create, find, change, read and archive a customer, and read what another one uses, may use and will get."""

    async def flow() -> None:
        async with client(base_url) as api:
            made = await api.create_customer(external_id="tape/1", name="Tape", metadata={"a": "b"})
            assert (made.external_id, made.status) == ("tape/1", "published")
            assert (await api.get_customer(made.id)).name == "Tape"
            assert (await api.get_customer_by_external_id("tape/1")).id == made.id
            await api.update_customer(made.id, new_external_id="tape-1", metadata={"a": "ü"}, name="Tape 2")
            renamed = await api.get_customer_by_external_id("tape-1")
            assert (renamed.id, renamed.name, renamed.metadata) == (made.id, "Tape 2", {"a": "ü"})
            page = await api.list_customers(limit=5, order="asc")
            assert (len(page.items), page.pagination.offset) == (5, 5)
            newest = await api.search_customers(limit=1, sort=[{"field": "created_at", "direction": "desc"}])
            assert newest.items[0].id == made.id
            swept = await api.search_subscriptions(subscription_status=["active"], limit=3)
            subscriber = swept.items[0].customer_id
            usage = await api.get_usage(subscriber)
            assert usage.features
            assert all(isinstance(row.current_usage, Decimal) for row in usage.features)
            assert {row.feature.id for row in (await api.get_entitlements(subscriber)).features}
            assert (await api.get_upcoming_grants(subscriber)).pagination.limit == 0
            await api.delete_customer(made.id)
            assert (await api.get_customer(made.id)).status == "archived"

    asyncio.run(flow())
    if record_mode == "none":
        assert vcr.all_played, "a recorded request was not made again"


UNROUTED = calls.Call("unrouted", "GET", "/nowhere")
NO_VALUE = calls.search_customers(filters=[{"field": "name", "operator": "eq"}])
ERRORS: dict[str, tuple[calls.Call, str, type[FlexsyncError], int, str]] = {
    "wrong key": (calls.get_customer("c"), WRONG, KeyRefused, 401, "Unauthorized"),
    "reader writes": (calls.create_customer(external_id="e", name="n"), READER, AccessRefused, 403, "insufficient"),
    "unknown customer": (calls.get_customer("cust_none"), KEY, NotFound, 404, "cust_none"),
    "unrouted path": (UNROUTED, KEY, FixInput, 404, "404 page not found"),
    "limit too large": (calls.search_customers(limit=5000), KEY, Refused, 400, "between 1 and 1000"),
    "server panics": (NO_VALUE, KEY, Refused, 500, "3 times"),
    "proxy fails": (calls.search_customers(), KEY, Unreachable, 502, "an HTML page"),
}


@pytest.mark.vcr
@pytest.mark.block_network
@pytest.mark.parametrize("case", ERRORS)
def test_error_classes(case: str, base_url: str) -> None:
    """Each kind of refusal becomes its class, with the server's status and words."""
    call, key, kind, status, words = ERRORS[case]

    async def flow() -> None:
        async with client(base_url, key) as api:
            await api.send(call, retries=EAGER)

    with pytest.raises(kind, match=words) as caught:
        asyncio.run(flow())
    assert getattr(caught.value, "status", 404) == status  # a wrong address has none
    assert key not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.vcr
@pytest.mark.block_network
def test_second_create_conflicts(base_url: str) -> None:
    """A second customer of the same external_id is a Conflict that names it."""

    async def flow() -> None:
        async with client(base_url) as api:
            await api.create_customer(external_id="twin", name="One")
            await api.create_customer(external_id="twin", name="Two")

    with pytest.raises(Conflict, match=r"already_exists.*twin"):
        asyncio.run(flow())


@pytest.mark.vcr
@pytest.mark.block_network
def test_a_request_that_was_not_recorded_fails(base_url: str, record_mode: str) -> None:
    """The cassettes really stand between us and the network: another request than the recorded one is not answered."""

    async def flow(call: calls.Call) -> None:
        async with client(base_url) as api:
            await api.send(call, retries=EAGER)

    asyncio.run(flow(calls.search_customers(limit=1)))
    if record_mode == "none":
        with pytest.raises(Exception, match="no recorded interaction") as caught:
            asyncio.run(flow(calls.search_customers(limit=2)))
        assert not isinstance(caught.value, StopRun)


def test_cassettes_hold_no_key() -> None:
    """No cassette holds a key or a port of the machine that recorded it; there is one for every test here."""
    assert len(scrubbed("test_cassettes")) == len(ERRORS) + 3
