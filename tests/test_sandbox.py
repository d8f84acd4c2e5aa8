"""The sandbox itself: seeded data, pages against a plain model, faults, direct changes, processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import FULL, OTHER
from sizes import examples

from connector.api.fields import TEXTS
from connector.errors import FixInput
from connector.sandbox import Clock, Faults, Key, Sandbox
from connector.sandbox.clock import parse_rfc3339, stamp, stamp_nanos
from connector.sandbox.data.usage import format_decimal, usage_percent

Json = dict[str, Any]
BASE = datetime(2026, 8, 1, tzinfo=UTC)
UP = [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]
STATUSES = ["active", "paused", "cancelled", "incomplete", "trialing", "draft"]


def account(customers: int = 400, **options: Any) -> Sandbox:
    """A sandbox whose clock and data are fixed."""
    return Sandbox(
        customers=customers, base_time=BASE, clock=Clock(datetime(2026, 8, 1, 9, tzinfo=UTC), step=1e-6), **options
    )


def body(sandbox: Sandbox, method: str, path: str, query: Any = (), sent: Any = None) -> Json:
    """A successful answer's JSON."""
    status, _, text = sandbox.answer(method, path, query, sent)
    assert status in (200, 201), text
    answer: Json = json.loads(text)
    return answer


def search(sandbox: Sandbox, **asked: Any) -> list[Json]:
    """The items of POST /customers/search."""
    found: list[Json] = body(sandbox, "POST", "/customers/search", sent=asked)["items"]
    return found


def everything(sandbox: Sandbox, path: str = "/customers/search", **asked: Any) -> list[Json]:
    """All rows that a search matches, read by offset from a standing account."""
    rows: list[Json] = []
    while True:
        page = body(sandbox, "POST", path, sent={"limit": 1000, "offset": len(rows), "sort": UP, **asked})["items"]
        rows += page
        if len(page) < 1000:
            return rows


def usage(sandbox: Sandbox, customer_id: str, *query: tuple[str, str]) -> dict[str, Json]:
    """Usage by lookup key."""
    features = body(sandbox, "GET", "/customers/usage", [("customer_id", customer_id), *query])["features"]
    return {feature["feature"]["lookup_key"]: feature for feature in features}


@pytest.fixture(scope="module")
def big() -> Sandbox:
    """The default size, only read."""
    return account(2000)


# -- seeded data -----------------------------------------------------------------------------------------------------


def test_same_seed_answers_the_same() -> None:
    """Two sandboxes of one seed and base time answer byte for byte alike; another seed does not."""
    asked = {"limit": 100, "sort": UP}
    one, two, other = (account(seed=seed).answer("POST", "/customers/search", (), asked)[2] for seed in (7, 7, 8))
    assert one == two != other


def test_data_looks_like_a_business(big: Sandbox) -> None:
    """Every status, type and awkward shape occurs, and a tenth of the customers is archived."""
    published, archived = everything(big, status="published"), everything(big, status="archived")
    assert len(published) + len(archived) == 2000
    assert 140 < len(archived) < 260
    assert {type(row["metadata"]).__name__ for row in published} == {"NoneType", "dict"}
    assert {row.get("contact", None) == "" for row in published} == {True, False}
    assert any("contact" not in row for row in published)
    assert any(not row["email"] for row in published)
    assert any(not row["name"].isascii() for row in published)
    assert max(Counter(row["created_at"] for row in published).values()) > 1
    assert len({len(row["created_at"]) for row in published}) > 3
    assert {row["external_id"] for row in archived} & {row["external_id"] for row in published}


def test_subscriptions_come_in_every_status_and_type(big: Sandbox) -> None:
    """All six statuses, five types, several for one customer, commitments, trials and foreign zones occur."""
    rows = everything(big, "/subscriptions/search", subscription_status=STATUSES)
    assert {row["subscription_status"] for row in rows} == set(STATUSES)
    types = {"standalone", "parent", "inherited", "delegated_invoicing", "grouped_invoicing"}
    assert {row["subscription_type"] for row in rows} == types
    assert set(Counter(row["customer_id"] for row in rows).values()) >= {1, 2, 3}
    for key in (
        "commitment_amount",
        "trial_end",
        "payment_terms",
        "auto_invoice_threshold",
        "cancelled_at",
        "lookup_key",
    ):
        assert any(row.get(key) for row in rows), key
    assert any(row["timezone"] != "UTC" for row in rows)


def test_children_of_inherited_subscriptions_point_at_a_parent(big: Sandbox) -> None:
    """Each inherited subscription names one of type parent."""
    rows = {row["id"]: row for row in everything(big, "/subscriptions/search", subscription_status=STATUSES)}
    children = [row for row in rows.values() if row["subscription_type"] == "inherited"]
    assert children
    assert {rows[row["parent_subscription_id"]]["subscription_type"] for row in children} == {"parent"}


def test_archived_customers_have_nothing_active(big: Sandbox) -> None:
    """Only cancelled subscriptions are left of an archived customer, as the server's DELETE demands."""
    archived = set(big.customer_ids("archived"))
    rows = everything(big, "/subscriptions/search", subscription_status=STATUSES)
    assert {row["subscription_status"] for row in rows if row["customer_id"] in archived} == {"cancelled"}


def test_usage_looks_like_a_business(big: Sandbox) -> None:
    """Most metered figures are not zero, some are over their limit, some have many digits, all four types occur."""
    entries = [entry for i in big.active_customer_ids()[:300] for entry in usage(big, i).values()]
    metered = [e for e in entries if e["feature"]["type"] == "metered"]
    assert {e["feature"]["type"] for e in entries} == {"metered", "boolean", "static", "config"}
    assert sum(e["current_usage"] != "0" for e in metered) > len(metered) / 2
    assert any(Decimal(e["usage_percent"]) > 1 for e in metered)
    assert max(len(e["current_usage"].partition(".")[2]) for e in metered) == 16
    resets = {e["next_usage_reset_at"] for e in metered}
    assert {None, "0001-01-01T00:00:00Z"} <= resets
    assert any(text and re.search(r"[+-]\d\d:\d\d$", text) for text in resets)


def test_active_customers_are_those_with_usage(big: Sandbox) -> None:
    """active_customer_ids() names exactly the customers whose usage and entitlements are not empty."""
    active = set(big.active_customer_ids())
    for customer_id in [*big.customer_ids()[:250], *big.customer_ids("archived")[:50]]:
        assert bool(usage(big, customer_id)) is (customer_id in active)
        found = body(big, "GET", f"/customers/{customer_id}/entitlements")
        assert bool(found["features"]) is bool(found["subscriptions"]) is (customer_id in active)


def test_parallel_buckets_add_up(big: Sandbox) -> None:
    """A plan and an add-on that feed one feature in parallel show a bucket each."""
    modes = [
        feature["entitlement"]
        for customer_id in big.active_customer_ids()[:400]
        for feature in body(big, "GET", f"/customers/{customer_id}/entitlements")["features"]
        if feature["entitlement"].get("aggregation_mode") == "parallel"
    ]
    assert {len(mode["buckets"]) for mode in modes} >= {1, 2}
    assert all(mode["usage_limit"] == sum(b["usage_limit"] for b in mode["buckets"]) for mode in modes)


def test_a_crowded_microsecond_can_be_asked_for() -> None:
    """`ties` puts more customers than a page holds on one timestamp, and the tie can be read to its end."""
    sandbox = account(200, ties=120)
    crowd = Counter(row["created_at"] for row in everything(sandbox)).most_common(1)[0]
    at = {"field": "created_at", "operator": "eq", "value": {"date": crowd[0]}}
    seen: list[str] = []
    while page := search(sandbox, limit=50, filters=[at, without(seen)], sort=UP):
        seen += [row["id"] for row in page]
    assert len(seen) == len(set(seen)) == crowd[1] > 100


def without(ids: list[str]) -> Json:
    return {"field": "id", "operator": "not_in", "value": {"array": ids}}


def test_external_ids_find_their_rows(big: Sandbox) -> None:
    """Every external id leads back to its customer, those shared with an archived row included."""
    for row in everything(big)[::37]:
        assert body(big, "GET", "/customers", [("external_id", row["external_id"])])["items"] == [row]
    for row in everything(big, status="archived")[::11]:
        found = search(big, external_ids=[row["external_id"]], status="archived")
        assert row["id"] in [other["id"] for other in found]


# -- pages against a plain model -------------------------------------------------------------------------------------

MODEL = account(90, ties=9)
for _number, _id in enumerate(MODEL.customer_ids()[::7]):
    MODEL.update_customer(_id, name=f"Changed {_number}")
MODEL.create_customer(external_id="late-comer", created_at="2026-01-05T00:00:00Z")
ROWS = everything(MODEL) + everything(MODEL, status="archived")
MOMENTS = sorted({row[key] for row in ROWS for key in ("created_at", "updated_at")})

stamps = st.sampled_from(MOMENTS)
ids = st.lists(st.sampled_from([row["id"] for row in ROWS]), max_size=6)
words = st.sampled_from(["o", "GMBH", "changed"])


def condition(fields: list[str], operators: list[str], member: str, values: st.SearchStrategy[Any]) -> Any:
    """Conditions of one shape."""
    value = st.fixed_dictionaries({member: values})
    parts = {"field": st.sampled_from(fields), "operator": st.sampled_from(operators), "value": value}
    return st.fixed_dictionaries(parts)


conditions = st.one_of(
    condition(["created_at", "updated_at"], ["after", "before", "eq"], "date", stamps),
    condition(["id"], ["in", "not_in"], "array", ids),
    condition(["name"], ["contains", "not_contains"], "string", words),
)
entries = st.fixed_dictionaries(
    {
        "field": st.sampled_from(["created_at", "updated_at", "id", "name"]),
        "direction": st.sampled_from(["asc", "desc"]),
    }
)


def holds(condition: Json, row: Json) -> bool:
    """What a condition means, spelled out."""
    cell, value = row[condition["field"]], condition["value"]
    if "date" in value:
        left, right = parse_rfc3339(cell) or 0, parse_rfc3339(value["date"]) or 0
        return {"after": left > right, "before": left < right, "eq": left == right}[condition["operator"]]
    if "array" in value:
        return not value["array"] or (cell in value["array"]) is (condition["operator"] == "in")
    return (value["string"].lower() in cell.lower()) is (condition["operator"] == "contains")


@settings(max_examples=examples(300), deadline=None)
@given(
    st.sampled_from(["published", "archived"]),
    st.lists(conditions, max_size=3),
    st.lists(entries, max_size=3),
    st.integers(1, 40),
    st.integers(0, 30),
)
def test_pages_are_those_of_a_plain_model(
    status: str, filters: list[Json], sort: list[Json], limit: int, offset: int
) -> None:
    """Whatever is filtered, sorted and cut, page and total are those of a list comprehension over all rows."""
    asked = {"status": status, "filters": filters, "sort": [*sort, {"field": "id", "direction": "asc"}]}
    page = body(MODEL, "POST", "/customers/search", sent={**asked, "limit": limit, "offset": offset})
    rows = [row for row in ROWS if row["status"] == status and all(holds(c, row) for c in filters)]
    rows.sort(key=lambda row: row["id"])
    for entry in reversed(sort):
        rows.sort(key=key_of(entry["field"]), reverse=entry["direction"] == "desc")
    assert page["pagination"]["total"] == len(rows)
    assert [row["id"] for row in page["items"]] == [row["id"] for row in rows[offset : offset + limit]]


def key_of(field: str) -> Callable[[Json], Any]:
    if field in ("created_at", "updated_at"):
        return lambda row: parse_rfc3339(row[field])
    return lambda row: row[field]


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_can_be_filtered_and_sorted_by(name: str) -> None:
    """A listing takes each field of a customer in `filters` and in `sort` (contract.md 3.4)."""
    sandbox, sets = account(0), ({"external_id": "Acme-1", **FULL}, {"external_id": "Nadir-1", **OTHER})
    made = [sandbox.create_customer(**fields)["external_id"] for fields in sets]
    by = {"field": name, "operator": "contains", "value": {"string": sets[1][name]}}
    assert [row["external_id"] for row in search(sandbox, filters=[by])] == made[1:]
    up = sorted(sets, key=lambda fields: fields[name])
    for direction, wanted in (("asc", up), ("desc", up[::-1])):
        found = search(sandbox, sort=[{"field": name, "direction": direction}])
        assert [row["external_id"] for row in found] == [fields["external_id"] for fields in wanted]


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_subscription_walk_equals_the_whole(big: Sandbox, field: str) -> None:
    """A keyset walk over several statuses (merged orders) meets what one list over all statuses holds."""
    live = [
        r["id"]
        for r in everything(big, "/subscriptions/search", subscription_status=STATUSES)
        if r["subscription_status"] in STATUSES[::4]
    ]
    seen: list[str] = []
    sort, filters = [{"field": field, "direction": "asc"}, UP[1]], []
    while True:
        asked = {"limit": 137, "subscription_status": STATUSES[::4], "sort": sort, "filters": filters}
        page = body(big, "POST", "/subscriptions/search", sent=asked)["items"]
        fresh = [row["id"] for row in page if row["id"] not in seen]
        if not fresh:
            break
        seen += fresh
        before = stamp((parse_rfc3339(page[-1][field]) or 0) - 1)
        filters = [{"field": field, "operator": "after", "value": {"date": before}}]
    assert sorted(seen) == sorted(live)


# -- changes from outside --------------------------------------------------------------------------------------------


def test_mutators_are_seen_by_the_next_answer() -> None:
    """Created, updated, archived and removed customers show at once, with the timestamps given."""
    sandbox = account(50)
    made = sandbox.create_customer(external_id="mine", name="Mine", created_at="2026-07-01T00:00:00.5Z")
    assert search(sandbox, external_ids=["mine"]) == [made]
    sandbox.update_customer(made["id"], name="Yours", updated_at=BASE)
    assert search(sandbox, external_ids=["mine"])[0]["updated_at"] == "2026-08-01T00:00:00Z"
    sandbox.archive_customer(made["id"])
    assert [row["name"] for row in search(sandbox, customer_ids=[made["id"]], status="archived")] == ["Yours"]
    sandbox.remove_customer(made["id"])
    assert search(sandbox, customer_ids=[made["id"]], status="archived") == []
    assert sandbox.answer("GET", f"/customers/{made['id']}")[0] == 404


def test_touch_all_moves_updated_at_only() -> None:
    """A bulk statement gives all customers one `updated_at`, and a walk by it finds them all on one microsecond."""
    sandbox = account(60)
    before = everything(sandbox)
    sandbox.touch_all("2026-08-01T08:00:00.000001Z")
    after = everything(sandbox)
    assert {row["updated_at"] for row in after} == {"2026-08-01T08:00:00.000001Z"}
    assert [{**row, "updated_at": 0} for row in after] == [{**row, "updated_at": 0} for row in before]
    at = {"field": "updated_at", "operator": "eq", "value": {"date": "2026-08-01T08:00:00.000001Z"}}
    assert body(sandbox, "POST", "/customers/search", sent={"filters": [at]})["pagination"]["total"] == len(after)


def test_subscriptions_can_be_added_and_cancelled() -> None:
    """An added subscription brings usage, entitlements and grants; cancelling it takes them away."""
    sandbox = account(10)
    customer = sandbox.create_customer()["id"]
    first = sandbox.add_subscription(customer, plan="Team")
    assert set(usage(sandbox, customer)) > {"api_calls", "sso"}
    assert customer in sandbox.active_customer_ids()
    sandbox.cancel_subscription(first)
    assert usage(sandbox, customer) == {}
    changed = body(
        sandbox, "POST", "/subscriptions/search", sent={"subscription_ids": [first], "subscription_status": STATUSES}
    )
    assert changed["items"][0]["subscription_status"] == "cancelled"


@pytest.mark.parametrize("status", ["draft", "paused", "cancelled", "incomplete"])
def test_other_statuses_give_nothing(status: str) -> None:
    """Only active and trialing subscriptions give usage."""
    sandbox = account(10)
    customer = sandbox.create_customer()["id"]
    sandbox.add_subscription(customer, status=status)
    assert usage(sandbox, customer) == {}
    sandbox.add_subscription(customer, status="trialing")
    assert usage(sandbox, customer)


def test_usage_can_be_set_by_subscription() -> None:
    """The plain answer counts the newest subscription; each one asked alone gives its own figure."""
    sandbox = account(10)
    customer = sandbox.create_customer()["id"]
    old, new = (sandbox.add_subscription(customer, plan=plan) for plan in ("Starter", "Team"))
    sandbox.set_usage(customer, "api_calls", "12.5", subscription_id=old)
    sandbox.set_usage(customer, "api_calls", 51_000)
    both = usage(sandbox, customer)["api_calls"]
    assert (both["total_limit"], both["current_usage"], both["usage_percent"]) == (51_000, "51000", "1")
    alone = usage(sandbox, customer, ("subscription_ids", old))["api_calls"]
    assert (alone["total_limit"], alone["current_usage"], alone["usage_percent"]) == (1000, "12.5", "0.0125")
    assert {s["subscription_id"] for s in both["sources"]} == {new}


def test_between_calls_runs_after_each_answer() -> None:
    """A callback can change the account between any two calls: an offset walk then skips a row."""
    sandbox = account(40)
    first = search(sandbox, limit=1, sort=UP)[0]["id"]
    sandbox.between_calls(lambda: sandbox.update_customer(first))
    sort = [{"field": "updated_at", "direction": "asc"}, UP[1]]
    pages = [search(sandbox, limit=5, offset=offset, sort=sort) for offset in range(0, 40, 5)]
    sandbox.between_calls(None)
    seen = {row["id"] for page in pages for row in page}
    assert len(seen) < len(sandbox.customer_ids())


def test_late_commit_appears_with_old_timestamps() -> None:
    """A late row is invisible, then there with the timestamps of its making."""
    clock = Clock(datetime(2026, 8, 1, 9, tzinfo=UTC))
    sandbox = Sandbox(customers=20, clock=clock)
    made = sandbox.create_customer(late=30)
    assert search(sandbox, customer_ids=[made["id"]]) == []
    clock.advance(31)
    assert search(sandbox, customer_ids=[made["id"]]) == [made]


def test_replica_lags_behind() -> None:
    """With `lag`, a search does not see a write that a read by id does, until the lag has passed."""
    clock = Clock(datetime(2026, 8, 1, 9, tzinfo=UTC))
    sandbox = Sandbox(customers=20, clock=clock, faults=Faults(lag=5))
    made = body(sandbox, "POST", "/customers", sent={"external_id": "new", "name": "New"})
    assert search(sandbox, external_ids=["new"]) == []
    assert body(sandbox, "GET", f"/customers/{made['id']}")["name"] == "New"
    clock.advance(6)
    assert [row["id"] for row in search(sandbox, external_ids=["new"])] == [made["id"]]


def test_cached_customer_is_stale_until_written_through_the_api() -> None:
    """With `cache`, GET by id answers the old row after a change from outside; a PUT starts from it, and evicts it."""
    sandbox = account(5, faults=Faults(cache=1800))
    customer_id = sandbox.customer_ids()[0]
    before = body(sandbox, "GET", f"/customers/{customer_id}")
    sandbox.update_customer(customer_id, name="Changed")
    assert body(sandbox, "GET", f"/customers/{customer_id}") == before
    assert search(sandbox, customer_ids=[customer_id])[0]["name"] == "Changed"
    body(sandbox, "PUT", f"/customers/{customer_id}", sent={})
    assert search(sandbox, customer_ids=[customer_id])[0]["name"] == before["name"]  # brought back (contract.md 3.8)
    sandbox.update_customer(customer_id, name="Changed again")
    assert body(sandbox, "GET", f"/customers/{customer_id}")["name"] == "Changed again"


def test_loose_ties_change_places() -> None:
    """With `loose_ties`, rows of one timestamp come in another order every time, unless the sort names the id."""
    sandbox = account(40, ties=20, faults=Faults(loose_ties=True))
    by_time = [tuple(row["id"] for row in search(sandbox, sort=UP[:1])) for _ in range(4)]
    by_id = [tuple(row["id"] for row in search(sandbox, sort=UP)) for _ in range(4)]
    assert len(set(by_time)) > 1
    assert len(set(by_id)) == 1
    assert {frozenset(page) for page in by_time} == {frozenset(by_id[0])}


def test_calls_are_counted_by_template() -> None:
    """Calls are counted by route, and the last ones are kept."""
    sandbox = account(10)
    for customer_id in sandbox.customer_ids()[:3]:
        sandbox.answer("GET", f"/customers/{customer_id}/usage")
    assert sandbox.calls["GET /customers/{id}/usage"] == sandbox.calls_total == 3
    assert sandbox.log[-1][0] == "GET"


# -- faults ----------------------------------------------------------------------------------------------------------


def test_no_fault_is_on_by_default() -> None:
    """Without switches two hundred calls all succeed."""
    sandbox = account(20)
    assert {sandbox.answer("GET", "/customers")[0] for _ in range(200)} == {200}


@pytest.mark.parametrize(
    ("switch", "status", "text"),
    [
        ("error_rate", 503, b"service_unavailable"),
        ("empty500", 500, b""),
        ("proxy502", 502, b"<html>"),
        ("unauthorized", 401, b'{"error":"Unauthorized"}'),
    ],
)
def test_shares_are_shares(switch: str, status: int, text: bytes) -> None:
    """A share of one half breaks about half of the calls, the same ones for the same seed."""

    def broken() -> list[int]:
        sandbox = account(5, faults=Faults(seed=3, **{switch: 0.5}))
        answers = [sandbox.answer("GET", "/customers") for _ in range(200)]
        assert all(text in found for code, _, found in answers if code == status)
        return [code for code, _, _ in answers]

    assert 60 < broken().count(status) < 140
    assert broken() == broken()


def test_faults_can_be_limited() -> None:
    """`endpoint` and `first` confine a fault to some routes and to the first calls."""
    sandbox = account(5, faults=Faults(empty500=1, endpoint=frozenset({"usage"}), first=2))
    customer = sandbox.customer_ids()[0]
    assert sandbox.answer("GET", "/customers")[0] == 200
    assert [sandbox.answer("GET", f"/customers/{customer}/usage")[0] for _ in range(3)] == [500, 500, 200]


def test_rate_limit_answers_429() -> None:
    """Beyond `rate` calls a second the answer is 429, with Retry-After when one was named."""
    sandbox = account(5, faults=Faults(rate=3, retry_after=2))
    answers = [sandbox.answer("GET", "/customers") for _ in range(6)]
    assert [status for status, _, _ in answers] == [200] * 3 + [429] * 3
    assert answers[-1][1]["Retry-After"] == "2"
    sandbox.faults = Faults(rate=1)
    assert "Retry-After" not in [sandbox.answer("GET", "/customers") for _ in range(3)][-1][1]


def test_zero_usage_looks_like_success() -> None:
    """A failed usage query is a 200 whose figures are all "0"."""
    sandbox = account(200)
    busy = next(
        i for i in sandbox.active_customer_ids() if any(u["current_usage"] != "0" for u in usage(sandbox, i).values())
    )
    limits = {key: entry["total_limit"] for key, entry in usage(sandbox, busy).items()}
    sandbox.faults = Faults(zero_usage=1)
    failed = usage(sandbox, busy)
    assert {entry["current_usage"] for entry in failed.values()} == {"0"}
    assert {key: entry["total_limit"] for key, entry in failed.items()} == limits


def test_skipped_entitlements_keep_the_subscriptions() -> None:
    """Entitlements that fail to load are left out while the subscription stays."""
    sandbox = account(100, faults=Faults(skip_entitlements=1))
    found = body(sandbox, "GET", f"/customers/{sandbox.active_customer_ids()[0]}/entitlements")
    assert found["subscriptions"]
    assert found["features"] == []


def test_torn_body_is_framed_and_no_json() -> None:
    """A torn answer is a 200 with half a document."""
    status, _, text = account(20, faults=Faults(torn=1)).answer("GET", "/customers")
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_extra_fields_are_everywhere_but_in_metadata() -> None:
    """Unknown members appear at every level, and customers' own objects stay as they are."""
    sandbox = account(60, faults=Faults(extra_fields=True))
    page = body(sandbox, "POST", "/customers/search", sent={"limit": 60})
    assert all("x_new_member" in part for part in (page, page["pagination"], *page["items"]))
    assert not any("x_new_member" in (row["metadata"] or {}) for row in page["items"])


def test_poisoned_customer_has_a_wrong_type() -> None:
    """One customer's children hold a value that fits no schema; the others' do not."""
    sandbox = account(200)
    victim, other = sandbox.active_customer_ids()[:2]
    sandbox.faults = Faults(poison=frozenset({victim}))
    found = body(sandbox, "GET", f"/customers/{victim}/entitlements")["features"][0]["entitlement"]
    assert found["usage_limit"] == "lots"
    assert "lots" not in str(body(sandbox, "GET", f"/customers/{other}/entitlements"))


@pytest.mark.parametrize(
    ("old", "status", "count"), [("filters_refused", {400, 500}, 0), ("filters_ignored", {200}, 30), ("", {200}, 0)]
)
def test_old_servers_and_filters(old: str, status: set[int], count: int) -> None:
    """An old server refuses filters, or answers as if there were none."""
    sandbox = account(30, faults=Faults(old=frozenset(filter(None, [old]))))
    after = {"field": "updated_at", "operator": "after", "value": {"date": "2099-01-01T00:00:00Z"}}
    code, _, text = sandbox.answer("POST", "/customers/search", (), {"filters": [after], "status": "published"})
    assert code in status
    assert len(json.loads(text).get("items", [])) == min(count, len(sandbox.customer_ids()))


def test_old_error_shape() -> None:
    """Before 2026-04 errors were nested."""
    found = json.loads(account(3, faults=Faults(old=frozenset({"nested_errors"}))).answer("GET", "/customers/x")[2])
    assert found["success"] is False
    assert found["error"]["message"] == "Customer with ID x was not found"


def test_old_default_shows_archived_rows() -> None:
    """Before 2026-07 the default listing held archived rows too; an explicit status never did."""
    sandbox = account(100, faults=Faults(old=frozenset({"archived_included"})))
    assert {row["status"] for row in search(sandbox, limit=200)} == {"published", "archived"}
    assert {row["status"] for row in search(sandbox, limit=200, status="published")} == {"published"}


def test_faults_are_read_from_text() -> None:
    """The command's form gives the same Faults."""
    text = (
        "latency=50,rate=20,retry_after=1,error_rate=0.05,torn=0.02,extra_fields=1,"
        "old=nested_errors|filters_refused,endpoint=usage,first=9"
    )
    assert Faults.parse(text) == Faults(
        latency=50, rate=20, retry_after=1, error_rate=0.05, torn=0.02, extra_fields=True,
        old=frozenset({"nested_errors", "filters_refused"}), endpoint=frozenset({"usage"}), first=9,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["nope=1", "torn=x", "old=newer", "endpoint=everything", "extra_fields=maybe"])
def test_unknown_faults_are_refused(text: str) -> None:
    """A mistyped switch is the user's input to mend, and what is known is listed."""
    with pytest.raises(FixInput):
        Faults.parse(text)


# -- on a socket -----------------------------------------------------------------------------------------------------


def test_running_serves_and_stops() -> None:
    """In a thread: answers while the block is open, refuses the connection after it."""
    with account(20).running() as base_url:
        assert httpx.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"}).json()["pagination"]["limit"] == 50
    with pytest.raises(httpx.ConnectError):
        httpx.get(base_url)


async def fetch(sandbox: Sandbox) -> int:
    async with sandbox.serving() as base_url, httpx.AsyncClient() as client:
        answer = await client.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"})
    return len(answer.json()["items"])


def test_serving_in_the_callers_loop() -> None:
    """In an event loop of the caller's."""
    import asyncio

    assert asyncio.run(fetch(account(10))) == len(account(10).customer_ids())


@pytest.mark.parametrize("manner", ["cut", "cut_body"])
def test_connections_are_cut(manner: str) -> None:
    """A cut connection is a transport error for the client, before any answer or in mid-body."""
    with account(200, faults=Faults(**{manner: 1.0})).running() as base_url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"})


def test_dripping_body_arrives_whole_and_late() -> None:
    """A dripping body takes its time and loses nothing."""
    with account(50, faults=Faults(drip=1, drip_delay=0.01)).running() as base_url:
        begun = time.monotonic()
        answer = httpx.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"})
    assert time.monotonic() - begun > 0.15
    assert answer.json()["items"]


def test_bodies_have_no_size_limit() -> None:
    """40,000 ids in one request (1.6 MB) work, as on the real server; more than PostgreSQL can bind do not."""
    with account(50).running() as base_url, httpx.Client(headers={"x-api-key": "sandbox"}) as client:
        codes = [
            client.post(f"{base_url}/customers/search", json={"customer_ids": [f"cust_{n:026d}" for n in range(count)]})
            for count in (40_000, 66_000)
        ]
    assert [answer.status_code for answer in codes] == [200, 500]


def test_latency_is_waited_for() -> None:
    """`latency` delays every answer on the socket."""
    with account(5, faults=Faults(latency=120)).running() as base_url:
        begun = time.monotonic()
        httpx.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"})
    assert time.monotonic() - begun > 0.12


def test_churn_changes_the_account() -> None:
    """`churn` keeps changing customers in the background while the server listens."""
    sandbox = account(50, faults=Faults(churn=200))
    before = everything(sandbox)
    with sandbox.running():
        time.sleep(0.3)
    assert everything(sandbox) != before


def test_keys_can_be_added() -> None:
    """More keys, with their roles, can be given."""
    sandbox = account(5, keys={"writer": Key(role="all_writer")})
    made = {"external_id": "w", "name": "W"}
    assert sandbox.answer("POST", "/customers", (), made, key="writer")[0] == 201
    assert sandbox.answer("POST", "/customers", (), made, key="reader")[0] == 403


def test_process_prints_its_url_and_stops_on_sigterm() -> None:
    """`python -m connector.sandbox` says where it listens first, and ends cleanly when told to."""
    command = [sys.executable, "-m", "connector.sandbox", "--customers", "10", "--seed", "3", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        answer = httpx.get(f"{base_url}/customers", headers={"x-api-key": "sandbox"})
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert answer.status_code == 200


def test_importing_the_sandbox_needs_no_server() -> None:
    """Tests in process do not pay for aiohttp."""
    code = "import sys, connector.sandbox; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- small things ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 4_102_444_800_000_000))
def test_stamps_read_back(moment: int) -> None:
    """A printed timestamp reads back as itself and has no trailing zero."""
    text = stamp(moment)
    assert parse_rfc3339(text) == moment
    assert not re.search(r"\.\d*0Z|\.Z", text)


def test_nanoseconds_are_trimmed() -> None:
    """POST's echo has up to nine digits."""
    assert stamp_nanos(1_500_000_000_196_313_260) == "2017-07-14T02:40:00.19631326Z"


@pytest.mark.parametrize(
    ("used", "limit", "percent"),
    [
        ("0.1", 1500, "0.0000666666666667"),
        ("3", 0, "100"),
        ("5", None, "0"),
        ("2", 3, "0.6666666666666667"),
        ("0", 7, "0"),
    ],
)
def test_share_is_cut_at_sixteen_places(used: str, limit: int | None, percent: str) -> None:
    """`usage_percent` is a fraction of at most 16 places, "100" for a limit of zero, "0" without one."""
    assert usage_percent(Decimal(used), limit) == percent


@pytest.mark.parametrize(("value", "text"), [("1E+3", "1000"), ("1.500", "1.5"), ("0E-9", "0"), ("1E-8", "0.00000001")])
def test_decimals_have_no_exponent(value: str, text: str) -> None:
    """Decimals print plainly, zeros trimmed."""
    assert format_decimal(Decimal(value)) == text
