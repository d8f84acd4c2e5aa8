"""The last green publication stays readable while runs are degraded, and makes way for the next green one."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command import command, environment
from pyarrow import parquet
from sizes import Size, few, sampled, sizes
from stores import KINDS, SPAWN, end_run, run_id, runs_seen, store_in, target
from support import Bent, World, calm

from connector import files
from connector.errors import FixInput
from connector.publications import lake, publish, reading
from connector.publications.restore import restore
from connector.settings import Privacy, Settings
from connector.settings import Sync as SyncSettings
from connector.store.store import Store
from connector.tables.resources import RESOURCES
from pipelines import jobs
from pipelines.opening import readable
from pipelines.summary import Report
from pipelines.sync.publishing import check_targets, publish_all

EMAIL = ["customers.email"]


ONLY = ("customers", "subscriptions")


def run(store: Store, number: int, status: str, to: str, only: tuple[str, ...] = (), **given: Any) -> str | None:
    """End a run and publish it; returns the last green run. `only`: the resources that it loaded, not all."""
    end_run(store, number, status=status, only=only or tuple(RESOURCES))
    return publish.publish(store, to, **given).last_green


def seen(to: str) -> tuple[set[str], set[str]]:
    """The run that a reader sees, and the one that a reader of the last green one sees."""
    with reading.open(to) as opened, reading.open(to, green=True) as green:
        assert green.run.green
        assert green.table("customers").num_rows == green.table("usage").num_rows
        return runs_seen(opened), runs_seen(green)


@pytest.mark.parametrize("kind", few(KINDS))
def test_the_last_green_run_stays_until_the_next_one(tmp_path: Path, kind: str) -> None:
    """Green, degraded, degraded again, green: `green=True` always shows the newest green run."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        assert publish.publish(store, to).last_green == run_id(1)
        assert seen(to) == ({run_id(1)}, {run_id(1)})
        for number in (2, 3):  # a lake keeps the run before the newest: with run 3 the green one would be gone
            assert run(store, number, "degraded", to) == run_id(1)
            assert seen(to) == ({run_id(number)}, {run_id(1)})
        assert run(store, 4, "green", to) == run_id(4)
        assert seen(to) == ({run_id(4)}, {run_id(4)})
        assert not (tmp_path / "out.green.duckdb").exists()
    if kind == "parquet":
        assert {path.name for path in (tmp_path / "lake" / "runs").iterdir()} == {run_id(3), run_id(4)}
    assert not list(tmp_path.rglob(".flexsync-*"))


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_green_run_of_some_resources_does_not_replace_the_last_green_one(tmp_path: Path, kind: str) -> None:
    """`--only` after a degraded night says nothing about the other tables: the last whole green run stays."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        assert run(store, 2, "degraded", to) == run_id(1)
        for number in (3, 4):
            assert run(store, number, "green", to, only=ONLY) == run_id(1)
            assert seen(to) == ({run_id(number)}, {run_id(1)})
        settings = SyncSettings(store=store.path, publish=(to,))
        report = Report(status="green")
        publish_all(store, settings, Privacy(), report)
        assert report.notes == [f"{to}: the last green run, {run_id(1)}, stays readable (sql --green)"]
        assert run(store, 5, "green", to) == run_id(5)
        assert seen(to) == ({run_id(5)}, {run_id(5)})
        assert run(store, 6, "green", to, only=ONLY) == run_id(5)
        assert run(store, 7, "degraded", to) == run_id(5)  # neither is what came before it
    with readable(settings, green=True) as (opened, remark):
        assert runs_seen(opened) == {run_id(5)}
        assert "is not green" in remark


@pytest.mark.parametrize("kind", [sampled(kind) for kind in KINDS])
def test_what_was_never_green_is_not_made_so_by_a_part(tmp_path: Path, kind: str) -> None:
    """Degraded, then green in some resources: no green run. A store that never loaded more is whole with these."""
    to, other = target(kind, tmp_path), tmp_path / "other"
    other.mkdir()
    with store_in(tmp_path) as store:
        end_run(store, 1, status="degraded")
        assert run(store, 2, "green", to, only=ONLY) is None
        with pytest.raises(FixInput, match="holds no green run"):
            reading.open(to, green=True)
        alone = SyncSettings(store=store.path)
    with pytest.raises(FixInput, match="loaded only some resources"), readable(alone, green=True):
        pass
    with store_in(other) as store:
        end_run(store, 1, only=ONLY)
        assert run(store, 2, "green", target(kind, other), only=ONLY) == run_id(2)
        assert run(store, 3, "degraded", target(kind, other)) == run_id(2)


@pytest.mark.sampled
def test_a_night_of_some_resources_after_a_degraded_one(tmp_path: Path) -> None:
    """Whole syncs, no made runs: the last green run is the one before, until the next whole one."""
    world, to = World(tmp_path, calm(12, kind=Bent), audit_sample=0), f"duckdb:{tmp_path / 'out.duckdb'}"

    def put() -> publish.Publication:
        with Store.open(world.path) as store:
            return publish.publish(store, to)

    assert world.sync().status == "green"
    first = put().run.run_id
    world.sandbox.bend = lambda route, path, query, body: {"oops": 1} if route == "entitlements" else None
    assert world.sync().status == "degraded"
    put()
    assert world.sync(only=("customers",)).status == "green"
    assert put().last_green == first
    world.sandbox.bend = None
    assert world.sync().status == "green"
    assert put().last_green != first


@pytest.mark.parametrize("kind", ["parquet", sampled("duckdb")])
def test_without_a_green_run_there_is_none(tmp_path: Path, kind: str) -> None:
    """A first run that is degraded, or `keep_green = false`: `green=True` is refused in words, and nothing is kept."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        assert run(store, 2, "degraded", to) is None
        with pytest.raises(FixInput, match="holds no green run"):
            reading.open(to, green=True)
        run(store, 3, "green", to)
        run(store, 4, "degraded", to)
        assert run(store, 5, "degraded", to, keep_green=False) is None
        with pytest.raises(FixInput, match="holds no green run"):
            reading.open(to, green=True)
    assert not (tmp_path / "out.green.duckdb").exists()
    with reading.open(to) as opened:
        assert runs_seen(opened) == {run_id(5)}


@pytest.mark.parametrize("kind", [sampled(kind) for kind in KINDS])
def test_what_is_excluded_by_now_is_not_kept(tmp_path: Path, kind: str) -> None:
    """A green publication with a column that `exclude` names now is not kept, as it is or as a copy."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        assert run(store, 2, "degraded", to, exclude=EMAIL) is None  # run 1 was published with it
        run(store, 3, "green", to, exclude=[*EMAIL, "customers.name"])
        assert run(store, 4, "degraded", to, exclude=EMAIL) == run_id(3)
        with reading.open(to, green=True) as opened:
            assert "email" not in opened.table("customers").column_names
        assert run(store, 5, "degraded", to, exclude=[*EMAIL, "customers.contact"]) is None  # run 3 is a copy by now
    with pytest.raises(FixInput, match="holds no green run"):
        reading.open(to, green=True)
    assert not (tmp_path / "out.green.duckdb").exists()
    for path in (tmp_path / "lake").rglob("customers/*.parquet"):
        assert "email" not in parquet.read_schema(path).names


@pytest.mark.parametrize("kind", [sampled(kind) for kind in KINDS])
def test_a_reader_keeps_the_last_green_run_that_it_opened(tmp_path: Path, kind: str) -> None:
    """A reading of the kept run shows it to its end, while newer runs replace and remove it."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        run(store, 2, "degraded", to)
        with reading.open(to, green=True) as opened:
            for number, status in ((3, "green"), (4, "green")):
                run(store, number, status, to)
            assert runs_seen(opened) == {run_id(1)}
            assert opened.table("usage").num_rows == 20


@pytest.mark.parametrize("kind", [sampled(kind) for kind in KINDS])
def test_a_store_can_be_restored_beside_it(tmp_path: Path, kind: str) -> None:
    """A restored store goes on from the newest run, and its next degraded run keeps the same green one."""
    to, back = target(kind, tmp_path), tmp_path / "back.duckdb"
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        run(store, 2, "degraded", to)
    restore(to, back)
    with Store.open(back) as store:
        assert store.rows("SELECT max(run_id) FROM flexsync.runs") == [(run_id(2),)]
        assert run(store, 3, "degraded", to) == run_id(1)
        assert seen(to) == ({run_id(3)}, {run_id(1)})


@pytest.mark.sampled
def test_the_copy_of_a_file_can_be_restored(tmp_path: Path) -> None:
    """It is a publication like any other: a store that starts from it holds the green run."""
    with store_in(tmp_path) as store:
        publish.publish(store, target("duckdb", tmp_path))
        run(store, 2, "degraded", target("duckdb", tmp_path))
    restore(f"duckdb:{tmp_path / 'out.green.duckdb'}", tmp_path / "back.duckdb")
    with Store.open(tmp_path / "back.duckdb") as store:
        assert store.rows("SELECT max(run_id) FROM flexsync.runs") == [(run_id(1),)]


def test_a_run_that_is_published_again_does_not_remove_the_green_one(tmp_path: Path) -> None:
    """A store that went back to the green run publishes it into a folder of its own; the named one stays till then."""
    to = target("parquet", tmp_path)
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        shutil.copy(tmp_path / "work.duckdb", tmp_path / "before.duckdb")
    with store_in(tmp_path) as store:
        run(store, 2, "degraded", to)
        run(store, 3, "degraded", to)
        with store.transaction() as db:
            db.execute("DELETE FROM flexsync.runs WHERE run_id <> $run", {"run": run_id(1)})
        assert publish.publish(store, to).last_green == run_id(1)
    assert lake.read(tmp_path / "lake").tables["usage"].files[0].path.startswith(f"runs/{run_id(1)}.2/")


def test_a_lake_of_before_has_its_green_run_kept(tmp_path: Path) -> None:
    """A manifest that does not name the last green run yet is its own when it is green."""
    to, manifest = target("parquet", tmp_path), tmp_path / "lake" / "manifest.json"
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        for path in (manifest, tmp_path / "lake" / "runs" / run_id(1) / "manifest.json"):
            older = json.loads(path.read_text())
            del older["last_green"]
            path.write_text(json.dumps(older))
        with reading.open(to, green=True) as opened:
            assert runs_seen(opened) == {run_id(1)}
        assert run(store, 2, "degraded", to) == run_id(1)
        assert seen(to) == ({run_id(2)}, {run_id(1)})


def test_a_manifest_that_leads_outside_is_refused(tmp_path: Path) -> None:
    """`last_green` cannot name a file outside the lake."""
    with store_in(tmp_path) as store:
        publish.publish(store, target("parquet", tmp_path))
    manifest = tmp_path / "lake" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"runs/{run_id(1)}/manifest.json"', '"runs/../../x.json"'))
    with pytest.raises(FixInput, match=r"names runs/\.\./\.\./x\.json"):
        reading.open(tmp_path / "lake")


# --- what must not be replaced --------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_foreign_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    """A text, a store or another account's publication under the copy's name: refused, nothing changes."""
    to, copy = target("duckdb", tmp_path), tmp_path / "out.green.duckdb"
    (tmp_path / "other").mkdir()
    with store_in(tmp_path / "other") as other:
        with other.transaction() as db:
            db.execute("UPDATE flexsync.meta SET value = 'env_2' WHERE key = 'environment_id'")
        publish.publish(other, target("duckdb", tmp_path / "other"))
    (tmp_path / "text").write_text("hello")
    with store_in(tmp_path) as store:
        publish.publish(store, to)
        end_run(store, 2, status="degraded")
        for name in ("text", "other/work.duckdb", "other/out.duckdb"):
            copy.unlink(missing_ok=True)
            shutil.copy(tmp_path / name, copy)
            before = copy.read_bytes()
            with pytest.raises(FixInput, match=r"out\.green\.duckdb"):
                publish.publish(store, to)
            assert copy.read_bytes() == before
            with reading.open(to) as opened:
                assert runs_seen(opened) == {run_id(1)}
        end_run(store, 3)
        publish.publish(store, to)  # a green run needs no copy
        assert copy.read_bytes() == before


def test_two_files_cannot_have_one_name(tmp_path: Path) -> None:
    """A store or another target under the copy's name is refused before the run, and again when publishing."""
    names = (f"duckdb:{tmp_path / 'a.duckdb'}", f"duckdb:{tmp_path / 'a.green.duckdb'}")
    with pytest.raises(FixInput, match=r"a\.green\.duckdb is where the last green run"):
        check_targets(names, tmp_path / "work.duckdb", Privacy())
    with pytest.raises(FixInput, match=r"a\.green\.duckdb is where the last green run"):
        check_targets(names[:1], tmp_path / "a.green.duckdb", Privacy())
    with Store.open(tmp_path / "a.green.duckdb") as store, pytest.raises(FixInput, match="the working store"):
        publish.publish(store, names[0])


@pytest.mark.sampled
def test_without_hard_links_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has none, the green run is kept all the same."""

    def refused(source: object, target: object) -> None:
        raise OSError(1, "Operation not permitted")

    with store_in(tmp_path) as store, monkeypatch.context() as patch:
        publish.publish(store, target("duckdb", tmp_path))
        patch.setattr(os, "link", refused)
        assert run(store, 2, "degraded", target("duckdb", tmp_path)) == run_id(1)
    assert seen(target("duckdb", tmp_path)) == ({run_id(2)}, {run_id(1)})


# --- killed ---------------------------------------------------------------------------------------------------------


def _stepping(step: Callable[[], None]) -> None:
    """Call `step` before everything that publishing does to names on the disk."""

    def stepped(work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            step()
            return work(*given, **named)

        return wrapped

    for owner, names in ((Path, ("replace", "unlink", "rename")), (os, ("link",)), (files, ("sync", "remove"))):
        for name in names:
            setattr(owner, name, stepped(getattr(owner, name)))
    lake.replace, lake.remove = stepped(lake.replace), stepped(lake.remove)  # type: ignore[attr-defined]


def _publish(work: Path, to: str, at: int) -> None:
    """Publish, and die before step `at`; 0 counts the steps."""
    left = at

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with Store.open(work) as store:
        _stepping(step)
        publish.publish(store, to)
        (work.parent / "steps").write_text(str(-left))


def _publish_each(folders: dict[int, str], kind: str, told: Any) -> None:
    killed = 0
    for at, folder in folders.items():
        child = os.fork()  # cheap: no DuckDB thread runs here yet
        if child == 0:
            _publish(Path(folder) / "work.duckdb", target(kind, Path(folder)), at)
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    told.put(killed)


def die(folders: dict[int, str], kind: str) -> int:
    told = SPAWN.Queue()
    process = SPAWN.Process(target=_publish_each, args=(folders, kind, told))
    process.start()
    found = told.get(timeout=120)
    process.join()
    return int(found)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("duckdb", "degraded"), ("duckdb", "green"), ("parquet", "degraded"), ("parquet", "green")],
)
@sizes(default=0, sampled=4, thorough=100)
def test_a_killed_publisher_leaves_both_runs_readable(tmp_path: Path, kind: str, status: str, size: Size) -> None:
    """SIGKILL between its steps, over a green run or beside a kept one: each reader sees the old run or the new one."""
    base, to = tmp_path / "base", target(kind, tmp_path / "base")
    base.mkdir()
    with store_in(base) as store:
        publish.publish(store, to)
        if status == "green":
            run(store, 2, "degraded", to)
        end_run(store, 3, status=status)
    newest = run_id(2 if status == "green" else 1)
    shutil.copytree(base, tmp_path / "0")
    assert die({0: str(tmp_path / "0")}, kind) == 0
    steps = int((tmp_path / "0" / "steps").read_text())
    chosen = sorted(size.chance().sample(range(1, steps + 1), min(size.count, steps)))
    folders = {at: str(shutil.copytree(base, tmp_path / str(at))) for at in chosen}
    assert die(folders, kind) == len(folders)
    for at, folder in folders.items():
        after = seen(target(kind, Path(folder)))
        old, new = ({newest}, {run_id(1)}), ({run_id(3)}, {run_id(3 if status == "green" else 1)})
        assert after in (old, new), f"killed before step {at}"
        with Store.open(Path(folder) / "work.duckdb") as store:
            publish.publish(store, target(kind, Path(folder)))
        assert seen(target(kind, Path(folder))) == new
        assert not list(Path(folder).rglob(".flexsync-*"))


def _alternate(work: str, to: str, count: int, done: Any) -> None:
    """Publish so many runs, green and degraded in turn."""
    with Store.open(Path(work)) as store:
        for number in range(2, count + 2):
            run(store, number, "degraded" if number % 2 else "green", to)
    done.set()


@pytest.mark.parametrize("kind", KINDS)
@sizes(default=0, sampled=12, thorough=200)
def test_readers_always_find_a_green_run(tmp_path: Path, kind: str, size: Size) -> None:
    """While green and degraded runs are published in turn, a reader of the last green one never fails or goes back."""
    to = target(kind, tmp_path)
    with store_in(tmp_path) as store:
        publish.publish(store, to)
    done, found = SPAWN.Event(), []
    publisher = SPAWN.Process(target=_alternate, args=(str(tmp_path / "work.duckdb"), to, size.count, done))
    publisher.start()
    while not done.is_set() and publisher.is_alive():
        with reading.open(to, green=True) as opened:
            assert opened.run.green
            assert runs_seen(opened) == {opened.run.run_id}
            found.append(opened.run.run_id)
    publisher.join()
    assert publisher.exitcode == 0
    assert found == sorted(found)
    assert len(set(found)) > 2


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_publications_of_one_run_are_equally_new(tmp_path: Path) -> None:
    """All are stamped with one moment, so the first one named is restored, however long another took to write."""
    targets = tuple(target(kind, tmp_path) for kind in KINDS)
    settings = SyncSettings(store=tmp_path / "work.duckdb", publish=targets)
    with store_in(tmp_path) as store:
        publish_all(store, settings, Privacy(), Report(status="green"))
    for order in (targets, targets[::-1]):
        assert reading.newest(order) == order[0]


@pytest.mark.sampled
def test_the_commands_name_and_read_the_last_green_run(tmp_path: Path) -> None:
    """`sql --green` and `status` find it beside the store, with `--on`, and say what they read."""
    with store_in(tmp_path) as store:
        for kind in KINDS:
            publish.publish(store, target(kind, tmp_path))
            end_run(store, 1)
        end_run(store, 2, status="degraded")
        settings = SyncSettings(store=tmp_path / "work.duckdb", publish=tuple(target(kind, tmp_path) for kind in KINDS))
        report = Report(status="degraded")
        publish_all(store, settings, Privacy(), report)
        assert [note.partition(": ")[2] for note in report.notes] == [
            f"the last green run, {run_id(1)}, stays readable (sql --green)"
        ] * 2
    with readable(settings) as (opened, remark):
        assert (opened.run.run_id, remark) == (run_id(2), "")
    with readable(settings, green=True) as (opened, remark):
        assert opened.run.run_id == run_id(1)
        assert "is not green" in remark
    found = jobs.status(Settings(sync=settings), None)
    assert (found["last_green"]["run_id"], found["last_green"]["targets"]) == (run_id(1), list(settings.publish))
    assert [(one["target"], one["run_id"], one["green"]["run_id"]) for one in found["publications"]] == [
        (name, run_id(2), run_id(1)) for name in settings.publish
    ]
    query = "SELECT max(run_id) AS run FROM flexsync.runs"
    at = ("--store", settings.store, "--publish", settings.publish[0])
    done = command("sql", "--green", query, *at, "--format", "json", env=environment(), cwd=tmp_path)
    assert (done.code, done.json) == (0, [{"run": run_id(1)}]), done
    done = command("status", *at, env=environment(), cwd=tmp_path)
    assert f"last green run {run_id(1)}, published 20" in done.out
    with readable(settings, str(tmp_path / "lake"), green=True) as (opened, remark):
        assert (runs_seen(opened), remark) == ({run_id(1)}, "")
    assert f"{settings.publish[0]} holds run {run_id(2)}, degraded, published 20" in done.out
    alone = SyncSettings(store=settings.store)
    found = jobs.status(Settings(sync=alone), None)
    assert (found["last_green"]["run_id"], found["last_green"]["targets"]) == (run_id(1), [])
    with pytest.raises(FixInput, match="no publication holds a green one"), readable(alone, green=True):
        pass
    with store_in(tmp_path, 3), readable(settings, green=True) as (opened, remark):
        assert runs_seen(opened) == {run_id(1)}
        assert "a sync holds" in remark


def test_status_names_every_publication_and_a_green_run_without_any(tmp_path: Path) -> None:
    """Both that hold the last green run; one that holds another run, or none, with what it holds or why not."""
    store, targets = tmp_path / "work.duckdb", [target(kind, tmp_path) for kind in KINDS]

    def status(*publish: str) -> list[str]:
        words = [word for name in publish for word in ("--publish", name)]
        done = command("status", "--store", store, *words, env=environment(), cwd=tmp_path)
        assert done.code == 0, done.err
        return done.out.splitlines()[1 : 2 + len(publish)]

    with store_in(tmp_path) as opened:
        for name in targets:
            publish.publish(opened, name)
    assert status(*targets)[0].endswith(f" to {targets[0]} and {targets[1]}")
    assert status()[0].startswith(f"last green run {run_id(1)}, ended 2026-01-01T0")
    missing = f"duckdb:{tmp_path / 'none.duckdb'}"
    told = status(targets[0], missing)
    assert (told[0].endswith(f" to {targets[0]}"), told[1].startswith(f"{missing}: ")) == (True, True)
    with store_in(tmp_path, 2) as opened:
        end_run(opened, 2)
        publish.publish(opened, targets[0])
    told = status(*targets)
    assert told[0].startswith(f"last green run {run_id(2)}, published 20")
    assert told[0].endswith(f" to {targets[0]}")
    assert told[1].startswith(f"{targets[1]} holds run {run_id(1)}, green, published 20")
    assert status(targets[1])[0].endswith("; no publication holds it")


@pytest.mark.sampled
def test_settings_switch_it_off(tmp_path: Path) -> None:
    """`[sync] keep_green = false` publishes as before: the degraded run alone, and an older copy goes."""
    with store_in(tmp_path) as store:
        settings = SyncSettings(store=store.path, publish=(target("duckdb", tmp_path),))
        assert settings.keep_green
        publish_all(store, settings, Privacy(), Report(status="green"))
        end_run(store, 2, status="degraded")
        publish_all(store, settings, Privacy(), Report(status="degraded"))
        assert (tmp_path / "out.green.duckdb").stat().st_mode & 0o777 == 0o444
        report = Report(status="degraded")
        publish_all(store, msgspec.structs.replace(settings, keep_green=False), Privacy(), report)
    assert report.notes == []
    assert not (tmp_path / "out.green.duckdb").exists()
