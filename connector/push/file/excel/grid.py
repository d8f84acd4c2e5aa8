"""The cells of a sheet, row by row: calamine's values together with what the scan found.

Promised: rows keep their physical numbers, and columns their order, from the first column that is used. An error is its
own text, and a number what the file has written. Never done: choosing a sheet; knowing what columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, NoReturn

from connector.errors import FixInput
from connector.push.file.excel.markup import BrokenError
from connector.push.file.excel.package import Package
from connector.push.file.excel.scan import Odd, OddRow, Scan
from connector.push.file.excel.sheets import Sheet
from connector.push.file.excel.texts import is_date, number_text, value_text
from connector.push.file.marks import DATE, FORMULA, HIDDEN, MERGED, NO_RESULT, NUMBER, ROW, Mark

__all__ = ["Grid", "check_installed"]

Cells = list[str]
_NONE = OddRow(0, False, [])


def check_installed(name: str) -> None:
    """Make sure that workbooks can be read. Raises `FixInput`."""
    try:
        import python_calamine  # noqa: F401  # only whether it is there
    except ImportError:
        raise FixInput(
            f"{name} is an Excel workbook, and what reads it is not installed.",
            remedy="pip install 'flexsync[excel]', or save it as CSV in UTF-8.",
        ) from None


class Grid:
    """The used cells of a sheet.

    Args:
        package: the workbook.
        sheet: one of its sheets.
        scan: of that sheet.
        styles: of the workbook (`connector.push.file.excel.styles`).

    Attributes:
        first: the first used column, from 0.
        width: how many columns from there.
        last: the last used row, from 1.

    Raises:
        BrokenError: calamine cannot read it.
    """

    def __init__(self, package: Package, sheet: Sheet, scan: Scan, styles: Sequence[str]) -> None:
        self._scan, self._styles = scan, styles
        self._sheet = _opened(package, sheet)
        start, end = self._sheet.start, self._sheet.end
        self._start = start[1] if start is not None else LAST
        self.first = min(self._start, scan.first)
        self.width = max(end[1] + 1 if end is not None else 0, scan.columns) - self.first
        self.last = max(end[0] + 1 if end is not None else 0, scan.last)
        self._covering = _Covering(scan.merged, self.first, self.width)

    def rows(self) -> Iterator[tuple[int, Cells, dict[int, Mark]]]:
        """Number, texts and marks of every row, blank ones included. Positions count from the first used column."""
        odd_rows = self._scan.odd_rows()
        odd = next(odd_rows, _NONE)
        given = chain(self._sheet.iter_rows() if self._start < LAST else (), repeat([]))
        for number, values in zip(range(1, self.last + 1), given, strict=False):
            yield number, *self._row(number, values, odd if odd.number == number else _NONE)
            if odd.number == number:
                odd = next(odd_rows, _NONE)

    def _row(self, number: int, values: Sequence[Any], odd: OddRow) -> tuple[Cells, dict[int, Mark]]:
        written = {cell.column: cell for cell in odd.cells if cell.kind == NUMBER}
        at = self._start - self.first
        cells, marks = [""] * self.width, dict[int, Mark]()
        for position, value in enumerate(values, at):
            if type(value) is str:
                cells[position] = value
                continue
            number_cell = written.get(position + self.first)
            cells[position] = value_text(value, number_cell.text if number_cell else "")
            if is_date(value):
                marks[position] = Mark(DATE)
        for cell in odd.cells:
            self._odd(cell, cells, marks)
        self._covering.mark(number, cells, marks)
        if odd.hidden:
            marks[ROW] = Mark(HIDDEN)
        return cells, marks

    def _odd(self, cell: Odd, cells: Cells, marks: dict[int, Mark]) -> None:
        position = cell.column - self.first
        if cell.kind == "error":
            cells[position] = cell.text
        elif cell.kind == "formula":
            cells[position], marks[position] = NO_RESULT, Mark(FORMULA)
        elif position not in marks:
            text = number_text(cell.text)
            cells[position], marks[position] = text, Mark(NUMBER, self._shown(text, cell.style))

    def _shown(self, text: str, style: int) -> str:
        """How a number is shown, where that is known and other than its digits."""
        code = self._styles[style] if style < len(self._styles) else ""
        if not code or code == "%":
            return code
        zeros = text.zfill(len(code)) if text.isdecimal() else text
        return zeros if zeros != text else ""


class _Covering:
    """The merged cells of a sheet: in which rows the text of one cell is shown over others.

    Args:
        merged: the ranges, as in `Scan`.
        first: the first used column.
        width: how many columns are used.
    """

    def __init__(self, merged: Sequence[tuple[int, int, int, int]], first: int, width: int) -> None:
        self._coming = sorted(merged, reverse=True)
        self._first, self._width = first, width
        self._open: list[tuple[int, int, int, int, str]] = []

    def mark(self, number: int, cells: Cells, marks: dict[int, Mark]) -> None:
        """Mark the blank cells of a row that show the text of another. Raises `BrokenError` where ranges overlap."""
        if not (self._coming or self._open):
            return
        self._open = [one for one in self._open if one[2] >= number]
        while self._coming and self._coming[-1][0] <= number:
            top, left, bottom, right = self._coming.pop()
            position = left - self._first
            text = cells[position] if 0 <= position < self._width else ""
            self._open.append((top, position, bottom, right - self._first, text))
        if len(self._open) > self._width:
            raise BrokenError("its merged cells overlap")
        for top, left, _, right, text in self._open:
            for position in range(max(left, 0), min(right + 1, self._width)) if text else ():
                if not cells[position]:
                    marks[position] = Mark(MERGED, text, top)


LAST = 2**14  # columns of Excel


def _opened(package: Package, sheet: Sheet) -> Any:
    """A sheet in calamine, which has all of it in memory. Raises `BrokenError`."""
    import python_calamine

    try:
        with package.path.open("rb") as file:
            return python_calamine.CalamineWorkbook.from_filelike(file).get_sheet_by_name(sheet.name)
    except python_calamine.CalamineError as error:
        raise BrokenError(str(error)) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of calamine's Rust, which is no Exception
            _panicked(error)
        raise


def _panicked(error: BaseException) -> NoReturn:
    raise BrokenError(f"what reads it broke off ({error})") from None
