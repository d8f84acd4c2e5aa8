"""Columns of Python values to Arrow arrays, a whole column at a time.

Promised: units, decimals and timestamps are decided here; a value that does not fit its column becomes NULL and a
`Misfit`, and leaves the other values alone; no number passes through a float. Never done: I/O.
"""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.tables.columns import DECIMAL, MAP, TIME, Column, arrow_type
from connector.tables.shapes import Misfit

__all__ = ["array", "transposed", "value_at", "values_at"]

_NEVER = pa.scalar(datetime(2, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))  # anything earlier means "never"
_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)


def value_at(row: Any, path: str) -> Any:
    """Return the value at a dotted path, or None where a nested object is null."""
    for name in path.split("."):
        row = getattr(row, name, None)
    return row


def values_at(structs: list[Any], path: str) -> list[Any]:
    """Return the value at a dotted path of every struct."""
    try:
        return list(map(attrgetter(path), structs))
    except AttributeError:  # a nested object came as null
        return [value_at(row, path) for row in structs]


def transposed(structs: list[Any], paths: list[str]) -> list[list[Any]]:
    """Return one list of values for each path."""
    if not structs:
        return [[] for _ in paths]
    try:
        return [list(column) for column in zip(*map(attrgetter(*paths), structs), strict=True)]
    except AttributeError:
        return [values_at(structs, path) for path in paths]


def array(column: Column, values: list[Any], misfits: dict[int, Misfit]) -> pa.Array:
    """Make one column; a value that does not fit is noted in `misfits` by its index, and becomes NULL."""
    try:
        return _cast(column, values)
    except _MISFITS:
        return _cast(column, [_tested(column, index, value, misfits) for index, value in enumerate(values)])


def _cast(column: Column, values: list[Any]) -> pa.Array:
    if column.kind == DECIMAL:
        return pc.cast(pa.array(values, pa.string()), arrow_type(DECIMAL))
    if column.kind == TIME and column.path:  # text, as it was sent; what Flexsync makes is a moment already
        moments = pc.cast(pa.array(values, pa.string()), arrow_type(TIME))
        return pc.if_else(pc.less(moments, _NEVER), pa.scalar(None, moments.type), moments)
    if column.kind == MAP:
        return pa.array(values, arrow_type(MAP))
    return pa.array(values, arrow_type(column.kind))


def _tested(column: Column, index: int, value: Any, misfits: dict[int, Misfit]) -> Any:
    try:
        _cast(column, [value])
    except _MISFITS as error:
        misfits.setdefault(index, Misfit(column.name, str(value)[:200], _reason(column, str(error))))
        return None
    return value


def _reason(column: Column, error: str) -> str:
    wanted = {DECIMAL: "decimal(38, 18)", TIME: "RFC 3339 with at most six fraction digits"}
    return f"does not fit {wanted.get(column.kind, column.kind)}: {error.splitlines()[0]}"
