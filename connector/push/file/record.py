"""One record of a text table, and how text is written back as one.

Promised: `quoted` writes what `Delimited.records` reads back as the same cells. Never done: knowing what cells mean.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import NamedTuple

from connector.push.file.marks import Marks

__all__ = ["SURROGATE", "Record", "is_readable", "is_text", "printable", "quoted"]

SURROGATE = re.compile("[\ud800-\udfff]")
_NO_MARKS: Marks = MappingProxyType({})


class Record(NamedTuple):
    """One record of a text table.

    Attributes:
        line: the physical line on which it begins, from 1; for a table in memory the row, from 1.
        cells: its values; empty for a blank line.
        raw: its text exactly as in the file, line end included.
        trouble: why it could not be read, `quotes` or `unclosed`; "" when it could.
        marks: position → what a workbook's cell is besides its text.
    """

    line: int
    cells: list[str]
    raw: str
    trouble: str = ""
    marks: Marks = _NO_MARKS


def printable(text: str) -> str:
    """Replace every byte that is not text in the file's encoding."""
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


def is_text(text: str) -> bool:
    """Whether every byte could be decoded. Ten times as fast as a search for one that could not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_readable(cell: str) -> bool:
    """Whether a cell has neither NUL nor undecodable bytes. Only then are the rules about its value checked."""
    return "\0" not in cell and is_text(cell)


def quoted(cells: list[str], delimiter: str = ",", end: str = "\n") -> str:
    """Write one record as delimited text; cells are quoted only where necessary."""
    return delimiter.join(_quoted(cell, delimiter) for cell in cells) + end


def _quoted(cell: str, delimiter: str) -> str:
    if delimiter in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
