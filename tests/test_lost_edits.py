"""Edits that a listing leaves out although it counts them, and rows that no listing counts: found, or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import (
    Bend,
    Bent,
    World,
    assert_exact,
    calm,
    customers_of,
    held,
    rows_of,
    set_bend,
    subscriptions_of,
    synced,
)

from connector.errors import BudgetSpent, FixInput
from connector.sandbox import Faults
from connector.sandbox.data.catalog import ENVIRONMENT
from connector.sandbox.replies import refuse
from connector.store.store import Store
from connector.tables.schemas import TABLES

LISTINGS = ("customers", "subscriptions")


def account(folder: Path, customers: int = 12, **settings: Any) -> World:
    """An account of which only the listings are read, after a green first run."""
    return synced(folder, customers, kind=Bent, **{"only": LISTINGS, **settings})


def assert_listings(world: World) -> None:
    """Customers, their integrations and subscriptions are exactly what the account holds."""
    people = customers_of(world.sandbox)
    sent = {
        "customers": people,
        "customer_integrations": [link for row in people for link in row.get("integrations", ())],
        "subscriptions": subscriptions_of(world.sandbox),
    }
    with Store.open(world.path) as store:
        assert_exact(held(store), {name: rows_of(name, rows) for name, rows in sent.items()})


def without(route: str, id: str, times: int) -> Bend:
    """Leave a row out of pages of several rows, at most so many times; the total counts it."""
    left = [times]

    def bend(asked: str, path: Any, query: Any, body: Any) -> Any:
        items = body["items"] if asked == route else ()
        if len(items) > 1 and left[0] and any(item["id"] == id for item in items):
            left[0] -= 1
            body["items"] = [item for item in items if item["id"] != id]
            return body
        return None

    return bend


def edited(world: World) -> str:
    """Change two customers, half an hour apart; return the earlier one."""
    first, second = [*world.sandbox.customer_ids("published")][:2]
    world.later(3600)
    world.sandbox.update_customer(first, name="Edited")
    world.later(1800)
    world.sandbox.update_customer(second, name="Edited too")
    world.later(60)
    return first


def changed(world: World) -> str:
    """Change two subscriptions that are not active, half an hour apart; return the earlier one."""
    ended = [s["id"] for s in subscriptions_of(world.sandbox) if s["subscription_status"] not in ("active", "trialing")]
    world.later(3600)
    world.sandbox.update_subscription(ended[0], version=9)
    world.later(1800)
    world.sandbox.update_subscription(ended[1], version=9)
    world.later(60)
    return str(ended[0])


# --- rows that a page of changes counts and leaves out ---------------------------------------------------------------

CHANGES = [("search", edited, "customers"), sampled("subscriptions", changed, "subscriptions")]


@pytest.mark.parametrize(("route", "change", "resource"), CHANGES)
def test_a_change_that_one_page_leaves_out_arrives(tmp_path: Path, route: str, change: Any, resource: str) -> None:
    """A page of changes lacks a row that its own total counts, once: the walk begins anew, and the row arrives."""
    world = account(tmp_path)
    set_bend(world, without(route, change(world), times=1))
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    set_bend(world, None)
    assert_listings(world)


@pytest.mark.sampled
@pytest.mark.parametrize(("route", "change", "resource"), CHANGES)
def test_a_change_that_every_page_leaves_out_is_named(tmp_path: Path, route: str, change: Any, resource: str) -> None:
    """A change that the server counts and never sends degrades the run; once it is sent, the next run has it."""
    world = account(tmp_path)
    set_bend(world, without(route, change(world), times=1000))
    report = world.sync()
    assert report.status == "degraded"
    assert any(f"walk/{resource}" in reason and "1 rows more than it sends" in reason for reason in report.reasons)
    set_bend(world, None)
    world.later(3600)
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    assert_listings(world)


# --- servers without filters, and servers that seem to have none -----------------------------------------------------


def old(folder: Path, behaviour: str, customers: int = 12) -> World:
    """An account on a server without filters, of which only the listings are read."""
    faults = Faults(old=frozenset({behaviour}))
    return World(folder, calm(customers, faults=faults, kind=Bent), only=LISTINGS)


@pytest.mark.sampled
@pytest.mark.parametrize("behaviour", ["filters_refused", sampled("filters_ignored")])
def test_a_subscription_that_is_gone_from_an_old_server_is_marked(tmp_path: Path, behaviour: str) -> None:
    """A server without filters is asked by id for subscriptions that its listing no longer holds; their number fits."""
    world = old(tmp_path, behaviour)
    report = world.sync()
    assert report.status == "green", report.reasons
    assert_listings(world)
    gone = subscriptions_of(world.sandbox)[0]["id"]
    world.sandbox.remove_subscription(gone)
    report = world.sync()
    assert report.status == "green", report.reasons
    assert world.rows("SELECT id FROM subscriptions WHERE gone_at IS NOT NULL") == [(gone,)]
    proof = report.certificate["subscriptions"]
    count = world.sandbox.account.subscriptions.count - 1
    assert (proof["method"], proof["existed"], proof["stored"]) == ("offset", count, count)


@pytest.mark.sampled
def test_a_subscription_that_an_old_server_counts_and_never_lists_degrades(tmp_path: Path) -> None:
    """A server without filters whose total of subscriptions is above what it sends: the run says so."""
    world = old(tmp_path, "filters_refused")
    hidden = subscriptions_of(world.sandbox)[3]["id"]
    set_bend(world, lagging(hidden))
    report = world.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("subscriptions: ") for reason in report.reasons)
    set_bend(world, None)
    assert world.sync().status == "green"
    assert_listings(world)


@pytest.mark.sampled
def test_subscriptions_created_while_an_old_server_is_listed_do_not_degrade(tmp_path: Path) -> None:
    """A server without filters counts subscriptions that were created after their listing: they are read, and fit."""
    world = old(tmp_path, "filters_refused")
    left = [3]

    def create(route: str, path: Any, query: Any, body: Any) -> None:
        if route == "subscriptions" and left[0] and body["pagination"]["limit"] > 1:
            left[0] -= 1
            world.sandbox.add_subscription(world.sandbox.customer_ids("published")[0], "Team")

    set_bend(world, create)
    report = world.sync()
    assert report.status == "green", report.reasons


def lagging(id: str) -> Bend:
    """Pages come from a replica that does not know a subscription; counts of one row's length are up to date."""

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route != "subscriptions" or body["pagination"]["limit"] == 1:
            return None
        kept = [item for item in body["items"] if item["id"] != id]
        body["pagination"]["total"] -= len(body["items"]) - len(kept)
        return {**body, "items": kept}

    return bend


@pytest.mark.sampled
def test_a_count_that_differed_is_not_dropped(tmp_path: Path) -> None:
    """Subscriptions are counted, and one is missing; a page in the wrong order on the way does not end the count."""
    world = World(tmp_path, calm(12, kind=Bent), only=LISTINGS, proof_windows=1)
    ended = [s["id"] for s in subscriptions_of(world.sandbox) if s["subscription_status"] not in ("active", "trialing")]
    counts, swapped, lag = [0], [False], lagging(ended[0])

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        body = lag(route, path, query, body) or body
        if route == "subscriptions":
            counts[0] += body["pagination"]["limit"] == 1
            if counts[0] and len(body["items"]) > 1 and not swapped[0]:
                swapped[0] = True
                body["items"].reverse()
        return body

    set_bend(world, bend)
    report = world.sync()
    assert swapped[0]
    assert report.status == "degraded"
    assert report.certificate["subscriptions"]["holds"] is False
    set_bend(world, None)
    assert world.sync().status == "green"
    assert_listings(world)


def swapped_once() -> Bend:
    """The first page of several customers comes in the wrong order, once."""
    left = [1]

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "search" and len(body["items"]) > 1 and left[0]:
            left[0] = 0
            body["items"].reverse()
            return body
        return None

    return bend


def test_customers_listed_by_offset_bring_their_integrations(tmp_path: Path) -> None:
    """One page in the wrong order makes the first run list customers by offset: their integrations are loaded too."""
    world = World(tmp_path, calm(20, kind=Bent), only=LISTINGS)
    set_bend(world, swapped_once())
    report = world.sync()
    assert (report.status, report.certificate["customers"]["method"]) == ("green", "offset"), report.reasons
    assert world.rows("SELECT count(*) > 0 FROM customer_integrations") == [(True,)]
    assert_listings(world)


class Unexpanding(Bent):
    """A server that cannot expand integrations."""

    def handle(self, call: Any) -> Any:
        if "expand" in dict(call.query) or (call.body and b'"expand"' in call.body):
            refuse("validation_error", "Field is not allowed to be expanded", field="integrations")
        return super().handle(call)


@pytest.mark.sampled
def test_an_old_server_that_cannot_expand_is_listed_without(tmp_path: Path) -> None:
    """Neither filters nor `expand`: customers are listed without their integrations, and one note says so."""
    faults = Faults(old=frozenset({"filters_refused"}))
    world = World(tmp_path, calm(8, faults=faults, kind=Unexpanding), only=LISTINGS)
    report = world.sync()
    assert report.status == "green", report.reasons
    assert len([note for note in report.notes if note.startswith("integrations were not loaded")]) == 1
    assert world.rows("SELECT count(*) FROM customers") == [(8,)]


# --- what changes without moving `updated_at` ------------------------------------------------------------------------


def renamed(old: str, new: str) -> Bend:
    """A plan has another name."""

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route != "subscriptions":
            return None
        for item in body["items"]:
            if (item.get("plan") or {}).get("name") == old:
                item["plan"]["name"] = new
        return body

    return bend


def plans(world: World) -> dict[str, set[str]]:
    """The names that the store holds of each plan."""
    return {id: set(names) for id, names in world.rows("SELECT plan_id, list(plan_name) FROM subscriptions GROUP BY 1")}


@pytest.mark.sampled
def test_the_new_name_of_a_plan_reaches_subscriptions_that_ended(tmp_path: Path) -> None:
    """A plan is renamed, which moves no `updated_at`: the sweep shows it, and ended subscriptions get it too."""
    world = account(tmp_path)
    ended = "SELECT count(*) FROM subscriptions WHERE subscription_status = 'cancelled' AND plan_name = 'Team'"
    assert world.rows(ended) != [(0,)]
    before = plans(world)
    set_bend(world, renamed("Team", "Team 2027"))
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    assert plans(world) == {id: {"Team 2027"} if names == {"Team"} else names for id, names in before.items()}


def all_of_a_plan(world: World, plan: str) -> list[tuple[Any, ...]]:
    """What stands in every column that stems from a subscription's plan, once."""
    names = ", ".join(each.name for each in TABLES["subscriptions"].columns if each.path.startswith("plan."))
    return world.rows(f"SELECT DISTINCT {names} FROM subscriptions WHERE plan_id = '{plan}'")


@pytest.mark.sampled
@pytest.mark.parametrize("given", [{"lookup_key": "new_key"}, {"name": "New", "lookup_key": "new_key"}])
def test_whatever_changes_of_a_plan_reaches_subscriptions_that_ended(tmp_path: Path, given: dict[str, str]) -> None:
    """A plan gets another lookup key: every column that stems from the plan follows, in ended subscriptions too."""
    world = account(tmp_path)
    plan = world.rows("SELECT plan_id FROM subscriptions WHERE plan_name = 'Team' LIMIT 1")[0][0]
    ended = "SELECT count(*) FROM subscriptions WHERE subscription_status = 'cancelled' AND plan_name = 'Team'"
    assert world.rows(ended) != [(0,)]

    def bend(route: str, _path: Any, _query: Any, body: Any) -> Any:
        for item in body["items"] if route == "subscriptions" else ():
            if item["plan_id"] == plan and item.get("plan"):
                item["plan"].update(given)
        return body

    set_bend(world, bend)
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    assert all_of_a_plan(world, plan) == [(given.get("name", "Team"), "new_key")]


# --- two environments ------------------------------------------------------------------------------------------------


def elsewhere(customers: int) -> Bent:
    """Another environment: it has archived customers only."""
    sandbox = calm(0, seed=9, kind=Bent)
    for number in range(customers):
        sandbox.create_customer(name=f"B{number}", status="archived", created_at=f"2026-11-20T11:00:0{number}Z")
    assert isinstance(sandbox, Bent)
    sandbox.bend = lambda route, path, query, body: json.loads(json.dumps(body).replace(ENVIRONMENT, "env_B"))
    sandbox.clock.advance(3600)
    return sandbox


def small(folder: Path) -> World:
    """An environment with three customers."""
    world = World(folder, calm(0, kind=Bent), only=LISTINGS)
    for number in range(3):
        world.sandbox.create_customer(name=f"A{number}")
        world.later(1)
    return world


def test_a_run_that_is_resumed_with_another_key_stores_no_row(tmp_path: Path) -> None:
    """A stopped run is resumed with the key of an environment that has archived customers only: nothing is stored."""
    world = small(tmp_path)
    with pytest.raises(BudgetSpent):
        world.sync(max_calls=8)  # six to begin, and the walk of the published ones
    stored = world.rows("SELECT name FROM customers ORDER BY 1")
    assert stored
    first = world.sandbox
    world.sandbox = elsewhere(2)
    with pytest.raises(FixInput, match="the key opens env_B"):
        world.sync()
    assert world.rows("SELECT name FROM customers ORDER BY 1") == stored
    world.sandbox = first
    first.clock.advance(7200)
    report = world.sync()
    assert (report.status, report.resumed > 0) == ("green", True), report.reasons
    assert_listings(world)


def test_a_page_of_another_environment_is_refused_as_a_whole(tmp_path: Path) -> None:
    """One row of a page names another environment: the run ends, and nothing of the page is stored."""
    world = small(tmp_path)

    def cross(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "search" and len(body["items"]) > 1:
            body["items"][-1]["environment_id"] = "env_B"
        return body

    set_bend(world, cross)
    with pytest.raises(FixInput, match="the key opens env_B"):
        world.sync()
    assert world.rows("SELECT count(*) FROM customers") == [(0,)]


@pytest.mark.sampled
def test_the_first_page_of_an_account_ties_the_store_to_it(tmp_path: Path) -> None:
    """An account that is empty when the run begins and gets its first customer meanwhile: another key is refused."""
    world = World(tmp_path, calm(0, kind=Bent), only=LISTINGS)
    left = [1]

    def create() -> None:
        if left[0] and sum(world.sandbox.calls.values()) > 11:  # after the last question for the newest row
            left[0] = 0
            world.sandbox.create_customer(name="A0")

    world.sandbox.between_calls(create)
    assert world.sync().status == "green"
    world.sandbox.between_calls(None)
    assert world.rows("SELECT name FROM customers") == [("A0",)]
    world.sandbox = elsewhere(2)
    with pytest.raises(FixInput, match="the key opens env_B"):
        world.sync()
