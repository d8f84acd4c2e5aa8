"""Files that name a person: an import's plan, journal, results and rejected rows, and whatever lies in a folder.

Promised: a file that cannot be read, or that is compressed, is named, never passed over; text is found in the encodings
that imports read, in Parquet, in other letter case, and as JSON, CSV and HTML write it. Never done: changing a file: a
plan has a digest and a journal is its proof, so a person decides about them.
"""

from __future__ import annotations

import html
import json
import mmap
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

__all__ = ["Mention", "beside", "inside", "mentions"]

_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "cp1252")
_WORD = rb"[0-9A-Za-z_\-]"  # so that "acme-1" is not found in "acme-12"
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c")
_LONGEST = max(map(len, _COMPRESSED))


@dataclass(frozen=True)
class Mention:
    """A file that names a person.

    Attributes:
        path: the file.
        why: why it cannot be read; "" if it was.
    """

    path: Path
    why: str = ""


def beside(plan: Path) -> list[Path]:
    """Return a plan and the files of its runs: all that begin with its name, as `customers.RUN.journal`."""
    stem = plan.name.removesuffix(".plan")
    return sorted(path for path in plan.parent.iterdir() if path.is_file() and path.name.startswith(stem))


def inside(folder: Path) -> list[Path]:
    """Return every file of a folder and of its folders."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def mentions(paths: Iterable[Path], names: Sequence[str]) -> Iterator[Mention]:
    """Yield the files that hold one of the names, and those that cannot be read.

    Args:
        paths: the files.
        names: ids, external ids and e-mail addresses, as whole words.
    """
    wanted = _pattern(names)
    for path in paths:
        try:
            found = _in_parquet(path, wanted) if _is_parquet(path) else _in_bytes(path, wanted)
        except (OSError, ValueError, pa.ArrowException) as error:
            yield Mention(path, str(error).splitlines()[0])
            continue
        if found:
            yield Mention(path)


def _pattern(names: Sequence[str]) -> re.Pattern[bytes]:
    texts = {text for name in names for text in _spelled(name)}
    found = {text.encode(encoding, "ignore").lower() for text in texts for encoding in _ENCODINGS}
    words = rb"|".join(re.escape(text) for text in sorted(found) if text)
    return re.compile(rb"(?<!" + _WORD + rb")(?:" + words + rb")(?!" + _WORD + rb")", re.IGNORECASE)


def _spelled(name: str) -> set[str]:
    """Return the ways in which files write a name: as it is, in JSON, and either of it in CSV and in HTML."""
    cases = {name, name.lower(), name.upper()}  # bytes ignore the case of ASCII letters only
    plain = {unicodedata.normalize(form, text) for text in cases for form in ("NFC", "NFD")} | cases
    in_json = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in plain for ascii in (True, False)}
    found = plain | in_json | {text.replace("/", "\\/") for text in in_json}
    in_html = {html.escape(text, quote) for text in found for quote in (True, False)}
    numbered = {text.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for text in in_html}
    return found | in_html | numbered | {text.replace('"', '""') for text in found}


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet" or _begin(path).startswith(b"PAR1")


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST)


def _in_bytes(path: Path, wanted: re.Pattern[bytes]) -> bool:
    if _begin(path).startswith(_COMPRESSED):
        raise ValueError("it is compressed; unpack it into a folder, and give that")
    if not path.stat().st_size:  # an empty file cannot be mapped
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return wanted.search(text) is not None


def _in_parquet(path: Path, wanted: re.Pattern[bytes]) -> bool:
    with parquet.ParquetFile(path) as file:
        columns = (column for batch in file.iter_batches() for column in batch.columns)
        return any(wanted.search(text) for column in columns for text in _texts(_distinct(column)))


def _distinct(column: pa.Array) -> list[Any]:
    """Return the values of a column, each once where Arrow can compare them: it cannot with maps, lists and structs."""
    found: list[Any] = (column if pa.types.is_nested(column.type) else column.unique()).to_pylist()
    return found


def _texts(value: object) -> Iterator[bytes]:
    """Yield what a value holds, as text; of a nested one every part."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()
