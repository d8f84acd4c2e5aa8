"""The way back: from a run's journal to a plan that takes its writes back, where that can be.

Promised: nothing is written here, an undo is a plan like any other; a customer that was edited since the run is kept
as it is; what cannot be taken back is listed with its reason. Never done: guessing what an unsettled row came to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice

import msgspec

from connector import rules
from connector.calls import PAGE
from connector.customer import Customer, Send, fingerprint, look_up
from connector.journal import Line
from connector.plan import Entry
from connector.subscribed import subscribed

__all__ = ["undone"]

_LOST = {
    "email": "an e-mail cannot be emptied",
    "address_country": "a country cannot be emptied",
    "timezone": "a time zone cannot be emptied",
}


async def undone(lines: Iterable[Line], send: Send) -> AsyncIterator[list[Entry]]:
    """Entries that take a run back, a thousand rows at a time.

    Args:
        lines: the run's journal.
        send: makes one call; reads only.

    Yields:
        update (reversed), archive (of a created customer), conflict (kept, or impossible, with the reason).
    """
    final: dict[int, Line] = {}
    for line in lines:
        if line.what == "intent":
            final.setdefault(line.n, line)
        elif line.n in final:  # else nothing was ever sent for it
            final[line.n] = msgspec.structs.replace(line, set=final[line.n].set)
    rows = iter(reversed(final.values()))
    while batch := list(islice(rows, PAGE)):
        yield await _batch(batch, send)


async def _batch(batch: Sequence[Line], send: Send) -> list[Entry]:
    ids = [line.id for line in batch if line.id]
    held = await look_up(send, "id", ids)
    archived = await look_up(send, "id", [id for id in ids if id not in held], "archived")
    made = [line.id for line in batch if line.do == "create" and line.id in held]
    busy = await subscribed(send, made, every=True)
    entries = [_undo(line, held.get(line.id), archived.get(line.id), busy.get(line.id, "")) for line in batch]
    return [entry for entry in entries if entry is not None]


def _undo(line: Line, held: Customer | None, archived: Customer | None, subscription: str) -> Entry | None:
    if line.what != "outcome":
        return _kept(line, "kept: its run is not finished: apply that plan again first, then undo")
    if line.outcome in ("skipped", "failed"):
        return None  # this run changed nothing here
    if line.do == "archive":
        return _kept(line, "impossible: the API has no way to un-archive")
    if held is None:
        return _kept(line, "kept: it was archived since" if archived else "kept: it is not there any more")
    if fingerprint(held) != line.left:
        return _kept(line, f"kept: it was edited since the run{_edited(line, held)}")
    if line.do == "create":
        if subscription:
            return _kept(line, f"impossible: it was created by the run and has a subscription now ({subscription})")
        return Entry("archive", line.line, held.external_id, held.id, precondition=line.left)
    return _reversed(line, held)


def _reversed(line: Line, held: Customer) -> Entry:
    pairs, lost = {}, []
    for name, (before, _) in line.set.items():
        now = getattr(held, name)
        if name in rules.FIELDS and not before and not rules.FIELDS[name].clearable:
            lost.append(_LOST.get(name, f"{name} cannot be emptied"))
            continue
        back = {} if name == "metadata" and before is None else before or "" if name == "contact" else before
        if back != now:
            pairs[name] = (now, back)
    if not pairs:
        return _kept(line, f"impossible: {', '.join(lost)}" if lost else "impossible: null and empty are one to PUT")
    notes = [f"not taken back: {', '.join(lost)}"] if lost else []
    return Entry("update", line.line, held.external_id, held.id, pairs, line.left, notes=notes)


def _edited(line: Line, held: Customer) -> str:
    names = [name for name, (_, after) in line.set.items() if getattr(held, name) != after]
    return f": {', '.join(names)}" if names else ""


def _kept(line: Line, why: str) -> Entry:
    return Entry("conflict", line.line, line.external_id, line.id, why=why)
