"""Customers one by one: the walk of `connector.pull.pages`, hidden behind an iterator.

Promised: each customer comes once, in the order of `created_at`; no customer that existed when the walk began and stays
as it is filtered is left out, whatever is created, changed or archived meanwhile, because no page is asked for by its
offset. Never done: a proof that nothing is missing (a sync makes one, see docs/trust.md).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from connector.api import calls, models
from connector.api.calls import Call, Json
from connector.clients.asking import decoded
from connector.clients.models import CustomerPage, received
from connector.clock import Clock
from connector.errors import Refused
from connector.pull.page import FilterIgnoredError, Page, PageSize, Send, Walk
from connector.pull.pages import walk_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["AsyncCustomerIterator", "CustomerIterator"]

P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """Waits for a coroutine function."""

    def __call__(self, work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **given: P.kwargs) -> R: ...


class AsyncCustomerIterator:
    """Customers, one by one; made by `AsyncFlexprice.iter_customers`. It can be walked once.

    Args:
        body: keys of a customer search that every page asks for.
        send: makes one call.
        clock: for answers without a `Date` header.
        page_size: rows that a page asks for.
    """

    def __init__(self, body: Json, send: Send, clock: Clock, page_size: int) -> None:
        self._clock = clock
        self._pages = self._walk(_plan(body, page_size), send)
        self._customers = self._each()

    def __aiter__(self) -> AsyncIterator[models.Customer]:
        return self._customers

    async def __anext__(self) -> models.Customer:
        return await anext(self._customers)

    async def pages(self) -> AsyncGenerator[CustomerPage, None]:
        """Yield what is left in pages of customers that did not come before."""
        async for page, _ in self._pages:
            yield page

    async def to_arrow(self) -> pa.Table:
        """Read what is left into an Arrow table: the columns of `connector.read("customers")`, each customer once."""
        import pyarrow as pa

        from connector.tables.streamed import schema_of

        found = [_only(page.to_arrow(), new) async for page, new in self._pages]
        return pa.concat_tables([schema_of("customers").empty_table(), *found])

    async def to_pandas(self) -> pd.DataFrame:
        """Read what is left into a DataFrame; decimals stay exact, metadata becomes dictionaries."""
        return (await self.to_arrow()).to_pandas(maps_as_pydicts="strict")

    async def _each(self) -> AsyncGenerator[models.Customer, None]:
        async for page, _ in self._pages:
            for customer in page.items:
                yield customer

    async def _walk(self, plan: Walk, send: Send) -> AsyncGenerator[tuple[CustomerPage, list[bool]], None]:
        """Yield pages of new customers, and which rows of the body they are."""
        before: frozenset[str] = frozenset()
        try:
            async with aclosing(walk_whole(plan, send)) as pages:
                async for page in pages:
                    if not page.repeated:
                        yield self._read(plan, page, before)
                    before = frozenset(page.position.open or ())
        except FilterIgnoredError as error:
            raise Refused(f"{plan.name}: {error}.", remedy="Use list_customers: this server is too old.") from error

    def _read(self, plan: Walk, page: Page, before: frozenset[str]) -> tuple[CustomerPage, list[bool]]:
        whole = decoded(plan.make({}), page.reply, CustomerPage)
        new = [customer.id not in before for customer in whole.items]
        items = tuple(customer for customer, is_new in zip(whole.items, new, strict=True) if is_new)
        made = CustomerPage(items=items, pagination=whole.pagination)
        return received(made, page.reply.body, page.reply.date or self._clock()), new


class CustomerIterator:
    """Customers, one by one; made by `Flexprice.iter_customers`. It can be walked once.

    Args:
        source: does the work.
        run: waits for a coroutine of `source`.
    """

    def __init__(self, source: AsyncCustomerIterator, run: Run) -> None:
        self._source = source
        self._run = run
        self._customers = (customer for page in self.pages() for customer in page.items)

    def __iter__(self) -> Iterator[models.Customer]:
        return self._customers

    def __next__(self) -> models.Customer:
        return next(self._customers)

    def pages(self) -> Iterator[CustomerPage]:
        """Yield what is left in pages of customers that did not come before."""
        pages = self._source.pages()
        while (page := self._run(_next, pages)) is not None:
            yield page

    def to_arrow(self) -> pa.Table:
        """Read what is left into an Arrow table: the columns of `connector.read("customers")`, each customer once."""
        return self._run(self._source.to_arrow)

    def to_pandas(self) -> pd.DataFrame:
        """Read what is left into a DataFrame; decimals stay exact, metadata becomes dictionaries."""
        return self._run(self._source.to_pandas)


async def _next(pages: AsyncGenerator[CustomerPage, None]) -> CustomerPage | None:
    return await anext(pages, None)


def _plan(body: Json, page_size: int) -> Walk:
    """The walk adds conditions of its own to those of the caller."""
    kept: Sequence[Json] = body.get("filters", ())

    def make(asked: Json) -> Call:
        filters = [*kept, *asked.get("filters", ())]
        return calls.search_customers({**asked, "filters": filters} if filters else asked)

    return Walk("iter_customers", make, "created_at", body, size=PageSize(page_size))


def _only(table: pa.Table, wanted: list[bool]) -> pa.Table:
    import pyarrow as pa

    return table if all(wanted) else table.filter(pa.array(wanted, pa.bool_()))
