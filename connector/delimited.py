"""Text tables as records with physical line numbers: encodings, delimiters, quoted newlines, and what breaks a line.

Promised: every record carries the line it begins on and its text exactly as it stood, so that it can be written back
byte for byte; a line that cannot be read is told with its reason, and the lines after it are read on where that is
safe. What was detected (encoding, delimiter) is said, and can be overridden. Memory does not grow with the file.
Never done: knowing what the columns mean.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from connector.errors import FixInput

__all__ = ["DELIMITERS", "Delimited", "Record", "Tabular", "quoted"]

DELIMITERS = (",", ";", "\t", "|")
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
LONGEST_LINE = 32 * 2**20  # characters: beyond this it is no text table
LONGEST_CELL = 16 * 2**20
CHUNK = 2**20
SAMPLE = 2**18  # bytes that a guess looks at
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESSES = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "mac_roman"]
_ESCAPED = re.compile("[\udc80-\udcff]")
_SEP = re.compile(r"sep=(.)\r?\n?")  # the first line by which Excel is told the delimiter


class Record(NamedTuple):
    """One record of a text table.

    Attributes:
        line: the physical line it begins on, from 1 (for a table in memory: the row, from 1).
        cells: its values; empty for a blank line.
        raw: its text as it stood, line end included.
        trouble: why it could not be read ("" when it could): `quotes`, `unclosed`.
    """

    line: int
    cells: list[str]
    raw: str
    trouble: str = ""


@dataclass
class Delimited:
    """A file of delimited text. Use `Delimited.open`.

    Attributes:
        path: the file that is read; a temporary copy for standard input.
        name: what messages call it.
        sha256: of its bytes.
        encoding: Python's name of it.
        guessed: whether the encoding is a guess that nothing proves.
        delimiter: one character.
        bom: the byte order mark it begins with.
    """

    path: Path
    name: str
    sha256: str
    encoding: str
    guessed: bool
    bom: bytes
    delimiter: str = ","
    unit: str = "line"
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
    ) -> Iterator[Delimited]:
        """Look a file over, and keep it readable until the block ends.

        Args:
            source: a path, ``-`` for standard input, or a binary file object.
            encoding: instead of the detected one.
            delimiter: instead of the detected one; a character, or comma, semicolon, tab, pipe.
            known: whether a header is one that is expected; the delimiter that gives most of these wins.

        Raises:
            FixInput: the file cannot be read, is empty, is not text, or the encoding or delimiter given are none.
        """
        with _on_disk(source) as (path, name):
            sha256, head, clean = _look(path, name)
            bom, found, guessed = _encoding(path, head, clean, encoding)
            table = cls(path, name, sha256, found, guessed, bom)
            table._skip, declared = table._declared()
            table.delimiter = _given(delimiter) or declared or table._detected(known)
            yield table

    def records(self) -> Iterator[Record]:
        """Every record in order, blank lines included. Raises `FixInput` where the text cannot be decoded at all."""
        with self._text() as file, _big_cells():
            feed = _Feed(file, self.name)
            for _ in range(self._skip):
                next(feed)
            yield from self._parsed(feed)

    def _parsed(self, feed: _Feed) -> Iterator[Record]:
        reader = csv.reader(feed, delimiter=self.delimiter, strict=True)
        while True:
            feed.taken.clear()
            line = feed.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                told = str(error)
                if "unexpected end" in told or "field limit" in told:
                    yield Record(line, [], "".join(feed.taken), "unclosed")
                    return  # whatever follows is inside that quote
                yield Record(line, [], "".join(feed.taken), "quotes")
                continue
            yield Record(line, cells, "".join(feed.taken))

    @contextmanager
    def _text(self) -> Iterator[TextIO]:
        with self.path.open("rb") as binary:
            binary.seek(len(self.bom))
            errors = "surrogatepass" if self.encoding.startswith("utf-16") else "surrogateescape"
            file = TextIOWrapper(binary, self.encoding, errors, newline="")
            try:
                yield file
            except UnicodeError as error:
                remedy = "Save it as UTF-8, or name its encoding with --encoding."
                raise FixInput(f"{self.name} is not {self.encoding}: {error}.", remedy=remedy) from None

    def _declared(self) -> tuple[int, str]:
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

    def encode(self, text: str) -> bytes:
        """Bytes of a record's text, exactly as they stood."""
        if self.encoding.startswith("utf-16"):
            return text.encode(self.encoding, "surrogatepass")
        return text.encode(self.encoding, "surrogateescape")


class Tabular:
    """A pandas DataFrame or an Arrow table as records; `line` counts its rows from 1.

    Args:
        table: the data. Cells must be text, whole numbers, null, or (for metadata) maps of text.
        name: what messages call it.
    """

    encoding, bom, delimiter, guessed, unit = "utf-8", b"", ",", False, "row"

    def __init__(self, table: Any, name: str = "table") -> None:
        import pyarrow as pa

        self.name = name
        self._table = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        digest = hashlib.sha256()
        for record in self.records():
            digest.update(record.raw.encode("utf-8", "surrogatepass"))
        self.sha256 = digest.hexdigest()

    def records(self) -> Iterator[Record]:
        """The header, as row 0, and every row."""
        names = [str(name) for name in self._table.column_names]
        yield Record(0, names, quoted(names))
        number = 0
        for batch in self._table.to_batches(max_chunksize=1000):
            for values in zip(*(_plain(column) for column in batch.columns), strict=True):
                number += 1
                cells = [self._cell(value, name, number) for value, name in zip(values, names, strict=True)]
                yield Record(number, cells, quoted(cells))

    def _cell(self, value: Any, column: str, number: int) -> str:
        if value is None or value != value:  # NaN is how pandas writes "nothing"
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, list | dict):
            import msgspec

            return msgspec.json.encode(dict(value)).decode()
        raise FixInput(
            f'{self.name} row {number}, column "{column}": {value!r} is {type(value).__name__}, not text.',
            remedy="Turn the column into text first (read the file with dtype=str), so that nothing is rewritten.",
        )

    def encode(self, text: str) -> bytes:
        """UTF-8."""
        return text.encode("utf-8", "surrogatepass")


def quoted(cells: list[str], delimiter: str = ",", end: str = "\n") -> str:
    """One record as delimited text, quoted where it must be."""
    return delimiter.join(_quoted(cell, delimiter) for cell in cells) + end


def _quoted(cell: str, delimiter: str) -> str:
    if delimiter in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


class _Feed:
    """Lines for the csv module, remembered: how many, and which since the last record."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._read = file.readline
        self._name = name
        self.line = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._read(LONGEST_LINE)
        if not line:
            raise StopIteration
        if len(line) == LONGEST_LINE:
            raise FixInput(
                f"{self._name} line {self.line + 1} has more than {LONGEST_LINE} characters.",
                remedy="That is no table of customers: check the file.",
            )
        self.line += 1
        self.taken.append(line)
        return line


@contextmanager
def _big_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# --- opening ----------------------------------------------------------------------------------------------------


@contextmanager
def _on_disk(source: Path | str | BinaryIO) -> Iterator[tuple[Path, str]]:
    """A path that can be read twice: standard input and file objects are copied to a temporary file."""
    if isinstance(source, Path | str) and str(source) != "-":
        yield Path(source), str(source)
        return
    given: BinaryIO = sys.stdin.buffer if isinstance(source, Path | str) else source
    handle, name = tempfile.mkstemp(prefix="flexsync-", suffix=".csv")  # readable by its owner only
    try:
        with os.fdopen(handle, "wb") as copy:
            shutil.copyfileobj(given, copy)
        yield Path(name), "standard input"
    finally:
        Path(name).unlink()


def _look(path: Path, name: str) -> tuple[str, bytes, bool]:
    """SHA-256, the first bytes, and whether the whole file is UTF-8."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    head, clean = b"", True
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                head = head or chunk[:SAMPLE]
                digest.update(chunk)
                if clean:
                    clean = _decodes(decoder, chunk)
    except OSError as error:
        raise FixInput(f"{name} cannot be read: {error.strerror}.", remedy="Name another file.") from None
    if not head:
        raise FixInput(f"{name} is empty.", remedy="`flexsync import template` writes one with all columns.")
    return digest.hexdigest(), head, clean and _decodes(decoder, b"", final=True)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _encoding(path: Path, head: bytes, clean: bool, given: str | None) -> tuple[bytes, str, bool]:
    """Byte order mark, encoding, and whether it is a guess."""
    bom, marked = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), (b"", ""))
    if given:
        return _checked(given, bom, marked)
    if marked:
        return bom, marked, False
    halves = head[0::2], head[1::2]
    for zeros, name in ((halves[1], "utf-16-le"), (halves[0], "utf-16-be")):
        if len(head) > 3 and zeros.count(0) > len(zeros) * 0.6:  # text of our alphabets, without its mark
            return b"", name, True
    if clean or _mostly_utf8(path):
        return b"", "utf-8", False
    return b"", _guess(path), True


def _checked(given: str, bom: bytes, marked: str) -> tuple[bytes, str, bool]:
    try:
        found = codecs.lookup(given)
        "a".encode(given)
    except (LookupError, ValueError, TypeError):
        raise FixInput(f"encoding {given!r} is unknown.", remedy="Write utf-8, utf-16, cp1252 …") from None
    name = found.name.removesuffix("-sig")
    if name in ("utf-16", "utf-32"):
        name = marked if marked.startswith(name) else f"{name}-le"
    return (bom if marked == name else b""), name, False


def _mostly_utf8(path: Path) -> bool:
    """Whether a few bytes are damaged in a file that is UTF-8 otherwise: those lines are faults, not the file."""
    good = bad = 0
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        while text := file.read(CHUNK):
            if text.isascii():
                continue
            broken = len(_ESCAPED.findall(text))
            bad += broken
            good += sum(map("\x7f".__lt__, text)) - broken
    return good > bad


def _guess(path: Path) -> str:
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        lines = [line for line in file.read(16 * CHUNK).splitlines() if not line.isascii()]
    best = from_bytes(b"\n".join(lines)[:SAMPLE], cp_isolation=_GUESSES).best()
    same = best.could_be_from_charset if best else ["cp1252"]  # other names under which the text reads the same
    return "cp1252" if best is None or "cp1252" in same else best.encoding


def _given(delimiter: str | None) -> str:
    if not delimiter:
        return ""
    found = NAMED.get(delimiter, delimiter)
    if len(found) != 1 or found in '"\r\n':
        raise FixInput(f"delimiter {delimiter!r} is not one character.", remedy="Write , ; tab or |.")
    return found
