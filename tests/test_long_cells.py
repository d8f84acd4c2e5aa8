"""Cells of any length are judged in time that grows with their length: one cell never holds up a plan."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from importing import shop, table
from sizes import sampled, thorough

from connector.api.fields import TEXTS
from connector.push.file import rules
from connector.push.file.advice import advised, loose
from connector.push.file.damage import changed, spoilt, tidy
from connector.push.file.folding import differences, fold, folds
from connector.push.file.headers import is_known, near
from connector.push.file.synonyms import plain
from connector.push.file.wording import cut
from pipelines.report.values import one_line

SHAPES: dict[str, Callable[[int], str]] = {
    "blanks between": lambda n: f"x{' ' * n}y",
    "blanks behind a bracket": lambda n: f"<{' ' * n}",
    "brackets": lambda n: "<" * n,
    "address in brackets": lambda n: f"<{'a@' * (n // 2)}",
    "semicolons": lambda n: f"a{';' * n}y",
    "dots and signs": lambda n: f"a{'.,;' * (n // 3)}@",
    "at signs": lambda n: "@" * n,
    "address": lambda n: f"{'a.' * (n // 2)}@b",
    "domain": lambda n: f"a@{'b.' * (n // 2)}-",
    "slashes": lambda n: f"x{' /' * (n // 2)} ",
    "digits": lambda n: f"{'1' * n}x",
    "zeros": lambda n: f"{'0' * n}x",
    "number with zeros": lambda n: f"1.{'0' * n}x",
    "numbers apart": lambda n: f"{'1 ' * (n // 2)}x",
    "zeros apart": lambda n: f"{'a0' * (n // 2)}x",
    "thousands": lambda n: f"1{',111' * (n // 4)}x",
    "lakhs": lambda n: f"1{',11' * (n // 3)}x",
    "minus": lambda n: "-" * n,
    "quotes": lambda n: "'" * n,
    "formula": lambda n: f'="{"a" * n}',
    "words": lambda n: f"{'word ' * (n // 5)}!",
    "letters": lambda n: f"{'a' * n}!",
    "accents": lambda n: "é" * n,
    "garbled": lambda n: "Ã¼" * (n // 2),
    "marks out of order": lambda n: f"a{chr(0x301) * (n // 2)}{chr(0x316) * (n // 2)}",
    "marks in turns": lambda n: "a" + f"{chr(0x301)}{chr(0x316)}" * (n // 2),
    "character codes": lambda n: "&#" * (n // 2),
    "a long character code": lambda n: f"&#{'9' * n};",
    "ampersands": lambda n: "&" * n,
    "workbook codes": lambda n: "_x" * (n // 2),
    "hashes": lambda n: "#" * n + "x",
    "an error": lambda n: f"#{'N/' * (n // 2)}",
    "lines": lambda n: "\n" * n,
    "no-break spaces": lambda n: f"x{chr(0xA0) * n}y",
    "invisible": lambda n: f"x{chr(0x200B) * n}y",
    "controls": lambda n: f"a{chr(0x9B) * n}",
    "question marks": lambda n: "a?" * (n // 2),
    "backslashes": lambda n: "\\" * n,
    "nulls": lambda n: "null " * (n // 5),
    "ideographs": lambda n: "株" * n,
    "Hangul parts": lambda n: f"{chr(0x1100)}{chr(0x1161)}{chr(0x11A8)}" * (n // 3),
}
FIELDS = (*TEXTS, "metadata.k")


def judged(text: str) -> None:
    """Pass one text through every check of a cell, of a header and of an id."""
    for name in FIELDS:
        advised(name, text)
        spoilt(name, text)
        changed(name, text, f"{text}1")
        changed(name, f"1{text}", text)
        if "." not in name:
            rules.check(name)(text)
    for key in rules.TAX_KEYS:
        rules.check_metadata({key: text})
    for check in (loose, tidy, fold, folds, is_known, near, plain, cut, one_line):
        check(text)
    differences(text, f"{text} ")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [sampled(8_000), thorough(32_000)])
def test_no_cell_takes_long(shape: str, length: int) -> None:
    """A cell of thousands of characters passes every check in seconds of computing, whatever it is made of."""
    text = SHAPES[shape](length)
    before = time.process_time()
    judged(text)
    assert time.process_time() - before < 3 * length / 8_000


def test_a_plan_with_long_cells_ends(tmp_path: Path) -> None:
    """A file with a long cell of each shape, in a column whose form counts, is planned, and each such row is told."""
    names = itertools.cycle(("email", "timezone", "address_country", "metadata.pan"))
    stored = {"external_id": "old", "name": "N", "metadata": {"k": "v"}}
    with shop(tmp_path, stored) as it:
        before = time.process_time()
        rows = [
            {"external_id": f"k{number}", "name": "N", name: shape(5_000)}
            for number, (shape, name) in enumerate(zip(SHAPES.values(), names, strict=False))
        ]
        found = it.plan(table(*rows, {"external_id": "old", "metadata.k": SHAPES["a long character code"](5_000)}))
        assert time.process_time() - before < 10
        assert (found.counts.invalid, found.counts.update) == (len(rows), 1)
