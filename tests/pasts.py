"""Histories without syncs: runs and their rows, written into a store, and what each question is to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from histories import TICK, reach
from stores import BEGAN, run_id

from connector.publications.reading import Reading
from connector.store import keeping
from connector.store.store import Store

DAY = timedelta(days=1)
MARKS = {"customers": "name", "subscriptions": "plan_name", "entitlements": "extra", "usage": "usage_percent"}
KEYS = {
    "customers": ("id",),
    "subscriptions": ("id",),
    "entitlements": ("customer_id", "feature_id"),
    "usage": ("customer_id", "subscription_id", "feature_id"),
}


@dataclass(frozen=True)
class Kept:
    """A row of a history: whose, since when, of which run; a mark of 0 is an end."""

    key: int
    moment: datetime
    run: str
    mark: int


@dataclass
class Past:
    """Runs and their rows, written into a store without a sync, and remembered."""

    store: Store
    chance: Random
    runs: list[tuple[str, datetime | None]] = field(default_factory=list)
    rows: dict[str, list[Kept]] = field(default_factory=lambda: {name: [] for name in KEYS})
    now: datetime = BEGAN

    def run(self, days: float, *, ends: bool = True) -> None:
        """So many days later, a run that finds changes, and ends or is given up."""
        self.now += days * DAY
        run = run_id(int((self.now - BEGAN) / timedelta(hours=1)))
        with self.store.transaction():
            if ends:
                self.end(run, self.now)
            for name in KEYS:
                for key in range(3):
                    if self.chance.random() < 0.6:
                        self._add(name, key, run)

    def end(self, run: str, began: datetime) -> None:
        ended = began + timedelta(minutes=5)
        self.runs.append((run, ended))
        self.store.db.execute(
            """INSERT INTO flexsync.runs BY NAME SELECT $run AS run_id, 'green' AS status, $began AS started_at,
            $ended AS finished_at, 'full' AS mode""",
            {"run": run, "began": began, "ended": ended},
        )

    def _add(self, name: str, key: int, run: str) -> None:
        last = next((row for row in reversed(self.rows[name]) if row.key == key), None)
        mark = 0 if last and last.mark and self.chance.random() < 0.3 else self.chance.randrange(1, 10**6)
        moment = self.now
        if name != "usage":
            moment -= self.chance.choice((-0.00001, 0, 0, 2, 40)) * DAY
        if last and name != "usage":
            moment = max(moment, last.moment + TICK)
        self.rows[name].append(Kept(key, moment, run, mark))
        self.write(name, self.rows[name][-1])

    def write(self, name: str, row: Kept) -> None:
        table = "usage_figures" if name == "usage" else f"{name}_versions"
        known = {"run_id": row.run, "observed_at": row.moment, "ended": row.mark == 0, MARKS[name]: row.mark}
        values = known | ({} if name == "usage" else {"valid_from": row.moment}) | dict.fromkeys(KEYS[name], row.key)
        names = ", ".join(f"${column} AS {column}" for column in values)
        self.store.db.execute(f"INSERT INTO flexsync.{table} BY NAME SELECT {names}", values)

    def asof(self, name: str, valid: datetime, known: datetime | None) -> dict[int, int]:
        """What the answer is: by key, the mark of the last row that was there, and known."""
        last = max((run for run, ended in self.runs if known is None or (ended and ended <= known)), default="")
        if name == "usage":
            valid = valid.replace(hour=0, minute=0, second=0, microsecond=0) + DAY - TICK
        found = {row.key: row.mark for row in self.rows[name] if row.moment <= valid and row.run <= last}
        return {key: mark for key, mark in found.items() if mark}

    def check(self, opened: Reading, questions: int = 6) -> None:
        """At moments in the kept time that matter, every answer is right."""
        since = reach(opened)
        ended = [moment for _, moment in self.runs if moment]
        for name in KEYS:
            moments = {since, self.now} | {row.moment + step for row in self.rows[name] for step in (-TICK, 0 * DAY)}
            pairs = [
                (v, k) for v in sorted(moments) for k in (since, *ended, None) if v >= since and (not k or k >= since)
            ]
            for valid, known in self.chance.sample(pairs, min(questions, len(pairs))):
                assert asked(opened, name, valid, known) == self.asof(name, valid, known), (name, valid, known)


def asked(opened: Reading, name: str, valid: datetime, known: datetime | None) -> dict[int, Any]:
    query = f"SELECT {KEYS[name][0]}::INT AS key, {MARKS[name]}::INT AS mark FROM {name}_asof($valid, known := $known)"
    found = opened.sql(query, {"valid": str(valid), "known": str(known or "infinity")}).to_pylist()
    assert len({row["key"] for row in found}) == len(found)
    return {row["key"]: row["mark"] for row in found}


def prune(store: Store, since: datetime) -> None:
    with store.transaction() as db:
        keeping.prune(db, since)
