"""Billing periods and reset windows: anniversaries in a subscription's own zone.

Promises what was seen on a running server (contract.md 6.1, 11): a period keeps the local time of day of its
anchor, a window begins at local midnight. Never reads a clock.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from connector.sandbox.clock import NEVER_RESET, as_datetime, go_zoned, micros

__all__ = ["next_anniversary", "next_reset", "period_around"]

MONTHS = {"MONTHLY": 1, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUAL": 12}


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """A zone; "" (a legacy NULL) is UTC."""
    return ZoneInfo(name or "UTC")


def add_months(moment: datetime, months: int, day: int) -> datetime:
    """The same local time months later, on `day` or the month's last."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(day, monthrange(year, month + 1)[1]))


@lru_cache(maxsize=65_536)
def period_around(anchor: int, now: int, months: int, zone_name: str) -> tuple[int, int]:
    """The period [start, end) of an anchor that holds `now`, in microseconds."""
    local = as_datetime(anchor).astimezone(zone(zone_name))
    then = as_datetime(now).astimezone(zone(zone_name))
    count = max(0, ((then.year - local.year) * 12 + then.month - local.month) // months)
    start = add_months(local, count * months, local.day)
    if start > then and count:
        count -= 1
        start = add_months(local, count * months, local.day)
    return micros(start.astimezone(UTC)), micros(add_months(local, (count + 1) * months, local.day).astimezone(UTC))


def next_anniversary(anchor: int, now: int, months: int, zone_name: str) -> int:
    """The first anniversary after `now`."""
    return period_around(anchor, max(now, anchor), months, zone_name)[1]


def next_reset(reset: str, anchor: int, now: int, zone_name: str) -> str | None:
    """`next_usage_reset_at` of a metered feature (contract.md 6.1); None for periods that the server does not know."""
    if reset == "NEVER":
        return NEVER_RESET
    if reset not in ("DAILY", "MONTHLY"):
        return None
    return _next_midnight(reset, anchor, now // QUARTER, zone_name)


QUARTER = 900_000_000
"""Every zone's midnight falls on a quarter of an hour, so in between the answer stays the same."""


@lru_cache(maxsize=65_536)
def _next_midnight(reset: str, anchor: int, quarter: int, zone_name: str) -> str:
    then = as_datetime(quarter * QUARTER).astimezone(zone(zone_name))
    midnight = then.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if reset == "DAILY":
        return go_zoned(midnight + timedelta(days=1))
    day = as_datetime(anchor).astimezone(zone(zone_name)).day
    found = add_months(midnight.replace(day=1), 0, day)
    return go_zoned(found if found > midnight else add_months(midnight.replace(day=1), 1, day))
