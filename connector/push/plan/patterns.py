"""What a plan changes, kept so small that like changes can be counted over a million rows.

A changed value is kept as eight bytes: a hash of four bytes before it, and one after it. Two different values have the
same hash once in four thousand million pairs, which moves a count by one and decides nothing. Of the file's customers
the present values of the file's own columns are kept too, four bytes each, and of its rows how often they have which
value.

Promised: each key of metadata is a field of its own, `metadata.KEY`; an empty value and none are alike. Never done:
judging (see `connector.push.plan.unusual`), naming values (see `connector.push.plan.groups`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from connector.push.account.customer import Customer
from connector.push.file.columns import PREFIX, Columns
from connector.push.file.row import Row
from connector.push.plan.entry import Entry

__all__ = ["EMPTY", "SHARED", "Change", "Patterns", "changes", "hash_of"]

EMPTY = 0
"""The hash of an empty value."""

SHARED = ("name", "email")
"""Fields of new customers that are kept: one value for many of them looks like a mistake."""

_MASK = 2**32 - 1
_MOST_VALUES = 20_000  # of a field that are counted
_MOST_FIELDS = 1000  # of which changes are kept: a file may have any number of metadata keys


class Change(NamedTuple):
    """One value that an entry writes."""

    field: str
    before: Any
    after: Any


def changes(entry: Entry) -> Iterator[Change]:
    """The values that an entry writes; of metadata those of each key that differs."""
    for name, (before, after) in entry.set.items():
        if name == "metadata":
            yield from _of_metadata(before, after)
        else:
            yield Change(name, before, after)


def _of_metadata(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[Change]:
    old, new = before or {}, after or {}
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield Change(PREFIX + key, old.get(key), new.get(key))


def hash_of(value: object) -> int:
    """Four bytes that stand for a value in this process; `EMPTY` where there is none."""
    return hash(value or "") & _MASK


class Patterns:
    """The changes of a plan, and what its customers hold today.

    Args:
        fields: text fields that the file has.
        metadata: whether the file has metadata.

    Attributes:
        updated: field → before and after of each update, the hash before in the upper four bytes.
        created: field of `SHARED` → the value of each new customer.
        held: field of the file → the present value of each customer that a row of it meets.
        said: field of the file → how often these rows have each value; fields of very many values are left out.
    """

    def __init__(self, fields: Collection[str] = (), *, metadata: bool = False) -> None:
        self.updated: dict[str, array[int]] = {}
        self.created: dict[str, array[int]] = {}
        self.held: dict[str, array[int]] = {name: array("I") for name in fields}
        self._texts = tuple(fields)
        self.said: dict[str, Counter[int]] = {}
        self._manifold: set[str] = set()  # fields of which values are not counted
        self._metadata = metadata

    @classmethod
    def of(cls, columns: Columns) -> Patterns:
        """The patterns of a file with these columns."""
        named = [*(name for _, name, _ in columns.fields), *columns.constants]
        texts = dict.fromkeys(name for name in named if not name.startswith(PREFIX))
        return cls(texts, metadata=bool(columns.metadata or columns.json is not None or len(texts) < len(named)))

    def add(self, entry: Entry) -> None:
        """Keep what an entry writes."""
        if entry.do == "update":
            for name, (before, after) in entry.set.items():
                if name == "metadata":
                    for change in _of_metadata(before, after):
                        self._keep(*change)
                else:
                    self._keep(name, before, after)
        elif entry.do == "create":
            for name in SHARED:
                if value := entry.set.get(name):
                    self.created.setdefault(name, array("I")).append(hash_of(value[1]))

    def _keep(self, name: str, before: Any, after: Any) -> None:
        kept = self.updated.get(name)
        if kept is None:
            if len(self.updated) >= _MOST_FIELDS:
                return
            kept = self.updated[name] = array("Q")
        kept.append((hash(before or "") & _MASK) << 32 | hash(after or "") & _MASK)  # a call would take twice as long

    def meet(self, met: Sequence[tuple[Row, Customer]]) -> None:
        """Keep what rows say in the file's columns, and what their customers hold there."""
        given, customers = [row.fields for row, _ in met], [held for _, held in met]
        for name in self._texts:
            self.held[name].extend([hash(value or "") & _MASK for value in map(attrgetter(name), customers)])
            if name not in self._manifold:
                self._count(name, [hash(fields.get(name) or "") & _MASK for fields in given])
        for row, held in met if self._metadata else ():
            for key, value in (held.metadata or {}).items():
                name = PREFIX + key
                if name not in self.held:
                    if len(self.held) >= _MOST_FIELDS:
                        continue
                    self.held[name] = array("I")
                self.held[name].append(hash(value) & _MASK)
            for key, text in (row.metadata or {}).items():
                self._count(PREFIX + key, (hash(text or "") & _MASK,))

    def _count(self, name: str, values: Iterable[int]) -> None:
        """Count what rows say in a column, unless that has too many values."""
        kept = self.said.get(name)
        if kept is None:
            if name in self._manifold or len(self.said) >= _MOST_FIELDS:
                return
            kept = self.said[name] = Counter()
        kept.update(values)
        if len(kept) > _MOST_VALUES:
            del self.said[name]
            self._manifold.add(name)

    def filled(self, field: str) -> int:
        """How many existing customers get a value of a field where they have none."""
        return sum(pair >> 32 == EMPTY and pair != EMPTY for pair in self.updated.get(field, ()))

    def restart(self) -> None:
        """Forget the changes; what customers hold stays known."""
        self.updated, self.created = {}, {}
