"""Publications: one run, whole or not at all, exact to the last digit, and never in place of something foreign."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sizes import Size, few, sizes
from stores import ENVIRONMENT, KINDS, SPAWN, ask, end_run, publish_once, read_on, run_id, runs_seen, store_in, target

from connector.errors import FixInput
from connector.publications import contents, lake, parts, reading, targets
from connector.publications.publish import publish
from connector.store import asof
from connector.tables.histories import HISTORIES
from pipelines.sync.publishing import check_target

AWKWARD = """INSERT INTO customers (id, name, email, metadata, created_at, updated_at, gone_at, extra, run_id) VALUES
    ('a', '', NULL, MAP {}, '9999-12-31 23:59:59.999999+00', '0001-01-01 00:00:00+00', NULL, '{"x": "\\u003c"}', 'r'),
    ('b', 'Zoë 漢字 🜚 "quoted" ''single''', E'two\\nlines\\ttab', NULL, NULL, '1969-12-31 23:59:59.999999+00', NULL,
        NULL, 'r'),
    ('c', 'NULL', '\\N', MAP {'': '', 'ключ': 'значение', 'n': NULL}, '2026-03-29 01:30:00.000001+00', NULL, NULL,
        '', 'r')"""
DIGITS = """INSERT INTO usage (customer_id, feature_id, total_limit, current_usage, usage_percent, is_enabled) VALUES
    ('a', 'f', 9223372036854775807, 99999999999999999999.999999999999999999, -0.000000000000000001, true),
    ('a', 'g', -9223372036854775808, -99999999999999999999.999999999999999999, 0, NULL)"""
LISTS = """INSERT INTO entitlements (customer_id, feature_id, static_values) VALUES
    ('a', 'f', []), ('a', 'g', NULL), ('a', 'h', ['', NULL, 'ü', '[1, 2]'])"""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("billing.duckdb", "duckdb:billing.duckdb"), ("DuckDB:out/billing.duckdb", "duckdb:out/billing.duckdb"),
        (r"C:\out\b.duckdb", r"duckdb:C:\out\b.duckdb"), ("lake", "duckdb:PATH or parquet:DIR"),
        ("s3://bucket/b.duckdb", "duckdb:PATH or parquet:DIR"),
    ],
)  # fmt: skip
def test_a_file_without_its_kind_is_proposed_with_it(given: str, meant: str) -> None:
    """Where the name of a target shows its kind, the error writes it as it has to be."""
    with pytest.raises(FixInput) as caught:
        targets.parse(given)
    assert caught.value.remedy == f"Write {meant}."


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_comes_out_as_it_went_in(tmp_path: Path, kind: str) -> None:
    """Maps, lists, 38-digit decimals, far years, unicode, NULL and empty are equal in store and publication."""
    with store_in(tmp_path, customers=0) as store:
        with store.transaction() as db:
            for statement in (AWKWARD, DIGITS, LISTS):
                db.execute(statement)
        publish(store, target(kind, tmp_path))
        with reading.open(target(kind, tmp_path)) as opened:
            for name in contents.names():
                if name == "flexsync.meta":
                    continue
                columns = ", ".join(f'"{column}"' for column in opened.table(name).column_names)
                query = f"SELECT {columns} FROM {name} ORDER BY ALL"
                published = opened.sql(query).to_pylist(maps_as_pydicts="strict")
                assert [tuple(row.values()) for row in published] == ask(store, query), name
            assert opened.table("subscriptions").num_rows == 0


@pytest.mark.parametrize("kind", KINDS)
def test_types_are_those_of_the_store(tmp_path: Path, kind: str) -> None:
    """Empty or not, each column has the store's type, so that models do not change with the kind."""
    query = """SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema IN ('main', 'flexsync') AND table_catalog = '{}' ORDER BY ALL"""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
        held = {
            row
            for row in ask(store, query.format("store"))
            if row[1] not in ("met", "walks", "queue", "import_journal")
        }
        with reading.open(target(kind, tmp_path)) as opened:
            found = {tuple(row.values()) for row in opened.sql(query.format(reading.CATALOG)).to_pylist()}
    assert held - found == {("flexsync", "rejects", "raw", "BLOB")}
    assert found <= held


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_publication_says_whether_its_run_was_green(tmp_path: Path, kind: str) -> None:
    """Runs, certificates and the manifest tell a degraded run from a green one."""
    with store_in(tmp_path) as store:
        assert publish(store, target(kind, tmp_path)).run.green
        end_run(store, 2, status="degraded")
        publication = publish(store, target(kind, tmp_path))
    assert publication.run.status == "degraded"
    with reading.open(target(kind, tmp_path)) as opened:
        assert opened.run == publication.run
        assert opened.run.reasons == ("usage: 1 answer failed",)
        green = opened.sql("SELECT green FROM flexsync.certificates ORDER BY run_id").column(0)
    assert green.to_pylist() == [True, False]
    if kind == "parquet":
        manifest = json.loads((tmp_path / "lake" / "manifest.json").read_text())
        assert (manifest["status"], manifest["green"], manifest["environment_id"]) == ("degraded", False, ENVIRONMENT)


def test_bodies_of_rejects_stay_at_home(tmp_path: Path) -> None:
    """The raw body of a rejected row is in no publication; the reason is."""
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO flexsync.rejects (run_id, reason, raw) VALUES ('r', 'too long', 'marker-4711')")
        for kind in KINDS:
            publish(store, target(kind, tmp_path))
    for path in [tmp_path / "out.duckdb", *(tmp_path / "lake").rglob("*.parquet")]:
        assert b"marker-4711" not in path.read_bytes()
    for kind in KINDS:
        with reading.open(target(kind, tmp_path)) as opened:
            assert opened.sql("SELECT reason FROM flexsync.rejects").to_pylist() == [{"reason": "too long"}]
            assert "raw" not in opened.table("flexsync.rejects").column_names


def test_the_duckdb_file_is_for_older_clients_read_only_and_alone(tmp_path: Path) -> None:
    """Its header bears storage version 64 (v0.9 to v1.1 read it), it is 0444, and a stray .wal is gone."""
    (tmp_path / "out.duckdb.wal").write_bytes(b"left by a reader that opened for writing")
    with store_in(tmp_path) as store:
        publish(store, target("duckdb", tmp_path))
    path = tmp_path / "out.duckdb"
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64
    assert path.stat().st_mode & 0o777 == 0o444
    assert not (tmp_path / "out.duckdb.wal").exists()


def test_meanings_travel_as_comments(tmp_path: Path) -> None:
    """Every column of a data table explains itself in the DuckDB publication."""
    with store_in(tmp_path) as store:
        publish(store, target("duckdb", tmp_path))
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as db:
        query = """SELECT count(*), count(comment) FROM duckdb_columns() WHERE NOT internal AND table_name IN (
            SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' OR table_name LIKE '%versions')"""
        columns, told = db.execute(query).fetchall()[0]
        assert columns == told > 200
        query = "SELECT comment FROM duckdb_tables() WHERE table_name IN ('customers', 'sweep')"
        assert all(comment for (comment,) in db.execute(query).fetchall())
        views = "SELECT comment FROM duckdb_views() WHERE NOT internal"
        assert [bool(comment) for (comment,) in db.execute(views).fetchall()] == [True] * len(asof.VIEWS)


def test_the_manifest_counts_and_seals_every_file(tmp_path: Path) -> None:
    """Rows, bytes and SHA-256 in manifest.json are those of the files; the lake holds nothing else."""
    with store_in(tmp_path, customers=300) as store:
        publication = publish(store, target("parquet", tmp_path))
    folder = tmp_path / "lake"
    manifest = lake.read(folder)
    assert set(manifest.tables) == set(contents.stored())
    for name, entry in manifest.tables.items():
        (file,) = entry.files
        history = name.removeprefix("flexsync.") in HISTORIES
        assert file.path == (
            f"history/{name}/{run_id(1)}.parquet" if history else f"runs/{run_id(1)}/{name}/part-0.parquet"
        )
        assert (folder / file.path).stat().st_size == file.bytes
        assert parts.digest(folder / file.path) == file.sha256
        assert entry.rows == file.rows == publication.rows[name]
    assert manifest.tables["customers"].rows == 300
    named = {file.path for entry in manifest.tables.values() for file in entry.files}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there - named <= {"manifest.json", f"runs/{run_id(1)}/manifest.json"}


def test_a_lake_keeps_two_runs_and_what_is_not_ours(tmp_path: Path) -> None:
    """After four runs the two newest are there, and so is a folder that somebody else put among them."""
    folder = tmp_path / "lake"
    with store_in(tmp_path) as store:
        for number in range(1, 5):
            end_run(store, number)
            publish(store, target("parquet", tmp_path))
            (folder / "runs" / "mine").mkdir(exist_ok=True)
    assert {path.name for path in (folder / "runs").iterdir()} == {run_id(3), run_id(4), "mine"}


def test_a_run_published_twice_does_not_touch_its_first_files(tmp_path: Path) -> None:
    """Publishing a run again gets a folder of its own, for readers may be in the first."""
    with store_in(tmp_path) as store:
        publish(store, target("parquet", tmp_path))
        first = {p: p.read_bytes() for p in (tmp_path / "lake" / "runs" / run_id(1)).rglob("*.parquet")}
        publish(store, target("parquet", tmp_path), ["customers.email"])
    assert all(path.read_bytes() == body for path, body in first.items())
    assert lake.read(tmp_path / "lake").tables["customers"].files[0].path.startswith(f"runs/{run_id(1)}.2/")


@pytest.mark.parametrize("kind", KINDS)
def test_excluded_columns_are_left_out(tmp_path: Path, kind: str) -> None:
    """`exclude` keeps a column from readers and says so."""
    with store_in(tmp_path) as store:
        publication = publish(store, target(kind, tmp_path), ["customers.email", "customers.name"])
    assert publication.excluded == ("customers.email", "customers.name")
    with reading.open(target(kind, tmp_path)) as opened:
        assert opened.excluded == publication.excluded
        assert not {"email", "name"} & set(opened.table("customers").column_names)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("customers.emial", "Did you mean customers.email?"),
        ("email", "customers.email"),
        ("flexsync.runs", "no column"),
        ("customers.id", "cannot be left out"),
        ("usage.feature_id", "cannot be left out"),
        ("customer_integrations.entity_id", "cannot be left out"),
        ("customers.run_id", "cannot be left out"),
    ],
)
def test_a_wrong_exclusion_is_explained(tmp_path: Path, column: str, says: str) -> None:
    """An unknown column names the nearest one, a key names the reason, and nothing is published."""
    with store_in(tmp_path) as store, pytest.raises(FixInput) as caught:
        publish(store, target("duckdb", tmp_path), [column])
    assert says in str(caught.value)
    assert column in str(caught.value)
    assert not (tmp_path / "out.duckdb").exists()


@pytest.mark.parametrize("wrong", ["", "out", "csv:out.duckdb", "duckdb:", "parquet:", "s3://bucket/lake"])
def test_a_target_is_a_duckdb_file_or_a_parquet_folder(tmp_path: Path, wrong: str) -> None:
    """Anything else is refused with the two ways to write it."""
    with store_in(tmp_path) as store, pytest.raises(FixInput, match=r"Write duckdb:PATH or parquet:DIR\."):
        publish(store, wrong)


def test_a_new_file_that_duckdb_would_call_flexsync_is_refused(tmp_path: Path) -> None:
    """It names a file up to the first dot; no view works in one called flexsync. One that stands is published to."""
    path, store = tmp_path / "Flexsync.v2.duckdb", tmp_path / "work.duckdb"
    for name in ("flexsync.duckdb", path.name):
        with pytest.raises(FixInput, match="cannot be asked"):
            check_target(f"duckdb:{tmp_path / name}", store)
    check_target(f"parquet:{tmp_path / 'flexsync'}", store)
    with store_in(tmp_path) as opened:
        publish(opened, f"duckdb:{path}")
    with duckdb.connect(path, read_only=True) as db, pytest.raises(duckdb.Error, match="Ambiguous"):
        db.sql("FROM customers_history")
    assert check_target(f"duckdb:{path}", store) == tmp_path
    with duckdb.connect() as db:  # as docs/asking.md says
        db.execute(f"ATTACH '{path}' AS billing (READ_ONLY)")
        db.execute("USE billing")
        assert db.sql("FROM customers_asof('2026-01-01')").fetchall() == []


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_missing_folder_is_made(tmp_path: Path, kind: str) -> None:
    """A publication into a folder that does not exist yet makes it, as the shipped configs need."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path / "published" / "here"))
    with reading.open(target(kind, tmp_path / "published" / "here")) as opened:
        assert opened.run


def test_nothing_foreign_is_replaced(tmp_path: Path) -> None:
    """The store, another store, a foreign database and a foreign manifest are refused, untouched."""
    with duckdb.connect(str(tmp_path / "theirs.duckdb")) as db:
        db.execute("CREATE TABLE precious AS SELECT 1 AS one")
    (tmp_path / "text.duckdb").write_text("not a database")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "manifest.json").write_text('{"format": "somebody else\'s"}')
    (tmp_path / "other").mkdir()
    with store_in(tmp_path / "other"):
        pass
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "work.duckdb")
    places = ["theirs.duckdb", "text.duckdb", "other/work.duckdb", "work.duckdb", "link.duckdb"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with store_in(tmp_path) as store:
        for place in [*(f"duckdb:{tmp_path / name}" for name in places), f"parquet:{tmp_path / 'theirs'}"]:
            with pytest.raises(FixInput):
                publish(store, place)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("kind", few(KINDS))
def test_another_environment_is_not_published_over(tmp_path: Path, kind: str) -> None:
    """A run of the sandbox does not replace what analysts have of production."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
        with store.transaction() as db:
            db.execute("UPDATE flexsync.meta SET value = 'env_2' WHERE key = 'environment_id'")
        with pytest.raises(FixInput, match=r"holds environment env_1, the store holds env_2"):
            publish(store, target(kind, tmp_path))


@pytest.mark.parametrize("kind", few(KINDS))
@pytest.mark.parametrize("status", few(["running", "interrupted"]))
def test_a_run_that_has_not_ended_is_not_published(tmp_path: Path, kind: str, status: str) -> None:
    """Half a run in the store leaves the old publication where it is."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
        end_run(store, 2, status=status)
        with pytest.raises(FixInput, match=status):
            publish(store, target(kind, tmp_path))
    with reading.open(target(kind, tmp_path)) as opened:
        assert runs_seen(opened) == {run_id(1)}


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_full_disk_leaves_the_old_publication(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fails at the last moment, the old run is there, the error says so, and nothing is left over."""
    with store_in(tmp_path) as store:
        publish(store, target(kind, tmp_path))
        end_run(store, 2)
        before = {str(path) for path in tmp_path.rglob("*")}

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(FixInput, match="No space left on device"):
                publish(store, target(kind, tmp_path))
        assert {str(path) for path in tmp_path.rglob("*")} == before
        with reading.open(target(kind, tmp_path)) as opened:
            assert runs_seen(opened) == {run_id(1)}
        assert publish(store, target(kind, tmp_path)).run.run_id == run_id(2)


@sizes(default=0, sampled=6, thorough=200)
def test_readers_see_one_run_during_publications(tmp_path: Path, size: Size) -> None:
    """While both kinds are replaced again and again, a reader of each sees no error and no two runs at once."""
    stop, answers, ready = SPAWN.Event(), SPAWN.Queue(), SPAWN.Semaphore(0)
    with store_in(tmp_path, 0) as store:
        for kind in KINDS:
            publish(store, target(kind, tmp_path))
        args = [(target(kind, tmp_path), stop, answers, ready) for kind in KINDS]
        readers = [SPAWN.Process(target=read_on, args=given) for given in args]
        for reader in readers:
            reader.start()
        assert all(ready.acquire(timeout=60) for _ in readers)
        for number in range(1, size.count + 1):
            end_run(store, number, customers=20 + number)
            for kind in KINDS:
                publish(store, target(kind, tmp_path))
        stop.set()
        told = [answers.get(timeout=60) for _ in readers]
        for reader in readers:
            reader.join()
    for times, seen, faults in told:
        assert faults == []
        assert times >= len(seen) > (3 if size.count >= 20 else 1)


@pytest.mark.parametrize("kind", KINDS)
@sizes(default=0, sampled=8, thorough=100)
def test_a_killed_publisher_leaves_the_old_or_the_new_run(tmp_path: Path, kind: str, size: Size) -> None:
    """Killed with -9 at moments from the first to the last, what readers open is whole; leftovers go next time."""
    moments, ends = size.chance(), set()
    with store_in(tmp_path, 0, customers=500) as store:
        length = publish(store, target(kind, tmp_path)).seconds
    for number in range(1, size.count + 1):
        with reading.open(target(kind, tmp_path)) as opened:
            old = runs_seen(opened)
        with store_in(tmp_path, number, customers=500):
            pass
        wait = None if number == size.count else 0.0 if number == 1 else moments.uniform(0, 1.2 * length)
        _kill(str(tmp_path), target(kind, tmp_path), wait)
        with reading.open(target(kind, tmp_path)) as opened:
            found = runs_seen(opened)
            assert opened.table("customers").num_rows == 500
        assert found in (old, {run_id(number)})
        ends.add(found == old)
    assert ends == {True, False}
    with store_in(tmp_path, size.count + 1) as store:
        publish(store, target(kind, tmp_path))
    assert list(tmp_path.rglob(".flexsync-*")) == []


def _kill(folder: str, to: str, wait: float | None) -> None:
    """Kill a publisher `wait` seconds after it began; let it end when there is no `wait`."""
    began: Any = SPAWN.Event()
    publisher = SPAWN.Process(target=publish_once, args=(folder, to, began))
    publisher.start()
    assert began.wait(60)
    publisher.join(wait)
    if publisher.is_alive():
        publisher.kill()
        publisher.join()
