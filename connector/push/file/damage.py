"""What a spreadsheet makes of a value when it opens and saves a file: umlauts, plus signs and leading zeros lost.

Promised: of values only exact damage is told, the stored one gone through that mill; a real change is not. A key of a
new customer is doubted where it looks like none. Never done: mending.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["spoiled", "spoiled_key", "tidy"]

_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?E\+\d+", re.IGNORECASE)


def spoiled(before: str, after: str) -> str:
    """Say what happened to a stored value on its way through a spreadsheet; "" when it was simply changed."""
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


def tidy(key: str) -> str:
    """A key without what cannot be seen: spaces around it, zero-width characters, another way to write its accents."""
    seen = "".join(c for c in key if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", seen).strip()


def spoiled_key(key: str) -> str:
    """Why a key of a new customer looks like no key; "" when it looks like one."""
    if _SCIENTIFIC.fullmatch(key):
        return "its external_id is a number in scientific notation, as a spreadsheet writes long ones"
    if tidy(key).lower().replace(" ", "_") in ("external_id", "id"):
        return "its external_id is the name of a column: is this row a second header?"
    return ""


def _garbled(text: str) -> set[str]:
    """The text as it looks when its UTF-8 bytes are taken for those of an older encoding."""
    if text.isascii():
        return set()
    data = text.encode("utf-8")
    return {data.decode(name, "replace") for name in ("cp1252", "latin-1", "mac_roman", "cp850", "cp437")}
