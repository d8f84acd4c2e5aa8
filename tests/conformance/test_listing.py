"""Listing and searching: contract.md 3, fact by fact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Api

Json = dict[str, Any]
UP = [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]
UPDATED_UP = [{"field": "updated_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]


def when(operator: str, moment: str, field: str = "created_at") -> Json:
    return {"field": field, "operator": operator, "data_type": "date", "value": {"date": moment}}


def among(field: str, operator: str, values: list[str]) -> Json:
    return {"field": field, "operator": operator, "data_type": "array", "value": {"array": values}}


def walk(api: Api, field: str, start: str, limit: int) -> list[str]:
    """A keyset walk from `start` to the end; ties at a page's end are not expected here."""
    seen: list[str] = []
    sort = [{"field": field, "direction": "asc"}, {"field": "id", "direction": "asc"}]
    while True:
        page = api.search(status="published", limit=limit, sort=sort, filters=[when("after", start, field)])["items"]
        seen += [item["id"] for item in page]
        if len(page) < limit:
            return seen
        start = page[-1][field]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_keyset_walk_meets_every_row_once(api: Api, five: list[Json], field: str) -> None:
    """Moving `after` to the last row's timestamp visits each row once and in order."""
    first, *rest = five
    seen = walk(api, field, first[field], 2)
    assert [i for i in seen if i in {row["id"] for row in rest}] == [row["id"] for row in rest]
    assert len(seen) == len(set(seen))
    assert first["id"] not in seen


def test_after_is_strict(api: Api, five: list[Json]) -> None:
    """`after` leaves out the row with that very timestamp."""
    ids = [row["id"] for row in five]
    found = api.ids(customer_ids=ids, sort=UP, filters=[when("after", five[2]["created_at"])])
    assert found == ids[3:]


def test_before_is_strict(api: Api, five: list[Json]) -> None:
    """`before` leaves out the row with that very timestamp."""
    ids = [row["id"] for row in five]
    found = api.ids(customer_ids=ids, sort=UP, filters=[when("before", five[2]["created_at"])])
    assert found == ids[:2]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_eq_finds_the_exact_microsecond(api: Api, five: list[Json], field: str) -> None:
    """A timestamp that was read can be fed back to `eq` unchanged."""
    ids = [row["id"] for row in five]
    assert api.ids(customer_ids=ids, filters=[when("eq", five[1][field], field)]) == [ids[1]]


def test_eq_with_not_in_excludes_what_was_seen(api: Api, five: list[Json]) -> None:
    """`eq T` and `id not_in [seen]` ends the reading of one crowded microsecond."""
    at = when("eq", five[1]["created_at"])
    assert five[1]["id"] in api.ids(filters=[at])
    assert five[1]["id"] not in api.ids(filters=[at, among("id", "not_in", [five[1]["id"]])])


def test_id_in_finds_rows(api: Api, five: list[Json]) -> None:
    """`id in […]` names rows."""
    ids = [row["id"] for row in five]
    assert api.ids(sort=UP, filters=[among("id", "in", [*ids[:2], "cust_none"])]) == ids[:2]


def test_timestamps_work_in_in_and_not_in(api: Api, five: list[Json]) -> None:
    """`in` and `not_in` take timestamps as strings."""
    ids = [row["id"] for row in five]
    stamps = [row["created_at"] for row in five[:2]]
    assert api.ids(customer_ids=ids, sort=UP, filters=[among("created_at", "in", stamps)]) == ids[:2]
    assert api.ids(customer_ids=ids, sort=UP, filters=[among("created_at", "not_in", stamps)]) == ids[2:]


def test_gte_is_dropped_in_silence(api: Api, five: list[Json]) -> None:
    """`gte` is declared and not implemented: the search answers as if it were not there."""
    ids = [row["id"] for row in five]
    assert api.ids(customer_ids=ids, sort=UP, filters=[when("gte", "2099-01-01T00:00:00Z")]) == ids


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "created_at", "operator": "after", "value": {"string": "2099-01-01T00:00:00Z"}},
        {"field": "created_at", "operator": "gt", "value": {"date": "2099-01-01T00:00:00Z"}},
        {"field": "name", "operator": "contains", "value": {"array": ["no such name"]}},
        {"field": "id", "operator": "in", "value": {"array": []}},
        {"field": "name", "operator": "lte", "value": {"string": "A"}},
    ],
    ids=["after-string", "gt-date", "contains-array", "in-empty", "lte"],
)
def test_mismatched_value_is_dropped_in_silence(api: Api, five: list[Json], condition: Json) -> None:
    """A condition whose operator does not find its value member filters nothing."""
    ids = [row["id"] for row in five]
    assert api.ids(customer_ids=ids, sort=UP, filters=[condition]) == ids


def test_missing_value_panics(api: Api) -> None:
    """A condition without a value is a 500 with an empty body and no content type."""
    condition = {"field": "created_at", "operator": "after", "data_type": "date"}
    answer = api("POST", "/customers/search", json={"limit": 1, "filters": [condition]})
    assert (answer.status_code, answer.content) == (500, b"")
    assert "content-type" not in answer.headers


def test_unknown_field_is_refused(api: Api) -> None:
    """An unknown field is 400 or 500, at random, with the same message."""
    condition = {"field": "nope", "operator": "eq", "value": {"string": "x"}}
    answer = api("POST", "/customers/search", json={"filters": [condition]})
    assert (answer.status_code, answer.json()["code"]) in {(400, "validation_error"), (500, "database_error")}
    assert answer.json()["message"] == "Failed to list customers"


def test_date_without_zone_is_refused(api: Api) -> None:
    """A date-only value is a 400."""
    answer = api("POST", "/customers/search", json={"filters": [when("after", "2026-08-01")]})
    assert answer.status_code == 400


def test_pagination_offset_is_the_next_one(api: Api) -> None:
    """`pagination.offset` is offset + limit, whether or not there is such a page."""
    page = api.search(limit=7, offset=999_999)
    assert page["pagination"]["offset"] == 1_000_006
    assert page["items"] == []


@pytest.mark.parametrize("limit", [1001, -1])
def test_limit_out_of_range_is_an_error(api: Api, limit: int) -> None:
    """A limit above 1000 is refused, not clamped."""
    answer = api("POST", "/customers/search", json={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["details"] == {"limit": "must be between 1 and 1000"}


def test_limit_zero_means_fifty(api: Api) -> None:
    """`limit: 0` is the default."""
    assert api.search(limit=0)["pagination"]["limit"] == 50


def test_negative_offset_is_refused(api: Api) -> None:
    """A negative offset is a 400."""
    answer = api("POST", "/customers/search", json={"offset": -1})
    assert answer.json()["details"] == {"offset": "must be non-negative"}


@pytest.mark.parametrize("value", ["created_at", "", "x"])
def test_get_sort_is_refused(api: Api, value: str) -> None:
    """GET /customers cannot sort."""
    answer = api("GET", "/customers", params={"sort": value})
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid filter parameters")


def test_get_orders_by_created_at(api: Api, five: list[Json]) -> None:
    """GET's only order is `order=asc|desc` over created_at, newest first by default."""
    ids = [row["id"] for row in five]
    query = [("customer_ids", i) for i in ids]
    newest = [item["id"] for item in api("GET", "/customers", params=query).json()["items"]]
    oldest = [item["id"] for item in api("GET", "/customers", params=[*query, ("order", "asc")]).json()["items"]]
    assert (newest, oldest) == (ids[::-1], ids)


def test_lists_repeat_and_commas_do_not_split(api: Api, five: list[Json]) -> None:
    """A comma-joined list looks for one id with a comma in it."""
    ids = [row["id"] for row in five[:2]]
    repeated = api("GET", "/customers", params=[("customer_ids", i) for i in ids]).json()
    joined = api("GET", "/customers", params={"customer_ids": ",".join(ids)}).json()
    assert len(repeated["items"]) == 2
    assert joined["items"] == []


def test_archived_needs_its_own_pass(api: Api, archived: Json) -> None:
    """The default listing hides an archived row; `status: archived` shows it; both never come together."""
    mine = [archived["id"]]
    assert api.ids(customer_ids=mine) == []
    assert api.ids(customer_ids=mine, status="published") == []
    assert api.ids(customer_ids=mine, status="archived") == mine


def test_unknown_status_matches_nothing(api: Api, five: list[Json]) -> None:
    """The status is not validated."""
    assert api.search(customer_ids=[five[0]["id"]], status="nope")["items"] == []


def test_archiving_moves_updated_at(api: Api, archived: Json) -> None:
    """An archived row is found by `updated_at` after its creation."""
    after = when("after", archived["created_at"], "updated_at")
    assert api.ids(customer_ids=[archived["id"]], status="archived", filters=[after], sort=UPDATED_UP)


def test_total_counts_the_matches(api: Api, five: list[Json]) -> None:
    """`total` counts every match, paging apart."""
    page = api.search(customer_ids=[row["id"] for row in five], limit=2)
    assert (len(page["items"]), page["pagination"]["total"]) == (2, 5)


def test_total_counts_a_fixed_set(api: Api, five: list[Json]) -> None:
    """`created_at before T` with limit 1 counts what existed at T, and later rows do not change it."""
    fixed = {"limit": 1, "status": "published", "filters": [when("before", five[-1]["created_at"])]}
    before = api.search(**fixed)["pagination"]["total"]
    api.create("after-the-count")
    assert api.search(**fixed)["pagination"]["total"] == before >= 4


def test_start_and_end_time_are_ignored(api: Api, five: list[Json]) -> None:
    """`start_time` and `end_time` are validated, then filter nothing."""
    ids = [row["id"] for row in five]
    times = {"start_time": "2020-01-01T00:00:00Z", "end_time": "2020-01-02T00:00:00Z"}
    assert api.ids(customer_ids=ids, sort=UP, **times) == ids
    answer = api("POST", "/customers/search", json=dict(zip(times, [*times.values()][::-1], strict=True)))
    assert answer.json()["message"] == "Please provide a valid time range"


def test_null_means_not_given(api: Api, five: list[Json]) -> None:
    """JSON null for a filter key is as good as leaving it out."""
    body = {"customer_ids": [five[0]["id"]], "filters": None, "sort": None, "status": None, "limit": None}
    assert api.ids(**body) == [five[0]["id"]]


def test_keys_match_in_any_case(api: Api) -> None:
    """`LIMIT` works."""
    assert api.search(LIMIT=3)["pagination"]["limit"] == 3


def test_content_after_the_first_value_is_ignored(api: Api) -> None:
    """The body is read up to the end of its first JSON value."""
    answer = api("POST", "/customers/search", content=b'{"limit":3} and more')
    assert answer.json()["pagination"]["limit"] == 3


@pytest.mark.parametrize(
    "body", [b"", b'{"limit":', b'{"limit":"3"}', b'{"sort":"created_at"}', b'{"status":["published"]}']
)
def test_broken_body_is_refused(api: Api, body: bytes) -> None:
    """No JSON, or a wrong type, is a 400."""
    answer = api("POST", "/customers/search", content=body)
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid filter parameters")


def test_metadata_matches_all_pairs(api: Api, five: list[Json]) -> None:
    """`metadata` is an AND of exact pairs."""
    ids = [row["id"] for row in five]
    assert api.ids(customer_ids=ids, metadata={"n": "3"}) == [ids[3]]
    assert api.ids(customer_ids=ids, metadata={"n": "3", "m": "4"}) == []


def test_conditions_are_anded(api: Api, five: list[Json]) -> None:
    """Two conditions narrow together."""
    ids = [row["id"] for row in five]
    window = [when("after", five[0]["created_at"]), when("before", five[3]["created_at"])]
    assert api.ids(customer_ids=ids, sort=UP, filters=window) == ids[1:3]


def test_direction_is_compared_exactly(api: Api, five: list[Json]) -> None:
    """`DESC` means ascending."""
    ids = [row["id"] for row in five]
    assert api.ids(customer_ids=ids, sort=[{"field": "created_at", "direction": "DESC"}]) == ids


def test_expand_is_integrations_or_refused(api: Api) -> None:
    """Only `integrations` can be expanded."""
    answer = api("POST", "/customers/search", json={"expand": "wallets"})
    assert answer.json()["message"] == "Field is not allowed to be expanded"
    assert api.search(expand="integrations", limit=1)["pagination"]["limit"] == 1


def test_stored_timestamps_have_at_most_six_digits(api: Api) -> None:
    """Timestamps in lists are RFC 3339 in UTC with a trimmed fraction of at most six digits."""
    shape = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")
    for item in api.search(limit=50)["items"]:
        assert shape.fullmatch(item["created_at"])
        assert shape.fullmatch(item["updated_at"])
