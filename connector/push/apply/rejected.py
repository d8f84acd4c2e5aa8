"""`rejected.csv`, the dead letters of a file: rows that were not taken, to be corrected and planned again.

Promised: it holds each row's exact bytes after two columns that say where and why (in front, so that a row with a
broken quote or too few cells still reads right), and can be planned again as it is. A file that a person may have begun
to correct is kept. Never done: neutralising formulas; calls.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from connector.files import atomic_write, set_aside
from connector.push.apply.journal import Line
from connector.push.apply.workbook import write_workbook
from connector.push.file.delimited import DELIMITERS
from connector.push.file.lines import Lines, parsed
from connector.push.file.record import quoted
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Source

__all__ = ["REASONS", "cells_of", "front", "numbered", "reason", "rejected", "top", "write_rejected"]

_REFUSED = ("skipped", "failed")
REASONS = ("flexsync_line", "flexsync_reason")


def reason(entry: Entry, settled: Line | None) -> str:
    """Why a row is not done; "" when it is, or may still be."""
    if entry.do == "invalid":
        faults = (f"{fault.column + ': ' if fault.column else ''}{fault.remedy}" for fault in entry.faults)
        return " ".join([*faults, *_told(entry)])
    if entry.do == "conflict":
        return " ".join([entry.why, *_told(entry)])
    if entry.do in ("held", "left_out"):
        return ""  # they have a file of their own
    return settled.why if settled is not None and settled.outcome in _REFUSED else ""


def _told(entry: Entry) -> list[str]:
    """What else is worth knowing of a refused row, as sentences."""
    return [f"Also: {note}." for note in entry.notes]


def numbered(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[tuple[Entry, Line | None]]:
    """Entries with their outcome lines; entries that write nothing have none."""
    n = 0
    for entry in entries:
        yield entry, settled.get(n) if entry.writes else None
        n += bool(entry.writes)


def rejected(entries: Iterable[Entry], settled: dict[int, Line], *, held: bool = False) -> Iterator[tuple[Entry, str]]:
    """Rows of the file that were not taken, and why; with `held`, those too that wait for a decision."""
    for entry, line in numbered(entries, settled):
        why = "; ".join(entry.doubts) if held and entry.do == "held" else reason(entry, line)
        if why and (entry.raw or entry.raw_bytes):
            yield entry, why


def write_rejected(
    path: Path,
    source: Source,
    entries: Iterable[Entry],
    settled: dict[int, Line],
    *,
    next_round: bool = False,
    aside: Callable[[Path], object] = set_aside,
) -> int:
    """Write `rejected.csv` as the person's file is written, in encoding and delimiter; or a workbook of its cells.

    Args:
        path: where, .csv or .xlsx; an older file with other content is kept beside it with a ``~``, because somebody
            may have begun to correct it.
        source: the person's file.
        entries: of the plan.
        settled: outcomes so far, by the number of the write.
        next_round: the file there is the one that was read: where nothing is left to correct it stays, otherwise the
            new one holds held rows too, because it takes its place.
        aside: moves an older file away.

    Returns:
        How many rows it holds; for none no file is written.

    Raises:
        FixInput: it cannot be written.
    """
    rows = rejected(entries, settled, held=next_round)
    first = next(rows, None)
    if first is None:
        if path.exists() and not next_round:
            aside(path)
        return 0
    with atomic_write(path, keep_other=True, aside=aside) as file:
        return _write(file, path, source, chain([first], rows))


def _write(file: IO[bytes], path: Path, source: Source, rows: Iterable[tuple[Entry, str]]) -> int:
    if path.suffix == ".xlsx":
        header = [*REASONS, *cells_of(source.header, source)]
        return write_workbook(file, path, "rejected", header, (_cells(entry, why, source) for entry, why in rows))
    file.write(top(list(REASONS), source))
    written = 0
    for entry, why in rows:
        file.write(front([str(entry.line), why], entry.raw_bytes or entry.raw, source))
        written += 1
    return written


def _cells(entry: Entry, why: str, source: Source) -> list[str]:
    raw = entry.raw or entry.raw_bytes.decode(source.encoding, "replace")
    return [str(entry.line), why, *cells_of(raw, source)]


def cells_of(raw: str, source: Source) -> list[str]:
    """The cells of a row of the person's file; the row as one cell where its quotes are broken."""
    record = next(parsed(Lines(io.StringIO(raw, newline=""), 1), source.delimiter), None)
    return record.cells if record is not None and not record.trouble else [raw.rstrip("\r\n")]


def top(names: list[str], source: Source) -> bytes:
    """The beginning of a file that holds rows of the person's file: its mark, then its header after other columns."""
    declared = f"sep={source.delimiter}{_end(source)}" if source.delimiter not in DELIMITERS else ""
    return bytes.fromhex(source.bom) + declared.encode(source.encoding) + front(names, source.header, source)


def front(cells: list[str], raw: str | bytes, source: Source) -> bytes:
    """A row of the person's file, byte for byte, after other cells."""
    before = quoted([*cells, ""], source.delimiter, "").encode(source.encoding, "replace")
    return before + (raw if isinstance(raw, bytes) else _ended(raw, _end(source), source))


def _end(source: Source) -> str:
    return "\r\n" if source.header.endswith("\r\n") else "\n"


def _ended(raw: str, end: str, source: Source) -> bytes:
    return (raw if raw.endswith(("\n", "\r")) else raw + end).encode(source.encoding)
