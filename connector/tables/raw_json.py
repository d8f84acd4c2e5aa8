r"""JSON taken apart without being decoded, for bodies of which one value is no proper text or number.

A decoder refuses a whole body for one lone surrogate (`"\ud800"`), one byte that is not UTF-8, or one value nested too
deep. Promised: members and fields come as the exact bytes that were sent, so that each can be decoded, or refused, by
itself; a body that is torn, garbled, or no array or object at all, raises. Never done: using a decoded value, repairing
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from connector.api.grammar import GRAMMAR, STRING, UNREADABLE

__all__ = ["fields_of", "is_whole", "members_of"]

_SCALAR = re.compile(STRING + rb'|[^\s,:\[\]{}"]+', re.DOTALL)
_INSIDE = re.compile(rb'(?:[^"\[\]{}]++|' + STRING + rb")*+", re.DOTALL)  # up to the next bracket
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SKIPPED = msgspec.json.Decoder(msgspec.Raw)


def members_of(raw: bytes) -> list[bytes]:
    """Return the members of a JSON array, each as it was sent.

    Args:
        raw: the array.

    Raises:
        msgspec.DecodeError: it is torn, or no array.
    """
    scanner = _Scanner(raw)
    return [scanner.value() for _ in scanner.each(b"[", b"]")]


def fields_of(raw: bytes) -> dict[str, bytes]:
    """Return the fields of a JSON object, each as it was sent; of a name that occurs twice, the last one.

    Args:
        raw: the object.

    Returns:
        Name -> raw value. What is no text in a name stands there as lone surrogates.

    Raises:
        msgspec.DecodeError: it is torn, or no object.
    """
    scanner, found = _Scanner(raw), {}
    for _ in scanner.each(b"{", b"}"):
        name = _name(scanner.value())
        scanner.take(b":")
        found[name] = scanner.value()
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
    if not raw.startswith(b'"'):
        raise msgspec.DecodeError("JSON is malformed: a field without a name")
    try:
        return str(GRAMMAR.decode(raw.decode("utf-8", "surrogateescape")))
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from error


class _Scanner:
    """A position in a JSON text."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def each(self, opening: bytes, closing: bytes) -> Iterator[None]:
        """Stop before each member of the one array or object that the text is; the caller takes the member."""
        self.take(opening)
        if self._next() != closing:
            yield
            while self._next() == b",":
                self.take(b",")
                yield
        self.take(closing)
        if self._next():
            raise msgspec.DecodeError(f"JSON is malformed: trailing characters (byte {self.at})")

    def take(self, wanted: bytes) -> None:
        """Step over one character; raises `msgspec.DecodeError` where another one stands."""
        if self._next() != wanted:
            raise msgspec.DecodeError(f"JSON is malformed: expected {wanted.decode()!r} (byte {self.at})")
        self.at += 1

    def value(self) -> bytes:
        """Step over one value, and return it."""
        first, start = self._next(), self.at
        if first in (b"[", b"{"):
            self._container()
        elif scalar := _SCALAR.match(self.raw, self.at):
            self.at = scalar.end()
        else:
            raise msgspec.DecodeError(f"JSON is malformed: expected a value (byte {self.at})")
        return self.raw[start : self.at]

    def _next(self) -> bytes:
        """Step over white space, and return the next character; b"" at the end."""
        space = _SPACE.match(self.raw, self.at)
        self.at = space.end() if space else self.at
        return self.raw[self.at : self.at + 1]

    def _container(self) -> None:
        depth = 0
        while True:
            bracket = self.raw[self.at : self.at + 1]
            if bracket not in (b"[", b"{", b"]", b"}"):  # the end, or a string that has none
                raise msgspec.DecodeError("Input data was truncated")
            depth += 1 if bracket in (b"[", b"{") else -1
            self.at += 1
            if not depth:
                return
            inside = _INSIDE.match(self.raw, self.at)
            self.at = inside.end() if inside else self.at
