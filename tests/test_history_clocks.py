"""Histories under clocks that are wrong for one night: nothing is lost, and what was known stays right."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sizes import sampled
from stores import store_in, target
from support import NOON, World, calm, empty_store

import connector
from connector.publications import lake
from connector.publications.publish import publish
from connector.store import endings
from connector.store.endings import last_known
from connector.store.store import Store
from pipelines.summary import Report
from pipelines.sync.publishing import publish_all

DAY = timedelta(days=1)


class Nights:
    """Nights of one customer, who has another name in each; the machine's clock can be wrong in one."""

    def __init__(self, folder: Path, **settings: str) -> None:
        (folder / "lake").mkdir()
        self.targets = (f"duckdb:{folder / 'out.duckdb'}", f"parquet:{folder / 'lake'}")
        self.sandbox = calm(1)
        self.world = World(folder, self.sandbox, audit_sample=0, publish=self.targets, **settings)
        self.world.clock = self.clock  # type: ignore[method-assign]
        self.off = timedelta()
        self.ended: dict[str, datetime] = {}  # by the server's clock
        (self.id,) = self.sandbox.customer_ids()

    def clock(self) -> datetime:
        return self.sandbox.clock().replace(microsecond=0) + self.off

    def night(self, name: str, days: float = 1, off: timedelta = timedelta()) -> Report:
        """So many days later, a run that finds another name; the machine's clock is off by so much."""
        self.world.later(days * 86_400)
        self.sandbox.update_customer(self.id, name=name)
        self.off = off
        report = self.world.sync()
        self.off = timedelta()
        self.ended[name] = self.clock()
        return report

    def publish(self, report: Report, off: timedelta = timedelta()) -> None:
        settings = self.world.settings()
        with Store.open(self.world.path) as store:
            publish_all(store, settings.sync, settings.privacy, report, lambda: self.clock() + off, settings.history)

    def name(self, place: str | Path, valid: datetime, known: datetime | None = None) -> str:
        with connector.open(place) as opened:
            found = opened.table("customers", as_of=valid, known=known).column("name").to_pylist()
        return str(found[0]) if found else ""

    def check_known(self, place: str | Path) -> None:
        """As of the last moment, by what was known when each night had ended, the name is that night's."""
        last = max(self.ended.values())
        for name, ended in self.ended.items():
            assert self.name(place, last, ended) == name, (place, ended)


@pytest.mark.parametrize("off", [timedelta(days=550), sampled(timedelta(days=-2000))])
def test_a_night_under_a_wrong_clock_removes_nothing(tmp_path: Path, off: timedelta) -> None:
    """Neither the store nor a publication loses what is younger than the kept time, and each answers afterwards."""
    nights = Nights(tmp_path, history_in_duckdb="400d")
    nights.publish(nights.night("first"))
    nights.publish(nights.night("wrong", 20, off), off)
    nights.publish(nights.night("after"))
    for place in (nights.world.path, *nights.targets):
        nights.check_known(place)
        assert nights.name(place, nights.ended["first"] + DAY) == "first", place


@pytest.mark.sampled
@pytest.mark.parametrize("off", [timedelta(days=-2000), timedelta(days=550), timedelta(hours=-30)])
def test_what_was_known_stays_right_after_a_night_under_a_wrong_clock(tmp_path: Path, off: timedelta) -> None:
    """A run ends no earlier than those before it and no later than those after it, whatever the clock said."""
    nights = Nights(tmp_path)
    for name, wrong in (("first", timedelta()), ("wrong", off), ("last", timedelta())):
        nights.night(name, off=wrong)
    nights.check_known(nights.world.path)


@pytest.mark.parametrize("wrong", [-2000, 20, 4000])
def test_an_end_that_a_wrong_clock_wrote_is_corrected(tmp_path: Path, wrong: int) -> None:
    """An earlier version's run that ended years before it began, or days after the next one, takes its beginning."""
    path = tmp_path / "store.duckdb"
    empty_store(path)
    with Store.open(path) as store, store.transaction() as db:
        for night in range(4):
            began = NOON + night * DAY
            ended = (began + wrong * DAY if night == 1 else began + timedelta(minutes=1)) if night < 3 else None
            given = {"run": f"run {night}", "began": began, "ended": ended}
            db.execute(
                "INSERT INTO flexsync.runs (run_id, started_at, finished_at) VALUES ($run, $began, $ended)", given
            )
        now = NOON + 3 * DAY + timedelta(minutes=1)
        assert endings.settle(db, "run 3", [now]) == now
        for night in range(3):
            known = last_known("flexsync", "$at")
            found = db.execute(known, {"at": NOON + night * DAY + timedelta(minutes=1)}).fetchall()
            assert found == [(f"run {night}",)]


@pytest.mark.sampled
def test_a_history_that_was_cut_in_the_future_heals(tmp_path: Path) -> None:
    """A store and publications that can be asked about 2029 only can be asked about now after the next run."""
    nights = Nights(tmp_path)
    report = nights.night("wrong")
    future = nights.clock() + 1000 * DAY
    with Store.open(nights.world.path) as store:
        with store.transaction() as db:
            db.execute("UPDATE flexsync.runs SET finished_at = $f WHERE run_id = $r", {"f": future, "r": report.run_id})
            db.execute("INSERT INTO flexsync.meta VALUES ('history_since', $f)", {"f": future.isoformat()})
        publish(store, nights.targets[1], clock=nights.clock)
    nights.publish(nights.night("after"))
    for place in (nights.world.path, *nights.targets):
        with connector.open(place) as opened:
            assert opened.history_since
            assert opened.history_since < nights.ended["after"], place
        nights.check_known(place)


def test_run_ids_of_a_year_to_come_stop_no_compaction(tmp_path: Path) -> None:
    """After one night under a server's clock of 2031 run ids are of that year; a lake's months are made one file."""
    to = target("parquet", tmp_path)
    with store_in(tmp_path, customers=1) as store:
        for number in range(6):  # two nights a month
            ended = NOON + timedelta(days=15 * number)
            given = {"run": f"20310601T00000{number}Z-a", "ended": ended, "id": f"c{number}"}
            with store.transaction() as db:
                db.execute(
                    """INSERT INTO flexsync.runs BY NAME SELECT $run AS run_id, 'full' AS mode, 'green' AS status,
                    $ended AS started_at, $ended AS finished_at""",
                    {"run": given["run"], "ended": ended},
                )
                db.execute(
                    """INSERT INTO flexsync.customers_versions BY NAME SELECT $id AS id, $ended AS valid_from,
                    false AS ended, $run AS run_id, $ended AS observed_at""",
                    given,
                )
            publish(store, to, keep_green=False)
    with connector.open(to) as opened:
        assert opened.sql("SELECT count(*) AS n FROM customers_history WHERE known_from > '2031'").to_pylist() == [
            {"n": 6}
        ]
    manifest = lake.read(tmp_path / "lake")
    months = {(NOON + timedelta(days=15 * number)).strftime("%Y%m") for number in range(6)}
    files = [Path(file.path).name for file in manifest.tables["flexsync.customers_versions"].files]
    assert len(files) <= len(months) + 1, files
