"""A store made from a publication goes on where the old one stopped, or says that it must begin anew."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import filelock
import pytest
from sizes import few
from stores import BEGAN, KINDS, ask, run_id, store_in, target

from connector.errors import FixInput, LockHeld
from connector.publications import reading
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.pull.watermarks import WALKS
from connector.pull.windows import FULL, INCREMENTAL, Beginning, Run
from connector.store import ddl
from connector.store.store import Store
from connector.tables.resources import RESOURCES
from connector.tables.schemas import SCHEMA_VERSION, TABLES

NOW = BEGAN + timedelta(days=1)


def begin(store: Store) -> Run:
    week, overlap = timedelta(days=7), timedelta(minutes=10)
    beginning = Beginning(clock=NOW, date=NOW, watermarks=dict.fromkeys(WALKS, BEGAN + timedelta(hours=1)))
    return store.begin(beginning, tuple(RESOURCES), full=False, full_every=week, overlap=overlap, version="test")


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_restored_store_goes_on_incrementally(tmp_path: Path, kind: str) -> None:
    """Every row of every table comes back, and the next run begins at the last cursor, by the same store code."""
    back = tmp_path / "back.duckdb"
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO flexsync.suspects (customer_id, held, runs) VALUES ('c1', 0.5, 2)")
            db.execute("INSERT INTO flexsync.rejects (run_id, reason, raw) VALUES ('r', 'too long', 'body')")
        publish(store, target(kind, tmp_path))
        restore(target(kind, tmp_path), back)
        with Store.open(back) as restored:
            for name in (*TABLES, *(f"flexsync.{name}" for name in ddl.PUBLISHED)):
                columns = "* EXCLUDE (raw)" if name == "flexsync.rejects" else "*"
                query = f"SELECT {columns} FROM {name} ORDER BY ALL"
                assert ask(restored, query) == ask(store, query), name
            assert ask(restored, "SELECT raw FROM flexsync.rejects") == [(None,)]
            run = begin(restored)
            assert run.mode == INCREMENTAL
            assert {start.since for start in run.starts.values()} == {BEGAN + timedelta(minutes=50)}


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_restored_store_publishes_again(tmp_path: Path, kind: str) -> None:
    """Publish, restore, publish: the second publication equals the first."""
    first, second, back = target(kind, tmp_path), target(kind, tmp_path / "new"), tmp_path / "flexsync-back.duckdb"
    (tmp_path / "new").mkdir()
    with store_in(tmp_path) as store:
        publish(store, first)
    restore(first, back)
    with Store.open(back) as store:
        publish(store, second)
    with reading.open(first) as one, reading.open(second) as two:
        assert one.run == two.run
        for name in one.tables:
            if name != "flexsync.meta":
                assert one.table(name).sort_by(_all(one, name)) == two.table(name).sort_by(_all(two, name)), name


def _all(opened: reading.Reading, name: str) -> list[tuple[str, str]]:
    plain = [field.name for field in opened.table(name).schema if str(field.type) == "string"]
    return [(column, "ascending") for column in plain]


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_after_exclusion_the_next_sync_is_a_full_one(tmp_path: Path, kind: str) -> None:
    """What was left out is NULL; cursors and the hashes of bodies that fill those tables are gone, others stay."""
    back = tmp_path / "back.duckdb"
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path), ["customers.email", "usage.is_enabled"])
    restore(target(kind, tmp_path), back)
    with Store.open(back) as restored:
        assert ask(restored, "SELECT count(*), count(email), count(metadata) FROM customers") == [(20, 0, 20)]
        hashes = "SELECT resource, count(body_hash), count(*) FROM flexsync.answers GROUP BY ALL ORDER BY ALL"
        assert ask(restored, hashes) == [("entitlements", 20, 20), ("usage", 0, 20)]
        assert begin(restored).mode == FULL


@pytest.mark.parametrize("kind", few(KINDS))
def test_nothing_is_replaced(tmp_path: Path, kind: str) -> None:
    """A path that exists, a stray .wal, a missing folder and a held lock are refused, and nothing appears."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
    with pytest.raises(FixInput, match="exists already"):
        restore(target(kind, tmp_path), tmp_path / "work.duckdb")
    (tmp_path / "back.duckdb.wal").write_bytes(b"")
    with pytest.raises(FixInput, match=r"back\.duckdb\.wal exists already"):
        restore(target(kind, tmp_path), tmp_path / "back.duckdb")
    with pytest.raises(FixInput, match="does not exist"):
        restore(target(kind, tmp_path), tmp_path / "missing" / "back.duckdb")
    with filelock.FileLock(tmp_path / "held.duckdb.lock"), pytest.raises(LockHeld):
        restore(target(kind, tmp_path), tmp_path / "held.duckdb")
    assert not list(tmp_path.glob("*held.duckdb"))


def test_a_damaged_file_of_a_lake_is_found_out(tmp_path: Path) -> None:
    """One flipped byte, or a file that is gone, stops the restore and names the file; no store appears."""
    with store_in(tmp_path) as store:
        publish(store, target("parquet", tmp_path))
    damaged = tmp_path / "lake" / "runs" / run_id(1) / "flexsync.answers" / "part-0.parquet"
    body = bytearray(damaged.read_bytes())
    body[len(body) // 2] ^= 1
    damaged.write_bytes(body)
    with pytest.raises(FixInput, match=r"flexsync\.answers/part-0\.parquet is damaged"):
        restore(target("parquet", tmp_path), tmp_path / "back.duckdb")
    damaged.unlink()
    with pytest.raises(FixInput, match=r"part-0\.parquet is missing"):
        restore(target("parquet", tmp_path), tmp_path / "back.duckdb")
    assert not list(tmp_path.glob("*back.duckdb"))


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_newer_schema_version_is_refused(tmp_path: Path, kind: str) -> None:
    """A publication of a newer Flexsync says to upgrade."""
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute("UPDATE flexsync.meta SET value = '99' WHERE key = 'schema_version'")
        publish(store, target(kind, tmp_path))
    if kind == "parquet":
        manifest = tmp_path / "lake" / "manifest.json"
        manifest.write_text(manifest.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    with pytest.raises(FixInput, match=rf"schema version 99, .* {SCHEMA_VERSION}\. Upgrade Flexsync\."):
        restore(target(kind, tmp_path), tmp_path / "back.duckdb")


def test_a_store_and_foreign_files_are_no_publication(tmp_path: Path) -> None:
    """A working store, a text and nothing at all are each refused in words."""
    with store_in(tmp_path):
        pass
    (tmp_path / "text.duckdb").write_text("hello")
    for name, says in (("work.duckdb", "working store"), ("text.duckdb", "cannot be read"), ("none", "not exist")):
        with pytest.raises(FixInput, match=says):
            restore(f"duckdb:{tmp_path / name}", tmp_path / "back.duckdb")


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_restore_that_fails_leaves_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fails at the last moment no store is there, and the same restore works afterwards."""
    back = tmp_path / "back.duckdb"
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FixInput, match="No space left on device"):
            restore(target(kind, tmp_path), back)
    assert not list(tmp_path.glob("*back.duckdb*[!k]"))
    restore(target(kind, tmp_path), back)
    with Store.open(back) as restored:
        assert ask(restored, "SELECT max(finished_at) FROM flexsync.runs") == [
            (datetime(2026, 1, 1, 1, 5, tzinfo=UTC),)
        ]
