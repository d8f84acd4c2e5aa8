"""A Filter answered from a Table.

Promises contract.md 3.3 and 3.4, silent drops included, and keyset pages by bisection: a walk by `created_at` or
`updated_at` reads only its own rows. Never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Protocol

from connector.sandbox.answers import Json, Refusal, error_reply, panic, refuse
from connector.sandbox.clock import parse_sql_time
from connector.sandbox.filters import Condition, Filter
from connector.sandbox.table import STAMPS, Order, Table

__all__ = ["Listing", "Page", "page_of"]

FIRST, LAST = -(2**62), 2**62
IMPLEMENTED = frozenset({"eq", "contains", "not_contains", "in", "not_in", "after", "before", "gt", "lt"})
MAX_PARAMETERS = 65_500
"""PostgreSQL takes 65,535 parameters in a statement (contract.md 2.4)."""

Test = Callable[[int], bool]


class Listing(Protocol):
    """A table as a listing: what its columns are and how its keys find rows."""

    table: Table
    noun: str
    columns: frozenset[str]
    documents: frozenset[str]

    def kinds_for(self, filter: Filter) -> set[int]:
        """The status classes that the request names."""

    def lookups(self, filter: Filter) -> Iterable[set[int]]:
        """Sets of rows that its own keys (ids, external ids …) narrow the answer to."""

    def indexed(self, name: str, values: Iterable[str]) -> set[int] | None:
        """The rows whose column has one of the values, for columns that are looked up; None for others."""

    def coin(self) -> bool:
        """The server's random choice (contract.md 2.3)."""


@dataclass(slots=True)
class Page:
    """The rows of one page and the number of all matches."""

    rows: list[int]
    total: int


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


def page_of(listing: Listing, asked: Filter) -> Page:
    """The page and the total that a request gets."""
    plan = Plan(listing.kinds_for(asked))
    if asked.parameters > MAX_PARAMETERS:
        refuse("database_error", f"Failed to list {listing.noun}")
    for condition in asked.conditions:
        _apply(listing, plan, condition)
    for rows in listing.lookups(asked):
        plan.keep(rows)
    for name, _ in asked.sort:
        if name not in listing.columns:
            _unknown_field(listing)
    return _run(listing.table, plan, asked)


def _unknown_field(listing: Listing) -> None:
    """400 or 500 at random (contract.md 2.3)."""
    code = "validation_error" if listing.coin() else "database_error"
    raise Refusal(error_reply(code, f"Failed to list {listing.noun}"))


def _apply(listing: Listing, plan: Plan, condition: Condition) -> None:
    if condition.field not in listing.columns:
        _unknown_field(listing)
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
    plan.tests.append(lambda row: matches(_cell(table.row(row), name)))


def _cell(row: Json, name: str) -> str | None:
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


def _run(table: Table, plan: Plan, asked: Filter) -> Page:
    if plan.only is not None:
        rows = [row for row in plan.only if _matches(table, plan, row)]
        return _cut(_sorted(table, rows, asked), asked)
    by = _walk_column(asked)
    if by is None or _needs_scan(plan, by[0]):
        rows = [row for row in _narrowest(table, plan) if _matches(table, plan, row)]
        return _cut(_sorted(table, rows, asked), asked)
    return _walk(table, plan, asked, *by)


def _matches(table: Table, plan: Plan, row: int) -> bool:
    if table.kinds[row] not in plan.kinds or row in plan.without:
        return False
    for name, (low, high) in plan.ranges.items():
        if not low <= table.column(name)[row] <= high:
            return False
    return all(test(row) for test in plan.tests)


def _walk_column(asked: Filter) -> tuple[str, bool] | None:
    """The timestamp whose stored order is the order asked for, and whether it is upward."""
    order = [(name, direction != "desc") for name, direction in asked.sort]
    if not order:
        return "created_at", asked.order == "asc"
    name, upward = order[0]
    if name == "created_at" and order[1:] in ([], [("id", upward)]):
        return name, upward
    return (name, upward) if name == "updated_at" and order[1:] == [("id", upward)] else None


def _needs_scan(plan: Plan, walked: str) -> bool:
    return bool(plan.tests) or any(name != walked for name in plan.ranges)


def _spans(table: Table, plan: Plan, name: str) -> list[tuple[Order, int, int]]:
    low, high = plan.ranges.get(name, (FIRST, LAST))
    orders = table.orders(name)
    return [(orders[kind], *orders[kind].span(low, high)) for kind in sorted(plan.kinds) if kind in orders]


def _narrowest(table: Table, plan: Plan) -> Iterable[int]:
    """The fewest rows that hold every match."""
    names = list(plan.ranges) or ["created_at"]
    spans = min((_spans(table, plan, name) for name in names), key=lambda s: sum(end - start for _, start, end in s))
    for order, start, end in spans:
        yield from order.rows[start:end]


def _walk(table: Table, plan: Plan, asked: Filter, name: str, upward: bool) -> Page:
    spans = _spans(table, plan, name)
    left_out = {row for row in plan.without if _outside(table, plan, row)}
    total = sum(end - start for _, start, end in spans) - len(left_out)
    reach = asked.offset + asked.limit + len(left_out)
    found = _merged(spans, reach, upward)
    if left_out:
        found = (row for row in found if row not in left_out)
    return Page(list(islice(found, asked.offset, asked.offset + asked.limit)), total)


def _outside(table: Table, plan: Plan, row: int) -> bool:
    """Whether an excluded row would have been counted."""
    if table.kinds[row] not in plan.kinds:
        return False
    return all(low <= table.column(name)[row] <= high for name, (low, high) in plan.ranges.items())


def _merged(spans: list[tuple[Order, int, int]], reach: int, upward: bool) -> Iterable[int]:
    parts = []
    for order, start, end in spans:
        cut = slice(start, min(end, start + reach)) if upward else slice(max(start, end - reach), end)
        stamps, rows = order.stamps[cut], order.rows[cut]
        if not upward:
            stamps.reverse()
            rows.reverse()
        parts.append((stamps, rows))
    if len(parts) == 1:
        return parts[0][1]
    pairs = merge(*(zip(stamps, rows, strict=True) for stamps, rows in parts), reverse=not upward)
    return (row for _, row in pairs)


def _sorted(table: Table, rows: list[int], asked: Filter) -> list[int]:
    """SQL's order: the entries given, then `created_at` in `order`; what is left open falls by row number."""
    rows.sort(reverse=asked.order == "desc")
    for name, direction in reversed([*asked.sort, ("created_at", asked.order)]):
        rows.sort(key=_sort_key(table, name), reverse=direction == "desc")
    return rows


def _sort_key(table: Table, name: str) -> Callable[[int], int | tuple[bool, str]]:
    if name in STAMPS:
        return table.column(name).__getitem__
    if name == "id":
        return lambda row: row

    def key(row: int) -> tuple[bool, str]:
        cell = _cell(table.row(row), name)
        return cell is None, cell or ""  # NULLs last going up, first going down

    return key


def _cut(rows: list[int], asked: Filter) -> Page:
    return Page(rows[asked.offset : asked.offset + asked.limit], len(rows))
