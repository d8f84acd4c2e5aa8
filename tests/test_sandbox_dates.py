"""The sandbox on other days: one seed gives one account, whatever the date and the time of day.

Bodies of every endpoint are compared. Moments are replaced by a mark, and ids lose their ten characters of time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from sizes import few, sampled

from connector.sandbox import Clock, Faults, Sandbox
from connector.sandbox.clock import DAY, micros, parse_rfc3339

Json = dict[str, Any]

FIRST = "2026-11-24T13:00:00Z"
OTHERS = (
    "2026-11-24T00:00:00.000001Z",  # the same day, its first moment
    "2026-11-24T23:59:59.999999Z",  # and its last
    "2026-11-28T23:58:00Z",  # two minutes before midnight
    "2026-12-31T23:58:00Z",
    "2027-03-28T01:30:00Z",  # clocks go forward in Europe
    "2026-10-25T00:30:00Z",  # and back
    "2027-03-31T12:00:00Z",  # no such day in the month before
    "2028-02-29T12:00:00Z",  # a leap day
    "2031-07-31T06:00:00Z",
)
RARE = (
    "2026-12-31T23:58:00Z",
    "2027-03-28T01:30:00Z",
    "2026-10-25T00:30:00Z",
    "2027-03-31T12:00:00Z",
    "2031-07-31T06:00:00Z",
)
CLOCKS = [sampled(moment) if moment in RARE else moment for moment in OTHERS]
CUSTOMERS, SEED = 200, 7

MOMENT = re.compile(r'"(?!0001-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"')
ID = re.compile(r"\b([a-z]+)_[0-9A-HJKMNP-TV-Z]{10}([0-9A-HJKMNP-TV-Z]{8})([0-9A-HJKMNP-TV-Z]{8})\b")
ORDERS = [[{"field": field, "direction": "asc"}, {"field": "id", "direction": "asc"}] for field in ("created_at", "id")]


def dated(moment: str, **options: Any) -> Sandbox:
    """One seed's account, made at a moment at which its clock stands."""
    return Sandbox(customers=CUSTOMERS, seed=SEED, clock=Clock(datetime.fromisoformat(moment)), **options)


def timeless(body: str) -> str:
    """A body without moments. Upcoming grants get a new id for each period, so only their row number is kept."""
    body = MOMENT.sub('"a moment"', body)
    return ID.sub(lambda m: f"{m[1]}_{m[2]}" + ("" if m[1] == "cga" else m[3]), body)


def text(sandbox: Sandbox, method: str, path: str, query: Any = (), sent: Any = None) -> str:
    """The body of a 200."""
    status, _, body = sandbox.answer(method, path, query, sent)
    assert status == 200, body
    return body.decode()


def pages(sandbox: Sandbox, path: str, **asked: Any) -> Iterator[str]:
    """Every page of a search."""
    offset, total = 0, 1
    while offset < total:
        page = text(sandbox, "POST", path, sent={**asked, "limit": 200, "offset": offset})
        yield page
        offset, total = offset + 200, json.loads(page)["pagination"]["total"]


def numbered(sandbox: Sandbox, number: int) -> tuple[str, str]:
    """Id and external id of a computed customer."""
    people = sandbox.account.generated_customers
    return people.id_of(number), people.external_id(number)


def by_row(body: str) -> str:
    """Upcoming grants by their own row: the answer sorts them by moment, and the calendar decides which is next."""
    found = json.loads(body)
    found["items"].sort(key=lambda item: item["credit_grant_id"])
    return json.dumps(found)


def bodies(sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """The body of every endpoint, in an order that does not depend on the clock."""
    for status in ("published", "archived"):
        for sort in ORDERS:
            for page in pages(sandbox, "/customers/search", status=status, sort=sort, expand="integrations"):
                yield f"customers {status}", page
    statuses = ["active", "paused", "cancelled", "incomplete", "trialing", "draft"]
    for sort in ORDERS:
        for page in pages(sandbox, "/subscriptions/search", subscription_status=statuses, sort=sort):
            yield "subscriptions", page
    yield "list", text(sandbox, "GET", "/customers", {"limit": "1000"})
    yield "subscription list", text(sandbox, "GET", "/subscriptions", {"limit": "1000"})
    yield "events", text(sandbox, "GET", "/events")
    for number in range(CUSTOMERS):
        yield from of_one(sandbox, *numbered(sandbox, number))


def of_one(sandbox: Sandbox, customer_id: str, external_id: str) -> Iterator[tuple[str, str]]:
    """The endpoints of one customer; an external id may be that of an archived one, which is not found."""
    yield "get", text(sandbox, "GET", f"/customers/{customer_id}")
    yield "usage", text(sandbox, "GET", f"/customers/{customer_id}/usage")
    yield "entitlements", text(sandbox, "GET", f"/customers/{customer_id}/entitlements")
    yield "grants", by_row(text(sandbox, "GET", f"/customers/{customer_id}/grants/upcoming"))
    yield "wallets", text(sandbox, "GET", f"/customers/{customer_id}/wallets")
    for path in ("/customers/lookup/{}", "/customers/external/{}/entitlements", "/customers/external/{}/subscriptions"):
        status, _, body = sandbox.answer("GET", path.format(external_id))
        yield path, f"{status} {body.decode()}"


@cache
def account_on(moment: str) -> list[tuple[str, str]]:
    """The whole account on a date."""
    return list(bodies(dated(moment)))


@pytest.mark.parametrize("moment", few(CLOCKS))
def test_a_seed_gives_the_same_account_on_every_date(moment: str) -> None:
    """Apart from moments, every endpoint gives the same body for every customer on any date, at any time of day."""
    found, expected = ([(name, timeless(body)) for name, body in account_on(date)] for date in (moment, FIRST))
    assert len(found) == len(expected)
    assert [(a, b) for a, b in zip(found, expected, strict=True) if a != b][:3] == []


def counts(sandbox: Sandbox) -> Json:
    """Statuses, plans, ended periods, customers with usage, and numbers of grants."""
    account = sandbox.account
    customers = [account.generated_customers.id_of(number) for number in range(CUSTOMERS)]
    rows = [account.subscription(row) for row in range(account.subscriptions.count)]
    grants = [json.loads(text(sandbox, "GET", f"/customers/{id}/grants/upcoming"))["items"] for id in customers]
    return {
        "customers": list(account.customers.kinds),
        "subscriptions": list(account.subscriptions.kinds),
        "entities": [[timeless(id) for id in account.entities_of(row)] for row in range(len(rows))],
        "ended": [(parse_rfc3339(row["current_period_end"]) or 0) <= account.base for row in rows],
        "sweep": [timeless(id) for id in sandbox.active_customer_ids()],
        "grants": [len(items) for items in grants],
    }


@pytest.mark.parametrize("moment", CLOCKS)
def test_counts_do_not_depend_on_the_date(moment: str) -> None:
    """Statuses, plans, ended periods, customers with usage and numbers of grants are those of any other date."""
    found = counts(dated(moment))
    assert found == counts(dated(FIRST))
    assert any(found["ended"])
    assert sum(found["grants"]) > CUSTOMERS / 4


@pytest.mark.parametrize("moment", CLOCKS)
def test_moments_of_a_row_move_with_the_day(moment: str) -> None:
    """`created_at` and `updated_at` keep their distance to the day on which the account was made."""

    def distances(made: Sandbox) -> list[list[int]]:
        base = micros(made.clock()) // DAY * DAY
        tables = (made.account.customers, made.account.subscriptions)
        return [[at - base for at in table.column(name)] for table in tables for name in ("created_at", "updated_at")]

    assert distances(dated(moment)) == distances(dated(FIRST))


@pytest.mark.parametrize("moment", few(CLOCKS))
def test_the_order_of_ids_does_not_depend_on_the_date(moment: str) -> None:
    """Sorted by text, the ids of each kind are in the same order on any date, those of upcoming grants too."""

    def order(date: str) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for _, body in account_on(date):
            for match in ID.finditer(body):
                found.setdefault(match[1], set()).add(match[0])
        return {kind: [timeless(id) for id in sorted(ids)] for kind, ids in sorted(found.items())}

    assert order(moment) == order(FIRST)


def test_upcoming_grants_get_new_ids_in_the_next_period() -> None:
    """The ids of upcoming grants are those of one period: a month later each one is another."""

    def ids(moment: str) -> set[str]:
        sandbox = dated(FIRST)
        sandbox.clock = Clock(datetime.fromisoformat(moment))
        found = [text(sandbox, "GET", f"/customers/{id}/grants/upcoming") for id in sandbox.active_customer_ids()[:50]]
        return {item["id"] for body in found for item in json.loads(body)["items"]}

    assert ids(FIRST)
    assert not ids(FIRST) & ids("2026-12-29T13:00:00Z")


def test_figures_do_not_depend_on_the_time_of_day() -> None:
    """One account gives the same usage at any time of its day, and past midnight."""
    sandbox = dated("2026-11-24T00:00:00Z")
    customers = sandbox.active_customer_ids()

    def figures() -> list[str]:
        return [timeless(text(sandbox, "GET", f"/customers/{id}/usage")) for id in customers]

    first, clock = figures(), sandbox.clock
    assert isinstance(clock, Clock)
    for _ in range(3):
        clock.advance(13 * 3600)
        assert figures() == first


@pytest.mark.parametrize("moment", CLOCKS)
def test_faults_break_the_same_customers_on_every_date(moment: str) -> None:
    """Which customers have a value of the wrong type, and which value, does not depend on the date."""

    def broken(sandbox: Sandbox) -> list[str]:
        customers = [numbered(sandbox, number)[0] for number in range(200)]
        return [timeless(text(sandbox, "GET", f"/customers/{id}/usage")) for id in customers]

    found = broken(dated(moment, faults=Faults(wrong_types=0.3)))
    assert found == broken(dated(FIRST, faults=Faults(wrong_types=0.3)))
    assert sum('"lots"' in body for body in found) > 5


def test_the_clocks_of_this_test_are_of_many_kinds() -> None:
    """The dates differ in month length, weekday, season and year."""
    moments = sorted(datetime.fromisoformat(moment) for moment in (FIRST, *OTHERS))
    assert all(a < b for a, b in pairwise(moments))
    assert len({moment.month for moment in moments}) >= 6
    assert all(moment.tzinfo == UTC for moment in moments)
