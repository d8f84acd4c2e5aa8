"""What becomes of a stored value when a spreadsheet opens an export and saves it: the same value in another form.

Promised: only a value that is the stored one is told, as a truth value, a date, a number, or its first 15 digits; zeros
and a plus that come back are not. Never done: texts of more than 40 characters; looking at one value alone (see
`connector.push.file.signs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from connector.push.file.signs import MONTHS, is_date, is_grouped, truth

__all__ = ["rewritten"]

_LONGEST = 40  # characters of a number or a date
_DIGITS = 15  # that a spreadsheet keeps
_EPOCH = date(1899, 12, 30)  # day 0 of Excel
_NUMBER = re.compile(r"([+-]?\d+)(?:[.,](\d+))?(e[+-]?\d{1,2})?(%?)", re.IGNORECASE)
_GROUPED = re.compile(r"(\d{1,3}([.,'’ \xa0\u202f])\d{3}(?:\2\d{3})*)(?!\2)[.,](\d+)")
_MARKS = str.maketrans("", "", ".,'’ \xa0\u202f")
_TIME = r"(?:[T ](?P<time>\d{1,2}:\d\d)(?::\d\d(?:\.\d+)?)?Z?)?"
_NAME = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<y>\d{{4}})-(?P<m>\d\d?)-(?P<d>\d\d?){_TIME}",
        rf"(?P<d>\d\d?)\.(?P<m>\d\d?)\.?(?P<y>\d{{4}}|\d\d)?{_TIME}",
        rf"(?P<d>\d\d?)[/-](?P<m>\d\d?)(?:[/-](?P<y>\d{{4}}|\d\d))?{_TIME}",
        rf"(?P<m>\d\d?)[/-](?P<d>\d\d?)(?:[/-](?P<y>\d{{4}}|\d\d))?{_TIME}",
        rf"(?P<d>\d\d?)(?:-|\. ?| )(?P<m>{_NAME})\.?(?:[- ](?P<y>\d{{4}}|\d\d))?",
        rf"(?P<m>{_NAME})\.?[- ]?(?P<d>\d\d?)",
    )
)
_CLOCK = re.compile(r"0?(\d{1,2}:\d\d)(:00)?")
_Day = tuple[int, int, int | None, str]  # month, day, year of the century, time


def rewritten(before: str, after: str) -> tuple[str, str] | None:
    """Kind and words of what a spreadsheet did to a stored value; None where the new value is another one."""
    if max(len(before), len(after)) > _LONGEST or not before:
        return None
    if truth(before) is not None and truth(before) == truth(after):
        return "boolean", "the stored truth value, as a spreadsheet writes it"
    if after[:1].isdigit() and _same_date(before, after):
        return "date", "the stored date or code, as a spreadsheet writes dates"
    if _rounded(before, after):
        return "rounded", "the stored number, rounded to 15 digits as a spreadsheet does"
    if before.lstrip("+0") != after.lstrip("+0") and not _numbers(before).isdisjoint(_numbers(after)):
        if is_grouped(after):
            return "grouped", "the stored number with thousands marks"
        return "decimal", "the stored number, as a spreadsheet writes it"
    return None


def _rounded(before: str, after: str) -> bool:
    if not (before.isdecimal() and after.isdecimal() and len(before) == len(after) > _DIGITS):
        return False
    return before[:_DIGITS] == after[:_DIGITS] and not after[_DIGITS:].strip("0")


def _numbers(text: str) -> set[Decimal]:
    """The numbers that a text may be: 1.234 is one with decimals, or one with thousands marks."""
    found = set()
    if number := _NUMBER.fullmatch(text):
        whole, decimals, power, percent = number.groups("")
        found.add(Decimal(f"{whole}.{decimals or 0}{power}") / (100 if percent else 1))
    if is_grouped(text):
        found.add(Decimal(re.split(r"[.,]0+$", text)[0].translate(_MARKS) or 0))
        found.add(Decimal(text.translate(_MARKS)))
    elif parts := _GROUPED.fullmatch(text):
        found.add(Decimal(f"{parts[1].translate(_MARKS)}.{parts[3]}"))
    return found


def _same_date(before: str, after: str) -> bool:
    """Whether both may be one day, or one time of a day."""
    if (one := _CLOCK.fullmatch(before)) and (other := _CLOCK.fullmatch(after)):
        return one[1] == other[1]
    if after.isdecimal() and len(after) == 5:
        serial = _EPOCH + timedelta(days=int(after))
        return any((m, d, y) == (serial.month, serial.day, serial.year % 100) for m, d, y, _ in _days(before))
    return is_date(after) and any(_same(one, other) for one in _days(before) for other in _days(after))


def _same(one: _Day, other: _Day) -> bool:
    """Whether two days are one, as far as both say."""
    years = one[2] is None or other[2] is None or one[2] == other[2]
    return one[:2] == other[:2] and years and (not one[3] or not other[3] or one[3] == other[3])


def _days(text: str) -> Iterator[_Day]:
    """The days that a text may be."""
    for form in _DATES:
        if found := form.fullmatch(text):
            parts = found.groupdict("")
            month = MONTHS.get(parts["m"].lower()) or int(parts["m"])
            year = int(parts["y"]) % 100 if parts.get("y") else None
            yield month, int(parts["d"]), year, parts.get("time", "").lstrip("0")
