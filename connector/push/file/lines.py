"""Physical lines for the csv module, and the records that it makes of them with their line numbers and exact text.

Promised: the lines after a broken record are still read where that is safe. Memory does not grow with the file.
Never done: opening files, decoding.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TextIO

from connector.push.file.record import Record

__all__ = ["Lines", "parsed"]

LONGEST_LINE = 32 * 2**20  # characters; anything longer is no text table
AHEAD = 100  # lines in which the end of a broken record is searched
_UNCLOSED = ("unexpected end", "field larger")  # what the csv module says when a quote is never closed


class Lines:
    """Lines for the csv module, and records with the lines from which they were read.

    Attributes:
        first: number of the line on which the current record begins.
        taken: its lines so far.
    """

    def __init__(self, file: TextIO, first: int) -> None:
        self._read = partial(file.readline, LONGEST_LINE)
        self.first = first
        self._back: deque[str] = deque()
        self.taken: list[str] = []

    def each(self) -> Iterator[str]:
        """The remaining lines. Raises `OverflowError` for a line that is too long."""
        while line := self._back.popleft() if self._back else self._read():
            if len(line) == LONGEST_LINE:
                raise OverflowError(f"more than {LONGEST_LINE} characters")
            self.taken.append(line)
            yield line

    def record(self, cells: list[str], trouble: str = "") -> Record:
        """Make a record of all lines taken."""
        line, taken = self.first, self.taken
        raw = taken[0] if len(taken) == 1 else "".join(taken)
        self.first += len(taken)
        taken.clear()
        return Record(line, cells, raw, trouble)

    def to_end_of_record(self, delimiter: str) -> None:
        """Take the rest of a record that is broken on its last line taken: a quoted cell may continue.

        Otherwise its remaining lines would be read as records. If no end is near, they are put back.
        """
        known, ended = len(self.taken), True

        def lines() -> Iterator[str]:
            nonlocal ended
            yield from self.taken[:known]
            yield from islice(self.each(), AHEAD)
            ended = False

        try:
            next(csv.reader(lines(), delimiter=delimiter))
        except csv.Error:
            ended = False
        if not ended:
            self._back.extendleft(reversed(self.taken[known:]))
            del self.taken[known:]


def parsed(lines: Lines, delimiter: str) -> Iterator[Record]:
    """Every record, broken ones included; `Record.trouble` says why a record could not be read."""
    reader = csv.reader(lines.each(), delimiter=delimiter, strict=True)
    while True:
        try:
            for cells in reader:
                yield lines.record(cells)
            return
        except csv.Error as error:
            unclosed = str(error).startswith(_UNCLOSED)
        if unclosed:
            yield lines.record([], "unclosed")
            return  # everything that follows is inside that quote
        lines.to_end_of_record(delimiter)
        yield lines.record([], "quotes")
