"""What calls do while the server fails: whether a failure is the call's own or everybody's, and the way back.

Promised: a failure counts against a call only if the server answered others of its endpoint class since the call's
failure before; where no other call tells, a control call does, a read that worked a moment ago. While the server fails
as a whole, the gate is held, one caller at a time probes with a control call, and no failure costs an attempt; the
first answer opens the gate. No 500 is permanent before the episode has ended. A server that never answered has no
outage: there, a control call only shows whether a 500 is permanent. Never done: holding the gate with nobody probing,
sending a write as a probe, waiting longer than `max_pause`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from connector.api.calls import Call, search_customers
from connector.api.flow import Gate
from connector.api.outages import Outages, Outcome
from connector.api.retries import LISTINGS, PER_CUSTOMER, Failure, RetryState
from connector.errors import FlexsyncError, KeyRefused, Unreachable

__all__ = ["Probe", "Recovery", "Waiting"]

Probe = Callable[[Call, float], Awaitable[FlexsyncError | None]]  # call, time limit → None: the server answered
Waiting = Callable[[float, float, FlexsyncError | None], None]
"""Hears of a wait: its seconds so far, those that it may last, and the last failure; None: it is over."""

ESSENTIAL = PER_CUSTOMER | LISTINGS | {"writes"}  # other classes are asked by the way: nobody waits for them
SMALLEST = search_customers(limit=1)  # the control call of a class that has none of its own
KNOWN_GOOD = 4  # calls of a class that are remembered as control calls: one may be about a customer that fails
CONTROLS = 2  # control calls that must fail: one may fail by chance
CONTROL_TIMEOUT = 10.0  # seconds
FIRST, LONGEST = 0.25, 1.0  # seconds between probes: a recovered server is used within LONGEST
LEAST_TIMEOUT = 2.0  # seconds for a probe; later ones get a quarter of the time that was waited
TOLD_AFTER = 5.0  # seconds of a wait that somebody wants to know of
KEY_PATIENCE = 30.0  # seconds of nothing but 401: the key was withdrawn (a database outage gives them too, for less)


class Recovery:
    """Tells outages from failures of single calls, for one client.

    Args:
        gate: held while the server fails.
        outages: is told of every exchange.
        probe: sends one control call.
        timeout: seconds for one attempt of any call.
        clock: seconds, as the moments of `note`.
        on_wait: hears once that a wait takes longer, and once that it is over; if it ends the run, the error says so.
    """

    def __init__(
        self,
        gate: Gate,
        outages: Outages,
        probe: Probe,
        timeout: float,
        clock: Callable[[], float],
        on_wait: Waiting | None = None,
    ) -> None:
        self.failing = False  # from the first sign of an outage to the first answer
        self._gate, self._outages, self._probe, self._timeout, self._clock = gate, outages, probe, timeout, clock
        self._on_wait = on_wait or (lambda *_: None)
        self._answered: dict[str, float] = {}  # endpoint class → start of the last exchange that was answered
        self._good: defaultdict[str, deque[Call]] = defaultdict(lambda: deque(maxlen=KNOWN_GOOD))
        self._down_until = -1.0  # when a probe failed last, in an outage
        self._asking = asyncio.Lock()  # one caller at a time finds out how the server is

    def note(self, call: Call, began: float, ended: float, outcome: Outcome) -> None:
        """Take in one exchange; see `Outages.note`."""
        if outcome is Outcome.ANSWERED:
            self._answered[call.endpoint] = max(began, self._answered.get(call.endpoint, 0.0))
            if call.endpoint in PER_CUSTOMER:
                self._good[call.endpoint].append(call)
        if self._outages.note(began, ended, outcome, call.about, call.endpoint):
            self.failing = True

    @property
    def served_customers(self) -> bool:
        """Whether any call about one customer was ever answered."""
        return bool(self._good)

    async def ride_out(self, state: RetryState, failure: Failure, key_worked: bool) -> bool:
        """Find out whose failure it is; if the server's, wait until it answers again.

        Args:
            state: of the call that failed; what the outage explains is forgotten there.
            failure: the newest one, not yet in `state`.
            key_worked: whether the server ever answered this client.

        Returns:
            Whether the failure says nothing about the call, which may be sent again at once.

        Raises:
            StopRun: `max_pause`, or another limit of the run, has passed.
        """
        if state.last and self._explains(state.last):
            state.forget()  # the outage was noticed after this failure
        if not self._is_in_doubt(state, failure):
            return False
        own = not self.failing and await self._is_its_own(state, failure, key_worked)
        if not own and not self.failing:  # it may have begun while the control call was made
            self._outages.declare((state.first or failure).began)
            self.failing, self._down_until = True, self._clock()
        if self.failing:
            await self.wait(state.call)
        state.proven = state.proven and not self._outages.open  # inside an episode nothing is permanent
        if self._explains(failure):
            state.forget(1)
            return True
        return False

    async def wait(self, call: Call) -> None:
        """Return when the server answers, at once if it does not fail; whoever comes first probes, for all."""
        async with self._asking:
            if self.failing:
                self._gate.check()  # whoever waited for its turn does not wait again for a run that is over
                with self._gate.holding():
                    self._answered[call.endpoint] = await self._until_answered(call)
                self.failing = False

    def _explains(self, failure: Failure) -> bool:
        """Whether it is sure that the server failed others as well, then and later."""
        return failure.ended <= self._down_until and self._outages.covers(failure.ended)

    def _is_in_doubt(self, state: RetryState, failure: Failure) -> bool:
        """Whether an outage can explain this failure, and the call can be sent again after it."""
        error = failure.error
        broken = error.status != 429 and error.retry_after is None
        if error.status == 401:
            broken = self.failing  # a database that does not answer gives these (contract.md 1.2), a wrong key as well
        usual = state.call.endpoint in ESSENTIAL and state.retry.attempts > 1
        return broken and usual and state.patient and state.safe(failure)

    async def _is_its_own(self, state: RetryState, failure: Failure, key_worked: bool) -> bool:
        """Whether nothing speaks for an outage; until the server has ever answered, nothing does."""
        before = state.last
        if before is None or self._has_answered(state.call, before.ended):
            state.proven = True
        elif key_worked:
            state.proven = await self._answers_others(state.call, before.ended, CONTROLS)
        elif failure.error.status == 500 and state.proven:
            state.proven = await self._answers_others(state.call, before.ended, 1)
        return state.proven or not key_worked

    def _has_answered(self, call: Call, since: float) -> bool:
        return self._answered.get(call.endpoint, -1.0) >= since

    async def _answers_others(self, call: Call, since: float, controls: int) -> bool:
        """Whether the server answers another call of the class, by what is known or by control calls."""
        async with self._asking:
            for _ in range(controls):
                if self.failing or self._has_answered(call, since):
                    break
                asked = self._clock()
                if await self._probe(self._control(call), min(self._timeout, CONTROL_TIMEOUT)) is None:
                    self._answered[call.endpoint] = asked
            return not self.failing and self._has_answered(call, since)

    async def _until_answered(self, call: Call) -> float:
        """Probe until an answer comes; returns when the answered probe started."""
        began, delay, only_401, told = self._clock(), FIRST, True, False
        while True:
            await asyncio.sleep(max(0.0, min(delay, self._gate.left())))
            asked = self._clock()
            limit = max(LEAST_TIMEOUT, (asked - began) / 4)
            error = await self._probe(self._control(call), min(self._timeout, limit))
            if error is None:
                if told:
                    self._on_wait(asked - began, self._gate.max_pause, None)
                return asked
            self._down_until = self._clock()
            waited = self._down_until - began
            only_401 = only_401 and isinstance(error, KeyRefused)
            if only_401 and waited > KEY_PATIENCE:
                self._gate.give_up(KeyRefused(error.message, remedy=error.remedy))
            if waited + delay > self._gate.max_pause:
                self._gate.give_up(_too_long(waited, error))
            if waited >= TOLD_AFTER and not told:
                told = True
                self._on_wait(waited, self._gate.max_pause, error)
            delay = min(LONGEST, 2 * delay)

    def _control(self, call: Call) -> Call:
        """A call of the same class about another customer that worked; another one each time, if there are several."""
        good = self._good.get(call.endpoint, deque())
        good.rotate()
        return next((known for known in good if known.about != call.about), SMALLEST)


def _too_long(waited: float, error: FlexsyncError) -> Unreachable:
    return Unreachable(
        f"The server failed for {waited:.0f} s; the last sign of it: {error.message}",
        remedy="Run again when it answers, or raise max_pause: state is kept.",
    )
