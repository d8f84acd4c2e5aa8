"""The status: how old the copy is, and what its last runs say about it.

Promised: it reads, also while a sync holds the store. Never done: calls to the API (see `verify`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connector.publications.reading import Reading
from connector.tables.schemas import TABLES


def describe(reading: Reading, source: str, max_age: timedelta | None, *, locked: bool) -> dict[str, Any]:
    """Describe a store or a publication.

    Args:
        reading: open.
        source: what it is, in words.
        max_age: the copy is stale when its last finished run began earlier than this.
        locked: a sync is writing to the store, so a running run really runs.

    Returns:
        Age in seconds, stale or not, the last runs, and counts of rows, rejects and suspects.
    """
    runs = reading.sql(
        """SELECT run_id, mode, status, started_at, finished_at, calls, reasons FROM flexsync.runs
        ORDER BY run_id DESC LIMIT 5"""
    ).to_pylist()
    for entry in runs:
        if entry["status"] == "running" and not locked:  # its process was killed
            entry["status"] = "interrupted"
    finished = [entry for entry in runs if entry["status"] in ("green", "degraded")]
    age = datetime.now(UTC) - finished[0]["started_at"] if finished else None
    return {
        "source": source,
        "age_seconds": round(age.total_seconds()) if age else None,
        "stale": age is None or bool(max_age and age > max_age),
        "runs": runs,
        "rows": {name: _rows(reading, f'"{name}"') for name in TABLES if name in reading.tables},
        "rejects": _rows(reading, "flexsync.rejects"),
        "suspects": _rows(reading, "flexsync.suspects"),
    }


def _rows(reading: Reading, table: str) -> int:
    return int(reading.sql(f"SELECT count(*) FROM {table}").column(0)[0].as_py())
