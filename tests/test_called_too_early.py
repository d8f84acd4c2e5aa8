"""Customers that were called before their subscriptions were known: called again, and no night without them pays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sizes import few
from support import Bent, World, before, calm, counting, set_bend, synced

from connector.errors import BudgetSpent
from connector.sandbox import Sandbox


def green_and_true(world: World, **acts: Callable[[], object]) -> None:
    """A run in which something happens is green and exact, and so is a quiet one after it."""
    with before(**acts):
        report = world.sync()
    assert (report.status, report.reasons) == ("green", [])
    world.check()
    world.later(600)
    assert world.sync().status == "green"
    world.check()


def small(folder: Path, **settings: Any) -> World:
    """A world after a green first run, ten minutes later."""
    world = synced(folder, 20, Bent, audit_sample=0, **settings)
    world.later(600)
    return world


def with_one(sandbox: Sandbox) -> str:
    """A customer with one subscription that counts."""
    return next(customer for customer, group in sorted(counting(sandbox).items()) if len(group) == 1)


def calls(world: World) -> int:
    """How many per-customer calls the last run made."""
    return sum(route.startswith("GET /customers/") for route in world.asked)


def items(world: World) -> int:
    """How many calls the last run owed."""
    return int(world.rows("SELECT count(*) FROM flexsync.queue")[0][0])


# --- subscriptions that become known late --------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("left", few([True, False]))
def test_a_subscription_that_only_the_proof_finds_is_called_for(tmp_path: Path, left: bool) -> None:
    """It began before the run and commits after the closing pass; its customer had one before, or lost its last one."""
    world = small(tmp_path)
    sandbox = world.sandbox
    customer = with_one(sandbox)
    for row in counting(sandbox)[customer] if left else ():
        sandbox.cancel_subscription(row["id"])
    world.later(60)
    hidden = sandbox.add_subscription(customer, "Team")
    sandbox.hide(hidden)
    world.later(2)
    green_and_true(world, prove=lambda: sandbox.show(hidden))


@pytest.mark.sampled
def test_a_subscription_that_the_closing_pass_finds_is_called_for(tmp_path: Path) -> None:
    """Its customer's own answers were made without it: usage, entitlements and grants are asked once more."""
    world = small(tmp_path)
    hidden = world.sandbox.add_subscription(with_one(world.sandbox), "Team")
    world.sandbox.hide(hidden)
    world.later(2)
    with before(close=lambda: world.sandbox.show(hidden)):
        assert world.sync().status == "green"
    world.check()
    assert calls(world) == items(world) + 3


@pytest.mark.sampled
@pytest.mark.parametrize("known", [False, True])
def test_a_subscription_that_searches_lack_until_the_proof_is_called_for(tmp_path: Path, known: bool) -> None:
    """Every answer about its customer was true; a lagging copy answered the searches, its look-up by id included."""
    world = small(tmp_path)
    sandbox = world.sandbox
    customer = with_one(sandbox)
    late = counting(sandbox)[customer][0]["id"] if known else sandbox.add_subscription(customer, "Team")
    world.later(60)
    set_bend(world, unlisted(late))
    green_and_true(world, prove=lambda: set_bend(world, None))


def unlisted(subscription: str) -> Callable[..., Any]:
    """Leave a subscription out of searches, and out of their totals."""

    def change(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if route != "subscriptions":
            return None
        rows = [row for row in body["items"] if row["id"] != subscription]
        body["pagination"]["total"] -= len(body["items"]) - len(rows)
        return {**body, "items": rows}

    return change


@pytest.mark.sampled
def test_a_subscription_that_was_gone_and_is_back_is_called_for(tmp_path: Path) -> None:
    """The calls and its look-up by id went to a lagging copy, so poor answers were believed; the proof finds it."""
    world = small(tmp_path)
    sandbox = world.sandbox
    late = sandbox.add_subscription(with_one(sandbox), "Scale")
    world.later(3)
    green_and_true(world, call_customers=lambda: sandbox.hide(late), prove=lambda: sandbox.show(late))


@pytest.mark.sampled
@pytest.mark.parametrize("first", few([True, False]))
def test_a_customer_that_was_gone_and_is_back_is_called(tmp_path: Path, first: bool) -> None:
    """A lagging copy answers 404 twice and does not know its id, so it is marked as gone; the proof finds it again."""
    world = World(tmp_path, calm(8, kind=Bent), audit_sample=0) if first else small(tmp_path)
    sandbox = world.sandbox
    late = sandbox.create_customer(name="New")["id"]
    sandbox.add_subscription(late, "Team")
    world.later(5)
    green_and_true(world, call_customers=lambda: sandbox.hide(late), prove=lambda: sandbox.show(late))


# --- subscriptions that live within a run --------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_subscription_that_lives_between_two_listings_leaves_nothing_behind(tmp_path: Path) -> None:
    """It began before its customer was called and ended before the closing pass: the entitlements answer tells."""
    world = small(tmp_path)
    sandbox = world.sandbox
    customer, new = with_one(sandbox), []

    def begins() -> None:
        new.append(sandbox.add_subscription(customer, "Scale"))
        world.later(1)

    def ends() -> None:
        world.later(1)
        sandbox.cancel_subscription(new[0])

    green_and_true(world, call_customers=begins, close=ends)


@pytest.mark.sampled
def test_a_run_that_goes_on_much_later_calls_for_what_began_in_between(tmp_path: Path) -> None:
    """It was stopped after a customer's calls; a subscription began before it went on: all its answers are new."""
    world = small(tmp_path, max_in_flight=1)
    customer = with_one(world.sandbox)
    with pytest.raises(BudgetSpent):
        world.sync(max_calls=45)
    world.later(600)
    world.sandbox.add_subscription(customer, "Scale")
    world.later(1)
    report = world.sync()
    assert (report.status, report.resumed) == ("green", 1)
    world.check()


# --- what it costs -------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_subscription_that_no_search_ever_brings_degrades_and_costs_two_rounds(tmp_path: Path) -> None:
    """Entitlements name it each time: its customer is called twice more, then named; a later night mends it."""
    world = small(tmp_path)
    sandbox = world.sandbox
    customer = with_one(sandbox)
    set_bend(world, unlisted(sandbox.add_subscription(customer, "Team")))
    world.later(60)
    report = world.sync()
    assert report.status == "degraded"
    assert any(f"subscriptions of 1 customers, such as {customer}," in reason for reason in report.reasons)
    assert calls(world) <= items(world) + 3 * 3
    set_bend(world, None)
    world.later(60)
    assert world.sync().status == "green"
    world.check()


@pytest.mark.sampled
def test_a_night_in_which_no_subscription_begins_or_ends_makes_no_call_twice(tmp_path: Path) -> None:
    """A period that begins in mid-run is no reason either: the next run calls everybody anyway."""
    world = small(tmp_path)
    assert world.sync().status == "green"
    quiet = world.asked
    assert calls(world) == items(world)
    (newest, *_) = counting(world.sandbox)[with_one(world.sandbox)]
    world.later(600)
    period = {"current_period_start": world.clock().isoformat()}
    with before(close=lambda: world.sandbox.update_subscription(newest["id"], **period)):
        assert world.sync().status == "green"
    assert world.asked == quiet


@pytest.mark.sampled
def test_subscriptions_that_begin_and_end_all_the_time_cost_each_customer_one_round(tmp_path: Path) -> None:
    """With every call one begins or ends: the run ends, and calls nobody more often than three times."""
    world = small(tmp_path)
    sandbox, open_ones = world.sandbox, []
    people = sorted(counting(sandbox))[:4]

    def move() -> None:
        world.later(0.1)
        if sandbox.calls_total % 2:
            open_ones.append(sandbox.add_subscription(people[sandbox.calls_total % 4], "Team"))
        elif open_ones:
            sandbox.cancel_subscription(open_ones.pop())

    sandbox.between_calls(move)
    report = world.sync()
    sandbox.between_calls(None)
    assert report.status in ("green", "degraded")
    assert calls(world) <= 4 * items(world)
    world.later(60)
    world.sync()
