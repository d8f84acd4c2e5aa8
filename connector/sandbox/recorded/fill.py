"""An empty account, filled with what a recording shows.

What the recording does not show is filled in and named here: customers that only the totals count, and the day and
zone of subscriptions that were only seen as the source of a usage answer. Promises that rows made while the recording
ran appear at their time. Never changes what was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connector.sandbox.clock import SECOND, micros, parse_rfc3339
from connector.sandbox.data import customers, subscriptions
from connector.sandbox.data.account import Account
from connector.sandbox.data.blanks import blank_subscription, present
from connector.sandbox.data.table import GONE
from connector.sandbox.recorded.exchanges import Exchange
from connector.sandbox.recorded.findings import Findings
from connector.sandbox.replies import Json

__all__ = ["fill"]

PUBLISHED_AT_START, ARCHIVED_AT_START = 1800, 200
ZONES = {"Z": "UTC", "+01:00": "Europe/Paris", "-03:30": "America/St_Johns"}
FILL_FROM = datetime(2026, 11, 23, 18, 18, tzinfo=UTC)
"""Customers that only totals count go between the recorded oldest and newest ones."""


def fill(account: Account, exchanges: list[Exchange], now: int) -> None:
    """Make an empty account the one that was recorded, as it was at `now` (microseconds)."""
    found = Findings(exchanges)
    example = next(iter(found.customers.values()))
    account.environment, account.tenant = example["environment_id"], example["tenant_id"]
    account.user = example["updated_by"]
    account.unsent = customers.COLUMNS.difference(*found.customers.values())
    account.catalog = found.catalog()
    _fill_customers(account, found, now)
    _fill_subscriptions(account, found, now)
    for number in account.entities:
        _fill_usage_and_grants(account, found, number)


def _fill_customers(account: Account, found: Findings, now: int) -> None:
    known = dict(found.customers)
    for customer_id, _ in found.seen:
        known.setdefault(customer_id, _invented(_bare_row(account, customer_id), 0))
    early = [row for row in known.values() if _micros(row) < now]
    missing = [PUBLISHED_AT_START - _count(early, "published"), ARCHIVED_AT_START - _count(early, "archived")]
    for status, count in zip(("published", "archived"), missing, strict=True):
        for number in range(count):
            row = _bare_row(account, f"cust_filled_{status}_{number:06d}") | {"status": status}
            known[row["id"]] = _invented(row, number)
    for row in sorted(known.values(), key=lambda row: str(row["id"])):
        _insert_customer(account, row, now)


def _bare_row(account: Account, customer_id: str) -> Json:
    """A customer of which the recording shows only the id."""
    return account.blank_customer(customer_id, {"external_id": f"of-{customer_id}", "name": "Unseen"})


def _invented(row: Json, number: int) -> Json:
    when = (FILL_FROM + timedelta(milliseconds=number)).isoformat().replace("+00:00", "Z")
    return row | {"created_at": when, "updated_at": when}


def _count(rows: list[Json], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def _micros(row: Json, key: str = "created_at") -> int:
    return parse_rfc3339(row[key]) or 0


def _insert_customer(account: Account, row: Json, now: int) -> None:
    kind = customers.STATUSES.index(row["status"])
    created, stored = _micros(row), {key: value for key, value in row.items() if key != "integrations"}
    number = account.apply("insert_customer", stored, created, _micros(row, "updated_at"), GONE)
    account.apply("show_customer", number, kind, late=_ahead(created, now))
    account.integrations[number] = row.get("integrations", [])


def _ahead(created: int, now: int) -> float:
    """Seconds until a row that was made while the recording ran comes into being."""
    return max(0.0, (created - now) / SECOND)


def _fill_subscriptions(account: Account, found: Findings, now: int) -> None:
    rows = dict(found.subscriptions)
    for customer_id, entries in found.seen:
        for row in _implied(account, customer_id, entries, rows):
            rows[row["id"]] = row
    for row in sorted(rows.values(), key=lambda row: (_micros(row), row["id"])):
        created, kind = _micros(row), subscriptions.KIND[row["subscription_status"]]
        entities = (row["plan_id"], *dict.fromkeys(found.addons.get(row["id"], ())))
        args = ({**row, "plan": None}, created, _micros(row, "updated_at"), GONE, entities)
        number = account.apply("insert_subscription", *args)
        account.apply("show_subscription", number, kind, late=_ahead(created, now))


def _implied(account: Account, customer_id: str, entries: list[Json], known: dict[str, Json]) -> Iterator[Json]:
    """Subscriptions that only a usage answer shows: the newest by its id, older ones by the plans of other sources."""
    sources = [source for entry in entries for source in entry["sources"] if source["entity_type"] == "plan"]
    newest = sources[0]["subscription_id"]
    if newest in known:
        return
    anchor, zone = _anchor(entries)
    for index, plan in enumerate(dict.fromkeys(source["entity_id"] for source in sources)):
        row = blank_subscription(
            id=newest if index == 0 else f"{newest}_older{index}", customer_id=customer_id, plan_id=plan,
            status="active", type="standalone", anchor=anchor, base=account.base, zone=zone,
        )  # fmt: skip
        moment = (FILL_FROM + timedelta(seconds=-index)).isoformat().replace("+00:00", "Z")
        row |= {"created_at": moment, "updated_at": moment}
        yield present(row)


def _anchor(entries: list[Json]) -> tuple[int, str]:
    """Day and zone are read from the answer itself, so `next_usage_reset_at` of such a customer proves nothing."""
    resets = [entry["next_usage_reset_at"] for entry in entries if entry.get("next_usage_reset_at")]
    monthly = next(text for text in resets if not text.startswith("0001"))
    moment = datetime.fromisoformat(monthly.replace("Z", "+00:00"))
    zone = ZONES[monthly[19:]]
    return micros(moment.replace(month=10).astimezone(UTC)), zone


def _fill_usage_and_grants(account: Account, found: Findings, number: int) -> None:
    subscription_id = account.subscriptions.written[number]["id"]
    account.grants[number] = found.grants.get(subscription_id, [])
    for owner, feature_id, figure in found.usage:
        if owner == subscription_id:
            account.apply("put_usage", number, feature_id, Decimal(figure))
