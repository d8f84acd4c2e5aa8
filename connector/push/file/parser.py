"""One record as one row: each cell under its column, each fault with its line, column, value, rule and remedy.

Promised: all faults of a row are found, not the first one only. Never done: comparing rows with each other, or rules
that need what the server holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import msgspec

from connector.push.file import rules
from connector.push.file.advice import Advice, advised, loose
from connector.push.file.cells import CLEAR, Value, unescaped
from connector.push.file.columns import PREFIX, Columns
from connector.push.file.duplicates import SHOWN_LINES, Duplicates
from connector.push.file.marks import FORMULA, Marks, doubt_of, recalled
from connector.push.file.record import SURROGATE, Record, is_readable, is_text
from connector.push.file.row import Row
from connector.push.file.rules import Fault
from connector.push.file.wording import cut

__all__ = ["RowParser"]

LONGEST_KEY = 255  # characters
_NO_RESULT = "The workbook holds no result of this formula: open it in Excel and save it, then plan it again."
_NUL = "The server refuses NUL characters: remove them."
_as_metadata = msgspec.json.Decoder(dict[str, str | None]).decode


@dataclass
class RowParser:
    """Makes a `Row` of each record.

    Attributes:
        columns: what each column is.
        match: the column that identifies the customer of a row.
        encoding: of the file, for messages.
        unit: what line numbers count, for messages.
        duplicates: key → value → lines, of values that appear more than once.
        fixes: kinds of advice that are taken (`connector.push.file.advice`).
    """

    columns: Columns
    match: str
    encoding: str
    unit: str
    duplicates: Duplicates
    fixes: Set[str] = frozenset()

    def __post_init__(self) -> None:
        columns = self.columns
        self._fields = [(position, name, rules.safe_length(name), check) for position, name, check in columns.fields]
        keys = {*(key for _, key in columns.metadata), *(name.removeprefix(PREFIX) for name in columns.constants)}
        self._taxed = columns.json is not None or not rules.TAX_KEYS.isdisjoint(keys)
        self._named = columns.named()
        self._told = [columns.own(name) for name in ("flexsync_reason", "flexsync_doubt")]
        self._used = {*columns.keys.values(), *(at for at, *_ in columns.fields + columns.metadata), columns.json}

    def parse(self, record: Record) -> Row | None:
        """Make a row; None for a blank line."""
        line, cells, raw, trouble, marks = record
        if not trouble and not any(cells):
            return None
        row = Row(line, raw, fields={}, faults=[], advice=[])
        width = len(self.columns.header)
        if trouble or (len(cells) != width and (len(cells) < width or any(cells[width:]))):
            row.faults.append(_broken(record, width))
            return row
        if "\0" in raw or not (raw.isascii() or is_text(raw)):
            self._unreadable(row, cells)
        if marks:
            cells = self._marked(row, cells, marks)
        self._cells(row, cells)
        if self.columns.metadata or self.columns.json is not None:
            self._metadata(row, cells)
        for name, text in self.columns.constants.items():
            _set_constant(row, name, text)
        if self._taxed:
            self._tax(row)
        if marks:
            self._doubt(row, cells, marks)
        if self._told != [None, None]:
            reason, doubts = ("" if at is None else cells[at] for at in self._told)
            row.doubts = {**recalled(reason, doubts), **row.doubts}
        return row

    def _marked(self, row: Row, cells: list[str], marks: Marks) -> list[str]:
        """The cells that are read: a formula without a result is a fault, and nothing else is said about it."""
        read = list(cells)
        for position, mark in marks.items():
            if mark.kind == FORMULA and position in self._used:
                self._fault(row, position, cells[position], "formula", _NO_RESULT)
                read[position] = ""
        return read

    def _doubt(self, row: Row, cells: list[str], marks: Marks) -> None:
        """What the cells give to doubt, besides their texts."""
        country = row.fields.get("address_country") or ""
        row.doubts = {}
        for position, mark in marks.items():
            if (name := self._named.get(position)) is not None:
                text = cells[position] if position >= 0 else ""
                if found := doubt_of(name, text, mark, country):
                    row.doubts[name] = found

    def _cells(self, row: Row, cells: list[str]) -> None:
        """Keys and text fields. The import spends its time here, so a cell without a fault costs no call."""
        for key, position in self.columns.keys.items():
            cell = cells[position]
            if not cell or cell[0] == "\\" or len(cell) > LONGEST_KEY or self.duplicates or loose(cell):
                self._key(row, key, position, cell)
            else:
                setattr(row, key, cell)
        fields = row.fields
        for position, name, safe, check in self._fields:
            if cell := cells[position]:
                if cell[0] == "\\" or (len(cell) > safe and check(cell)) or loose(cell):
                    self._field(row, name, position, cell, check)
                else:
                    fields[name] = cell

    def _unreadable(self, row: Row, cells: list[str]) -> None:
        for position, cell in enumerate(cells[: len(self.columns.header)]):
            if SURROGATE.search(cell):
                remedy = f"These bytes are not {self.encoding}: correct them, or name the file's --encoding."
                self._fault(row, position, cell, "encoding", remedy)
            elif "\0" in cell and position in self._used:
                self._fault(row, position, cell, "nul", _NUL)

    def _key(self, row: Row, key: str, position: int, cell: str) -> None:
        if not cell:
            if key == self.match == "external_id" and not any(fault.rule == "formula" for fault in row.faults):
                self._fault(row, position, "", "required", "It identifies the customer of the row: fill it.")
            return
        text = unescaped(cell)
        if text is CLEAR:
            remedy = f"The API cannot empty {key}: give it, or leave the cell blank."
            self._fault(row, position, cell, "cannot_be_cleared_key", remedy)
            return
        text = self._meant(row, key, position, text)
        if not text:
            self._key(row, key, position, "")
            return
        setattr(row, key, text)
        if len(text) > LONGEST_KEY and is_readable(cell):
            self._fault(row, position, cell, "too_long_key", f"{len(text)} characters; at most {LONGEST_KEY} fit.")
        if lines := self.duplicates.get(key, {}).get(text):
            self._fault(row, position, cell, "duplicate_key", self._duplicate(row.line, lines))

    def _duplicate(self, own: int, lines: list[int]) -> str:
        others = [str(line) for line in lines[: SHOWN_LINES + 1] if line != own]
        rest = len(lines) - 1 - SHOWN_LINES
        shown = ", ".join(others[:SHOWN_LINES]) + (f" and {rest} more" if rest > 0 else "")
        return f"It stands on {self.unit} {shown} too: keep one of them."

    def _field(self, row: Row, name: str, position: int, cell: str, check: Callable[[str], Any]) -> None:
        text = unescaped(cell)
        if text is not CLEAR and not (text := self._meant(row, name, position, text)):
            return  # blanks only, and the advice to leave them out is taken
        row.fields[name] = text
        verdict = rules.cleared(name) if text is CLEAR else check(text)
        if verdict and is_readable(cell):
            self._fault(row, position, cell, *verdict)

    def _meant(self, row: Row, name: str, position: int, text: str) -> str:
        """What is written for a value: itself, or what it means where that kind of advice is taken."""
        found = advised(name, text) if is_readable(text) else None
        if found is None:
            return text
        fix, better = found
        taken = fix in self.fixes
        row.advice.append(Advice(row.line, self.columns.header[position], name, text, better, fix, taken))
        return better if taken else text

    def _metadata(self, row: Row, cells: list[str]) -> None:
        json = self.columns.json
        blob = cells[json] if json is not None else ""
        given = self._metadata_json(row, json, blob) if json is not None and blob else {}
        mentioned = bool(blob)
        for position, key in self.columns.metadata:
            if cell := cells[position]:
                text = cell if cell[0] != "\\" else unescaped(cell)
                if text is not CLEAR and loose(text):
                    text = self._meant(row, PREFIX + key, position, text)
                if text != "":
                    mentioned = True
                    given[key] = text
        row.metadata = given if mentioned else None

    def _metadata_json(self, row: Row, position: int, cell: str) -> dict[str, Value]:
        given: dict[str, Value] = {}
        try:
            given = _as_metadata(cell) if is_readable(cell) else {}
        except msgspec.DecodeError as error:
            what = str(error).split(" - ")[0].rstrip(".")
            remedy = f'Write a JSON object of texts, like {{"tier": "gold"}}: {what}.'
            self._fault(row, position, cell, "metadata_json", remedy)
        if any("\0" in part for pair in given.items() for part in pair if part):
            self._fault(row, position, cell, "nul", _NUL)
        return given

    def _tax(self, row: Row) -> None:
        """Tax keys that are wrong whatever the server holds; the plan checks the others."""
        if not row.metadata or rules.TAX_KEYS.isdisjoint(row.metadata):
            return
        given: Mapping[str, str] = {key: text for key, text in row.metadata.items() if text is not CLEAR}
        for key, rule, remedy in rules.check_metadata(given):
            column = self.columns.name(PREFIX + key)
            row.faults.append(Fault(row.line, column, cut(row.metadata.get(key) or ""), rule, remedy))

    def _fault(self, row: Row, position: int, value: str, rule: str, remedy: str) -> None:
        row.faults.append(Fault(row.line, self.columns.header[position], cut(value), rule, remedy))


def _set_constant(row: Row, name: str, text: str) -> None:
    if name.startswith(PREFIX):
        row.metadata = {name[len(PREFIX) :]: text, **(row.metadata or {})}
    else:
        row.fields.setdefault(name, text)


def _broken(record: Record, width: int) -> Fault:
    if record.trouble == "unclosed":
        remedy = "A quote is opened here and never closed, so nothing after it could be read: close it."
        return Fault(record.line, "", cut(record.raw), "unclosed_quote", remedy)
    if record.trouble:
        remedy = 'Text follows a closing quote: write quotes inside a quoted cell twice, "".'
        return Fault(record.line, "", cut(record.raw), "quotes", remedy)
    remedy = f"{len(record.cells)} cells under {width} headers: is a delimiter missing, or one too many?"
    return Fault(record.line, "", cut(record.raw), "ragged", remedy)
