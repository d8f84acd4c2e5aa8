"""The two generated pages: every setting, from its declaration, and every table, from its schema.

`settings_page()` is the whole of docs/settings.md and `tables_page()` the whole of docs/tables.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from connector.settings.declarations import SECTIONS, Setting, Settings, settings_in
from connector.tables.schemas import DUCKDB_TYPES, STAMPS, TABLES, Column, Table

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

_SETTINGS = """# Settings

Flags win over the environment, the environment over the chosen profile, the profile over the rest of the file, the
file over the defaults. The file is TOML; [configs/](../configs) holds one for each kind of job. Every name in it is
checked: an error names the line and the nearest known name.

A length of time is a number and a unit: `90s`, `15m`, `2h`, `7d`, or a sum such as `1h30m`. A program passes any
setting by its name: `connector.load(max_in_flight=8, store="copy.duckdb")`.

A profile is one account environment. `[profiles.NAME.api]`, `[profiles.NAME.sync]` … hold only what differs.

<!-- Generated from connector/settings/declarations.py. Do not edit. -->
"""

_TABLES = """# Tables

The working store and every publication hold these tables. Column names are the API's own. `DECIMAL(38, 18)` is exact;
`TIMESTAMPTZ` is in UTC, in microseconds. A field that the schema does not know goes to `extra`; a value that does not
fit sends its row, with the raw body and the reason, to `flexsync.rejects`.

<!-- Generated from connector/tables/schemas.py. Do not edit. -->
"""


def settings_page() -> str:
    """The page of all settings: a table for each section."""
    parts = [_SETTINGS, "## File and profile\n", _settings_table(settings_in(Settings).values())]
    for section, struct in SECTIONS.items():
        parts += [f"## [{section}]\n", _purpose(struct), _settings_table(settings_in(struct).values())]
    return "\n".join(parts)


def _purpose(struct: type[msgspec.Struct]) -> str:
    """The sentence of the section's docstring, without the name in front of it."""
    first = (inspect.getdoc(struct) or "").split("\n\n")[0].replace("\n", " ").partition(": ")[2]
    return first[:1].upper() + first[1:] + "\n"


def _settings_table(settings: Iterable[Setting]) -> str:
    rows = [(f"`{s.name}`", _source(s), _default(s), s.meaning) for s in settings]
    return _table(("setting", "flag, environment variable", "default", "meaning"), rows)


def _source(setting: Setting) -> str:
    return ", ".join(f"`{name}`" for name in (setting.flag, setting.variable) if name)


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, timedelta):
        return f"`{duration_text(value)}`"
    if value is None or value == "" or value == () or value == {}:
        return ""
    return f"`{value if isinstance(value, str | Path) else msgspec.json.encode(value).decode()}`"


def duration_text(length: timedelta) -> str:
    """A length of time as the settings read it: the largest unit that leaves no rest."""
    seconds = int(length.total_seconds())
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0 and seconds > size)
    return f"{seconds // size}{unit}"


def tables_page() -> str:
    """The page of all tables: an overview, then the columns of each."""
    overview = [(f"[`{t.name}`](#{t.name})", _names(t.key), t.source) for t in TABLES.values()]
    parts = [_TABLES, _table(("table", "key", "source"), overview)]
    for table in TABLES.values():
        parts += [f"## {table.name}\n", _identity(table), _columns(table)]
    return "\n".join(parts)


def _identity(table: Table) -> str:
    lines = [f"Source: {table.source}.", f"Key: {_names(table.key)}."]
    if table.owner:
        lines.append(f"One answer replaces all rows of its `{table.owner}`.")
    return " ".join(lines) + "\n"


def _columns(table: Table) -> str:
    return _table(("column", "type", "meaning"), [_column(column) for column in (*table.columns, *STAMPS)])


def _column(column: Column) -> tuple[str, str, str]:
    return f"`{column.name}`", f"`{DUCKDB_TYPES[column.kind]}`", column.meaning


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
