"""Recounts: whether a walk by `updated_at` brought as many rows as the server counted when the walk began.

A page can come without a row that its own total counts. A walk of the whole account is compared with the server's
counts and asks by id for what it did not meet. A walk of the changes has only this recount: without it, an edit that
a page leaves out would stay away until the next full walk.

A row that is edited again moves on to a later page and is met there, so a busy account brings more rows than were
counted, not fewer. Only a row that leaves the walk (an archived customer) is counted and not met. So a walk that fell
short is walked again, and only one that falls short every time lacks rows.

Promised: a walk that brought what was counted costs no call more. Never done: I/O; recounting a walk that ended a few
pages past its beginning, because rows that were edited again lie beyond.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from connector.pull.page import Page, Position, Walk

__all__ = ["AGAIN", "recounted"]

AGAIN = 2  # times that a walk which fell short is walked once more


def recounted(plan: Walk, before: Position, page: Page, *, past: bool) -> Page:
    """Return a page with the recount in its position; the position of a last page that fell short begins anew.

    Args:
        plan: the walk.
        before: the position that led to the page.
        page: the page.
        past: the walk ends because it reached past its beginning.
    """
    if plan.by != "updated_at":
        return page
    begins = before == Position(after=plan.since, again=before.again)
    counted = page.total if begins else before.counted
    met = before.met + page.misfits + len(set(page.ids) - set(before.open or ()))
    following = msgspec.structs.replace(page.position, counted=counted, met=met, again=before.again)
    short = max(0, (counted or 0) - met)
    if not following.done or past or following.lacking or not short:
        return replace(page, position=following)
    if before.again < AGAIN:
        return replace(page, position=Position(after=plan.since, again=before.again + 1))
    return replace(page, position=msgspec.structs.replace(following, lacking=short))
