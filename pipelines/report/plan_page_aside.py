"""What the page of a plan says besides what the plan holds: warnings, doubts by kind, and the commands that follow.

Promised: what the terminal warns about stands in the page, and the commands of both are the same. Never done: HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.import_customers import Planned
from pipelines.report.following import Following, asks

__all__ = ["NO_ASIDE", "Aside", "aside_of"]


class Aside(NamedTuple):
    """What a page says besides what the plan holds.

    Attributes:
        warnings: about the file, a sentence each.
        kinds: how many rows are held, by kind of doubt.
        next: a command, and what it asks for or what is to be done before; ("", "") where there is none.
        decide: the file of doubts, and the command that takes it; ("", "") where nothing waits for a decision.
        unlisted: refused rows that are not among the entries.
    """

    warnings: Sequence[str] = ()
    kinds: Mapping[str, int] = {}
    next: tuple[str, str] = ("", "")
    decide: tuple[str, str] = ("", "")
    unlisted: int = 0


NO_ASIDE = Aside()


def aside_of(found: Planned, following: Following) -> Aside:
    """Collect what is to be said.

    Args:
        found: the plan, or why there is none.
        following: the commands that can follow.
    """
    doubted = found.doubted[0] if found.doubted and found.counts.held else None
    decide = (str(doubted), following.decided(doubted)) if doubted else ("", "")
    unlisted = 0 if found.plan else found.counts.invalid + found.counts.conflict - len(found.refused)
    return Aside(list(_warnings(found)), found.counts.kinds, _next(found, following), decide, unlisted)


def _warnings(found: Planned) -> Iterator[str]:
    yield from found.checked.warnings if found.checked else ()
    if found.guessed:
        yield "The encoding of the file is a guess: check its values, or set --encoding."
    if found.twins.startswith("not"):
        yield f"New external_ids are {found.twins}."


def _next(found: Planned, following: Following) -> tuple[str, str]:
    if found.plan is None and found.rejected and (command := following.mended(found)):
        return command, f"once {found.rejected[0].name} is corrected."
    return following.apply(found), f"I{asks(found)[1:]}."
