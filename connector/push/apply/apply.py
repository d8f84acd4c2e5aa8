"""Carries a plan out: check again, note the intent, write, read back, note the outcome.

Promised: nothing is written that the plan does not show; a customer that changed since the plan is left alone and
listed; killed anywhere and run again, the end is the same and no customer is made twice; a write whose outcome is not
known is looked up over ten seconds before it is sent again, and the server's uniqueness answers 409 if it did arrive
(contract.md 5.1); every written row is read back with all its columns. Never done: HTTP (it is handed `send`).

The API has no conditional write. Customers are checked in batches just before they are written; another writer's edit
that falls between that check and the PUT is overwritten in the fields of this plan. `Tally.window` is the longest such
gap that was seen. A PUT may also start from a cached copy and bring old values back in other columns (contract.md
3.8): that is why all columns are read back and differences told.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from connector.api.answers import NotSent, UnknownOutcome
from connector.api.calls import Call, Reply, create_customer, delete_customer, update_customer
from connector.errors import Conflict, NotFound, SkipRow, StopRun
from connector.push.account.customer import Customer, Send, fingerprint, look_up
from connector.push.account.subscribed import subscribed
from connector.push.apply.drift import (
    ABSENT,
    AFTER,
    BEFORE,
    GONE,
    LEFTOVER,
    MIDDLE,
    OTHER,
    against,
    changed_since,
    stage,
)
from connector.push.apply.journal import Journal, Line
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Plan

__all__ = ["Apply", "Orders", "Pace", "Tally"]

MOST_WAITING = 800  # rows in one look-up besides a batch; a look-up asks for a thousand at most
TRIES = 6  # times a write whose outcome stays unknown is sent
TRIES_500 = 3  # of one that a 500 answers each time: some are permanent (contract.md 2.4)

Write = Callable[[Call, float], Awaitable[Reply]]
FRESH, UNKNOWN, WRITTEN = "fresh", "unknown", "written"


@dataclass(frozen=True)
class Pace:
    """How many rows at once, and how patiently.

    Attributes:
        batch: rows that are checked together: few, so that the time between check and write is short.
        window: seconds between the check and the sending of a write, at most; a later one is checked again. It grows
            only where a single row comes too late: then the pace that was asked for leaves no other way.
        looks: seconds before each look at a row that is not as expected, for a replica may lag: ten in all.
    """

    batch: int = 100
    window: float = 1.0
    looks: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 3.25)


@dataclass(frozen=True)
class Orders:
    """How a plan is carried out.

    Attributes:
        onboarding: skip, run, or run:NAME: what a create says of the account's onboarding workflow.
        canary: stop once so many are settled, for somebody to look at them; 0 for none.
        max_failures: stop after so many rows that failed or differ.
        pace: see `Pace`.
    """

    onboarding: str = "skip"
    canary: int = 0
    max_failures: int = 50
    pace: Pace = Pace()


@dataclass
class Tally:
    """What became of the plan.

    Attributes:
        outcomes: how many rows are done, differ, were skipped or failed, earlier tries included.
        earlier: rows that an earlier try had settled.
        left: rows that were not settled.
        window: seconds, the longest time between a check and the sending of its write.
        stopped: why it ended early, or "".
        canary: outcomes of the canary, where that is why.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    earlier: int = 0
    left: int = 0
    window: float = 0.0
    stopped: str = ""
    canary: list[Line] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every planned row is done."""
        return not self.left and set(+self.outcomes) <= {"done"}


@dataclass
class _Task:
    """One planned write on its way; `wanted` is the customer with all its columns, once that is known."""

    n: int
    entry: Entry
    state: str = FRESH
    id: str = ""
    wanted: Customer | None = None
    sent: int = 0
    looks: int = 0
    due: float = 0.0
    tries: int = TRIES
    doubtful: bool = False  # a send of which it is not known whether it arrived
    late: bool = False  # its last turn came too late, and nothing was sent
    taken: bool = False  # the server said 409
    error: str = ""
    request_id: str = ""

    @property
    def by(self) -> tuple[str, str]:
        """How it is looked up."""
        return ("id", self.id) if self.id else ("external_id", self.entry.external_id)


class Apply:
    """One try at a plan.

    Args:
        plan: checked.
        send: makes one call; writes are not repeated by it where they may have been carried out.
        journal: of this plan, with what earlier tries did.
        orders: see `Orders`.
        told: is called with the number of rows just settled.
        write: makes one write that must not start after a moment of `time.monotonic`, or raises NotSent; `send`, where
            nobody can be late.
        busy: whether customers with a cancelled subscription are not archived either.
    """

    def __init__(
        self,
        plan: Plan,
        send: Send,
        journal: Journal,
        orders: Orders,
        told: Callable[[int], None] = lambda _: None,
        write: Write | None = None,
        busy: bool = False,
    ) -> None:
        self.plan, self.send, self.journal, self.orders, self.told = plan, send, journal, orders, told
        self.tally = Tally(Counter(line.outcome for line in journal.settled.values()), len(journal.settled))
        self.write: Write = write or (lambda call, _until: send(call))
        self.busy = busy
        self._batch, self._window = orders.pace.batch, orders.pace.window
        self._failures = 0
        self._canary: list[Line] | None = [] if orders.canary else None
        self._looked_at = self._write_until = 0.0

    async def run(self) -> Tally:
        """Carry out what is not settled yet.

        Returns:
            The tally; `stopped` says why rows are left.

        Raises:
            StopRun: the server is gone, refuses the key, or a budget is spent; the journal has everything up to then.
        """
        counts = self.plan.header.counts
        self.tally.left = counts["create"] + counts["update"] + counts["archive"] - len(self.journal.settled)
        todo = self._todo()
        waiting: list[_Task] = []
        while True:
            room = self._room(len(waiting))
            if self.tally.stopped:  # what was never sent stays left
                waiting = [task for task in waiting if task.state != FRESH]
            late = [task for task in waiting if task.state == FRESH]
            fresh = list(islice(todo, max(0, room - len(late))))
            if not fresh and not waiting:
                break
            now = time.monotonic()
            due = [task for task in waiting if task.due <= now and task.state != FRESH] + late[: self._batch]
            if not fresh and not due:
                await asyncio.sleep(min(task.due for task in waiting) - now)
                continue
            taken = {task.n for task in due}
            waiting = [task for task in waiting if task.n not in taken]
            waiting += await self._round([*fresh, *due])
        if self._canary and self.tally.left and not self.tally.stopped:
            self.tally.stopped, self.tally.canary = f"after the canary of {len(self._canary)}", self._canary
        return self.tally

    def _todo(self) -> Iterator[_Task]:
        """Rows that no earlier try settled; where one was begun, in the state that it was left in."""
        for n, entry in enumerate(e for e in self.plan.entries() if e.writes):
            if n in self.journal.settled:
                continue
            task, begun = _Task(n, entry, id=entry.id), self.journal.open.get(n)
            if begun is not None:
                task.state = WRITTEN if begun.what == "answer" else UNKNOWN
                task.id, task.doubtful = begun.id or entry.id, begun.what != "answer"
            yield task

    def _room(self, waiting: int) -> int:
        """How many fresh rows may be taken."""
        if self.tally.stopped or waiting > MOST_WAITING:
            return 0
        if self._failures >= self.orders.max_failures:
            self.tally.stopped = f"{self._failures} rows failed, which is as many as may (--max-failures)"
            return 0
        if self._canary is None:
            return self._batch
        return min(self._batch, max(0, self.orders.canary - len(self._canary) - waiting))

    async def _round(self, tasks: Sequence[_Task]) -> list[_Task]:
        """Look at rows, settle what can be, write what may be; returns those to be looked at again."""
        held = await self._look(tasks)
        ready = [task for task in tasks if self._judge(task, held.get(task.n))]
        ready = await self._spared(ready[: self._batch])
        if ready:
            await self._write(ready, held)
        self.journal.sync()
        return [task for task in tasks if task.n not in self.journal.settled]

    async def _spared(self, ready: list[_Task]) -> list[_Task]:
        """Those that may go on: no archive where a subscription was bought since the plan (contract.md 5.4)."""
        archives = [task.entry.id for task in ready if task.entry.do == "archive"]
        if not archives:
            return ready
        busy = await subscribed(self.send, archives, every=self.busy)
        for task in ready:
            if task.entry.do == "archive" and task.entry.id in busy:
                self._settle(task, "skipped", f"it has a subscription now ({busy[task.entry.id]})")
        return [task for task in ready if task.n not in self.journal.settled]

    # --- looking --------------------------------------------------------------------------------------------------

    async def _look(self, tasks: Sequence[_Task]) -> dict[int, Customer]:
        """The customers of rows as they are now; archived ones too where a row has no published one."""
        found: dict[int, Customer] = {}
        self._looked_at = time.perf_counter()
        self._write_until = time.monotonic() + self._window
        for by in ("id", "external_id"):
            group = [task for task in tasks if task.by[0] == by]
            published = await look_up(self.send, by, [task.by[1] for task in group])
            open_ = [task for task in group if task.by[1] not in published]
            # A create of which nothing is known may have been archived since by somebody else.
            rest = [task.by[1] for task in open_ if by == "id" or task.doubtful]
            both = {**await look_up(self.send, by, rest, "archived"), **published}
            found |= {task.n: both[task.by[1]] for task in group if task.by[1] in both}
        return found

    def _judge(self, task: _Task, held: Customer | None) -> bool:
        """Settle a row where its state says what became of it; True when it may be written now."""
        now = stage(task.entry, held)
        if task.state == FRESH:
            return self._judge_fresh(task, held, now)
        if now == AFTER:
            self._settle(task, "done", held=held)
        elif now == LEFTOVER and task.state == UNKNOWN and held is not None and not _made_and_archived(task, held):
            return self._wait_or_go_on(task, None)
        elif now in (OTHER, LEFTOVER) or (now == GONE and task.entry.do != "archive"):
            self._settle(task, *self._strange(task, held), held=held)
        elif now == MIDDLE and task.state == UNKNOWN and (task.late or not task.sent):
            return True
        else:
            return self._wait_or_go_on(task, held)
        return False

    def _wait_or_go_on(self, task: _Task, held: Customer | None) -> bool:
        """A row that shows nothing new: look again, for a replica may lag; then settle it, or True to send again."""
        if task.looks + 1 < len(self.orders.pace.looks):
            task.looks += 1
            task.due = time.monotonic() + self.orders.pace.looks[task.looks]
        elif task.state == WRITTEN:
            why = "the server answered that it was written; ten seconds later it still shows what was before"
            self._settle(task, "differs", why, held)
        elif task.sent >= task.tries and task.taken:
            why = "the server says that it exists (409), and does not show it"
            self._settle(task, "skipped", f"{why}. {task.error}", held)
        elif task.sent >= task.tries:
            self._settle(task, "failed", f"sent {task.sent} times without an effect. {task.error}", held)
        else:
            return True
        return False

    def _judge_fresh(self, task: _Task, held: Customer | None, now: str) -> bool:
        if now == (ABSENT if task.entry.do == "create" else BEFORE):
            return True
        if now == AFTER:
            self._settle(task, "done", "it was so already: nothing was sent", held)
        else:
            self._settle(task, "skipped", changed_since(task.entry, held), held)
        return False

    def _strange(self, task: _Task, held: Customer | None) -> tuple[str, str]:
        """Outcome and reason of a row that is neither as before nor as planned, after it was sent."""
        differing = against(task.entry, held, task.wanted)
        if task.state == WRITTEN:
            return "differs", f"it was written and reads back otherwise: {differing}"
        if task.entry.do == "create":
            return "skipped", f"a customer with this external_id exists and is not as planned: {differing}"
        return "skipped", f"somebody changed it, and whether this write arrived is not known: {differing}"

    # --- writing --------------------------------------------------------------------------------------------------

    async def _write(self, ready: Sequence[_Task], held: dict[int, Customer]) -> None:
        """Note every intent, bring the notes to the disk, then send all at once through the gate."""
        for task in ready:
            self.journal.write(_line("intent", task))
        self.journal.sync()
        sent = [self._send_one(task, held.get(task.n)) for task in ready]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        self._adapt(len(ready), sum(task.late for task in ready))
        failures = [error for error in outcomes if error is not None]
        if failures:
            self.journal.sync()
            raise failures[0]

    def _adapt(self, ready: int, late: int) -> None:
        """Check as many together as can be sent in time; never look for ever at a row that never gets its turn."""
        if late == ready == 1:
            self._window *= 2
        self._batch = max(1, ready - late) if late else min(self.orders.pace.batch, self._batch * 2)

    async def _send_one(self, task: _Task, held: Customer | None) -> None:
        task.sent += 1
        task.looks, task.due, task.late = 0, 0.0, False
        task.state = UNKNOWN
        task.wanted = held.with_changes(task.entry.changes) if held else None
        calls = list(self._calls(task.entry, held))
        first = call = calls[0]
        try:
            for call in calls:
                reply = await self.write(call, self._write_until)
                self._measure(reply)
                task.request_id = reply.request_id
        except UnknownOutcome as error:
            task.error, task.request_id = str(error), error.request_id
            task.tries = TRIES_500 if error.status == 500 else TRIES
            task.doubtful = True
        except NotSent:
            task.late = True
            if call is first:
                task.sent -= 1
                self._withdraw(task)
                task.state = UNKNOWN if task.doubtful else FRESH
        except (Conflict, NotFound) as error:
            task.error, task.request_id = str(error), error.request_id
            task.taken = isinstance(error, Conflict) and task.entry.do == "create"
            if call is first:  # somebody else was there first: this run did not do it
                self._withdraw(task)
            if task.entry.do == "update":
                self._settle(task, "failed", str(error))
        except SkipRow as error:
            task.request_id = error.request_id
            if call is first:
                self._withdraw(task)
            self._settle(task, "failed", str(error))
        except StopRun:  # refused before it was carried out; only a write that was sent in two halves stays open
            if call is first:
                self._withdraw(task)
            raise
        else:
            task.state = WRITTEN
            task.id = task.id or _id_of(reply)
            self.journal.write(_line("answer", task))

    def _withdraw(self, task: _Task) -> None:
        """Note that a write was certainly not carried out, unless an earlier send of it may have been."""
        if not task.doubtful:
            self.journal.write(_line("withdrawn", task))

    def _measure(self, reply: Reply) -> None:
        """How long after the check the write was sent."""
        self.tally.window = max(self.tally.window, time.perf_counter() - reply.elapsed - self._looked_at)

    def _calls(self, entry: Entry, held: Customer | None) -> Iterator[Call]:
        if entry.do == "create":
            yield create_customer({**entry.changes, **_onboarding(self.orders.onboarding)})
        elif entry.do == "archive":
            yield delete_customer(entry.id)
        else:
            yield from _updates(entry, held)

    # --- settling -------------------------------------------------------------------------------------------------

    def _settle(self, task: _Task, outcome: str, why: str = "", held: Customer | None = None) -> None:
        line = _line("outcome", task)
        line.outcome, line.why = outcome, why
        line.id = task.id or (held.id if held and outcome in ("done", "differs") else "")
        line.left = fingerprint(held) if held else ""
        self.journal.write(line)
        self.tally.outcomes[outcome] += 1
        self.tally.left -= 1
        self._failures += outcome in ("failed", "differs")
        if self._canary is not None:
            self._canary.append(line)
        self.told(1)


# --- what is sent ---------------------------------------------------------------------------------------------


def _updates(entry: Entry, held: Customer | None) -> Iterator[Call]:
    """PUTs of an update.

    An external_id is changed together with the metadata that is wanted, or the server would write its list of (wrong)
    old ids into it; beside null metadata it fails, so that is made an object first (contract.md 5.3).
    """
    changes = dict(entry.changes)
    if "external_id" in changes:
        stored = held.metadata if held else None
        changes.setdefault("metadata", stored or {})
        if stored is None:
            yield update_customer({"metadata": changes["metadata"]}, id=entry.id)
    yield update_customer(changes, id=entry.id)


def _onboarding(choice: str) -> dict[str, Any]:
    if choice == "skip":
        return {"skip_onboarding_workflow": True}
    name = choice.partition(":")[2]
    return {"onboarding_workflow_name": name} if name else {}


def _made_and_archived(task: _Task, held: Customer) -> bool:
    """Whether an archived namesake is what a lost create of this run made: as planned, but for its status."""
    return task.doubtful and stage(task.entry, held.with_changes({"status": "published"})) == AFTER


class _Made(msgspec.Struct):
    id: str = ""


def _id_of(reply: Reply) -> str:
    try:
        return msgspec.json.decode(reply.body, type=_Made).id if reply.body else ""
    except msgspec.DecodeError:
        return ""


def _line(what: Any, task: _Task) -> Line:
    entry = task.entry
    return Line(
        what, task.n, at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", line=entry.line, do=entry.do,
        external_id=entry.external_id, id=task.id, request_id=task.request_id,
        set=entry.set if what == "intent" else {}, precondition=entry.precondition if what == "intent" else "",
    )  # fmt: skip
