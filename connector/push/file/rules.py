"""What a file may hold in a customer's fields: the server's rules (contract.md 5.1, 5.3) and a few stricter ones.

To add a rule for a field, add a check to `_CHECKS`. Lengths are in `connector.api.fields`.

Promised: a value that passes here is not refused for its form; every fault gives the rule and the way out.
Stricter than the server: an e-mail address with a quoted local part ("a b"@acme.example), and zone names that are not
zones (Factory, localtime, posix/…), are refused here.
Never done: I/O; rules that need the server's own data (a taken external_id, a tax number that must fit a stored
one: see `connector.push.plan.changes`); NUL characters (see `connector.push.file.parser`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

import msgspec

from connector.api.fields import FIELDS
from connector.countries import COUNTRIES
from connector.push.file.country_names import country_meant
from connector.push.file.zone_names import city_zone, is_offset, zone_meant, zones

__all__ = ["EXCUSABLE", "TAX_KEYS", "Check", "Fault", "check", "check_metadata", "cleared", "safe_length"]

Verdict = tuple[str, str] | None  # rule and remedy; None is fine
Check = Callable[[str], Verdict]

EXCUSABLE = frozenset({"too_long", "too_many_bytes", "email", "country", "timezone", "tax_key", "cannot_be_cleared"})
"""Rules about values: no fault where the server already holds that value, because it is not sent then."""

_INTL = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"  # what the server's pattern accepts beyond ASCII
_ATOM = rf"[a-zA-Z0-9_!#$%&'*+/=?^`{{|}}~{_INTL}-]++"
_EMAIL = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*+"
    rf"@[a-zA-Z0-9{_INTL}](?:[a-zA-Z0-9.~{_INTL}-]*[a-zA-Z0-9{_INTL}])?"
    rf"\.[a-zA-Z{_INTL}](?:[a-zA-Z0-9.~{_INTL}-]*[a-zA-Z{_INTL}])?"
)
_GSTIN = re.compile(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][A-Z0-9]Z[A-Z0-9]")
_PAN = re.compile(r"[A-Z]{5}[0-9]{4}[A-Z]")
TAX_KEYS = frozenset({"gstin", "pan", "hsn_sac"})
_HSN = re.compile(r"(?:[0-9]{4}|[0-9]{6}|[0-9]{8})")
_SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
"""What Go trims: not \\x1c to \\x1f."""
MOST_GUESSES = 200  # unknown zones of one file that are compared with all known ones: milliseconds each
_FALSE_FRIENDS = {"EU": "the country's own code"}


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong in a person's file.

    Attributes:
        line: physical line of the file on which the row begins, from 1; for tables the row, from 1.
        column: the file's own header, or "" where the whole line is at fault.
        value: the value in the file, cut to a readable length.
        rule: machine-readable name of the rule.
        remedy: what to write instead, a sentence.
    """

    line: int
    column: str
    value: str
    rule: str
    remedy: str


def cleared(name: str) -> Verdict:
    """Whether PUT may empty the field (contract.md 5.3)."""
    if FIELDS[name].clearable:
        return None
    return "cannot_be_cleared", f"The API cannot empty {name}: give another value, or leave the cell blank to keep it."


def check(name: str) -> Check:
    """Return the check of one field: text in, verdict out. The text must not be empty, nor contain NUL."""
    made = _CHECKS.get(name)
    return made() if made else _length(name)


def safe_length(name: str) -> int:
    """The number of characters up to which every text passes `check`; -1 where the form counts too."""
    if name in _CHECKS:
        return -1
    field = FIELDS[name]
    return min(field.characters, field.octets // 4) if field.octets else field.characters


def _length(name: str) -> Check:
    """The check of a field that has no rule but its length."""
    characters, octets = FIELDS[name].characters, FIELDS[name].octets

    def length(text: str) -> Verdict:
        if len(text) > characters:
            return "too_long", f"{len(text)} characters; at most {characters} fit."
        if octets and len(text) * 4 > octets and len(text.encode()) > octets:
            return "too_many_bytes", f"{len(text.encode())} bytes in UTF-8; at most {octets} fit."
        return None

    return length


def _emails() -> Check:
    length = _length("email")

    def email(text: str) -> Verdict:
        if verdict := length(text):
            return verdict
        if _EMAIL.fullmatch(text) and ".." not in text:
            return None
        return "email", "Write one plain address, like billing@acme.example: no display name, no spaces."

    return email


def _countries() -> Check:
    def country(text: str) -> Verdict:
        if text in COUNTRIES:
            return None
        meant = country_meant(text) or _FALSE_FRIENDS.get(text.strip().upper())
        hint = f"Write {meant}." if meant else "Write a code such as US or DE."
        return "country", f"Not an upper-case ISO 3166-1 alpha-2 code. {hint}"

    return country


def _timezones() -> Check:
    known = frozenset(zones().values())
    guesses: dict[str, str] = {}

    def timezone(text: str) -> Verdict:
        if text in known:
            return None
        wanted = text[:100]
        if wanted not in guesses and len(guesses) < MOST_GUESSES:
            guesses[wanted] = _nearest(wanted)
        near = guesses.get(wanted)
        hint = f"Did you mean {near}?" if near else "Write one such as Europe/Berlin."
        return "timezone", f"Not an IANA zone; capitals count. {hint}"

    return timezone


_CHECKS: dict[str, Callable[[], Check]] = {
    "email": _emails,
    "address_country": _countries,
    "timezone": _timezones,
}
"""Fields whose form counts, not only their length. Each entry makes the check of one file."""


def _nearest(text: str) -> str:
    """The zone that is probably meant: other capitals, a city, or a few different letters; "" for none."""
    if is_offset(text):
        return ""
    near = get_close_matches(text, zones().values(), n=1, cutoff=0.75)
    return zone_meant(text) or city_zone(text) or next(iter(near), "")


def check_metadata(metadata: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Check the tax keys of a whole metadata object (contract.md 5.1): key, rule and remedy of each fault."""
    gstin, pan = (_upper(_trimmed(metadata.get(key, ""))) for key in ("gstin", "pan"))
    hsn = _trimmed(metadata.get("hsn_sac", ""))
    found = []
    if gstin and not _GSTIN.fullmatch(gstin):
        found.append(("gstin", "tax_key", "A GSTIN has 15 characters, like 29ABCDE1234F1Z5."))
    if pan and not _PAN.fullmatch(pan):
        found.append(("pan", "tax_key", "A PAN has 10 characters, like ABCDE1234F."))
    if hsn and not _HSN.fullmatch(hsn):
        found.append(("hsn_sac", "tax_key", "An HSN or SAC code has 4, 6 or 8 digits."))
    if not found and gstin and pan and gstin[2:12] != pan:
        found.append(("pan", "tax_key", f"It must equal characters 3 to 12 of the gstin, {gstin[2:12]}."))
    return found


def _trimmed(text: str) -> str:
    """Trim as Go does: Python would also remove four control characters."""
    return text.strip(_SPACES)


def _upper(text: str) -> str:
    """Convert to capitals as Go does, letter by letter: Python turns ß into SS."""
    return "".join(big if len(big := letter.upper()) == 1 else letter for letter in text)
