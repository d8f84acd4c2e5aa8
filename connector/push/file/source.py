"""The bytes of a file, readable as often as needed: standard input, pipes and file objects become a temporary file.

Promised: the temporary copy is readable by its owner only, and is removed. A file that is certainly no text (empty, a
workbook, an archive) is refused by name. Never done: decoding.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from connector.errors import FixInput
from connector.push.file.record import printable

__all__ = ["CHUNK", "SAMPLE", "Probe", "on_disk", "probe"]

CHUNK = 2**20  # bytes a read
SAMPLE = 2**18  # bytes that a guess looks at
_PACKED = {
    b"PK\x03\x04": "a workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "packed with gzip",
}


class Probe(NamedTuple):
    """What one reading of the bytes shows.

    Attributes:
        sha256: of the whole file.
        head: its first bytes.
        utf8: whether the whole file is valid UTF-8.
    """

    sha256: str
    head: bytes
    utf8: bool


@contextmanager
def on_disk(source: Path | str | BinaryIO) -> Iterator[tuple[Path, str]]:
    """Give a path that can be read again, and the name that messages use for it.

    Raises:
        FixInput: the source cannot be read.
    """
    shown = "standard input"
    if isinstance(source, Path | str) and str(source) != "-":
        path, shown = Path(source), printable(str(source))
        if not _is_pipe(path):
            yield path, shown
            return
    handle, name = tempfile.mkstemp(prefix="flexsync-", suffix=".csv")  # readable by its owner only
    try:
        try:
            with os.fdopen(handle, "wb") as copy, _bytes(source) as given:
                shutil.copyfileobj(given, copy)
        except (OSError, ValueError, TypeError) as error:
            raise FixInput(f"{shown} cannot be read: {error}.", remedy="Name a file.") from None
        yield Path(name), shown
    finally:
        Path(name).unlink()


def _is_pipe(path: Path) -> bool:
    """Whether it can be read only once."""
    try:
        return not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode)
    except (OSError, ValueError):
        return False  # opening it gives the reason


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


def probe(path: Path, name: str) -> Probe:
    """Read a file once.

    Args:
        path: the file.
        name: what messages call it.

    Raises:
        FixInput: it cannot be read, is empty, or is a workbook or an archive.
    """
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    head, clean = b"", True
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                head = head or chunk[:SAMPLE]
                digest.update(chunk)
                clean = clean and _decodes(decoder, chunk)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise FixInput(f"{name} cannot be read: {why}.", remedy="Name another file.") from None
    if not head:
        raise FixInput(f"{name} is empty.", remedy="`flexsync import template` writes one with all columns.")
    if packed := next((what for mark, what in _PACKED.items() if head.startswith(mark)), ""):
        raise FixInput(f"{name} is {packed}, not text.", remedy="Save it as CSV, in UTF-8.")
    return Probe(digest.hexdigest(), head, clean and _decodes(decoder, b"", final=True))


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True
