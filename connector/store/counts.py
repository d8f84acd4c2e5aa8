"""Rows that a run inserted, updated, deleted and rejected, by table.

Promised: every transaction that changes rows adds its counts in the same transaction. Never done: opening or
committing a transaction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from connector.store.database import Database, rows


@dataclass
class Counts:
    """Rows inserted, updated, deleted and rejected, by table."""

    inserted: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def all(self) -> tuple[Counter[str], ...]:
        """Return the four counters in order."""
        return self.inserted, self.updated, self.deleted, self.rejected

    @property
    def moved(self) -> int:
        """Number of rows that were inserted, updated or deleted."""
        return sum(self.inserted.values()) + sum(self.updated.values()) + sum(self.deleted.values())


def add(db: Database, run_id: str, counts: Counts) -> None:
    """Add counts to those of a run."""
    figures: list[Any] = []
    for table in {name for counter in counts.all() for name in counter}:
        four = [counter[table] for counter in counts.all()]
        figures += [run_id, table, *four] if any(four) else []
    if figures:
        values = ", ".join("(?, ?, ?, ?, ?, ?)" for _ in range(len(figures) // 6))
        db.execute(f"INSERT INTO flexsync.run_tables VALUES {values}", figures)


def of_run(db: Database, run_id: str) -> dict[str, dict[str, int]]:
    """Return the counts of a run: table -> inserted, updated, deleted, rejected -> rows."""
    found = rows(
        db,
        """SELECT table_name, sum(inserted), sum(updated), sum(deleted), sum(rejected) FROM flexsync.run_tables
        WHERE run_id = $run GROUP BY table_name ORDER BY table_name""",
        {"run": run_id},
    )
    names = ("inserted", "updated", "deleted", "rejected")
    return {table: dict(zip(names, map(int, figures), strict=True)) for table, *figures in found}


def compact(db: Database, run_id: str) -> None:
    """Reduce the counts of a run to one row per table."""
    tally = of_run(db, run_id)
    db.execute("DELETE FROM flexsync.run_tables WHERE run_id = $run", {"run": run_id})
    for table, figures in tally.items():
        db.execute(
            "INSERT INTO flexsync.run_tables VALUES ($1, $2, $3, $4, $5, $6)", [run_id, table, *figures.values()]
        )
