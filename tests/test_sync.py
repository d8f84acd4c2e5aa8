"""Whole runs against the sandbox: what arrives, what is called, what is said, what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sizes import Size, sampled, sizes
from support import NOON, Bent, World, calm, counting, served, subscriptions_of, synced, truth

from connector.api import calls
from connector.errors import BudgetSpent, FixInput
from connector.pull import suspicion
from connector.sandbox import Clock, Faults, Sandbox
from connector.store.store import Store
from pipelines.summary import Report
from pipelines.sync import Options, Sync

ALL = frozenset({"all"})
HOURS = 6 * 3600  # between runs that count each for itself
CHILDREN = ("GET /customers/usage", "GET /customers/{id}/entitlements", "GET /customers/{id}/grants/upcoming")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A synced account of forty customers, without the audit sample."""
    return synced(tmp_path, kind=Bent, audit_sample=0)


def child_calls(world: World) -> int:
    return sum(route in CHILDREN for route in world.asked)


def alone(world: World, count: int = 1) -> str:
    """A customer with so many subscriptions that count, the newest of them with metered use above zero."""
    usage = truth(world.sandbox)["usage"].values()
    for customer, group in sorted(counting(world.sandbox).items()):
        if len(group) == count and any(row["customer_id"] == customer and row["current_usage"] > 0 for row in usage):
            return customer
    raise AssertionError("no such customer")


def nobody(world: World) -> str:
    """A published customer without any subscription."""
    owners = {row["customer_id"] for row in subscriptions_of(world.sandbox)}
    return next(id for id in world.sandbox.customer_ids() if id not in owners)


# --- what arrives --------------------------------------------------------------------------------------------------


def test_first_run_is_exact_and_second_moves_nothing(tmp_path: Path) -> None:
    """Over HTTP, a first run holds the account row by row; a second moves no row and lists little."""
    with served(tmp_path, calm(120), audit_sample=0) as world:
        first = world.sync()
        assert (first.status, first.mode, first.reasons) == ("green", "full", [])
        world.check()
        second = world.sync()
        assert (second.status, second.mode, second.moved) == ("green", "incremental", 0)
        assert second.unchanged == child_calls(world)
        # newest rows 4, walks 4, newest rows again 2, closing walks 4, three totals in each of four windows;
        # the last is for other statuses
        assert world.asked.count("POST /customers/search") <= 4 + 4 + 2 + 4 + 12
        assert world.asked.count("POST /subscriptions/search") <= 2 + 4 + 1 + 2 + 4 + 1


@pytest.mark.sampled
def test_everything_that_happens_between_runs_arrives(world: World) -> None:
    """Created, updated, archived, un-subscribed, newly subscribed, changed in use: all of it is there after one run."""
    sandbox = world.sandbox
    first, second, third = (sorted(counting(sandbox))[i] for i in (0, 1, 2))
    world.later(60)
    new = sandbox.create_customer(name="New")["id"]
    sandbox.add_subscription(new, "Team", "trialing")
    sandbox.update_customer(first, name="Renamed", metadata={"a": "b"})
    for row in counting(sandbox)[second]:
        sandbox.cancel_subscription(row["id"])
    sandbox.archive_customer(nobody(world))
    sandbox.add_subscription(nobody(world), "Scale")
    key = next(iter(truth(sandbox)["features"].values()))["lookup_key"]
    sandbox.set_usage(third, key, "123456789.123456789012345678")
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    world.check()


@pytest.mark.sampled
def test_a_hard_deleted_customer_is_marked_gone(world: World) -> None:
    """A row that an operator's SQL took away is missed by the count, looked for, and marked; nothing else is."""
    gone, kept = nobody(world), len(truth(world.sandbox)["customers"])
    world.sandbox.remove_customer(gone)
    report = world.sync()
    assert report.status == "green"
    assert any("were walked again" in note for note in report.notes)
    assert world.rows("SELECT id FROM customers WHERE gone_at IS NOT NULL") == [(gone,)]
    assert world.rows("SELECT count(*) FROM customers") == [(kept,)]
    again = world.sync()
    assert (again.status, again.notes, again.moved) == ("green", [], 0)


@pytest.mark.sampled
def test_a_hard_deleted_subscriber_leaves_nothing_outstanding(world: World) -> None:
    """Gone while its usage was suspect and its rows rejected: its children go, and the next run is green."""
    gone = alone(world)
    for row in counting(world.sandbox)[gone]:
        zero_all(world, gone)
        world.sandbox.bend = bent_entitlements(gone)
        assert world.sync().status == "degraded"
        world.sandbox.cancel_subscription(row["id"])
    world.sandbox.bend = None
    world.sandbox.remove_customer(gone)
    world.sync(full=True)
    assert world.sync().status == "green"
    for table in ("usage", "subscription_usage", "entitlements", "upcoming_grants"):
        assert world.rows(f"SELECT count(*) FROM {table} WHERE customer_id = '{gone}'") == [(0,)]


@pytest.mark.sampled
def test_a_customer_that_comes_back_is_not_gone(world: World) -> None:
    """A row missing from one run's every answer, and back in the next full walk, loses its mark."""
    hidden = nobody(world)
    world.sandbox.hide(hidden)
    world.sync(full=True)
    assert world.rows("SELECT id FROM customers WHERE gone_at IS NOT NULL") == [(hidden,)]
    world.sandbox.show(hidden)
    assert world.sync(full=True).status == "green"
    world.check()


def hide(body: Any, id: str) -> Any:
    body["items"] = [item for item in body["items"] if item["id"] != id]
    return body


@pytest.mark.sampled
def test_subscriptions_come_and_go(world: World) -> None:
    """Sole, several, sole again: usage per subscription is each one's own, and a cancelled one's rows go."""
    customer = alone(world)
    (first,) = counting(world.sandbox)[customer]
    world.later(5)
    second = world.sandbox.add_subscription(customer, "Scale")
    world.sandbox.set_usage(customer, "api_calls", 5, first["id"])
    world.sandbox.set_usage(customer, "api_calls", 900, second)
    assert world.sync(accept=ALL).status == "green"
    world.check()
    count = f"SELECT count(DISTINCT subscription_id) FROM subscription_usage WHERE customer_id = '{customer}'"
    assert world.rows(count) == [(2,)]
    world.later(5)
    world.sandbox.cancel_subscription(second)
    assert world.sync().status == "green"
    world.check()
    assert world.rows(count) == [(1,)]
    world.later(5)
    world.sandbox.cancel_subscription(first["id"])
    assert world.sync().status == "green"
    world.check()
    assert world.rows(count) == [(0,)]


@pytest.mark.sampled
def test_a_subscription_added_between_listing_and_calling(tmp_path: Path) -> None:
    """Whoever gets a second subscription after the sweep and before its usage call ends with each one's own figures."""
    world = World(tmp_path, calm(), audit_sample=0)
    customer, added = alone(world), []

    def between() -> None:
        if not added and world.sandbox.log[-1][1].endswith("/usage"):
            world.later(1)
            added.extend(world.sandbox.add_subscription(c, "Scale") for c in sorted(counting(world.sandbox)))

    world.sandbox.between_calls(between)
    assert customer
    world.sync()
    assert added
    world.sandbox.between_calls(None)
    assert world.rows("SELECT count(*) FROM flexsync.rejects") == [(0,)]
    report = world.sync(accept=ALL)
    assert not [reason for reason in report.reasons if "zero" not in reason]
    world.check()


@pytest.mark.sampled
def test_only_subscriptions_that_count_cause_calls(world: World) -> None:
    """Inherited, draft, paused, incomplete and cancelled subscriptions, and archived customers, cost no call."""
    sandbox = world.sandbox
    for status in ("draft", "paused", "incomplete", "cancelled"):
        sandbox.add_subscription(sandbox.create_customer()["id"], "Team", status)
    sandbox.add_subscription(sandbox.create_customer()["id"], "Team", "active", "inherited")
    world.sync()
    assert child_calls(world) == owed(world)
    world.check()


@pytest.mark.sampled
def test_a_row_visible_late_arrives_within_the_overlap(world: World) -> None:
    """A row committed after a run passed its timestamp is brought by the next one; beyond the overlap by the count."""
    late = world.sandbox.create_customer(late=30, name="Late")["id"]
    world.sync()
    assert not world.rows(f"SELECT 1 FROM customers WHERE id = '{late}'")
    world.later(60)
    report = world.sync()
    assert (report.status, report.notes) == ("green", [])
    world.check()
    very_late = world.sandbox.create_customer(late=7200)["id"]
    world.later(3600)
    world.sandbox.update_customer(late, name="Newest")  # the cursor passes the row that nobody sees yet
    world.sync()
    world.later(3600)
    assert not world.rows(f"SELECT 1 FROM customers WHERE id = '{very_late}'")
    report = world.sync()
    assert report.status == "green"
    assert any("were walked again" in note for note in report.notes)
    world.check()


@pytest.mark.sampled
def test_a_row_that_was_lost_is_found_again(world: World) -> None:
    """A store that lacks a customer does not agree with the count; the full walk that follows brings it back."""
    with Store.open(world.path) as store, store.transaction() as db:
        db.execute("DELETE FROM customers WHERE id = $id", {"id": nobody(world)})
    report = world.sync()
    assert report.status == "green"
    assert any("the store had 39" in note for note in report.notes)
    world.check()


@pytest.mark.sampled
def test_an_outstanding_reject_does_not_hide_a_lost_row(world: World) -> None:
    """A customer whose change was rejected is still in the store, so it explains no missing one."""
    bad, lost = sorted(counting(world.sandbox))[0], nobody(world)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for item in body["items"] if route == "search" else ():
            item["metadata"] = 7 if item["id"] == bad else item["metadata"]
        return body

    world.sandbox.bend = bend
    world.sandbox.update_customer(bad, name="Changed")
    with Store.open(world.path) as store, store.transaction() as db:
        db.execute("DELETE FROM customers WHERE id = $id", {"id": lost})
    report = world.sync()
    assert report.status == "degraded"
    assert report.certificate["customers"]["holds"], report.certificate["customers"]


# --- accounts of every kind ----------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_an_empty_account(tmp_path: Path) -> None:
    """Nobody there: green, nothing held, and the first customer arrives later."""
    world = World(tmp_path, calm(0))
    assert world.sync().status == "green"
    world.check()
    world.sandbox.add_subscription(world.sandbox.create_customer()["id"])
    assert world.sync().status == "green"
    world.check()


@pytest.mark.sampled
def test_an_account_with_archived_customers_only(tmp_path: Path) -> None:
    """Everybody archived: they are kept with their status, and the environment is known."""
    world = World(tmp_path, calm(5))
    for id in world.sandbox.customer_ids():
        for row in counting(world.sandbox).get(id, ()):
            world.sandbox.cancel_subscription(row["id"])
        world.sandbox.archive_customer(id)
    assert world.sync().status == "green"
    world.check()
    assert world.rows("SELECT value FROM flexsync.meta WHERE key = 'environment_id'")


@pytest.mark.sampled
def test_another_environment_is_refused(world: World) -> None:
    """A key that opens another environment does not touch the store."""
    world.sandbox.bend = lambda route, path, query, body: {
        **body,
        "items": [{**item, "environment_id": "env_other"} for item in body.get("items", ())],
    }
    with pytest.raises(FixInput, match="env_other"):
        world.sync()
    assert len(world.rows("SELECT 1 FROM flexsync.runs")) == 1
    world.sandbox.bend = None
    assert world.sync().status == "green"


@pytest.mark.sampled
@pytest.mark.parametrize("skew", [-86_400.0, sampled(86_400.0)])
def test_a_server_with_a_wrong_clock(tmp_path: Path, skew: float) -> None:
    """Windows follow the server's clock, whatever ours says."""
    world = World(tmp_path, Sandbox(customers=20, clock=Clock(NOON, skew=skew)))
    assert world.sync().status == "green"
    world.later(5)
    world.sandbox.update_customer(world.sandbox.customer_ids()[0], name="Changed")
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    world.check()


@pytest.mark.sampled
def test_a_clock_that_goes_back(world: World) -> None:
    """A server whose clock is set back between runs: changes arrive, and an interrupted run is taken up again."""
    world.later(-300)
    world.sandbox.update_customer(world.sandbox.customer_ids()[0], name="Changed")
    with pytest.raises(BudgetSpent):
        world.sync(max_calls=20)
    report = world.sync()
    assert (report.status, report.resumed) == ("green", 1)
    world.check()


# --- who is called -------------------------------------------------------------------------------------------------


def surprising(world: World) -> str:
    """Hide a customer's subscriptions from the listing, though they count; returns the customer."""
    customer = alone(world)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "subscriptions":
            body["items"] = [item for item in body["items"] if item["customer_id"] != customer]
        return body

    world.sandbox.bend = bend
    return customer


@pytest.mark.sampled
def test_a_surprise_in_the_audit_sample_calls_everybody(tmp_path: Path) -> None:
    """A customer with rows and no listed subscription makes the run call everybody once, and say what is missing."""
    world = World(tmp_path, calm(kind=Bent), audit_sample=40)
    customer = surprising(world)
    report = world.sync()
    assert any("every customer is called" in note for note in report.notes)
    assert report.status == "degraded"  # the server counts a subscription that it does not list
    assert all(reason.startswith("subscriptions:") or "/subscriptions" in reason for reason in report.reasons)
    everybody = len(truth(world.sandbox)["customers"])
    assert world.asked.count(CHILDREN[2]) <= everybody + 40
    assert world.rows(f"SELECT count(*) > 0 FROM entitlements WHERE customer_id = '{customer}'") == [(True,)]
    assert world.rows("SELECT count(*) FROM flexsync.rejects") == [(0,)]
    again = world.sync()
    assert (again.status, again.moved) == ("degraded", 0)


@pytest.mark.sampled
def test_without_pruning_everybody_is_called_once(tmp_path: Path) -> None:
    """`prune = false` asks each customer once a run, those included who had something without a subscription."""
    world = World(tmp_path, calm(kind=Bent), prune=False)
    surprising(world)
    everybody = len(truth(world.sandbox)["customers"])
    for _ in range(3):
        report = world.sync()
        assert all(reason.startswith("subscriptions:") or "/subscriptions" in reason for reason in report.reasons)
        assert world.asked.count(CHILDREN[1]) == world.asked.count(CHILDREN[2]) == everybody
    answers = "SELECT count(*), count(DISTINCT (customer_id, resource, subscription_id)) FROM flexsync.answers"
    assert len(set(world.rows(answers)[0])) == 1


@pytest.mark.sampled
def test_only_what_was_asked_for_is_loaded(tmp_path: Path) -> None:
    """`--only` loads a part, and what is left out is loaded whole later."""
    world = World(tmp_path, calm())
    assert world.sync(only=["customers"]).status == "green"
    assert child_calls(world) == 0
    assert world.rows("SELECT count(*) FROM subscriptions") == [(0,)]
    assert world.sync(only=["usage"]).status == "green"
    assert set(world.asked) & set(CHILDREN) == {CHILDREN[0]}
    assert world.sync().status == "green"
    world.check()


# --- stopped and taken up ------------------------------------------------------------------------------------------


def in_pieces(world: World, most: int) -> tuple[Report, int]:
    """Sync in runs of at most 20 calls, `most` at most; the report, and the per-customer calls of all of them."""
    calls = 0
    for _ in range(most):
        try:
            report = world.sync(max_calls=20)
        except BudgetSpent:
            calls += child_calls(world)
        else:
            return report, calls + child_calls(world)
    pytest.fail(f"{most} runs did not end it")


def owed(world: World) -> int:
    """The per-customer calls that one whole run makes."""
    groups = counting(world.sandbox)
    return 3 * len(groups) + sum(len(group) for group in groups.values() if len(group) > 1)


@pytest.mark.sampled
def test_a_spent_budget_is_gone_on_with(tmp_path: Path) -> None:
    """Runs of at most 20 calls add up to one whole run that repeats no committed call."""
    world = World(tmp_path, calm(), audit_sample=0, analytics_probe="off")
    report, calls = in_pieces(world, 20)
    assert report.status == "green"
    assert report.resumed >= 3
    world.check()
    assert calls == owed(world)


@pytest.mark.sampled
def test_a_spent_budget_asks_for_a_zero_no_more_than_twice(tmp_path: Path) -> None:
    """A stop queues the zeros that no probe followed; runs so short that none ever does still come to an end."""
    world = World(tmp_path, calm(), audit_sample=0)
    report, calls = in_pieces(world, 60)
    assert report.status == "green"
    world.check()
    assert owed(world) <= calls <= 2 * owed(world)


@pytest.mark.sampled
def test_a_cancelled_run_keeps_what_was_answered(tmp_path: Path) -> None:
    """Cancelled in the fan-out (SIGINT does that), a run commits what came and goes on from there."""
    world = World(tmp_path, calm(), audit_sample=0)

    async def stopped() -> None:
        with Store.open(world.path) as store:
            from support import Direct

            task = asyncio.create_task(Sync(world.settings().sync, Direct(world.sandbox), store).run())
            world.sandbox.between_calls(lambda: task.cancel() if world.sandbox.calls[CHILDREN[0]] == 15 else None)
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    world.sandbox.between_calls(None)
    assert world.rows("SELECT status FROM flexsync.runs") == [("interrupted",)]
    done = world.rows("SELECT count(*) FROM flexsync.queue WHERE state = 'done'")[0][0]
    assert done > 0
    report = world.sync()
    assert (report.status, report.resumed) == ("green", 1)
    assert child_calls(world) == world.rows("SELECT count(*) FROM flexsync.queue")[0][0] - done
    world.check()


@sizes(default=0, sampled=4, thorough=40)
def test_runs_of_one_second_are_told_apart(world: World, size: Size) -> None:
    """The later of two runs in one second of the server's clock is the newest, so it can be taken up again."""
    for _ in range(size.count):
        world.later(-1)
        with pytest.raises(BudgetSpent):
            world.sync(max_calls=20)
        world.later(-1)
        report = world.sync()
        assert report.resumed == 1
        assert world.rows("SELECT max(run_id) FROM flexsync.runs") == [(report.run_id,)]


# --- figures that may be failures ----------------------------------------------------------------------------------


def metered(world: World, kind: str = "") -> tuple[str, str, str, Any]:
    """Customer, feature id, lookup key and figure of a metered row above zero, of a sole subscription."""
    tables = truth(world.sandbox)
    groups = counting(world.sandbox)
    for (customer, feature), row in sorted(tables["usage"].items()):
        found = tables["features"][(feature,)]
        fits = found["meter_aggregation_type"] == kind if kind else found["type"] == "metered"
        if row["current_usage"] > 1 and fits and len(groups[customer]) == 1:
            return customer, feature, found["lookup_key"], row["current_usage"]
    raise AssertionError("no such row")


def zero_all(world: World, *customers: str) -> None:
    tables = truth(world.sandbox)
    for row in tables["usage"].values():
        if row["customer_id"] in customers and row["current_usage"] > 0:
            feature = tables["features"][(row["feature_id"],)]
            world.sandbox.set_usage(row["customer_id"], feature["lookup_key"], 0)


@pytest.mark.sampled
def test_a_fall_to_zero_is_held_twice_and_believed_the_third_time(world: World) -> None:
    """Zero in the same window: asked again, held, listed, degraded; the third run in a row takes it."""
    customer, feature, key, figure = metered(world)
    held = f"SELECT current_usage FROM usage WHERE customer_id = '{customer}' AND feature_id = '{feature}'"
    before = child_calls(world)
    world.sandbox.set_usage(customer, key, 0)
    for runs in (1, 2):
        report = world.sync()
        assert report.status == "degraded"
        assert any(
            reason.endswith(f": {customer} {feature} zero {figure.normalize():f} to 0") for reason in report.reasons
        )
        assert world.rows(held) == [(figure,)]
        assert world.rows("SELECT customer_id, feature_id, kind, runs FROM flexsync.suspects") == [
            (customer, feature, "zero", runs)
        ]
        assert child_calls(world) == before + 1
        world.later(HOURS)
    assert world.sync().status == "green"
    assert world.rows(held) == [(0,)]
    world.check()


@pytest.mark.sampled
def test_a_zero_that_passes_is_never_seen(world: World) -> None:
    """Zeros that are a failure of one moment are asked again at the end of the run, and leave no trace."""
    world.sandbox.faults = Faults(zero_usage=1.0, first=8)
    report = world.sync()
    assert (report.status, report.moved) == ("green", 0)
    world.check()
    world.sandbox.faults = Faults(zero_usage=1.0)
    report = world.sync()
    assert report.status == "degraded"
    assert report.moved == 0
    world.sandbox.faults = Faults()
    assert world.sync().status == "green"
    assert world.rows("SELECT count(*) FROM flexsync.suspects") == [(0,)]


@pytest.mark.sampled
def test_a_lower_figure_can_be_accepted(world: World) -> None:
    """`--accept-lower` takes one customer's zero at once, and only that customer's."""
    customer, _feature, key, _ = metered(world)
    world.sandbox.set_usage(customer, key, 0)
    assert world.sync(accept=frozenset({"cust_other"})).status == "degraded"
    assert world.sync(accept=frozenset({customer})).status == "green"
    world.check()


@pytest.mark.sampled
def test_a_falling_count_is_held_once(world: World) -> None:
    """A COUNT that falls within its window is held; unchanged in the next run it is a correction."""
    customer, _feature, key, figure = metered(world, "COUNT")
    world.sandbox.set_usage(customer, key, figure - 1)
    assert world.sync().status == "degraded"
    world.later(HOURS)
    assert world.sync().status == "green"
    world.check()


@pytest.mark.sampled
def test_a_falling_sum_is_taken(world: World) -> None:
    """A SUM can fall: only a zero is suspect there."""
    customer, _feature, key, figure = metered(world, "SUM")
    world.sandbox.set_usage(customer, key, figure - 1)
    assert world.sync().status == "green"
    world.check()


def bent_entitlements(customer: str) -> Any:
    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "entitlements" and path["id"] == customer:
            body["features"][0]["entitlement"]["usage_limit"] = "lots"
        return body

    return bend


@pytest.mark.sampled
def test_vanished_entitlements_are_held(world: World) -> None:
    """All features gone while the subscription still counts: held twice, believed the third time."""
    customer = alone(world)
    count = f"SELECT count(*) FROM entitlements WHERE customer_id = '{customer}'"
    before = world.rows(count)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route in ("usage", "entitlements") and body["customer_id"] == customer:
            body["features"] = []
        return body

    world.sandbox.bend = bend
    for _ in range(2):
        assert world.sync().status == "degraded"
        assert world.rows(count) == before
        world.later(HOURS)
    assert world.sync().status == "green"
    assert world.rows(count) == [(0,)]


@pytest.mark.sampled
def test_whoever_unsubscribes_in_mid_run_is_not_suspect(world: World) -> None:
    """Cancelled between the sweep and the call, a customer's empty answers are believed, now or in the next run."""
    customer = alone(world)

    def between() -> None:
        if world.sandbox.calls[CHILDREN[0]] > first and counting(world.sandbox).get(customer):
            for row in counting(world.sandbox)[customer]:
                world.later(1)
                world.sandbox.cancel_subscription(row["id"])

    first = world.sandbox.calls[CHILDREN[0]]
    world.sandbox.between_calls(between)
    report = world.sync()
    assert report.status == "green", report.reasons
    world.sandbox.between_calls(None)
    assert world.sync().status == "green"
    world.check()


@pytest.mark.sampled
def test_a_slow_zero_is_suspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first zero that took as long as the server's time-out is listed; a fast one only counts as unproven."""
    world = World(tmp_path, calm(), audit_sample=0)
    slow = alone(world)
    world.sandbox.set_usage(slow, key_of(world, slow), 0)
    world.seconds = lambda call: suspicion.ANALYTICS_TIMEOUT + 0.1 if call.about == slow else 0.1
    report = world.sync()
    assert report.status == "degraded"
    assert {row[0] for row in world.rows("SELECT customer_id FROM flexsync.suspects WHERE kind = 'slow'")} == {slow}
    zeros = """SELECT count(*) FROM usage u JOIN features f ON f.id = u.feature_id AND f.type = 'metered'
        WHERE current_usage = 0 AND customer_id <> '{}'"""
    each = """SELECT count(*) FROM (SELECT subscription_id, feature_id FROM subscription_usage u JOIN features f
        ON f.id = u.feature_id AND f.type = 'metered' WHERE current_usage = 0 AND customer_id <> '{0}'
        UNION SELECT subscription_id, feature_id FROM usage u JOIN features f
        ON f.id = u.feature_id AND f.type = 'metered' WHERE current_usage = 0 AND customer_id <> '{0}')"""
    assert world.rows(zeros.format(slow))[0][0] > 0
    assert report.certificate["zeros"]["unproven"] == world.rows(each.format(slow))[0][0]
    world.seconds = lambda call: 0.1
    assert world.sync().status == "green"
    world.check()


def key_of(world: World, customer: str) -> str:
    tables = truth(world.sandbox)
    rows = [row for row in tables["usage"].values() if row["customer_id"] == customer and row["current_usage"] > 0]
    return str(tables["features"][(rows[0]["feature_id"],)]["lookup_key"])


@pytest.mark.sampled
def test_zeros_in_bulk_degrade(world: World) -> None:
    """When every window starts anew at zero at once, no row is suspect, yet the run is degraded."""
    zero_all(world, *counting(world.sandbox))
    world.later(40 * 86_400)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for entry in body["features"] if route == "usage" else ():
            entry["next_usage_reset_at"] = entry["next_usage_reset_at"] and "2027-06-01T00:00:00Z"
            entry["current_usage"] = "0"
        return body

    world.sandbox.bend = bend
    report = world.sync()
    assert report.status == "degraded"
    assert any("zero" in reason for reason in report.reasons), report.reasons


# --- rows that do not fit ------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("several", [sampled(1), 2])
def test_a_value_that_does_not_fit_keeps_the_last_good_row(world: World, several: int) -> None:
    """A poisoned customer: last good rows stay, the rejects name it, the run is degraded, and mended it is green."""
    customer = alone(world, several)
    before = {name: rows_of(world, name, customer) for name in ("usage", "subscription_usage", "entitlements")}
    world.sandbox.faults = Faults(poison=frozenset({customer}))
    for _ in range(2):
        report = world.sync()
        assert report.status == "degraded"
        assert {row[0] for row in world.rows("SELECT owner FROM flexsync.rejects")} == {customer}
        assert len(world.rows("SELECT 1 FROM flexsync.rejects WHERE table_name LIKE 'usage'")) <= 1 + several
        for name, rows in before.items():
            assert rows_of(world, name, customer) == rows
    world.sandbox.faults = Faults()
    report = world.sync()
    assert report.status == "green", report.reasons
    assert world.rows("SELECT count(*) FROM flexsync.rejects") == [(0,)]
    world.check()


def rows_of(world: World, table: str, customer: str) -> list[Any]:
    return world.rows(f"SELECT * FROM {table} WHERE customer_id = '{customer}' ORDER BY ALL")


@pytest.mark.sampled
def test_a_body_of_no_use_is_forgotten_once_it_is_mended(world: World) -> None:
    """A body about somebody else fails and is filed; the same good body as before takes the reject away."""
    customer = alone(world)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] == customer:
            body["customer_id"] = "cust_somebody_else"
        return body

    world.sandbox.bend = bend
    assert world.sync().status == "degraded"
    assert world.rows("SELECT owner FROM flexsync.rejects") == [(customer,)]
    world.sandbox.bend = None
    report = world.sync()
    assert report.status == "green", report.reasons
    assert world.rows("SELECT count(*) FROM flexsync.rejects") == [(0,)]
    world.check()


@pytest.mark.sampled
def test_a_rejected_customer_who_leaves_does_not_degrade_for_ever(world: World) -> None:
    """Somebody new whose every answer failed, and who unsubscribes, is asked once more and then settled."""
    customer = nobody(world)
    subscription = world.sandbox.add_subscription(customer, "Team")

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route in ("usage", "entitlements") and body["customer_id"] == customer:
            body["features"] = 7
        return body

    world.sandbox.bend = bend
    assert world.sync().status == "degraded"
    world.sandbox.bend = None
    world.later(5)
    world.sandbox.cancel_subscription(subscription)
    report = world.sync()
    assert report.status == "green", report.reasons
    world.check()


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("field", "value"),
    [sampled("name", 7), sampled("created_by", {"a": 1}), ("metadata", {"a": 1}), sampled("address_city", ["x"])],
)
def test_a_customer_that_does_not_fit_is_listed_and_mended(world: World, field: str, value: Any) -> None:
    """A customer of the wrong shape keeps its last good row, is named in the rejects, and leaves them when mended."""
    bad = world.sandbox.customer_ids()[0]
    before = world.rows(f"SELECT * FROM customers WHERE id = '{bad}'")

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for item in body["items"] if route == "search" else ():
            if item["id"] == bad:
                item[field] = value
        return body

    world.later(5)
    world.sandbox.update_customer(bad, address_line2="Floor 9")
    world.sandbox.bend = bend
    assert world.sync().status == "degraded"
    assert world.rows(f"SELECT * FROM customers WHERE id = '{bad}'") == before
    assert world.rows("SELECT DISTINCT table_name, key FROM flexsync.rejects") == [("customers", bad)]
    world.sandbox.bend = None
    report = world.sync()
    assert report.status == "green", report.reasons
    world.check()


@pytest.mark.sampled
def test_an_integration_that_does_not_fit_is_listed_and_mended(world: World) -> None:
    """A link of the wrong shape keeps its last good row, and leaves the rejects when mended."""
    link = next(iter(truth(world.sandbox)["customer_integrations"].values()))
    before = world.rows("SELECT * FROM customer_integrations ORDER BY id")

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for item in body["items"] if route == "search" else ():
            for found in item.get("integrations", ()):
                found["created_at"] = "soon" if found["id"] == link["id"] else found["created_at"]
        return body

    world.sandbox.bend = bend
    assert world.sync(full=True).status == "degraded"
    assert world.rows("SELECT * FROM customer_integrations ORDER BY id") == before
    assert len(world.rows("SELECT 1 FROM flexsync.rejects")) == 1
    world.sandbox.bend = None
    report = world.sync(full=True)
    assert report.status == "green", report.reasons
    world.check()


@pytest.mark.sampled
def test_unknown_fields_are_kept_and_named(world: World) -> None:
    """A field that this version does not know goes to `extra` of its row, and is named in the report."""
    world.sandbox.faults = Faults(extra_fields=True)
    report = world.sync(full=True)
    assert report.status == "green"
    assert {"customers.x_new_member", "usage.x_new_member", "subscriptions.x_new_member"} <= set(report.unknown)
    for table in ("customers", "usage", "entitlements", "upcoming_grants", "features", "subscriptions"):
        assert world.rows(f"SELECT count(*) FROM {table} WHERE extra IS NULL") == [(0,)], table


@pytest.mark.sampled
def test_the_newest_feature_wins(tmp_path: Path) -> None:
    """Two bodies that show a feature in different states leave the one with the newer `updated_at`."""
    world = World(tmp_path, calm(kind=Bent), audit_sample=0)
    asked: list[str] = []
    newest: dict[str, str] = {}

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route in ("entitlements", "usage") and body["features"]:
            asked.append(route)
            for entry in body["features"]:
                feature = entry["feature"]
                place = int(feature["id"][-3:], 36)
                day = 10 + (7 * len(asked) + place) % (5 + place % 9)  # up and down, each to a height of its own
                feature["name"], feature["updated_at"] = f"state {day}", f"2026-10-{day}T00:00:00Z"
                newest[feature["id"]] = max(newest.get(feature["id"], ""), feature["name"])
        return body

    world.sandbox.bend = bend
    assert world.sync().status == "green"
    assert dict(world.rows("SELECT id, name FROM features")) == newest
    assert len(set(newest.values())) > 1


# --- old servers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "customers"),
    [
        ("filters_refused", 30),
        sampled("filters_refused", 1200),
        sampled("filters_ignored", 30),
        sampled("filters_ignored", 1200),
    ],
)
def test_old_servers_are_listed_by_offset(tmp_path: Path, old: str, customers: int) -> None:
    """A server that refuses or ignores filters is read by offset, small or large; the run says so, twice over."""
    faults = Faults(old=frozenset({old}))
    world = World(tmp_path, calm(customers, faults=faults), audit_sample=0, only=["customers", "entitlements"])
    for _ in range(2):
        report = world.sync()
        assert any("by offset" in note for note in report.notes), report.notes
        assert report.certificate["customers"]["method"] == "offset"
        assert report.certificate["customers"]["holds"]
        assert report.status == "green", report.reasons
    world.sandbox.faults = Faults()
    assert world.rows("SELECT count(*) FROM customers") == [(customers,)]
    assert world.rows("SELECT count(DISTINCT customer_id) FROM entitlements") == [(len(counting(world.sandbox)),)]


@pytest.mark.sampled
def test_a_server_that_counts_nobody_is_not_believed(world: World) -> None:
    """Totals that never agree leave the certificate open, and the run degraded."""
    seen: list[int] = []

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "search":
            seen.append(1)
            body["pagination"]["total"] += len(seen)
        return body

    world.sandbox.bend = bend
    report = world.sync()
    assert report.status == "degraded"
    assert any("never agreed" in reason for reason in report.reasons)
    assert calls.PAGE == 1000
    assert timedelta(0) < world.settings().sync.overlap
    assert Options().full is False
