"""The per-customer calls: a bounded fan-out over the work queue, handed `take`, `send` and `commit`.

Promised: every item that `take` gives ends as one result, an answer or a reason; results are committed at least every
second or 500 answers; one customer's refusal never stops the others, while an error that ends the run first lets what
was answered be committed. Never done: I/O of its own, deciding who is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from connector.api.calls import Call, Reply
from connector.errors import FixInput, FlexsyncError, SkipRow, TryAgain
from connector.pull.work import Item, Result
from connector.tables.resources import RESOURCES

BATCH = 500  # answers in one commit
SECONDS = 1.0  # the longest that an answer waits for its commit

Take = Callable[[str, int, int], Awaitable[list[Item]]]  # resource, beyond item, count
Commit = Callable[[Sequence[Result]], Awaitable[None]]


class _Feed:
    """Items of one resource, loaded a batch ahead of those who take them."""

    def __init__(self, take: Take, resource: str) -> None:
        self._take = take
        self._resource = resource
        self._items: deque[Item] = deque()
        self._beyond = 0
        self._more = True
        self._loading: asyncio.Task[None] | None = None

    async def next(self) -> Item | None:
        """Hand out the next item; None when there is none left."""
        while not self._items:
            if self._loading is None:
                if not self._more:
                    return None
                self._loading = asyncio.create_task(self._load())
            await asyncio.shield(self._loading)
        item = self._items.popleft()
        if self._more and self._loading is None and len(self._items) < BATCH // 2:
            self._loading = asyncio.create_task(self._load())
        return item

    async def _load(self) -> None:
        try:
            found = await self._take(self._resource, self._beyond, BATCH)
            self._items.extend(found)
            self._beyond = found[-1].item if found else self._beyond
            self._more = len(found) == BATCH
        finally:
            self._loading = None


class FanOut:
    """Runs queued calls of several resources side by side.

    Args:
        take: hands out items of a resource in the order of their numbers.
        send: makes one call; the gate inside it decides how many run at once.
        commit: takes a batch of results in.
        workers: calls that may be under way at once, over all resources.
    """

    def __init__(
        self,
        take: Take,
        send: Callable[[Call], Awaitable[Reply]],
        commit: Commit,
        workers: int = 32,
    ) -> None:
        self._take = take
        self._send = send
        self._commit = commit
        self._workers = workers
        self._results: list[Result] = []
        self._ready = asyncio.Event()  # a batch is full, or it is over
        self._room = asyncio.Event()  # fewer than two batches wait
        self._room.set()
        self._over = False
        self._broken: BaseException | None = None

    async def run(self, resources: Sequence[str]) -> None:
        """Work until no item is left.

        Raises:
            FlexsyncError: what ends the run; everything answered until then is committed.
        """
        committer = asyncio.create_task(self._commit_all())
        try:
            async with asyncio.TaskGroup() as group:
                feeds = [_Feed(self._take, resource) for resource in resources]
                for number in range(self._workers):
                    first = number % len(feeds)
                    group.create_task(self._work(feeds[first:] + feeds[:first]))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            self._over = True
            self._ready.set()
            await asyncio.shield(committer)
        if self._broken:
            raise self._broken

    async def _work(self, feeds: Sequence[_Feed]) -> None:
        """Work on one resource until it is done, then help with the next: a slow one cannot keep all from the rest."""
        for feed in feeds:
            while (item := await feed.next()) is not None:
                result = await self._ask(item)
                if self._broken:
                    raise self._broken
                await self._hand_in(result)

    async def _hand_in(self, result: Result) -> None:
        self._results.append(result)
        if len(self._results) >= BATCH:
            self._ready.set()
            if len(self._results) >= 2 * BATCH:
                self._room.clear()
                await self._room.wait()

    async def _ask(self, item: Item) -> Result:
        make = RESOURCES[item.resource].call
        assert make is not None  # noqa: S101  # only child resources are queued
        try:
            reply = await self._send(make(item.customer_id, item.subscription_id))
        except (SkipRow, TryAgain) as error:
            return Result(item, None, _now(), error=error.message, status=error.status)
        except FixInput as error:  # an id that cannot stand in a path
            return Result(item, None, _now(), error=error.message)
        return Result(item, reply.body, reply.date or _now(), reply.elapsed)

    async def _commit_all(self) -> None:
        """Commit batches until it is over; after a failed commit, swallow the rest so that nobody waits."""
        while not (self._over and not self._results):
            if len(self._results) < BATCH and not self._over:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ready.wait(), SECONDS)
                self._ready.clear()
            batch, self._results[:BATCH] = self._results[:BATCH], []
            self._room.set()
            if batch and not self._broken:
                try:
                    await self._commit(batch)
                except BaseException as error:  # handed to whoever called run()
                    self._broken = error


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of errors that ended the workers together, the one that says most: ours before a bug's, a bug before a stop."""
    flat = list(_flat(errors))
    ours = [error for error in flat if isinstance(error, FlexsyncError)]
    return (ours or flat)[0]


def _flat(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
