"""Flexsync's own columns in front of a file that it wrote: rows without them, exactly as they stood before.

Promised: a row that was rejected twice holds its line and reason once; what follows those cells is kept byte for byte.
A row whose first cells cannot be told apart is kept whole. Never done: knowing what the cells say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

from connector.push.file.headers import Bound

__all__ = ["leading", "without"]

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def leading(bound: Iterable[Bound]) -> int:
    """How many columns at the beginning of a file are Flexsync's own."""
    return sum(1 for _ in takewhile(lambda column: column.how == "own", bound))


def without(raw: str, cells: int, delimiter: str) -> str:
    """The text of a record without its first cells; the whole text where they cannot be told apart.

    Args:
        raw: text of the record, as it stands in the file.
        cells: how many to leave out.
        delimiter: one character.
    """
    at = 0
    for _ in range(cells):
        quoted = _QUOTED.match(raw, at)
        end = quoted.end() if quoted else raw.find(delimiter, at)
        open_ended = not quoted and (raw.startswith('"', at) or "\n" in raw[at:end])
        if end < 0 or open_ended or raw[end : end + 1] != delimiter:
            return raw
        at = end + 1
    return raw[at:]
