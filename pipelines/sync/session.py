"""What the steps of one run share: the client, the store, the progress display, and what the run found out so far.

Promised: store work runs on one thread, one piece at a time, and each piece runs to its end. Never done: deciding what
to ask.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar

from connector.api.client import Client
from connector.clock import Clock
from connector.pull.findings import Findings, Kept
from connector.pull.pages import PageSize
from connector.pull.windows import Run
from connector.pull.work import Result
from connector.store.store import Store
from pipelines.progress import Progress
from pipelines.sync.probing import Prober

T = TypeVar("T")
Method = Literal["keyset", "offset"]


class Session:
    """The shared state of one run.

    Args:
        api: an open client.
        store: an open store.
        progress: gets the steps, counts and notes of the run.
        clock: this machine's clock, for answers without a `Date` header.
        every_customer: call every customer, whether a subscription counts or not.
        accept_gone: rows of a listing that may be gone in this run, however many that is (`--accept-gone`).
        probe: probe the analytics store while usage is read.
        monotonic: seconds, never going back; the clock of `Reply.began`.

    Attributes:
        method: how customers are listed: by keyset, or by offset on a server without filters.
        found: what keeps the run from being green, holds a cursor, calls everybody, or is worth a note.
        kept: what of it the store keeps, or was given; None until the run has begun.
        subscriptions_filtered: the server understands filters on subscriptions, so they can be counted.
        page_size: the `limit` of list calls.
        expands: the server has not refused to send customers with their integrations.
        accept_gone: as above.
        count_seconds: the longest time that a list call for one row took; each of them counts the rows.
        unchanged: answers whose body was the last good one.
        unknown_fields: fields of answers that the schemas do not know, counted.
        prober: probes the analytics store.
        incomplete: answers that leave out a subscription, kept to be judged once more.
        left_out: those subscriptions.
        outages_recorded: how many outages are over, and the answers that touched them recorded.
        ahead: of this machine's clock, the server's by so much, as this process began; 0 if it sends no `Date`.
        asked_twice: queue items whose zeros an earlier process of this run queued for a second call.
    """

    def __init__(
        self,
        api: Client,
        store: Store,
        progress: Progress,
        clock: Clock,
        *,
        every_customer: bool = False,
        accept_gone: int = 0,
        probe: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api = api
        self.store = store
        self.progress = progress
        self.clock = clock
        self.method: Method = "keyset"
        self.found = Findings(every_customer=every_customer, cached=api.freshness.cached)
        self.kept: list[Kept] | None = None
        self.page_size = PageSize()
        self.subscriptions_filtered = True
        self.expands = True
        self.accept_gone = accept_gone
        self.count_seconds = 0.0
        self.unchanged = 0
        self.unknown_fields: Counter[str] = Counter()
        self.monotonic = monotonic
        self.prober = Prober(api.send, self.note, monotonic, wanted=probe)
        self.incomplete: list[Result] = []
        self.left_out: set[str] = set()
        self.outages_recorded = 0
        self.ahead = timedelta()
        self.asked_twice: set[int] = set()
        self._thread = ThreadPoolExecutor(1, "store")  # one piece of work at a time keeps memory low

    async def in_store(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        """Run store work on the store's thread, to its end even when the run is cancelled meanwhile.

        What the run has found out by now is kept by the first transaction of the work.

        Args:
            work: a method of the store, or a function that uses one.
            *given: its arguments.
            **named: its keyword arguments.

        Returns:
            What `work` returns.
        """
        self._keep()
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._thread, partial(work, *given, **named))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    def _keep(self) -> None:
        """Hand the store what was found out since the last time; here, because no other thread changes it."""
        if self.kept is not None and (found := self.found.kept()) != self.kept:
            self.store.found = self.kept = found

    def clocks(self, tolerance: timedelta) -> list[datetime]:
        """Return what time it is by this machine's clock, and by the server's if they differ by more than that."""
        now = self.clock()
        return [now] if abs(self.ahead) <= tolerance else [now, now + self.ahead]

    async def step_done(self, run: Run, step: str) -> None:
        """Record that a step is done, together with what the run has found out so far."""
        await self.in_store(self.store.step_done, run, step)

    def note(self, text: str) -> None:
        """Put a note into the report, and show it now."""
        self.found.note(text)
        self.progress.note(text)
