"""Fields that the schema does not know: kept in the column `extra` as JSON text, and counted.

Never done: dropping one without counting it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from connector.tables.arrays import value_at, values_at
from connector.tables.columns import Table
from connector.tables.shapes import EXTRA_FIELD, json_object

__all__ = ["extras"]


def extras(table: Table, structs: list[Any], shown: str, unknown: Counter[str]) -> list[str | None]:
    """Return the values of the column `extra`.

    Args:
        table: the table that the structs fill.
        structs: the decoded objects.
        shown: name of the table in `unknown`.
        unknown: ``table.field`` -> how often it was seen; grows.

    Returns:
        A JSON object as text for each struct, or None.
    """
    nested = sorted({c.path.rpartition(".")[0] for c in table.columns if "." in c.path})
    paths = [EXTRA_FIELD, *(f"{path}.{EXTRA_FIELD}" for path in nested)]
    if not any(any(values_at(structs, path)) for path in paths):
        return [None] * len(structs)
    found = [_unknown_fields(struct, nested) for struct in structs]
    for fields in found:
        unknown.update(f"{shown}.{name}" for name in fields)
    return [json_object(fields) for fields in found]


def _unknown_fields(struct: Any, nested: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(struct, EXTRA_FIELD) or {})
    for path in nested:
        below = value_at(struct, path)
        if below is not None and getattr(below, EXTRA_FIELD):
            fields[path] = getattr(below, EXTRA_FIELD)
    return fields
