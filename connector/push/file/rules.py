"""What the server takes in a customer's fields, known before any call (contract.md 5.1, 5.3).

Promised: a value that passes here is not refused for its form, and every fault says the rule and the way out; `FIELDS`
is the only list of what a customer can be given, and the template, the reader and the plan are made from it.
Refused here though the server takes it: an e-mail address whose name stands in quotes ("a b"@acme.example), and the
zone names that are none (Factory, localtime, posix/…).
Never done: I/O, or rules that need the server's own data (a taken external_id, a tax number that must fit another one
that is stored: see `connector.push.plan.plan`), or NUL characters (see `connector.push.file.rows`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import msgspec

from connector.api.fields import FIELDS, TEXTS
from connector.countries import COUNTRIES

__all__ = [
    "EXCUSABLE",
    "FIELDS",
    "TAX_KEYS",
    "TEXTS",
    "Fault",
    "check",
    "check_metadata",
    "cleared",
    "roomy",
    "zones",
]

Verdict = tuple[str, str] | None  # rule and remedy; None is fine

EXCUSABLE = frozenset({"too_long", "too_many_bytes", "email", "country", "timezone", "tax_key", "cannot_be_cleared"})
"""Rules about values: no fault where the server holds the very value already, for it is not sent then."""

_INTL = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"  # what the server's pattern takes beyond ASCII
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
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # what Go trims: not \x1c to \x1f
_AROUND = re.compile(f"^[{_SPACES}]+|[{_SPACES}]+$")
MOST_GUESSES = 200  # unknown zones of one file that are compared with all known ones: that takes milliseconds each
_FALSE_FRIENDS = {"UK": "GB", "EL": "GR", "EU": "the country's own code", "USA": "US", "GER": "DE", "IND": "IN"}


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong in a person's file.

    Attributes:
        line: physical line of the file on which the row begins, from 1; for tables the row, from 1.
        column: the file's own header, or "" where the whole line is at fault.
        value: what stands there, cut to a readable length.
        rule: machine-readable name of the rule.
        remedy: what to write instead, a sentence.
    """

    line: int
    column: str
    value: str
    rule: str
    remedy: str


def cleared(name: str) -> Verdict:
    """Whether the field may be emptied by PUT (contract.md 5.3)."""
    if FIELDS[name].clearable:
        return None
    return "cannot_be_cleared", f"The API cannot empty {name}: give another value, or leave the cell blank to keep it."


def check(name: str) -> Callable[[str], Verdict]:
    """Return the check of one field: text in, verdict out. The text is not empty, and holds no NUL."""
    field = FIELDS[name]
    if name == "timezone":
        return _timezones()
    inner = {"email": _email, "address_country": _country}.get(name)
    if inner:
        return inner
    characters, octets = field.characters, field.octets

    def length(text: str) -> Verdict:
        if len(text) > characters:
            return "too_long", f"{len(text)} characters; at most {characters} fit."
        if octets and len(text) * 4 > octets and len(text.encode()) > octets:
            return (
                "too_many_bytes",
                f"{len(text.encode())} bytes in UTF-8; at most {octets} fit.",
            )
        return None

    return length


def roomy(name: str) -> int:
    """How many characters pass `check` whatever they are; -1 where the form counts too."""
    if name in ("email", "address_country", "timezone"):
        return -1
    field = FIELDS[name]
    return min(field.characters, field.octets // 4) if field.octets else field.characters


def _email(text: str) -> Verdict:
    if len(text) > FIELDS["email"].characters:
        return "too_long", f"{len(text)} characters; at most 255 fit."
    if _EMAIL.fullmatch(text) and ".." not in text:
        return None
    return "email", "Write one plain address, like billing@acme.example: no display name, no spaces."


def _country(text: str) -> Verdict:
    if text in COUNTRIES:
        return None
    guess = text.strip().upper()
    other = _FALSE_FRIENDS.get(guess)
    told = f"Write {guess}." if guess in COUNTRIES else f"Write {other}." if other else "Write a code such as US or DE."
    return "country", f"Not an upper-case ISO 3166-1 alpha-2 code. {told}"


def _timezones() -> Callable[[str], Verdict]:
    known = frozenset(zones().values())
    guesses: dict[str, str] = {}

    def timezone(text: str) -> Verdict:
        if text in known:
            return None
        wanted = text[:100]
        if wanted not in guesses and len(guesses) < MOST_GUESSES:
            guesses[wanted] = _nearest(wanted)
        near = guesses.get(wanted)
        told = f"Did you mean {near}?" if near else "Write one such as Europe/Berlin."
        return "timezone", f"Not an IANA zone; capitals count. {told}"

    return timezone


def _nearest(text: str) -> str:
    """The zone that is meant: by its name in other capitals, by its city, or by a few letters; "" for none."""
    wanted = text.strip().casefold().replace(" ", "_")
    return (
        zones().get(wanted)
        or next((name for folded, name in zones().items() if folded.endswith(f"/{wanted}")), "")
        or next(iter(get_close_matches(text, zones().values(), n=1, cutoff=0.75)), "")
    )


class _Zones(dict[str, str]):
    """Folded name -> name; `in` asks for the exact name."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name.casefold()) == name


@cache
def zones() -> dict[str, str]:
    """Every IANA zone of the tzdata package, by its folded name; `in` asks for the exact one.

    The machine's own list is not asked: it may be older than the server's, or hold names that are none.
    """
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return _Zones({name.casefold(): name for name in names if name != "Factory"})


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
    """As Go trims: Python would take four control characters away too."""
    return _AROUND.sub("", text)


def _upper(text: str) -> str:
    """As Go turns letters into capitals, one by one: Python makes SS of ß."""
    return "".join(big if len(big := letter.upper()) == 1 else letter for letter in text)
