"""The house: no file and no function outgrows its noun, and every folder says what it is for."""

from __future__ import annotations

import ast
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


FOLDERS = sorted({path.parent for path in lengths.sources()} - {lengths.ROOT / "connector", lengths.ROOT / "pipelines"})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(lengths.ROOT).as_posix())
def test_every_folder_says_what_it_is_for(folder: lengths.Path) -> None:
    """The docstring of a folder's __init__ says what comes in, what goes out and what is never done."""
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "In:" in told, "what comes in"
    assert "Out:" in told, "what goes out"
    assert "Never done here:" in told, "what is never done"
