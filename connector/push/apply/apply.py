"""Carries a plan out: check again, note the intent, write, read back, note the outcome.

Promised: nothing is written that the plan does not show. A customer that changed since the plan is left alone and
listed. An apply that was killed and runs again ends the same, and no customer is made twice. A write whose outcome is
unknown is looked up over ten seconds before it is sent again; if it did arrive, the server's uniqueness rule answers
409 (contract.md 5.1). Every written row is read back with all its columns. Never done: HTTP (it is handed `send`).

The API has no conditional write. Customers are checked in batches just before they are written. If another writer
edits a customer between that check and the PUT, the edit is overwritten in the fields of this plan. `Tally.window` is
the longest such gap. A PUT may also start from a cached copy and restore old values in other columns (contract.md
3.8); for this reason all columns are read back and differences are reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from connector.push.account.customer import Customer, Send, look_up
from connector.push.account.subscribed import subscribed
from connector.push.apply.journal import Journal
from connector.push.apply.orders import Orders
from connector.push.apply.outcomes import Outcomes, Tally
from connector.push.apply.sender import Sender, Write
from connector.push.apply.task import FRESH, UNKNOWN, WRITTEN, Task
from connector.push.apply.verdict import AGAIN, SEND, verdict_on
from connector.push.apply.window import Window
from connector.push.plan.planfile import Plan

__all__ = ["Apply"]

MOST_WAITING = 800  # rows in one look-up besides a batch; a look-up asks for a thousand at most


class Apply:
    """One run of a plan.

    Args:
        plan: checked.
        send: makes one call; it does not repeat writes that may have been carried out.
        journal: of this plan, with what earlier runs did.
        orders: see `Orders`.
        on_settled: is called with the number of rows just settled.
        write: makes one write that must not start after a moment of `time.monotonic`, or raises NotSent; by default
            `send`, which cannot be late.
        every_subscription: whether a customer with a cancelled subscription is not archived either.
    """

    def __init__(
        self,
        plan: Plan,
        send: Send,
        journal: Journal,
        orders: Orders,
        on_settled: Callable[[int], None] = lambda _: None,
        write: Write | None = None,
        every_subscription: bool = False,
    ) -> None:
        self._plan, self._send, self._journal = plan, send, journal
        self._looks, self._every_subscription = orders.pace.looks, every_subscription
        self._outcomes = Outcomes(journal, plan.header.counts, orders, on_settled)
        self._window = Window(orders.pace)
        self._sender = Sender(
            write or (lambda call, _until: send(call)), journal, self._outcomes, self._window, orders.onboarding
        )

    @property
    def tally(self) -> Tally:
        """What became of the plan so far."""
        return self._outcomes.tally

    async def run(self) -> Tally:
        """Carry out what is not settled yet.

        Returns:
            The tally; `stopped` says why rows are left.

        Raises:
            StopRun: the server is gone, refuses the key, or a budget is spent; the journal has everything up to then.
        """
        todo = self._todo()
        waiting: list[Task] = []
        while True:
            room = 0 if len(waiting) > MOST_WAITING else self._outcomes.room(self._window.batch, len(waiting))
            if self.tally.stopped:  # rows that were never sent stay left
                waiting = [task for task in waiting if task.state != FRESH]
            late = [task for task in waiting if task.state == FRESH]
            fresh = list(islice(todo, max(0, room - len(late))))
            if not fresh and not waiting:
                break
            now = time.monotonic()
            due = [task for task in waiting if task.due <= now and task.state != FRESH] + late[: self._window.batch]
            if not fresh and not due:
                await asyncio.sleep(min(task.due for task in waiting) - now)
                continue
            taken = {task.n for task in due}
            waiting = [task for task in waiting if task.n not in taken]
            waiting += await self._round([*fresh, *due])
        self.tally.window = self._window.longest
        return self._outcomes.finish()

    def _todo(self) -> Iterator[Task]:
        """Rows that no earlier run settled; a row that was begun is in the state in which it was left."""
        for n, entry in enumerate(e for e in self._plan.entries() if e.writes):
            if n in self._journal.settled:
                continue
            task, begun = Task(n, entry, id=entry.id), self._journal.open.get(n)
            if begun is not None:
                task.state = WRITTEN if begun.what == "answer" else UNKNOWN
                task.id, task.doubtful = begun.id or entry.id, begun.what != "answer"
            yield task

    async def _round(self, tasks: Sequence[Task]) -> list[Task]:
        """Look at rows, settle and write what can be; returns the rows to look at again."""
        held = await self._look(tasks)
        ready = [task for task in tasks if self._judge(task, held.get(task.n))]
        ready = await self._without_subscriptions(ready[: self._window.batch])
        if ready:
            await self._sender.send(ready, held)
        self._journal.sync()
        return [task for task in tasks if task.n not in self._journal.settled]

    async def _look(self, tasks: Sequence[Task]) -> dict[int, Customer]:
        """The customers of rows as they are now; archived ones too where a row has no published one."""
        found: dict[int, Customer] = {}
        self._window.open()
        for by in ("id", "external_id"):
            group = [task for task in tasks if task.by[0] == by]
            published = await look_up(self._send, by, [task.by[1] for task in group])
            missing = [task for task in group if task.by[1] not in published]
            # Somebody else may have archived the customer of a create whose outcome is unknown.
            rest = [task.by[1] for task in missing if by == "id" or task.doubtful]
            both = {**await look_up(self._send, by, rest, "archived"), **published}
            found |= {task.n: both[task.by[1]] for task in group if task.by[1] in both}
        return found

    def _judge(self, task: Task, held: Customer | None) -> bool:
        """Settle a row, or put it off; True when it may be written now."""
        verdict = verdict_on(task, held, len(self._looks))
        if verdict is AGAIN:
            task.looks += 1
            task.due = time.monotonic() + self._looks[task.looks]
        elif verdict is not SEND:
            self._outcomes.settle(task, verdict.outcome, verdict.why, verdict.held)
        return verdict is SEND

    async def _without_subscriptions(self, ready: list[Task]) -> list[Task]:
        """Rows without archives of customers that got a subscription since the plan (contract.md 5.4)."""
        archives = [task.entry.id for task in ready if task.entry.do == "archive"]
        if not archives:
            return ready
        busy = await subscribed(self._send, archives, every=self._every_subscription)
        for task in ready:
            if task.entry.do == "archive" and task.entry.id in busy:
                self._outcomes.settle(task, "skipped", f"it has a subscription now ({busy[task.entry.id]})")
        return [task for task in ready if task.n not in self._journal.settled]
