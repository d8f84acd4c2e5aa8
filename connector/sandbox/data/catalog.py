"""What the account sells: features, plans, add-ons, entitlements, credits.

Promises that a catalogue never changes once built, so that its JSON is encoded once. Never knows a customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from zlib import crc32

import msgspec

from connector.sandbox.clock import DAY, SECOND, stamp
from connector.sandbox.data.offers import FEATURES, PLANS
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import Json, encode

__all__ = ["Catalog", "Credit", "Entitlement", "Feature", "Group", "Plan", "seeded"]

ENVIRONMENT = "env_01J0000000000000000000000B"
TENANT = "tenant_01J0000000000000000000000A"
USER = "user_01J0000000000000000000000C"

TYPE_RANK = {"metered": 0, "static": 1, "boolean": 2, "config": 3}
"""The order of features in a usage answer (contract.md 6.1)."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature, as sent (contract.md 6.3)."""

    body: Json
    raw: msgspec.Raw
    created: int

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.body["id"])

    @property
    def metered(self) -> bool:
        """Whether usage is counted for it."""
        return bool(self.body["type"] == "metered")

    @property
    def aggregation(self) -> str:
        """How its meter aggregates events."""
        meter = self.body.get("meter")
        return str(meter["aggregation"]["type"]) if meter else ""

    @property
    def noise(self) -> int:
        """A number derived from its lookup key: the same on any date, unlike its id and `created`."""
        return crc32(self.body["lookup_key"].encode())


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What one plan, add-on or subscription grants of one feature."""

    id: str
    feature_id: str
    entity_id: str
    entity_type: str = "plan"
    entity_name: str = ""
    usage_limit: int | None = None
    reset: str = ""
    soft: bool = False
    static: str = ""
    config: Json | None = None
    mode: str = "additive"
    bucket: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credit:
    """A recurring or one-time credit grant of a plan."""

    credits: str
    reason: str = "recurring_credit_grant"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan and what it grants; an add-on is one without a body."""

    id: str
    name: str
    entitlements: tuple[Entitlement, ...]
    credits: tuple[Credit, ...] = ()
    raw: msgspec.Raw = field(default_factory=lambda: msgspec.Raw(b"null"))
    sequence: int = 16


class Group:
    """One feature with everything that a set of subscriptions grants of it, newest subscription first.

    Attributes:
        limit: the sum over sources; None when any is unlimited or the feature is not metered.
        soft: true if any source is soft.
        resets: the most common reset periods; more than one is a tie, which the server breaks at random.
        tails: each source's JSON but for its subscription id.
    """

    def __init__(self, feature: Feature, sources: Sequence[Entitlement]) -> None:
        self.feature, self.sources, self.metered = feature, sources, feature.metered
        limits = [source.usage_limit for source in sources if source.usage_limit is not None]
        self.limit = sum(limits) if self.metered and len(limits) == len(sources) else None
        self.soft = any(source.soft for source in sources)
        self.resets = _most_common([source.reset for source in sources])
        self.tails = [source_tail(source) for source in sources]
        self.aggregation = feature.aggregation


def _most_common(texts: list[str]) -> list[str]:
    most = max(map(texts.count, texts))
    return [text for text in dict.fromkeys(texts) if texts.count(text) == most]


class Catalog:
    """Features and plans by id, and the groups that combinations of plans make."""

    def __init__(self, features: Iterable[Feature], plans: Iterable[Plan]) -> None:
        self.features = {feature.id: feature for feature in features}
        self.by_key = {feature.body["lookup_key"]: feature for feature in self.features.values()}
        self.plans = {plan.id: plan for plan in plans}
        self._groups: dict[tuple[str, ...], list[Group]] = {}
        self._usage_groups: dict[tuple[str, ...], list[Group]] = {}

    def groups(self, entities: tuple[str, ...]) -> list[Group]:
        """The features that plans and add-ons grant together, by creation, newest feature first (as recorded)."""
        found = self._groups.get(entities)
        if found is None:
            found = self._groups[entities] = self._group(entities)
        return found

    def usage_groups(self, entities: tuple[str, ...]) -> list[Group]:
        """The same in the order of a usage answer: by type, then name (contract.md 6.1)."""
        found = self._usage_groups.get(entities)
        if found is None:
            found = self._usage_groups[entities] = sorted(self.groups(entities), key=_usage_order)
        return found

    def _group(self, entities: Sequence[str]) -> list[Group]:
        parts: dict[str, list[Entitlement]] = {}
        for entity in entities:
            for entitlement in self.plans[entity].entitlements if entity in self.plans else ():
                parts.setdefault(entitlement.feature_id, []).append(entitlement)
        groups = [Group(self.features[feature], sources) for feature, sources in parts.items()]
        return sorted(groups, key=lambda group: (-group.feature.created, group.feature.id))

    def renamed(self, thing_id: str, name: str, now: int) -> Catalog:
        """A catalogue in which one plan, add-on or feature has another name since `now`; its lookup key stays.

        Raises:
            KeyError: when nothing has this id.
        """
        if thing_id in self.features:
            feature = self.features[thing_id]
            body = {**feature.body, "name": name, "updated_at": stamp(now)}
            return Catalog(
                ({**self.features, thing_id: make_feature(body, feature.created)}).values(), self.plans.values()
            )
        plan = _renamed_plan(self.plans[thing_id], name, now)
        return Catalog(self.features.values(), ({**self.plans, thing_id: plan}).values())


def _renamed_plan(plan: Plan, name: str, now: int) -> Plan:
    body = {**msgspec.json.decode(plan.raw), "name": name, "updated_at": stamp(now)}
    entitlements = tuple(replace(entitlement, entity_name=name) for entitlement in plan.entitlements)
    return replace(plan, name=name, entitlements=entitlements, raw=msgspec.Raw(encode(body)))


def _usage_order(group: Group) -> tuple[int, str]:
    return TYPE_RANK[group.feature.body["type"]], group.feature.body["name"]


def source_tail(entitlement: Entitlement) -> bytes:
    """A source without its subscription id, which differs by customer (contract.md 6.4)."""
    body: Json = {
        "entity_id": entitlement.entity_id,
        "entity_type": entitlement.entity_type,
        "quantity": 1,
        "entity_name": entitlement.entity_name,
        "entitlement_id": entitlement.id,
        "is_enabled": True,
    }
    if entitlement.usage_limit is not None:
        body["usage_limit"] = entitlement.usage_limit
    if entitlement.static:
        body["static_value"] = entitlement.static
    if entitlement.config:
        body["config_value"] = entitlement.config
    return encode(body)[1:]


def audit(created: int, updated: int | None = None) -> Json:
    """The trailing keys that most objects share."""
    when = stamp(created)
    return {
        "status": "published",
        "created_at": when,
        "updated_at": when if updated is None else stamp(updated),
        "created_by": USER,
        "updated_by": USER,
    }


@lru_cache(maxsize=32)
def seeded(seed: int, created: int) -> Catalog:
    """The catalogue of a seed, dated `created`."""
    features = [_feature(seed, number, created + number * 315_337_011) for number in range(len(FEATURES))]
    ids = {feature.body["lookup_key"]: feature.id for feature in features}
    plans = [_plan(seed, number, created + DAY + number * 77 * SECOND, ids) for number in range(len(PLANS))]
    return Catalog(features, plans)


def make_feature(body: Json, created: int) -> Feature:
    """A feature from its body."""
    return Feature(body, msgspec.Raw(encode(body)), created)


def _feature(seed: int, number: int, created: int) -> Feature:
    key, name, type_, extra = FEATURES[number]
    tag = ulid(created // 1000, number, mix(seed * 31 + number))
    meter_id = f"meter_{tag}" if type_ == "metered" else ""
    units = extra.get("units", ("", ""))
    body: Json = {
        "id": f"feat_{tag}", "name": name, "lookup_key": key, "description": extra.get("description", ""),
        "meter_id": meter_id, "metadata": extra.get("metadata"), "type": type_,
        "unit_singular": units[0], "unit_plural": units[1],
    }  # fmt: skip
    body |= {key: extra[key] for key in ("reporting_unit", "alert_settings", "group_id") if key in extra}
    body |= {"environment_id": ENVIRONMENT, "tenant_id": TENANT, **audit(created)}
    if meter_id:
        body["meter"] = _meter(meter_id, name, key, extra, stamp(created - 464))
    return make_feature(body, created)


def _meter(meter_id: str, name: str, key: str, extra: Json, when: str) -> Json:
    return {
        "id": meter_id, "name": name.lower(), "tenant_id": TENANT, "event_name": f"{key}_event",
        "aggregation": extra["aggregation"], "filters": extra.get("filters", []),
        "reset_usage": extra.get("reset_usage", "BILLING_PERIOD"),
        "created_at": when, "updated_at": when, "status": "published",
    }  # fmt: skip


def _plan(seed: int, number: int, created: int, features: dict[str, str]) -> Plan:
    name, credits, grants = PLANS[number]
    kind = "plan" if name else "addon"
    plan_id = f"{kind}_{ulid(created // 1000, number, mix(seed * 37 + number))}"
    entitlements = tuple(
        Entitlement(
            id=f"ent_{ulid(created // 1000 + index, number * 64 + index, mix(seed + index))}",
            feature_id=features[key], entity_id=plan_id, entity_type=kind, entity_name=name, **rest,
        )
        for index, (key, rest) in enumerate(grants)
    )  # fmt: skip
    body = {
        "id": plan_id, "name": name, "lookup_key": name.split(" ")[0].lower(), "description": "",
        "environment_id": ENVIRONMENT, "metadata": None, "display_order": 0, "tenant_id": TENANT, **audit(created),
    }  # fmt: skip
    credit = tuple(
        Credit(c, "onetime_credit_grant" if index else "recurring_credit_grant") for index, c in enumerate(credits)
    )
    return Plan(plan_id, name, entitlements, credit, msgspec.Raw(encode(body)), 16 + 4 * number)
