"""The sheets of a workbook, and which of them is read.

Promised: the only visible sheet with data is taken; of several none is guessed, and the message lists them. A hidden
sheet is read only where it is named. Never done: reading cells.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from connector.errors import FixInput
from connector.push.file.excel.markup import BrokenError, elements
from connector.push.file.excel.package import WORKBOOK, Package

__all__ = ["Sheet", "chosen", "sheets_of"]

_RELATIONS = "xl/_rels/workbook.xml.rels"
_SHOWN = 20  # sheets that a message names


class Sheet(NamedTuple):
    """A sheet with cells.

    Attributes:
        number: its place in the workbook, from 1; sheets that hold only a chart count too.
        name: its name.
        part: where its cells are.
        hidden: whether Excel does not show it.
    """

    number: int
    name: str
    part: str
    hidden: bool


def sheets_of(package: Package) -> list[Sheet]:
    """Every sheet with cells, in order. Raises `BrokenError`."""
    targets: dict[str, tuple[str, str]] = {}
    found: list[Sheet] = []
    count = 0

    def relation(name: str, given: Mapping[str, str]) -> None:
        if name == "Relationship" and given.get("TargetMode") != "External":
            targets[given.get("Id", "")] = (given.get("Type", ""), _within(given.get("Target", "")))

    def sheet(name: str, given: Mapping[str, str]) -> None:
        nonlocal count
        if name != "sheet":
            return
        count += 1
        kind, part = targets.get(next((value for key, value in given.items() if key.endswith(":id")), ""), ("", ""))
        if kind.endswith("/worksheet"):
            found.append(Sheet(count, given.get("name", ""), part, given.get("state", "visible") != "visible"))

    with package.part(_RELATIONS) as part:
        elements(part, relation)
    with package.part(WORKBOOK) as part:
        elements(part, sheet)
    if not found:
        raise BrokenError("it has no sheet with cells")
    return found


def _within(target: str) -> str:
    """The part that a relation of the workbook names."""
    return posixpath.normpath(target.lstrip("/") if target.startswith("/") else posixpath.join("xl", target))


def chosen(sheets: Sequence[Sheet], wanted: str | None, filled: Callable[[Sheet], bool], name: str) -> Sheet:
    """Choose the sheet to read.

    Args:
        sheets: of the workbook.
        wanted: the name or number that a person gave, or None.
        filled: whether a sheet has any value.
        name: of the file, for messages.

    Raises:
        FixInput: there is no such sheet, no visible one with data, or more than one.
    """
    if wanted:
        found = [one for one in sheets if one.name == wanted]
        found = found or [one for one in sheets if one.name.casefold() == wanted.strip().casefold()]
        found = found or [one for one in sheets if str(one.number) == wanted.strip()]
        if not found:
            raise FixInput(f"{name} has no sheet {wanted!r}: it has {_listed(sheets)}.", remedy=_remedy(sheets))
        return found[0]
    with_data = [one for one in sheets if not one.hidden and filled(one)]
    if len(with_data) == 1:
        return with_data[0]
    if not with_data:
        raise FixInput(f"{name} has no visible sheet with data: it has {_listed(sheets)}.", remedy=_remedy(sheets))
    raise FixInput(f"{name} has several sheets with data: {_listed(with_data)}.", remedy=_remedy(with_data))


def _listed(sheets: Sequence[Sheet]) -> str:
    named = [f"{one.number} {one.name!r}{' (hidden)' if one.hidden else ''}" for one in sheets[:_SHOWN]]
    more = f" and {len(sheets) - _SHOWN} more" if len(sheets) > _SHOWN else ""
    return ", ".join(named) + more


def _remedy(sheets: Sequence[Sheet]) -> str:
    return f"Name the one to read, by its name or number: --sheet {sheets[0].number}."
