"""Customers as the server sent them, in the formats of a listing: JSON, lines of JSON, CSV, a table.

Promised: JSON and its lines hold every field and digit that the server sent; rows are written as they come, but for a
table, whose widths depend on all of them. A table holds no control characters, and cuts long values. Never done: calls.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import IO, Any

import msgspec

from pipelines.report.rows import write_rows
from pipelines.report.values import one_line

__all__ = ["COLUMNS", "FORMATS", "SHOWN", "Writer", "writer"]

FORMATS = ("json", "jsonl", "csv", "table")
COLUMNS = (
    "id", "external_id", "name", "email", "contact", "address_line1", "address_line2", "address_city", "address_state",
    "address_postal_code", "address_country", "timezone", "metadata", "environment_id", "tenant_id", "status",
    "created_at", "updated_at", "created_by", "updated_by",
)  # fmt: skip
"""Columns of a CSV, in the server's order (contract.md 4)."""
SHOWN = ("id", "external_id", "name", "email", "status", "created_at")
"""Columns of a table, which has to fit a terminal."""


class Writer:
    """Writes customers to a stream.

    Args:
        out: the stream.
    """

    def __init__(self, out: IO[str]) -> None:
        self.out = out

    def take(self, rows: Sequence[bytes]) -> None:
        """Write customers, each a JSON object as the server sent it."""
        raise NotImplementedError

    def close(self) -> str:
        """Write what comes after the last customer; returns what the format could not hold, as a sentence, or ""."""
        return ""


class _Lines(Writer):
    def take(self, rows: Sequence[bytes]) -> None:
        for row in rows:
            self.out.write(_compact(row) + "\n")


class _Object(Writer):
    """One object with the list `items`, as a page has it."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__(out)
        self._before = '{"items": ['

    def take(self, rows: Sequence[bytes]) -> None:
        for row in rows:
            self.out.write(f"{self._before}\n{_compact(row)}")
            self._before = ","

    def close(self) -> str:
        self.out.write("\n]}\n" if self._before == "," else f"{self._before}]}}\n")
        return ""


class _Csv(Writer):
    def __init__(self, out: IO[str], columns: Sequence[str]) -> None:
        super().__init__(out)
        self._columns = columns
        self._csv = csv.writer(out, lineterminator="\n")
        self._csv.writerow(columns)
        self._without: set[str] = set()

    def take(self, rows: Sequence[bytes]) -> None:
        for fields in map(_fields, rows):
            self._csv.writerow([_text(fields.get(name)) for name in self._columns])
            self._without |= fields.keys() - set(self._columns)

    def close(self) -> str:
        names = ", ".join(sorted(self._without))
        return f"the CSV has no column for {names}; --format jsonl has all fields" if names else ""


class _Table(Writer):
    def __init__(self, out: IO[str]) -> None:
        super().__init__(out)
        self._rows: list[list[str]] = []

    def take(self, rows: Sequence[bytes]) -> None:
        self._rows += [[_shown(fields.get(name)) for name in SHOWN] for fields in map(_fields, rows)]

    def close(self) -> str:
        write_rows(SHOWN, self._rows, self.out)
        return ""


def writer(kind: str, out: IO[str], *, integrations: bool = False) -> Writer:
    """Return the writer of a format.

    Args:
        kind: one of `FORMATS`.
        out: the stream.
        integrations: a CSV gets a column for them.
    """
    if kind == "csv":
        return _Csv(out, (*COLUMNS, *(["integrations"] if integrations else [])))
    kinds = {"json": _Object, "jsonl": _Lines, "table": _Table}
    return kinds[kind](out)


def _compact(row: bytes) -> str:
    return msgspec.json.format(row, indent=-1).decode()


def _fields(row: bytes) -> dict[str, Any]:
    return msgspec.json.decode(row, type=dict[str, Any])


def _shown(value: Any) -> str:
    return one_line(value) if value else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
