"""How a workbook shows numbers: with zeros in front, or as a percentage.

Promised: for every style of a cell, what the eye sees otherwise than the digits. Never done: dates, which calamine
knows; formatting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.push.file.excel.markup import elements
from connector.push.file.excel.package import Package

__all__ = ["styles_of"]

_PART = "xl/styles.xml"
_BUILT_IN = {"9": "0%", "10": "0.00%"}
_ZEROS = re.compile(r"0{2,}")
_LITERAL = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')


def styles_of(package: Package) -> list[str]:
    """For every style of a cell its format, where it is a percentage or zeros only, such as ``00000``; else "".

    Raises:
        BrokenError: the styles cannot be read.
    """
    formats: dict[str, str] = dict(_BUILT_IN)
    found: list[str] = []
    inside = False

    def take(name: str, given: Mapping[str, str]) -> None:
        nonlocal inside
        if name == "numFmt":
            formats[given.get("numFmtId", "")] = given.get("formatCode", "")
        elif name in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            inside = name == "cellXfs"
        elif name == "xf" and inside:
            found.append(_telling(formats.get(given.get("numFmtId", ""), "")))

    if package.has(_PART):
        with package.part(_PART) as part:
            elements(part, take)
    return found


def _telling(code: str) -> str:
    first = _LITERAL.sub("", code.split(";")[0])
    if "%" in first:
        return "%"
    return first if _ZEROS.fullmatch(first) else ""
