"""What people and machines are told of a plan and of an apply.

Promised: the first changes of a plan are shown field by field, all faults of a file with line, column and remedy,
grouped by rule; the JSON holds all of them. Never done: deciding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from connector.files import atomic_write
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Plan
from pipelines.import_customers import Applied, Planned

__all__ = ["apply_json", "apply_summary", "changes", "plan_json", "plan_summary", "write_page"]

FEW = 5  # faults, conflicts and refused rows that are told at once; the files have all
SHOWN = 20  # changes that a plan prints; the file has all
KINDS = ("create", "update", "archive", "unchanged", "invalid", "conflict")
_ENCODINGS = {"utf-8": "UTF-8"}
_DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}


def changes(found: Planned) -> None:
    """Print the first changes on stdout, a line each."""
    if found.plan is None:
        return
    planned = (entry for entry in found.plan.entries() if entry.writes)
    for entry in islice(planned, SHOWN):
        sys.stdout.write(f"{_change(entry)}\n")
    rest = found.counts.create + found.counts.update + found.counts.archive - SHOWN
    if rest > 0:
        sys.stdout.write(f"… and {rest} more in {found.plan.path}\n")
    sys.stdout.flush()


def _change(entry: Entry) -> str:
    place = f"{entry.line}" if entry.line else "-"
    what = ", ".join(
        chain.from_iterable(_field(name, *pair) for name, pair in entry.set.items() if _worth(entry, name))
    )
    notes = "".join(f" [{note}]" for note in (*entry.notes, *entry.doubts))
    return f"{place:>5}  {entry.do:<8} {_plain(entry.external_id)}  {what}{notes}".rstrip()


def _worth(entry: Entry, name: str) -> bool:
    return entry.do != "create" or name != "external_id"


def _field(name: str, before: Any, after: Any) -> Iterator[str]:
    if name != "metadata":
        yield (
            f"{name} {_plain(after)}"
            if before is None and name != "contact"
            else f"{name} {_plain(before)} → {_plain(after)}"
        )
        return
    old, new = before or {}, after or {}
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"metadata.{key} {_plain(old.get(key))} → {_plain(new.get(key))}"
    if old == new:
        yield f"metadata {_plain(before)} → {_plain(after)}"


def _plain(value: Any) -> str:
    """A value on one line, quoted where its ends would not be seen."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text if text.isprintable() else msgspec.json.encode(text).decode()
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return shown if shown and shown == shown.strip() and "→" not in shown else f'"{shown}"'


def plan_summary(found: Planned, html: Path | None = None, again: str = "") -> str:
    """What a person wants to know of a plan, a few lines; `again` is what must be said once more to apply it."""
    source, counts = found.source, found.counts
    lines = [] if found.checked is None else [f"file      {source.name}: {_read(found)}"]
    lines.append("plan      " + ", ".join(f"{getattr(counts, kind)} {kind}" for kind in KINDS))
    if found.checked is not None:
        lines += [f"warning   {warning}" for warning in found.checked.warnings]
        lines += _faults(found)
    lines += _first(found, "conflict", lambda entry: [entry.why] if entry.do == "conflict" else [])
    lines += _first(found, "doubt", lambda entry: entry.doubts)
    lines += [f"guard     {guard.text}" for guard in found.guards]
    calls = sum(found.calls.values())
    lines.append(
        f"calls     {calls} reads made; apply will make {counts.writes} writes" if calls else "calls     none made"
    )
    if found.rejected and found.rejected[1]:
        lines.append(f"rejected  {found.rejected[1]} rows in {found.rejected[0]}: mend them and plan that file")
    lines += [f"page      {html}"] if html and found.plan else []
    lines.append(_next(found, again))
    return "\n".join(lines)


def _read(found: Planned) -> str:
    source = found.source
    if source.unit != "line":
        return f"{source.rows} rows"
    guess = ", a guess: check the names above, or give --encoding" if found.guessed else ""
    name = _ENCODINGS.get(source.encoding, source.encoding)
    blank = f", {source.blank} blank lines" if source.blank else ""
    return f"{source.rows} rows{blank}, {name}, {_DELIMITERS.get(source.delimiter, source.delimiter)}{guess}"


def _next(found: Planned, again: str) -> str:
    if found.plan is None:
        return "nothing   can be planned: no plan was written"
    wrote = f"wrote     {found.plan.path}, run {found.plan.header.run}"
    if not found.counts.writes:
        return f"{wrote}\nnothing   to do: every row that can be done is as the file says"
    really = f" --yes-really {found.counts.writes}" if found.guards else ""
    archives = f" --yes-archive {found.counts.archive}" if found.counts.archive else ""
    return f"{wrote}\nnext      flexsync import apply {found.plan.path}{again}{really}{archives}"


def _faults(found: Planned) -> list[str]:
    """Counts and first examples of each rule, from the final word where there is one."""
    examples: dict[str, list[Any]] = {}
    for entry in _entries(found):
        for fault in entry.faults:
            kept = examples.setdefault(fault.rule, [])
            if len(kept) < 3:
                kept.append(fault)
    lines = []
    for rule, faults in examples.items():
        lines.append(f"fault     {rule}: {found.counts.faults[rule]}")
        lines += [f"          {found.source.unit} {f.line}{_where(f)}: {_plain(f.value)}. {f.remedy}" for f in faults]
    return lines


def _where(fault: Any) -> str:
    return f", column {_plain(fault.column)}" if fault.column else ""


def _first(found: Planned, kind: str, texts: Callable[[Entry], list[str]]) -> list[str]:
    """The first few entries of which there is something to say, and how many more there are."""
    told = ((entry, text) for entry in _entries(found) for text in texts(entry))
    lines = []
    for entry, text in islice(told, FEW):
        place = f"{found.source.unit} {entry.line}, " if entry.line else ""
        lines.append(f"{kind:<9} {place}{_plain(entry.external_id)}: {text}")
    rest = sum(1 for _ in told)
    return lines + ([f"          … and {rest} more"] if rest else [])


def _entries(found: Planned) -> Iterator[Entry]:
    return found.plan.entries() if found.plan is not None else iter(found.refused)


def plan_json(found: Planned) -> dict[str, Any]:
    """A plan for machines: counts, guards, every fault and every conflict."""
    entries = list(_entries(found))
    faults = [msgspec.to_builtins(fault) for entry in entries for fault in entry.faults]
    header = found.plan.header if found.plan is not None else None
    return {
        "plan": str(found.plan.path) if found.plan is not None else None,
        "run": header.run if header else None,
        "digest": found.plan.digest if found.plan is not None else None,
        "source": msgspec.to_builtins(found.source),
        "counts": found.counts.plain(),
        "existing": found.existing,
        "guards": msgspec.to_builtins(found.guards),
        "faults": faults,
        "conflicts": [
            {"line": e.line, "external_id": e.external_id, "id": e.id, "why": e.why}
            for e in entries
            if e.do == "conflict"
        ],
        "warnings": found.checked.warnings if found.checked else [],
        "calls": found.calls,
        "rejected": str(found.rejected[0]) if found.rejected and found.rejected[1] else None,
    }


def apply_summary(found: Applied) -> str:
    """What a person wants to know of an apply, a few lines."""
    tally, run = found.tally, found.plan.header.run
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items())) or "nothing to do"
    lines = [f"run       {run}: {said}{f', {tally.left} left' if tally.left else ''}, {found.seconds:.1f} s"]
    lines += _refused(found)
    lines += [f"earlier   {tally.earlier} of them were settled by an earlier try"] if tally.earlier else []
    lines += [f"stopped   {tally.stopped}; the same command goes on"] if tally.stopped else []
    writes = sum(found.calls.get(name, 0) for name in ("post_customers", "put_customers", "delete_customers_id_"))
    reads = sum(found.calls.values()) - writes
    lines.append(
        f"calls     {writes} writes, {reads} reads; at most {tally.window * 1000:.0f} ms between check and write"
    )
    if found.rejected[1]:
        lines.append(f"rejected  {found.rejected[1]} rows in {found.rejected[0]}")
    lines.append(f"results   {found.results[1]} rows in {found.results[0]}")
    if tally.outcomes:
        lines.append(f"undo      flexsync import undo {run}")
    return "\n".join(lines)


def _refused(found: Applied) -> list[str]:
    """The first few customers that are not as planned, and why."""
    rows = [row for row in found.refused if row.outcome != "done"]
    unit = found.plan.header.source.unit
    lines = []
    for row in rows[:FEW]:
        place = f"{unit} {row.line}, " if row.line else ""
        lines.append(f"{row.outcome:<9} {place}{_plain(row.external_id)}: {row.why}")
    return lines + ([f"          … and {len(rows) - FEW} more in {found.results[0]}"] if len(rows) > FEW else [])


def apply_json(found: Applied) -> dict[str, Any]:
    """An apply for machines."""
    tally = found.tally
    return {
        "run": found.plan.header.run,
        "complete": tally.complete,
        "outcomes": dict(tally.outcomes),
        "earlier": tally.earlier,
        "left": tally.left,
        "stopped": tally.stopped,
        "window_seconds": round(tally.window, 6),
        "calls": found.calls,
        "seconds": round(found.seconds, 3),
        "rejected": str(found.rejected[0]) if found.rejected[1] else None,
        "results": str(found.results[0]),
    }


def write_page(path: Path, plan: Plan, neutralise: bool) -> None:
    """Write the plan as a page; `neutralise` puts a quote before what a spreadsheet would run."""
    from pipelines.report.plan_page import page

    with atomic_write(path) as file:
        for part in page(plan.header, plan.digest, plan.entries(), neutralise=neutralise):
            file.write(part.encode("utf-8"))
