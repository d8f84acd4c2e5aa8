"""`flexsync sql`: what it says about the copy that it reads, and what it advises where it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import command, environment
from support import World, calm, empty_store, synced

from connector.errors import BudgetSpent

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
