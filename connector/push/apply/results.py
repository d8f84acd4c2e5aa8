"""What became of every row, as files for people: `rejected.csv` to mend and plan again, and the results.

Promised: `rejected.csv` holds each row's original bytes after two columns that say where and why (in front, so that a
row with a broken quote or too few cells still reads right), and can be planned again as it is; a cell that a
spreadsheet would take for a formula is neutralised in the results, never in `rejected.csv`. Never done: calls.
"""

from __future__ import annotations

import csv
import filecmp
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from connector.errors import FixInput
from connector.files import atomic_write, set_aside
from connector.push.apply.journal import Line
from connector.push.file.columns import REASONS
from connector.push.file.delimited import DELIMITERS
from connector.push.file.record import quoted
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Source
from connector.tables.import_results import COLUMNS, schema

__all__ = ["COLUMNS", "neutral", "rejected", "results", "write_rejected", "write_results"]

REFUSED = ("skipped", "failed")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet runs: formulas get a quote in front."""
    return "'" + text if text.startswith(_FORMULA) else text


def reason(entry: Entry, settled: Line | None) -> str:
    """Why a row is not done; "" when it is, or may still be."""
    if entry.do == "invalid":
        return " ".join(f"{fault.column + ': ' if fault.column else ''}{fault.remedy}" for fault in entry.faults)
    if entry.do == "conflict":
        return entry.why
    return settled.why if settled is not None and settled.outcome in REFUSED else ""


def numbered(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[tuple[Entry, Line | None]]:
    """Entries with their outcome lines; those that write nothing have none."""
    n = 0
    for entry in entries:
        yield entry, settled.get(n) if entry.writes else None
        n += bool(entry.writes)


def rejected(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[tuple[Entry, str]]:
    """Rows of the file that were not taken, and why."""
    for entry, line in numbered(entries, settled):
        why = reason(entry, line)
        if why and (entry.raw or entry.raw_bytes):
            yield entry, why


def write_rejected(path: Path, source: Source, entries: Iterable[Entry], settled: dict[int, Line]) -> int:
    """Write `rejected.csv` in the encoding and with the delimiter of the person's file.

    Args:
        path: where; a file from before that says something else is kept beside it with a ``~``, for somebody may have
            begun to mend it.
        source: the person's file.
        entries: of the plan.
        settled: outcomes so far, by the number of the write.

    Returns:
        How many rows it holds.
    """
    rows = rejected(entries, settled)
    first = next(rows, None)
    if first is None:
        if path.exists():
            set_aside(path)
        return 0
    end = "\r\n" if source.header.endswith("\r\n") else "\n"
    written = 0
    unfinished = path.with_name(f".{path.name}.new")
    with atomic_write(unfinished) as file:
        declared = f"sep={source.delimiter}{end}" if source.delimiter not in DELIMITERS else ""
        file.write(bytes.fromhex(source.bom) + declared.encode(source.encoding))
        file.write(_front(list(REASONS), source) + _ended(source.header, end, source))
        for entry, why in chain([first], rows):
            raw = entry.raw_bytes or _ended(entry.raw, end, source)
            file.write(_front([str(entry.line), why], source) + raw)
            written += 1
    if path.exists() and not filecmp.cmp(path, unfinished, shallow=False):
        set_aside(path)
    unfinished.replace(path)
    return written


def _front(cells: list[str], source: Source) -> bytes:
    return quoted([*cells, ""], source.delimiter, "").encode(source.encoding, "replace")


def _ended(raw: str, end: str, source: Source) -> bytes:
    return (raw if raw.endswith(("\n", "\r")) else raw + end).encode(source.encoding)


def results(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[dict[str, Any]]:
    """One row for everything that the plan names; `outcome` is invalid, conflict, left, or the journal's."""
    import msgspec

    for entry, line in numbered(entries, settled):
        outcome = line.outcome if line else "left" if entry.writes else entry.do
        yield {
            "line": entry.line or None,
            "external_id": entry.external_id,
            "id": line.id if line and line.id else entry.id,
            "do": entry.do,
            "outcome": outcome,
            "why": (line.why if line else "") or reason(entry, line) or " ".join(entry.notes),
            "changes": msgspec.json.encode(entry.set).decode() if entry.set else "",
            "request_id": line.request_id if line else "",
        }


def write_results(path: Path, entries: Iterable[Entry], settled: dict[int, Line], *, neutralise: bool = True) -> int:
    """Write the results as CSV, or as Parquet when the name ends so (exact there: nobody runs formulas in it).

    Returns:
        How many rows it holds.
    """
    rows = results(entries, settled)
    if path.suffix == ".parquet":
        return _parquet(path, rows)
    written = 0
    with atomic_write(path) as binary:
        file = io.TextIOWrapper(binary, "utf-8", newline="", write_through=True)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            cells = ["" if value is None else str(value) for value in row.values()]
            writer.writerow([neutral(cell) if neutralise else cell for cell in cells])
            written += 1
        file.flush()
        file.detach()
    return written


def _parquet(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist(list(rows), schema=schema())
    try:
        parquet.write_table(table, path)
    except OSError as error:
        raise FixInput(f"{path} cannot be written: {error}.", remedy="Give another --results.") from None
    return int(table.num_rows)
