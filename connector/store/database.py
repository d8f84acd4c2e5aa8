"""What the SQL modules need of a DuckDB connection, so that only `store.py` and `publish.py` know the library.

Promised: rows come through Arrow, for fetching TIMESTAMPTZ into Python objects directly needs pytz (design section 10).
"""

from __future__ import annotations

from typing import Any, Protocol

Row = tuple[Any, ...]


class Database(Protocol):
    """The part of a DuckDB connection that is used."""

    def execute(self, query: str, parameters: Any = None) -> Any:
        """Run one statement."""
        ...

    def sql(self, query: str, *, params: Any = None) -> Any:
        """Run one query; the relation gives Arrow without a copy."""
        ...

    def register(self, view_name: str, python_object: Any) -> Any:
        """Make an Arrow table readable under a name."""
        ...

    def unregister(self, view_name: str) -> Any:
        """Forget it."""
        ...


def rows(db: Database, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    """All rows of a query as tuples of Python values; timestamps aware, in UTC."""
    table = db.sql(query, params=parameters or None).to_arrow_table()
    if not table.num_rows:
        return []
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def one(db: Database, query: str, parameters: dict[str, Any] | None = None) -> Row:
    """Return the first row of a query that always has one."""
    return rows(db, query, parameters)[0]
