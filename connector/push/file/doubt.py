"""A doubt: why a value that the server would take looks like a mistake."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Doubt"]


class Doubt(NamedTuple):
    """Why a row looks like a mistake. A person decides about it.

    Attributes:
        kind: one of `connector.push.file.damage.KINDS`.
        text: a sentence that begins with the field, or with the customer that looks like this one.
    """

    kind: str
    text: str
