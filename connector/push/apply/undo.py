"""The way back: from a run's journal to a plan that reverses its writes, where that is possible.

Promised: nothing is written here, because an undo is a plan like any other. A customer that was edited since the run
is kept as it is. A write that the run did not settle is looked up, and is reversed only if nobody else was there. What
cannot be reversed is listed with its reason. Never done: guessing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from connector.api.calls import PAGE
from connector.api.fields import FIELDS
from connector.push.account.customer import Customer, Send, fingerprint, look_up
from connector.push.account.subscribed import subscribed
from connector.push.apply.drift import ABSENT, AFTER, BEFORE, drift_of
from connector.push.apply.journal import Line
from connector.push.file import rules
from connector.push.plan.entry import Entry

__all__ = ["can_be_undone", "undone"]

_CANNOT_EMPTY = {
    "email": "an e-mail cannot be emptied",
    "address_country": "a country cannot be emptied",
    "timezone": "a time zone cannot be emptied",
}
_NEAREST: dict[str, tuple[Any, str]] = {
    "metadata": ({}, "metadata was null, and an empty object is the nearest"),
    "contact": ("", "contact was not set, and an empty one is the nearest"),
}


async def undone(lines: Iterable[Line], send: Send) -> AsyncIterator[list[Entry]]:
    """Entries that reverse a run, a thousand rows at a time, the last write first.

    Args:
        lines: the run's journal.
        send: makes one call; reads only.

    Yields:
        update (reversed), archive (of a created customer), conflict (kept, or impossible, with the reason).

    Raises:
        Refused: see `look_up`.
    """
    rows = iter(reversed(_last_lines(lines)))
    while batch := list(islice(rows, PAGE)):
        yield await _batch(batch, send)


def can_be_undone(lines: Iterable[Line]) -> bool:
    """Whether an undo could take anything back, as far as a run's journal shows.

    A run that wrote nothing, only archived, or only filled what cannot be emptied has no way back.
    """
    return any(_has_way_back(line) for line in _last_lines(lines))


def _has_way_back(line: Line) -> bool:
    if line.do == "archive" or line.outcome in ("skipped", "failed"):
        return False
    if line.do == "create":
        return line.outcome != "differs"
    return any(_goes_back(name, *pair) for name, pair in line.set.items())


def _goes_back(name: str, before: Any, after: Any) -> bool:
    if before is None and name in _NEAREST:
        return bool(after != _NEAREST[name][0])
    return bool(before != after) and not _hindered(name, before, "", {})


def _last_lines(lines: Iterable[Line]) -> list[Line]:
    """The last line of each row that may have been written, with the changes of its intent."""
    final: dict[int, Line] = {}
    for line in lines:
        if line.what == "intent":
            final[line.n] = line
        elif line.what == "withdrawn":
            final.pop(line.n, None)
        elif line.n in final:  # without an intent nothing was ever sent
            sent = final[line.n]
            final[line.n] = msgspec.structs.replace(line, set=sent.set, precondition=sent.precondition)
    return list(final.values())


async def _batch(batch: Sequence[Line], send: Send) -> list[Entry]:
    named = await look_up(send, "external_id", [line.external_id for line in batch if _without_id(line)])
    batch = [_with_id(line, named.get(line.external_id)) if _without_id(line) else line for line in batch]
    ids = [line.id for line in batch if line.id]
    held = await look_up(send, "id", ids)
    archived = await look_up(send, "id", [id for id in ids if id not in held], "archived")
    created = [line.id for line in batch if line.do == "create" and line.id in held]
    busy = await subscribed(send, created, every=True)
    keys = [line.set["external_id"][0] for line in batch if line.do == "update" and "external_id" in line.set]
    holders = await look_up(send, "external_id", filter(None, keys))
    entries = []
    for line in batch:
        now = held.get(line.id)
        known = _settled(line, now or archived.get(line.id)) if _unsettled(line) else line
        if isinstance(known, Line):
            known = _undo(known, now, line.id in archived, busy.get(line.id, ""), holders)
        if known is not None:
            entries.append(known)
    return entries


def _unsettled(line: Line) -> bool:
    """Whether the run does not know if the write arrived."""
    return line.what != "outcome" or line.outcome == "failed"


def _without_id(line: Line) -> bool:
    """Whether the id of a created customer is not known, because its answer is not."""
    return line.do == "create" and not line.id and _unsettled(line)


def _with_id(line: Line, held: Customer | None) -> Line:
    return msgspec.structs.replace(line, id=held.id) if held else line


def _settled(line: Line, held: Customer | None) -> Line | Entry | None:
    """What became of an unsettled write: its outcome, None where it had no effect, or a conflict."""
    entry = Entry(line.do, line.line, line.external_id, line.id, line.set, line.precondition)  # type: ignore[arg-type]
    where = drift_of(entry, held)
    if held is not None and where == AFTER and line.outcome == "failed":
        return _kept(line, "kept: it is as planned, but the run failed at it, and somebody else may have written it")
    if held is not None and where == AFTER:
        return msgspec.structs.replace(line, what="outcome", outcome="done", left=fingerprint(held))
    if where in (BEFORE, ABSENT) and (line.do == "create" or held is not None):
        return None
    return _kept(line, "kept: it is neither as it was nor as planned, and whether the run wrote it is not known")


def _undo(
    line: Line, held: Customer | None, archived: bool, subscription: str, holders: Mapping[str, Customer]
) -> Entry:
    if line.outcome == "skipped":
        return _kept(line, "kept: somebody changed it, and whether the run wrote it is not known")
    if line.do == "archive":
        return _kept(line, "impossible: the API has no way to un-archive")
    if held is None:
        return _kept(line, "kept: it was archived since" if archived else "kept: it is not there any more")
    if fingerprint(held) != line.left:
        return _kept(line, f"kept: it was edited since the run{_edited(line, held)}")
    if line.do == "create":
        return _uncreated(line, held, subscription)
    return _reversed(line, held, holders)


def _uncreated(line: Line, held: Customer, subscription: str) -> Entry:
    if line.outcome == "differs":
        return _kept(line, "kept: it was created, and was not as planned when it was read back")
    if subscription:
        return _kept(line, f"impossible: it was created by the run and has a subscription now ({subscription})")
    return Entry("archive", line.line, held.external_id, held.id, precondition=line.left)


def _reversed(line: Line, held: Customer, holders: Mapping[str, Customer]) -> Entry:
    pairs, remaining = {}, []
    for name, (before, after) in line.set.items():
        now = getattr(held, name)
        if before == now or now != after:  # it had no effect, or somebody else's value is there
            continue
        if before is None and name in _NEAREST:
            back, why = _NEAREST[name]
            remaining.append(why)
        elif why := _hindered(name, before, held.id, holders):
            remaining.append(why)
            continue
        else:
            back = before
        if back != now:
            pairs[name] = (now, back)
    reasons = "; ".join(remaining)
    if not pairs:
        return _kept(line, f"impossible: {reasons}" if reasons else "kept: it is as it was before the run")
    notes = [f"not taken back: {reasons}"] if reasons else []
    return Entry("update", line.line, held.external_id, held.id, pairs, line.left, notes=notes)


def _hindered(name: str, before: Any, own_id: str, holders: Mapping[str, Customer]) -> str:
    """Why the server would refuse the earlier value, which may be older than its rules; "" when it would accept it."""
    if name == "metadata":
        return "; ".join(f"metadata.{key} {before[key]!r}: {remedy}" for key, _, remedy in rules.check_metadata(before))
    if not before:
        return "" if FIELDS[name].clearable else _CANNOT_EMPTY.get(name, f"{name} cannot be emptied")
    if verdict := rules.check(name)(before):
        return f"{name} {before!r}: {verdict[1]}"
    holder = holders.get(before) if name == "external_id" else None
    return f"external_id {before!r} belongs to {holder.id} now" if holder and holder.id != own_id else ""


def _edited(line: Line, held: Customer) -> str:
    names = [name for name, (_, after) in line.set.items() if getattr(held, name) != after]
    return f": {', '.join(names)}" if names else ""


def _kept(line: Line, why: str) -> Entry:
    return Entry("conflict", line.line, line.external_id, line.id, why=why)
