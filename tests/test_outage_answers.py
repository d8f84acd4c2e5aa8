"""Answers that a failing server gives with status 200: told by what the run knows, asked for again, or named."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from itertools import count as counter
from pathlib import Path
from typing import Any

import pytest
from command import hard_limit
from sizes import Size, few, sizes
from support import Bent, Direct, World, ask, assert_exact, calm, counting, served, truth
from support import held as tables_of

from connector.api.outages import Outages, Outcome
from connector.errors import BudgetSpent
from connector.pull.completeness import named_subscriptions
from connector.sandbox import Faults
from connector.store.store import Store
from pipelines.summary import Report
from pipelines.sync import Sync

ENTITLEMENTS, SUBSCRIPTIONS = "GET /customers/{id}/entitlements", "POST /subscriptions/search"
RECORDED = Path(__file__).parent / "recorded" / "real-server.jsonl"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A small account that was never synced, in which four customers have two subscriptions each."""
    world = World(tmp_path, calm(12, kind=Bent), audit_sample=0)
    for customer in sorted(counting(world.sandbox))[:4]:
        world.sandbox.add_subscription(customer, "Scale")
    return world


def several(world: World) -> list[str]:
    """The customers with more than one subscription that counts."""
    return sorted(customer for customer, group in counting(world.sandbox).items() if len(group) > 1)


def partial(customers: Collection[str], times: int = 10**9) -> Callable[..., Any]:
    """Leave the newest subscription out of the first `times` entitlements answers of each of these customers."""
    given = {customer: counter() for customer in customers}

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route != "entitlements" or path["id"] not in given or next(given[path["id"]]) >= times:
            return None
        missing = body["subscriptions"].pop(0)
        for feature in body["features"]:
            feature["sources"] = [s for s in feature["sources"] if s["entity_id"] != missing["plan_id"]]
        body["features"] = [feature for feature in body["features"] if feature["sources"]]
        return body

    return bend


def held(world: World, customer: str) -> list[tuple[Any, ...]]:
    """The entitlements that the store holds of a customer."""
    return world.rows(f"SELECT feature_id, usage_limit FROM entitlements WHERE customer_id = '{customer}' ORDER BY ALL")


# --- entitlements that leave a subscription out --------------------------------------------------------------------


def test_a_partial_answer_at_first_sight_is_asked_for_again(world: World) -> None:
    """One answer misses one of two subscriptions: read it again by id, ask again, green and true; two calls more."""
    world.sandbox.bend = partial(several(world)[:1], times=1)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert world.asked.count(ENTITLEMENTS) == len(counting(world.sandbox)) + 1
    log = [body for _, path, _, body in world.sandbox.log if path.endswith("/subscriptions/search")]
    assert sum(b'"operator":"in"' in (body or b"") for body in log) == 1
    world.check()


@pytest.mark.sampled
def test_many_partial_answers_are_read_again_in_one_batch(world: World) -> None:
    """Four customers at once: one question for the four subscriptions, and four second calls."""
    customers = several(world)
    assert len(customers) >= 4
    world.sync(only=("customers", "subscriptions"))
    world.sandbox.bend = partial(customers, times=1)
    before = world.sandbox.calls[SUBSCRIPTIONS]
    assert world.sync(full=True).status == "green"
    calls = world.sandbox.calls[SUBSCRIPTIONS] - before
    world.sandbox.bend = None
    before = world.sandbox.calls[SUBSCRIPTIONS]
    assert world.sync(full=True).status == "green"
    assert calls == world.sandbox.calls[SUBSCRIPTIONS] - before + 1
    world.check()


@pytest.mark.sampled
def test_an_answer_that_stays_partial_at_first_sight_is_named(world: World) -> None:
    """Nothing of it is stored, and the run says which customer's."""
    (customer, *_) = several(world)
    world.sandbox.bend = partial([customer])
    report = world.sync()
    assert report.status == "degraded"
    named = f"{customer} all features incomplete"
    assert any(reason.startswith("entitlements: 1 ") and named in reason for reason in report.reasons), report.reasons
    assert held(world, customer) == []


@pytest.mark.sampled
def test_an_answer_that_stays_partial_keeps_the_last_good_rows(world: World) -> None:
    """Three nights of it make it no truer; only a person can accept it."""
    (customer, *_) = several(world)
    assert world.sync().status == "green"
    good = held(world, customer)
    assert good
    world.sandbox.bend = partial([customer])
    for _ in range(3):
        assert world.sync().status == "degraded"
        assert held(world, customer) == good
    assert world.sync(accept=frozenset({customer})).status == "green"
    assert held(world, customer) != good


@pytest.mark.sampled
def test_a_subscription_that_ended_in_between_costs_nothing(world: World) -> None:
    """It is cancelled after the sweep and before the call: the answer is right, kept and not asked for again."""
    (customer, *_) = several(world)
    (newest, *_) = counting(world.sandbox)[customer]
    sandbox = world.sandbox

    def cancel() -> None:
        if sandbox.calls[SUBSCRIPTIONS] == 1:
            sandbox.between_calls(None)
            sandbox.cancel_subscription(newest["id"])

    sandbox.between_calls(cancel)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert world.asked.count(ENTITLEMENTS) == len(world.rows("SELECT DISTINCT customer_id FROM flexsync.answers"))
    assert len(held(world, customer)) > 0
    assert world.rows("SELECT * FROM flexsync.suspects") == []


@pytest.mark.sampled
def test_a_subscription_that_ends_before_the_second_call_costs_one_look(world: World) -> None:
    """It was active when it was read again, and ended before the second answer: that answer is right, and kept."""
    (customer, *_) = several(world)
    (newest, *_) = counting(world.sandbox)[customer]
    sandbox = world.sandbox
    bend = partial([customer], times=1)
    asked = counter()

    def cancel(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route == "entitlements" and path["id"] == customer and next(asked) == 0:
            sandbox.between_calls(look)
        return bend(route, path, query, body)

    def look() -> None:
        _, path, _, body = sandbox.log[-1]
        if path.endswith("/subscriptions/search") and b'"operator":"in"' in (body or b""):
            sandbox.between_calls(None)
            sandbox.cancel_subscription(newest["id"])

    sandbox.bend = cancel
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert world.rows("SELECT * FROM flexsync.suspects") == []


@pytest.mark.sampled
def test_servers_that_name_no_subscriptions_are_not_checked(world: World) -> None:
    """Older servers send no `subscriptions`: nothing to check, nothing asked again."""

    def older(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        return {k: v for k, v in body.items() if k != "subscriptions"} if route == "entitlements" else None

    world.sandbox.bend = older
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert world.asked.count(ENTITLEMENTS) == len(counting(world.sandbox))


def test_recorded_answers_name_every_subscription() -> None:
    """A real server's answers name one, two, trialing and no subscriptions; a filter narrows them down."""
    named = {}
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        if exchange["name"].startswith("entitlements: "):
            named[exchange["name"][14:]] = named_subscriptions(exchange["response"]["body"].encode())
    sizes = {name: len(found or ()) for name, found in named.items()}
    assert sizes["no subscription"] == sizes["unknown"] == sizes["archived"] == 0
    assert sizes["one subscription"] == sizes["trialing"] == sizes["exotic"] == sizes["subscription_ids"] == 1
    assert sizes["two subscriptions"] == sizes["by external id"] == sizes["feature_ids"] == 2
    assert None not in named.values()
    assert named_subscriptions(b"{}") is named_subscriptions(b'{"subscriptions": null}') is None
    many = json.dumps({"subscriptions": [{"id": f"subs_{number}"} for number in range(50)]})
    assert named_subscriptions(many.encode()) is None, "a list that may be cut names nothing"
    assert named_subscriptions(b'{"subscriptions": [{"id": 7}]}') is named_subscriptions(b"\xff") is None


# --- usage and entitlements of one customer ------------------------------------------------------------------------


def poorer(customer: str, alone: bool, times: int = 10**9) -> Callable[..., Any]:
    """Leave a subscription out of the first `times` plain usage answers, or of those about one subscription alone."""
    given = counter()

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route != "usage" or query["customer_id"] != customer or ("subscription_ids" in query) is not alone:
            return None
        if next(given) >= times:
            return None
        plan = "" if alone else body["features"][0]["sources"][0]["entity_id"]
        for feature in body["features"]:
            feature["sources"] = [s for s in feature["sources"] if plan and s["entity_id"] != plan]
        body["features"] = [feature for feature in body["features"] if feature["sources"]]
        return body

    return bend


@pytest.mark.sampled
@pytest.mark.parametrize("alone", few([True, False]))
def test_a_usage_answer_without_a_subscription_is_asked_for_again(world: World, alone: bool) -> None:
    """Usage is made of the same entitlements, so other ones than the customer's give it away: green and true."""
    (customer, *_) = several(world)
    world.sandbox.bend = poorer(customer, alone, times=1)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    world.check()


def assert_asked_again_when_empty(world: World, subscription: str) -> None:
    """The first usage answer for a subscription alone is empty: it is asked for again, green and true."""
    given = counter()

    def empty(route: str, path: dict[str, str], query: dict[str, Any], body: Any) -> Any:
        asked = route == "usage" and query.get("subscription_ids") == subscription
        return {**body, "features": []} if asked and next(given) == 0 else None

    world.sandbox.bend = empty
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert next(given) > 0
    world.check()


@pytest.mark.sampled
@pytest.mark.parametrize(
    "plans", few([["Scale", "Scale", "Team"], ["Scale", "Scale"], ["Starter", "Starter", "Starter"]])
)
def test_of_several_subscriptions_to_one_plan_each_has_its_features(tmp_path: Path, plans: list[str]) -> None:
    """Plain usage counts the plan's entitlements once a subscription, so an empty answer for one is asked for again."""
    world = World(tmp_path, calm(6, kind=Bent), audit_sample=0)
    customer = world.sandbox.create_customer(external_id="acct-several", name="Several")["id"]
    subscriptions = [world.sandbox.add_subscription(customer, plan) for plan in plans]
    assert_asked_again_when_empty(world, subscriptions[0])


@pytest.mark.sampled
@pytest.mark.parametrize("alone", [False, True])
def test_a_usage_answer_that_stays_without_it_is_named(world: World, alone: bool) -> None:
    """The second answer lacks the subscription too: degraded, with the customer's name; the next run mends it."""
    (customer, *_) = several(world)
    world.sandbox.bend = poorer(customer, alone)
    report = world.sync()
    assert report.status == "degraded"
    assert any(customer in reason for reason in report.reasons), report.reasons
    world.sandbox.bend = None
    assert world.sync().status == "green"
    world.check()


def answered_instead(world: World, subscription: str | None, times: int = 10**9) -> Callable[..., Any]:
    """Give the first `times` answers about one subscription alone, or about any, as if it had not been named."""
    given = counter()

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        asked = query.get("subscription_ids") if route == "usage" else None
        if not asked or subscription not in (None, asked) or next(given) >= times:
            return None
        world.sandbox.bend = None
        plain = ask(world.sandbox, "/customers/usage", [("customer_id", query["customer_id"])])
        world.sandbox.bend = bend
        return json.loads(json.dumps(plain, default=str))

    return bend


@pytest.mark.sampled
def test_a_server_that_knows_no_single_subscription_is_named(world: World) -> None:
    """It answers all of them as one, stamped with the newest one's id: nothing of that is stored as a figure of one."""
    customers = several(world)
    world.sandbox.bend = answered_instead(world, None)
    report = world.sync()
    world.sandbox.bend = None
    assert report.status == "degraded"
    (reason,) = [reason for reason in report.reasons if reason.startswith("usage: ") and "failed" in reason]
    assert f"{customers[0]}: the answer is about subscription" in reason
    assert world.rows(f"SELECT * FROM subscription_usage WHERE customer_id IN {(*customers, '')}") == []
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    world.check()


@pytest.mark.sampled
@pytest.mark.parametrize("plans", few([["Scale", "Team"], ["Team", "Team"], ["Team", "Scale", "Team"]]))
@pytest.mark.parametrize("newest", few([True, False]))
def test_a_cached_answer_about_all_subscriptions_is_not_one_s_own(
    tmp_path: Path, plans: list[str], newest: bool
) -> None:
    """Even where the ids agree, as all sources name the newest: asked for again, green and true."""
    world = World(tmp_path, calm(6, kind=Bent), audit_sample=0)
    customer = world.sandbox.create_customer(external_id="acct-several", name="Several")["id"]
    subscriptions = []
    for plan in plans:
        subscriptions.append(world.sandbox.add_subscription(customer, plan))
        world.later(1)
    world.sandbox.bend = answered_instead(world, subscriptions[-1 if newest else 0], times=1)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    world.check()


def without_features(number: int, times: int = 10**9) -> Callable[..., Any]:
    """Answer `times` questions about usage with no features, from question `number` on."""
    given = counter(1)

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        return {**body, "features": []} if route == "usage" and number <= next(given) < number + times else None

    return bend


@pytest.mark.sampled
def test_an_account_without_any_usage_is_doubted(tmp_path: Path) -> None:
    """Its entitlements are metered, and those stand in usage on every server: asked again, green and true."""
    world = World(tmp_path, calm(0, kind=Bent))
    world.sandbox.add_subscription(world.sandbox.create_customer(name="Only one")["id"], "Team")
    world.later(5)
    world.sandbox.bend = without_features(1, times=1)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    world.check()


@pytest.mark.sampled
def test_usage_that_stays_empty_for_everyone_is_named(world: World) -> None:
    """No answer has a feature, first or second: degraded, though nothing tells which types the server reports."""
    world.sandbox.bend = without_features(1)
    report = world.sync()
    assert report.status == "degraded"
    assert any("have other ones in their usage" in reason for reason in report.reasons), report.reasons


@pytest.mark.sampled
@pytest.mark.parametrize("stays", few([False, True], 2))
def test_usage_alone_needs_no_entitlements_to_be_doubted(world: World, stays: bool) -> None:
    """`--only usage`: what the answers for each subscription have must stand in the plain one, so often too."""
    (customer, *_) = several(world)
    world.sandbox.bend = poorer(customer, alone=False, times=10**9 if stays else 1)
    report = world.sync(only=("usage",))
    world.sandbox.bend = None
    if stays:
        assert report.status == "degraded"
        assert any(reason.startswith("usage: ") and customer in reason for reason in report.reasons), report.reasons
        return
    assert (report.status, report.reasons) == ("green", [])
    with Store.open(world.path) as store:
        names = ("usage", "usage_sources", "subscription_usage")
        have, want = tables_of(store), truth(world.sandbox)
        assert_exact({name: have[name] for name in names}, {name: want[name] for name in names})


def addon_of(world: World) -> str:
    """An add-on of the catalogue."""
    return next(id for id, plan in world.sandbox.account.catalog.plans.items() if not plan.name)


@pytest.mark.sampled
@pytest.mark.parametrize("plans", few([("", "Scale", True), ("", "Scale", False), ("", "", True)], 2))
def test_a_subscription_that_has_only_an_add_on_is_not_empty(tmp_path: Path, plans: tuple[str, str, bool]) -> None:
    """Whether the other one has a plan with its features, the same add-on or both: asked for again, green and true."""
    world = World(tmp_path, calm(3, kind=Bent), audit_sample=0)
    account, customer = world.sandbox.account, world.sandbox.create_customer(name="Add-on")["id"]
    subscriptions = []
    for number, plan in enumerate(plans[:2]):
        subscriptions.append(world.sandbox.add_subscription(customer, plan or "Team"))
        row, addon = account.subscriptions.find(subscriptions[-1]), (addon_of(world),)
        account.entities[row] = (*account.entities[row] * bool(plan), *addon * (plans[2] or not number))
        world.later(1)
    assert_asked_again_when_empty(world, subscriptions[0])


@pytest.mark.sampled
def test_a_subscription_without_entitlements_is_believed(tmp_path: Path) -> None:
    """One subscription has nothing, the other one an add-on twice: nothing is asked for again, green and true."""
    world = World(tmp_path, calm(3, kind=Bent), audit_sample=0)
    account, customer = world.sandbox.account, world.sandbox.create_customer(name="Add-on")["id"]
    for number in range(2):
        row = account.subscriptions.find(world.sandbox.add_subscription(customer, "Team"))
        account.entities[row] = (addon_of(world), addon_of(world)) if number else ()
        world.later(1)
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert children(world) == world.rows("SELECT count(*) FROM flexsync.queue")[0][0]
    world.check()


@pytest.mark.sampled
@pytest.mark.parametrize("counted", ["subs_AAA", "subs_ZZZ"])
def test_the_period_is_that_of_the_subscription_that_is_counted(tmp_path: Path, counted: str) -> None:
    """Of two that were created in one microsecond the server counts either (contract.md 3.3), and names it."""
    world = World(tmp_path, calm(3, kind=Bent), audit_sample=0)
    customer, other = (
        world.sandbox.create_customer(name="Twins")["id"],
        "subs_AAA subs_ZZZ".replace(counted, "").strip(),
    )
    for id, day in ((counted, 1), (other, 10)):
        world.sandbox.add_subscription(
            customer,
            "Team",
            id=id,
            created_at="2026-11-10T12:00:00.5Z",
            current_period_start=f"2026-11-{day:02}T00:00:00Z",
        )
    world.later(5)

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route == "usage" and "subscription_ids" not in query:
            for source in (source for feature in body["features"] for source in feature["sources"]):
                source["subscription_id"] = counted
            return body
        return None

    world.sandbox.bend = bend
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    found = world.rows("SELECT DISTINCT subscription_id, current_period_start FROM usage")
    assert found == [(counted, datetime(2026, 11, 1, tzinfo=UTC))]
    world.check()


@pytest.mark.sampled
def test_a_catalogue_that_changes_in_mid_run_is_read_again(tmp_path: Path) -> None:
    """Usage was read before an entitlement was added, entitlements after it: both are asked again once, and agree."""
    world = World(tmp_path, calm(12, kind=Bent), audit_sample=0, max_in_flight=1)
    changed: list[str] = []

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        changed.extend([route] if route == "entitlements" else [])
        return {**body, "features": body["features"][1:]} if route == "usage" and not changed else None

    world.sandbox.bend = bend
    report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    customers = len(counting(world.sandbox))
    assert children(world) == world.rows("SELECT count(*) FROM flexsync.queue")[0][0] + 2 * customers
    world.check()


# --- answers that touched an outage --------------------------------------------------------------------------------


class Night:
    """Runs over a world in process, with an outage that other calls noticed; a second passes with every call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 0.0
        self.outages = Outages(self.clock)

    def clock(self) -> float:
        return self.now + self.world.sandbox.calls_total

    def fails(self, calls: int = 12, seconds: float = 1.0) -> None:
        """Calls of several customers fail, and then the server answers again."""
        for endpoint in ("usage", "entitlements"):
            self.outages.note(self.clock(), self.clock(), Outcome.ANSWERED, "c0", endpoint)
        for number in range(calls):
            self.outages.note(self.clock(), self.clock(), Outcome.FAILED, f"c{number % 4}", "usage")
        assert self.outages.open
        self.recovers()

    def recovers(self) -> None:
        for _ in range(6):
            self.now += 0.6
            self.outages.note(self.clock(), self.clock(), Outcome.ANSWERED, "c0", "usage")
        assert not self.outages.open

    def sync(self, max_calls: int | None = None) -> Report:
        async def go() -> Report:
            with Store.open(self.world.path) as store:
                api = Direct(self.world.sandbox, max_calls)
                api.monotonic, api.outages = self.clock, self.outages
                settings = self.world.settings(analytics_probe="off").sync
                return await Sync(settings, api, store, monotonic=self.clock).run()

        return asyncio.run(go())


def children(world: World) -> int:
    """How many per-customer calls the sandbox has answered."""
    return sum(number for route, number in world.sandbox.calls.items() if route.startswith("GET /customers/"))


def fails_after_nine(world: World, night: Night) -> None:
    """Let an outage show once, after the ninth per-customer answer."""
    at = iter([9])

    def look() -> None:
        if children(world) == 9 and next(at, None):
            night.fails()

    world.sandbox.between_calls(look)


@pytest.mark.sampled
def test_answers_around_an_outage_are_asked_for_once_more(world: World) -> None:
    """What was answered within two seconds of an episode is asked again, the rest is not; green and true."""
    night = Night(world)
    fails_after_nine(world, night)
    report = night.sync()
    assert (report.status, report.reasons) == ("green", [])
    owed = world.rows("SELECT count(*) FROM flexsync.queue")[0][0]
    assert owed < children(world) <= owed + 8
    world.check()


@pytest.mark.sampled
def test_an_interrupted_run_settles_what_it_knows(world: World) -> None:
    """The clock of a process dies with it: doubts are queued before the end, so the next process asks again."""
    night = Night(world)
    fails_after_nine(world, night)
    with pytest.raises(BudgetSpent):
        night.sync(max_calls=20)
    doubted = world.rows("SELECT count(*) FROM flexsync.queue WHERE state = 'again'")[0][0]
    assert doubted > 0
    before, left = children(world), world.rows("SELECT count(*) FROM flexsync.queue WHERE state <> 'done'")[0][0]
    later = Night(world)
    later.now = -10_000.0  # a machine that was started again
    report = later.sync()
    assert report.status == "green"
    assert children(world) - before == left
    world.check()


@pytest.mark.sampled
def test_a_killed_run_has_recorded_what_an_outage_touched(world: World) -> None:
    """It is killed in mid-run, before any second call: the next process asks again for what the outage had touched."""
    night, given = Night(world), counter()

    def partial_grants(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route != "grants" or not body["items"] or next(given):
            return None
        world.sandbox.between_calls(fail)
        return {**body, "items": body["items"][1:]}

    def fail() -> None:
        world.sandbox.between_calls(kill)
        night.fails()

    def kill() -> None:
        _, path, _, _ = world.sandbox.log[-1]
        if path.endswith("/search"):  # the closing pass
            raise KeyboardInterrupt

    world.sandbox.bend = partial_grants
    with pytest.raises(KeyboardInterrupt):
        night.sync()
    world.sandbox.between_calls(None)
    assert next(given) > 0
    later = Night(world)
    later.now = -10_000.0  # a machine that was started again
    report = later.sync()
    assert (report.status, report.resumed) == ("green", 1)
    world.check()


@pytest.mark.sampled
def test_an_outage_in_the_second_calls_too_is_named(world: World) -> None:
    """The server fails again while doubtful answers are asked for: they stay doubtful, and the run says so."""
    night = Night(world)
    owed = 3 * len(counting(world.sandbox)) + 2 * len(several(world))
    at = iter([9, owed + 2])
    upcoming = [next(at)]

    def look() -> None:
        if upcoming and children(world) == upcoming[0]:
            upcoming[:] = [number for number in [next(at, None)] if number]
            night.fails()

    world.sandbox.between_calls(look)
    report = night.sync()
    assert report.status == "degraded"
    assert any("while the server was failing" in reason for reason in report.reasons), report.reasons


# --- whole outages, over HTTP --------------------------------------------------------------------------------------


@pytest.mark.sampled
@hard_limit(120)
def test_a_database_outage_with_partial_answers_ends_green_and_true(tmp_path: Path) -> None:
    """It stops in mid-run and answers 200 without one of two subscriptions, fails, and is back: green and true."""
    sandbox = calm(12)
    for customer in sorted(counting(sandbox))[:5]:
        sandbox.add_subscription(customer, "Scale")
    with served(tmp_path, sandbox, audit_sample=0, max_in_flight=2) as world:
        sandbox.faults = Faults(database_partial=True)

        def stop() -> None:
            if sandbox.calls[ENTITLEMENTS] == 2:
                sandbox.between_calls(None)
                sandbox.stop_database()  # the sandbox's clock stands: it gives partial answers until it is started
                threading.Timer(1.5, sandbox.start_database).start()

        sandbox.between_calls(stop)
        report = world.sync()
        assert (report.status, report.reasons) == ("green", [])
        world.check()


@pytest.mark.sampled
@hard_limit(120)
def test_isolated_errors_are_no_outage(tmp_path: Path) -> None:
    """One call in twenty fails: green, and nothing that was answered is asked for again."""
    with served(tmp_path, calm(40, faults=Faults(error_rate=0.05)), audit_sample=0) as world:
        report = world.sync()
        assert report.status == "green"
        owed = world.rows("SELECT count(*) FROM flexsync.queue")[0][0]
        failed = sum(each["failed"] for each in report.flow["endpoints"].values())
        assert children(world) - failed <= owed * 1.01
        world.check()


@sizes(0, 2, 60)
def test_whatever_answers_are_partial_green_is_true(tmp_path: Path, size: Size) -> None:
    """Entitlements, plain usage and usage of one subscription lose a subscription at random: exact, or degraded."""
    chance = size.chance()
    for number in range(size.count):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, calm(10, seed=chance.randrange(5), kind=Bent), audit_sample=0)
        for customer in sorted(counting(world.sandbox))[:4]:
            world.sandbox.add_subscription(customer, chance.choice(["Starter", "Team", "Scale"]))
        share, people = chance.choice([0.1, 0.3, 0.9]), several(world)

        def bend(*given: Any, share: float = share, people: list[str] = people) -> Any:
            if chance.random() > share or not people:
                return None
            customer = chance.choice(people)
            return partial([customer])(*given) or poorer(customer, alone=chance.random() < 0.5)(*given)

        world.sandbox.bend = bend
        report = world.sync()
        world.sandbox.bend = None
        if report.status == "green":
            world.check()
        assert (report.status == "green") == (not report.reasons)
        assert world.sync().status == "green"
        world.check()
