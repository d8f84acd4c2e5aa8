"""Guards: what makes a plan so large or unusual that it needs a second confirmation.

Promised: every guard says what was found, what is allowed, and which setting changes that. Never done: asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from connector.plurals import counted
from connector.push.plan.counts import Counts

__all__ = ["Guard", "Limits", "percent", "too_old", "tripped"]


_CLOCKS_DIFFER = timedelta(minutes=10)  # by which those of two machines differ in practice


class Guard(msgspec.Struct, frozen=True):
    """One guard that a plan trips.

    Attributes:
        name: the setting of [import] that holds its limit.
        found: the plan's value.
        limit: what passes without a second confirmation.
        text: both as a sentence.
    """

    name: str
    found: float
    limit: float
    text: str


@dataclass(frozen=True)
class Limits:
    """What passes without a second confirmation.

    Attributes:
        max_share: of existing published customers touched (updated or archived), 0.3 = 30 %.
        few: so many touched customers never count as a large share.
        max_creates: new customers.
        max_archives: archived customers; the API has no un-archive.
        max_key_changes: changes of external_id.
        max_doubts: rows that look like a mistake and are written because their kind of doubt was accepted as a whole.
        max_age: of the plan when it is applied.
        max_field_share: of existing customers of which one field goes from one value to another, 0.2 = 20 %.
        few_of_field: so many of them never count as a large share.
        max_moved: customers that take a value that another customer has today.
        max_same: customers that get one and the same name, or e-mail.
    """

    max_share: float = 0.3
    few: int = 10
    max_creates: int = 1000
    max_archives: int = 0
    max_key_changes: int = 0
    max_doubts: int = 0
    max_age: timedelta = timedelta(hours=24)
    max_field_share: float = 0.2
    few_of_field: int = 20
    max_moved: int = 10
    max_same: int = 20


def tripped(counts: Counts, existing: int, limits: Limits) -> list[Guard]:
    """The guards that a plan trips, given how many published customers exist."""
    touched = counts.update + counts.archive
    share = touched / existing if existing else 0.0
    found = []
    if share > limits.max_share and touched > limits.few:
        of = f"{touched:,} of {counted(existing, 'existing customer', mark=',')}"
        text = f"{of} would change ({percent(share, limits.max_share)})"
        found.append(Guard("max_share", round(share, 4), limits.max_share, text))
    for name, count, most, what in (
        ("max_creates", counts.create, limits.max_creates, ("customer would be created", "customers would be created")),
        (
            "max_archives",
            counts.archive,
            limits.max_archives,
            ("customer would be archived, for good", "customers would be archived, for good"),
        ),
        (
            "max_key_changes",
            counts.key_changes,
            limits.max_key_changes,
            ("customer would get another external_id", "customers would get another external_id"),
        ),
        ("max_doubts", counts.doubts, limits.max_doubts, ("row looks like a mistake", "rows look like a mistake")),
    ):
        if count > most:
            found.append(Guard(name, count, most, f"{counted(count, *what, mark=',')} (limit {most:,})"))
    return found


def percent(share: float, limit: float) -> str:
    """A share and its limit, with as many digits as tell them apart."""
    digits = next((n for n in range(4) if f"{share:.{n}%}" != f"{limit:.{n}%}"), 0)
    return f"{share:.{digits}%}; limit {limit:.0%}"


def too_old(made_at: datetime, now: datetime, limits: Limits) -> Guard | None:
    """The guard against a plan that was made long ago, or whose age is not known because two clocks disagree."""
    age = now - made_at
    if -_CLOCKS_DIFFER <= age <= limits.max_age:
        return None
    text = f"the plan is {_rounded(age)} old (limit {_rounded(limits.max_age)})"
    if age < timedelta():
        text = f"the plan was made {_rounded(-age)} ahead of this machine's clock: its age is not known"
    return Guard("max_age", age.total_seconds(), limits.max_age.total_seconds(), text)


def _rounded(time: timedelta) -> timedelta:
    return timedelta(seconds=round(time.total_seconds()))
