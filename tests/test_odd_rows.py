"""A listing row that does not fit costs that row: the run goes on, and ends degraded with the row in the rejects."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled, thorough
from support import Bent, World, calm, counting

import connector
from connector.api import calls
from connector.api.calls import SUBSCRIPTION_STATUSES
from connector.errors import Refused
from connector.store.store import Store
from pipelines import operations
from pipelines.doctor import doctor
from pipelines.report.customers import writer
from pipelines.verify import verify

A_ROW = {"id": "a", "created_at": "2026-01-01T00:00:00Z"}
ROUTES = {"customers": "search", "subscriptions": "subscriptions"}
ODD: dict[str, dict[str, Any]] = {
    "a leap second": {"updated_at": "2026-06-30T23:59:60Z"},
    "a lone surrogate": {"created_by": "\ud800"},
    "an id that is a number": {"id": 17},
    "a lone surrogate in an unknown field": {"new": ["\ud800"]},
    "a moment without a zone": {"updated_at": "2026-06-30T23:59:59"},
    "a number for a text": {"status": 1e300},
}
CASES = [
    (next(iter(ODD)), "customers"),
    *(thorough(name, "customers") for name in list(ODD)[1:]),
    sampled("a lone surrogate", "subscriptions"),
    *(thorough(name, "subscriptions") for name in ODD if name != "a lone surrogate"),
]


class Deep(Bent):
    """Sends JSON of 1,500 levels, which no decoder reads, wherever the answer is to hold the text DEEP."""

    def handle(self, call: Any) -> Any:
        reply = super().handle(call)
        reply.body = reply.body.replace(b'"DEEP"', b"[" * 1500 + b"]" * 1500)
        return reply


def world(folder: Path) -> World:
    return World(folder, calm(12, kind=Bent), audit_sample=0)


def rows(w: World, resource: str) -> list[dict[str, Any]]:
    statuses = {} if resource == "customers" else {"subscription_status": list(SUBSCRIPTION_STATUSES)}
    body = {"limit": 1000, **statuses}
    _, _, text = w.sandbox.answer("POST", f"/v1/{resource}/search", body=body)
    return list(json.loads(text)["items"])


def ids(w: World, resource: str) -> list[str]:
    return sorted(row["id"] for row in rows(w, resource))


def let_come(w: World, resource: str, id: str, fields: dict[str, Any]) -> None:
    """Let one row come with other fields wherever it is listed."""

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        for row in body["items"] if route == ROUTES[resource] else ():
            row.update(fields if row["id"] == id else {})
        return body

    w.sandbox.bend = bend  # type: ignore[attr-defined]


def held(w: World, resource: str) -> set[str]:
    return {row[0] for row in w.rows(f"SELECT id FROM {resource} WHERE gone_at IS NULL")}


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "resource"), CASES)
def test_a_row_that_is_odd_at_first_sight(name: str, resource: str, tmp_path: Path) -> None:
    """Every other row arrives, the odd one is in the rejects; mended, it makes the next full run green."""
    w = world(tmp_path)
    everything = ids(w, resource)
    let_come(w, resource, everything[1], ODD[name])
    report = w.sync()
    assert held(w, resource) == {*everything} - {everything[1]}
    assert report.status == "degraded"
    assert any("of listings do not fit and are in flexsync.rejects" in reason for reason in report.reasons)
    w.sandbox.bend = None  # type: ignore[attr-defined]
    assert w.sync(full=True).status == "green"
    w.check()


@pytest.mark.sampled
def test_an_odd_row_over_http(tmp_path: Path) -> None:
    """The client does not take such a page for a torn one, which it would ask for until the attempts are used up."""
    sandbox = calm(12, kind=Bent)
    with sandbox.running() as url:
        w = World(tmp_path, sandbox, url, audit_sample=0)
        odd = ids(w, "customers")[1]
        let_come(w, "customers", odd, ODD["a lone surrogate"])
        assert w.sync().status == "degraded"
        assert w.rows("SELECT key, field FROM flexsync.rejects") == [(odd, "items[].created_by")]
        assert len(held(w, "customers")) == 11


def test_rows_and_answers_nested_too_deep_over_http(tmp_path: Path) -> None:
    """A customer, and another one's usage, that no decoder reads cost themselves; everybody else arrives."""
    sandbox = calm(12, kind=Deep)
    with sandbox.running() as url:
        w = World(tmp_path, sandbox, url, audit_sample=0)
        everybody, active = ids(w, "customers"), sandbox.active_customer_ids()[0]
        odd = min({*everybody} - {*counting(sandbox)})

        def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
            if route == "usage" and query["customer_id"] == active:
                return {**body, "features": [{**body["features"][0], "feature": "DEEP"}]}
            for row in body["items"] if route == "search" else ():
                row.update({"new": {"a": "DEEP"}} if row["id"] == odd else {})
            return body

        sandbox.bend = bend  # type: ignore[attr-defined]
        assert w.sync().status == "degraded"
        assert {key for (key,) in w.rows("SELECT key FROM flexsync.rejects WHERE table_name = 'customers'")} == {odd}
        assert w.rows("SELECT DISTINCT owner FROM flexsync.rejects WHERE table_name = 'usage'") == [(active,)]
        assert held(w, "customers") == {*everybody} - {odd}


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "resource"), CASES)
def test_a_row_that_becomes_odd(name: str, resource: str, tmp_path: Path) -> None:
    """Its last good row stays, with its children; it is not taken for gone, and the run says what is wrong."""
    w = world(tmp_path)
    assert w.sync().status == "green"
    before = {name: w.rows(f"SELECT count(*) FROM {name}") for name in ("customers", "subscriptions", "usage")}
    everything = ids(w, resource)
    let_come(w, resource, everything[1], ODD[name])
    report = w.sync(full=True)
    assert held(w, resource) == {*everything}
    assert {name: w.rows(f"SELECT count(*) FROM {name}") for name in before} == before
    assert report.status == "degraded"
    assert any("of listings do not fit and are in flexsync.rejects" in reason for reason in report.reasons)
    w.sandbox.bend = None  # type: ignore[attr-defined]
    assert w.sync(full=True).status == "green"
    w.check()


PERIOD = {"current_period_start": "2026-06-30T23:59:60Z"}  # what a walk does not look at


def test_streaming_loses_no_customer_to_a_subscription_that_does_not_fit(tmp_path: Path) -> None:
    """`connector.read` raises, as for every row that does not fit; it does not leave the customer out."""
    w = world(tmp_path)
    active = w.sandbox.active_customer_ids()
    [id] = [row["id"] for row in rows(w, "subscriptions") if row["customer_id"] == active[0]][:1]
    let_come(w, "subscriptions", id, PERIOD)
    with w.sandbox.running() as base_url, pytest.raises(Refused, match="23:59:60"):
        connector.read("usage", base_url=base_url, api_key="sandbox").read_all()


@pytest.mark.sampled
def test_verify_goes_by_the_names_of_columns(tmp_path: Path) -> None:
    """In a migrated store the newest column of a table stands last, behind `run_id` and `observed_at`."""
    w = world(tmp_path)
    w.sync()
    with Store.open(w.path) as store, store.transaction() as db:
        db.execute("CREATE TABLE moved AS SELECT run_id, observed_at, * EXCLUDE (run_id, observed_at) FROM customers")
        db.execute("DROP TABLE customers")
        db.execute("ALTER TABLE moved RENAME TO customers")
    with w.sandbox.running() as base_url:
        assert verify(w.settings(base_url=base_url), 100)["ok"]


@pytest.mark.sampled
@pytest.mark.parametrize("fields", [{"created_by": "\ud800"}, sampled({"created_at": "2026-06-30T23:59:60Z"})])
def test_verify_names_a_live_row_that_does_not_fit(fields: dict[str, Any], tmp_path: Path) -> None:
    """A row that cannot be compared is a difference, not one row less to compare."""
    w = world(tmp_path)
    w.sync()
    let_come(w, "customers", ids(w, "customers")[1], fields)
    with w.sandbox.running() as base_url:
        found = verify(w.settings(base_url=base_url), 100)
    told = [one for one in found["differences"] if one["table"] == "customers"]
    assert not found["ok"]
    assert ids(w, "customers")[1] in [one["key"]["id"] for one in told]


@pytest.mark.parametrize(
    "ask",
    [
        lambda settings: connector.Flexprice(settings).search_customers(limit=1000),
        lambda settings: operations.send(calls.search_customers(limit=1000), settings),
        lambda settings: operations.get(settings, operations.Whose(external_id="a/b")),
        lambda settings: operations.page(settings, calls.search_customers(limit=9), writer("csv", io.StringIO()).take),
        lambda settings: operations.page(settings, calls.list_customers(limit=9), writer("table", io.StringIO()).take),
        lambda settings: operations.page(settings, calls.list_customers(limit=9), writer("jsonl", io.StringIO()).take),
        lambda settings: operations.walk(settings, {}, 9, writer("csv", io.StringIO()).take),
        lambda settings: operations.walk(settings, {}, 9, writer("json", io.StringIO()).take),
    ],
)
def test_an_operation_by_hand_is_refused_with_the_reason(ask: Any, tmp_path: Path) -> None:
    """The ten operations say that the answer cannot be shown; it is no fault of ours."""
    w = world(tmp_path)
    w.sandbox.bend = lambda _route, _path, _query, _body: {"items": [{**A_ROW, "name": "\ud800"}]}  # type: ignore[attr-defined]
    with w.sandbox.running() as base_url, pytest.raises(Refused, match="surrogate"):
        ask(w.settings(base_url=base_url))


def test_doctor_over_an_odd_row(tmp_path: Path) -> None:
    """Its checks count rows, and do not stumble over one that it does not need."""
    w = world(tmp_path)
    w.sandbox.bend = lambda _route, _path, _query, body: odd_everywhere(body)  # type: ignore[attr-defined]
    with w.sandbox.running() as base_url:
        checks = doctor(w.settings(base_url=base_url))
    assert [check for check in checks if not check["ok"] and check["check"] != "clocks"] == []


def odd_everywhere(body: Any) -> Any:
    return {**body, "items": [{**row, "new": "\ud800"} for row in body["items"]]}
