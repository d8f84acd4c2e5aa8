"""The quarantine: rows that do not fit their table, with the raw body, until a later answer has them in order.

Promised: a row leaves the quarantine only when an answer for the same key or owner fits, or when that owner is gone.
Never done: opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from connector.pull.work import Result
from connector.store.batch import UTC_MICROSECONDS, Batch, keys
from connector.store.counts import Counts
from connector.store.database import Database, registered, rows
from connector.tables.decode import Reject
from connector.tables.resources import RESOURCES


class Rejects:
    """The quarantine as one run's ingest uses it; asks the store nothing while it is empty."""

    def __init__(self, db: Database, run_id: str) -> None:
        self.db = db
        self.run_id = run_id
        self._any = bool(rows(db, "SELECT 1 FROM flexsync.rejects LIMIT 1"))

    def refile(self, batch: Batch, counts: Counts) -> None:
        """Replace everything that is in quarantine for these answers by their rejects."""
        if not (self._any or batch.decoded.rejects):
            return
        self._any = True
        self._release_answers(batch.results, batch.resource)
        quarantine(self.db, batch.decoded.rejects, self.run_id, counts)

    def file(self, rejects: Sequence[Reject], counts: Counts) -> None:
        """Add rejects that belong to no single answer."""
        self._any = self._any or bool(rejects)
        quarantine(self.db, rejects, self.run_id, counts)

    def release_answers(self, results: Sequence[Result]) -> None:
        """Release what bad answers left in quarantine, now that these answers are good."""
        for resource in {r.item.resource for r in results} if self._any else ():
            self._release_answers([r for r in results if r.item.resource == resource], resource)

    def release_features(self, ids: list[str]) -> None:
        """Release features that have been merged."""
        if self._any:
            release(self.db, "features", ids)

    def _release_answers(self, results: Sequence[Result], resource: str) -> None:
        with registered(self.db, asked=keys(results)):
            self.db.execute(
                """DELETE FROM flexsync.rejects r USING asked a WHERE r.owner = a.customer_id
                AND r.subscription_id = a.subscription_id AND list_contains($tables, r.table_name)""",
                {"tables": list(RESOURCES[resource].tables)},
            )


def quarantine(db: Database, rejects: Sequence[Reject], run_id: str, counts: Counts) -> None:
    """Append rejects; that of a feature, or of a listing's row without an id, replaces the same one of before."""
    if not rejects:
        return
    counts.rejected.update(reject.table for reject in rejects)
    features = [reject.key for reject in rejects if reject.table == "features"]
    if features:
        release(db, "features", features)
    with registered(db, rejected=_staged(rejects, run_id)):
        db.execute(
            """DELETE FROM flexsync.rejects q USING rejected r WHERE r.owner = '' AND r.key = ''
            AND q.table_name = r.table_name AND q.owner = '' AND q.key = '' AND q.raw = r.raw"""
        )
        db.execute("INSERT INTO flexsync.rejects BY NAME SELECT * FROM rejected")


def _staged(rejects: Sequence[Reject], run_id: str) -> pa.Table:
    columns: dict[str, Any] = {
        "run_id": [run_id] * len(rejects),
        "table_name": [r.table for r in rejects],
        "owner": [r.owner for r in rejects],
        "subscription_id": [r.subscription_id for r in rejects],
        "key": [r.key for r in rejects],
        "field": [r.field for r in rejects],
        "value": [r.value for r in rejects],
        "reason": [r.reason for r in rejects],
        "observed_at": pa.array([r.observed_at for r in rejects], UTC_MICROSECONDS),
        "raw": pa.array([r.raw for r in rejects], pa.binary()),
    }
    return pa.table(columns)


def release(db: Database, table: str, keys: Sequence[str]) -> None:
    """Remove rows of a table from the quarantine by their keys."""
    db.execute(
        "DELETE FROM flexsync.rejects WHERE table_name = $t AND list_contains($keys, key)",
        {"t": table, "keys": list(keys)},
    )


def release_earlier_runs(db: Database, run_id: str, resource: str) -> None:
    """Remove the rejects that earlier runs filed of a listing; this run has read all of it and filed its own."""
    db.execute(
        "DELETE FROM flexsync.rejects WHERE list_contains($tables, table_name) AND run_id <> $run",
        {"tables": list(RESOURCES[resource].tables), "run": run_id},
    )
