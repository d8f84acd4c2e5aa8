"""Every table that Flexsync fills: columns, types, units, keys and meanings, declared once.

Arrow schemas, the store's DDL, the typed reading of JSON and ``docs/tables.md`` are all made from `TABLES`. Promised:
column names are the API's own; the year-1 "never" is NULL. Never done here: reading, casting or storing anything.
"""

from __future__ import annotations

from connector.tables.columns import (
    BOOL,
    DECIMAL,
    DUCKDB_TYPES,
    INT,
    JSON,
    MAP,
    STAMPS,
    TEXT,
    TEXTS,
    TIME,
    Column,
    Table,
    arrow_type,
    made,
    read,
    texts,
)

__all__ = [
    "BOOL", "CUSTOMERS", "CUSTOMER_ID", "CUSTOMER_INTEGRATIONS", "DECIMAL", "DUCKDB_TYPES", "ENTITLEMENTS",
    "ENTITLEMENT_BUCKETS", "ENTITLEMENT_SOURCES", "FEATURES", "INT", "JSON", "MAP", "SCHEMA_VERSION", "STAMPS",
    "SUBSCRIPTIONS", "SUBSCRIPTION_USAGE", "TABLES", "TEXT", "TEXTS", "TIME", "UPCOMING_GRANTS", "USAGE",
    "USAGE_SOURCES", "Column", "Table", "arrow_type",
]  # fmt: skip

SCHEMA_VERSION = 4  # of the store, its internal tables and the publications

EXTRA = made(JSON, "extra", "fields that this version does not know, as a JSON object; NULL when there are none")
AUDIT = (
    read(TIME, "created_at", "creation, by the server's clock; never changes"),
    read(TIME, "updated_at", "last write, by the server's clock"),
    read(TEXT, "created_by", "user id; empty when unknown"),
    read(TEXT, "updated_by", "user id; empty when unknown"),
)
PLACE = (
    read(TEXT, "environment_id", "environment that the row belongs to"),
    read(TEXT, "tenant_id", "tenant that the row belongs to"),
    read(TEXT, "status", "published, archived or deleted"),
)
FEATURE_ID = made(TEXT, "feature_id", "feature, see features.id")
CUSTOMER_ID = made(TEXT, "customer_id", "customer, see customers.id")
ORDINAL = made(INT, "ordinal", "place in the answer's list, from 0")

CUSTOMERS = Table(
    "customers",
    ("id",),
    (
        read(TEXT, "id", "customer id"),
        read(TEXT, "external_id", "the caller's id; unique among published customers only"),
        *texts("name email"),
        read(TEXT, "contact", "telephone; NULL when never set"),
        *texts("address_line1 address_line2 address_city address_state address_postal_code address_country"),
        read(TEXT, "timezone", "IANA zone"),
        read(MAP, "metadata", "free keys; NULL and empty are different things"),
        *PLACE,
        *AUDIT,
        made(TIME, "gone_at", "when a full walk proved that the row no longer exists; NULL while it does"),
        EXTRA,
    ),
    "POST /customers/search",
)

CUSTOMER_INTEGRATIONS = Table(
    "customer_integrations",
    ("id",),
    (
        read(TEXT, "id", "mapping id"),
        read(TEXT, "entity_id", "customer, see customers.id"),
        *texts("entity_type provider_type provider_entity_id"),
        read(JSON, "metadata", "any JSON object, as text"),
        *PLACE,
        *AUDIT,
        EXTRA,
    ),
    "POST /customers/search, expand=integrations; refreshed by full walks",
    owner="entity_id",
)

SUBSCRIPTIONS = Table(
    "subscriptions",
    ("id",),
    (
        read(TEXT, "id", "subscription id"),
        *texts("lookup_key customer_id plan_id"),
        read(TEXT, "plan_name", "name of the plan", "plan.name"),
        read(TEXT, "plan_lookup_key", "lookup key of the plan", "plan.lookup_key"),
        read(TEXT, "subscription_status", "active, paused, cancelled, incomplete, trialing or draft"),
        read(TEXT, "currency", "ISO code, lower case"),
        read(TIME, "billing_anchor", "moment that periods are counted from"),
        read(TEXT, "billing_cycle", "anniversary or calendar"),
        read(TIME, "start_date", "start"),
        read(TIME, "end_date", "end, NULL while open"),
        read(TIME, "current_period_start", "start of the running period"),
        read(TIME, "current_period_end", "end of the running period; may lie in the past until the server moves it"),
        read(TIME, "cancelled_at", "when it was cancelled"),
        read(TIME, "cancel_at", "when it will be, or was, cancelled"),
        read(BOOL, "cancel_at_period_end", "ends with the period"),
        read(TIME, "trial_start", "start of the trial"),
        read(TIME, "trial_end", "end of the trial"),
        *texts("billing_cadence billing_period"),
        read(INT, "billing_period_count", "periods per billing"),
        read(INT, "version", "the server's row version"),
        read(MAP, "metadata", "free keys"),
        read(TEXT, "pause_status", "none, active, scheduled, completed or cancelled"),
        read(TEXT, "active_pause_id", "pause in force"),
        read(DECIMAL, "commitment_amount", "committed amount, in units of `currency`"),
        read(TEXT, "commitment_duration", "period that the commitment covers"),
        read(DECIMAL, "overage_factor", "factor on prices beyond the commitment"),
        *texts("payment_behavior collection_method gateway_payment_method_id timezone proration_behavior"),
        read(BOOL, "enable_true_up", "bills up to the commitment"),
        *texts("invoicing_customer_id parent_subscription_id payment_terms"),
        read(TEXT, "subscription_type", "standalone, delegated_invoicing, parent, inherited or grouped_invoicing"),
        read(DECIMAL, "auto_invoice_threshold", "amount that triggers an invoice, in units of `currency`"),
        read(INT, "synced_price_sequence", "the server's price sequence number"),
        *PLACE,
        *AUDIT,
        made(TIME, "gone_at", "when the row could no longer be read by its id in any status; NULL while it could"),
        EXTRA,
    ),
    "POST /subscriptions/search, every status",
)

FEATURES = Table(
    "features",
    ("id",),
    (
        read(TEXT, "id", "feature id"),
        *texts("name lookup_key description"),
        read(TEXT, "meter_id", "meter; empty when not metered"),
        read(MAP, "metadata", "free keys"),
        read(TEXT, "type", "metered, boolean, static or config"),
        *texts("unit_singular unit_plural"),
        read(TEXT, "reporting_unit_singular", "unit that reports use", "reporting_unit.unit_singular"),
        read(TEXT, "reporting_unit_plural", "unit that reports use, plural", "reporting_unit.unit_plural"),
        read(DECIMAL, "reporting_unit_conversion_rate", "reporting units per unit", "reporting_unit.conversion_rate"),
        read(JSON, "alert_settings", "thresholds, as JSON"),
        read(TEXT, "group_id", "group"),
        *PLACE,
        *AUDIT,
        read(TEXT, "meter_name", "name of the meter", "meter.name"),
        read(TEXT, "meter_event_name", "event that the meter counts", "meter.event_name"),
        read(TEXT, "meter_aggregation_type", "COUNT, SUM, MAX …", "meter.aggregation.type"),
        read(TEXT, "meter_aggregation_field", "event property that is aggregated", "meter.aggregation.field"),
        read(TEXT, "meter_aggregation_expression", "expression over properties", "meter.aggregation.expression"),
        read(DECIMAL, "meter_aggregation_multiplier", "factor on the sum", "meter.aggregation.multiplier"),
        read(TEXT, "meter_aggregation_bucket_size", "bucket of time", "meter.aggregation.bucket_size"),
        read(JSON, "meter_aggregation_group_by", "grouping, as JSON", "meter.aggregation.group_by"),
        read(JSON, "meter_filters", "list of key and values, as JSON", "meter.filters"),
        read(TEXT, "meter_reset_usage", "BILLING_PERIOD or NEVER", "meter.reset_usage"),
        read(TEXT, "meter_status", "status of the meter", "meter.status"),
        read(TIME, "meter_created_at", "creation of the meter", "meter.created_at"),
        read(TIME, "meter_updated_at", "last write of the meter", "meter.updated_at"),
        EXTRA,
    ),
    "the usage and entitlements bodies, newest updated_at wins",
)

_SOURCE = (
    CUSTOMER_ID,
    FEATURE_ID,
    ORDINAL,
    read(TEXT, "subscription_id", "as sent: always the newest subscription's, whichever the source belongs to"),
    read(TEXT, "entity_id", "plan, add-on or subscription that grants it"),
    read(TEXT, "entity_type", "plan, addon or subscription"),
    read(INT, "quantity", "always 1 in this API"),
    read(TEXT, "entity_name", "name of the plan; empty for add-ons and subscriptions"),
    read(TEXT, "entitlement_id", "entitlement"),
    read(BOOL, "is_enabled", "granted"),
    read(INT, "usage_limit", "units granted; NULL = no limit, or not metered"),
    read(TEXT, "static_value", "value of a static feature"),
    read(JSON, "config_value", "value of a config feature, as JSON"),
    read(TEXT, "usage_reset_period", "documented, never sent so far"),
    EXTRA,
)

ENTITLEMENTS = Table(
    "entitlements",
    ("customer_id", "feature_id"),
    (
        CUSTOMER_ID,
        FEATURE_ID,
        read(BOOL, "is_enabled", "granted", "entitlement.is_enabled"),
        read(INT, "usage_limit", "sum over sources, in units; NULL = unlimited", "entitlement.usage_limit"),
        read(BOOL, "is_soft_limit", "usage may pass the limit", "entitlement.is_soft_limit"),
        read(TEXT, "usage_reset_period", "DAILY … NEVER, metered only", "entitlement.usage_reset_period"),
        read(TEXTS, "static_values", "values of a static feature", "entitlement.static_values"),
        read(JSON, "config_values", "values of a config feature, as a JSON list", "entitlement.config_values"),
        read(TEXT, "aggregation_mode", "additive or parallel, metered only", "entitlement.aggregation_mode"),
        EXTRA,
    ),
    "GET /customers/{id}/entitlements",
    owner="customer_id",
)

ENTITLEMENT_SOURCES = Table(
    "entitlement_sources",
    ("customer_id", "feature_id", "ordinal"),
    _SOURCE,
    "GET /customers/{id}/entitlements",
    owner="customer_id",
)

ENTITLEMENT_BUCKETS = Table(
    "entitlement_buckets",
    ("customer_id", "feature_id", "ordinal"),
    (
        CUSTOMER_ID,
        FEATURE_ID,
        ORDINAL,
        read(TEXT, "entitlement_id", "entitlement"),
        read(TEXT, "source_entity_id", "plan, add-on or subscription"),
        read(INT, "usage_limit", "units; NULL = unlimited"),
        read(TEXT, "grant_measure", "quantity or amount"),
        read(DECIMAL, "grant_quota", "units, or amount, granted each time"),
        read(INT, "grant_duration_value", "length, in `grant_duration_unit`"),
        read(TEXT, "grant_duration_unit", "hour, day, week or subscription_period"),
        EXTRA,
    ),
    "GET /customers/{id}/entitlements, parallel features only",
    owner="customer_id",
)

_FIGURES = (
    read(INT, "total_limit", "units; NULL = no limit, or not metered"),
    read(BOOL, "is_unlimited", "true exactly when total_limit is NULL, so for unmetered features too"),
    read(DECIMAL, "current_usage", "units used in the running window; 0 for unmetered features"),
    read(DECIMAL, "usage_percent", "a fraction in spite of its name (0.5 = half); 100 where the limit is 0 or less"),
    read(BOOL, "is_enabled", "granted"),
    read(BOOL, "is_soft_limit", "usage may pass the limit"),
    read(TIME, "next_usage_reset_at", "end of the window; NULL = not sent: neither DAILY nor MONTHLY, or not metered"),
    made(BOOL, "never_resets", "the server sent year 1 for next_usage_reset_at: the usage is counted from the start"),
    made(TIME, "current_period_start", "of the subscription that was counted, as known when asked"),
    EXTRA,
)

USAGE = Table(
    "usage",
    ("customer_id", "feature_id"),
    (
        CUSTOMER_ID,
        FEATURE_ID,
        made(TEXT, "subscription_id", "the one subscription whose events were counted: the newest"),
        *_FIGURES,
    ),
    "GET /customers/usage",
    owner="customer_id",
)

USAGE_SOURCES = Table(
    "usage_sources",
    ("customer_id", "feature_id", "ordinal"),
    _SOURCE,
    "GET /customers/usage",
    owner="customer_id",
)

SUBSCRIPTION_USAGE = Table(
    "subscription_usage",
    ("subscription_id", "feature_id"),
    (
        made(TEXT, "subscription_id", "subscription, see subscriptions.id"),
        FEATURE_ID,
        CUSTOMER_ID,
        *_FIGURES,
    ),
    "GET /customers/usage; with subscription_ids where a customer has several",
    owner="subscription_id",
)

UPCOMING_GRANTS = Table(
    "upcoming_grants",
    ("id",),
    (
        read(TEXT, "id", "application id"),
        CUSTOMER_ID,
        *texts("credit_grant_id subscription_id"),
        read(TIME, "scheduled_for", "when the credits will be given"),
        read(TIME, "applied_at", "when they were; NULL here so far"),
        read(TIME, "period_start", "start of the period"),
        read(TIME, "period_end", "end of the period; NULL for one-time grants"),
        read(TEXT, "application_status", "pending or failed here"),
        read(DECIMAL, "credits", "credits to be given; the server keeps eight decimal places"),
        *texts("application_reason subscription_status_at_application"),
        read(INT, "retry_count", "tries so far"),
        *texts("failure_reason"),
        read(MAP, "metadata", "free keys"),
        *texts("idempotency_key"),
        *PLACE,
        *AUDIT,
        EXTRA,
    ),
    "GET /customers/{id}/grants/upcoming",
    owner="customer_id",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        CUSTOMERS,
        CUSTOMER_INTEGRATIONS,
        SUBSCRIPTIONS,
        FEATURES,
        ENTITLEMENTS,
        ENTITLEMENT_SOURCES,
        ENTITLEMENT_BUCKETS,
        USAGE,
        USAGE_SOURCES,
        SUBSCRIPTION_USAGE,
        UPCOMING_GRANTS,
    )
}
