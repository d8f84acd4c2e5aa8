"""One reading of a sheet's XML, for what calamine does not tell, and how far the sheet reaches.

That is errors, formulas without a result, numbers as they are written, hidden rows and columns, merged cells.

calamine gives "" for an error and for a formula without a result, rounds long numbers, and allocates the whole
rectangle that the outermost cells span.

Promised: memory does not grow with the sheet: odd cells go to a file. A sheet whose rectangle is too large is refused
before calamine sees it. Never done: texts, which are most cells and need no look; the value of a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple
from xml.parsers import expat

import msgspec

from connector.push.file.excel.markup import CHUNK, BrokenError, local, parser

__all__ = ["LAST_COLUMN", "Odd", "OddRow", "Scan"]

LAST_ROW, LAST_COLUMN = 2**20, 2**14  # of Excel
MOST_CELLS = 30_000_000  # of the rectangle; calamine takes 24 bytes for each, whether it has a value or not
MOST_MERGED = 100_000
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
# Most cells are texts of the first 26 columns: taken out beforehand, they cost a tenth.
_PLAIN = re.compile(rb'<c r="[A-Z][0-9]{1,6}"(?: s="[0-9]+")? t="s"><v>[0-9]+</v></c>')
_PLAIN_COLUMNS = 26


class Odd(NamedTuple):
    """A cell that needs more than calamine's value.

    Attributes:
        column: from 0.
        kind: `number`, `error`, or `formula` for one without a result.
        text: the number as it is written, or the error.
        style: of a number.
    """

    column: int
    kind: str
    text: str = ""
    style: int = 0


class OddRow(NamedTuple):
    """A row with odd cells, or a hidden one.

    Attributes:
        number: physical, from 1.
        hidden: whether Excel does not show it.
        cells: the odd ones.
    """

    number: int
    hidden: bool
    cells: list[Odd]


_odd_row = msgspec.json.Decoder(OddRow).decode
_encode = msgspec.json.Encoder().encode


class Scan:
    """What a sheet holds besides texts.

    Args:
        part: the sheet's XML.
        spool: where odd rows are kept; None to find out only whether there is any value.

    Attributes:
        last: the last row with an odd cell.
        first: the first column of an odd cell, from 0.
        columns: how many columns up to the last one with a value; odd cells and texts beyond the 26th count alone.
        hidden_columns: first and last of each group, from 0.
        merged: first row, first column, last row and last column of each range, rows from 1 and columns from 0.
        hidden_rows: how many.
        filled: whether there is any value.

    Raises:
        BrokenError: the sheet cannot be read, or reaches too far.
    """

    def __init__(self, part: IO[bytes], spool: IO[bytes] | None) -> None:
        self.last = self.columns = self.hidden_rows = 0
        self.first = LAST_COLUMN
        self.hidden_columns: list[tuple[int, int]] = []
        self.merged: list[tuple[int, int, int, int]] = []
        self.filled = False
        self._spool, self._plain = spool, False
        self._row, self._rows, self._hidden, self._cells = 0, 0, False, list[Odd]()
        self._column, self._type, self._style = -1, "", 0
        self._text: list[str] = []
        self._value = self._formula = False
        self._take = {"c": self._cell, "row": self._begin_row, "v": self._begin_value, "is": self._begin_value,
                      "f": self._begin_formula, "col": self._columns, "mergeCell": self._merge}  # fmt: skip
        self._parser = made = parser()
        made.StartElementHandler, made.EndElementHandler = self._start, self._end
        self._read(part)

    def odd_rows(self) -> Iterator[OddRow]:
        """The rows with odd cells and the hidden ones, in order."""
        if self._spool is not None:
            self._spool.seek(0)
            yield from map(_odd_row, self._spool)

    def _read(self, part: IO[bytes]) -> None:
        try:
            while piece := part.read(CHUNK):
                rest, plain = _PLAIN.subn(b"", piece)
                self._plain = self._plain or plain > 0
                self._parser.Parse(rest)
                self.filled = self.filled or plain > 0
                if self.filled and self._spool is None:
                    return
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise BrokenError(f"{error}") from None
        self._check_size()

    def _check_size(self) -> None:
        columns = max(self.columns, _PLAIN_COLUMNS if self._plain else 0)
        rows = self._row if self._plain else self._rows
        if rows * columns > MOST_CELLS:
            raise BrokenError(
                f"its cells reach to row {rows:,} and column {columns:,}, which is more than can be a table: delete"
                " what stands far outside of it"
            )

    # --- elements -------------------------------------------------------------------------------------------------

    def _start(self, name: str, given: dict[str, str]) -> None:
        if take := self._take.get(name) or self._take.get(local(name)):
            take(given)

    def _begin_row(self, given: Mapping[str, str]) -> None:
        number = _whole(given["r"]) if "r" in given else self._row + 1
        if not self._row < number <= LAST_ROW:
            raise BrokenError(f"row {number} follows row {self._row}")
        self._row, self._column, self._cells = number, -1, []
        self._hidden = given.get("hidden") in ("1", "true")
        self.hidden_rows += self._hidden

    def _cell(self, given: Mapping[str, str]) -> None:
        self._type, self._style = given.get("t", "n"), _whole(given.get("s", "0"))
        self._value = self._formula = False
        if (reference := given.get("r")) is None:
            if self._plain:
                raise BrokenError(f"row {self._row} has cells with and without a place")
            self._column += 1
            return
        found = _REFERENCE.fullmatch(reference)
        if found is None or int(found[2]) != self._row or (column := _column(found[1])) >= LAST_COLUMN:
            raise BrokenError(f"row {self._row} has a cell {reference[:20]!r}")
        self._column = column

    def _begin_value(self, _: object) -> None:
        self._value = True
        if self._type in ("n", "e"):
            self._text = []
            self._parser.CharacterDataHandler = self._text.append

    def _begin_formula(self, _: object) -> None:
        self._formula = True

    def _columns(self, given: Mapping[str, str]) -> None:
        if len(self.hidden_columns) > LAST_COLUMN:
            raise BrokenError("it describes more columns than there are")
        if given.get("hidden") in ("1", "true"):
            self.hidden_columns.append((_whole(given.get("min", "")) - 1, _whole(given.get("max", "")) - 1))

    def _merge(self, given: Mapping[str, str]) -> None:
        first, _, last = given.get("ref", "").partition(":")
        one, other = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last or first)
        if one is None or other is None or len(self.merged) >= MOST_MERGED:
            raise BrokenError(f"merged cells {given.get('ref', '')[:20]!r}")
        self.merged.append((int(one[2]), _column(one[1]), int(other[2]), _column(other[1])))

    def _end(self, name: str) -> None:
        if name == "v" or name.endswith(":v"):
            self._parser.CharacterDataHandler = None
        elif name == "c" or name.endswith(":c"):
            self._end_cell()
        elif (name == "row" or name.endswith(":row")) and (self._cells or self._hidden):
            self._keep()

    def _end_cell(self) -> None:
        text = "".join(self._text).strip() if self._value and self._type in ("n", "e") else ""
        if self._value or self._formula:
            self.filled, self._rows = True, self._row
            self.columns = max(self.columns, self._column + 1)
        if text:
            kind = "number" if self._type == "n" else "error"
            self._odd(Odd(self._column, kind, text, self._style))
        elif self._formula and (self._type == "n" or not self._value):  # an empty text is a result
            self._odd(Odd(self._column, "formula"))

    def _odd(self, cell: Odd) -> None:
        self._cells.append(cell)
        self.last = self._row
        self.first = min(self.first, cell.column)

    def _keep(self) -> None:
        if self._spool is not None:
            self._spool.write(_encode(OddRow(self._row, self._hidden, self._cells)) + b"\n")


def _whole(text: str) -> int:
    if text.isdecimal() and len(text) < 10:
        return int(text)
    raise BrokenError(f"{text[:20]!r} stands where a number is due")


def _column(letters: str) -> int:
    """The column of its letters, from 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
