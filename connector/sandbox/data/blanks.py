"""Rows with every column at the server's default.

Promises the keys of contract.md 4 and 6.2 in the server's order. Never reads seeds or tables.
"""

from __future__ import annotations

from connector.sandbox.clock import DAY, stamp
from connector.sandbox.data.catalog import ENVIRONMENT, TENANT, USER
from connector.sandbox.data.periods import period_around
from connector.sandbox.replies import Json

__all__ = ["ABSENT", "TEXTS", "blank_customer", "blank_subscription", "present"]

TEXTS = (
    "external_id", "name", "email", "contact", "address_line1", "address_line2", "address_city", "address_state",
    "address_postal_code", "address_country", "timezone",
)  # fmt: skip
"""The text columns of a customer."""
OWN = ("external_id", "name", "email", "contact", "timezone")
"""Those with a default, a place or an absence of their own; all others are "" when not given."""
TRIAL = 14 * DAY
ABSENT = object()
"""Marks a key that is left out when empty."""


def present(row: Json) -> Json:
    """A row without its absent keys."""
    return {key: value for key, value in row.items() if value is not ABSENT}


def blank_customer(customer_id: str, fields: Json, environment: str, tenant: str, user: str) -> Json:
    """A customer with the given fields; its timestamps are filled in by the table."""
    row: Json = {"id": customer_id, "external_id": fields["external_id"], "name": fields["name"]}
    row["email"] = fields.get("email") or ""
    if fields.get("contact") is not None:
        row["contact"] = fields["contact"]
    row |= {key: fields.get(key) or "" for key in TEXTS if key not in OWN}
    row["timezone"] = fields.get("timezone") or "UTC"
    row |= {"metadata": fields.get("metadata"), "environment_id": environment, "tenant_id": tenant}
    stamps = {"created_at": "", "updated_at": ""}
    return row | {"status": "published"} | stamps | {"created_by": user, "updated_by": user}


def blank_subscription(
    *, id: str, customer_id: str, plan_id: str, status: str, type: str, anchor: int, base: int,
    period: str = "MONTHLY", zone: str = "UTC", stale: bool = False,
) -> Json:  # fmt: skip
    """A subscription with all keys in order; keys that are omitted when empty hold ABSENT."""
    start, end = period_around(anchor, base, 12 if period == "ANNUAL" else 1, zone)
    if stale:
        start, end = period_around(anchor, start - 1, 12 if period == "ANNUAL" else 1, zone)
    trial = status == "trialing"
    if trial:
        start, end = anchor, anchor + TRIAL
    begun = stamp(anchor)
    return {
        "id": id, "lookup_key": ABSENT, "customer_id": customer_id, "plan_id": plan_id, "subscription_status": status,
        "currency": "usd", "billing_anchor": begun, "billing_cycle": "anniversary", "start_date": begun,
        "end_date": ABSENT, "current_period_start": stamp(start), "current_period_end": stamp(end),
        "cancelled_at": ABSENT, "cancel_at": None, "cancel_at_period_end": False,
        "trial_start": begun if trial else None, "trial_end": stamp(end) if trial else None,
        "billing_cadence": "RECURRING", "billing_period": period, "billing_period_count": 1, "version": 1,
        "metadata": ABSENT, "environment_id": ENVIRONMENT, "pause_status": "active" if status == "paused" else "none",
        "active_pause_id": f"pause_{id[5:]}" if status == "paused" else ABSENT, "commitment_amount": ABSENT,
        "commitment_duration": ABSENT, "overage_factor": "1", "payment_behavior": "default_active",
        "collection_method": "send_invoice", "gateway_payment_method_id": "", "timezone": zone or "UTC",
        "proration_behavior": "none", "enable_true_up": False, "invoicing_customer_id": ABSENT,
        "parent_subscription_id": ABSENT, "payment_terms": ABSENT, "subscription_type": type,
        "auto_invoice_threshold": ABSENT, "synced_price_sequence": 16, "tenant_id": TENANT, "status": "published",
        "created_at": "", "updated_at": "", "created_by": USER, "updated_by": USER, "plan": None, "customer": None,
    }  # fmt: skip
