"""Keyset walks over a listing: a state machine that gets `send` from its caller and yields pages.

Promised: the offset is always 0, except on old servers. After a full page, the next one starts one microsecond before
its last row, so that rows which share that microsecond are read again rather than lost, without an extra call. Where
they would fill half a page, the walk asks for that microsecond with `id not_in [seen]` until no row comes
(contract.md 3.7). A server that ignores a filter is recognised by the rows it sends; a walk that does not move raises.
Never done: I/O; decoding more than ids and timestamps; keeping pages; excluding a row by `not_in` anywhere but at its
own microsecond (an updated row has to come again).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from connector.api.calls import PAGE, Call, Json, Reply, after, ascending, at, list_customers, not_among
from connector.errors import OurFault, Refused

Send = Callable[[Call], Awaitable[Reply]]
MOST_SEEN = 20_000  # ids in one `not_in`; more run into PostgreSQL's parameter limit (contract.md 2.4, 11)


class FilterIgnoredError(Exception):
    """The server sent rows that the filter excludes: it does not know the filter (contract.md 3.4, 8.2)."""


class _Row(msgspec.Struct, gc=False):
    id: str
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Pagination(msgspec.Struct, gc=False):
    total: int = 0


class _Page(msgspec.Struct):
    items: list[_Row]
    pagination: _Pagination = field(default_factory=_Pagination)


_MICROSECOND = timedelta(microseconds=1)
_read = msgspec.json.Decoder(_Page, strict=False).decode


class Position(msgspec.Struct, frozen=True):
    """The position of a walk; the store keeps it as JSON.

    Attributes:
        after: every row up to and including this moment has been read, except as `open` says.
        open: ids read at `after` while more rows may share that microsecond; None when all of them were read.
        offset: only for walks by offset.
        left: rows at `after` that were not read yet; None when unknown.
        done: the walk has reached its end.
    """

    after: datetime | None = None
    open: tuple[str, ...] | None = None
    offset: int = 0
    left: int | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """A listing to walk.

    Attributes:
        name: for messages.
        make: body -> Call, e.g. `calls.search_customers`.
        by: created_at or updated_at.
        body: part of every request: status, expand, subscription_status …
        since: where the walk starts; None for the first row.
        limit: page size.
    """

    name: str
    make: Callable[[Json], Call]
    by: str
    body: Json
    since: datetime | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the raw reply, its rows' ids, the server's `total`, and the walk's position once the page is stored."""

    reply: Reply
    ids: tuple[str, ...]
    total: int
    position: Position


async def walk(plan: Walk, send: Send, start: Position | None = None) -> AsyncGenerator[Page, None]:
    """Walk a listing upward by `plan.by` from `start`.

    Args:
        plan: what to walk.
        send: makes one call.
        start: the position of an interrupted walk.

    Yields:
        Pages; the last one's position is `done`. A page may repeat rows; no row is left out.

    Raises:
        FilterIgnoredError: the server sent rows outside the window.
        OurFault: the walk does not move.
    """
    position = start or Position(after=plan.since)
    while not position.done:
        crowded = position.open is not None and len(position.open) > plan.limit // 2
        page = await (_tie(plan, send, position) if crowded else _next(plan, send, position))
        if page.position == position:
            raise OurFault(
                f"{plan.name}: the same page came twice at {position.after}.", remedy="Run again with --full."
            )
        position = page.position
        yield page


async def _next(plan: Walk, send: Send, position: Position) -> Page:
    """Ask for the rows after the position, including those of its unfinished microsecond."""
    bound = position.after
    if bound and position.open is not None:
        bound -= _MICROSECOND
    reply, rows, total = await _ask(plan, send, [after(plan.by, bound)] if bound else [])
    moments = [_moment(plan, row) for row in rows]
    if bound and any(moment <= bound for moment in moments):
        raise FilterIgnoredError(f"{plan.name}: a row at {min(moments)} came, though the filter said after {bound}")
    if any(later < earlier for earlier, later in pairwise(moments)):
        raise FilterIgnoredError(f"{plan.name}: rows came in the wrong order")
    ids = tuple(row.id for row in rows)
    if len(rows) < plan.limit:
        return Page(reply, ids, total, msgspec.structs.replace(position, done=True))
    last = moments[-1]
    seen = {row.id for row, moment in zip(rows, moments, strict=True) if moment == last}
    if last == position.after:
        seen.update(position.open or ())
    return Page(reply, ids, total, Position(after=last, open=tuple(sorted(seen))))


async def _tie(plan: Walk, send: Send, position: Position) -> Page:
    """Ask for the remaining rows of the microsecond at which a full page ended."""
    moment, seen = position.after, position.open or ()
    assert moment is not None  # noqa: S101  # a tie always has its moment
    if len(seen) > MOST_SEEN:
        return await _crowd(plan, send, position)
    reply, rows, total = await _ask(plan, send, [at(plan.by, moment), not_among("id", seen)])
    known = frozenset(seen)
    if any(row.id in known or _moment(plan, row) != moment for row in rows):
        raise FilterIgnoredError(f"{plan.name}: rows came that are not at {moment}, or that the filter excludes")
    ids = tuple(row.id for row in rows)
    # Only an empty answer proves that the microsecond is finished: rows may have become visible meanwhile.
    position = Position(after=moment, open=(*seen, *ids), left=total - len(rows)) if rows else Position(after=moment)
    return Page(reply, ids, total, position)


async def _crowd(plan: Walk, send: Send, position: Position) -> Page:
    """Read a microsecond with more rows than one `not_in` can name: by offset, with half a page of overlap.

    Rows can leave it meanwhile (an update, an archive), and each one shifts the rest down by one. The unread rows stay
    the last ones, so their number limits the offset: a page that starts beyond it is asked for again, further down.
    """
    moment, seen = position.after, position.open or ()
    assert moment is not None  # noqa: S101  # a crowd is a tie
    offset = position.offset or (0 if position.left is None else max(0, len(seen) - plan.limit))
    reply, rows, total = await _ask(plan, send, [at(plan.by, moment)], offset=offset)
    while position.left is not None and offset > max(0, total - position.left):
        offset = max(0, total - position.left - plan.limit // 2)
        reply, rows, total = await _ask(plan, send, [at(plan.by, moment)], offset=offset)
    ids = tuple(row.id for row in rows)
    if len(rows) < plan.limit:
        return Page(reply, ids, total, Position(after=moment))
    left = max(0, total - offset - len(rows))
    return Page(reply, ids, total, Position(after=moment, open=seen, offset=offset + plan.limit // 2, left=left))


async def _ask(plan: Walk, send: Send, filters: Sequence[Json], offset: int = 0) -> tuple[Reply, list[_Row], int]:
    body = {**plan.body, "limit": plan.limit, "sort": ascending(plan.by, "id")}
    if filters:
        body["filters"] = list(filters)
    if offset:
        body["offset"] = offset
    reply = await send(plan.make(body))
    page = _decode(plan.name, reply)
    return reply, page.items, page.pagination.total


def _decode(name: str, reply: Reply) -> _Page:
    try:
        return _read(reply.body)
    except msgspec.DecodeError as error:
        raise Refused(
            f"{name}: the answer is not a page: {error}.", remedy="Is FLEXPRICE_BASE_URL a FlexPrice server?"
        ) from error


def _moment(plan: Walk, row: _Row) -> datetime:
    moment = row.created_at if plan.by == "created_at" else row.updated_at
    if moment is None:
        raise Refused(f"{plan.name}: {row.id} has no {plan.by}.", remedy="The listing cannot be walked without it.")
    return moment


async def count_rows(call: Call, send: Send) -> int:
    """Ask a listing how many rows it has.

    Args:
        call: of the listing; a limit of 1 is enough.
        send: makes one call.
    """
    return int((await send(call)).json()["pagination"]["total"])


async def walk_by_offset(
    name: str, status: str, send: Send, start: Position | None = None
) -> AsyncGenerator[Page, None]:
    """Walk GET /customers from the oldest page up, for servers without the filter language.

    Rows that are archived meanwhile shift the rest down. Consecutive pages overlap by half a page, which covers as many
    archives between two calls; the certificate names the method (design section 4, old servers).

    Args:
        name: for messages.
        status: published or archived.
        send: makes one call.
        start: the position of an interrupted walk.

    Yields:
        Pages; the last one's position is `done`. A page repeats half of the one before.
    """
    position = start or Position()
    while not position.done:
        call = list_customers(limit=PAGE, offset=position.offset, status=status, order="asc")
        reply = await send(call)
        page = _decode(name, reply)
        ids = tuple(row.id for row in page.items)
        done = len(ids) < PAGE
        position = Position(offset=position.offset + PAGE // 2, done=done)
        yield Page(reply, ids, page.pagination.total, position)


def with_body(plan: Walk, **changes: object) -> Walk:
    """Return the same walk with other keys in its body; None removes a key."""
    body = {k: v for k, v in {**plan.body, **changes}.items() if v is not None}
    return replace(plan, body=body)
