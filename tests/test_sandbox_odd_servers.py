"""Odd servers and gateways, played by the sandbox: capped pages, wrong dates, missing parts, rows changed by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from connector.errors import FixInput
from connector.sandbox import Clock, Faults, Sandbox

Json = dict[str, Any]
BASE = datetime(2026, 8, 1, tzinfo=UTC)
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
UP = [{"field": "created_at", "direction": "asc"}, {"field": "id", "direction": "asc"}]
STATUSES = ["active", "paused", "cancelled", "incomplete", "trialing", "draft"]


def account(customers: int = 30, **given: Any) -> Sandbox:
    """A small account whose clock stands at noon."""
    return Sandbox(customers=customers, base_time=BASE, clock=Clock(NOON), **given)


def body(sandbox: Sandbox, method: str, path: str, query: Any = (), sent: Any = None) -> Any:
    """A successful answer's JSON."""
    status, _, text = sandbox.answer(method, path, query, sent)
    assert status == 200, text
    return json.loads(text)


def search(sandbox: Sandbox, path: str = "/customers/search", **asked: Any) -> Any:
    """One page."""
    return body(sandbox, "POST", path, sent={"limit": 1000, "sort": UP, **asked})


def subscriptions(sandbox: Sandbox, **asked: Any) -> Any:
    """One page of subscriptions in every status."""
    return search(sandbox, "/subscriptions/search", subscription_status=STATUSES, **asked)


def date(sandbox: Sandbox) -> datetime:
    """The `Date` of an answer."""
    return parsedate_to_datetime(sandbox.answer("GET", "/customers")[1]["Date"])


def with_two(sandbox: Sandbox) -> tuple[str, list[str]]:
    """A customer with subscriptions to two plans, and their ids."""
    customer = sandbox.create_customer()["id"]
    return customer, [sandbox.add_subscription(customer, plan) for plan in ("Starter", "Team")]


def entitlements(sandbox: Sandbox, customer: str, *query: tuple[str, str]) -> Any:
    """The entitlements answer."""
    return body(sandbox, "GET", f"/customers/{customer}/entitlements", query)


# -- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7])
def test_a_capped_page_holds_fewer_rows_than_asked(rows: int) -> None:
    """With `cap`, pages hold so many rows at most, the same first ones, and `pagination` says what it always says."""
    whole, sandbox = account(), account(faults=Faults(cap=rows))
    for ask in (search, subscriptions):
        full, page = ask(whole, limit=20), ask(sandbox, limit=20)
        assert page["items"] == full["items"][:rows]
        assert page["pagination"] == full["pagination"]
    assert len(body(sandbox, "GET", "/customers")["items"]) == rows
    assert len(search(sandbox, limit=1)["items"]) == 1


def test_a_cap_can_be_for_one_listing() -> None:
    """`endpoint` confines `cap` to subscriptions; upcoming grants, which have no pages, are never capped."""
    sandbox = account(faults=Faults(cap=1, endpoint=frozenset({"subscriptions", "grants"})))
    assert len(search(sandbox)["items"]) > 1
    assert len(subscriptions(sandbox)["items"]) == 1
    customer, _ = with_two(sandbox)
    assert len(body(sandbox, "GET", f"/customers/{customer}/grants/upcoming")["items"]) == 2


def test_a_page_is_cut_by_bytes() -> None:
    """With `cap_bytes`, the rows of a page fit into so many bytes and one more would not; one row always comes."""
    whole = search(account())["items"]
    page = search(account(faults=Faults(cap_bytes=4000)))["items"]
    assert page == whole[: len(page)]
    sizes = [len(text(row)) for row in whole]
    assert sum(sizes[: len(page)]) <= 4000 < sum(sizes[: len(page) + 1]) + len(page) + 1
    assert search(account(faults=Faults(cap_bytes=1)))["items"] == whole[:1]


def text(row: Json) -> bytes:
    """A row as the server writes it."""
    plain = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        plain = plain.replace(letter, f"\\u{ord(letter):04x}")
    return plain.encode()


def test_a_larger_limit_is_refused() -> None:
    """With `max_limit`, a larger limit is a 400 that names the largest, for GET and POST; `endpoint` confines it."""
    sandbox = account(faults=Faults(max_limit=100, endpoint=frozenset({"search", "list"})))
    refused = {
        "code": "validation_error", "message": "Invalid filter parameters", "http_status_code": 400,
        "details": {"limit": "must be between 1 and 100"},
    }  # fmt: skip
    for answer in (
        sandbox.answer("POST", "/customers/search", (), {"limit": 101}),
        sandbox.answer("GET", "/customers", {"limit": "101"}),
    ):
        assert answer[0] == 400
        assert json.loads(answer[2]) == refused
    assert search(sandbox, limit=100)["items"]
    assert subscriptions(sandbox, limit=1000)["items"]
    sandbox.faults = Faults(max_limit=4)
    assert body(sandbox, "GET", "/customers")["pagination"]["limit"] == 4  # a server does not refuse its own default


def test_lists_without_pagination() -> None:
    """With `no_pagination`, lists hold their rows and no total; other answers stay as they are."""
    sandbox, whole = account(faults=Faults(no_pagination=True)), account()
    customer = with_two(sandbox)[0]
    assert {"items"} == set(search(sandbox)) == set(subscriptions(sandbox)) == set(body(sandbox, "GET", "/customers"))
    assert set(body(sandbox, "GET", f"/customers/{customer}/grants/upcoming")) == {"items"}
    assert search(sandbox)["items"][:5] == search(whole)["items"][:5]
    assert set(entitlements(sandbox, customer)) == {"customer_id", "subscriptions", "features"}


@pytest.mark.parametrize("path", ["/customers/search", "/subscriptions/search"])
def test_an_account_can_change_between_a_page_and_its_total(path: str) -> None:
    """What `before_count` does is in the total of the answer, but not yet in its rows; None takes it away."""
    sandbox = account(5)
    before = search(sandbox, path)

    def change() -> None:
        sandbox.add_subscription(sandbox.create_customer()["id"])

    sandbox.before_count(change)
    changed = search(sandbox, path)
    sandbox.before_count(None)
    assert changed["items"] == before["items"]
    assert changed["pagination"]["total"] == before["pagination"]["total"] + 1
    assert len(search(sandbox, path)["items"]) == len(before["items"]) + 1


# -- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [900, -3600])
def test_the_date_header_alone_is_ahead_or_behind(seconds: int) -> None:
    """`date_ahead` shifts the `Date` header of every answer, and no timestamp of a row."""
    sandbox = account(faults=Faults(date_ahead=seconds))
    assert [date(sandbox), date(sandbox)] == [NOON + timedelta(seconds=seconds)] * 2
    assert search(sandbox) == search(account())
    assert sandbox.create_customer()["created_at"] == "2026-08-01T12:00:00Z"


def test_the_date_header_is_ahead_for_some_answers() -> None:
    """`date_for` shifts the first answers only, of whatever kind; setting the switches again begins anew."""
    sandbox = account(faults=Faults(date_ahead=7200, date_for=2))
    assert [date(sandbox) - NOON for _ in range(3)] == [timedelta(hours=2), timedelta(hours=2), timedelta(0)]
    sandbox.faults = Faults(date_ahead=-7200, date_for=1)
    assert [date(sandbox) - NOON for _ in range(2)] == [timedelta(hours=-2), timedelta(0)]


# -- parts of answers ------------------------------------------------------------------------------------------------


def test_entitlements_can_miss_one_of_several_subscriptions() -> None:
    """With `partial_entitlements`, one of two is missing from `subscriptions` and from all sources, limits and all."""
    sandbox = account()
    customer, ids = with_two(sandbox)
    alone = {one: entitlements(sandbox, customer, ("subscription_ids", one)) for one in ids}
    whole = entitlements(sandbox, customer)
    sandbox.faults = Faults(partial_entitlements=1)
    answers = [entitlements(sandbox, customer) for _ in range(20)]
    assert {answer["subscriptions"][0]["id"] for answer in answers} == set(ids)
    assert all(answer == alone[answer["subscriptions"][0]["id"]] for answer in answers)
    counts = {len(answer["features"]) for answer in answers}
    assert min(counts) < len(whole["features"])


def test_one_subscription_is_never_missing() -> None:
    """`partial_entitlements` leaves customers with one subscription alone, and those asked about one or with none."""
    sandbox = account()
    customer, ids = with_two(sandbox)
    single, none = (sandbox.create_customer()["id"] for _ in range(2))
    sandbox.add_subscription(single)

    def answers() -> list[Any]:
        asked = [
            (customer, ("subscription_ids", ids[0])),
            (customer, ("subscription_ids", "other")),
            (single,),
            (none,),
        ]
        return [entitlements(sandbox, *question) for question in asked]

    before = answers()
    sandbox.faults = Faults(partial_entitlements=1)
    assert answers() == before
    assert before[1]["subscriptions"] == []


# -- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sandbox", "reader"])
def test_any_key_reads_events(key: str) -> None:
    """GET /events and POST /events/query answer a page of events, no more than asked for."""
    sandbox = account()
    _, _, got = sandbox.answer("GET", "/events", {"page_size": "1"}, key=key)
    status, _, posted = sandbox.answer("POST", "/events/query", (), {"page_size": 1}, key=key)
    assert status == 200
    assert json.loads(got) == json.loads(posted)
    assert len(json.loads(got)["events"]) == 1
    assert len(body(sandbox, "GET", "/events")["events"]) > 1
    assert body(Sandbox(customers=0), "GET", "/events")["events"] == []
    assert sandbox.answer("GET", "/events", {"page_size": "x"})[0] == 400
    assert sandbox.answer("GET", "/events", key="nobody")[0] == 401


@pytest.mark.parametrize(
    ("status", "text"), [(403, b'{"message":"insufficient permissions"}'), (404, b"404 page not found")]
)
def test_servers_without_events(status: int, text: bytes) -> None:
    """With `no_events`, events alone are refused, whatever `endpoint` says."""
    sandbox = account(faults=Faults(no_events=status, endpoint=frozenset({"usage"})))
    for method, path in (("GET", "/events"), ("POST", "/events/query")):
        found = sandbox.answer(method, path, (), {} if method == "POST" else None)
        assert (found[0], found[2]) == (status, text)
    assert search(sandbox)["items"]


def test_no_events_takes_two_statuses() -> None:
    """Another status than 403 and 404 is refused."""
    with pytest.raises(FixInput, match="403 or 404"):
        Faults.parse("no_events=500")


# -- rows changed by hand --------------------------------------------------------------------------------------------


def rows_of(sandbox: Sandbox) -> Json:
    """All customers and subscriptions by id, and the totals."""
    pages = [search(sandbox, status=status) for status in ("published", "archived")]
    pages.append(subscriptions(sandbox))
    found = {row["id"]: row for page in pages for row in page["items"]}
    assert len(found) == sum(page["pagination"]["total"] for page in pages)
    return found


@pytest.mark.parametrize("place", [0, -1])
def test_a_removed_customer_leaves_no_trace(place: int) -> None:
    """A customer deleted by hand, a generated or a new one, is in no answer; every other row is as it was."""
    sandbox = account()
    sandbox.create_customer()
    before, victim = rows_of(sandbox), sandbox.customer_ids()[place]
    sandbox.remove_customer(victim)
    del before[victim]
    assert rows_of(sandbox) == before
    assert sandbox.answer("GET", f"/customers/{victim}")[0] == 404
    with pytest.raises(FixInput):
        sandbox.remove_customer(victim)


@pytest.mark.parametrize("place", [0, -1])
def test_a_removed_subscription_leaves_no_trace(place: int) -> None:
    """A subscription deleted by hand is in no listing and gives nothing; no `updated_at` moves."""
    sandbox = account()
    customer = sandbox.create_customer()["id"]
    sandbox.add_subscription(customer)
    before = rows_of(sandbox)
    victim = subscriptions(sandbox)["items"][place]
    sandbox.remove_subscription(victim["id"])
    del before[victim["id"]]
    assert rows_of(sandbox) == before
    shown = entitlements(sandbox, victim["customer_id"])["subscriptions"]
    assert victim["id"] not in [row["id"] for row in shown]
    asked = subscriptions(sandbox, filters=[{"field": "id", "operator": "in", "value": {"array": [victim["id"]]}}])
    assert asked["items"] == []


def test_a_cached_customer_outlives_its_row() -> None:
    """With `cache`, GET by id still answers a customer that was deleted by hand; search does not."""
    sandbox = account(faults=Faults(cache=1800))
    victim, other = sandbox.customer_ids()[:2]
    kept = body(sandbox, "GET", f"/customers/{victim}")
    for customer in (victim, other):
        sandbox.remove_customer(customer)
    assert body(sandbox, "GET", f"/customers/{victim}") == kept
    assert sandbox.answer("GET", f"/customers/{other}")[0] == 404
    assert search(sandbox, customer_ids=[victim])["items"] == []
    clock = sandbox.clock
    assert isinstance(clock, Clock)
    clock.advance(1801)
    assert sandbox.answer("GET", f"/customers/{victim}")[0] == 404


def test_a_hidden_row_appears_with_its_old_timestamps() -> None:
    """Hidden customers and subscriptions, generated or new, are in no answer; shown, all is as it was before."""
    sandbox = account()
    customer, ids = with_two(sandbox)
    before = rows_of(sandbox)
    generated = [search(sandbox)["items"][3]["id"], search(sandbox, status="archived")["items"][0]["id"]]
    hidden = [customer, ids[0], *generated, subscriptions(sandbox)["items"][2]["id"]]
    for row_id in hidden:
        sandbox.hide(row_id)
    assert rows_of(sandbox) == {row_id: row for row_id, row in before.items() if row_id not in hidden}
    assert sandbox.answer("GET", f"/customers/{customer}")[0] == 404
    assert body(sandbox, "GET", "/customers", {"external_id": before[customer]["external_id"]})["items"] == []
    clock = sandbox.clock
    assert isinstance(clock, Clock)
    clock.advance(3600)
    for row_id in hidden:
        sandbox.show(row_id)
    assert rows_of(sandbox) == before


def test_only_visible_rows_can_be_hidden_and_hidden_ones_shown() -> None:
    """Hiding twice and showing twice are refused by id."""
    sandbox = account(5)
    known = sandbox.customer_ids()[0]
    sandbox.hide(known)
    with pytest.raises(FixInput, match=known):
        sandbox.hide(known)
    sandbox.show(known)
    with pytest.raises(FixInput, match=known):
        sandbox.show(known)


def test_a_touched_customer_moves_to_now() -> None:
    """`touch_customer` sets `updated_at` to the clock's time, and nothing else of any row."""
    sandbox = account()
    before, touched = rows_of(sandbox), sandbox.customer_ids()[0]
    sandbox.touch_customer(touched)
    assert rows_of(sandbox) == {**before, touched: {**before[touched], "updated_at": "2026-08-01T12:00:00Z"}}


# -- on the wire -----------------------------------------------------------------------------------------------------


def test_odd_servers_over_http() -> None:
    """The command's notation sets the switches, and a client on a socket meets them."""
    faults = Faults.parse("cap=2,no_pagination=1,max_limit=500,date_ahead=-86400,no_events=404")
    with account(faults=faults).running() as base_url, httpx.Client(headers={"x-api-key": "sandbox"}) as client:
        page = client.get(f"{base_url}/customers?limit=500")
        assert {key: len(value) for key, value in page.json().items()} == {"items": 2}
        assert parsedate_to_datetime(page.headers["date"]) == NOON - timedelta(days=1)
        assert client.get(f"{base_url}/customers?limit=501").status_code == 400
        assert client.get(f"{base_url}/events?page_size=1").status_code == 404
