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
from connector.sandbox.routes.conditions import FIRST, LAST, Listing, Selection, add_condition, cell_of, unknown_field
from connector.sandbox.routes.filters import Filter

__all__ = ["Page", "page_of"]

MAX_PARAMETERS = 65_500
"""PostgreSQL takes 65,535 parameters in a statement (contract.md 2.4)."""


@dataclass(slots=True)
class Page:
    """The rows of one page and the number of all matches."""

    rows: list[int]
    total: int


def page_of(listing: Listing, request: Filter) -> Page:
    """The page and the total that a request gets."""
    selection = Selection(listing.kinds_for(request))
    if request.parameters > MAX_PARAMETERS:
        refuse("database_error", f"Failed to list {listing.noun}")
    for condition in request.conditions:
        add_condition(listing, selection, condition)
    for rows in listing.lookups(request):
        selection.keep(rows)
    for name, _ in request.sort:
        if name not in listing.columns:
            unknown_field(listing)
    return _run(listing, selection, request)


def _run(listing: Listing, selection: Selection, request: Filter) -> Page:
    table = listing.table
    shuffle = listing.chance.shuffle if request.loose else None
    if selection.only is not None:
        rows = [row for row in selection.only if _matches(table, selection, row)]
        return _cut(_sorted(table, rows, request, shuffle), request)
    by = _walk_column(request)
    if by is None or _needs_scan(selection, by[0]) or (shuffle and not request.sort[1:]):
        rows = [row for row in _narrowest(table, selection) if _matches(table, selection, row)]
        return _cut(_sorted(table, rows, request, shuffle), request)
    return _walk(table, selection, request, *by)


def _matches(table: Table, selection: Selection, row: int) -> bool:
    if table.kinds[row] not in selection.kinds or row in selection.without:
        return False
    for name, (low, high) in selection.ranges.items():
        if not low <= table.column(name)[row] <= high:
            return False
    return all(test(row) for test in selection.tests)


def _walk_column(request: Filter) -> tuple[str, bool] | None:
    """The timestamp whose stored order is the requested order, and whether it is upward."""
    order = [(name, direction != "desc") for name, direction in request.sort]
    if not order:
        return "created_at", request.order == "asc"
    name, upward = order[0]
    if name == "created_at" and order[1:] in ([], [("id", upward)]):
        return name, upward
    return (name, upward) if name == "updated_at" and order[1:] == [("id", upward)] else None


def _needs_scan(selection: Selection, walked: str) -> bool:
    return bool(selection.tests) or any(name != walked for name in selection.ranges)


def _spans(table: Table, selection: Selection, name: str) -> list[tuple[Order, int, int]]:
    low, high = selection.ranges.get(name, (FIRST, LAST))
    orders = table.orders(name)
    return [(orders[kind], *orders[kind].span(low, high)) for kind in sorted(selection.kinds) if kind in orders]


def _narrowest(table: Table, selection: Selection) -> Iterable[int]:
    """The fewest rows that hold every match."""
    names = list(selection.ranges) or ["created_at"]
    spans = min(
        (_spans(table, selection, name) for name in names), key=lambda s: sum(end - start for _, start, end in s)
    )
    for order, start, end in spans:
        yield from order.rows[start:end]


def _walk(table: Table, selection: Selection, request: Filter, name: str, upward: bool) -> Page:
    spans = _spans(table, selection, name)
    left_out = {row for row in selection.without if _outside(table, selection, row)}
    total = sum(end - start for _, start, end in spans) - len(left_out)
    reach = request.offset + request.limit + len(left_out)
    found = _merged(spans, reach, upward)
    if left_out:
        found = (row for row in found if row not in left_out)
    return Page(list(islice(found, request.offset, request.offset + request.limit)), total)


def _outside(table: Table, selection: Selection, row: int) -> bool:
    """Whether an excluded row would have been counted."""
    if table.kinds[row] not in selection.kinds:
        return False
    return all(low <= table.column(name)[row] <= high for name, (low, high) in selection.ranges.items())


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


def _sorted(table: Table, rows: list[int], request: Filter, shuffle: Callable[[list[int]], None] | None) -> list[int]:
    """SQL's order: the entries given, then `created_at` in `order`; the rest falls by row number, or by chance."""
    rows.sort(reverse=request.order == "desc")
    if shuffle:
        shuffle(rows)
    for name, direction in reversed([*request.sort, ("created_at", request.order)]):
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


def _cut(rows: list[int], request: Filter) -> Page:
    return Page(rows[request.offset : request.offset + request.limit], len(rows))
