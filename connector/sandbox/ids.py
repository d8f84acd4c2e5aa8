"""Identifiers that carry their row number, and seeded bits.

Promises that ids of one table sort like their row numbers as long as the time part never falls, and that a row
number can be read back from an id without a dictionary. Never use it for secrets.
"""

from __future__ import annotations

from random import Random

__all__ = ["bits_of", "mix", "row_of", "timeless", "ulid"]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """64 pseudo-random bits of an integer (splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def bits_of(seed: int, count: int) -> bytes:
    """Eight seeded bytes for each of `count` rows; the first rows are the same for every count."""
    return Random(seed).randbytes(8 * count)


def ulid(millis: int, row: int, tag: int) -> str:
    """26 characters: ten of time, eight of row number, eight of seeded noise."""
    p = _PAIRS
    return (
        p[millis >> 40 & 1023] + p[millis >> 30 & 1023] + p[millis >> 20 & 1023] + p[millis >> 10 & 1023]
        + p[millis & 1023]
        + p[row >> 30 & 1023] + p[row >> 20 & 1023] + p[row >> 10 & 1023] + p[row & 1023]
        + p[tag >> 30 & 1023] + p[tag >> 20 & 1023] + p[tag >> 10 & 1023] + p[tag & 1023]
    )  # fmt: skip


def timeless(identifier: str) -> str:
    """The part of an id that is the same on any date: all but the ten characters of time."""
    return identifier[-16:]


def row_of(identifier: str) -> int:
    """The row number in an id that `ulid` made; -1 for any other text."""
    part = timeless(identifier)[:-8]
    if len(part) != 8:
        return -1
    row = 0
    for letter in part:
        value = _VALUES.get(letter)
        if value is None:
            return -1
        row = row << 5 | value
    return row
