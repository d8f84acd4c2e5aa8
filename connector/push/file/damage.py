"""What a spreadsheet, a CRM export, a copied PDF or a keyboard does to a value, each with its sign and its doubt.

`DAMAGES` is the table: a new damage is one line there. A value of a new customer, or one that would change, is doubted
where it shows a sign; a changed value also where it is exactly the stored value after some damage.

Promised: at most one doubt a value, the first of the table. A value that the account holds already is not doubted.
Country and time zone are not looked at, and little of an e-mail: their rules refuse what is spoilt. Never done:
repairing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape

from connector.push.file import marks
from connector.push.file.doubt import Doubt
from connector.push.file.rewritten import rewritten
from connector.push.file.signs import (
    AROUND,
    ESCAPED,
    INVISIBLE,
    garbled,
    is_boolean,
    is_date,
    is_garbled,
    is_grouped,
    is_na,
    is_placeholder,
    is_rounded,
)
from connector.push.file.synonyms import field_called, plain
from connector.push.file.unicode_form import in_form

__all__ = ["DAMAGES", "HEADER", "KINDS", "TWIN", "Damage", "changed", "missing", "spoilt", "tidy"]

KEY = frozenset({"external_id"})
CODES = KEY | {"contact", "address_postal_code"}
LINES = frozenset({"address_line1", "address_line2"})
WORDS = frozenset({"name", "address_city", "address_state"}) | LINES
TEXTS = CODES | WORDS
ALL = TEXTS | {"metadata"}
EMAIL = frozenset({"email"})
TWIN = "twin"
ZEROS = "zeros"
HEADER = "the name of a column: is this row a header?"
_DIGIT = re.compile(r"\d")
_LONGEST_HEADER = 40  # characters
_SCIENTIFIC = re.compile(r"-?\d(?:[.,]\d+)?E\+\d{1,3}|-?\d[.,]\d+E\d{1,3}", re.IGNORECASE)
_ERROR = re.compile(
    r"#[¡¿]?[\w/]+[!?]|#(?:N/A|N/B|N/D|NV|ND|NB|N/DISP|I/T|Н/Д|YOK|HIÁNYZIK|GETTING_DATA)|#{3,}"
    r"|(?:Err|Fehler|Fout|Erreur) ?:\d{3}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Damage:
    """One thing that happens to values.

    Attributes:
        kind: one word, for `--accept`, JSON and the file of doubts.
        where: the fields whose values may show it; `metadata` stands for every value of it.
        shows: whether a value shows it. Spaces around are taken off, but for the kinds that are about them.
        doubt: what it looks like, after "it is".
    """

    kind: str
    where: frozenset[str]
    shows: Callable[[str], object]
    doubt: str


def _full(pattern: str, flags: int = 0) -> Callable[[str], object]:
    return re.compile(pattern, flags).fullmatch


def _part(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


def _is_header(text: str) -> bool:
    """Whether a text is what files call the column of external_ids. Most ids have a digit, and cost no more."""
    if _DIGIT.search(text) or len(text) > _LONGEST_HEADER:
        return False
    return plain(text) in ("id", "externalid") or field_called(text) == "external_id"


_MISSING = "a word for a missing value"
_BLANK = Damage("blank", ALL, lambda text: not text.strip(AROUND), "blanks only")
_SPACES = Damage("spaces", KEY, lambda text: text != text.strip(AROUND), "written with spaces around it")
DAMAGES = (
    _BLANK,
    Damage("error", ALL, _ERROR.fullmatch, "an error value of a spreadsheet"),
    Damage("placeholder", ALL, lambda text: is_placeholder(text, narrow=True), _MISSING),
    Damage("placeholder", TEXTS, is_placeholder, _MISSING),
    Damage("placeholder", TEXTS - {"address_state"}, is_na, _MISSING),
    Damage("header", KEY, _is_header, HEADER),
    Damage("zero", TEXTS, _full(r"[-+]?0+(?:[.,]0+)?"), "a zero, as a look-up writes for nothing found"),
    Damage("boolean", TEXTS, is_boolean, "a truth value of a spreadsheet"),
    Damage("boolean", KEY, lambda text: is_boolean(text, wide=True), "a truth value of a spreadsheet"),
    Damage("formula", TEXTS, _full(r'="[^"]*"'), "written as a formula, to keep a spreadsheet from changing it"),
    Damage("formula", CODES, _full(r"'.+"), "written with an apostrophe in front, as a spreadsheet marks texts"),
    Damage("date", TEXTS, is_date, "a date, as a spreadsheet makes of numbers and codes"),
    Damage("scientific", ALL, _SCIENTIFIC.fullmatch, "a number in scientific notation, as spreadsheets write them"),
    Damage("rounded", ALL, is_rounded, "a number rounded to 15 digits, as a spreadsheet does with long ones"),
    Damage("grouped", KEY, is_grouped, "a number with thousands marks"),
    Damage("decimal", TEXTS, _full(r"[-+]?\d+[.,]0+"), "a whole number with decimals, as a spreadsheet writes it"),
    Damage("encoding", ALL | EMAIL, is_garbled, "read in a wrong encoding"),
    Damage("letters", WORDS, _part("\ufffd|(?<=[^\\W\\d_])\\?(?=[a-zà-ÿ])"), "written with lost letters"),
    Damage("escape", TEXTS, ESCAPED.search, "written with the codes of a web page or a workbook"),
    Damage("break", TEXTS - LINES, _part("[\n\r\t\v\f\u2028\u2029]"), "broken over lines or cells"),
    Damage("invisible", TEXTS, INVISIBLE.search, "written with invisible characters"),
    Damage("invisible", EMAIL, _part("[\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"),
           "written with invisible characters, which the server accepts in an address"),
    Damage("ligature", TEXTS, _part("[\ufb00-\ufb06]"), "written with ligatures, as a copied PDF is"),
    _SPACES,
)  # fmt: skip
"""The damages that a value alone shows, the first that fits first."""

KINDS = tuple(dict.fromkeys([*(damage.kind for damage in DAMAGES), ZEROS, TWIN, *marks.KINDS]))
"""Every kind of doubt, for `--accept`."""

# Most values match one of these, and are looked at no further: a file has millions. Two letters outside of ASCII beside
# each other may be a wrong encoding; what begins with a letter may be a word of `_is_word`.
_WORDS = re.compile(r"(?!.*(?:[^\x00-\x7f]{2}|[\ufb00-\ufb06]|_x))[^\W\d_][\w .,@+()/&'-]*[\w.)]")
_NUMBERS = re.compile(r"[1-9]\d{0,14}|\+[1-9][0-9 ]*[0-9]|[1-9]\d{0,14}(?: \d+)+")
_LONGEST_WORD = 24  # of `_is_word`
_BY_FIELD = {name: tuple(damage for damage in DAMAGES if name in damage.where) for name in ALL | EMAIL}
_RAW = (_BLANK, _SPACES)


def spoilt(name: str, text: str) -> Doubt | None:
    """Doubt a value by its own look.

    Args:
        name: its field, `external_id`, or ``metadata.KEY``.
        text: the value; "" is never doubted.

    Returns:
        The doubt, or None.
    """
    if not text or (_harmless(text) and not (name == "external_id" and _is_header(text))):
        return None
    return _shown(name, text)


def _shown(name: str, text: str) -> Doubt | None:
    """The first damage of the table that a value shows."""
    bare = text.strip(AROUND)
    for damage in _BY_FIELD.get("metadata" if name.startswith("metadata.") else name, ()):
        if damage.shows(text if damage in _RAW else bare):
            return Doubt(damage.kind, f"{name} is {damage.doubt}")
    return None


def _harmless(text: str) -> bool:
    """Whether a value certainly shows no damage, whatever its field."""
    if _NUMBERS.fullmatch(text):
        return True
    return _WORDS.fullmatch(text) is not None and not (len(text) <= _LONGEST_WORD and _is_word(text))


def _is_word(text: str) -> object:
    return (
        is_placeholder(text)
        or is_na(text)
        or is_boolean(text, wide=True)
        or is_date(text)
        or text.lower().endswith("id")
    )


def changed(name: str, before: str, after: str) -> Doubt | None:
    """Doubt a new value that is exactly the stored one after some damage, or looks spoilt where that one did not."""
    if not after or after == before:
        return None
    if before and (damaged := _damaged(before, after)):
        return Doubt(damaged[0], f"{name} is {damaged[1]}")
    saved = rewritten(before, after)
    if saved and not (saved[0] == "decimal" and spoilt(name, before)):  # which is repaired then
        return Doubt(saved[0], f"{name} is {saved[1]}")
    found = spoilt(name, after)
    was = spoilt(name, before) if found else None
    return None if was and found and was.kind == found.kind else found


def missing(values: Mapping[str, str]) -> Iterator[Doubt]:
    """Doubt the word NA where it may be a code: Namibia, Naples, North America. R writes it in every missing cell.

    Args:
        values: field or ``metadata.KEY`` → new value, of one row. The word is doubted where it stands twice.
    """
    found = [name for name, text in values.items() if is_na(text)]
    if len(found) > 1:
        yield from (
            Doubt("placeholder", f"{name} is {_MISSING}") for name in found if spoilt(name, values[name]) is None
        )


def _damaged(before: str, after: str) -> tuple[str, str] | None:
    """Kind and words of what was done to a stored value; None where it was simply changed."""
    if after in garbled(before):
        return "encoding", "the stored value, read in a wrong encoding"
    digits = before.lstrip("+0")
    if after == digits and digits.isdigit() and digits != before:
        return ZEROS, "the stored value without its leading + or zeros"
    if _SCIENTIFIC.fullmatch(after) and before.lstrip("+").isdigit():
        return "scientific", "a number in scientific notation, where digits are stored"
    if _lost(before, after):
        return "letters", "the stored value with lost letters"
    if "&" in after and _unescaped(after) == before:
        return "escape", "the stored value, written with the codes of a web page"
    if after in (f"'{before}", f'="{before}"'):
        return "formula", "the stored value, marked as text for a spreadsheet"
    return None


def _unescaped(text: str) -> str:
    """A text with the characters for the codes of a web page; itself where a code has thousands of digits."""
    try:
        return unescape(text)
    except ValueError:  # more digits than Python makes a number of
        return text


def _lost(before: str, after: str) -> bool:
    """Whether letters outside ASCII became question marks, and nothing else changed."""
    if before.isascii() or len(before) != len(after):
        return False
    return all(a == b or (a in "?\ufffd" and not b.isascii()) for b, a in zip(before, after, strict=True))


def tidy(key: str) -> str:
    """A key without invisible differences: surrounding spaces, zero-width characters, two forms of accents."""
    seen = "".join(c for c in key if unicodedata.category(c) != "Cf")
    return in_form("NFC", seen).strip()
