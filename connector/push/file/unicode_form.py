"""The Unicode form of a text, for comparing.

Promised: time that grows with the length of a text. Python sorts marks behind a letter by insertion, so that a cell of
32,000 marks took minutes; what is longer than any id or name that the API accepts is returned as it stands. Never done:
changing what is written.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

__all__ = ["in_form"]

_LONGEST = 1_000  # characters


def in_form(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """A text in a Unicode form; as it stands where it is ASCII, or longer than 1,000 characters."""
    return text if text.isascii() or len(text) > _LONGEST else unicodedata.normalize(form, text)
