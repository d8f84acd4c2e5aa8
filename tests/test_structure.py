"""The house: no file and no function outgrows its noun, every folder says what it is for, one clock is handed down."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from statistics import median

import lengths
import pytest


def test_no_file_is_longer_than_its_noun() -> None:
    """No file has more than 400 lines; half of them have fewer than 200."""
    found = lengths.code_files()
    assert [one for one in found if one.lines > lengths.FILE_LIMIT] == []
    assert median(one.lines for one in found) <= lengths.FILE_MEDIAN


def test_functions_are_short() -> None:
    """No function has more than 40 lines; half of them have at most 10."""
    found = lengths.functions()
    assert [one for one in found if one.lines > lengths.FUNCTION_LIMIT] == []
    assert median(one.lines for one in found) <= lengths.FUNCTION_MEDIAN


FOLDERS = sorted(
    {path.parent for path in lengths.sources()}
    - {lengths.ROOT / name for name in ("connector", "flexsync", "pipelines")}
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(lengths.ROOT).as_posix())
def test_every_folder_says_what_it_is_for(folder: lengths.Path) -> None:
    """The docstring of a folder's __init__ says what comes in, what goes out and what is never done."""
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "In:" in told, "what comes in"
    assert "Out:" in told, "what goes out"
    assert "Never done here:" in told, "what is never done"


CLOCKS = {lengths.ROOT / "connector" / "clock.py", lengths.ROOT / "connector" / "sandbox" / "clock.py"}
OURS = {"exact_now", "utc_now"}
OTHERS = {"TimeStamper", "formatdate", "st_mtime", "st_ctime"}
OF_A_DATE = {"now", "utcnow", "today"}
OF_TIME = {
    "time",
    "time_ns",
    "gmtime",
    "localtime",
    "ctime",
    "asctime",
    "strftime",
    "clock_gettime",
    "clock_gettime_ns",
}
SQL = re.compile(
    r"\b(now|today|get_current_time\w*|transaction_timestamp)\s*\(\s*\)|\bcurrent_(date|time(stamp)?)\b",
    re.IGNORECASE,
)


def readings(tree: ast.Module) -> Iterator[ast.AST]:
    """Every place that reads the time of day, in Python or in SQL."""
    arguments = [node for node in ast.walk(tree) if isinstance(node, ast.arguments)]
    defaults = {id(default) for node in arguments for default in (*node.defaults, *node.kw_defaults)}
    return (node for node in ast.walk(tree) if reads(node) and id(node) not in defaults)


def reads(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name("datetime" | "date"), attr=name) if name in OF_A_DATE:
            return True
        case ast.Attribute(value=ast.Name("time"), attr=name) if name in OF_TIME:
            return True
        case ast.Attribute(attr=name):
            return name in OTHERS | OURS
        case ast.ImportFrom(module="time", names=names):
            return any(alias.name in OF_TIME for alias in names)
        case ast.Constant(value=str(text)):
            return bool(SQL.search(text))
        case _:
            return isinstance(node, ast.Name) and node.id in OURS


@pytest.mark.parametrize(
    "text",
    [
        "datetime.now(UTC)", "datetime.utcnow()", "date.today()", "time.time()", "time.time_ns()", "time.gmtime()",
        "time.strftime('%Y')", "from time import time", "clock = utc_now", "f(utc_now())", "f(clock=exact_now)",
        "db.execute('SELECT now()')", "db.execute('SELECT CURRENT_TIMESTAMP')", "processors.TimeStamper('iso')",
        "path.stat().st_mtime", "clock.utc_now()", "f'INSERT INTO {table} VALUES (current_date)'",
    ],
)  # fmt: skip
def test_a_reading_of_the_clock_is_found(text: str) -> None:
    """The check below sees every way to read the time of day."""
    assert list(readings(ast.parse(text)))


@pytest.mark.parametrize("text", ["time.monotonic()", "def f(clock: Clock = utc_now): clock()", "self.now()"])
def test_a_steady_or_given_clock_is_none(text: str) -> None:
    """Durations may be measured, and a clock may be the default of an argument."""
    assert not list(readings(ast.parse(text)))


def test_nothing_but_the_clocks_reads_the_time_of_day() -> None:
    """Jobs take a clock as an argument and hand it down; nothing else in the project knows what time it is."""
    found = [
        f"{path.relative_to(lengths.ROOT)}:{node.lineno}"  # type: ignore[attr-defined]  # all that are found have a line
        for path in lengths.sources()
        if path not in CLOCKS
        for node in readings(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


SANDBOX = lengths.ROOT / "connector" / "sandbox"


def narrow(tree: ast.Module) -> Iterator[int]:
    """Lines of each `try` around a decoder that does not catch all that a decoder raises for JSON from outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and node.handlers:
            tried, caught = (" ".join(map(ast.unparse, part)) for part in (node.body, node.handlers))
            if re.search(r"msgspec\.json\.(decode|format)\(", tried) and "UNREADABLE" not in caught:
                yield node.lineno


def test_whoever_decodes_json_from_outside_catches_all_that_a_decoder_raises() -> None:
    """A lone surrogate, bytes that are no UTF-8 and too many levels are refusals too, and no faults of ours."""
    assert list(narrow(ast.parse("try:\n x = msgspec.json.decode(b)\nexcept msgspec.DecodeError:\n pass")))
    found = [
        f"{path.relative_to(lengths.ROOT)}:{line}"
        for path in lengths.sources()
        if not path.is_relative_to(SANDBOX)
        for line in narrow(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
