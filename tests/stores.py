"""Working stores for the tests of publications: real files, filled with SQL, every row stamped with its run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connector.publications import publish, reading
from connector.publications.reading import Reading
from connector.pull.watermarks import WALKS
from connector.store.database import rows
from connector.store.store import Store
from connector.tables.resources import RESOURCES

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRONMENT = "env_1"
KINDS = ("duckdb", "parquet")
SPAWN = multiprocessing.get_context("forkserver")  # not fork: DuckDB's threads would not come along
SPAWN.set_forkserver_preload(
    ["pytest", "pyarrow.dataset", "connector.publications.restore", "connector.store.store"]
)  # starts in 20 ms


def run_id(number: int) -> str:
    return f"{BEGAN + timedelta(hours=number):%Y%m%dT%H%M%SZ}-{number:06x}"


def target(kind: str, folder: Path) -> str:
    return f"{kind}:{folder / ('out.duckdb' if kind == 'duckdb' else 'lake')}"


@contextmanager
def store_in(folder: Path, number: int = 1, customers: int = 20) -> Iterator[Store]:
    """Give an open store that ended run `number`."""
    path = folder / "work.duckdb"
    if path.exists():
        with Store.open(path) as store:
            end_run(store, number, customers)
            yield store
        return
    path.write_bytes(_ended(number, customers))
    with Store.open(path) as store:
        yield store


@cache
def _ended(number: int, customers: int) -> bytes:
    """A new store that ended run `number`: it is made once a process, and copied."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "work.duckdb"
        with Store.open(path) as store:
            with store.transaction() as db:
                db.execute("INSERT INTO flexsync.meta VALUES ('environment_id', $e)", {"e": ENVIRONMENT})
            end_run(store, number, customers)
        return path.read_bytes()


def end_run(
    store: Store, number: int, customers: int = 20, status: str = "green", only: tuple[str, ...] = tuple(RESOURCES)
) -> str:
    """Make every row say that it came with run `number`, and note the run as ended; `only`: the resources it loaded."""
    run, at = run_id(number), BEGAN + timedelta(hours=number)
    given = {"run": run, "at": at, "n": customers}
    with store.transaction() as db:
        for name in ("customers", "usage", "flexsync.cursors", "flexsync.answers", "flexsync.sweep"):
            db.execute(f"DELETE FROM {name}")
        db.execute(
            """INSERT INTO customers (id, email, metadata, created_at, updated_at, run_id, observed_at)
            SELECT 'c' || i, 'c' || i || '@example.org', MAP {'n': i::VARCHAR}, $at, $at, $run, $at
            FROM range($n) r(i)""",
            given,
        )
        db.execute(
            """INSERT INTO usage (customer_id, feature_id, current_usage, run_id, observed_at)
            SELECT 'c' || i, 'f', (i || '.142857142857142857')::DECIMAL(38, 18), $run, $at FROM range($n) r(i)""",
            given,
        )
        db.execute(
            """INSERT INTO flexsync.answers (customer_id, resource, subscription_id, run_id, observed_at, rows,
            body_hash) SELECT 'c' || i, unnest(['usage', 'entitlements']), '', $run, $at, 1, '\\xAB\\x00'::BLOB
            FROM range($n) r(i)""",
            given,
        )
        db.execute("INSERT INTO flexsync.sweep SELECT 's' || id, id, 'standalone', created_at, NULL FROM customers")
        db.execute(
            "INSERT INTO flexsync.cursors SELECT unnest($walks), $at, $at, $run",
            {"walks": list(WALKS), "run": run, "at": at},
        )
        db.execute("DELETE FROM flexsync.runs WHERE run_id = $run", {"run": run})
        db.execute(
            """INSERT INTO flexsync.runs (run_id, mode, status, started_at, finished_at, reasons, resources)
            VALUES ($run, 'full', $status, $at, $end, $reasons, $only)""",
            {
                "run": run,
                "status": status,
                "at": at,
                "end": at + timedelta(minutes=5),
                "only": list(only),
                "reasons": [] if status == "green" else ["usage: 1 answer failed"],
            },
        )
        db.execute("INSERT INTO flexsync.certificates VALUES ($run, $g, '{}')", {"run": run, "g": status == "green"})
    return run


def ask(store: Store, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query, on a connection of its own."""
    return rows(store.cursor(), query)


def runs_seen(opened: Reading) -> set[str]:
    """Every run that any table of one reading speaks of as its own."""
    found = {opened.run.run_id} if opened.run_or_none else set()
    found |= set(opened.sql("SELECT DISTINCT run_id FROM customers").column(0).to_pylist())
    found |= set(opened.sql("SELECT max(run_id) FROM flexsync.runs").column(0).to_pylist())
    return found | set(opened.sql("SELECT DISTINCT run_id FROM usage").column(0).to_pylist())


# --- what the tests' own processes do -----------------------------------------------------------------------------


def publish_once(folder: str, to: str, began: Any) -> None:
    """Publish, and say beforehand that it begins now."""
    with Store.open(Path(folder) / "work.duckdb") as store:
        began.set()
        publish.publish(store, to)


def read_on(to: str, stop: Any, told: Any, ready: Any) -> None:
    """Open, compare and close until told to stop, `ready` after the first time; then tell the runs and the faults."""
    seen: set[str] = set()
    faults: list[str] = []
    times = 0
    while not stop.is_set() or not times:
        try:
            with reading.open(to) as opened:
                runs = runs_seen(opened)
                if len(runs) != 1 or opened.table("customers").num_rows != opened.table("usage").num_rows:
                    faults.append(f"mixed: {sorted(runs)}")
                seen |= runs
                times += 1
        except Exception as error:  # whatever it is, the test shall name it
            faults.append(f"{type(error).__name__}: {error}")
            times += 1
        if times == 1:
            ready.release()
    told.put((times, sorted(seen), faults))
