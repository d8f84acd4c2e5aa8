"""What the last sync used and wrote lies beside the store, and commands that read the copy find it without flags."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import PATIENCE, account, command, environment, flexsync, settings_for, start
from sizes import few

from connector.clock import utc_now
from connector.errors import FixInput
from connector.publications import reading
from connector.sandbox import Faults, Sandbox
from connector.store.store import Store
from pipelines import remembered
from pipelines.progress import Progress
from pipelines.remembered import remembering

PUBLISH = ("--publish", "duckdb:out/billing.duckdb", "--publish", "parquet:lake")
COUNT = "SELECT count(*) AS n FROM customers"


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account(8)
    with sandbox.running() as base_url:
        yield sandbox, base_url


@pytest.fixture(scope="module")
def synced(live: tuple[Sandbox, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synced")
    done = command("sync", "--store", "work.duckdb", *PUBLISH, env=environment(live[1]), cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def copy(synced: Path, tmp_path: Path) -> Path:
    return shutil.copytree(synced, tmp_path / "copy")


def told(folder: Path, store: str = "work.duckdb") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{store}.last.json").read_text())
    return found


def test_a_sync_leaves_what_it_used_and_wrote(synced: Path, live: tuple[Sandbox, str]) -> None:
    """Publications relative to the store, the address and the run; and nothing of the key."""
    found = told(synced)
    assert found["publish"] == ["duckdb:out/billing.duckdb", "parquet:lake"]
    assert (found["base_url"], found["config"], found["run"]["status"]) == (live[1], None, "green")
    with reading.open(synced / "work.duckdb") as opened:
        assert opened.run
        assert found["run"]["run_id"] == opened.run.run_id
    assert "sandbox" not in json.dumps(found)
    assert not [path for path in synced.iterdir() if path.name.endswith(".part")]


READERS = (("status",), ("sql", COUNT), ("verify", "--sample", "2"))


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_without_flags_the_folder_is_looked_in(synced: Path, live: tuple[Sandbox, str], words: tuple[str, ...]) -> None:
    """A store under any name is found by what lies beside it, and stderr says which it was."""
    done = command(*words, env=environment(live[1]), cwd=synced)
    assert done.code == 0, done.err
    assert done.err == "note: this is work.duckdb, which work.duckdb.last.json names\n"


def test_then_the_settings_are_looked_in(synced: Path, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """In a folder that holds nothing, the store of the settings file counts."""
    (tmp_path / "c.toml").write_text(f'[api]\nbase_url = "{live[1]}"\n[sync]\nstore = "{synced / "work.duckdb"}"\n')
    env = environment(FLEXSYNC_CONFIG=str(tmp_path / "c.toml"))
    done = command("sql", COUNT, "--format", "csv", env=env, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "n\n8\n", "")
    assert command("status", env=env, cwd=tmp_path).code == 0


def test_a_store_that_is_named_is_taken(copy: Path, live: tuple[Sandbox, str]) -> None:
    """What a flag names is never replaced by what the folder holds."""
    done = command("sql", COUNT, "--store", "none.duckdb", env=environment(live[1]), cwd=copy)
    assert done.code == 2
    assert "none.duckdb does not exist" in done.err
    done = command("sql", COUNT, "--on", "lake", env=environment(live[1]), cwd=copy)
    assert (done.code, done.err) == (0, "")


def test_of_two_stores_the_newer_is_taken_and_the_other_named(copy: Path, live: tuple[Sandbox, str]) -> None:
    """Stderr says which of them it is, and that --store chooses."""
    shutil.copy(copy / "work.duckdb", copy / "old.duckdb")
    found = told(copy)
    found["run"]["seen"] = "2020-01-01T00:00:00Z"
    (copy / "old.duckdb.last.json").write_text(json.dumps(found))
    done = command("sql", COUNT, env=environment(live[1]), cwd=copy)
    assert done.code == 0
    assert "this is work.duckdb" in done.err
    assert "old.duckdb lie here too, --store chooses" in done.err


def test_a_file_in_the_folder_does_not_choose_where_the_key_goes(copy: Path, live: tuple[Sandbox, str]) -> None:
    """`verify` calls the server of the settings or none: of another one it says which flag names it."""
    found = {**told(copy), "base_url": "http://127.0.0.1:1/v1"}
    (copy / "work.duckdb.last.json").write_text(json.dumps(found))
    before = live[0].calls_total
    done = command("verify", env=environment(live[1]), cwd=copy)
    assert done.code == 2
    assert "--base-url http://127.0.0.1:1/v1" in done.err
    assert live[0].calls_total == before


@pytest.mark.parametrize("text", few(["", "[]", "{}", '{"run": 1}', '{"publish": ["x"]}', "\udcff"], 3))
def test_a_file_that_is_none_of_ours_is_passed_over(copy: Path, live: tuple[Sandbox, str], text: str) -> None:
    """A torn or foreign file is no place: the message is that of a folder without one."""
    (copy / "work.duckdb.last.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = command("sql", COUNT, env=environment(live[1]), cwd=copy)
    assert done.code == 2
    assert "flexsync.duckdb does not exist" in done.err


def test_a_place_that_cannot_be_written_is_a_note(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """The sync is green all the same, and says it once."""
    (tmp_path / "flexsync.duckdb.last.json").mkdir()
    done = command("sync", "--only", "customers", env=environment(live[1]), cwd=tmp_path)
    assert done.code == 0
    assert done.err.count("flexsync.duckdb.last.json cannot be written") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flexsync.duckdb", "flexsync.duckdb.last.json"]


# --- while a sync runs ----------------------------------------------------------------------------------------------


def running(folder: Path) -> Iterator[Progress]:
    """A sync that holds the store, and is in the middle of its calls."""
    store = folder / "work.duckdb"
    settings = settings_for("http://127.0.0.1:1/v1", store, publish=("duckdb:" + str(folder / "out/billing.duckdb"),))
    with Store.open(store), remembering(settings, Progress(), utc_now) as progress:
        progress.began("20990101T000000Z-abcdef", "incremental")
        progress.step("walk/customers/published")
        progress.advance("walk/customers/published", 8)
        progress.step("usage", 227)
        progress.advance("usage", 120)
        progress.write()  # type: ignore[attr-defined]
        yield progress


def test_status_while_a_sync_runs(copy: Path) -> None:
    """The last publication and how far the run is, with code 0; age limits count for the publication."""
    for _ in running(copy):
        done = command("status", "--store", "work.duckdb", env=environment(), cwd=copy)
        asked = command("status", "--json", "--max-age", "1ms", env=environment(), cwd=copy)
        sql = command("sql", COUNT, "--store", "work.duckdb", "--format", "csv", env=environment(), cwd=copy)
    assert done.code == 0, done.err
    assert "a sync holds work.duckdb; this is duckdb:out/billing.duckdb: " in done.out
    assert "running: run 20990101T000000Z-abcdef, incremental, since " in done.out
    assert ": usage 120 of 227 calls (at " in done.out
    assert (asked.code, asked.json["running"]["steps"][0]["done"]) == (1, 120)
    assert (sql.code, sql.out) == (0, "n\n8\n")


def test_status_while_the_first_sync_runs(copy: Path) -> None:
    """Nothing is published yet: how far the run is, with code 0; with --max-age no copy is young enough."""
    shutil.rmtree(copy / "out")
    shutil.rmtree(copy / "lake")
    for _ in running(copy):
        done = command("status", "--store", "work.duckdb", env=environment(), cwd=copy)
        asked = command("status", "--store", "work.duckdb", "--max-age", "26h", env=environment(), cwd=copy)
    assert (done.code, asked.code) == (0, 1), done.err
    assert "a sync holds work.duckdb; nothing is published yet: no run has ended yet" in done.out
    assert "usage 120 of 227 calls" in done.out


def test_a_killed_run_is_not_running(copy: Path) -> None:
    """What a process that is gone left behind is not believed: nobody holds the store."""
    found = told(copy)
    found["run"]["status"] = "running"
    (copy / "work.duckdb.last.json").write_text(json.dumps(found))
    done = command("status", "--json", "--store", "work.duckdb", env=environment(), cwd=copy)
    assert (done.code, done.json["running"]) == (0, None)


def test_a_run_that_failed_says_why(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """The file tells how the last sync ended."""
    assert command("sync", "--max-calls", "5", env=environment(live[1]), cwd=tmp_path).code == 1
    run = told(tmp_path, "flexsync.duckdb")["run"]
    assert (run["status"], "max_calls" in run["error"]) == ("failed", True)


@pytest.mark.sampled
def test_status_beside_a_real_sync(tmp_path: Path) -> None:
    """Another process sees the steps of the first run go on, and never fails while it runs."""
    sandbox = account(60)
    sandbox.faults = Faults(latency=300)
    with sandbox.running() as base_url:
        env = environment(base_url)
        sync = start("sync", *PUBLISH, "--max-in-flight", "4", env=env, cwd=tmp_path)
        seen: set[str] = set()
        end = time.monotonic() + PATIENCE
        while sync.poll() is None and time.monotonic() < end:
            done = flexsync("status", "--json", env=env, cwd=tmp_path)
            if done.code == 0 and done.json["running"]:
                seen |= {step["name"] for step in done.json["running"]["steps"]}
        _, err = sync.communicate()
    assert sync.returncode == 0, err
    assert {"usage", "entitlements"} & seen


def test_what_is_told_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A publication outside of the store's folder keeps its whole path; one beside it moves with the folder."""
    here, there = tmp_path / "a", tmp_path / "b"
    here.mkdir()
    settings = settings_for(
        "http://127.0.0.1:1/v1", here / "w.duckdb", publish=(f"duckdb:{here / 'x.duckdb'}", f"parquet:{tmp_path / 'l'}")
    )
    with remembering(settings, Progress(), utc_now) as progress:
        progress.ended({"status": "green", "published": []})
    here.rename(there)
    found = remembered.read(there / "w.duckdb")
    assert found
    assert found.publish == (f"duckdb:{there / 'x.duckdb'}", f"parquet:{tmp_path / 'l'}")
    with (
        pytest.raises(FixInput),
        remembering(settings_for("http://127.0.0.1:1/v1", there / "w.duckdb"), Progress(), utc_now),
    ):
        raise FixInput("no")
    again = remembered.read(there / "w.duckdb")
    assert again
    assert (again.run.status, again.run.error) == ("failed", "no")
