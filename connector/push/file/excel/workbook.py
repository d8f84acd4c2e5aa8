"""A sheet of a workbook as a text table: records with physical rows, as if it were a CSV file.

Promised: the sheet is read once and kept as text in a temporary file that only this process sees; memory does not hold
it while it is planned. What the sheet shows otherwise than it is read is told in `notes`. Never done: knowing what the
columns mean.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from connector.plurals import counted
from connector.push.file.excel.grid import Grid, check_installed
from connector.push.file.excel.package import Package
from connector.push.file.excel.scan import Scan
from connector.push.file.excel.sheets import Sheet, chosen, sheets_of
from connector.push.file.excel.styles import styles_of
from connector.push.file.marks import DATE, Mark
from connector.push.file.record import Record, quoted
from connector.push.file.source import CHUNK
from connector.push.file.wording import cut

__all__ = ["Workbook"]

_SHOWN = 5  # ranges, columns or sheets that a note names
Line = tuple[int, list[str], dict[int, Mark]]
_line = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


@dataclass
class Workbook:
    """A sheet of a workbook. Use `Workbook.open`.

    Attributes:
        path: the file that is read; a temporary copy for standard input.
        name: what messages call it.
        sha256: of its bytes.
        sheet: the sheet's name.
        notes: sentences about what the sheet shows otherwise than it is read.
    """

    path: Path
    name: str
    sha256: str
    sheet: str
    notes: list[str]
    _kept: IO[bytes] = field(repr=False)

    encoding, bom, delimiter, guessed, unit = "utf-8", b"", ",", False, "row"

    @classmethod
    @contextmanager
    def open(cls, path: Path, name: str, sheet: str | None = None) -> Iterator[Workbook]:
        """Read a sheet, and keep its records readable until the block ends.

        Args:
            path: the file.
            name: what messages call it.
            sheet: name or number of the sheet to read; without it the only visible one with data.

        Raises:
            FixInput: it cannot be read, python-calamine is not installed, or no one sheet is meant.
        """
        check_installed(name)
        with tempfile.TemporaryFile() as kept:
            sha256 = _digest(path)
            with Package.open(path, name) as package:
                taken, notes = _read(package, sheet, kept)
            yield cls(path, name, sha256, taken, notes, kept)

    def records(self) -> Iterator[Record]:
        """Every record in order, blank rows included; `marks` say what cells are besides their texts."""
        place = 0
        while True:
            self._kept.seek(place)  # several readings may be under way
            if not (lines := self._kept.readlines(CHUNK)):
                return
            place = self._kept.tell()
            for number, cells, marks in map(_line, lines):
                yield Record(number, cells, quoted(cells), marks=marks)

    def unchanged(self) -> bool:
        """Whether the file still has the content that it had when it was opened."""
        try:
            return _digest(self.path) == self.sha256
        except OSError:
            return False

    def encode(self, text: str) -> bytes:
        """The text in UTF-8."""
        return text.encode("utf-8", "surrogatepass")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(package: Package, wanted: str | None, kept: IO[bytes]) -> tuple[str, list[str]]:
    """Write the records of the chosen sheet; returns its name and the notes."""

    def filled(sheet: Sheet) -> bool:
        with package.part(sheet.part) as part:
            return Scan(part, None).filled

    sheets = sheets_of(package)
    sheet = chosen(sheets, wanted, filled, package.name)
    with tempfile.TemporaryFile() as spool:
        with package.part(sheet.part) as part:
            scan = Scan(part, spool)
        grid = Grid(package, sheet, scan, styles_of(package))
        dates: dict[int, int] = {}
        header: list[str] = []
        for number, cells, marks in grid.rows():
            header = header or (cells if any(cells) else [])
            for position, mark in marks.items():
                if mark.kind == DATE:
                    dates[position] = dates.get(position, 0) + 1
            kept.write(_encode((number, cells, marks)) + b"\n")
    kept.flush()
    columns = _Columns(header, grid.first)
    return sheet.name, [*_of_sheets(sheets, sheet), *_of_cells(scan, columns), *_of_dates(dates, columns)]


@dataclass(frozen=True)
class _Columns:
    """The columns of a sheet, for notes: its header and its first used column."""

    header: list[str]
    first: int

    def called(self, position: int) -> str:
        """A column's letters and header."""
        letters, number = "", position + self.first + 1
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(65 + rest) + letters
        header = self.header[position] if position < len(self.header) else ""
        return f"{letters}, {cut(header)!r}" if header else letters


def _of_sheets(sheets: list[Sheet], taken: Sheet) -> Iterator[str]:
    if taken.hidden:
        yield f"sheet {taken.name!r} is hidden in the workbook"
    others = [f"{one.name!r}{' (hidden)' if one.hidden else ''}" for one in sheets if one != taken]
    if others:
        yield f"of the workbook only sheet {taken.name!r} is read, not {_some(others)}"


def _of_cells(scan: Scan, columns: _Columns) -> Iterator[str]:
    width = len(columns.header)
    hidden = [
        columns.called(position)
        for position in range(width)
        if any(first <= position + columns.first <= last for first, last in scan.hidden_columns)
    ]
    if hidden:
        columns_are = counted(len(hidden), "column of the sheet is hidden", "columns of the sheet are hidden")
        yield f"{columns_are}: {_some(hidden)}"
    if scan.hidden_rows:
        yield counted(scan.hidden_rows, "row of the sheet is hidden", "rows of the sheet are hidden")
    if scan.merged:
        ranges = counted(len(scan.merged), "range of cells is merged", "ranges of cells are merged")
        yield f"{ranges}: only the first cell of each has a value"


def _of_dates(dates: dict[int, int], columns: _Columns) -> Iterator[str]:
    for position, count in sorted(dates.items()):
        dates_are = counted(count, "cell is a date", "cells are dates")
        yield f"column {columns.called(position)}: {dates_are}, read in the form 2024-12-31"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
