r"""CSV, workbook, DataFrame or Arrow table → rows of customer fields, with every fault in them.

Promised: columns are found by header name; every fault is reported with its physical line, column, value, rule and
remedy, not the first one only; duplicates are found over the whole file; a row with a fault is never sent. For the
meaning of cells see `connector.push.file.cells`. Memory does not grow with the file, apart from a few bytes a key.
Never done: calls, or rules that need what the server holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from connector.errors import FixInput
from connector.push.file import own
from connector.push.file.columns import Columns
from connector.push.file.delimited import Delimited
from connector.push.file.duplicates import Hashes, compared, warnings
from connector.push.file.excel.package import is_workbook
from connector.push.file.excel.workbook import Workbook
from connector.push.file.headers import Unknown, bare, is_known
from connector.push.file.parser import RowParser
from connector.push.file.record import Record
from connector.push.file.row import Checked, Row
from connector.push.file.source import on_disk
from connector.push.file.tabular import Tabular

__all__ = ["Rows", "header_of", "opened", "read_rows"]


@dataclass
class Rows:
    """A file of customers, which can be read as often as needed.

    Attributes:
        source: the text table.
        columns: what its columns are.
        match: `external_id` or `id`: the column that identifies the customer of a row.
        fixes: kinds of advice that are taken (`connector.push.file.advice`).
        hashes: of all keys, once `check` has run.
        alike: folding key → external_id → line, of external_ids that only look different, once `check` has run.
    """

    source: Delimited | Tabular | Workbook
    columns: Columns
    match: str = "external_id"
    fixes: Set[str] = frozenset()
    hashes: Hashes = field(default_factory=Hashes)
    alike: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parser = RowParser(self.columns, self.match, self.source.encoding, self.source.unit, {}, self.fixes)
        self._own = own.leading(self.columns.bound)

    def __iter__(self) -> Iterator[Row]:
        """Every row with its faults; faults about duplicates are known once `check` has run."""
        return (row for row in self._all() if row is not None)

    def _all(self) -> Iterator[Row | None]:
        """Every row; None for a blank line."""
        parse = self._parser.parse
        for record in self.source.records():
            if record.line > self.columns.line:
                yield parse(record)

    def as_given(self) -> Iterator[Row]:
        """Every row, its text as a person gave it: see `given`."""
        for row in self:
            row.raw = self.given(row.raw)
            yield row

    def given(self, raw: str) -> str:
        """The text of a record as a person gave it: without the columns that Flexsync put in front of it."""
        return own.without(raw, self._own, self.source.delimiter) if self._own else raw

    def check(self) -> Checked:
        """Read everything once, before any call, and find every fault and every duplicate.

        Returns:
            What was found. Where hashes of keys repeat, the file is read again to compare the keys themselves.
        """
        self._parser.duplicates = {}
        self.hashes = Hashes(self.columns.keys)
        found = self._checked(self.hashes)
        suspects, near = self.hashes.repeated()
        if near or any(suspects.values()):
            duplicates, self.alike = compared(self, suspects, near)
            if any(duplicates.values()):
                self._parser.duplicates = duplicates
                found = self._checked()
            found.warnings += warnings(self.alike, self.source.unit)
        found.warnings += self.source.notes
        return found

    def _checked(self, hashes: Hashes | None = None) -> Checked:
        found = Checked()
        for row in self._all():
            if row is None:
                found.blank += 1
                continue
            if hashes is not None:
                hashes.add(row)
            found.add(row)
        return found


@contextmanager
def read_rows(
    source: Path | str | BinaryIO | Any,
    *,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    match: str = "external_id",
    encoding: str | None = None,
    delimiter: str | None = None,
    fixes: Iterable[str] = (),
    unknown: Unknown = "refuse",
    sheet: str | None = None,
) -> Iterator[Rows]:
    """Open customers for reading.

    Args:
        source: a CSV file or a workbook (path, ``-``, binary file object), a DataFrame or an Arrow table.
        mapping: header → field, where names differ; "" leaves the column out.
        constants: field → text for every row, for columns that the file does not have.
        match: the column that identifies the customer of a row, `external_id` or `id`.
        encoding: instead of the detected one.
        delimiter: instead of the detected one.
        fixes: kinds of advice to take, of `connector.push.file.advice.FIXES`: none by default.
        unknown: what to do with unknown columns: `refuse` the file, `leave` them out, make them `metadata`.
        sheet: name or number of a workbook's sheet; without it the only visible one with data.

    Yields:
        The rows; iterate, or `check` first.

    Raises:
        FixInput: the file cannot be read at all, has no header, or a column is unknown.
    """

    def bound(opened: Delimited | Tabular | Workbook) -> Rows:
        given: Any = {"mapping": mapping, "constants": constants, "match": match, "unknown": unknown}
        columns = Columns.bind(header_of(opened), **given, name=opened.name, unit=opened.unit)
        return Rows(opened, columns, match, frozenset(fixes))

    with opened(source, mapping=mapping, encoding=encoding, delimiter=delimiter, sheet=sheet) as table:
        yield bound(table)


@contextmanager
def opened(
    source: Path | str | BinaryIO | Any,
    *,
    mapping: Mapping[str, str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
) -> Iterator[Delimited | Tabular | Workbook]:
    """Open the table of a file, a workbook, a DataFrame or an Arrow table. Arguments and errors as for `read_rows`."""
    if not isinstance(source, Path | str) and not hasattr(source, "read"):
        yield Tabular(source)
        return
    mapped = {bare(name) for name in mapping or {}}

    def known(name: str) -> bool:
        return bare(name) in mapped or is_known(name)

    with on_disk(source) as (path, name):
        if is_workbook(path, name):
            with Workbook.open(path, name, sheet) as book:
                yield book
            return
        if sheet:
            raise FixInput(f"{name} has no sheets, and sheet {sheet!r} is asked for.", remedy="Leave out --sheet.")
        with Delimited.open(path, encoding=encoding, delimiter=delimiter, known=known, name=name) as file:
            yield file


def header_of(source: Delimited | Tabular | Workbook) -> Record:
    """The record that names the columns. Raises `FixInput` where there is none."""
    header = next((record for record in source.records() if record.trouble or any(record.cells)), None)
    if header is None or header.trouble:
        raise FixInput(
            f"{source.name} has no header.", remedy="Its first line must name the columns: `flexsync import template`."
        )
    return header
