"""What a spreadsheet does to a value when it opens and saves a file: lost umlauts, plus signs and leading zeros.

Promised: a value counts as damaged only when it is exactly the stored value after such damage; a real change never
does. The key of a new customer is doubted where it does not look like a key. Never done: repairing.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["damage", "key_damage", "tidy"]

_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?E\+\d+", re.IGNORECASE)


def damage(before: str, after: str) -> str:
    """Say what a spreadsheet did to a stored value; "" when the value was simply changed."""
    if not before or not after:
        return ""
    if after in _garbled(before):
        return "the stored value, read in a wrong encoding"
    digits = before.lstrip("+0")
    if after == digits and digits.isdigit() and digits != before:
        return "the stored value without its leading + or zeros"
    if _SCIENTIFIC.fullmatch(after) and before.lstrip("+").isdigit():
        return "a number in scientific notation, where digits are stored"
    return ""


def key_damage(key: str) -> str:
    """Say why the key of a new customer does not look like a key; "" when it does."""
    if _SCIENTIFIC.fullmatch(key):
        return "its external_id is a number in scientific notation, as a spreadsheet writes long ones"
    if tidy(key).lower().replace(" ", "_") in ("external_id", "id"):
        return "its external_id is the name of a column: is this row a second header?"
    return ""


def tidy(key: str) -> str:
    """A key without invisible differences: surrounding spaces, zero-width characters, two forms of accents."""
    seen = "".join(c for c in key if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", seen).strip()


def _garbled(text: str) -> set[str]:
    """The text as it looks when its UTF-8 bytes are read in an older encoding."""
    if text.isascii():
        return set()
    data = text.encode("utf-8")
    return {data.decode(name, "replace") for name in ("cp1252", "latin-1", "mac_roman", "cp850", "cp437")}
