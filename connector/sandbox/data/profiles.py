"""The kinds of generated customers, and how many there are of each.

Promises that a customer's kind is one table look-up, and that a whole column of kinds is one `bytes.translate`. Never
reads or makes a customer.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from connector.errors import FixInput

__all__ = ["ARCHIVED_BY_CODE", "ARCHIVED_CODES", "COUNT_BY_CODE", "PROFILES", "Profile", "Subscribed", "codes_of"]


class Profile(NamedTuple):
    """Archived or not, the status of each subscription, and their type."""

    archived: bool = False
    subscriptions: tuple[str, ...] = ()
    type: str = "standalone"

    @property
    def entitling(self) -> int:
        """How many of its subscriptions give usage, entitlements and grants (contract.md 6.1, 11)."""
        live = sum(status in ("active", "trialing") for status in self.subscriptions)
        return 0 if self.type == "inherited" else live


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
PARENT, UNSUBSCRIBED, ACTIVE, CHILD = 2, 3, 4, len(PROFILES) - 1
IDLE, SINGLE, SEVERAL = (
    frozenset(code for code, profile in enumerate(PROFILES) if min(profile.entitling, 2) == count) for count in range(3)
)
"""Profiles by the number of subscriptions that give anything: none, one, or more."""
ARCHIVED_CODES = frozenset(code for code, profile in enumerate(PROFILES) if profile.archived)
_CODE_BY_BYTE = bytes(code for code, (share, _) in enumerate(SHARES) for _ in range(share))


class Group(NamedTuple):
    """Profiles that serve for a customer of a group, and what others are replaced by."""

    fitting: frozenset[int]
    others: tuple[int, ...]


NONE, ONE, MANY = Group(IDLE, (UNSUBSCRIBED,)), Group(SINGLE, (ACTIVE,)), Group(SEVERAL, tuple(sorted(SEVERAL)))


class Subscribed(NamedTuple):
    """How many customers have an active or trialing subscription, and how many of those have several; shares."""

    share: float
    several: float

    @classmethod
    def of(cls, share: float | None, several: float | None) -> Subscribed | None:
        """Given shares, with the default account's in place of a missing one; None for that account itself.

        Raises:
            FixInput: when a share is not between 0 and 1.
        """
        for name, value in (("subscribed", share), ("several", several)):
            if value is not None and not 0 <= value <= 1:
                raise FixInput(f"{name} {value!r} is no share.", remedy="Give a number between 0 and 1.")
        if share is None and several is None:
            return None
        return cls(USUAL.share if share is None else share, USUAL.several if several is None else several)

    def applied(self, codes: bytearray, chance: Random) -> bytearray:
        """Profiles with exactly these shares, to the nearest customer; who fits already keeps the profile."""
        chosen = chance.sample(range(len(codes)), round(self.share * len(codes)))
        groups = [NONE] * len(codes)
        for place, number in enumerate(chosen):
            groups[number] = MANY if place < round(self.several * len(chosen)) else ONE
        found = bytearray(codes)
        for number, (code, group) in enumerate(zip(codes, groups, strict=True)):
            if code not in group.fitting:
                found[number] = chance.choice(group.others)
            elif code == CHILD and found[number - 1] != PARENT:
                found[number] = UNSUBSCRIBED
        return found


def _weight(codes: frozenset[int]) -> int:
    return sum(share for code, (share, _) in enumerate(SHARES) if code in codes)


USUAL = Subscribed(_weight(SINGLE | SEVERAL) / 256, _weight(SEVERAL) / _weight(SINGLE | SEVERAL))
"""What the default account has."""


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
