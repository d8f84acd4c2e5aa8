"""The state of the account: its tables, what was written to them, and the changes that are not visible yet.

Promises that every change goes through `apply`, so that a lagging replica and a late commit are the same change
applied later. Never checks whether a change is allowed; `routes/writes.py` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from connector.sandbox.clock import DAY, SECOND
from connector.sandbox.data import catalog as catalogs
from connector.sandbox.data.blanks import blank_customer
from connector.sandbox.data.customers import PUBLISHED, SPAN, Customers
from connector.sandbox.data.profiles import Subscribed
from connector.sandbox.data.subscriptions import LIVE, Subscriptions
from connector.sandbox.data.table import GONE, Table
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import Json

__all__ = ["Account"]


class Account:
    """Everything that a request can read or change.

    Args:
        seed: two accounts of one seed, size and base time are equal.
        count: how many customers are generated.
        base: the moment (microseconds) up to which generated events happened.
        ties: how many customers in a row share one `created_at`.
        now: the server's clock, in microseconds.
        subscribed: how many of them have subscriptions; the shares of `profiles.SHARES` by default.
    """

    def __init__(
        self, seed: int, count: int, base: int, ties: int, now: Callable[[], int], subscribed: Subscribed | None = None
    ) -> None:
        self.now = now
        self.catalog = catalogs.seeded(seed, base - SPAN - 30 * DAY)
        self.generated_customers = Customers(seed, count, base, ties, subscribed)
        self.generated_subscriptions = Subscriptions(self.generated_customers, self.catalog)
        self.seed, self.base = seed, base
        self.environment, self.tenant, self.user = catalogs.ENVIRONMENT, catalogs.TENANT, catalogs.USER
        self.customers, self.subscriptions = Table(self.generated_customers), Table(self.generated_subscriptions)
        self.externals: dict[str, set[int]] = {}
        self.owned: dict[str, list[int]] = {}
        self.entities: dict[int, tuple[str, ...]] = {}
        self.usage: dict[tuple[int, str], dict[str, Decimal]] = {}  # by reset period; "" is the figure of any other
        self.grants: dict[int, list[Json]] = {}
        self.integrations: dict[int, list[Json]] = {}
        self.size = (count, ties)
        self.subscribed = subscribed
        self.hidden: dict[str, tuple[str, int, int]] = {}  # change, row number and kind that show an id again
        self.replica: Account | None = None
        self.lag = 0  # microseconds that the replica is behind
        self.late = 0.0  # seconds until a change from outside becomes visible
        self.cache_lifetime = 0  # microseconds that a GET by id is kept (contract.md 3.8)
        self.unsent: frozenset[str] = frozenset()  # columns of a customer that this server is too old to have
        self.loose_resets = False  # break ties of reset periods anew at every call (contract.md 6.2)
        self._log: deque[tuple[int, str, tuple[Any, ...]]] = deque()
        self._later: list[tuple[int, str, tuple[Any, ...]]] = []
        self._last_millis = 0

    def reset_of(self, resets: list[str]) -> str:
        """One of equally common reset periods: always the first, unless `loose_resets`."""
        return resets[self.now() % len(resets)] if self.loose_resets else resets[0]

    # -- changes ---------------------------------------------------------------------------------------------------

    def apply(self, change: str, *args: Any, late: float = 0.0) -> Any:
        """Make one change now, or after `late` seconds; the replica gets it `lag` later still."""
        if late > 0:
            self._later.append((self.now() + int(late * SECOND), change, args))
            return None
        if self.replica is not None:
            self._log.append((self.now() + self.lag, change, args))
        return getattr(self, change)(*args)

    def settle(self) -> None:
        """Make the changes that are due."""
        if not self._later:
            return
        now = self.now()
        due = [entry for entry in self._later if entry[0] <= now]
        self._later = [entry for entry in self._later if entry[0] > now]
        for _, change, args in due:
            self.apply(change, *args)

    def add_replica(self, lag: int) -> None:
        """Let lists and lookups be `lag` microseconds behind. Only before the first change: the copy starts empty."""
        count, ties = self.size
        self.replica, self.lag = Account(self.seed, count, self.base, ties, self.now, self.subscribed), lag

    def read_side(self) -> Account:
        """Where lists and lookups read: the replica when there is one (contract.md 3.8)."""
        if self.replica is None:
            return self
        now = self.now()
        while self._log and self._log[0][0] <= now:
            _, change, args = self._log.popleft()
            getattr(self.replica, change)(*args)
        return self.replica

    def insert_customer(self, row: Json, created: int, updated: int, kind: int) -> int:
        """A new customer row."""
        number = self.customers.add(row, created, updated, kind)
        self.externals.setdefault(row["external_id"], set()).add(number)
        return number

    def change_customer(self, number: int, row: Json, updated: int, kind: int) -> None:
        """A customer row's new content."""
        self.customers.change(number, row, updated, kind)
        self.externals.setdefault(row["external_id"], set()).add(number)

    def show_customer(self, number: int, kind: int) -> None:
        """A row changes its kind only, timestamps stay: it was committed late, is hidden, or deleted by hand."""
        self.customers.place(number, kind)

    def insert_subscription(self, row: Json, created: int, updated: int, kind: int, entities: tuple[str, ...]) -> int:
        """A new subscription row."""
        number = self.subscriptions.add(row, created, updated, kind)
        self.owned.setdefault(row["customer_id"], []).append(number)
        self.entities[number] = entities
        return number

    def change_subscription(self, number: int, row: Json, updated: int, kind: int) -> None:
        """A subscription row's new content."""
        self.subscriptions.change(number, row, updated, kind)

    def show_subscription(self, number: int, kind: int) -> None:
        """As show_customer."""
        self.subscriptions.place(number, kind)

    def put_usage(self, row: int, feature_id: str, value: Decimal, reset: str = "") -> None:
        """What a subscription has used of a feature: in the windows of one reset period, or of every one of them.

        Periods differ where an answer for several subscriptions takes the most common one (contract.md 6.2).
        """
        if reset:
            self.usage.setdefault((row, feature_id), {})[reset] = value
        else:
            self.usage[row, feature_id] = {"": value}

    def change_catalog(self, catalog: catalogs.Catalog) -> None:
        """Other names of plans and features; the generated subscriptions keep their plans."""
        self.catalog = catalog

    def touch_customers(self, numbers: Iterable[int], updated: int) -> None:
        """One bulk statement over many rows."""
        self.customers.touch(numbers, updated)

    def blank_customer(self, customer_id: str, fields: Json) -> Json:
        """A customer row of this account with the given fields, the rest at the server's defaults."""
        row = blank_customer(customer_id, fields, self.environment, self.tenant, self.user)
        return {key: value for key, value in row.items() if key not in self.unsent}

    def fresh_id(self, prefix: str, table: Table) -> str:
        """An id that sorts after every other one."""
        self._last_millis = max(self._last_millis + 1, self.now() // 1000, self.base // 1000)
        return f"{prefix}_{ulid(self._last_millis, table.count, mix(self.seed * 101 + table.count))}"

    # -- look-ups --------------------------------------------------------------------------------------------------

    def external_id(self, number: int) -> str:
        """The current external id of a row."""
        stored = self.customers.written.get(number)
        return str(stored["external_id"]) if stored else self.generated_customers.external_id(number)

    def by_external_id(self, external_id: str) -> set[int]:
        """All rows with an external id, in every status."""
        numbers = self.externals.get(external_id, set()).union(self.generated_customers.by_external_id(external_id))
        kinds = self.customers.kinds
        return {n for n in numbers if kinds[n] != GONE and self.external_id(n) == external_id}

    def published(self, external_id: str) -> int | None:
        """The published row with an external id."""
        kinds = self.customers.kinds
        return next((n for n in self.by_external_id(external_id) if kinds[n] == PUBLISHED), None)

    def customer(self, number: int, expand: bool = False) -> Json:
        """A customer as sent."""
        row = self.customers.row(number)
        if expand:
            linked = self.integrations.get(number)
            if linked is None and number < self.generated_customers.count:
                linked = self.generated_customers.integrations(number, self.customers.column("created_at")[number])
            if linked:
                row["integrations"] = linked
        return row

    def subscription(self, number: int) -> Json:
        """A subscription as the entitlements answer sends it: without its plan."""
        return self.subscriptions.row(number)

    def entities_of(self, number: int) -> tuple[str, ...]:
        """The plan and add-ons of a subscription."""
        found = self.entities.get(number)
        return self.generated_subscriptions.entities(number) if found is None else found

    def subscriptions_of(self, customer_id: str) -> list[int]:
        """A customer's subscriptions in every status, newest first."""
        number = self.customers.find(customer_id)
        rows = (
            list(self.generated_subscriptions.of(number))
            if number is not None and number < self.generated_customers.count
            else []
        )
        kinds = self.subscriptions.kinds
        rows = [row for row in (*rows, *self.owned.get(customer_id, ())) if kinds[row] != GONE]
        created = self.subscriptions.column("created_at")
        return sorted(rows, key=lambda row: (created[row], row), reverse=True)

    def live(self, customer_id: str) -> list[int]:
        """Its active and trialing subscriptions, newest first."""
        kinds = self.subscriptions.kinds
        return [row for row in self.subscriptions_of(customer_id) if kinds[row] in LIVE]

    def inherited(self, number: int) -> bool:
        """Whether a subscription is covered by a parent's, and so gives nothing itself (contract.md 11)."""
        stored = self.subscriptions.written.get(number)
        if stored is not None:
            return bool(stored["subscription_type"] == "inherited")
        return self.generated_subscriptions.profile(number)[0].type == "inherited"
