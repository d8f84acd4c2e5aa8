"""Places where a forgotten customer was missed: each is found and emptied, or named, and what tells nothing stays."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from command import command, environment
from pyarrow import parquet
from sizes import few
from stores import KINDS, end_run, run_id, store_in, target
from support import NOON
from test_forget import add_version, holding, settings, soon

from connector.errors import FixInput
from connector.publications import forgetting, reading
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.store import holdings
from connector.store.holdings import Person
from connector.store.store import Store
from pipelines import forget as job
from pipelines import mentions

pytestmark = pytest.mark.sampled  # further places, beside those of test_forget.py

# --- publications and their kept runs -------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_green_run_that_holds_the_person_is_not_kept_later(tmp_path: Path, kind: str) -> None:
    """Forgotten while a run was interrupted; when it ends degraded, its publication leaves nobody in older files."""
    to = target(kind, tmp_path)
    with store_in(tmp_path, customers=3) as store:
        add_version(store, 1)
        publish(store, to)
        end_run(store, 2, status="interrupted", customers=3)
    left = job.forget(settings(tmp_path, to), job.find(settings(tmp_path, to), "c1"), clock=soon)
    assert left
    assert holding(tmp_path)
    with Store.open(tmp_path / "work.duckdb") as store:
        with store.transaction() as db:
            db.execute("UPDATE flexsync.runs SET status = 'degraded' WHERE run_id = $run", {"run": run_id(2)})
        assert publish(store, to, clock=soon).last_green is None
    assert holding(tmp_path) == []


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_green_run_that_does_not_hold_the_person_stays(tmp_path: Path, kind: str) -> None:
    """The person came after it, and only the newest, degraded run holds it; it stays at the next publication too."""
    to = target(kind, tmp_path)
    with store_in(tmp_path, customers=1) as store:
        publish(store, to)
        end_run(store, 2, status="degraded", customers=3)
        publish(store, to)
    given = settings(tmp_path, to)
    assert job.forget(given, job.find(given, "c1"), clock=soon) == []
    assert holding(tmp_path) == []
    with Store.open(tmp_path / "work.duckdb") as store:
        end_run(store, 3, status="degraded", customers=1)
        assert publish(store, to, clock=soon).last_green == run_id(1)
    with reading.open(to, green=True) as opened:
        assert opened.table("customers").num_rows == 1


@pytest.mark.parametrize("kind", few(KINDS))
def test_a_publication_that_is_not_there_is_refused(tmp_path: Path, kind: str) -> None:
    """Its name is mistyped, and the real one would keep the person: nothing is changed, and none is made."""
    to = target(kind, tmp_path)
    with store_in(tmp_path, customers=3) as store:
        publish(store, to)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FixInput, match="there is no publication at") as refused:
        job.find(settings(tmp_path, to, f"{kind}:{tmp_path / 'mistyped'}"), "c1")
    assert "--publish" in str(refused.value.remedy)
    assert sorted(tmp_path.rglob("*")) == before


# --- files of folders -----------------------------------------------------------------------------------------------


def test_a_copy_of_a_lake_is_looked_into(tmp_path: Path) -> None:
    """Maps, lists and structs too, whose values Arrow does not compare; the copy of somebody else is not named."""
    texts, both = pa.list_(pa.string()), pa.map_(pa.string(), pa.string())
    columns = {
        "map": pa.array([[("n", 'ann"1')]], both),
        "list": pa.array([["x", 'ann"1']], texts),
        "struct": pa.array([{"a": {"b": ['ann"1']}}], pa.struct({"a": pa.struct({"b": texts})})),
        "key": pa.array([[('ann"1', None)]], both),
        "bytes": pa.array([b'\xff ann"1']),
        "other": pa.array([[("n", "bob")]], both),
    }
    for name, column in columns.items():
        parquet.write_table(pa.table({"n": [1], "c": column}), tmp_path / f"{name}.parquet")
    found = [(one.path.stem, one.why) for one in mentions.mentions(mentions.inside(tmp_path), ['ann"1'])]
    assert found == [(name, "") for name in sorted(columns) if name != "other"]


@pytest.mark.sampled
def test_a_folder_with_a_lake_is_named_and_the_store_is_forgotten_in(tmp_path: Path) -> None:
    """The whole command: the copy of a lake in a folder of backups is yours to remove."""
    with store_in(tmp_path, customers=3) as store:
        publish(store, target("parquet", tmp_path))
    (tmp_path / "lake").rename(tmp_path / "backups")
    found = job.find(settings(tmp_path), "c1", folders=[tmp_path / "backups"])
    left = job.forget(settings(tmp_path), found, clock=soon)
    assert {Path(place.where).parent.name for place in left} >= {"customers"}
    assert {place.then for place in left} == {job.NAMED}


def test_copies_are_known_by_what_they_hold(tmp_path: Path) -> None:
    """Backups of a DuckDB or Parquet file under any name are looked into; what is compressed is named with a reason."""
    backups = tmp_path / "backups"
    backups.mkdir()
    with store_in(tmp_path, customers=3) as store:
        publish(store, target("parquet", tmp_path))
    work, (part,) = tmp_path / "work.duckdb", (tmp_path / "lake").rglob("customers/*.parquet")
    for name in ("store.db", "store.duckdb.bak", "store.2026-11-20"):
        (backups / name).write_bytes(work.read_bytes())
    (backups / "part.old").write_bytes(part.read_bytes())
    (backups / "plan.gz").write_bytes(gzip.compress(b"c1"))
    (backups / "short").write_bytes(b"x")
    found = job.find(settings(tmp_path), "c1", folders=[backups])
    held = {Path(place.where).name: place.then for place in found.held if place.where.startswith(str(backups))}
    assert "compressed" in held.pop("plan.gz")
    assert held == dict.fromkeys(("part.old", "store.2026-11-20", "store.db", "store.duckdb.bak"), job.NAMED)
    assert {place.rows for place in found.held if place.where.endswith("store.db")} == {1}


@pytest.mark.parametrize("name", few(["Ännchen O'Neil", 'a"b/&c', "Ann@Example.org", "a\\b"], 2))
def test_a_name_is_found_however_a_file_writes_it(tmp_path: Path, name: str) -> None:
    """In other letter case, with an accent apart, and as JSON, CSV and HTML escape it; another name is not found."""
    row = io.StringIO()
    csv.writer(row).writerow(["1", name, json.dumps({"e": name})])
    texts = {
        "page.html": f"<td>{html.escape(name)}</td>",
        "page39.html": f"<td>{html.escape(name).replace('&#x27;', '&#39;')}</td>",
        "rejected.csv": row.getvalue(),
        "ascii.json": json.dumps({"e": name}),
        "slash.json": json.dumps({"e": name}).replace("/", "\\/"),
        "lower.csv": name.lower(),
        "upper.csv": name.upper(),
        "apart.csv": unicodedata.normalize("NFD", name),
        "longer.csv": f"x{name}",
    }
    for file, text in texts.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    found = {one.path.name for one in mentions.mentions(mentions.inside(tmp_path), [name])}
    assert found == {*texts} - {"longer.csv"}


# --- the store ------------------------------------------------------------------------------------------------------

CLAIMED = "external_id 'ann@example.org' belongs to c1. Free it in a plan of its own first."
JOURNAL = (
    # id, action, external id, why, changes, and what is left of the three
    ("c2", "conflict", "ann@example.org", CLAIMED, "", (None, None, "")),
    ("c1", "update", "x", "x", "x", (None, None, None)),
    (
        "typo",
        "conflict",
        "ann@example.org",
        "no customer has the id 'typo'.",
        "",
        (None, "no customer has the id 'typo'.", ""),
    ),
    ("", "create", "ann@example.org ", "", '{"name":[null,"Ann"]}', (None, None, None)),
    (None, "create", "ann3", "", '{"email":[null,"ANN@Example.org"]}', (None, None, None)),
    (
        "c3",
        "create",
        "ann",
        "c1 had this external_id and is archived: a new customer is made.",
        "{}",
        ("ann", None, "{}"),
    ),
    ("c4", "update", "o", "", '{"email":["ann@example.org","n"]}', ("o", "", None)),
    ("c5", "update", "ann@example.org.uk", "it has 'family@example.org'.", "c12", "kept"),
)


@pytest.mark.sampled
def test_the_journal_names_the_person_in_no_row_of_others(tmp_path: Path) -> None:
    """Rows that stand under another, a mistyped or no id lose what tells of the person, and nothing of the others."""
    with store_in(tmp_path, customers=6) as store:
        with store.transaction() as db:
            db.execute("UPDATE customers SET external_id = 'ann@example.org' WHERE id = 'c1'")
            db.execute("UPDATE customers SET email = 'family@example.org' WHERE id IN ('c1', 'c5')")
            for line, (id, action, name, why, changes, _) in enumerate(JOURNAL):
                db.execute(
                    """INSERT INTO flexsync.import_journal (line, customer_id, action, external_id, why, changes)
                    VALUES ($line, $id, $action, $name, $why, $changes)""",
                    {"line": line, "id": id, "action": action, "name": name, "why": why, "changes": changes},
                )
        person = store.facts(holdings.find, "ann@example.org")
        assert person.names == ("ann@example.org", "family@example.org", "x")
        assert store.facts(holdings.find, "c2").names == ("c2@example.org",)
        sources = {"flexsync.import_journal": "flexsync.import_journal"}
        assert store.facts(holdings.places, person, sources) == {"flexsync.import_journal": len(JOURNAL) - 1}
        store.forget(person, NOON)
        assert store.facts(holdings.places, person, sources) == {}
        found = store.rows("SELECT external_id, why, changes FROM flexsync.import_journal ORDER BY line")
    assert found == [row[2:5] if row[5] == "kept" else row[5] for row in JOURNAL]


def test_a_name_that_is_a_common_word_takes_nothing_from_others(tmp_path: Path) -> None:
    """The external id is 42: rows of others keep what holds that number, and are listed; what quotes it is lost."""
    told = [
        ("c2", "update", "EU/42", "HTTP 500 after 42 s", '{"address_line1":["Hill 1","Main Street 42"]}'),
        ("c3", "update", "42", "external_id '42' belongs to c1.", '{"external_id":["42","43"]}'),
        ("c4", "conflict", "42", "it is archived", ""),
    ]
    left = [told[0][2:], ("42", None, None), (None, "it is archived", "")]
    with store_in(tmp_path, customers=6) as store:
        with store.transaction() as db:
            db.execute("UPDATE customers SET external_id = '42' WHERE id = 'c1'")
            for line, row in enumerate(told):
                db.execute(
                    """INSERT INTO flexsync.import_journal (line, customer_id, action, external_id, why, changes)
                    VALUES ($line, $id, $action, $name, $why, $changes)""",
                    dict(zip(("line", "id", "action", "name", "why", "changes"), (line, *row), strict=True)),
                )
        person = store.facts(holdings.find, "c1")
        assert store.facts(holdings.places, person, {"flexsync.import_journal": "flexsync.import_journal"}) == {
            "flexsync.import_journal": 2
        }
    found = job.find(settings(tmp_path), "c1")
    assert [(place.rows, place.then) for place in found.places if "journal" in place.where] == [
        (2, job.BLANKED),
        (1, job.ALIKE),
    ]
    job.forget(settings(tmp_path), found, clock=soon)
    with Store.open(tmp_path / "work.duckdb") as store:
        assert store.rows("SELECT external_id, why, changes FROM flexsync.import_journal ORDER BY line") == left


def test_an_import_that_is_recorded_later_does_not_bring_the_person_back(tmp_path: Path) -> None:
    """Its conflicts name the forgotten customer by id, and hold the external id that another row wanted."""
    row = {"line": 2, "id": "c2", "do": "conflict", "outcome": "conflict", "external_id": "ann", "changes": ""}
    other = {**row, "line": 3, "do": "create", "why": "c1 had this external_id and is archived"}
    with store_in(tmp_path, customers=3) as store:
        store.forget(Person("c1"), NOON)
        rows = [{**row, "why": "external_id 'ann' belongs to c1."}, other, {**row, "line": 4, "why": "belongs to c0."}]
        store.record_import("run", NOON, iter(rows))
        query = "SELECT external_id, why, changes FROM flexsync.import_journal ORDER BY line"
        assert store.rows(query) == [(None, None, None), ("ann", None, ""), ("ann", "belongs to c0.", "")]


@pytest.mark.sampled
def test_rejects_of_the_persons_subscriptions_are_found_without_a_body(tmp_path: Path) -> None:
    """As in a restored store and in publications: by their key; where nothing says whose they are, they are blanked."""
    kept, lost = ["c2", "f", "s_body", "sc2"], ["m1", "s_named", "s_own", "s_unknown"]
    rejects = {"c2": "customers", "f": "features", "m1": "customer_integrations"}
    to = target("duckdb", tmp_path)
    with store_in(tmp_path, customers=3) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO subscriptions (id, customer_id) VALUES ('s_own', 'c1')")
            db.execute("INSERT INTO customer_integrations (id, entity_id) VALUES ('m1', 'c1')")
            for key in (*kept, *lost):
                db.execute(
                    """INSERT INTO flexsync.rejects (table_name, owner, key, value, reason, raw)
                    VALUES ($table, '', $key, 'secret', '', $raw)""",
                    {
                        "table": rejects.get(key, "subscriptions"),
                        "key": key,
                        "raw": {"s_body": b'"c2"', "s_named": b'"c1"'}.get(key),
                    },
                )
        publish(store, to)
        person = store.facts(holdings.find, "c1")
        assert person.keys == ("m1", "s_named", "s_own", "s_unknown", "sc1")
        assert [copy.rows for copy in forgetting.published(to, person)] == [1 + len(lost)]
        store.forget(person, NOON)
        found = store.rows("SELECT key, value FROM flexsync.rejects ORDER BY key")
    assert found == sorted([*((key, "secret") for key in kept), *((key, "") for key in lost)])


def test_a_version_that_lacks_columns_stays_so(tmp_path: Path) -> None:
    """Forgotten between a restore with columns left out and the sync that fills them: no made-up version follows."""
    with store_in(tmp_path, customers=3) as store:
        with store.transaction() as db:
            for key, hashed in (("s1", None), ("s2", "'h'")):
                db.execute(
                    f"""INSERT INTO flexsync.subscriptions_versions (id, customer_id, lookup_key, content_hash, ended)
                    VALUES ('{key}', 'c1', 'ann', {hashed or "NULL"}, false)"""
                )
        store.forget(Person("c1"), NOON)
        query = """SELECT id, lookup_key, content_hash IS NULL, content_hash IS DISTINCT FROM 'h'
            FROM flexsync.subscriptions_versions ORDER BY id"""
        assert store.rows(query) == [("s1", None, True, True), ("s2", None, False, True)]


OWN = (
    "CREATE VIEW mine AS SELECT id FROM customers",
    "CREATE MACRO flexsync.mine(x) AS x + 1",
    "CREATE MACRO mine(x) AS TABLE SELECT x",
    "CREATE SEQUENCE mine",
    "CREATE TYPE mine AS ENUM ('a')",
    "CREATE INDEX mine ON customers (id)",
)


@pytest.mark.parametrize("statement", few(OWN))
def test_a_store_with_views_of_ones_own_is_refused(tmp_path: Path, statement: str) -> None:
    """Views, macros, sequences, types and indexes would be lost, as tables would."""
    with store_in(tmp_path, customers=3) as store:
        with store.transaction() as db:
            db.execute(statement)
        with pytest.raises(FixInput, match=r"\.mine"):
            store.forget(Person("c1"), NOON)


@pytest.mark.sampled
def test_without_a_store_the_publications_lose_the_person_too(tmp_path: Path) -> None:
    """As in a container: the store is restored from the newest publication, and says so; a later one has nobody."""
    to = target("duckdb", tmp_path)
    with store_in(tmp_path, customers=3) as store:
        add_version(store, 1)
        publish(store, to)
    (tmp_path / "work.duckdb").unlink()
    words = ("forget", "c1", "--store", "work.duckdb", "--publish", to)
    done = command(*words, "--yes", env=environment(), cwd=tmp_path)
    assert done.code == 0, done.err
    assert f"work.duckdb was missing: restored from {to}" in done.err
    assert holding(tmp_path) == []
    (tmp_path / "work.duckdb").unlink()
    restore(to, tmp_path / "work.duckdb")
    with Store.open(tmp_path / "work.duckdb") as store:
        assert store.tombstones.names("c1")
