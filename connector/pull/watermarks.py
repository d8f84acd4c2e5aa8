"""Watermarks: where each walk of a run starts, and where the next run's walk will.

A walk's start watermark is the `updated_at` of its newest row before its first page: a moment by the database's own
clock. The `Date` of an answer is a gateway's clock and can be wrong by hours; it only ever lowers a cursor.

Promised: no change is skipped, whichever clock is wrong, and however long a walk takes; a cursor never moves back
below the one before it unless the walk's newest row did. Never done: I/O, reading a clock that is not handed in.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

__all__ = ["LISTINGS", "WALKS", "Start", "listing_of", "starts"]

WALKS = ("customers/published", "customers/archived", "subscriptions")
"""The walks by `updated_at`: each has a cursor of its own, because the newest row of one says nothing of the others."""
LISTINGS = ("customers", "subscriptions")


def listing_of(walk: str) -> str:
    """Return the listing that a walk belongs to: customers or subscriptions."""
    return walk.partition("/")[0]


class Start(msgspec.Struct, frozen=True):
    """Where a walk starts.

    Attributes:
        watermark: `updated_at` of the walk's newest row when the run began; None while it has none.
        since: start of the incremental window; None for the first row.
        cursor: the walk's cursor once the run has ended; None while the walk never had a row.
    """

    watermark: datetime | None = None
    since: datetime | None = None
    cursor: datetime | None = None

    def closing(self, overlap: timedelta) -> datetime | None:
        """Return where the closing pass starts: `overlap` before the watermark; None for the first row."""
        if self.watermark is None:
            return None
        return min(self.watermark, self.cursor or self.watermark) - overlap  # a row may be stamped in the future


def starts(
    cursors: dict[str, datetime | None],
    watermarks: dict[str, datetime | None],
    clocks: list[datetime],
    overlap: timedelta,
) -> dict[str, Start]:
    """Decide where every walk starts.

    Args:
        cursors: of the last run that read the walk, by walk.
        watermarks: `updated_at` of the newest row, by walk.
        clocks: the server's `Date` and this machine's clock when the run began.
        overlap: how long before a cursor a window starts, because a row can become visible late (contract.md 3.7).
    """
    return {
        walk: Start(
            watermark, _since(cursors.get(walk), watermark, overlap), _next(cursors.get(walk), watermark, clocks)
        )
        for walk, watermark in watermarks.items()
    }


def _since(cursor: datetime | None, watermark: datetime | None, overlap: timedelta) -> datetime | None:
    """A cursor above the newest row was set by a wrong clock, or by a row that has left the walk."""
    return min(cursor, watermark or cursor) - overlap if cursor else None


def _next(cursor: datetime | None, watermark: datetime | None, clocks: list[datetime]) -> datetime | None:
    if watermark is None:  # a walk without rows keeps its cursor
        return cursor
    lowest = min(watermark, *clocks)
    return max(lowest, min(cursor, watermark)) if cursor else lowest
