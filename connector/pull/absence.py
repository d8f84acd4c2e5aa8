"""Absence: when an answer shows that a row is gone, and when so many are gone that the server is not believed.

Promised: a row is gone only when an answer to a search for its id, in every status, is as long as its own total and
does not hold it; a missing total shows it for a single id only, which any page has room for. GET by id is not asked:
it may come from a cache (contract.md 3.8). Never done: I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.pull.page import Found

__all__ = ["believable", "whole"]

FEW = 5  # rows that may always go in one run
SHARE = 0.01  # of all rows
QUARTER = 0.25
SMALL = 3  # in a small account, three rows are more than a quarter and still nothing odd, unless they are all


def whole(answers: Sequence[Found], asked: int) -> bool:
    """Whether answers to a question for `asked` ids hold all of them that exist.

    Args:
        answers: one for each status.
        asked: number of ids in the question.
    """
    if any(answer.misfits for answer in answers):
        return False
    if asked > 1 and any(answer.total is None for answer in answers):
        return False
    return not any(answer.missing(answer.length) for answer in answers)


def believable(gone: int, stored: int, accepted: int) -> bool:
    """Whether so many rows may go in one run.

    Args:
        gone: rows that the run found gone.
        stored: rows that the store held.
        accepted: how many a person has accepted for this run (`--accept-gone`).
    """
    if gone <= accepted:
        return True
    if gone >= stored:  # nothing is left: rather the key of another environment, which names none while it is empty
        return False
    return gone <= max(FEW, stored * SHARE) and not (gone > SMALL and gone > stored * QUARTER)
