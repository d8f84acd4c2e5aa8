"""Answers that a run did not write, or did not get: what was stored before must not be taken for them."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sizes import few
from support import Bend, Bent, World, before, calm, counting, set_bend, synced
from support import ask as asked_for


@pytest.fixture
def world(tmp_path: Path) -> World:
    return synced(tmp_path, 12, Bent, audit_sample=0)


def customer_with(world: World, subscriptions: int) -> str:
    """A customer with so many subscriptions that count."""
    return min(customer for customer, group in counting(world.sandbox).items() if len(group) == subscriptions)


def no_plain_usage(customer: str, empty: Collection[str] = ()) -> Bend:
    """Fail the customer's own usage call; the answers for the subscriptions in `empty` have nothing in them."""

    def how(route: str, _path: Any, query: dict[str, str], body: Any) -> Any:
        if route != "usage" or query.get("customer_id") != customer:
            return None
        if "subscription_ids" not in query:
            return 500
        return {**body, "features": []} if query["subscription_ids"] in empty else None

    return how


def degraded_night(world: World, how: Bend) -> None:
    """A run with bent answers, which is not green; ten minutes later the answers are right again."""
    set_bend(world, how)
    assert world.sync().status == "degraded"
    set_bend(world, None)
    world.later(600)


def quiet_runs(world: World) -> None:
    """Two runs later, one of them full, the store is exact, and the last one is green."""
    for full in (False, True):
        world.later(600)
        report = world.sync(full=full)
    assert report.status == "green", report.reasons
    world.check()


def ask(world: World, path: str, *query: tuple[str, str]) -> Any:
    """An answer that can be given again later."""
    return json.loads(json.dumps(asked_for(world.sandbox, path, query), default=float))


# --- rows that a run did not get --------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("times", few([2, 1000]))
def test_a_row_that_is_counted_but_never_sent_is_no_green_full_run(world: World, times: int) -> None:
    """A page leaves an edited row out, and the look-up by id does too, though its total counts the row."""
    row = world.sandbox.customer_ids()[3]
    world.later(600)
    world.sandbox.update_customer(row, name="Edited")
    world.later(3600)
    world.sandbox.update_customer(world.sandbox.customer_ids()[7], name="Edited too")
    left = [times]

    def without(route: str, _path: Any, _query: Any, body: Any) -> Any:
        if route != "search" or not left[0] or not any(item["id"] == row for item in body["items"]):
            return None
        left[0] -= 1
        return {**body, "items": [item for item in body["items"] if item["id"] != row]}

    set_bend(world, without)
    report = world.sync(full=True)
    assert report.status == "degraded"
    assert any(row in reason for reason in report.reasons), report.reasons
    set_bend(world, None)
    world.later(600)
    assert world.sync().status == "green"
    world.check()


# --- rows that an unchanged answer vouches for ------------------------------------------------------------------------


@pytest.mark.sampled
def test_rows_of_an_ended_subscription_go_though_the_plain_answer_is_as_before(world: World) -> None:
    """The answer for the second subscription was stored, the plain one failed; then the second one ends."""
    customer = customer_with(world, 1)
    second = world.sandbox.add_subscription(customer, "Scale")
    world.later(5)
    degraded_night(world, no_plain_usage(customer))
    world.sandbox.cancel_subscription(second)
    quiet_runs(world)


@pytest.mark.sampled
def test_rows_that_an_answer_for_one_subscription_took_away_come_back(world: World) -> None:
    """The answer for the first subscription was empty once, the plain one failed; then the second one ends."""
    customer = customer_with(world, 1)
    first = counting(world.sandbox)[customer][0]["id"]
    second = world.sandbox.add_subscription(customer, "Scale")
    world.later(5)
    degraded_night(world, no_plain_usage(customer, empty=[first]))
    world.sandbox.cancel_subscription(second)
    quiet_runs(world)


@pytest.mark.sampled
def test_a_customer_with_answers_for_subscriptions_only_is_called_after_they_end(tmp_path: Path) -> None:
    """In the first run the plain usage call failed; before the second run all of the subscriptions end."""
    world = World(tmp_path, calm(12, kind=Bent), audit_sample=0)
    customer = customer_with(world, 1)
    world.sandbox.add_subscription(customer, "Scale")
    degraded_night(world, no_plain_usage(customer))
    for subscription in counting(world.sandbox)[customer]:
        world.sandbox.cancel_subscription(subscription["id"])
    quiet_runs(world)


@pytest.mark.sampled
def test_a_run_that_could_not_explain_an_answer_does_not_turn_green_by_repetition(world: World) -> None:
    """Listings lack a subscription that the calls per customer name, night after night."""
    customer = customer_with(world, 1)
    first = counting(world.sandbox)[customer][0]["id"]
    second = world.sandbox.add_subscription(customer, "Scale")
    world.later(5)
    asked = {"": [("customer_id", customer)], first: [("customer_id", customer), ("subscription_ids", first)]}
    live = {("usage", ids): ask(world, "/customers/usage", *query) for ids, query in asked.items()}
    live["entitlements", ""] = ask(world, f"/customers/{customer}/entitlements")
    live["grants", ""] = ask(world, f"/customers/{customer}/grants/upcoming")
    world.sandbox.hide(second)

    def stale(route: str, path: dict[str, str], query: dict[str, str], _body: Any) -> Any:
        if query.get("customer_id", path.get("id")) != customer:
            return None
        return live.get((route, query.get("subscription_ids", "")))

    set_bend(world, stale)
    for night in range(3):
        world.later(600)
        assert world.sync(full=night == 2).status == "degraded", night
    set_bend(world, None)
    world.sandbox.show(second)
    quiet_runs(world)


# --- what a flag or a clock switched off ------------------------------------------------------------------------------


@pytest.mark.sampled
def test_an_incomplete_answer_is_accepted_by_name_and_for_one_run(world: World) -> None:
    """`all` is for figures that fell; a customer that is named is believed once, also if the answer stays the same."""
    customer = customer_with(world, 1)
    before = ask(world, f"/customers/{customer}/entitlements")
    world.sandbox.add_subscription(customer, "Scale")
    world.later(5)
    set_bend(world, lambda route, path, *_: before if (route, path.get("id")) == ("entitlements", customer) else None)
    for accepted, status in (["all"], "degraded"), ([customer], "green"), ([], "degraded"):
        world.later(600)
        report = world.sync(accept=frozenset(accepted))
        assert report.status == status, report.reasons
    set_bend(world, None)
    quiet_runs(world)


@pytest.mark.sampled
def test_a_row_of_the_future_hides_nothing_from_the_closing_pass(world: World) -> None:
    """One subscription was edited by a server whose clock is an hour ahead; another one begins in mid-run."""
    ids = sorted(counting(world.sandbox))
    edited = counting(world.sandbox)[ids[0]][0]["id"]
    world.sandbox.update_subscription(
        edited, updated_at=world.sandbox.clock() + timedelta(hours=1), metadata={"a": "b"}
    )

    def begin_another() -> None:
        world.later(1)
        world.sandbox.add_subscription(customer_with(world, 1), "Scale")
        world.later(1)

    with before(call_customers=begin_another):
        report = world.sync()
    assert report.status == "green", report.reasons
    world.check()
