"""Text tables as records with physical line numbers: encodings, delimiters, quoted newlines, and what breaks a line.

Promised: every record carries the line it begins on and its text exactly as it stood, so that it can be written back
byte for byte (in the few encodings that have two codes for one letter, such as cp932, letter for letter); a line that
cannot be read is told with its reason, and the lines after it are read on where that is safe. What was detected
(encoding, delimiter) is said, and can be overridden. Memory does not grow with the file.
Never done: knowing what the columns mean.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from connector.errors import FixInput

__all__ = ["DELIMITERS", "Delimited", "Record", "Tabular", "printable", "quoted"]

DELIMITERS = (",", ";", "\t", "|")
NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
LONGEST_LINE = 32 * 2**20  # characters: beyond this it is no text table
LONGEST_CELL = 16 * 2**20
AHEAD = 100  # lines in which the end of a broken record is looked for
CHUNK = 2**20
SAMPLE = 2**18  # bytes that a guess looks at
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Of those that are equally likely the first is taken: names are too short to tell Western from Central Europe.
_GUESSES = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "mac_roman"]
_ESCAPED = re.compile("[\udc80-\udcff]")
SURROGATE = re.compile("[\ud800-\udfff]")
_SEP = re.compile(r'sep=([^"\r\n\0\ud800-\udfff])(\r\n?|\n)?')  # the first line by which Excel is told the delimiter
_WIDE = ("utf-16", "utf-32")
_UNFIT = re.compile("idna|punycode|.*escape|utf-7|hz|iso2022.*")  # none of files, or a letter hangs on the lines before
_PACKED = {
    b"PK\x03\x04": "a workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "packed with gzip",
}
_UNCLOSED = ("unexpected end", "field larger")  # what the csv module says when a quote is never closed


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
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))  # process-wide: another reading may need it
        with self._text() as file:
            for _ in range(self._skip):
                file.readline()
            lines = _Lines(file, 1 + self._skip)
            try:
                yield from self._parsed(lines)
            except OverflowError as error:
                place = f"{self.name} line {lines.first + len(lines.taken)}"
                remedy = "That is no table of customers: check the file."
                raise FixInput(f"{place} has {error}.", remedy=remedy) from None

    def _parsed(self, lines: _Lines) -> Iterator[Record]:
        reader = csv.reader(lines.each(), delimiter=self.delimiter, strict=True)
        while True:
            try:
                for cells in reader:
                    yield lines.record(cells)
                return
            except csv.Error as error:
                unclosed = str(error).startswith(_UNCLOSED)
            if unclosed:
                yield lines.record([], "unclosed")
                return  # whatever follows is inside that quote
            lines.to_end_of_record(self.delimiter)
            yield lines.record([], "quotes")

    @contextmanager
    def _text(self) -> Iterator[TextIO]:
        with self.path.open("rb") as binary:
            binary.seek(len(self.bom))
            file = TextIOWrapper(binary, self.encoding, self._errors, newline="")
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

    def unchanged(self) -> bool:
        """Whether the file still holds what it held when it was opened."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def encode(self, text: str) -> bytes:
        """Bytes of a record's text, exactly as they stood."""
        return text.encode(self.encoding, self._errors)

    @property
    def _errors(self) -> str:
        return "surrogatepass" if self.encoding.startswith(_WIDE) else "surrogateescape"


_AS_TEXT = "Turn the columns into text first (read the file with dtype=str), so that nothing is rewritten."


class Tabular:
    """A pandas DataFrame or an Arrow table as records; `line` counts its rows from 1.

    Args:
        table: the data. Cells must be text, whole numbers, null, or (for metadata) maps of text. A null in a map says
            "remove the key"; one in a struct says nothing, for a struct gives every row every key.
        name: what messages call it.

    Raises:
        FixInput: a column has values of several types, or of one that is not text.
    """

    encoding, bom, delimiter, guessed, unit = "utf-8", b"", ",", False, "row"

    def __init__(self, table: Any, name: str = "table") -> None:
        import pyarrow as pa

        self.name = name
        try:
            self._table = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError, AttributeError) as error:
            why = "; ".join(map(str, error.args))
            raise FixInput(f"{name} cannot be read: {why}.", remedy=_AS_TEXT) from None
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
        if isinstance(value, list | dict) and (pairs := _pairs(value)) is not None:
            import msgspec

            return msgspec.json.encode(pairs).decode() if pairs or value in ([], {}) else ""
        raise FixInput(
            f'{self.name} row {number}, column "{column}": {value!r} is {type(value).__name__}, not text.',
            remedy=_AS_TEXT,
        )

    def unchanged(self) -> bool:
        """A table in memory is taken to be."""
        return True

    def encode(self, text: str) -> bytes:
        """UTF-8."""
        return text.encode("utf-8", "surrogatepass")


class _Lines:
    """Lines for the csv module, and records with the lines that they were read from.

    Attributes:
        first: number of the line on which the record that is being read begins.
        taken: its lines so far.
    """

    def __init__(self, file: TextIO, first: int) -> None:
        self._read = partial(file.readline, LONGEST_LINE)
        self.first = first
        self._back: deque[str] = deque()
        self.taken: list[str] = []

    def each(self) -> Iterator[str]:
        """The lines that are left."""
        while line := self._back.popleft() if self._back else self._read():
            if len(line) == LONGEST_LINE:
                raise OverflowError(f"more than {LONGEST_LINE} characters")
            self.taken.append(line)
            yield line

    def record(self, cells: list[str], trouble: str = "") -> Record:
        """The record that all lines taken make up."""
        line, taken = self.first, self.taken
        raw = taken[0] if len(taken) == 1 else "".join(taken)
        self.first += len(taken)
        taken.clear()
        return Record(line, cells, raw, trouble)

    def to_end_of_record(self, delimiter: str) -> None:
        """Take what else belongs to a record that is broken on its last line taken: a quoted cell may still go on.

        Left there, its other lines would be read as records. Where no end is near, they are put back.
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


def printable(text: str) -> str:
    """The text with every byte that could not be read as one replaced."""
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


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


def _pairs(value: list[Any] | dict[str, Any]) -> dict[str, str | None] | None:
    """A map of texts: a list of pairs, or a struct, whose nulls say nothing; None when it is none."""
    if isinstance(value, dict):
        found = [(key, text) for key, text in value.items() if text is not None]
    else:
        found = [pair for pair in value if isinstance(pair, tuple)]
        if len(found) < len(value):
            return None
    fits = all(isinstance(key, str) and isinstance(text, str | None) for key, text in found)
    return dict(found) if fits else None


# --- opening ----------------------------------------------------------------------------------------------------


@contextmanager
def _on_disk(source: Path | str | BinaryIO) -> Iterator[tuple[Path, str]]:
    """A path that can be read again: standard input, pipes and file objects are copied to a temporary file."""
    told = "standard input"
    if isinstance(source, Path | str) and str(source) != "-":
        path, told = Path(source), printable(str(source))
        if not _pipe(path):
            yield path, told
            return
    handle, name = tempfile.mkstemp(prefix="flexsync-", suffix=".csv")  # readable by its owner only
    try:
        try:
            with os.fdopen(handle, "wb") as copy, _bytes(source) as given:
                shutil.copyfileobj(given, copy)
        except (OSError, ValueError, TypeError) as error:
            raise FixInput(f"{told} cannot be read: {error}.", remedy="Name a file.") from None
        yield Path(name), told
    finally:
        Path(name).unlink()


def _pipe(path: Path) -> bool:
    """Whether it can be read only once."""
    try:
        return not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode)
    except (OSError, ValueError):
        return False  # opening it will say why


@contextmanager
def _bytes(source: Path | str | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, Path | str):
        yield source
    elif str(source) == "-":
        if not hasattr(sys.stdin, "buffer"):
            raise ValueError("there is none")
        yield sys.stdin.buffer
    else:
        with Path(source).open("rb") as file:
            yield file


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
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise FixInput(f"{name} cannot be read: {why}.", remedy="Name another file.") from None
    if not head:
        raise FixInput(f"{name} is empty.", remedy="`flexsync import template` writes one with all columns.")
    if packed := next((what for mark, what in _PACKED.items() if head.startswith(mark)), ""):
        raise FixInput(f"{name} is {packed}, not text.", remedy="Save it as CSV, in UTF-8.")
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
    if _UNFIT.fullmatch(name):
        raise FixInput(f"encoding {given!r} cannot be read line by line.", remedy="Save the file as UTF-8.")
    if name in _WIDE:
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
            good += len(text) - len(text.encode("ascii", "ignore")) - broken
    return good >= bad  # a letter in UTF-8 is hardly ever an accident, and a fault is seen where a wrong letter is not


def _guess(path: Path) -> str:
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        lines = [line for line in file.read(16 * CHUNK).splitlines() if not line.isascii()]
    found = from_bytes(b"\n".join(lines)[:SAMPLE], cp_isolation=_GUESSES)
    likely = [match for match in found if (match.chaos, match.coherence) == (found[0].chaos, found[0].coherence)]
    names = {name for match in likely for name in match.could_be_from_charset}  # under some of which it reads the same
    return next((name for name in _GUESSES if name in names), _GUESSES[0])


def _given(delimiter: str | None) -> str:
    if not delimiter:
        return ""
    found = NAMED.get(delimiter, delimiter)
    if len(found) != 1 or found in '"\r\n\0' or printable(found) != found:
        raise FixInput(f"delimiter {delimiter!r} is not one character.", remedy="Write , ; tab or |.")
    return found
