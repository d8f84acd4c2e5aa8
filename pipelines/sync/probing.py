"""The probe of the analytics store while usage is read: GET /events (contract.md 12).

Promised: one is made before the first usage call, one at most every `INTERVAL` while usage is read, one after the last;
each is one exchange that passes the gate, so it counts in max_calls, and its failure ends nothing. Where the server has
no such probe it is made no more, and a note says so. Never done: judging a figure by it (see `doubts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from connector.api import calls
from connector.api.calls import Reply
from connector.api.retries import Retry
from connector.errors import BudgetSpent, SkipRow, StopRun
from connector.pull.probes import Health, Probes, health_of

INTERVAL = 5.0  # seconds
TIMEOUT = 30.0  # seconds: the server itself waits 10 s for a store that it cannot reach (contract.md 11)
SILENT = 3  # probes in a row that say nothing, before they are given up
ONCE = Retry(attempts=1)


class Prober:
    """Makes the probes of one process.

    Args:
        send: the client's `send`.
        note: gets a sentence for the report.
        clock: seconds, never going back; the clock of `Reply.began`.
        wanted: whether to probe at all (`analytics_probe`).

    Attributes:
        probes: what the probes said.
    """

    def __init__(
        self,
        send: Callable[..., Awaitable[Reply]],
        note: Callable[[str], None],
        clock: Callable[[], float],
        *,
        wanted: bool = True,
    ) -> None:
        self.probes = Probes()
        self._send = send
        self._note = note
        self._clock = clock
        self._wanted = wanted
        self._due_at = float("-inf")
        self._used = False  # usage was read since the last probe was sent
        self._silent = 0
        self._why = ""  # what the newest probe met
        self._probing = asyncio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether probes are made: they are switched on, and this server has been found to answer them so far."""
        return self._wanted

    async def before_usage(self) -> None:
        """Call this before each usage call: it probes when a probe is due; the first one is waited for by all."""
        if not self._wanted:
            return
        if not len(self.probes):
            async with self._probing:
                if not len(self.probes):
                    await self._probe()
        else:
            await self._probe_if_due()
        self._used = True

    async def meanwhile(self) -> None:
        """Call this before each call beside usage: it probes when a probe is due and usage was read since the last."""
        if self._wanted and self._used:
            await self._probe_if_due()

    async def after_usage(self) -> None:
        """Call this as soon as no usage call is under way any more: the last probe of a pass."""
        if self._wanted and self._used:
            await self._probe()
            if self._wanted and self._heard_nothing:
                self._give_up(self._why)

    async def before_second_calls(self) -> None:
        """Probe once more where the last probe said down: a second call is worth making only when the store is back."""
        if self._wanted and self.probes.last is Health.DOWN:
            await self._probe()

    async def _probe_if_due(self) -> None:
        if self._clock() >= self._due_at and not self._probing.locked():
            async with self._probing:
                await self._probe()

    async def _probe(self) -> None:
        self._used = False
        sent = self._clock()
        self._due_at = sent + INTERVAL
        health, self._why = await self._ask()
        self.probes.add(sent, self._clock(), health)
        self._silent = self._silent + 1 if health is Health.UNKNOWN else 0
        if health is Health.ABSENT or self._silent == SILENT:
            self._give_up(self._why)

    @property
    def _heard_nothing(self) -> bool:
        return self._silent == len(self.probes)

    def _give_up(self, why: str) -> None:
        self._wanted = False
        self._note(f"the analytics store cannot be probed, so false zeros are told by their figures only: {why}")

    async def _ask(self) -> tuple[Health, str]:
        try:
            await self._send(calls.probe_events(), retries=ONCE, timeout=TIMEOUT)
        except BudgetSpent:
            raise
        except (SkipRow, StopRun) as error:
            return health_of(error.status, error.message), error.message
        return Health.UP, ""
