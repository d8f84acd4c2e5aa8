"""A signal ends a run with exit code 130 and keeps its state; the next run repeats no committed call."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PATIENCE, account, ask, command, environment, held, start, tables, truth
from sizes import sampled

from connector.sandbox import Faults, Sandbox
from connector.store.store import Store

CUSTOMERS = 120
HANG = 120  # seconds that nothing here takes, on however busy a machine


@pytest.fixture
def slow() -> Iterator[tuple[Sandbox, str]]:
    """A slow server, so that a signal comes in the middle of a run."""
    sandbox = account(CUSTOMERS, faults=Faults(latency=30))
    with sandbox.running() as base_url:
        yield sandbox, base_url


def begun(sandbox: Sandbox, base_url: str, folder: Path, calls: int, *arguments: str) -> subprocess.Popen[str]:
    """Start a sync and wait until it has made so many calls."""
    process = start("sync", "--store", "s.duckdb", *arguments, env=environment(base_url), cwd=folder)
    deadline = time.monotonic() + PATIENCE
    while sandbox.calls_total < calls:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def per_customer(sandbox: Sandbox) -> Counter[tuple[str, object]]:
    """How often each per-customer call was made."""
    return Counter(
        (path, tuple(query)) for _, path, query, _ in sandbox.log if "usage" in path or "/customers/cust" in path
    )


def committed(store: Path) -> set[tuple[str, str, str]]:
    """Queue items whose responses are in the store."""
    query = "SELECT resource, customer_id, subscription_id FROM flexsync.queue WHERE state = 'done'"
    with Store.open(store) as opened:  # the queue is not shown to readers
        return {tuple(row) for row in opened.rows(query)}  # type: ignore[misc]


@pytest.mark.parametrize("number", [signal.SIGINT, sampled(signal.SIGTERM)])
def test_a_signal_keeps_the_state_and_no_committed_call_is_repeated(
    slow: tuple[Sandbox, str], tmp_path: Path, number: signal.Signals
) -> None:
    """Interrupted in the fan-out: 130, a message, a resumable run; the next one makes only the calls that are left."""
    sandbox, base_url = slow
    process = begun(sandbox, base_url, tmp_path, 60, "--max-in-flight", "4")
    log = tmp_path / "s.duckdb.wal"
    size = log.stat().st_size
    while log.stat().st_size == size:  # until answers are committed
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "interrupted" in err
    assert "State is kept" in err
    status = ask(tmp_path / "s.duckdb", "SELECT status, calls FROM flexsync.runs")
    assert [row[0] for row in status] == ["interrupted"]
    assert status[0][1] > 0
    done = committed(tmp_path / "s.duckdb")
    assert 0 < len(done) < 300, "the signal came too early or too late"

    sandbox.log.clear()
    sandbox.faults = Faults()
    again = command("sync", "--store", "s.duckdb", env=environment(base_url), cwd=tmp_path)
    assert again.code == 0, again.err
    assert "resumed 1 time" in again.out
    asked = per_customer(sandbox)
    for resource, customer, subscription in done:
        assert question(resource, customer, subscription) not in asked
    assert max(asked.values()) == 1
    assert held(tmp_path / "s.duckdb") == truth(sandbox)


def question(resource: str, customer: str, subscription: str) -> tuple[str, object]:
    """The path and query of a queue item, as the server sees them."""
    if resource == "usage":
        more = (("subscription_ids", subscription),) if subscription else ()
        return "/v1/customers/usage", (("customer_id", customer), *more)
    tail = "entitlements" if resource == "entitlements" else "grants/upcoming"
    return f"/v1/customers/{customer}/{tail}", ()


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("calls", "pause"),
    [
        sampled(1, 0.0),
        sampled(1, 0.05),
        (4, 0.05),
        sampled(120, 0.1),
        sampled(250, 0.0),
    ],
)
def test_two_interrupts_do_no_harm(slow: tuple[Sandbox, str], tmp_path: Path, calls: int, pause: float) -> None:
    """A second Ctrl-C, at any stage, leaves a store that opens; the next run gives the right tables."""
    sandbox, base_url = slow
    process = begun(sandbox, base_url, tmp_path, calls)
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    sandbox.faults = Faults()
    again = command("sync", "--store", "s.duckdb", env=environment(base_url), cwd=tmp_path)
    assert again.code == 0, again.err
    assert held(tmp_path / "s.duckdb") == truth(sandbox)


@pytest.mark.sampled
def test_a_signal_while_the_server_keeps_everybody_waiting(tmp_path: Path) -> None:
    """A run that waits for a long Retry-After ends at once when it is interrupted."""
    sandbox = account(faults=Faults(rate=0.001, retry_after=600))
    with sandbox.running() as base_url:
        process = begun(sandbox, base_url, tmp_path, 2)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 60  # of the 600 that the server asked for


@pytest.mark.sampled
@pytest.mark.parametrize("number", [sampled(signal.SIGINT), signal.SIGTERM])
def test_a_signal_while_publishing_leaves_a_whole_publication_or_none(tmp_path: Path, number: signal.Signals) -> None:
    """A signal after the last call hits the publisher: the store is complete, and so is each publication."""
    sandbox = account(CUSTOMERS)
    targets = ("--publish", "duckdb:out.duckdb", "--publish", "parquet:lake")
    with sandbox.running() as base_url:
        env = environment(base_url)
        whole = command("sync", "--store", "w.duckdb", env=env, cwd=tmp_path)
        assert whole.code == 0
        last = sandbox.calls_total
        process = begun(sandbox, base_url, tmp_path, 2 * last, *targets)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, 130), err
        assert "Traceback" not in err
        again = command("sync", "--store", "s.duckdb", *targets, env=env, cwd=tmp_path)
        assert again.code == 0, again.err
    left = [path.name for path in tmp_path.rglob(".flexsync-*")]
    assert left == []
    assert held(tmp_path / "s.duckdb") == held(tmp_path / "out.duckdb") == held(tmp_path / "lake") == truth(sandbox)
    assert tables(tmp_path / "s.duckdb") == tables(tmp_path / "w.duckdb")


def test_a_signal_at_a_question_changes_nothing(tmp_path: Path) -> None:
    """Without a clear yes, `customers delete` exits with 2, and the customer is still there."""
    sandbox = account(10)
    victim = sandbox.customer_ids()[0]
    with sandbox.running() as base_url:
        for typed in ("", "n\n", "what\n"):
            done = command("customers", "delete", victim, env=environment(base_url), cwd=tmp_path, stdin=typed)
            assert done.code == 2
            assert "nothing was changed" in done.err
            assert done.out == ""
    assert victim in sandbox.customer_ids()
