"""Workbooks for tests: by XlsxWriter, and of XML by hand for what no program writes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import xlsxwriter

NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
STRICT = 'xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def book(path: Path, fill: Callable[[Any], object], **options: Any) -> Path:
    """A workbook that a function fills; it gets XlsxWriter's Workbook."""
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, **options}) as made:
        fill(made)
    return path


def sheet(path: Path, *rows: Iterable[Any], name: str = "Kunden") -> Path:
    """A workbook of one sheet; texts stay texts, and what is no text is what it is."""

    def fill(made: Any) -> None:
        page = made.add_worksheet(name)
        for number, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                page.write_string(number, column, cell) if isinstance(cell, str) else page.write(number, column, cell)

    return book(path, fill)


def parts(rows: str, namespace: str = NS, around: tuple[str, str] = ("", "")) -> dict[str, str]:
    """The parts of a workbook of one sheet, whose rows are XML."""
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
        f' Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {namespace} xmlns:r="{_OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
        f' Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"{around[0]}<worksheet {namespace}><sheetData>{rows}</sheetData>{around[1]}"
        "</worksheet>",
    }


def packed(given: Mapping[str, str | bytes]) -> bytes:
    """Parts as a ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in given.items():
            archive.writestr(name, content)
    return out.getvalue()


def inline(*texts: str) -> str:
    """A row of texts, without places."""
    return "<row>" + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts) + "</row>"
