"""Tables without a store: `connector.read("usage", …)` streams Arrow record batches straight from the API.

Promised: the same rows as a sync would load, but for `run_id`; a call or a row that fails raises, for there is no
ledger to note it in; at most a few batches are held in memory. Never done: state, a certificate, a file. What changes
while one reads is not read again: for a proof, sync.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES
from connector.api.client import AsyncFlexprice
from connector.errors import FixInput, Refused
from connector.pull.fan_out import FanOut
from connector.pull.pages import Walk, walk
from connector.pull.work import Item, Result, answer_of
from connector.settings import Settings, load
from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.resources import RESOURCES
from connector.tables.schemas import TABLES

_AHEAD = 4  # batches that are decoded before anybody asks for them


def read(table: str, settings: Settings | None = None, **given: Any) -> pa.RecordBatchReader:
    """Stream one table from the API.

    Args:
        table: a name of the README's table of tables.
        settings: as `connector.settings.load` gives them.
        **given: without settings, these go to `load`: base_url, api_key, environment_id, max_in_flight …

    Returns:
        A reader of record batches with the table's schema without `run_id`; iterate it, hand it to another engine,
        or call ``.read_pandas()``.

    Raises:
        FixInput: there is no such table. Others of `connector.errors` while it is read.
    """
    if table not in TABLES:
        raise FixInput(f"there is no table {table!r}.", remedy=f"Known ones: {', '.join(TABLES)}.")
    schema = schema_of(table)
    return pa.RecordBatchReader.from_batches(schema, _batches(table, settings or load(**given), schema))


def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema of a streamed table: the stored one without `run_id`."""
    return pa.schema([field for field in TABLES[table].arrow() if field.name != "run_id"])


def _batches(table: str, settings: Settings, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Run the async reader in a thread of its own, so that a notebook's running loop does not matter."""
    ready: queue.Queue[pa.Table | BaseException | None] = queue.Queue(_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(table, settings, ready, stop), daemon=True)
    thread.start()
    try:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield from found.cast(schema).to_batches()
    finally:
        stop.set()
        while thread.is_alive():  # it may be waiting for room
            _drain(ready)
            thread.join(0.05)


def _drain(ready: queue.Queue[Any]) -> None:
    while not ready.empty():
        ready.get_nowait()


def _fill(table: str, settings: Settings, ready: queue.Queue[Any], stop: threading.Event) -> None:
    async def main() -> None:
        async with AsyncFlexprice(settings) as api, aclosing(_Stream(table, api).tables()) as tables:
            async for found in tables:
                if stop.is_set():
                    return
                if found.num_rows:
                    await asyncio.to_thread(ready.put, found)

    try:
        asyncio.run(main())
        ready.put(None)
    except BaseException as error:  # handed to whoever reads
        ready.put(error)


class _Stream:
    """One table on its way; remembers the ids that it gave, so that a row met twice is given once."""

    def __init__(self, table: str, api: AsyncFlexprice) -> None:
        self.table = table
        self.api = api
        self.reader = Reader()
        self._given: set[Any] = set()

    async def tables(self) -> AsyncGenerator[pa.Table, None]:
        """Yield tables of new rows."""
        listing = {"customers": "customers", "customer_integrations": "customers", "subscriptions": "subscriptions"}
        source = self._listing(listing[self.table]) if self.table in listing else self._children()
        async for decoded in source:
            yield self._fresh(self._checked(decoded))

    def _checked(self, decoded: Decoded) -> pa.Table:
        for reject in decoded.rejects:
            raise Refused(
                f"{reject.table} {reject.key or reject.owner}: {reject.field} {reject.value!r} {reject.reason}.",
                remedy="A sync keeps such rows in flexsync.rejects and goes on.",
            )
        return decoded.tables[self.table]

    def _fresh(self, found: pa.Table) -> pa.Table:
        key = TABLES[self.table].key
        keys = list(zip(*(found.column(name).to_pylist() for name in key), strict=True))
        keep = []
        for one in keys:
            keep.append(one not in self._given)
            self._given.add(one)
        return found if all(keep) else found.filter(pa.array(keep, pa.bool_()))

    async def _listing(self, resource: str) -> AsyncGenerator[Decoded, None]:
        for plan in _plans(resource):
            async with aclosing(walk(plan, self.api.send)) as pages:
                async for page in pages:
                    yield self.reader.read([Answer(resource, page.reply.body, page.reply.date or _now())])

    async def _children(self) -> AsyncGenerator[Decoded, None]:
        """Sweep the subscriptions that count, then ask for each of their customers."""
        name = next(n for n, resource in RESOURCES.items() if resource.call and self.table in resource.tables)
        items = _items(name, await self._sweep(), each=self.table == "subscription_usage")
        ready: asyncio.Queue[Decoded | None] = asyncio.Queue(_AHEAD)
        work = asyncio.create_task(self._fan_out(name, items, ready))
        try:
            while (decoded := await ready.get()) is not None:
                yield decoded
            await work
        finally:
            work.cancel()

    async def _sweep(self) -> dict[str, list[tuple[Any, str, Any]]]:
        """Customer -> (created_at, subscription, period start), for subscriptions that count (contract.md 11)."""
        found: dict[str, dict[str, tuple[Any, str, Any]]] = {}
        plan = Walk("subscriptions", calls.search_subscriptions, "created_at", {"subscription_status": list(_COUNT)})
        async for page in walk(plan, self.api.send):
            rows = self.reader.read([Answer("subscriptions", page.reply.body, _now())]).tables["subscriptions"]
            for row in rows.to_pylist():
                if row["subscription_type"] != "inherited":
                    one = (row["created_at"], row["id"], row["current_period_start"])
                    found.setdefault(row["customer_id"], {})[row["id"]] = one
        return {customer: sorted(owned.values()) for customer, owned in found.items()}

    async def _fan_out(self, name: str, items: Sequence[Item], ready: asyncio.Queue[Decoded | None]) -> None:
        async def take(_: str, beyond: int, count: int) -> list[Item]:
            return list(items[beyond : beyond + count])

        async def commit(results: Sequence[Result]) -> None:
            for result in results:
                if result.body is None:
                    raise Refused(f"{name} of {result.item.customer_id}: {result.error}", status=result.status)
            await ready.put(self.reader.read([answer_of(result) for result in results]))

        try:
            await FanOut(take, self.api.send, commit, self.api.gate.max_in_flight).run([name])
        finally:
            await ready.put(None)


_COUNT = ("active", "trialing")


def _plans(resource: str) -> list[Walk]:
    if resource == "subscriptions":
        body = {"subscription_status": list(SUBSCRIPTION_STATUSES)}
        return [Walk(resource, calls.search_subscriptions, "created_at", body)]
    return [
        Walk(f"customers {status}", calls.search_customers, "created_at", {"status": status, "expand": "integrations"})
        for status in ("published", "archived")
    ]


def _items(resource: str, sweep: dict[str, list[tuple[Any, str, Any]]], *, each: bool) -> list[Item]:
    """Calls to make; `each` asks for every subscription by itself where a customer has several."""
    items: list[Item] = []
    for customer, owned in sorted(sweep.items()):
        several = each and len(owned) > 1
        for _, subscription, start in owned if several else owned[-1:]:
            asked, sole, number = subscription if several else "", len(owned) == 1, len(items) + 1
            place = (number, resource, customer, asked, "active", subscription, start, sole)
            items.append(Item(*place, True, "", False, None, None, ""))
    return items


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
