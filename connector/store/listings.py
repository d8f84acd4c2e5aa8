"""Pages of listings: customers with their integrations, and subscriptions.

Promised: a page that repeats rows changes nothing; within a run an older `updated_at` never replaces a newer one; the
sweep holds exactly the active and trialing subscriptions as their newest rows say. Never done: opening or committing a
transaction.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from connector.store.counts import Counts
from connector.store.database import Database, registered
from connector.store.merge import NEWEST_UPDATE, compare, insert, merge, one_per_key, remember, replace_owned, yielding
from connector.store.rejects import quarantine, release
from connector.tables.decode import Decoded
from connector.tables.schemas import TABLES, Table

_LINKS = ("customer_integrations.", "customers.integrations[")  # how rejects of integrations are filed


def merge_page(
    db: Database, run_id: str, resource: str, decoded: Decoded, counts: Counts, *, integrations: bool
) -> None:
    """Merge a decoded page.

    Args:
        db: the connection, inside a transaction.
        run_id: the run.
        resource: customers or subscriptions.
        decoded: the page's rows and rejects.
        counts: is added to.
        integrations: the page was requested with expand=integrations, so a missing integration is gone.
    """
    staged = decoded.tables[resource]
    keys = [*staged.column("id").to_pylist(), *(reject.key for reject in decoded.rejects)]
    release(db, resource, [key for key in keys if key])
    quarantine(db, decoded.rejects, run_id, counts)
    if not staged.num_rows:
        return
    _merge(db, TABLES[resource], staged, run_id, counts)
    if resource == "subscriptions":
        _update_sweep(db, staged)
    if integrations:
        # A reject does not say which customer it belongs to, so no customer of the page loses an integration.
        bad = any(f"{reject.table}.{reject.field}".startswith(_LINKS) for reject in decoded.rejects)
        children = decoded.tables["customer_integrations"]
        scope = _owners(staged, keep=bad)
        replace_owned(db, TABLES["customer_integrations"], children, scope, run_id, counts)


def _merge(db: Database, table: Table, staged: pa.Table, run_id: str, counts: Counts) -> None:
    """Merge rows and record their ids as seen. A row that this run has seen before only yields to a newer one.

    One that is marked as gone yields to any: it is there.
    """
    guard = f"({yielding(table)} OR t.gone_at IS NOT NULL)"
    with registered(db, staged=staged):
        known, moved = compare(db, table)
        if not known:  # all rows are new, as in a first run: an insert is faster than a merge
            insert(db, table, one_per_key(table, "staged", NEWEST_UPDATE), run_id, counts)
        elif moved:  # not so where a walk reads rows again that did not change
            merge(db, table, "staged", run_id, counts, guard=guard, newest=NEWEST_UPDATE)
        remember(db, table)


def _update_sweep(db: Database, staged: pa.Table) -> None:
    with registered(db, staged=staged):
        db.execute("DELETE FROM flexsync.sweep WHERE subscription_id IN (SELECT id FROM staged)")
        db.execute(
            """INSERT INTO flexsync.sweep SELECT id, customer_id, subscription_type, created_at, current_period_start
            FROM subscriptions WHERE id IN (SELECT id FROM staged) AND subscription_status IN ('active', 'trialing')"""
        )


def _owners(staged: pa.Table, *, keep: bool) -> pa.Table:
    """Return the customers of a page as the scope of `merge.replace_owned`."""
    owners = list(dict.fromkeys(staged.column("id").to_pylist()))
    columns: dict[str, Any] = {
        "owner": pa.array(owners, pa.string()),
        "fresh": pa.array([False] * len(owners), pa.bool_()),
        "keep": pa.array([keep] * len(owners), pa.bool_()),
    }
    return pa.table(columns)
