"""Outages of the sandbox's database and analytics store, begun by a switch or by hand, on a clock that tests move."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connector.sandbox import Clock, Faults, Sandbox

Json = dict[str, Any]
BASE = datetime(2026, 8, 1, tzinfo=UTC)
PAGE = "/customers/search"


def account(**given: Any) -> Sandbox:
    """A small account whose clock stands at noon."""
    return Sandbox(customers=20, base_time=BASE, clock=Clock(datetime(2026, 8, 1, 12, tzinfo=UTC)), **given)


def wait(sandbox: Sandbox, seconds: float) -> None:
    """Let time pass on the sandbox's clock."""
    assert isinstance(sandbox.clock, Clock)
    sandbox.clock.advance(seconds)


def status(sandbox: Sandbox, path: str = PAGE) -> int:
    """The status of one call."""
    return sandbox.answer("POST", PAGE, (), {})[0] if path == PAGE else sandbox.answer("GET", path)[0]


def figures(sandbox: Sandbox, customer: str) -> list[str]:
    """The figures of a usage answer."""
    code, _, text = sandbox.answer("GET", "/customers/usage", {"customer_id": customer})
    assert code == 200
    return [feature["current_usage"] for feature in json.loads(text)["features"]]


def customer_with_usage(sandbox: Sandbox) -> str:
    """A customer with two subscriptions and a figure."""
    customer = str(sandbox.create_customer()["id"])
    for plan in ("Starter", "Team"):
        sandbox.add_subscription(customer, plan)
    sandbox.set_usage(customer, "api_calls", 12)
    return customer


def database_error(message: str) -> Json:
    """The server's body (contract.md 2.1)."""
    return {"code": "database_error", "message": message, "http_status_code": 500}


# -- the analytics store ---------------------------------------------------------------------------------------------


def test_usage_says_zero_and_events_fail_while_analytics_are_stopped() -> None:
    """Stopped by hand: usage is 200 with zeros, events are 500 in the words that tell it, all else goes on."""
    sandbox = account()
    customer = customer_with_usage(sandbox)
    assert "12" in figures(sandbox, customer)
    sandbox.stop_analytics()
    assert set(figures(sandbox, customer)) == {"0"}
    for method, path in (("GET", "/events"), ("POST", "/events/query")):
        code, _, text = sandbox.answer(method, path, {"page_size": "1"}, {"page_size": 1} if method == "POST" else None)
        assert (code, json.loads(text)) == (500, database_error("Failed to count events"))
    assert status(sandbox) == status(sandbox, f"/customers/{customer}/entitlements") == 200
    assert status(sandbox, "/customers/usage") == 400
    sandbox.start_analytics()
    assert "12" in figures(sandbox, customer)
    assert status(sandbox, "/events") == 200


def test_an_analytics_outage_begins_with_a_call_and_ends_by_the_clock() -> None:
    """`analytics_down_at` counts all calls since the switch was set; `analytics_down_for` ends the episode for good."""
    sandbox = account()
    status(sandbox)
    sandbox.faults = Faults(analytics_down_at=3, analytics_down_for=60)
    assert [status(sandbox, path) for path in ("/customers", "/events", "/events")] == [200, 200, 500]
    wait(sandbox, 59)
    assert status(sandbox, "/events") == 500
    wait(sandbox, 1)
    assert [status(sandbox, "/events") for _ in range(5)] == [200] * 5


def test_an_outage_without_a_length_lasts() -> None:
    """With only `analytics_down_at`, the store stays down until it is started by hand or the switches are changed."""
    sandbox = account(faults=Faults(analytics_down_at=1))
    wait(sandbox, 10**6)
    assert [status(sandbox, "/events") for _ in range(2)] == [500, 500]
    sandbox.start_analytics()
    assert status(sandbox, "/events") == 200
    sandbox.faults = Faults(analytics_down_at=1)
    assert status(sandbox, "/events") == 500
    sandbox.faults = Faults()
    assert status(sandbox, "/events") == 200


def test_new_switches_leave_a_store_stopped_that_was_stopped_by_hand() -> None:
    """A change of switches, or the end of a planned episode, does not start what was stopped by hand."""
    sandbox = account()
    sandbox.stop_database()
    sandbox.faults = Faults(database_down_at=1, database_down_for=1)
    assert status(sandbox) == 500
    wait(sandbox, 100)
    assert status(sandbox) == 500
    sandbox.start_database()
    assert status(sandbox) == 200


# -- the database ----------------------------------------------------------------------------------------------------


FAILING = {
    ("GET", "/customers"): "Failed to list customers",
    ("POST", "/customers/search"): "Failed to list customers",
    ("POST", "/customers"): "Failed to create customer",
    ("PUT", "/customers/cust_1"): "Failed to update customer",
    ("DELETE", "/customers/cust_1"): "Failed to get customer",
    ("GET", "/customers/cust_1"): "Failed to get customer",
    ("GET", "/customers/external/1"): "Failed to get customer",
    ("GET", "/customers/usage"): "Failed to get customer",
    ("GET", "/customers/cust_1/grants/upcoming"): "Failed to get customer",
    ("GET", "/customers/cust_1/entitlements"): "Failed to list subscriptions",
    ("POST", "/subscriptions/search"): "Failed to list subscriptions",
}


@pytest.mark.parametrize(("method", "path"), FAILING)
def test_every_call_fails_while_the_database_is_stopped(method: str, path: str) -> None:
    """Every operation answers 500 `database_error` with its text, and changes nothing; a wrong key stays a 401."""
    sandbox = account()
    sandbox.stop_database()
    sent = {"external_id": "new", "name": "New"} if method in ("POST", "PUT") else None
    code, headers, text = sandbox.answer(method, path, (), sent)
    assert (code, json.loads(text)) == (500, database_error(FAILING[method, path]))
    assert headers["Content-Type"].startswith("application/json")
    assert sandbox.answer(method, path, (), sent, key="wrong")[0] == 401
    sandbox.start_database()
    assert json.loads(sandbox.answer("GET", "/customers", {"external_id": "new"})[2])["items"] == []


def test_events_fail_in_other_words_while_the_database_is_stopped() -> None:
    """An outage of the database is no sign that the analytics store is down."""
    sandbox = account()
    sandbox.stop_database()
    code, _, text = sandbox.answer("GET", "/events", {"page_size": "1"})
    assert code == 500
    assert b"Failed to count events" not in text


def test_a_database_outage_begins_with_a_call_and_ends_by_the_clock() -> None:
    """`database_down_at` and `database_down_for` make one episode; `endpoint` and `first` do not limit it."""
    sandbox = account(
        faults=Faults(database_down_at=2, database_down_for=5, endpoint=frozenset({"usage"}), first=1, latency=1)
    )
    assert [status(sandbox) for _ in range(3)] == [200, 500, 500]
    wait(sandbox, 5)
    assert [status(sandbox) for _ in range(3)] == [200, 200, 200]


def test_a_stopping_database_answers_entitlements_in_part() -> None:
    """With `database_partial`, the first second gives 200 without one of two subscriptions; after it all is 500."""
    sandbox = account()
    customer = customer_with_usage(sandbox)
    single = str(sandbox.create_customer()["id"])
    sandbox.add_subscription(single)
    sandbox.faults = Faults(database_partial=True)
    path = f"/customers/{customer}/entitlements"
    assert len(json.loads(sandbox.answer("GET", path)[2])["subscriptions"]) == 2
    sandbox.stop_database()
    code, _, text = sandbox.answer("GET", path)
    answer = json.loads(text)
    assert (code, len(answer["subscriptions"])) == (200, 1)
    assert {s["subscription_id"] for f in answer["features"] for s in f["sources"]} == {
        answer["subscriptions"][0]["id"]
    }
    assert status(sandbox, f"/customers/{single}/entitlements") == status(sandbox) == 500
    wait(sandbox, 1)
    assert status(sandbox, path) == 500


def test_outages_over_http() -> None:
    """A client on a socket meets an outage that the command's notation sets, and one that is made by hand."""
    sandbox = account(faults=Faults.parse("database_down_at=2,database_down_for=3600,database_partial=1"))
    with sandbox.running() as base_url, httpx.Client(headers={"x-api-key": "sandbox"}) as client:
        assert [client.get(f"{base_url}/customers").status_code for _ in range(2)] == [200, 500]
        sandbox.start_database()
        sandbox.stop_analytics()
        assert client.get(f"{base_url}/events?page_size=1").json() == database_error("Failed to count events")
