"""The results of a run: what became of everything that the plan names, as CSV, workbook or Parquet.

Promised: a cell that a spreadsheet would run as a formula is neutralised in CSV. Never done: calls.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from connector.files import atomic_write
from connector.push.apply.journal import Line
from connector.push.apply.rejected import numbered, reason
from connector.push.apply.workbook import write_workbook
from connector.push.plan.entry import Entry
from connector.tables.import_results import COLUMNS, schema

__all__ = ["COLUMNS", "neutral", "results", "write_results"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet runs: formulas get a quote in front."""
    return "'" + text if text.startswith(_FORMULA) else text


def results(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[dict[str, Any]]:
    """One row for everything that the plan names; `outcome` is the journal's, left, or what was planned."""
    import msgspec

    for entry, line in numbered(entries, settled):
        outcome = line.outcome if line else "left" if entry.writes else entry.do
        yield {
            "line": entry.line or None,
            "external_id": entry.external_id,
            "id": line.id if line and line.id else entry.id,
            "do": entry.do,
            "outcome": outcome,
            "why": (line.why if line else "") or reason(entry, line) or " ".join(_told(entry)),
            "changes": msgspec.json.encode(entry.set).decode() if entry.set else "",
            "request_id": line.request_id if line else "",
        }


def _told(entry: Entry) -> list[str]:
    """What is worth knowing of an entry: of a row that is not written, its doubts too."""
    return [*entry.doubts, *entry.notes] if entry.do in ("held", "left_out") else entry.notes


def write_results(path: Path, entries: Iterable[Entry], settled: dict[int, Line], *, neutralise: bool = True) -> int:
    """Write the results as CSV, or as a workbook or Parquet when the name ends so (exact there: nobody runs formulas).

    Args:
        path: where.
        entries: of the plan.
        settled: outcomes so far, by the number of the write.
        neutralise: whether formulas in CSV get a quote in front.

    Returns:
        How many rows it holds.

    Raises:
        FixInput: it cannot be written.
    """
    rows = results(entries, settled)
    if path.suffix == ".parquet":
        return _parquet(path, rows)
    if path.suffix == ".xlsx":
        with atomic_write(path) as file:
            return write_workbook(file, path, "results", COLUMNS, map(_cells, rows))
    return _csv(path, rows, neutralise)


def _cells(row: dict[str, Any]) -> list[str]:
    return ["" if value is None else str(value) for value in row.values()]


def _csv(path: Path, rows: Iterator[dict[str, Any]], neutralise: bool) -> int:
    written = 0
    with atomic_write(path) as binary:
        file = io.TextIOWrapper(binary, "utf-8", newline="", write_through=True)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([neutral(cell) if neutralise else cell for cell in _cells(row)])
            written += 1
        file.flush()
        file.detach()
    return written


def _parquet(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist(list(rows), schema=schema())
    with atomic_write(path) as file:
        parquet.write_table(table, file)
    return int(table.num_rows)
