"""An account rebuilt from exchanges with a real server (tests/recorded).

Promises that answers come from rebuilt plans, features, entitlements and subscriptions through the same code as
generated ones, never from a stored answer. What the recording does not show is filled in and named here: customers
that only the totals tell of, and the day and zone of subscriptions that were only seen as the source of a usage
answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec

from connector.sandbox.clock import SECOND, Clock, micros, parse_rfc3339
from connector.sandbox.data import customers, subscriptions
from connector.sandbox.data.catalog import Catalog, Entitlement, Plan, make_feature
from connector.sandbox.data.table import GONE
from connector.sandbox.replies import Json, encode
from connector.sandbox.server.access import Key
from connector.sandbox.server.sandbox import Sandbox

__all__ = ["RECORDED_KEY", "Exchange", "read", "rebuild"]

Exchange = Json
RECORDED_KEY = "<key>"
"""What stands in the recording for the key: one of the server's config file, so the environment header is needed."""

FLOW = "rec-"
"""External ids of the customers that the recorded requests themselves make."""
PUBLISHED_AT_START, ARCHIVED_AT_START = 1800, 200
ZONES = {"Z": "UTC", "+01:00": "Europe/Paris", "-03:30": "America/St_Johns"}
FILL_FROM = datetime(2026, 11, 23, 18, 18, tzinfo=UTC)
"""Customers that only totals tell of go between the recorded oldest and newest ones."""


def read(path: Path) -> list[Exchange]:
    """The exchanges, in order."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def rebuild(path: Path) -> Sandbox:
    """The account as it was when the first request came."""
    exchanges = read(path)
    begin = parsedate_to_datetime(exchanges[0]["response"]["headers"]["date"])
    sandbox = Sandbox(customers=0, clock=Clock(begin), base_time=begin)
    found = Findings(exchanges)
    account = sandbox.account
    example = next(iter(found.customers.values()))
    account.environment, account.tenant = example["environment_id"], example["tenant_id"]
    account.user = example["updated_by"]
    sandbox.keys = {RECORDED_KEY: Key(environment=None, user=account.user)}
    account.catalog = found.catalog()
    _fill_customers(sandbox, found, micros(begin))
    _fill_subscriptions(sandbox, found, micros(begin))
    for number in account.entities:
        _fill_children(sandbox, found, number)
    return sandbox


class Findings:
    """The entities that the bodies show, by id."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.customers: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.plans: dict[str, Json] = {}
        self.features: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}
        self.terms: dict[str, Json] = {}
        self.grants: dict[str, list[Json]] = {}
        self.usage: list[tuple[str, str, str]] = []
        self.addons: dict[str, list[str]] = {}
        self.seen: list[tuple[str, list[Json]]] = []
        for exchange in exchanges:
            body = _body(exchange)
            for value in _objects(body):
                self._note(value)
            if body.get("features"):
                self._note_children(body)

    def _note(self, value: Json) -> None:
        if "external_id" in value and not value["external_id"].startswith(FLOW):
            self.customers.setdefault(value["id"], value)
        elif "subscription_status" in value:
            self.subscriptions.setdefault(value["id"], value)
            if value["plan"]:
                self.plans[value["plan"]["id"]] = value["plan"]
        elif "meter_id" in value and (value["id"] not in self.features or "meter" in value):
            self.features[value["id"]] = value
        elif "application_status" in value:
            known = self.grants.setdefault(value["subscription_id"], [])
            if value not in known:
                known.append(value)

    def _note_children(self, body: Json) -> None:
        """Sources, what single-source answers say of their one entitlement, and figures."""
        for entry in body["features"]:
            newest = entry["sources"][0]["subscription_id"]
            for source in entry["sources"]:
                self.sources[source["entitlement_id"]] = {**source, "feature_id": entry["feature"]["id"]}
                if source["entity_type"] == "addon":
                    self.addons.setdefault(newest, []).append(source["entity_id"])
            self._note_terms(entry)
            if entry.get("current_usage", "0") != "0":
                self.usage.append((newest, entry["feature"]["id"], entry["current_usage"]))
        self.seen.append((body["customer_id"], body["features"]))

    def _note_terms(self, entry: Json) -> None:
        told = entry.get("entitlement", {"is_soft_limit": entry.get("is_soft_limit")})
        buckets = {bucket["entitlement_id"]: bucket for bucket in told.get("buckets", ())}
        for source in entry["sources"]:
            known = self.terms.setdefault(source["entitlement_id"], {})
            if len(entry["sources"]) == 1:
                known |= {"soft": told["is_soft_limit"]}
            if "usage_reset_period" in told and ("reset" not in known or len(entry["sources"]) == 1):
                known["reset"] = told["usage_reset_period"]
            if source["entitlement_id"] in buckets:
                bucket = dict(buckets[source["entitlement_id"]])
                known["mode"] = "parallel"
                known["bucket"] = {k: v for k, v in bucket.items() if k not in ("entitlement_id", "source_entity_id")}

    def catalog(self) -> Catalog:
        """Features and plans as the account had them."""
        features = [make_feature(body, parse_rfc3339(body["created_at"]) or 0) for body in self.features.values()]
        entities = {source["entity_id"]: source["entity_name"] for source in self.sources.values()}
        plans = [
            self._plan(entity, name)
            for entity, name in (entities | {k: v["name"] for k, v in self.plans.items()}).items()
        ]
        return Catalog(features, plans)

    def _plan(self, entity: str, name: str) -> Plan:
        own = [self._entitlement(source) for source in self.sources.values() if source["entity_id"] == entity]
        raw = msgspec.Raw(encode(self.plans[entity]) if entity in self.plans else b"null")
        return Plan(entity, name, tuple(own), (), raw)

    def _entitlement(self, source: Json) -> Entitlement:
        terms = self.terms[source["entitlement_id"]]
        return Entitlement(
            id=source["entitlement_id"], feature_id=source["feature_id"], entity_id=source["entity_id"],
            entity_type=source["entity_type"], entity_name=source["entity_name"], usage_limit=source.get("usage_limit"),
            reset=terms.get("reset", ""), soft=terms.get("soft", False), static=source.get("static_value", ""),
            config=source.get("config_value"), mode=terms.get("mode", "additive"), bucket=terms.get("bucket", {}),
        )  # fmt: skip


def _body(exchange: Exchange) -> Json:
    response = exchange["response"]
    if response["status"] != 200 or not (response["body"] or "").startswith("{"):
        return {}
    body: Json = json.loads(response["body"])
    return body


def _objects(value: Any) -> Iterator[Json]:
    """Every object in a body, outer ones first."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from _objects(member)
    elif isinstance(value, list):
        for member in value:
            yield from _objects(member)


def _fill_customers(sandbox: Sandbox, found: Findings, now: int) -> None:
    known = dict(found.customers)
    for customer_id, _ in found.seen:
        known.setdefault(customer_id, _invented(_bare_row(sandbox, customer_id), 0))
    early = [row for row in known.values() if _micros(row) < now]
    missing = [PUBLISHED_AT_START - _count(early, "published"), ARCHIVED_AT_START - _count(early, "archived")]
    for status, count in zip(("published", "archived"), missing, strict=True):
        for number in range(count):
            row = _bare_row(sandbox, f"cust_filled_{status}_{number:06d}") | {"status": status}
            known[row["id"]] = _invented(row, number)
    for row in sorted(known.values(), key=lambda row: str(row["id"])):
        _insert_customer(sandbox, row, now)


def _bare_row(sandbox: Sandbox, customer_id: str) -> Json:
    """A customer of whom only the id is known."""
    account = sandbox.account
    owner = {"environment_id": account.environment, "tenant_id": account.tenant, "created_by": account.user}
    blank = dict.fromkeys(("email", "address_line1", "address_line2", "address_city", "address_state"), "")
    row: Json = {"id": customer_id, "external_id": f"of-{customer_id}", "name": "Unseen", **blank}
    row |= {
        "address_postal_code": "",
        "address_country": "",
        "timezone": "UTC",
        "metadata": None,
        "status": "published",
    }
    return row | owner | {"updated_by": account.user}


def _invented(row: Json, number: int) -> Json:
    when = (FILL_FROM + timedelta(milliseconds=number)).isoformat().replace("+00:00", "Z")
    return row | {"created_at": when, "updated_at": when}


def _count(rows: list[Json], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def _micros(row: Json, key: str = "created_at") -> int:
    return parse_rfc3339(row[key]) or 0


def _insert_customer(sandbox: Sandbox, row: Json, now: int) -> None:
    account, kind = sandbox.account, customers.STATUSES.index(row["status"])
    created, stored = _micros(row), {key: value for key, value in row.items() if key != "integrations"}
    number = account.apply("insert_customer", stored, created, _micros(row, "updated_at"), GONE)
    account.apply("show_customer", number, kind, late=_ahead(created, now))
    account.integrations[number] = row.get("integrations", [])


def _ahead(created: int, now: int) -> float:
    """Seconds until a row that was made while the recording ran comes into being."""
    return max(0.0, (created - now) / SECOND)


def _fill_subscriptions(sandbox: Sandbox, found: Findings, now: int) -> None:
    rows = dict(found.subscriptions)
    for customer_id, entries in found.seen:
        for row in _implied(sandbox, customer_id, entries, rows):
            rows[row["id"]] = row
    for row in sorted(rows.values(), key=lambda row: (_micros(row), row["id"])):
        created, kind = _micros(row), subscriptions.KIND[row["subscription_status"]]
        entities = (row["plan_id"], *dict.fromkeys(found.addons.get(row["id"], ())))
        args = ({**row, "plan": None}, created, _micros(row, "updated_at"), GONE, entities)
        number = sandbox.account.apply("insert_subscription", *args)
        sandbox.account.apply("show_subscription", number, kind, late=_ahead(created, now))


def _implied(sandbox: Sandbox, customer_id: str, entries: list[Json], known: dict[str, Json]) -> Iterator[Json]:
    """Subscriptions that only a usage answer shows: the newest by its id, older ones by the plans of other sources."""
    sources = [source for entry in entries for source in entry["sources"] if source["entity_type"] == "plan"]
    newest = sources[0]["subscription_id"]
    if newest in known:
        return
    anchor, zone = _anchor(entries)
    for place, plan in enumerate(dict.fromkeys(source["entity_id"] for source in sources)):
        row = subscriptions.blank(
            id=newest if place == 0 else f"{newest}_older{place}", customer_id=customer_id, plan_id=plan,
            status="active", type="standalone", anchor=anchor, base=sandbox.account.base, zone=zone,
        )  # fmt: skip
        moment = (FILL_FROM + timedelta(seconds=-place)).isoformat().replace("+00:00", "Z")
        row |= {"created_at": moment, "updated_at": moment}
        yield {key: value for key, value in row.items() if value is not subscriptions.ABSENT}


def _anchor(entries: list[Json]) -> tuple[int, str]:
    """Day and zone are read from the answer itself, so `next_usage_reset_at` of such a customer proves nothing."""
    told = [entry["next_usage_reset_at"] for entry in entries if entry.get("next_usage_reset_at")]
    monthly = next(text for text in told if not text.startswith("0001"))
    moment = datetime.fromisoformat(monthly.replace("Z", "+00:00"))
    zone = ZONES[monthly[19:]]
    return micros(moment.replace(month=10).astimezone(UTC)), zone


def _fill_children(sandbox: Sandbox, found: Findings, number: int) -> None:
    account = sandbox.account
    subscription_id = account.subscriptions.written[number]["id"]
    account.grants[number] = found.grants.get(subscription_id, [])
    for owner, feature_id, figure in found.usage:
        if owner == subscription_id:
            account.apply("put_usage", number, feature_id, Decimal(figure))
