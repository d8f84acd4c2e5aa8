"""Scenarios of a hunt for lost and doubled rows; each of them once broke a promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import support
from sizes import sampled
from support import Bent, World, ask, calm, counting, subscriptions_of, synced

from connector.api.calls import Call, Reply
from connector.errors import FixInput
from connector.sandbox import Sandbox
from connector.sandbox.replies import refuse
from pipelines.sync import Sync

DAY = 86400


def world(folder: Path, customers: int = 40, kind: type[Sandbox] = Bent, **settings: Any) -> World:
    return World(folder, calm(customers, kind=kind), **{"audit_sample": 0, **settings})


def soles(w: World) -> list[str]:
    """The customers with exactly one subscription that counts."""
    return [customer for customer, group in sorted(counting(w.sandbox).items()) if len(group) == 1]


def first_of(w: World, customer: str) -> str:
    return str(counting(w.sandbox)[customer][0]["id"])


def without_subscription(w: World) -> list[str]:
    owners = {row["customer_id"] for row in subscriptions_of(w.sandbox)}
    return [customer for customer in w.sandbox.customer_ids() if customer not in owners]


def zero(body: Any) -> None:
    for entry in body["features"]:
        entry["current_usage"] = "0"


def api_calls(w: World, customer: str, table: str = "usage") -> dict[str, Decimal]:
    """Subscription -> the stored figure of the feature `api_calls`."""
    join = f"from {table} u join features f on f.id = u.feature_id"
    where = f"where f.lookup_key = 'api_calls' and u.customer_id = '{customer}'"
    return dict(w.rows(f"select u.subscription_id, u.current_usage {join} {where}"))


def doubled(w: World, table: str, key: str) -> list[Any]:
    return w.rows(f"select {key} from {table} group by {key} having count(*) > 1")


# --- answers that do not fit, or lie -------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("only", [{}, sampled({"only": ["entitlements"]})], ids=["everything", "entitlements"])
def test_feature_that_does_not_fit(tmp_path: Path, only: dict[str, Any]) -> None:
    """Every run is degraded while a feature that rows refer to does not fit its table; mended, the next is green."""
    w = world(tmp_path)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for entry in body["features"] if route in ("usage", "entitlements") else ():
            if entry["feature"]["lookup_key"] == "sso":
                entry["feature"]["name"] = 7
        return body

    w.sandbox.bend = bend
    for _ in range(3):
        report = w.sync(**only)
        assert report.status == "degraded"
        assert any(reason.startswith("features: 1 ") for reason in report.reasons)
        assert w.rows("select count(*) from features where lookup_key = 'sso'") == [(0,)]
    w.sandbox.bend = None
    assert w.sync(**only).status == "green"
    assert w.rows("select count(*) from features where lookup_key = 'sso'") == [(1,)]
    assert w.rows("select count(*) from entitlements where feature_id not in (select id from features)") == [(0,)]
    assert w.rows("select count(*) from flexsync.rejects") == [(0,)]


@pytest.mark.sampled
def test_second_subscription_before_the_second_try(tmp_path: Path) -> None:
    """A customer that gets a second subscription between two tries of its usage call ends up with both, exactly."""
    w = synced(tmp_path, kind=Bent, audit_sample=0)
    customer = soles(w)[0]
    first = first_of(w, customer)
    added: list[str] = []

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] == customer and not added:
            zero(body)
            added.append(w.sandbox.add_subscription(customer, "Starter"))
        return body

    w.sandbox.bend = bend
    w.later(60)
    assert w.sync().status == "green"
    assert added
    w.check()
    found = w.rows(f"select distinct subscription_id from subscription_usage where customer_id = '{customer}'")
    assert {row[0] for row in found} == {first, *added}


@pytest.mark.sampled
def test_false_zero_of_the_subscription_that_is_left(tmp_path: Path) -> None:
    """A false zero is caught although one of two subscriptions was just cancelled: the other keeps its figure."""
    w = world(tmp_path)
    customer = soles(w)[0]
    first = first_of(w, customer)
    w.sandbox.set_usage(customer, "api_calls", 500, first)
    w.later(1)
    second = w.sandbox.add_subscription(customer, "Starter")
    w.sandbox.set_usage(customer, "api_calls", 20, second)
    assert w.sync().status == "green"
    assert api_calls(w, customer, "subscription_usage") == {first: 500, second: 20}
    w.later(60)
    w.sandbox.cancel_subscription(second)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] == customer:
            zero(body)
        return body

    w.sandbox.bend = bend
    report = w.sync()
    assert report.status == "degraded"
    assert any("suspect" in reason and customer in reason for reason in report.reasons)
    assert api_calls(w, customer, "subscription_usage") == {first: 500}


@pytest.mark.sampled
def test_subscription_that_ends_before_its_second_call(tmp_path: Path) -> None:
    """A subscription that is cancelled between its two calls leaves no suspect behind, in that run or in a later one.

    The closing pass knows by then that the subscription ended, so its empty answer is what has to come.
    """
    w = world(tmp_path)
    customer = soles(w)[0]
    first = first_of(w, customer)
    w.later(1)
    second = w.sandbox.add_subscription(customer, "Starter")
    assert w.sync().status == "green"
    w.later(60)
    ended: list[str] = []

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] == customer and not ended:
            zero(body)  # the plain call is made a second time, too
            ended.append(second)
            w.sandbox.cancel_subscription(second)
        return body

    w.sandbox.bend = bend
    for _ in range(2):
        assert w.sync().status == "green"
        assert w.rows("select * from flexsync.suspects") == []
    assert ended
    w.check()
    found = w.rows(f"select distinct subscription_id from subscription_usage where customer_id = '{customer}'")
    assert found == [(first,)]


@pytest.mark.sampled
@pytest.mark.parametrize("between", [sampled(False), True], ids=["plain", "customers between"])
def test_share_of_zeros_is_remembered(tmp_path: Path, between: bool) -> None:
    """Many zeros in new windows are noticed, also when the run before was `--only customers` and saw no usage."""
    w = synced(tmp_path, 80, kind=Bent, audit_sample=0)
    if between:
        assert w.sync(only=["customers"]).status == "green"
    w.later(35 * DAY)
    window = {"current_period_start": "2026-12-20T00:00:00Z", "current_period_end": "2027-01-20T00:00:00Z"}
    for row in subscriptions_of(w.sandbox):
        if row["subscription_status"] in ("active", "trialing"):
            w.sandbox.update_subscription(row["id"], **window)
    customers = sorted(counting(w.sandbox))
    hit = set(customers[: len(customers) * 3 // 4])

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] in hit:
            zero(body)
        return body

    w.sandbox.bend = bend
    report = w.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("usage: zeros rose from ") for reason in report.reasons)


@pytest.mark.sampled
def test_entitlements_of_one_subscription_vanish(tmp_path: Path) -> None:
    """An answer that lacks every feature of one of two subscriptions takes no row away and degrades the run."""
    w = world(tmp_path)
    customer = soles(w)[0]
    first = first_of(w, customer)
    w.later(1)
    w.sandbox.add_subscription(customer, "Scale")
    assert w.sync().status == "green"
    query = f"select * from entitlements where customer_id = '{customer}' order by feature_id"
    before = w.rows(query)
    alone = ask(w.sandbox, f"/customers/{customer}/entitlements", [("subscription_ids", first)])
    left = {entry["feature"]["id"] for entry in alone["features"]}
    assert 0 < len(left) < len(before)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "entitlements" and body["customer_id"] == customer:
            body["features"] = [entry for entry in body["features"] if entry["feature"]["id"] in left]
        return body

    w.sandbox.bend = bend
    w.later(60)
    report = w.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("entitlements: ") and "vanished" in reason for reason in report.reasons)
    assert w.rows(query) == before


@pytest.mark.sampled
def test_reject_outlives_a_second_try_elsewhere(tmp_path: Path) -> None:
    """A second try for the subscriptions of a customer does not clear the reject of its plain answer."""
    w = world(tmp_path)
    customer = soles(w)[0]
    first = first_of(w, customer)
    w.later(1)
    second = w.sandbox.add_subscription(customer, "Team")
    w.sandbox.set_usage(customer, "api_calls", 77, second)
    w.sandbox.set_usage(customer, "api_calls", 55, first)
    assert w.sync().status == "green"
    tries: dict[str, int] = {}

    def bend(route: str, path: Any, query: dict[str, str], body: Any) -> Any:
        if route != "usage" or body["customer_id"] != customer:
            return body
        asked = query.get("subscription_ids", "")
        tries[asked] = tries.get(asked, 0) + 1
        if asked and tries[asked] == 1:
            zero(body)
        for entry in body["features"] if not asked else ():
            if entry["feature"]["lookup_key"] == "api_calls":
                entry["current_usage"] = "x"
        return body

    w.sandbox.bend = bend
    w.later(60)
    w.sandbox.set_usage(customer, "api_calls", 100, second)
    report = w.sync()
    assert tries[first] > 1 or tries[second] > 1
    assert report.status == "degraded"
    assert w.rows("select table_name, owner from flexsync.rejects") == [("usage", customer)]
    assert list(api_calls(w, customer).values()) == [77]


@pytest.mark.sampled
def test_slow_zero_is_believed_in_the_third_run(tmp_path: Path) -> None:
    """A zero that always takes twelve seconds is suspect twice, and believed when it is told a third time."""
    w = world(tmp_path)
    customer = soles(w)[0]
    told = {"next_usage_reset_at": "2026-12-01T00:00:00Z", "current_usage": "500"}

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "usage" and body["customer_id"] == customer:
            for entry in body["features"]:
                if entry["feature"]["type"] == "metered":
                    entry.update(told)
        return body

    w.sandbox.bend = bend
    w.seconds = lambda call: 12.0 if call.about == customer or customer in str(call.query) else 0.0
    assert w.sync().status == "green"
    told |= {"next_usage_reset_at": "2027-01-01T00:00:00Z", "current_usage": "0"}
    for _ in range(2):
        report = w.sync()
        assert report.status == "degraded"
        assert any(customer in reason and "slow" in reason for reason in report.reasons)
        assert set(api_calls(w, customer).values()) == {500}
        w.later(6 * 3600)
    report = w.sync()
    assert (report.status, report.reasons) == ("green", [])
    assert set(api_calls(w, customer).values()) == {0}
    w.check()


# --- listings, cursors and clocks ----------------------------------------------------------------------------------


class Refusing(Bent):
    """Refuses to list subscriptions."""

    broken = True

    def handle(self, call: Any) -> Any:
        if self.broken and call.route.name == "subscriptions":
            refuse("not_found", "nope")
        return super().handle(call)


@pytest.mark.sampled
def test_cursor_stays_where_a_listing_failed(tmp_path: Path) -> None:
    """Subscriptions that could not be listed are listed in full by the next run, however old they are."""
    w = world(tmp_path, kind=Refusing)
    report = w.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("subscriptions: ") for reason in report.reasons)
    w.sandbox.broken = False
    w.later(DAY)
    report = w.sync()
    assert (report.mode, report.status) == ("full", "green")
    w.check()


@pytest.mark.sampled
def test_server_clock_set_back(tmp_path: Path) -> None:
    """After the server's clock was set back by an hour, the next run is full and misses no change."""
    w = synced(tmp_path, kind=Bent, audit_sample=0)
    w.later(-3600 + 300)
    w.sandbox.update_customer(w.sandbox.customer_ids()[0], name="Changed")
    w.later(1500)
    report = w.sync()
    assert (report.mode, report.status) == ("full", "green")
    w.check()
    w.later(DAY)
    assert w.sync().mode == "incremental"
    w.check()


@pytest.mark.sampled
def test_no_date_and_a_clock_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Date header our own clock, an hour ahead, is no cursor: the next runs miss no change."""
    w = world(tmp_path)

    class Undated(support.Direct):
        async def send(self, call: Call, **given: Any) -> Reply:
            return replace(await super().send(call, **given), date=None)

    monkeypatch.setattr(support, "Direct", Undated)
    ahead = partial(Sync, clock=lambda: w.sandbox.clock().replace(microsecond=0) + timedelta(hours=1))
    monkeypatch.setattr(support, "Sync", ahead)
    assert w.sync().status == "green"
    w.later(600)
    w.sandbox.update_customer(w.sandbox.customer_ids()[0], name="Changed")
    for seconds in (4 * 1800, DAY):
        w.later(seconds)
        assert w.sync().status == "green"
        w.check()


@pytest.mark.sampled
def test_empty_environment_id_is_not_bound(tmp_path: Path) -> None:
    """A server that names no environment does not tie the store to the empty one; the first name does."""
    w = world(tmp_path)
    environment = ""

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        for row in body["items"] if route in ("search", "subscriptions") else ():
            row["environment_id"] = environment
        return body

    w.sandbox.bend = bend
    assert w.sync().status == "green"
    environment = "env_x"
    assert w.sync().status == "green"
    environment = "env_y"
    with pytest.raises(FixInput, match="env_x"):
        w.sync()


@pytest.mark.sampled
def test_empty_account_then_another(tmp_path: Path) -> None:
    """An account without customers leaves no cursor: the key of another one then loads all its old rows."""
    w = world(tmp_path, 0)
    assert w.sync().status == "green"
    w.sandbox = calm(60, 9, kind=Bent)
    w.later(600)
    report = w.sync()
    assert (report.mode, report.status) == ("full", "green")
    assert w.rows("select count(*) >= 60 from customers") == [(True,)]
    w.check()


# --- subscriptions that move while we look -------------------------------------------------------------------------


class Moved(Bent):
    """Answers for `new` what it would have answered for `old`, and nothing for `old`, once both are set."""

    old = new = ""

    def handle(self, call: Any) -> Any:
        who = dict(call.query).get("customer_id") or call.path.get("id")
        if not self.old or call.route.name not in ("usage", "entitlements", "upcoming_grants", "grants"):
            return super().handle(call)
        if who == self.old:
            reply = super().handle(call)
            body = json.loads(reply.body)
            reply.body = json.dumps({k: [] if k in ("features", "items") else v for k, v in body.items()}).encode()
            return reply
        if who == self.new:
            query = [(k, self.old if k == "customer_id" else v) for k, v in call.query]
            path = {k: self.old if v == self.new else v for k, v in call.path.items()}
            reply = super().handle(replace(call, query=query, path=path))
            reply.body = reply.body.replace(self.old.encode(), self.new.encode())
            return reply
        return super().handle(call)


@pytest.mark.sampled
@pytest.mark.parametrize("known", [sampled(False), True], ids=["fresh", "called before"])
def test_subscription_moves_to_another_customer(tmp_path: Path, known: bool) -> None:
    """A subscription that changed its customer takes its rows along: none is left behind, none stands twice."""
    w = world(tmp_path, kind=Moved)
    assert w.sync(**({"prune": False} if known else {})).status == "green"
    granted = {row[0] for row in w.rows("select distinct customer_id from upcoming_grants")}
    old = next(customer for customer in soles(w) if customer in granted)
    new = next(customer for customer in without_subscription(w) if customer > old)
    subscription = first_of(w, old)
    w.sandbox.old, w.sandbox.new = old, new
    w.later(60)
    w.sandbox.update_subscription(subscription, customer_id=new)
    for _ in range(2):
        w.later(60)
        assert w.sync().status == "green"
        assert doubled(w, "subscription_usage", "subscription_id, feature_id") == []
        assert doubled(w, "upcoming_grants", "id") == []
        for table in ("subscription_usage", "upcoming_grants"):
            query = f"select distinct customer_id from {table} where subscription_id = '{subscription}'"
            assert w.rows(query) == [(new,)]
        w.check()


@pytest.mark.sampled
def test_resumed_before_its_call_beside_a_fresh_customer(tmp_path: Path) -> None:
    """A subscription resumed just before its call loses no rows when a first-ever customer lands in the same batch."""
    w = synced(tmp_path, kind=Bent, audit_sample=0)
    customer = soles(w)[0]
    subscription = first_of(w, customer)
    fresh = without_subscription(w)[0]
    w.later(60)
    w.sandbox.update_subscription(subscription, subscription_status="paused")
    w.sandbox.add_subscription(fresh, "Starter")
    handle: Callable[[Any], Any] = w.sandbox.handle
    resumed: list[str] = []

    def resume(call: Any) -> Any:
        if call.route.name == "usage" and not resumed:
            resumed.append(subscription)
            w.sandbox.update_subscription(subscription, subscription_status="active")
        return handle(call)

    w.sandbox.handle = resume
    assert w.sync().status == "green"
    assert resumed
    w.check()


@pytest.mark.sampled
def test_a_plan_change_among_several_subscriptions_is_no_loss_of_features(tmp_path: Path) -> None:
    """Of a customer with several subscriptions one gives way to a smaller plan: the shorter answers are believed."""
    w = synced(tmp_path)
    several = next(customer for customer, group in counting(w.sandbox).items() if len(group) > 1)
    for row in counting(w.sandbox)[several]:
        w.sandbox.cancel_subscription(row["id"])
    for plan in ("Starter", "Enterprise"):
        w.sandbox.add_subscription(several, plan)
    assert w.sync().status == "green"
    w.sandbox.cancel_subscription(counting(w.sandbox)[several][0]["id"])
    w.sandbox.add_subscription(several, "Starter")
    report = w.sync()
    assert (report.status, report.reasons) == ("green", [])
    w.check()
