"""What a workbook's cell is besides its text: a number, a date, a formula without a result, a part of a merged one.

`doubt_of` says which of these make a value doubtful, in which field.

Promised: a number is doubted only where zeros or a plus sign in front are part of the value. Never done: reading cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from connector.push.file.doubt import Doubt

__all__ = [
    "DATE",
    "FORMULA",
    "HIDDEN",
    "KINDS",
    "MERGED",
    "NO_RESULT",
    "NUMBER",
    "ROW",
    "Mark",
    "Marks",
    "doubt_of",
    "recalled",
]

NUMBER, DATE, MERGED, HIDDEN, FORMULA = "number", "date", "merged", "hidden", "formula"
KINDS = (NUMBER, MERGED, HIDDEN)
"""Kinds of doubt that only a workbook gives, besides those of texts (`connector.push.file.damage`)."""
ROW = -1  # the position of a mark that is about the whole row
NO_RESULT = "#FORMULA!"
"""The text of a formula without a result: it looks like an error value, and is doubted as one wherever it turns up."""
_SAID = {"a number": NUMBER, "the number": NUMBER, "a date": DATE, "hidden": HIDDEN, "blank, in a cell": MERGED}
_ONCE = "says flexsync_reason: empty it once the value is right"
_SHOWN = 60  # characters of the text of another cell
_DIGITS = 5  # of a postal code where nothing else is known
_BY_COUNTRY = {
    country: digits
    for digits, countries in {
        3: "FO IS LS MG OM PG TW",
        4: "AF AL AM AT AU BD BE BG CH CV CY DK GE GL GW HT HU LI LR LU MD MK MZ NE NO NZ PH PY SI SJ TN VE ZA",
        6: "BY CN CO EC IN KG KZ NG RO RU SG TJ TT TM UZ VN",
        7: "CL IL JP",
    }.items()
    for country in countries.split()
}


class Mark(NamedTuple):
    """What a cell is besides its text.

    Attributes:
        kind: `number`, `date`, `formula` (without a result), `merged` (covered by another cell), `hidden` (the row).
        shown: how the workbook shows a number, where that is known and other than its digits (``%`` for a percentage);
            of a covered cell the text of the one that covers it.
        line: row of that one.
    """

    kind: str
    shown: str = ""
    line: int = 0


Marks = Mapping[int, Mark]
"""Position of a cell → what it is besides its text."""


def doubt_of(name: str, text: str, mark: Mark, country: str) -> Doubt | None:
    """Doubt a value by what its cell is.

    Args:
        name: its field, `external_id`, or ``metadata.KEY``; "" for the whole row.
        text: the value.
        mark: what the cell is.
        country: of the row, as a code; "" where it is not known.
    """
    if mark.kind == HIDDEN:
        return Doubt(HIDDEN, "the row is hidden in the workbook, as a filter does")
    if mark.kind == MERGED:
        return Doubt(
            MERGED, f"{name} is blank, in a cell that is merged with {mark.shown[:_SHOWN]!r} in row {mark.line}"
        )
    if mark.kind == DATE and not name.startswith("metadata.") and name != "":
        return Doubt(DATE, f"{name} is a date in the workbook")
    if mark.kind == NUMBER:
        return _of_number(name, text, mark.shown, country)
    return None


def recalled(reason: str, doubts: str) -> dict[str, Doubt]:
    """The doubts that a file of refused or doubted rows holds as sentences: there every cell is a text and gives none.

    Args:
        reason: of a row, from the column flexsync_reason.
        doubts: likewise, from flexsync_doubt.

    Returns:
        Field, or "" for the row → doubt.
    """
    found: dict[str, Doubt] = {}
    sentences = [(text, f" ({_ONCE})") for text in reason.split("Also: ")[1:]]
    for sentence, more in [*sentences, *((text, "") for text in doubts.split("; "))]:
        text = sentence.strip().removesuffix(".").removesuffix(f" ({_ONCE})")
        name, verb, what = text.partition(" is ")
        kind = next((kind for sign, kind in _SAID.items() if what.startswith(sign)), "") if verb else ""
        if (kind and "in the workbook" in what) or kind == MERGED:
            found["" if kind == HIDDEN else name] = Doubt(kind, f"{text}{more}")
    return found


def _of_number(name: str, text: str, shown: str, country: str) -> Doubt | None:
    if shown == "%":
        return Doubt(NUMBER, f"{name} is the number {text} in the workbook, shown as a percentage")
    if shown:
        return Doubt(NUMBER, f"{name} is the number {text} in the workbook, shown as {shown}")
    loses = name in ("external_id", "contact")
    if name == "address_postal_code":
        loses = len(text) < _BY_COUNTRY.get(country, _DIGITS)
    if loses:
        return Doubt(NUMBER, f"{name} is a number in the workbook, which keeps no zeros or + in front")
    return None
