"""Store, publications, plan and journal of an earlier version are read, and the formats have not changed."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from command import Done, command, environment
from importing import account, shop
from pyarrow import parquet
from support import customers_of

import connector
from connector.api.fields import TEXTS
from connector.errors import FixInput
from connector.publications import contents, lake
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.pull.watermarks import WALKS
from connector.pull.windows import Beginning
from connector.push.apply import journal
from connector.push.plan.plan import Entry
from connector.push.plan.planfile import Header, Plan
from connector.store import asof, migrations
from connector.store.store import Store
from connector.tables.histories import HISTORIES, VERSIONED
from connector.tables.import_results import COLUMNS
from connector.tables.schemas import SCHEMA_VERSION
from pipelines import import_customers as job
from pipelines.report.plan_page import page

VERSIONS = Path(__file__).parent / "versions"
PUBLISHED = ("duckdb:billing.duckdb", "parquet:lake")
PUBLICATION_ONLY = ("published_at", "excluded")  # rows of flexsync.meta


class Facts(msgspec.Struct, frozen=True):
    """What is known of a folder in tests/versions; `tests/versions/make.py` writes it."""

    schema: int
    run: str  # the last sync
    import_run: str
    digest: str  # of waiting.plan
    usage: int  # rows


@dataclass(frozen=True)
class Old:
    """A copy of everything that a version left."""

    folder: Path
    facts: Facts

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module", params=sorted(path.name for path in VERSIONS.iterdir() if path.is_dir()))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Old:
    """The folder of one version, unpacked once."""
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(VERSIONS / request.param / "made.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Old(folder, msgspec.json.decode((VERSIONS / request.param / "facts.json").read_bytes(), type=Facts))


@pytest.fixture
def old(made: Old, tmp_path: Path) -> Old:
    """A folder with everything that the version left, to change at will."""
    return Old(shutil.copytree(made.folder, tmp_path / "old"), made.facts)


def flexsync(folder: Path, *arguments: object) -> Done:
    return command(*arguments, env=environment(), cwd=folder)


def rows_of(path: Path | str) -> dict[str, list[dict[str, Any]]]:
    """Every table of a store or publication, in an order of its own, without what only one of them has."""
    with connector.open(path) as opened:
        later = {*migrations.tables_since(int(opened.schema_version))}
        if later & {f"flexsync.{name}" for name in HISTORIES}:
            later |= {*asof.VIEWS}
        assert opened.tables == tuple(name for name in contents.names() if name not in later)
        found = {name: opened.table(name) for name in opened.tables}
    meta = found["flexsync.meta"].to_pylist()
    return {
        **{name: sorted(table.to_pylist(), key=repr) for name, table in found.items()},
        "flexsync.meta": sorted((row for row in meta if row["key"] not in PUBLICATION_ONLY), key=repr),
        "flexsync.rejects": [
            {k: v for k, v in row.items() if k != "raw"} for row in found["flexsync.rejects"].to_pylist()
        ],
    }


# --- the store ------------------------------------------------------------------------------------------------------


def test_a_store_opens_for_writing(old: Old) -> None:
    """`Store.open` takes the file: the environment, the last run, its counts and its cursors are there."""
    with Store.open(old / "work.duckdb") as store:
        run = store.last_run()
        assert run is not None
        assert run.run_id == old.facts.run
        assert store.counts(run) == {}  # it found no change; the run before had stored everything
        assert store.rows("SELECT inserted FROM flexsync.run_tables WHERE table_name = 'usage'") == [(old.facts.usage,)]
        assert store.count("SELECT count(*) FROM customers WHERE gone_at IS NULL") == 60
        assert store.rows("SELECT resource, run_id FROM flexsync.cursors ORDER BY 1") == [
            ("customers/archived", run.run_id),
            ("customers/published", run.run_id),
            ("subscriptions", run.run_id),
        ]
        with pytest.raises(FixInput, match="holds environment env_01J0000000000000000000000B"):
            store.bind("another")


def test_the_next_run_is_incremental(old: Old) -> None:
    """A run begun by this version starts where the older one's cursor stands."""
    hour, week = timedelta(hours=1), timedelta(days=7)
    with Store.open(old / "work.duckdb") as store:
        last = store.last_run()
        assert last is not None
        now, cursors = last.started_at + hour, dict(store.rows("SELECT resource, cursor FROM flexsync.cursors"))
        beginning = Beginning(clock=now, date=now, watermarks=dict.fromkeys(WALKS, now))
        run = store.begin(beginning, last.resources, full=False, full_every=week, overlap=hour, version="test")
        assert (run.mode, run.resources) == ("incremental", last.resources)
        assert set(cursors) == set(WALKS)
        assert {walk: start.since for walk, start in run.starts.items()} == {
            walk: cursor and cursor - hour for walk, cursor in cursors.items()
        }
        assert run.run_id > old.facts.run


_BEGUN = """SELECT count(*), count(DISTINCT run_id), min(run_id), count(content_hash)
    FROM flexsync.{name}_versions WHERE NOT ended"""


def test_the_history_begins_with_the_next_run(old: Old) -> None:
    """The first run begun by this version adds a version of every row and every figure; a second one adds none."""
    week, hour = timedelta(days=7), timedelta(hours=1)
    first = ""
    for _ in range(2):
        with Store.open(old / "work.duckdb") as store:
            last = store.last_run()
            assert last is not None
            now = last.started_at + hour
            beginning = Beginning(clock=now, date=now, watermarks=dict.fromkeys(WALKS, now))
            run = store.begin(beginning, last.resources, full=False, full_every=week, overlap=hour, version="test")
            first = first or run.run_id
            for name in VERSIONED:
                alive = "" if name == "entitlements" else "WHERE gone_at IS NULL"
                rows = store.count(f"SELECT count(*) FROM {name} {alive}")
                assert store.rows(_BEGUN.format(name=name)) == [(rows, 1, first, rows)]
            usage = store.count("SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM subscription_usage)")
            assert store.rows("SELECT count(*), min(run_id) FROM usage_history") == [(usage, first)]


def test_the_command_reads_a_store(old: Old) -> None:
    """`status`, `state show` and `sql` answer from it."""
    store = ("--store", "work.duckdb")
    found = flexsync(old.folder, "status", *store, "--json").json
    assert (found["runs"][0]["run_id"], found["runs"][0]["status"]) == (old.facts.run, "green")
    assert found["rows"]["customers"] == 60
    shown = flexsync(old.folder, "state", "show", *store)
    assert shown.code == 0
    assert old.facts.run in shown.out
    counted = flexsync(old.folder, "sql", "SELECT count(*) AS n FROM usage", *store, "--format", "json")
    assert (counted.code, counted.json) == (0, [{"n": old.facts.usage}])


def columns_of(path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as db:
        query = """SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
            WHERE NOT internal AND database_name = current_database() ORDER BY ALL"""
        return db.execute(query).fetchall()


def test_a_store_made_now_has_the_same_tables(old: Old) -> None:
    """Of one schema version: tables, columns, their order and types are what they were when it was released."""
    if old.facts.schema != SCHEMA_VERSION:
        pytest.skip("of an older schema version: tests/test_migrations.py")
    Store.open(old / "now.duckdb").close()
    changed = set(columns_of(old / "now.duckdb")) ^ set(columns_of(old / "work.duckdb"))
    assert not changed, "a changed table needs a new SCHEMA_VERSION, a migration, and a folder in tests/versions"


# --- publications ---------------------------------------------------------------------------------------------------


def test_publications_hold_the_rows_of_the_store(old: Old) -> None:
    """`connector.open` gives the same rows of every table from the store, the DuckDB file and the lake."""
    stored = rows_of(old / "work.duckdb")
    assert {name: len(rows) for name, rows in stored.items() if name in ("customers", "usage")} == {
        "customers": 60,
        "usage": old.facts.usage,
    }
    for name in ("billing.duckdb", "lake"):
        published = rows_of(old / name)
        for table, rows in stored.items():
            assert published[table] == rows, f"{name}: {table}"


@pytest.mark.sampled
@pytest.mark.parametrize("target", PUBLISHED)
def test_a_store_is_restored_from_a_publication(old: Old, target: str) -> None:
    """The restored store has the rows of the one that was published, can be opened, and published again."""
    kind, _, name = target.partition(":")
    restore(f"{kind}:{old / name}", old / "again.duckdb")
    Store.open(old / "work.duckdb").close()  # migrates it
    assert rows_of(old / "again.duckdb") == rows_of(old / "work.duckdb")
    with Store.open(old / "again.duckdb") as store:
        assert publish(store, f"{kind}:{old / name}").run.run_id == old.facts.run  # over the older one
    assert rows_of(old / name) == rows_of(old / "work.duckdb")


@pytest.mark.sampled
def test_publications_made_now_look_the_same(old: Old) -> None:
    """What readers know of a publication stays: tables, columns and types, the manifest's keys, the lake's paths."""
    (old / "now").mkdir()
    with Store.open(old / "work.duckdb") as store:
        publish(store, f"duckdb:{old / 'now' / 'billing.duckdb'}")
        publish(store, f"parquet:{old / 'now' / 'lake'}")
    assert set(columns_of(old / "billing.duckdb")) <= set(columns_of(old / "now" / "billing.duckdb"))
    folders = (old / "now", old.folder)
    now, before = (json.loads((folder / "lake" / lake.MANIFEST).read_text()) for folder in folders)
    assert list(before) == [key for key in now if key in before]
    for key in ("format", "format_version", "run_id", "mode", "status", "green", "environment_id"):
        assert now[key] == before[key]
    for name, entry in before["tables"].items():
        path = entry["files"][0]["path"]
        assert now["tables"][name]["files"][0]["path"] == path
        schemas = [parquet.read_schema(folder / "lake" / path) for folder in folders]
        now_there, there = ({(field.name, field.type) for field in schema} for schema in schemas)
        assert there <= now_there, path


# --- the import -----------------------------------------------------------------------------------------------------


def test_a_plan_is_read_and_shown(old: Old) -> None:
    """Its digest is verified, every entry is there, and its page can be written."""
    plan = Plan.read(old / "waiting.plan")
    assert (plan.digest, plan.header.run) == (old.facts.digest, old.facts.import_run)
    assert [(entry.do, entry.external_id) for entry in plan.entries()] == [
        ("update", "acct-0000000"),
        ("update", "acct-0000001"),
        ("create", "acme-7"),
        ("create", "acme-8"),
        ("invalid", "acme-9"),
    ]
    shown = "".join(page(plan.header, plan.digest, plan.entries()))
    assert old.facts.import_run in shown
    assert "billing@quay.example" in shown
    text = (old / "waiting.plan").read_bytes()
    (old / "waiting.plan").write_bytes(text.replace(b"Cedar Ltd", b"Cedar LTD"))
    with pytest.raises(FixInput, match="changed or truncated"):
        Plan.read(old / "waiting.plan")


def test_plan_and_journal_have_the_same_fields_now(old: Old) -> None:
    """A header, an entry, a journal line and the results are written with the keys of the older version."""
    lines = [line for line in (old / "waiting.plan").read_bytes().splitlines(keepends=True) if line[:1] != b"#"]
    header, entries = msgspec.json.decode(lines[0], type=Header), lines[1:-1]
    assert msgspec.json.encode(header) + b"\n" == lines[0]
    assert [msgspec.json.encode(msgspec.json.decode(line, type=Entry)) + b"\n" for line in entries] == entries
    records = (old / f"customers.{old.facts.import_run}.journal").read_bytes().splitlines()
    assert [msgspec.json.encode(msgspec.json.decode(line, type=journal.Line)) for line in records] == records
    with (old / f"customers.{old.facts.import_run}.results.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_a_plan_is_for_the_account_it_was_made_for(old: Old) -> None:
    """Applied against another address it is refused, and nothing is written."""
    with shop(old.folder) as served, pytest.raises(FixInput, match=r"The plan is for http://127\.0\.0\.1:8473/v1"):
        served.apply(Plan.read(old / "waiting.plan"))


def as_left(folder: Path, lines: list[journal.Line]) -> list[dict[str, Any]]:
    """The four customers of the import as its run left them: the store's rows of before, with the journal's changes."""
    columns = "|".join(("id", *TEXTS, "metadata"))  # those that this version has
    with connector.open(folder / "work.duckdb") as opened:
        found = opened.sql(f"SELECT COLUMNS('^({columns})$') FROM customers").to_pylist(maps_as_pydicts="strict")
    before = {row["id"]: {k: v for k, v in row.items() if v is not None} for row in found}
    ids = {line.n: line.id for line in lines if line.what == "outcome"}
    return [
        {**before.get(ids[line.n], {"id": ids[line.n]}), **{name: after for name, (_, after) in line.set.items()}}
        for line in lines
        if line.what == "intent"
    ]


def test_a_run_is_undone_from_its_journal(old: Old) -> None:
    """In the account as that run left it, both updates are reversed and both created customers are archived."""
    lines = list(journal.read(old / f"customers.{old.facts.import_run}.journal"))
    assert [line.what for line in lines].count("outcome") == 4
    sandbox = account(*as_left(old.folder, lines))
    with shop(old.folder, sandbox=sandbox) as served:
        found = job.undo_run(served.settings(), old.facts.import_run, old / "undo.plan")
        assert found.plan is not None
        assert found.plan.header.undoes == old.facts.import_run
        assert sorted((entry.do, entry.external_id) for entry in found.plan.entries()) == [
            ("archive", "acme-7"),
            ("archive", "acme-8"),
            ("update", "acct-0000000"),
            ("update", "acct-0000001"),
        ]
        assert served.apply(found).exit_code == 0
    now = {row["external_id"]: row for row in customers_of(sandbox)}
    assert now["acct-0000000"]["name"] == "Cedar & Clay 0"
    assert now["acct-0000001"]["email"] == "billing+1@mail0.example.com"
    assert {now[name]["status"] for name in ("acme-7", "acme-8")} == {"archived"}
