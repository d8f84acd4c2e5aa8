"""The per-customer calls: a bounded fan-out over the work queue, handed `take`, `send` and `commit`.

Promised: every item that `take` gives ends as one result, an answer or a reason; results are committed at least every
second or 500 answers; one customer's refusal never stops the others, while an error that ends the run first lets what
was answered be committed. Never done: I/O of its own, deciding who is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from connector.calls import Call, Reply
from connector.errors import FixInput, FlexsyncError, SkipRow, TryAgain
from connector.landing import Result
from connector.queue import Item
from connector.resources import RESOURCES

BATCH = 500  # answers in one commit
SECONDS = 1.0  # the longest that an answer waits for its commit

Take = Callable[[str, int, int], Awaitable[list[Item]]]  # resource, beyond item, count
Commit = Callable[[Sequence[Result]], Awaitable[None]]


class FanOut:
    """Runs queued calls of several resources side by side.

    Args:
        take: hands out items of a resource in the order of their numbers.
        send: makes one call; the gate inside it decides how many run at once.
        commit: takes a batch of results in.
        workers: calls of one resource that may be prepared at once.
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
        self._results: asyncio.Queue[Result | None] = asyncio.Queue(maxsize=2 * BATCH)
        self._broken: BaseException | None = None

    async def run(self, resources: Sequence[str]) -> None:
        """Work until no item is left.

        Raises:
            FlexsyncError: what ends the run; everything answered until then is committed.
        """
        committer = asyncio.create_task(self._commit_all())
        try:
            async with asyncio.TaskGroup() as group:
                for resource in resources:
                    self._start(group, resource)
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            await self._results.put(None)
            await asyncio.shield(committer)
        if self._broken:
            raise self._broken

    def _start(self, group: asyncio.TaskGroup, resource: str) -> None:
        items: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=4 * self._workers)
        group.create_task(self._feed(resource, items))
        for _ in range(self._workers):
            group.create_task(self._work(items))

    async def _feed(self, resource: str, items: asyncio.Queue[Item | None]) -> None:
        beyond = 0
        while found := await self._take(resource, beyond, BATCH):
            for item in found:
                await items.put(item)
            beyond = found[-1].item
        for _ in range(self._workers):
            await items.put(None)

    async def _work(self, items: asyncio.Queue[Item | None]) -> None:
        while (item := await items.get()) is not None:
            if self._broken:
                raise self._broken
            await self._results.put(await self._ask(item))

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
        """Commit batches until told to stop; after a failed commit, swallow the rest so that nobody waits."""
        ended = False
        while not ended:
            batch, ended = await self._batch()
            if batch and not self._broken:
                try:
                    await self._commit(batch)
                except BaseException as error:  # handed to whoever called run()
                    self._broken = error

    async def _batch(self) -> tuple[list[Result], bool]:
        first = await self._results.get()
        batch: list[Result] = []
        if first is None:
            return batch, True
        batch.append(first)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while len(batch) < BATCH:
                    result = await self._results.get()
                    if result is None:
                        return batch, True
                    batch.append(result)
        return batch, False


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
