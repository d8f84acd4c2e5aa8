"""Drift: where a customer is between the state that the plan saw and the state that the plan wants, and what differs.

Promised: a customer counts as "before" or "after" only when all its columns are what the plan saw, except the planned
ones; anything else is somebody else's doing. Never done: I/O.
"""

from __future__ import annotations

from typing import Any

from connector.push.account.customer import COMPARED, DEFAULTS, Customer, fingerprint
from connector.push.plan.entry import Entry

__all__ = ["ABSENT", "AFTER", "BEFORE", "GONE", "LEFTOVER", "MIDDLE", "OTHER", "against", "changed_since", "drift_of"]

BEFORE, MIDDLE, AFTER, OTHER, ABSENT, GONE = "before", "middle", "after", "other", "absent", "archived"
LEFTOVER = "leftover"  # of a create: an archived customer has the external_id


def drift_of(entry: Entry, held: Customer | None) -> str:
    """Compare a customer with what an entry saw and wants.

    Args:
        entry: create, update or archive.
        held: the customer as it is now, or None.

    Returns:
        before, middle (first of two writes done), after, other (somebody else changed it), absent, archived, or
        leftover.
    """
    if held is None:
        return ABSENT
    if entry.do == "create":
        if held.status == "archived":
            return LEFTOVER
        return AFTER if not _difference(_expected(entry), held) else OTHER
    if entry.do == "archive":
        if held.status == "archived":
            return AFTER
        return BEFORE if fingerprint(held) == entry.precondition else OTHER
    if held.status == "archived":
        return GONE
    if fingerprint(held) == entry.precondition:
        return BEFORE
    return _partly(entry, held)


def _partly(entry: Entry, held: Customer) -> str:
    """Whether taking back this entry's changes gives what the plan saw: then nobody else changed the customer."""
    for where, names in ((AFTER, tuple(entry.set)), (MIDDLE, ("metadata",) if entry.writes > 1 else ())):
        changed = all(getattr(held, name) == entry.set[name][1] for name in names)
        before = held.with_changes({name: entry.set[name][0] for name in names})
        if names and changed and fingerprint(before) == entry.precondition:
            return where
    return OTHER


def _expected(entry: Entry) -> Customer:
    """The customer that a create makes (contract.md 5.1)."""
    return Customer(id="", **{**DEFAULTS, **entry.changes})


def _difference(wanted: Customer, held: Customer) -> str:
    """Columns in which two customers differ, as a sentence; "" for none."""
    pairs = ((name, getattr(wanted, name), getattr(held, name)) for name in COMPARED)
    return "; ".join(f"{name} is {_short(is_)}, not {_short(want)}" for name, want, is_ in pairs if want != is_)


def against(entry: Entry, held: Customer | None, wanted: Customer | None = None) -> str:
    """Say what is not as an entry wants it, in a sentence; with `wanted`, in every column."""
    if held is None:
        return "it is not there"
    if entry.do == "create":
        return _difference(_expected(entry), held)
    if wanted is not None:
        return _difference(wanted, held)
    names = [name for name, (_, after) in entry.set.items() if getattr(held, name) != after]
    differing = [f"{name} is {_short(getattr(held, name))}, not {_short(entry.set[name][1])}" for name in names]
    if held.status != "published":
        differing.append(f"status is {held.status}")
    return "; ".join(differing) or "the planned fields are right, another column is not what it was"


def changed_since(entry: Entry, held: Customer | None) -> str:
    """Say what somebody changed between the plan and now, in a sentence."""
    if held is None:
        return "it is not there any more"
    if entry.do == "create":
        return f"a customer with this external_id was made since the plan: {held.id}"
    if held.status == "archived":
        return "it was archived since the plan"
    names = [name for name, (before, _) in entry.set.items() if getattr(held, name) != before]
    changed = [f"{name} is now {_short(getattr(held, name))}, was {_short(entry.set[name][0])}" for name in names]
    return "it was changed since the plan: " + ("; ".join(changed) or "in other fields than the planned ones")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
