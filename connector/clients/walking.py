"""Customers, or subscriptions, one by one: the walk of `connector.pull.pages`, hidden behind an iterator.

Promised: each row comes once, in the order of `created_at`; no row that existed when the walk began and goes on passing
the filters is left out, whatever is created, changed or archived meanwhile, because no page is asked for by its
offset. Never done: a proof that nothing is missing (a sync makes one, see docs/trust.md).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast

import msgspec

from connector.api.calls import Call, Json
from connector.api.fields import Identity
from connector.clients.asking import decoded
from connector.clients.models import Customer, CustomerPage, Result, Subscription, SubscriptionPage, received
from connector.clock import Clock
from connector.errors import FixInput, Refused
from connector.pull.page import FilterIgnoredError, Page, PageSize, Send, Walk
from connector.pull.pages import walk_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "AsyncCustomerIterator", "AsyncSubscriptionIterator", "CustomerIterator", "SubscriptionIterator", "new_rows",
    "plan_of",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
Row = TypeVar("Row")
Part = TypeVar("Part", bound=Result)


class Rows(msgspec.Struct):
    """A page's rows as they came."""

    items: list[msgspec.Raw]


class Identities(msgspec.Struct):
    """A page's ids."""

    items: list[Identity]


class _Paged(Protocol):
    """A page of rows."""

    @property
    def items(self) -> tuple[Any, ...]: ...


class Run(Protocol):
    """Waits for a coroutine function."""

    def __call__(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **given: P.kwargs) -> R: ...


def plan_of(name: str, make: Callable[[Json], Call], body: Json, page_size: int) -> Walk:
    """Return the walk over a listing; it adds conditions of its own to those of the caller.

    Args:
        name: for messages.
        make: the listing, e.g. `calls.search_customers`.
        body: keys that every page asks for.
        page_size: rows that a page asks for.
    """
    kept: Sequence[Json] = body.get("filters", ())

    def whole(asked: Json) -> Call:
        filters = [*kept, *asked.get("filters", ())]
        return make({**asked, "filters": filters} if filters else asked)

    return Walk(name, whole, "created_at", body, size=PageSize(page_size))


async def new_rows(plan: Walk, send: Send, instead: str) -> AsyncGenerator[tuple[Page, dict[int, bytes]], None]:
    """Walk a listing.

    Args:
        plan: from `plan_of`.
        send: makes one call.
        instead: what works on a server that ignores filters.

    Yields:
        A page, and those of its rows that no page before held, as the server sent them, by their place in it.

    Raises:
        Refused: an answer is not a page, or the server ignores the filters of the walk.
    """
    before: frozenset[str] = frozenset()
    try:
        async with aclosing(walk_whole(plan, send)) as pages:
            async for page in pages:
                if not page.repeated:
                    ids = decoded(plan.make({}), page.reply, Identities).items
                    rows = decoded(plan.make({}), page.reply, Rows).items
                    yield page, {at: bytes(row) for at, row in enumerate(rows) if ids[at].id not in before}
                before = frozenset(page.position.open or ())
    except FilterIgnoredError as error:
        raise Refused(f"{plan.name}: {error}.", remedy=f"Use {instead}: this server is too old.") from error


class _AsyncRows(Generic[Row, Part]):
    """Rows, one by one. They are walked once, in one of the four ways.

    Args:
        plan: what to walk.
        send: makes one call.
        clock: for answers without a `Date` header.
    """

    _model: type[Part]
    _instead = ""

    def __init__(self, plan: Walk, send: Send, clock: Clock) -> None:
        self._clock = clock
        self._pages = self._walk(plan, send)
        self._begun = False
        self._rows = self._each()

    def __aiter__(self) -> AsyncIterator[Row]:
        return self

    async def __anext__(self) -> Row:
        return await anext(self._rows)

    async def pages(self) -> AsyncGenerator[Part, None]:
        """Yield pages of rows that did not come before.

        Raises:
            FixInput: the walk has begun already.
        """
        async for page in self._begin():
            yield page

    async def to_arrow(self) -> pa.Table:
        """Read all into an Arrow table, with the columns of `flexsync.read`; each row once.

        Raises:
            FixInput: the walk has begun already.
        """
        import pyarrow as pa

        from connector.tables.streamed import schema_of

        found = [page.to_arrow() async for page in self._begin()]
        return pa.concat_tables([schema_of(self._model.tables[0]).empty_table(), *found])

    async def to_pandas(self) -> pd.DataFrame:
        """Read all into a DataFrame, as `to_arrow`; decimals stay exact, metadata becomes dictionaries."""
        return (await self.to_arrow()).to_pandas(maps_as_pydicts="strict")

    def _begin(self) -> AsyncGenerator[Part, None]:
        if self._begun:
            raise FixInput("this walk has begun already.", remedy="Make another one.")
        self._begun = True
        return self._pages

    async def _each(self) -> AsyncGenerator[Row, None]:
        async for page in self._begin():
            for row in cast("_Paged", page).items:
                yield row

    async def _walk(self, plan: Walk, send: Send) -> AsyncGenerator[Part, None]:
        async with aclosing(new_rows(plan, send, self._instead)) as pages:
            async for page, rows in pages:
                yield self._read(plan, page, rows)

    def _read(self, plan: Walk, page: Page, rows: dict[int, bytes]) -> Part:
        """Return a page without the rows of the page before, whose last microsecond is asked for again."""
        whole = decoded(plan.make({}), page.reply, self._model)
        items = cast("_Paged", whole).items
        made = msgspec.structs.replace(whole, items=tuple(items[at] for at in rows))
        body = b'{"items":[' + b",".join(rows.values()) + b"]}"
        return received(made, body, page.reply.date or self._clock())


class AsyncCustomerIterator(_AsyncRows[Customer, CustomerPage]):
    """Customers, one by one; made by `AsyncFlexprice.iter_customers`. It is walked once, in one of the four ways."""

    _model = CustomerPage
    _instead = "list_customers"


class AsyncSubscriptionIterator(_AsyncRows[Subscription, SubscriptionPage]):
    """Subscriptions, as `AsyncCustomerIterator`; made by `AsyncFlexprice.iter_subscriptions`."""

    _model = SubscriptionPage
    _instead = "search_subscriptions"


class _BlockingRows(Generic[Row, Part]):
    """Rows, one by one. They are walked once, in one of the four ways.

    Args:
        source: does the work.
        run: waits for a coroutine of `source`.
    """

    def __init__(self, source: _AsyncRows[Row, Part], run: Run) -> None:
        self._source = source
        self._run = run
        self._rows = self._each()

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        return next(self._rows)

    def pages(self) -> Iterator[Part]:
        """Yield pages of rows that did not come before.

        Raises:
            FixInput: the walk has begun already.
        """
        pages = self._source.pages()
        while (page := self._run(_next, pages)) is not None:
            yield page

    def to_arrow(self) -> pa.Table:
        """Read all into an Arrow table, with the columns of `flexsync.read`; each row once.

        Raises:
            FixInput: the walk has begun already.
        """
        return self._run(self._source.to_arrow)

    def to_pandas(self) -> pd.DataFrame:
        """Read all into a DataFrame, as `to_arrow`; decimals stay exact, metadata becomes dictionaries."""
        return self._run(self._source.to_pandas)

    def _each(self) -> Iterator[Row]:
        for page in self.pages():
            yield from cast("_Paged", page).items


class CustomerIterator(_BlockingRows[Customer, CustomerPage]):
    """Customers, one by one; made by `Flexprice.iter_customers`. It is walked once, in one of the four ways."""


class SubscriptionIterator(_BlockingRows[Subscription, SubscriptionPage]):
    """Subscriptions, as `CustomerIterator`; made by `Flexprice.iter_subscriptions`."""


async def _next(pages: AsyncGenerator[Part, None]) -> Part | None:
    return await anext(pages, None)
