"""Replacing the rows of customers by those of their new answers.

The histories follow in the same transaction. Promised: an owner with a rejected row or a suspect figure loses no row;
figures of a subscription that does not count any more are deleted when the customer's own answer arrives; a customer
whose rows become another one's is named, to be asked again. Never done: deciding what is suspect; opening or committing
a transaction.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import pyarrow as pa

from connector.store import figures, restored, versions
from connector.store.batch import keys
from connector.store.counts import Counts
from connector.store.database import Database, changed, registered
from connector.store.merge import replace_owned
from connector.store.verdicts import Verdicts
from connector.tables.resources import RESOURCES
from connector.tables.schemas import TABLES


def replace_rows(db: Database, run_id: str, verdicts: Verdicts, counts: Counts) -> None:
    """Replace the rows of every usable answer of a batch in the tables of its resource, features apart.

    Args:
        db: the connection, inside a transaction.
        run_id: for the rows that are new or changed.
        verdicts: the batch, and what is held back of it; gets the customers whose rows became another one's.
        counts: is added to.
    """
    batch, before = verdicts.batch, counts.moved
    for name in RESOURCES[batch.resource].tables:
        if name == "features":
            continue
        withheld = verdicts.withheld(by_customer=name != "subscription_usage")
        staged = _without(batch.decoded.tables[name], TABLES[name].owner, withheld)
        scope = _scope(name, verdicts, {owner for owner, _ in withheld})
        if scope.num_rows:
            verdicts.deprived.update(replace_owned(db, TABLES[name], staged, scope, run_id, counts))
    if batch.resource == "usage":
        _delete_ended(db, verdicts, counts)
    if counts.moved > before or restored.noted(db):
        _keep_history(db, run_id, verdicts)


def _keep_history(db: Database, run_id: str, verdicts: Verdicts) -> None:
    """Let the histories follow the rows of a batch's customers, and of those whose rows became theirs."""
    results = verdicts.batch.results
    customers = {result.item.customer_id for result in results} | verdicts.deprived
    touched = pa.table({"key": pa.array(sorted(customers), pa.string())})
    now = max(result.observed_at for result in results)
    if verdicts.batch.resource == "entitlements":
        versions.follow(db, "entitlements", run_id, "customer_id", touched, now)
    if verdicts.batch.resource == "usage":
        for table in ("usage", "subscription_usage"):
            figures.follow(db, table, run_id, touched, now)


def _without(staged: pa.Table, owner: str, withheld: Set[tuple[str, str]]) -> pa.Table:
    """Return a staged table without the rows that are held back."""
    if not withheld or "feature_id" not in staged.column_names:
        return staged
    pairs = zip(staged.column(owner).to_pylist(), staged.column("feature_id").to_pylist(), strict=True)
    return staged.filter(pa.array([pair not in withheld for pair in pairs], pa.bool_()))


def _scope(table: str, verdicts: Verdicts, held: Set[str]) -> pa.Table:
    """Return the owners whose rows in `table` the batch replaces, as `merge.replace_owned` takes them."""
    batch = verdicts.batch
    items = [batch.results[i].item for i in verdicts.usable()]
    if table == "subscription_usage":
        items = [item for item in items if item.subscription_id or (item.sole and item.counted)]
        owners = [item.subscription_id or item.counted for item in items]
    else:
        items = [item for item in items if not item.subscription_id]
        owners = [item.customer_id for item in items]
    incomplete = batch.customers_with_rejects
    keep = [item.customer_id in incomplete or owner in held for item, owner in zip(items, owners, strict=True)]
    columns: dict[str, Any] = {
        "owner": pa.array(owners, pa.string()),
        "fresh": pa.array([item.fresh for item in items], pa.bool_()),
        "keep": pa.array(keep, pa.bool_()),
    }
    return pa.table(columns)


_THEIRS = "t.{owner} IN (SELECT customer_id FROM plain)"
_ENDED = """NOT EXISTS (SELECT 1 FROM flexsync.sweep w
    WHERE w.subscription_id = t.subscription_id AND w.customer_id = t.{owner})"""
# A customer with one subscription is not called for it alone, so nothing but its plain answer settles such rows.
_NOT_ASKED_ALONE = f"""t.subscription_id <> '' AND (t.{{owner}} IN (SELECT customer_id FROM plain WHERE sole)
    OR ({_THEIRS} AND {_ENDED}))"""
_BY_SUBSCRIPTION = (  # internal table, its customer column, the rows that are about usage
    ("answers", "customer_id", "t.resource = 'usage'"),
    ("suspects", "customer_id", "t.resource = 'usage'"),
    ("rejects", "owner", "t.table_name IN ('usage', 'usage_sources', 'subscription_usage')"),
)


def _delete_ended(db: Database, verdicts: Verdicts, counts: Counts) -> None:
    """Delete figures of subscriptions that do not count any more, and their answers, suspects and rejects."""
    results = [verdicts.batch.results[i] for i in verdicts.usable()]
    plain = [r for r in results if not r.item.subscription_id and not r.item.fresh]
    if not plain:
        return
    with registered(db, plain=keys(plain, sole=[r.item.sole for r in plain])):
        ended = f"{_THEIRS} AND {_ENDED}".format(owner="customer_id")
        counts.deleted["subscription_usage"] += changed(db, f"DELETE FROM subscription_usage t WHERE {ended}")
        for name, owner, about in _BY_SUBSCRIPTION:
            db.execute(f"DELETE FROM flexsync.{name} t WHERE {about} AND {_NOT_ASKED_ALONE.format(owner=owner)}")
