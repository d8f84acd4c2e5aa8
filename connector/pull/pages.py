"""Keyset walks over a listing: a state machine that gets `send` from its caller and yields pages.

Where a walk ends: at an answer that holds no id which the walk has not seen at its last microsecond, while
`pagination.total`, if sent, is not above the rows held. Never at a page that came shorter than asked for, because
gateways cap pages; never at the total alone, because it is a later query (contract.md 3.2).

Promised: no step relies on a page size. Each page starts one microsecond before the last row of the page before, so
that rows which share that microsecond are read again rather than lost. A microsecond that fills a page is asked for
with `id not_in [seen]` until no row comes (contract.md 3.7). Rows that the server counts and does not send are asked
for once more, then at their microsecond, and then reported as lacking; a walk of changes that brings fewer rows than
were counted when it began is walked again (`connector.pull.recount`). A server that ignores a filter is recognised by
the rows it sends. Never done: I/O; decoding more than ids and timestamps; keeping pages; excluding a row by `not_in`
anywhere but at its own microsecond (an updated row has to come again).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from connector.api.calls import Call, after, at, not_among
from connector.errors import Refused
from connector.pull.offsets import read_on, walk_by_offset
from connector.pull.page import FilterIgnoredError, Found, Page, PageSize, Position, Send, Walk, ask, read, with_body
from connector.pull.recount import recounted

__all__ = [
    "FilterIgnoredError", "Page", "PageSize", "Position", "Send", "Walk", "count_rows", "newest_row", "walk",
    "walk_by_offset", "walk_whole", "with_body",
]  # fmt: skip

MOST_SEEN = 20_000  # ids in one `not_in`; more run into PostgreSQL's parameter limit (contract.md 2.4, 11)
PAGES_PAST = 3  # pages that a walk by `updated_at` reads past the moment at which it began
_MICROSECOND = timedelta(microseconds=1)


async def walk(plan: Walk, send: Send, start: Position | None = None) -> AsyncGenerator[Page, None]:
    """Walk a listing upward by `plan.by` from `start`.

    Args:
        plan: what to walk.
        send: makes one call.
        start: the position of an interrupted walk.

    Yields:
        Pages; the last one's position is `done`. A page may repeat rows; no row is left out but those `lacking`.

    Raises:
        FilterIgnoredError: the server sent rows outside the window.
        Refused: an answer is not a page.
    """
    position = start or Position(after=plan.since)
    while not position.done:
        page = await _STEPS[position.step](plan, send, position)
        page = recounted(plan, position, page, past=page.position.past >= PAGES_PAST)
        position = page.position
        yield page


async def walk_whole(plan: Walk, send: Send) -> AsyncGenerator[Page, None]:
    """Walk everything that a listing holds now, by `created_at`; rows that are created meanwhile cannot hold the walk.

    Args:
        plan: what to walk; sorted by created_at.
        send: makes one call.

    Yields:
        Pages; a page may repeat rows, and no row is left out.

    Raises:
        FilterIgnoredError: the server sent rows outside the window.
        Refused: an answer is not a page, or the server counts rows that it does not send.
    """
    newest, _ = await newest_row(plan, send)
    bounded = replace(plan, until=newest + _MICROSECOND) if newest else plan
    async for page in walk(bounded, send):
        if page.position.lacking:
            raise Refused(
                f"{plan.name}: the server counts {page.position.lacking} rows more than it sends.",
                remedy="Run again; if it stays, ask who runs the server or a gateway before it.",
            )
        yield page


async def _next(plan: Walk, send: Send, position: Position) -> Page:
    """Ask for the rows after the position, including those of its unfinished microsecond."""
    bound = position.after
    if bound and position.open is not None:
        bound -= _MICROSECOND
    found = await ask(plan, send, [after(plan.by, bound)] if bound else [])
    moments = [moment for row in found.rows if (moment := plan.moment(row)) is not None]
    _check(plan, bound, moments)
    seen = set(position.open or ())
    if not set(found.ids) - seen:
        ended = _idle(position, found, len(seen))
        return Page(found.reply, found.ids, found.total, ended, repeated=not found.misfits, misfits=found.misfits)
    if not moments:  # nothing to stand on: the next page cannot be asked for
        following = msgspec.structs.replace(position, done=True, lacking=_unreachable(position, found))
    else:
        following = _advance(plan, position, found, moments[-1])
    return Page(found.reply, found.ids, found.total, following, misfits=found.misfits)


def _check(plan: Walk, bound: datetime | None, moments: list[datetime]) -> None:
    """Raise where the rows are not those that the filters and the sort ask for."""
    if bound and any(moment <= bound for moment in moments):
        raise FilterIgnoredError(f"{plan.name}: a row at {min(moments)} came, though the filter said after {bound}")
    if plan.until and any(moment >= plan.until for moment in moments):
        raise FilterIgnoredError(f"{plan.name}: a row at {max(moments)} came, though it said before {plan.until}")
    if any(later < earlier for earlier, later in pairwise(moments)):
        raise FilterIgnoredError(f"{plan.name}: rows came in the wrong order")


def _advance(plan: Walk, position: Position, found: Found, last: datetime) -> Position:
    """Return the position after a page that brought rows."""
    moments = [plan.moment(row) for row in found.rows]
    first = moments.index(last)  # a row whose moment cannot be read counts as of the row before it
    seen = {row.id for row in found.rows[first:]}
    if last == position.after:
        seen.update(position.open or ())
    past = position.past + (plan.by == "updated_at" and plan.began is not None and last > plan.began)
    filled = first == 0 and (found.total is None or found.missing(len(seen)) > 0)
    return Position(
        last,
        tuple(sorted(seen)),
        "tie" if filled else "next",
        past=past,
        lacking=position.lacking,
        done=past >= PAGES_PAST,
    )


def _idle(position: Position, found: Found, seen: int) -> Position:
    """Return the position after a page that brought nothing new: the end, unless the total says more."""
    missing = found.missing(max(seen, len(found.ids)))
    keep = msgspec.structs.replace
    if not missing and (found.total is not None or not found.length):
        return keep(position, done=True)
    if position.open is not None and (position.idle or not missing):
        return keep(position, step="tie", idle=0)
    if position.idle:
        return keep(position, done=True, lacking=position.lacking + missing)
    return keep(position, idle=1)


def _unreachable(position: Position, found: Found) -> int:
    """Return how many rows lie behind a page none of whose rows has a readable moment; at least 1 where unknown."""
    if found.total is None:
        return position.lacking + 1
    return position.lacking + found.missing(len({*found.ids, *(position.open or ())}))


async def _tie(plan: Walk, send: Send, position: Position) -> Page:
    """Ask for the remaining rows of a microsecond that filled a page."""
    moment, seen = position.after, position.open or ()
    assert moment is not None  # noqa: S101  # a tie always has its moment
    if len(seen) > MOST_SEEN:
        offset = 0 if position.left is None else len(seen)
        return await _crowd(plan, send, msgspec.structs.replace(position, step="crowd", offset=offset))
    found = await ask(plan, send, [at(plan.by, moment), *([not_among("id", seen)] if seen else [])])
    known = frozenset(seen)
    if any(row.id in known or plan.moment(row) not in {moment, None} for row in found.rows):
        raise FilterIgnoredError(f"{plan.name}: rows came that are not at {moment}, or that the filter excludes")
    return Page(found.reply, found.ids, found.total, _after_tie(position, found), misfits=found.misfits)


def _after_tie(position: Position, found: Found) -> Position:
    """Only an empty answer proves that the microsecond is finished: rows may have become visible meanwhile."""
    seen, missing = position.open or (), found.missing(len(found.ids))
    keep = msgspec.structs.replace
    if found.ids:
        left = None if found.total is None else missing
        return keep(position, open=(*seen, *found.ids), left=left, idle=0)
    if missing and not position.idle:
        return keep(position, idle=1)
    return Position(position.after, past=position.past, lacking=position.lacking + missing)


async def _crowd(plan: Walk, send: Send, position: Position) -> Page:
    """Read on by offset inside a microsecond with more rows than one `not_in` can name."""
    moment = position.after
    assert moment is not None  # noqa: S101  # a crowd is a tie
    page = await read_on(lambda offset: ask(plan, send, [at(plan.by, moment)], offset), position)
    end = page.position
    following = Position(moment, lacking=end.lacking) if end.done else end
    kept = {"past": position.past, "lacking": position.lacking + following.lacking}
    return replace(page, position=msgspec.structs.replace(following, **kept))


_STEPS = {"next": _next, "tie": _tie, "crowd": _crowd}


async def newest_row(plan: Walk, send: Send) -> tuple[datetime | None, Found]:
    """Ask a walk for its newest row.

    Args:
        plan: the walk; only its name, call, order and body count.
        send: makes one call.

    Returns:
        The moment of the newest row, None where there is none or it cannot be read; and the answer.
    """
    body = {**plan.body, "sort": [{"field": plan.by, "direction": "desc"}], "limit": 1}
    found = read(plan.name, await send(plan.make(body)))
    moments = [moment for row in found.rows if (moment := plan.moment(row)) is not None]
    return max(moments, default=None), found


async def count_rows(call: Call, send: Send) -> int | None:
    """Ask a listing how many rows it has.

    Args:
        call: of the listing; a limit of 1 is enough.
        send: makes one call.

    Returns:
        The server's total; None when it sent none.
    """
    return read(call.operation, await send(call)).total
