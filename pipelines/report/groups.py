"""Sentences in groups, of which each keeps its number and the first few.

Promised: however many sentences come, a group holds as many as it was told to. Never done: wording.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Groups"]

Name = tuple[str, str]


class Groups:
    """Sentences by the name of their group, in the order in which groups first appear.

    Args:
        most: sentences that a group keeps.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[Name, int] = {}
        self._examples: dict[Name, list[str]] = {}

    def add(self, name: Name, sentence: str) -> None:
        """Count a sentence, and keep it if its group holds few."""
        self._counts[name] = self._counts.get(name, 0) + 1
        kept = self._examples.setdefault(name, [])
        if len(kept) < self._most:
            kept.append(sentence)

    def all(self) -> Iterator[tuple[Name, int, list[str]]]:
        """Each group: its name, how many sentences it has, the first of them."""
        for name, count in self._counts.items():
            yield name, count, self._examples[name]
