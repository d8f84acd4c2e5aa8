r"""CSV, DataFrame or Arrow table → rows of customer fields, and every fault in them.

Promised: headers are mapped by name; every fault is told with its physical line, column, value, rule and remedy, not
the first one only; duplicates are found over the whole file; nothing is sent for a row with a fault. Cells mean:
blank = leave alone, ``\N`` = clear (of a ``metadata.KEY`` cell: remove the key), ``\\N`` = the text ``\N`` itself.
Nothing is trimmed: the server does not trim either (contract.md 5.1). Memory does not grow with the file, but for a few
bytes a key. Never done: calls, or rules that need what the server holds.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from connector.errors import FixInput
from connector.push.file import rules
from connector.push.file.delimited import SURROGATE, Delimited, Record, Tabular, printable
from connector.push.file.rules import Fault

__all__ = ["CLEAR", "Checked", "Columns", "Row", "Rows", "escaped", "printable", "read_rows"]

CLEAR = None  # what a cell with \N means
KEYS = ("external_id", "id")
PREFIX = "metadata."
REASONS = ("flexsync_line", "flexsync_reason")  # columns of a rejected.csv: read over
SHOWN = 120  # characters of a value that a fault carries
SHOWN_LINES = 3  # other lines that a duplicate names
TOLD = 100  # columns and warnings that a message names one by one
LONGEST_KEY = 255
EXAMPLES = 5  # faults of each rule that are kept for people; all of them are in the plan and in rejected.csv
_ESCAPE = re.compile(r"\\+N")
_as_metadata = msgspec.json.Decoder(dict[str, str | None]).decode
Value = str | None


class Row(msgspec.Struct, gc=False):
    """One row of a person's file.

    Attributes:
        line: physical line on which it begins, from 1.
        raw: its text as it stood.
        external_id: "" when blank.
        id: the server's id; "" when blank.
        fields: field → text, or None for "clear"; blank cells are not in it, keys neither.
        metadata: key → text, or None for "remove"; None where the row has nothing to say of metadata.
        faults: everything that is wrong with it.
    """

    line: int
    raw: str
    external_id: str = ""
    id: str = ""
    fields: dict[str, Value] = {}
    metadata: dict[str, Value] | None = None
    faults: list[Fault] = []


@dataclass
class Checked:
    """What a first reading found, before any call.

    Attributes:
        rows: how many rows there are, blank lines apart.
        blank: lines without a value.
        invalid: rows with at least one fault.
        usable: rows without a fault.
        faults: how many, by rule.
        examples: the first few of each rule.
        warnings: sentences about what is allowed and looks like a mistake.
    """

    rows: int = 0
    blank: int = 0
    invalid: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Fault]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def usable(self) -> int:
        """Rows without a fault."""
        return self.rows - self.invalid

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        if not row.faults:
            return
        self.invalid += 1
        for fault in row.faults:
            self.faults[fault.rule] += 1
            examples = self.examples.setdefault(fault.rule, [])
            if len(examples) < EXAMPLES:
                examples.append(fault)


@dataclass(frozen=True)
class Columns:
    """Which column of the file is which field.

    Attributes:
        header: the file's own names.
        line: physical line of the header.
        keys: key → position.
        fields: (position, field, check) of every other field.
        metadata: (position, key) of the ``metadata.KEY`` columns.
        json: position of the ``metadata`` column, or None.
        constants: field → text that every row gets where its cell is blank.
    """

    header: list[str]
    line: int
    keys: dict[str, int]
    fields: list[tuple[int, str, Callable[[str], Any]]]
    metadata: list[tuple[int, str]]
    json: int | None
    constants: dict[str, str]

    @classmethod
    def bind(
        cls,
        record: Record,
        *,
        mapping: Mapping[str, str] | None = None,
        constants: Mapping[str, str] | None = None,
        match: str = "external_id",
        name: str = "the file",
    ) -> Columns:
        """Find the field of every header.

        Args:
            record: the header.
            mapping: header → field; "" leaves the column out.
            constants: field → text, for columns that the file does not have.
            match: the column that says whom a row is about.
            name: of the file, for messages.

        Raises:
            FixInput: naming every header that is unknown or stands twice, with the nearest known one.
        """
        given = {_bare(name): target for name, target in (mapping or {}).items()}
        headers = [_bare(header) for header in record.cells]
        known, found = set(headers), {}  # type: set[str], dict[str, int]
        wrong = [*_bad_headers(headers, given, found)]
        wrong += [f'mapping: there is no column "{_cut(h)}".' for h in given if h not in known]
        wrong += _bad_constants(constants or {}, found)
        if match not in found:
            wrong.append(f"there is no column {match}: it says whom a row is about.")
        if wrong:
            place = f"{name} line {record.line}" if record.line else name
            remedy = "Mend the header, or say in the config what a column is: [import.mapping]."
            raise FixInput("\n".join(f"{place}: {text}" for text in _first(wrong)), remedy=remedy)
        return cls(
            header=record.cells,
            line=record.line,
            keys={key: found[key] for key in KEYS if key in found},
            fields=[(found[f], f, rules.check(f)) for f in rules.TEXTS if f in found and f not in KEYS],
            metadata=[(place, key[len(PREFIX) :]) for key, place in found.items() if key.startswith(PREFIX)],
            json=found.get("metadata"),
            constants=dict(constants or {}),
        )

    def name(self, target: str) -> str:
        """The file's own header of a field or ``metadata.KEY``; the field itself where there is none."""
        for position, field_name, _ in self.fields:
            if field_name == target:
                return self.header[position]
        for position, key in self.metadata:
            if PREFIX + key == target:
                return self.header[position]
        if target in self.keys:
            return self.header[self.keys[target]]
        return self.header[self.json] if self.json is not None and target.startswith("metadata") else target


@dataclass
class Rows:
    """A file of customers, ready to be read as often as needed.

    Attributes:
        source: the text table.
        columns: what its columns are.
        match: `external_id` or `id`: the column that says whom a row is about.
    """

    source: Delimited | Tabular
    columns: Columns
    match: str = "external_id"
    _doubles: dict[str, dict[str, list[int]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        columns = self.columns
        self._fields = [(place, name, rules.roomy(name), check) for place, name, check in columns.fields]
        keys = {*(key for _, key in columns.metadata), *(name.removeprefix(PREFIX) for name in columns.constants)}
        self._taxed = columns.json is not None or not rules.TAX_KEYS.isdisjoint(keys)
        self._used = {*columns.keys.values(), *(place for place, *_ in columns.fields + columns.metadata), columns.json}

    def __iter__(self) -> Iterator[Row]:
        """Every row with its faults; those about duplicates are known once `check` has run."""
        return (row for row in self._all() if row is not None)

    def _all(self) -> Iterator[Row | None]:
        """Every row; None for a blank line."""
        for record in self.source.records():
            if record.line > self.columns.line:
                yield self._row(record)

    def check(self) -> Checked:
        """Read everything once, before any call: find every fault and every duplicate.

        Only hashes of the keys are kept; where some stand twice, the file is read again to say which and where.
        """
        self._doubles = {}
        seen = {key: array("q") for key in self.columns.keys}
        folded = array("q")
        found = self._checked(seen, folded)
        suspects, near = {key: _twice(hashes) for key, hashes in seen.items()}, _twice(folded)
        if near or any(suspects.values()):
            doubles, warnings = self._compared(suspects, near)
            if any(doubles.values()):
                self._doubles = doubles
                found = self._checked({}, array("q"))
            found.warnings += warnings
        return found

    def _checked(self, seen: dict[str, array[int]], folded: array[int]) -> Checked:
        found = Checked()
        add, fold = found.add, folded.append
        kept = [(attrgetter(key), hashes.append) for key, hashes in seen.items()]
        for row in self._all():
            if row is None:
                found.blank += 1
                continue
            for value_of, keep in kept:
                if value := value_of(row):
                    keep(hash(value))
            if value := row.external_id:
                fold(hash(value.strip().casefold()))
            add(row)
        return found

    def _compared(
        self, suspects: Mapping[str, set[int]], near: set[int]
    ) -> tuple[dict[str, dict[str, list[int]]], list[str]]:
        """Read again, compare what the hashes only suspect: key → value → lines of what stands twice, and warnings."""
        found: dict[str, dict[str, list[int]]] = {key: {} for key in suspects}
        alike: dict[str, dict[str, int]] = {}
        for row in self:
            for key, hashes in suspects.items():
                value = getattr(row, key)
                if value and hash(value) in hashes:
                    found[key].setdefault(value, []).append(row.line)
            plain = row.external_id.strip().casefold()
            if plain and hash(plain) in near:
                alike.setdefault(plain, {}).setdefault(row.external_id, row.line)
        doubles = {key: {v: lines for v, lines in values.items() if len(lines) > 1} for key, values in found.items()}
        return doubles, [*_first([self._alike(values) for values in alike.values() if len(values) > 1])]

    def _alike(self, values: Mapping[str, int]) -> str:
        """Keys that differ only by case or spaces around them: allowed, and rarely meant."""
        shown = [f"{_cut(value)!r} ({self.source.unit} {line})" for value, line in values.items()]
        return (
            f"external_id {_few(shown, ' and ')} differ only by case or spaces:"
            " the server takes them for different customers."
        )

    # --- one row --------------------------------------------------------------------------------------------------

    def _row(self, record: Record) -> Row | None:
        """One row; this is where the time goes, so cells that are as they should be cost no call."""
        line, cells, raw, trouble = record
        if not trouble and not any(cells):
            return None
        columns, fields, faults = self.columns, {}, []  # type: Columns, dict[str, Value], list[Fault]
        row = Row(line, raw, fields=fields, faults=faults)
        width = len(columns.header)
        if trouble or (len(cells) != width and (len(cells) < width or any(cells[width:]))):
            faults.append(_broken(record, width))
            return row
        if "\0" in raw or not (raw.isascii() or _is_text(raw)):
            self._unreadable(row, cells)
        for key, position in columns.keys.items():
            cell = cells[position]
            if not cell or cell[0] == "\\" or len(cell) > LONGEST_KEY or self._doubles:
                self._key(row, key, position, cell)
            else:
                setattr(row, key, cell)
        for position, name, roomy, check in self._fields:
            if cell := cells[position]:
                if cell[0] == "\\" or (len(cell) > roomy and check(cell)):
                    self._field(row, name, position, cell, check)
                else:
                    fields[name] = cell
        if columns.metadata or columns.json is not None:
            self._metadata(row, cells)
        for name, text in columns.constants.items():
            self._constant(row, name, text)
        if self._taxed:
            self._tax(row)
        return row

    def _unreadable(self, row: Row, cells: list[str]) -> None:
        for position, cell in enumerate(cells[: len(self.columns.header)]):
            if SURROGATE.search(cell):
                remedy = f"These bytes are not {self.source.encoding}: mend them, or name the file's --encoding."
                row.faults.append(self._fault(row, position, cell, "encoding", remedy))
            elif "\0" in cell and position in self._used:
                remedy = "The server refuses NUL characters: remove them."
                row.faults.append(self._fault(row, position, cell, "nul", remedy))

    def _key(self, row: Row, key: str, position: int, cell: str) -> None:
        if not cell:
            if key == self.match == "external_id":
                row.faults.append(self._fault(row, position, "", "required", "It says whom the row is about: fill it."))
            return
        text = _unescaped(cell)
        if text is CLEAR:
            remedy = f"The API cannot empty {key}: give it, or leave the cell blank."
            row.faults.append(self._fault(row, position, cell, "cannot_be_cleared_key", remedy))
            return
        setattr(row, key, text)
        if len(text) > LONGEST_KEY and _is_readable(cell):
            remedy = f"{len(text)} characters; at most {LONGEST_KEY} fit."
            row.faults.append(self._fault(row, position, cell, "too_long_key", remedy))
        if lines := self._doubles.get(key, {}).get(text):
            others = [str(line) for line in lines[: SHOWN_LINES + 1] if line != row.line]
            rest = len(lines) - 1 - SHOWN_LINES
            told = ", ".join(others[:SHOWN_LINES]) + (f" and {rest} more" if rest > 0 else "")
            remedy = f"It stands on {self.source.unit} {told} too: keep one of them."
            row.faults.append(self._fault(row, position, cell, "duplicate_key", remedy))

    def _field(self, row: Row, name: str, position: int, cell: str, check: Callable[[str], Any]) -> None:
        text = row.fields[name] = _unescaped(cell)
        verdict = rules.cleared(name) if text is CLEAR else check(text)
        if verdict and _is_readable(cell):
            row.faults.append(self._fault(row, position, cell, *verdict))

    def _metadata(self, row: Row, cells: list[str]) -> None:
        given: dict[str, Value] = {}
        said = False
        if self.columns.json is not None and (cell := cells[self.columns.json]):
            said = True
            try:
                given = _as_metadata(cell) if _is_readable(cell) else {}
            except msgspec.DecodeError as error:
                what = str(error).split(" - ")[0].rstrip(".")
                remedy = f'Write a JSON object of texts, like {{"tier": "gold"}}: {what}.'
                row.faults.append(self._fault(row, self.columns.json, cell, "metadata_json", remedy))
            if any("\0" in part for pair in given.items() for part in pair if part):
                remedy = "The server refuses NUL characters: remove them."
                row.faults.append(self._fault(row, self.columns.json, cell, "nul", remedy))
        for position, key in self.columns.metadata:
            if cell := cells[position]:
                said = True
                given[key] = cell if cell[0] != "\\" else _unescaped(cell)
        row.metadata = given if said else None

    def _constant(self, row: Row, name: str, text: str) -> None:
        if name.startswith(PREFIX):
            row.metadata = {name[len(PREFIX) :]: text, **(row.metadata or {})}
        else:
            row.fields.setdefault(name, text)

    def _tax(self, row: Row) -> None:
        """Tax keys that are wrong whatever the server holds; the rest is the plan's business."""
        if not row.metadata or rules.TAX_KEYS.isdisjoint(row.metadata):
            return
        for key, rule, remedy in rules.check_metadata({k: v for k, v in row.metadata.items() if v is not CLEAR}):
            column = self.columns.name(PREFIX + key)
            row.faults.append(Fault(row.line, column, _cut(row.metadata.get(key) or ""), rule, remedy))

    def _fault(self, row: Row, position: int, value: str, rule: str, remedy: str) -> Fault:
        return Fault(row.line, self.columns.header[position], _cut(value), rule, remedy)


@contextmanager
def read_rows(
    source: Path | str | BinaryIO | Any,
    *,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    match: str = "external_id",
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Iterator[Rows]:
    """Open customers for reading.

    Args:
        source: a CSV file (path, ``-`` for standard input, binary file object), a DataFrame or an Arrow table.
        mapping: header → field, where names differ; "" leaves the column out.
        constants: field → text for every row, for columns that the file does not have.
        match: the column that says whom a row is about, `external_id` or `id`.
        encoding: instead of the detected one.
        delimiter: instead of the detected one.

    Yields:
        The rows; iterate, or `check` first.

    Raises:
        FixInput: the file cannot be read at all, has no header, or its columns cannot be told.
    """
    known = {_bare(name) for name in mapping or {}}
    if not isinstance(source, Path | str) and not hasattr(source, "read"):
        table = Tabular(source)
        yield Rows(table, _bound(table, mapping, constants, match), match)
        return
    with Delimited.open(
        source,
        encoding=encoding,
        delimiter=delimiter,
        known=lambda name: _bare(name) in known or _target(_bare(name), {}) is not None,
    ) as file:
        yield Rows(file, _bound(file, mapping, constants, match), match)


def _bound(
    source: Delimited | Tabular, mapping: Mapping[str, str] | None, constants: Mapping[str, str] | None, match: str
) -> Columns:
    header = next((record for record in source.records() if record.trouble or any(record.cells)), None)
    if header is None or header.trouble:
        raise FixInput(
            f"{source.name} has no header.", remedy="Its first line must name the columns: `flexsync import template`."
        )
    return Columns.bind(header, mapping=mapping, constants=constants, match=match, name=source.name)


def escaped(text: str) -> str:
    r"""A value as a cell: texts that look like ``\N`` get one more backslash."""
    return "\\" + text if _ESCAPE.fullmatch(text) else text


def _unescaped(cell: str) -> Value:
    if cell == "\\N":
        return CLEAR
    return cell[1:] if cell[0] == "\\" and _ESCAPE.fullmatch(cell) else cell


def _broken(record: Record, width: int) -> Fault:
    if record.trouble == "unclosed":
        remedy = "A quote is opened here and never closed, so nothing after it could be read: close it."
        return Fault(record.line, "", _cut(record.raw), "unclosed_quote", remedy)
    if record.trouble:
        remedy = 'Text follows a closing quote: write quotes inside a quoted cell twice, "".'
        return Fault(record.line, "", _cut(record.raw), "quotes", remedy)
    remedy = f"{len(record.cells)} cells under {width} headers: is a delimiter missing, or one too many?"
    return Fault(record.line, "", _cut(record.raw), "ragged", remedy)


def _is_text(text: str) -> bool:
    """Whether it holds no byte that could not be read; ten times as fast as a search for one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_readable(cell: str) -> bool:
    """Whether nothing was said about the cell's very characters, so that its value is worth a word."""
    return "\0" not in cell and _is_text(cell)


def _few(parts: Sequence[str], between: str) -> str:
    """The first few parts, and how many there are besides."""
    more = len(parts) - SHOWN_LINES
    return between.join([*parts[:SHOWN_LINES], f"{more} more"] if more > 0 else parts)


def _first(told: Sequence[str]) -> Iterator[str]:
    """The first hundred, and how many there are besides."""
    yield from told[:TOLD]
    if len(told) > TOLD:
        yield f"and {len(told) - TOLD} more like these."


def _cut(value: str) -> str:
    return printable(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")


def _twice(hashes: array[int]) -> set[int]:
    """Hashes that stand more than once."""
    if len(set(hashes)) == len(hashes):
        return set()
    return {value for value, count in Counter(hashes).items() if count > 1}


def _target(header: str, mapping: Mapping[str, str]) -> str | None:
    """The field of a header; "" for a column to leave out, None for an unknown one."""
    if "\0" in header or printable(header) != header:
        return None
    if header in mapping:
        target = mapping[header]
        return target if not target or _is_target(target) else None
    if header in REASONS:
        return ""
    if _is_target(header):
        return header
    plain = re.sub(r"[\s-]+", "_", header).lower()
    return plain if plain in _TARGETS else None


_TARGETS = ("id", *rules.TEXTS, "metadata")


def _is_target(name: str) -> bool:
    return name in _TARGETS or (name.startswith(PREFIX) and len(name) > len(PREFIX))


def _bare(header: str) -> str:
    """A header without what may stand around it unseen."""
    return header.strip("\ufeff\xa0 \t\r\n")


def _bad_headers(headers: Sequence[str], mapping: Mapping[str, str], found: dict[str, int]) -> Iterator[str]:
    """What is wrong with each header; target → position of the others goes to `found`."""
    wrong = 0
    for position, header in enumerate(headers):
        target = _target(header, mapping)
        place = f'column {position + 1}, "{_cut(header)}"'
        if target is None:
            wrong += 1
            yield f"{place}: {_suggestion(header, mapping.get(header)) if wrong <= TOLD else 'unknown.'}"
        elif target in found:
            yield f"{place}: {target} is column {found[target] + 1} already."
        elif target:
            found[target] = position


def _suggestion(header: str, mapped: str | None) -> str:
    if mapped is not None:
        return f'mapped to "{_cut(mapped)}", which is no field.{_near(mapped)}'
    if not header:
        return "it has no name. Name it, or leave it out."
    if not _is_readable(header):
        return "it holds characters that are none. Mend it, or name the file's --encoding."
    if len(header) > SHOWN:
        return "unknown. Name it, or leave it out."
    near = _near(header)
    return (
        f'unknown.{near} {"Else map" if near else "Map"} it: "{header}" = "metadata.{header}", or = "" to leave it out.'
    )


def _near(name: str) -> str:
    """A question after the fields whose names are like it; "" where none is."""
    close = get_close_matches(name[:SHOWN].lower(), _TARGETS, n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _bad_constants(constants: Mapping[str, str], found: Iterable[str]) -> Iterator[str]:
    for name, text in constants.items():
        if name in KEYS or not _is_target(name) or name == "metadata":
            yield f"constant {name}: not a field that every row can be given."
        elif name in found:
            yield f"constant {name}: the file has that column itself."
        elif not _is_readable(name + text):
            yield f"constant {name} = {_cut(text)!r}: it holds characters that the server refuses."
        elif name in rules.FIELDS and (verdict := rules.check(name)(text) if text else rules.cleared(name)):
            yield f"constant {name} = {_cut(text)!r}: {verdict[1]}"
    metadata = {name.removeprefix(PREFIX): text for name, text in constants.items() if name.startswith(PREFIX)}
    for key, _, remedy in rules.check_metadata(metadata):
        yield f"constant metadata.{key} = {metadata[key]!r}: {remedy}"
