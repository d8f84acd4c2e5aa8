"""Clocks that disagree: an age that nobody knows never counts as young, and `doctor` says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command import settings_for
from support import Bent, synced

from connector.api.client import _moment
from connector.pull.windows import resumable
from connector.sandbox import Clock, Sandbox
from connector.store.counts import Counts
from connector.store.merge import merge_features
from connector.store.store import Store
from connector.tables.decode import Answer, Reader
from pipelines import jobs
from pipelines.doctor import doctor
from pipelines.progress import Progress
from pipelines.report.status import status_line
from pipelines.status import Ages
from pipelines.sync import Options

NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAR = 4000 * DAY


@pytest.mark.parametrize(
    ("began", "ended", "max_age", "stale"),
    [
        (-MINUTE, -SECOND, HOUR, False),
        (-2 * HOUR, -HOUR, HOUR, True),
        (FAR, -SECOND, HOUR, True),  # a server's Date of 2038, once
        (FAR, -SECOND, None, True),
        (-SECOND, FAR, HOUR, True),  # this machine's own clock, once, or another machine's
        (-20 * 365 * DAY, -SECOND, HOUR, True),  # a server's Date of 1970
        (5 * MINUTE, -SECOND, HOUR, False),  # clocks differ a little
        (5 * MINUTE, -2 * SECOND, SECOND, True),  # the other clock knows better
        (11 * MINUTE, -SECOND, HOUR, True),  # more than the overlap
        (timedelta(), timedelta(), timedelta(), False),
        (-SECOND, timedelta(), timedelta(), True),
    ],
)
def test_a_negative_age_is_not_fresh(
    began: timedelta, ended: timedelta, max_age: timedelta | None, stale: bool
) -> None:
    """A copy whose run began, or ended, in the future of this machine is stale; else the larger of both ages counts."""
    ages = Ages(NOW, max_age, overlap=10 * MINUTE)
    age = ages.of(NOW + began, NOW + ended)
    assert ages.stale(age) is stale
    assert (age < timedelta()) is (max(began, ended) > 10 * MINUTE)
    assert ages.stale(None)


@pytest.fixture
def year_2038() -> Sandbox:
    """A small account whose server is in 2038."""
    return Sandbox(customers=5, seed=7, clock=Clock(datetime(2038, 1, 19, 3, 14, tzinfo=UTC)), base_time=NOW)


@pytest.mark.sampled
def test_status_after_a_run_in_2038(year_2038: Sandbox, tmp_path: Path) -> None:
    """The copy is stale however long it may be, and its line says that the age is not known."""
    store = tmp_path / "s.duckdb"
    with year_2038.running() as base_url:
        settings = settings_for(base_url, store)
        jobs.sync(settings, Options(), Progress(), clock=lambda: NOW)
    for max_age in (SECOND, 26 * HOUR, None):
        found = jobs.status(settings, max_age, clock=lambda: NOW + MINUTE)
        assert found["stale"]
        assert found["age_seconds"] < 0
        assert "ahead of this machine's clock, so its age is not known" in status_line(found, max_age)
        assert "older than" not in status_line(found, max_age)


@pytest.mark.parametrize(
    ("skew", "ok", "told"),
    [
        (timedelta(), True, "agree"),
        (-2 * SECOND, True, "agree"),
        (3 * SECOND, True, "0:00:03 ahead of this one"),
        (9 * MINUTE, True, "0:09:00 ahead of this one"),
        (-9 * MINUTE, True, "0:09:00 behind this one"),
        (11 * MINUTE, False, "0:11:00 ahead of this one, more than the overlap (0:10:00)"),
        (-11 * MINUTE, False, "0:11:00 behind this one, more than the overlap (0:10:00)"),
        (FAR, False, "4000 days, 0:00:00 ahead of this one"),
    ],
)
def test_doctor_compares_the_clocks(skew: timedelta, ok: bool, told: str, tmp_path: Path) -> None:
    """Clocks that disagree beyond the overlap are a red line with a remedy; a smaller difference is told."""
    sandbox = Sandbox(customers=1, seed=7, clock=Clock(NOW + skew), base_time=NOW - DAY)
    with sandbox.running() as base_url:
        checks = doctor(settings_for(base_url, tmp_path / "s.duckdb"), clock=lambda: NOW)
    found = next(check for check in checks if check["check"] == "clocks")
    assert (found["ok"], told in found["found"]) == (ok, True), found
    assert ok or "time server" in found["remedy"]
    assert [check["check"] for check in checks if not check["ok"]] == ([] if ok else ["clocks"])


def test_doctor_without_a_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends no `Date` is told, and is no crash."""
    monkeypatch.setattr("connector.api.client._moment", lambda _text: None)
    with Sandbox(customers=1, seed=7).running() as base_url:
        checks = doctor(settings_for(base_url, tmp_path / "s.duckdb"), clock=lambda: NOW)
    assert (checks[-1]["ok"], checks[-1]["found"]) == (True, "the server sends no Date, so every run reads everything")


@pytest.mark.parametrize(("began", "young"), [(-23 * HOUR, True), (-24 * HOUR, False), (HOUR, True), (FAR, False)])
def test_a_run_of_the_future_is_not_resumed(began: timedelta, young: bool) -> None:
    """`resume_for` holds for a run that was begun under a wrong `Date` too: its window would begin in 2038."""
    assert resumable(NOW + began, NOW, 24 * HOUR) is young


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sat, 28 Nov 2026 14:00:00 GMT", NOW),
        ("Sat, 28 Nov 2026 15:00:00 +0100", NOW),
        ("Thu, 01 Jan 1970 00:00:00 GMT", datetime(1970, 1, 1, tzinfo=UTC)),
        ("Mon, 01 Jan 0100 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Sat, 28 Nov 99999 14:00:00 GMT", None),
        ("now", None),
        ("", None),
    ],
)
def test_a_date_that_no_clock_shows_is_no_date(text: str, moment: datetime | None) -> None:
    """Such an answer is like one without a `Date`; arithmetic with it would end the run."""
    assert _moment(text) == moment


def feature(name: str, updated_at: datetime) -> pa.Table:
    body = f'''{{"customer_id": "c", "features": [{{"feature": {{"id": "f", "name": "{name}",
        "updated_at": "{updated_at:%Y-%m-%dT%H:%M:%SZ}"}}}}]}}'''
    return Reader().read([Answer("entitlements", body.encode(), NOW, "c")]).tables["features"]


@pytest.mark.parametrize(
    ("held", "sent", "wins"),
    [
        (NOW - HOUR, NOW - 2 * HOUR, "held"),  # an answer from a cache
        (NOW - HOUR, NOW - HOUR, "sent"),
        (NOW + MINUTE, NOW - HOUR, "held"),  # servers' clocks differ a little
        (NOW + FAR, NOW - HOUR, "sent"),  # written once under a wrong clock; else no edit arrived before 2037
    ],
)
def test_a_feature_of_the_future_does_not_keep_later_edits_out(
    held: datetime, sent: datetime, wins: str, tmp_path: Path
) -> None:
    """The newest `updated_at` wins, unless it lies a day beyond the answer that would replace it."""
    with Store.open(tmp_path / "s.duckdb") as store:
        for name, updated_at in (("held", held), ("sent", sent)):
            with store.transaction() as db:
                merge_features(db, feature(name, updated_at), "run", Counts())
        assert store.rows("SELECT name FROM features") == [(wins,)]


@pytest.mark.sampled
def test_a_feature_edited_by_a_server_whose_clock_is_behind(tmp_path: Path) -> None:
    """A second edit whose `updated_at` is lower than that of the first arrives in the next run."""
    w = synced(tmp_path, 12, kind=Bent, audit_sample=0)
    for name, updated_at in (("edited", "2026-11-20T13:00:00.5Z"), ("edited again", "2026-11-20T13:00:00.1Z")):

        def bend(route: str, _path: object, _query: object, body: Any, name: str = name, at: str = updated_at) -> Any:
            for entry in body["features"] if route in ("usage", "entitlements") else ():
                entry["feature"] |= {"name": name, "updated_at": at}
            return body

        w.sandbox.bend = bend
        w.later(3600)
        assert w.sync().status == "green"
        assert set(w.rows("SELECT name FROM features WHERE id IN (SELECT feature_id FROM usage)")) == {(name,)}
