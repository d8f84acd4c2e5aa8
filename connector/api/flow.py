"""Flow control: one `Gate` that all calls of a run pass (design section 6).

Promised: never more calls in flight than `max_in_flight`, nor more of one endpoint class than its own limit allows
(`connector.api.limits`); never more starts in any second than `calls_per_second`; a pause holds every worker
(`connector.api.pacing`); a gate that is held lets only probes start; no endpoint starves another; a cancelled caller
gives its place back; a spent budget (`connector.api.budget`) wakes every waiting caller. Never done: I/O, or knowing
what a call is. One gate belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from connector.api.budget import Budget
from connector.api.limits import EndpointLimit, rate
from connector.api.pacing import Pacing
from connector.errors import StopRun

__all__ = ["PROBES", "Gate", "Slot"]

PROBES = "probes"  # the endpoint class of calls that ask whether the server works; a held gate lets them through
TICK = 0.001  # seconds: a timer may fire a hair early, and must not spin


class Slot:
    """Permission for one call: ``async with gate.slot("usage") as slot``, then report how the call went."""

    __slots__ = ("_endpoint", "_gate", "_number", "_operation")

    def __init__(self, gate: Gate, endpoint: EndpointLimit, operation: str) -> None:
        self._gate = gate
        self._endpoint = endpoint
        self._operation = operation
        self._number = 0

    async def __aenter__(self) -> Slot:
        self._number = await self._gate._enter(self._endpoint, self._operation)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate._leave(self._endpoint)

    def succeeded(self, elapsed: float) -> None:
        """The server answered this call after `elapsed` seconds; a refusal of the call itself counts as well."""
        self._gate._succeeded(self._endpoint, self._number, elapsed)

    def failed(self) -> None:
        """A server error, a time-out or a 429: half as many at once."""
        self._gate._failed(self._endpoint, self._number)

    def unused(self) -> None:
        """The permission came too late for the caller: nothing was sent."""
        self._gate._unused(self._endpoint, self._operation)


class Gate:
    """The one place that decides whether a call may start now.

    Args:
        max_in_flight: calls in flight at most, over all endpoints.
        calls_per_second: starts in any second at most, or None. A fraction is kept over a longer span.
        max_pause: seconds that the server may hold all callers before the run ends.
        max_calls: HTTP exchanges in total, retries included, or None.
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
        self._clock = clock
        self._budget = Budget(max_calls, deadline, clock)
        self._pacing = Pacing(calls_per_second, clock)
        self._endpoints: dict[str, EndpointLimit] = {}
        self._in_flight = 0
        self._started = 0
        self._not_sent = 0
        self._held = False  # callers wait for a moment in time, not for a place
        self._holding = False  # the server fails as a whole
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._operations: Counter[str] = Counter()
        self._waited: defaultdict[str, float] = defaultdict(float)
        self._reason, self._reason_since = "", 0.0
        self._first = self._last = -1.0

    # --- for callers ------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls in flight now."""
        return self._in_flight

    @property
    def calls(self) -> int:
        """HTTP exchanges begun so far."""
        return self._started

    def slot(self, endpoint: str, operation: str = "") -> Slot:
        """Permission for one call of the class `endpoint`; entering it waits, and raises BudgetSpent."""
        found = self._endpoints.get(endpoint)
        if found is None:
            found = self._endpoints[endpoint] = EndpointLimit(endpoint, self.max_in_flight)
        return Slot(self, found, operation or endpoint)

    def left(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return self._budget.left()

    def check(self) -> None:
        """Raise BudgetSpent when the calls, the time or the patience of this run are used up."""
        if self._budget.spent(self._started):
            self._dismiss()
            raise self._budget.error()

    def pause(self, seconds: float) -> None:
        """Let no call start for `seconds`, because the server asked for it (429 or 503 with Retry-After).

        Raises:
            BudgetSpent: when the server would have held all callers for more than `max_pause` in one stretch.
        """
        stretch = self._pacing.pause(seconds, self._started, self.max_pause)
        if stretch > self.max_pause:
            self._budget.spend(
                f"The server asked for a pause until {stretch:.0f} s after its first one;"
                f" max_pause is {self.max_pause:g} s.",
                "What was committed is kept: run again later, or raise max_pause.",
            )
            self._dismiss()
            raise self._budget.error()
        for endpoint in self._endpoints.values():
            endpoint.restart_window()
        self._pump()

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Let no call but probes start within the block, because the server fails as a whole."""
        self._holding = True
        self._pump()
        try:
            yield
        finally:
            self._holding = False
            self._pump()

    def give_up(self, error: StopRun) -> None:
        """End the run with `error`, for everybody who waits and whoever comes later.

        Raises:
            StopRun: that error.
        """
        self._budget.spend(error.message, error.remedy, type(error))
        self._dismiss()
        raise self._budget.error()

    async def back_off(self, seconds: float) -> None:
        """Sleep before a retry, outside any slot; never past the deadline."""
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
            "calls_per_second": rate(self._started, seconds),
            "waited": {reason: round(waited, 3) for reason, waited in sorted(self._waited.items()) if waited},
            "operations": {name: count for name, count in sorted(self._operations.items()) if count},
            "endpoints": {name: each.report(seconds) for name, each in sorted(self._endpoints.items()) if each.calls},
        }

    # --- entering and leaving -----------------------------------------------------------------------------------

    async def _enter(self, endpoint: EndpointLimit, operation: str) -> int:
        self.check()
        full = endpoint.queue or not self._admits(endpoint) or self._in_flight >= self.max_in_flight
        if full or self._pacing.delay() > 0:
            number = await self._wait(endpoint)
        else:
            self._start(endpoint)
            number = self._started
        self._operations[operation] += 1
        return number

    async def _wait(self, endpoint: EndpointLimit) -> int:
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        endpoint.queue.append(place)
        self._pump()
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                with contextlib.suppress(ValueError):  # a pump may have taken it out already
                    endpoint.queue.remove(place)
                self._pump()
            elif place.exception() is None:  # the place was given and the caller is gone: pass it on
                self._leave(endpoint)
            raise

    def _start(self, endpoint: EndpointLimit) -> None:
        self._started += 1
        self._in_flight += 1
        endpoint.started(self._started)
        if self._pacing.ceiling or self._first < 0:
            now = self._clock()
            self._pacing.started(now)
            self._first = now if self._first < 0 else self._first

    def _leave(self, endpoint: EndpointLimit) -> None:
        self._in_flight -= 1
        endpoint.in_flight -= 1
        if self._reason:
            self._pump()

    def _succeeded(self, endpoint: EndpointLimit, number: int, elapsed: float) -> None:
        self._last = self._clock()
        self._pacing.answered(number)
        endpoint.answered(elapsed, self._last)

    def _failed(self, endpoint: EndpointLimit, number: int) -> None:
        self._last = self._clock()
        endpoint.failed += 1
        if number > endpoint.cut_at:
            endpoint.halve(self._started)

    def _unused(self, endpoint: EndpointLimit, operation: str) -> None:
        self._not_sent += 1
        self._operations[operation] -= 1
        endpoint.calls -= 1

    # --- who is next ----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start every call that may start now; set a timer when time alone will allow more."""
        if self._budget.spent(self._started):
            self._dismiss()
        delay = 0.0
        while (endpoint := self._next()) and self._in_flight < self.max_in_flight:
            if (delay := self._pacing.delay()) > 0:
                break
            place = endpoint.queue.popleft()
            if not place.done():
                self._start(endpoint)
                place.set_result(self._started)
            if self._budget.no_calls_left(self._started):
                return self._pump()
        waiting = any(endpoint.queue for endpoint in self._endpoints.values())
        self._held = waiting and delay > 0
        self._account(self._why() if waiting or self._holding else "")
        self._set_timer(min(delay if self._held else math.inf, self.left()) if waiting else math.inf)
        return None

    def _next(self) -> EndpointLimit | None:
        """The endpoint with the fewest calls in flight goes first, so slow endpoints cannot take every place."""
        first: EndpointLimit | None = None
        for endpoint in self._endpoints.values():
            if not endpoint.queue or not self._admits(endpoint):
                continue
            if first is None or (endpoint.in_flight, endpoint.turn) < (first.in_flight, first.turn):
                first = endpoint
        return first

    def _admits(self, endpoint: EndpointLimit) -> bool:
        return endpoint.has_room and (not self._holding or endpoint.name == PROBES)

    def _dismiss(self) -> None:
        """Give every waiting caller the error of the spent budget."""
        for endpoint in self._endpoints.values():
            while endpoint.queue:
                place = endpoint.queue.popleft()
                if not place.done():
                    place.set_exception(self._budget.error())

    # --- waiting --------------------------------------------------------------------------------------------------

    def _why(self) -> str:
        if self._holding:
            return "outage"
        if not self._held:
            return "limit"
        return "pause" if self._pacing.pausing else "ceiling"

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
