"""The two generated pages: every setting, from its declaration, and every table, from its schema.

`settings_page()` is the whole of docs/settings.md and `tables_page()` the whole of docs/tables.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from connector.settings.declarations import SECTIONS, Settings
from connector.settings.setting import Setting, settings_in
from connector.store import asof, ddl
from connector.tables.histories import HISTORIES, VERSIONED, versions_of
from connector.tables.schemas import DUCKDB_TYPES, STAMPS, TABLES, Column, Table

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

_SETTINGS = """# Settings

Flags win over the environment, the environment over the chosen profile, the profile over the rest of the file, the
file over the defaults. The file is TOML; [configs/](../configs) holds one for each kind of job. Every name in it is
checked: an error names the line and the nearest known name.

A length of time is a number and a unit: `90s`, `15m`, `2h`, `7d`, or a sum such as `1h30m`. A program passes any
setting by its name: `flexsync.load(max_in_flight=8, store="copy.duckdb")`.

The file is the one that `--config` names, else the one that the environment variable `FLEXSYNC_CONFIG` names. A
`flexsync.toml` in the current folder is not taken unasked: whoever made that folder would choose where the key is sent,
and a cron job would change when a file comes into its folder. A command that goes without it says so on stderr. With
`export FLEXSYNC_CONFIG=flexsync.toml` every command takes that of its folder; an empty `FLEXSYNC_CONFIG` says that none
is wanted.

A profile is one account environment. `[profiles.NAME.api]`, `[profiles.NAME.sync]` … hold only what differs.

<!-- Generated from connector/settings/declarations.py. Do not edit. -->
"""

_TABLES = """# Tables

The working store and every publication hold these tables. Column names are the API's own. `DECIMAL(38, 18)` is exact;
`TIMESTAMPTZ` is in UTC, in microseconds. A field that the schema does not know goes to `extra`; a value that does not
fit sends its row, with the raw body and the reason, to `flexsync.rejects`.

The [histories](#histories) keep what the rows of some of them were.

<!-- Generated from connector/tables/ (schemas.py, histories.py) and connector/store/asof.py. Do not edit. -->
"""

_HISTORIES = """## Histories

Views and macros show the versions and figures that the runs found.
[Asking](asking.md#three-questions-about-the-past) shows how to use them. `known_from` and `known_to` are runs;
`flexsync.runs` says when they were.
"""

_VIEWS = {
    **{f"{name}_history": f"Every version of every row of `{name}`." for name in VERSIONED},
    "usage_history": "Every figure or limit of usage that was seen to change, one row for each change.",
    "usage_daily": "What was used between two observations of a figure that adds up (`additive`); days without use are "
    "left out.",
}

_IN_VIEWS = {
    "valid_from": "since when this version is true: see valid_basis",
    "valid_to": "until when this version was true; NULL while it is",
    "known_from": "run that found this version",
    "known_to": "run that found its end; NULL while it has none",
    "last_confirmed_run": "last run that saw this figure before the next one was found; NULL for the last figure",
    "last_confirmed_at": "when that run saw it",
    "current_usage": "units used in the window",
    "run_id": "run that found it",
    "observed_at": "server's clock of the answer that showed it",
    "day": "day (UTC) of the second of the two observations",
    "since": "when the figure that this one is compared with, the last proven one, was last seen",
    "used": "units used in between; where complete is false a lower bound, a correction (negative), or NULL: not known",
    "complete": "exact: two proven figures of one window of one subscription, the first seen a day before at most",
}
"""Meanings of the columns that only views have, or that mean something narrower there."""

_ABOUT_MACROS = """Write a macro like a table: `FROM customers_asof('2026-09-30 12:00Z')`. `valid` and `known` are
moments; of `day` the whole day (UTC) counts. `known` leaves out what was found by runs that ended later; without it,
nothing is left out. A macro gives at most one row of a key.
"""

_CALLS = tuple(f"{name}({'day' if name == 'usage_asof' else 'valid'}, known := …)" for name in asof.MACROS)
_MACROS = {
    **{f"{name}_asof": f"the rows of {name} that were true at `valid`, and their `valid_from`" for name in VERSIONED},
    "usage_asof": "the last figures up to the end of `day`: of customers where `subscription_id` is empty, and of "
    "single subscriptions",
}

_STORED = """These tables lie in every store and publication. A run only adds rows to them, one for each version, figure
or end that it finds.
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
    """The page of all tables: an overview, then the columns of each, then the histories."""
    overview = [(f"[`{t.name}`](#{t.name})", _names(t.key), t.source) for t in TABLES.values()]
    parts = [_TABLES, _table(("table", "key", "source"), overview)]
    for table in TABLES.values():
        parts += [f"## {table.name}\n", _identity(table), _columns(table)]
    return "\n".join([*parts, *_histories()])


def _histories() -> list[str]:
    """The part about the histories, with the columns that DuckDB says the views have."""
    with duckdb.connect() as db:
        for statement in ddl.statements():
            db.execute(statement)
        views = {name: db.sql(f"DESCRIBE {name}").fetchall() for name in asof.VIEWS}
    parts = [_HISTORIES]
    for name, described in views.items():
        base = TABLES.get(name.removesuffix("_history")) if name != "usage_history" else None
        shared = {column.name for column in base.columns} if base else set()
        also = f" It has the columns of `{base.name}` except `gone_at`, and:" if base else ""
        rows = [_shown(column, kind) for column, kind, *_ in described if column not in shared]
        parts += [f"### {name}\n", f"{_VIEWS[name]}{also}\n", _table(("column", "type", "meaning"), rows)]
    macros = [(f"`{given}`", _MACROS[given.partition("(")[0]]) for given in _CALLS]
    stored = [(f"`flexsync.{table.name}`", _names(table.key), table.source) for table in HISTORIES.values()]
    parts += ["### Macros\n", _ABOUT_MACROS, _table(("macro", "rows"), macros)]
    return [*parts, "### What they are made of\n", _STORED, _table(("table", "key", "rows"), stored)]


def _shown(column: str, kind: str) -> tuple[str, str, str]:
    """A column of a history's view: name, type and meaning."""
    declared = [*versions_of("customers").columns, *HISTORIES["usage_figures"].columns]
    meanings = {**{known.name: known.meaning for known in declared}, **_IN_VIEWS}
    short = kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ").replace(",", ", ")
    return f"`{column}`", f"`{short}`", meanings[column]


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
