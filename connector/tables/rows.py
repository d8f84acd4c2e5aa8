"""The rows of one table before they become Arrow: decoded structs, the answer of each, and columns made by Flexsync.

Never done: casting, rejecting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connector.tables.arrays import values_at
from connector.tables.columns import Table

__all__ = ["Rows"]


class Rows:
    """Rows of one table.

    Attributes:
        table: the table.
        structs: the decoded object of each row.
        owners: the index of the answer that each row came from.
        raws: the raw feature of each row, where it has one.
        made: columns that are not read from the object, by name.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.structs: list[Any] = []
        self.owners: list[int] = []
        self.raws: list[bytes] = []
        self.made: dict[str, list[Any]] = {}

    def put(self, name: str, values: list[Any]) -> None:
        """Set a made column."""
        self.made[name] = values

    def where(self, keep: list[bool]) -> Rows:
        """Return the rows whose flag is set."""
        if all(keep):
            return self
        rows = Rows(self.table)
        rows.structs = _kept(self.structs, keep)
        rows.owners = _kept(self.owners, keep)
        rows.made = {name: _kept(values, keep) for name, values in self.made.items()}
        return rows

    def exploded(self, path: str) -> Rows:
        """Return the members of the list at `path` of every row, each with its row's feature and its `ordinal`."""
        rows = Rows(self.table)
        lists = values_at(self.structs, path)
        rows.structs = [member for members in lists for member in members or ()]
        counts = [len(members or ()) for members in lists]
        rows.owners = _repeated(self.owners, counts)
        rows.made = {name: _repeated(values, counts) for name, values in self.made.items() if name == "feature_id"}
        rows.put("ordinal", [ordinal for count in counts for ordinal in range(count)])
        return rows

    def key_text(self, index: int) -> str:
        """Return the key of one row as text, for messages."""
        parts = []
        for name in self.table.key:
            made = self.made.get(name)
            parts.append(made[index] if made else getattr(self.structs[index], name, ""))
        return "/".join(str(part) for part in parts if part not in (None, ""))


def _kept(values: list[Any], keep: Iterable[bool]) -> list[Any]:
    return [value for value, k in zip(values, keep, strict=True) if k]


def _repeated(values: list[Any], counts: list[int]) -> list[Any]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
