"""A pandas DataFrame or an Arrow table as records, as if it were a file.

Promised: every value arrives as the text that it is; anything that is not text is refused with its place, never
converted. Never done: knowing what the columns mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from connector.errors import FixInput
from connector.push.file.record import Record, quoted

__all__ = ["Tabular"]

_AS_TEXT = "Turn the columns into text first (read the file with dtype=str), so that nothing is rewritten."


class Tabular:
    """A pandas DataFrame or an Arrow table as records; `line` counts its rows from 1.

    Args:
        table: the data. Cells must be text, whole numbers, null, or (for metadata) maps of text. A null in a map means
            "remove the key". A null in a struct means nothing, because a struct gives every row every key.
        name: what messages call it.

    Raises:
        FixInput: a column has values of several types, or of a type that is not text.
    """

    encoding, bom, delimiter, guessed, unit = "utf-8", b"", ",", False, "row"
    sheet, notes = "", ()

    def __init__(self, table: Any, name: str = "table") -> None:
        import pyarrow as pa

        self.name = name
        try:
            self._table = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError, AttributeError) as error:
            why = "; ".join(map(str, error.args))
            raise FixInput(f"{name} cannot be read: {why}.", remedy=_AS_TEXT) from None
        digest = hashlib.sha256()
        for record in self.records():
            digest.update(record.raw.encode("utf-8", "surrogatepass"))
        self.sha256 = digest.hexdigest()

    def records(self) -> Iterator[Record]:
        """The header, as row 0, and every row. Raises `FixInput` for a value that is not text."""
        names = [str(name) for name in self._table.column_names]
        yield Record(0, names, quoted(names))
        number = 0
        for batch in self._table.to_batches(max_chunksize=1000):
            for values in zip(*(_plain(column) for column in batch.columns), strict=True):
                number += 1
                cells = [self._cell(value, name, number) for value, name in zip(values, names, strict=True)]
                yield Record(number, cells, quoted(cells))

    def _cell(self, value: Any, column: str, number: int) -> str:
        if value is None or value != value:  # pandas writes a missing value as NaN
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, list | dict) and (pairs := _pairs(value)) is not None:
            import msgspec

            return msgspec.json.encode(pairs).decode() if pairs or value in ([], {}) else ""
        raise FixInput(
            f'{self.name} row {number}, column "{column}": {value!r} is {type(value).__name__}, not text.',
            remedy=_AS_TEXT,
        )

    def unchanged(self) -> bool:
        """True: a table in memory is assumed to stay as it is."""
        return True

    def encode(self, text: str) -> bytes:
        """The text in UTF-8."""
        return text.encode("utf-8", "surrogatepass")


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _pairs(value: list[Any] | dict[str, Any]) -> dict[str, str | None] | None:
    """A map of texts, from a list of pairs or a struct (whose nulls mean nothing); None when it is neither."""
    if isinstance(value, dict):
        found = [(key, text) for key, text in value.items() if text is not None]
    else:
        found = [pair for pair in value if isinstance(pair, tuple)]
        if len(found) < len(value):
            return None
    fits = all(isinstance(key, str) and isinstance(text, str | None) for key, text in found)
    return dict(found) if fits else None
