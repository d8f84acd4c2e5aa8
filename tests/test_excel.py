"""Workbooks as files of customers: which sheet is read, what cells say, what is told, and what is refused."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sizes import Size, sizes
from workbooks import NS, STRICT, book, inline, packed, parts, sheet

from connector.errors import FixInput
from connector.push.file.excel import scan
from connector.push.file.excel.texts import number_text
from connector.push.file.row import Row
from connector.push.file.rows import read_rows

HEADER = ("external_id", "name", "metadata.a", "metadata.b")


def rows_of(source: Any, **given: Any) -> list[Row]:
    with read_rows(source, **given) as rows:
        rows.check()
        return list(rows)


def notes_of(source: Any, **given: Any) -> list[str]:
    with read_rows(source, **given) as rows:
        return rows.check().warnings


def refused(source: Any, **given: Any) -> FixInput:
    with pytest.raises(FixInput) as caught:
        rows_of(source, **given)
    return caught.value


# --- values -------------------------------------------------------------------------------------------------------


def test_each_kind_of_cell_as_text(tmp_path: Path) -> None:
    """Numbers keep their digits, dates are ISO 8601, truth values and errors as Excel shows them, texts exactly."""
    cells: tuple[tuple[Any, str], ...] = (
        (42, "42"), (42.5, "42.5"), (12345.0, "12345"), (-0.0, "0"), (0.1 + 0.2, "0.3"), (1e15, "1000000000000000"),
        (12345678901234567890, "12345678901234600000"), (1e22, "1e+22"), (1e-12, "1e-12"), (True, "TRUE"),
        (False, "FALSE"), (date(2024, 2, 1), "2024-02-01"), (datetime(2024, 2, 1, 13, 14, 15), "2024-02-01 13:14:15"),
        (time(13, 14), "13:14:00"), (timedelta(hours=36), "36:00:00"), ("  a\tb ", "  a\tb "), ("a\nb", "a\nb"),
        ("=1+1", "=1+1"), ("A_x000D_B", "A_x000D_B"), ("😀 é 用", "😀 é 用"), ("0042", "0042"),
    )  # fmt: skip
    forms = {date: "yyyy-mm-dd", datetime: "yyyy-mm-dd hh:mm", time: "hh:mm", timedelta: "[h]:mm:ss"}

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(0, 0, HEADER[:3])
        for number, (value, _) in enumerate(cells, 1):
            page.write_string(number, 0, f"c{number}")
            if form := forms.get(type(value)):
                page.write_datetime(number, 2, value, made.add_format({"num_format": form}))
            elif isinstance(value, str):
                page.write_string(number, 2, value)
            else:
                page.write(number, 2, value)

    found = rows_of(book(tmp_path / "a.xlsx", fill))
    assert [(row.metadata or {})["a"] for row in found] == [text for _, text in cells]


@pytest.mark.parametrize(
    ("written", "text"),
    [("007", "7"), ("12345678901234567", "12345678901234567"), ("1E400", "1E400"), ("abc", "abc"), ("+5", "5"),
     ("-0", "0"), ("1.20", "1.2"), ("1E5", "100000"), ("-1.5E-3", "-0.0015"), ("NaN", "NaN")],
)  # fmt: skip
def test_numbers_as_they_are_written(written: str, text: str) -> None:
    """A whole number keeps every digit of the file; what is no number stays as it is."""
    assert number_text(written) == text


def test_dates_of_the_other_calendar(tmp_path: Path) -> None:
    """A workbook whose days count from 1904 gives the dates that it shows."""

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(0, 0, ("external_id", "metadata.a"))
        page.write_string(1, 0, "c")
        page.write_datetime(1, 1, datetime(2024, 2, 1), made.add_format({"num_format": "dd.mm.yyyy"}))

    (row,) = rows_of(book(tmp_path / "a.xlsx", fill, date_1904=True))
    assert row.metadata == {"a": "2024-02-01"}


def test_rows_keep_their_physical_numbers(tmp_path: Path) -> None:
    """Empty rows and columns before, between and after the table move no row number, and are not read as columns."""

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(4, 3, ("external_id", "name"))
        page.write_row(6, 3, ("c1", "One"))
        page.write_row(999, 3, ("c2", "Two"))
        page.write_blank(2000, 30, None, made.add_format({"bold": True}))

    path = book(tmp_path / "a.xlsx", fill)
    with read_rows(path) as rows:
        checked = rows.check()
        assert [(row.line, row.external_id, row.fields) for row in rows] == [
            (7, "c1", {"name": "One"}),
            (1000, "c2", {"name": "Two"}),
        ]
    assert (rows.columns.line, rows.columns.header, checked.rows) == (5, ["external_id", "name"], 2)


@pytest.mark.parametrize("namespace", [NS, STRICT])
def test_cells_without_places_and_both_name_spaces(namespace: str) -> None:
    """Rows and cells that do not say where they are follow each other; strict workbooks are read too."""
    xml = (
        inline("external_id", "name") + inline("c1", "One") + '<row r="9"><c t="inlineStr"><is><t>c2</t></is></c></row>'
    )
    found = rows_of(io.BytesIO(packed(parts(xml, namespace))))
    assert [(row.line, row.external_id) for row in found] == [(2, "c1"), (9, "c2")]


def test_a_formula_without_a_result_is_a_fault() -> None:
    """A formula whose result the file does not hold is a fault of its row, never a blank; an empty one is."""
    cells = (
        '<c r="C2"><f>A1</f><v></v></c>', '<c r="C3"><f>A1</f></c>', '<c r="C4" t="str"><f>A1</f></c>',
        '<c r="C5" t="str"><f>A1</f><v></v></c>', '<c r="C6"><f>A1</f><v>7</v></c>', '<c r="C7"><v></v></c>',
        '<c r="C8" t="e"><f>A1</f></c>',
    )  # fmt: skip
    body = "".join(
        f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>c{n}</t></is></c>{cell}</row>'
        for n, cell in enumerate(cells, 2)
    )
    found = rows_of(io.BytesIO(packed(parts(inline("external_id", "name", "metadata.a") + body))))
    assert [row.line for row in found if [fault.rule for fault in row.faults] == ["formula"]] == [2, 3, 4, 8]
    assert {row.line: row.metadata for row in found if not row.faults} == {5: None, 6: {"a": "7"}, 7: None}


def test_formulas_beside_and_below_the_values() -> None:
    """A last column and a last row that hold nothing but formulas without results are not lost."""
    xml = (
        inline("external_id", "name") + '<row r="2"><c r="A2" t="inlineStr"><is><t>c2</t></is></c></row>'
        '<row r="3"><c r="A3"><f>A1</f></c><c r="B3"><f>A1</f></c></row>'
    )
    found = rows_of(io.BytesIO(packed(parts(xml))))
    assert [(row.line, [fault.column for fault in row.faults]) for row in found] == [
        (2, []),
        (3, ["external_id", "name"]),
    ]


# --- what is doubted ----------------------------------------------------------------------------------------------


def test_numbers_are_doubted_only_where_zeros_matter(tmp_path: Path) -> None:
    """An id and a telephone number are doubted as numbers, a postal code where it is too short for its country."""
    header = ("external_id", "name", "contact", "address_postal_code", "address_country", "metadata.a")
    lines = (
        ("c1", "A", "", 1067, "DE", 5), ("c2", "B", "", 10678, "DE", 5), ("c3", "C", "", 1010, "AT", 5),
        ("c4", "D", "", 10678, "RO", 5), (5, "E", "", "01067", "DE", ""), ("c6", 4711, 301234, "", "", ""),
    )  # fmt: skip
    found = rows_of(sheet(tmp_path / "a.xlsx", header, *lines))
    assert [sorted(row.doubts) for row in found] == [
        ["address_postal_code"], [], [], ["address_postal_code"], ["external_id"], ["contact"],
    ]  # fmt: skip
    assert {doubt.kind for row in found for doubt in row.doubts.values()} == {"number"}


def test_a_number_that_shows_zeros_is_told_as_it_is_shown(tmp_path: Path) -> None:
    """The doubt says what the eye sees: zeros of a format, a percentage; other formats show the number's own digits."""
    forms = {
        "0000": "shown as 0042",
        '00000;"x"': "shown as 00042",
        "0%": "percentage",
        "0.00": "",
        "General": "",
        "0": "",
    }

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(0, 0, ("external_id", "metadata.a"))
        for number, form in enumerate(forms, 1):
            page.write_string(number, 0, f"c{number}")
            page.write_number(number, 1, 42, made.add_format({"num_format": form}))

    found = rows_of(book(tmp_path / "a.xlsx", fill))
    for row, told in zip(found, forms.values(), strict=True):
        assert [bool(told) and told in doubt.text for doubt in row.doubts.values()] == ([True] if told else []), row


def test_what_is_hidden_or_merged_is_told(tmp_path: Path) -> None:
    """Hidden rows and blank cells under a merged one are doubts of their rows; hidden columns and sheets are notes."""

    def fill(made: Any) -> None:
        page = made.add_worksheet("Kunden")
        page.write_row(0, 0, HEADER[:3])
        for number in range(1, 6):
            page.write_row(number, 0, (f"c{number}", "", "x"))
        page.merge_range("B2:B4", "Acme")
        page.set_row(4, None, None, {"hidden": True})
        page.set_column("C:D", None, None, {"hidden": True})
        other = made.add_worksheet("Alt")
        other.write_string(0, 0, "x")
        other.hide()

    path = book(tmp_path / "a.xlsx", fill)
    doubts = {row.line: [doubt.text for doubt in row.doubts.values()] for row in rows_of(path)}
    merged = "name is blank, in a cell that is merged with 'Acme' in row 2"
    assert doubts == {
        2: [],
        3: [merged],
        4: [merged],
        5: ["the row is hidden in the workbook, as a filter does"],
        6: [],
    }
    assert notes_of(path) == [
        "of the workbook only sheet 'Kunden' is read, not 'Alt' (hidden)",
        "1 column of the sheet is hidden: C, 'metadata.a'",
        "1 row of the sheet is hidden",
        "1 range of cells is merged: only the first cell of each has a value",
    ]


def test_dates_in_metadata_are_told_by_column(tmp_path: Path) -> None:
    """A date in metadata is no damage; the note says in which form it is read."""

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(0, 0, ("external_id", "metadata.since"))
        for number in (1, 2):
            page.write_string(number, 0, f"c{number}")
            page.write_datetime(number, 1, datetime(2024, 2, number), made.add_format({"num_format": "dd.mm.yyyy"}))

    path = book(tmp_path / "a.xlsx", fill)
    assert [row.doubts for row in rows_of(path)] == [{}, {}]
    assert notes_of(path) == ["column B, 'metadata.since': 2 cells are dates, read in the form 2024-12-31"]


# --- sheets -------------------------------------------------------------------------------------------------------


def several(made: Any) -> None:
    made.add_worksheet("Leer")
    for name, key in (("Kunden", "c1"), ("2", "c2"), ("Alt", "c3")):
        page = made.add_worksheet(name)
        page.write_row(0, 0, ("external_id", "name"))
        page.write_row(1, 0, (key, "N"))
        if name == "Alt":
            page.very_hidden()
    chart = made.add_chart({"type": "line"})
    chart.add_series({"values": "=Kunden!$A$1:$A$2"})
    made.add_chartsheet("Bild").set_chart(chart)


def test_a_sheet_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    """A name wins over a number, whatever its case; a hidden sheet can be named, and that is told."""
    path = book(tmp_path / "a.xlsx", several)
    for wanted, key in (("Kunden", "c1"), ("kunden ", "c1"), ("3", "c2"), ("2", "c2"), ("Alt", "c3"), ("4", "c3")):
        assert [row.external_id for row in rows_of(path, sheet=wanted)] == [key], wanted
    assert "sheet 'Alt' is hidden in the workbook" in notes_of(path, sheet="Alt")


def test_of_several_sheets_none_is_guessed(tmp_path: Path) -> None:
    """Several visible sheets with data are listed with their numbers, and so are all where a wrong one is named."""
    path = book(tmp_path / "a.xlsx", several)
    error = refused(path)
    assert error.message == f"{path} has several sheets with data: 2 'Kunden', 3 '2'."
    assert error.remedy == "Name the one to read, by its name or number: --sheet 2."
    for wrong in ("Bild", "5", "Kund", "0"):
        assert "it has 1 'Leer', 2 'Kunden', 3 '2', 4 'Alt' (hidden)." in refused(path, sheet=wrong).message
    assert "no visible sheet with data" in refused(book(tmp_path / "b.xlsx", lambda made: made.add_worksheet())).message
    assert "Leave out --sheet" in refused(io.BytesIO(b"external_id\nx\n"), sheet="1").remedy


# --- what is refused ----------------------------------------------------------------------------------------------


PLAIN = packed(parts(inline("external_id") + inline("c1")))


def far(place: str, row: int) -> bytes:
    return packed(parts(inline("external_id") + f'<row r="{row}"><c r="{place}" t="str"><v></v></c></row>'))


ENCRYPTED = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
DOCTYPE = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
REFUSED: tuple[tuple[str, bytes, str, str], ...] = (  # name, content, what the message says, what the remedy says
    ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "old Excel workbook (.xls)", "as .xlsx"),
    ("a.xls", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "old Excel workbook (.xls)", "as .xlsx"),
    ("a.xlsx", ENCRYPTED, "encrypted with a password", "take the password off"),
    ("a.xlsx", b"external_id\nx\n", "is no Excel workbook", "rename it to a.csv"),
    ("a.csv", PLAIN, "is an Excel workbook, not text", "Rename it to a.xlsx"),
    ("a.xlsx", packed({"content.xml": "<x/>", "mimetype": "x"}), "LibreOffice (.ods)", "Save it as .xlsx"),
    ("a.xlsx", packed({"xl/workbook.bin": b"x"}), "binary Excel workbook (.xlsb)", "Save it as .xlsx"),
    ("a.xlsx", packed({"word/document.xml": "<x/>"}), "without a workbook", "Save it as .xlsx"),
    ("a.xlsx", PLAIN[:-40], "cannot be read as a workbook", "may repair it"),
    ("a.xlsx", b"PK\x03\x04", "cannot be read as a workbook", "may repair it"),
    ("a.xlsx", b"", "is empty", "template"),
    ("a.xlsx", packed({**parts(""), "xl/_rels/workbook.xml.rels": "<x/>"}), "no sheet with cells", ""),
    ("a.xlsx", packed({"xl/workbook.xml": "<x/>"}), "its part xl/_rels/workbook.xml.rels is missing", ""),
    ("a.xlsx", packed({**parts(""), "XL/workbook.xml": "<x/>"}), "parts of the same name", ""),
    ("a.xlsx", far("XFD1048576", 2**20), "more than can be a table", ""),
    ("a.xlsx", far("AAAA2", 2), "row 2 has a cell 'AAAA2'", ""),
    ("a.xlsx", far("A3", 2), "row 2 has a cell 'A3'", ""),
    ("a.xlsx", far("A9999999", 9999999), "row 9999999 follows", ""),
    ("a.xlsx", packed(parts(inline("external_id"), around=(DOCTYPE, ""))), "declares a document type", ""),
    ("a.xlsx", packed(parts("", around=('<?xml version="1.0" encoding="odd"?>', ""))), "unknown encoding", ""),
)  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said", "remedy"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(tmp_path: Path, name: str, content: bytes, said: str, remedy: str) -> None:
    """A file that is no readable workbook is refused with what it is and a way out, and exit code 2."""
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(path)
    assert (said in error.message, remedy in error.remedy, error.exit_code) == (True, True, 2), str(error)
    assert error.message.startswith(str(path)) and error.remedy  # noqa: PT018  # both of every message


def test_archives_that_grow_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that unpacks to more than the limit is refused by what it claims, and a false claim by its checksum."""
    monkeypatch.setattr("connector.push.file.excel.package.LARGEST", 2**20)
    bomb = packed({**parts(inline("external_id")), "xl/sharedStrings.xml": b" " * 2**21})
    path = tmp_path / "a.xlsx"
    path.write_bytes(bomb)
    error = refused(path)
    assert re.search(r"2 MB unpacked, and at most 1 are read", error.message), error
    path.write_bytes(bomb.replace((2**21).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    assert "Bad CRC-32" in refused(path).message


def test_a_sheet_beyond_the_limit_is_refused_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rectangle counts, not the cells; texts of the first columns, which the scan skips, count too."""
    monkeypatch.setattr(scan, "MOST_CELLS", 100)
    body = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 9))
    strings = f"<sst {NS}><si><t>external_id</t></si></sst>"
    error = refused(io.BytesIO(packed({**parts(body), "xl/sharedStrings.xml": strings})))
    assert "its cells reach to row 8 and column 26" in error.message


def test_merged_cells_that_overlap_are_refused() -> None:
    """Merged ranges over each other, which would take endless work, are refused."""
    around = ("", "<mergeCells>" + '<mergeCell ref="A1:A9"/>' * 5 + "</mergeCells>")
    xml = inline("external_id", "name") + inline("a", "A")
    assert "its merged cells overlap" in refused(io.BytesIO(packed(parts(xml, around=around)))).message


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where python-calamine is not installed, a workbook is refused with the line that installs it."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    error = refused(sheet(tmp_path / "a.xlsx", ("external_id",), ("c",)))
    assert "not installed" in error.message
    assert "pip install 'flexsync[excel]'" in error.remedy


def test_a_workbook_from_a_pipe_or_an_object(tmp_path: Path) -> None:
    """A file object or a pipe has no name that could be wrong: its content decides."""
    path = sheet(tmp_path / "a.xlsx", ("external_id", "name"), ("c1", "One"))
    with path.open("rb") as file:
        assert [row.external_id for row in rows_of(file)] == ["c1"]


@sizes(60, 200, 4000)
def test_a_damaged_workbook_is_read_or_refused(size: Size, tmp_path: Path) -> None:
    """Whatever bytes of a workbook are damaged, it is read or refused with a message: nothing else happens."""
    chance = size.chance()
    whole = sheet(tmp_path / "a.xlsx", ("external_id", "name"), ("c1", 4), ("c2", "=1")).read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        given = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(size.count):
        with suppress(FixInput):
            rows_of(io.BytesIO(_damaged(whole, given, chance)), unknown="leave")


def _damaged(whole: bytes, given: dict[str, bytes], chance: Random) -> bytes:
    if chance.random() < 0.3:
        content = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        return bytes(content)
    name = chance.choice([name for name in given if re.search("sheet|workbook|shared|styles", name)])
    content = bytearray(given[name])
    change: Callable[[int], object] = chance.choice((
        lambda at: content.__setitem__(at, chance.choice(b"<>/=&;0123456789abcxrst ")),
        lambda at: content.__delitem__(slice(at, at + chance.randint(1, 60))),
        lambda at: content.__setitem__(slice(at, at), chance.choice((b"9999999999", b"-1", b"<v>1</v>", b' s="99"'))),
    ))  # fmt: skip
    for _ in range(chance.randint(1, 3)):
        change(chance.randrange(len(content)))
    return packed({**given, name: bytes(content)})
