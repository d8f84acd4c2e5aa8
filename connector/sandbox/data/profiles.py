"""The kinds of generated customers, and how many there are of each.

Promises that a customer's kind is one table look-up, and that a whole column of kinds is one `bytes.translate`. Never
reads or makes a customer.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ARCHIVED_BY_CODE", "ARCHIVED_CODES", "COUNT_BY_CODE", "PROFILES", "Profile", "codes_of"]


class Profile(NamedTuple):
    """Archived or not, the status of each subscription, and their type."""

    archived: bool = False
    subscriptions: tuple[str, ...] = ()
    type: str = "standalone"


SHARES = (
    (18, Profile(archived=True)),
    (8, Profile(archived=True, subscriptions=("cancelled",))),
    (6, Profile(subscriptions=("active",), type="parent")),
    (56, Profile()),
    (90, Profile(subscriptions=("active",))),
    (18, Profile(subscriptions=("active", "active"))),
    (6, Profile(subscriptions=("active", "cancelled", "active"))),
    (6, Profile(subscriptions=("active", "active", "trialing"))),
    (12, Profile(subscriptions=("trialing",))),
    (8, Profile(subscriptions=("paused",))),
    (6, Profile(subscriptions=("draft",))),
    (4, Profile(subscriptions=("incomplete",))),
    (12, Profile(subscriptions=("cancelled",))),
    (3, Profile(subscriptions=("active",), type="delegated_invoicing")),
    (3, Profile(subscriptions=("active",), type="grouped_invoicing")),
    (0, Profile(subscriptions=("active",), type="inherited")),
)
"""How many of 256 customers have each profile; the customer after a parent is its child."""

PROFILES = tuple(profile for _, profile in SHARES)
PARENT, UNSUBSCRIBED, CHILD = 2, 3, len(PROFILES) - 1
ARCHIVED_CODES = frozenset(code for code, profile in enumerate(PROFILES) if profile.archived)
_CODE_BY_BYTE = bytes(code for code, (share, _) in enumerate(SHARES) for _ in range(share))


def _table(values: list[int]) -> bytes:
    return bytes(values).ljust(256, b"\0")


ARCHIVED_BY_CODE = _table([int(profile.archived) for profile in PROFILES])
COUNT_BY_CODE = _table([len(profile.subscriptions) for profile in PROFILES])


def codes_of(first_bytes: bytes) -> bytearray:
    """The profile of each customer from its first byte. Parents have even numbers, their children the next odd one."""
    codes = bytearray(first_bytes.translate(_CODE_BY_BYTE))
    number = codes.find(PARENT)
    while number >= 0:
        if number & 1:
            codes[number] = UNSUBSCRIBED
        elif number + 1 < len(codes):
            codes[number + 1] = CHILD
        number = codes.find(PARENT, number + 1)
    return codes
