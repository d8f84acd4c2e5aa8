"""Holdings: where a store, or a copy of it, holds something personal about a customer, as SQL.

The tables may lie in the store, in a DuckDB file or in Parquet files, and may be of an older version or lack columns.
Promised: a row that says nothing but ids, states, figures and times is not counted. Never done: changing anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from connector.errors import FixInput
from connector.store import ddl, tombstones
from connector.store.database import Database, column, count, rows
from connector.store.tombstones import Tombstones
from connector.tables.personal import personal, whose
from connector.tables.schemas import Table

INTERNAL = ("flexsync.rejects", "flexsync.import_journal")
"""Internal tables that may hold something personal."""
TEXTS = {"flexsync.certificates": "body", "flexsync.runs": "concat_ws(' ', report, reasons::VARCHAR)"}
"""Internal tables that hold reports, and their text: it names customers by id."""
IDS = ("answers", "suspects", "unproven", "queue", "sweep")
"""Internal tables that name a customer by id and say nothing personal."""

MINE = "{} = $id"
"""The condition that a column, in place of `{}`, names one customer."""


@dataclass(frozen=True)
class Person:
    """A customer, and what names it.

    Attributes:
        id: FlexPrice's.
        names: its external ids and e-mail addresses, present and past.
    """

    id: str
    names: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, object]:
        """Return the parameters of the conditions of this module."""
        return {"id": self.id, "names": list(self.names), "hex": self.id.encode().hex().upper()}


def find(db: Database, wanted: str) -> Person:
    """Find a customer in the store, by its id or by a present or past external id.

    Raises:
        FixInput: the store knows none, or several.
    """
    query = """SELECT DISTINCT id FROM (
            SELECT id, external_id FROM customers UNION ALL SELECT id, external_id FROM flexsync.customers_versions
            UNION ALL SELECT customer_id, external_id FROM flexsync.import_journal
            UNION ALL SELECT key, '' FROM flexsync.rejects WHERE table_name = 'customers')
        WHERE id <> '' AND {} = $wanted ORDER BY id"""
    ids = column(db, query.format("id"), {"wanted": wanted}) or column(
        db, query.format("external_id"), {"wanted": wanted}
    )
    if not ids:
        raise FixInput(
            f'the store knows no customer "{wanted}".',
            remedy="Give its FlexPrice id: an external id is not known any more once the customer was forgotten.",
        )
    if len(ids) > 1:
        raise FixInput(f'"{wanted}" is the external id of {", ".join(ids)}.', remedy="Give one of these ids.")
    return Person(ids[0], tuple(_names(db, ids[0])))


def _names(db: Database, customer_id: str) -> list[str]:
    query = """SELECT DISTINCT unnest([external_id, email]) AS name FROM (
            SELECT external_id, email FROM customers WHERE id = $id
            UNION ALL SELECT external_id, email FROM flexsync.customers_versions WHERE id = $id
            UNION ALL SELECT external_id, '' FROM flexsync.import_journal WHERE customer_id = $id)"""
    return sorted(name for name in column(db, query, {"id": customer_id}) if name)


def places(db: Database, person: Person, sources: Mapping[str, str]) -> dict[str, int]:
    """Count the rows that hold something personal about a customer.

    Args:
        db: a connection that sees the sources.
        person: whom to look for.
        sources: path of a table, as `customers` or `flexsync.rejects`, -> what to select it from.

    Returns:
        Path -> rows, where there are any.
    """
    found: dict[str, int] = {}
    for path, condition in _conditions(db, sources, MINE):
        if number := _count(db, sources[path], condition, person.parameters):
            found[path] = number
    return found


def tells(db: Database, forgotten: Tombstones, sources: Mapping[str, str]) -> bool:
    """Return whether tables of a publication hold something personal about anybody who was forgotten.

    Args:
        db: a connection that sees the sources.
        forgotten: the tombstones of the store that is published there.
        sources: as in `places`.
    """
    if not forgotten.hashes:
        return False
    conditions = _conditions(db, sources, tombstones.NAMED)
    return any(_count(db, sources[path], condition, forgotten.parameters) for path, condition in conditions)


def _count(db: Database, source: str, condition: str, parameters: Mapping[str, object]) -> int:
    used = {name: value for name, value in parameters.items() if f"${name}" in condition}
    return count(db, f"SELECT count(*) FROM {source} t WHERE {condition}", used)


def mentions(db: Database, person: Person) -> dict[str, int]:
    """Count the rows of the store that name a customer by id only, in its internal tables."""
    found = {}
    for name in IDS:
        found[f"flexsync.{name}"] = count(
            db, f"SELECT count(*) FROM flexsync.{name} WHERE customer_id = $id", {"id": person.id}
        )
    for path, text in TEXTS.items():
        found[path] = count(db, f"SELECT count(*) FROM {path} WHERE contains({text}, $id)", {"id": person.id})
    return {path: number for path, number in found.items() if number}


def _conditions(db: Database, sources: Mapping[str, str], mine: str) -> Iterator[tuple[str, str]]:
    """Yield path and condition of every source that may hold something personal about those of `mine`."""
    for path, table in ddl.paths().items():
        if path in sources and (condition := _of_table(table, _columns(db, sources[path]), mine)):
            yield path, condition
    if "flexsync.rejects" in sources:
        there = _columns(db, sources["flexsync.rejects"])
        raw = " OR octet_length(raw) > 0" if "raw" in there else ""
        yield "flexsync.rejects", f"{reject(there, mine)} AND (value <> ''{raw})"
    if "flexsync.import_journal" in sources:
        yield "flexsync.import_journal", f"{JOURNAL} AND coalesce(external_id, changes, why) IS NOT NULL"


def _columns(db: Database, source: str) -> set[str]:
    return {row[0] for row in rows(db, f"SELECT column_name FROM (DESCRIBE SELECT * FROM {source})")}


def _of_table(table: Table, there: Collection[str], mine: str) -> str:
    held = [f'"{name}" IS NOT NULL' for name in personal(table) if name in there]
    whom = mine.format(f'"{whose(table)}"')
    return f"{whom} AND ({' OR '.join(held)})" if held else ""


def reject(there: Collection[str], mine: str = MINE) -> str:
    """Return the condition for rejects of a customer; a body that names the customer is the customer's.

    Args:
        there: the columns of the table.
        mine: the condition that a column, in place of `{}`, names the customer.
    """
    raw = " OR coalesce(contains(hex(raw), $hex), false)" if "raw" in there else ""
    return f"(table_name <> 'features' AND ({mine.format('owner')} OR {mine.format('key')}{raw}))"


JOURNAL = "(customer_id = $id OR (coalesce(customer_id, '') = '' AND list_contains($names, external_id)))"
"""The condition for rows of flexsync.import_journal about a customer; a create that failed has no id."""
