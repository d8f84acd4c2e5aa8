"""Rows against what exists: one `Entry` a row that says what would be done, and why not where nothing can be.

Promised: nothing is decided from the file alone; customers are read back a thousand a call, and only fields that differ
are planned, each with before and after. A value that breaks a rule and equals what the server holds is no fault.
Metadata is merged with what the server holds, or replaces it: PUT knows only the latter (contract.md 5.3).
Never done: writing, guessing: what cannot be told apart safely becomes a conflict with its way out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import msgspec

from connector.api.calls import PAGE
from connector.push.account.customer import Customer, Send, fingerprint, look_up
from connector.push.file import rules
from connector.push.file.damage import spoiled, spoiled_key, tidy
from connector.push.file.rows import SHOWN, Row, Rows, printable
from connector.push.file.rules import Fault

__all__ = ["Counts", "Entry", "Options", "decided", "invalid", "planned"]

Do = Literal["create", "update", "archive", "unchanged", "invalid", "conflict"]
AHEAD = 8  # batches that are looked up while an earlier one is decided
DEFAULTS = {"timezone": "UTC"}  # what the server sets where nothing is given (contract.md 5.1)


class Entry(msgspec.Struct, omit_defaults=True):
    """What is planned for one row.

    Attributes:
        do: create, update, archive, unchanged, invalid or conflict.
        line: of the person's file; 0 for what no row speaks of.
        external_id: the customer's, as it is before.
        id: the server's id; "" for a create.
        set: field → [before, after]; of a create before is null. `metadata` stands whole.
        precondition: fingerprint of the customer as it was read (see `connector.push.account.customer`).
        why: reason and way out of a conflict.
        notes: what is worth knowing.
        faults: of an invalid row.
        raw: the row as it stood in the file.
        raw_bytes: instead of `raw`, where it holds bytes that are no text.
        doubts: what looks like a mistake; a guard asks about it.
        stranger: a conflict that met no published customer.
    """

    do: Do
    line: int = 0
    external_id: str = ""
    id: str = ""
    set: dict[str, tuple[Any, Any]] = {}
    precondition: str = ""
    why: str = ""
    notes: list[str] = []
    faults: list[Fault] = []
    raw: str = ""
    raw_bytes: bytes = b""
    doubts: list[str] = []
    stranger: bool = False

    @property
    def writes(self) -> int:
        """HTTP writes that it takes: two where an external_id changes and metadata is null (contract.md 5.3)."""
        if self.do not in ("create", "update", "archive"):
            return 0
        renames = self.do == "update" and "external_id" in self.set
        return 2 if renames and self.set.get("metadata", ({},))[0] is None else 1

    @property
    def changes(self) -> dict[str, Any]:
        """Field → value after."""
        return {name: after for name, (_, after) in self.set.items()}


@dataclass(frozen=True)
class Options:
    """How rows are matched and merged.

    Attributes:
        mode: upsert, create (existing ones are conflicts) or update (missing ones are).
        match: external_id or id.
        metadata: merge with what the server holds, or replace it.
    """

    mode: Literal["upsert", "create", "update"] = "upsert"
    match: Literal["external_id", "id"] = "external_id"
    metadata: Literal["merge", "replace"] = "merge"


@dataclass
class Counts:
    """How many entries of each kind, and what they add up to."""

    create: int = 0
    update: int = 0
    archive: int = 0
    unchanged: int = 0
    invalid: int = 0
    conflict: int = 0
    writes: int = 0
    key_changes: int = 0
    doubts: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one."""
        setattr(self, entry.do, getattr(self, entry.do) + 1)
        self.writes += entry.writes
        self.key_changes += entry.do == "update" and "external_id" in entry.set
        self.doubts += bool(entry.doubts)
        for fault in entry.faults:
            self.faults[fault.rule] = self.faults.get(fault.rule, 0) + 1

    def plain(self) -> dict[str, int]:
        """Counts as JSON-able data, without the faults."""
        return {name: value for name, value in self.__dict__.items() if name != "faults"}


async def planned(rows: Rows, options: Options, send: Send) -> AsyncIterator[list[Entry]]:
    """Decide every row, in the order of the file, a batch of a thousand at a time.

    Args:
        rows: checked rows (`Rows.check` has run, so duplicates are known).
        options: how to match and merge.
        send: makes one call; reads only.

    Yields:
        Entries of a batch, `unchanged` ones among them.
    """
    waiting: deque[asyncio.Task[list[Entry]]] = deque()
    batches = _batches(rows)
    try:
        while True:
            for batch in islice(batches, AHEAD - len(waiting)):
                waiting.append(asyncio.ensure_future(_decide(batch, rows, options, send)))
            if not waiting:
                return
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Batches that take one look-up each: a thousand rows that need one."""
    batch: list[Row] = []
    asked = 0
    for row in rows:
        batch.append(row)
        asked += _lookable(row)
        if asked >= PAGE or len(batch) >= 4 * PAGE:
            yield batch
            batch, asked = [], 0
    if batch:
        yield batch


def _lookable(row: Row) -> bool:
    """Whether the server is asked about it: no fault, or only such as vanish when the server holds the same value."""
    return all(fault.rule in rules.EXCUSABLE for fault in row.faults)


async def _decide(batch: Sequence[Row], rows: Rows, options: Options, send: Send) -> list[Entry]:
    asked = [row for row in batch if _lookable(row)]
    found = await _found(asked, options, send)
    return [decided(row, found, options, rows) if _lookable(row) else invalid(row, row.faults, rows) for row in batch]


@dataclass
class Found:
    """What the server holds of a batch."""

    by_key: dict[str, Customer]
    archived: dict[str, Customer]
    holders: dict[str, Customer]
    near: dict[str, Customer] = field(default_factory=dict)


async def _found(asked: Sequence[Row], options: Options, send: Send) -> Found:
    """Read back the customers of a batch, and who else is concerned.

    Archived ones are asked for only where a row found no published customer: as namesakes where one may be made, by id
    to say what became of it. Holders of an external_id are asked for only where a row matched by id wants another one.
    """
    match, makes = options.match, options.mode != "update"
    keys = [getattr(row, match) for row in asked if getattr(row, match)]
    by_key = await look_up(send, match, keys)
    lost = [key for key in keys if key not in by_key] if makes or match == "id" else []
    archived = await look_up(send, match, lost, "archived")
    holders: dict[str, Customer] = {}
    if match == "id":
        wanted = [row.external_id for row in asked if row.external_id and _moves(row, by_key.get(row.id))]
        holders = await look_up(send, "external_id", wanted)
        fresh = [row.external_id for row in asked if makes and not row.id and row.external_id not in holders]
        archived |= await look_up(send, "external_id", filter(None, fresh), "archived")
    alike = [tidy(row.external_id) for row in asked if makes and row.external_id != tidy(row.external_id)]
    near = await look_up(send, "external_id", filter(None, alike))
    return Found(by_key, archived, holders, near)


def _moves(row: Row, held: Customer | None) -> bool:
    return held is None or held.external_id != row.external_id


# --- one row ----------------------------------------------------------------------------------------------------


def decided(row: Row, found: Found, options: Options, rows: Rows) -> Entry:
    """What one row comes to.

    Args:
        row: without faults that keep it from being looked up.
        found: what the server holds.
        options: how to match and merge.
        rows: the file, for the names of its columns.

    Returns:
        The entry.
    """
    key = getattr(row, options.match)
    held = found.by_key.get(key) if key else None
    if held is None:
        return _absent(row, found, options, rows)
    if row.id and row.id != held.id:
        return _conflict(row, held, f"external_id belongs to {held.id}, the file says {row.id}. Mend one of the two.")
    if options.mode == "create":
        return _conflict(row, held, f"it exists as {held.id}, and --mode create makes new ones only.")
    changes = _changes(row, held, options)
    faults = _standing(row, changes, rows)
    faults += _stored_tax(row, held, changes, rows, faults)
    if faults:
        return invalid(row, faults)
    holder = found.holders.get(row.external_id) if "external_id" in changes else None
    if holder is not None:
        why = f"external_id {row.external_id!r} belongs to {holder.id}. Free it in a plan of its own first."
        return _conflict(row, held, why)
    if not changes:
        return Entry("unchanged", row.line, held.external_id, held.id)
    notes = []
    if "external_id" in changes and "metadata" not in changes and held.metadata:
        notes.append("its metadata is sent along as it is, or the server would add a list of ids to it")
    if "external_id" in changes and held.metadata is None and "metadata" not in changes:
        changes["metadata"] = {}  # the server cannot change an external_id beside null metadata (contract.md 5.3)
        notes.append("metadata becomes {}, for the server cannot change an external_id beside null; that stays")
    pairs = {name: (getattr(held, name), after) for name, after in changes.items()}
    doubts = [f"{name} is {what}" for name, pair in pairs.items() if (what := _spoiled(*pair))]
    state = fingerprint(held)
    return Entry("update", row.line, held.external_id, held.id, pairs, state, notes=notes, doubts=doubts, raw=row.raw)


def _spoiled(before: Any, after: Any) -> str:
    """What a spreadsheet did to a value, or to one of the metadata; "" when nothing."""
    if isinstance(before, str) and isinstance(after, str):
        return spoiled(before, after)
    if isinstance(before, dict) and isinstance(after, dict):
        return next((what for key in before if (what := spoiled(before[key], after.get(key, "")))), "")
    return ""


def _changes(row: Row, held: Customer, options: Options) -> dict[str, Any]:
    """Fields whose value would be another one afterwards."""
    wanted = {name: "" if text is None else text for name, text in row.fields.items()}
    changes: dict[str, Any] = {n: text for n, text in wanted.items() if (getattr(held, n) or "") != text}
    if options.match == "id" and row.external_id and row.external_id != held.external_id:
        changes["external_id"] = row.external_id
    if row.metadata is not None:
        base = (held.metadata or {}) if options.metadata == "merge" else {}
        after = {key: text for key, text in {**base, **row.metadata}.items() if text is not None}
        if after != (held.metadata or {}):
            changes["metadata"] = after
    return changes


def _standing(row: Row, changes: dict[str, Any], rows: Rows) -> list[Fault]:
    """Faults that stay: those of what would be sent. The rest is what the server holds already, and is left alone."""
    if not row.faults:
        return []
    sent = {rows.columns.name(name) for name in changes}
    return [f for f in row.faults if ("metadata" in changes if f.rule == "tax_key" else f.column in sent)]


def _stored_tax(
    row: Row, held: Customer, changes: dict[str, Any], rows: Rows, told: Sequence[Fault]
) -> Iterator[Fault]:
    """Tax keys of the whole metadata that would be sent: one from the file may not fit one that is stored.

    An external_id is changed together with the stored metadata, or the server would write into it (contract.md 5.3).
    """
    sent = changes.get("metadata", held.metadata if "external_id" in changes else None)
    if not sent or rules.TAX_KEYS.isdisjoint(sent):
        return
    known = {(fault.column, fault.rule) for fault in told}
    for key, rule, remedy in rules.check_metadata(sent):
        column = rows.columns.name(f"metadata.{key}")
        if (column, rule) not in known:
            yield Fault(row.line, column, sent.get(key, "")[:SHOWN], rule, f"{remedy} (As merged with what is stored.)")


def _absent(row: Row, found: Found, options: Options, rows: Rows) -> Entry:
    """A row that no published customer answers to."""
    faults = [fault for fault in row.faults if fault.rule != "cannot_be_cleared"]  # it has nothing to be cleared
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
        return invalid(row, [_missing(row, rows, "external_id")])
    if not row.fields.get("name"):
        return invalid(row, [_missing(row, rows, "name")])
    return _create(row, found.archived.get(row.external_id), found.near.get(tidy(row.external_id)))


def _create(row: Row, namesake: Customer | None, near: Customer | None) -> Entry:
    given: dict[str, Any] = {name: text for name, text in row.fields.items() if text}
    if row.metadata is not None:
        given["metadata"] = {key: text for key, text in row.metadata.items() if text is not None}
    pairs = {"external_id": (None, row.external_id), **{name: (None, text) for name, text in given.items()}}
    notes = []
    if namesake is not None:
        notes.append(f"{namesake.id} had this external_id and is archived: a new customer is made, the old one stays.")
    doubts = [f"{near.external_id!r} exists ({near.id}): only spaces or unseen characters differ"] if near else []
    if strange := spoiled_key(row.external_id):
        doubts.append(strange)
    return Entry("create", row.line, row.external_id, set=pairs, notes=notes, doubts=doubts, raw=row.raw)


def _gone(row: Row, archived: Customer | None) -> Entry:
    if archived is not None:
        return _conflict(row, archived, "it is archived, and the API has no way to un-archive.")
    return _conflict(
        row, None, f"no customer has the id {row.id!r}. Ids are the server's: leave it blank to create one."
    )


def _missing(row: Row, rows: Rows, name: str) -> Fault:
    return Fault(row.line, rows.columns.name(name), "", "required", f"A new customer needs {name}: fill it.")


def _conflict(row: Row, held: Customer | None, why: str) -> Entry:
    external_id = row.external_id or (held.external_id if held else "")
    stranger = held is None or held.status != "published"
    id = held.id if held else row.id
    return Entry("conflict", row.line, external_id, id, why=why, raw=row.raw, stranger=stranger)


def invalid(row: Row, faults: Sequence[Fault], rows: Rows | None = None) -> Entry:
    """The entry of a row with faults; its bytes are kept as they stood, text or not."""
    entry = Entry("invalid", row.line, printable(row.external_id), printable(row.id), faults=list(faults), raw=row.raw)
    if rows is not None and printable(row.raw) != row.raw:
        entry.raw, entry.raw_bytes = "", rows.source.encode(row.raw)
    return entry
