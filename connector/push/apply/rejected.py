"""`rejected.csv`, the dead letters of a file: rows that were not taken, to be corrected and planned again.

Promised: it holds each row's exact bytes after two columns that say where and why (in front, so that a row with a
broken quote or too few cells still reads right), and can be planned again as it is. A file that a person may have begun
to correct is kept. Never done: neutralising formulas; calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from connector.files import atomic_write, set_aside
from connector.push.apply.journal import Line
from connector.push.file.columns import REASONS
from connector.push.file.delimited import DELIMITERS
from connector.push.file.record import quoted
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Source

__all__ = ["numbered", "reason", "rejected", "write_rejected"]

_REFUSED = ("skipped", "failed")


def reason(entry: Entry, settled: Line | None) -> str:
    """Why a row is not done; "" when it is, or may still be."""
    if entry.do == "invalid":
        return " ".join(f"{fault.column + ': ' if fault.column else ''}{fault.remedy}" for fault in entry.faults)
    if entry.do == "conflict":
        return entry.why
    return settled.why if settled is not None and settled.outcome in _REFUSED else ""


def numbered(entries: Iterable[Entry], settled: dict[int, Line]) -> Iterator[tuple[Entry, Line | None]]:
    """Entries with their outcome lines; entries that write nothing have none."""
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
        path: where; an older file with other content is kept beside it with a ``~``, because somebody may have begun
            to correct it.
        source: the person's file.
        entries: of the plan.
        settled: outcomes so far, by the number of the write.

    Returns:
        How many rows it holds; for none no file is written.

    Raises:
        FixInput: it cannot be written.
    """
    rows = rejected(entries, settled)
    first = next(rows, None)
    if first is None:
        if path.exists():
            set_aside(path)
        return 0
    end = "\r\n" if source.header.endswith("\r\n") else "\n"
    written = 0
    with atomic_write(path, keep_other=True) as file:
        declared = f"sep={source.delimiter}{end}" if source.delimiter not in DELIMITERS else ""
        file.write(bytes.fromhex(source.bom) + declared.encode(source.encoding))
        file.write(_front(list(REASONS), source) + _ended(source.header, end, source))
        for entry, why in chain([first], rows):
            raw = entry.raw_bytes or _ended(entry.raw, end, source)
            file.write(_front([str(entry.line), why], source) + raw)
            written += 1
    return written


def _front(cells: list[str], source: Source) -> bytes:
    return quoted([*cells, ""], source.delimiter, "").encode(source.encoding, "replace")


def _ended(raw: str, end: str, source: Source) -> bytes:
    return (raw if raw.endswith(("\n", "\r")) else raw + end).encode(source.encoding)
