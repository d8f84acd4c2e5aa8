"""What the histories add to a night, and to publishing: seconds and bytes, at their beginning and after 400 nights.

`python tests/benchmarks/history.py [CUSTOMERS [GROWING]]` fills stores with SQL: CUSTOMERS rows, one in a hundred
subscribed to seven features. In a night one customer in a hundred is renamed, one answer of entitlements in a hundred
changes, and the figures of one subscribed customer in GROWING grow: 100 is a night with 1 % changed; 1, the default, is
a busy account. The same night is played without histories, with histories that began the night before, and with
histories of 400 nights in which every figure grew; the server and the network are left out. Each night is published to
a DuckDB file and to a lake that hold the night before. Printed are CPU seconds, wall seconds, the ratio of the CPU
seconds to those without histories, and the bytes written. Nothing is asserted: machines are shared and noisy. Run it
alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from connector.api.calls import Reply
from connector.publications.publish import publish
from connector.pull.page import Page, Position
from connector.pull.watermarks import WALKS
from connector.pull.windows import Beginning
from connector.pull.work import Item, Result
from connector.store import figures, listings, replace, runs, versions
from connector.store.database import portions
from connector.store.ingest import Ingest
from connector.store.runs import Run
from connector.store.store import Store

FEATURES = 7
NIGHTS = 400
PAGE, BATCH = 1000, 400  # rows of a page; answers of a second, which is how often a run commits
FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
CHILDREN = ("usage", "entitlements")
ABOUT = {"environment_id": "env_1", "tenant_id": "t", "status": "published", "created_at": "2025-01-01T00:00:00Z"}

_CUSTOMERS = """INSERT INTO customers (id, external_id, name, email, metadata, environment_id, tenant_id, status,
        created_at, updated_at, run_id, observed_at)
    SELECT 'cust_' || lpad(i::VARCHAR, 26, '0'), 'acct-' || i, 'Customer ' || i, 'billing' || i || '@example.com',
        MAP {'tier': 'gold'}, 'env_1', 't', 'published', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', $run, $at
    FROM range($n) r(i)"""
_SUBSCRIPTIONS = """INSERT INTO subscriptions (id, customer_id, plan_id, plan_name, subscription_status,
        current_period_start, environment_id, tenant_id, status, created_at, updated_at, run_id, observed_at)
    SELECT 'subs_' || id[6:], id, 'plan_1', 'Team', 'active', '2026-01-01T00:00:00Z', 'env_1', 't', 'published',
        created_at, updated_at, run_id, observed_at FROM customers ORDER BY id LIMIT $n"""
_SWEEP = """INSERT INTO flexsync.sweep
    SELECT id, customer_id, 'standalone', created_at, current_period_start FROM subscriptions"""
# Night n of 400: every customer whose number leaves n modulo 100 was renamed, and every figure was another one.
_VERSIONS = """INSERT INTO flexsync.customers_versions BY NAME
    SELECT * EXCLUDE (gone_at) REPLACE (name || ' in night ' || $night AS name, $run AS run_id, $at AS observed_at,
        $at AS updated_at), $at AS valid_from, 'updated_at' AS valid_basis, false AS ended, md5($run) AS content_hash
    FROM customers WHERE id[6:]::BIGINT % 100 = $night % 100"""
_FIGURES = """INSERT INTO flexsync.usage_figures BY NAME
    SELECT customer_id, alone AS subscription_id, 'f' || f AS feature_id, s.id AS counted_subscription_id,
        current_period_start, $night AS current_usage, 1000000 AS total_limit, $night / 1000000 AS usage_percent,
        true AS additive, false AS restated, false AS unproven, false AS ended,
        $before AS previous_confirmed_run, $at - INTERVAL 1 DAY AS previous_confirmed_at, $run AS run_id,
        $at AS observed_at
    FROM subscriptions s, range($features) r(f), (SELECT unnest(['', s.id]) AS alone)"""


def run_id(night: int) -> str:
    return f"{FIRST + night * DAY:%Y%m%dT%H%M%SZ}-000000"


def made(path: Path, customers: int, nights: int) -> None:
    """A store of the night before, without histories where `nights` is 0, else with those of so many nights."""
    given: dict[str, Any] = {"run": run_id(0), "at": FIRST, "n": customers}
    with Store.open(path) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO flexsync.meta VALUES ('environment_id', 'env_1')")
            db.execute(_CUSTOMERS, given)
            db.execute(_SUBSCRIPTIONS, {"n": max(customers // 100, 1)})
            for night in range(1, nights - 1):
                _lived(db, night)
        with histories(kept=nights > 0):
            run = begun(store, NIGHTS)
            if nights:
                with store.transaction() as db:
                    for name in ("customers", "subscriptions"):
                        for keys in portions(db, f"SELECT id AS key FROM {name}"):
                            versions.follow(db, name, run.run_id, "id", keys, run.started_at)
            answered(store, run, NIGHTS)
            ended(store, run)


def _lived(db: Any, night: int) -> None:
    given = {"night": night, "run": run_id(night), "at": FIRST + night * DAY}
    db.execute(_VERSIONS, given)
    db.execute(_FIGURES, {**given, "before": run_id(night - 1), "features": FEATURES})


@contextmanager
def histories(*, kept: bool) -> Iterator[None]:
    """Keep histories or leave them alone, as before there were any."""
    if kept:
        yield
        return
    with (
        mock.patch.object(versions, "follow"),
        mock.patch.object(figures, "follow"),
        mock.patch.object(versions, "begin_all"),
        mock.patch.object(figures, "begin_all"),
    ):
        assert listings.versions is replace.versions is runs.versions is versions
        yield


# --- a night ------------------------------------------------------------------------------------------------------


def night(store: Store, number: int, customers: int, growing: int) -> None:
    """A night in which one customer in a hundred was renamed, and usage of one in `growing` grew."""
    run = begun(store, number)
    changed = [_customer(i, number) for i in range(number % 100, customers, 100)]
    for start in range(0, len(changed), PAGE):
        body = json.dumps({"items": changed[start : start + PAGE]}).encode()
        page = Page(Reply(200, body, run.started_at), tuple(row["id"] for row in changed), None, Position())
        store.commit_page(run, "walk/customers/published", "customers", page)
    answered(store, run, number, growing)
    ended(store, run)


def begun(store: Store, number: int) -> Run:
    now = FIRST + number * DAY
    beginning = Beginning(clock=now, date=now, watermarks=dict.fromkeys(WALKS, now))
    with store.transaction() as db:
        db.execute("DELETE FROM flexsync.sweep")
    week = timedelta(days=7)
    run = store.begin(beginning, ("customers", "subscriptions", *CHILDREN), full=False, full_every=week, overlap=DAY,
                      version="benchmark")  # fmt: skip
    with store.transaction() as db:
        db.execute(_SWEEP)
    return run


def ended(store: Store, run: Run) -> None:
    with store.transaction() as db:
        runs.finish(db, run.run_id, "green", [run.started_at], [], {}, None)


def answered(store: Store, run: Run, number: int, growing: int = 1) -> None:
    """Every call of a night, answered and committed in batches."""
    ingest = Ingest(store.db, run.run_id, store.tombstones)
    store.fill_queue(run, sample=0, everyone=False)
    for resource in CHILDREN:
        beyond = -1
        while items := store.take(resource, "pending", beyond, BATCH):
            beyond = items[-1].item
            results = [Result(item, _body(item, number, growing), run.started_at) for item in items]
            store.commit_answers(run, ingest, results, final=True)


def _customer(i: int, number: int) -> dict[str, Any]:
    at = (FIRST + number * DAY - timedelta(hours=1)).isoformat()
    own = {"id": f"cust_{i:026d}", "external_id": f"acct-{i}", "name": f"Customer {i} in night {number}"}
    return {**ABOUT, **own, "email": f"billing{i}@example.com", "metadata": {"tier": "gold"}, "updated_at": at}


def _body(item: Item, number: int, growing: int) -> bytes:
    who = int(item.customer_id[5:])
    if item.resource == "usage":
        used = number if (who - number) % growing == 0 else number - 1
        return _features(item, {"current_usage": str(used), "usage_percent": str(used / 1_000_000)}, 1_000_000)
    changed = (who - number) % 100 == 0
    return _features(item, {"entitlement": {"is_enabled": True, "usage_limit": number if changed else 7}}, 7)


def _features(item: Item, own: dict[str, Any], limit: int) -> bytes:
    source = {"subscription_id": item.counted, "entity_id": "plan_1", "entity_type": "plan", "usage_limit": limit}
    features = [
        {"feature": {"id": f"f{f}", "name": f"F{f}", "type": "metered", "updated_at": ABOUT["created_at"],
                     "meter": {"aggregation": {"type": "SUM"}}},
         "total_limit": limit, "is_unlimited": False, "sources": [source], **own}
        for f in range(FEATURES)
    ]  # fmt: skip
    return json.dumps({"customer_id": item.customer_id, "features": features}).encode()


# --- measuring ----------------------------------------------------------------------------------------------------

Figures = dict[str, tuple[float, float, int]]  # what was done -> CPU seconds, wall seconds, bytes written


def measured(folder: Path, customers: int, nights: int, growing: int) -> Figures:
    """The night after `nights` nights: its seconds, what it added to the files, and its publications."""
    path, targets = folder / "work.duckdb", (f"duckdb:{folder}/billing.duckdb", f"parquet:{folder}/lake")
    made(path, customers, nights)
    for target in targets:
        published(path, target)
    before = size_of([path])
    with histories(kept=nights > 0), Store.open(path) as store:
        taken = timed(lambda: night(store, NIGHTS + 1, customers, growing))
    found = {"night": (*taken, size_of([path]) - before)}
    for target in targets:
        kind, _, place = target.partition(":")
        held = files_of(Path(place)) if kind == "parquet" else set()
        found[kind] = (*published(path, target), size_of(files_of(Path(place)) - held))
    return found


def published(path: Path, target: str) -> tuple[float, float]:
    with Store.open(path) as store:
        return timed(lambda: publish(store, target))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def files_of(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if path.is_file()} if place.is_dir() else {place}


def size_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def main(customers: int = 1_000_000, growing: int = 1) -> None:
    print(
        f"{customers} customers, {max(customers // 100, 1)} subscribed, {os.cpu_count()} cores that others may use too"
    )
    cases = {"no history": 0, "first night": 1, f"night {NIGHTS}": NIGHTS}
    base: Figures = {}
    for name, nights in cases.items():
        folder = Path(tempfile.mkdtemp())
        try:
            found = measured(folder, customers, nights, growing)
        finally:
            shutil.rmtree(folder)
        base = base or found
        for what, (cpu, wall, added) in found.items():
            times = f"{cpu:8.2f} s CPU {wall:8.2f} s wall {cpu / base[what][0]:6.2f}x"
            print(f"{name:12} {what:8} {times} {added / 2**20:9.2f} MB", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
