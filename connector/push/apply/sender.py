"""Sends the writes of a batch: intents first, then all calls at once, then what the server answered.

Promised: the intent of a write is on the disk before it is sent; a write that certainly was not carried out is noted as
withdrawn, any other stays open in the journal until it is looked up. Never done: HTTP (it is handed `write`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from connector.api.answers import NotSent
from connector.api.calls import Call, Reply
from connector.errors import Conflict, NotFound, SkipRow, StopRun, UnknownOutcome
from connector.push.account.customer import Customer
from connector.push.apply.journal import Journal
from connector.push.apply.outcomes import Outcomes
from connector.push.apply.requests import created_id, requests_of
from connector.push.apply.task import ATTEMPTS, FRESH, UNKNOWN, WRITTEN, Task
from connector.push.apply.window import Window

__all__ = ["Sender", "Write"]

ATTEMPTS_500 = 3  # times that a write is sent if a 500 answers it each time: some are permanent (contract.md 2.4)
Write = Callable[[Call, float], Awaitable[Reply]]


class Sender:
    """Sends writes. See `connector.push.apply.apply.Apply` for the arguments."""

    def __init__(self, write: Write, journal: Journal, outcomes: Outcomes, window: Window, onboarding: str) -> None:
        self._write, self._journal, self._outcomes = write, journal, outcomes
        self._window, self._onboarding = window, onboarding

    async def send(self, ready: Sequence[Task], held: Mapping[int, Customer]) -> None:
        """Note every intent, bring the notes to the disk, then send all at once.

        Args:
            ready: rows that may be written now.
            held: number of a row → its customer as it was just read.

        Raises:
            StopRun: the server is gone, refuses the key, or a budget is spent.
        """
        for task in ready:
            self._journal.write(task.line("intent"))
        self._journal.sync()
        sent = [self._send_one(task, held.get(task.n)) for task in ready]
        results = await asyncio.gather(*sent, return_exceptions=True)
        self._window.adapt(len(ready), sum(task.late for task in ready))
        failures = [error for error in results if error is not None]
        if failures:
            self._journal.sync()
            raise failures[0]

    async def _send_one(self, task: Task, held: Customer | None) -> None:
        task.sent += 1
        task.looks, task.due, task.late = 0, 0.0, False
        task.state = UNKNOWN
        task.wanted = held.with_changes(task.entry.changes) if held else None
        begun = False  # whether a first of two calls was carried out
        try:
            for call in requests_of(task.entry, held, self._onboarding):
                reply = await self._write(call, self._window.until)
                self._window.measure(reply)
                task.request_id = reply.request_id
                begun = True
        except UnknownOutcome as error:
            task.error, task.request_id = str(error), error.request_id
            task.attempts = ATTEMPTS_500 if error.status == 500 else ATTEMPTS
            task.doubtful = True
        except NotSent:
            self._late(task, begun)
        except SkipRow as error:
            self._refused(task, error, begun)
        except StopRun:  # refused before it was carried out; only a second of two calls leaves the write open
            self._withdraw(task, begun)
            raise
        else:
            task.state = WRITTEN
            task.id = task.id or created_id(reply)
            self._journal.write(task.line("answer"))

    def _late(self, task: Task, begun: bool) -> None:
        """Its turn came too late: the row is checked again."""
        task.late = True
        if begun:
            task.doubtful = True  # the first call was carried out: no later refusal may withdraw the intent
            return
        task.sent -= 1
        self._withdraw(task, begun)
        task.state = UNKNOWN if task.doubtful else FRESH

    def _refused(self, task: Task, error: SkipRow, begun: bool) -> None:
        """The server refused a call. A create that is taken (409) is looked up, any other row has failed."""
        raced = isinstance(error, Conflict | NotFound)
        task.request_id = error.request_id
        if raced:
            task.error = str(error)
            task.taken = isinstance(error, Conflict) and task.entry.do == "create"
        self._withdraw(task, begun)
        if not raced or task.entry.do == "update":
            self._outcomes.settle(task, "failed", str(error))

    def _withdraw(self, task: Task, begun: bool) -> None:
        """Note that a write was certainly not carried out, unless a call of it, or an earlier send, may have been."""
        if not begun and not task.doubtful:
            self._journal.write(task.line("withdrawn"))
