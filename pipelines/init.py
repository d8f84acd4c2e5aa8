"""The first step: a settings file in which every setting stands with its default and its meaning, and its neighbours.

Promised: a file that is there is not overwritten, lines of a `.gitignore` stay; no key is written. Never done: asking,
calling the server (`doctor` does).
"""

from __future__ import annotations

import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from connector.errors import FixInput
from connector.files import atomic_write
from connector.settings import Settings
from connector.settings.declarations import SECTIONS
from connector.settings.setting import Setting, settable_in
from connector.settings.values import written

__all__ = ["IGNORED", "config_text", "ignore", "lakes", "refuse_existing", "write_config"]

IGNORED = (
    "*.duckdb", "*.duckdb.wal", "*.last.json", "*.lock", "published/", "lake/",
    "*.plan", "*.plan~*", "*.journal", "*.results.*", "*.rejected.*", "*.doubts.*",
)  # fmt: skip
"""What a copy and an import leave in a folder, as patterns of git: customers' data, which must never be committed."""
_LAKE = "parquet:"
_WIDTH = 100
_HEAD = """\
# Settings of Flexsync, made by `flexsync init`. Settings that are commented out show their default, or an
# example where they have none.
# Flags win over the environment, the environment wins over this file.
# Never write the API key here: it belongs in the environment variable that key_env names, or in key_file."""
_NO_DEFAULT = {"calls_per_second": "50.0", "max_calls": "100000", "deadline": '"12h"'}
"""Examples of settings that have no default."""


def config_text(given: Settings) -> str:
    """Return the text of a settings file.

    Args:
        given: settings; those that differ from their defaults are set, the others commented out.

    Returns:
        TOML, which loads to `given`.
    """
    parts = [_HEAD]
    for section, struct in SECTIONS.items():
        values = getattr(given, "imports" if section == "import" else section)
        parts.append(f"\n[{section}]")
        plain = (setting for setting in settable_in(struct).values() if not isinstance(setting.default, dict))
        parts += [_lines(setting, getattr(values, setting.name)) for setting in plain]
    return "\n".join(parts) + "\n"


def _lines(setting: Setting, value: Any) -> str:
    comment = textwrap.fill(setting.meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    shown = _NO_DEFAULT[setting.name] if value is None else _toml(value)
    return f"{comment}\n{'# ' if value == setting.default else ''}{setting.name} = {shown}"


def _toml(value: Any) -> str:
    if isinstance(value, timedelta):
        value = written(value)
    return msgspec.json.encode(str(value) if isinstance(value, Path) else value).decode()


def refuse_existing(path: Path) -> None:
    """Raise `FixInput` if the settings file is there, or its folder is not."""
    if path.exists():
        raise FixInput(f"{path} exists and is not overwritten.", remedy="Give another --out, or edit the file.")
    if not path.parent.is_dir():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --out.")


def write_config(path: Path, given: Settings) -> None:
    """Write a settings file. Raises `FixInput` if it is there, or cannot be written."""
    refuse_existing(path)
    with atomic_write(path) as file:
        file.write(config_text(given).encode())


def lakes(given: Settings) -> list[str]:
    """Return the folders of Parquet publications, as patterns of git: their files have no names of their own."""
    paths = (target.removeprefix(_LAKE) for target in given.sync.publish if target.startswith(_LAKE))
    return [f"{Path(path).as_posix()}/" for path in paths if not Path(path).is_absolute()]


def ignore(folder: Path, more: tuple[str, ...] = ()) -> list[str]:
    """Add to a folder's `.gitignore` what must never be committed.

    Args:
        folder: of the settings file.
        more: further patterns.

    Returns:
        The patterns that were added; those that stood there are not.

    Raises:
        FixInput: the file cannot be read or written.
    """
    path = folder / ".gitignore"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        known = {line.strip() for line in text.splitlines()}
        added = [pattern for pattern in (*IGNORED, *more) if pattern not in known]
        if added:
            lines = ["# Copies of a FlexPrice account, and what imports leave: customers' data", *added]
            before = f"{text.rstrip()}\n\n" if text.strip() else ""
            path.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FixInput(
            f"{path} cannot be written: {error}.", remedy="Correct it, then run the command again."
        ) from error
    return added
