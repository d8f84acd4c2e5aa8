"""The probe of the analytics store: false zeros are told from true ones, and a healthy account pays next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sizes import Size, few, sampled, sizes
from support import World, calm, truth

from connector.api.calls import Call, Reply
from connector.api.retries import Retry
from connector.errors import BudgetSpent, NotFound, Refused
from connector.pull import fan_out
from connector.pull.probes import Health, Probes, health_of
from connector.sandbox import Faults, Sandbox
from connector.sandbox.replies import error_reply
from pipelines.summary import Report
from pipelines.sync.probing import INTERVAL, SILENT, Prober

EVENTS, USAGE = "GET /events", "GET /customers/usage"
GRANTS = "GET /customers/{id}/grants/upcoming"
DOWN = 'get_events (GET /events): 500 database_error "Failed to count events".'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A small account that was never synced; its zeros are too few for the watch over all of them."""
    return World(tmp_path, calm(17), audit_sample=0)


def ticking(world: World) -> World:
    """Let a second pass with every call, by the clock that probes go by."""
    world.monotonic = lambda: float(world.sandbox.calls_total)
    return world


def zeros(report: Report) -> dict[str, int]:
    """The certificate's figures about zeros."""
    found: dict[str, int] = report.certificate["zeros"]
    return found


def at_usage(world: World, **acts: Callable[[], None]) -> None:
    """Do something after a usage call: `at_usage(world, _3=sandbox.stop_analytics)`."""

    def look() -> None:
        act = acts.pop(f"_{world.sandbox.calls[USAGE]}", None)
        if act:
            act()

    world.sandbox.between_calls(look)


def count(world: World, route: str) -> int:
    """How often the last run asked for a route."""
    return world.asked.count(route)


class Killed(BaseException):
    """Ends a run as a kill does: nothing handles it."""


class Lying(Sandbox):
    """A server whose events fail in some words while everything else works."""

    said = "Failed to count events"

    def handle(self, call: Any) -> Any:
        if call.route.name == "events":
            return error_reply("database_error", self.said)
        return super().handle(call)


# --- a store that is down ------------------------------------------------------------------------------------------


def test_a_first_sync_beside_a_stopped_store_is_degraded(world: World) -> None:
    """Every figure reads zero, and nothing is there to compare it with: the probe tells, and the run says so."""
    world.sandbox.stop_analytics()
    report = world.sync()
    assert report.status == "degraded"
    assert [reason for reason in report.reasons if "analytics store was down" in reason], report.reasons
    found = zeros(report)
    assert found["metered"] < 50, "the watch over all zeros must not be what tells"
    assert found["probed"] == 0 < found["unprobed"] == found["unproven"] == found["doubtful"]
    asked = world.rows("SELECT count(*) FROM flexsync.queue WHERE resource = 'usage'")
    assert [(count(world, USAGE),)] == asked, "a second call would have said zero again"


@pytest.mark.sampled
def test_a_stop_during_a_run_costs_second_calls_and_nothing_else(world: World) -> None:
    """The store is away for a while in mid-run: zeros of that time are asked for once more; green, and all is true."""
    sandbox = ticking(world).sandbox
    at_usage(world, _2=sandbox.stop_analytics, _9=sandbox.start_analytics)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert zeros(report)["unprobed"] == 0
    world.check()
    assert count(world, USAGE) > len(world.rows("SELECT * FROM flexsync.queue WHERE resource = 'usage'"))


@pytest.mark.sampled
def test_a_store_that_stays_away_to_the_end_is_not_asked_twice(world: World) -> None:
    """It stops in mid-run for good: what was read before it counts, what was read after it is named as doubtful."""
    sandbox = ticking(world).sandbox
    at_usage(world, _8=sandbox.stop_analytics)
    report = world.sync()
    assert report.status == "degraded"
    assert 0 < zeros(report)["doubtful"] < zeros(report)["figures"]
    named = world.rows("SELECT count(DISTINCT customer_id) FROM flexsync.queue WHERE error LIKE '%analytics store%'")
    assert named[0][0] > 0


@pytest.mark.sampled
def test_a_zero_that_was_zero_before_is_doubted_too(tmp_path: Path) -> None:
    """A figure that rose from zero and reads zero beside a stopped store has fallen nowhere: not green, then mended."""
    world = World(tmp_path, calm(10), audit_sample=0)
    features = {key[0]: row for key, row in truth(world.sandbox)["features"].items() if row["type"] == "metered"}
    figures = [key for key in truth(world.sandbox)["usage"] if key[1] in features]
    for customer, feature in figures:
        world.sandbox.set_usage(customer, features[feature]["lookup_key"], 0)
    assert world.sync().status == "green"
    world.sandbox.set_usage(figures[0][0], features[figures[0][1]]["lookup_key"], 5)
    world.sandbox.stop_analytics()
    report = world.sync()
    assert report.status == "degraded"
    assert zeros(report)["unproven"] == 0 < zeros(report)["doubtful"]
    world.sandbox.start_analytics()
    assert world.sync().status == "green"
    world.check()


@pytest.mark.sampled
def test_a_run_that_goes_on_in_another_process_knows_that_a_probe_failed(world: World) -> None:
    """Its first half was read beside a stopped store; the second process asks for those zeros again: green and true."""
    sandbox = ticking(world).sandbox
    at_usage(world, _1=sandbox.stop_analytics)
    with pytest.raises(BudgetSpent):
        world.sync(max_calls=32)
    assert count(world, USAGE) > 5
    sandbox.start_analytics()
    sandbox.between_calls(None)
    report = world.sync()
    assert (report.status, report.resumed) == ("green", 1)
    world.check()


@pytest.mark.sampled
@pytest.mark.parametrize("killed", few([True, False]))
def test_zeros_that_no_later_probe_saw_are_asked_for_again_by_the_next_process(
    world: World, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """The store stops, and the process before its next probe, killed or out of calls: then green, true and probed."""
    sandbox, now = world.sandbox, [0.0]
    right = truth(sandbox)["usage"]
    monkeypatch.setattr(fan_out, "BATCH", 4)
    world.monotonic = lambda: now[0]

    def look() -> None:
        now[0] += 0.01  # no probe is due
        if sandbox.calls[USAGE] == 2:
            sandbox.stop_analytics()
        if killed and sandbox.calls[GRANTS] == 6:
            sandbox.between_calls(None)
            raise Killed

    sandbox.between_calls(look)
    with pytest.raises(Killed if killed else BudgetSpent):
        world.sync(max_in_flight=1, **({} if killed else {"max_calls": 25}))
    zero = world.rows("SELECT customer_id, feature_id FROM usage WHERE current_usage = 0")
    assert any(key[:2] in zero and row["current_usage"] for key, row in right.items()), "or this shows nothing"
    sandbox.between_calls(None)
    sandbox.start_analytics()
    report = world.sync()
    assert (report.status, report.resumed, zeros(report)["unprobed"]) == ("green", 1, 0)
    world.check()


# --- a healthy account ---------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_healthy_account_pays_for_the_probes_only(tmp_path: Path) -> None:
    """A first run and a second one make the calls that they made before, and two probes each; all zeros are probed."""
    (tmp_path / "off").mkdir()
    auto = World(tmp_path, calm(10), audit_sample=0)
    off = World(tmp_path / "off", calm(10), audit_sample=0, analytics_probe="off")
    for _ in range(2):
        reports = auto.sync(), off.sync()
        assert [report.status for report in reports] == ["green", "green"]
        assert auto.asked == sorted([*off.asked, EVENTS, EVENTS])
    assert zeros(reports[0])["unproven"] == 0


@pytest.mark.sampled
def test_probes_come_every_few_seconds_while_usage_is_read(world: World) -> None:
    """There is one before the first usage call, one every five seconds while usage is read, and one after the last."""
    report = ticking(world).sync()
    assert (report.status, zeros(report)["unprobed"]) == ("green", 0)
    calls = [(method, path) for method, path, _, _ in world.sandbox.log]
    places = [i for i, (_, path) in enumerate(calls) if path.endswith("/events")]
    usage = [i for i, (_, path) in enumerate(calls) if path.endswith("/customers/usage")]
    assert places[0] < usage[0]
    assert usage[-1] < places[-1]
    assert all(later - earlier >= INTERVAL for earlier, later in pairwise(places[:-1]))
    assert len(places) <= 2 + (usage[-1] - usage[0]) / INTERVAL
    assert all([*query] == [("page_size", "1")] for _, path, query, _ in world.sandbox.log if path.endswith("/events"))


@pytest.mark.sampled
def test_the_certificate_counts_zeros_of_both_tables_against_both(tmp_path: Path) -> None:
    """Customers with several subscriptions have figures of their own for each: never more zeros than figures."""
    world = World(tmp_path, calm(10), audit_sample=0)
    for customer in world.sandbox.active_customer_ids():
        for plan in ("Starter", "Team", "Scale"):
            world.sandbox.add_subscription(customer, plan)
    report = world.sync()
    found = zeros(report)
    assert found["metered"] < found["unproven"] <= found["figures"]
    assert found["probed"] == found["unproven"]
    each = "SELECT customer_id, subscription_id, feature_id, current_usage FROM"
    listed = f"FROM ({each} usage UNION {each} subscription_usage) t JOIN features f ON f.id = t.feature_id"
    assert world.rows(f"SELECT count(*) {listed} WHERE f.type = 'metered'") == [(found["figures"],)]


@pytest.mark.sampled
def test_probes_count_in_max_calls(world: World) -> None:
    """A probe that is one call too many ends the run, and the next one goes on from there."""
    off = world.sandbox.calls_total
    with pytest.raises(BudgetSpent):
        world.sync(max_calls=13)
    assert world.sandbox.calls_total - off == 13
    assert world.sync().status == "green"
    world.check()


# --- servers without a probe, and with one that lies ---------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("status", [sampled(403), 404])
def test_a_server_without_events_is_probed_once(world: World, status: int) -> None:
    """A key that may not read events, or a server without them: a note, and the rules of before."""
    world.sandbox.faults = Faults(no_events=status)
    report = world.sync()
    assert (report.status, count(world, EVENTS)) == ("green", 1)
    assert any("cannot be probed" in note for note in report.notes)
    assert zeros(report)["probed"] == zeros(report)["doubtful"] == 0


@pytest.mark.sampled
def test_a_probe_that_lies_degrades_until_it_is_turned_off(tmp_path: Path) -> None:
    """Events fail in the words of contract.md though usage is right: degraded, naming the setting; then green."""
    world = World(tmp_path, calm(10, kind=Lying), audit_sample=0)
    report = world.sync()
    assert report.status == "degraded"
    assert any('analytics_probe = "off"' in reason for reason in report.reasons)
    report = world.sync(analytics_probe="off")
    assert (report.status, count(world, EVENTS)) == ("green", 0)


@pytest.mark.sampled
def test_other_words_are_no_sign(tmp_path: Path) -> None:
    """A 500 that contract.md does not name says nothing: no second calls, no red, and a note."""
    world = World(tmp_path, calm(10, kind=Lying), audit_sample=0)
    assert isinstance(world.sandbox, Lying)
    world.sandbox.said = "Failed to query events"
    report = world.sync()
    assert (report.status, count(world, EVENTS)) == ("green", 2)
    assert any("cannot be probed" in note for note in report.notes)
    world.check()


@pytest.mark.parametrize(
    ("status", "text", "health"),
    [
        (500, "Failed to count events", Health.DOWN),
        (500, "Failed to execute usage query", Health.DOWN),
        (500, "Failed to query events", Health.UNKNOWN),
        (500, "Failed to resolve environment", Health.UNKNOWN),
        (502, "Failed to count events", Health.UNKNOWN),
        (0, "no whole answer", Health.UNKNOWN),
        (401, "Unauthorized", Health.UNKNOWN),
        (429, "Too Many Requests", Health.UNKNOWN),
        (403, "insufficient permissions", Health.ABSENT),
        (404, "404 page not found", Health.ABSENT),
        (400, "page_size", Health.ABSENT),
    ],
)
def test_what_a_failed_probe_says(status: int, text: str, health: Health) -> None:
    """Only the two texts of contract.md, with a 500, mean that the store is down."""
    assert health_of(status, text) is health


# --- the rules, without a server -----------------------------------------------------------------------------------


def test_an_answer_is_probed_between_two_healthy_probes_only() -> None:
    """Every probe from the last one that was over before it to the first one that began after it has to be healthy."""
    probes = Probes()
    assert not probes.vouch_for(1, 2)
    for sent, health in ((0, Health.UP), (5, Health.UP), (10, Health.DOWN), (15, Health.UP), (20, Health.UNKNOWN)):
        probes.add(sent, sent + 1, health)
    assert probes.vouch_for(1, 2)
    assert probes.vouch_for(1, 5)
    assert not probes.vouch_for(0.5, 2), "it began before the first probe was over"
    assert not probes.vouch_for(4, 5.5), "a probe at the same time does not count as one after it"
    assert not probes.vouch_for(7, 8)
    assert not probes.vouch_for(2, 12)
    assert not probes.vouch_for(12, 13)
    assert not probes.vouch_for(17, 18)
    assert not probes.vouch_for(22, 23), "none came after it"
    assert (probes.last, probes.down) == (Health.UNKNOWN, 1)


class Events:
    """A `send` that answers probes as told, by a clock that it moves."""

    def __init__(self, *said: Exception | None) -> None:
        self.said, self.now, self.sent = list(said), 0.0, 0
        self.notes: list[str] = []
        self.prober = Prober(self.send, self.notes.append, lambda: self.now)

    async def send(self, call: Call, *, retries: Retry, **_: float) -> Reply:
        assert (call.path, retries.attempts) == ("/events", 1)
        self.sent += 1
        self.now += 0.1
        error = self.said.pop(0) if self.said else None
        if error:
            raise error
        await asyncio.sleep(0)
        return Reply(200, b"{}")


def test_many_workers_make_one_probe() -> None:
    """Thirty usage calls at once wait for one first probe; later only one of them makes the next."""

    async def go() -> None:
        events = Events()
        await asyncio.gather(*(events.prober.before_usage() for _ in range(30)))
        assert events.sent == 1
        events.now += INTERVAL
        await asyncio.gather(*(events.prober.before_usage() for _ in range(30)))
        assert events.sent == 2
        await events.prober.after_usage()
        await events.prober.after_usage()
        assert events.sent == 3, "nothing was read between the last two"

    asyncio.run(go())


def test_a_probe_that_fails_ends_nothing() -> None:
    """Down, unknown and absent are taken in; a spent budget goes through; after an absent one there is no more."""

    async def go() -> None:
        silent = Events(*[Refused("an HTML page", status=502)] * 9)
        for _ in range(9):
            await silent.prober.before_usage()
            silent.now += INTERVAL
        assert (silent.sent, len(silent.notes)) == (SILENT, 1)
        events = Events(Refused(DOWN, status=500), Refused("x", status=502), NotFound("404 page not found", status=404))
        for _ in range(5):
            await events.prober.before_usage()
            events.now += INTERVAL
        assert (events.sent, len(events.prober.probes), events.prober.probes.down) == (3, 3, 1)
        assert len(events.notes) == 1
        with pytest.raises(BudgetSpent):
            await Events(BudgetSpent("no calls are left")).prober.before_usage()

    asyncio.run(go())


@sizes(0, 3, 100)
def test_whatever_a_stop_hits_green_is_true(tmp_path: Path, size: Size) -> None:
    """Stops of two intervals and more, at any call, once or twice, for good or not: green and exact, or degraded."""
    green = 0
    chance = size.chance()
    for number in range(size.count):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = ticking(World(folder, calm(17, seed=chance.randrange(5)), audit_sample=0))
        first = chance.randrange(1, 60)
        acts = {first: world.sandbox.stop_analytics, first + chance.randrange(11, 40): world.sandbox.start_analytics}

        def look(world: World = world, acts: dict[int, Callable[[], None]] = acts) -> None:
            act = acts.pop(world.sandbox.calls_total, None)
            if act:
                act()

        world.sandbox.between_calls(look)
        report = world.sync()
        world.sandbox.between_calls(None)
        world.sandbox.start_analytics()
        if report.status == "green":
            world.check()
            green += 1
        else:
            assert report.reasons
        assert world.sync().status == "green"
        world.check()
    assert green, "no stop was ever over before the second calls"
