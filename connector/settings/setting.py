"""One declared setting, as the loader, the error messages and ``docs/settings.md`` read it.

In: a section of `connector.settings.declarations`. Out: its settings by name. Never done here: reading a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

__all__ = ["Setting", "settable_in", "settings_in"]


@dataclass(frozen=True)
class Setting:
    """One declared setting.

    Attributes:
        name: as files and programs write it.
        type: its bare type, without descriptions; constraints are checked through `annotation`.
        annotation: its whole annotated type.
        default: its default; an empty dict for a table.
        meaning: one sentence or two, in Markdown.
        flag: the command's option, or "".
        variable: the environment variable, or "".
    """

    name: str
    type: Any
    annotation: Any
    default: Any
    meaning: str
    flag: str
    variable: str


@cache
def settings_in(struct: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """Return the settings that a section declares, by name, in order."""
    return {field.name: _setting(field) for field in msgspec.structs.fields(struct) if _metas(field.type)}


@cache
def settable_in(struct: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """Return the settings that a file, a flag or the environment may set by name: all but the key."""
    return {name: setting for name, setting in settings_in(struct).items() if name != "key"}


def _setting(field: msgspec.structs.FieldInfo) -> Setting:
    about = next(meta for meta in _metas(field.type) if meta.description)
    extra = about.extra or {}
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    bare = get_args(field.type)[0]
    return Setting(field.name, bare, field.type, default, about.description or "", extra["flag"], extra["variable"])


def _metas(annotation: Any) -> list[Meta]:
    if get_origin(annotation) is not Annotated:
        return []
    return [meta for meta in annotation.__metadata__ if isinstance(meta, Meta)]
