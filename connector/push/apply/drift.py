"""Where a customer stands on the way that an entry of a plan wants it to go, and how to say what is otherwise.

Promised: a customer counts as "before" or "after" only when all its columns are what the plan saw, the planned ones
apart; anything else is somebody else's doing. Never done: I/O.
"""

from __future__ import annotations

from typing import Any

from connector.push.account.customer import COMPARED, DEFAULTS, Customer, fingerprint
from connector.push.plan.entry import Entry

__all__ = ["ABSENT", "AFTER", "BEFORE", "GONE", "LEFTOVER", "MIDDLE", "OTHER", "against", "changed_since", "stage"]

BEFORE, MIDDLE, AFTER, OTHER, ABSENT, GONE = "before", "middle", "after", "other", "absent", "archived"
LEFTOVER = "leftover"  # of a create: an archived customer has the external_id


def stage(entry: Entry, held: Customer | None) -> str:
    """Where a customer stands on the way that an entry wants it to go.

    Args:
        entry: create, update or archive.
        held: the customer as it is now, or None.

    Returns:
        before, middle (first of two writes done), after, other (somebody else was there), absent, or archived.
    """
    if held is None:
        return ABSENT
    if entry.do == "create":
        if held.status == "archived":
            return LEFTOVER
        return AFTER if not difference(expected(entry), held) else OTHER
    if entry.do == "archive":
        if held.status == "archived":
            return AFTER
        return BEFORE if fingerprint(held) == entry.precondition else OTHER
    if held.status == "archived":
        return GONE
    if fingerprint(held) == entry.precondition:
        return BEFORE
    return _on_the_way(entry, held)


def _on_the_way(entry: Entry, held: Customer) -> str:
    """Whether taking this entry's changes back gives what the plan saw; then nobody else was there."""
    for where, names in ((AFTER, tuple(entry.set)), (MIDDLE, ("metadata",) if entry.writes > 1 else ())):
        changed = all(getattr(held, name) == entry.set[name][1] for name in names)
        before = held.with_changes({name: entry.set[name][0] for name in names})
        if names and changed and fingerprint(before) == entry.precondition:
            return where
    return OTHER


def expected(entry: Entry) -> Customer:
    """The customer that a create makes (contract.md 5.1)."""
    return Customer(id="", **{**DEFAULTS, **entry.changes})


def difference(wanted: Customer, held: Customer) -> str:
    """Columns in which two differ, as a sentence; "" when in none."""
    pairs = ((name, getattr(wanted, name), getattr(held, name)) for name in COMPARED)
    return "; ".join(f"{name} is {_short(is_)}, not {_short(want)}" for name, want, is_ in pairs if want != is_)


def against(entry: Entry, held: Customer | None, wanted: Customer | None = None) -> str:
    """What is not as an entry wants it, as a sentence; with `wanted`, in every column."""
    if held is None:
        return "it is not there"
    if entry.do == "create":
        return difference(expected(entry), held)
    if wanted is not None:
        return difference(wanted, held)
    names = [name for name, (_, after) in entry.set.items() if getattr(held, name) != after]
    told = [f"{name} is {_short(getattr(held, name))}, not {_short(entry.set[name][1])}" for name in names]
    if held.status != "published":
        told.append(f"status is {held.status}")
    return "; ".join(told) or "the planned fields are right, another column is not what it was"


def changed_since(entry: Entry, held: Customer | None) -> str:
    """What somebody changed between the plan and now, as a sentence."""
    if held is None:
        return "it is not there any more"
    if entry.do == "create":
        return f"a customer with this external_id was made since the plan: {held.id}"
    if held.status == "archived":
        return "it was archived since the plan"
    moved = [name for name, (before, _) in entry.set.items() if getattr(held, name) != before]
    told = [f"{name} is now {_short(getattr(held, name))}, was {_short(entry.set[name][0])}" for name in moved]
    return "it was changed since the plan: " + ("; ".join(told) or "in other fields than the planned ones")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
