"""A large file of which one row in a hundred differs: how many calls it takes, counted by the server."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from command import hard_limit

from connector.push.apply.orders import Pace
from connector.sandbox import Sandbox
from connector.settings import load
from pipelines import import_customers as job
from pipelines.export_customers import export_customers

ROWS = 4_000
MANY_ROWS = 100_000


def check(folder: Path, rows: int) -> dict[str, int]:
    """Plan and apply a file of so many customers, every hundredth renamed; returns the server's counts."""
    sandbox = Sandbox(customers=round(rows * 1.2), seed=7)
    with sandbox.running() as url:
        settings = load(environ={}, base_url=url, api_key="sandbox", onboarding="skip")
        renamed = exported(settings, folder, rows)
        before = states(sandbox)
        sandbox.calls.clear()
        found = job.plan(settings, folder / "c.csv", folder / "c.plan")
        reads = sandbox.calls["POST /customers/search"]
        assert (found.counts.update, found.counts.unchanged) == (rows // 100, rows - rows // 100)
        done = job.apply(settings, folder / "c.plan", job.Confirmed(yes=True), pace=Pace(window=60.0))
        assert done.tally.outcomes == {"done": rows // 100}
        counts = dict(sandbox.calls)
        assert job.plan(settings, folder / "c.csv", folder / "d.plan").counts.writes == 0
    after = states(sandbox)
    assert {key for key in after if after[key] != before[key]} == renamed
    print(
        f"{rows} rows: {reads} reads to plan, {counts}, {done.tally.window * 1000:.0f} ms window, {done.seconds:.1f} s"
    )
    return {"plan": reads, "reads": counts["POST /customers/search"], "writes": counts["PUT /customers"]}


def exported(settings: object, folder: Path, rows: int) -> set[str]:
    """The account's first so many customers as c.csv, every hundredth renamed; returns whom."""
    out = io.StringIO()
    export_customers(settings, None, out.write, "auto")  # type: ignore[arg-type]
    out.seek(0)
    reader = csv.reader(out)
    header = next(reader)
    renamed = set()
    with (folder / "c.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, row in zip(range(rows), reader, strict=False):
            if number % 100 == 50:
                row[header.index("name")] += " (renamed)"
                renamed.add(row[header.index("external_id")])
            writer.writerow(row)
    return renamed


def states(sandbox: Sandbox) -> dict[str, str]:
    """Name and e-mail of every published customer, by external id."""
    account = sandbox.account
    kinds = account.customers.kinds
    rows = (account.customers.row(n) for n in range(account.customers.count) if kinds[n] == 0)
    return {row["external_id"]: f"{row['name']}|{row['email']}|{row['metadata']}|{row['updated_at']}" for row in rows}


@pytest.mark.sampled
def test_a_large_file_takes_few_calls(tmp_path: Path) -> None:
    """4,000 rows with 1 % changed: a read per thousand rows, 40 writes, and only those customers move."""
    with hard_limit(120):
        assert check(tmp_path, ROWS) == {"plan": 5, "reads": 5 + 3, "writes": 40}


@pytest.mark.thorough
def test_a_hundred_thousand_rows_take_a_hundred_reads(tmp_path: Path) -> None:
    """100,000 rows with 1 % changed: 101 reads to plan, 1,000 writes, 12 more reads to check and read back."""
    with hard_limit(600):
        counts = check(tmp_path, MANY_ROWS)
        assert (counts["plan"], counts["writes"]) == (101, 1000)
        assert counts["reads"] - counts["plan"] <= 25
