"""How long files and functions are: `python tests/lengths.py` prints it, `tests/test_structure.py` holds the limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FILE_LIMIT, FUNCTION_LIMIT = 400, 40  # lines
FILE_MEDIAN, FUNCTION_MEDIAN = 200, 10  # lines


class Length(NamedTuple):
    lines: int
    name: str


def sources() -> list[Path]:
    return sorted(path for folder in ("connector", "flexsync", "pipelines") for path in (ROOT / folder).rglob("*.py"))


def code_files() -> list[Length]:
    """Files with at least one definition or statement; a folder's docstring is not a file of code."""
    return [Length(_lines(path), _name(path)) for path in sources() if len(_tree(path).body) > 1]


def functions() -> list[Length]:
    return [Length(end - start + 1, name) for path in sources() for start, end, name in _functions(path)]


def _functions(path: Path) -> Iterator[tuple[int, int, str]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.end_lineno or node.lineno, f"{_name(path)}:{node.name}"


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def main() -> None:
    for what, found in (("files", code_files()), ("functions", functions())):
        longest = ", ".join(f"{one.name} {one.lines}" for one in sorted(found, reverse=True)[:5])
        print(f"{len(found)} {what}, median {median(one.lines for one in found):g} lines; longest: {longest}")


if __name__ == "__main__":
    main()
