"""A row against the customer that exists: the fields that would change, and the faults of what would be sent.

Promised: only fields that differ are planned. A value that breaks a rule and equals what the server holds is no fault.
Metadata is merged with what the server holds, or replaces it: PUT can only replace it (contract.md 5.3).
Never done: writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.push.account.customer import Customer, fingerprint
from connector.push.file import rules
from connector.push.file.advice import Advice
from connector.push.file.columns import KEYS, Columns
from connector.push.file.damage import ZEROS, changed, missing
from connector.push.file.doubt import Doubt
from connector.push.file.marks import HIDDEN, MERGED
from connector.push.file.postal import shortened
from connector.push.file.row import Row
from connector.push.file.rules import Fault
from connector.push.file.wording import SHOWN
from connector.push.plan.doubts import doubt
from connector.push.plan.entry import Entry
from connector.push.plan.options import Options

__all__ = ["advice_of", "changes_of", "doubts_of", "faults_of", "update"]

POSTAL = "address_postal_code"


def changes_of(row: Row, held: Customer, options: Options) -> dict[str, Any]:
    """Field → new value, of the fields whose value would change."""
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


def faults_of(row: Row, held: Customer, changes: dict[str, Any], columns: Columns) -> list[Fault]:
    """The faults of what would be sent. Other faults are about values that the server holds already."""
    faults = _remaining(row, changes, columns)
    return [*faults, *_stored_tax(row, held, changes, columns, faults)]


def _remaining(row: Row, changes: dict[str, Any], columns: Columns) -> list[Fault]:
    if not row.faults:
        return []
    sent = {columns.name(name) for name in changes}
    return [f for f in row.faults if ("metadata" in changes if f.rule == "tax_key" else f.column in sent)]


def _stored_tax(
    row: Row, held: Customer, changes: dict[str, Any], columns: Columns, found: Sequence[Fault]
) -> Iterator[Fault]:
    """Tax keys of the whole metadata that would be sent: one from the file may not fit one that is stored.

    An external_id is changed together with the stored metadata, or the server would write into it (contract.md 5.3).
    """
    sent = changes.get("metadata", held.metadata if "external_id" in changes else None)
    if not sent or rules.TAX_KEYS.isdisjoint(sent):
        return
    known = {(fault.column, fault.rule) for fault in found}
    for key, rule, remedy in rules.check_metadata(sent):
        column = columns.name(f"metadata.{key}")
        if (column, rule) not in known:
            yield Fault(row.line, column, sent.get(key, "")[:SHOWN], rule, f"{remedy} (As merged with what is stored.)")


def update(row: Row, held: Customer, changes: dict[str, Any]) -> Entry:
    """The entry of a row that changes a customer."""
    notes = []
    if "external_id" in changes and "metadata" not in changes and held.metadata:
        notes.append("its metadata is sent unchanged, or the server would add a list of ids to it")
    if "external_id" in changes and held.metadata is None and "metadata" not in changes:
        changes["metadata"] = {}  # the server cannot change an external_id beside null metadata (contract.md 5.3)
        notes.append("its metadata becomes {} for good: the server cannot change an external_id beside null metadata")
    pairs = {name: (getattr(held, name), after) for name, after in changes.items()}
    state = fingerprint(held)
    advice = advice_of(row, pairs)
    made = Entry("update", row.line, held.external_id, held.id, pairs, state, notes=notes, raw=row.raw, advice=advice)
    return doubt(made, doubts_of(pairs, row.doubts, held.address_country or ""))


def advice_of(row: Row, pairs: Mapping[str, Any]) -> list[Advice]:
    """The advice about fields that would be written, and about the key by which the customer was found."""
    if not row.advice:
        return []
    return [one for one in row.advice if one.field in (*pairs, *KEYS) or ("metadata" in pairs and "." in one.field)]


def doubts_of(pairs: Mapping[str, tuple[Any, Any]], marked: Mapping[str, Doubt], country: str) -> Iterator[Doubt]:
    """The doubts about what would be written.

    Args:
        pairs: field → (before, after).
        marked: field, or "" for the row → the doubt that its cell gives. Of two doubts about a value the one that its
            text gives is told; one about a cell without a text, whatever else is written.
        country: that the customer has now, as an ISO code; "" for none.
    """
    texts = {name: pair for name, pair in _texts(pairs) if pair[0] != pair[1]}
    told: set[str] = set()
    for name, (before, after) in texts.items():
        if found := changed(name, before, after):
            told.add(name)
            yield found
    for name, found in marked.items():
        if name not in told and (name in texts or found.kind in (HIDDEN, MERGED)):
            told.add(name)
            yield found
    code, place = texts.get(POSTAL, ("", ""))[1], texts.get("address_country", ("", country))[1]
    if POSTAL not in told and shortened(code, place):
        yield Doubt(ZEROS, f"{POSTAL} is shorter than the codes of {place}: it may have lost zeros in front")
    yield from missing({name: after for name, (_, after) in texts.items()})


def _texts(pairs: Mapping[str, tuple[Any, Any]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each text, and each key of metadata, before and after."""
    for name, (before, after) in pairs.items():
        if isinstance(after, str):
            yield name, (before or "", after)
        elif isinstance(after, dict):
            held = before or {}
            yield from ((f"metadata.{key}", (held.get(key) or "", text)) for key, text in after.items())
