"""The mapping of a file's columns as a settings file: what a plan would take each column for, to be corrected.

Promised: every column of the file is named, also one that a plan would refuse; an existing file is never overwritten;
no call is made. Never done: planning.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector.errors import FixInput
from connector.files import atomic_write
from connector.plurals import counted
from connector.push.file.headers import Bound, Headers, bare, near
from connector.push.file.rows import header_of, opened
from connector.push.file.synonyms import field_called
from connector.settings import Import

__all__ = ["write_mapping"]

_HOW = {
    "name": "the field's own name",
    "synonym": "a name that other systems use",
    "mapped": "as mapped",
    "left out": "left out, as mapped",
    "own": "Flexsync's own column",
}


def write_mapping(given: Import, source: Path | str | Any, out: Path, sheet: str | None = None) -> list[str]:
    """Write the mapping that a plan of a file would use.

    Args:
        given: [import], with the mapping so far.
        source: the file, as for a plan.
        out: the settings file to write.
        sheet: name or number of a workbook's sheet.

    Returns:
        What was written, and the way to use it, a line each.

    Raises:
        FixInput: `out` exists, or the file cannot be read.
    """
    if out.exists():
        raise FixInput(f"{out} exists and is not overwritten.", remedy="Give another --write-mapping.")
    named = {"encoding": given.encoding or None, "delimiter": given.delimiter or None, "sheet": sheet}
    with opened(source, mapping=given.mapping, **named) as table:
        headers = Headers(header_of(table).cells, given.mapping, given.unknown_columns)
        name = table.name
    with atomic_write(out) as file:
        file.write("".join(f"{line}\n" for line in _toml(name, headers)).encode("utf-8", "replace"))
    known = sum(bool(one.target) for one in headers.bound)
    chosen = f" --sheet {shlex.quote(sheet)}" if sheet else ""
    columns = counted(len(headers.bound), "column")
    return [
        f"wrote     {out}: {columns} of {name}, {known} with a field",
        f"next      correct it, then flexsync import plan {source}{chosen} --config {out}",
    ]


def _toml(name: str, headers: Headers) -> Iterator[str]:
    yield f"# What the columns of {name} are taken for. Correct it: the file's header = the field."
    yield '# "" leaves a column out; "metadata.KEY" keeps its values as metadata.'
    yield "[import.mapping]"
    seen: set[str] = set()
    for one in headers.bound:
        header = bare(one.header)
        if header in seen or one.how == "own":
            yield f"# {json.dumps(header, ensure_ascii=False)}: {'it stands twice' if header in seen else _HOW['own']}"
            continue
        seen.add(header)
        yield f"{json.dumps(header, ensure_ascii=False)} = {json.dumps(one.target)}  # {_why(one, header)}"


def _why(one: Bound, header: str) -> str:
    if one.how != "unknown":
        return _HOW[one.how]
    if one.target:
        return "unknown, kept as metadata"
    taken = field_called(header)
    return f"left out: another column is {taken} already" if taken else f"unknown, left out.{near(header)}"
