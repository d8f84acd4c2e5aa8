"""JSON taken apart without being decoded, for bodies of which one value is no proper text or number.

A decoder refuses a whole body for one lone surrogate (`"\\ud800"`), one byte that is not UTF-8, or one value nested too
deep. Promised: members and fields come as the exact bytes that were sent, so that each can be decoded, or refused, by
itself; a body that is torn, or is not an array or object at all, raises. Never done: decoding a value, recursion,
repairing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

__all__ = ["UNREADABLE", "fields_of", "is_whole", "members_of"]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what msgspec raises for a body from outside
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{},:]', re.DOTALL)  # a quote alone is a string that never ends
_TEXT = msgspec.json.Decoder(str)
_SKIPPED = msgspec.json.Decoder(msgspec.Raw)


def members_of(raw: bytes) -> list[bytes]:
    """Return the members of a JSON array, each as it was sent.

    Args:
        raw: the array.

    Raises:
        msgspec.DecodeError: it is torn, or no array.
    """
    return [b"".join(part).strip() for part in _parts(raw, b"[", b"]")]


def fields_of(raw: bytes) -> dict[str, bytes]:
    """Return the fields of a JSON object, each as it was sent; of a name that occurs twice, the last one.

    Args:
        raw: the object.

    Returns:
        Name -> raw value. A name that is no text stands there as its bytes show it.

    Raises:
        msgspec.DecodeError: it is torn, or no object.
    """
    found = {}
    for part in _parts(raw, b"{", b"}"):
        name, *rest = (piece for piece in part if piece.strip())
        if not name.startswith(b'"') or len(rest) < 2 or rest[0] != b":":
            raise msgspec.DecodeError("JSON is malformed: a field without a name or a value")
        found[_name(name)] = b"".join(rest[1:]).strip()
    return found


def is_whole(raw: bytes) -> bool:
    """Return whether a JSON value can be decoded and kept as text."""
    try:
        _SKIPPED.decode(raw)
        raw.decode()
    except UNREADABLE:
        return False
    return True


def _name(raw: bytes) -> str:
    try:
        return _TEXT.decode(raw)
    except UNREADABLE:
        return raw.decode("utf-8", "replace")


def _parts(raw: bytes, opening: bytes, closing: bytes) -> list[list[bytes]]:
    """Return what stands between the commas of an array or object, as tokens and the bytes between them."""
    parts: list[list[bytes]] = [[]]
    depth = 0
    pieces = _pieces(raw.strip())
    if next(pieces, b"") != opening:
        raise msgspec.DecodeError(f"JSON is malformed: expected {opening.decode()}")
    for piece in pieces:
        if depth == 0 and piece in (b"]", b"}"):
            break
        depth += (piece in (b"[", b"{")) - (piece in (b"]", b"}"))
        if depth == 0 and piece == b",":
            parts.append([])
        else:
            parts[-1].append(piece)
    else:
        raise msgspec.DecodeError("Input data was truncated")
    if piece != closing or next(pieces, None) is not None:
        raise msgspec.DecodeError("JSON is malformed: the brackets do not match")
    filled = [any(piece.strip() for piece in part) for part in parts]
    if not all(filled) and len(parts) > 1:
        raise msgspec.DecodeError("JSON is malformed: a comma without a value")
    return parts if all(filled) else []


def _pieces(raw: bytes) -> Iterator[bytes]:
    """Yield the strings, the brackets, commas and colons, and what stands between them."""
    end = 0
    for token in _TOKEN.finditer(raw):
        if token.start() > end:
            yield raw[end : token.start()]
        if token.group() == b'"':
            raise msgspec.DecodeError("Input data was truncated")
        yield token.group()
        end = token.end()
    if end < len(raw):
        yield raw[end:]
