"""`doubts.csv`: the rows that look like a mistake, to be decided one by one and given back.

Promised: each doubted row stands there as it stands in the file, after five columns: the decision (yes writes the row
as it stands, no leaves it out, same gives it to the existing customer whose external_id only looks different, blank
leaves it held), its line, a sign that identifies the row and what would be written, the kinds of its doubts and the
doubts. A decision that was given is written again, also one that met no row, so that the file can be given back until
nothing is open; one that lapsed is written with a question mark. It is matched by the sign alone: a spreadsheet may
change the other cells. Never done: deciding; calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from connector.errors import FixInput
from connector.files import atomic_write, set_aside
from connector.plurals import counted
from connector.push.apply.rejected import front, top
from connector.push.file.record import Record
from connector.push.file.rows import opened
from connector.push.plan.doubts import ACCEPTED, GIVEN, Decision, Decisions, row_of
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Source

__all__ = ["keep_decided", "read_decisions", "write_doubts"]

COLUMNS = ("decision", "flexsync_line", "flexsync_row", "flexsync_kind", "flexsync_doubt")
_WORDS: dict[str, Decision] = {"yes": "yes", "y": "yes", "no": "no", "n": "no", "same": "same", "same?": "same?"}
_OPEN = ("", "yes?")


def write_doubts(
    path: Path,
    source: Source,
    entries: Iterable[Entry],
    decisions: Decisions,
    stays: Collection[Path] = (),
    aside: Callable[[Path], object] = set_aside,
) -> int:
    """Write the doubted rows, with what was decided, in the encoding and with the delimiter of the person's file.

    Args:
        path: where; an older file with other content is kept beside it with a ``~``.
        source: the person's file.
        entries: of the plan.
        decisions: that were given.
        stays: files that were read: where nothing is doubted they are not put aside.
        aside: moves an older file away.

    Returns:
        How many rows of the file it holds; where it would be empty none is written.

    Raises:
        FixInput: it cannot be written.
    """
    doubted = (entry for entry in entries if entry.raw and _belongs(entry))
    first, strays = next(doubted, None), decisions.without_row
    if first is None and not strays:
        if path.exists() and not any(_is(path, read) for read in stays):
            aside(path)
        return 0
    written = 0
    with atomic_write(path, keep_other=True, aside=aside) as file:
        file.write(top(list(COLUMNS), source))
        for entry in chain([first] if first else [], doubted):
            file.write(front(_cells(entry, decisions), entry.raw, source))
            written += 1
        for sign, said in strays.items():
            file.write(front([said, "", sign, "", f"no row of {source.name} is this one any more"], "", source))
    return written


def _cells(entry: Entry, decisions: Decisions) -> list[str]:
    told = "; ".join([*entry.doubts, *([entry.why] if entry.do == "held" and entry.why else [])])
    return [entry.decision, str(entry.line), decisions.sign(entry), " ".join(entry.kinds), told]


def _belongs(entry: Entry) -> bool:
    return entry.do == "held" or entry.decision in GIVEN or (bool(entry.doubts) and entry.decision != ACCEPTED)


def _is(path: Path, given: Path | None) -> bool:
    return given is not None and given.exists() and path.samefile(given)


def keep_decided(path: Path, decisions: Decisions, given: Path | None) -> str:
    """Put a file of doubts aside that holds decisions and was not given.

    Args:
        path: of the file of doubts that is about to be written.
        decisions: that were given.
        given: their file.

    Returns:
        What was done, as a sentence; "" where nothing was.
    """
    if not path.exists() or _is(path, given):
        return ""
    try:
        lost = read_decisions(path).items() - decisions.said.items()
    except FixInput:  # whatever it is, it is not written over
        return ""
    if not lost:
        return ""
    kept, holds = set_aside(path), counted(len(lost), "decision")
    return f"{kept} holds {holds} that {'was' if len(lost) == 1 else 'were'} not given: --decisions {kept} gives them"


def read_decisions(path: Path) -> dict[str, Decision]:
    """Read what was decided: the sign of a row → yes, no or same. Rows without a decision are left out.

    Raises:
        FixInput: it is no such file, holds another word than yes, no and same, or two of them about one row.
    """
    with opened(path) as table:
        records = (record for record in table.records() if record.trouble or any(record.cells))
        at = _places(path, next(records, Record(1, [], "")))
        return _agreed(path, _decided(path, records, *at))


def _agreed(path: Path, decided: Iterable[tuple[int, str, Decision]]) -> dict[str, Decision]:
    """Make sure that one thing was said about each row, whatever would be written for it. Raises `FixInput`."""
    first: dict[str, tuple[int, Decision]] = {}
    signs: dict[str, Decision] = {}
    for line, sign, said in decided:
        before, word = first.setdefault(row_of(sign), (line, said))
        if word != said:
            raise FixInput(
                f"{path} line {before} says {word} and line {line} says {said} about one row.",
                remedy="Keep one of the two lines.",
            )
        signs[sign] = said
    return signs


def _places(path: Path, header: Record) -> tuple[int, int]:
    names = [cell.strip().lower() for cell in header.cells]
    if "decision" in names and "flexsync_row" in names:
        return names.index("decision"), names.index("flexsync_row")
    raise FixInput(
        f"{path} has no columns decision and flexsync_row.",
        remedy="Give the .doubts.csv that `flexsync import plan` wrote, with its column decision filled in.",
    )


def _decided(path: Path, records: Iterable[Record], decision: int, row: int) -> Iterator[tuple[int, str, Decision]]:
    for record in records:
        if record.trouble or len(record.cells) <= max(decision, row):
            raise FixInput(f"{path} line {record.line} cannot be read.", remedy="Write the file anew: plan again.")
        said, sign = record.cells[decision].strip().lower(), record.cells[row].strip().lower()
        if said in _OPEN:
            continue
        if not sign:
            raise FixInput(f"{path} line {record.line} has no flexsync_row.", remedy="Write the file anew: plan again.")
        if said not in _WORDS:
            raise FixInput(
                f"{path} line {record.line}: decision {record.cells[decision].strip()!r} is neither yes, no nor same.",
                remedy="Write yes (the row is right as it stands), no (leave it out) or same (it is the customer with"
                " the similar external_id), or leave the cell blank.",
            )
        yield record.line, sign, _WORDS[said]
