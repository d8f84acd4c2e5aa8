"""One row against what the account holds: create, update, unchanged, invalid or conflict.

Promised: nothing is guessed; what cannot be told apart safely becomes a conflict with its way out.
Never done: calls (see `connector.push.plan.lookup`), writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.push.account.customer import Customer
from connector.push.file.columns import Columns
from connector.push.file.damage import HEADER, TWIN, tidy
from connector.push.file.doubt import Doubt
from connector.push.file.record import printable
from connector.push.file.row import Row
from connector.push.file.rows import Rows
from connector.push.file.rules import Fault
from connector.push.plan.changes import advice_of, changes_of, doubts_of, faults_of, update
from connector.push.plan.doubts import doubt
from connector.push.plan.entry import Entry
from connector.push.plan.lookup import Found
from connector.push.plan.options import Options
from connector.push.plan.twins import Identified, told

__all__ = ["decided", "invalid"]


def decided(row: Row, found: Found, options: Options, columns: Columns) -> Entry:
    """Decide one row.

    Args:
        row: without faults that prevent a look-up.
        found: what the server holds.
        options: how to match and merge.
        columns: of the file, for their names.

    Returns:
        The entry.
    """
    key = getattr(row, options.match)
    held = found.by_key.get(key) if key else None
    if held is None:
        return _absent(row, found, options, columns)
    if row.id and row.id != held.id:
        return _conflict(row, held, f"external_id belongs to {held.id}, the file says {row.id}. Correct one of them.")
    if options.mode == "create":
        return _conflict(row, held, f"it exists as {held.id}, and --mode create makes new ones only.")
    changes = changes_of(row, held, options)
    if faults := faults_of(row, held, changes, columns):
        return invalid(row, faults)
    holder = found.holders.get(row.external_id) if "external_id" in changes else None
    if holder is not None:
        why = f"external_id {row.external_id!r} belongs to {holder.id}. Free it in a plan of its own first."
        return _conflict(row, held, why)
    if not changes:
        return Entry("unchanged", row.line, held.external_id, held.id, raw=row.raw)
    return update(row, held, changes)


def _absent(row: Row, found: Found, options: Options, columns: Columns) -> Entry:
    """A row without a published customer."""
    faults = [fault for fault in row.faults if fault.rule != "cannot_be_cleared"]  # there is nothing to clear
    if faults:
        return invalid(row, faults)
    if options.match == "id" and row.id:
        return _gone(row, found.archived.get(row.id))
    holder = found.holders.get(row.external_id)
    if holder is not None:
        return _conflict(
            row, holder, f"external_id {row.external_id!r} belongs to {holder.id}. Give that id, or another."
        )
    if options.mode == "update":
        return _conflict(row, None, "it does not exist, and --mode update changes existing ones only.")
    if row.id:
        why = f"no published customer has external_id {row.external_id!r}."
        return _conflict(row, None, f"{why} To rename {row.id}, use --match id; else clear the id.")
    if not row.external_id:
        return invalid(row, [_missing(row, columns, "external_id")])
    if not row.fields.get("name"):
        return invalid(row, [_missing(row, columns, "name")])
    made = _create(row, found.archived.get(row.external_id), found.near.get(tidy(row.external_id)))
    return doubt(made, [Doubt("header", f"external_id is {HEADER}")] if columns.is_name(row.external_id) else ())


def _create(row: Row, namesake: Customer | None, near: Customer | None) -> Entry:
    given: dict[str, Any] = {name: text for name, text in row.fields.items() if text}
    if row.metadata is not None:
        given["metadata"] = {key: text for key, text in row.metadata.items() if text is not None}
    pairs = {"external_id": (None, row.external_id), **{name: (None, text) for name, text in given.items()}}
    notes = []
    if namesake is not None:
        notes.append(f"{namesake.id} had this external_id and is archived: a new customer is made, the old one stays.")
    advice = advice_of(row, pairs)
    made = Entry("create", row.line, row.external_id, set=pairs, notes=notes, raw=row.raw, advice=advice)
    doubt(made, doubts_of(pairs, row.doubts, ""))
    if near is not None:
        doubt(made, [Doubt(TWIN, told(row.external_id, Identified(near.external_id, near.id)))])
    return made


def _gone(row: Row, archived: Customer | None) -> Entry:
    if archived is not None:
        return _conflict(row, archived, "it is archived, and the API has no way to un-archive.")
    return _conflict(
        row, None, f"no customer has the id {row.id!r}. Ids are the server's: leave it blank to create one."
    )


def _missing(row: Row, columns: Columns, name: str) -> Fault:
    return Fault(row.line, columns.name(name), "", "required", f"A new customer needs {name}: fill it.")


def _conflict(row: Row, held: Customer | None, why: str) -> Entry:
    external_id = row.external_id or (held.external_id if held else "")
    stranger = held is None or held.status != "published"
    id = held.id if held else row.id
    return Entry("conflict", row.line, external_id, id, why=why, raw=row.raw, stranger=stranger, notes=_cells_told(row))


def _cells_told(row: Row) -> list[str]:
    """What the row's cells are besides their texts: refused, it becomes a text that no longer shows it."""
    return [doubt.text for doubt in row.doubts.values()]


def invalid(row: Row, faults: Sequence[Fault], rows: Rows | None = None) -> Entry:
    """The entry of a row with faults.

    Args:
        row: the row.
        faults: what is wrong with it.
        rows: the file, where the row may have bytes that are not text: they are kept exactly.
    """
    entry = Entry("invalid", row.line, printable(row.external_id), printable(row.id), faults=list(faults), raw=row.raw)
    entry.advice, entry.notes = row.advice, _cells_told(row)
    if rows is not None and printable(row.raw) != row.raw:
        entry.raw, entry.raw_bytes = "", rows.source.encode(row.raw)
    return entry
