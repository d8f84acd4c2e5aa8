"""Scenarios of a second hunt: runs that ended green over tables that did not hold what the account did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import Bent, World, ask, calm, counting, customers_of, subscriptions_of, synced
from test_called_too_early import before
from test_hunted import first_of, soles


def idle(w: World) -> str:
    """The first customer without a subscription that counts."""
    return next(id for id in sorted(w.sandbox.customer_ids()) if id not in counting(w.sandbox))


def linked_and_idle(w: World) -> str:
    """The first customer with integrations and without a subscription that counts."""
    rows = (row for row in customers_of(w.sandbox) if row.get("integrations") and row["status"] == "published")
    return next(row["id"] for row in rows if row["id"] not in counting(w.sandbox))


def green_again(w: World) -> None:
    """The next run is green, and the tables are exactly what the account holds."""
    w.later(600)
    report = w.sync()
    assert (report.status, report.reasons) == ("green", [])
    w.check()


# --- rows that go, and come back -----------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("new", ["customer", sampled("subscription")])
def test_row_of_this_run_is_not_gone_by_one_answer(tmp_path: Path, new: str) -> None:
    """A row that a run has read stays when a replica does not have it yet; the run is degraded, not wrong."""
    w = synced(tmp_path, 20, kind=Bent)
    w.later(600)
    customer = w.sandbox.create_customer(name="New Ltd")["id"] if new == "customer" else soles(w)[0]
    subscription = w.sandbox.add_subscription(customer, "Scale")
    w.later(20)
    late = customer if new == "customer" else subscription
    with before(prove=lambda: w.sandbox.hide(late)):
        report = w.sync()
    assert report.status == "degraded"
    assert any(late in reason and "this run had read" in reason for reason in report.reasons), report.reasons
    w.sandbox.show(late)
    w.check()
    green_again(w)


@pytest.mark.sampled
@pytest.mark.parametrize("first", [True, sampled(False)], ids=["first run", "gone and back"])
def test_links_of_a_customer_that_only_the_closing_pass_names(tmp_path: Path, first: bool) -> None:
    """Archived while a full run lists, a customer is in neither status; found by the closing pass, it has its links."""
    w = World(tmp_path, calm(20, kind=Bent)) if first else synced(tmp_path, 20, kind=Bent)
    w.later(600)
    linked = linked_and_idle(w)
    w.sandbox.archive_customer(linked)
    w.sandbox.hide(linked)
    w.later(1)
    step = {"call_customers" if first else "close": lambda: w.sandbox.show(linked)}
    with before(**step):
        assert w.sync(full=True).status == "green"
    w.check()


@pytest.mark.sampled
def test_links_of_a_customer_that_only_a_look_up_names(tmp_path: Path) -> None:
    """A customer that a full run's pages leave out is read by its id, with the links that it got since."""
    w = synced(tmp_path, 20, kind=Bent)
    w.later(600)
    linked = linked_and_idle(w)
    w.rows(f"delete from customer_integrations where entity_id = '{linked}'")

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "search" and len(body["items"]) > 5:
            body["items"] = [row for row in body["items"] if row["id"] != linked]
        return body

    w.sandbox.bend = bend
    w.sync(full=True)
    w.sandbox.bend = None
    w.check()


@pytest.mark.sampled
def test_links_of_a_customer_that_was_gone(tmp_path: Path) -> None:
    """A gone customer that an incremental run reads again gets its links back in that run."""
    w = synced(tmp_path, 20, kind=Bent)
    linked = linked_and_idle(w)
    w.sandbox.hide(linked)
    w.later(600)
    assert w.sync(full=True).status == "green"
    assert w.rows("select id from customers where gone_at is not null") == [(linked,)]
    w.later(600)
    w.sandbox.show(linked)
    w.sandbox.update_customer(linked, name="Back Ltd")
    report = w.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    w.check()


@pytest.mark.sampled
def test_an_empty_environment_is_not_believed(tmp_path: Path) -> None:
    """With the key of an empty environment not even a tiny account is gone; the right key finds it as it was."""
    w = World(tmp_path, calm(3, kind=Bent))
    assert w.sync().status == "green"
    rows = [row["id"] for row in (*subscriptions_of(w.sandbox), *customers_of(w.sandbox))]
    w.later(600)
    for id in rows:
        w.sandbox.hide(id)
    report = w.sync()
    assert report.status == "degraded"
    assert any("--accept-gone 3" in reason for reason in report.reasons), report.reasons
    assert w.rows("select count(*), count(gone_at) from customers") == [(3, 0)]
    for id in rows:
        w.sandbox.show(id)
    green_again(w)


# --- customers who do not count any more ---------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("route", ["usage", sampled("entitlements"), sampled("grants")])
def test_answer_about_a_subscription_that_ended(tmp_path: Path, route: str) -> None:
    """Calls answered by a replica that does not know yet what the listing says, a cancellation, are not believed."""
    w = synced(tmp_path, 20, kind=Bent, audit_sample=0)
    w.later(600)
    asked = {
        "usage": "SELECT customer_id FROM usage",
        "entitlements": "SELECT customer_id FROM entitlements",
        "grants": "SELECT customer_id FROM upcoming_grants",
    }
    having = {row[0] for row in w.rows(asked[route])}
    customer = next(id for id in soles(w) if id in having)
    paths = {"usage": "/customers/usage", "grants": f"/customers/{customer}/grants/upcoming"}
    path = paths.get(route, f"/customers/{customer}/entitlements")
    old = json.loads(json.dumps(ask(w.sandbox, path, [("customer_id", customer)]), default=str))
    w.sandbox.cancel_subscription(first_of(w, customer))

    def bend(name: str, path: Any, query: Any, body: Any) -> Any:
        return old if name == route and customer in (path.get("id"), query.get("customer_id")) else None

    w.sandbox.bend = bend
    report = w.sync()
    assert report.status == "degraded"
    assert any("ended" in reason and customer in reason for reason in report.reasons), report.reasons
    w.sandbox.bend = None
    green_again(w)


@pytest.mark.sampled
@pytest.mark.parametrize("why", ["left", "audit"])
def test_subscription_that_counts_for_a_moment(tmp_path: Path, why: str) -> None:
    """A customer called as one who left, then for a subscription that ends at once, is called as one who left again."""
    w = synced(tmp_path, 20, kind=Bent, audit_sample=50)
    w.later(600)
    customer = idle(w) if why == "audit" else soles(w)[0]
    if why == "left":
        w.sandbox.cancel_subscription(first_of(w, customer))
    paused = w.sandbox.add_subscription(customer, "Scale", status="paused")
    late = w.sandbox.add_subscription(idle(w), "Starter", status="draft")
    w.sandbox.hide(late)
    w.later(2)

    def begins() -> None:
        w.later(1)
        w.sandbox.update_subscription(paused, subscription_status="active")
        w.later(1)

    def ends() -> None:
        w.later(1)
        w.sandbox.cancel_subscription(paused)
        w.later(1)
        w.sandbox.show(late)

    with before(close=begins, prove=ends):
        report = w.sync()
    assert (report.status, report.reasons) == ("green", [])
    w.check()


@pytest.mark.sampled
@pytest.mark.parametrize("only", ["entitlements", "everything"])
def test_gone_customer_whose_subscription_stays(tmp_path: Path, only: str) -> None:
    """A customer deleted by hand has no rows, though its subscription stays and entitlements do not ask for it."""
    given: dict[str, Any] = {"only": ["entitlements"]} if only == "entitlements" else {}
    w = synced(tmp_path, 20, kind=Bent, audit_sample=0, **given)
    w.later(600)
    customer = soles(w)[0]
    subscription = first_of(w, customer)
    body = json.loads(json.dumps(ask(w.sandbox, f"/customers/{customer}/entitlements"), default=str))
    w.sandbox.remove_customer(customer)
    w.sandbox.bend = lambda route, path, query, _: (
        body if route == "entitlements" and customer in path.values() else None
    )
    for _ in range(2):
        w.later(600)
        report = w.sync(full=True)
        assert (report.status, report.reasons) == ("green", [])
        assert w.rows(f"select count(*) from entitlements where customer_id = '{customer}'") == [(0,)]
    w.sandbox.bend = None
    w.sandbox.remove_subscription(subscription)
    w.later(600)
    assert w.sync().status == "green"
    assert w.rows(f"select count(*) from entitlements where customer_id = '{customer}'") == [(0,)]
