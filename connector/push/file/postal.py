"""Postal codes that begin with zeros, by country: a spreadsheet takes the zeros away and leaves a number.

Promised: only countries whose codes are digits of one length, and can begin with 0. Never done: saying which code is
meant.
"""

from __future__ import annotations

__all__ = ["shortened"]

_DIGITS = {
    country: digits
    for digits, countries in {
        4: "AU NO NZ ZA",
        5: "DE ES FI FR IT KR LT MX MY PR SM TR UA US VA",
        6: "CN RO SG",
        7: "JP",
        8: "BR",
    }.items()
    for country in countries.split()
}
_LOST = 2  # zeros at most: three are no code's


def shortened(code: str, country: str) -> bool:
    """Whether a code is as a spreadsheet leaves one that began with a zero or two.

    Args:
        code: the postal code.
        country: as an ISO code; "" where it is not known.
    """
    digits = _DIGITS.get(country, 0)
    return code.isascii() and code.isdigit() and code[:1] != "0" and digits - _LOST <= len(code) < digits
