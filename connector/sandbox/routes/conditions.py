"""`filters` conditions, compiled into what rows must satisfy.

Promises contract.md 3.4 with its silent drops, its panics and its database errors. Never reads a page; query.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import NoReturn, Protocol

from connector.sandbox.clock import parse_sql_time
from connector.sandbox.data.table import STAMPS, Table
from connector.sandbox.replies import Json, Refusal, error_reply, panic, refuse
from connector.sandbox.routes.filters import Condition, Filter

__all__ = ["FIRST", "LAST", "Listing", "Plan", "apply", "cell_of", "unknown_field"]

FIRST, LAST = -(2**62), 2**62
IMPLEMENTED = frozenset({"eq", "contains", "not_contains", "in", "not_in", "after", "before", "gt", "lt"})
Test = Callable[[int], bool]


class Listing(Protocol):
    """A table as a listing: what its columns are and how its keys find rows."""

    table: Table
    noun: str
    columns: frozenset[str]
    documents: frozenset[str]
    chance: Random

    def kinds_for(self, filter: Filter) -> set[int]:
        """The status classes that the request names."""

    def lookups(self, filter: Filter) -> Iterable[set[int]]:
        """Sets of rows that its own keys (ids, external ids …) narrow the answer to."""

    def indexed(self, name: str, values: Iterable[str]) -> set[int] | None:
        """The rows whose column has one of the values, for columns that are looked up; None for others."""

    def coin(self) -> bool:
        """The server's random choice (contract.md 2.3)."""


@dataclass(slots=True)
class Plan:
    """A Filter, compiled for a table."""

    kinds: set[int]
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    only: set[int] | None = None
    without: set[int] = field(default_factory=set)
    tests: list[Test] = field(default_factory=list)

    def narrow(self, column: str, low: int, high: int) -> None:
        """Keep timestamps within [low, high]."""
        before = self.ranges.get(column, (FIRST, LAST))
        self.ranges[column] = (max(low, before[0]), min(high, before[1]))

    def keep(self, rows: set[int]) -> None:
        """Keep these rows only."""
        self.only = rows if self.only is None else self.only & rows


def unknown_field(listing: Listing) -> NoReturn:
    """400 or 500 at random (contract.md 2.3)."""
    code = "validation_error" if listing.coin() else "database_error"
    raise Refusal(error_reply(code, f"Failed to list {listing.noun}"))


def apply(listing: Listing, plan: Plan, condition: Condition) -> None:
    """Add one condition to the plan."""
    if condition.field not in listing.columns:
        unknown_field(listing)
    if condition.operator not in IMPLEMENTED:
        return
    if not condition.given:
        panic()
    if condition.field in listing.documents and _reads_value(condition):
        refuse("database_error", f"Failed to list {listing.noun}")
    if condition.field in STAMPS:
        _on_stamp(listing, plan, condition)
    else:
        _on_text(listing, plan, condition)


def _reads_value(c: Condition) -> bool:
    """Whether the operator finds its value member; if not, the condition is dropped (contract.md 3.4)."""
    if c.operator in ("in", "not_in"):
        return bool(c.array)
    if c.operator in ("after", "before"):
        return c.date is not None
    if c.operator in ("gt", "lt"):
        return c.number is not None
    return c.operator == "eq" or c.text is not None


def _on_stamp(listing: Listing, plan: Plan, c: Condition) -> None:
    if not _reads_value(c):
        return
    if c.operator == "after":
        plan.narrow(c.field, (c.date or 0) + 1, LAST)
    elif c.operator == "before":
        plan.narrow(c.field, FIRST, (c.date or 0) - 1)
    elif c.operator == "eq":
        _eq_stamp(listing, plan, c)
    elif c.operator in ("in", "not_in"):
        _in_stamps(listing, plan, c)
    else:
        refuse("database_error", f"Failed to list {listing.noun}")


def _eq_stamp(listing: Listing, plan: Plan, c: Condition) -> None:
    if c.text is None and c.number is None and c.truth is None and c.date is None and c.array is None:
        plan.keep(set())
        return
    moment = parse_sql_time(c.text) if c.text is not None else None
    if c.text is None and c.number is None and c.truth is None:
        moment = c.date
    if moment is None:
        refuse("database_error", f"Failed to list {listing.noun}")
    plan.narrow(c.field, moment, moment)


def _in_stamps(listing: Listing, plan: Plan, c: Condition) -> None:
    moments = [parse_sql_time(text) for text in c.array or ()]
    if None in moments:
        refuse("database_error", f"Failed to list {listing.noun}")
    column, wanted, negative = listing.table.column(c.field), set(moments), c.operator == "not_in"
    plan.tests.append(lambda row: (column[row] in wanted) is not negative)


def _on_text(listing: Listing, plan: Plan, c: Condition) -> None:
    if not _reads_value(c):
        return
    if c.operator in ("in", "not_in") or (c.operator == "eq" and c.text is not None):
        values = [c.text or ""] if c.operator == "eq" else c.array or []
        rows = listing.indexed(c.field, values)
        if rows is not None and c.operator == "not_in":
            plan.without |= rows
            return
        if rows is not None:
            plan.keep(rows)
            return
    table, name, matches = listing.table, c.field, _text_test(listing, c)
    plan.tests.append(lambda row: matches(cell_of(table.row(row), name)))


def cell_of(row: Json, name: str) -> str | None:
    """A column as text, for comparisons."""
    value = row.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None else str(value)


def _text_test(listing: Listing, c: Condition) -> Callable[[str | None], bool]:
    """A NULL column matches nothing, the negations included, as in SQL."""
    if c.operator in ("in", "not_in"):
        wanted, negative = set(c.array or ()), c.operator == "not_in"
        return lambda cell: cell is not None and (cell in wanted) is not negative
    if c.operator in ("contains", "not_contains"):
        part, negative = (c.text or "").lower(), c.operator == "not_contains"
        return lambda cell: cell is not None and (part in cell.lower()) is not negative
    if c.operator == "eq":
        return _equal_test(listing, c)
    if c.operator not in ("gt", "lt"):  # a date compared with text
        refuse("database_error", f"Failed to list {listing.noun}")
    bound, above = f"{c.number:g}", c.operator == "gt"
    return lambda cell: cell is not None and cell != bound and (cell > bound) is above


def _equal_test(listing: Listing, c: Condition) -> Callable[[str | None], bool]:
    if c.text is not None:
        value: str | None = c.text
    elif c.number is not None:
        value = f"{c.number:g}"
    elif c.truth is not None:
        value = "true" if c.truth else "false"
    elif c.date is None and c.array is not None:
        refuse("database_error", f"Failed to list {listing.noun}")
    else:
        value = None
    return lambda cell: value is not None and cell == value
