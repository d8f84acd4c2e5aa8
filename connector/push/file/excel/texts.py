"""The text of a cell that holds no text: a number as Excel would show it unformatted, a date as ISO 8601 writes it.

Promised: a whole number keeps every digit that the file has; other numbers have the 15 digits that Excel works with.
Never done: the format of a cell, which says how the eye sees it.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

__all__ = ["is_date", "number_text", "value_text"]

_WHOLE = re.compile(r"([+-]?)0*(\d+)")
_SMALL, _LARGE = 1e-9, 1e21  # outside of these a number is written with an exponent


def number_text(written: str) -> str:
    """A number as text.

    Args:
        written: as the sheet's XML has it, such as ``12345.0`` or ``1.2E+19``.
    """
    if found := _WHOLE.fullmatch(written):
        return ("-" if found[1] == "-" and found[2] != "0" else "") + found[2]
    try:
        value = float(written)
    except ValueError:
        return written
    if not math.isfinite(value):
        return written
    if value == 0:
        return "0"
    short = f"{value:.15g}"
    return format(Decimal(short), "f") if _SMALL <= abs(value) < _LARGE else short


def is_date(value: Any) -> bool:
    """Whether calamine found a date, a time or a duration."""
    return isinstance(value, date | time | timedelta)


def value_text(value: Any, written: str) -> str:
    """The text of a value.

    Args:
        value: as calamine gives it.
        written: the number behind it, as the sheet's XML has it; "" for none.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds" if not value.microsecond else "auto")
    if isinstance(value, time) and not _is_time(written):  # a day before the first one, which calamine takes for 0:00
        return number_text(written)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return number_text(written or repr(value))


def _is_time(written: str) -> bool:
    try:
        return not written or 0 <= float(written) < 1
    except ValueError:
        return True
