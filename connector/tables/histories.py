"""Histories: tables that keep what was true, and since which run we knew it.

`customers_versions`, `subscriptions_versions` and `entitlements_versions` hold one row for every version of a row,
and one for every end; `usage_figures` holds one row for every figure that was seen to change. Promised: rows are only
added, so that a file of them never has to be written again. Never done: filling them (see `connector.store.versions`
and `connector.store.figures`); answering questions (see `connector.store.asof`).
"""

from __future__ import annotations

from collections.abc import Collection

from connector.tables.columns import BOOL, DECIMAL, INT, STAMPS, TEXT, TIME, Table, made
from connector.tables.schemas import TABLES

__all__ = [
    "ADDITIVE",
    "FIGURES",
    "HISTORIES",
    "VERSIONED",
    "content",
    "needed_by_histories",
    "origin",
    "versions_of",
    "without",
]

VERSIONED = ("customers", "subscriptions", "entitlements")
"""The tables whose rows have versions."""

_STATE = ("gone_at",)  # a row that is gone ends its version
_DRAWN = ("usage_reset_period",)  # of entitlements; see connector.store.versions
_NO_CONTENT = ("updated_at", "updated_by", *_STATE, *_DRAWN, *(stamp.name for stamp in STAMPS))

_ABOUT = (
    made(TIME, "valid_from", "since when this version is true, or the row is no more: see valid_basis"),
    made(TEXT, "valid_basis", "updated_at: the server's last write; observed_at: when the answer came that showed it"),
    made(BOOL, "ended", "the row is no more: every other column is NULL"),
    made(TEXT, "content_hash", "hash of the columns whose change makes a version"),
)


def versions_of(name: str) -> Table:
    """Return the table that holds the versions of a versioned table."""
    return HISTORIES[f"{name}_versions"]


def content(table: Table) -> tuple[str, ...]:
    """Return the columns of a table whose change alone makes a version: not who wrote last, nor when."""
    return tuple(name for name in table.names if name not in {*table.key, *_NO_CONTENT})


def _versions(base: Table) -> Table:
    keys = [base.column(name) for name in base.key]
    others = [column for column in base.columns if column.name not in {*base.key, *_STATE}]
    about = f"versions of {base.name}, as the runs found them"
    return Table(f"{base.name}_versions", (*base.key, "valid_from"), (*keys, *_ABOUT, *others), about, base.owner)


ADDITIVE = ("COUNT", "SUM", "SUM_WITH_MULTIPLIER")
"""Aggregation types of meters whose figures add up: what is used between two observations is their difference. That of
MAX, COUNT_UNIQUE, AVG and LATEST says nothing about it; what WEIGHTED_SUM does in between is not known."""

FIGURES = Table(
    "usage_figures",
    ("customer_id", "subscription_id", "feature_id", "run_id"),
    (
        made(TEXT, "customer_id", "customer, see customers.id"),
        made(TEXT, "subscription_id", "subscription; empty for the customer's plain usage"),
        made(TEXT, "feature_id", "feature, see features.id"),
        made(TEXT, "counted_subscription_id", "the one subscription whose events were counted; NULL where it ended"),
        made(TIME, "current_period_start", "start of the subscription's period, as known when asked"),
        made(
            TIME, "next_usage_reset_at", "end of the window; NULL = not sent: neither DAILY nor MONTHLY, or not metered"
        ),
        made(BOOL, "never_resets", "one window without an end; NULL: not known, as in a store of an older version"),
        made(DECIMAL, "current_usage", "units used in the window; NULL where the figure ended"),
        made(INT, "total_limit", "units; NULL = no limit, or not metered"),
        made(DECIMAL, "usage_percent", "a fraction in spite of its name (0.5 = half)"),
        made(BOOL, "additive", "differences of such figures were used in between: of COUNT, SUM, SUM_WITH_MULTIPLIER"),
        made(
            BOOL, "restated", "lower than the one before in the same window, and believed; not of types that can fall"
        ),
        made(BOOL, "unproven", "a zero with no earlier figure of its window: true, or a failure of the server"),
        made(BOOL, "ended", "there is no figure from here on, as when its subscription ended"),
        made(TEXT, "previous_confirmed_run", "last run that still saw the figure before this one; NULL for the first"),
        made(TIME, "previous_confirmed_at", "when that run saw it"),
        made(BOOL, "lacking", "a restore left columns of it out, and no answer has filled them since"),
    ),
    "GET /customers/usage: the figures and limits that changed",
    owner="customer_id",
)

HISTORIES: dict[str, Table] = {table.name: table for table in (*(_versions(TABLES[n]) for n in VERSIONED), FIGURES)}
"""Every history, by name. They lie in schema `flexsync`; people read the views of `connector.store.asof`."""


_WINDOW = ("counted_subscription_id", "next_usage_reset_at", "never_resets", "current_period_start")
_DERIVED = {"restated": ("current_usage", "additive", *_WINDOW), "unproven": ("current_usage", *_WINDOW)}  # of figures
_TOLD = {"usage.subscription_id": "counted_subscription_id", "features.meter_aggregation_type": "additive"}
_IDENTIFYING = {"subscription_usage": ("customer_id",)}  # besides the table's own key


def without(history: Table, excluded: Collection[str]) -> set[str]:
    """Return the columns of a history that stem from columns which are left out.

    Args:
        history: the history.
        excluded: columns of tables, as `customers.email`.
    """
    found = {column for name, _, column in (full.partition(".") for full in excluded) if name in origin(history.name)}
    found |= {_TOLD[full] for full in excluded if full in _TOLD and history is FIGURES}
    left_out = (found & set(history.names)) - set(history.key)
    if left_out and history is not FIGURES:
        return left_out | {"content_hash"}
    return left_out | {name for name, stems_from in _DERIVED.items() if left_out & set(stems_from)}


def restorable(noted: Collection[str]) -> set[str]:
    """Return the columns of figures that were left out, and that the next answer fills: those that it holds itself."""
    return without(FIGURES, noted) - set(_DERIVED)


def needed_by_histories(table: Table) -> tuple[str, ...]:
    """Return the columns of a table that say whose row of a history it is, and since when it is true."""
    dating = ("updated_at",) if table.name in VERSIONED and "updated_at" in table.names else ()
    return (*_IDENTIFYING.get(table.name, ()), *dating)


def origin(history: str) -> tuple[str, ...]:
    """Return the tables whose columns of the same name a history holds: excluding one there excludes it here."""
    return ("usage", "subscription_usage") if history == FIGURES.name else (history.removesuffix("_versions"),)
