"""Forgetting a customer: what is personal leaves every file, stays away, and costs no proof."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from command import command, environment
from pyarrow import parquet
from sizes import few, sampled
from stores import BEGAN, SPAWN, end_run, run_id, store_in, target
from support import NOON, World, calm

from connector import files
from connector.errors import FixInput
from connector.publications import reading
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.sandbox import Sandbox
from connector.settings import Settings, load
from connector.store import erasure, holdings, migrations, tombstones
from connector.store.holdings import Person
from connector.store.store import Store
from connector.store.tombstones import Tombstones, hashed
from connector.tables.columns import JSON, MAP, TEXT, TEXTS, Table
from connector.tables.decode import Decoded, Reject
from connector.tables.histories import HISTORIES
from connector.tables.personal import personal, whose
from connector.tables.schemas import TABLES
from pipelines import forget as job
from pipelines import mentions
from pipelines.verify import verify

ANN: dict[str, Any] = {
    "external_id": "ext-ann-4711",
    "name": "Ännchen Überall-Ortmann",
    "email": "ann.ortmann@example.org",
    "contact": "+49 30 5550123",
    "address_line1": "Quittenweg 17",
    "address_line2": "Gartenhaus Nordseite",
    "address_city": "Hinterzarten",
    "address_state": "Hochschwarzwaldkreis",
    "address_postal_code": "D-79856-X",
    "metadata": {"nickname": "Zaubermaus"},
}
TRACES = [value for value in ANN.values() if isinstance(value, str)] + ["Zaubermaus", "Older Nameless"]


OLDER = "Older Nameless"


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, bytes, str]:
    """An account after a green sync, its store, and a subscribed customer to forget, who had another name before."""
    w = World(tmp_path_factory.mktemp("synced"), calm(5, seed=1))
    ann = sorted(w.sandbox.active_customer_ids())[0]
    w.sandbox.update_customer(ann, **ANN)
    assert w.sync().status == "green"
    with Store.open(w.path) as store, store.transaction() as db:
        older = f"""SELECT * REPLACE (name || '{OLDER}' AS name, valid_from - INTERVAL 1 DAY AS valid_from)
            FROM flexsync.customers_versions WHERE id = $id"""
        db.execute(f"INSERT INTO flexsync.customers_versions {older}", {"id": ann})
        db.execute(
            "INSERT INTO flexsync.import_journal (line, external_id, changes) VALUES (2, $e, $e)",
            {"e": ANN["external_id"]},
        )
    return w.sandbox, w.path.read_bytes(), ann


@pytest.fixture
def world(synced: tuple[Sandbox, bytes, str], tmp_path: Path) -> tuple[World, str]:
    """A store of that account, in this test's own folder, and the customer."""
    sandbox, stored, ann = synced
    w = World(tmp_path, sandbox)
    w.path.write_bytes(stored)
    return w, ann


def forget(w: World, ann: str) -> Person:
    with Store.open(w.path) as store:
        person = store.facts(holdings.find, ann)
        store.forget(person, NOON)
        return person


def places(w: World, person: Person) -> dict[str, int]:
    with Store.open(w.path) as store:
        return store.facts(holdings.places, person, {path: path for path in erasure.paths()})


def traces(path: Path) -> list[str]:
    """What is left of the person in a file, as bytes."""
    return [text for text in TRACES if text.encode() in path.read_bytes()]


def cells(w: World) -> Iterator[tuple[str, str]]:
    """Every row of every table of a store, as text."""
    with Store.open(w.path) as store:
        query = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'store'"
        for (name,) in store.rows(query):
            for (text,) in store.rows(f"SELECT t::VARCHAR FROM {name} t"):
                yield name, text


def told(w: World) -> list[tuple[str, str]]:
    """Every row of a store that still tells something of the person."""
    return [(name, text) for name, text in cells(w) if any(trace in text for trace in TRACES)]


def test_the_person_has_every_personal_field() -> None:
    """One that is missing here could survive unseen; a country or a time zone alone tells of nobody."""
    missing = set(personal(TABLES["customers"])) - set(ANN)
    assert missing == {"extra", "created_by", "updated_by", "address_country", "timezone"}


def test_a_forgotten_customer_leaves_no_trace_in_the_store(world: tuple[World, str]) -> None:
    """No byte and no cell of name, e-mail, address, metadata and external id is left, of today or of before."""
    w, ann = world
    with Store.open(w.path) as store, store.transaction() as db:
        db.execute(
            """INSERT INTO flexsync.rejects (run_id, table_name, owner, key, field, value, reason, raw)
            VALUES ('r', 'upcoming_grants', $id, 'g1', 'metadata', $email, $email, $email::BLOB)""",
            {"id": ann, "email": ANN["email"]},
        )
    assert traces(w.path)
    assert {name for name, _ in told(w)} >= {
        "main.customers",
        "flexsync.customers_versions",
        "flexsync.rejects",
        "flexsync.import_journal",
    }
    forget(w, ann)
    assert traces(w.path) == []
    assert told(w) == []
    assert [path.name for path in w.path.parent.iterdir() if path.name.startswith(".flexsync")] == []


@pytest.mark.sampled
@pytest.mark.parametrize("full", few([False, True]))
def test_the_next_syncs_are_green_and_bring_nobody_back(world: tuple[World, str], full: bool) -> None:
    """After a change, a sync proves the copy complete and `verify` has nothing to say; no row and no version tells."""
    w, ann = world
    before = w.rows("SELECT count(*) FROM flexsync.customers_versions")
    assert "upcoming_grants" in places(w, Person(ann))
    person = forget(w, ann)
    with Store.open(w.path) as store, store.transaction() as db:
        db.execute("UPDATE flexsync.answers SET body_hash = NULL")  # so that every answer is taken in again
    w.later(60)
    w.sandbox.update_customer(ann, **{**ANN, "address_line2": "Hinterhaus"})
    report = w.sync(full=full)
    assert report.status == "green", report.reasons
    assert told(w) == []
    assert places(w, person) == {}
    assert w.rows("SELECT count(*) FROM flexsync.customers_versions") == before
    row = w.rows(f"SELECT status, updated_at > created_at, email FROM customers WHERE id = '{ann}'")[0]
    assert row == ("published", True, None)
    with w.sandbox.running() as base_url:
        found = verify(w.settings(base_url=base_url), 100)
    assert (found["ok"], found["compared"], found["forgotten"]) == (True, 4, 1)


def test_an_import_of_a_forgotten_customer_tells_nothing(tmp_path: Path) -> None:
    """The outcome is recorded without external id, values and reason; that of another customer with them."""
    row = {"line": 2, "external_id": "x", "do": "update", "outcome": "done", "why": "x", "changes": "x"}
    with store_in(tmp_path) as store:
        store.forget(Person("c1"), NOON)
        store.record_import("run", NOON, iter([{**row, "id": "c1"}, {**row, "id": "c2"}]))
        query = "SELECT customer_id, outcome, external_id, why, changes FROM flexsync.import_journal ORDER BY ALL"
        assert store.rows(query) == [("c1", "done", None, None, None), ("c2", "done", "x", "x", "x")]


def test_a_rejected_answer_is_kept_without_its_body() -> None:
    """A row of a forgotten customer that does not fit is listed, and tells nothing, whichever way it is found."""
    stones = Tombstones("salt", frozenset({hashed("salt", "ann")}))

    def reject(table: str, owner: str, key: str, raw: bytes) -> Reject:
        return Reject(table, owner, key, "metadata", "secret", "secret", raw, NOON)

    rejects = [
        reject("usage", "ann", "f", b"secret"),
        reject("customers", "", "ann", b"secret"),
        reject("customer_integrations", "", "m", b'{"entity_id":"ann","x":"secret"}'),
        reject("customers", "", "", b'{"items":[{"id":"bob"},{"id":"ann"}]}'),
        reject("customers", "", "bob", b'{"id":"bob"}'),
    ]
    *withheld, other = stones.blank(Decoded(rejects=rejects)).rejects
    assert all((one.value, one.reason, one.raw) == ("", tombstones.WITHHELD, b"") for one in withheld)
    assert other is rejects[-1]


# --- publications and copies ----------------------------------------------------------------------------------------

MAIL = "c1@example.org"


def settings(folder: Path, *publish: str) -> Settings:
    return load(environ={}, store=folder / "work.duckdb", publish=publish)


def soon() -> datetime:
    """The clock of a forgetting: soon after the runs of `store_in`, so that publications still hold their histories."""
    return BEGAN + timedelta(days=1)


def holding(folder: Path) -> list[str]:
    """Every file below a folder that holds the e-mail address of customer c1, as bytes or in a column."""
    return [path.name for path in sorted(folder.rglob("*")) if path.is_file() and _holds(path)]


def _holds(path: Path) -> bool:
    if MAIL.encode() in path.read_bytes():
        return True
    if path.suffix == ".parquet":
        return MAIL in str(parquet.read_table(path).to_pylist())
    if path.suffix != ".duckdb":
        return False
    with duckdb.connect(path, read_only=True) as db:
        names = db.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        return any(db.execute(f"SELECT 1 FROM {n} t WHERE contains(t::VARCHAR, '{MAIL}')").fetchall() for (n,) in names)


def add_version(store: Store, number: int) -> None:
    """Customer c1 had that address in run `number` too."""
    given = {"run": run_id(number), "email": MAIL, "at": BEGAN + timedelta(hours=number)}
    with store.transaction() as db:
        db.execute(
            """INSERT INTO flexsync.customers_versions BY NAME SELECT 'c1' AS id, $email AS email, $at AS valid_from,
            $run AS run_id, $at AS observed_at, false AS ended""",
            given,
        )


@pytest.mark.parametrize(
    ("kind", "status"), [("duckdb", "green"), sampled("parquet", "degraded"), sampled("duckdb", "degraded")]
)
def test_publications_and_their_kept_runs_lose_the_person(tmp_path: Path, kind: str, status: str) -> None:
    """A degraded publication beside the last green one: neither holds the person afterwards, nor a restored store."""
    to, back = target(kind, tmp_path), tmp_path / "back.duckdb"
    with store_in(tmp_path) as store:
        add_version(store, 1)
        publish(store, to)
        if status == "degraded":
            end_run(store, 2, status=status)
            add_version(store, 2)
            publish(store, to)
    given = settings(tmp_path, to)
    found = job.find(given, "c1")
    files_of = {"duckdb": 1, "parquet": 2}[kind]  # a lake has the histories in files of their own
    assert len(holding(tmp_path)) == 1 + files_of * (1 if status == "green" else 2)
    assert job.forget(given, found, clock=soon) == []
    assert holding(tmp_path) == []
    with reading.open(to) as opened:
        assert opened.run.status == status
        assert opened.table("customers").num_rows == 20
        assert opened.sql("SELECT count(*) FROM customers WHERE email IS NULL").column(0).to_pylist() == [1]
        versions = "SELECT count(*), count(email) FROM customers_history"
        number = 1 if status == "green" else 2
        assert [tuple(row.values()) for row in opened.sql(versions).to_pylist()] == [(number, 0)]
    restore(to, back)
    with Store.open(back) as store:
        known = store.tombstones
    assert [name for name in ("c0", "c1", "c2") if known.names(name)] == ["c1"]


@pytest.mark.sampled
def test_a_lake_that_was_not_told_loses_the_person_when_it_is_published_to(tmp_path: Path) -> None:
    """Its target was not among the settings when the customer was forgotten: what it had holds the person."""
    to = target("parquet", tmp_path)
    with store_in(tmp_path) as store:
        add_version(store, 1)
        publish(store, to)
    job.forget(settings(tmp_path), job.find(settings(tmp_path), "c1"), clock=soon)
    with store_in(tmp_path, number=2) as store:
        publish(store, to)
        with reading.open(to) as opened:
            assert opened.sql("SELECT count(email) AS n FROM customers_history").to_pylist() == [{"n": 0}]
        end_run(store, 3)
        publish(store, to)
    assert holding(tmp_path / "lake" / "history") == []


@pytest.mark.sampled
def test_a_kept_run_goes_with_the_history_that_it_names(tmp_path: Path) -> None:
    """Its own tables tell nothing, as where the columns are left out or blank; a file of its history does."""
    to = target("parquet", tmp_path)
    with store_in(tmp_path) as store:
        add_version(store, 1)
        with store.transaction() as db:
            db.execute("UPDATE customers SET email = NULL, metadata = NULL WHERE id = 'c1'")
        publish(store, to)
    given = settings(tmp_path, to)
    assert job.forget(given, job.find(given, "c1"), clock=soon) == []
    assert holding(tmp_path) == []
    assert [path.name for path in (tmp_path / "lake" / "runs").iterdir()] == [f"{run_id(1)}.2"]


@pytest.mark.sampled
def test_copies_of_migrations_that_hold_the_person_are_removed(tmp_path: Path) -> None:
    """One from before the customer stays; one that cannot be read is named; an unfinished one goes."""
    with store_in(tmp_path, customers=1):
        pass
    work = tmp_path / "work.duckdb"
    migrations.copy_path(work, 1).write_bytes(work.read_bytes())
    with store_in(tmp_path, number=2):
        pass
    migrations.copy_path(work, 2).write_bytes(work.read_bytes())
    torn = tmp_path / "work.schema-2.duckdb~"
    torn.write_bytes(b"torn")
    (tmp_path / ".work.schema-2.duckdb.x1").write_bytes(work.read_bytes()[:9000])
    left = job.forget(settings(tmp_path), job.find(settings(tmp_path), "c1"), clock=soon)
    assert [place.where for place in left] == [str(torn)]
    assert migrations.copies(work) == [migrations.copy_path(work, 1), torn]
    assert holding(tmp_path) == []


@pytest.mark.sampled
def test_a_run_that_has_not_ended_is_not_published(tmp_path: Path) -> None:
    """The store is written anew; the publication is named as what still holds the person, and the exit code is 1."""
    to = target("duckdb", tmp_path)
    with store_in(tmp_path) as store:
        publish(store, to)
        end_run(store, 2, status="interrupted")
    done = command("forget", "c1", "--store", "work.duckdb", "--publish", to, "--yes", env=environment(), cwd=tmp_path)
    assert done.code == 1
    assert "could not be published again" in done.err
    assert holding(tmp_path) == ["out.duckdb"]


# --- asking, refusing, being killed ---------------------------------------------------------------------------------


@pytest.mark.sampled
def test_without_a_yes_nothing_changes(tmp_path: Path) -> None:
    """The places are listed before the question; after a no every byte is as it was, after a yes it is done once."""
    with store_in(tmp_path):
        pass
    migrations.copy_path(tmp_path / "work.duckdb", 2).write_bytes((tmp_path / "work.duckdb").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    words = ("forget", "c1", "--store", "work.duckdb")
    asked = command(*words, env=environment(), cwd=tmp_path, stdin="n\n")
    assert asked.code == 2
    assert "will be blanked" in asked.out
    assert "Erase customer c1?" in asked.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert command(*words, env=environment(), cwd=tmp_path, stdin="y\n").code == 0
    assert holding(tmp_path) == []
    again = command(*words, "--json", env=environment(), cwd=tmp_path)
    assert again.code == 0
    assert "was forgotten before" in again.err
    found = msgspec.json.decode(again.out)
    assert found["left"] == []
    assert {place["then"] for place in found["places"]} == {job.KEPT}


def test_a_customer_is_found_by_its_external_ids(tmp_path: Path) -> None:
    """By the present and by an earlier one; one that several had, or nobody, is refused with the way out."""
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute("UPDATE customers SET external_id = 'now' WHERE id = 'c1'")
            db.execute("UPDATE customers SET external_id = 'both' WHERE id IN ('c2', 'c3')")
            db.execute("INSERT INTO flexsync.customers_versions (id, external_id) VALUES ('c1', 'before')")
        for name in ("c1", "now", "before"):
            assert store.facts(holdings.find, name) == Person("c1", ("before", MAIL, "now"), keys=("sc1",))
        with pytest.raises(FixInput, match="c2, c3"):
            store.facts(holdings.find, "both")
        with pytest.raises(FixInput, match="nobody"):
            store.facts(holdings.find, "nobody")


def test_a_store_with_other_tables_is_refused(tmp_path: Path) -> None:
    """What Flexsync did not make would be lost, so nothing is changed."""
    with store_in(tmp_path) as store:
        with store.transaction() as db:
            db.execute("CREATE TABLE mine AS SELECT 1 AS n")
        with pytest.raises(FixInput, match=r"main\.mine"):
            store.forget(Person("c1"), NOON)
        assert store.count("SELECT count(email) FROM customers WHERE id = 'c1'") == 1


def _die(folder: str, before: bool) -> None:
    """Forget c1, and be killed right before or right after the new file gets its name."""
    rename = files.replace

    def replace(source: Path, final: Path) -> None:
        if not before:
            rename(source, final)
        os.kill(os.getpid(), signal.SIGKILL)

    files.replace = replace
    with Store.open(Path(folder) / "work.duckdb") as store:
        store.forget(Person("c1"), NOON)


@pytest.mark.sampled
def test_an_error_at_the_rename_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is attached again and whole, and no unfinished file is left."""

    def full(*_: object) -> None:
        raise OSError(28, "no room")

    with store_in(tmp_path) as store:
        monkeypatch.setattr(files, "replace", full)
        with pytest.raises(FixInput, match=r"work\.duckdb cannot be written: no room"):
            store.forget(Person("c1"), NOON)
        assert store.count("SELECT count(email) FROM customers") == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work.duckdb"]


@pytest.mark.parametrize("before", [sampled(True), sampled(False)])
def test_killed_in_the_middle_leaves_the_old_or_the_new_store(tmp_path: Path, before: bool) -> None:
    """The store opens and is whole; forgetting once more ends it, and removes what was left."""
    with store_in(tmp_path):
        pass
    process = SPAWN.Process(target=_die, args=(str(tmp_path), before))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with Store.open(tmp_path / "work.duckdb") as store:
        assert store.count("SELECT count(*) FROM customers") == 20
        assert store.count("SELECT count(email) FROM customers") == (20 if before else 19)
        store.forget(Person("c1"), NOON)
    assert holding(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work.duckdb"]


# --- files of imports -----------------------------------------------------------------------------------------------


def test_files_of_imports_that_name_the_person_are_named(tmp_path: Path) -> None:
    """Plans, journals, results and rejected rows, in every encoding; a longer id that begins alike is another one."""
    texts = {
        "people.plan": '{"external_id":"ann-1"}',
        "people.r1.journal": '{"id":"c1"}',
        "people.rejected.csv": "line,external_id\n2,ann-1\n",
        "people.r2.journal": '{"id":"c12"} ann-12 xann-1',
        "people.empty.csv": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "other.csv").write_bytes('"Jürgen@example.org"'.encode("utf-16"))
    parquet.write_table(pa.table({"line": [1], "external_id": ["ann-1"]}), tmp_path / "people.r1.results.parquet")
    names = ["c1", "ann-1", "Jürgen@example.org"]
    beside = [found.path.name for found in mentions.mentions(mentions.beside(tmp_path / "people.plan"), names)]
    assert beside == ["people.plan", "people.r1.journal", "people.r1.results.parquet", "people.rejected.csv"]
    inside = [found.path.name for found in mentions.mentions(mentions.inside(tmp_path), names)]
    assert inside == ["other.csv", *beside]
    (tmp_path / "people.torn.parquet").write_bytes(b"torn")
    assert [found.why != "" for found in mentions.mentions([tmp_path / "people.torn.parquet"], names)] == [True]


# --- what is personal -----------------------------------------------------------------------------------------------

IMPERSONAL = """id entity_id entity_type provider_type environment_id tenant_id status customer_id plan_id plan_name
    plan_lookup_key subscription_status currency billing_cycle billing_cadence billing_period pause_status
    active_pause_id commitment_duration payment_behavior collection_method proration_behavior invoicing_customer_id
    parent_subscription_id payment_terms subscription_type feature_id usage_reset_period static_values config_values
    aggregation_mode subscription_id entity_name entitlement_id static_value config_value source_entity_id
    grant_measure grant_duration_unit credit_grant_id application_status subscription_status_at_application
    valid_basis content_hash previous_confirmed_run counted_subscription_id"""


@pytest.mark.parametrize("table", [*TABLES.values(), *HISTORIES.values()], ids=lambda table: str(table.name))
def test_every_text_about_a_customer_is_decided(table: Table) -> None:
    """A new text column is declared personal, or is known here to tell of nobody."""
    texts = {column.name for column in table.columns if column.kind in (TEXT, MAP, JSON, TEXTS)}
    undecided = texts - {*personal(table), *IMPERSONAL.split()} if whose(table) else set()
    assert undecided == set()
    assert not {*personal(table)} & {*table.key, whose(table)}
