"""The largest groups of like changes: `1,204 customers: timezone UTC → Europe/Berlin`.

A change of an existing customer is in one group at most. Changes are alike where field, value before and value after
are the same; else where one of the values is; else where the field is. Groups are found over hashes
(`connector.push.plan.patterns`), and named by the first of their changes in the plan.

Promised: sorting, no comparison of pairs: a million changes take about a second. Never done: judging (see
`connector.push.plan.unusual`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from connector.plurals import counted
from connector.push.file.wording import one_line
from connector.push.plan.entry import Entry
from connector.push.plan.patterns import Patterns, changes, hash_of

__all__ = ["Alike", "Group", "largest", "value_of"]

SHOWN = 3  # groups of a plan
FEW = 10  # so many changes that share one value, or none, are no group
_SHARE = 0.1  # of a field's changes, from which on those that share more stand by themselves
_HALF = 32  # bits


class Alike(NamedTuple):
    """A group before it is named.

    Attributes:
        field: the field, or `metadata.KEY`.
        customers: how many.
        before: hash of the value before; None where values differ.
        after: hash of the value after; None where values differ.
    """

    field: str
    customers: int
    before: int | None = None
    after: int | None = None


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group of like changes.

    Attributes:
        field: the field, or `metadata.KEY`.
        customers: how many.
        differ: which values are not the same for all: before, after.
        before: the value before; where they differ, an example.
        after: the value after; where they differ, that of the same customer.
    """

    field: str
    customers: int
    differ: list[str] = []
    before: Any = None
    after: Any = None

    @property
    def text(self) -> str:
        """The group on one line."""
        who = f"{counted(self.customers, 'customer', mark=',')}: {one_line(self.field)}"
        before, after = one_line(self.before), one_line(self.after)
        if len(self.differ) == 2:
            return f"{who}, different values, such as {before} → {after}"
        if self.differ:
            example = before if "before" in self.differ else after
            pair = f"different values → {after}" if "before" in self.differ else f"{before} → different values"
            return f"{who} {pair}, such as {example}"
        return f"{who} {before} → {after}"


def largest(patterns: Patterns, entries: Iterable[Entry]) -> list[Group]:
    """The largest groups of updates, at most three.

    Args:
        patterns: the changes of a plan.
        entries: of the plan; read until every group has its values.
    """
    found = [group for name, pairs in patterns.updated.items() if len(pairs) > 1 for group in _groups(name, pairs)]
    wanted = sorted(found, key=lambda group: -group.customers)[:SHOWN]
    names = _named(found, wanted, entries)
    return [names[group] for group in wanted if group in names]


def _groups(name: str, pairs: Any) -> Iterator[Alike]:
    """The groups of one field, the most alike first."""
    import numpy as np

    left = np.frombuffer(pairs, dtype=np.uint64)
    share = int(len(left) * _SHARE)
    ways: tuple[tuple[Callable[[Any], Any], int], ...] = (
        (lambda whole: whole, max(2, share)),
        (lambda whole: whole & np.uint64(2**_HALF - 1), max(FEW, share)),
        (lambda whole: whole >> np.uint64(_HALF), max(FEW, share)),
    )
    for number, (part, least) in enumerate(ways):
        values, counts, left = _taken(left, part(left), least)
        for value, count in zip(values, counts, strict=True):
            before, after = (value >> _HALF, value & (2**_HALF - 1)) if number == 0 else (value, value)
            yield Alike(name, count, None if number == 1 else before, None if number == 2 else after)
    if len(left) >= FEW:
        yield Alike(name, len(left))


def _taken(left: Any, keys: Any, least: int) -> tuple[list[int], list[int], Any]:
    """The keys that occur often, in the order of the plan, how often, and the changes that have none of them."""
    import numpy as np

    values, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    often = np.flatnonzero(counts >= least)
    often = often[np.argsort(first[often])]
    return values[often].tolist(), counts[often].tolist(), left[~np.isin(inverse.reshape(-1), often)]


def _named(groups: Iterable[Alike], wanted: Sequence[Alike], entries: Iterable[Entry]) -> dict[Alike, Group]:
    """The values of the wanted groups, from the first change of each that is in no group before it."""
    names: dict[Alike, Group] = {}
    known = {(group.field, group.before, group.after): group for group in groups}
    fields = {group.field for group in wanted}
    for entry in entries if wanted else ():
        for field, before, after in changes(entry) if entry.do == "update" else ():
            if field not in fields:
                continue
            old, new = hash_of(before), hash_of(after)
            ways = ((field, old, new), (field, None, new), (field, old, None), (field, None, None))
            group = next((known[way] for way in ways if way in known), None)
            if group is not None and group in wanted and group not in names:
                differ = [side for side in ("before", "after") if getattr(group, side) is None]
                names[group] = Group(field, group.customers, differ, before, after)
        if len(names) == len(wanted):
            break
    return names


def value_of(name: str, after: int, entries: Iterable[Entry]) -> Any:
    """The value that a field gets where its hash is this one."""
    for entry in entries:
        for field, _, value in changes(entry) if entry.do in ("create", "update") else ():
            if field == name and hash_of(value) == after:
                return value
    return None
