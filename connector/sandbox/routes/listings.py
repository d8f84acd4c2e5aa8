"""The two listings: customers and subscriptions.

Promises each one's defaults and look-ups (contract.md 3.1, 7.1); what they share is `query.py`. Never changes
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

import msgspec

from connector.sandbox.clock import parse_rfc3339
from connector.sandbox.data import customers, subscriptions
from connector.sandbox.data.account import Account
from connector.sandbox.replies import Json, Refusal, error_reply
from connector.sandbox.routes.filters import Filter
from connector.sandbox.routes.query import Page, page_of

__all__ = ["CustomerListing", "SubscriptionListing", "listed"]

NULL = msgspec.Raw(b"null")


class CustomerListing:
    """POST /customers/search and GET /customers."""

    noun = "customers"
    columns = customers.COLUMNS
    documents = frozenset({"metadata"})

    def __init__(self, account: Account, chance: Random) -> None:
        self.account, self.table, self.chance = account, account.customers, chance

    def refuses_as_invalid(self) -> bool:
        """400 five times in six (contract.md 2.3)."""
        return self.chance.random() < 5 / 6

    def kinds_for(self, filter: Filter) -> set[int]:
        """One status; published unless another is named, and an unknown one matches nothing (contract.md 3.6)."""
        if not filter.status and filter.archived_included:
            return {customers.PUBLISHED, customers.ARCHIVED}
        wanted = filter.status or "published"
        return {kind for kind, name in enumerate(customers.STATUSES) if name == wanted}

    def indexed(self, name: str, values: Iterable[str]) -> set[int] | None:
        """Rows by id or external id."""
        if name == "id":
            return {row for row in map(self.table.find, values) if row is not None}
        if name == "external_id":
            return {row for value in values for row in self.account.by_external_id(value)}
        return None

    def lookups(self, filter: Filter) -> Iterable[set[int]]:
        """The keys of contract.md 3.1 beside `filters`."""
        equals, within = filter.equals, filter.within
        if "external_id" in equals:
            yield self.account.by_external_id(equals["external_id"])
        if "external_ids" in within:
            yield self.indexed("external_id", within["external_ids"]) or set()
        if "customer_ids" in within:
            yield self.indexed("id", within["customer_ids"]) or set()
        if "email" in equals:
            yield {n for n in self._all(filter) if self.table.row(n)["email"] == equals["email"]}
        if filter.metadata:
            wanted = filter.metadata.items()
            yield {n for n in self._all(filter) if wanted <= (self.table.row(n)["metadata"] or {}).items()}

    def _all(self, filter: Filter) -> Iterable[int]:
        kinds, wanted = self.table.kinds, self.kinds_for(filter)
        return (number for number in range(self.table.count) if kinds[number] in wanted)

    def item(self, number: int, request: Filter) -> Json:
        """One row as sent."""
        return self.account.customer(number, request.expand)


class SubscriptionListing:
    """POST /subscriptions/search and GET /subscriptions."""

    noun = "subscriptions"
    columns = subscriptions.COLUMNS
    documents = frozenset({"metadata"})

    def __init__(self, account: Account, chance: Random) -> None:
        self.account, self.table, self.chance = account, account.subscriptions, chance

    def refuses_as_invalid(self) -> bool:
        """As for customers (inferred)."""
        return self.chance.random() < 5 / 6

    def kinds_for(self, filter: Filter) -> set[int]:
        """`active` only, unless statuses are given or a condition is on them (contract.md 7.1)."""
        if filter.status not in ("", "published"):
            return set()
        for status in filter.subscription_status:
            if status not in subscriptions.KIND:
                _refuse_status(status)
        if filter.subscription_status:
            return {subscriptions.KIND[status] for status in filter.subscription_status}
        return (
            set(subscriptions.KIND.values()) if filter.names("subscription_status") else {subscriptions.KIND["active"]}
        )

    def indexed(self, name: str, values: Iterable[str]) -> set[int] | None:
        """Rows by id or customer."""
        if name == "id":
            return {row for row in map(self.table.find, values) if row is not None}
        if name == "customer_id":
            return {row for value in values for row in self.account.subscriptions_of(value)}
        return None

    def lookups(self, filter: Filter) -> Iterable[set[int]]:
        """The keys beside `filters`."""
        if "subscription_ids" in filter.within:
            yield self.indexed("id", filter.within["subscription_ids"]) or set()
        if "customer_id" in filter.equals:
            yield self.indexed("customer_id", [filter.equals["customer_id"]]) or set()
        plans = set(filter.within.get("plan_ids", ())) | {filter.equals[k] for k in ("plan_id",) if k in filter.equals}
        if plans:
            yield {n for n in range(self.table.count) if self.account.entities_of(n)[:1] and self._plan(n) in plans}
        if filter.start_time is not None or filter.end_time is not None:
            yield {n for n in range(self.table.count) if self._within(n, filter)}

    def _plan(self, number: int) -> str:
        return self.account.entities_of(number)[0]

    def _within(self, number: int, filter: Filter) -> bool:
        row = self.table.row(number)
        start, end = parse_rfc3339(row["current_period_start"]) or 0, parse_rfc3339(row["current_period_end"]) or 0
        return (filter.start_time or start) <= start and end <= (filter.end_time or end)

    def item(self, number: int, request: Filter) -> Json:
        """One row as sent, with its plan."""
        row = self.account.subscription(number)
        plan = self.account.catalog.plans.get(row["plan_id"])
        row["plan"] = plan.raw if plan else NULL
        return row


def _refuse_status(status: str) -> None:
    details = {"allowed_status": list(subscriptions.STATUSES), "status": status}
    raise Refusal(error_reply("validation_error", "Invalid subscription status", details))


def listed(
    listing: CustomerListing | SubscriptionListing, request: Filter, before_count: Callable[[], object] | None = None
) -> Json:
    """A page; `pagination.offset` is the next offset, `total` a query of its own that runs later (contract.md 3.2)."""
    page: Page = page_of(listing, request)
    items = [listing.item(number, request) for number in page.rows]
    total = page.total
    if before_count is not None:
        before_count()
        total = page_of(listing, request).total
    pagination = {"total": total, "limit": request.limit, "offset": request.offset + request.limit}
    return {"items": items, "pagination": pagination}
