"""The sandbox's clock, and timestamps the way the server writes them.

Promises that what is printed is Go's RFC 3339 (contract.md 4): a fraction of 0 to 9 digits with trailing zeros
trimmed. Never reads the real time when a start was given.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache

__all__ = ["Clock", "as_datetime", "go_zoned", "http_date", "micros", "parse_rfc3339", "parse_sql_time", "stamp"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND
NEVER_RESET = "0001-01-01T00:00:00Z"
"""What a NEVER feature says in `next_usage_reset_at` (contract.md 6.1)."""

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)")
_SQL_TIME = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?\s*", re.I
)


class Clock:
    """A clock that tests move.

    Args:
        start: where it stands; None follows the real time.
        skew: seconds that this server's clock is ahead of the caller's.
        step: seconds that a standing clock moves by itself at every reading.
    """

    def __init__(self, start: datetime | None = None, *, skew: float = 0.0, step: float = 0.0) -> None:
        self.start = start
        self.offset = timedelta(seconds=skew)
        self.step = timedelta(seconds=step)

    def __call__(self) -> datetime:
        """The server's time now."""
        if self.start is None:
            return datetime.now(UTC) + self.offset
        self.start += self.step
        return self.start + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.offset += timedelta(seconds=seconds)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def as_datetime(moment: int) -> datetime:
    """The inverse of `micros`."""
    return EPOCH + timedelta(microseconds=moment)


@lru_cache(maxsize=65_536)
def _second(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(moment: int) -> str:
    """A stored timestamp: at most six digits, zeros trimmed (contract.md 4)."""
    second, fraction = divmod(moment, SECOND)
    if not fraction:
        return _second(second) + "Z"
    return f"{_second(second)}.{fraction:06d}".rstrip("0") + "Z"


def stamp_nanos(nanos: int) -> str:
    """The application's own value, as POST echoes it: up to nine digits (contract.md 4)."""
    second, fraction = divmod(nanos, 1_000_000_000)
    if not fraction:
        return _second(second) + "Z"
    return f"{_second(second)}.{fraction:09d}".rstrip("0") + "Z"


def go_zoned(moment: datetime) -> str:
    """A whole-second timestamp in its own zone; an offset of zero prints as Z, whatever the zone's name."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    offset = moment.utcoffset() or timedelta()
    if not offset:
        return text + "Z"
    sign, rest = ("-", -offset) if offset < timedelta() else ("+", offset)
    minutes = rest // timedelta(minutes=1)
    return f"{text}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def _zone_micros(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (-minutes if zone[0] == "-" else minutes) * 60 * SECOND


def _moment(day: str, time: str, fraction: str | None, zone: str | None) -> int | None:
    try:
        whole = micros(datetime.fromisoformat(f"{day}T{time}+00:00"))
    except ValueError:
        return None
    digits = (fraction or "").ljust(9, "0")[:9]
    # PostgreSQL rounds nanoseconds to the nearest microsecond (contract.md 3.7)
    return whole + (int(digits) + 500) // 1000 - _zone_micros(zone)


def parse_rfc3339(text: str) -> int | None:
    """What Go's decoder accepts as a time: a zone is required (contract.md 3.4); None when it refuses."""
    match = _RFC3339.fullmatch(text)
    return _moment(*match.groups()) if match else None


def parse_sql_time(text: str) -> int | None:
    """What PostgreSQL casts to a timestamptz, the common forms only; None when it refuses."""
    match = _SQL_TIME.fullmatch(text)
    if not match:
        return None
    day, time, fraction, zone = match.groups()
    return _moment(day, time or "00:00:00", fraction, zone)


@lru_cache(maxsize=64)
def http_date(second: int) -> str:
    """The Date header of an answer."""
    return formatdate(second, usegmt=True)
