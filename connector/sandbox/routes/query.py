"""A Filter answered from a Table.

Promises contract.md 3.3, and keyset pages by bisection: a walk by `created_at` or `updated_at` reads only its own rows.
Never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from connector.sandbox.data.table import STAMPS, Order, Table
from connector.sandbox.replies import refuse
from connector.sandbox.routes.conditions import FIRST, LAST, Listing, Plan, apply, cell_of, unknown_field
from connector.sandbox.routes.filters import Filter

__all__ = ["Page", "page_of"]

MAX_PARAMETERS = 65_500
"""PostgreSQL takes 65,535 parameters in a statement (contract.md 2.4)."""


@dataclass(slots=True)
class Page:
    """The rows of one page and the number of all matches."""

    rows: list[int]
    total: int


def page_of(listing: Listing, asked: Filter) -> Page:
    """The page and the total that a request gets."""
    plan = Plan(listing.kinds_for(asked))
    if asked.parameters > MAX_PARAMETERS:
        refuse("database_error", f"Failed to list {listing.noun}")
    for condition in asked.conditions:
        apply(listing, plan, condition)
    for rows in listing.lookups(asked):
        plan.keep(rows)
    for name, _ in asked.sort:
        if name not in listing.columns:
            unknown_field(listing)
    return _run(listing, plan, asked)


def _run(listing: Listing, plan: Plan, asked: Filter) -> Page:
    table = listing.table
    shuffle = listing.chance.shuffle if asked.loose else None
    if plan.only is not None:
        rows = [row for row in plan.only if _matches(table, plan, row)]
        return _cut(_sorted(table, rows, asked, shuffle), asked)
    by = _walk_column(asked)
    if by is None or _needs_scan(plan, by[0]) or (shuffle and not asked.sort[1:]):
        rows = [row for row in _narrowest(table, plan) if _matches(table, plan, row)]
        return _cut(_sorted(table, rows, asked, shuffle), asked)
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


def _sorted(table: Table, rows: list[int], asked: Filter, shuffle: Callable[[list[int]], None] | None) -> list[int]:
    """SQL's order: the entries given, then `created_at` in `order`; the rest falls by row number, or by chance."""
    rows.sort(reverse=asked.order == "desc")
    if shuffle:
        shuffle(rows)
    for name, direction in reversed([*asked.sort, ("created_at", asked.order)]):
        rows.sort(key=_sort_key(table, name), reverse=direction == "desc")
    return rows


def _sort_key(table: Table, name: str) -> Callable[[int], int | tuple[bool, str]]:
    if name in STAMPS:
        return table.column(name).__getitem__
    if name == "id":
        return lambda row: row

    def key(row: int) -> tuple[bool, str]:
        cell = cell_of(table.row(row), name)
        return cell is None, cell or ""  # NULLs last going up, first going down

    return key


def _cut(rows: list[int], asked: Filter) -> Page:
    return Page(rows[asked.offset : asked.offset + asked.limit], len(rows))
