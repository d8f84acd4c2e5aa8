"""connector.api.recovery: an outage of seconds costs a run seconds, and a call that fails by itself fails soon."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import tenacity
from aiohttp import web
from command import BASE, account, sync, tables
from sizes import sampled, thorough
from virtual import VirtualLoop, play

from connector.api import calls
from connector.api.calls import Call, Reply
from connector.api.client import Client
from connector.api.flow import PROBES, Gate
from connector.api.outages import Outages, Outcome
from connector.api.recovery import CONTROLS, LEAST_TIMEOUT, TOLD_AFTER, Recovery
from connector.api.retries import Failure, Retry, RetryState
from connector.errors import BudgetSpent, FlexsyncError, KeyRefused, Refused, TryAgain, UnknownOutcome, Unreachable
from connector.sandbox import Faults, Sandbox
from pipelines.report.log import logged
from pipelines.report.progress import LineProgress

KEY = "sk_test"
DOWN = (500, {"code": "database_error", "message": "Failed to get customer", "http_status_code": 500})
CALLERS = 32
LISTING = calls.search_customers(limit=1)
Answer = tuple[int, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def usage(number: int) -> Call:
    return calls.get_usage(f"cust_{number}")


def quick(attempts: int = 6) -> Retry:
    return Retry(attempts, tenacity.wait_random_exponential(multiplier=0.02, max=0.1))


@dataclass
class Server:
    """Answers `{}` after some milliseconds; `fails` may give another answer to a request, or the silence of a hang."""

    fails: Callable[[web.Request], Answer | None] = lambda _: None
    latency: float = 0.005
    seen: list[tuple[float, str]] = field(default_factory=list)  # when, and path with query

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.seen.append((time.monotonic(), request.path_qs))
        found = self.fails(request)
        await asyncio.sleep(self.latency)
        if found is None:
            return web.json_response({"path": request.path_qs, "items": []})
        return web.json_response(found[1], status=found[0])

    def asked(self, about: str) -> int:
        return sum(path.endswith(about) for _, path in self.seen)


@contextlib.asynccontextmanager
async def opened(server: Handler, port: int = 0, **given: Any) -> AsyncIterator[Client]:
    """A client of `server`."""
    async with listening(server, port) as base, Client(base_url=base, api_key=KEY, **given) as api:
        api.retry = quick()
        yield api


@contextlib.asynccontextmanager
async def listening(server: Handler, port: int = 0) -> AsyncIterator[str]:
    app = web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await server(request)

    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def ask_all(api: Client, every: Sequence[Call], callers: int = CALLERS) -> list[Reply | FlexsyncError]:
    """Send `every` call, `callers` at a time."""
    found: list[Reply | FlexsyncError | None] = [None] * len(every)
    waiting = iter(enumerate(every))

    async def work() -> None:
        for number, call in waiting:
            try:
                found[number] = await api.send(call)
            except FlexsyncError as error:
                found[number] = error

    await asyncio.gather(*(work() for _ in range(callers)))
    return [each for each in found if each is not None]


def probes(api: Client) -> int:
    return int(api.gate.report()["endpoints"].get("probes", {}).get("calls", 0))


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(3000):
        if happened():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")


@dataclass
class Outage:
    """From the `at`-th request on, all of them get `answer` for `seconds`."""

    at: int
    seconds: float
    answer: Answer = DOWN
    requests: int = 0
    failed: int = 0
    since: float = 0.0

    def __call__(self, request: web.Request) -> Answer | None:
        self.requests += 1
        if self.requests == self.at:
            self.since = time.monotonic()
        if not self.since or time.monotonic() >= self.since + self.seconds:
            return None
        self.failed += 1
        return self.answer


# --- an outage of all -------------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize(
    "answer",
    [DOWN, *[sampled(answer) for answer in ((500, {}), (503, {}), (502, "x"))], (401, {"error": "Unauthorized"})],
    ids=str,
)
def test_an_outage_of_seconds_loses_nothing_and_costs_few_calls(answer: Answer) -> None:
    """In mid-run every call fails for a second: all are answered in the end, and hardly any call was made meanwhile."""

    async def main() -> None:
        outage = Outage(60, 1.0, answer)
        server = Server(outage)
        async with opened(server) as api:
            found = await ask_all(api, [usage(n) for n in range(300)])
            assert all(isinstance(each, Reply) for each in found)
            assert outage.failed <= CALLERS + 5, "32 that were in flight, and one probe at a time"
            assert len(server.seen) <= 300 + outage.failed + 1
            ((begin, _),) = api.outages.episodes
            assert outage.since - 1 < begin < outage.since + 1
            assert api.gate.report()["waited"]["outage"] > 0.3
            assert api.gate.in_flight == 0
            early = [each for each in found if isinstance(each, Reply) and each.ended < outage.since]
            assert early
            assert all(api.outages.touched(each.began, each.ended) for each in early), "within 2 s before it"

    asyncio.run(main())


@pytest.mark.sampled
@pytest.mark.parametrize("callers", [1, sampled(2)])
def test_an_outage_met_by_one_caller_is_told_by_control_calls(callers: int) -> None:
    """With one call at a time nobody else can tell: after the second failure a control call does."""

    async def main() -> None:
        outage = Outage(10, 1.0)
        async with opened(Server(outage)) as api:
            for make in (usage, lambda n: calls.search_customers(limit=n + 1)):
                found = await ask_all(api, [make(n) for n in range(30)], callers)
                assert all(isinstance(each, Reply) for each in found)
            assert outage.failed <= 2 * callers + CONTROLS + 5
            assert len(api.outages.episodes) == 1

    asyncio.run(main())


@pytest.mark.sampled
def test_waits_of_an_outage_cost_no_attempts() -> None:
    """A call that may be tried twice is caught in two outages, one after the other, and answered."""

    async def main() -> None:
        server = Server()
        async with opened(server) as api:
            api.retry = quick(2)
            await ask_all(api, [usage(n) for n in range(20)])
            for _ in range(2):
                server.fails = Outage(1, 0.6)
                found = await ask_all(api, [usage(n) for n in range(40)])
                assert all(isinstance(each, Reply) for each in found)

    asyncio.run(main())


def test_a_server_that_is_restarted_is_waited_for() -> None:
    """Connections that cannot be made for a second are an outage as well."""

    async def main() -> None:
        server = Server()
        async with listening(server) as base:
            port = int(base.split(":")[2].split("/")[0])
        async with Client(base_url=base, api_key=KEY) as api:
            api.retry = quick()
            async with listening(server, port):
                assert isinstance(await api.send(usage(1)), Reply)
            asked = asyncio.create_task(ask_all(api, [usage(n) for n in range(50)]))
            await asyncio.sleep(1.0)
            assert api.outages.open
            async with listening(server, port):
                assert all(isinstance(each, Reply) for each in await asked)

    asyncio.run(main())


@pytest.mark.sampled
def test_a_hung_server_is_probed_with_short_limits() -> None:
    """Calls that end in their time-out are an outage too, and probes do not wait as long as calls do."""

    async def main() -> None:
        server = Server()
        async with opened(server, gate=Gate(max_in_flight=8)) as api:
            await ask_all(api, [usage(n) for n in range(20)])
            server.latency = 60.0
            asked = [asyncio.create_task(api.send(usage(n), timeout=0.5)) for n in range(8)]
            await asyncio.sleep(1.2)
            assert api.outages.open
            server.latency = 0.0
            begun = time.monotonic()
            await asyncio.gather(*asked)
            assert time.monotonic() - begun < LEAST_TIMEOUT + 20  # not the 60 s of a call

    asyncio.run(main())


def test_an_outage_beyond_max_pause_ends_the_run() -> None:
    """A server that does not come back: everybody gets Unreachable, whoever comes later too, after few calls."""

    async def main() -> None:
        outage = Outage(60, 1e9)
        async with opened(Server(outage), gate=Gate(max_pause=1.0)) as api:
            found = await ask_all(api, [usage(n) for n in range(300)])
            lost = [each for each in found if not isinstance(each, Reply)]
            assert lost
            assert {type(each) for each in lost} == {Unreachable}
            assert "database_error" in str(lost[0])
            assert outage.failed <= CALLERS + 5
            with pytest.raises(Unreachable):
                await api.send(LISTING)

    asyncio.run(main())


@pytest.mark.parametrize("limits", [{"deadline": 1.0}, sampled({"max_calls": 75})], ids=str)
def test_limits_of_the_run_hold_in_an_outage(limits: dict[str, Any]) -> None:
    """Deadline and max_calls end the run in an outage as they do elsewhere: nobody waits for ever."""

    async def main() -> None:
        async with opened(Server(Outage(60, 1e9)), gate=Gate(**limits)) as api:
            found = await ask_all(api, [usage(n) for n in range(300)])
            assert {type(each) for each in found if not isinstance(each, Reply)} == {BudgetSpent}
            assert api.gate.calls <= 100

    asyncio.run(main())


@pytest.mark.sampled
def test_callers_that_give_up_hold_nobody() -> None:
    """When all callers caught in an outage are cancelled, the one that probed among them, the gate is open again."""

    async def main() -> None:
        server = Server()
        async with opened(server) as api:
            await ask_all(api, [usage(n) for n in range(20)])
            server.fails = lambda _: DOWN
            asked = [asyncio.create_task(api.send(usage(n))) for n in range(40)]
            await until(lambda: api.outages.open and probes(api) > 0)
            for task in asked[:20]:
                task.cancel()
            await asyncio.sleep(0.1)
            others = asyncio.create_task(api.send(LISTING))
            server.fails = lambda _: None
            await asyncio.wait_for(others, 30)
            assert all(isinstance(each, Reply) for each in await asyncio.gather(*asked[20:]))

            server.fails = lambda _: DOWN
            asked = [asyncio.create_task(api.send(usage(n))) for n in range(40)]
            before = probes(api)
            await until(lambda: probes(api) > before)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            server.fails = lambda _: None
            await asyncio.wait_for(api.send(LISTING), 30)
            assert api.gate.in_flight == 0

    asyncio.run(main())


def test_a_key_withdrawn_in_mid_run_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but 401s for long is no outage: the key is refused, without waiting for max_pause."""
    monkeypatch.setattr("connector.api.recovery.KEY_PATIENCE", 0.5)

    async def main() -> None:
        async with opened(Server(Outage(60, 1e9, (401, {"error": "Unauthorized"})))) as api:
            found = await ask_all(api, [usage(n) for n in range(300)])
            assert {type(each) for each in found if not isinstance(each, Reply)} == {KeyRefused}

    asyncio.run(main())


# --- the same in virtual time -----------------------------------------------------------------------------------------


@dataclass
class Account:
    """A server without HTTP, in virtual time, and the client's part between gate, retries and recovery."""

    loop: VirtualLoop
    gate: Gate
    down: tuple[float, float]
    exchanges: list[tuple[float, bool]] = field(default_factory=list)  # when they ended, and how

    def __post_init__(self) -> None:
        self.outages = Outages(self.loop.time)
        self.waits: list[tuple[float, float, str]] = []  # as told: seconds, the limit, the last sign
        self.recovery = Recovery(self.gate, self.outages, self.probe, 60.0, self.loop.time, self.hear)

    def hear(self, seconds: float, longest: float, why: FlexsyncError | None) -> None:
        self.waits.append((seconds, longest, why.message if why else ""))

    async def exchange(self, call: Call) -> Failure | None:
        began = self.loop.time()
        await asyncio.sleep(0.03)
        ended = self.loop.time()
        bad = self.down[0] <= ended < self.down[1]
        self.exchanges.append((ended, not bad))
        self.recovery.note(call, began, ended, Outcome.FAILED if bad else Outcome.ANSWERED)
        return Failure(TryAgain("500", status=500), b"500", True, began, ended) if bad else None

    async def probe(self, call: Call, _: float) -> FlexsyncError | None:
        async with self.gate.slot(PROBES):
            failure = await self.exchange(call)
        return failure.error if failure else None

    async def send(self, call: Call) -> None:
        state = RetryState(call, Retry(), self.gate.max_pause, self.loop.time)
        while True:
            if self.recovery.failing:
                await self.recovery.wait(call)
            async with self.gate.slot(call.endpoint):
                failure = await self.exchange(call)
            if failure is None:
                return
            if not await self.recovery.ride_out(state, failure, key_worked=True):
                await self.gate.back_off(state.after(failure, key_worked=True).seconds)


@pytest.mark.parametrize("rate", [None, 2.0])
@pytest.mark.parametrize("callers", [1, sampled(2), 8, sampled(32)])
@pytest.mark.parametrize("seconds", [1.0, 5.0, sampled(60.0), 600.0])
def test_a_recovered_server_is_used_within_a_second(seconds: float, callers: int, rate: float | None) -> None:
    """However long an outage, and at any pace: few calls are made in it, and the first answer after it comes soon."""
    random.seed(4)

    async def main(loop: VirtualLoop) -> None:
        ends = 20.0 + seconds
        server = Account(loop, Gate(max_in_flight=callers, calls_per_second=rate, clock=loop.time), (20.0, ends))
        numbers = iter(range(10**9))

        async def work() -> None:
            while loop.time() < ends + 20:
                await server.send(usage(next(numbers)))

        await asyncio.gather(*(work() for _ in range(callers)))
        failed = sum(not good for _, good in server.exchanges)
        assert failed <= 2 * callers + CONTROLS + seconds + 5
        soon = min(ended for ended, good in server.exchanges if good and ended >= ends)
        assert soon <= ends + 1.1 + (0.6 if rate else 0.0)
        if seconds > 1 or not rate:  # two calls that fail, one after the other, are no episode
            assert len(server.outages.episodes) == 1

    play(main)


@pytest.mark.parametrize(("seconds", "told"), [(2.0, 0), (60.0, 2), (10_000.0, 1)])
def test_a_wait_is_told_once_when_it_begins_and_once_when_it_ends(seconds: float, told: int) -> None:
    """A long outage is told after some seconds, and so is its end; a short one is not, nor an end by max_pause."""

    async def main(loop: VirtualLoop) -> None:
        server = Account(loop, Gate(max_in_flight=8, clock=loop.time), (20.0, 20.0 + seconds))
        numbers = iter(range(10**9))

        async def work() -> None:
            with contextlib.suppress(Unreachable):
                while loop.time() < 25.0 + seconds:
                    await server.send(usage(next(numbers)))

        await asyncio.gather(*(work() for _ in range(8)))
        first, second = ((TOLD_AFTER, 900.0, "500"), (seconds, 900.0, ""))
        assert [wait[1:] for wait in server.waits] == [first[1:], second[1:]][:told]
        assert all(abs(had[0] - want[0]) < 1.5 for had, want in zip(server.waits, (first, second), strict=False))

    play(main)


def test_a_wait_is_a_note_on_the_terminal_and_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wait for a server that fails says since when, up to when and why; its end says how long it was."""
    with logged(LineProgress(), tmp_path / "log") as progress:
        progress.waited(5.0, 900.0, TryAgain("no connection to 127.0.0.1:1."), clock=lambda: BASE)
        progress.waited(570.2, 900.0, None)
    began, ended = capsys.readouterr().err.splitlines()
    assert began.startswith("note: the server has failed since 23:59:55 UTC; waiting up to 900 s (max_pause)")
    assert began.endswith("no connection to 127.0.0.1:1.")
    assert ended == "note: the server answers again, after 570 s"
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["event"], f"note: {line['text']}") for line in lines] == [("note", began), ("note", ended)]


# --- calls that fail by themselves ------------------------------------------------------------------------------------


def poison(*about: str) -> Callable[[web.Request], Answer | None]:
    return lambda request: DOWN if any(request.path_qs.endswith(each) for each in about) else None


def test_a_poisoned_customer_is_refused_after_three_tries() -> None:
    """While other calls are answered, one customer's 500 is permanent after three, with no call more."""

    async def main() -> None:
        server = Server(poison("cust_50"))
        async with opened(server) as api:
            found = await ask_all(api, [usage(n) for n in range(300)])
            assert [type(each) for each in found if not isinstance(each, Reply)] == [Refused]
            assert "3 times" in str(found[50])
            assert server.asked("cust_50") == 3
            assert len(server.seen) <= 302 + 2  # a control call for each repeat that nobody overtook
            assert api.outages.episodes == ()

    asyncio.run(main())


@pytest.mark.parametrize("poisoned", [sampled(1), 3, sampled(10)])
def test_poisoned_customers_that_are_left_over_are_refused_soon(poisoned: int) -> None:
    """When only calls that always fail are left, control calls tell that the server is well: few, and no long wait."""

    async def main() -> None:
        ill = [f"cust_{900 + n}" for n in range(poisoned)]
        server = Server(poison(*ill))
        async with opened(server) as api:
            await ask_all(api, [usage(n) for n in range(50)])
            began = time.monotonic()
            found = await ask_all(api, [calls.get_usage(each) for each in ill])
            assert {type(each) for each in found} == {Refused}
            assert time.monotonic() - began < 30
            for each in ill:
                assert server.asked(each) <= 6
            assert probes(api) <= 3 * poisoned

    asyncio.run(main())


@pytest.mark.parametrize("worked", [False, True])
def test_the_only_customer_is_refused_soon(worked: bool) -> None:
    """An account of one customer whose usage is 500 for ever: a listing is the control call, and shows the server."""

    async def main() -> None:
        server = Server(poison("cust_1"))
        async with opened(server) as api:
            if worked:
                await api.send(LISTING)
            with pytest.raises(Refused, match="3 times"):
                await api.send(usage(1))
            assert server.asked("cust_1") == 3
            assert probes(api) == 1
            assert api.outages.episodes == ()

    asyncio.run(main())


def test_an_endpoint_that_never_works_holds_nobody() -> None:
    """A server whose usage always fails gives everything else: its calls are refused one by one, and no episode."""

    async def main() -> None:
        server = Server(lambda request: DOWN if "usage" in request.path else None)
        async with opened(server) as api:
            await api.send(LISTING)
            every = [make(f"cust_{n}") for n in range(60) for make in (calls.get_usage, calls.get_entitlements)]
            found = await ask_all(api, every)
            assert Counter(type(each) for each in found) == {Refused: 60, Reply: 60}
            assert api.outages.episodes == ()
            assert len(server.seen) <= 60 + 60 * 4 + 1

    asyncio.run(main())


def test_a_poisoned_customer_after_an_outage_is_refused_after_it() -> None:
    """What failed in the outage is forgotten; then the customer's own failures count."""

    async def main() -> None:
        outage = Outage(60, 0.6)
        ill = poison("cust_50")
        server = Server(lambda request: outage(request) or ill(request))
        async with opened(server) as api:
            found = await ask_all(api, [usage(n) for n in range(200)])
            assert [type(each) for each in found if not isinstance(each, Reply)] == [Refused]
            assert len(api.outages.episodes) == 1

    asyncio.run(main())


def test_a_repeatable_fault_before_the_first_answer_ends_soon() -> None:
    """A server that never answered has no outage: a listing that fails is Unreachable after its attempts."""

    async def main() -> None:
        for answer in (DOWN, (502, "x")):
            server = Server(lambda _, answer=answer: answer)  # type: ignore[misc]
            async with opened(server) as api:
                with pytest.raises(Unreachable):
                    await api.send(LISTING)
                assert len(server.seen) <= 7
                assert api.outages.episodes == ()

    asyncio.run(main())


def test_calls_by_the_way_are_not_held_up() -> None:
    """A call of another class, or one that may be tried once, gets its failure at once: nobody probes for it."""
    events = Call("get_events", "GET", "/events", (("page_size", "1"),), endpoint="events")

    async def main() -> None:
        server = Server()
        async with opened(server) as api:
            await ask_all(api, [events, *(usage(n) for n in range(20))])
            server.fails = lambda request: DOWN if "events" in request.path else None
            with pytest.raises(FlexsyncError):
                await api.send(events)
            with pytest.raises(FlexsyncError):
                await api.send(events, retries=Retry(1))
            server.fails = lambda _: DOWN
            with pytest.raises(Refused):
                await api.send(usage(1), retries=Retry(1))
            assert probes(api) == 0

    asyncio.run(main())


# --- writes -----------------------------------------------------------------------------------------------------------


def test_writes_wait_for_the_end_of_an_outage_and_are_sent_once() -> None:
    """A write that comes while the server fails is sent when it answers again; one that was caught is not repeated."""

    async def main() -> None:
        server = Server()
        async with opened(server) as api:
            await ask_all(api, [usage(n) for n in range(20)])
            server.fails = Outage(1, 0.6)
            reads = asyncio.create_task(ask_all(api, [usage(n) for n in range(40)], 31))
            with pytest.raises(UnknownOutcome):
                await api.send(calls.update_customer(id="caught", name="A"))
            await until(lambda: probes(api) > 0)
            assert isinstance(await api.send(calls.update_customer(id="waited", name="A")), Reply)
            assert all(isinstance(each, Reply) for each in await reads)
            assert (server.asked("id=caught"), server.asked("id=waited")) == (1, 1)

    asyncio.run(main())


# --- what is no outage ------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_isolated_errors_cost_no_more_than_before() -> None:
    """5 % errors over 1,000 calls: no episode, and at most 1 % control calls; these are all that is new."""
    chance = random.Random(9)

    async def main() -> None:
        server = Server(lambda _: (503, {}) if chance.random() < 0.05 else None, latency=0.002)
        async with opened(server) as api:
            found = await ask_all(api, [usage(n) for n in range(1000)])
            assert all(isinstance(each, Reply) for each in found)
            assert api.outages.episodes == ()
            assert probes(api) <= 10

    asyncio.run(main())


@pytest.mark.sampled
def test_a_storm_of_429s_is_waited_out_as_asked() -> None:
    """Rate limits have their own rules: their pauses are kept, nobody probes, no episode."""

    async def main() -> None:
        count = 0

        async def handler(request: web.Request) -> web.StreamResponse:
            nonlocal count
            count += 1
            if 20 < count <= 28:
                return web.json_response({}, status=429, headers={"Retry-After": "1"})
            return web.json_response({})

        async with opened(handler) as api:
            found = await ask_all(api, [usage(n) for n in range(100)])
            assert all(isinstance(each, Reply) for each in found)
            assert (api.outages.episodes, probes(api)) == ((), 0)

    asyncio.run(main())


# --- whole runs -------------------------------------------------------------------------------------------------------


def noon(customers: int, **given: Any) -> Sandbox:
    """An account whose clock runs from a fixed moment on, so that no usage is reset between two runs of a test."""
    begun = time.monotonic()
    clock = lambda: BASE + timedelta(hours=12, seconds=time.monotonic() - begun)  # noqa: E731
    return account(customers, clock=clock, **given)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[tuple[Any, ...]]], int]:
    """The tables of a run that nothing disturbed, and its calls."""
    store = tmp_path_factory.mktemp("calm") / "store.duckdb"
    report = sync(noon(40), store)
    assert report.status == "green"
    return tables(store), report.flow["calls"]


@pytest.mark.parametrize("at", [sampled(60), *map(thorough, (2, 5, 8, 90))])
def test_a_database_outage_leaves_a_run_whole(
    tmp_path: Path, undisturbed: tuple[dict[str, list[tuple[Any, ...]]], int], at: int
) -> None:
    """The server's database stops for 1.5 s, in the listing or among customers' calls: no error, the same tables."""
    report = sync(noon(40, faults=Faults(database_down_at=at, database_down_for=1.5)), tmp_path / "s.duckdb")
    assert tables(tmp_path / "s.duckdb") == undisturbed[0]
    assert report.flow["waited"]["outage"] > 0
    assert report.flow["calls"] <= 2 * undisturbed[1] + CALLERS + 8  # answers in doubt are asked once more


@pytest.mark.parametrize("at", [60, *map(sampled, (20, 40, 80))])
def test_every_wrong_answer_of_an_outage_is_in_doubt(at: int) -> None:
    """While a database goes down, entitlements come short with status 200: `touched` names each of these answers."""

    async def main() -> None:
        sandbox = noon(60, several=1.0)
        every = [
            make(each)
            for each in sandbox.active_customer_ids()
            for make in (calls.get_usage, calls.get_entitlements, calls.get_upcoming_grants)
        ]
        async with sandbox.serving() as base:
            async with Client(base_url=base, api_key="sandbox") as api:
                right = await ask_all(api, every)
                assert not any(api.outages.touched(each.began, each.ended) for each in right if isinstance(each, Reply))
            sandbox.faults = Faults(database_down_at=at, database_down_for=1.5, database_partial=True)
            async with Client(base_url=base, api_key="sandbox") as api:
                found = await ask_all(api, every)
                pairs = [
                    (a, b) for a, b in zip(found, right, strict=True) if isinstance(a, Reply) and isinstance(b, Reply)
                ]
                assert len(pairs) == len(every)
                wrong = [a for a, b in pairs if a.body != b.body]
                assert wrong
                assert all(api.outages.touched(each.began, each.ended) for each in wrong)

    asyncio.run(main())


@pytest.mark.sampled
def test_isolated_errors_of_a_whole_run_cost_no_more_than_before(tmp_path: Path) -> None:
    """A run against a server with 5 % errors: green, no time lost to an outage, at most 1 % control calls."""
    report = sync(account(300, faults=Faults(error_rate=0.05)), tmp_path / "s.duckdb")
    assert report.status == "green"
    assert "outage" not in report.flow["waited"]
    assert report.flow["endpoints"].get("probes", {}).get("calls", 0) <= report.flow["calls"] / 100


@pytest.mark.parametrize("limit", [1001, 5000])
def test_a_refused_limit_names_itself(limit: int) -> None:
    """A page size that the server does not take is a Refused whose details say so (contract.md 2.4)."""

    async def main() -> None:
        async with account(3).serving() as base, Client(base_url=base, api_key="sandbox") as api:
            with pytest.raises(Refused) as caught:
                await api.send(calls.search_customers(limit=limit))
            assert caught.value.status == 400
            assert "between 1 and 1000" in caught.value.details["limit"]

    asyncio.run(main())
