"""Verify: the certificate against the live API at any time, and a random sample compared field by field.

Promised: a row that only one of the two sides has is a difference too; nothing is written. Never done: comparing what
changes without an edit (figures, and the ends of their windows); repairing a difference (a sync does that).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.api import calls
from connector.api.client import Client
from connector.clock import Clock, utc_now
from connector.errors import SkipRow
from connector.settings import Settings
from connector.settings import Sync as SyncSettings
from connector.store.store import Store
from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.resources import CHILDREN, Resource
from connector.tables.schemas import TABLES
from pipelines.opening import existing_store
from pipelines.runner import run_with_client
from pipelines.sync import Sync
from pipelines.sync.walks import CUSTOMER_STATUSES

Row = dict[str, Any]

_LOADED = "SELECT DISTINCT unnest(resources) FROM flexsync.runs WHERE status IN ('green', 'degraded')"
_COUNTING = """SELECT id, current_period_start FROM subscriptions WHERE customer_id = $customer AND gone_at IS NULL
    AND subscription_status IN ('active', 'trialing') AND subscription_type IS DISTINCT FROM 'inherited'
    ORDER BY created_at, id"""
_STATUSES = (*CUSTOMER_STATUSES, CUSTOMER_STATUSES[0])  # a customer restored in between is in the last one
_COMPARED = {"usage", "subscription_usage", "entitlements", "upcoming_grants"}
_MOVING = frozenset({"run_id", "observed_at", "gone_at", "current_usage", "usage_percent", "next_usage_reset_at"})


def verify(settings: Settings, sample: int, *, clock: Clock = utc_now) -> dict[str, Any]:
    """Build a certificate against the live API, and compare a random sample of customers field by field.

    Args:
        settings: account and [sync].
        sample: customers to compare.
        clock: this machine's.

    Returns:
        The certificate, the number of customers compared, and their differences; `ok` when there is nothing to report.
        `forgotten`: customers that are never compared, because their rows are kept blank.

    Raises:
        FixInput: there is no store, or no run in it has finished.
    """
    with existing_store(settings.sync.store) as store:
        return run_with_client(settings, lambda api: _verify(api, settings.sync, store, sample, clock))


async def _verify(api: Client, settings: SyncSettings, store: Store, sample: int, clock: Clock) -> dict[str, Any]:
    live, run = await Sync(settings, api, store, clock=clock).measure()
    found = store.rows("SELECT id FROM customers WHERE gone_at IS NULL ORDER BY id")
    whole = [row[0] for row in found if not store.tombstones.names(row[0])]
    ids = random.sample(whole, min(sample, len(whole)))  # a sample, not a secret
    differences = await _compare_customers(api, store, ids, run.started_at)
    loaded = {row[0] for row in store.rows(_LOADED)}
    for customer_id in ids:
        periods: dict[str, Any] = dict(store.rows(_COUNTING, {"customer": customer_id}))
        for child in CHILDREN:
            if child.name in loaded:
                differences += await _compare_answers(api, store, child, customer_id, periods, run.started_at)
    proof = live.plain()
    return {
        "certificate": proof,
        "compared": len(ids),
        "forgotten": len(found) - len(whole),
        "differences": differences,
        "ok": proof["green"] and not differences,
    }


async def _compare_customers(api: Client, store: Store, ids: list[str], t0: datetime) -> list[Row]:
    reader, live, found = Reader(), [], []
    for status in _STATUSES:
        for first in range(0, len(ids), calls.PAGE):
            body = {"customer_ids": ids[first : first + calls.PAGE], "status": status, "limit": calls.PAGE}
            reply = await api.send(calls.search_customers(body))
            read = reader.read([Answer("customers", reply.body, t0)])
            live += read.tables["customers"].to_pylist(maps_as_pydicts="strict")
            found += _misfits(read)
    return _differences("customers", _stored(store, "customers", "id", ids), live) + found


async def _compare_answers(
    api: Client, store: Store, child: Resource, customer_id: str, periods: Mapping[str, Any], t0: datetime
) -> list[Row]:
    """Compare the stored rows of a customer with the answers to the calls that a run would make for them.

    `periods`: its subscriptions that count, the oldest first -> their `current_period_start`.
    """
    try:
        answers = await _answers(api, child, customer_id, list(periods), t0)
    except SkipRow as error:
        return [_difference(child.name, {"customer_id": customer_id}, {"answer": ("", error.message)})]
    read = Reader().read(answers) if answers else Decoded()
    found = []
    for name in set(child.tables) & _COMPARED:
        live = read.tables[name].to_pylist(maps_as_pydicts="strict") if answers else []
        for row in live if "current_period_start" in TABLES[name].names else ():
            row["current_period_start"] = periods.get(row["subscription_id"])
        found += _differences(name, _stored(store, name, "customer_id", [customer_id]), live)
    return found + _misfits(read)


async def _answers(api: Client, child: Resource, customer_id: str, counting: list[str], t0: datetime) -> list[Answer]:
    """Make the calls: for usage none where no subscription counts, and one more for each of several."""
    assert child.call is not None  # noqa: S101  # children have calls
    usage = child.name == "usage"
    asked = ["", *(counting if len(counting) > 1 else [])] if usage else [""]
    found = []
    for subscription in asked if counting or not usage else ():
        reply = await api.send(child.call(customer_id, subscription))
        counted = subscription or (counting[-1] if counting else "")
        found.append(Answer(child.name, reply.body, t0, customer_id, subscription, counted, sole=len(counting) < 2))
    return found


def _misfits(read: Decoded) -> list[Row]:
    """Return the live rows that do not fit their table, as differences: nobody knows whether the store holds them."""
    return [
        _difference(
            reject.table,
            {"id": reject.key or reject.owner},
            {reject.field or "body": ("", f"{reject.value} {reject.reason}".strip())},
        )
        for reject in read.rejects
    ]


def _stored(store: Store, table: str, owner: str, ids: list[str]) -> list[Row]:
    """Return the rows of a table that are about these customers and not gone."""
    names = [name for name in TABLES[table].names if name not in {"run_id", "observed_at"}]
    present = "AND gone_at IS NULL" if "gone_at" in names else ""
    asked = ", ".join(f'"{name}"' for name in names)
    query = f"SELECT {asked} FROM {table} WHERE list_contains($ids, {owner}) {present}"
    return [dict(zip(names, row, strict=True)) for row in store.rows(query, {"ids": ids})]


def _differences(table: str, stored: list[Row], live: list[Row]) -> list[Row]:
    """Return the rows whose fields differ, with both values of each; a row that one side lacks differs in all."""
    key = TABLES[table].key
    ours, theirs = ({tuple(row[name] for name in key): row for row in rows} for rows in (stored, live))
    found = []
    for at in sorted({*ours, *theirs}):
        mine, other = ours.get(at, {}), theirs.get(at, {})
        names = [name for name in {**mine, **other} if name not in _MOVING]
        wrong = {name: (mine.get(name), other.get(name)) for name in names if mine.get(name) != other.get(name)}
        if wrong:
            found.append(_difference(table, dict(zip(key, at, strict=True)), wrong))
    return found


def _difference(table: str, key: Row, fields: dict[str, tuple[Any, Any]]) -> Row:
    both = {name: {"stored": str(stored), "live": str(live)} for name, (stored, live) in fields.items()}
    return {"table": table, "key": key, "fields": both}
