"""How many calls at once, how fast, and when to wait: one `Gate` that all calls of a run pass (design section 6).

Promised: never more calls in flight than `max_in_flight`, nor more of one endpoint class than its own limit allows;
never more than `calls_per_second` starts in any second; a pause holds every worker; no endpoint starves another; a
cancelled caller gives its place back; a spent budget wakes whoever waits. Limits start at 4 and follow the answers:
up while latency stays level, down when it doubles for no throughput, halved on a fault.
Never done: I/O, or knowing what a call is. One gate belongs to one event loop.

Every endpoint class has a limit of its own because their costs differ tenfold (contract.md section 11).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tenacity

from connector.errors import BudgetSpent

__all__ = ["Gate", "Retry", "Slot"]

START = 4  # calls in flight that every endpoint begins with: enough to learn, too few to hurt
FLOOR = 8  # successes that a window needs at least, so that its median means something
GREW = 2.0  # a median this many times the best one says that the server is queueing
GAIN = 1.1  # a rate this many times the best one is worth its latency
FADE = 1.05  # per window at the lowest limit, so that a record from quieter times does not hold forever
LEAST_PAUSE = 0.1  # seconds: `Retry-After: 0` must not become a busy loop
TICK = 0.001  # seconds: a timer may fire a hair early, and must not spin


@dataclass(frozen=True)
class Retry:
    """How often and how patiently one call is repeated.

    Attributes:
        attempts: tries in total, the first included; waits that the server asked for cost none.
        wait: tenacity's strategy for the seconds between tries; by default exponential with full jitter.
    """

    attempts: int = 6
    wait: tenacity.wait.wait_base = field(
        default_factory=lambda: tenacity.wait_random_exponential(multiplier=1, max=60)
    )

    def seconds(self, tried: int) -> float:
        """How long to wait after try number `tried` (1 is the first)."""
        state = tenacity.RetryCallState(_NO_LOOP, None, (), {})
        state.attempt_number = tried
        return self.wait(state)


_NO_LOOP = tenacity.Retrying()  # a strategy is asked for seconds only; the loop around it is ours


class _Lane:
    """One endpoint class: its limit, who waits, and what the last window of answers showed."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.limit = float(min(START, most))
        self.in_flight = 0
        self.peak = 0
        self.queue: deque[asyncio.Future[int]] = deque()
        self.turn = 0  # when it was last served; the longest-waiting lane wins a tie
        self.calls = 0
        self.failed = 0
        self.best = math.inf  # seconds: the lowest median of a window
        self.best_rate = 0.0
        self.median = 0.0
        self.fresh = True  # doubles its limit per window until the first sign of queueing
        self.cut_at = 0  # calls started before this number cannot halve the limit again
        self.window: list[float] = []
        self.window_began = -1.0
        self.full = False  # the limit was reached in this window, so it is the limit that was measured

    @property
    def has_room(self) -> bool:
        return self.in_flight < int(self.limit)

    def restart_window(self) -> None:
        self.window.clear()
        self.window_began = -1.0
        self.full = False

    def halve(self, started: int) -> None:
        """Once per generation of calls: thirty failing together are one piece of news."""
        self.limit = max(1.0, self.limit / 2)
        self.cut_at = started
        self.fresh = False
        self.restart_window()

    def answered(self, elapsed: float, now: float) -> None:
        if self.window_began < 0:
            self.window_began = now - elapsed
        self.window.append(elapsed)
        if len(self.window) >= max(FLOOR, self.limit):
            self._judge(now)
            self.restart_window()

    def _judge(self, now: float) -> None:
        self.median = statistics.median(self.window)
        rate = len(self.window) / max(now - self.window_began, 1e-9)
        queueing = self.median > GREW * self.best and rate < GAIN * self.best_rate
        least = min(START, self.most)  # only faults go below the start: slow answers are not a refusal
        fade = FADE if self.limit <= least else 1.0  # at the bottom an unreachable record gives way, elsewhere it holds
        self.best = min(self.best * fade, self.median)
        self.best_rate = max(self.best_rate / fade, rate)
        if queueing:
            lower = self.limit / 2 if self.fresh else self.limit - 1
            self.limit = min(self.limit, max(least, lower))
            self.fresh = False
        elif self.full:
            self.limit = min(float(self.most), self.limit * 2 if self.fresh else self.limit + 1)


class Slot:
    """Leave to make one call: ``async with gate.slot("usage") as slot``, then tell it how the call went."""

    __slots__ = ("_gate", "_lane", "_number", "_operation")

    def __init__(self, gate: Gate, lane: _Lane, operation: str) -> None:
        self._gate = gate
        self._lane = lane
        self._operation = operation
        self._number = 0

    async def __aenter__(self) -> Slot:
        self._number = await self._gate._enter(self._lane, self._operation)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate._leave(self._lane)

    def succeeded(self, elapsed: float) -> None:
        """The server answered this call after `elapsed` seconds; a refusal of the call itself counts as well."""
        self._gate._succeeded(self._lane, self._number, elapsed)

    def failed(self) -> None:
        """A fault, a time-out or a 429: half as many at once."""
        self._gate._failed(self._lane, self._number)

    def unused(self) -> None:
        """The leave came too late for the caller: nothing was sent."""
        self._gate._unused(self._lane, self._operation)


class Gate:
    """The one place that decides whether a call may start now.

    Args:
        max_in_flight: calls under way at most, over all endpoints.
        calls_per_second: starts in any second at most, or None. A fraction is kept over a longer span.
        max_pause: seconds that the server may keep everybody waiting before the run ends.
        max_calls: HTTP exchanges in total, repeats included, or None.
        deadline: seconds from now until no call may start, or None.
        clock: seconds, never going back; it must be the event loop's own time.
    """

    def __init__(
        self,
        max_in_flight: int = 32,
        calls_per_second: float | None = None,
        max_pause: float = 900.0,
        max_calls: int | None = None,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_in_flight = max_in_flight
        self.max_pause = max_pause
        self.max_calls = max_calls
        self.deadline = deadline
        self._clock = clock
        self._ends_at = math.inf if deadline is None else clock() + deadline
        self._ceiling = calls_per_second
        # Starts are remembered, not metered out: n starts may share any span of n/rate seconds, and never n + 1.
        many = max(1, math.ceil(calls_per_second)) if calls_per_second else 0
        self._span = many / calls_per_second if calls_per_second else 0.0
        self._starts: deque[float] = deque(maxlen=many)
        self._lanes: dict[str, _Lane] = {}
        self._in_flight = 0
        self._started = 0
        self._not_sent = 0
        self._resume_at = -math.inf
        self._paused_since: float | None = None
        self._pause_mark = 0
        self._held = False  # whoever waits, waits for a moment in time, not for a place
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._spent = ("", "")
        self._operations: Counter[str] = Counter()
        self._waited: defaultdict[str, float] = defaultdict(float)
        self._reason, self._reason_since = "", 0.0
        self._first = self._last = -1.0

    # --- for callers ------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls under way now."""
        return self._in_flight

    @property
    def calls(self) -> int:
        """HTTP exchanges begun so far."""
        return self._started

    def slot(self, endpoint: str, operation: str = "") -> Slot:
        """Leave for one call of the class `endpoint`; entering it waits, and raises BudgetSpent."""
        lane = self._lanes.get(endpoint)
        if lane is None:
            lane = self._lanes[endpoint] = _Lane(endpoint, self.max_in_flight)
        return Slot(self, lane, operation or endpoint)

    def left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return self._ends_at - self._clock()

    def check(self) -> None:
        """Raise BudgetSpent when the calls, the time or the patience of this run are used up."""
        if not self._spent[0] and self._over_calls():
            self._spend(f"max_calls is reached: {self._started} calls were made.", "Run again, or raise max_calls.")
        if not self._spent[0] and self._ends_at < math.inf and self._clock() >= self._ends_at:
            self._spend(f"The deadline of {self.deadline:g} s has passed.", "Run again, or raise the deadline.")
        if self._spent[0]:
            raise self._budget_error()

    def pause(self, seconds: float) -> None:
        """Let no call start for `seconds`, because the server asked for it (429 or 503 with Retry-After).

        Raises:
            BudgetSpent: when the server would have kept everybody waiting for more than `max_pause` in one stretch.
        """
        now = self._clock()
        since = now if self._paused_since is None else self._paused_since
        until = max(self._resume_at, now + max(seconds, LEAST_PAUSE))
        if until - since > self.max_pause:
            self._spend(
                f"The server asked for a pause until {until - since:.0f} s after its first one;"
                f" max_pause is {self.max_pause:g} s.",
                "What was committed is kept: run again later, or raise max_pause.",
            )
            raise self._budget_error()
        self._paused_since, self._resume_at, self._pause_mark = since, until, self._started
        for lane in self._lanes.values():
            lane.restart_window()
        self._pump()

    async def back_off(self, seconds: float) -> None:
        """Sleep before a repeat, outside any slot; never past the deadline."""
        seconds = max(0.0, min(seconds, self.left()))
        self._waited["backoff"] += seconds
        await asyncio.sleep(seconds)

    def report(self) -> dict[str, Any]:
        """Counts and rates so far, as plain JSON.

        `waited` is in seconds: backoff is summed over calls, the other reasons are wall-clock time.
        """
        self._account(self._reason)
        seconds = max(self._last - self._first, 0.0)
        return {
            "calls": self._started - self._not_sent,
            "seconds": round(seconds, 3),
            "calls_per_second": _rate(self._started, seconds),
            "waited": {reason: round(waited, 3) for reason, waited in sorted(self._waited.items()) if waited},
            "operations": {name: count for name, count in sorted(self._operations.items()) if count},
            "endpoints": {name: _told(lane, seconds) for name, lane in sorted(self._lanes.items()) if lane.calls},
        }

    # --- entering and leaving -----------------------------------------------------------------------------------

    async def _enter(self, lane: _Lane, operation: str) -> int:
        self.check()
        if lane.queue or not lane.has_room or self._in_flight >= self.max_in_flight or self._delay() > 0:
            number = await self._wait(lane)
        else:
            self._start(lane)
            number = self._started
        self._operations[operation] += 1
        return number

    async def _wait(self, lane: _Lane) -> int:
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        lane.queue.append(place)
        self._pump()
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                with contextlib.suppress(ValueError):  # a pump may have met it first
                    lane.queue.remove(place)
                self._pump()
            elif place.exception() is None:  # the place was given and the caller is gone: hand it on
                self._leave(lane)
            raise

    def _start(self, lane: _Lane) -> None:
        self._started += 1
        self._in_flight += 1
        lane.calls += 1
        lane.in_flight += 1
        lane.turn = self._started
        lane.peak = max(lane.peak, lane.in_flight)
        if not lane.has_room:
            lane.full = True
        if self._ceiling or self._first < 0:
            now = self._clock()
            self._starts.append(now)
            self._first = now if self._first < 0 else self._first

    def _leave(self, lane: _Lane) -> None:
        self._in_flight -= 1
        lane.in_flight -= 1
        if self._reason:
            self._pump()

    def _succeeded(self, lane: _Lane, number: int, elapsed: float) -> None:
        self._last = self._clock()
        if self._paused_since is not None and number > self._pause_mark:
            self._paused_since = None
        lane.answered(elapsed, self._last)

    def _unused(self, lane: _Lane, operation: str) -> None:
        self._not_sent += 1
        self._operations[operation] -= 1
        lane.calls -= 1

    def _failed(self, lane: _Lane, number: int) -> None:
        self._last = self._clock()
        lane.failed += 1
        if number > lane.cut_at:
            lane.halve(self._started)

    # --- who is next ----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start whoever may start now, and see to it that somebody looks again when time alone will allow more."""
        try:
            self.check()
        except BudgetSpent:
            self._dismiss()
        delay = 0.0
        while (lane := self._next()) and self._in_flight < self.max_in_flight and (delay := self._delay()) <= 0:
            place = lane.queue.popleft()
            if not place.done():
                self._start(lane)
                place.set_result(self._started)
            if self._over_calls():
                return self._pump()
        waiting = any(lane.queue for lane in self._lanes.values())
        self._held = waiting and delay > 0
        self._account(self._why() if waiting else "")
        self._set_timer(min(delay if self._held else math.inf, self.left()) if waiting else math.inf)
        return None

    def _next(self) -> _Lane | None:
        """The class with the fewest calls under way goes first, so slow endpoints cannot take every place."""
        first: _Lane | None = None
        for lane in self._lanes.values():
            if not lane.queue or not lane.has_room:
                continue
            if first is None or (lane.in_flight, lane.turn) < (first.in_flight, first.turn):
                first = lane
        return first

    def _delay(self) -> float:
        """Seconds until a call may start, as far as pause and ceiling are concerned."""
        if self._resume_at == -math.inf and not self._ceiling:
            return 0.0
        now = self._clock()
        full = self._ceiling and len(self._starts) == self._starts.maxlen
        return max(self._resume_at - now, self._starts[0] + self._span - now if full else 0.0, 0.0)

    def _why(self) -> str:
        if not self._held:
            return "limit"
        return "pause" if self._resume_at > self._clock() else "ceiling"

    def _account(self, reason: str) -> None:
        now = self._clock()
        if self._reason:
            self._waited[self._reason] += now - self._reason_since
        self._reason, self._reason_since = reason, now

    def _set_timer(self, delay: float) -> None:
        at = self._clock() + max(delay, TICK)
        if self._timer and abs(at - self._timer_at) < TICK:
            return  # the deadline stays where it is: no need for a new timer per call
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if at < math.inf:
            self._timer_at = at
            self._timer = asyncio.get_running_loop().call_later(max(delay, TICK), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._pump()

    # --- budgets ----------------------------------------------------------------------------------------------------

    def _over_calls(self) -> bool:
        return self.max_calls is not None and self._started >= self.max_calls

    def _spend(self, message: str, remedy: str) -> None:
        self._spent = (message, remedy)
        self._dismiss()

    def _budget_error(self) -> BudgetSpent:
        return BudgetSpent(self._spent[0], remedy=self._spent[1])

    def _dismiss(self) -> None:
        for lane in self._lanes.values():
            while lane.queue:
                place = lane.queue.popleft()
                if not place.done():
                    place.set_exception(self._budget_error())


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


def _told(lane: _Lane, seconds: float) -> dict[str, Any]:
    return {
        "calls": lane.calls,
        "failed": lane.failed,
        "in_flight_most": lane.peak,
        "limit": int(lane.limit),
        "median_ms": round(lane.median * 1000, 1),
        "calls_per_second": _rate(lane.calls, seconds),
        "possible_per_second": _rate(int(lane.limit), lane.median),  # Little's law: what this limit can carry
    }
