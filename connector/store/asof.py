"""Asking the histories, as SQL text: views of all versions and figures, and macros that show a table as of a day.

`customers_asof(valid, known)`: the rows that were true at `valid`, by what the last run that had ended at `known` had
found; without `known`, by what is known now. Promised: at most one row of a key, at every moment; an error for a moment
that the kept history does not reach. Never done: running a statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from connector.store.endings import last_known
from connector.store.keeping import SINCE
from connector.tables import histories
from connector.tables.histories import FIGURES, VERSIONED, versions_of
from connector.tables.schemas import TABLES

__all__ = ["ASKED", "BEYOND", "MACROS", "VIEWS", "History", "history", "statements"]

BEYOND = "the history reaches back to"  # begins the error about a moment before that
# Before that moment rows are missing that were true then, so there is no answer (see connector.store.keeping).
_KNOWN = f"""(SELECT CASE WHEN least({{asked}}, known::TIMESTAMPTZ) < reach
            THEN error('{BEYOND} ' || reach::VARCHAR || ' only') ELSE newest END FROM
        ({last_known("flexsync", "known::TIMESTAMPTZ")}),
        (SELECT max(value)::TIMESTAMPTZ AS reach FROM flexsync.meta WHERE key = '{SINCE}'))"""
_HISTORY = """SELECT {keys}, valid_from, lead(valid_from) OVER following AS valid_to, valid_basis,
        run_id AS known_from, lead(run_id) OVER following AS known_to, {columns}observed_at
    FROM flexsync.{versions} WINDOW following AS (PARTITION BY {keys} ORDER BY valid_from) QUALIFY NOT ended"""
_ASOF = f"""SELECT {{keys}}, {{columns}}valid_from, run_id, observed_at FROM (SELECT * FROM flexsync.{{versions}}
        WHERE run_id <= {_KNOWN.format(asked="valid::TIMESTAMPTZ")} AND valid_from <= valid::TIMESTAMPTZ
        QUALIFY row_number() OVER (PARTITION BY {{keys}} ORDER BY valid_from DESC) = 1)
    WHERE NOT ended"""
_FIGURE = "PARTITION BY customer_id, subscription_id, feature_id ORDER BY run_id"
_USAGE_HISTORY = f"""SELECT * EXCLUDE (ended, lacking, previous_confirmed_run, previous_confirmed_at),
        lead(previous_confirmed_run) OVER following AS last_confirmed_run,
        lead(previous_confirmed_at) OVER following AS last_confirmed_at
    FROM flexsync.usage_figures WINDOW following AS ({_FIGURE}) QUALIFY NOT ended"""
# Days are those of UTC in whatever zone a session is; so is a text without a zone, with a time of day or without one.
_MOMENT = """coalesce(try_cast(day::VARCHAR || '+00' AS TIMESTAMPTZ),
        try_cast(day::VARCHAR || ' 00:00+00' AS TIMESTAMPTZ), day::TIMESTAMPTZ)"""
_END = f"((({_MOMENT} AT TIME ZONE 'UTC')::DATE + INTERVAL 1 DAY) AT TIME ZONE 'UTC')"
_USAGE_ASOF = f"""SELECT * EXCLUDE (ended, lacking{{rest}}, previous_confirmed_run, previous_confirmed_at) FROM (
        SELECT * FROM flexsync.usage_figures
        WHERE run_id <= {_KNOWN.format(asked=f"{_END} - INTERVAL 1 MICROSECOND")} AND observed_at < {_END}
        QUALIFY row_number() OVER ({_FIGURE} DESC) = 1)
    WHERE NOT ended"""
_DAY = "(observed_at AT TIME ZONE 'UTC')::DATE"
_SINCE_DAY = "(since AT TIME ZONE 'UTC')::DATE"
# Without a moment of the next reset, a new period may have reset the figure or not: the lower bound holds for both.
# What another subscription had used, or a window that did not follow the last one, may be older than that observation.
_USED = """CASE WHEN NOT comparable THEN NULL
            WHEN same OR (same_reset AND current_usage >= base.current_usage) THEN current_usage - base.current_usage
            WHEN same_reset OR base.next_usage_reset_at <= observed_at THEN current_usage END"""
_BASE = """struct_pack(counted_subscription_id, current_period_start, next_usage_reset_at, never_resets, current_usage,
    confirmed_at)"""
# Each figure that adds up is compared with its base, the last proven one before it; `since` is when that was last seen.
_USAGE_DAILY = f"""SELECT * FROM (
        SELECT {_DAY} AS day, customer_id, subscription_id, feature_id, since, {_USED} AS used,
            coalesce(comparable AND same AND current_usage >= base.current_usage
                AND {_SINCE_DAY} >= {_DAY} - 1, false) AS complete, run_id
        FROM (SELECT *, coalesce(base.confirmed_at, previous_confirmed_at) AS since,
                base IS NOT NULL AND counted_subscription_id IS NOT DISTINCT FROM base.counted_subscription_id
                    AS comparable,
                next_usage_reset_at IS NOT DISTINCT FROM base.next_usage_reset_at
                    AND coalesce(never_resets = base.never_resets, true) AS same_reset,
                same_reset AND (coalesce(never_resets, false)
                    OR current_period_start IS NOT DISTINCT FROM base.current_period_start) AS same
            FROM (SELECT *, lag({_BASE}) OVER figure AS base
                FROM (SELECT *, lead(previous_confirmed_at) OVER figure AS confirmed_at,
                        lag(run_id) OVER figure IS NOT NULL AS follows
                    FROM flexsync.usage_figures WINDOW figure AS ({_FIGURE}))
                WHERE NOT ended AND additive AND unproven IS NOT TRUE WINDOW figure AS ({_FIGURE})))
        WHERE follows)
    WHERE used IS DISTINCT FROM 0"""


class History(NamedTuple):
    """Where a table's history is read: a view, a table macro, and the rows of it that belong to the table."""

    view: str
    macro: str
    where: str = ""


ASKED = {
    **{name: History(f"{name}_history", f"{name}_asof") for name in VERSIONED},
    "usage": History("usage_history", "usage_asof", "WHERE subscription_id = ''"),
    "subscription_usage": History("usage_history", "usage_asof", "WHERE subscription_id <> ''"),
}
"""Table -> its history."""


def history(name: str) -> History | None:
    """Return where the history of a table is read; None if it has none."""
    return ASKED.get(name)


def _written(template: str, name: str, without: Sequence[str]) -> str:
    table = TABLES[name]
    own = [c for c in versions_of(name).names if c in {column.name for column in table.columns} - {*table.key}]
    columns = "".join(f'"{c}", ' for c in own if f"{name}.{c}" not in without)
    keys = ", ".join(f'"{key}"' for key in table.key)
    return template.format(keys=keys, columns=columns, versions=versions_of(name).name)


def statements(without: Sequence[str] = ()) -> Iterator[str]:
    """Yield the statements that make the views and macros in the current catalog.

    Args:
        without: columns that its tables do not have, as `customers.email`.
    """
    for name in VERSIONED:
        yield f"CREATE OR REPLACE VIEW {name}_history AS {_written(_HISTORY, name, without)}"
        asked = "valid, known := 'infinity'"
        yield f"CREATE OR REPLACE MACRO {name}_asof({asked}) AS TABLE {_written(_ASOF, name, without)}"
    lost = histories.without(FIGURES, without)
    rest = "".join(f", {name}" for name in ("additive", "restated", "unproven") if name not in lost)
    yield f"CREATE OR REPLACE VIEW usage_history AS {_USAGE_HISTORY}"
    if "restated" not in lost:  # what is used stems from the same columns
        yield f"CREATE OR REPLACE VIEW usage_daily AS {_USAGE_DAILY}"
    for name, meaning in _MEANINGS.items():
        if name != "usage_daily" or "restated" not in lost:
            yield f"COMMENT ON VIEW {name} IS '{meaning}'"
    yield f"CREATE OR REPLACE MACRO usage_asof(day, known := 'infinity') AS TABLE {_USAGE_ASOF.format(rest=rest)}"


_MEANINGS = {
    **{f"{name}_history": f"every version of the rows of {name}: valid from, to; known from run, to run"
       for name in VERSIONED},
    "usage_history": "every figure of usage that was seen to change",
    "usage_daily": "what was used between two observations of a figure; complete: both are of one window",
}  # fmt: skip
VIEWS = tuple(_MEANINGS)
"""Names of the views."""
MACROS = (*(f"{name}_asof" for name in VERSIONED), "usage_asof")
"""Names of the table macros."""
