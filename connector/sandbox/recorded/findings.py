"""What the recorded bodies show: the account's objects by id, and its catalogue.

Promises that an object is kept as it was first seen, a feature as it was seen most fully. Never invents one.
"""

from __future__ import annotations

import msgspec

from connector.sandbox.clock import parse_rfc3339
from connector.sandbox.data.catalog import Catalog, Entitlement, Plan, make_feature
from connector.sandbox.recorded.exchanges import Exchange, body_of, objects_in
from connector.sandbox.replies import Json, encode

__all__ = ["Findings"]

FLOW = "rec-"
"""External ids of the customers that the recorded requests themselves make."""


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
            body = body_of(exchange)
            for value in objects_in(body):
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
        shown = entry.get("entitlement", {"is_soft_limit": entry.get("is_soft_limit")})
        buckets = {bucket["entitlement_id"]: bucket for bucket in shown.get("buckets", ())}
        for source in entry["sources"]:
            known = self.terms.setdefault(source["entitlement_id"], {})
            if len(entry["sources"]) == 1:
                known |= {"soft": shown["is_soft_limit"]}
            if "usage_reset_period" in shown and ("reset" not in known or len(entry["sources"]) == 1):
                known["reset"] = shown["usage_reset_period"]
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
