"""connector.api.calls: each builder makes the request that the reference and contract.md describe."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.api import calls
from connector.api.calls import Call
from connector.errors import FixInput

NAIVE_ISO = datetime(2026, 8, 1, 9, 30, 15, 123456, tzinfo=UTC)

OPERATIONS: dict[str, tuple[Call, str, str, str]] = {
    "get_customers": (calls.list_customers(), "GET", "/customers", "customers"),
    "post_customers_search": (calls.search_customers(), "POST", "/customers/search", "customers"),
    "get_customers_id_": (calls.get_customer("c"), "GET", "/customers/c", "customers"),
    "get_customers_external_external_id_": (
        calls.get_customer_by_external_id("e"), "GET", "/customers/external/e", "customers"),
    "post_customers": (calls.create_customer(external_id="e", name="n"), "POST", "/customers", "writes"),
    "put_customers": (calls.update_customer(id="c"), "PUT", "/customers", "writes"),
    "delete_customers_id_": (calls.delete_customer("c"), "DELETE", "/customers/c", "writes"),
    "get_customers_usage": (calls.get_usage("c"), "GET", "/customers/usage", "usage"),
    "get_customers_id_entitlements": (calls.get_entitlements("c"), "GET", "/customers/c/entitlements", "entitlements"),
    "get_customers_id_grants_upcoming": (
        calls.get_upcoming_grants("c"), "GET", "/customers/c/grants/upcoming", "upcoming_grants"),
    "get_customers_external_external_id_entitlements": (
        calls.get_entitlements_by_external_id("e"), "GET", "/customers/external/e/entitlements", "entitlements"),
    "post_subscriptions_search": (calls.search_subscriptions(), "POST", "/subscriptions/search", "subscriptions"),
    "get_events": (calls.probe_events(), "GET", "/events", "events"),
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_are_those_of_the_reference(operation: str) -> None:
    """Each operation has its method, its path and its endpoint class."""
    call, method, path, endpoint = OPERATIONS[operation]
    assert (call.operation, call.method, call.path, call.endpoint) == (operation, method, path, endpoint)
    assert call.repeatable == (endpoint != "writes")


def test_table_in_the_docstring_is_complete() -> None:
    """The table at the top of calls.py names every operation with its builder and its endpoint class."""
    rows = re.findall(r"^(\w+)(?: \(\w+\))? {2,}(\w+) {2,}(\w+)$", calls.__doc__ or "", re.MULTILINE)
    told = {operation: (builder, endpoint) for operation, builder, endpoint in rows}
    assert set(told) == set(OPERATIONS)
    for operation, (builder, endpoint) in told.items():
        assert endpoint == OPERATIONS[operation][3]
        assert callable(getattr(calls, builder))


@settings(deadline=None)
@given(st.text(min_size=1))
def test_any_id_survives_its_path(identifier: str) -> None:
    """An id either travels in a path and can be read back from it unchanged, or is refused; it is never re-written."""
    if not calls.fits_path(identifier):
        with pytest.raises(FixInput, match="search_customers"):
            calls.get_customer(identifier)
        return
    try:
        encoded = identifier.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    path = calls.get_customer(identifier).path
    assert path.count("/") == 2
    assert unquote(path.split("/")[2]).encode() == encoded


@pytest.mark.parametrize("odd", ["", ".", "..", "a/b", "/"])
def test_ids_that_no_path_can_carry_are_refused(odd: str) -> None:
    """Dots, slashes and nothing would become another address (contract.md 1.1)."""
    for build in (calls.get_customer, calls.get_customer_by_external_id, calls.delete_customer,
                  calls.get_entitlements, calls.get_upcoming_grants):  # fmt: skip
        with pytest.raises(FixInput):
            build(odd)


def test_lists_repeat_their_parameter() -> None:
    """A list parameter is repeated, never joined by commas (contract.md 3.1, 6.1)."""
    call = calls.get_usage("c", feature_ids=["f1", "f,2"], subscription_ids=("s1",))
    assert call.query == (
        ("customer_id", "c"),
        ("feature_ids", "f1"),
        ("feature_ids", "f,2"),
        ("subscription_ids", "s1"),
    )


def test_what_is_not_given_is_not_sent() -> None:
    """None is left out of queries and bodies; zero, empty text and false are sent."""
    assert calls.list_customers(limit=None, offset=0).query == (("offset", "0"),)
    assert json.loads(calls.search_customers(limit=None, offset=0, email="").body or b"") == {"offset": 0, "email": ""}


def test_listing_by_get_carries_json_where_the_server_wants_it() -> None:
    """The metadata filter is one JSON object and each filter one JSON condition (contract.md 3.1)."""
    condition = calls.among("id", ["a"])
    query = dict(calls.list_customers(metadata={"tier": "gold"}, filters=[condition]).query)
    assert json.loads(query["metadata"]) == {"tier": "gold"}
    assert json.loads(query["filters"]) == condition


def test_timestamps_have_microseconds_in_utc() -> None:
    """A moment is written in UTC with six digits, whatever zone it came in (contract.md 3.7)."""
    moment = NAIVE_ISO.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert calls.timestamp(moment) == "2026-08-01T09:30:15.123456Z"


@pytest.mark.parametrize(("build", "operator"), [(calls.after, "after"), (calls.before, "before"), (calls.at, "eq")])
def test_date_conditions_use_operators_that_are_read(build: object, operator: str) -> None:
    """A date condition has the operator and the member that the server really looks at (contract.md 3.4)."""
    condition = build("updated_at", NAIVE_ISO)  # type: ignore[operator]
    assert (condition["operator"], condition["value"]) == (operator, {"date": "2026-08-01T09:30:15.123456Z"})


@pytest.mark.parametrize("build", [calls.among, calls.not_among])
def test_empty_lists_are_refused(build: object) -> None:
    """The server would drop an empty list silently and answer everything, so it is refused here."""
    assert build("id", iter(["a", "b"]))["value"] == {"array": ["a", "b"]}  # type: ignore[operator]
    with pytest.raises(FixInput, match="empty list"):
        build("id", [])  # type: ignore[operator]


def test_sort_is_ascending_in_order() -> None:
    """Sort entries keep their order and say asc exactly (contract.md 3.3)."""
    assert calls.ascending("updated_at", "id") == [
        {"field": "updated_at", "direction": "asc"},
        {"field": "id", "direction": "asc"},
    ]


def test_whom_a_call_is_about_is_told() -> None:
    """Errors can name the customer: every call about one says which."""
    assert calls.create_customer({"external_id": "e1"}).about == "e1"
    assert calls.update_customer(external_customer_id="e2").about == "e2"
    assert calls.get_usage(customer_lookup_key="e3").about == "e3"


@pytest.mark.parametrize("build", [calls.update_customer, calls.get_usage])
def test_calls_without_an_identifier_are_refused(build: object) -> None:
    """An update or a usage call for nobody is refused before it is sent."""
    with pytest.raises(FixInput, match="neither"):
        build()  # type: ignore[operator]


def rebuilt(path: str, query: dict[str, list[str]]) -> Call | None:
    """The builder's call for a recorded per-customer request, or None where it is another operation."""
    lists = {name: tuple(values) for name, values in query.items() if name.endswith(("_ids", "_keys"))}
    identifier = unquote(path.split("/")[3]) if path.count("/") > 3 else ""
    if path == "/v1/customers/usage" and query:
        key = query.get("customer_lookup_key", [None])[0]
        return calls.get_usage(query.get("customer_id", [None])[0], customer_lookup_key=key, **lists)
    if path == f"/v1/customers/{identifier}/entitlements":
        return calls.get_entitlements(identifier, **lists)
    return calls.get_upcoming_grants(identifier) if path.endswith("/grants/upcoming") else None


def test_recorded_requests_can_be_built() -> None:
    """The per-customer requests that a real server answered are what the builders make: path and query."""
    text = (Path(__file__).parent / "recorded" / "real-server.jsonl").read_text(encoding="utf-8")
    built = 0
    for request in (json.loads(line)["request"] for line in text.splitlines()):
        query: dict[str, list[str]] = {}
        for name, value in request["query"] or []:
            query.setdefault(name, []).append(value)
        call = rebuilt(request["path"], query)
        if call and request["method"] == "GET":
            assert "/v1" + call.path == request["path"]
            assert sorted(call.query) == sorted(map(tuple, request["query"] or []))
            built += 1
    assert built > 30
