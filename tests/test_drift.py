"""Runs under every kind of drift at once: caps, clocks, late rows, deletions, archives, crowds. Green is never wrong.

After each run of a schedule (`drift.py`): no row that still exists is marked gone; a green run holds every customer and
subscription that could be read when it began and still exists; a degraded one names a cause that the schedule has.
After one more run in peace, under the same clocks and caps: every row that can be read is stored as it is, in all
columns, and nothing else is stored as existing.

What no green run excludes; the first is counted, and rare, the others are not drawn:

- In one window of `created_at`, rows were deleted by hand and as many others were missed, so their number fits. Missed
  is what appeared later than the overlap, or was edited in mid-run so often that it stayed ahead of every walk, over
  three pages past its beginning. The windows are drawn anew in every run.
- An edit that becomes visible later than the overlap: its `updated_at` lies before what is read, and no count shows it.
  The next full run brings it.
- A row that a server of the application stamps ahead of the database's clock by more than the overlap, while the
  server's `Date` and this machine's clock are ahead too: then no clock lowers the cursor.
- A customer that SQL takes back from archived to published between the two questions for its id.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

import pytest
from drift import HOUR, Account, Schedule, Wire
from memory_store import MemoryStore, drawn
from sizes import Size, sizes
from support import held, rows_of

from connector.errors import BudgetSpent
from connector.pull import windows
from connector.pull.proof_windows import Window
from connector.settings import Sync as Settings
from connector.store import listing_facts
from connector.store.store import Store
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync import Options, Sync, beginning
from pipelines.sync.lookup import load_by_ids
from pipelines.sync.session import Session

T = TypeVar("T")
Ids = dict[str, dict[str, datetime]]
LISTINGS = ("customers", "subscriptions")
CAUSES = (
    (r"existed at .*, but not the same ones", {"late", "removed", "created"}),
    (r"existed at ", {"late", "removed", "created"}),
    (r"totals are missing or never agreed", {"no total", "cap, no total", "archived", "old", "old, cap"}),
    (r"the server counts \d+ rows more than it sends", {"created", "late", "archived", "moved"}),
    (r"so many are not believed", {"removed"}),
    (r"this run had read ", {"removed"}),
)
"""What a degraded run may say, and what must have happened then."""


class Inline(Session):
    """A session whose store needs no thread."""

    async def in_store(self, work: Any, *given: Any, **named: Any) -> Any:
        return work(*given, **named)


@dataclass
class Play:
    """A schedule under way."""

    inline: ClassVar[bool] = True  # the store needs no thread of its own
    schedule: Schedule
    store: MemoryStore = field(default_factory=MemoryStore)
    accidents: int = 0
    statuses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = Account(self.schedule)
        self.existed: Ids = {}

    def to_the_end(self) -> None:
        """Play every run, then the quiet one."""
        with named_runs(), asyncio.Runner() as self.runner:
            for run in range(self.schedule.runs):
                self.account.begin(run)
                self.check(self.disturbed_run(run))
                self.rest(run)
            self.account.begin(self.schedule.runs)
            self.account.settle()
            self.existed = self.account.ids()
            report = self.attempt(self.schedule.runs, None)
            self.check(report)
            self.check_quiet(report)

    def disturbed_run(self, run: int) -> Report:
        """One run to its end, in as many attempts as it takes."""
        calls = self.schedule.stop or None
        while True:
            before, existed = self.run_id(), self.account.ids()
            try:
                with self.account.disturbed():
                    return self.attempt(run, calls)
            except BudgetSpent:
                assert calls
                calls *= 2
                self.rest(run)
            finally:
                if self.run_id() != before:
                    self.existed = existed

    def attempt(self, run: int, calls: int | None) -> Report:
        settings = Settings(
            only=LISTINGS, overlap=timedelta(seconds=self.schedule.overlap), proof_windows=1 + self.schedule.seed % 4
        )
        ahead = self.account.machine(run)
        sync = Sync(
            settings,
            cast(Any, Wire(self.account.sandbox, calls)),
            self.session_store(),
            Options(full=bool(self.schedule.full >> run & 1)),
            clock=lambda: self.account.clock().replace(microsecond=0) + ahead,
        )
        if self.inline:
            sync.session = Inline(sync.session.api, sync.store, sync.session.progress, sync.session.clock)
        return self.runner.run(sync.run())

    def session_store(self) -> Store:
        return cast(Store, self.store)

    def rest(self, run: int) -> None:
        """The time between two attempts or runs."""
        chance, overlap = self.account.chance, self.schedule.overlap
        for _ in range(chance.choice((0, 2, 6))):
            self.account.change()
            self.account.pass_by(overlap * chance.choice((0.0, 0.01, 0.4, 2.5)))
        self.account.pass_by(overlap * chance.choice((0.0, 1.5, 12.0)))

    # --- what has to hold ---

    def run_id(self) -> str:
        return self.store.ended[-1].run.run_id if self.store.ended else ""

    def stored(self, listing: str, *, gone: bool = False) -> set[str]:
        return {id for id, row in self.store.tables[listing].items() if (row.gone_at is not None) is gone}

    def check(self, report: Report) -> None:
        self.statuses.append(report.status)
        now = self.account.ids()
        for listing in LISTINGS:
            wrong = self.stored(listing, gone=True) & now[listing].keys()
            assert not wrong, f"{listing}: {sorted(wrong)} exist and are marked gone ({report.status})"
            missing = self.existed[listing].keys() & now[listing].keys() - self.stored(listing)
            if report.status == "green":
                self.check_missing(listing, {id: now[listing][id] for id in missing}, now)
        for reason in report.reasons:
            allowed = [causes for text, causes in CAUSES if re.search(text, reason)]
            happened = self.account.happened | {self.schedule.shape}
            assert [causes for causes in allowed[:1] if causes & happened], f"no cause for: {reason}; {happened}"

    def check_missing(self, listing: str, missing: dict[str, datetime], now: Ids) -> None:
        """Rows may be missing only where as many deleted ones stand in their window."""
        windows = [window for name, window in self.store.counted if name == listing]
        if self.schedule.old:  # counted as a whole
            windows = [Window(None, datetime.max.replace(tzinfo=UTC))]
        for window in windows:
            lost = [
                id for id, at in missing.items() if (window.begins is None or at >= window.begins) and at < window.ends
            ]
            kept = self.stored(listing) - now[listing].keys()
            stale = [id for id in kept if _inside(self.store.tables[listing][id].created_at, window)]
            if lost and len(lost) <= len(stale):
                self.accidents += 1
                missing = {id: at for id, at in missing.items() if id not in lost}
        assert not missing, f"{listing}: green, and {sorted(missing)} are missing"

    def check_quiet(self, report: Report) -> None:
        """Everything is stored as it is."""
        truth = self.account.truth()
        if "no total" not in self.schedule.shape and not any("not believed" in reason for reason in report.reasons):
            assert report.status == "green", report.reasons
        for listing in LISTINGS:
            rows, held = truth[listing], self.store.tables[listing]
            uncounted = "no total" in self.schedule.shape and self.schedule.late == "very late"
            if not (self.accidents or uncounted):
                assert not rows.keys() - held.keys(), f"{listing}: {sorted(rows.keys() - held.keys())} are missing"
            for id in rows.keys() & held.keys():
                assert held[id].sent == rows[id], f"{listing}: {_difference(held[id].sent, rows[id])}"
            counted = listing == "customers" or not self.schedule.old
            if report.status == "green" and counted and not self.accidents:
                assert self.stored(listing) == rows.keys(), f"{listing}: {self.stored(listing) - rows.keys()}"


def _inside(moment: datetime, window: Window) -> bool:
    return (window.begins is None or moment >= window.begins) and moment < window.ends


def _difference(held: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], **{key: (held.get(key), row[key]) for key in row if held.get(key) != row[key]}}


@contextmanager
def named_runs() -> Iterator[None]:
    """Runs are named in order, so that a schedule always draws the same windows; no run reads the package's version."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(beginning, "version", lambda _name: "0")
        numbers = itertools.count()
        patched.setattr(windows, "secrets", SimpleNamespace(token_hex=lambda _bytes: f"{next(numbers):06x}"))
        yield


def play(schedule: Schedule) -> Play:
    """Play a schedule; a failure names it."""
    played = Play(schedule)
    try:
        played.to_the_end()
    except Exception as error:
        error.add_note(repr(schedule))
        raise
    return played


# --- the double ------------------------------------------------------------------------------------------------------


class Twin(Store):
    """The real store, which draws the rows that bound its proof's windows as the double does."""

    def facts(self, work: Callable[..., T], *given: Any) -> T:
        if work is not listing_facts.created_at_random:
            return super().facts(work, *given)
        resource, number, seed = given
        rows = self.rows(f"SELECT id, created_at FROM {resource}")
        return cast(T, drawn([(id, created_at) for id, created_at in rows], number, seed))


class RealPlay(Play):
    """A schedule on the real store: it keeps what the double is compared with, and checks nothing."""

    inline = False

    def __init__(self, schedule: Schedule, store: Twin) -> None:
        super().__init__(schedule)
        self.real = store

    def session_store(self) -> Store:
        return self.real

    def run_id(self) -> str:
        return str(self.real.rows("SELECT max(run_id) FROM flexsync.runs")[0][0] or "")

    def check(self, report: Report) -> None:
        self.statuses.append(report.status)
        self.account.ids()  # as the double's check: it shows what is due, and the next changes are drawn from that

    def check_quiet(self, report: Report) -> None:
        pass


def test_the_double_takes_what_the_real_store_takes() -> None:
    """Each method of the double has the parameters of the store's method, in the same order."""
    methods = [name for name, value in vars(MemoryStore).items() if callable(value) and not name.startswith("_")]
    assert {"commit_page", "finish", "delete_child_rows"} <= set(methods)
    taken = {name: [*inspect.signature(getattr(MemoryStore, name)).parameters] for name in methods}
    assert taken == {name: [*inspect.signature(getattr(Store, name)).parameters] for name in methods}


@pytest.mark.sampled
def test_the_double_ends_as_the_real_store_does_in_a_small_account(tmp_path: Path) -> None:
    """A run under change and a quiet one, with a row deleted by hand, leave the same behind on DuckDB."""
    compare(Schedule(seed=3, people=6, shape="cap", late="late", removals=True, runs=1), tmp_path / "s.duckdb")


@pytest.mark.sampled
def test_both_stores_play_the_same_schedule(tmp_path: Path) -> None:
    """A row that is due when a run ends is there for the changes after it, whichever store is under way."""
    compare(Schedule.drawn(7431044266073), tmp_path / "s.duckdb")


def test_the_newest_row_is_missed_when_it_is_deleted_by_hand() -> None:
    """A row stamped an hour ahead, deleted by hand: T0 lies after what the store holds too, so its window differs."""
    play(
        Schedule(
            seed=73921792764665, people=3, size=8, ties=7, date=-3600, since=1, overlap=60, tick=100.0, rate=0.3,
            breath=40, late="very late", ahead=3600, removals=True, counts=True, runs=3,
        )
    )  # fmt: skip


@sizes(default=0, sampled=5, thorough=200)
def test_the_double_ends_as_the_real_store_does(size: Size, tmp_path: Path) -> None:
    """The same schedules end with the same statuses, rows, marks, integrations and cursors on DuckDB."""
    chance = size.chance()
    for number in range(size.count):
        compare(Schedule.drawn(chance.randrange(2**48)), tmp_path / f"{number}.duckdb")


def compare(schedule: Schedule, path: Path) -> None:
    """Play a schedule on the double and on the real store."""
    double = play(schedule)
    with Twin.open(path) as store:
        assert isinstance(store, Twin)
        real = RealPlay(schedule, store)
        real.to_the_end()
        assert real.statuses == double.statuses, schedule
        assert tables_of(store) == tables_in(double.store), schedule
        assert cursors_of(store) == double.store.cursors, schedule


def cursors_of(store: Store) -> dict[str, Any]:
    rows = store.rows("SELECT resource, cursor, full_at FROM flexsync.cursors")
    return {walk: (cursor, full_at) for walk, cursor, full_at in rows}


def tables_of(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = held(store)
    marks = {
        name: {
            (id,): (run_id, gone_at) for id, run_id, gone_at in store.rows(f"SELECT id, run_id, gone_at FROM {name}")
        }
        for name in LISTINGS
    }
    return {name: found[name] for name in (*LISTINGS, "customer_integrations")} | {"marks": marks}


def tables_in(store: MemoryStore) -> dict[str, Any]:
    """The double's rows, read as `truth` reads the server's."""
    found: dict[str, Any] = {}
    for name in LISTINGS:
        found[name] = rows_of(name, [row.sent for row in store.tables[name].values()])
        for id, row in store.tables[name].items():
            found[name][id,]["gone_at"] = row.gone_at
    links = [link for owned in store.integrations.values() for link in owned.values()]
    marks = {name: {(id,): (r.run_id, r.gone_at) for id, r in store.tables[name].items()} for name in LISTINGS}
    return {**found, "customer_integrations": rows_of("customer_integrations", links), "marks": marks}


# --- schedules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("people", [0, 1, 3])
def test_a_server_without_filters_shows_it_in_the_proof(people: int) -> None:
    """Where one row is all there is, only the counts show that filters are ignored: the run goes on by offset."""
    assert Schedule(seed=6, shape="old").old == "filters_ignored"
    play(Schedule(seed=6, people=people, shape="old", ties=people, runs=0))
    play(Schedule(seed=6, people=people, shape="old", ties=people, tick=0.1, rate=0.5, runs=2))


def test_a_server_without_filters_loses_a_row() -> None:
    """By offset every run reads everything, so the next run marks what was deleted by hand; it need not be full."""
    played = Play(Schedule(seed=6, people=5, shape="old", runs=0))
    played.to_the_end()
    played.account.sandbox.remove_customer(played.account.sandbox.customer_ids()[0])
    with named_runs(), asyncio.Runner() as played.runner:
        report = played.attempt(1, None)
    assert (report.status, report.mode) == ("green", "incremental")
    assert played.stored("customers") == played.account.ids()["customers"].keys()


def test_a_server_without_filters_that_only_the_counts_show_loses_a_row() -> None:
    """The second run finds out in its proof; it lists by offset, and marks the customer deleted by hand as gone too."""
    play(
        Schedule(
            seed=140070516278338, people=1, shape="old, cap", size=8, ties=7, date=3600, clock=3600, rate=1.0, breath=5,
            late="very late", removals=True, runs=1, full=4,
        )
    )  # fmt: skip


def test_rows_that_are_all_there_need_no_total() -> None:
    """Asked for several ids, a server without totals that sends each of them has answered."""
    played = Play(Schedule(people=6, shape="no total", runs=0))
    played.to_the_end()
    store = cast(Store, played.store)
    session = Inline(cast(Any, Wire(played.account.sandbox)), store, Progress(), played.account.clock)
    asyncio.run(load_by_ids(session, played.store.ended[-1].run, "customers", sorted(played.stored("customers"))))
    assert not played.stored("customers", gone=True)


@sizes(default=0, sampled=4, thorough=100)
def test_a_clock_that_is_an_hour_wrong_loses_no_edit(size: Size) -> None:
    """Server and machine an hour ahead or behind, once or always, walks longer than the overlap, edits throughout."""
    chance = size.chance()
    for date, clock, always, people in itertools.product((-HOUR, HOUR), (-HOUR, 0, HOUR), (True, False), (0, 8)):
        for _ in range(size.count):
            wrong = Schedule(date=date, date_for=0 if always else 3, clock=clock, clock_stays=always)
            play(replace(wrong, seed=chance.randrange(2**48), people=people, tick=10.0, rate=0.5, late="late"))


@sizes(default=8, sampled=500, thorough=10_000)
def test_green_is_true_under_drift(size: Size) -> None:
    """No run of any schedule is green and wrong, and one quiet run later nothing is lost."""
    chance = size.chance()
    played = [play(Schedule.drawn(chance.randrange(2**48))).accidents for _ in range(size.count)]
    assert sum(map(bool, played)) <= 2 + size.count // 100
