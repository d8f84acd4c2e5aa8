"""Request bodies and query strings, read as leniently and as strictly as the server reads them.

Promises contract.md 3.1: keys match in any case, null means not given, content after the first JSON value is
ignored, and a wrong JSON type is a 400. Never looks at what the values mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from connector.sandbox.clock import parse_rfc3339
from connector.sandbox.replies import Json, refuse

__all__ = ["Params", "Reader", "first_value", "read_object"]

Params = Sequence[tuple[str, str]]
Bad = Callable[[], NoReturn]

_decode = msgspec.json.Decoder().decode
_scanner = json.JSONDecoder()


def first_value(body: bytes | None) -> Any:
    """The first JSON value of a body; raises ValueError when there is none."""
    try:
        return _decode(body or b"")
    except msgspec.DecodeError:
        text = (body or b"").decode("utf-8", "replace").lstrip(" \t\r\n")
        return _scanner.raw_decode(text)[0]


def read_object(body: bytes | None, message: str) -> Reader:
    """The body as an object; `message` is what the refusal says."""

    def bad() -> NoReturn:
        refuse("validation_error", message)

    try:
        value = first_value(body)
    except (ValueError, RecursionError):
        bad()
    if value is not None and not isinstance(value, dict):
        bad()
    return Reader(value or {}, bad)


class Reader:
    """One JSON object, read by typed members; a member of another type is refused."""

    def __init__(self, value: Json, bad: Bad) -> None:
        self.bad = bad
        self.value = {key.lower(): member for key, member in value.items() if member is not None}

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def string(self, key: str) -> str | None:
        """A string, or None when not given."""
        found = self.value.get(key)
        if found is not None and not isinstance(found, str):
            self.bad()
        return found

    def integer(self, key: str) -> int | None:
        """An integer; Go refuses 3.0 and true."""
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or not -(2**63) <= found < 2**63:
            self.bad()
        return int(found)

    def number(self, key: str) -> float | None:
        """Any number."""
        found = self.value.get(key)
        if found is not None and (not isinstance(found, int | float) or isinstance(found, bool)):
            self.bad()
        return found

    def boolean(self, key: str) -> bool | None:
        """A boolean."""
        found = self.value.get(key)
        if found is not None and not isinstance(found, bool):
            self.bad()
        return found

    def timestamp(self, key: str) -> int | None:
        """A timestamp with a zone, in microseconds."""
        found = self.string(key)
        if found is None:
            return None
        moment = parse_rfc3339(found)
        return self.bad() if moment is None else moment

    def strings(self, key: str) -> list[str] | None:
        """A list of strings; null members read as empty strings, as in Go."""
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, list) or any(item is not None and not isinstance(item, str) for item in found):
            self.bad()
        return [item or "" for item in found]

    def objects(self, key: str) -> list[Reader] | None:
        """A list of objects."""
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, list) or any(item is not None and not isinstance(item, dict) for item in found):
            self.bad()
        return [Reader(item or {}, self.bad) for item in found]

    def object(self, key: str) -> Reader | None:
        """An object."""
        found = self.value.get(key)
        if found is None:
            return None
        return Reader(found, self.bad) if isinstance(found, dict) else self.bad()

    def string_map(self, key: str) -> dict[str, str] | None:
        """An object of strings, keys as written and sorted as Go prints them; a null value is stored as ""."""
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, dict) or any(v is not None and not isinstance(v, str) for v in found.values()):
            self.bad()
        return {name: found[name] or "" for name in sorted(found)}


def query_object(params: Params, lists: frozenset[str], wholes: frozenset[str], bad: Bad) -> Reader:
    """A query string bound into the same shape as a body: listed keys repeat, the first value of others counts."""
    value: Json = {}
    for key, text in params:
        if key in lists:
            value.setdefault(key, []).append(text)
        elif key not in value:
            value[key] = _whole(text, bad) if key in wholes else text
    return Reader(value, bad)


def _whole(text: str, bad: Bad) -> int:
    if not text:
        return 0
    try:
        return int(text) if text.strip() == text and "_" not in text else bad()
    except ValueError:
        bad()
