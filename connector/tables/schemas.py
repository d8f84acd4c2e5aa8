"""Every table that Flexsync fills: columns, types, units, keys and meanings, declared once.

Arrow schemas, the store's DDL, the typed reading of JSON and the README's table of tables are all made from
`TABLES`. Promised: column names are the API's own; decimals are exact `decimal128(38, 18)`; timestamps are
microseconds in UTC, and the year-1 "never" is NULL. Never done here: reading, casting or storing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1  # of the store, its internal tables and the publications

TEXT, INT, BOOL, DECIMAL, TIME, MAP, JSON, TEXTS = "text", "int", "bool", "decimal", "time", "map", "json", "texts"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: as users type it; the API's own wherever the API has one.
        kind: one of the module's eight kinds.
        meaning: one sentence, unit included; becomes the column's comment in DuckDB.
        path: dotted place in the JSON object that the row is read from; "" = not read from it.
    """

    name: str
    kind: str
    meaning: str
    path: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: as users type it.
        key: columns that identify a row.
        columns: in order, without the two that every table ends with (`STAMPS`).
        source: the call that feeds it.
        owner: the column by which an answer replaces rows as a whole, or "" where rows stand alone.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str
    owner: str = ""

    def column(self, name: str) -> Column:
        """Return the column called `name`; raises KeyError."""
        return {column.name: column for column in self.columns + STAMPS}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in order, stamps included."""
        return tuple(column.name for column in self.columns + STAMPS)

    def arrow(self) -> pa.Schema:
        """Build the Arrow schema, comments as field metadata and the key as schema metadata."""
        import pyarrow as pa

        fields = [
            pa.field(c.name, arrow_type(c.kind), c.name not in self.key, {"meaning": c.meaning})
            for c in self.columns + STAMPS
        ]
        return pa.schema(fields, metadata={"table": self.name, "key": ",".join(self.key)})


@cache
def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a kind."""
    import pyarrow as pa

    types = {
        TEXT: pa.string(),
        INT: pa.int64(),
        BOOL: pa.bool_(),
        DECIMAL: pa.decimal128(38, 18),
        TIME: pa.timestamp("us", "UTC"),
        MAP: pa.map_(pa.string(), pa.string()),
        JSON: pa.string(),
        TEXTS: pa.list_(pa.string()),
    }
    return types[kind]


DUCKDB_TYPES = {
    TEXT: "VARCHAR",
    INT: "BIGINT",
    BOOL: "BOOLEAN",
    DECIMAL: "DECIMAL(38, 18)",
    TIME: "TIMESTAMPTZ",
    MAP: "MAP(VARCHAR, VARCHAR)",
    JSON: "VARCHAR",
    TEXTS: "VARCHAR[]",
}


def _read(kind: str, name: str, meaning: str, path: str | None = None) -> Column:
    return Column(name, kind, meaning, name if path is None else path)


def _made(kind: str, name: str, meaning: str) -> Column:
    return Column(name, kind, meaning, "")


def _texts(names: str, prefix: str = "") -> tuple[Column, ...]:
    return tuple(_read(TEXT, name, f"{prefix}{name.replace('_', ' ')}") for name in names.split())


STAMPS = (
    _made(TEXT, "run_id", "run in which the present content was first seen"),
    _made(TIME, "observed_at", "server's clock of the answer in which the present content was first seen"),
)
EXTRA = _made(JSON, "extra", "fields that this version does not know, as a JSON object; NULL when there are none")
AUDIT = (
    _read(TIME, "created_at", "creation, by the server's clock; never changes"),
    _read(TIME, "updated_at", "last write, by the server's clock"),
    _read(TEXT, "created_by", "user id; empty when unknown"),
    _read(TEXT, "updated_by", "user id; empty when unknown"),
)
PLACE = (
    _read(TEXT, "environment_id", "environment that the row belongs to"),
    _read(TEXT, "tenant_id", "tenant that the row belongs to"),
    _read(TEXT, "status", "published, archived or deleted"),
)
FEATURE_ID = _made(TEXT, "feature_id", "feature, see features.id")
CUSTOMER_ID = _made(TEXT, "customer_id", "customer, see customers.id")
ORDINAL = _made(INT, "ordinal", "place in the answer's list, from 0")

CUSTOMERS = Table(
    "customers",
    ("id",),
    (
        _read(TEXT, "id", "customer id"),
        _read(TEXT, "external_id", "the caller's id; unique among published customers only"),
        *_texts("name email"),
        _read(TEXT, "contact", "telephone; NULL when never set"),
        *_texts("address_line1 address_line2 address_city address_state address_postal_code address_country"),
        _read(TEXT, "timezone", "IANA zone"),
        _read(MAP, "metadata", "free keys; NULL and empty are different things"),
        *PLACE,
        *AUDIT,
        _made(TIME, "gone_at", "when a full walk proved that the row no longer exists; NULL while it does"),
        EXTRA,
    ),
    "POST /customers/search",
)

CUSTOMER_INTEGRATIONS = Table(
    "customer_integrations",
    ("id",),
    (
        _read(TEXT, "id", "mapping id"),
        _read(TEXT, "entity_id", "customer, see customers.id"),
        *_texts("entity_type provider_type provider_entity_id"),
        _read(JSON, "metadata", "any JSON object, as text"),
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
        _read(TEXT, "id", "subscription id"),
        *_texts("lookup_key customer_id plan_id"),
        _read(TEXT, "plan_name", "name of the plan", "plan.name"),
        _read(TEXT, "plan_lookup_key", "lookup key of the plan", "plan.lookup_key"),
        _read(TEXT, "subscription_status", "active, paused, cancelled, incomplete, trialing or draft"),
        _read(TEXT, "currency", "ISO code, lower case"),
        _read(TIME, "billing_anchor", "moment that periods are counted from"),
        _read(TEXT, "billing_cycle", "anniversary or calendar"),
        _read(TIME, "start_date", "start"),
        _read(TIME, "end_date", "end, NULL while open"),
        _read(TIME, "current_period_start", "start of the running period"),
        _read(TIME, "current_period_end", "end of the running period; may lie in the past until the server moves it"),
        _read(TIME, "cancelled_at", "when it was cancelled"),
        _read(TIME, "cancel_at", "when it will be, or was, cancelled"),
        _read(BOOL, "cancel_at_period_end", "ends with the period"),
        _read(TIME, "trial_start", "start of the trial"),
        _read(TIME, "trial_end", "end of the trial"),
        *_texts("billing_cadence billing_period"),
        _read(INT, "billing_period_count", "periods per billing"),
        _read(INT, "version", "the server's row version"),
        _read(MAP, "metadata", "free keys"),
        _read(TEXT, "pause_status", "none, active, scheduled, completed or cancelled"),
        _read(TEXT, "active_pause_id", "pause in force"),
        _read(DECIMAL, "commitment_amount", "committed amount, in units of `currency`"),
        _read(TEXT, "commitment_duration", "period that the commitment covers"),
        _read(DECIMAL, "overage_factor", "factor on prices beyond the commitment"),
        *_texts("payment_behavior collection_method gateway_payment_method_id timezone proration_behavior"),
        _read(BOOL, "enable_true_up", "bills up to the commitment"),
        *_texts("invoicing_customer_id parent_subscription_id payment_terms"),
        _read(TEXT, "subscription_type", "standalone, delegated_invoicing, parent, inherited or grouped_invoicing"),
        _read(DECIMAL, "auto_invoice_threshold", "amount that triggers an invoice, in units of `currency`"),
        _read(INT, "synced_price_sequence", "the server's price sequence number"),
        *PLACE,
        *AUDIT,
        _made(TIME, "gone_at", "when the row could no longer be read by its id in any status; NULL while it could"),
        EXTRA,
    ),
    "POST /subscriptions/search, every status",
)

FEATURES = Table(
    "features",
    ("id",),
    (
        _read(TEXT, "id", "feature id"),
        *_texts("name lookup_key description"),
        _read(TEXT, "meter_id", "meter; empty when not metered"),
        _read(MAP, "metadata", "free keys"),
        _read(TEXT, "type", "metered, boolean, static or config"),
        *_texts("unit_singular unit_plural"),
        _read(TEXT, "reporting_unit_singular", "unit that reports use", "reporting_unit.unit_singular"),
        _read(TEXT, "reporting_unit_plural", "unit that reports use, plural", "reporting_unit.unit_plural"),
        _read(DECIMAL, "reporting_unit_conversion_rate", "reporting units per unit", "reporting_unit.conversion_rate"),
        _read(JSON, "alert_settings", "thresholds, as JSON"),
        _read(TEXT, "group_id", "group"),
        *PLACE,
        *AUDIT,
        _read(TEXT, "meter_name", "name of the meter", "meter.name"),
        _read(TEXT, "meter_event_name", "event that the meter counts", "meter.event_name"),
        _read(TEXT, "meter_aggregation_type", "COUNT, SUM, MAX …", "meter.aggregation.type"),
        _read(TEXT, "meter_aggregation_field", "event property that is aggregated", "meter.aggregation.field"),
        _read(TEXT, "meter_aggregation_expression", "expression over properties", "meter.aggregation.expression"),
        _read(DECIMAL, "meter_aggregation_multiplier", "factor on the sum", "meter.aggregation.multiplier"),
        _read(TEXT, "meter_aggregation_bucket_size", "bucket of time", "meter.aggregation.bucket_size"),
        _read(JSON, "meter_aggregation_group_by", "grouping, as JSON", "meter.aggregation.group_by"),
        _read(JSON, "meter_filters", "list of key and values, as JSON", "meter.filters"),
        _read(TEXT, "meter_reset_usage", "BILLING_PERIOD or NEVER", "meter.reset_usage"),
        _read(TEXT, "meter_status", "status of the meter", "meter.status"),
        _read(TIME, "meter_created_at", "creation of the meter", "meter.created_at"),
        _read(TIME, "meter_updated_at", "last write of the meter", "meter.updated_at"),
        EXTRA,
    ),
    "the usage and entitlements bodies, newest updated_at wins",
)

_SOURCE = (
    CUSTOMER_ID,
    FEATURE_ID,
    ORDINAL,
    _read(TEXT, "subscription_id", "as sent: always the newest subscription's, whichever the source belongs to"),
    _read(TEXT, "entity_id", "plan, add-on or subscription that grants it"),
    _read(TEXT, "entity_type", "plan, addon or subscription"),
    _read(INT, "quantity", "always 1 in this API"),
    _read(TEXT, "entity_name", "name of the plan; empty for add-ons and subscriptions"),
    _read(TEXT, "entitlement_id", "entitlement"),
    _read(BOOL, "is_enabled", "granted"),
    _read(INT, "usage_limit", "units granted; NULL = no limit, or not metered"),
    _read(TEXT, "static_value", "value of a static feature"),
    _read(JSON, "config_value", "value of a config feature, as JSON"),
    _read(TEXT, "usage_reset_period", "documented, never sent so far"),
    EXTRA,
)

ENTITLEMENTS = Table(
    "entitlements",
    ("customer_id", "feature_id"),
    (
        CUSTOMER_ID,
        FEATURE_ID,
        _read(BOOL, "is_enabled", "granted", "entitlement.is_enabled"),
        _read(INT, "usage_limit", "sum over sources, in units; NULL = unlimited", "entitlement.usage_limit"),
        _read(BOOL, "is_soft_limit", "usage may pass the limit", "entitlement.is_soft_limit"),
        _read(TEXT, "usage_reset_period", "DAILY … NEVER, metered only", "entitlement.usage_reset_period"),
        _read(TEXTS, "static_values", "values of a static feature", "entitlement.static_values"),
        _read(JSON, "config_values", "values of a config feature, as a JSON list", "entitlement.config_values"),
        _read(TEXT, "aggregation_mode", "additive or parallel, metered only", "entitlement.aggregation_mode"),
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
        _read(TEXT, "entitlement_id", "entitlement"),
        _read(TEXT, "source_entity_id", "plan, add-on or subscription"),
        _read(INT, "usage_limit", "units; NULL = unlimited"),
        _read(TEXT, "grant_measure", "quantity or amount"),
        _read(DECIMAL, "grant_quota", "units, or amount, granted each time"),
        _read(INT, "grant_duration_value", "length, in `grant_duration_unit`"),
        _read(TEXT, "grant_duration_unit", "hour, day, week or subscription_period"),
        EXTRA,
    ),
    "GET /customers/{id}/entitlements, parallel features only",
    owner="customer_id",
)

_FIGURES = (
    _read(INT, "total_limit", "units; NULL = no limit, or not metered"),
    _read(BOOL, "is_unlimited", "true exactly when total_limit is NULL, so for unmetered features too"),
    _read(DECIMAL, "current_usage", "units used in the running window; 0 for unmetered features"),
    _read(DECIMAL, "usage_percent", "a fraction in spite of its name (0.5 = half); 100 where the limit is 0 or less"),
    _read(BOOL, "is_enabled", "granted"),
    _read(BOOL, "is_soft_limit", "usage may pass the limit"),
    _read(TIME, "next_usage_reset_at", "end of the window; NULL = never, or not metered"),
    _made(TIME, "current_period_start", "of the subscription that was counted, as known when asked"),
    EXTRA,
)

USAGE = Table(
    "usage",
    ("customer_id", "feature_id"),
    (
        CUSTOMER_ID,
        FEATURE_ID,
        _made(TEXT, "subscription_id", "the one subscription whose events were counted: the newest"),
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
        _made(TEXT, "subscription_id", "subscription, see subscriptions.id"),
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
        _read(TEXT, "id", "application id"),
        CUSTOMER_ID,
        *_texts("credit_grant_id subscription_id"),
        _read(TIME, "scheduled_for", "when the credits will be given"),
        _read(TIME, "applied_at", "when they were; NULL here so far"),
        _read(TIME, "period_start", "start of the period"),
        _read(TIME, "period_end", "end of the period; NULL for one-time grants"),
        _read(TEXT, "application_status", "pending or failed here"),
        _read(DECIMAL, "credits", "credits to be given; the server keeps eight decimal places"),
        *_texts("application_reason subscription_status_at_application"),
        _read(INT, "retry_count", "tries so far"),
        *_texts("failure_reason"),
        _read(MAP, "metadata", "free keys"),
        *_texts("idempotency_key"),
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
