"""Rows of texts as a workbook: every cell is a text, so that no spreadsheet runs, rounds or shortens it.

Promised: what is read back from it are the same texts, with zeros and plus signs in front; the same rows give the same
bytes; what does not fit is refused, never cut. Never done: formulas, links.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO

from connector.errors import FixInput
from connector.push.file.record import printable

__all__ = ["check_can_write", "table_begins", "write_workbook"]

LONGEST = 32_767  # characters of a cell, in UTF-16 as Excel counts
LAST_ROW, LAST_COLUMN = 2**20, 2**14
_PLAIN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "constant_memory": True}
_MADE = datetime(2000, 1, 1)  # a workbook says when it was made: always the same, so that bytes are too
_WIDTH = 18  # characters of a column


def check_can_write(path: Path) -> None:
    """Make sure that workbooks can be written. Raises `FixInput`."""
    try:
        import xlsxwriter  # noqa: F401  # only whether it is there
    except ImportError:
        raise FixInput(
            f"{path} would be an Excel workbook, and what writes it is not installed.",
            remedy="pip install 'flexsync[excel]', or end its name with .csv.",
        ) from None


def write_workbook(
    file: IO[bytes], path: Path, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> int:
    """Write a workbook of one sheet.

    Args:
        file: where to.
        path: what messages call it.
        title: of the sheet.
        header: the first row.
        rows: the others.

    Returns:
        How many rows follow the header.

    Raises:
        FixInput: there are too many rows or columns, a cell is too long, or XlsxWriter is not installed.
    """
    check_can_write(path)
    import xlsxwriter

    with xlsxwriter.Workbook(file, _PLAIN) as book:
        book.set_properties({"created": _MADE})
        sheet = book.add_worksheet(title)
        text = book.add_format({"num_format": "@"})  # what is corrected there stays a text too
        sheet.set_column(0, min(max(len(header), 1), LAST_COLUMN) - 1, _WIDTH, text)
        sheet.freeze_panes(1, 0)
        written = -1
        for written, cells in enumerate(chain([header], rows)):
            if written >= LAST_ROW or len(cells) > LAST_COLUMN:
                raise FixInput(f"{path} would have too many rows or columns.", remedy="End its name with .csv.")
            for column, cell in enumerate(cells):
                if cell:
                    sheet.write_string(written, column, _fitting(cell, path, written + 1), text)
    return written


def _fitting(cell: str, path: Path, row: int) -> str:
    """The text of a cell. Raises `FixInput` where Excel has no room for it."""
    if len(cell.encode("utf-16-le", "replace")) > 2 * LONGEST:
        raise FixInput(
            f"{path} row {row}: a cell has more than {LONGEST:,} characters, which no workbook holds.",
            remedy="End its name with .csv.",
        )
    return printable(cell)


def table_begins(path: Path, header: Sequence[str]) -> bool:
    """Whether a file is a workbook or a text table whose first columns are called so."""
    from connector.push.file.rows import header_of, opened

    try:
        with opened(os.fspath(path)) as table:
            return list(header_of(table).cells[: len(header)]) == list(header)
    except FixInput:
        return False
