"""`doubts.csv`: the rows that look like a mistake, to be decided one by one and given back.

Promised: each doubted row stands there as it stands in the file, after five columns: the decision (yes writes the row
as it stands, no leaves it out, same gives it to the existing customer whose external_id only looks different, blank
leaves it held), its line, a sign that identifies row and doubts, the kinds of its
doubts and the doubts. A decision that was given is written again, so that the file can be given back until nothing is
open. It is matched by the sign alone: a spreadsheet may change the other cells. Never done: deciding; calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from connector.errors import FixInput
from connector.files import atomic_write, set_aside
from connector.push.apply.rejected import front, top
from connector.push.file.record import Record
from connector.push.file.rows import opened
from connector.push.plan.doubts import ACCEPTED, Decision, token
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Source

__all__ = ["read_decisions", "write_doubts"]

COLUMNS = ("decision", "flexsync_line", "flexsync_row", "flexsync_kind", "flexsync_doubt")
_WORDS: dict[str, Decision] = {"yes": "yes", "y": "yes", "no": "no", "n": "no", "same": "same"}


def write_doubts(
    path: Path,
    source: Source,
    entries: Iterable[Entry],
    stays: Collection[Path] = (),
    aside: Callable[[Path], object] = set_aside,
) -> int:
    """Write the doubted rows, with what was decided, in the encoding and with the delimiter of the person's file.

    Args:
        path: where; an older file with other content is kept beside it with a ``~``.
        source: the person's file.
        entries: of the plan.
        stays: files that were read: where nothing is doubted they are not put aside.
        aside: moves an older file away.

    Returns:
        How many rows it holds; for none no file is written.

    Raises:
        FixInput: it cannot be written.
    """
    doubted = (entry for entry in entries if entry.doubts and entry.decision != ACCEPTED and entry.raw)
    first = next(doubted, None)
    if first is None:
        if path.exists() and not any(read.exists() and path.samefile(read) for read in stays):
            aside(path)
        return 0
    written = 0
    with atomic_write(path, keep_other=True, aside=aside) as file:
        file.write(top(list(COLUMNS), source))
        for entry in chain([first], doubted):
            cells = [entry.decision, str(entry.line), token(entry), " ".join(entry.kinds), "; ".join(entry.doubts)]
            file.write(front(cells, entry.raw, source))
            written += 1
    return written


def read_decisions(path: Path) -> dict[str, Decision]:
    """Read what was decided: the sign of a row → yes, no or same. Rows without a decision are left out.

    Raises:
        FixInput: it is no such file, or holds another word than yes, no and same.
    """
    with opened(path) as table:
        records = (record for record in table.records() if record.trouble or any(record.cells))
        at = _places(path, next(records, Record(1, [], "")))
        return dict(_decided(path, records, *at))


def _places(path: Path, header: Record) -> tuple[int, int]:
    names = [cell.strip().lower() for cell in header.cells]
    if "decision" in names and "flexsync_row" in names:
        return names.index("decision"), names.index("flexsync_row")
    raise FixInput(
        f"{path} has no columns decision and flexsync_row.",
        remedy="Give the .doubts.csv that `flexsync import plan` wrote, with its column decision filled in.",
    )


def _decided(path: Path, records: Iterable[Record], decision: int, row: int) -> Iterator[tuple[str, Decision]]:
    for record in records:
        if record.trouble or len(record.cells) <= max(decision, row):
            raise FixInput(f"{path} line {record.line} cannot be read.", remedy="Write the file anew: plan again.")
        said = record.cells[decision].strip()
        if said and said.lower() not in _WORDS:
            raise FixInput(
                f"{path} line {record.line}: decision {said!r} is neither yes, no nor same.",
                remedy="Write yes (the row is right as it stands), no (leave it out) or same (it is the customer with"
                " the similar external_id), or leave the cell blank.",
            )
        if said:
            yield record.cells[row].strip(), _WORDS[said.lower()]
