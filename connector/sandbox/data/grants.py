"""Credit grants that are still to come (contract.md 6.5).

Promises one for every credit of every plan that a live subscription has. Never changes state.
"""

from __future__ import annotations

from connector.sandbox.clock import parse_rfc3339, stamp
from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import ENVIRONMENT, TENANT, USER
from connector.sandbox.data.periods import next_anniversary
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import Json

__all__ = ["grants_of"]


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
