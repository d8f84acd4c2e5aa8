"""Rows by number: generated ones, written ones, and the sorted orders that pages are cut from.

Promises that a page of a keyset query costs its own rows and a few bisections, whatever the size of the table.
Never holds a dictionary for a generated row.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Protocol

from connector.sandbox.clock import stamp
from connector.sandbox.ids import row_of
from connector.sandbox.replies import Json

__all__ = ["GONE", "Order", "Source", "Table"]

GONE = 255
"""The kind of a row that is in no list: hard-deleted, or not committed yet."""

STAMPS = ("created_at", "updated_at")


class Source(Protocol):
    """What computes the generated rows."""

    @property
    def count(self) -> int:
        """How many there are."""

    def stamps(self, column: str) -> array[int]:
        """Microseconds of `created_at` or `updated_at` of every row."""

    def kinds(self) -> bytearray:
        """The status class of every row."""

    def row(self, number: int, created: int, updated: int) -> Json:
        """One row, ready to be sent."""

    def id_of(self, number: int) -> str:
        """The id of a computed row."""


class Order:
    """The rows of one kind sorted by one timestamp, then by row number (which is the order of their ids)."""

    def __init__(self, column: array[int], rows: list[int]) -> None:
        self.stamps = array("q", map(column.__getitem__, rows))
        self.rows = array("I", rows)

    def position(self, moment: int, row: int) -> int:
        """The index of (moment, row), or where to insert it."""
        low = bisect_left(self.stamps, moment)
        return bisect_left(self.rows, row, low, bisect_right(self.stamps, moment, low))

    def add(self, moment: int, row: int) -> None:
        """Insert a row."""
        position = self.position(moment, row)
        self.stamps.insert(position, moment)
        self.rows.insert(position, row)

    def drop(self, moment: int, row: int) -> None:
        """Remove a row."""
        position = self.position(moment, row)
        del self.stamps[position]
        del self.rows[position]

    def span(self, low: int, high: int) -> tuple[int, int]:
        """The slice of rows with low <= timestamp <= high."""
        start = bisect_left(self.stamps, low)
        return start, max(start, bisect_right(self.stamps, high))


class Table:
    """The rows of one listing. Row numbers are never reused, and ids sort like them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = source.count
        self.written: dict[int, Json] = {}
        self.named: dict[str, int] = {}
        self._columns: dict[str, array[int]] = {}
        self._kinds: bytearray | None = None
        self._orders: dict[str, dict[int, Order]] = {}

    @property
    def kinds(self) -> bytearray:
        """The status class of every row."""
        if self._kinds is None:
            self._kinds = self.source.kinds()
        return self._kinds

    def column(self, name: str) -> array[int]:
        """Microseconds of a timestamp, by row number."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = self.source.stamps(name)
        return found

    def orders(self, name: str) -> dict[int, Order]:
        """The sorted orders by a timestamp, one a kind; built at first use, patched by writes."""
        found = self._orders.get(name)
        if found is None:
            found = self._orders[name] = self._sorted(name)
        return found

    def _sorted(self, name: str) -> dict[int, Order]:
        column, kinds = self.column(name), self.kinds
        parts: dict[int, list[int]] = {}
        for row in sorted(range(self.count), key=column.__getitem__):
            parts.setdefault(kinds[row], []).append(row)
        return {kind: Order(column, rows) for kind, rows in parts.items() if kind != GONE}

    def find(self, identifier: str) -> int | None:
        """The row number of an id, or None."""
        row = self.named.get(identifier)
        if row is None:
            row = row_of(identifier)
            if not 0 <= row < self.source.count or self.source.id_of(row) != identifier:
                return None
        return None if self.kinds[row] == GONE else row

    def row(self, number: int) -> Json:
        """One row as it would be sent."""
        created, updated = self.column("created_at")[number], self.column("updated_at")[number]
        stored = self.written.get(number)
        if stored is None:
            return self.source.row(number, created, updated)
        row = stored.copy()
        row["created_at"] = stamp(created)
        row["updated_at"] = stamp(updated)
        return row

    def rows(self, numbers: Iterable[int]) -> Iterator[Json]:
        """Several rows."""
        return map(self.row, numbers)

    def add(self, row: Json, created: int, updated: int, kind: int) -> int:
        """Append a row; its id must not sort before the last one's."""
        number = self.count
        self.column("created_at").append(created)
        self.column("updated_at").append(updated)
        self.kinds.append(kind)
        self.count += 1
        self.written[number] = row
        self.named[row["id"]] = number
        self._enter(number)
        return number

    def change(self, number: int, row: Json, updated: int, kind: int) -> None:
        """Replace a row; `created_at` never changes."""
        self._leave(number)
        self.written[number] = row
        self.named[row["id"]] = number
        self.column("updated_at")[number] = updated
        self.kinds[number] = kind
        self._enter(number)

    def place(self, number: int, kind: int) -> None:
        """Change a row's kind and nothing else."""
        self._leave(number)
        self.kinds[number] = kind
        self._enter(number)

    def touch(self, numbers: Iterable[int], updated: int) -> None:
        """Give many rows the same `updated_at`, as an operator's bulk SQL does."""
        column = self.column("updated_at")
        for number in numbers:
            column[number] = updated
        self._orders.pop("updated_at", None)

    def _enter(self, number: int) -> None:
        kind = self.kinds[number]
        if kind == GONE:
            return
        for name, orders in self._orders.items():
            moment = self.column(name)[number]
            orders.setdefault(kind, Order(self.column(name), [])).add(moment, number)

    def _leave(self, number: int) -> None:
        kind = self.kinds[number]
        if kind == GONE:
            return
        for name, orders in self._orders.items():
            orders[kind].drop(self.column(name)[number], number)
