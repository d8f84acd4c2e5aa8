"""Signs of spoilt values that need more than one pattern: dates, truth values, words for nothing, wrong encodings.

Promised: pure functions of one text. Never done: knowing in which field it stands (see `connector.push.file.damage`).
"""

from __future__ import annotations

import re

__all__ = [
    "AROUND",
    "ESCAPED",
    "INVISIBLE",
    "MONTHS",
    "garbled",
    "is_boolean",
    "is_date",
    "is_garbled",
    "is_grouped",
    "is_na",
    "is_placeholder",
    "is_rounded",
    "truth",
]

AROUND = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" \
         "\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"  # fmt: skip
"""Characters around a value that nobody sees: white space, zero-width spaces, byte order marks."""

# Not the joiners U+200C and U+200D, which Persian and emoji need, nor the marks of direction of Hebrew and Arabic.
INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\u2060-\u2064\ufeff\ufff9-\ufffb]")
ESCAPED = re.compile(
    r"&(?:amp|lt|gt|quot|apos|nbsp|[aouAOU]uml|szlig|[aeiouAEIOU](?:acute|grave|circ)|[cC]cedil|[nN]tilde"
    r"|#\d{2,5}|#[xX][0-9a-fA-F]{2,4});|_x[0-9A-F]{4}_"
)
_NOTHING = frozenset(
    (
        "null", "(null)", "<null>", "[null]", "#null", "nan", "-nan", "1.#qnan", "-1.#ind", "<na>", "<nil>", "<none>",
        "undefined", "[object object]",
    )
)  # fmt: skip
_NOTHING_EXACTLY = frozenset(("NaT",))  # pandas; in capitals a protocol
_NONE = _NOTHING | {
    "none", "nil", "n/a", "n.a.", "n/d", "n.d.", "n/v", "s/d", "k.a.", "k. a.", "k/a", "(none)", "(blank)", "(empty)",
    "(leer)", "<empty>", "[empty]", "unknown", "unbekannt", "keine angabe", "entfällt", "inconnu", "desconocido",
    "sconosciuto", "onbekend", "not available", "not applicable", "tbd", "n.v.t.", "-", "--", "---", "?", "??", "???",
    ".",
}  # fmt: skip
_TRUE = frozenset(("true", "wahr", "vrai", "verdadero", "vero", "waar"))
_FALSE = frozenset(("false", "falsch", "faux", "falso", "onwaar"))
_MORE_TRUE = frozenset(("verdadeiro", "prawda", "sant", "sand", "sann", "tosi"))  # some of which are names
_MORE_FALSE = frozenset(("fałsz", "falskt", "falsk", "usann", "epätosi"))
_TRUTHS = _TRUE | _FALSE
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan janv ene gen", "feb febr févr", "mar mär maer mrz märz mars mrt", "apr avr abr", "may mai mag mei",
            "jun juni juin giu", "jul juli juil lug", "aug août ago", "sep sept set", "oct okt ott", "nov",
            "dec dez déc dic",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
"""Short names of months in several languages → their number."""
_MONTH = "|".join(MONTHS)
_DATES = re.compile(
    rf"(\d{{1,2}})([./-])(\d{{1,2}})\2(?:\d{{2}}|\d{{4}})(?: \d{{1,2}}:\d{{2}}(?::\d{{2}})?)?"
    rf"|\d{{4}}-[01]\d-[0-3]\d(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?Z?)?"
    rf"|\d{{1,2}}(?:-|\.\s?)(?:{_MONTH})\.?(?:[- ](?:\d{{2}}|\d{{4}}))?"
    rf"|(?:{_MONTH})\.?[- ](?:\d{{2}}|\d{{4}})",
    re.IGNORECASE,
)
_ROUNDED = re.compile(r"[1-9]\d{14}0{2,}")
_GROUPED = re.compile(  # in threes, or as in India in twos; then perhaps decimals of zeros
    r"(?:\d{1,3}(?:([.,'’\xa0\u202f])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d\d)+,\d{3})(?:(?!\1)[.,]0+)?"
)
_PAIR = re.compile("[^\x00-\x7f]{2}")  # a letter outside of ASCII has at least two bytes in UTF-8
_CODINGS = ("cp1252", "latin-1", "mac_roman", "cp850", "cp437")


def is_placeholder(text: str, narrow: bool = False) -> bool:
    """Whether a text is a word for a missing value; `narrow`: only one that no person writes."""
    return text.lower() in (_NOTHING if narrow else _NONE) or text in _NOTHING_EXACTLY


def is_na(text: str) -> bool:
    """Whether a text is the NA of R and of forms, which is a code for Namibia, Naples and North America too."""
    return text in ("NA", "na", "Na")


def is_boolean(text: str, wide: bool = False) -> bool:
    """Whether a text is a truth value as programs write it: in capitals, or English; `wide`: of more languages."""
    word = text.lower()
    known = word in _TRUTHS or (wide and word in _MORE_TRUE | _MORE_FALSE)
    return known and (text.isupper() or text in ("true", "false", "True", "False"))


def truth(text: str) -> bool | None:
    """Which truth value a text is, in any language and case; None for none."""
    word = text.lower()
    if word in _TRUE or word in _MORE_TRUE:
        return True
    return False if word in _FALSE or word in _MORE_FALSE else None


def is_date(text: str) -> bool:
    """Whether a text is a date, or what a spreadsheet shows of one, in several languages."""
    found = _DATES.fullmatch(text)
    if found is None or found[1] is None:
        return found is not None
    day, month = sorted((int(found[1]), int(found[3])), reverse=True)
    return 1 <= month <= 12 and day <= 31


def is_rounded(text: str) -> bool:
    """Whether a text is a number of more than 16 digits of which only 15 are left. Of 16 a tenth ends so by chance."""
    return len(text) > 16 and _ROUNDED.fullmatch(text) is not None


def is_grouped(text: str) -> bool:
    """Whether a text is a whole number with the thousands marks of any country."""
    return text[:1].isdigit() and _GROUPED.fullmatch(text) is not None


def garbled(text: str) -> set[str]:
    """The text as it looks when its UTF-8 bytes are read in an older encoding."""
    if text.isascii():
        return set()
    data = text.encode("utf-8", "replace")
    return {data.decode(name, "replace") for name in _CODINGS}


def is_garbled(text: str) -> bool:
    """Whether a text looks like UTF-8 that was read in an older encoding: read back, its bytes are valid UTF-8."""
    return _PAIR.search(text) is not None and any(_reads_back(text, name) for name in _CODINGS)


def _reads_back(text: str, coding: str) -> bool:
    try:
        return text.encode(coding).decode("utf-8") != text
    except UnicodeError:
        return False
