"""Changes made from outside the API: by a test, by churn, by an operator's SQL.

Promises that the next answer shows a change (or the first one after `late` seconds), with the timestamps that were
given. Never runs the server's validation: an operator's SQL does not either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from threading import RLock
from typing import Any

from connector.errors import FixInput
from connector.sandbox.clock import micros, parse_rfc3339, stamp
from connector.sandbox.data import customers, subscriptions
from connector.sandbox.data.account import Account
from connector.sandbox.data.blanks import blank_subscription, present
from connector.sandbox.data.table import GONE
from connector.sandbox.replies import Json

__all__ = ["Mutators"]

Moment = datetime | str | int


def moment_of(value: Moment | None, default: int) -> int:
    """Microseconds from a datetime, an RFC 3339 text or microseconds."""
    if value is None:
        return default
    if isinstance(value, datetime):
        return micros(value if value.tzinfo else value.replace(tzinfo=UTC))
    parsed = value if isinstance(value, int) else parse_rfc3339(value)
    if parsed is None:
        raise FixInput(f"timestamp {value!r} is not RFC 3339 with a zone.", remedy="Write 2026-08-01T09:30:15.5Z.")
    return parsed


class Mutators:
    """The half of Sandbox that changes the account directly. All methods may be called from any thread."""

    account: Account
    lock: RLock
    chance: Random

    def create_customer(self, *, late: float | None = None, **fields: Any) -> Json:
        """Add a customer; any column may be given, `created_at` and `updated_at` too. Returns it as it will be sent."""
        with self.lock:
            now = self.account.now()
            number = self.account.customers.count
            created = moment_of(fields.pop("created_at", None), now)
            updated = moment_of(fields.pop("updated_at", None), created)
            status = fields.get("status", "published")
            given = {"external_id": f"made-{number}", "name": f"Made {number}", **fields}
            customer_id = fields.get("id") or self.account.fresh_id("cust", self.account.customers)
            row = self.account.blank_customer(customer_id, given)
            row |= {
                key: fields[key]
                for key in ("status", "created_by", "updated_by", "metadata", "timezone")
                if key in fields
            }
            self._insert(
                row, created, updated, customers.STATUSES.index(status), self.account.late if late is None else late
            )
            return {**row, "created_at": stamp(created), "updated_at": stamp(updated)}

    def _insert(self, row: Json, created: int, updated: int, kind: int, late: float) -> None:
        number = self.account.apply("insert_customer", row, created, updated, GONE if late else kind)
        if late:
            self.account.apply("show_customer", number, kind, late=late)

    def update_customer(self, customer_id: str, *, late: float | None = None, **fields: Any) -> Json:
        """Change columns and bump `updated_at` (or set the one given)."""
        with self.lock:
            number = self._number(customer_id)
            updated = moment_of(fields.pop("updated_at", None), self.account.now())
            row = {**self.account.customers.row(number), **fields}
            kind = customers.STATUSES.index(row["status"])
            delay = self.account.late if late is None else late
            self.account.apply("change_customer", number, row, updated, kind, late=delay)
            return {**row, "updated_at": stamp(updated)}

    def archive_customer(self, customer_id: str, **fields: Any) -> Json:
        """Set a customer's status to archived, whatever it is subscribed to."""
        return self.update_customer(customer_id, status="archived", **fields)

    def remove_customer(self, customer_id: str) -> None:
        """Delete the row, as only an operator's SQL can (contract.md 3.7): no trace of it, and no `updated_at`."""
        with self.lock:
            self.account.apply("show_customer", self._number(customer_id), GONE)

    def remove_subscription(self, subscription_id: str) -> None:
        """Delete a subscription's row, as `remove_customer` deletes a customer's."""
        with self.lock:
            self.account.apply("show_subscription", self._subscription_number(subscription_id), GONE)

    def hide(self, row_id: str) -> None:
        """Let a customer or subscription be committed but not visible yet, until `show`: no answer has it.

        Raises:
            FixInput: when no visible row has this id.
        """
        with self.lock:
            number = self.account.customers.find(row_id)
            if number is not None:
                entry = "show_customer", number, self.account.customers.kinds[number]
            else:
                number = self._subscription_number(row_id)
                entry = "show_subscription", number, self.account.subscriptions.kinds[number]
            self.account.hidden[row_id] = entry
            self.account.apply(entry[0], number, GONE)

    def show(self, row_id: str) -> None:
        """Let a hidden row appear, with the content and timestamps that it had.

        Raises:
            FixInput: when the row is not hidden.
        """
        with self.lock:
            if row_id not in self.account.hidden:
                raise FixInput(f"row {row_id!r} is not hidden.")
            self.account.apply(*self.account.hidden.pop(row_id))

    def touch_customer(self, customer_id: str) -> None:
        """Set a customer's `updated_at` to now, as an update without changes does."""
        self.update_customer(customer_id)

    def touch_all(self, timestamp: Moment) -> None:
        """Give every customer the same `updated_at`, as a bulk statement does."""
        with self.lock:
            kinds = self.account.customers.kinds
            rows = [number for number in range(self.account.customers.count) if kinds[number] != GONE]
            self.account.apply("touch_customers", rows, moment_of(timestamp, 0))

    def customer_ids(self, status: str = "published") -> list[str]:
        """Ids of the visible customers of a status, oldest row first."""
        with self.lock:
            table, kind = self.account.customers, customers.STATUSES.index(status)
            return [self._customer_id(number) for number in range(table.count) if table.kinds[number] == kind]

    def _customer_id(self, number: int) -> str:
        stored = self.account.customers.written.get(number)
        return str(stored["id"]) if stored else self.account.generated_customers.id_of(number)

    def active_customer_ids(self) -> list[str]:
        """Ids of customers whose usage, entitlements and grants are not empty (contract.md 11)."""
        with self.lock:
            return sorted(set(self._active()))

    def _active(self) -> Iterator[str]:
        account = self.account
        for row, kind in enumerate(account.subscriptions.kinds):
            if kind in subscriptions.LIVE and not account.inherited(row):
                stored = account.subscriptions.written.get(row)
                owner = (
                    stored["customer_id"]
                    if stored
                    else account.generated_customers.id_of(account.generated_subscriptions.owners[row])
                )
                if account.customers.find(owner) is not None:
                    yield owner

    def add_subscription(
        self, customer_id: str, plan: str = "Starter", status: str = "active", type: str = "standalone", **fields: Any
    ) -> str:
        """Subscribe a customer to a plan (by name, lookup key or id); returns the subscription's id."""
        with self.lock:
            now = self.account.now()
            created = moment_of(fields.pop("created_at", None), now)
            updated = moment_of(fields.pop("updated_at", None), created)
            plan_id, entities = self._plan(plan)
            row = blank_subscription(
                id=self.account.fresh_id("subs", self.account.subscriptions), customer_id=customer_id, plan_id=plan_id,
                status=status, type=type, anchor=created - created % 1_000_000, base=max(created, self.account.base),
            )  # fmt: skip
            row = present({**row, **fields})
            kind = subscriptions.KIND[status]
            self.account.apply("insert_subscription", row, created, updated, kind, entities)
            return str(row["id"])

    def _plan(self, wanted: str) -> tuple[str, tuple[str, ...]]:
        for plan in self.account.catalog.plans.values():
            if wanted and wanted.lower() in (plan.id.lower(), plan.name.lower(), plan.name.split(" ")[0].lower()):
                return plan.id, (plan.id,)
        names = ", ".join(plan.name for plan in self.account.catalog.plans.values() if plan.name)
        raise FixInput(f"plan {wanted!r} is unknown.", remedy=f"Known: {names}.")

    def cancel_subscription(self, subscription_id: str) -> None:
        """Cancel at once; `updated_at` moves."""
        now = self.account.now()
        when = stamp(now)
        self.update_subscription(
            subscription_id,
            updated_at=now,
            subscription_status="cancelled",
            end_date=when,
            cancel_at=when,
            cancelled_at=when,
        )

    def update_subscription(self, subscription_id: str, **fields: Any) -> None:
        """Change columns of a subscription, its status among them."""
        with self.lock:
            table = self.account.subscriptions
            number = self._subscription_number(subscription_id)
            updated = moment_of(fields.pop("updated_at", None), self.account.now())
            if number not in self.account.entities:
                self.account.entities[number] = self.account.entities_of(number)
            row = {**table.row(number), **fields}
            kind = subscriptions.KIND[row["subscription_status"]]
            self.account.apply("change_subscription", number, row, updated, kind)

    def set_usage(self, customer_id: str, lookup_key: str, value: object, subscription_id: str | None = None) -> None:
        """Set what a subscription (the newest one by default) has used of a feature."""
        with self.lock:
            feature = self.account.catalog.by_key.get(lookup_key)
            live = [row for row in self.account.live(customer_id) if not self.account.inherited(row)]
            if subscription_id is not None:
                live = [row for row in live if self.account.subscription(row)["id"] == subscription_id]
            if feature is None or not live:
                raise FixInput(f"customer {customer_id!r} has no usage of {lookup_key!r}.")
            self.account.apply("put_usage", live[0], feature.id, Decimal(str(value)))

    def rename_plan(self, plan_id: str, name: str) -> None:
        """Give a plan another name. No subscription's `updated_at` moves, as on the server."""
        self._rename(plan_id, name, self.account.catalog.plans)

    def rename_feature(self, feature_id: str, name: str) -> None:
        """Give a feature another name; its `updated_at` moves."""
        self._rename(feature_id, name, self.account.catalog.features)

    def _rename(self, thing_id: str, name: str, known: Mapping[str, object]) -> None:
        if thing_id not in known:
            raise FixInput(f"{thing_id!r} does not exist.", remedy=f"Known: {', '.join(known)}.")
        with self.lock:
            self.account.apply("change_catalog", self.account.catalog.renamed(thing_id, name, self.account.now()))

    def churn_once(self) -> None:
        """One random change: mostly updates, some new customers, some archived ones."""
        with self.lock:
            choice = self.chance.random()
            number = self.chance.randrange(max(1, self.account.customers.count))
            if choice < 0.3 or self.account.customers.kinds[number] == GONE:
                self.create_customer()
            elif choice < 0.85 or self.account.subscriptions_of(self._customer_id(number)):
                self.update_customer(self._customer_id(number), name=f"Changed {self.chance.randrange(10**6)}")
            else:
                self.archive_customer(self._customer_id(number))

    def _subscription_number(self, subscription_id: str) -> int:
        number = self.account.subscriptions.find(subscription_id)
        if number is None:
            raise FixInput(f"subscription {subscription_id!r} does not exist.")
        return number

    def _number(self, customer_id: str) -> int:
        number = self.account.customers.find(customer_id)
        if number is None:
            raise FixInput(f"customer {customer_id!r} does not exist.")
        return number
