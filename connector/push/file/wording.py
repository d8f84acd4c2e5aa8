"""Values and lists in messages: shortened, so that one bad file cannot flood a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.push.file.record import printable

__all__ = ["LISTED", "SHOWN", "cut", "listed"]

SHOWN = 120  # characters of a value that a message or a fault carries
LISTED = 100  # columns and warnings that a message lists one by one


def cut(value: str) -> str:
    """Shorten a value to what a message can show."""
    return printable(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")


def listed(sentences: Sequence[str]) -> Iterator[str]:
    """The first hundred sentences, then the number of the others."""
    yield from sentences[:LISTED]
    if len(sentences) > LISTED:
        yield f"and {len(sentences) - LISTED} more like these."
