"""Histories of stores and lakes that miss nights, prune, and come back from each other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from histories import reach
from hypothesis import strategies as st
from pasts import DAY, KEYS, Kept, Past, asked, prune
from sizes import Size, few, sizes
from stores import BEGAN, KINDS, run_id, store_in, target

from connector.publications import forgetting, lake, reading
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.store.holdings import Person
from connector.store.store import Store


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with store_in(tmp_path, 0, customers=0) as store:
        yield Past(store, Random(5))


@pytest.mark.parametrize("short", few(["pruned", "restored"]))
def test_what_ended_while_a_lake_missed_nights_is_not_open_in_it(past: Past, tmp_path: Path, short: str) -> None:
    """The store has pruned the end, or came back from a file without it: the lake begins anew, without the row."""
    duckdb, to = (target(kind, tmp_path) for kind in KINDS)
    for day, mark in ((1, 1), (2, 0), (9, None)):
        past.now = BEGAN + day * DAY
        past.end(run_id(24 * day), past.now)
        for name in KEYS if mark is not None else ():
            past.rows[name].append(Kept(0, past.now, run_id(24 * day), mark or 0))
            past.write(name, past.rows[name][-1])
        if day == 1:
            publish(past.store, to)
    if short == "pruned":
        prune(past.store, past.now - DAY)
        publish(past.store, to)
    else:
        publish(past.store, duckdb, since=past.now - DAY)
        restore(duckdb, tmp_path / "back.duckdb")
        with Store.open(tmp_path / "back.duckdb") as store:
            publish(store, to)
    with reading.open(to) as opened:
        assert reach(opened) == past.now - DAY
        assert {name: asked(opened, name, past.now, None) for name in KEYS} == {name: {} for name in KEYS}
        past.check(opened)


def answers(to: str, past: Past) -> dict[tuple[str, datetime], dict[int, Any]]:
    with reading.open(to) as opened:
        assert reach(opened).year == 1
        return {(name, row.moment): asked(opened, name, row.moment, None) for name in KEYS for row in past.rows[name]}


@pytest.mark.sampled
@pytest.mark.parametrize("without", few([(), ("customers.email",)]))
def test_a_lake_keeps_what_only_it_holds_when_somebody_is_forgotten(
    past: Past, tmp_path: Path, without: tuple[str, ...]
) -> None:
    """The store came back from a file of some days: the lake loses what is personal of that customer, and no row."""
    duckdb, to = (target(kind, tmp_path) for kind in KINDS)
    for _ in range(3):
        past.run(20)
        publish(past.store, to, without)
    publish(past.store, duckdb, since=past.now - DAY)
    restore(duckdb, tmp_path / "back.duckdb")
    with Store.open(tmp_path / "back.duckdb") as past.store:
        past.run(1)
        publish(past.store, to, without)
        before, files = answers(to, past), lake.read(tmp_path / "lake").tables
        past.store.forget(Person("1"), past.now)
        forgetting.republish(past.store, to, Person("1"), without, keep_green=True)
    blank = {"customers": {1: None}, "entitlements": {1: None}}  # where the mark is a name, or an unknown field
    assert answers(to, past) == {
        key: found | {k: v for k, v in blank.get(key[0], {}).items() if k in found} for key, found in before.items()
    }
    assert not [copy for copy in forgetting.published(to, Person("1")) if copy.holds]
    for name in ("flexsync.subscriptions_versions", "flexsync.usage_figures"):
        assert lake.read(tmp_path / "lake").tables[name] == files[name]


def lineage(seed: int) -> None:
    """A store that prunes, misses publications and comes back from any of them: all answer as the runs did."""
    chance = Random(seed)
    keep, duck, number = chance.choice((0, 3, 40, 100)), chance.choice((0, 2, 20)), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with store_in(folder, 0, customers=0) as store:
            path = store.path
        past, published = Past(Store.open(path), chance), dict[str, tuple[Any, Any]]()
        for _ in range(12):
            ends = chance.random() < 0.85
            past.run(chance.choice((0.5, 1, 20, 30)), ends=ends)
            if not ends:
                continue
            if chance.random() < 0.8:
                prune(past.store, past.now + timedelta(minutes=5) - keep * DAY)
            for kind, days in (("parquet", keep), ("duckdb", min(duck, keep))):
                if chance.random() < 0.6:
                    to = target(kind, folder)
                    publish(past.store, to, since=past.now + timedelta(minutes=5) - days * DAY)
                    published[to] = list(past.runs), {name: list(rows) for name, rows in past.rows.items()}
                    with reading.open(to) as opened:
                        past.check(opened, 4)
            if published and chance.random() < 0.25:
                to, number = chance.choice(sorted(published)), number + 1
                past.store.close()
                runs, rows = published[to]
                past.runs, past.rows = list(runs), {name: list(found) for name, found in rows.items()}
                restore(to, folder / f"{number}.duckdb")
                past.store = Store.open(folder / f"{number}.duckdb")
        past.store.close()


@sizes(default=0, sampled=2, thorough=300)
def test_stores_and_lakes_that_miss_nights_answer_whatever_they_come_back_from(size: Size) -> None:
    """Seeded: nights that a lake or a file misses, pruning of every length, and restores from either."""
    size.examples(lineage, seed=st.integers(0, 2**32))
