"""Schedules of drift: a server whose pages and clocks are wrong, on an account that changes between any two calls.

A schedule says everything; the same one always plays the same. What it may not hold, because no run can survive it, is
said in `test_drift.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from support import NOON, Direct, customers_of, subscriptions_of

from connector.api import answers
from connector.api.calls import Call, Reply
from connector.errors import BudgetSpent
from connector.sandbox import Clock, Faults, Sandbox
from connector.sandbox.clock import SECOND, as_datetime
from connector.sandbox.data.subscriptions import KIND, STATUSES
from connector.sandbox.data.table import GONE, Table
from connector.settings import Secret

SHAPES = {
    "plain": 5,
    "cap": 5,
    "bytes": 2,
    "limit": 2,
    "limit and cap": 2,
    "no total": 1,
    "cap, no total": 1,
    "old": 1,
    "old, cap": 1,
}
LATE = ("", "late", "late", "very late", "very late")
HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
SKEWS = (
    *(0, 0, 0, 0, 1, -1, 59, -59, 900, -900, HOUR, HOUR, HOUR, -HOUR, -HOUR, 2 * HOUR, -2 * HOUR, DAY, -DAY, 8 * DAY),
    *(12 * YEAR, -56 * YEAR),
)


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes:
        seed: of the account and of every choice below that is left to chance.
        people: customers at the start.
        shape: what is odd about pages, one of SHAPES (with how often it is drawn); `size` says how small they are.
        ties: customers that share one `created_at`.
        date: seconds by which the server's `Date` is ahead, from run `since` on, for `date_for` answers (0: always).
        clock: seconds by which this machine's clock is ahead in run `since`, and later if `clock_stays`.
        overlap: the setting, in seconds.
        tick: at most this many seconds pass between two calls.
        rate: changes between two calls, on average; at most `breath` in one run.
        late: whether rows become visible late, one of LATE.
        ahead: some edits are stamped by a server of the application whose clock is so many seconds ahead.
        removals: rows are deleted by hand.
        counts: changes happen between a page and its count too.
        runs: runs before the quiet one; bit n of `full` makes run n a full one.
        stop: calls after which an attempt at a run is stopped; 0 for never. The next attempt has twice as many.
    """

    seed: int = 0
    people: int = 10
    shape: str = "plain"
    size: int = 3
    ties: int = 0
    date: int = 0
    date_for: int = 0
    clock: int = 0
    clock_stays: bool = True
    since: int = 0
    overlap: int = 60
    tick: float = 1.0
    rate: float = 0.5
    breath: int = 20
    late: str = ""
    ahead: int = 0
    removals: bool = False
    counts: bool = False
    runs: int = 2
    full: int = 0
    stop: int = 0

    @classmethod
    def drawn(cls, seed: int) -> Schedule:
        """The schedule of a seed."""
        chance = Random(seed)
        pick = chance.choice
        date, clock = pick(SKEWS), pick((0, pick(SKEWS)))
        return cls(
            seed=seed,
            people=pick((0, 1, 3, chance.randrange(26), chance.randrange(26))),
            shape=chance.choices([*SHAPES], [*SHAPES.values()])[0],
            size=pick((1, 2, 3, 5, 8)),
            ties=pick((0, 0, 2, 7)),
            date=date,
            date_for=pick((0, 0, 1, 3, 20)),
            clock=clock,
            clock_stays=pick((True, False)),
            since=chance.randrange(3),
            overlap=pick((60, 600)),
            tick=pick((0.0, 0.001, 1.0, 10.0, 100.0)),
            rate=pick((0.0, 0.1, 0.3, 1.0)),
            breath=pick((5, 20, 40)),
            late=pick(LATE),
            ahead=pick((0, 0, 1, 900, HOUR)) if min(date, clock) <= 0 else 0,
            removals=chance.random() < 0.25,
            counts=chance.random() < 0.5,
            runs=pick((1, 2, 3)),
            full=pick((0, 0, 0, 2, 4)),
            stop=pick((0, 0, 0, chance.randrange(1, 40))),
        )

    @property
    def old(self) -> str:
        """How a server without filters shows it; "" for one that has them."""
        return ("filters_ignored", "filters_refused")[self.seed % 2] if "old" in self.shape else ""

    def faults(self) -> Faults:
        """The server's pages."""
        size = self.size
        return Faults(
            cap=size if "cap" in self.shape else 0,
            cap_bytes=600 * size if self.shape == "bytes" else 0,
            max_limit=3 * size if "limit" in self.shape else 0,
            no_pagination="no total" in self.shape,
            old=frozenset({self.old}) if self.old else frozenset(),
        )


class Wire(Direct):
    """`Direct` for thousands of runs: it reads a `Date` once a second of it."""

    def _send(self, call: Call) -> Reply:
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetSpent("no calls are left")
        self.calls += 1
        status, headers, body = self.sandbox.answer(call.method, call.path, call.query, call.body)
        if status >= 300:
            raise answers.judge(call, status, {k.lower(): v for k, v in headers.items()}, body, Secret(""))
        return Reply(status, body, _date(headers["Date"]), 0.0)


@lru_cache(maxsize=1024)
def _date(text: str) -> datetime:
    return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)


class Account:
    """The account of a schedule, and what changes it.

    Attributes:
        sandbox: the server.
        happened: kinds of changes so far that may be a reason for a degraded run.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.chance = Random(schedule.seed + 1)
        self.clock = Clock(NOON)
        self.sandbox = Sandbox(customers=schedule.people, seed=schedule.seed, clock=self.clock, ties=schedule.ties)
        self.sandbox.faults = schedule.faults()
        self.happened: set[str] = set()
        self._breath = 0
        self._busy: dict[str, float] = {}  # id -> when its open transaction commits, in seconds
        self._elapsed = 0.0
        self._names: dict[int, list[str]] = {}  # of a table's rows

    # --- time ---

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self._elapsed += seconds

    def settle(self) -> None:
        """Let everything that is under way become visible."""
        waiting = max(self._busy.values(), default=0.0) - self._elapsed
        self.pass_by(max(0.0, waiting) + self.chance.choice((0.0, 1.0, 3.0 * self.schedule.overlap)))
        self.sandbox.account.settle()

    # --- changes ---

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Change the account between any two calls, and between a page and its count."""
        self._breath = self.schedule.breath
        self.sandbox.between_calls(self._between)
        self.sandbox.before_count(self._at_count if self.schedule.counts else None)
        try:
            yield
        finally:
            self.sandbox.between_calls(None)
            self.sandbox.before_count(None)

    def _between(self) -> None:
        if self.schedule.tick:
            self.pass_by(self.schedule.tick * self.chance.random())
        rate = self.schedule.rate
        while self._breath > 0 and self.chance.random() < rate / (1 + rate):
            self.change()

    def _at_count(self) -> None:
        if self._breath > 0 and self.chance.random() < self.schedule.rate / 4:
            self.change()

    def change(self) -> None:
        """One change."""
        self._breath -= 1
        if self.chance.random() < 0.5:  # else it has the microsecond of the one before
            self.pass_by(self.chance.choice((0.000001, 0.001, 1.0)))
        made = self.chance.choices(_CHANGES, _WEIGHTS)[0]
        made(self)

    def _delay(self, *, edit: bool) -> float:
        """Seconds until a change becomes visible; an edit never later than the overlap."""
        if not self.schedule.late or self.chance.random() < 0.5:
            return 0.0
        overlap = self.schedule.overlap
        self.happened.add("late")
        if self.schedule.late == "very late" and not edit:
            return overlap * self.chance.choice((0.5, 1.5, 5.0, 60.0))
        return overlap * self.chance.choice((0.01, 0.5, 0.9, 0.99))

    def _free(self, table: Table) -> list[str]:
        """Ids of visible rows that no open transaction holds."""
        kinds, names = table.kinds, self._named(table)
        return [
            id for number, id in enumerate(names) if kinds[number] != GONE and self._busy.get(id, 0.0) <= self._elapsed
        ]

    def _named(self, table: Table) -> list[str]:
        """The id of every row, which never changes, so it is made once."""
        names = self._names.setdefault(id(table), [])
        names += [table.row(number)["id"] for number in range(len(names), table.count)]
        return names

    def _hold(self, ids: list[str], delay: float) -> None:
        for id in ids if delay else ():
            self._busy[id] = self._elapsed + delay + 0.000002

    def _stamp(self) -> int:
        """The `updated_at` of a change that is made now, in microseconds."""
        wrong = self.schedule.ahead and self.chance.random() < 0.3
        return self.sandbox.now() + (self.schedule.ahead * SECOND if wrong else 0)

    def create(self) -> None:
        delay = self._delay(edit=False)
        made = [self.sandbox.create_customer(late=delay)["id"] for _ in range(self.chance.choice((1, 1, 1, 4)))]
        self._hold(made, delay)
        self.happened.add("created")

    def edit(self) -> None:
        self._edit_one(name=f"n{self.chance.randrange(10**9)}")

    def archive(self) -> None:
        self._edit_one(status="archived")
        self.happened.add("archived")

    def _edit_one(self, **fields: Any) -> None:
        free = self._free(self.sandbox.account.customers)
        if free:
            id, delay = self.chance.choice(free), self._delay(edit=True)
            self.sandbox.update_customer(id, late=delay, updated_at=self._stamp(), **fields)
            self._hold([id], delay)

    def bulk(self) -> None:
        """UPDATE customers … : many rows, one microsecond."""
        table = self.sandbox.account.customers
        ids = [id for id in self._free(table) if self.chance.random() < 0.6]
        delay = self._delay(edit=True)
        rows = [row for id in ids if (row := table.find(id)) is not None]
        self.sandbox.account.apply("touch_customers", rows, self.sandbox.now(), late=delay)
        self._hold(ids, delay)

    def subscribe(self) -> None:
        people = self.sandbox.customer_ids("published")
        if not people:
            return
        status = self.chance.choice(("active", "active", "trialing", "draft", "paused"))
        id = self.sandbox.add_subscription(self.chance.choice(people), "Team", status)
        delay = self._delay(edit=False)
        self.happened.add("created")
        if delay:
            row = self.sandbox.account.subscriptions.count - 1
            self.sandbox.account.apply("show_subscription", row, GONE)
            self.sandbox.account.apply("show_subscription", row, KIND[status], late=delay)
            self._hold([id], delay)

    def move_subscription(self) -> None:
        """Change a subscription's status, in any direction."""
        table = self.sandbox.account.subscriptions
        free = self._free(table)
        if not free:
            return
        id, status, delay = self.chance.choice(free), self.chance.choice(STATUSES), self._delay(edit=True)
        number = table.find(id)
        assert number is not None
        row = {**table.row(number), "subscription_status": status}
        self.sandbox.account.entities.setdefault(number, self.sandbox.account.entities_of(number))
        self.sandbox.account.apply("change_subscription", number, row, self._stamp(), KIND[status], late=delay)
        self._hold([id], delay)

    def end_subscriptions(self) -> None:
        """UPDATE subscriptions … : many rows, one microsecond, one status."""
        account, now, status = self.sandbox.account, self.sandbox.now(), self.chance.choice(STATUSES)
        delay, table = self._delay(edit=True), account.subscriptions
        ids = [id for id in self._free(table) if self.chance.random() < 0.6]
        for id in ids:
            number = table.find(id)
            assert number is not None
            account.entities.setdefault(number, account.entities_of(number))
            row = {**table.row(number), "subscription_status": status}
            account.apply("change_subscription", number, row, now, KIND[status], late=delay)
        self._hold(ids, delay)

    def remove(self) -> None:
        """DELETE by hand, without a trace."""
        if not self.schedule.removals:
            return
        account = self.sandbox.account
        table = self.chance.choice((account.customers, account.customers, account.subscriptions))
        free = self._free(table)
        if free:
            taken = self.sandbox.remove_customer if table is account.customers else self.sandbox.remove_subscription
            taken(self.chance.choice(free))
            self.happened.add("removed")

    # --- the truth ---

    def ids(self) -> dict[str, dict[str, datetime]]:
        """`created_at` of every row that can be read now, by listing and id."""
        self.sandbox.account.settle()
        tables = {"customers": self.sandbox.account.customers, "subscriptions": self.sandbox.account.subscriptions}
        return {name: self._born(table) for name, table in tables.items()}

    def _born(self, table: Table) -> dict[str, datetime]:
        created, kinds = table.column("created_at"), table.kinds
        named = enumerate(self._named(table))
        return {name: as_datetime(created[number]) for number, name in named if kinds[number] != GONE}

    def truth(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Every row that can be read now as it is sent, by listing and id. Begins the skew of `Date` anew."""
        rows = {"customers": customers_of(self.sandbox), "subscriptions": subscriptions_of(self.sandbox)}
        for row in rows["customers"]:
            row.pop("integrations", None)
        return {name: {row["id"]: row for row in sent} for name, sent in rows.items()}

    def machine(self, run: int) -> timedelta:
        """How far this machine's clock is ahead in a run."""
        schedule = self.schedule
        wrong = run == schedule.since or (schedule.clock_stays and run > schedule.since)
        return timedelta(seconds=schedule.clock if wrong else 0)

    def begin(self, run: int) -> None:
        """Set the server's `Date` for a run."""
        if run == self.schedule.since:
            self.sandbox.faults = Faults(
                **{
                    **vars(self.schedule.faults()),
                    "date_ahead": float(self.schedule.date),
                    "date_for": self.schedule.date_for,
                }
            )


_CHANGES = (
    Account.create, Account.edit, Account.archive, Account.bulk, Account.subscribe, Account.move_subscription,
    Account.end_subscriptions, Account.remove,
)  # fmt: skip
_WEIGHTS = (4, 5, 2, 1.5, 2, 3, 1, 1)
