r"""What a cell says about a field: blank = leave alone, ``\N`` = clear, ``\\N`` = the text ``\N`` itself.

Promised: `unescaped(escaped(text))` is the text, for every text that is not blank. Nothing is trimmed, because the
server does not trim either (contract.md 5.1). Never done: rules about values.
"""

from __future__ import annotations

import re

__all__ = ["CLEAR", "Value", "escaped", "unescaped"]

CLEAR = None  # the meaning of a cell with \N
Value = str | None
_ESCAPE = re.compile(r"\\+N")


def escaped(text: str) -> str:
    r"""A value as a cell: texts that look like ``\N`` get one more backslash."""
    return "\\" + text if _ESCAPE.fullmatch(text) else text


def unescaped(cell: str) -> Value:
    """The value of a cell that is not blank; `CLEAR` for "clear"."""
    if cell == "\\N":
        return CLEAR
    return cell[1:] if cell[0] == "\\" and _ESCAPE.fullmatch(cell) else cell
