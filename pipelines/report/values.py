"""One value as text or as JSON, and text from outside as a terminal may show it.

Promised: nothing is rounded; decimals keep every digit that counts. What is shown on a terminal controls nothing and
hides nothing. Never done: changing what JSON and files hold.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

__all__ = ["as_text", "jsonable", "one_line", "visible"]

MAX_LENGTH = 60  # characters of a value on one line
_LONG = 4 * MAX_LENGTH
_UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Fillers and selectors: printable by their category, and nothing to see all the same."""


def as_text(value: Any) -> str:
    """A value for people: decimals without trailing zeros, timestamps in ISO 8601."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def jsonable(value: Any) -> Any:
    """A value of a row for JSON: decimals as exact strings, maps as objects, timestamps in ISO 8601."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):  # how Arrow gives a map
            return {key: jsonable(item) for key, item in value}
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return as_text(value)


def visible(text: str) -> str:
    """Text from outside for a terminal: what is invisible or controls it stands as an escape, by its number.

    Line ends and tabs stay, and so do letters of every script.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_seen, text))


def _seen(letter: str) -> str:
    if (letter.isprintable() and letter not in _UNSEEN) or letter in "\n\t":
        return letter
    number = ord(letter)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def _marks_apart(text: str) -> str:
    """Accents that stand behind their letter although one character has both: else é looks like é."""
    if unicodedata.is_normalized("NFC", text):
        return text
    return "".join(f"\\u{ord(c):04x}" if unicodedata.combining(c) and ord(c) <= 0xFFFF else c for c in text)


def one_line(value: Any) -> str:
    """A value on one line, cut after 60 characters, and quoted where its ends would be invisible."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text if len(text) <= _LONG else text[:_LONG]  # long texts are cut all the same
    if visible(text) != text or "\n" in text or "\t" in text or not unicodedata.is_normalized("NFC", text):
        text = visible(_marks_apart(msgspec.json.encode(text).decode()))
    shown = text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
    return shown if shown and shown == shown.strip() and "→" not in shown else f'"{shown}"'
