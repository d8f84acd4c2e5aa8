"""The folding key of an external_id: what stays the same when a spreadsheet, an export or a keyboard rewrites it.

Promised: two ids that differ only by letter case, Unicode form, invisible characters, dashes, quotes, spaces, leading
zeros or the form of a number have the same folding key, and `differences` says which of these it is. Never done:
changing an id; a folding key is compared, and never written anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from connector.push.file.unicode_form import in_form

__all__ = ["differences", "fold", "folds"]

_DASHES = re.compile("[\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d]")
_QUOTES = re.compile(
    "^=(?=[\"'])|[\"'`\u00b4\u02b9-\u02bd\u02ca\u02cb\u0384\u2018-\u201f\u2032-\u2037\u2039\u203a\u00ab\u00bb]"
)
_ODD = re.compile("[\\s\"'`\x00-\x1f\x7f]")  # what steps change in ASCII: a file has a million ids
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_SPACES = re.compile(r"\s+")
_ZEROS = re.compile(r"(?<![0-9a-z.,])0+(?=[0-9])")
_DECIMAL = re.compile(r"(\d+)[.,]0+")
_POWER = re.compile(r"(\d)(?:[.,](\d+))?e\+?(\d{1,2})", re.IGNORECASE)
# Groups of three, or of two as in India, and then perhaps decimals of zeros behind the other mark.
_GROUPED = re.compile(r"(\d{1,3}([.,])\d{3}(?:\2\d{3})*|\d{1,2}(?:,\d\d)+,\d{3})(?:(?!\2)[.,]0+)?")
_NUMBER = "number form"
_MARKS = str.maketrans("", "", ".,")
# Fillers, joiners and variation selectors: letters and marks by their category, and nothing to see all the same.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0000-\U000e0fff]")


def _visible(text: str) -> str:
    if text.isascii():
        return _CONTROLS.sub("", text) if _ODD.search(text) else text
    text = _SELECTORS.sub("", text)
    return "".join(c for c in text if not (c in _UNSEEN or unicodedata.category(c) == "Cf" or _CONTROLS.match(c)))


def _form(text: str) -> str:
    return in_form("NFKC", text)


def _dashes(text: str) -> str:
    return text if text.isascii() else _DASHES.sub("-", text)


def _quotes(text: str) -> str:
    return _QUOTES.sub("", text)


def _number(text: str) -> str:
    """A whole number as its digits, whether it has a decimal part of zeros, an exponent or thousands marks."""
    if not text[:1].isdigit():
        return text
    if found := _GROUPED.fullmatch(text):
        return found[1].translate(_MARKS)
    if found := _DECIMAL.fullmatch(text):
        return found[1]
    if (found := _POWER.fullmatch(text)) and len(found[2] or "") <= int(found[3]):
        return found[1] + (found[2] or "").ljust(int(found[3]), "0")
    return text


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("invisible characters", _visible),
    ("dashes", _dashes),
    ("quotes", _quotes),  # before the Unicode form, which makes a space of an acute accent
    ("Unicode form", _form),
    ("case", str.casefold),
    ("Unicode form", _form),  # capitals of some letters come apart
    ("dashes", _dashes),  # which may come out of the Unicode form, as quotes may
    ("quotes", _quotes),
    ("spaces", lambda text: _SPACES.sub("", text)),
    (_NUMBER, _number),
    ("leading zeros", lambda text: _ZEROS.sub("", text) if "0" in text else text),  # they lead once quotes are gone
)


def fold(key: str) -> str:
    """The folding key of an external_id; "" where nothing of it is left, which is nobody's twin."""
    if not key.isascii():
        return _folded(key)
    if _ODD.search(key):
        key = _SPACES.sub("", _QUOTES.sub("", _QUOTES.sub("", _CONTROLS.sub("", key))))
    key = key.lower()
    if key[:1].isdigit():
        key = _number(key)
    return _ZEROS.sub("", key) if "0" in key else key


def folds(key: str) -> tuple[str, ...]:
    """Every folding key of an external_id: two where 1.000 may be a thousand, or a one with decimals."""
    folded = fold(key)
    if folded[-3:] != "000" or not (folded[:-3].isdigit() and len(folded) <= 6):
        return (folded,) if folded else ()
    read = _folded(key, but=_NUMBER)
    found = _DECIMAL.fullmatch(read)
    return (folded, found[1]) if found and found[1] != folded else (folded,)


def differences(one: str, other: str) -> str:
    """What two ids with a folding key in common differ by, such as `case or spaces`."""
    if fold(one) != fold(other):
        return _NUMBER
    names = [name for name in dict(_STEPS) if _folded(one, but=name) != _folded(other, but=name)]
    return " or ".join(names) or "spelling"


def _folded(key: str, but: str = "") -> str:
    """A text after all steps, or after all but those of one name."""
    for name, step in _STEPS:
        if name != but:
            key = step(key)
    return key
