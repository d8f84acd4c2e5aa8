"""Guards against what a shifted, re-sorted or filled-down column does to a plan.

Three signs: one field of many customers goes from one value to another; many customers take a value that another one
has today; many customers get one and the same name or e-mail. To fill what is empty, or what has the server's default,
is none of them, nor is a recoding, where every customer with one value gets the same other value.

Promised: a handful of changes is never a sign. Time and memory grow with the number of changes, never with its square.
Never done: finding which rows are wrong: a plan cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from connector.plurals import counted
from connector.push.account.customer import DEFAULTS
from connector.push.file.wording import one_line
from connector.push.plan.entry import Entry
from connector.push.plan.groups import value_of
from connector.push.plan.guards import Guard, Limits, percent
from connector.push.plan.patterns import EMPTY, SHARED, Patterns, changes, hash_of

__all__ = ["unusual"]

_OWN_GUARD = frozenset({"external_id"})
_IDENTIFIES = 0.8  # of a field's present values differ: a name or a telephone does, a country does not
_HOLDERS = 3  # customers that have the same value of an identifying field
_MOST = 0.5  # of the changes of an identifying field take another customer's value
_PERMUTED = 50  # changes of another field, from which on it is no accident that its values stay as frequent
_VALUES = 4  # likewise, different values
_UNEVEN = 100  # likewise, changes that may come to one more or one less of a value
_WAYS = 1.5  # times the values before: so many pairs of values, or every value is recoded in its own way
_FILLS = 5  # times `max_same` may get one name or e-mail, where none is replaced: accounts of one reseller do
_SAME_SHARE = 0.5  # likewise, of the names or e-mails that a plan writes
_LISTED = 3  # further fields that a guard names
_HALF = 32  # bits
_Found = list[tuple[int, str]]


def unusual(
    patterns: Patterns, existing: int, limits: Limits, entries: Callable[[], Iterable[Entry]]
) -> Iterator[Guard]:
    """The guards of this kind that a plan trips.

    Args:
        patterns: its changes.
        existing: published customers.
        limits: what passes.
        entries: reads the entries of the plan, to name a value.
    """
    yield from _changed(patterns, existing, limits)
    yield from _moved(patterns, limits, entries)
    yield from _same(patterns, limits, entries)


# --- one field of many customers ----------------------------------------------------------------------------------


def _changed(patterns: Patterns, existing: int, limits: Limits) -> Iterator[Guard]:
    found: _Found = []
    for name, pairs in patterns.updated.items():
        if name in _OWN_GUARD or len(pairs) <= limits.few_of_field:
            continue
        count = _overwritten(name, pairs)
        if count > limits.few_of_field and existing and count / existing > limits.max_field_share:
            found.append((count, name))
    for count, name, others in _worst(found):
        share, most = count / existing, limits.max_field_share
        who = f"{count:,} of {_customers(existing, 'existing customer')}"
        text = f"{who} would get another {name} ({percent(share, most)}){others}"
        yield Guard("max_field_share", round(share, 4), most, text)


def _overwritten(name: str, pairs: Any) -> int:
    """How many changes replace a value that somebody gave."""
    before, _ = _halves(pairs)
    return int(((before != EMPTY) & (before != hash_of(DEFAULTS.get(name)))).sum())


# --- values that other customers have -----------------------------------------------------------------------------


def _moved(patterns: Patterns, limits: Limits, entries: Callable[[], Iterable[Entry]]) -> Iterator[Guard]:
    found: _Found = []
    for name, pairs in patterns.updated.items():
        if name in _OWN_GUARD or len(pairs) <= limits.max_moved:
            continue
        count = _taken(pairs, patterns.held.get(name), patterns.said.get(name))
        if count > limits.max_moved:
            found.append((count, name))
    for count, name, others in _worst(found):
        text = f"{_customers(count)} would take the {name} that another customer has today (limit {limits.max_moved:,})"
        where = _where(name, {*patterns.held.get(name, ())}, entries())
        asked = "were columns" if others else "was the column"
        yield Guard("max_moved", count, limits.max_moved, f"{text}{others}: {asked} shifted or sorted?{where}")


def _where(name: str, held: Set[int], entries: Iterable[Entry]) -> str:
    """Between which lines the values of a field are those of other customers, and the first of them."""
    found = [
        (entry.line, one_line(change.after))
        for entry in entries
        for change in (changes(entry) if entry.do == "update" else ())
        if change.field == name and change.after and hash_of(change.after) in held
    ]
    return f" From line {found[0][0]} ({found[0][1]}) to line {found[-1][0]}." if found and found[0][0] else ""


def _taken(pairs: Any, held: Any, said: Counter[int] | None) -> int:
    """How many customers take a value that another one has, where that is no accident; else 0.

    Args:
        pairs: the changes.
        held: what the file's customers have.
        said: how often its rows have which value.
    """
    import numpy as np

    now = np.frombuffer(held, dtype=np.uint32) if held else np.zeros(0, dtype=np.uint32)
    values, holders = _counted(now)
    if len(values) >= _IDENTIFIES * holders.sum():
        taken = _both(values, np.where(holders <= _HOLDERS, holders, 0), *_counted(_halves(pairs)[1]))
        return taken if taken >= _MOST * len(pairs) else 0
    if said is None or len(pairs) <= _PERMUTED or len(values) < _VALUES:
        return 0
    owned = dict(zip(values.tolist(), holders.tolist(), strict=True))
    return len(pairs) if _permuted(pairs, owned, said) else 0


def _permuted(pairs: Any, held: Mapping[int, int], said: Mapping[int, int]) -> bool:
    """Whether rows have each value as often as customers do, and yet others; in no fixed way, as a recoding would."""
    apart = sum(abs(held.get(one, 0) - said.get(one, 0)) for one in held.keys() | said.keys() if one != EMPTY)
    if apart > 2 + len(pairs) // _UNEVEN:
        return False
    before, after = _halves(pairs)
    full = (before != EMPTY) & (after != EMPTY)
    values, _ = _counted(before[full])
    ways, _ = _counted(_joined(before[full], after[full]))
    return len(ways) >= _WAYS * len(values)


def _counted(values: Any) -> tuple[Any, Any]:
    import numpy as np

    return np.unique(values[values != EMPTY], return_counts=True)


def _both(values: Any, counts: Any, others: Any, other_counts: Any) -> int:
    """How many of some values are among others, each as often as in both."""
    import numpy as np

    _, here, there = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    return int(np.minimum(counts[here], other_counts[there]).sum())


# --- one value for many customers ---------------------------------------------------------------------------------


def _same(patterns: Patterns, limits: Limits, entries: Callable[[], Iterable[Entry]]) -> Iterator[Guard]:
    for name in SHARED:
        pairs, created = patterns.updated.get(name, ()), patterns.created.get(name, ())
        if len(pairs) + len(created) <= limits.max_same:
            continue
        after, count, most = _most_common(_halves(pairs), created, limits.max_same)
        if count:
            value = one_line(value_of(name, after, entries()))
            text = f"{_customers(count)} would get the same {name}, {value} (limit {most:,})"
            yield Guard("max_same", count, most, text)


def _most_common(updates: tuple[Any, Any], created: Any, most: int) -> tuple[int, int, int]:
    """The hash of the value that the most customers would get by mistake, as it seems; how many, and the limit."""
    import numpy as np

    before, after = updates
    replaces = (before != EMPTY) & (after != EMPTY)
    values, counts = _merged(before[replaces], after[replaces])
    fills, more = _counted(np.concatenate([after[before == EMPTY], np.array(created, dtype=np.uint32)]))
    names, place = np.unique(np.concatenate([values, fills]), return_inverse=True)
    total = np.bincount(place.reshape(-1), weights=np.concatenate([counts, more])).astype(np.int64)
    merged = np.zeros_like(total)
    merged[np.searchsorted(names, values)] = counts
    filled = (total > _FILLS * most) & (total > _SAME_SHARE * (len(after) + len(created)))
    many = (merged > most) | filled
    if not many.any():
        return EMPTY, 0, most
    first = int(np.argmax(np.where(many, total, 0)))
    return int(names[first]), int(total[first]), most if merged[first] > most else _FILLS * most


def _merged(before: Any, after: Any) -> tuple[Any, Any]:
    """Each value after, and how many customers get it; those that share the most common value before count once."""
    import numpy as np

    whole, counts = np.unique(_joined(before, after), return_counts=True)
    values, place = np.unique(_after(whole), return_inverse=True)
    total, most = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.int64)
    np.add.at(total, place.reshape(-1), counts)
    np.maximum.at(most, place.reshape(-1), counts)
    return values, total - most + 1


# --- what they share ----------------------------------------------------------------------------------------------


def _halves(pairs: Any) -> tuple[Any, Any]:
    """The hashes before and after."""
    import numpy as np

    whole = np.frombuffer(pairs, dtype=np.uint64) if len(pairs) else np.zeros(0, dtype=np.uint64)
    return (whole >> np.uint64(_HALF)).astype(np.uint32), _after(whole)


def _after(whole: Any) -> Any:
    import numpy as np

    return (whole & np.uint64(2**_HALF - 1)).astype(np.uint32)


def _joined(before: Any, after: Any) -> Any:
    import numpy as np

    return before.astype(np.uint64) << np.uint64(_HALF) | after


def _worst(found: _Found) -> Iterator[tuple[int, str, str]]:
    """The field with the most such customers, and the others in words; nothing where there is none."""
    if not found:
        return
    (count, name), *others = sorted(found, key=lambda one: -one[0])
    said = [f"{other} ({more:,})" for more, other in others[:_LISTED]]
    said += [f"{len(others) - _LISTED} more fields"] if len(others) > _LISTED else []
    yield count, name, f"; likewise {', '.join(said)}" if said else ""


def _customers(count: int, kind: str = "customer") -> str:
    return counted(count, kind, mark=",")
