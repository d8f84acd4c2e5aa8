"""Values and lists in messages: shortened, so that one bad file cannot flood a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from connector.push.file.record import printable
from connector.visible import marks_apart, visible

__all__ = ["LISTED", "SHOWN", "cut", "listed", "one_line"]

SHOWN = 120  # characters of a value that a message or a fault carries
MAX_LENGTH = 60  # characters of a value on one line
_LONG = 4 * MAX_LENGTH
LISTED = 100  # columns and warnings that a message lists one by one


def cut(value: str) -> str:
    """Shorten a value to what a message can show."""
    return printable(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")


def listed(sentences: Sequence[str]) -> Iterator[str]:
    """The first hundred sentences, then the number of the others."""
    yield from sentences[:LISTED]
    if len(sentences) > LISTED:
        yield f"and {len(sentences) - LISTED} more like these."


def one_line(value: Any) -> str:
    """A value on one line, cut after 60 characters, and quoted where its ends would be invisible."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text[:_LONG]  # long texts are cut all the same
    if visible(text) != text or "\n" in text or "\t" in text or not unicodedata.is_normalized("NFC", text):
        text = visible(marks_apart(msgspec.json.encode(printable(text)).decode()))
    shown = text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
    return shown if shown and shown == shown.strip() and "→" not in shown else f'"{shown}"'
