"""Rows of a query as a table for people, as CSV, JSON or Parquet.

Promised: every format holds every digit; NULL is an empty cell, or null in JSON.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from pipelines.report.values import as_text, jsonable, visible

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_csv", "write_json", "write_parquet", "write_rows", "write_table"]

FILE_WIDTH = 4000  # characters of a line, where no terminal limits it


def write_table(found: pa.Table, out: IO[str] | None = None) -> None:
    """Write an Arrow table as aligned columns to `out`, by default stdout."""
    write_rows(found.column_names, _rows(found), out)


def write_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str] | None = None) -> None:
    """Write rows as aligned columns to `out`, by default stdout."""
    from rich.console import Console
    from rich.table import Table

    out = out or sys.stdout
    console = Console(file=out, width=None if out.isatty() else FILE_WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    return "" if value is None else escape(visible(as_text(value)))


def write_csv(found: pa.Table, out: IO[str]) -> None:
    """Write an Arrow table as CSV with a header."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(found.column_names)
    for row in _rows(found):
        writer.writerow(["" if value is None else as_text(value) for value in row])


def write_json(found: pa.Table, out: IO[str]) -> None:
    """Write an Arrow table as a JSON array, one object a row."""
    rows = found.to_pylist(maps_as_pydicts="strict")
    out.write(msgspec.json.encode([jsonable(row) for row in rows]).decode() + "\n")


def write_parquet(found: pa.Table, path: Path) -> None:
    """Write an Arrow table as a Parquet file. Raises OSError when it cannot be written."""
    from pyarrow import parquet

    parquet.write_table(found, path)


def _rows(found: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist(maps_as_pydicts="strict") for column in found.columns), strict=True))
