"""A store of an older schema version becomes one of this version, whole or not at all, and its old file stays."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sizes import Size, sizes
from stores import SPAWN

import connector
from connector import files
from connector.errors import FixInput
from connector.publications import contents
from connector.publications.restore import restore
from connector.store import ddl, migrations, opening
from connector.store.store import Store
from connector.tables.histories import HISTORIES
from connector.tables.schemas import SCHEMA_VERSION

MADE = Path(__file__).parent / "versions" / "0.1.0-schema-1" / "made.tar.xz"
HISTORY = {f"flexsync.{name}" for name in HISTORIES}
RUN = "20261128T104021Z-01ff82"  # the last sync
COPY = "work.schema-1.duckdb"
Shape = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What version 0.1.0 left, unpacked once."""
    folder = tmp_path_factory.mktemp("made")
    with tarfile.open(MADE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(made: Path, tmp_path: Path) -> Path:
    """A folder with a store of schema version 1."""
    shutil.copy(made / "work.duckdb", tmp_path / "work.duckdb")
    return tmp_path


# Data tables are read and written by the names of their columns only, so their order is free: a column that a migration
# adds stands last, behind `run_id` and `observed_at`.
_SHAPE = """SELECT schema_name, table_name, CASE WHEN schema_name <> 'main'
        AND NOT list_contains($histories, table_name) THEN column_index END, column_name, data_type, comment
    FROM duckdb_columns() WHERE NOT internal AND database_name = current_database()
    UNION ALL SELECT schema_name, table_name, NULL, NULL, NULL, comment FROM duckdb_tables() ORDER BY ALL"""


def shape_of(path: Path) -> Shape:
    """Tables, columns, types and comments, and the order of columns in schema `flexsync`, histories apart."""
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(_SHAPE, {"histories": list(HISTORIES)}).fetchall()


def content_of(path: Path) -> dict[str, list[str]]:
    """The rows of every table, as sorted texts."""
    with duckdb.connect(str(path), read_only=True) as db:
        found = db.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        return {name: db.execute(_content(db, name)).fetchall()[0][0] for (name,) in found}


def _content(db: duckdb.DuckDBPyConnection, table: str) -> str:
    named = ", ".join(f'"{name}" := "{name}"' for name in sorted(columns_of(db, table)))
    return f"SELECT coalesce(list(t ORDER BY t), []) FROM (SELECT struct_pack({named})::VARCHAR AS t FROM {table})"


def columns_of(db: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """The names of a table's columns."""
    return {row[0] for row in db.execute(f"DESCRIBE {table}").fetchall()}


def widened(old: Path, new: Path) -> set[str]:
    """Tables of the new file that have more columns than in the old one, or that it did not have."""
    with duckdb.connect(str(old), read_only=True) as before, duckdb.connect(str(new), read_only=True) as now:
        there = {f"{schema}.{name}" for schema, name in before.execute(_NAMES).fetchall()}
        found = {f"{schema}.{name}" for schema, name in now.execute(_NAMES).fetchall()}
        return {name for name in found if name not in there or columns_of(before, name) != columns_of(now, name)}


_NAMES = "SELECT schema_name, table_name FROM duckdb_tables()"


def change(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as db:
        for statement in statements:
            db.execute(statement)


# --- what a migration makes -----------------------------------------------------------------------------------------


def test_a_migrated_store_is_like_one_made_now(old: Path) -> None:
    """Tables, columns and their types, and every comment are those of a new store, with the version."""
    Store.open(old / "now.duckdb").close()
    Store.open(old / "work.duckdb").close()
    assert shape_of(old / "work.duckdb") == shape_of(old / "now.duckdb")
    assert ("flexsync", "meta") in {row[:2] for row in shape_of(old / "work.duckdb")}
    with connector.open(old / "work.duckdb") as opened:
        assert opened.schema_version == str(SCHEMA_VERSION)


def test_rows_stay_and_the_customers_cursor_becomes_two(old: Path) -> None:
    """Every row of every older table is there, with NULL in new columns; each walk has the old cursor."""
    change(old / "work.duckdb", "INSERT INTO flexsync.unproven VALUES ('r', 'c', 's', 'f')")
    before = content_of(old / "work.duckdb")
    Store.open(old / "work.duckdb").close()
    now = content_of(old / "work.duckdb")
    changed = {name for name, rows in now.items() if rows != before.get(name)}
    wider = widened(old / COPY, old / "work.duckdb")
    assert {"flexsync.unproven", "flexsync.queue", "flexsync.proof_windows"} <= wider
    assert changed == {"flexsync.meta", "flexsync.cursors", "flexsync.answers", *wider}  # usage is read once more
    assert all(len(now[name]) == len(before[name]) for name in wider & set(before))
    assert len(now["flexsync.queue"]) == len(before["flexsync.queue"]) > 0
    assert all(now[name] == [] for name in ("flexsync.proof_windows", *HISTORY)), "a history begins with the next run"
    assert len(now["flexsync.unproven"]) == len(before["flexsync.unproven"]) > 0
    with connector.open(old / "work.duckdb") as opened:
        found = opened.sql("SELECT resource, run_id, cursor = full_at AS same FROM flexsync.cursors ORDER BY 1")
        cursors = opened.sql("SELECT count(DISTINCT (cursor, full_at)) AS n FROM flexsync.cursors").to_pylist()
        for column, table in (("probed", "unproven"), ("asked_at", "queue"), ("answered_at", "queue")):
            assert opened.sql(f"SELECT count({column}) AS n FROM flexsync.{table}").to_pylist() == [{"n": 0}]
    assert [(row["resource"], row["run_id"]) for row in found.to_pylist()] == [
        ("customers/archived", RUN),
        ("customers/published", RUN),
        ("subscriptions", RUN),
    ]
    assert cursors == [{"n": 1}]


def test_an_unfinished_run_of_an_older_version_is_not_resumed(old: Path) -> None:
    """It is marked as failed: its walks were read by the rules of that version."""
    change(old / "work.duckdb", f"UPDATE flexsync.runs SET status = 'interrupted' WHERE run_id = '{RUN}'")
    with Store.open(old / "work.duckdb") as store:
        assert store.rows(f"SELECT status, reasons FROM flexsync.runs WHERE run_id = '{RUN}'") == [
            ("failed", ["given up: begun by an older version"])
        ]


def test_opening_again_changes_nothing(old: Path) -> None:
    """A migrated store is opened as any other one: no copy, and `older` is None."""
    with Store.open(old / "work.duckdb") as store:
        assert store.older == old / COPY
    (old / COPY).unlink()
    with Store.open(old / "work.duckdb") as store:
        assert store.older is None
    assert not (old / COPY).exists()


def test_reading_migrates_nothing(old: Path) -> None:
    """`connector.open` reads an older store as it is: no byte of the file changes, and no copy appears."""
    before = (old / "work.duckdb").read_bytes()
    with connector.open(old / "work.duckdb") as opened:
        assert opened.schema_version == "1"
        assert set(contents.stored()) - set(opened.tables) == migrations.tables_since(1)
        assert opened.table("customers").num_rows == 60
    assert (old / "work.duckdb").read_bytes() == before
    assert not (old / COPY).exists()


# --- the copy -------------------------------------------------------------------------------------------------------


def test_the_old_file_is_kept_beside(old: Path) -> None:
    """Byte for byte, readable as the older store that it is."""
    before = (old / "work.duckdb").read_bytes()
    Store.open(old / "work.duckdb").close()
    assert (old / COPY).read_bytes() == before
    with connector.open(old / COPY) as opened:
        assert opened.schema_version == "1"


def test_what_is_only_in_the_log_is_in_the_copy(old: Path) -> None:
    """A store whose process was killed has rows in its .wal only: copy and migrated store have them."""
    (old / "killed").mkdir()
    work = old / "killed" / "work.duckdb"
    with duckdb.connect(str(old / "work.duckdb")) as db:
        db.execute("SET checkpoint_threshold = '1GB'")
        db.execute("INSERT INTO customers (id) VALUES ('late')")
        for name in ("work.duckdb", "work.duckdb.wal"):
            shutil.copy(old / name, old / "killed" / name)
    with Store.open(work) as store:
        assert store.count("SELECT count(*) FROM customers WHERE id = 'late'") == 1
    assert "late" in str(content_of(work.with_name(COPY))["main.customers"])
    assert not work.with_name(f"{COPY}.wal").exists()


def test_a_copy_that_was_never_finished_does_not_count(old: Path) -> None:
    """What a killed copy left is removed, and the file is copied anew."""
    before = (old / "work.duckdb").read_bytes()
    (old / f".{COPY}.abc123").write_bytes(before[:1000])
    Store.open(old / "work.duckdb").close()
    assert (old / COPY).read_bytes() == before
    assert not list(old.glob(f".{COPY}*"))


@pytest.mark.sampled
def test_a_copy_that_is_there_is_kept(old: Path) -> None:
    """One of the same content stays as it is; one of another time stays under another name."""
    before = (old / "work.duckdb").read_bytes()
    shutil.copy(old / "work.duckdb", old / "again.duckdb")
    Store.open(old / "work.duckdb").close()
    shutil.copy(old / "again.duckdb", old / "work.duckdb")
    Store.open(old / "work.duckdb").close()
    assert sorted(path.name for path in old.glob("work.*schema*")) == [COPY]
    change(old / "again.duckdb", "DELETE FROM usage")
    shutil.copy(old / "again.duckdb", old / "work.duckdb")
    Store.open(old / "work.duckdb").close()
    assert sorted(path.name for path in old.glob("work.*schema*")) == [COPY, f"{COPY}~"]
    assert (old / f"{COPY}~").read_bytes() == before
    assert content_of(old / COPY)["main.usage"] == []


def test_without_room_for_a_copy_nothing_is_migrated(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error that says so; the store is as it was, and opens once there is room."""
    before = (old / "work.duckdb").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FixInput, match=r"work\.schema-1\.duckdb cannot be written: No space left on device"):
            Store.open(old / "work.duckdb")
    assert (old / "work.duckdb").read_bytes() == before
    assert not list(old.glob(f"*{COPY}*"))
    with Store.open(old / "work.duckdb") as store:
        assert store.older


def test_a_failing_statement_leaves_the_store_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All statements are one transaction: after an error in the last one, the file is of the older version."""
    before = content_of(old / "work.duckdb")
    broken = (*migrations.MIGRATIONS[2], "SELECT error('broken')")
    with monkeypatch.context() as patch:
        patch.setitem(migrations.MIGRATIONS, 2, broken)
        with pytest.raises(connector.errors.OurFault, match="broken"):
            Store.open(old / "work.duckdb")
    assert content_of(old / "work.duckdb") == before
    with Store.open(old / "work.duckdb") as store:
        assert store.older


def test_a_version_that_never_was_is_refused(old: Path) -> None:
    """A store without a version, or of version 0, is left as it is."""
    change(old / "work.duckdb", "DELETE FROM flexsync.meta WHERE key = 'schema_version'")
    with pytest.raises(FixInput, match="schema version 0, which is too old"):
        Store.open(old / "work.duckdb")
    assert not (old / COPY).exists()


# --- killed ---------------------------------------------------------------------------------------------------------


class Dying:
    """A connection whose process is killed before step number `at`; steps are statements and writes to the disk."""

    def __init__(self, at: int) -> None:
        self.left, self.db = at, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def execute(self, *given: Any) -> Any:
        self.step()
        return self.db.execute(*given)  # type: ignore[attr-defined]

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _open(path: Path, at: int) -> int:
    """Open a store, and die before step `at`; returns the number of steps."""
    dying, connect, sync, replace = Dying(at), opening.connect, files.sync, files.replace

    def connected(given: Path) -> Dying:
        dying.db = connect(given)
        return dying

    def synced(given: Path) -> None:
        dying.step()
        sync(given)

    def replaced(source: Path, final: Path) -> None:
        dying.step()
        replace(source, final)

    opening.connect, files.sync, files.replace = connected, synced, replaced
    Store.open(path).close()
    return -dying.left


def _die(folders: dict[int, str], told: Any) -> None:
    """Open each store in a process of its own, to die at its point; tell how many died."""
    killed = 0
    for at, folder in folders.items():
        child = os.fork()  # cheap: no DuckDB thread runs here yet
        if child == 0:
            steps = _open(Path(folder) / "work.duckdb", at)
            Path(folder, "steps").write_text(str(steps))
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    told.put(killed)


def die(folders: dict[int, str]) -> int:
    told = SPAWN.Queue()
    process = SPAWN.Process(target=_die, args=(folders, told))
    process.start()
    found = told.get(timeout=120)
    process.join()
    return int(found)


def points(size: Size, steps: int) -> list[int]:
    """The steps to die before: most lie among the copy and the numbered statements, some among the comments."""
    first = min(steps, 14 + sum(map(len, migrations.MIGRATIONS.values())))
    numbered = size.chance().sample(range(1, first), min(size.count, first - 1))
    others = size.chance().sample(range(first, steps + 1), min(size.count // 2, steps + 1 - first))
    return sorted({*numbered, *others, steps - 1})


@sizes(default=0, sampled=16, thorough=10_000)
def test_a_migration_that_was_killed_ends_the_same(old: Path, size: Size) -> None:
    """SIGKILL before any step: the next opening gives the same tables, comments and copy as one that ran through."""
    base = old / "base"
    base.mkdir()
    for name in ("alone", "0"):
        (old / name).mkdir()
        shutil.copy(old / "work.duckdb", old / name / "work.duckdb")
    assert die({0: str(old / "0")}) == 0
    steps = int((old / "0" / "steps").read_text())
    Store.open(old / "alone" / "work.duckdb").close()
    want = content_of(old / "alone" / "work.duckdb"), shape_of(old / "alone" / "work.duckdb")
    chosen = {at: str(base / str(at)) for at in points(size, steps)}
    for folder in chosen.values():
        Path(folder).mkdir()
        shutil.copy(old / "work.duckdb", folder)
    assert die(chosen) == len(chosen)
    for at, folder in chosen.items():
        path = Path(folder) / "work.duckdb"
        Store.open(path).close()
        assert (content_of(path), shape_of(path)) == want, f"killed before step {at}"
        assert sorted(file.name for file in path.parent.iterdir()) == ["work.duckdb", COPY]
        assert path.with_name(COPY).read_bytes() == (old / "work.duckdb").read_bytes()


# --- restored -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["duckdb:billing.duckdb", "parquet:lake"])
def test_a_restored_store_equals_a_migrated_one(made: Path, old: Path, target: str) -> None:
    """A publication of schema version 1 gives the tables, rows and comments that its store has after migration."""
    kind, _, name = target.partition(":")
    restore(f"{kind}:{made / name}", old / "back.duckdb")
    Store.open(old / "work.duckdb").close()
    assert shape_of(old / "back.duckdb") == shape_of(old / "work.duckdb")
    back, work = content_of(old / "back.duckdb"), content_of(old / "work.duckdb")
    stay = {f"flexsync.{name}" for name in ddl.INTERNAL if name not in ddl.PUBLISHED} | {"flexsync.rejects"}
    assert {name for name, rows in work.items() if back[name] != rows} <= stay
    with Store.open(old / "back.duckdb") as store:
        assert store.older is None


def test_a_lake_that_lacks_an_older_table_is_refused(made: Path, old: Path) -> None:
    """Only tables that came later are made empty; one that its version had is missed."""
    shutil.copytree(made / "lake", old / "lake")
    manifest = old / "lake" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"usage":', '"usage_of_old":'))
    with pytest.raises(FixInput, match="lacks usage"):
        restore(f"parquet:{old / 'lake'}", old / "back.duckdb")
    assert not (old / "back.duckdb").exists()


def test_the_tables_of_a_migration_are_tables_of_the_ddl() -> None:
    """`tables_since` finds the tables that a version created, so that restore knows what may be missing."""
    assert migrations.tables_since(1) >= {"flexsync.proof_windows"}
    assert migrations.tables_since(SCHEMA_VERSION) == set()
    known = {*ddl.INTERNAL, *HISTORIES}
    assert {name.removeprefix("flexsync.") for name in migrations.tables_since(1)} <= known
    assert set(migrations.MIGRATIONS) == set(range(migrations.OLDEST + 1, SCHEMA_VERSION + 1))
