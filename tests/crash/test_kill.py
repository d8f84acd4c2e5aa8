"""A sync that is killed anywhere, and run again, ends with the tables of one that was left alone.

SIGKILL comes at seeded points: after so many calls, when the store's log grows (inside a commit), or after so long.
Pages and batches are small, so that every phase of a run has many of them. `sizes.py` says how many points there are.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sizes import Size, sizes

from connector.errors import FixInput
from connector.publications import reading
from connector.sandbox import Sandbox
from connector.tables.schemas import TABLES

CUSTOMERS = 45
PAGE = 20
BATCH = 12
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STAMPS = ("run_id", "observed_at")
NO_ZERO = """NOT (resource = 'usage' AND customer_id IN (SELECT customer_id FROM usage WHERE current_usage = 0
    UNION SELECT customer_id FROM subscription_usage WHERE current_usage = 0))"""  # those that may be asked for again
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pipelines.jobs", "pyarrow", "duckdb"])


def one_sync(base_url: str, folder: str, publish: tuple[str, ...]) -> None:
    """What the killed process runs: a whole sync with small pages and small batches."""
    from connector.pull import fan_out
    from connector.settings import load
    from pipelines import jobs
    from pipelines.progress import Progress
    from pipelines.sync import Options, session

    fan_out.BATCH = BATCH
    session.PageSize = partial(session.PageSize, PAGE)  # type: ignore[misc, assignment]  # only pages get smaller
    settings = load(
        environ={},
        base_url=base_url,
        api_key="sandbox",
        store=Path(folder) / "work.duckdb",
        publish=publish,
        audit_sample=5,
        max_in_flight=8,
    )
    report = jobs.sync(settings, Options(), Progress())
    os._exit(0 if report.status == "green" else 7)


def start(base_url: str, folder: Path, *, publish: bool = True) -> Any:
    targets = (f"duckdb:{folder}/billing.duckdb", f"parquet:{folder}/lake") if publish else ()
    process = CONTEXT.Process(target=one_sync, args=(base_url, str(folder), targets))
    process.start()
    return process


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every data table, stamps apart, as sorted rows."""
    with reading.open(path) as opened:
        found = {}
        for name in TABLES:
            rows = opened.sql(f'SELECT * EXCLUDE ({", ".join(STAMPS)}) FROM "{name}"').to_pylist()
            found[name] = sorted(tuple(map(str, row.values())) for row in rows)
        return found


def done_items(path: Path) -> set[tuple[str, str, str]]:
    """Calls that the store holds as done."""
    if last_run(path) is None:
        return set()
    with reading.open(path) as opened:
        query = f"SELECT resource, customer_id, subscription_id FROM flexsync.queue WHERE state = 'done' AND {NO_ZERO}"
        return {(row["resource"], row["customer_id"], row["subscription_id"]) for row in opened.sql(query).to_pylist()}


def child_calls(sandbox: Sandbox, begin: int) -> list[tuple[str, str, str]]:
    """Per-customer calls that the sandbox has answered since call number `begin`."""
    found = []
    for method, path, query, _ in list(sandbox.log)[begin:]:
        parts = path.split("/")
        given = dict(query)
        if method == "GET" and path.endswith("/usage"):
            found.append(("usage", given["customer_id"], given.get("subscription_ids", "")))
        elif method == "GET" and path.endswith("/entitlements"):
            found.append(("entitlements", parts[3], ""))
        elif method == "GET" and path.endswith("/upcoming"):
            found.append(("upcoming_grants", parts[3], ""))
    return found


class Killer:
    """Waits for a seeded moment in the life of a process, and kills it."""

    def __init__(self, seed: int, point: int, sandbox: Sandbox, alone: Undisturbed) -> None:
        self.random = random.Random(seed + point)
        self.sandbox = sandbox
        self.way = ("calls", "log", "time")[point % 3]
        self.calls = self.random.randrange(1, alone.calls)
        self.seconds = self.random.uniform(0.0, alone.seconds)
        self.growths = self.random.randrange(1, 22)

    def strike(self, process: Any, folder: Path) -> bool:
        """Kill when the moment has come; False when the process was done before."""
        wal, size, grown = folder / "work.duckdb.wal", 0, 0
        began, first = time.monotonic(), self.sandbox.calls_total
        while process.is_alive():
            if self.way == "log" and wal.exists() and (now := wal.stat().st_size) != size:
                size, grown = now, grown + 1
            reached = {
                "calls": self.sandbox.calls_total - first >= self.calls,
                "log": grown >= self.growths,
                "time": time.monotonic() - began >= self.seconds,
            }
            if reached[self.way]:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                return True
            time.sleep(0.001)
        process.join()
        return False


class Undisturbed:
    """A run that nobody killed: its tables, how long it took and how many calls it made."""

    def __init__(self, sandbox: Sandbox, base_url: str, folder: Path) -> None:
        began, first = time.monotonic(), sandbox.calls_total
        process = start(base_url, folder)
        process.join()
        assert process.exitcode == 0
        self.seconds, self.calls = time.monotonic() - began, sandbox.calls_total - first
        self.tables = tables(folder / "work.duckdb")
        assert tables(folder / "billing.duckdb") == self.tables


def check_points(size: Size, folder: Path) -> dict[str, int]:
    """Go from point to point until so many runs were killed; returns what happened how often.

    At each: kill, run again until it is done, compare. A run that was done before its moment came is not counted.
    """
    happened = {"killed": 0, "too late": 0, "resumed": 0, "before the store": 0, "amid the queue": 0}
    sandbox = Sandbox(customers=CUSTOMERS, seed=11, clock=lambda: NOON)  # no window ends meanwhile
    sandbox.log = type(sandbox.log)(maxlen=None)
    with sandbox.running() as base_url:
        alone = Undisturbed(sandbox, base_url, _made(folder / "alone"))
        for point in range(3 * size.count):
            if happened["killed"] >= size.count:
                break
            check_point(size.seed, point, sandbox, base_url, alone, _made(folder / str(point)), happened)
    return happened


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def check_point(
    seed: int, point: int, sandbox: Sandbox, base_url: str, alone: Undisturbed, folder: Path, happened: dict[str, int]
) -> None:
    """One kill, sometimes two, and the run that ends it."""
    store = folder / "work.duckdb"
    publish = point % 3 == 2  # those are killed by time, so amid publishing too
    for attempt in range(2 if point % 4 == 0 else 1):
        process = start(base_url, folder, publish=publish)
        struck = Killer(seed, point + 3 * attempt, sandbox, alone).strike(process, folder)
        happened["killed" if struck else "too late"] += 1
    time.sleep(0.05)  # calls that were in flight are answered, and logged, as if they had been made before
    done, begin = done_items(store), len(sandbox.log)
    before = last_run(store)
    happened["before the store"] += before is None
    process = start(base_url, folder, publish=publish)
    process.join()
    assert process.exitcode == 0, f"seed {seed}, point {point}: the run after the kill ended with {process.exitcode}"
    after = last_run(store)
    assert after
    assert after[1] == "green"
    if before and before[1] in ("running", "interrupted"):
        happened["resumed"] += 1
        happened["amid the queue"] += 0 < len(done) < len(done_items(store))
        assert after[0] == before[0], f"seed {seed}, point {point}: an interrupted run was not taken up again"
        repeated = set(child_calls(sandbox, begin)) & done
        assert not repeated, (
            f"seed {seed}, point {point}: {len(repeated)} calls whose answers were committed were made again"
        )
    assert tables(store) == alone.tables, f"seed {seed}, point {point}: the tables differ"
    if publish:
        assert tables(folder / "billing.duckdb") == alone.tables
        assert tables(folder / "lake") == alone.tables


def last_run(store: Path) -> tuple[str, str] | None:
    """Id and status of the newest run; None when the store does not exist or holds none."""
    if not store.exists():
        return None
    try:
        with reading.open(store) as opened:
            return (opened.run.run_id, opened.run.status) if opened.run_or_none else None
    except FixInput:  # killed while it was made: there are no tables yet
        return None


@sizes(default=0, sampled=8, thorough=400)
def test_a_killed_sync_ends_like_an_undisturbed_one(tmp_path: Path, size: Size) -> None:
    """SIGKILL at seeded points: the next run ends green with equal tables and repeats no committed call."""
    happened = check_points(size, tmp_path)
    assert happened["killed"] >= size.count, happened
    assert happened["amid the queue"] >= size.count // 10, happened
    assert happened["resumed"] >= size.count // 4, happened
