"""Walks against an adversary that changes the account between any two calls: nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import strategies as st
from sizes import Size, sizes
from support import NOON, Direct, World, assert_exact, calm, held, truth

from connector.api import calls
from connector.pull import pages
from connector.pull.pages import Page, PageSize, Walk, walk
from connector.pull.proof_windows import Window
from connector.sandbox import Clock, Sandbox
from connector.sandbox.data.table import GONE
from connector.store.store import Store
from pipelines.progress import Progress
from pipelines.sync import walks
from pipelines.sync.proving import count_customers
from pipelines.sync.session import Session

STATUSES = ("published", "archived")
Seen = dict[str, tuple[datetime, str]]  # id -> updated_at, status


class Adversary:
    """Changes the account, `rate` times between two calls on average.

    Args:
        sandbox: whose clock stands still unless this moves it.
        seed: what it does follows from this alone.
        rate: changes between two calls.
        crowd: share of bulk statements, which give many rows one `updated_at`.
        late: whether rows may become visible later than their timestamps say.
        leave: how many customers may be archived or changed between two calls.
        breath: changes until it is tired; a walk that is slower than the account grows never ends.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        seed: int,
        rate: float = 1.0,
        crowd: float = 0.1,
        late: bool = True,
        leave: int = 1000,
        breath: int = 40,
    ) -> None:
        self.sandbox = sandbox
        self.chance = Random(seed)
        self.breath = breath
        self.rate, self.crowd, self.late, self.leave = rate, crowd, late, leave

    def __call__(self) -> None:
        left = self.leave
        while self.breath and self.chance.random() < self.rate / (1 + self.rate):
            self.breath -= 1
            left -= self.change(left)

    def change(self, left: int = 1000) -> int:
        """One change; returns how many rows it moved."""
        if self.chance.random() < 0.5:  # else the next change has the same microsecond
            self.sandbox.clock.advance(self.chance.choice((0.000001, 0.001, 1.0)))
        choice = self.chance.random()
        if choice < self.crowd:
            return self._bulk(left)
        if choice < 0.4 or left < 1:
            self._create()
            return 0
        ids = self.sandbox.customer_ids("published")
        if choice < 0.7 and ids:
            self.sandbox.update_customer(self.chance.choice(ids), name=f"n{self.chance.random()}")
        elif choice < 0.8 and (old := self.sandbox.customer_ids("archived")):
            self.sandbox.update_customer(self.chance.choice(old), name=f"n{self.chance.random()}")
        elif ids:
            self.sandbox.archive_customer(self.chance.choice(ids))
        return 1

    def _create(self) -> None:
        times = self.chance.choice((1, 1, 1, 5))
        late = self.chance.choice((0.0, 0.001, 2.0)) if self.late else 0.0
        for _ in range(times):  # of one microsecond
            self.sandbox.create_customer(late=late)

    def _bulk(self, left: int) -> int:
        """UPDATE customers … : many rows, one microsecond."""
        table = self.sandbox.account.customers
        rows = [row for row in range(table.count) if table.kinds[row] != GONE and self.chance.random() < 0.5][:left]
        self.sandbox.account.apply("touch_customers", rows, self.sandbox.now())
        return len(rows)


@contextmanager
def disturbed(sandbox: Sandbox, adversary: Callable[[], None]) -> Iterator[None]:
    sandbox.between_calls(adversary)
    try:
        yield
    finally:
        sandbox.between_calls(None)


def customers(status: str, by: str, since: datetime | None, limit: int) -> Walk:
    return Walk(f"customers {status}", calls.search_customers, by, {"status": status}, since, size=PageSize(limit))


async def read(api: Direct, plan: Walk, seen: Seen, kill: Callable[[], bool] = lambda: False) -> int:
    """Walk to the end and merge by id, the newer `updated_at` wins; goes on from its position when it is 'killed'."""
    position, calls_made = None, 0
    while position is None or not position.done:
        async for page in walk(plan, api.send, position):
            calls_made += 1
            merge(page, seen)
            position = msgspec.json.decode(msgspec.json.encode(page.position), type=pages.Position)
            if kill():
                break
    return calls_made


def merge(page: Page, seen: Seen) -> None:
    for row in page.reply.json()["items"]:
        moment = datetime.fromisoformat(row["updated_at"])
        if row["id"] not in seen or moment >= seen[row["id"]][0]:
            seen[row["id"]] = (moment, row["status"])


def visible(sandbox: Sandbox) -> Seen:
    """Everybody who can be read now."""
    sandbox.account.settle()
    table = sandbox.account.customers
    rows = [table.row(number) for number in range(table.count) if table.kinds[number] != GONE]
    return {row["id"]: (datetime.fromisoformat(row["updated_at"]), row["status"]) for row in rows}


def assert_not_older(seen: Seen, before: Seen) -> None:
    """Everybody of `before` was met, with that state or a later one."""
    lost = sorted(before.keys() - seen.keys())
    assert not lost, f"{len(lost)} lost: {lost[:5]}"
    stale = {id: (seen[id], state) for id, state in before.items() if seen[id][0] < state[0]}
    assert not stale, f"stale: {dict(list(stale.items())[:3])}"


SCHEDULES = {
    "seed": st.integers(0, 2**32),
    "people": st.integers(0, 40),
    "limit": st.integers(2, 12),
    "rate": st.floats(0, 4),
    "ties": st.integers(0, 30),
}


# --- the walks -----------------------------------------------------------------------------------------------------


@sizes(default=12, sampled=110, thorough=1500)
def test_a_full_walk_meets_everybody_who_existed(size: Size) -> None:
    """Whoever was visible when a full walk began is met, whatever is created, changed or archived meanwhile."""

    def check(seed: int, people: int, limit: int, rate: float, ties: int) -> None:
        sandbox = Sandbox(customers=people, seed=seed, clock=Clock(NOON), ties=ties)
        adversary = Adversary(sandbox, seed, rate, leave=max(1, limit // 2))
        seen: Seen = {}

        async def full() -> None:
            for status in STATUSES:
                await read(Direct(sandbox), customers(status, "created_at", None, limit), seen, maybe(seed))

        before = visible(sandbox)
        with disturbed(sandbox, adversary):
            asyncio.run(full())
        assert not before.keys() - seen.keys()
        assert not seen.keys() - visible(sandbox).keys()

    size.examples(check, **SCHEDULES)


@sizes(default=12, sampled=110, thorough=1500)
def test_incremental_walks_and_the_closing_pass_bring_every_change(size: Size) -> None:
    """Whatever had changed inside the window before the closing pass began is read, in its newest state."""

    def check(seed: int, people: int, limit: int, rate: float, ties: int) -> None:
        sandbox = Sandbox(customers=people, seed=seed, clock=Clock(NOON), ties=ties)
        adversary = Adversary(sandbox, seed, rate)
        since = NOON - timedelta(minutes=10)
        seen: Seen = visible(sandbox)
        for _ in range(8):
            adversary.change()
        api, kill = Direct(sandbox), maybe(seed)

        async def changes() -> None:
            for status in STATUSES:
                await read(api, customers(status, "updated_at", since, limit), seen, kill)

        with disturbed(sandbox, adversary):
            asyncio.run(changes())
            before = visible(sandbox)
            asyncio.run(changes())
        assert_not_older(seen, before)

    size.examples(check, **SCHEDULES)


def maybe(seed: int) -> Callable[[], bool]:
    chance = Random(seed + 1)
    return lambda: chance.random() < 0.2


@sizes(default=12, sampled=110, thorough=1500)
def test_a_crowded_microsecond_is_read_whole(size: Size) -> None:
    """More rows in one microsecond than a page, and than one `not_in` can name, are read while others leave it."""

    def check(seed: int, people: int, limit: int, rate: float, ties: int, most: int) -> None:
        sandbox = Sandbox(customers=people, seed=seed, clock=Clock(NOON))
        sandbox.touch_all(NOON)
        for _ in range(ties):
            sandbox.create_customer(created_at=NOON)
        adversary = Adversary(sandbox, seed, rate, late=False, leave=max(1, limit // 2))
        seen: Seen = {}

        async def both() -> None:
            for by in ("updated_at", "created_at"):
                for status in STATUSES:
                    await read(
                        Direct(sandbox), customers(status, by, NOON - timedelta(days=999), limit), seen, maybe(seed)
                    )

        sandbox.clock.advance(0.5)  # nobody joins the microsecond any more
        before = visible(sandbox)
        with patch.object(pages, "MOST_SEEN", most), disturbed(sandbox, adversary):
            asyncio.run(both())
        assert_not_older(seen, before)

    size.examples(check, **SCHEDULES, most=st.integers(1, 12))


@sizes(default=8, sampled=60, thorough=600)
def test_half_a_crowd_may_leave_at_once(size: Size) -> None:
    """A second bulk statement that takes half of a crowd away between two calls hides nobody of the other half."""

    def check(seed: int, people: int, limit: int, most: int) -> None:
        sandbox = Sandbox(customers=people, seed=seed, clock=Clock(NOON))
        sandbox.touch_all(NOON)
        adversary = Adversary(sandbox, seed, 0.3, crowd=1.0)
        seen: Seen = {}

        async def both() -> None:
            for status in STATUSES:
                await read(Direct(sandbox), customers(status, "updated_at", NOON - timedelta(1), limit), seen)

        sandbox.clock.advance(0.5)
        before = visible(sandbox)
        with patch.object(pages, "MOST_SEEN", most), disturbed(sandbox, adversary):
            asyncio.run(both())
        assert_not_older(seen, before)

    size.examples(
        check, seed=st.integers(0, 2**32), people=st.integers(20, 120), limit=st.integers(2, 9), most=st.integers(1, 30)
    )


def test_pages_of_the_size_of_a_crowd_end() -> None:
    """A microsecond that holds exactly half a page, a page, or one more row ends the walk with every row once."""
    for limit in (2, 4, 8):
        for size in (limit // 2, limit // 2 + 1, limit - 1, limit, limit + 1, 2 * limit, 2 * limit + 1):
            for most in (1, limit, 20_000):
                sandbox = Sandbox(customers=0, clock=Clock(NOON))
                for _ in range(size):
                    sandbox.create_customer(created_at=NOON)
                seen: Seen = {}
                with patch.object(pages, "MOST_SEEN", most):
                    made = asyncio.run(read(Direct(sandbox), customers("published", "created_at", None, limit), seen))
                assert len(seen) == size
                assert made <= 2 * (size // max(1, limit // 2)) + 4


# --- the certificate -----------------------------------------------------------------------------------------------


@sizes(default=12, sampled=110, thorough=1500)
def test_the_certificate_holds_exactly_when_nobody_is_missing(size: Size) -> None:
    """Counted on a busy account, a store is complete exactly when it holds all who existed at T0."""

    def check(seed: int, people: int, limit: int, rate: float, ties: int, lose: int) -> None:
        sandbox = Sandbox(customers=people, seed=seed, clock=Clock(NOON), ties=ties)
        adversary = Adversary(sandbox, seed, rate, late=False, leave=max(1, limit // 2))
        chance, stored = Random(seed + 2), {}  # type: Random, dict[str, datetime]
        for _ in range(chance.randrange(8)):
            adversary.change()
        sandbox.clock.advance(1)
        t0 = datetime.fromisoformat(sandbox.clock().isoformat()).replace(microsecond=0)
        existed = {id for id in visible(sandbox) if born(sandbox, id) < t0}

        async def run() -> int | None:
            for status in STATUSES:
                async for page in walk(customers(status, "created_at", None, limit), Direct(sandbox).send):
                    stored.update(
                        {r["id"]: datetime.fromisoformat(r["created_at"]) for r in page.reply.json()["items"]}
                    )
            return await counted(sandbox, t0)

        with disturbed(sandbox, adversary):
            total = asyncio.run(run())
        for id in chance.sample(sorted(existed), min(lose, len(existed))):
            del stored[id]
        if total is not None:
            assert (total == sum(created < t0 for created in stored.values())) == (existed <= stored.keys())

    size.examples(check, **SCHEDULES, lose=st.integers(0, 3))


def born(sandbox: Sandbox, id: str) -> datetime:
    number = sandbox.account.customers.find(id)
    return datetime.fromisoformat(sandbox.account.customers.row(number)["created_at"])


async def counted(sandbox: Sandbox, t0: datetime) -> int | None:
    """As a run counts: three totals, until two of them agree."""
    session = Session(Direct(sandbox), None, Progress(), sandbox.clock)  # type: ignore[arg-type]  # needs no store
    return await count_customers(session, Window(None, t0))


# --- whole runs ----------------------------------------------------------------------------------------------------


class Business(Adversary):
    """An adversary that knows subscriptions and usage too."""

    def change(self, left: int = 1000) -> int:
        choice = self.chance.random()
        if choice < 0.5:
            return super().change(left)
        sandbox, ids = self.sandbox, self.sandbox.customer_ids("published")
        held = list(range(sandbox.account.subscriptions.count))
        row = self.chance.choice(held) if held else None
        if choice < 0.65 and ids:
            status = self.chance.choice(("active", "active", "trialing", "draft", "paused"))
            sandbox.add_subscription(self.chance.choice(ids), self.chance.choice(("Starter", "Team", "Scale")), status)
        elif row is not None and choice < 0.75:
            sandbox.cancel_subscription(sandbox.account.subscription(row)["id"])
        elif row is not None and choice < 0.85:
            status = self.chance.choice(("active", "paused", "trialing"))
            sandbox.update_subscription(sandbox.account.subscription(row)["id"], subscription_status=status)
        elif choice < 0.95 and (active := sandbox.active_customer_ids()):
            with pytest.MonkeyPatch.context() as quiet:
                quiet.setattr(sandbox, "_between", None)
                sandbox.set_usage(self.chance.choice(active), "api_calls", self.chance.randrange(10**6, 10**9))
        return 0


RUNS = {
    "seed": st.integers(0, 2**32),
    "people": st.integers(0, 14),
    "limit": st.integers(2, 6),
    "rate": st.floats(0, 1),
    "runs": st.integers(1, 2),
}


def whole_runs(seed: int, people: int, limit: int, rate: float, runs: int) -> None:
    """Sync under attack, then once in peace; the store is then what the account is."""
    sandbox = calm(people, seed)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            walks, "walk", lambda plan, send, start=None: walk(replace(plan, size=PageSize(limit)), send, start)
        )
        world = World(Path(folder), sandbox, audit_sample=3)
        for turn in range(runs):
            with disturbed(sandbox, Business(sandbox, seed + turn, rate, breath=15)):
                report = world.sync()
            existed = report.certificate["customers"]
            with Store.open(world.path) as store:
                ids = {row[0] for row in store.rows("SELECT id FROM customers")}
            t0 = datetime.fromisoformat(existed["t0"])
            missing = {id for id in visible(sandbox) if born(sandbox, id) < t0} - ids
            assert not (existed["holds"] and missing), f"green, yet {missing} are missing"
            world.later(5)
        sandbox.account.settle()
        report = world.sync(accept=frozenset({"all"}))
        assert not [reason for reason in report.reasons if "zeros" not in reason and "read zero" not in reason]
        with Store.open(world.path) as store:
            assert_exact(held(store), truth(sandbox))


@sizes(default=1, sampled=3, thorough=1000)
def test_runs_on_a_busy_account_end_with_the_truth(size: Size) -> None:
    """After runs on an account that changes between any two calls, a quiet one leaves every table exact."""
    size.examples(whole_runs, **RUNS)


@pytest.mark.sampled
def test_a_subscription_ends_between_its_two_calls() -> None:
    """A customer's answer empties because one of its two subscriptions ended meanwhile: nothing stays suspect."""
    whole_runs(seed=41182501, people=9, limit=4, rate=0.125, runs=2)
