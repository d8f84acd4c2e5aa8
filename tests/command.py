"""What the tests of the command share: a server on loopback, `flexsync` in a process, tables to compare, a deadline."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import tenacity

from connector.api.retries import Retry
from connector.publications import reading
from connector.sandbox import Faults, Sandbox
from connector.settings import Settings, load
from connector.tables.resources import RESOURCES
from pipelines import jobs
from pipelines.cli.main import main
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync import Options

BASE = datetime(2026, 11, 1, tzinfo=UTC)  # the generated data ends here, whatever day the tests run
TABLES = tuple(dict.fromkeys(table for resource in RESOURCES.values() for table in resource.tables))
PATIENCE = 240.0  # seconds until a wait is a hang: on a busy machine anything takes long
PER_RUN = {"run_id", "observed_at"}  # columns in which two runs over the same account may differ


@contextmanager
def hard_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` when the block runs for `seconds`, and never before `PATIENCE`."""
    seconds = max(seconds, PATIENCE)

    def too_long(*_: object) -> None:
        raise TimeoutError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def quick_retry(attempts: int) -> Retry:
    """The product's own retry loop with short waits."""
    return Retry(attempts, tenacity.wait_random_exponential(multiplier=0.01, max=0.1))


# --- syncs in this process ------------------------------------------------------------------------------------


def account(customers: int = 60, **given: Any) -> Sandbox:
    return Sandbox(customers=customers, seed=7, base_time=BASE, **given)


def settings_for(base_url: str, store: Path, **given: Any) -> Settings:
    return load(environ={}, base_url=base_url, api_key="sandbox", store=store, **given)


def sync(sandbox: Sandbox, store: Path, *, seconds: float = 60, options: Options | None = None, **given: Any) -> Report:
    """Serve `sandbox` on loopback and sync it into `store`, as the command does."""
    with hard_limit(seconds), sandbox.running() as base_url:
        return jobs.sync(settings_for(base_url, store, **given), options or Options(), Progress())


def tables(store: Path, skip: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted, without the columns that differ by run."""
    found = {}
    with reading.open(store) as opened:
        for name in TABLES:
            table = opened.table(name)
            keep = [column for column in table.column_names if column not in PER_RUN and column not in skip]
            found[name] = sorted(zip(*(table.column(c).to_pylist() for c in keep), strict=True), key=repr)
    return found


# --- what the server holds ------------------------------------------------------------------------------------


def _ask(sandbox: Sandbox, method: str, path: str, query: Any = (), body: Any = None) -> Any:
    status, _, answer = sandbox.answer(method, path, query, body)
    assert status == 200, answer
    return msgspec.json.decode(answer)


def truth(sandbox: Sandbox) -> dict[str, set[tuple[Any, ...]]]:
    """The account as the server holds it, read from raw JSON without the product's code."""
    before, sandbox.faults = sandbox.faults, Faults()
    try:
        people, contracts = [], []
        for status in ("published", "archived"):
            people += _walk(sandbox, "/customers/search", {"status": status})
        every = {"subscription_status": ["active", "paused", "cancelled", "incomplete", "trialing", "draft"]}
        contracts += _walk(sandbox, "/subscriptions/search", every)
        found: dict[str, set[tuple[Any, ...]]] = {
            "customers": {(p["id"], p["status"], p["name"], p["email"], p["external_id"]) for p in people},
            "subscriptions": {(s["id"], s["customer_id"], s["subscription_status"]) for s in contracts},
            "usage": set(),
            "entitlements": set(),
            "upcoming_grants": set(),
        }
        for person in people:
            _children(sandbox, person["id"], found)
        return found
    finally:
        sandbox.faults = before


def _walk(sandbox: Sandbox, path: str, body: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    while True:
        page = _ask(sandbox, "POST", path, body={**body, "limit": 1000, "offset": len(found), "order": "asc"})["items"]
        found += page
        if len(page) < 1000:
            return found


def _children(sandbox: Sandbox, customer: str, found: dict[str, set[tuple[Any, ...]]]) -> None:
    for row in _ask(sandbox, "GET", "/customers/usage", {"customer_id": customer})["features"]:
        found["usage"].add((customer, row["feature"]["id"], Decimal(row["current_usage"]), row["total_limit"]))
    for row in _ask(sandbox, "GET", f"/customers/{customer}/entitlements")["features"]:
        found["entitlements"].add((customer, row["feature"]["id"], row["entitlement"].get("usage_limit")))
    for row in _ask(sandbox, "GET", f"/customers/{customer}/grants/upcoming")["items"]:
        found["upcoming_grants"].add((row["id"], customer))


COLUMNS = {
    "customers": "id, status, name, email, external_id",
    "subscriptions": "id, customer_id, subscription_status",
    "usage": "customer_id, feature_id, current_usage, total_limit",
    "entitlements": "customer_id, feature_id, usage_limit",
    "upcoming_grants": "id, customer_id",
}


def held(store: Path) -> dict[str, set[tuple[Any, ...]]]:
    """The same facts as `truth`, from the store; rows that are marked gone do not count."""
    with reading.open(store) as opened:
        found = {}
        for table, columns in COLUMNS.items():
            where = "WHERE gone_at IS NULL" if table in ("customers", "subscriptions") else ""
            found[table] = as_tuples(opened.sql(f"SELECT {columns} FROM {table} {where}"))
        return {name: set(rows) for name, rows in found.items()}


def as_tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def ask(store: Path, query: str) -> list[tuple[Any, ...]]:
    with reading.open(store) as opened:
        return as_tuples(opened.sql(query))


# --- the command in a process of its own ------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


COMMAND = (sys.executable, "-m", "pipelines.cli")


def environment(base_url: str = "", key: str = "sandbox", **more: str) -> dict[str, str]:
    """The environment of this process, as activated, without the settings of Flexsync and of proxies, plus these."""
    strange = ("FLEXPRICE_", "FLEXSYNC_")
    found = {n: v for n, v in os.environ.items() if not n.startswith(strange) and not n.lower().endswith("_proxy")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    given = {"PATH": path, "FLEXPRICE_BASE_URL": base_url, "FLEXPRICE_API_KEY": key, **more}
    return {**found, **{name: value for name, value in given.items() if value}}


def flexsync(
    *arguments: object, env: Mapping[str, str], cwd: Path, seconds: float = PATIENCE, stdin: str | None = None
) -> Done:
    """Run `flexsync …` to its end, or raise `TimeoutExpired`."""
    words = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(words, env=env, cwd=cwd, input=stdin or "", capture_output=True, text=True, timeout=seconds)
    return Done(done.returncode, done.stdout, done.stderr)


def start(*arguments: object, env: Mapping[str, str], cwd: Path) -> subprocess.Popen[str]:
    """Start `flexsync …` and leave it running."""
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(words, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def server(customers: int = 80, faults: str = "", seed: int = 7) -> Iterator[str]:
    """The sandbox in a process of its own."""
    words = [sys.executable, "-m", "connector.sandbox", "--customers", str(customers), "--seed", str(seed)]
    process = subprocess.Popen([*words, "--faults", faults], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        if process.stdout:
            process.stdout.close()


def command(*arguments: object, env: Mapping[str, str], cwd: Path, stdin: str = "", seconds: float = 60) -> Done:
    """Run `flexsync …` in this process, which saves the start of one."""
    out, err = io.StringIO(), io.StringIO()
    before, folder = dict(os.environ), Path.cwd()
    code: Any = 0
    try:
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        with hard_limit(seconds), redirect_stdout(out), redirect_stderr(err), _typed(stdin):
            main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def _typed(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before
