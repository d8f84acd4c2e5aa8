"""New external_ids that only look different from an existing one, or from another row's: `42` beside `0042`.

The API finds exact ids only, so every external_id of the account is compared once, under its folding key
(`connector.push.file.folding`). Of the file eight bytes a key are kept, twice; of the account only the customers whose
folding key is that of a row, as bytes.

Promised: an id that is equal is no twin, nor is a customer's own id before a change. At most 100 MB for a million rows.
Never done: calls (`look_at` is given ids); deciding what becomes of a doubted row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from connector.push.file.damage import TWIN
from connector.push.file.doubt import Doubt
from connector.push.file.duplicates import hashed
from connector.push.file.folding import differences, folds
from connector.push.file.rows import Rows
from connector.push.file.wording import cut
from connector.push.plan.entry import Entry

__all__ = ["Identified", "Twins", "matched", "told"]

_SHOWN = 3  # twins that one doubt names


class Identified(NamedTuple):
    """What is needed of an existing customer."""

    external_id: str
    id: str


class Twins:
    """The existing external_ids that are a twin of some row's.

    Args:
        rows: the file, checked.
    """

    def __init__(self, rows: Rows) -> None:
        self._exact, self._folded = _sorted(rows.hashes.exact), _sorted(rows.hashes.folded)
        self._alike: Mapping[str, Mapping[str, int]] = rows.alike
        self._unit = rows.source.unit
        self._keys, self._places, self._found = array("q"), array("q"), bytearray()
        self._order: Any = None
        self.compared = 0

    def look_at(self, customers: Iterable[Identified]) -> None:
        """Keep those that look like a row's external_id and are not equal to any."""
        import numpy as np

        them, keys = list[Identified](), array("q")
        for one in customers:
            self.compared += 1
            for folded in folds(one.external_id):
                them.append(one)
                keys.append(hashed(folded))
        near = np.flatnonzero(_among(self._folded, np.array(keys, dtype=np.int64)))
        equal = _among(self._exact, np.array([hashed(them[place].external_id) for place in near], dtype=np.int64))
        for place in near[~equal]:
            self._keys.append(keys[place])
            self._places.append(len(self._found))
            self._found += "\0".join((*them[place], "")).encode()
        self._order = None

    def doubts(self, entry: Entry) -> Iterator[Doubt]:
        """The doubts about the new external_id of an entry: of an existing customer, or of another row."""
        new = entry.changes.get("external_id") if entry.do in ("create", "update") else None
        if not new:
            return
        existing = self.existing(entry)
        yield from (Doubt(TWIN, told(new, one)) for one in existing[:_SHOWN])
        if len(existing) > _SHOWN:
            yield Doubt(TWIN, f"{len(existing) - _SHOWN} more customers look like {cut(new)!r}")
        alike = {key: line for folded in folds(new) for key, line in self._alike.get(folded, {}).items()}
        others = [(key, line) for key, line in alike.items() if key != new]
        if others:
            shown = " and ".join(f"{cut(key)!r} ({self._unit} {line})" for key, line in others[:_SHOWN])
            yield Doubt(TWIN, f"{shown} in this file: they differ only by {differences(new, others[0][0])}")

    def existing(self, entry: Entry) -> list[Identified]:
        """The existing customers of whose external_id the new one of an entry is a twin, in the order of their ids."""
        new = entry.changes.get("external_id") or ""
        keys = {*folds(new)}
        kept = dict.fromkeys(one for key in folds(new) for one in self._existing(key))  # a walk may repeat customers
        return sorted(
            one
            for one in kept
            if new != one.external_id and one.id != entry.id and not keys.isdisjoint(folds(one.external_id))
        )

    def _existing(self, folded: str) -> Iterator[Identified]:
        """The kept customers with that folding key, in the order in which they were met."""
        import numpy as np

        keys = np.frombuffer(self._keys, dtype=np.int64)
        if self._order is None:
            self._order = np.argsort(keys, kind="stable")
        wanted = hashed(folded)
        first = int(np.searchsorted(keys, wanted, side="left", sorter=self._order))
        last = int(np.searchsorted(keys, wanted, side="right", sorter=self._order))
        for place in self._order[first:last]:
            begins = self._places[int(place)]
            middle = self._found.index(0, begins)
            ends = self._found.index(0, middle + 1)
            yield Identified(self._found[begins:middle].decode(), self._found[middle + 1 : ends].decode())


def matched(entries: Iterable[Entry], twins: Twins | None) -> tuple[dict[str, Entry], list[tuple[Entry, str]]]:
    """Find the existing customers that new rows mean: one customer for one row.

    Args:
        entries: of rows that mean an existing customer.
        twins: the existing external_ids; None where none were compared.

    Returns:
        External_id of the customer → entry; and the other entries, each with the reason as the end of a sentence.
    """
    found: dict[str, list[Entry]] = {}
    left: list[tuple[Entry, str]] = []
    for entry in entries:
        existing = twins.existing(entry) if twins is not None else []
        if len(existing) == 1:
            found.setdefault(existing[0].external_id, []).append(entry)
        elif existing:
            left.append((entry, f"{len(existing)} customers look like it. Correct its external_id, or say yes or no."))
        elif twins is None:
            left.append((entry, "external_ids were not compared. Plan without --no-twins."))
        else:
            left.append((entry, "none looks like it, but for those that other rows name. Say yes or no."))
    for key, rows in found.items():
        lines = [entry.line for entry in rows]
        for entry in rows if len(rows) > 1 else ():
            other = next(line for line in lines if line != entry.line)
            left.append((entry, f"so was line {other}, to be {key!r} too. Keep one of them."))
    return {key: rows[0] for key, rows in found.items() if len(rows) == 1}, sorted(left, key=lambda one: one[0].line)


def told(new: str, existing: Identified) -> str:
    """The doubt about a new id beside an existing one."""
    by = differences(new, existing.external_id)
    return f"{existing.external_id!r} exists ({existing.id}): they differ only by {by}"


def _sorted(hashes: array[int]) -> Any:
    """The hashes in order, sorted where they lie: a copy of a million takes 8 MB."""
    import numpy as np

    if not hashes:
        return np.zeros(0, dtype=np.int64)
    found = np.frombuffer(hashes, dtype=np.int64)
    found.sort()
    return found


def _among(known: Any, asked: Any) -> Any:
    """Which of some numbers are in a sorted array."""
    import numpy as np

    if not len(known):
        return np.zeros(len(asked), dtype=bool)
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return known[places] == asked
