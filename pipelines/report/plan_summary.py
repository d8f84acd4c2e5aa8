"""The summary of a plan: a few labelled lines for people, and the command that comes next.

Promised: faults are grouped by rule, each with line, column, value and remedy; every guard that trips is named; the
command that comes next holds no number that a guard asks for.
Never done here: deciding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from connector.plurals import counted
from connector.push.file.headers import Bound
from connector.push.file.rules import Fault
from connector.push.plan.doubts import ACCEPTED
from connector.push.plan.entry import Entry
from pipelines.import_customers import Planned, shown_kinds
from pipelines.report.following import Following, asks
from pipelines.report.groups import Groups
from pipelines.report.values import one_line

__all__ = ["entries_of", "plan_summary"]

MAX_EXAMPLES = 5  # conflicts and doubts that are listed; the plan holds all
MAX_COLUMNS = 40  # that are listed; the page and --json have all
MAX_FAULTS = 3  # of a rule; rejected.csv holds all
ENCODINGS = {"utf-8": "UTF-8"}
DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}


def plan_summary(found: Planned, html: Path | None = None, following: Following | None = None) -> str:
    """What a plan comes to, a few lines.

    Args:
        found: the plan, or why there is none.
        html: the page that was written.
        following: the commands that can follow; by default those without flags.
    """
    following = following or Following(found.source.name)
    lines = [f"file      {found.source.name}: {_reading(found)}"] if found.checked else []
    lines += _columns(found)
    counts = found.counts.plain()
    lines.append("plan      " + ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in shown_kinds(counts)))
    if found.checked:
        lines += [f"warning   {warning}" for warning in found.checked.warnings]
        lines += _faults(found)
    lines += _examples(found, "conflict", lambda entry: [entry.why] if entry.do == "conflict" else [])
    lines += _advice(found)
    lines += _doubts(found)
    lines += [f"{'' if number else 'changes':<9} {group.text}" for number, group in enumerate(found.groups)]
    lines += _examples(found, "held", lambda entry: [entry.why] if entry.do == "held" and entry.why else [])
    lines += _lasting(found)
    lines += [f"guard     {guard.text}" for guard in found.guards]
    lines.append(_calls(found))
    lines += [f"twins     new external_ids are {found.twins}"] if found.twins.startswith("not") else []
    if found.rejected and found.rejected[1]:
        path, rows = found.rejected
        lines.append(f"rejected  {counted(rows, 'row')} in {path}: correct {'it' if rows == 1 else 'them'}, then")
        lines.append(f"          {following.mended(found)}")
    lines += _doubted(found, following)
    lines += [f"page      {html}"] if html else []
    return "\n".join([*lines, *_next(found, following)])


def entries_of(found: Planned) -> Iterator[Entry]:
    """The entries of a plan; those that were refused, where there is no plan."""
    return found.plan.entries() if found.plan is not None else iter(found.refused)


def _reading(found: Planned) -> str:
    """How the file was read: rows, encoding, delimiter."""
    source = found.source
    if source.unit != "line":
        sheet = f"sheet {one_line(source.sheet)}, " if source.sheet else ""
        blank = f", {counted(source.blank, 'blank row')}" if source.sheet and source.blank else ""
        return f"{sheet}{counted(source.rows, 'row')}{blank}"
    guess = ", encoding guessed: check the values above, or set --encoding" if found.guessed else ""
    encoding = ENCODINGS.get(source.encoding, source.encoding)
    blank = f", {counted(source.blank, 'blank line')}" if source.blank else ""
    return (
        f"{counted(source.rows, 'row')}{blank}, {encoding}, {DELIMITERS.get(source.delimiter, source.delimiter)}{guess}"
    )


def _calls(found: Planned) -> str:
    calls = sum(found.calls.values())
    if not calls:
        return "calls     none"
    return f"calls     {counted(calls, 'read')} made; apply will make {counted(found.counts.writes, 'write')}"


def _lasting(found: Planned) -> list[str]:
    """What an undo could not take back."""
    if not (count := sum(found.lasting.values())):
        return []
    fields = ", ".join(f"{count} {name}" for name, count in found.lasting.items())
    return [f"note      {counted(count, 'value')} will be filled that the API cannot empty again: {fields}"]


def _next(found: Planned, following: Following) -> list[str]:
    """What was written, and the command that applies it."""
    if found.plan is None:
        undo = found.header is not None and found.header.undoes
        return [f"wrote     no plan: {'nothing of the run can be taken back' if undo else 'no row can be applied'}"]
    wrote = f"wrote     {found.plan.path}, run {found.plan.header.run}"
    if not found.counts.writes and (waits := found.counts.held + found.counts.left_out) + found.counts.invalid:
        why = "is held, left out or invalid" if waits else "is invalid"
        return [wrote, f"next      nothing to apply: every row that would change something {why}"]
    if not found.counts.writes:
        return [wrote, "next      nothing to apply: the account already holds what the valid rows say"]
    return [wrote, f"next      {following.apply(found)}", f"          {asks(found)}"]


def _columns(found: Planned) -> list[str]:
    """The columns that are not called like their field, and what was done with them."""
    said = [_column(one) for one in found.columns if one.how not in ("name", "own") and one.header.strip()]
    lines = [f"columns   {', '.join(said[:MAX_COLUMNS])}"] if said else []
    return lines + ([f"          … and {len(said) - MAX_COLUMNS} more"] if len(said) > MAX_COLUMNS else [])


def _column(one: Bound) -> str:
    header = one_line(one.header)
    if one.target:
        return f"{header} → {one.target}"
    return f"{header} left out{'' if one.how == 'left out' else ' (unknown)'}"


def _advice(found: Planned) -> list[str]:
    """What was fixed, and what could be: by kind, with the first examples."""
    if not (found.counts.fixed or found.counts.advice):
        return []
    groups = Groups(MAX_FAULTS)
    told = (one for entry in entries_of(found) for one in entry.advice if entry.writes or not one.taken)
    for one in told:
        place = f"{found.source.unit} {one.line}, column {one_line(one.column)}"
        better = one_line(one.better) if one.better else "nothing"
        writes = f"plan writes {better}" if one.taken else f"it means {better}"
        groups.add(("fixed" if one.taken else "advice", one.fix), f"{place}: file said {one_line(one.said)}, {writes}")
    lines = []
    for (label, fix), count, examples in sorted(groups.all(), key=lambda group: group[0][0] == "advice"):
        way = "" if label == "fixed" else f"; --fix {fix} takes {'it' if count == 1 else 'them'}"
        lines.append(f"{label:<9} {fix}: {counted(count, 'cell')}{way}")
        lines += [f"          {example}" for example in examples]
    return lines


def _doubts(found: Planned) -> list[str]:
    """The kinds of doubt about rows that are held, and what passed because its kind was accepted; with examples."""
    if not (found.counts.held or found.counts.doubts):
        return []
    groups = Groups(MAX_FAULTS)
    for entry in entries_of(found):
        label = "doubt" if entry.do == "held" else entry.decision
        for kind, text in zip(entry.kinds, entry.doubts, strict=False) if label in ("doubt", ACCEPTED) else ():
            groups.add((label, kind), f"{found.source.unit} {entry.line}, {one_line(entry.external_id)}: {text}")
    lines = []
    for (label, kind), count, examples in sorted(groups.all(), key=lambda group: group[0][0] == ACCEPTED):
        lines.append(f"{label:<9} {kind}: {count}")
        lines += [f"          {example}" for example in examples]
    return lines


def _doubted(found: Planned, following: Following) -> list[str]:
    """The file of doubts, and how to go on with it."""
    lines = []
    if found.lapsed:
        was = counted(found.lapsed, "decision was", "decisions were")
        lines.append(
            f"note      {was} about something else than what would be written now, or of an earlier version:"
            " decide again"
        )
    if found.unmet:
        fit = counted(len(found.unmet), "decision fits", "decisions fit")
        lines.append(
            f"note      {fit} no row of {found.source.name}: the row was changed or removed. Look at it, then remove"
            " its line from the file of decisions"
        )
    if found.doubted and found.doubted[1]:
        path, rows = found.doubted
        open_ones = f"{found.counts.held} to decide" if found.counts.held else "all decided"
        lines.append(f"doubts    {counted(rows, 'row')} in {path}, {open_ones}")
        if found.counts.held:
            lines.append("          write yes, no or same into its column decision (--accept KIND takes a kind), then")
            lines.append(f"          {following.decided(path)}")
    return lines


def _faults(found: Planned) -> list[str]:
    """Each rule that was broken, how often, and its first examples."""
    examples: dict[str, list[Fault]] = {}
    for entry in entries_of(found):
        for fault in entry.faults:
            kept = examples.setdefault(fault.rule, [])
            if len(kept) < MAX_FAULTS:
                kept.append(fault)
    lines = []
    for rule, faults in examples.items():
        lines.append(f"fault     {rule}: {found.counts.faults[rule]}")
        lines += [f"          {found.source.unit} {_fault(fault)}" for fault in faults]
    return lines


def _fault(fault: Fault) -> str:
    column = f", column {one_line(fault.column)}" if fault.column else ""
    return f"{fault.line}{column}: {one_line(fault.value)}. {fault.remedy}"


def _examples(found: Planned, label: str, texts: Callable[[Entry], list[str]]) -> list[str]:
    """The first entries that `texts` has something to say about, and how many more there are."""
    said = ((entry, text) for entry in entries_of(found) for text in texts(entry))
    lines = []
    for entry, text in islice(said, MAX_EXAMPLES):
        line = f"{found.source.unit} {entry.line}, " if entry.line else ""
        lines.append(f"{label:<9} {line}{one_line(entry.external_id)}: {text}")
    rest = sum(1 for _ in said)
    return lines + ([f"          … and {rest} more"] if rest else [])
