"""A slow, plain model of the histories, made from what the tables held after every run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import World

import connector
from connector.errors import BudgetSpent, FixInput
from connector.publications.reading import Reading
from pipelines.summary import Report

Key = tuple[Any, ...]
Row = dict[str, Any]
KEYS = {
    "customers": ("id",),
    "subscriptions": ("id",),
    "entitlements": ("customer_id", "feature_id"),
    "usage": ("customer_id", "feature_id"),
    "subscription_usage": ("subscription_id", "feature_id"),
}
VERSIONED = ("customers", "subscriptions", "entitlements")
FIGURE = ("current_usage", "total_limit", "usage_percent", "next_usage_reset_at", "never_resets")
NOT_CONTENT = {"updated_at", "updated_by", "gone_at", "run_id", "observed_at"}
TICK = timedelta(microseconds=1)
EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class Attempt:
    """What the tables held after a run, or after a part of one.

    Attributes:
        run: its id.
        at: the server's clock meanwhile; it stands still.
        ended: when it finished, by our clock; None if it was killed.
        tables: the rows by key, but for those that are gone.
        gone: id of a customer or subscription that this run found gone -> when it says so.
    """

    run: str
    at: datetime
    ended: datetime | None
    tables: dict[str, dict[Key, Row]]
    gone: dict[str, datetime]

    def missed(self, key: Key) -> datetime:
        """When a row was missed that is not there any more: with its customer, or with an answer."""
        return self.gone.get(key[0], self.at)


@dataclass
class Version:
    """A row as a run found it, or its end (`row` is None)."""

    run: str
    valid_from: datetime
    basis: str
    row: Row | None
    written: datetime | None = None
    """`updated_at` with which it was seen last: what changes later without moving that was not written then."""

    def __post_init__(self) -> None:
        self.saw(self.row)

    def saw(self, row: Row | None) -> None:
        self.written = row.get("updated_at") if row else None


@dataclass
class Diary:
    """Runs of a world, and what each of them found."""

    world: World
    attempts: list[Attempt] = field(default_factory=list)

    def sync(self, **given: Any) -> Report | None:
        """Run, and remember; None if the run was killed."""
        report = None
        try:
            report = self.world.sync(**given)
        except BudgetSpent:
            assert "max_calls" in given
        self.attempts.append(self._remember())
        return report

    def _remember(self) -> Attempt:
        with connector.open(self.world.path) as opened:
            tables = {name: _keyed(opened, name, key) for name, key in KEYS.items()}
            sources = opened.sql("SELECT customer_id, feature_id, count(*) AS n FROM entitlement_sources GROUP BY ALL")
            found = opened.sql("SELECT run_id, finished_at FROM flexsync.runs ORDER BY run_id DESC LIMIT 1")
            run, ended = found.to_pylist()[0].values()
            gone = "SELECT id, gone_at FROM {0} WHERE gone_at IS NOT NULL AND run_id = $run"
            both = " UNION ALL ".join(gone.format(name) for name in ("customers", "subscriptions"))
            missed = {row["id"]: row["gone_at"] for row in opened.sql(both, {"run": run}).to_pylist()}
        for row in sources.to_pylist():
            if row["n"] > 1 and (row["customer_id"], row["feature_id"]) in tables["entitlements"]:
                tables["entitlements"][row["customer_id"], row["feature_id"]]["drawn"] = True
        return Attempt(run, self.world.clock(), ended, tables, missed)

    @property
    def runs(self) -> list[Attempt]:
        """The runs that ended, oldest first."""
        return [attempt for attempt in self.attempts if attempt.ended]

    def known(self, moment: datetime) -> str:
        """The last run that had ended at a moment; "" if none had."""
        return max((a.run for a in self.runs if a.ended and a.ended <= moment), default="")


def _keyed(opened: Reading, name: str, key: Key) -> dict[Key, Row]:
    rows = opened.table(name).to_pylist(maps_as_pydicts="strict")
    return {tuple(row[part] for part in key): row for row in rows if row.get("gone_at") is None}


# --- the model ------------------------------------------------------------------------------------------------------


def same(old: Row | None, new: Row | None) -> bool:
    """Whether a row has the content of a version: the reset period is none while several sources let it be drawn."""
    if old is None or new is None:
        return old is new
    without = NOT_CONTENT | {"drawn"} | ({"usage_reset_period"} if "drawn" in new else set())
    return all(old[name] == value for name, value in new.items() if name not in without)


def same_figure(old: Row | None, new: Row | None) -> bool:
    """Whether a figure, its limit, its window and the subscription that was counted are those of before."""
    if old is None or new is None:
        return old is new
    window = () if new["never_resets"] else ("current_period_start",)  # one window, whichever period it is
    return _counted(old) == _counted(new) and all(old[name] == new[name] for name in (*FIGURE, *window))


def _counted(row: Row) -> str:
    """The subscription that a figure is about, in a row of a table or of a history."""
    return str(row.get("counted_subscription_id", row["subscription_id"]))


def versions(diary: Diary, name: str) -> dict[Key, list[Version]]:
    """Every version of every row of a table, oldest first."""
    equal: Callable[[Row | None, Row | None], bool] = same if name in VERSIONED else same_figure
    found: dict[Key, list[Version]] = {}
    for attempt in diary.attempts:
        now = attempt.tables[name]
        for key in now.keys() | found.keys():
            known = found.setdefault(key, [])
            own = known.pop() if known and known[-1].run == attempt.run else None
            last, row = known[-1] if known else None, now.get(key)
            if equal(last.row if last else None, row):
                if last:
                    last.saw(row)
                continue
            known.append(own if own and equal(own.row, row) else _version(attempt, key, last, row))
            known[-1].saw(row)
    return found


def _version(attempt: Attempt, key: Key, last: Version | None, row: Row | None) -> Version:
    earliest = last.valid_from + TICK if last else datetime.min.replace(tzinfo=UTC)
    if row is None:
        return Version(attempt.run, max(attempt.missed(key), earliest), "observed_at", None)
    written, seen = row.get("updated_at"), row["observed_at"]
    if row["run_id"] != attempt.run and last:  # other rows than its own changed what is known of it
        seen = attempt.at
    moved = last is None or last.row is None or last.written is None or (written and written > last.written)
    if written and moved and written >= earliest and written < seen + timedelta(seconds=1):
        return Version(attempt.run, written, "updated_at", row)
    return Version(attempt.run, max(seen, earliest), "observed_at", row)


def asof(found: dict[Key, list[Version]], valid: datetime, run: str) -> dict[Key, Version]:
    """The rows that were true at a moment, by what was known when a run had ended."""
    shown = {}
    for key, known in found.items():
        told = [version for version in known if version.run <= run and version.valid_from <= valid]
        if told and told[-1].row is not None:
            shown[key] = told[-1]
    return shown


# --- the product ----------------------------------------------------------------------------------------------------


def check_intervals(opened: Reading) -> None:
    """Versions of a key follow each other without a gap inside or an overlap, on both axes, and none is empty."""
    for name in VERSIONED:
        keys = " AND ".join(f"a.{key} = b.{key}" for key in KEYS[name])
        empty = f"SELECT * FROM {name}_history WHERE valid_to <= valid_from OR known_to <= known_from"
        assert opened.sql(empty).num_rows == 0, name
        for axis in ("valid", "known"):
            overlaps = f"""SELECT a.* FROM {name}_history a JOIN {name}_history b ON {keys}
                AND a.{axis}_from < b.{axis}_from AND (a.{axis}_to IS NULL OR a.{axis}_to > b.{axis}_from)"""
            assert opened.sql(overlaps).num_rows == 0, (name, axis)
        twice = f"SELECT 1 FROM {name}_history GROUP BY {', '.join(KEYS[name])}, known_from HAVING count(*) > 1"
        assert opened.sql(twice).num_rows == 0, name
    wrong = """SELECT * FROM usage_history WHERE last_confirmed_run < run_id OR last_confirmed_at < observed_at
        OR restated AND total_limit IS NULL AND current_usage IS NULL"""
    assert opened.sql(wrong).num_rows == 0
    key = "customer_id, subscription_id, feature_id"
    late = f"""SELECT * FROM (SELECT *, lead(run_id) OVER (PARTITION BY {key} ORDER BY run_id) AS following
        FROM usage_history) WHERE last_confirmed_run > following OR following = run_id"""
    assert opened.sql(late).num_rows == 0


def shown(opened: Reading, name: str, as_of: datetime, known: datetime | None) -> dict[Key, Row]:
    """The rows of `table(…, as_of, known)`, by key."""
    rows = opened.table(name, as_of=as_of, known=known).to_pylist(maps_as_pydicts="strict")
    found = {tuple(row[part] for part in KEYS[name]): row for row in rows}
    assert len(found) == len(rows), f"{name}: a key stands twice"
    return found


def reach(opened: Reading) -> datetime:
    """How far back histories can be asked."""
    found = opened.sql("SELECT max(value) AS since FROM flexsync.meta WHERE key = 'history_since'").to_pylist()
    return datetime.fromisoformat(found[0]["since"] or "0001-01-01T00:00:00+00:00")


def check_beyond(opened: Reading) -> None:
    """A moment before the kept time is refused, on both axes; the moment itself is answered."""
    since = reach(opened)
    if since.year == 1:
        return
    before = since - TICK
    for name in VERSIONED:
        for valid, known in ((before, None), (since, before)):
            with pytest.raises(FixInput, match="reaches back to"):
                opened.table(name, as_of=valid, known=known)
        opened.table(name, as_of=since, known=since)
    with pytest.raises(FixInput, match="reaches back to"):
        opened.table("usage", as_of=since - timedelta(days=1))
    opened.table("usage", as_of=since, known=since)


def check_earlier(opened: Reading, diary: Diary) -> None:
    """As of each run in the kept time, by what was known when it had ended, the rows are those that it left."""
    since = reach(opened)
    for run in diary.runs:
        assert run.ended
        if run.ended < since:
            continue
        moment = max(run.ended, run.at + timedelta(seconds=1))
        for name in KEYS:
            have, want = shown(opened, name, moment, run.ended), run.tables[name]
            assert have.keys() == want.keys(), (run.run, name)
            equal = same if name in VERSIONED else same_figure
            for key, row in want.items():
                assert equal(have[key], row), (run.run, name, have[key], row)


def check_model(opened: Reading, diary: Diary, chance: random.Random, most: int) -> None:
    """At `most` pairs of moments that matter, in the kept time, what is shown is what the model shows."""
    since = reach(opened)
    models = {name: versions(diary, name) for name in KEYS}
    knowns = [moment for run in diary.runs if run.ended for moment in (run.ended, run.ended - TICK)]
    asked = [since, *(known for known in knowns if known >= since), EVER]
    for name, valid, known in _pairs(models, diary, asked, since, chance, most):
        model = asof(models[name], _end_of(name, valid), diary.known(known))
        have = shown(opened, name, valid, None if known is EVER else known)
        assert have.keys() == model.keys(), (name, valid, known)
        for key, version in model.items():
            _check_version(name, have[key], version)


def _end_of(name: str, moment: datetime) -> datetime:
    """Figures are asked for by day."""
    if name in VERSIONED:
        return moment
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - TICK


def _pairs(
    models: dict[str, dict[Key, list[Version]]],
    diary: Diary,
    knowns: list[datetime],
    since: datetime,
    chance: random.Random,
    most: int,
) -> Iterator[tuple[str, datetime, datetime]]:
    ends = {run.ended for run in diary.runs if run.ended}
    for name, model in models.items():
        begun = {version.valid_from for known in model.values() for version in known}
        moments = {since} | {moment + step for moment in ends | begun for step in (-TICK, timedelta(0), TICK)}
        pairs = [(name, valid, known) for valid in sorted(moments) if valid >= since for known in knowns]
        yield from chance.sample(pairs, min(most, len(pairs)))


def _check_version(name: str, have: Row, version: Version) -> None:
    assert version.row is not None
    if name not in VERSIONED:
        assert same_figure(have, version.row), (have, version)
        assert (have["run_id"], have["observed_at"]) == (version.run, version.valid_from)
        return
    assert same(have, version.row), (name, have, version)
    assert (have["run_id"], have["valid_from"]) == (version.run, version.valid_from), (name, have, version)
