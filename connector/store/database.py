"""The part of a DuckDB connection that the SQL modules use, and the few helpers around it.

Only `opening.py` and the publications import the library itself. Promised: timestamps are aware, in UTC. Never done:
opening a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

Row = tuple[Any, ...]
PORTION = 50_000  # rows that are worked on at once


class Database(Protocol):
    """The methods of a DuckDB connection that the store calls."""

    def execute(self, query: str, parameters: Any = None) -> Any:
        """Run one statement."""
        ...

    def sql(self, query: str, *, params: Any = None) -> Any:
        """Run one query; the relation gives Arrow without a copy."""
        ...

    def register(self, view_name: str, python_object: Any) -> Any:
        """Make an Arrow table readable as a view."""
        ...

    def unregister(self, view_name: str) -> Any:
        """Drop that view."""
        ...


def rows(db: Database, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    """Return all rows of a query as tuples of Python values; a map is a dictionary.

    Not through a relation: that plans the query twice, which takes three times as long where few rows are found.
    """
    found: list[Row] = db.execute(query, parameters or None).fetchall()
    return found


def column(db: Database, query: str, parameters: dict[str, Any] | None = None) -> list[Any]:
    """Return the first column of a query."""
    return [row[0] for row in rows(db, query, parameters)]


def count(db: Database, query: str, parameters: dict[str, Any] | None = None) -> int:
    """Return the single number that a query gives; NULL counts as 0."""
    return int(rows(db, query, parameters)[0][0] or 0)


def changed(db: Database, statement: str, parameters: dict[str, Any] | None = None) -> int:
    """Run an INSERT, UPDATE or DELETE and return the number of rows it changed."""
    return int(db.execute(statement, parameters).fetchone()[0])


def portions(db: Database, query: str) -> Iterator[Any]:
    """Return the rows of a query as Arrow tables of at most `PORTION` rows.

    For statements that join whatever they are given: over a million rows at once they exceed the store's memory limit.
    """
    for start in range(0, (found := db.sql(query).to_arrow_table()).num_rows, PORTION):
        yield found.slice(start, PORTION)


@contextmanager
def registered(db: Database, **tables: Any) -> Iterator[None]:
    """Make Arrow tables readable as views for the length of a block.

    After an error the views stay until the next `registered` of that name: inside a failed transaction DuckDB refuses
    to drop them, and that error would hide the first one.
    """
    for name, table in tables.items():
        db.register(name, table)
    yield
    for name in tables:
        db.unregister(name)


def literal(value: object) -> str:
    """Quote a string as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
