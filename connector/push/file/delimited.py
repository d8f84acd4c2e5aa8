"""A text file as records with physical line numbers: encoding, delimiter, quoted newlines, broken lines.

Promised: every record carries the line on which it begins and its exact text, so that it can be written back byte for
byte (in the few encodings that have two codes for one letter, such as cp932, letter for letter). A line that cannot be
read is reported with its reason, and reading continues after it where that is safe. The detected encoding and delimiter
are reported, and can be overridden. Memory does not grow with the file. Never done: knowing what the columns mean.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from connector.errors import FixInput
from connector.push.file.encoding import detect, error_handler
from connector.push.file.lines import Lines, parsed
from connector.push.file.record import Record, printable
from connector.push.file.source import on_disk, probe

__all__ = ["DELIMITERS", "Delimited"]

DELIMITERS = (",", ";", "\t", "|")
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
LONGEST_CELL = 16 * 2**20  # characters
# Excel reads the delimiter from such a first line.
_SEP = re.compile(r'sep=([^"\r\n\0\ud800-\udfff])(\r\n?|\n)?')


@dataclass
class Delimited:
    """A file of delimited text. Use `Delimited.open`.

    Attributes:
        path: the file that is read; a temporary copy for standard input.
        name: what messages call it.
        sha256: of its bytes.
        encoding: Python's name of it.
        guessed: whether the encoding is a guess that nothing proves.
        bom: the byte order mark with which it begins.
        delimiter: one character.
        unit: what `Record.line` counts.
        sheet: "", because it has none.
        notes: empty; see `connector.push.file.excel`.
    """

    path: Path
    name: str
    sha256: str
    encoding: str
    guessed: bool
    bom: bytes
    delimiter: str = ","
    unit: str = "line"
    sheet: str = ""
    notes: Sequence[str] = ()
    _skip: int = field(default=0, repr=False)

    @classmethod
    @contextmanager
    def open(
        cls,
        source: Path | str | BinaryIO,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        known: Callable[[str], bool] = bool,
        name: str | None = None,
    ) -> Iterator[Delimited]:
        """Examine a file, and keep it readable until the block ends.

        Args:
            source: a path, ``-`` for standard input, or a binary file object.
            encoding: instead of the detected one.
            delimiter: instead of the detected one; a character, or comma, semicolon, tab, pipe.
            name: what messages call it, if not its path.
            known: whether a header is an expected one; the delimiter that gives most expected headers wins.

        Yields:
            The file, ready for `records`.

        Raises:
            FixInput: the file cannot be read, is empty or is not text, or the given encoding or delimiter is none.
        """
        with on_disk(source) as (path, shown):
            name = name or shown
            found = probe(path, name)
            bom, encoding, guessed = detect(path, found, encoding)
            table = cls(path, name, found.sha256, encoding, guessed, bom)
            table._skip, declared = table._declared()
            table.delimiter = _given(delimiter) or declared or table._detected(known)
            yield table

    def records(self) -> Iterator[Record]:
        """Every record in order, blank lines included. Raises `FixInput` where the text cannot be decoded at all."""
        # The limit is process-wide, and another reading may need a larger one.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
        with self._text() as file:
            for _ in range(self._skip):
                file.readline()
            lines = Lines(file, 1 + self._skip)
            try:
                yield from parsed(lines, self.delimiter)
            except OverflowError as error:
                place = f"{self.name} line {lines.first + len(lines.taken)}"
                remedy = "That is no table of customers: check the file."
                raise FixInput(f"{place} has {error}.", remedy=remedy) from None

    @contextmanager
    def _text(self) -> Iterator[TextIO]:
        with self.path.open("rb") as binary:
            binary.seek(len(self.bom))
            file = TextIOWrapper(binary, self.encoding, error_handler(self.encoding), newline="")
            try:
                yield file
            except UnicodeError as error:
                remedy = "Save it as UTF-8, or name its encoding with --encoding."
                raise FixInput(f"{self.name} is not {self.encoding}: {error}.", remedy=remedy) from None

    def _declared(self) -> tuple[int, str]:
        """How many lines to skip, and the delimiter that the first line declares ("" for none)."""
        with self._text() as file:
            found = _SEP.fullmatch(file.readline(16))
        return (1, found[1]) if found else (0, "")

    def _detected(self, known: Callable[[str], bool]) -> str:
        """The delimiter under which the header has most expected names, then most cells."""

        def score(delimiter: str) -> tuple[int, int]:
            self.delimiter = delimiter
            first = next((record.cells for record in self.records() if any(record.cells)), [])
            return sum(map(known, first)), len(first)

        return max(DELIMITERS, key=score)

    def unchanged(self) -> bool:
        """Whether the file still has the content that it had when it was opened."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def encode(self, text: str) -> bytes:
        """The bytes of a record's text, exactly as in the file."""
        return text.encode(self.encoding, error_handler(self.encoding))


def _given(delimiter: str | None) -> str:
    if not delimiter:
        return ""
    found = NAMED.get(delimiter, delimiter)
    if len(found) != 1 or found in '"\r\n\0' or printable(found) != found:
        raise FixInput(f"delimiter {delimiter!r} is not one character.", remedy="Write , ; tab or |.")
    return found
