"""Holdings: where a store, or a copy of it, holds something personal about a customer, as SQL.

The tables may lie in the store, in a DuckDB file or in Parquet files, and may be of an older version or lack columns.
Promised: a row that says nothing but ids, states, figures and times is not counted. Never done: changing anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

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

KEYED = "list_contains($keys, key)"
"""The condition that a reject has one of the customer's keys."""
_WITHIN = r"\p{L}\p{N}_@.+-"  # so that "ann" is found neither in "ann-2" nor in "ann@example.org"
_ENDS = rf"($|[^{_WITHIN}]|\.($|\s))"
_QUOTE = r"""['"]"""


@dataclass(frozen=True)
class Person:
    """A customer, and what names it.

    Attributes:
        id: FlexPrice's.
        names: its external ids and e-mail addresses, present and past.
        shared: those of them that are another customer's too, as a family's e-mail address.
        keys: ids of its subscriptions and integrations, and of rejected ones that may be its.
    """

    id: str
    names: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, object]:
        """Return the parameters of the conditions of this module."""
        own = [name for name in self.names if name not in self.shared]
        return {
            "id": self.id,
            "names": list(self.names),
            "own": own,
            "keys": list(self.keys),
            "hex": self.id.encode().hex().upper(),
            "words": self._words(own),
            "alike": _any_of([self.id, *own], f"(^|[^{_WITHIN}])", _ENDS),
        }

    def _words(self, own: Sequence[str]) -> str:
        """Return the pattern of a text that names the customer and nobody else.

        An external id may be a number or a short word, which other texts hold too: it counts in quotes only, as
        messages quote it, and as a whole value of JSON.
        """
        distinct = _any_of([self.id, *(name for name in own if "@" in name)], f"(^|[^{_WITHIN}])", _ENDS)
        return f"{distinct}|{_any_of(own, _QUOTE, _QUOTE)}" if own else distinct


def _any_of(names: Sequence[str], begin: str, end: str) -> str:
    """Return the pattern of a text that holds one of the names, also as JSON or Python escape it."""
    escaped = {text for name in names for text in (name, repr(name)[1:-1], msgspec.json.encode(name).decode()[1:-1])}
    words = "|".join(map(re.escape, sorted(escaped)))
    return rf"(?i:{begin}({words}){end})"


# A reject of a listing has no owner. Its body names the customer; a restored store has no bodies, and where no table
# knows whose it is, it may be the customer's.
_KEYS = """WITH owned AS (SELECT id AS key, customer_id AS who FROM subscriptions
            UNION ALL SELECT id, customer_id FROM flexsync.subscriptions_versions
            UNION ALL SELECT subscription_id, customer_id FROM flexsync.sweep
            UNION ALL SELECT subscription_id, customer_id FROM flexsync.answers
            UNION ALL SELECT id, entity_id FROM customer_integrations)
        SELECT key FROM owned WHERE who = $id AND key <> '' UNION
        SELECT key FROM flexsync.rejects WHERE owner = '' AND key <> '' AND table_name <> 'features'
            AND (contains(hex(raw), $hex) OR (raw IS NULL AND table_name <> 'customers'
                AND NOT EXISTS (SELECT 1 FROM owned WHERE owned.key = rejects.key AND who IS NOT NULL)))
        ORDER BY ALL"""
_SETTLED = "action IS DISTINCT FROM 'conflict'"  # there the file's external id may be another customer's


def find(db: Database, wanted: str) -> Person:
    """Find a customer in the store, by its id or by a present or past external id.

    Raises:
        FixInput: the store knows none, or several.
    """
    query = f"""SELECT DISTINCT id FROM (
            SELECT id, external_id FROM customers UNION ALL SELECT id, external_id FROM flexsync.customers_versions
            UNION ALL SELECT customer_id, external_id FROM flexsync.import_journal WHERE {_SETTLED}
            UNION ALL SELECT key, '' FROM flexsync.rejects WHERE table_name = 'customers')
        WHERE id <> '' AND {{}} = $wanted ORDER BY id"""
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
    names = _names(db, ids[0])
    held = "SELECT unnest([external_id, email]) FROM customers WHERE id <> $id"
    person = Person(ids[0], tuple(names), frozenset(names) & frozenset(column(db, held, {"id": ids[0]})))
    return replace(person, keys=tuple(column(db, _KEYS, {"id": person.id, "hex": person.parameters["hex"]})))


def _names(db: Database, customer_id: str) -> list[str]:
    query = f"""SELECT DISTINCT unnest([external_id, email]) AS name FROM (
            SELECT external_id, email FROM customers WHERE id = $id
            UNION ALL SELECT external_id, email FROM flexsync.customers_versions WHERE id = $id
            UNION ALL SELECT external_id, '' FROM flexsync.import_journal
                WHERE customer_id = $id AND {_SETTLED})"""
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
        keyed = KEYED if mine == MINE else "table_name <> 'customers'"  # a publication does not say whose they are
        yield "flexsync.rejects", f"{reject(there, mine, keyed)} AND (value <> ''{raw})"
    if "flexsync.import_journal" in sources:
        told = (f"({journal(name)} AND {name} IS NOT NULL)" for name in JOURNAL)
        yield "flexsync.import_journal", " OR ".join(told)


def _columns(db: Database, source: str) -> set[str]:
    return {row[0] for row in rows(db, f"SELECT column_name FROM (DESCRIBE SELECT * FROM {source})")}


def _of_table(table: Table, there: Collection[str], mine: str) -> str:
    held = [f'"{name}" IS NOT NULL' for name in personal(table) if name in there]
    whom = mine.format(f'"{whose(table)}"')
    return f"{whom} AND ({' OR '.join(held)})" if held else ""


def reject(there: Collection[str], mine: str = MINE, keyed: str = KEYED) -> str:
    """Return the condition for rejects of a customer; a body that names the customer is the customer's.

    Args:
        there: the columns of the table.
        mine: the condition that a column, in place of `{}`, names the customer.
        keyed: the condition that a reject without an owner is the customer's.
    """
    raw = " OR coalesce(contains(hex(raw), $hex), false)" if "raw" in there else ""
    whose = f"{mine.format('owner')} OR {mine.format('key')} OR (owner = '' AND {keyed}){raw}"
    return f"(table_name <> 'features' AND ({whose}))"


JOURNAL = ("external_id", "why", "changes")
"""The columns of flexsync.import_journal that may hold something personal."""


def journal(name: str) -> str:
    """Return the condition that such a column tells of a customer, in rows about others too: they may name it.

    A row without an id is a create that failed; it is the customer's if it names the customer anywhere. The external id
    of a row about another customer is that one's, but for a conflict: it holds what the file wanted.
    """
    text = "concat_ws(chr(10), external_id, why, changes)"
    about = f"list_contains($names, external_id) OR regexp_matches({text}, $words)"
    mine = f"customer_id = $id OR (coalesce(customer_id, '') = '' AND ({about}))"
    named = f"regexp_matches({name}, $words)"
    if name == "external_id":
        named = f"(action = 'conflict' AND (list_contains($own, external_id) OR {named}))"
    return f"coalesce({mine} OR {named}, false)"


def alike(db: Database, person: Person) -> int:
    """Count the rows of the import journal that hold the customer's name as a word, but tell of another customer."""
    text = "concat_ws(chr(10), external_id, why, changes)"
    held = " OR ".join(f"({journal(name)} AND {name} IS NOT NULL)" for name in JOURNAL)
    condition = f"regexp_matches({text}, $alike) AND NOT ({held})"
    return _count(db, "flexsync.import_journal", condition, person.parameters)
