"""Asking the histories: macros that show a table as of a day, and the use of a day, as SQL text.

`customers_asof(valid, known)`: the rows that were true at `valid`, by what the last run that had ended at `known` had
found. Without `known`: by what is known now. Promised: at most one row of a key, at every moment. Never done: running a
statement.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.tables.histories import VERSIONED, history_of
from connector.tables.schemas import TABLES

__all__ = ["MACROS", "VIEWS", "statements"]

_KNOWN = "(SELECT max(run_id) AS run FROM flexsync.runs WHERE finished_at <= known::TIMESTAMPTZ)"
_VERSIONS = """SELECT {columns}, valid_from, valid_to FROM {history}, {known} k WHERE known_from <= k.run
    AND valid_from <= valid::TIMESTAMPTZ
    AND (valid_to IS NULL OR valid_to > valid::TIMESTAMPTZ OR known_to > k.run)"""
_USAGE = f"""SELECT * EXCLUDE (restated, ended, last_confirmed_run, last_confirmed_at) FROM (
        SELECT h.* FROM usage_history h, {_KNOWN} k
        WHERE h.run_id <= k.run AND h.observed_at < day::DATE + INTERVAL 1 DAY
        QUALIFY row_number() OVER (PARTITION BY customer_id, subscription_id, feature_id ORDER BY h.run_id DESC) = 1)
    WHERE NOT ended"""
_DAILY = """SELECT observed_at::DATE AS day, customer_id, subscription_id, feature_id, since,
        CASE WHEN same THEN current_usage - before ELSE current_usage END AS used,
        same AND NOT restated AND since::DATE >= observed_at::DATE - 1 AS complete, run_id
    FROM (SELECT *, lag(coalesce(last_confirmed_at, observed_at)) OVER figure AS since,
            lag(current_usage) OVER figure AS before,
            next_usage_reset_at IS NOT DISTINCT FROM lag(next_usage_reset_at) OVER figure
                AND lag(current_usage) OVER figure IS NOT NULL AS same
        FROM usage_history
        WINDOW figure AS (PARTITION BY customer_id, subscription_id, feature_id ORDER BY run_id))
    WHERE NOT ended AND since IS NOT NULL AND (NOT same OR current_usage <> before)"""

MACROS = {
    **{
        f"{name}_asof": (
            "valid, known := 'infinity'",
            _VERSIONS.format(
                columns=", ".join(f'"{c}"' for c in TABLES[name].names if c in history_of(name).names),
                history=history_of(name).name,
                known=_KNOWN,
            ),
        )
        for name in VERSIONED
    },
    "usage_asof": ("day, known := 'infinity'", _USAGE),
}
"""Table macro -> its parameters and its query."""

VIEWS = {"usage_daily": _DAILY}
"""View -> its query: what was used between two observations of a figure."""


def statements(schema: str = "main") -> Iterator[str]:
    """Yield the statements that make macros and views, over the tables of the current catalog."""
    for name, (parameters, query) in MACROS.items():
        yield f"CREATE OR REPLACE MACRO {schema}.{name}({parameters}) AS TABLE {query}"
    for name, query in VIEWS.items():
        yield f"CREATE OR REPLACE VIEW {schema}.{name} AS {query}"
