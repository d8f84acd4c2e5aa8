"""JSON → Arrow: nothing is lost, nothing is guessed, and what does not fit is told with its raw body."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.schemas import DECIMAL, JSON, TABLES, TIME, Column

RECORDED = Path(__file__).parent / "recorded" / "real-server.jsonl"
NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
# Known and on purpose not kept: the copy of the customer's id, what is always null, what stands in another table.
DROPPED = {
    "subscriptions": {"plan.id", "plan.description", "plan.environment_id", "plan.metadata", "plan.display_order"}
    | {f"plan.{name}" for name in ("tenant_id", "status", "created_at", "updated_at", "created_by", "updated_by")}
    | {"customer", "plan"},
    "features": {"meter.id", "meter.tenant_id"},
    "customers": {"integrations"},
    "usage": {"feature", "sources"},
    "entitlements": {"feature", "sources", "entitlement.buckets"},
}


def exchanges() -> Iterator[tuple[str, str, dict[str, str], str]]:
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["response"]["status"] == 200:
            request = entry["request"]
            yield entry["name"], request["path"], dict(request["query"]), entry["response"]["body"]


def answers() -> Iterator[tuple[str, Answer]]:
    """Every recorded body that feeds a table."""
    for name, path, query, body in exchanges():
        found = json.loads(body)
        customer = found.get("customer_id", "")
        if path in ("/v1/customers", "/v1/customers/search") and "items" in found:
            yield name, Answer("customers", body.encode(), NOW)
        elif path == "/v1/subscriptions/search":
            yield name, Answer("subscriptions", body.encode(), NOW)
        elif path.endswith("/usage"):
            yield name, Answer("usage", body.encode(), NOW, customer, query.get("subscription_ids", ""))
        elif path.endswith("/entitlements"):
            yield name, Answer("entitlements", body.encode(), NOW, customer)
        elif path.endswith("/grants/upcoming"):
            yield name, Answer("upcoming_grants", body.encode(), NOW, path.split("/")[3])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of an object with its dotted path; lists and free objects are leaves."""
    for name, item in value.items():
        here = f"{path}.{name}".lstrip(".")
        if isinstance(item, dict) and name in ("plan", "meter", "aggregation", "reporting_unit", "entitlement"):
            yield from leaves(item, here)
        else:
            yield here, item


def same(column: Column, sent: Any, held: Any) -> bool:
    if column.kind == DECIMAL and sent is not None:
        return Decimal(sent) == held
    if column.kind == TIME and sent is not None:
        moment = datetime.fromisoformat(sent)
        return held is None if moment.year == 1 else moment == held
    if column.kind == JSON and sent is not None:
        return bool(json.loads(held) == sent)
    if isinstance(held, list) and held and isinstance(held[0], tuple):
        return dict(held) == sent
    return bool(([] if sent == {} else sent) == held)


def assert_held(table: str, sent: dict[str, Any], held: dict[str, Any]) -> None:
    columns = {column.path: column for column in TABLES[table].columns if column.path}
    for path, value in leaves(sent):
        if path in DROPPED.get(table, ()):
            continue
        assert path in columns, f"{table}: {path} is neither kept nor dropped on purpose"
        assert same(columns[path], value, held[columns[path].name]), (table, path, value, held[columns[path].name])


def rows(decoded: Decoded, table: str) -> list[dict[str, Any]]:
    return decoded.tables[table].to_pylist()


@pytest.mark.parametrize(("name", "answer"), [pytest.param(n, a, id=f"{i}-{n}") for i, (n, a) in enumerate(answers())])
def test_a_recorded_body_loses_nothing(name: str, answer: Answer) -> None:
    """Every field of every recorded body stands in its column with its exact value, or is dropped on purpose."""
    decoded = Reader().read([answer])
    assert (decoded.rejects, decoded.failed, dict(decoded.unknown)) == ([], {}, {})
    body = json.loads(answer.body)
    if answer.resource in ("customers", "subscriptions", "upcoming_grants"):
        for sent, held in zip(body["items"], rows(decoded, answer.resource), strict=True):
            assert_held(answer.resource, sent, held)
        return
    table = "subscription_usage" if answer.subscription_id else answer.resource
    features = {row["id"]: row for row in rows(decoded, "features")}
    for sent, held in zip(body["features"], rows(decoded, table), strict=True):
        assert_held(answer.resource, sent, held)
        assert held["feature_id"] == sent["feature"]["id"]
        assert_held("features", sent["feature"], features[held["feature_id"]])
    if not answer.subscription_id:
        children = [source for sent in body["features"] for source in sent["sources"]]
        source_table = {"usage": "usage_sources", "entitlements": "entitlement_sources"}[answer.resource]
        for sent, held in zip(children, rows(decoded, source_table), strict=True):
            assert_held(source_table, sent, held)


def usage_answer() -> Answer:
    """A plain usage answer, filed for the customer only."""
    return dataclasses.replace(next(a for name, a in answers() if name == "usage: one subscription"), sole=False)


def changed(answer: Answer, old: str, new: str, count: int = 1) -> Answer:
    body = answer.body.decode()
    assert old in body
    return dataclasses.replace(answer, body=body.replace(old, new, count).encode())


@settings(deadline=None)
@given(st.decimals(min_value=Decimal(-(10**20)) + 1, max_value=Decimal(10**20) - 1, places=18, allow_nan=False))
def test_a_decimal_that_fits_is_exact(value: Decimal) -> None:
    """38 digits, 18 of them behind the point, arrive as they were sent."""
    decoded = Reader().read([changed(usage_answer(), '"current_usage":"8"', f'"current_usage":"{value:f}"')])
    assert rows(decoded, "usage")[0]["current_usage"] == value
    assert decoded.rejects == []


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ('"0.1234567890123456789"', "decimal"),  # nineteen places
        ('"100000000000000000000"', "decimal"),  # twenty-one digits
        ('"many"', "decimal"),
        ('""', "decimal"),
        ("true", "str"),
    ],
)
def test_a_decimal_that_does_not_fit_is_rejected_with_its_body(sent: str, reason: str) -> None:
    """The row goes to the rejects with field, value, reason and raw body; its neighbours stay."""
    answer = changed(usage_answer(), '"current_usage":"8"', f'"current_usage":{sent}')
    decoded = Reader().read([answer])
    good = Reader().read([usage_answer()])
    assert len(rows(decoded, "usage")) == len(rows(good, "usage")) - 1
    reject = decoded.rejects[0]
    assert "current_usage" in reject.field
    assert reason in reject.reason
    assert reject.raw == answer.body
    assert reject.owner == answer.customer_id


def test_a_bare_number_is_read_by_its_text() -> None:
    """A decimal that comes as a JSON number keeps every digit: no float is made of it."""
    decoded = Reader().read([changed(usage_answer(), '"current_usage":"8"', '"current_usage":0.100000000000000005')])
    assert rows(decoded, "usage")[0]["current_usage"] == Decimal("0.100000000000000005")


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        ("2026-12-12T00:00:00Z", datetime(2026, 12, 12, tzinfo=UTC)),
        ("2026-12-15T00:00:00+01:00", datetime(2026, 12, 14, 23, tzinfo=UTC)),
        ("2026-12-15T00:00:00.5-03:30", datetime(2026, 12, 15, 3, 30, 0, 500000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+05:30", None),
    ],
)
def test_timestamps_are_utc_and_year_one_means_never(sent: str, held: datetime | None) -> None:
    """Zones are turned into UTC; Go's zero time is NULL, in whatever zone it is written."""
    decoded = Reader().read(
        [changed(usage_answer(), '"next_usage_reset_at":"2026-12-12T00:00:00Z"', f'"next_usage_reset_at":"{sent}"')]
    )
    assert rows(decoded, "usage")[0]["next_usage_reset_at"] == held
    assert decoded.rejects == []


@pytest.mark.parametrize(
    "sent", ["2026-12-12T00:00:00.1234567Z", "2026-12-12T00:00:00", "soon", "2026-13-01T00:00:00Z"]
)
def test_a_timestamp_that_does_not_fit_is_rejected(sent: str) -> None:
    """More than six fraction digits, no zone, no moment at all: the row is rejected, never rounded or guessed."""
    decoded = Reader().read(
        [changed(usage_answer(), '"next_usage_reset_at":"2026-12-12T00:00:00Z"', f'"next_usage_reset_at":"{sent}"')]
    )
    assert [reject.field for reject in decoded.rejects] == ["next_usage_reset_at"]
    assert [reject.value for reject in decoded.rejects] == [sent]


def test_unknown_fields_go_to_extra_at_every_level() -> None:
    """New fields of entry, feature, meter and source are kept as JSON text, and named."""
    body = json.loads(usage_answer().body)
    entry = body["features"][0]
    entry["new_one"] = {"deep": [1, 1.10]}
    entry["feature"]["new_two"] = 12345678901234567890
    entry["feature"]["meter"]["new_three"] = None
    entry["sources"][0]["new_four"] = "x"
    body["new_five"] = True
    text = json.dumps(body).replace("1.1]", "1.10]")
    decoded = Reader().read([dataclasses.replace(usage_answer(), body=text.encode())])
    assert rows(decoded, "usage")[0]["extra"] == '{"new_one":{"deep": [1, 1.10]}}'
    features = {row["id"]: row for row in rows(decoded, "features")}
    extra = json.loads(features[entry["feature"]["id"]]["extra"])
    assert extra == {"new_two": 12345678901234567890, "meter": {"new_three": None}}
    assert rows(decoded, "usage_sources")[0]["extra"] == '{"new_four":"x"}'
    assert decoded.rejects == []
    assert set(decoded.unknown) == {
        "usage.new_one", "features.new_two", "features.meter", "usage_sources.new_four", "usage.new_five"
    }  # fmt: skip


def test_metadata_null_and_empty_are_kept_apart() -> None:
    """A customer without metadata and one whose metadata was emptied are told apart; so is an absent contact."""
    page = next(a for name, a in answers() if name.startswith("search: integrations, contact"))
    held = rows(Reader().read([page]), "customers")
    sent = json.loads(page.body)["items"]
    assert [row["metadata"] for row in held] == [[] if item["metadata"] == {} else item["metadata"] for item in sent]
    assert [row["contact"] for row in held] == [item.get("contact") for item in sent]
    assert any(item["metadata"] == {} for item in sent)


def test_one_bad_customer_does_not_cost_its_page() -> None:
    """On a page of a thousand one misfit row is rejected with its own JSON, the others arrive."""
    first = json.loads(next(a for name, a in answers() if name == "search: keyset first page").body)["items"][0]
    items = [{**first, "id": f"cust_{i:026d}"} for i in range(1000)]
    items[500]["name"] = 5
    items[700]["created_at"] = "yesterday"
    body = json.dumps({"items": items, "pagination": {"total": 1000}}).encode()
    decoded = Reader().read([Answer("customers", body, NOW)])
    assert len(rows(decoded, "customers")) == 998
    by_field = {reject.field.rpartition(".")[2]: reject for reject in decoded.rejects}
    assert set(by_field) == {"name", "created_at"}
    assert json.loads(by_field["created_at"].raw)["id"] == items[700]["id"]


def test_a_body_about_somebody_else_is_not_taken() -> None:
    """An answer that names another customer than was asked (a confused cache) fails as a whole."""
    answer = dataclasses.replace(usage_answer(), customer_id="cust_other")
    decoded = Reader().read([answer])
    assert list(decoded.failed) == [0]
    assert rows(decoded, "usage") == []


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(body: bytes) -> None:
    """Whatever a proxy sends instead of a body ends as a failed answer, not as an exception."""
    for resource in ("customers", "subscriptions", "usage", "entitlements", "upcoming_grants"):
        decoded = Reader().read([Answer(resource, body, NOW, "cust_1" if resource[0] in "ue" else "")])
        assert all(not table.num_rows for table in decoded.tables.values())


def test_an_integer_beyond_64_bits_is_rejected() -> None:
    """A limit that no bigint holds is not cut."""
    decoded = Reader().read([changed(usage_answer(), '"total_limit":1000,', '"total_limit":9223372036854775808,')])
    assert [reject.field.rpartition(".")[2] for reject in decoded.rejects] == ["total_limit"]


def test_a_key_that_stands_twice_in_one_answer_is_rejected() -> None:
    """A feature listed twice would double a figure: the second one is rejected."""
    body = json.loads(usage_answer().body)
    body["features"].append(body["features"][0])
    decoded = Reader().read([dataclasses.replace(usage_answer(), body=json.dumps(body).encode())])
    assert [(reject.table, reject.reason) for reject in decoded.rejects][:1] == [
        ("usage", "the key stands twice in one answer")
    ]
    ids = [row["feature_id"] for row in rows(decoded, "usage")]
    assert len(ids) == len(set(ids)) == len(body["features"]) - 1
