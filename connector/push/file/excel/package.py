"""The ZIP archive that a workbook is, examined before anything reads it.

Promised: what is no workbook of this kind is refused by name and with a way out: an old or encrypted one, a binary one,
another kind of archive, a workbook under the name of a text file. Every part is unpacked once within a limit, so that
sizes are known and not only claimed. Never done: reading cells.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from connector.errors import FixInput
from connector.files import FULL, no_room
from connector.push.file.excel.markup import CHUNK, BrokenError

__all__ = ["Package", "is_workbook", "refuse"]

LARGEST = 2**30  # bytes of all parts, unpacked: a million rows of 13 columns take 600 MB
MOST_PARTS = 10_000
ENDINGS = (".xlsx", ".xlsm")
TEXTS = (".csv", ".txt", ".tsv", ".tab")
WORKBOOK = "xl/workbook.xml"
_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SAVE = "Save it as .xlsx (Excel workbook) or as CSV in UTF-8."
# What zipfile raises for broken archives; LookupError is expat's for an unknown encoding.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
)


def is_workbook(path: Path, name: str) -> bool:
    """Whether a file is an archive, and so a workbook or to be refused, by its content.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        FixInput: it is an old or encrypted workbook, or its name says text and its content workbook, or the reverse.
    """
    head = _head(path)
    ending = Path(name).suffix.lower()
    if head.startswith(_OLD):
        _refuse_old(path, name)
    packed = head.startswith(_ZIP)
    if packed and ending in TEXTS:
        _check_kind(path, name)
        right = Path(name).with_suffix(".xlsx").name
        raise FixInput(f"{name} is an Excel workbook, not text.", remedy=f"Rename it to {right}, or save it as CSV.")
    if head and not packed and ending in ENDINGS:
        right = Path(name).with_suffix(".csv").name
        raise FixInput(f"{name} is no Excel workbook.", remedy=f"If it is text, rename it to {right}. Else: {_SAVE}")
    return packed


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except (OSError, ValueError):
        return b""  # whoever reads it gives the reason


def _refuse_old(path: Path, name: str) -> NoReturn:
    tail = b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            if _ENCRYPTED in tail + piece:
                remedy = "Open it in Excel, take the password off (File, Info, Protect Workbook), and save it."
                raise FixInput(f"{name} is encrypted with a password.", remedy=remedy)
            tail = piece[-len(_ENCRYPTED) :]
    raise FixInput(f"{name} is an old Excel workbook (.xls), which is not read.", remedy=_SAVE)


def _check_kind(path: Path, name: str) -> None:
    """Make sure that an archive is a workbook. Raises `FixInput`."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {one.lower() for one in archive.namelist()}
    except _BROKEN as error:
        refuse(name, str(error))
    if WORKBOOK in names:
        return
    kinds = {"xl/workbook.bin": "a binary Excel workbook (.xlsb)", "content.xml": "a workbook of LibreOffice (.ods)"}
    kind = next((kind for part, kind in kinds.items() if part in names), "a ZIP archive without a workbook")
    raise FixInput(f"{name} is {kind}, which is not read.", remedy=_SAVE)


def refuse(name: str, why: str) -> NoReturn:
    """Refuse a broken workbook. Raises `FixInput`."""
    remedy = "Open it in Excel or LibreOffice, which may repair it, and save it again as .xlsx."
    reason = why.rstrip(".") or "it ends too early"
    raise FixInput(f"{name} cannot be read as a workbook: {reason}.", remedy=remedy)


class Package:
    """The parts of a workbook. Use `Package.open`.

    Attributes:
        path: the file.
        name: what messages call it.
    """

    def __init__(self, path: Path, name: str, archive: zipfile.ZipFile) -> None:
        self.path, self.name, self._archive = path, name, archive
        self._names = {one.filename.lower(): one.filename for one in archive.infolist()}

    @classmethod
    @contextmanager
    def open(cls, path: Path, name: str) -> Iterator[Package]:
        """Examine a workbook, and keep its parts readable until the block ends.

        Raises:
            FixInput: it is broken, too large, or no workbook.
        """
        _check_kind(path, name)
        try:
            with zipfile.ZipFile(path) as archive:
                package = cls(path, name, archive)
                package._measure()
                yield package
        except (*_BROKEN, BrokenError) as error:
            if isinstance(error, OSError) and error.errno in FULL:  # of the temporary files that hold its cells
                raise no_room(Path(tempfile.gettempdir()), error) from None
            refuse(name, str(error))

    def _measure(self) -> None:
        """Unpack every part that is not a sheet once: a size that is only claimed must not be believed."""
        parts = self._archive.infolist()
        if len(parts) > MOST_PARTS or len(self._names) < len(parts):
            raise BrokenError("it has too many parts, or parts of the same name")
        if (size := sum(one.file_size for one in parts)) > LARGEST:
            raise FixInput(
                f"{self.name} has {size / 2**20:,.0f} MB unpacked, and at most {LARGEST // 2**20:,} are read.",
                remedy="Divide it, or save it as CSV in UTF-8.",
            )
        for one in parts:
            if one.filename.lower().endswith((".xml", ".rels")) and "worksheets/" not in one.filename.lower():
                self.check(one.filename)

    def check(self, part: str) -> None:
        """Unpack a part to its end: its checksum proves its size. Raises what `Package.open` explains."""
        with self.part(part) as file:
            while file.read(CHUNK):
                pass

    def has(self, part: str) -> bool:
        """Whether there is such a part."""
        return part.lower() in self._names

    def part(self, part: str) -> IO[bytes]:
        """A part, to be read. Raises `BrokenError` where there is none."""
        if not self.has(part):
            raise BrokenError(f"its part {part} is missing")
        return self._archive.open(self._names[part.lower()])
