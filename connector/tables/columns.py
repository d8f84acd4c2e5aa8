"""What a table is made of: columns, their kinds, and each kind's type in Arrow and in DuckDB.

Promised: decimals are exact `decimal128(38, 18)`; timestamps are microseconds in UTC. Never done here: declaring a
table (see `connector.tables.schemas`), reading, casting or storing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BOOL", "DECIMAL", "DUCKDB_TYPES", "INT", "JSON", "MAP", "STAMPS", "TEXT", "TEXTS", "TIME", "Column", "Table",
    "arrow_type", "made", "read", "texts",
]  # fmt: skip

TEXT, INT, BOOL, DECIMAL, TIME, MAP, JSON, TEXTS = "text", "int", "bool", "decimal", "time", "map", "json", "texts"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: as users type it; the API's own wherever the API has one.
        kind: one of the module's eight kinds.
        meaning: one sentence, unit included; becomes the column's comment in DuckDB.
        path: dotted path in the JSON object that the row is read from; "" = not read from it.
    """

    name: str
    kind: str
    meaning: str
    path: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: as users type it.
        key: columns that identify a row.
        columns: in order, without the two that every table ends with (`STAMPS`).
        source: the call that feeds it.
        owner: the column by which an answer replaces rows as a whole, or "" where rows stand alone.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str
    owner: str = ""

    def column(self, name: str) -> Column:
        """Return the column called `name`; raises KeyError."""
        return {column.name: column for column in self.columns + STAMPS}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in order, stamps included."""
        return tuple(column.name for column in self.columns + STAMPS)

    def arrow(self) -> pa.Schema:
        """Build the Arrow schema, comments as field metadata and the key as schema metadata."""
        import pyarrow as pa

        fields = [
            pa.field(c.name, arrow_type(c.kind), c.name not in self.key, {"meaning": c.meaning})
            for c in self.columns + STAMPS
        ]
        return pa.schema(fields, metadata={"table": self.name, "key": ",".join(self.key)})


@cache
def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a kind."""
    import pyarrow as pa

    types = {
        TEXT: pa.string(),
        INT: pa.int64(),
        BOOL: pa.bool_(),
        DECIMAL: pa.decimal128(38, 18),
        TIME: pa.timestamp("us", "UTC"),
        MAP: pa.map_(pa.string(), pa.string()),
        JSON: pa.string(),
        TEXTS: pa.list_(pa.string()),
    }
    return types[kind]


DUCKDB_TYPES = {
    TEXT: "VARCHAR",
    INT: "BIGINT",
    BOOL: "BOOLEAN",
    DECIMAL: "DECIMAL(38, 18)",
    TIME: "TIMESTAMPTZ",
    MAP: "MAP(VARCHAR, VARCHAR)",
    JSON: "VARCHAR",
    TEXTS: "VARCHAR[]",
}


def read(kind: str, name: str, meaning: str, path: str | None = None) -> Column:
    """Declare a column that is read from the JSON object, at `path` (by default its name)."""
    return Column(name, kind, meaning, name if path is None else path)


def made(kind: str, name: str, meaning: str) -> Column:
    """Declare a column that Flexsync makes."""
    return Column(name, kind, meaning, "")


def texts(names: str) -> tuple[Column, ...]:
    """Declare text columns whose names say enough, separated by spaces."""
    return tuple(read(TEXT, name, name.replace("_", " ")) for name in names.split())


STAMPS = (
    made(TEXT, "run_id", "run in which the present content was first seen"),
    made(TIME, "observed_at", "server's clock of the answer in which the present content was first seen"),
)
