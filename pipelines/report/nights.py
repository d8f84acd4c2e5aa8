"""The nights of the demo for people: a line a night."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.nights import Night
from pipelines.report.rows import write_rows

__all__ = ["write_nights"]

COLUMNS = ("night", "status", "customers", "calls", "rows moved")


def write_nights(nights: Sequence[Night]) -> None:
    """Write a table to stdout: date, status, customers, calls, and rows inserted, updated or deleted."""
    write_rows(COLUMNS, [_row(night) for night in nights])


def _row(night: Night) -> tuple[str, str, int, int, int]:
    return f"{night.at:%Y-%m-%d}", night.report.status, night.customers, night.calls, night.report.moved
