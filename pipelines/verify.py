"""Verify: the certificate against the live API at any time, and a random sample compared field by field.

Promised: nothing is written. Never done: repairing a difference (a sync does that).
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from connector.api import calls
from connector.api.client import AsyncFlexprice
from connector.clock import Clock, utc_now
from connector.settings import Settings
from connector.settings import Sync as SyncSettings
from connector.store import tombstones
from connector.store.store import Store
from connector.tables.decode import Answer, Decoded, Reader
from connector.tables.resources import CHILDREN
from connector.tables.schemas import TABLES
from pipelines.opening import existing_store
from pipelines.runner import run_with_client
from pipelines.sync import Sync
from pipelines.sync.walks import CUSTOMER_STATUSES

Row = dict[str, Any]


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


async def _verify(
    api: AsyncFlexprice, settings: SyncSettings, store: Store, sample: int, clock: Clock
) -> dict[str, Any]:
    live, run = await Sync(settings, api, store, clock=clock).measure()
    found = store.rows("SELECT id FROM customers WHERE gone_at IS NULL ORDER BY id")
    stones = store.facts(tombstones.read)
    whole = [row[0] for row in found if not stones.names(row[0])]
    ids = random.sample(whole, min(sample, len(whole)))  # a sample, not a secret
    differences = await _compare_customers(api, store, ids, run.started_at)
    differences += await _compare_children(api, store, ids, run.started_at)
    proof = live.plain()
    return {
        "certificate": proof,
        "compared": len(ids),
        "forgotten": len(found) - len(whole),
        "differences": differences,
        "ok": proof["green"] and not differences,
    }


async def _compare_customers(api: AsyncFlexprice, store: Store, ids: list[str], t0: datetime) -> list[Row]:
    reader, found = Reader(), []
    for status in CUSTOMER_STATUSES:
        for first in range(0, len(ids), calls.PAGE):
            body = {"customer_ids": ids[first : first + calls.PAGE], "status": status, "limit": calls.PAGE}
            reply = await api.send(calls.search_customers(body))
            read = reader.read([Answer("customers", reply.body, t0)])
            live = read.tables["customers"].to_pylist()
            found += _differences(store, "customers", live, ignored=frozenset({"gone_at"})) + _misfits(read)
    return found


async def _compare_children(api: AsyncFlexprice, store: Store, ids: list[str], t0: datetime) -> list[Row]:
    """Compare entitlements and grants; usage is left out, because it changes by itself."""
    reader, found = Reader(), []
    for customer_id in ids:
        for child in CHILDREN[1:]:
            assert child.call is not None  # noqa: S101  # children have calls
            reply = await api.send(child.call(customer_id, ""))
            read = reader.read([Answer(child.name, reply.body, t0, customer_id)])
            found += _differences(store, child.tables[0], read.tables[child.tables[0]].to_pylist()) + _misfits(read)
    return found


def _misfits(read: Decoded) -> list[Row]:
    """Return the live rows that do not fit their table, as differences: nobody knows whether the store holds them."""
    return [
        {
            "table": reject.table,
            "key": {"id": reject.key or reject.owner},
            "fields": {reject.field or "body": {"stored": "", "live": f"{reject.value} {reject.reason}".strip()}},
        }
        for reject in read.rejects
    ]


def _differences(store: Store, table: str, live: list[Row], ignored: frozenset[str] = frozenset()) -> list[Row]:
    """Return the rows whose stored fields differ from the live ones, with both values of each field."""
    key = TABLES[table].key
    names = [name for name in TABLES[table].names if name != "run_id"]
    asked = ", ".join(f'"{name}"' for name in names)
    where = " AND ".join(f'"{name}" = ${name}' for name in key)
    found = []
    for row in live:
        held = store.rows(f"SELECT {asked} FROM {table} WHERE {where}", {name: row[name] for name in key})
        stored = dict(zip(names, held[0], strict=True)) if held else {}
        wrong = {
            name: {"stored": str(stored.get(name)), "live": str(value)}
            for name, value in row.items()
            if name not in {*ignored, "observed_at"} and stored.get(name) != value
        }
        if wrong:
            found.append({"table": table, "key": {name: row[name] for name in key}, "fields": wrong})
    return found
