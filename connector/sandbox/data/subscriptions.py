"""Subscriptions that nobody wrote, computed from their customer.

Promises every status and type of contract.md 6.2, and that a customer's subscriptions have neighbouring row
numbers. What an archived customer has left is cancelled, because the server refuses to archive one with an active
subscription (5.4).
"""

from __future__ import annotations

from array import array
from functools import cached_property
from itertools import accumulate

from connector.sandbox.clock import DAY, SECOND, stamp
from connector.sandbox.data.blanks import ABSENT, blank_subscription, present
from connector.sandbox.data.catalog import Catalog
from connector.sandbox.data.customers import Customers
from connector.sandbox.data.profiles import COUNT_BY_CODE, PROFILES, Profile
from connector.sandbox.ids import mix, ulid
from connector.sandbox.replies import Json

__all__ = ["COLUMNS", "LIVE", "STATUSES", "Subscriptions"]

STATUSES = ("active", "paused", "cancelled", "incomplete", "trialing", "draft")
"""In the order of the server's own error text."""
KIND = {status: kind for kind, status in enumerate(STATUSES)}
LIVE = frozenset({KIND["active"], KIND["trialing"]})
"""The statuses that give usage, entitlements and grants (contract.md 6.1)."""
LONGEST_MONTH, LONGEST_YEAR = 32 * DAY, 367 * DAY
"""After this long a period has certainly ended, whatever the calendar and the zone."""
OFFSETS = (350_000, 350_000, 3 * DAY, 41 * DAY)
"""How long after the customer its subscription came; few values, so that ties carry over."""
KINDS_BY_CODE = [bytes(KIND[status] for status in profile.subscriptions) for profile in PROFILES]
PLAN_OF = (0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3)


class Subscriptions:
    """The computed rows of POST /subscriptions/search (a `table.Source`)."""

    def __init__(self, customers: Customers, catalog: Catalog) -> None:
        self.customers = customers
        self.plans = [plan for plan in catalog.plans.values() if plan.name]
        self.addon = next(plan for plan in catalog.plans.values() if not plan.name)
        self.base = customers.base

    @cached_property
    def first(self) -> array[int]:
        """The first row number of every customer, and one past the last."""
        return array("I", accumulate(self.customers.codes.translate(COUNT_BY_CODE), initial=0))

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return self.first[-1]

    @cached_property
    def owners(self) -> array[int]:
        """The customer of every row."""
        counts = self.customers.codes.translate(COUNT_BY_CODE)
        return array("I", [number for number, count in enumerate(counts) for _ in range(count)])

    def of(self, number: int) -> range:
        """The rows of a computed customer."""
        return range(self.first[number], self.first[number + 1])

    def profile(self, row: int) -> tuple[Profile, int]:
        """The owner's profile, and which of its subscriptions this is."""
        owner = self.owners[row]
        return self.customers.profile(owner), row - self.first[owner]

    def status(self, row: int) -> str:
        """The subscription's status."""
        profile, slot = self.profile(row)
        return profile.subscriptions[slot]

    def bits(self, row: int) -> int:
        """Seeded bits of one subscription."""
        owner = self.owners[row]
        return mix(self.customers.bits[owner] + 7919 * (row - self.first[owner] + 1))

    def kinds(self) -> bytearray:
        """The status of every row, as its place in STATUSES."""
        return bytearray().join(map(KINDS_BY_CODE.__getitem__, self.customers.codes))

    def created(self, row: int) -> int:
        """Microseconds; later slots are newer."""
        owner = self.owners[row]
        return self._created(row, self.customers.created(owner), row - self.first[owner])

    def _created(self, row: int, born: int, slot: int) -> int:
        bits = self.bits(row)
        if self.status(row) == "trialing":
            return max(born + 350_000, self.base - (1 + bits % 12) * DAY)
        moment = born + OFFSETS[bits & 3] + slot * 61 * SECOND
        latest = self.base - 1800 * SECOND
        return moment if moment < latest else max(born, latest + slot * SECOND)

    def updated(self, row: int, created: int) -> int:
        """Microseconds; some rows differ by one, as on the real server."""
        bits = self.bits(row)
        if bits >> 2 & 7 == 0 or self.status(row) in ("cancelled", "paused"):
            return created + (bits >> 8) % max(1, self.base - created - 2 * SECOND)
        return created + (bits >> 5 & 3 == 0)

    def stamps(self, column: str) -> array[int]:
        """A fresh column of timestamps."""
        born, owners, first = self.customers.stamps("created_at"), self.owners, self.first
        rows = zip(range(self.count), owners, strict=True)
        created = array("q", [self._created(row, born[owner], row - first[owner]) for row, owner in rows])
        return created if column == "created_at" else array("q", map(self.updated, range(self.count), created))

    def id_of(self, row: int) -> str:
        """The subscription's id."""
        return f"subs_{ulid(self.customers.created(self.owners[row]) // 1000, row, self.bits(row))}"

    def entities(self, row: int) -> tuple[str, ...]:
        """The plan and add-ons that entitle."""
        bits = self.bits(row)
        place = PLAN_OF[bits >> 12 & 15]
        plan = self.plans[(place + row - self.first[self.owners[row]]) % len(self.plans)]
        return (plan.id, self.addon.id) if plan.name == "Scale" and bits >> 16 & 3 == 0 else (plan.id,)

    def anchor(self, row: int, created: int) -> int:
        """Whole seconds, up to 40 days before the row was made (imported businesses start in the past)."""
        back = 0 if self.status(row) == "trialing" else (self.bits(row) >> 20) % (40 * 86_400)
        return created - created % SECOND - back * SECOND

    def row(self, row: int, created: int, updated: int) -> Json:
        """One subscription as sent, without its plan (contract.md 6.2)."""
        owner, bits, (profile, slot) = self.owners[row], self.bits(row), self.profile(row)
        entities = self.entities(row)
        sequence = next(plan.sequence for plan in self.plans if plan.id == entities[0])
        annual = sequence == self.plans[-1].sequence
        anchor = self.anchor(row, created)
        stale = bits >> 24 & 31 == 0 and self.base - anchor > (LONGEST_YEAR if annual else LONGEST_MONTH)
        made = blank_subscription(
            id=self.id_of(row), customer_id=self.customers.id_of(owner), plan_id=entities[0],
            status=profile.subscriptions[slot], type=profile.type, anchor=anchor, base=self.base,
            period="ANNUAL" if annual else "MONTHLY", zone=self.customers.timezone(owner), stale=stale,
        )  # fmt: skip
        made["synced_price_sequence"] = sequence
        made["created_at"], made["updated_at"] = stamp(created), stamp(updated)
        if profile.type == "inherited":
            made["parent_subscription_id"] = self.id_of(self.first[owner - 1])
        if profile.type == "delegated_invoicing":
            made["invoicing_customer_id"] = self.customers.id_of(owner - 1 if owner else owner)
        if made["subscription_status"] == "cancelled":
            _cancelled(made, updated)
        _terms(made, bits >> 30)
        return present(made)


def _cancelled(made: Json, updated: int) -> None:
    when = stamp(updated - 128)
    made["end_date"] = made["cancel_at"] = when
    made["cancelled_at"] = stamp(updated - 10)
    whole = stamp(updated - updated % SECOND)
    made["metadata"] = {"cancellation_reason": "", "cancellation_type": "immediate", "effective_date": whole}


def _terms(made: Json, bits: int) -> None:
    """Commitments, references, thresholds: each on a few subscriptions."""
    if bits & 15 == 0:
        made.update(
            commitment_amount="500.25", commitment_duration="MONTHLY", overage_factor="1.5", enable_true_up=True
        )
    if bits >> 4 & 15 == 0:
        made.update(lookup_key=f"contract-{made['id'][-6:].lower()}", payment_terms="30 NET", currency="eur")
    if bits >> 8 & 15 == 0 and made["metadata"] is ABSENT:
        made["metadata"] = {"po": "42 & <more>"}
    if bits >> 12 & 31 == 0:
        made["auto_invoice_threshold"] = "1000.00000001"
    if bits >> 17 & 15 == 0 and made["subscription_status"] == "active":
        made["cancel_at"], made["cancel_at_period_end"] = made["current_period_end"], True
    if bits >> 21 & 15 == 0:
        made["billing_cycle"], made["collection_method"] = "calendar", "charge_automatically"


_EXAMPLE = blank_subscription(id="", customer_id="", plan_id="", status="", type="", anchor=0, base=0)
COLUMNS = frozenset(_EXAMPLE) - {"plan", "customer"}
"""What `filters` and `sort` may name: any column."""
