"""The mapping of a file's columns as a settings file: what a plan would take each column for, to be corrected.

Promised: every column of the file is named, also one that a plan would refuse; every other setting that is not the
default stands in it too, so that it takes the place of the settings so far; an existing file is never overwritten; no
call is made. Never done: planning; writing the key.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from connector.errors import FixInput
from connector.files import atomic_write
from connector.plurals import counted
from connector.push.file.headers import Bound, Headers, bare, near
from connector.push.file.rows import header_of, opened
from connector.push.file.synonyms import field_called
from connector.settings import SECTIONS, Settings
from connector.settings.setting import settable_in

__all__ = ["write_mapping"]

_HOW = {
    "name": "the field's own name",
    "synonym": "a name that other systems use",
    "mapped": "as mapped",
    "left out": "left out, as mapped",
    "own": "Flexsync's own column",
}


def write_mapping(settings: Settings, source: Path | str | Any, out: Path, sheet: str | None = None) -> list[str]:
    """Write the mapping that a plan of a file would use.

    Args:
        settings: all of them, with the mapping so far.
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
    given = settings.imports
    named = {"encoding": given.encoding or None, "delimiter": given.delimiter or None, "sheet": sheet}
    with opened(source, mapping=given.mapping, **named) as table:
        headers = Headers(header_of(table).cells, given.mapping, given.unknown_columns)
        name = table.name
    with atomic_write(out) as file:
        file.write(
            "".join(f"{line}\n" for line in (*_others(settings), *_toml(name, headers))).encode("utf-8", "replace")
        )
    known = sum(bool(one.target) for one in headers.bound)
    chosen = f" --sheet {shlex.quote(sheet)}" if sheet else ""
    columns = counted(len(headers.bound), "column")
    return [
        f"wrote     {out}: {columns} of {name}, {known} with a field",
        f"next      correct it, then flexsync import plan {source}{chosen} --config {out}",
    ]


def _toml(name: str, headers: Headers) -> Iterator[str]:
    shown = name if name.isprintable() else _quoted(name)
    yield f"# What the columns of {shown} are taken for. Correct it: the file's header = the field."
    yield '# "" leaves a column out; "metadata.KEY" keeps its values as metadata.'
    yield "[import.mapping]"
    seen: set[str] = set()
    for one in headers.bound:
        header = bare(one.header)
        if header in seen or one.how == "own":
            yield f"# {_quoted(header)}: {'it stands twice' if header in seen else _HOW['own']}"
            continue
        seen.add(header)
        yield f"{_quoted(header)} = {_quoted(one.target)}  # {_why(one, header)}"


def _others(settings: Settings) -> Iterator[str]:
    """The settings that are not the default, but for the mapping: a section each, and a line between."""
    for section, struct in SECTIONS.items():
        part = getattr(settings, "imports" if section == "import" else section)
        values = {name: getattr(part, name) for name in settable_in(struct) if name != "mapping"}
        others = {name: value for name, value in values.items() if value != settable_in(struct)[name].default}
        if others:
            yield f"[{section}]"
            yield from (f"{name} = {_value(value)}" for name, value in others.items() if value is not None)
            yield ""


def _value(value: Any) -> str:
    """A value of a setting in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return _quoted(f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds:.6f}s")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A text in TOML, which allows fewer control characters than JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _why(one: Bound, header: str) -> str:
    if one.how != "unknown":
        return _HOW[one.how]
    if one.target:
        return "unknown, kept as metadata"
    taken = field_called(header)
    return f"left out: another column is {taken} already" if taken else f"unknown, left out.{near(header)}"
