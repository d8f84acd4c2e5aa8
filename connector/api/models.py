"""The objects of the API as typed structs, for programs that call it directly.

Promised: names are the API's own; amounts are `Decimal`, never floats; timestamps are aware datetimes; unknown keys
are ignored and missing optional ones get a default, so older and newer servers both fit (contract.md 8.2).
Never done: I/O, or filling tables: `connector.tables` reads the raw bodies.

Timestamps: up to nine fraction digits arrive (POST's answer, contract.md 4) and are kept to the microsecond. Year 1
(``0001-01-01T00:00:00Z``, "never") stays the datetime that the server sent; in tables it is NULL.
Enumerations are plain text: a value that a newer server adds must not make a body unreadable.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.api.fields import CustomerFields, Identity, Object

__all__ = [
    "Aggregation",
    "Bucket",
    "Customer",
    "CustomerPage",
    "Entitlement",
    "Entitlements",
    "Feature",
    "FeatureEntitlement",
    "FeatureUsage",
    "Grant",
    "Integration",
    "Meter",
    "MeterFilter",
    "Pagination",
    "ReportingUnit",
    "Source",
    "Subscription",
    "SubscriptionPage",
    "UpcomingGrants",
    "UsageSummary",
]


class _Record(Identity, frozen=True, kw_only=True):
    """The fields that every stored object has."""

    tenant_id: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: str = ""
    updated_by: str = ""


class Integration(_Record, frozen=True, kw_only=True):
    """A customer's identity in another system; only with ``expand="integrations"`` (contract.md 3.9)."""

    entity_id: str = ""
    entity_type: str = ""
    provider_type: str = ""
    provider_entity_id: str = ""
    metadata: dict[str, Any] | None = None


class Customer(CustomerFields, frozen=True, kw_only=True):
    """A customer (contract.md 4). `metadata` is None where the server holds null, a text where it sends none."""

    # As in _Record: a struct has one base, and this one shares its fields with the import.
    tenant_id: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: str = ""
    updated_by: str = ""
    integrations: tuple[Integration, ...] = ()


class Pagination(Object, frozen=True, kw_only=True):
    """Counts of a listing. `offset` is the next offset, not the one asked for (contract.md 3.2)."""

    total: int = 0
    limit: int = 0
    offset: int = 0


class CustomerPage(Object, frozen=True, kw_only=True):
    """One page of customers; the last one has fewer than `limit` items."""

    items: tuple[Customer, ...]
    pagination: Pagination = Pagination()


class ReportingUnit(Object, frozen=True, kw_only=True):
    """The unit in which a feature's quantity is displayed (contract.md 6.3)."""

    unit_singular: str = ""
    unit_plural: str = ""
    conversion_rate: Decimal | None = None


class Aggregation(Object, frozen=True, kw_only=True):
    """How a meter turns events into a quantity."""

    type: str = ""
    field: str = ""
    expression: str = ""
    multiplier: Decimal | None = None
    bucket_size: str = ""
    group_by: str = ""


class MeterFilter(Object, frozen=True, kw_only=True):
    """Which events a meter counts."""

    key: str = ""
    values: tuple[str, ...] | None = ()


class Meter(_Record, frozen=True, kw_only=True):
    """What a metered feature counts (contract.md 6.3)."""

    name: str = ""
    event_name: str = ""
    aggregation: Aggregation = Aggregation()
    filters: tuple[MeterFilter, ...] | None = ()
    reset_usage: str = ""


class Feature(_Record, frozen=True, kw_only=True):
    """A feature; `type` is metered, boolean, static or config (contract.md 6.3)."""

    name: str = ""
    lookup_key: str = ""
    description: str = ""
    type: str = ""
    meter_id: str = ""
    meter: Meter | None = None
    metadata: dict[str, str] | None = None
    unit_singular: str = ""
    unit_plural: str = ""
    reporting_unit: ReportingUnit | None = None
    alert_settings: dict[str, Any] | None = None
    group_id: str = ""


class Source(Object, frozen=True, kw_only=True):
    """Where an entitlement comes from. `subscription_id` is always the newest one's (contract.md 6.4)."""

    subscription_id: str = ""
    entity_id: str = ""
    entity_type: str = ""
    entity_name: str = ""
    entitlement_id: str = ""
    quantity: int = 0
    is_enabled: bool = False
    usage_limit: int | None = None
    usage_reset_period: str = ""
    static_value: str = ""
    config_value: dict[str, Any] | None = None


class FeatureUsage(Object, frozen=True, kw_only=True):
    """Usage of one feature in the running period (contract.md 6.1).

    `usage_percent` is a fraction: 0.3333 is 33.33 %. `current_usage` 0 may also mean that the server's query failed.
    """

    feature: Feature
    current_usage: Decimal = Decimal(0)
    usage_percent: Decimal = Decimal(0)
    total_limit: int | None = None
    is_unlimited: bool = False
    is_enabled: bool = False
    is_soft_limit: bool = False
    next_usage_reset_at: datetime | None = None
    sources: tuple[Source, ...] | None = ()


class UsageSummary(Object, frozen=True, kw_only=True):
    """What a customer has used; a snapshot, not a history (contract.md 6.1)."""

    customer_id: str
    features: tuple[FeatureUsage, ...] = ()


class Bucket(Object, frozen=True, kw_only=True):
    """One of several entitlements that run side by side (`aggregation_mode` parallel, contract.md 6.2)."""

    entitlement_id: str = ""
    source_entity_id: str = ""
    usage_limit: int | None = None
    grant_measure: str = ""
    grant_quota: Decimal | None = None
    grant_duration_value: int | None = None
    grant_duration_unit: str = ""


class Entitlement(Object, frozen=True, kw_only=True):
    """What a customer may use of one feature; `usage_limit` None is unlimited or not metered (contract.md 6.2)."""

    is_enabled: bool = False
    is_soft_limit: bool = False
    usage_limit: int | None = None
    usage_reset_period: str = ""
    static_values: tuple[str, ...] = ()
    config_values: tuple[dict[str, Any], ...] = ()
    aggregation_mode: str = ""
    buckets: tuple[Bucket, ...] = ()


class FeatureEntitlement(Object, frozen=True, kw_only=True):
    """A feature, its entitlement, and where the entitlement comes from."""

    feature: Feature
    entitlement: Entitlement = Entitlement()
    sources: tuple[Source, ...] | None = ()


class Subscription(_Record, frozen=True, kw_only=True):
    """A subscription (contract.md 6.2). `plan` is set by search_subscriptions only, as the server sends it."""

    customer_id: str = ""
    plan_id: str = ""
    subscription_status: str = ""
    subscription_type: str = ""
    lookup_key: str = ""
    currency: str = ""
    timezone: str = ""
    billing_anchor: datetime | None = None
    billing_cycle: str = ""
    billing_cadence: str = ""
    billing_period: str = ""
    billing_period_count: int = 0
    start_date: datetime | None = None
    end_date: datetime | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_at: datetime | None = None
    cancel_at_period_end: bool = False
    pause_status: str = ""
    payment_behavior: str = ""
    payment_terms: str = ""
    collection_method: str = ""
    proration_behavior: str = ""
    commitment_amount: Decimal | None = None
    commitment_duration: str = ""
    overage_factor: Decimal | None = None
    auto_invoice_threshold: Decimal | None = None
    enable_true_up: bool = False
    parent_subscription_id: str = ""
    invoicing_customer_id: str = ""
    version: int = 0
    metadata: dict[str, str] | None = None
    plan: dict[str, Any] | None = None


class SubscriptionPage(Object, frozen=True, kw_only=True):
    """One page of subscriptions."""

    items: tuple[Subscription, ...]
    pagination: Pagination = Pagination()


class Entitlements(Object, frozen=True, kw_only=True):
    """What a customer may use. For an unknown customer the lists are empty (contract.md 6.2)."""

    customer_id: str
    subscriptions: tuple[Subscription, ...] = ()
    features: tuple[FeatureEntitlement, ...] = ()


class Grant(_Record, frozen=True, kw_only=True):
    """A credit grant that is due (contract.md 6.5)."""

    credit_grant_id: str = ""
    subscription_id: str = ""
    scheduled_for: datetime | None = None
    applied_at: datetime | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    application_status: str = ""
    application_reason: str = ""
    subscription_status_at_application: str = ""
    credits: Decimal = Decimal(0)
    retry_count: int = 0
    failure_reason: str = ""
    idempotency_key: str = ""
    metadata: dict[str, Any] | None = None


class UpcomingGrants(Object, frozen=True, kw_only=True):
    """All grants that are due, earliest first; there is no paging (contract.md 6.5)."""

    items: tuple[Grant, ...]
    pagination: Pagination = Pagination()
