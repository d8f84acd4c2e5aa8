"""Tables without a store: `connector.read("usage", …)` streams Arrow record batches straight from the API.

Promised: the same rows as a sync would load, without `run_id`; a call or a row that fails raises, because there is no
ledger that could record it; at most a few batches are in memory. Never done: state, a certificate, a file; reading
again what changes meanwhile (for a proof, sync).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Unpack

import pyarrow as pa

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES
from connector.api.client import Client
from connector.clock import Clock, utc_now
from connector.errors import FixInput, Refused
from connector.pull.fan_out import FanOut
from connector.pull.pages import Walk, walk_whole
from connector.pull.work import Item, Result, answer_of
from connector.settings import Settings, load, masked
from connector.settings.keywords import LoadKeywords
from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.resources import RESOURCES
from connector.tables.schemas import TABLES
from connector.tables.streamed import fitting, schema_of

_AHEAD = 4  # batches that are decoded before anybody asks for them
_ACTIVE = ("active", "trialing")
_LISTINGS = {"customers": "customers", "customer_integrations": "customers", "subscriptions": "subscriptions"}

_Open = Callable[[], Client]
_Batches = queue.Queue[pa.Table | BaseException | None]  # None ends them; an error is raised by the reader
_Subscription = tuple[Any, str, Any]  # created_at, id, current_period_start


def read(
    table: str, settings: Settings | None = None, *, clock: Clock = utc_now, **given: Unpack[LoadKeywords]
) -> pa.RecordBatchReader:
    """Stream one table from the API.

    Args:
        table: a name of the README's table of tables.
        settings: as `connector.settings.load` returns them.
        clock: this machine's, for answers without a `Date` header.
        **given: without settings, the keywords of `flexsync.load`: base_url, api_key, environment_id, config …

    Returns:
        A reader of record batches with the table's schema without `run_id`; iterate it, hand it to another engine,
        or call ``.read_pandas()``.

    Raises:
        FixInput: there is no such table. Others of `connector.errors` while it is read.
    """
    given["api_key"] = masked(given.get("api_key"))
    if table not in TABLES:
        raise FixInput(f"there is no table {table!r}.", remedy=f"Known ones: {', '.join(TABLES)}.")
    schema = schema_of(table)
    open_client = partial(Client, settings or load(**given))
    return pa.RecordBatchReader.from_batches(schema, _batches(table, schema, open_client, clock))


# --- from the event loop's thread to the reader's ----------------------------------------------------------------


def _batches(table: str, schema: pa.Schema, open_client: _Open, clock: Clock) -> Iterator[pa.RecordBatch]:
    """Run the async reader in its own thread, because a notebook's thread has a running loop already."""
    ready: _Batches = queue.Queue(_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(table, open_client, clock, ready, stop), daemon=True)
    thread.start()
    try:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield from found.cast(schema).to_batches()
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for room
            _empty(ready)
            thread.join(0.05)


def _empty(ready: _Batches) -> None:
    while not ready.empty():
        ready.get_nowait()


def _fill(table: str, open_client: _Open, clock: Clock, ready: _Batches, stop: threading.Event) -> None:
    async def fill() -> None:
        async with open_client() as api, aclosing(_Stream(table, api, clock).tables()) as tables:
            async for found in tables:
                if stop.is_set():
                    return
                if found.num_rows:
                    await asyncio.to_thread(ready.put, found)

    try:
        asyncio.run(fill())
        ready.put(None)
    except BaseException as error:  # the reader raises it
        ready.put(error)


# --- what is asked -----------------------------------------------------------------------------------------------


class _Stream:
    """The rows of one table; remembers the keys that it gave, so that a row that comes twice is given once."""

    def __init__(self, table: str, api: Client, clock: Clock) -> None:
        self.table = table
        self.api = api
        self.clock = clock
        self.reader = Reader()
        self._given: set[Any] = set()

    async def tables(self) -> AsyncGenerator[pa.Table, None]:
        """Yield tables of new rows."""
        listing = _LISTINGS.get(self.table)
        async for decoded in self._listing(listing) if listing else self._children():
            yield self._new_rows(fitting(decoded, self.table))

    def _new_rows(self, found: pa.Table) -> pa.Table:
        columns = (found.column(name).to_pylist() for name in TABLES[self.table].key)
        new = []
        for key in zip(*columns, strict=True):
            new.append(key not in self._given)
            self._given.add(key)
        return found if all(new) else found.filter(pa.array(new, pa.bool_()))

    async def _listing(self, resource: str) -> AsyncGenerator[Decoded, None]:
        for plan in _walks(resource):
            async with aclosing(walk_whole(plan, self.api.send)) as pages:
                async for page in pages:
                    yield self.reader.read([Answer(resource, page.reply.body, page.reply.date or self.clock())])

    async def _children(self) -> AsyncGenerator[Decoded, None]:
        """List the active subscriptions, then ask for each of their customers."""
        resource = next(name for name, r in RESOURCES.items() if r.call and self.table in r.tables)
        items = _items(resource, await self._active(), each=self.table == "subscription_usage")
        ready: asyncio.Queue[Decoded | None] = asyncio.Queue(_AHEAD)
        work = asyncio.create_task(self._fan_out(resource, items, ready))
        try:
            while (decoded := await ready.get()) is not None:
                yield decoded
            await work
        finally:
            work.cancel()

    async def _active(self) -> dict[str, list[_Subscription]]:
        """Customer -> its active subscriptions, oldest first (contract.md 11)."""
        found: dict[str, dict[str, _Subscription]] = {}
        plan = Walk("subscriptions", calls.search_subscriptions, "created_at", {"subscription_status": list(_ACTIVE)})
        async for page in walk_whole(plan, self.api.send):
            answer = Answer("subscriptions", page.reply.body, self.clock())
            for row in fitting(self.reader.read([answer]), "subscriptions").to_pylist():
                if row["subscription_type"] != "inherited":
                    one = (row["created_at"], row["id"], row["current_period_start"])
                    found.setdefault(row["customer_id"], {})[row["id"]] = one
        return {customer: sorted(owned.values()) for customer, owned in found.items()}

    async def _fan_out(self, resource: str, items: Sequence[Item], ready: asyncio.Queue[Decoded | None]) -> None:
        async def take(_: str, last: int, count: int) -> list[Item]:
            return list(items[last : last + count])

        async def commit(results: Sequence[Result]) -> None:
            for result in results:
                if result.body is None:
                    raise Refused(f"{resource} of {result.item.customer_id}: {result.error}", status=result.status)
            await ready.put(self.reader.read([answer_of(result) for result in results]))

        try:
            await FanOut(take, self.api.send, commit, self.clock, self.api.gate.max_in_flight).run([resource])
        finally:
            await ready.put(None)


def _walks(resource: str) -> list[Walk]:
    if resource == "subscriptions":
        body = {"subscription_status": list(SUBSCRIPTION_STATUSES)}
        return [Walk(resource, calls.search_subscriptions, "created_at", body)]
    return [
        Walk(f"customers {status}", calls.search_customers, "created_at", {"status": status, "expand": "integrations"})
        for status in ("published", "archived")
    ]


def _items(resource: str, active: dict[str, list[_Subscription]], *, each: bool) -> list[Item]:
    """List the calls to make; `each` asks for every subscription by itself where a customer has several."""
    items: list[Item] = []
    for customer_id, owned in sorted(active.items()):
        several = each and len(owned) > 1
        for _, subscription_id, start in owned if several else owned[-1:]:
            items.append(
                Item(
                    item=len(items) + 1,
                    resource=resource,
                    customer_id=customer_id,
                    subscription_id=subscription_id if several else "",
                    why="active",
                    counted=subscription_id,
                    period_start=start,
                    sole=len(owned) == 1,
                    fresh=True,
                    context="",
                    same_context=False,
                    previous_hash=None,
                    previous_rows=None,
                    state="",
                )
            )
    return items
