"""HTML made from the files in `templates/`: named fragments, filled with escaped values.

A template holds fragments, each below a line `<!-- name -->`; `$name` inside a fragment is a value.

Promised: a value is escaped, whatever it holds, unless it is `Html`; a filled value is never filled again.
Never done here: loops and conditions; Python has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

__all__ = ["Html", "fill", "join", "read_template"]


class Html(str):
    """Text that is HTML already: it is not escaped again. Only texts of our own may become one."""

    __slots__ = ()


@cache
def read_template(file: str) -> str:
    """The text of a file in `templates/`; its line ends are line feeds on every system."""
    return (files("pipelines.report") / "templates" / file).read_text(encoding="utf-8")


def fill(file: str, fragment: str, **values: object) -> Html:
    """A fragment of a template with its values.

    Args:
        file: the name of the template.
        fragment: the name of the fragment in it.
        values: one for each `$name`; all but `Html` are escaped.

    Raises:
        KeyError: there is no such fragment, or a value is missing.
    """
    safe = {name: value if isinstance(value, Html) else _escaped(value) for name, value in values.items()}
    return Html(_fragments(file)[fragment].substitute(safe))


def join(parts: Iterable[Html], separator: str = "\n") -> Html:
    """Several pieces of HTML as one."""
    return Html(separator.join(parts))


@cache
def _fragments(file: str) -> dict[str, Template]:
    _, *parts = re.split(r"^<!-- (\w+) -->\n", read_template(file), flags=re.MULTILINE)
    return {name: Template(text.rstrip("\n")) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _escaped(value: object) -> str:
    """The value as HTML text; surrogates, which UTF-8 cannot hold, become question marks."""
    return escape(str(value).encode("utf-8", "replace").decode())
