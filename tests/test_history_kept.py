"""What histories lose: rows that no question about the kept time needs, in stores, in DuckDB files and in lakes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from histories import reach
from hypothesis import strategies as st
from pasts import DAY, KEYS, Kept, Past, prune
from sizes import Size, few, sizes
from stores import BEGAN, KINDS, run_id, store_in, target
from support import World, calm, empty_store

from connector.errors import FixInput
from connector.publications import lake, reading
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.settings import History, Privacy
from connector.settings import Sync as SyncSettings
from connector.store import keeping
from connector.store.store import Store
from connector.tables.histories import HISTORIES
from pipelines.summary import Report
from pipelines.sync.publishing import publish_all

pytestmark = pytest.mark.sampled  # a tenth for each commit


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with store_in(tmp_path, 0, customers=0) as store:
        yield Past(store, Random(5))


def counted(store: Store) -> list[int]:
    return [store.count(f"SELECT count(*) FROM flexsync.{name}") for name in HISTORIES]


# --- the store ------------------------------------------------------------------------------------------------------


def pruned(seed: int, runs: int) -> None:
    """Prune again and again: what is left answers as before, and it is what `needed` finds in all that there was."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.duckdb"
        empty_store(path)
        chance = Random(seed)
        with Store.open(path) as store:
            past = Past(store, chance)
            for _ in range(3):
                for _ in range(runs):
                    past.run(chance.choice((0.5, 1, 30)), ends=chance.random() < 0.8)
                for name in HISTORIES:
                    store.db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM flexsync.{name}")
                since = past.now - chance.choice((0, 1, 35, 1000)) * DAY
                prune(store, since)
                if horizon := keeping.horizon(store.db, '"store"', keeping.reach(store.db, '"store"')):
                    for name, table in HISTORIES.items():
                        query = keeping.needed(table, f"temp.main.{name}", horizon)
                        left = f"(FROM ({query}) EXCEPT ALL FROM flexsync.{name})"
                        more = f"(FROM flexsync.{name} EXCEPT ALL FROM ({query}))"
                        assert store.count(f"SELECT count(*) FROM ({left} UNION ALL {more})") == 0, name
        with reading.open(path) as opened:
            past.check(opened)


@sizes(default=2, sampled=5, thorough=1000)
def test_pruning_changes_no_answer_about_the_kept_time(size: Size) -> None:
    """On both axes; and it leaves no row that no such question needs."""
    size.examples(pruned, seed=st.integers(0, 2**32), runs=st.integers(1, 6) if size.count > 9 else st.just(4))


def test_nothing_to_prune_changes_nothing(past: Past) -> None:
    """No run had ended at that moment, or it lies before what is kept already."""
    for _ in range(3):
        past.run(10)
    before = counted(past.store)
    for since in (None, BEGAN - DAY):
        with past.store.transaction() as db:
            keeping.prune(db, since)
        assert keeping.reach(past.store.db, '"store"') is None
    assert counted(past.store) == before
    prune(past.store, past.now - DAY)
    after = counted(past.store)
    assert sum(after) < sum(before)
    prune(past.store, past.now - 5 * DAY)
    assert keeping.reach(past.store.db, '"store"') == past.now - DAY
    assert counted(past.store) == after


def test_an_open_version_stays_however_old_it_is(past: Past) -> None:
    """A row that did not change for years is there; an end stays only where it says how a row that returns is dated."""
    for name in KEYS:
        for key, marks in ((0, (1,)), (1, (1, 2)), (2, (1, 0))):
            for number, mark in enumerate(marks):
                row = Kept(key, BEGAN + number * DAY, run_id(24 * number), mark)
                past.rows[name].append(row)
                past.write(name, row)
    for day in (1, 2000):
        past.end(run_id(24 * day), BEGAN + day * DAY)
    prune(past.store, BEGAN + 1000 * DAY)
    assert dict(zip(HISTORIES, counted(past.store), strict=True)) == {
        "customers_versions": 3,
        "subscriptions_versions": 3,
        "entitlements_versions": 2,
        "usage_figures": 2,
    }


def test_a_day_whose_figure_before_was_pruned_is_not_shown(past: Past) -> None:
    """Its `used` would be the whole figure; the days of the kept time are as before."""
    for number, figure in enumerate((100, 110, 125)):
        run, at, before = run_id(24 * number), BEGAN + number * DAY, BEGAN + (number - 1) * DAY if number else None
        past.end(run, at)
        past.store.db.execute(
            """INSERT INTO flexsync.usage_figures BY NAME SELECT 'c' AS customer_id, '' AS subscription_id,
            'f' AS feature_id, $figure AS current_usage, true AS additive, false AS restated, false AS ended,
            $run AS run_id, $at AS observed_at, $before AS previous_confirmed_at""",
            {"figure": figure, "run": run, "at": at, "before": before},
        )
    daily = "SELECT used::INT, complete FROM usage_daily ORDER BY day"
    assert past.store.rows(daily) == [(10, True), (15, True)]
    prune(past.store, BEGAN + 1.5 * DAY)
    assert past.store.rows(daily) == [(15, True)]


@pytest.mark.sampled
def test_a_row_that_returns_after_the_kept_time_is_dated_by_its_return(tmp_path: Path) -> None:
    """Its `updated_at` lies before its end, which is long ago: the end is still there to say so."""
    world = World(tmp_path, calm(5), audit_sample=0, history_keep="1d")
    world.sync()
    first = world.sandbox.customer_ids()[0]
    world.sandbox.hide(first)
    for _ in range(3):
        world.later(DAY.total_seconds())
        world.sync(full=True)
    query = f"SELECT valid_from, ended FROM flexsync.customers_versions WHERE id = '{first}' ORDER BY valid_from"
    assert [ended for _, ended in world.rows(query)] == [True]
    world.sandbox.show(first)
    assert world.sync(full=True).status == "green"
    assert world.rows(query)[1:] == [(world.clock(), False)]


# --- publications ---------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_duckdb_publication_holds_what_its_time_needs(past: Past, tmp_path: Path) -> None:
    """It answers about the last days as the store does, refuses the rest, and does not grow with the nights."""
    sizes_of = []
    to = target("duckdb", tmp_path)
    for _ in range(2):
        for _ in range(8):
            past.run(5)
        written = publish(past.store, to, since=past.now - 10 * DAY)
        sizes_of.append(sum(written.rows[f"flexsync.{name}"] for name in HISTORIES))
        with reading.open(to) as opened:
            assert reach(opened) == past.now - 10 * DAY
            past.check(opened)
    assert max(sizes_of) <= 48 < sum(counted(past.store))  # three runs of the time and one row before, of 12 keys


@pytest.mark.sampled
def test_a_lake_forgets_by_the_month_and_answers(past: Past, tmp_path: Path) -> None:
    """Months before the kept time become one file of what is needed; a store can be restored from it at any time."""
    to, back = target("parquet", tmp_path), tmp_path / "back.duckdb"
    seen: list[datetime | None] = []
    for _ in range(5):
        past.run(28)
        written = publish(past.store, to, since=past.now - 20 * DAY)
        manifest = lake.read(tmp_path / "lake")
        assert len(manifest.tables["flexsync.customers_versions"].files) <= 4
        seen.append(manifest.history_since)
    assert seen == [None] * 3 + [past.now - 48 * DAY, past.now - 20 * DAY]
    publish(past.store, to, since=past.now - 25 * DAY)
    assert lake.read(tmp_path / "lake").history_since == seen[-1]  # what is gone does not come back
    assert sum(written.rows[f"flexsync.{name}"] for name in HISTORIES) < sum(counted(past.store))
    restore(to, back)
    for path in (to, back):
        with reading.open(path) as opened:
            assert reach(opened) == seen[-1]
            past.check(opened)


@pytest.mark.sampled
def test_a_lake_keeps_more_than_a_store_that_was_restored_from_less(past: Past, tmp_path: Path) -> None:
    """The store came back from a DuckDB file of some days; the lake goes on with all that it had."""
    duckdb, parquet = (target(kind, tmp_path) for kind in KINDS)
    for _ in range(6):
        past.run(5)
    publish(past.store, parquet)
    publish(past.store, duckdb, since=past.now - DAY)
    restore(duckdb, tmp_path / "back.duckdb")
    with Store.open(tmp_path / "back.duckdb") as past.store:
        past.run(1)
        publish(past.store, parquet, since=past.now - 400 * DAY)
    with reading.open(parquet) as opened:
        assert reach(opened).year == 1
        past.check(opened)


def test_the_day_before_the_kept_time_is_refused(past: Past, tmp_path: Path) -> None:
    """It ends where the kept time begins, at midnight: figures of it may be gone."""
    for _ in range(3):
        past.run(5)
    prune(past.store, past.now - 2 * DAY)
    past.store.close()
    with reading.open(tmp_path / "work.duckdb") as opened:
        assert opened.history_since == past.now - 2 * DAY
        opened.table("usage", as_of=past.now - 2 * DAY)
        with pytest.raises(FixInput, match="reaches back to 2026-01-14") as refused:
            opened.table("usage", as_of=past.now - 3 * DAY)
    assert "[history]" in refused.value.remedy


def test_what_was_known_is_asked_about_a_moment(past: Past, tmp_path: Path) -> None:
    """Without the moment, `table` would give the rows of today, whatever was known."""
    past.store.close()
    with reading.open(tmp_path / "work.duckdb") as opened, pytest.raises(FixInput, match="known= needs as_of="):
        opened.table("customers", known=past.now)


@pytest.mark.sampled
def test_a_missing_store_is_restored_from_what_holds_most(past: Past, tmp_path: Path) -> None:
    """Of two publications of one run, the lake has the longer history; readers open the first."""
    targets = [target(kind, tmp_path) for kind in KINDS]
    for _ in range(3):
        past.run(5)
    for to in targets:
        publish(past.store, to, since=past.now - DAY, clock=lambda: past.now)
    assert reading.newest(targets) == targets[0]
    assert reading.newest(targets, history=True) == targets[1]
    publish(past.store, targets[0], since=past.now - DAY, clock=lambda: past.now + DAY)
    assert reading.newest(targets, history=True) == targets[0]


@pytest.mark.sampled
def test_a_publisher_that_fails_at_the_switch_leaves_the_lake(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had merged and forgotten months already: what readers open has all of them, and the next one does it anew."""
    to = target("parquet", tmp_path)
    for _ in range(4):
        past.run(28)
        publish(past.store, to)

    def fail(*_: object) -> None:
        raise OSError(28, "no room")

    past.run(1)
    with monkeypatch.context() as patch:
        patch.setattr(lake, "_switch", fail)
        with pytest.raises(FixInput, match="no room"):
            publish(past.store, to, since=past.now - 20 * DAY)
    before = Past(past.store, past.chance, past.runs[:-1], past.rows, past.now)
    for since in (None, past.now - 20 * DAY):
        with reading.open(to) as opened:
            assert (opened.history_since is None) == (since is None)
            (past if since else before).check(opened)
        publish(past.store, to, since=past.now - 20 * DAY)
    there = {str(path.relative_to(tmp_path / "lake")) for path in (tmp_path / "lake" / "history").rglob("*.parquet")}
    manifests = [lake.of_run(folder) for folder in (tmp_path / "lake" / "runs").iterdir()]
    named = {file.path for found in manifests for entry in found.tables.values() for file in entry.files}
    assert there <= named


@pytest.mark.sampled
def test_a_lake_that_was_left_alone_says_what_it_lacks(past: Past, tmp_path: Path) -> None:
    """The store pruned rows that were never published to it, so it answers no further back than the store."""
    to = target("parquet", tmp_path)
    past.run(5)
    publish(past.store, to)
    for _ in range(4):
        past.run(5)
    prune(past.store, past.now - DAY)
    publish(past.store, to)
    with reading.open(to) as opened:
        assert opened.history_since == past.now - DAY
        past.check(opened)


@pytest.mark.parametrize("kind", few(KINDS))
def test_the_settings_say_how_far_back_publications_reach(past: Past, tmp_path: Path, kind: str) -> None:
    """`history_in_duckdb` for DuckDB files, `history_keep` for lakes."""
    for _ in range(6):
        past.run(10)
    settings = SyncSettings(publish=(target(kind, tmp_path),))
    history = History(history_in_duckdb=5 * DAY, history_keep=50 * DAY)
    publish_all(past.store, settings, Privacy(), Report(status="green"), lambda: past.now, history)
    with reading.open(target(kind, tmp_path)) as opened:
        found: Any = reach(opened)
    assert found == past.now - 5 * DAY if kind == "duckdb" else found.year == 1
