"""Generated customers, computed from seed and row number.

Promises the same customer for the same seed and number of customers, `created_at` rising with the row number, and
every awkward shape of contract.md 4: null and empty metadata, absent and empty contact, equal timestamps, trimmed
fractions, archived rows that share an external id with their successor. Only timestamps and the time part of ids
follow the base time. No name belongs to a person.
"""

from __future__ import annotations

from array import array
from random import Random

from connector.sandbox.clock import DAY, SECOND, stamp
from connector.sandbox.data.catalog import ENVIRONMENT, TENANT, USER
from connector.sandbox.data.profiles import (
    ARCHIVED_BY_CODE,
    ARCHIVED_CODES,
    PROFILES,
    Profile,
    Subscribed,
    codes_of,
)
from connector.sandbox.ids import bits_of, mix, row_of, ulid
from connector.sandbox.replies import Json

__all__ = ["ARCHIVED", "COLUMNS", "PUBLISHED", "STATUSES", "Customers"]

STATUSES = ("published", "archived", "deleted")
PUBLISHED, ARCHIVED = 0, 1
_NAMES = """
id tenant_id status created_at updated_at created_by updated_by environment_id metadata external_id name email contact
address_line1 address_line2 address_city address_state address_postal_code address_country timezone
"""
COLUMNS = frozenset(_NAMES.split())
"""What `filters` and `sort` may name (contract.md 3.4)."""

SPAN = 400 * DAY
QUIET = 3600 * SECOND
"""No customer is created in the last hour before the base time."""
TIE = 4
GRAIN = (SECOND, 1000, *([1] * 14))
"""Some timestamps are whole seconds or milliseconds."""
BLOCK, BULK = 1024, 24
"""In every block of rows, this many were last updated by one bulk statement."""


NAMES = (
    "Ünïcode GmbH", "Acme & Söhne <x>", "Nordwind\u2028Logistik", 'Quay "Q" Traders', "株式会社サンプル", "Δοκιμή ΑΕ",
    "Plain Inc", "Ещё Пример ООО", "Blue Kettle Works", "Cedar & Clay", "Ćwiczenie sp. z o.o.", "Tin Lantern Ltd",
    "O'Reach Cloud", "שלום בע״מ", "Paper Boat 🚢 Co", "Hollow Oak Software",
)  # fmt: skip
ADDRESSES = (
    ("1 Main St", "Paris", "Île-de-France", "75001", "FR", "Europe/Paris"),
    ("Musterweg 5", "Köln", "NRW", "50667", "DE", "Europe/Berlin"),
    ("22 Harbour Rd", "St. John's", "NL", "A1C 1A1", "CA", "America/St_Johns"),
    ("4-2-8 Shibakoen", "東京", "", "105-0011", "JP", "Asia/Tokyo"),
    ("12 MG Road", "Bengaluru", "KA", "560001", "IN", "Asia/Kolkata"),
    ("9 Sample Ave", "Springfield", "IL", "62701", "US", "America/Chicago"),
)
TIMEZONES = ("UTC", "UTC", "UTC", "UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")


class Customers:
    """The computed rows of POST /customers/search (a `table.Source`)."""

    def __init__(self, seed: int, count: int, base: int, ties: int = 0, subscribed: Subscribed | None = None) -> None:
        self.seed, self.count, self.base = seed, count, base
        raw = bits_of(seed, count)
        self.bits = array("Q", raw)
        self.codes = codes_of(raw[::8])
        if subscribed is not None:
            self.codes = subscribed.applied(self.codes, Random(seed))
        self.step = max(SPAN // max(count, 1), 4 * SECOND)
        self.start = base - QUIET - self.step * count
        self.tied = range(count // 3, min(count, count // 3 + ties))

    def profile(self, number: int) -> Profile:
        """The kind of customer it is."""
        return PROFILES[self.codes[number]]

    def kinds(self) -> bytearray:
        """0 published, 1 archived."""
        return self.codes.translate(ARCHIVED_BY_CODE)

    def leader(self, number: int) -> int:
        """The row whose `created_at` this one shares, itself as a rule."""
        if number in self.tied:
            return self.tied[0]
        first = number - number % TIE
        return first if self.bits[first] >> 8 & 15 == 0 and first not in self.tied else number

    def created(self, number: int) -> int:
        """`created_at` in microseconds; strictly rising from leader to leader."""
        return self._own_moment(self.leader(number))

    def _own_moment(self, number: int) -> int:
        bits = self.bits[number]
        moment = self.start + number * self.step + SECOND + bits % (self.step - 2 * SECOND)
        return moment - moment % GRAIN[bits >> 12 & 15]

    def updated(self, number: int, created: int) -> int:
        """`updated_at` in microseconds, never before `created`."""
        if number in self.tied:
            return created
        block, offset = divmod(number, BLOCK)
        bulk = self.base - (1 + block % 300) * DAY + 123_456
        if block and offset < BULK and bulk > created:
            return bulk
        bits = self.bits[number]
        if bits >> 16 & 3 == 0 or self.codes[number] in ARCHIVED_CODES:
            return created + SECOND + (bits >> 18) % (self.base - created - 2 * SECOND)
        return created

    def stamps(self, column: str) -> array[int]:
        """A fresh column of timestamps."""
        created = self._created_column()
        return created if column == "created_at" else array("q", map(self.updated, range(self.count), created))

    def _created_column(self) -> array[int]:
        """`created()` of every row; looks up a leader only where rows share a timestamp."""
        column = array("q", map(self._own_moment, range(self.count)))
        for first in range(0, self.count, TIE):
            if self.bits[first] >> 8 & 15 == 0:
                for number in range(first, min(first + TIE, self.count)):
                    column[number] = self.created(number)
        for number in self.tied:
            column[number] = self.created(number)
        return column

    def id_of(self, number: int) -> str:
        """The customer's id; its time part is its `created_at`."""
        return f"cust_{ulid(self.created(number) // 1000, number, self.bits[number] >> 20)}"

    def external_id(self, number: int) -> str:
        """The caller's id; some archived rows share that of the row after them, their replacement."""
        if self._replaced(number):
            number += 1
        return f"region eu/acct {number:07d}" if self.bits[number] >> 41 & 63 == 0 else f"acct-{number:07d}"

    def _replaced(self, number: int) -> bool:
        if self.bits[number] >> 47 & 1 or not self.profile(number).archived:
            return False
        return number + 1 < self.count and not self.profile(number + 1).archived

    def by_external_id(self, external_id: str) -> list[int]:
        """The computed rows that have an external id, archived ones included."""
        digits = external_id[-7:]
        number = int(digits) if len(digits) == 7 and digits.isascii() and digits.isdigit() else -1
        return [n for n in (number - 1, number) if 0 <= n < self.count and self.external_id(n) == external_id]

    def timezone(self, number: int) -> str:
        """The customer's zone, which its subscriptions inherit."""
        bits = self.bits[number]
        return ADDRESSES[(bits >> 28) % len(ADDRESSES)][5] if bits >> 27 & 1 else TIMEZONES[bits >> 31 & 7]

    def row(self, number: int, created: int, updated: int) -> Json:
        """One customer as sent (contract.md 4); keys in the server's order."""
        bits = self.bits[number]  # 53 and 60 to 63 tell nothing apart yet; `(bits >> 28) % …` takes all upper ones
        address = ADDRESSES[(bits >> 28) % len(ADDRESSES)] if bits >> 27 & 1 else ("", "", "", "", "", "")
        row: Json = {
            "id": f"cust_{ulid(self.created(number) // 1000, number, bits >> 20)}",
            "external_id": self.external_id(number),
            "name": f"{NAMES[bits >> 34 & 15]} {number}",
            "email": f"billing+{number}@mail{bits >> 38 & 3}.example.com" if bits >> 40 & 7 else "",
        }
        if bits >> 43 & 2:
            row["contact"] = f"+1555{number:07d}" if bits >> 43 & 1 else ""
        row["address_line1"], row["address_line2"] = address[0], "Floor 2" if bits >> 45 & 1 and address[0] else ""
        row["address_city"], row["address_state"], row["address_postal_code"], row["address_country"] = address[1:5]
        row["timezone"] = self.timezone(number)
        row["metadata"] = _metadata(bits >> 48)
        row["environment_id"], row["tenant_id"] = ENVIRONMENT, TENANT
        row["status"] = STATUSES[self.profile(number).archived]
        row["created_at"], row["updated_at"] = stamp(created), stamp(updated)
        row["created_by"] = row["updated_by"] = USER if bits >> 54 & 63 else ""
        return row

    def integrations(self, number: int, created: int) -> list[Json]:
        """Links to other systems, for one customer in sixteen; whole seconds (contract.md 3.9)."""
        bits = mix(self.bits[number])
        if bits & 15:
            return []
        owner, when = self.id_of(number), stamp(created - created % SECOND)
        found = [_integration(owner, "stripe", number, when, {"nested": {"a": [1, 2.5, None]}}, "published")]
        if bits & 16:
            found.insert(0, _integration(owner, "hubspot", number, when, None, "archived"))
        return found


def _metadata(bits: int) -> dict[str, str] | None:
    """Null, empty, or some keys, sorted as Go prints a map."""
    if bits & 3 == 0:
        return None
    if bits & 3 == 1:
        return {}
    found = {"Key With Space": 'v,"q"\n2', "segment": "abcd"[bits >> 2 & 3]}
    return found if bits >> 4 & 1 else {**found, "tier": "gold & <more>"}


def _integration(owner: str, provider: str, number: int, when: str, metadata: Json | None, status: str) -> Json:
    row: Json = {
        "id": f"eim_{provider}_{number:07d}", "entity_id": owner, "entity_type": "customer", "provider_type": provider,
        "provider_entity_id": f"{provider[:3]}_{row_of(owner):06d}", "environment_id": ENVIRONMENT, "tenant_id": TENANT,
        "status": status,
    }  # fmt: skip
    if metadata:
        row["metadata"] = metadata
    return row | {"created_at": when, "updated_at": when, "created_by": USER, "updated_by": USER}
