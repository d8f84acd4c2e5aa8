"""Histories: tables that keep what was true, and since which run we knew it.

`customers_history`, `subscriptions_history` and `entitlements_history` hold one row per version of a row;
`usage_history` holds one row per figure that was seen to change. Promised: the versions of a key follow each other: on
each of the two axes, time (`valid_from`, `valid_to`) and runs (`known_from`, `known_to`), no interval is empty and none
overlaps another. Never done: filling them (see `connector.store.versions` and `connector.store.usage_history`).
"""

from __future__ import annotations

from connector.tables.columns import BOOL, DECIMAL, INT, STAMPS, TEXT, TIME, Table, made
from connector.tables.schemas import TABLES

__all__ = ["HISTORIES", "USAGE_HISTORY", "VERSIONED", "content", "history_of"]

VERSIONED = ("customers", "subscriptions", "entitlements")
"""The tables whose rows have versions."""

_STATE = ("gone_at",)  # a row that is gone ends its version
_NO_CONTENT = ("updated_at", "updated_by", *_STATE, *(stamp.name for stamp in STAMPS))

_AXES = (
    made(TIME, "valid_from", "since when this version was true, see valid_basis"),
    made(TIME, "valid_to", "until when; NULL while it is true as far as we know"),
    made(TEXT, "valid_basis", "updated_at: valid_from is the server's last write; observed_at: it is our observation"),
    made(TEXT, "known_from", "run that found this version"),
    made(TEXT, "known_to", "run that found its end; NULL while it is open"),
    made(TEXT, "content_hash", "hash of the columns that make a version"),
)


def history_of(name: str) -> Table:
    """Return the history of a versioned table."""
    return HISTORIES[f"{name}_history"]


def content(table: Table) -> tuple[str, ...]:
    """Return the columns of a table whose change makes a version: not who wrote last, nor when."""
    return tuple(name for name in table.names if name not in {*table.key, *_NO_CONTENT})


def _versions(base: Table) -> Table:
    keys = [base.column(name) for name in base.key]
    others = [column for column in base.columns if column.name not in {*base.key, *_STATE}]
    source = f"versions of {base.name}, as the runs found them"
    return Table(f"{base.name}_history", (*base.key, "valid_from"), (*keys, *_AXES, *others), source, base.owner)


USAGE_HISTORY = Table(
    "usage_history",
    ("customer_id", "subscription_id", "feature_id", "run_id"),
    (
        made(TEXT, "customer_id", "customer, see customers.id"),
        made(TEXT, "subscription_id", "subscription; empty for the customer's plain usage"),
        made(TEXT, "feature_id", "feature, see features.id"),
        made(TIME, "current_period_start", "start of the subscription's period, as known when asked"),
        made(TIME, "next_usage_reset_at", "end of the window; NULL = never, or not metered"),
        made(DECIMAL, "current_usage", "units used in the window; NULL where the figure ended"),
        made(INT, "total_limit", "units; NULL = no limit, or not metered"),
        made(DECIMAL, "usage_percent", "a fraction in spite of its name (0.5 = half)"),
        made(BOOL, "restated", "lower than the figure before it in the same window, and believed"),
        made(BOOL, "ended", "from this run on there is no figure, as when its subscription ended"),
        made(TEXT, "last_confirmed_run", "last run that saw this figure; NULL while it is the newest"),
        made(TIME, "last_confirmed_at", "when that run saw it; NULL while it is the newest"),
    ),
    "GET /customers/usage, one row per figure that changed",
    owner="customer_id",
)

HISTORIES: dict[str, Table] = {
    table.name: table for table in (*(_versions(TABLES[name]) for name in VERSIONED), USAGE_HISTORY)
}
"""Every history, by name."""
