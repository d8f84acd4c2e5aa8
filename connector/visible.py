"""Text from outside as a terminal may show it: it controls nothing and hides nothing.

Promised: letters of every script stay, and so do line ends and tabs; all else that cannot be seen stands as an escape,
by its number. Never done: changing what JSON and files hold.
"""

from __future__ import annotations

import unicodedata

__all__ = ["marks_apart", "visible"]

_UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Fillers and selectors: printable by their category, and nothing to see all the same."""


def visible(text: str) -> str:
    """The text, with what is invisible or controls a terminal as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_seen, text))


def _seen(letter: str) -> str:
    if (letter.isprintable() and letter not in _UNSEEN) or letter in "\n\t":
        return letter
    number = ord(letter)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def marks_apart(text: str) -> str:
    """The text, with accents as escapes that stand behind their letter although one character has both."""
    if unicodedata.is_normalized("NFC", text):
        return text
    return "".join(f"\\u{ord(c):04x}" if unicodedata.combining(c) and ord(c) <= 0xFFFF else c for c in text)
