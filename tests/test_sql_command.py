"""`flexsync sql`: what it says about the copy that it reads, and what it advises where it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from command import command, environment
from stores import store_in
from support import World, calm, empty_store, synced

from connector.errors import BudgetSpent
from pipelines.report import rows

COUNT = "SELECT count(*) FROM customers"


def said(folder: Path, *arguments: object) -> str:
    """The messages of a query that succeeds."""
    done = command("sql", "--store", folder / "store.duckdb", *arguments, env=environment(), cwd=folder)
    assert done.code == 0, done.err
    return done.err


def test_a_store_that_never_finished_a_run_is_named(tmp_path: Path) -> None:
    """Rows of a store whose first run was stopped, or never began, come with a note on stderr; the exit code is 0."""
    empty_store(tmp_path / "store.duckdb")
    assert "store.duckdb has never finished a run" in said(tmp_path, COUNT)
    with pytest.raises(BudgetSpent):
        World(tmp_path, calm(5)).sync(max_calls=8)
    assert "store.duckdb has never finished a run" in said(tmp_path, COUNT)
    assert "store.duckdb has never finished a run" in said(tmp_path, "--on", tmp_path / "store.duckdb", COUNT)


def test_a_store_whose_last_run_did_not_finish_is_named(tmp_path: Path) -> None:
    """After a finished run there is no note; after one that was stopped there is, with its id."""
    world = synced(tmp_path, 5)
    assert said(tmp_path, COUNT) == ""
    with pytest.raises(BudgetSpent):
        world.sync(full=True, max_calls=8)
    run = world.rows("SELECT max(run_id) FROM flexsync.runs")[0][0]
    assert f"the last run of {world.path}, {run}, did not finish" in said(tmp_path, COUNT)


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("COPY customers TO 'leak.csv'", ["is read-only: COPY.", "--output FILE --format csv"]),
        ("CREATE TABLE mine AS FROM customers", ["is read-only: CREATE.", "CREATE TEMP TABLE", "--output FILE"]),
        (
            "SELECT * FROM read_csv('/etc/passwd')",
            ["is all that a query can read", "/etc/passwd", "a DuckDB of your own"],
        ),
        ("SELECT * FROM glob('*')", ["is all that a query can read", "a DuckDB of your own"]),
    ],
)
def test_a_refused_query_names_the_way_that_the_shell_has(tmp_path: Path, query: str, parts: list[str]) -> None:
    """Whoever wants to save a result is sent to --output, and whoever wants to read another file to DuckDB itself."""
    empty_store(tmp_path / "store.duckdb")
    done = command("sql", "--store", "store.duckdb", query, env=environment(), cwd=tmp_path)
    assert done.code == 2
    for part in parts:
        assert part in done.err
    assert ("CREATE TEMP" in done.err) == (" is read-only" in done.err)


def test_parquet_needs_a_file_wherever_stdout_goes(tmp_path: Path) -> None:
    """Parquet without --output is refused, and the error does not take stdout for a terminal."""
    empty_store(tmp_path / "store.duckdb")
    asked = ("sql", "--store", "store.duckdb", "--format", "parquet", COUNT)
    done = command(*asked, env=environment(), cwd=tmp_path)
    assert (done.code, "needs a file" in done.err, "--output FILE" in done.err) == (2, True, True)
    assert "terminal" not in done.err


def test_a_locked_store_names_the_options_that_read_a_publication(tmp_path: Path) -> None:
    """While a sync holds the store, each reader names an option that it has; where nothing is published, it says so."""
    with store_in(tmp_path) as store:

        def refused(*arguments: object) -> str:
            done = command(*arguments, "--store", store.path, env=environment(), cwd=tmp_path)
            assert done.code == 4, done.err
            return done.err

        assert "--publish duckdb:FILE" in refused("status")
        assert "--on" not in refused("status")
        assert "--on FILE" in refused("sql", COUNT)
        assert "publish under [sync]" in refused("state", "show")
        assert "no run is published as duckdb:none.duckdb yet" in refused("status", "--publish", "duckdb:none.duckdb")


def test_a_map_is_json_in_every_format() -> None:
    """An empty map is {} and none is null, in JSON and CSV: never a list in one row and an object in another."""
    pairs = pa.array([[("k", 'v,"q"\n2')], [], None], pa.map_(pa.string(), pa.string()))
    found, as_json, as_csv = pa.table({"n": [1, 2, 3], "m": pairs}), io.StringIO(), io.StringIO()
    rows.write_json(found, as_json)
    assert json.loads(as_json.getvalue()) == [{"n": 1, "m": {"k": 'v,"q"\n2'}}, {"n": 2, "m": {}}, {"n": 3, "m": None}]
    rows.write_csv(found, as_csv)
    cells = [row[1] for row in csv.reader(io.StringIO(as_csv.getvalue()))][1:]
    assert [json.loads(cell) if cell else None for cell in cells] == [{"k": 'v,"q"\n2'}, {}, None]
