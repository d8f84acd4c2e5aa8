"""Keys that appear more than once in a file, and keys that only look different (`connector.push.file.folding`).

Promised: duplicates are found over the whole file, with all their lines. The first reading keeps eight bytes a key;
only where hashes repeat is the file read again, to compare the values themselves. Never done: deciding which row wins.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from connector.push.file.folding import differences, folds
from connector.push.file.row import Row
from connector.push.file.wording import cut, listed

__all__ = ["SHOWN_LINES", "Duplicates", "Hashes", "compared", "hashed", "warnings"]

MANY = 10_000  # keys from which on loading numpy pays
SHOWN_LINES = 3  # other lines that a duplicate names
Duplicates = dict[str, dict[str, list[int]]]
"""Key → value → lines, of values that appear more than once."""


class Hashes:
    """Hashes of all keys of a file, collected on its first reading.

    Args:
        keys: the key columns of the file.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._seen = {key: array("q") for key in keys}
        self._folded = array("q")
        self._kept = [(attrgetter(key), hashes.append) for key, hashes in self._seen.items()]

    def add(self, row: Row) -> None:
        """Keep the hashes of one row."""
        for value_of, keep in self._kept:
            if value := value_of(row):
                keep(hashed(value))
        if value := row.external_id:
            for folded in folds(value):
                self._folded.append(hashed(folded))

    @property
    def exact(self) -> array[int]:
        """Hashes of all external_ids."""
        return self._seen.get("external_id", array("q"))

    @property
    def folded(self) -> array[int]:
        """Hashes of the folding keys of all external_ids."""
        return self._folded

    def repeated(self) -> tuple[dict[str, set[int]], set[int]]:
        """Key → hashes that occur more than once, and the same for the folding keys of external_ids."""
        return {key: _repeated(hashes) for key, hashes in self._seen.items()}, _repeated(self._folded)


def compared(
    rows: Iterable[Row], suspects: Mapping[str, set[int]], near: set[int]
) -> tuple[Duplicates, dict[str, dict[str, int]]]:
    """Compare the values whose hashes repeat.

    Args:
        rows: the file, read again.
        suspects: see `Hashes.repeated`.
        near: see `Hashes.repeated`.

    Returns:
        The duplicates; and folding key → external_id → line, of external_ids that only look different.
    """
    found: Duplicates = {key: {} for key in suspects}
    alike: dict[str, dict[str, int]] = {}
    for row in rows:
        for key, hashes in suspects.items():
            value = getattr(row, key)
            if value and hashed(value) in hashes:
                found[key].setdefault(value, []).append(row.line)
        for folded in folds(row.external_id) if near and row.external_id else ():
            if hashed(folded) in near:
                alike.setdefault(folded, {}).setdefault(row.external_id, row.line)
    doubles = {key: {v: lines for v, lines in values.items() if len(lines) > 1} for key, values in found.items()}
    return doubles, {folded: values for folded, values in alike.items() if len(values) > 1}


def warnings(alike: Mapping[str, Mapping[str, int]], unit: str) -> list[str]:
    """A sentence for each group of external_ids that only look different; `unit` is what line numbers count."""
    groups = {tuple(values): values for values in alike.values()}  # two ids may have two folding keys in common
    return [*listed([_alike(values, unit) for values in groups.values()])]


def hashed(text: str) -> int:
    """The eight bytes that are kept of a key."""
    return hash(text)


def _repeated(hashes: array[int]) -> set[int]:
    """The hashes that occur more than once; of a large file they are sorted, which takes less memory than a set."""
    if len(hashes) < MANY:
        return {value for value, count in Counter(hashes).items() if count > 1}
    import numpy as np

    ordered = np.array(hashes, dtype=np.int64)
    ordered.sort()
    return {int(value) for value in np.unique(ordered[1:][ordered[1:] == ordered[:-1]])}


def _alike(values: Mapping[str, int], unit: str) -> str:
    """Keys that only look different: allowed, and rarely intended."""
    first, *others = values
    by = dict.fromkeys(part for other in others[:SHOWN_LINES] for part in differences(first, other).split(" or "))
    shown = [f"{cut(value)!r} ({unit} {line})" for value, line in values.items()]
    return f"external_id {_few(shown)} differ only by {' or '.join(by)}: the server takes them for different customers."


def _few(parts: Sequence[str]) -> str:
    """The first few parts, then the number of the others."""
    more = len(parts) - SHOWN_LINES
    return " and ".join([*parts[:SHOWN_LINES], f"{more} more"] if more > 0 else parts)
