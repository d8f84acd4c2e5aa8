"""Rows that the server no longer has: which ones to look up by id, and what happens to those that are gone.

Promised: a customer or subscription is never deleted, only marked with `gone_at`; the child rows and integrations of a
gone customer are deleted. Never done: opening or committing a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from connector.store import figures, versions
from connector.store.counts import Counts
from connector.store.database import Database, changed, column
from connector.store.rejects import release
from connector.tables.resources import CHILDREN


def unswept(db: Database) -> list[str]:
    """Return subscriptions that are stored as active or trialing and that the sweep did not return."""
    query = """SELECT id FROM subscriptions WHERE gone_at IS NULL AND subscription_status IN ('active', 'trialing')
        AND id NOT IN (SELECT subscription_id FROM flexsync.sweep) ORDER BY id"""
    return column(db, query)


def mark(db: Database, run_id: str, resource: str, ids: Sequence[str], now: datetime, counts: Counts) -> None:
    """Mark customers or subscriptions as gone; what did not fit of them waits for nothing any more."""
    db.execute(
        f"""UPDATE {resource} SET gone_at = $now, run_id = $run, observed_at = $now
        WHERE list_contains($ids, id)""",
        {"now": now, "run": run_id, "ids": list(ids)},
    )
    release(db, resource, ids)
    if resource == "subscriptions":
        db.execute("DELETE FROM flexsync.sweep WHERE list_contains($ids, subscription_id)", {"ids": list(ids)})
    versions.follow(db, resource, run_id, "id", _touched(ids), now)
    counts.updated[resource] += len(ids)


def delete_child_rows(db: Database, run_id: str, customer_ids: Sequence[str], now: datetime, counts: Counts) -> None:
    """Delete the child rows and integrations of customers, and everything that is remembered of their calls."""
    given = {"ids": list(customer_ids)}
    links = "DELETE FROM customer_integrations WHERE list_contains($ids, entity_id)"
    counts.deleted["customer_integrations"] += changed(db, links, given)
    for table in {name for resource in CHILDREN for name in resource.tables} - {"features"}:
        sql = f"DELETE FROM {table} WHERE list_contains($ids, customer_id)"
        counts.deleted[table] += changed(db, sql, given)
    touched = _touched(customer_ids)
    versions.follow(db, "entitlements", run_id, "customer_id", touched, now)
    for name in ("usage", "subscription_usage"):
        figures.follow(db, name, run_id, touched, now)
    for name, owner in (
        ("answers", "customer_id"),
        ("suspects", "customer_id"),
        ("rejects", "owner"),
        ("sweep", "customer_id"),
    ):
        db.execute(f"DELETE FROM flexsync.{name} WHERE list_contains($ids, {owner})", given)
    db.execute("UPDATE flexsync.queue SET state = 'done', error = 'gone' WHERE list_contains($ids, customer_id)", given)


def _touched(ids: Sequence[str]) -> pa.Table:
    return pa.table({"key": pa.array(list(ids), pa.string())})
