"""An apply that is killed anywhere, and run again, ends with the account of one that was left alone.

SIGKILL comes at seeded points: after so many calls, so many journal lines, or so long; with and without answers that
get lost on the way. The plan holds creates, updates, changes of external_id beside null metadata (two writes each) and
archives. `sizes.py` says how many points there are.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sizes import Size, sizes

from connector.push.apply.journal import path_of, read
from connector.push.apply.orders import Pace
from connector.push.plan.planfile import Plan
from connector.sandbox import Faults, Sandbox
from connector.settings import load
from pipelines import import_customers as job

PACE = Pace(batch=8, looks=(0.0, 0.02, 0.05, 0.1))  # small, so that every phase comes often
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEPT = ("external_id", "name", "email", "contact", "timezone", "metadata", "status", "address_city")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pipelines.import_customers"])
LOST = Faults(lost=0.2, cut=0.1, endpoint=frozenset({"create", "update", "delete"}))


def one_apply(base_url: str, path: str) -> None:
    """What the killed process runs."""
    import tenacity

    from connector.api import client
    from connector.api.retries import Retry

    client.Retry = lambda attempts: Retry(attempts, tenacity.wait_fixed(0.01))  # type: ignore[assignment, misc]
    settings = load(environ={}, base_url=base_url, api_key="sandbox", max_in_flight=4)
    counts = Plan.read(path).header.counts
    confirmed = job.Confirmed(True, counts["writes"], counts["archive"])
    found = job.apply(settings, Path(path), confirmed, pace=PACE)
    os._exit(found.exit_code)


def start(base_url: str, path: Path) -> Any:
    process = CONTEXT.Process(target=one_apply, args=(base_url, str(path)))
    process.start()
    return process


def account() -> Sandbox:
    """Twelve customers to be changed, eight to get another external_id, six to be archived."""
    sandbox = Sandbox(customers=0, seed=3, clock=None)
    for number in range(12):
        sandbox.create_customer(external_id=f"c-{number}", name=f"Customer {number}", email=f"c{number}@x.example")
    for number in range(8):
        sandbox.create_customer(external_id=f"old-{number}", name=f"Old {number}", metadata=None)
    for number in range(6):
        sandbox.create_customer(external_id=f"gone-{number}", name=f"Gone {number}")
    return sandbox


def planned(sandbox: Sandbox, base_url: str, folder: Path) -> Path:
    """A plan of 40 rows: 14 creates, 12 updates, 8 key changes, 6 archives."""
    ids = {row["external_id"]: row["id"] for row in held(sandbox)}
    lines = ["id,external_id,name,metadata.k"]
    lines += [f",new-{number},New {number},v" for number in range(14)]
    lines += [f"{ids[f'c-{number}']},,Renamed {number},v" for number in range(12)]
    lines += [f"{ids[f'old-{number}']},fresh-{number},," for number in range(8)]
    (folder / "c.csv").write_text("\n".join(lines) + "\n")
    settings = load(environ={}, base_url=base_url, api_key="sandbox", match="id", onboarding="skip")
    found = job.plan(settings, folder / "c.csv", folder / "c.plan", archive_missing=True)
    counts = found.counts
    assert (counts.create, counts.update, counts.archive, counts.writes) == (14, 20, 6, 48)
    return folder / "c.plan"


def held(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every customer in every status; calls are not counted as the product's."""
    faults, sandbox.faults = sandbox.faults, Faults()
    calls, total = sandbox.calls.copy(), sandbox.calls_total
    rows: list[dict[str, Any]] = []
    for status in ("published", "archived"):
        _, _, answer = sandbox.answer("POST", "/customers/search", body={"status": status, "limit": 1000})
        rows += json.loads(answer)["items"]
    sandbox.faults, sandbox.calls, sandbox.calls_total = faults, calls, total
    return rows


def end_state(sandbox: Sandbox) -> list[str]:
    """What the account holds, ids and moments apart, as sorted rows: two of a kind stand twice."""
    return sorted(json.dumps({name: row.get(name) for name in KEPT}, sort_keys=True) for row in held(sandbox))


class Killer:
    """Waits for a seeded moment in the life of a process, and kills it."""

    def __init__(self, seed: int, point: int, sandbox: Sandbox, seconds: float) -> None:
        chance = random.Random(seed + point)
        self.sandbox = sandbox
        self.way = ("calls", "journal", "time")[point % 3]
        self.calls = chance.randrange(1, 60)
        self.lines = chance.randrange(1, 120)
        self.seconds = chance.uniform(0.0, seconds)

    def strike(self, process: Any, journal: Path) -> bool:
        """Kill when the moment has come; False when the process was done before."""
        began, first = time.monotonic(), self.sandbox.calls_total
        while process.is_alive():
            reached = {
                "calls": self.sandbox.calls_total - first >= self.calls,
                "journal": journal.exists() and journal.read_bytes().count(b"\n") >= self.lines,
                "time": time.monotonic() - began >= self.seconds,
            }
            if reached[self.way]:
                process.kill()
                break
            time.sleep(0.0005)
        process.join()
        return process.exitcode == -signal.SIGKILL


def undisturbed(folder: Path) -> tuple[list[str], float]:
    """The account after a plan that nobody disturbed, and how long that took."""
    folder.mkdir()
    sandbox = account()
    with sandbox.running() as base_url:
        path = planned(sandbox, base_url, folder)
        began = time.monotonic()
        process = start(base_url, path)
        process.join()
        assert process.exitcode == 0
        return end_state(sandbox), time.monotonic() - began


def check_point(seed: int, point: int, folder: Path, wanted: list[str], seconds: float, happened: Counter[str]) -> None:
    """One kill, sometimes two, and the runs that end it; every other point with answers that get lost."""
    folder.mkdir()
    sandbox = account()
    with sandbox.running() as base_url:
        path = planned(sandbox, base_url, folder)
        journal = path_of(Plan.read(path))
        if point % 2:
            sandbox.faults = Faults(**{**LOST.__dict__, "seed": seed + point})
        for attempt in range(2 if point % 4 == 0 else 1):
            struck = Killer(seed, point + 1000 * attempt, sandbox, seconds).strike(start(base_url, path), journal)
            happened["killed" if struck else "too late"] += 1
        happened["amid the writes"] += 0 < journal_lines(journal, "answer") < 40
        for _ in range(8):
            process = start(base_url, path)
            process.join()
            if process.exitcode == 0:
                break
            assert process.exitcode is not None
            assert process.exitcode > 0, (
                f"seed {seed}, point {point}: the run after the kill died with {process.exitcode}"
            )
        assert process.exitcode == 0, f"seed {seed}, point {point}: eight runs ended with {process.exitcode}"
        assert end_state(sandbox) == wanted, f"seed {seed}, point {point}: the accounts differ"
        explained(f"seed {seed}, point {point}", path, journal)


def journal_lines(journal: Path, what: str) -> int:
    return sum(line.what == what for line in read(journal)) if journal.exists() else 0


def explained(point: str, path: Path, journal: Path) -> None:
    """The journal says of every planned row once what became of it, after an intent of the same row."""
    lines = list(read(journal))
    outcomes = Counter(line.n for line in lines if line.what == "outcome")
    assert outcomes == Counter(range(40)), f"{point}: not one outcome a row"
    assert {line.outcome for line in lines if line.what == "outcome"} == {"done"}
    assert {line.n for line in lines if line.what == "intent"} == set(range(40))
    entries = [entry for entry in Plan.read(path).entries() if entry.writes]
    assert all(line.external_id == entries[line.n].external_id for line in lines if line.n >= 0)


def check_points(size: Size, folder: Path) -> Counter[str]:
    """Go from point to point until so many applies were killed; returns what happened how often."""
    wanted, seconds = undisturbed(folder / "alone")
    happened: Counter[str] = Counter()
    for point in range(3 * size.count):
        if happened["killed"] >= size.count:
            break
        check_point(size.seed, point, folder / str(point), wanted, seconds, happened)
    return happened


@sizes(default=1, sampled=10, thorough=400)
def test_a_killed_apply_ends_like_an_undisturbed_one(tmp_path: Path, size: Size) -> None:
    """SIGKILL at seeded points, half with lost answers: equal accounts, nobody twice, every row explained."""
    happened = check_points(size, tmp_path)
    assert happened["killed"] >= size.count, happened
    assert happened["amid the writes"] >= size.count // 4, happened
