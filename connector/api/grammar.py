r"""Whether a body is JSON by its grammar, whatever its texts and numbers are.

A decoder refuses a whole body for one lone surrogate (`"\ud800"`), which a database or a proxy can hand on, and for one
value that is nested too deep. Promised: a body that was torn, garbled or cut is told from one that is whole and holds
such a value. Never done: using the values.
"""

from __future__ import annotations

import json
import re

import msgspec

__all__ = ["GRAMMAR", "STRING", "UNREADABLE", "refuse_torn"]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for JSON from outside. Whoever decodes some catches all three: none is a fault of ours."""
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'

GRAMMAR = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)  # knows surrogates, and no limit of numbers
SHALLOW = 50  # levels of a body that nests too deep which are checked by its grammar
_MARKS = re.compile(STRING + rb"|[\[\]{}]", re.DOTALL)
_CLOSED_BY = {b"[": b"]", b"{": b"}"}


def refuse_torn(body: bytes) -> None:
    """Make sure that a body is JSON by its grammar.

    Args:
        body: what a decoder refused.

    Raises:
        msgspec.DecodeError: it is torn or garbled: nothing in it can be relied on.
    """
    try:
        _parse(body)
    except RecursionError:
        _parse(_shallow(body))


def _parse(body: bytes) -> None:
    try:
        GRAMMAR.decode(body.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise msgspec.DecodeError(f"JSON is malformed: {error}") from error


def _shallow(body: bytes) -> bytes:
    """Return the body with null for what lies deeper than `SHALLOW`; there, only brackets and texts are checked."""
    opened: list[bytes] = []
    kept, begin = [], 0
    for found in _MARKS.finditer(body):
        mark = found[0]
        if mark in _CLOSED_BY:
            if len(opened) == SHALLOW:
                kept.append(body[begin : found.start()] + b"null")
            opened.append(_CLOSED_BY[mark])
        elif mark in b"]}":
            if not opened or opened.pop() != mark:
                raise msgspec.DecodeError("JSON is malformed: brackets that do not match")
            begin = found.end() if len(opened) == SHALLOW else begin
    if opened:
        raise msgspec.DecodeError("Input data was truncated")
    return b"".join([*kept, body[begin:]])
