"""The XML of a workbook's parts, read in pieces and without a document type.

Promised: a part that declares a document type, and with it entities, is refused. Never done: keeping a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO
from xml.parsers import expat

__all__ = ["CHUNK", "BrokenError", "elements", "local", "parser", "without_document_type"]

CHUNK = 2**20  # bytes a read
Attributes = Mapping[str, str]


class BrokenError(Exception):
    """A part of a workbook is not as its format wants it. The text says what is wrong."""


def parser() -> expat.XMLParserType:
    """A parser that refuses a document type with `BrokenError`: Excel writes none, and entities can grow for ever."""
    made = expat.ParserCreate()
    made.StartDoctypeDeclHandler = without_document_type
    made.buffer_text = True
    return made


def without_document_type(*_: object) -> None:
    """Refuse a document type."""
    raise BrokenError("it declares a document type")


def local(name: str) -> str:
    """The name of an element without the prefix of its name space."""
    return name.rpartition(":")[2]


def elements(part: IO[bytes], take: Callable[[str, Attributes], object]) -> None:
    """Call a function with the name and the attributes of every element. Raises `BrokenError`."""
    made = parser()
    made.StartElementHandler = lambda name, attributes: take(local(name), attributes)
    try:
        while piece := part.read(CHUNK):
            made.Parse(piece)
        made.Parse(b"", True)
    except expat.ExpatError as error:
        raise BrokenError(f"{error}") from None
