"""Keys that appear more than once in a file, and keys that differ only by case or spaces.

Promised: duplicates are found over the whole file, with all their lines. The first reading keeps eight bytes a key;
only where hashes repeat is the file read again, to compare the values themselves. Never done: deciding which row wins.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from connector.push.file.row import Row
from connector.push.file.wording import cut, listed

__all__ = ["SHOWN_LINES", "Duplicates", "Hashes", "compared"]

SHOWN_LINES = 3  # other lines that a duplicate names
Duplicates = dict[str, dict[str, list[int]]]
"""Key → value → lines, of values that appear more than once."""


class Hashes:
    """Hashes of all keys of a file, collected on its first reading.

    Args:
        keys: the key columns of the file.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._seen = {key: array("q") for key in keys}
        self._folded = array("q")
        self._kept = [(attrgetter(key), hashes.append) for key, hashes in self._seen.items()]

    def add(self, row: Row) -> None:
        """Keep the hashes of one row."""
        for value_of, keep in self._kept:
            if value := value_of(row):
                keep(hash(value))
        if value := row.external_id:
            self._folded.append(hash(_folded(value)))

    def repeated(self) -> tuple[dict[str, set[int]], set[int]]:
        """Key → hashes that occur more than once, and the same for external_ids folded to lower case."""
        return {key: _repeated(hashes) for key, hashes in self._seen.items()}, _repeated(self._folded)


def compared(
    rows: Iterable[Row], suspects: Mapping[str, set[int]], near: set[int], unit: str
) -> tuple[Duplicates, list[str]]:
    """Compare the values whose hashes repeat.

    Args:
        rows: the file, read again.
        suspects: see `Hashes.repeated`.
        near: see `Hashes.repeated`.
        unit: what line numbers count.

    Returns:
        The duplicates, and a warning for each group of keys that differ only by case or spaces.
    """
    found: Duplicates = {key: {} for key in suspects}
    alike: dict[str, dict[str, int]] = {}
    for row in rows:
        for key, hashes in suspects.items():
            value = getattr(row, key)
            if value and hash(value) in hashes:
                found[key].setdefault(value, []).append(row.line)
        plain = _folded(row.external_id)
        if plain and hash(plain) in near:
            alike.setdefault(plain, {}).setdefault(row.external_id, row.line)
    doubles = {key: {v: lines for v, lines in values.items() if len(lines) > 1} for key, values in found.items()}
    return doubles, [*listed([_alike(values, unit) for values in alike.values() if len(values) > 1])]


def _folded(key: str) -> str:
    return key.strip().casefold()


def _repeated(hashes: array[int]) -> set[int]:
    if len(set(hashes)) == len(hashes):
        return set()
    return {value for value, count in Counter(hashes).items() if count > 1}


def _alike(values: Mapping[str, int], unit: str) -> str:
    """Keys that differ only by case or spaces: allowed, and rarely intended."""
    shown = [f"{cut(value)!r} ({unit} {line})" for value, line in values.items()]
    return f"external_id {_few(shown)} differ only by case or spaces: the server takes them for different customers."


def _few(parts: Sequence[str]) -> str:
    """The first few parts, then the number of the others."""
    more = len(parts) - SHOWN_LINES
    return " and ".join([*parts[:SHOWN_LINES], f"{more} more"] if more > 0 else parts)
