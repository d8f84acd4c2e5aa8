"""The folding key of an external_id: what stays the same when a spreadsheet, an export or a keyboard rewrites it.

Promised: two ids that differ only by letter case, Unicode form, invisible characters, dashes, quotes, spaces, leading
zeros or the form of a number have the same folding key, and `differences` says which of these it is. Never done:
changing an id; a folding key is compared, and never written anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

__all__ = ["differences", "fold"]

_DASHES = re.compile("[\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d]")
_QUOTES = re.compile("^=(?=[\"'])|[\"'`\u00b4\u2018-\u201f\u2032\u2033\u2039\u203a\u00ab\u00bb]")
_ODD = re.compile("[\\s\"'`]")  # what the steps for quotes and spaces change in ASCII: a file has a million ids
_SPACES = re.compile(r"\s+")
_ZEROS = re.compile(r"(?<![0-9a-z.,])0+(?=[0-9])")
_DECIMAL = re.compile(r"(\d+)[.,]0+")
_POWER = re.compile(r"(\d)(?:[.,](\d+))?e\+?(\d{1,2})", re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}(?:([.,])\d{3})(?:\1\d{3})+")


def _visible(text: str) -> str:
    return text if text.isascii() else "".join(c for c in text if unicodedata.category(c) != "Cf")


def _form(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _number(text: str) -> str:
    """A whole number as its digits, whether it has a decimal part of zeros, an exponent or thousands marks."""
    if not text[:1].isdigit():
        return text
    if found := _DECIMAL.fullmatch(text):
        return found[1]
    if found := _GROUPED.fullmatch(text):
        return text.replace(found[1], "")
    if (found := _POWER.fullmatch(text)) and len(found[2] or "") <= int(found[3]):
        return found[1] + (found[2] or "").ljust(int(found[3]), "0")
    return text


# In this order: a dash or a quote may come out of the Unicode form, and zeros lead only once quotes are gone.
_STEPS: dict[str, Callable[[str], str]] = {
    "invisible characters": _visible,
    "dashes": lambda text: text if text.isascii() else _DASHES.sub("-", text),
    "Unicode form": _form,
    "case": str.casefold,
    "quotes": lambda text: _QUOTES.sub("", text),
    "spaces": lambda text: _SPACES.sub("", text),
    "number form": _number,
    "leading zeros": lambda text: _ZEROS.sub("", text) if "0" in text else text,
}


def fold(key: str) -> str:
    """The folding key of an external_id; "" where nothing of it is left, which is nobody's twin."""
    if not key.isascii():
        return _folded(key, _STEPS.values())
    if _ODD.search(key):
        key = _SPACES.sub("", _QUOTES.sub("", key))
    key = key.lower()
    if key[:1].isdigit():
        key = _number(key)
    return _ZEROS.sub("", key) if "0" in key else key


def differences(one: str, other: str) -> str:
    """What two ids with the same folding key differ by, such as `case or spaces`."""
    names = [name for name in _STEPS if _without(name, one) != _without(name, other)]
    return " or ".join(names) or "spelling"


def _without(left_out: str, key: str) -> str:
    return _folded(key, (step for name, step in _STEPS.items() if name != left_out))


def _folded(key: str, steps: Iterable[Callable[[str], str]]) -> str:
    for step in steps:
        key = step(key)
    return key
