"""Pages of listings: customers with their integrations, and subscriptions.

Promised: a page that repeats rows changes nothing; within a run an older `updated_at` never replaces a newer one; the
sweep holds exactly the active and trialing subscriptions as their newest rows say; a forgotten customer's row stays
blank; a page deletes no integration (see `links`). Never done: opening or committing a transaction.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from connector.store import links, restored, versions
from connector.store.counts import Counts
from connector.store.database import Database, column, registered, rows
from connector.store.merge import (
    NEWEST_UPDATE,
    RETURNED,
    compare,
    insert,
    merge,
    note_older,
    one_per_key,
    remember,
    replace_owned,
    yielding,
)
from connector.store.rejects import quarantine, release
from connector.tables.decode import Decoded
from connector.tables.schemas import TABLES, Table

_LINKS = ("customer_integrations.", "customers.integrations[")  # how rejects of integrations are filed


def _of_plan(alias: str = "") -> str:
    return ", ".join(f"{alias}{name}" for name in _OF_PLAN)


_OF_PLAN = [each.name for each in TABLES["subscriptions"].columns if each.path.startswith("plan.")]
_RENAME = f"""UPDATE subscriptions t SET {", ".join(f"{name} = s.{name}" for name in _OF_PLAN)}, run_id = $run,
        observed_at = $now
    FROM (SELECT plan_id, {", ".join(f"any_value({name}) AS {name}" for name in _OF_PLAN)} FROM subscriptions
        WHERE id IN (SELECT id FROM staged) AND coalesce({_of_plan()}) IS NOT NULL
        GROUP BY plan_id HAVING count(DISTINCT row({_of_plan()})) = 1) s
    WHERE t.plan_id = s.plan_id AND t.gone_at IS NULL AND coalesce({_of_plan("t.")}) IS NOT NULL
        AND row({_of_plan("t.")}) IS DISTINCT FROM row({_of_plan("s.")}) RETURNING t.id"""


def environments(decoded: Decoded, resource: str) -> list[str]:
    """Return the environments that the rows of a decoded page name."""
    named = decoded.tables[resource].column("environment_id").unique().to_pylist()
    return [environment for environment in named if environment]


def merge_page(
    db: Database, run_id: str, resource: str, decoded: Decoded, counts: Counts, *, integrations: bool
) -> None:
    """Merge a decoded page.

    Args:
        db: the connection, inside a transaction.
        run_id: the run.
        resource: customers or subscriptions.
        decoded: the page's rows and rejects, blank where somebody was forgotten.
        counts: is added to.
        integrations: the page was requested with expand=integrations, so a missing integration may be gone.
    """
    staged = decoded.tables[resource]
    keys = [*staged.column("id").to_pylist(), *(reject.key for reject in decoded.rejects)]
    release(db, resource, [key for key in keys if key])
    quarantine(db, decoded.rejects, run_id, counts)
    if not staged.num_rows:
        return
    if resource == "customers":
        _note_returned(db, staged, integrations=integrations)
    moved = _merge(db, TABLES[resource], staged, run_id, counts)
    if resource == "subscriptions":
        _update_sweep(db, staged)
        if moved and _any_earlier(db, run_id):
            _rename_plans(db, staged, run_id, counts)
    if integrations:
        children = decoded.tables["customer_integrations"]
        replace_owned(db, TABLES["customer_integrations"], children, _owners(staged), run_id, counts)
        # A reject does not say which customer it belongs to, so no customer of the page loses an integration.
        if not any(f"{reject.table}.{reject.field}".startswith(_LINKS) for reject in decoded.rejects):
            links.note(db, staged, children)


def _merge(db: Database, table: Table, staged: pa.Table, run_id: str, counts: Counts) -> int:
    """Merge rows and record their ids as seen. A row that this run has seen before only yields to a newer one.

    One that is marked as gone yields to any: it is there.

    Returns:
        How many rows are new or differ.
    """
    guard = f"({yielding(table)} OR t.gone_at IS NOT NULL)"
    touched = pa.table({"key": staged.column("id")})
    with registered(db, staged=staged):
        known, moved, lower, before = compare(db, table)
        if not known:  # all rows are new, as in a first run: an insert is faster than a merge
            insert(db, table, one_per_key(table, "staged", NEWEST_UPDATE), run_id, counts)
        elif moved:  # not so where a walk reads rows again that did not change
            if lower:
                note_older(db, table)
            merge(db, table, "staged", run_id, counts, guard=guard, newest=NEWEST_UPDATE)
        if moved or restored.noted(db):  # after a restore without columns, rows that did not change complete them
            now = staged.column("observed_at")[0].as_py()
            versions.follow(db, table.name, run_id, "id", touched, now, before, ends=False)
        remember(db, table)
    return moved


def _note_returned(db: Database, staged: pa.Table, *, integrations: bool) -> None:
    """Note which gone customers a page without integrations brings back: theirs were deleted, and have to be read."""
    with registered(db, staged=staged):
        if integrations:
            db.execute(f"DELETE FROM flexsync.met WHERE resource = '{RETURNED}' AND id IN (SELECT id FROM staged)")
        else:
            db.execute(
                f"""INSERT INTO flexsync.met SELECT '{RETURNED}', id FROM customers
                WHERE gone_at IS NOT NULL AND id IN (SELECT id FROM staged)"""
            )


def _any_earlier(db: Database, run_id: str) -> bool:
    """Return whether the store holds subscriptions of earlier runs; those of a first run all come with its pages."""
    return bool(rows(db, "SELECT 1 FROM subscriptions WHERE run_id <> $run LIMIT 1", {"run": run_id}))


def _update_sweep(db: Database, staged: pa.Table) -> None:
    with registered(db, staged=staged):
        db.execute("DELETE FROM flexsync.sweep WHERE subscription_id IN (SELECT id FROM staged)")
        db.execute(
            """INSERT INTO flexsync.sweep SELECT id, customer_id, subscription_type, created_at, current_period_start
            FROM subscriptions WHERE id IN (SELECT id FROM staged) AND subscription_status IN ('active', 'trialing')"""
        )


def _rename_plans(db: Database, staged: pa.Table, run_id: str, counts: Counts) -> None:
    """Give what the page says of its plans to all subscriptions of them: it moves no subscription's `updated_at`.

    The page's rows are read as the store has them now, so a row that lost to a newer one says nothing. Nor does a page
    that says two things of a plan, or a row without its plan.
    """
    now = staged.column("observed_at")[0].as_py()
    with registered(db, staged=staged):
        renamed = column(db, _RENAME, {"run": run_id, "now": now})
    counts.updated["subscriptions"] += len(renamed)
    if renamed:
        versions.follow(db, "subscriptions", run_id, "id", pa.table({"key": renamed}), now)


def _owners(staged: pa.Table) -> pa.Table:
    """Return the customers of a page as the scope of `merge.replace_owned`: none of them loses a row by a page."""
    owners = list(dict.fromkeys(staged.column("id").to_pylist()))
    columns: dict[str, Any] = {
        "owner": pa.array(owners, pa.string()),
        "fresh": pa.array([False] * len(owners), pa.bool_()),
        "keep": pa.array([True] * len(owners), pa.bool_()),
    }
    return pa.table(columns)
