"""What a cell certainly means although it says something else: spaces around, `de` for DE, `berlin` for Europe/Berlin.

`FIXES` names the kinds of advice. Each is taken only where a person names it (`--fix`), and shown in the plan either
way.

Promised: advice passes the rules of its field; where two things could be meant there is none. At most one piece of
advice a cell, in time that grows with its length. Never done: an external_id, but for the spaces around it; a change
that nobody named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import msgspec

from connector.api.fields import FIELDS
from connector.push.file import rules
from connector.push.file.cells import escaped
from connector.push.file.country_names import country_meant
from connector.push.file.signs import AROUND
from connector.push.file.zone_names import zone_meant

__all__ = ["FIXES", "Advice", "advised", "loose"]

FIXES = ("trim", "country", "timezone", "email", "id-spaces")
_FIELD_OF = {"address_country": "country", "timezone": "timezone", "email": "email"}
_BRACKETS = re.compile(r"[^<>@]*<([^<>]*)>")
_MAILTO = re.compile(r"mailto:", re.IGNORECASE)
_BEHIND = " \t\r\n.,;"  # an address in a list
_SLACK = 200  # characters beside a value: a display name


class Advice(msgspec.Struct, frozen=True, gc=False):
    """What a cell says, and what it certainly means.

    Attributes:
        line: physical line of the file on which the row begins, from 1.
        column: the file's own header.
        field: the field, `external_id`, `id` or ``metadata.KEY``.
        said: the cell.
        better: what it means; "" for a cell of blanks only, which then leaves the field alone.
        fix: one of `FIXES`.
        taken: whether the plan writes `better`.
    """

    line: int
    column: str
    field: str
    said: str
    better: str
    fix: str
    taken: bool = False


def loose(text: str) -> bool:
    """Whether a text has anything around it that nobody sees. Called for every cell: ASCII takes half the time so."""
    return text.strip() != text or (not text.isascii() and text.strip(AROUND) != text)


def advised(field: str, text: str) -> tuple[str, str] | None:
    """Find what a value certainly means.

    Args:
        field: its field, or ``metadata.KEY``.
        text: the value, as the file says it.

    Returns:
        The kind of advice and the value that is meant; None where the text may mean what it says.
    """
    plain = text.strip(AROUND)
    if kind := _FIELD_OF.get(field):
        return _formed(field, kind, text, plain)
    if plain == text or (plain and escaped(plain) != plain):  # spaces around \N: clearing is never guessed
        return None
    return ("id-spaces" if field in ("external_id", "id") else "trim", plain)


def _formed(field: str, kind: str, text: str, plain: str) -> tuple[str, str] | None:
    """Advice about a value with a form, which has to pass the rule of its field."""
    check = _check(field)
    if plain != text and (not plain or check(plain) is None):
        return "trim", plain  # even where the rule accepts what is around it, such as a no-break space in an e-mail
    if check(text) is None or len(plain) > FIELDS[field].characters + _SLACK:
        return None
    better = _MEANT[kind](plain)
    return (kind, better) if better and check(better) is None else None


def _address(text: str) -> str:
    """The one address in a text: in angle brackets, behind mailto:, before a last comma or full stop."""
    plain = text.rstrip(_BEHIND)
    found = _BRACKETS.fullmatch(plain)
    plain = found[1].strip() if found else plain
    prefix = _MAILTO.match(plain)
    return plain[prefix.end() :].strip() if prefix else plain


_MEANT: dict[str, Callable[[str], str]] = {"country": country_meant, "timezone": zone_meant, "email": _address}


@cache
def _check(field: str) -> rules.Check:
    return rules.check(field)
