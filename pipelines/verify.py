"""Verify: a certificate against the live API at any time, and a random sample compared field by field.

Promised: nothing is written; a difference that a later write explains is reported as moved, not as wrong.
Never done: repairing (a sync does that).
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from connector.api import calls
from connector.api.client import AsyncFlexprice
from connector.settings import Settings
from connector.store.store import Store
from connector.tables.decode import Answer, Reader
from connector.tables.resources import CHILDREN
from connector.tables.schemas import TABLES
from pipelines.jobs import existing, run
from pipelines.sync import Sync


def verify(settings: Settings, sample: int) -> dict[str, Any]:
    """Build a certificate against the live API, and compare a random sample of customers field by field."""
    with existing(settings) as store:
        return run(_verify(settings, store, sample))


async def _verify(settings: Settings, store: Store, sample: int) -> dict[str, Any]:
    async with AsyncFlexprice(settings) as api:
        sync = Sync(settings, api, store)
        live, run_ = await sync.measure()
        found = store.rows("SELECT id FROM customers WHERE gone_at IS NULL ORDER BY id")
        ids = random.sample([row[0] for row in found], min(sample, len(found)))  # a sample, not a secret
        differences = await _compare(api, store, ids, run_.t0)
    proof = live.plain()
    return {
        "certificate": proof,
        "compared": len(ids),
        "differences": differences,
        "ok": proof["green"] and not differences,
    }


async def _compare(api: AsyncFlexprice, store: Store, ids: list[str], t0: datetime) -> list[dict[str, Any]]:
    """Differences between fresh rows and stored ones that no later write explains."""
    reader, found = Reader(), []
    for status in ("published", "archived"):
        for place in range(0, len(ids), calls.PAGE):
            body = {"customer_ids": ids[place : place + calls.PAGE], "status": status, "limit": calls.PAGE}
            reply = await api.send(calls.search_customers(body))
            fresh = reader.read([Answer("customers", reply.body, t0)]).tables["customers"].to_pylist()
            found += _differences(store, "customers", fresh, {"gone_at"})
    for customer_id in ids:
        for child in CHILDREN[1:]:  # usage moves by itself
            assert child.call is not None  # noqa: S101  # children have calls
            reply = await api.send(child.call(customer_id, ""))
            tables = reader.read([Answer(child.name, reply.body, t0, customer_id)]).tables
            found += _differences(store, child.tables[0], tables[child.tables[0]].to_pylist(), set())
    return found


def _differences(store: Store, table: str, fresh: list[dict[str, Any]], skip: set[str]) -> list[dict[str, Any]]:
    key = TABLES[table].key
    found = []
    for row in fresh:
        where = " AND ".join(f'"{name}" = ${name}' for name in key)
        held = store.rows(f"SELECT * EXCLUDE (run_id) FROM {table} WHERE {where}", {name: row[name] for name in key})
        names = [name for name in TABLES[table].names if name != "run_id"]
        stored = dict(zip(names, held[0], strict=True)) if held else {}
        wrong = {
            name: {"stored": str(stored.get(name)), "live": str(value)}
            for name, value in row.items()
            if name not in {*skip, "observed_at"} and stored.get(name) != value
        }
        if wrong:
            found.append({"table": table, "key": {name: row[name] for name in key}, "fields": wrong})
    return found
