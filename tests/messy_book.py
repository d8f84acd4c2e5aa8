"""The messy file of `messy` as a workbook, with what only a workbook does to values, and the list of it.

Ids that were numbers lost their zeros, codes became dates, look-ups left error cells, formulas have no result, cells
are merged and rows hidden. Some right rows hold numbers, dates and truth values where these are no damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import xlsxwriter
from messy import HEADERS, Cells, Mess, Plant, Writer
from messy import write as write_messy

TOP, LEFT = 3, 1  # rows and columns before the table
FORMATS = {date: "dd.mm.yyyy", datetime: "dd.mm.yyyy hh:mm", time: "hh:mm", timedelta: "[h]:mm:ss"}
SHEET = "Kunden"


class Cell:
    """A cell that is no text: a value, the format of a number, or a formula with its result ("" for none)."""

    def __init__(self, value: Any = "", shown: str = "", formula: str = "") -> None:
        self.value, self.shown, self.formula = value, shown, formula


class Sheet:
    """Writes rows into a sheet, and counts its physical rows."""

    def __init__(self, path: Path, chance: Random) -> None:
        self.chance = chance
        self.book = xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False})
        self.book.add_worksheet("Leer")
        self.sheet = self.book.add_worksheet(SHEET)
        self.book.add_chartsheet("Bild").set_chart(self._chart())
        hidden = self.book.add_worksheet("Alt")
        hidden.write_string(0, 0, "external_id")
        hidden.hide()
        self.formats: dict[str, Any] = {}
        self.at = TOP
        self.columns = {name: column for column, name in enumerate(HEADERS, LEFT)}
        self.sheet.set_column(self.columns[""], self.columns[""], None, None, {"hidden": True})
        self.row(HEADERS, exact=True)

    def _chart(self) -> Any:
        chart = self.book.add_chart({"type": "line"})
        chart.add_series({"values": f"={SHEET}!$B$5:$B$6"})
        return chart

    def row(self, cells: Cells, *, exact: bool = False) -> int:
        """Write a row; returns its physical number. Values that may be numbers, dates … now and then are."""
        if not exact and self.chance.random() < 0.02:
            self.at += 1  # a blank row
        for name, column in self.columns.items():
            value: Any = cells.get(name, "")
            self.cell(self.at, column, value if exact else self._otherwise(name, value, cells))
        self.at += 1
        return self.at

    def _otherwise(self, name: str, value: Any, cells: Cells) -> Any:
        """The same value as another kind of cell, where that loses nothing."""
        if name == "address_postal_code" and value == "50667" and self.chance.random() < 0.5:
            return Cell(50667)
        if name == "metadata.tier" and value == "gold" and self.chance.random() < 0.5:
            return self.chance.choice((Cell(12.5), Cell(date(2024, 2, 1)), Cell(True), Cell(7, "0.00")))
        if name == "name" and isinstance(value, str) and value.startswith("4711 "):
            return Cell(value, formula="=A1")
        return value

    def cell(self, row: int, column: int, value: Any) -> None:
        """Write one cell."""
        cell = value if isinstance(value, Cell) else Cell(value)
        form = self._format(cell.shown or FORMATS.get(type(cell.value), ""))
        if cell.formula:
            self.sheet.write_formula(row, column, cell.formula, form, cell.value)
        elif isinstance(cell.value, str):
            self.sheet.write_string(row, column, cell.value)
        elif isinstance(cell.value, bool):
            self.sheet.write_boolean(row, column, cell.value)
        elif isinstance(cell.value, int | float):
            self.sheet.write_number(row, column, cell.value, form)
        else:
            self.sheet.write_datetime(row, column, cell.value, form)

    def _format(self, shown: str) -> Any:
        if not shown:
            return None
        return self.formats.setdefault(shown, self.book.add_format({"num_format": shown}))

    def hide(self) -> None:
        """Hide the last row."""
        self.sheet.set_row(self.at - 1, None, None, {"hidden": True})

    def merge(self, name: str, last: str, rows: int, text: str) -> None:
        """Merge cells of the last rows."""
        self.sheet.merge_range(self.at - rows, self.columns[name], self.at - 1, self.columns[last], text)

    def close(self) -> None:
        """Write the file."""
        self.book.close()


def write(path: Path, rows: int = 600, seed: int = 7) -> Mess:
    """Write a messy workbook: everything of `messy`, and what only a workbook does. Arguments as there."""
    chance = Random(seed + 1)
    sheet = Sheet(path, chance)
    numbers = count(7_000_001)
    plants = [*_once(numbers), *(_again(chance, numbers) for _ in range(rows // 20))]
    return write_messy(path, rows, seed, sheet, plants)


ERRORS = ("#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!")
VALUES: tuple[tuple[str, str, tuple[Cell, ...]], ...] = (  # kind of doubt, field, cells of a new customer
    ("number", "contact", (Cell(493012345), Cell(4930123456789), Cell(12345.0))),
    ("number", "address_postal_code", (Cell(1067), Cell(1067, "00000"), Cell(10678, "000000"))),
    ("number", "metadata.tier", (Cell(0.5, "0%"), Cell(7, "0000"), Cell(0.125, "0.0%"))),
    ("rounded", "metadata.tier", (Cell(12345678901234567890),)), ("rounded", "name", (Cell(1.5e18 + 1e6),)),
    ("date", "name", (Cell(date(2024, 2, 1)), Cell(datetime(2024, 2, 1, 13, 14)), Cell(time(4, 30)))),
    ("date", "contact", (Cell(timedelta(hours=49, minutes=30)),)), ("date", "address_line1", (Cell(date(2024, 4, 3)),)),
    ("boolean", "name", (Cell(True), Cell(False))), ("boolean", "address_city", (Cell(True),)),
    ("zero", "name", (Cell(0), Cell(0.0))), ("zero", "contact", (Cell(0),)),
    ("error", "name", tuple(Cell(error, formula="=NA()") for error in ERRORS)),
    ("error", "metadata.tier", (Cell("#N/A", formula="=NA()"),)),
)  # fmt: skip
KEYS: tuple[tuple[str, Cell], ...] = (  # kind of doubt, a new key
    ("number", Cell(42)), ("number", Cell(4_500, "0")), ("number", Cell(123, "00000")), ("number", Cell(777123.0)),
    ("number", Cell(1234567890123456)), ("number", Cell(12.5)), ("rounded", Cell(98765432109876543210)),
    ("date", Cell(date(2024, 2, 2))), ("date", Cell(datetime(2024, 2, 1, 10, 0))),
    ("boolean", Cell(True)), ("error", Cell("#N/A", formula="=NA()")), ("error", Cell("#NUM!", formula="=X")),
)  # fmt: skip
FAULTS: tuple[tuple[str, str, Cell], ...] = (  # rule, field, cell
    ("formula", "external_id", Cell(formula="=A1")), ("formula", "name", Cell(formula="=A1&B1")),
    ("formula", "email", Cell(formula="=A1")), ("formula", "metadata.tier", Cell(formula="=A1")),
    ("email", "email", Cell("#N/A", formula="=NA()")), ("country", "address_country", Cell(49)),
    ("country", "address_country", Cell(False)), ("timezone", "timezone", Cell(time(2, 0))),
)  # fmt: skip
STORED: tuple[tuple[str, str, str, Cell], ...] = (  # kind of doubt, field, stored value, what became of it
    ("zeros", "contact", "+49301234567", Cell(49301234567)), ("zeros", "address_postal_code", "01067", Cell(1067)),
    ("error", "name", "Acme", Cell("#N/A", formula="=NA()")), ("number", "contact", "+1 555", Cell(1555)),
)  # fmt: skip


def _once(numbers: Iterator[int]) -> list[Plant]:
    """Everything that only a workbook does, once."""
    plants: list[Plant] = [_value(kind, name, cell) for kind, name, cells in VALUES for cell in cells]
    plants += [_value(kind, "external_id", cell) for kind, cell in KEYS]
    plants += [_fault(*one) for one in FAULTS] + [_stored(*one) for one in STORED]
    return [*plants, *_others(numbers)]


def _others(numbers: Iterator[int]) -> list[Plant]:
    return [
        _id(next(numbers)), _lost_zeros(next(numbers)), _hidden, _merged_rows, _merged_columns,
        _right(Cell("0042 4711", "@")),
    ]  # fmt: skip


def _again(chance: Random, numbers: Iterator[int]) -> Plant:
    kind, name, cells = chance.choice(VALUES)
    more: list[Callable[[], Plant]] = [
        lambda: _value(kind, name, chance.choice(cells)), lambda: _fault(*chance.choice(FAULTS)),
        lambda: _stored(*chance.choice(STORED)), lambda: chance.choice(_others(numbers)),
    ]  # fmt: skip
    return chance.choice(more)()


def _with(cells: Cells, name: str, cell: Any) -> Cells:
    return {**cells, name: cell}


def _value(kind: str, name: str, cell: Any) -> Plant:
    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.doubts[sheet.row(_with(cells, name, cell)), kind] += 1

    return plant


def _fault(rule: str, name: str, cell: Cell) -> Plant:
    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.faults[sheet.row(_with(cells, name, cell)), rule] += 1

    return plant


def _right(cell: Any) -> Plant:
    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.right[cells["external_id"]] = sheet.row(_with(cells, "contact", cell))

    return plant


def _stored(kind: str, name: str, before: str, cell: Cell) -> Plant:
    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.existing.append({**cells, name: before})
        made.doubts[sheet.row(_with(cells, name, cell)), kind] += 1

    return plant


def _id(number: int) -> Plant:
    """A number that the account holds as an id: nothing is wrong with it."""

    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.existing.append({**cells, "external_id": str(number), "name": "Before"})
        made.right[str(number)] = sheet.row(_with(cells, "external_id", Cell(number)))

    return plant


def _lost_zeros(number: int) -> Plant:
    """A number whose zeros the account still has: 42 where 0042 exists."""

    def plant(made: Mess, sheet: Writer, cells: Cells) -> None:
        made.existing.append({**cells, "external_id": f"00{number}", "name": "Before"})
        line = sheet.row(_with(cells, "external_id", Cell(number)))
        made.doubts[line, "number"] += 1
        made.doubts[line, "twin"] += 1

    return plant


def _hidden(made: Mess, sheet: Writer, cells: Cells) -> None:
    assert isinstance(sheet, Sheet)
    made.doubts[sheet.row(cells), "hidden"] += 1
    sheet.hide()


def _merged_rows(made: Mess, sheet: Writer, cells: Cells) -> None:
    """Two rows that show one city, which only the first one holds."""
    assert isinstance(sheet, Sheet)
    made.right[cells["external_id"]] = sheet.row(cells)
    key = f"{cells['external_id']}-b"
    line = sheet.row({**cells, "external_id": key, "address_city": ""}, exact=True)
    made.rows += 1
    made.doubts[line, "merged"] += 1
    sheet.merge("address_city", "address_city", 2, cells["address_city"])


def _merged_columns(made: Mess, sheet: Writer, cells: Cells) -> None:
    assert isinstance(sheet, Sheet)
    made.doubts[sheet.row({**cells, "address_line2": ""}), "merged"] += 1
    sheet.merge("address_line1", "address_line2", 1, cells["address_line1"])
