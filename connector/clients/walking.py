"""Customers one by one: the walk of `connector.pull.pages`, hidden behind an iterator.

Promised: each customer comes once, in the order of `created_at`; no customer that existed when the walk began and stays
as it is filtered is left out, whatever is created, changed or archived meanwhile, because no page is asked for by its
offset. Never done: a proof that nothing is missing (a sync makes one, see docs/trust.md).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import msgspec

from connector.api import calls, models
from connector.api.calls import Call, Json
from connector.clients.asking import decoded
from connector.clients.models import CustomerPage, received
from connector.clock import Clock
from connector.errors import FixInput, Refused
from connector.pull.page import FilterIgnoredError, Page, PageSize, Send, Walk
from connector.pull.pages import walk_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["AsyncCustomerIterator", "CustomerIterator"]

P = ParamSpec("P")
R = TypeVar("R")


class _Rows(msgspec.Struct):
    items: list[msgspec.Raw]


class Run(Protocol):
    """Waits for a coroutine function."""

    def __call__(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **given: P.kwargs) -> R: ...


class AsyncCustomerIterator:
    """Customers, one by one; made by `AsyncFlexprice.iter_customers`. It is walked once, in one of the four ways.

    Args:
        body: keys of a customer search that every page asks for.
        send: makes one call.
        clock: for answers without a `Date` header.
        page_size: rows that a page asks for.
    """

    def __init__(self, body: Json, send: Send, clock: Clock, page_size: int) -> None:
        self._clock = clock
        self._pages = self._walk(_plan(body, page_size), send)
        self._begun = False
        self._customers = self._each()

    def __aiter__(self) -> AsyncIterator[models.Customer]:
        return self

    async def __anext__(self) -> models.Customer:
        return await anext(self._customers)

    async def pages(self) -> AsyncGenerator[CustomerPage, None]:
        """Yield pages of customers that did not come before.

        Raises:
            FixInput: the walk has begun already.
        """
        async for page in self._begin():
            yield page

    async def to_arrow(self) -> pa.Table:
        """Read all into an Arrow table: the columns of `flexsync.read("customers")`, each customer once.

        Raises:
            FixInput: the walk has begun already.
        """
        import pyarrow as pa

        from connector.tables.streamed import schema_of

        found = [page.to_arrow() async for page in self._begin()]
        return pa.concat_tables([schema_of("customers").empty_table(), *found])

    async def to_pandas(self) -> pd.DataFrame:
        """Read all into a DataFrame, as `to_arrow`; decimals stay exact, metadata becomes dictionaries."""
        return (await self.to_arrow()).to_pandas(maps_as_pydicts="strict")

    def _begin(self) -> AsyncGenerator[CustomerPage, None]:
        if self._begun:
            raise FixInput("this walk has begun already.", remedy="Make another one with iter_customers.")
        self._begun = True
        return self._pages

    async def _each(self) -> AsyncGenerator[models.Customer, None]:
        async for page in self._begin():
            for customer in page.items:
                yield customer

    async def _walk(self, plan: Walk, send: Send) -> AsyncGenerator[CustomerPage, None]:
        """Yield pages of new customers."""
        before: frozenset[str] = frozenset()
        try:
            async with aclosing(walk_whole(plan, send)) as pages:
                async for page in pages:
                    if not page.repeated:
                        yield self._read(plan, page, before)
                    before = frozenset(page.position.open or ())
        except FilterIgnoredError as error:
            raise Refused(f"{plan.name}: {error}.", remedy="Use list_customers: this server is too old.") from error

    def _read(self, plan: Walk, page: Page, before: frozenset[str]) -> CustomerPage:
        """Return a page without the customers of the page before, whose last microsecond is asked for again."""
        whole = decoded(plan.make({}), page.reply, CustomerPage)
        new = [place for place, customer in enumerate(whole.items) if customer.id not in before]
        rows = msgspec.json.decode(page.reply.body, type=_Rows).items
        body = b'{"items":[' + b",".join(rows[place] for place in new) + b"]}"
        made = CustomerPage(items=tuple(whole.items[place] for place in new), pagination=whole.pagination)
        return received(made, body, page.reply.date or self._clock())


class CustomerIterator:
    """Customers, one by one; made by `Flexprice.iter_customers`. It is walked once, in one of the four ways.

    Args:
        source: does the work.
        run: waits for a coroutine of `source`.
    """

    def __init__(self, source: AsyncCustomerIterator, run: Run) -> None:
        self._source = source
        self._run = run
        self._customers = self._each()

    def __iter__(self) -> Iterator[models.Customer]:
        return self

    def __next__(self) -> models.Customer:
        return next(self._customers)

    def pages(self) -> Iterator[CustomerPage]:
        """Yield pages of customers that did not come before.

        Raises:
            FixInput: the walk has begun already.
        """
        pages = self._source.pages()
        while (page := self._run(_next, pages)) is not None:
            yield page

    def to_arrow(self) -> pa.Table:
        """Read all into an Arrow table: the columns of `flexsync.read("customers")`, each customer once.

        Raises:
            FixInput: the walk has begun already.
        """
        return self._run(self._source.to_arrow)

    def to_pandas(self) -> pd.DataFrame:
        """Read all into a DataFrame, as `to_arrow`; decimals stay exact, metadata becomes dictionaries."""
        return self._run(self._source.to_pandas)

    def _each(self) -> Iterator[models.Customer]:
        for page in self.pages():
            yield from page.items


async def _next(pages: AsyncGenerator[CustomerPage, None]) -> CustomerPage | None:
    return await anext(pages, None)


def _plan(body: Json, page_size: int) -> Walk:
    """The walk adds conditions of its own to those of the caller."""
    kept: Sequence[Json] = body.get("filters", ())

    def make(asked: Json) -> Call:
        filters = [*kept, *asked.get("filters", ())]
        return calls.search_customers({**asked, "filters": filters} if filters else asked)

    return Walk("iter_customers", make, "created_at", body, size=PageSize(page_size))
