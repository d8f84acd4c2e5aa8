"""Pages of listings: what is asked, what came, and how far a walk has got.

Promised: a row that does not fit costs that row, never the page (`connector.pull.listing_rows`); a missing total is
None and says nothing; a page size that the server refuses is halved and stays so for the run. Never done: I/O;
deciding when a walk ends (`pages` and `offsets` do).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from connector.api.calls import PAGE, Call, Json, Reply, ascending, before
from connector.errors import Refused
from connector.pull.listing_rows import PageRow, read_page

__all__ = [
    "FilterIgnoredError",
    "Found",
    "Page",
    "PageSize",
    "Position",
    "Send",
    "Walk",
    "ask",
    "ask_sized",
    "read",
    "with_body",
]

Send = Callable[[Call], Awaitable[Reply]]


class FilterIgnoredError(Exception):
    """The server sent rows that the filter excludes: it does not know the filter (contract.md 3.4, 8.2)."""


class Position(msgspec.Struct, frozen=True):
    """The position of a walk; the store keeps it as JSON.

    Attributes:
        after: every row up to and including this moment has been read, except as `open` says.
        open: ids read at `after` while more rows may share that microsecond; None when all of them were read. In a
            step by offset: the ids of the last page.
        step: next, or tie or crowd while one microsecond is read by `not_in` or by offset.
        offset: of the next page; only for steps by offset.
        left: rows that a step by offset has not read yet; None when unknown.
        idle: answers in a row that added nothing although the total is higher.
        past: pages that reached past the moment at which the walk began.
        lacking: rows that the server counts and does not send; they degrade the run.
        done: the walk has reached its end.
        counted: the total that the first page of a walk by `updated_at` gave; None when it gave none.
        met: rows that came since, those of an overlap once.
        again: how often the walk began anew, because fewer rows came than were counted.
    """

    after: datetime | None = None
    open: tuple[str, ...] | None = None
    step: str = "next"
    offset: int = 0
    left: int | None = None
    idle: int = 0
    past: int = 0
    lacking: int = 0
    done: bool = False
    counted: int | None = None
    met: int = 0
    again: int = 0


class PageSize:
    """The `limit` of list calls, halved where the server refuses it.

    Args:
        rows: the first limit; 1000 is the largest that the server takes (contract.md 3.2).

    Attributes:
        rows: the limit that is asked for now.
        refused: the largest limit that was refused; 0 when none was.
    """

    def __init__(self, rows: int = PAGE) -> None:
        self.rows = rows
        self.refused = 0

    def halve(self, error: Refused) -> bool:
        """Halve the limit if this refusal is about it; return whether the call can be made again."""
        about = "limit" in error.details or (error.status == 400 and "limit" in error.message.lower())
        if not about or self.rows <= 1:
            return False
        self.refused = max(self.refused, self.rows)
        self.rows //= 2
        return True


@dataclass(frozen=True, slots=True)
class Walk:
    """A listing to walk.

    Attributes:
        name: for messages.
        make: body -> Call, e.g. `calls.search_customers`.
        by: created_at or updated_at.
        body: part of every request: status, expand, subscription_status …
        since: where the walk starts; None for the first row.
        until: for walks by `created_at`: rows from this moment on are not asked for.
        began: for walks by `updated_at`: the newest row when the walk began. The walk ends at most three pages past
            it, so that a server that answers full pages for ever cannot hold it.
        size: the `limit`, shared by all walks of a run.
    """

    name: str
    make: Callable[[Json], Call]
    by: str
    body: Json
    since: datetime | None = None
    until: datetime | None = None
    began: datetime | None = None
    size: PageSize = field(default_factory=PageSize)

    def moment(self, row: PageRow) -> datetime | None:
        """Return the moment by which a row is sorted; None where it cannot be read."""
        return row.created_at if self.by == "created_at" else row.updated_at


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a walk.

    Attributes:
        reply: as received.
        ids: of its rows.
        total: the server's count; None when it sent none.
        position: of the walk, once the page is stored.
        repeated: every row of it was in the pages before, so there is nothing to store.
        misfits: rows of it without a readable id.
    """

    reply: Reply
    ids: tuple[str, ...]
    total: int | None
    position: Position
    repeated: bool = False
    misfits: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """An answer of a listing.

    Attributes:
        reply: as received.
        rows: its rows with a readable id, in the server's order.
        misfits: rows without a readable id.
        total: rows that match the question, counted by the server after the page; None when it did not say.
    """

    reply: Reply
    rows: tuple[PageRow, ...]
    misfits: int
    total: int | None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the rows."""
        return tuple(row.id for row in self.rows)

    @property
    def length(self) -> int:
        """Number of rows, those without a readable id included."""
        return len(self.rows) + self.misfits

    def missing(self, held: int) -> int:
        """Return how many rows the server counts beyond `held` ones; 0 when it sent no total."""
        return max(0, (self.total or 0) - held - self.misfits)


async def ask(plan: Walk, send: Send, filters: Sequence[Json], offset: int = 0) -> Found:
    """Ask a listing for one page, with half the limit as often as the server refuses it.

    Args:
        plan: the walk.
        send: makes one call.
        filters: conditions besides the walk's own.
        offset: rows to skip.
    """
    conditions = [*filters, *([before(plan.by, plan.until)] if plan.until else [])]
    body = {**plan.body, "sort": ascending(plan.by, "id")}
    if conditions:
        body["filters"] = conditions
    if offset:
        body["offset"] = offset
    return await ask_sized(plan.name, lambda rows: plan.make({**body, "limit": rows}), send, plan.size)


async def ask_sized(name: str, make: Callable[[int], Call], send: Send, size: PageSize) -> Found:
    """Ask for one page, with half the limit as often as the server refuses it.

    Args:
        name: for messages.
        make: limit -> Call.
        send: makes one call.
        size: the limit; it stays halved.
    """
    while True:
        try:
            return read(name, await send(make(size.rows)))
        except Refused as error:
            if not size.halve(error):
                raise


def read(name: str, reply: Reply) -> Found:
    """Read the ids, moments and total of an answer.

    Raises:
        Refused: it is not a page.
    """
    try:
        page = read_page(reply.body)
    except msgspec.DecodeError as error:
        raise Refused(
            f"{name}: the answer is not a page: {error}.", remedy="Is FLEXPRICE_BASE_URL a FlexPrice server?"
        ) from error
    return Found(reply, page.rows, page.misfits, page.total)


def with_body(plan: Walk, **changes: object) -> Walk:
    """Return the same walk with other keys in its body; None removes a key."""
    body = {k: v for k, v in {**plan.body, **changes}.items() if v is not None}
    return replace(plan, body=body)
