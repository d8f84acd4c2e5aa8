"""What a customer has used, beside its limits (contract.md 6.1).

Promises the server's own distortion: limits are summed over all subscriptions, usage counts for the newest only.
Never changes state.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from connector.sandbox.clock import parse_rfc3339
from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import Entitlement, Group
from connector.sandbox.data.periods import next_reset
from connector.sandbox.data.sources import entities_of, selected, source_list, sources_of
from connector.sandbox.ids import mix
from connector.sandbox.replies import Json

__all__ = ["Meter", "format_decimal", "seeded_usage", "usage_of", "usage_percent"]

SIXTEEN_DECIMALS = Decimal("1E-16")
_context = Context(prec=60, rounding=ROUND_HALF_UP)
COUNTED_RESETS = ("DAILY", "MONTHLY", "NEVER")


def format_decimal(value: Decimal) -> str:
    """A decimal as Go prints it: no exponent, trailing zeros trimmed."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def usage_percent(used: Decimal, limit: int | None) -> str:
    """`usage_percent`, a fraction cut at 16 decimals; "100" when the limit is not above zero (contract.md 6.1)."""
    if limit is None:
        return "0"
    if limit <= 0:
        return "100"
    return format_decimal(_context.quantize(_context.divide(used, Decimal(limit)), SIXTEEN_DECIMALS))


def usage_of(account: Account, customer_id: str, subscription_ids: list[str], feature_ids: list[str]) -> Json:
    """GET /customers/usage (contract.md 6.1)."""
    rows = sources_of(account, customer_id, subscription_ids)
    features: list[Json] = []
    if rows:
        newest = account.subscription(rows[0])
        meter = Meter(account, rows[0], newest)
        groups = selected(account.catalog.usage_groups(entities_of(account, rows)), feature_ids)
        features = [_usage(group, meter, newest["id"]) for group in groups]
    return {"customer_id": customer_id, "features": features, "period": None}


def _usage(group: Group, meter: Meter, subscription_id: str) -> Json:
    limit = group.limit
    used, resets_at = meter.read(group) if group.metered else (Decimal(0), None)
    return {
        "feature": group.feature.raw,
        "total_limit": limit,
        "is_unlimited": limit is None,
        "current_usage": format_decimal(used),
        "usage_percent": usage_percent(used, limit),
        "is_enabled": True,
        "is_soft_limit": group.soft,
        "next_usage_reset_at": resets_at,
        "sources": source_list(group, subscription_id),
    }


class Meter:
    """What one subscription has used of each feature."""

    def __init__(self, account: Account, row: int, subscription: Json) -> None:
        self.account, self.row = account, row
        self.zone = subscription["timezone"]
        self.period = subscription["billing_period"]
        self.anchor = parse_rfc3339(subscription["billing_anchor"]) or 0
        self.ended = (parse_rfc3339(subscription["current_period_end"]) or 0) <= account.base
        self.entities = set(account.entities_of(row))
        self.bits = account.generated_subscriptions.bits(row) if row < account.generated_subscriptions.count else 0

    def read(self, group: Group) -> tuple[Decimal, str | None]:
        """The usage of the current window, and when it is reset."""
        now = self.account.now()
        reset = self.account.reset_of(group.resets)
        return self.used(group, reset), next_reset(reset, self.anchor, now, self.zone)

    def counts(self, reset: str) -> bool:
        """Whether usage with this reset period is counted at all (contract.md 6.1)."""
        return reset in COUNTED_RESETS or reset == self.period

    def used(self, group: Group, reset: str) -> Decimal:
        """The usage of the window that a reset period has now."""
        written = self.account.usage.get((self.row, group.feature.id), {})
        if reset in written or "" in written:
            return written.get(reset, written.get("", Decimal(0)))
        if not self.bits or self.ended or not self.counts(reset):
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
    decimals = (bits >> 40) % 17
    noise = Decimal((bits >> 24) % 10**decimals if decimals else 0).scaleb(-decimals)
    return _context.add(Decimal(top * parts // 1_000_000), noise)
