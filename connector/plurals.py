"""A number with its noun, for people: `1 row`, `2 rows`.

Promised: one is singular, every other number is plural. Never done: other words of the sentence.
"""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str = "", *, mark: str = "") -> str:
    """Return the number and its noun.

    Args:
        count: how many.
        one: the noun, with whatever agrees with it, for one.
        many: the same for any other number; without it, `one` with an s.
        mark: between thousands.
    """
    return f"{count:{mark}} {one if count == 1 else many or one + 's'}"
