"""Usage, entitlements and upcoming grants of a customer (contract.md 6).

Promises the server's own distortions: limits summed over all subscriptions while usage counts for the newest only,
whose id every source carries; nothing from inherited, draft, paused, cancelled or incomplete ones. Never changes
state.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

import msgspec

from connector.sandbox.clock import parse_rfc3339, stamp
from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import ENVIRONMENT, TENANT, USER, Entitlement, Group
from connector.sandbox.data.periods import next_anniversary, next_reset
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import Json

__all__ = ["entitlements_of", "grants_of", "plain", "share", "usage_of"]

SIXTEEN_PLACES = Decimal("1E-16")
_context = Context(prec=60, rounding=ROUND_HALF_UP)
COUNTED_RESETS = ("DAILY", "MONTHLY", "NEVER")


def plain(value: Decimal) -> str:
    """A decimal as Go prints it: no exponent, trailing zeros trimmed."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def share(used: Decimal, limit: int | None) -> str:
    """`usage_percent`, a fraction cut at 16 places; "100" when the limit is not above zero (contract.md 6.1)."""
    if limit is None:
        return "0"
    if limit <= 0:
        return "100"
    return plain(_context.quantize(_context.divide(used, Decimal(limit)), SIXTEEN_PLACES))


def sources_of(account: Account, customer_id: str, wanted: Iterable[str]) -> list[int]:
    """The subscriptions that entitle, newest first."""
    rows = [row for row in account.live(customer_id) if not account.inherited(row)]
    ids = set(wanted)
    return [row for row in rows if account.subscription(row)["id"] in ids] if ids else rows


def entities_of(account: Account, rows: list[int]) -> tuple[str, ...]:
    """The plans and add-ons of subscriptions, in their order."""
    return tuple(entity for row in rows for entity in account.entities_of(row))


def chosen(groups: list[Group], feature_ids: Iterable[str]) -> list[Group]:
    """The groups of the features asked for, all of them when none was named."""
    ids = set(feature_ids)
    return [group for group in groups if group.feature.id in ids] if ids else groups


def _sources(group: Group, subscription_id: str) -> list[msgspec.Raw]:
    head = b'{"subscription_id":"' + subscription_id.encode() + b'",'
    return [msgspec.Raw(head + tail) for tail in group.tails]


# -- entitlements ----------------------------------------------------------------------------------------------------


def entitlements_of(account: Account, customer_id: str, subscription_ids: list[str], feature_ids: list[str]) -> Json:
    """GET /customers/{id}/entitlements: existence is never checked (contract.md 6.2)."""
    rows = sources_of(account, customer_id, subscription_ids)
    subscriptions = [account.subscription(row) for row in rows]
    features = [
        {
            "feature": group.feature.raw,
            "entitlement": _entitlement(account, group),
            "sources": _sources(group, subscriptions[0]["id"]),
        }
        for group in chosen(account.catalog.groups(entities_of(account, rows)), feature_ids)
    ]
    return {"customer_id": customer_id, "subscriptions": subscriptions, "features": features}


def _entitlement(account: Account, group: Group) -> Json:
    body: Json = {"is_enabled": True}
    if group.limit is not None:
        body["usage_limit"] = group.limit
    body["is_soft_limit"] = group.soft
    if group.metered:
        body["usage_reset_period"] = account.reset_of(group.resets)
    static = list(dict.fromkeys(s.static for s in group.sources if s.static))
    config = [s.config for s in group.sources if s.config]
    body |= {"static_values": static} if static else {}
    body |= {"config_values": config} if config else {}
    if group.metered:
        parallel = any(s.mode == "parallel" for s in group.sources)
        body["aggregation_mode"] = "parallel" if parallel else "additive"
        if parallel:
            body["buckets"] = [_bucket(source) for source in group.sources]
    return body


def _bucket(source: Entitlement) -> Json:
    return {"entitlement_id": source.id, "source_entity_id": source.entity_id, **source.bucket}


# -- usage -----------------------------------------------------------------------------------------------------------


def usage_of(
    account: Account, customer_id: str, subscription_ids: list[str], feature_ids: list[str], zeros: bool = False
) -> Json:
    """GET /customers/usage; with `zeros` every figure is a failure that looks like one (contract.md 11)."""
    rows = sources_of(account, customer_id, subscription_ids)
    features: list[Json] = []
    if rows:
        newest = account.subscription(rows[0])
        meter = Meter(account, rows[0], newest, zeros)
        groups = chosen(account.catalog.usage_groups(entities_of(account, rows)), feature_ids)
        features = [_usage(group, meter, newest["id"]) for group in groups]
    return {"customer_id": customer_id, "features": features, "period": None}


def _usage(group: Group, meter: Meter, subscription_id: str) -> Json:
    limit = group.limit
    used, resets_at = meter.read(group) if group.metered else (Decimal(0), None)
    return {
        "feature": group.feature.raw,
        "total_limit": limit,
        "is_unlimited": limit is None,
        "current_usage": plain(used),
        "usage_percent": share(used, limit),
        "is_enabled": True,
        "is_soft_limit": group.soft,
        "next_usage_reset_at": resets_at,
        "sources": _sources(group, subscription_id),
    }


class Meter:
    """What one subscription has used of each feature."""

    def __init__(self, account: Account, row: int, subscription: Json, zeros: bool) -> None:
        self.account, self.row, self.zeros = account, row, zeros
        self.zone = subscription["timezone"]
        self.period = subscription["billing_period"]
        self.anchor = parse_rfc3339(subscription["billing_anchor"]) or 0
        self.ended = (parse_rfc3339(subscription["current_period_end"]) or 0) <= account.base
        self.entities = set(account.entities_of(row))
        self.bits = account.contracts.bits(row) if row < account.contracts.count else 0

    def read(self, group: Group) -> tuple[Decimal, str | None]:
        """The usage of the current window, and when it is reset."""
        now = self.account.now()
        reset = self.account.reset_of(group.resets)
        used = Decimal(0) if self.zeros else self._used(group, reset)
        return used, next_reset(reset, self.anchor, now, self.zone)

    def _used(self, group: Group, reset: str) -> Decimal:
        written = self.account.usage.get((self.row, group.feature.id))
        if written is not None:
            return written
        if not self.bits or self.ended or (reset not in COUNTED_RESETS and reset != self.period):
            return Decimal(0)
        own = [source for source in group.sources if source.entity_id in self.entities]
        return seeded_usage(mix(self.bits ^ group.feature.noise), group, own) if own else Decimal(0)


def seeded_usage(bits: int, group: Group, own: list[Entitlement]) -> Decimal:
    """A figure that looks like a business: one in 16 is zero, one in 8 is over its limit."""
    if bits & 15 == 0:
        return Decimal(0)
    limits = [source.usage_limit for source in own]
    top = sum(limit or 0 for limit in limits) or 10 ** (2 + (bits >> 4 & 3))
    parts = (bits >> 8) % 1_142_857 + 1  # of a million: up to 14 % over
    if group.aggregation in ("COUNT", "COUNT_UNIQUE", "MAX"):
        return Decimal(max(1, top * parts // 1_000_000))
    places = (bits >> 40) % 17
    noise = Decimal((bits >> 24) % 10**places if places else 0).scaleb(-places)
    return _context.add(Decimal(top * parts // 1_000_000), noise)


# -- grants ----------------------------------------------------------------------------------------------------------


def grants_of(account: Account, customer_id: str) -> Json:
    """GET /customers/{id}/grants/upcoming, earliest first (contract.md 6.5)."""
    now = account.now()
    items = [
        grant for row in account.live(customer_id) if not account.inherited(row) for grant in _grants(account, row, now)
    ]
    items.sort(key=lambda grant: parse_rfc3339(grant["scheduled_for"]) or 0)
    return {"items": items, "pagination": {"total": len(items), "limit": 0, "offset": 0}}


def _grants(account: Account, row: int, now: int) -> list[Json]:
    written = account.grants.get(row)
    if written is not None:
        return [grant for grant in written if (parse_rfc3339(grant["scheduled_for"]) or 0) > now]
    entities = account.entities_of(row)
    plan = account.catalog.plans.get(entities[0]) if entities else None
    subscription = account.subscription(row)
    return [_grant(account, row, subscription, place, now) for place in range(len(plan.credits))] if plan else []


def _grant(account: Account, row: int, subscription: Json, place: int, now: int) -> Json:
    credit = account.catalog.plans[subscription["plan_id"]].credits[place]
    bits = mix(account.seed * 7 + row * 4 + place)
    anchor, zone = parse_rfc3339(subscription["billing_anchor"]) or 0, subscription["timezone"]
    due = next_anniversary(anchor, now, 1, zone)
    recurring = credit.reason == "recurring_credit_grant"
    failed = bits & 15 == 0
    millis = account.subscriptions.column("created_at")[row] // 1000
    body: Json = {
        "id": f"cga_{ulid(millis, row * 4 + place, mix(bits ^ due))}",  # another one for every period
        "environment_id": ENVIRONMENT,
        "credit_grant_id": f"cg_{ulid(millis, row * 4 + place, bits >> 8)}",
        "subscription_id": subscription["id"],
        "scheduled_for": stamp(due),
        "period_start": stamp(due),
    }
    if recurring:
        body["period_end"] = stamp(next_anniversary(anchor, due, 1, zone))
    body |= {
        "application_status": "failed" if failed else "pending",
        "credits": credit.credits,
        "application_reason": credit.reason,
        "subscription_status_at_application": subscription["subscription_status"],
    }
    if failed:
        body |= {"retry_count": 1 + (bits >> 4) % 3, "failure_reason": "payment method missing"}
    if bits >> 8 & 7 == 0:
        body["metadata"] = {"campaign": "spring & <more>"}
    if bits >> 11 & 1:
        body["idempotency_key"] = f"{bits >> 12:013x}"
    when = subscription["created_at"]
    return body | {
        "tenant_id": TENANT, "status": "published", "created_at": when, "updated_at": when,
        "created_by": USER, "updated_by": USER,
    }  # fmt: skip
