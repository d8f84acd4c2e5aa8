"""connector.api.flow: what the gate promises, under random orders of calls, faults, pauses and cancellations.

Time is virtual here: the event loop's clock jumps to whatever it would have slept for, so hours pass in milliseconds
and every schedule is exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import examples
from virtual import VirtualLoop, play

from connector.api.flow import PROBES, Gate
from connector.api.limits import START
from connector.api.retries import Retry
from connector.errors import BudgetSpent, Unreachable

ENDPOINTS = ("customers", "usage", "entitlements")


async def call(gate: Gate, endpoint: str, seconds: float, ok: bool = True) -> None:
    async with gate.slot(endpoint) as slot:
        await asyncio.sleep(seconds)
        slot.succeeded(seconds) if ok else slot.failed()


Job = tuple[str, float, bool, float | None]  # endpoint, seconds, whether it succeeds, when it is cancelled
jobs = st.lists(
    st.tuples(
        st.sampled_from(ENDPOINTS),
        st.floats(0, 2),
        st.booleans(),
        st.one_of(st.none(), st.floats(0, 3)),
    ),
    max_size=60,
)


async def all_of(gate: Gate, work: list[Job], do: Callable[[Job], Awaitable[None]]) -> list[Any]:
    """Start everything at once, cancel what is to be cancelled, wait for the rest."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(do(job)) for job in work]
    for task, (_, _, _, cancel_at) in zip(tasks, work, strict=True):
        if cancel_at is not None:
            loop.call_later(cancel_at, task.cancel)
    return await asyncio.gather(*tasks, return_exceptions=True)


@given(jobs, st.integers(1, 10))
@settings(max_examples=examples(150), deadline=None)
def test_never_more_in_flight_and_nothing_is_lost(work: list[Job], most: int) -> None:
    """Whatever fails or is cancelled: never more than max_in_flight at once, all others end, all places come back."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=most, clock=loop.time)
        now = 0

        async def do(job: Job) -> None:
            nonlocal now
            async with gate.slot(job[0]) as slot:
                now += 1
                assert now <= most
                try:
                    await asyncio.sleep(job[1])
                finally:
                    now -= 1
                slot.succeeded(job[1]) if job[2] else slot.failed()

        for job, end in zip(work, await all_of(gate, work, do), strict=True):
            assert end is None or (job[3] is not None and isinstance(end, asyncio.CancelledError))
        assert gate.in_flight == now == 0
        await asyncio.wait_for(call(gate, "usage", 0), 1)  # and the gate still opens

    play(main)


@given(jobs, st.floats(0.3, 40), st.integers(1, 64))
@settings(max_examples=examples(150), deadline=None)
def test_never_more_starts_a_second_than_the_ceiling(work: list[Job], rate: float, most: int) -> None:
    """No second holds more starts than calls_per_second (rounded up), cancellations or not."""
    starts: list[float] = []

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=most, calls_per_second=rate, clock=loop.time)

        async def do(job: Job) -> None:
            async with gate.slot(job[0]) as slot:
                starts.append(loop.time())
                await asyncio.sleep(job[1])
                slot.succeeded(job[1])

        await all_of(gate, work, do)

    play(main)
    many = -int(-rate // 1)
    for first, later in zip(starts, starts[many:], strict=False):
        assert later - first >= 0.999


def test_ceiling_is_reached() -> None:
    """The ceiling is not only kept but used: 100 instant calls at 10 a second take nine seconds."""

    async def main(loop: VirtualLoop) -> float:
        gate = Gate(max_in_flight=50, calls_per_second=10, clock=loop.time)
        await asyncio.gather(*(call(gate, "usage", 0) for _ in range(100)))
        assert gate.report()["waited"]["ceiling"] == pytest.approx(9, abs=0.1)
        return loop.time()

    assert play(main) == pytest.approx(9, abs=0.1)


@given(jobs, st.lists(st.tuples(st.floats(0, 5), st.floats(0, 20)), min_size=1, max_size=4))
@settings(max_examples=examples(100), deadline=None)
def test_pause_stops_everybody(work: list[Job], pauses: list[tuple[float, float]]) -> None:
    """From the moment of a pause to its end no call of any endpoint starts; afterwards all of them run."""
    starts: list[float] = []
    held: list[tuple[float, float]] = []

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=5, clock=loop.time)

        def pause(seconds: float) -> None:
            held.append((loop.time(), loop.time() + seconds))
            gate.pause(seconds)

        async def do(job: Job) -> None:
            async with gate.slot(job[0]) as slot:
                starts.append(loop.time())
                await asyncio.sleep(job[1])
                slot.succeeded(job[1])

        for at, seconds in pauses:
            loop.call_later(at, pause, seconds)
        ends = await all_of(gate, [(*job[:3], None) for job in work], do)
        assert ends == [None] * len(work)
        await asyncio.sleep(30)

    play(main)
    assert len(starts) == len(work)
    for start in starts:
        assert not any(begin < start < end - 1e-6 for begin, end in held), (start, held)


def test_too_long_a_pause_ends_the_run() -> None:
    """A pause longer than max_pause raises BudgetSpent for its caller, whoever waits, and whoever comes later."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=1, max_pause=900, clock=loop.time)
        async with gate.slot("usage"):
            waiting = asyncio.ensure_future(call(gate, "usage", 0))
            await asyncio.sleep(0)
            with pytest.raises(BudgetSpent, match="901"):
                gate.pause(901)
            with pytest.raises(BudgetSpent):
                await waiting
        with pytest.raises(BudgetSpent):
            await call(gate, "customers", 0)
        assert loop.time() < 1

    play(main)


def test_pauses_without_an_answer_between_add_up() -> None:
    """A server that says "one more minute" for ever ends the run after max_pause; an answer starts the count anew."""

    async def main(loop: VirtualLoop, answers: bool) -> int:
        gate = Gate(max_pause=900, clock=loop.time)
        for count in range(100):
            try:
                gate.pause(60)
            except BudgetSpent:
                return count
            await call(gate, "usage", 1, ok=answers)
        return 100

    assert play(lambda loop: main(loop, answers=False)) == 14
    assert play(lambda loop: main(loop, answers=True)) == 100


def test_answer_that_was_under_way_does_not_end_a_pause() -> None:
    """A call that started before the pause says nothing about whether the pause is over."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_pause=100, clock=loop.time)
        early = asyncio.ensure_future(call(gate, "usage", 5))
        await asyncio.sleep(1)
        gate.pause(90)
        await early
        with pytest.raises(BudgetSpent):
            gate.pause(99)

    play(main)


def test_max_calls_ends_the_run() -> None:
    """Exactly max_calls calls start; whoever waits or comes later gets BudgetSpent."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=2, max_calls=7, clock=loop.time)
        ends = await asyncio.gather(*(call(gate, "usage", 1) for _ in range(20)), return_exceptions=True)
        assert [type(end) for end in ends] == [type(None)] * 7 + [BudgetSpent] * 13
        assert gate.calls == 7

    play(main)


def test_deadline_wakes_whoever_waits() -> None:
    """At the deadline waiting callers get BudgetSpent at once, not when a place comes free."""

    async def main(loop: VirtualLoop) -> float:
        gate = Gate(max_in_flight=1, deadline=10, clock=loop.time)
        held = asyncio.ensure_future(call(gate, "usage", 1000))
        await asyncio.sleep(1)
        with pytest.raises(BudgetSpent, match="10 s"):
            await call(gate, "usage", 1)
        held.cancel()
        return loop.time()

    assert play(main) == pytest.approx(10, abs=0.01)


def test_back_off_ends_at_the_deadline() -> None:
    """A long back-off does not sleep past the deadline, and is counted."""

    async def main(loop: VirtualLoop) -> float:
        gate = Gate(deadline=10, clock=loop.time)
        await gate.back_off(1000)
        assert gate.report()["waited"] == {"backoff": 10}
        return loop.time()

    assert play(main) == pytest.approx(10)


def test_slow_endpoint_cannot_starve_a_fast_one() -> None:
    """With a flood of slow calls waiting, a fast endpoint gets its share of places and not the crumbs."""

    async def main(loop: VirtualLoop) -> tuple[int, int]:
        gate = Gate(max_in_flight=8, clock=loop.time)
        done = {"usage": 0, "customers": 0}

        async def worker(endpoint: str, seconds: float) -> None:
            while True:
                await call(gate, endpoint, seconds)
                done[endpoint] += 1

        tasks = [asyncio.ensure_future(worker("usage", 1.0)) for _ in range(50)]
        await asyncio.sleep(5)
        tasks += [asyncio.ensure_future(worker("customers", 0.1)) for _ in range(50)]
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        return done["usage"], done["customers"]

    slow, fast = play(main)
    assert slow > 60 * 3  # about half of eight places for a second each
    assert fast > 60 * 30  # the other half for a tenth each


def saturating(capacity: int, base: float) -> Callable[[Gate, VirtualLoop, str], Coroutine[Any, Any, None]]:
    """A server that works on `capacity` calls at a time: more of them only wait longer."""

    async def ask(gate: Gate, loop: VirtualLoop, endpoint: str) -> None:
        async with gate.slot(endpoint) as slot:
            began = loop.time()
            async with places:
                await asyncio.sleep(base)
            slot.succeeded(loop.time() - began)

    places = asyncio.Semaphore(capacity)
    return ask


@pytest.mark.parametrize(("capacity", "least", "most"), [(2, START, 10), (8, 8, 20), (1000, 32, 32)])
def test_limit_finds_what_the_server_can_do(capacity: int, least: int, most: int) -> None:
    """The limit climbs to what the server can carry, and stops about where calls would only queue."""

    async def main(loop: VirtualLoop) -> dict[str, Any]:
        gate = Gate(max_in_flight=32, clock=loop.time)
        ask = saturating(capacity, 0.05)
        await asyncio.gather(*(ask(gate, loop, "usage") for _ in range(5000)))
        return gate.report()["endpoints"]["usage"]

    told = play(main)
    assert least <= told["limit"] <= most
    assert told["possible_per_second"] > 0.5 * min(capacity, 32) / 0.05


def test_unused_limit_does_not_grow() -> None:
    """Calls made one after another say nothing about more at once, so the limit stays where it began."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(clock=loop.time)
        for _ in range(200):
            await call(gate, "usage", 0.01)
        assert gate.report()["endpoints"]["usage"]["limit"] == START

    play(main)


def test_place_given_to_a_caller_that_is_gone_is_handed_on() -> None:
    """A caller cancelled in the very moment it is let in gives its place to the next one."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=1, clock=loop.time)
        async with gate.slot("usage"):
            gone, next_one = (asyncio.ensure_future(call(gate, "usage", 1)) for _ in range(2))
            await asyncio.sleep(0)
        gone.cancel()  # the place is its own already, but it has not run yet
        await asyncio.wait_for(next_one, 5)
        assert gone.cancelled()
        assert gate.in_flight == 0

    play(main)


def test_cancelled_waiter_stops_the_count_of_waiting() -> None:
    """Seconds waited end with the last waiter, also when it gives up."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=1, clock=loop.time)
        async with gate.slot("usage"):
            waiting = asyncio.ensure_future(call(gate, "usage", 1))
            await asyncio.sleep(2)
            waiting.cancel()
            await asyncio.sleep(8)
        assert gate.report()["waited"]["limit"] == pytest.approx(2)

    play(main)


def test_limits_belong_to_endpoints() -> None:
    """Faults of one endpoint halve its own limit and nobody else's."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(clock=loop.time)
        for endpoint in ("usage", "customers"):
            await asyncio.gather(*(call(gate, endpoint, 1) for _ in range(300)))
        before = {name: told["limit"] for name, told in gate.report()["endpoints"].items()}
        await call(gate, "usage", 1, ok=False)
        after = {name: told["limit"] for name, told in gate.report()["endpoints"].items()}
        assert before["usage"] == 32
        assert after == {"usage": 16, "customers": before["customers"]}

    play(main)


def test_calls_that_fail_together_halve_once() -> None:
    """Thirty-two calls that fail at the same moment are one piece of news: the limit halves once, not to the floor."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(clock=loop.time)
        await asyncio.gather(*(call(gate, "usage", 1) for _ in range(300)))
        await asyncio.gather(*(call(gate, "usage", 1, ok=False) for _ in range(32)))
        assert gate.report()["endpoints"]["usage"]["limit"] == 16

    play(main)


def test_limit_recovers_after_faults() -> None:
    """After an outage the limit grows back by one per window, up to where it was."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(clock=loop.time)
        for _ in range(10):
            await call(gate, "usage", 1, ok=False)
        assert gate.report()["endpoints"]["usage"]["limit"] == 1
        await asyncio.gather(*(call(gate, "usage", 1) for _ in range(3000)))
        assert gate.report()["endpoints"]["usage"]["limit"] == 32

    play(main)


def test_held_gate_lets_only_probes_start() -> None:
    """While it is held, calls wait whatever room there is, and probes start; at its end, or an error, all go on."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=4, clock=loop.time)
        starts: list[float] = []

        async def one() -> None:
            async with gate.slot("usage") as slot:
                starts.append(loop.time())
                slot.succeeded(0)

        with contextlib.suppress(ZeroDivisionError), gate.holding():
            waiting = [asyncio.ensure_future(one()) for _ in range(9)]
            await call(gate, PROBES, 2)
            await asyncio.sleep(3)
            assert starts == []
            raise ZeroDivisionError
        await asyncio.gather(*waiting)
        assert starts == [5.0] * 9
        assert gate.report()["waited"] == {"outage": 5.0}

    play(main)


@given(jobs, st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 5)), min_size=1, max_size=4), st.integers(1, 8))
@settings(max_examples=examples(50), deadline=None)
def test_holding_loses_no_call(work: list[Job], holds: list[tuple[float, float]], most: int) -> None:
    """Holds at any moment, calls cancelled among others: every other call ends, and all places come back."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(max_in_flight=most, clock=loop.time)

        async def hold() -> None:
            for wait, seconds in holds:
                await asyncio.sleep(wait)
                with gate.holding():
                    await call(gate, PROBES, seconds)

        holding = asyncio.ensure_future(hold())
        ends = await all_of(gate, work, lambda job: call(gate, *job[:3]))
        for job, end in zip(work, ends, strict=True):
            assert end is None or (job[3] is not None and isinstance(end, asyncio.CancelledError))
        await holding
        assert gate.in_flight == 0

    play(main)


def test_giving_up_ends_everybodys_wait() -> None:
    """`give_up` raises its error for its caller, for whoever waits, and for whoever comes later."""

    async def main(loop: VirtualLoop) -> None:
        gate = Gate(clock=loop.time)
        with gate.holding():
            waiting = asyncio.ensure_future(call(gate, "usage", 0))
            await asyncio.sleep(1)
            with pytest.raises(Unreachable, match="gone"):
                gate.give_up(Unreachable("It is gone."))
            for late in (waiting, call(gate, "usage", 0)):
                with pytest.raises(Unreachable, match="gone"):
                    await late

    play(main)


def test_report_is_json_and_adds_up() -> None:
    """The report counts calls by operation and endpoint, rates and waits, and can be stored as JSON."""

    async def main(loop: VirtualLoop) -> dict[str, Any]:
        gate = Gate(max_in_flight=4, clock=loop.time)

        async def one(operation: str) -> None:
            async with gate.slot("usage", operation) as slot:
                await asyncio.sleep(0.5)
                slot.succeeded(0.5)

        await asyncio.gather(*(one("get_customers_usage") for _ in range(12)), one("other"))
        gate.pause(5)
        await one("other")
        return gate.report()

    report = json.loads(json.dumps(play(main)))
    assert report["operations"] == {"get_customers_usage": 12, "other": 2}
    assert report["calls"] == report["endpoints"]["usage"]["calls"] == 14
    assert report["seconds"] == pytest.approx(7.5, abs=0.1)
    assert report["calls_per_second"] == pytest.approx(14 / 7.5, abs=0.1)
    assert report["waited"]["pause"] == pytest.approx(5, abs=0.1)
    assert report["waited"]["limit"] == pytest.approx(1.5, abs=0.1)
    assert report["endpoints"]["usage"]["possible_per_second"] == 8
    assert report["endpoints"]["usage"]["in_flight_most"] == 4


def test_retry_waits_grow_with_full_jitter() -> None:
    """Waits between tries are random below a bound that doubles, and end at a minute."""
    random.seed(1)
    waits = [[Retry().seconds(tried) for _ in range(300)] for tried in (1, 3, 12)]
    for found, bound in zip(waits, (1, 4, 60), strict=True):
        assert 0 <= min(found) < bound * 0.1
        assert bound * 0.9 < max(found) <= bound
