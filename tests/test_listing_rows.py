"""One row of a page that does not fit costs that row: in what a walk reads, and in the tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import examples

from connector.api.answers import is_object
from connector.pull.listing_rows import PageRow, environment_of, read_page
from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.raw_json import fields_of, members_of

NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)
STAMP = "2026-08-01T09:30:15.123456Z"
MOMENT = datetime(2026, 8, 1, 9, 30, 15, 123456, tzinfo=UTC)
DEEP = b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"

# A row with one odd field -> the row that a walk reads of it; None: nothing to go on
ODD: dict[str, tuple[bytes, PageRow | None]] = {
    "a leap second": (b'"id":"odd","updated_at":"2026-06-30T23:59:60Z"', PageRow("odd", MOMENT, None)),
    "a moment without a zone": (b'"id":"odd","updated_at":"2026-06-30T23:59:59"', PageRow("odd", MOMENT, None)),
    "a moment that is a number": (b'"id":"odd","updated_at":1785576615', PageRow("odd", MOMENT, None)),
    "year 12026": (b'"id":"odd","updated_at":"12026-06-30T23:59:59Z"', PageRow("odd", MOMENT, None)),
    "a lone surrogate": (rb'"id":"odd","name":"\ud800"', PageRow("odd", MOMENT, MOMENT)),
    "half a pair": (rb'"id":"odd","name":"\udc00 \ud83d\u0041"', PageRow("odd", MOMENT, MOMENT)),
    "a lone surrogate in a name": (rb'"id":"odd","\ud800":1', PageRow("odd", MOMENT, MOMENT)),
    "a lone surrogate in metadata": (rb'"id":"odd","metadata":{"a":"\ud800"}', PageRow("odd", MOMENT, MOMENT)),
    "a lone surrogate in an unknown field": (rb'"id":"odd","new":["\ud800"]', PageRow("odd", MOMENT, MOMENT)),
    "bytes that are not UTF-8": (b'"id":"odd","name":"\xff"', PageRow("odd", MOMENT, MOMENT)),
    "such bytes in an unknown field": (b'"id":"odd","new":"\xff"', PageRow("odd", MOMENT, MOMENT)),
    "a number for a text": (b'"id":"odd","name":1e999', PageRow("odd", MOMENT, MOMENT)),
    "a value nested too deep": (b'"id":"odd","new":' + DEEP, PageRow("odd", MOMENT, MOMENT)),
    "no number at all": (b'"id":"odd","name":NaN', PageRow("odd", MOMENT, MOMENT)),
    "a line feed in a text": (b'"id":"odd","name":"a\nb"', PageRow("odd", MOMENT, MOMENT)),
    "an id that is a number": (b'"id":17', None),
    "an id that is null": (b'"id":null', None),
    "an empty id": (b'"id":""', None),
    "an id with a lone surrogate": (rb'"id":"a\ud800"', None),
    "an id that is not UTF-8": (b'"id":"a\xff"', None),
}


def page(odd: bytes, total: bytes = b'{"total":3,"limit":1000,"offset":1000}') -> bytes:
    """A page of three rows, the odd one between two good ones."""
    stamps = f'"created_at":"{STAMP}","updated_at":"{STAMP}"'.encode()
    first, last = (f'{{"id":"{name}",'.encode() + stamps + b"}" for name in ("first", "last"))
    row = b"{" + stamps + b"," + odd + b"}"  # of a field that stands twice, the last one counts
    return b'{"items":[' + b", ".join((first, row, last)) + b'],"pagination":' + total + b"}"


@pytest.mark.parametrize("name", ODD)
def test_a_walk_loses_one_row_at_most_to_a_row_that_does_not_fit(name: str) -> None:
    """The rows beside an odd one keep their ids and moments; the odd one keeps what can be read of it."""
    odd, expected = ODD[name]
    read = read_page(page(odd))
    beside = [PageRow(known, MOMENT, MOMENT) for known in ("first", "last")]
    rows = [beside[0], *([expected] if expected else []), beside[1]]
    assert (list(read.rows), read.misfits, read.total) == (rows, 0 if expected else 1, 3)


def test_a_year_1_moment_is_none() -> None:
    """Go's zero time means "never" here as in the tables; a walk must not take it for a position."""
    assert read_page(page(b'"id":"odd","updated_at":"0001-01-01T00:00:00Z"')).rows[1].updated_at is None
    both = page(rb'"id":"odd","updated_at":"0001-01-01T00:00:00Z","name":"\ud800"')
    assert read_page(both).rows[1].updated_at is None


@pytest.mark.parametrize(
    ("sent", "total"),
    [
        (b"null", None), (b"{}", None), (b"[]", None), (b'{"total":null}', None), (b'{"total":-1}', None),
        (b'{"total":1e999}', None), (b'{"total":' + b"9" * 5000 + b"}", None), (b'{"total":"many"}', None),
        (b'{"total":"7"}', 7), (b'{"total":0}', 0), (b'{"total":7,"limit":"\\ud800"}', 7),
    ],
)  # fmt: skip
def test_a_total_that_was_not_sent_is_none(sent: bytes, total: int | None) -> None:
    """A missing, unreadable or impossible total says nothing; it is not 0."""
    assert read_page(page(b'"id":"odd"', sent)).total == total
    assert read_page(page(rb'"id":"odd","name":"\ud800"', sent)).total == total


def test_a_page_without_pagination_has_no_total() -> None:
    """A page without the key `pagination` is a page all the same."""
    read = read_page(b'{"items":[{"id":"a"}]}')
    assert (read.rows, read.misfits, read.total) == ((PageRow("a"),), 0, None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b"null", b'{"items":null}', b'{"items":{}}', b'{"items":7}',
        b'{"items":[{"id":"a"},]}', b'{"items":[,{"id":"a"}]}', b'{"items":[{"id":"a"}]', b'{"items":[{"id":"a"}}',
        b'{"items":[{"id":"a"}],"pagination"}', b'{"items":[{"id":"a"}]} {}', b'{"items":[{"id":"a', b'{"items" []}',
        b'{"items":[{"id":"a","name":nil}]}', b'{"items":[{"id":"a" "name":""}]}', b'{"items":[{"id":"a"} {"id":"b"}]}',
    ],
)  # fmt: skip
def test_a_torn_page_raises(body: bytes) -> None:
    """A body that is torn, or is no page, is never read as a page with fewer rows."""
    with pytest.raises(msgspec.DecodeError):
        read_page(body)


@pytest.mark.parametrize("name", ["a leap second", "a lone surrogate", "an id that is a number"])
def test_no_cut_of_a_page_is_read_as_a_page(name: str) -> None:
    """Every proper prefix of a page with an odd row raises."""
    body = page(ODD[name][0])
    for end in range(len(body)):
        with pytest.raises(msgspec.DecodeError):
            read_page(body[:end])


@pytest.mark.parametrize("name", ODD)
def test_the_client_takes_a_whole_body_for_one(name: str) -> None:
    """A body is asked for again where it was torn or garbled, not where the account holds an odd text."""
    body = page(ODD[name][0])
    garbled = b"\xff" in ODD[name][0]
    assert is_object(body) is not garbled
    assert not any(is_object(body[:end]) for end in range(min(len(body), 900)))
    assert not is_object(body.replace(b'"id"', b"id", 1))
    assert not is_object(b"[" + body + b"]")


def test_the_environment_of_a_page_is_that_of_a_row_that_can_be_read() -> None:
    """An odd row does not hide the environment, nor does a page without rows have one."""
    assert environment_of(page(rb'"id":"odd","name":"\ud800","environment_id":"env_1"')) == "env_1"
    assert environment_of(page(rb'"id":"odd","environment_id":"\ud800"')) == ""
    assert environment_of(b'{"items":[{"environment_id":5},{"environment_id":"env_2"}]}') == "env_2"
    assert environment_of(b'{"items":[]}') == ""
    with pytest.raises(msgspec.DecodeError):
        environment_of(b'{"items":[')


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(VALUES, max_size=5), st.sampled_from([(",", ":"), (" ,\n", " : ")]), st.booleans())
def test_taken_apart_and_decoded_is_decoded(values: list[Any], separators: tuple[str, str], ascii_only: bool) -> None:
    """Members and fields taken apart without decoding are the ones that a decoder finds."""
    array = json.dumps(values, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert [json.loads(raw) for raw in members_of(array)] == values
    named = {str(index): value for index, value in enumerate(values)}
    raw = json.dumps(named, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert {name: json.loads(value) for name, value in fields_of(raw).items()} == named


def decoded(resource: str, body: bytes) -> Decoded:
    return Reader().read([Answer(resource, body, NOW, "" if resource in ("customers", "subscriptions") else "c1")])


@pytest.mark.parametrize("resource", ["customers", "subscriptions"])
@pytest.mark.parametrize("name", ODD)
def test_a_page_loses_one_row_to_a_row_that_does_not_fit(name: str, resource: str) -> None:
    """The odd row is in the rejects, with its key where it has one and with its own bytes; the page is not failed."""
    if (resource, name) == ("subscriptions", "a number for a text"):
        return  # `name` is an unknown field there, which may be a number
    odd, expected = ODD[name]
    body = page(odd)
    found = decoded(resource, body)
    assert found.failed == {}
    assert found.tables[resource].column("id").to_pylist() == ["first", "last"]
    [reject] = found.rejects
    assert (reject.table, reject.key) == (resource, expected.id if expected else "")
    assert reject.raw in (members_of(fields_of(body)["items"])[1], body)
    assert reject.reason
    assert not expected or reject.raw != body


def test_the_reason_names_the_field_and_says_what_is_wrong() -> None:
    """A lone surrogate is told as one: field, value and reason, not as "truncated"."""
    [reject] = decoded("customers", page(rb'"id":"odd","name":"\ud800"')).rejects
    assert (reject.field, reject.value) == ("items[].name", r'"\ud800"')
    assert "lone surrogate" in reject.reason


def test_two_odd_rows_of_different_kinds_cost_two_rows() -> None:
    """A row that Arrow refuses keeps its own bytes beside one that JSON refuses."""
    body = page(rb'"id":"odd","name":"\ud800"').replace(STAMP.encode(), b"2026-06-30T23:59:60Z", 2)
    found = decoded("customers", body)
    assert found.tables["customers"].column("id").to_pylist() == ["last"]
    assert sorted(reject.key for reject in found.rejects) == ["first", "odd"]
    assert all(len(reject.raw) < 200 for reject in found.rejects)


@pytest.mark.parametrize("value", [rb'"\ud800"', b'"\xff"', DEEP, b"NaN"])
@pytest.mark.parametrize(
    ("resource", "members", "good", "odd"),
    [
        ("usage", "features", b'"current_usage":"1","feature":{"id":"f1"}', b'"current_usage":VALUE'),
        ("usage", "features", b'"current_usage":"1","feature":{"id":"f1"}', b'"feature":{"id":"f2","name":VALUE}'),
        ("usage", "features", b'"current_usage":"1","feature":{"id":"f1"}', b'"feature":{"id":"f2","new":VALUE}'),
        ("entitlements", "features", b'"feature":{"id":"f1"}', b'"feature":{"id":"f2"},"sources":[{"x":VALUE}]'),
        ("entitlements", "features", b'"feature":{"id":"f1"}', b'"entitlement":{"static_value":VALUE}'),
        ("upcoming_grants", "items", b'"id":"g1"', b'"id":"g2","metadata":{"a":VALUE}'),
        ("upcoming_grants", "items", b'"id":"g1"', b'"id":VALUE'),
    ],
)
def test_an_answer_loses_one_row_to_a_row_that_does_not_fit(
    resource: str, members: str, good: bytes, odd: bytes, value: bytes
) -> None:
    """The same holds of what is asked per customer: the rows beside an odd one arrive, and nothing raises."""
    rows = b"{" + good + b"},{" + odd.replace(b"VALUE", value) + b"}"
    found = decoded(resource, b'{"customer_id":"c1","' + members.encode() + b'":[' + rows + b"]}")
    assert found.failed == {}
    assert found.tables[resource].num_rows >= 1
    assert found.rejects
    assert all(reject.owner == "c1" or reject.table == "features" for reject in found.rejects)


@pytest.mark.parametrize("resource", ["customers", "subscriptions", "usage", "entitlements", "upcoming_grants"])
@pytest.mark.parametrize(
    "body", [b"", b"\xff", DEEP, b'{"items":[', rb'{"items":"\ud800","features":7}', b"nil", b"[]"]
)
def test_a_body_without_readable_rows_fails_and_never_raises(resource: str, body: bytes) -> None:
    """A torn body, or one with no list of rows, is a failed answer with a reason."""
    found = decoded(resource, body)
    assert found.failed[0]
    assert found.tables[resource].num_rows == 0
