"""Life between two nights: customers come, are renamed and leave, plans change, usage grows.

Promises that the same seed gives the same days on any date: what happens, to whom and at which time of day never
depends on the calendar; only where a period or a window ends does (`renewals`, `growth`). Never changes a subscription
that ends by itself with its period, nor the customer who has one, because on which day it ends is a matter of the date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from connector.sandbox.clock import Clock
from connector.sandbox.data.customers import NAMES, PUBLISHED, TIMEZONES
from connector.sandbox.data.growth import Growth
from connector.sandbox.data.mutators import Mutators
from connector.sandbox.data.renewals import renew
from connector.sandbox.data.subscriptions import LIVE

__all__ = ["Event", "Life"]

AWAKE = 22 * 3600
"""Seconds from one night on in which something happens; the periodic job follows, then the next night."""
JOB = timedelta(hours=23, minutes=30)
QUIET = 1 / 6
"""Share of the days on which nothing happens but usage."""
KINDS = {"renamed": 35, "came": 25, "changed_plan": 25, "left": 10, "renamed_plan": 2, "renamed_feature": 3}
"""What happens, and how often of a hundred times."""
SUFFIXES = ("Group", "International", "& Partners", "Holding", "Labs", "Europe")


class Event(NamedTuple):
    """One thing that happened: how long after the night before, what (of `KINDS`), and the id that it is about."""

    after: timedelta
    kind: str
    id: str


class Life:
    """Lets an account live day by day. Made at the first night, before anything else moves the clock.

    Args:
        sandbox: whose account it is.
        clock: the sandbox's clock, standing; every day moves it on by 24 hours.
        seed: determines what happens.
    """

    def __init__(self, sandbox: Mutators, clock: Clock, seed: int = 7) -> None:
        self.sandbox, self.clock, self.seed = sandbox, clock, seed
        self.days = 0
        self.growth = Growth(sandbox.account)
        self.plans = [plan.id for plan in sandbox.account.catalog.plans.values() if plan.name][:3]
        self.chance = Random(seed)

    def day(self) -> list[Event]:
        """Live until the same time tomorrow.

        Returns:
            What happened, in the order of time; empty on a quiet day.
        """
        self.days += 1
        self.chance = Random(f"{self.seed}/{self.days}")
        begin = self.clock()
        events = [self._lived(begin, after, kind) for after, kind in self._drawn()]
        self._sleep_until(begin + JOB)
        renew(self.sandbox)
        self._sleep_until(begin + timedelta(days=1))
        with self.sandbox.lock:
            self.growth.grow(self.days)
        return [event for event in events if event.id]

    def _drawn(self) -> list[tuple[timedelta, str]]:
        """What the day holds, in the order of time: a few things, and more in a larger account."""
        if self.chance.random() < QUIET:
            return []
        count = self.chance.randint(2, 4) + self.sandbox.account.size[0] // 100
        kinds = self.chance.choices(tuple(KINDS), tuple(KINDS.values()), k=count)
        moments = sorted(self.chance.sample(range(AWAKE * 1000), count))
        return list(zip((timedelta(milliseconds=moment) for moment in moments), kinds, strict=True))

    def _lived(self, begin: datetime, after: timedelta, kind: str) -> Event:
        self._sleep_until(begin + after)
        with self.sandbox.lock:
            happen: Callable[[], str] = getattr(self, f"_{kind}")
            return Event(after, kind, happen())

    def _sleep_until(self, moment: datetime) -> None:
        self.clock.advance((moment - self.clock()).total_seconds())

    # -- what happens: each returns the id that it is about, "" when it could happen to nobody -------------------------

    def _renamed(self) -> str:
        customer_id = self._customer()
        if customer_id:
            self.sandbox.update_customer(customer_id, name=self._name())
        return customer_id

    def _came(self) -> str:
        number = self.sandbox.account.customers.count
        email, zone = f"billing+{number}@mail.example.com", self.chance.choice(TIMEZONES)
        customer = self.sandbox.create_customer(
            name=self._name(), external_id=f"acct-{number:07d}", email=email, timezone=zone
        )
        if self.chance.random() < 0.75:
            self.sandbox.add_subscription(customer["id"], self.chance.choice(self.plans), timezone=zone)
        return str(customer["id"])

    def _left(self) -> str:
        customer_id = self._customer()
        if customer_id:
            for row in self.sandbox.account.live(customer_id):
                self.sandbox.cancel_subscription(self.sandbox.account.subscription(row)["id"])
            self.sandbox.archive_customer(customer_id)
        return customer_id

    def _changed_plan(self) -> str:
        account = self.sandbox.account
        row = self._first(account.subscriptions.count, self._sole)
        if row is None:
            return ""
        held = account.subscription(row)
        self.sandbox.cancel_subscription(held["id"])
        plan = self.chance.choice([plan for plan in self.plans if plan != held["plan_id"]])
        return self.sandbox.add_subscription(held["customer_id"], plan, timezone=held["timezone"])

    def _renamed_plan(self) -> str:
        plan = self.sandbox.account.catalog.plans[self.chance.choice(self.plans)]
        self.sandbox.rename_plan(plan.id, self._another(plan.name, " plan"))
        return plan.id

    def _renamed_feature(self) -> str:
        feature = self.chance.choice(list(self.sandbox.account.catalog.features.values()))
        self.sandbox.rename_feature(feature.id, self._another(feature.body["name"], " (renamed)"))
        return feature.id

    @staticmethod
    def _another(name: str, ending: str) -> str:
        """The name with an ending, or without the one that it has: two renamings give the first name back."""
        return name.removesuffix(ending) if name.endswith(ending) else name + ending

    # -- to whom -------------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return f"{self.chance.choice(NAMES)} {self.chance.choice(SUFFIXES)} {self.chance.randrange(1000)}"

    def _customer(self) -> str:
        """A published customer whose subscriptions may change, or ""."""
        account = self.sandbox.account

        def fits(number: int) -> bool:
            if account.customers.kinds[number] != PUBLISHED:
                return False
            return all(map(self._free, account.subscriptions_of(account.customers.row(number)["id"])))

        number = self._first(account.customers.count, fits)
        return "" if number is None else str(account.customers.row(number)["id"])

    def _first(self, count: int, fits: Callable[[int], bool]) -> int | None:
        """A seeded row that fits."""
        return next((row for row in self.chance.sample(range(count), count) if fits(row)), None)

    def _sole(self, row: int) -> bool:
        """Whether a subscription may change, and is the only live one of its customer."""
        account = self.sandbox.account
        rows = account.subscriptions_of(account.subscription(row)["customer_id"])
        return [other for other in rows if account.subscriptions.kinds[other] in LIVE] == [row] and all(
            map(self._free, rows)
        )

    def _free(self, row: int) -> bool:
        """Whether a subscription stands for itself, and does not end by itself with its period."""
        held = self.sandbox.account.subscription(row)
        return held["subscription_type"] == "standalone" and not held["cancel_at_period_end"]
