"""The per-customer calls: a bounded fan-out over the work queue, with `take`, `send` and `commit` from the caller.

Promised: every item that `take` returns ends as one result, an answer or a reason; results are committed at least
every second or 500 answers; one customer's refusal never stops the others; before an error ends the run, what was
answered is committed. Never done: I/O of its own, reading a clock that is not handed in, deciding who is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from connector.api.calls import Call, Reply
from connector.errors import FixInput, FlexsyncError, SkipRow, TryAgain
from connector.pull.work import Item, Result
from connector.tables.resources import RESOURCES

BATCH = 500  # answers in one commit
SECONDS = 1.0  # the longest time that an answer waits for its commit

Take = Callable[[str, int, int], Awaitable[list[Item]]]  # resource, number of the last item taken, count
Commit = Callable[[Sequence[Result]], Awaitable[None]]


class _Prefetch:
    """Items of one resource, loaded a batch ahead of the workers."""

    def __init__(self, take: Take, resource: str) -> None:
        self._take = take
        self._resource = resource
        self._items: deque[Item] = deque()
        self._last = 0
        self._more = True
        self._loading: asyncio.Task[None] | None = None

    async def next(self) -> Item | None:
        """Return the next item; None when none is left."""
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
            found = await self._take(self._resource, self._last, BATCH)
            self._items.extend(found)
            self._last = found[-1].item if found else self._last
            self._more = len(found) == BATCH
        finally:
            self._loading = None


class FanOut:
    """Runs queued calls of several resources side by side.

    Args:
        take: returns the next items of a resource, in the order of their numbers.
        send: makes one call; the gate inside it decides how many run at once.
        commit: stores a batch of results.
        clock: the moment of an answer without a `Date` header, and of a call without an answer.
        workers: most calls under way at once, over all resources.
    """

    def __init__(
        self,
        take: Take,
        send: Callable[[Call], Awaitable[Reply]],
        commit: Commit,
        clock: Callable[[], datetime],
        workers: int = 32,
    ) -> None:
        self._take = take
        self._send = send
        self._commit = commit
        self._clock = clock
        self._workers = workers
        self._results: list[Result] = []
        self._batch_ready = asyncio.Event()  # a batch is full, or no more results come
        self._has_room = asyncio.Event()  # fewer than two batches wait for their commit
        self._has_room.set()
        self._finished = False  # no more results come
        self._commit_error: BaseException | None = None

    async def run(self, resources: Sequence[str]) -> None:
        """Work until no item is left.

        Args:
            resources: names in `connector.tables.resources`.

        Raises:
            FlexsyncError: what ends the run; everything answered until then is committed.
        """
        committer = asyncio.create_task(self._commit_all())
        try:
            async with asyncio.TaskGroup() as group:
                queues = [_Prefetch(self._take, resource) for resource in resources]
                for number in range(self._workers):
                    first = number % len(queues)
                    group.create_task(self._work(queues[first:] + queues[:first]))
        except BaseExceptionGroup as errors:
            raise _most_telling(errors) from None
        finally:
            self._finished = True
            self._batch_ready.set()
            await asyncio.shield(committer)
        if self._commit_error:
            raise self._commit_error

    async def _work(self, queues: Sequence[_Prefetch]) -> None:
        """Work on one resource until it is done, then help with the next, so that a slow one cannot block the rest."""
        for queue in queues:
            while (item := await queue.next()) is not None:
                result = await self._ask(item)
                if self._commit_error:
                    raise self._commit_error
                await self._add(result)

    async def _add(self, result: Result) -> None:
        self._results.append(result)
        if len(self._results) >= BATCH:
            self._batch_ready.set()
            if len(self._results) >= 2 * BATCH:
                self._has_room.clear()
                await self._has_room.wait()

    async def _ask(self, item: Item) -> Result:
        make = RESOURCES[item.resource].call
        assert make is not None  # noqa: S101  # only child resources are queued
        try:
            reply = await self._send(make(item.customer_id, item.subscription_id))
        except (SkipRow, TryAgain) as error:
            return Result(item, None, self._clock(), error=error.message, status=error.status)
        except FixInput as error:  # an id that cannot stand in a path
            return Result(item, None, self._clock(), error=error.message)
        observed_at = reply.date or self._clock()
        return Result(item, reply.body, observed_at, reply.elapsed, began=reply.began, ended=reply.ended)

    async def _commit_all(self) -> None:
        """Commit batches to the end; after a failed commit, drop the rest, so that no worker waits forever."""
        while not (self._finished and not self._results):
            if len(self._results) < BATCH and not self._finished:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._batch_ready.wait(), SECONDS)
                self._batch_ready.clear()
            batch, self._results[:BATCH] = self._results[:BATCH], []
            self._has_room.set()
            if batch and not self._commit_error:
                try:
                    await self._commit(batch)
                except BaseException as error:  # run() raises it
                    self._commit_error = error


def _most_telling(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose among errors that ended the workers together: our own come before any other."""
    flat = _flat(errors)
    ours = [error for error in flat if isinstance(error, FlexsyncError)]
    return (ours or flat)[0]


def _flat(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
