"""The settings of `flexsync import plan`: lists that are written with commas, and columns that are named on the line.

Promised: what the line says about a column wins over the settings file, which keeps the other columns. Never done here:
the work of the command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from connector.errors import FixInput
from pipelines.cli.options import load_settings

if TYPE_CHECKING:
    from connector.settings import Settings

__all__ = ["plan_settings"]

_LISTS = ("fix", "accept")


def plan_settings(flags: dict[str, Any], maps: Iterable[str], no_twins: bool) -> Settings:
    """Combine the settings file, the environment and the flags of `import plan`.

    Args:
        flags: settings by name; None means that the flag was not given.
        maps: ``HEADER=FIELD`` each.
        no_twins: leave out the comparison of external_ids.

    Raises:
        FixInput: the file or a value is wrong.
    """
    import msgspec

    lists = {name: _list(flags[name]) for name in _LISTS if flags.get(name)}
    settings = load_settings(**{**flags, **lists}, twins=False if no_twins else None)
    mapping = {**settings.imports.mapping, **_mapped(maps)}
    return msgspec.structs.replace(settings, imports=msgspec.structs.replace(settings.imports, mapping=mapping))


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in text.split(",")) if part)


def _mapped(maps: Iterable[str]) -> dict[str, str]:
    """Column → field. Raises `FixInput` where two fields are named for one column."""
    found: dict[str, str] = {}
    for header, field in map(_pair, maps):
        if found.setdefault(header, field) != field:
            told = f"--map {f'{header}={found[header]}'!r} and {f'{header}={field}'!r} are about one column."
            raise FixInput(told, remedy="Name one field for a column.")
    return found


def _pair(text: str) -> tuple[str, str]:
    """A column and its field: the last = divides them, because a header may hold one."""
    header, sign, field = text.rpartition("=")
    if not sign or not header.strip():
        raise FixInput(f"--map {text!r} names no column and field.", remedy='Write --map "Header=field".')
    return header.strip(), field.strip()
