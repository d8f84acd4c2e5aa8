"""Writes the keywords of `flexsync.load` from the declared settings: `python tests/setting_keywords.py`.

Type checkers cannot follow declarations that a program reads, so the names and types stand in a module of their own;
`tests/test_settings.py` compares.
"""

from __future__ import annotations

import types
import typing
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from connector.settings.declarations import SECTIONS
from connector.settings.setting import settable_in

MODULE = Path(__file__).parents[1] / "connector" / "settings" / "keywords.py"
HEAD = '''"""The keywords of `flexsync.load` and `flexsync.read`: every setting with the types that it may be given in.

Written from `connector.settings.declarations` by `python tests/setting_keywords.py`: change that module, never this
one. docs/settings.md says what each means. None is "not given". Never done: checking, see `connector.settings.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict

from connector.settings.values import Secret

__all__ = ["LoadKeywords", "SettingKeywords"]


class SettingKeywords(TypedDict, total=False):
    """Keywords of `load`; a length of time is a `timedelta` or a text such as "15m"."""

    api_key: str | Secret | None
'''
TAIL = '''

class LoadKeywords(SettingKeywords, total=False):
    """Keywords of what loads settings by itself: those of `load`, and its sources."""

    config: Path | str | None
    profile: str | None
    environ: Mapping[str, str] | None
'''
PLAIN = {str: "str", int: "int", float: "float", bool: "bool", Path: "Path | str", timedelta: "timedelta | str"}


def written() -> str:
    """The text of the module."""
    settings = [setting for struct in SECTIONS.values() for setting in settable_in(struct).values()]
    return HEAD + "".join(f"    {one.name}: {_type(one.type)} | None\n" for one in settings) + TAIL


def _type(kind: Any) -> str:
    """A type as annotations write it, with what the loader converts to it."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(args[0])
    if origin in (typing.Union, types.UnionType):  # of a length of time and a word, or of something and None
        parts = [part for part in args if part is not type(None)]
        return PLAIN[timedelta] if timedelta in parts else " | ".join(map(_type, parts))
    if origin is Literal:
        return f"Literal[{', '.join(map(_quoted, args))}]"
    if origin is tuple:
        return f"tuple[{_type(args[0])}, ...] | list[{_type(args[0])}]"
    assert origin is dict, kind
    return f"dict[{', '.join(map(_type, args))}]"


def _quoted(word: str) -> str:
    return f'"{word}"'


if __name__ == "__main__":
    MODULE.write_text(written(), encoding="utf-8")
