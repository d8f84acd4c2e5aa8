"""Opening: one run for a reading's whole life, no trace on the disk, and no way to write."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sizes import few
from stores import ENVIRONMENT, KINDS, SPAWN, end_run, run_id, runs_seen, store_in, target

from connector.errors import FixInput, LockHeld
from connector.publications import contents, reading
from connector.publications.publish import publish
from connector.store.store import Store

WRITES = [
    "CREATE TABLE evil AS SELECT 1",
    "CREATE TABLE memory.main.evil AS SELECT 1",
    "/* TEMP */ CREATE VIEW evil AS SELECT 1",
    "CREATE OR REPLACE VIEW customers AS SELECT 1",
    "INSERT INTO customers (id) VALUES ('evil')",
    "UPDATE customers SET id = 'evil'",
    "DELETE FROM flexsync.runs",
    "TRUNCATE customers",
    "DROP TABLE customers",
    "DROP VIEW IF EXISTS customers",
    "ALTER TABLE usage ADD COLUMN evil INTEGER",
    "COMMENT ON TABLE customers IS 'evil'",
    "COPY (SELECT 1) TO '{folder}/evil.csv'",
    "COPY customers TO '{folder}/evil.parquet' (FORMAT parquet)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/evil.csv'",
    "PREPARE p AS COPY (SELECT 1) TO '{folder}/evil.csv'; EXECUTE p",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPORT DATABASE '{folder}/evil'",
    "ATTACH '{folder}/evil.duckdb' AS evil",
    "ATTACH ':memory:' AS evil",
    "DETACH publication",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET temp_directory = '{folder}/evil'",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "PRAGMA profile_output = '{folder}/evil.json'",
    "CREATE SECRET evil (TYPE s3)",
    "CREATE PERSISTENT SECRET evil (TYPE s3)",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM read_text('{folder}/secret.csv')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('https://example.org/x.csv')",
]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_can_be_written_or_reached(tmp_path: Path, kind: str) -> None:
    """Every statement that writes, or reads other files, is FixInput; no file changes or appears."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
    file = tmp_path / "out.duckdb"
    if kind == "parquet":
        file = tmp_path / "lake" / "runs" / run_id(1) / "customers" / "part-0.parquet"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with reading.open(target(kind, tmp_path)) as opened:
        for write in WRITES:
            with pytest.raises(FixInput) as caught:
                opened.sql(write.format(folder=tmp_path, file=file))
            assert str(tmp_path) in str(caught.value) or "query failed" in str(caught.value), write
        assert runs_seen(opened) == {run_id(1)}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", few(KINDS))
@pytest.mark.parametrize(
    "write", ["CREATE TABLE evil (i INTEGER)", "COPY customers TO 'evil.csv'", "DROP TABLE customers", "LOAD json"]
)
def test_a_write_is_refused_as_read_only(tmp_path: Path, kind: str, write: str) -> None:
    """The error says that the publication is read-only, and what to do instead."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
    with reading.open(target(kind, tmp_path)) as opened, pytest.raises(FixInput, match=r"is read-only.*TEMP TABLE"):
        opened.sql(write)


@pytest.mark.parametrize("kind", few(KINDS))
def test_steps_in_between_are_fine(tmp_path: Path, kind: str) -> None:
    """Temporary tables and views, several statements, parameters, DESCRIBE and EXPLAIN all work."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
    with reading.open(target(kind, tmp_path)) as opened:
        opened.sql("CREATE TEMP TABLE few AS FROM customers LIMIT 3; CREATE OR REPLACE TEMPORARY VIEW v AS FROM few")
        opened.sql("INSERT INTO few SELECT * FROM customers LIMIT 1; DELETE FROM few WHERE id = 'c1'")
        assert opened.sql("DROP VIEW v; SELECT 7 AS seven").to_pylist() == [{"seven": 7}]
        assert opened.sql("SELECT email FROM customers WHERE id = $id", {"id": "c3"}).column(0).to_pylist() == [
            "c3@example.org"
        ]
        assert opened.sql("SELECT ?::INTEGER AS i", [4]).to_pylist() == [{"i": 4}]
        for plain in ("DESCRIBE customers", "SUMMARIZE usage", "EXPLAIN FROM usage", "SHOW TABLES", "FROM usage"):
            assert opened.sql(plain).num_rows, plain


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_second_open_sees_the_new_run_the_first_its_own(tmp_path: Path, kind: str) -> None:
    """In one process, through three more publications; the first one's files are deleted by then."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
        with reading.open(target(kind, tmp_path)) as first:
            for number in range(2, 5):
                end_run(store, number, customers=100 + number)
                publish(store, target(kind, tmp_path))
                with reading.open(target(kind, tmp_path)) as second:
                    assert runs_seen(second) == {run_id(number)}
                    assert second.table("customers").num_rows == 100 + number
                assert runs_seen(first) == {run_id(1)}
                assert first.table("usage").num_rows == 20


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_reading_tells_its_run_and_tables(tmp_path: Path, kind: str) -> None:
    """run, tables, environment and time of publication; decimals stay exact in Arrow and pandas, maps become dicts."""
    with store_in(tmp_path) as store:
        publication = publish(store, target(kind, tmp_path))
    with reading.open(target(kind, tmp_path)) as opened:
        assert opened.run == publication.run
        assert opened.run.green
        assert opened.run.finished_at is not None
        assert opened.tables == contents.names()
        assert opened.environment_id == ENVIRONMENT
        assert opened.published_at is not None
        frame = opened.df("SELECT c.metadata, u.current_usage FROM customers c JOIN usage u ON c.id = u.customer_id "
                          "WHERE c.id = 'c3'")  # fmt: skip
        assert frame.iloc[0].to_list() == [{"n": "3"}, Decimal("3.142857142857142857")]
        with pytest.raises(FixInput, match=r'no table "customer"\. Did you mean customers\?'):
            opened.table("customer")
        with pytest.raises(FixInput, match="query failed"):
            opened.sql("SELEC 1")
        opened.close()  # and once more at the end of the block


@pytest.mark.sampled
def test_every_way_to_name_a_publication_works(tmp_path: Path) -> None:
    """A path, a target, a lake's folder and its manifest.json."""
    with store_in(tmp_path) as store:
        for kind in KINDS:
            publish(store, target(kind, tmp_path))
    lake = tmp_path / "lake"
    for path in (tmp_path / "out.duckdb", f"duckdb:{tmp_path / 'out.duckdb'}", lake, f"parquet:{lake}",
                 lake / "manifest.json", str(lake)):  # fmt: skip
        with reading.open(path) as opened:
            assert runs_seen(opened) == {run_id(1)}


def _hold(path: str, held: Any, stop: Any) -> None:
    with Store.open(path):
        held.set()
        stop.wait(30)


@pytest.mark.sampled
def test_a_store_that_a_sync_holds_is_locked(tmp_path: Path) -> None:
    """A free store can be read, state and all; one that this or another process writes to raises LockHeld."""
    path = tmp_path / "work.duckdb"
    with store_in(tmp_path), pytest.raises(LockHeld):
        reading.open(path)
    with reading.open(path) as opened:
        assert opened.published_at is None
        assert runs_seen(opened) == {run_id(1)}
    held, stop = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(str(path), held, stop))
    holder.start()
    assert held.wait(30)
    with pytest.raises(LockHeld, match="newest publication"):
        reading.open(path)
    stop.set()
    holder.join()


def test_what_is_not_ours_is_refused_in_words(tmp_path: Path) -> None:
    """A damaged lake, nothing, a text, an empty folder and a foreign manifest."""
    (tmp_path / "text.duckdb").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "manifest.json").write_text("[1]")
    with store_in(tmp_path) as store:
        publish(store, target("parquet", tmp_path))
    (tmp_path / "lake" / "runs" / run_id(1) / "usage" / "part-0.parquet").write_bytes(b"PAR1")
    for name, says in (
        ("lake", "cannot be read"),
        ("none", "does not exist"),
        ("text.duckdb", "cannot be read"),
        ("empty", "manifest.json does not exist"),
        ("theirs", "not a manifest of Flexsync's"),
    ):
        with pytest.raises(FixInput, match=says):
            reading.open(tmp_path / name)


@pytest.mark.sampled
def test_the_newest_of_several_targets_is_found(tmp_path: Path) -> None:
    """By run, not by time of writing; targets that are missing do not count."""
    duck, lake = (target(kind, tmp_path) for kind in KINDS)
    assert reading.newest([duck, lake]) is None
    with store_in(tmp_path) as store:
        publish(store, lake)
        assert reading.newest([duck, lake]) == lake
        end_run(store, 2)
        publish(store, duck)
        assert reading.newest([lake, duck, "duckdb:/nowhere"]) == duck
        publish(store, lake)
        assert reading.newest([duck, lake]) == lake
