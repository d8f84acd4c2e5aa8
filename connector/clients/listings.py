"""Many customers, or subscriptions: one page at a time, or one by one.

Promised: one method for each operation of the reference, whose name stands in the docstring. Never done: paging, but in
`iter_customers` and `iter_subscriptions`.
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

from functools import partial
from typing import Any, Unpack

from connector.api import calls
from connector.api.calls import PAGE
from connector.api.retries import Retries
from connector.clients.asking import Asking
from connector.clients.calling import operation
from connector.clients.keywords import CustomerQuery, CustomerSearch, CustomerWalk, SubscriptionQuery, SubscriptionWalk
from connector.clients.models import CustomerPage, SubscriptionPage
from connector.clients.walking import AsyncCustomerIterator, AsyncSubscriptionIterator, plan_of

__all__ = ["AsyncListings"]


class AsyncListings(Asking):
    """Operations on many customers."""

    @operation(CustomerQuery)
    async def list_customers(
        self, *, retries: Retries = None, timeout: float | None = None, **query: Unpack[CustomerQuery]
    ) -> CustomerPage:
        """Get one page of customers by GET (`get_customers`), ordered by `created_at` only (contract.md 3.5).

        `pagination.offset` of the answer is the next page's. A customer that is created meanwhile moves the pages:
        `iter_customers` walks without offsets.

        Args:
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: limit (1 to 1000), offset, status, order, expand, external_id, external_ids, customer_ids, email,
                metadata, filters: see `CustomerQuery`.

        Raises:
            Refused: a value is not valid; `details` says which.

        Example: ``page = await api.list_customers(limit=100, order="asc")``
        """
        return await self._rows(calls.list_customers(**_given(query)), CustomerPage, retries, timeout)

    @operation(CustomerSearch, body=True)
    async def search_customers(
        self, *, retries: Retries = None, timeout: float | None = None, **query: Unpack[CustomerSearch]
    ) -> CustomerPage:
        """Get one page of customers by POST (`post_customers_search`), with `sort` and `filters` (contract.md 3.4).

        `pagination.offset` of the answer is the next page's. Pages by offset skip rows that change meanwhile:
        `iter_customers` walks without offsets.

        Args:
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: limit (1 to 1000), offset, status, order, sort, expand, external_id, external_ids, customer_ids,
                email, metadata, filters: see `CustomerSearch`.

        Raises:
            Refused: a value is not valid. An unknown field in `sort` or `filters` is a 400 or a 500, at random.

        Example: ``page = await api.search_customers(metadata={"tier": "gold"}, limit=1000)``
        """
        return await self._rows(calls.search_customers(**_given(query)), CustomerPage, retries, timeout)

    @operation(CustomerWalk)
    def iter_customers(
        self,
        *,
        page_size: int = PAGE,
        retries: Retries = None,
        timeout: float | None = None,
        **query: Unpack[CustomerWalk],
    ) -> AsyncCustomerIterator:
        """Walk all customers, oldest first; each comes once, however many pages that takes.

        The walk asks for what was created after the last customer, so changes meanwhile move no page. Customers that
        are created after it began are left out. `to_arrow()` and `to_pandas()` of the iterator read all at once.

        Args:
            page_size: customers a call, 1 to 1000.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: status, expand, external_ids, customer_ids, email, metadata, filters: see `CustomerWalk`.

        Raises:
            FlexsyncError: while it is walked: no answer, or a refusal.

        Example: ``async for customer in api.iter_customers(status="archived"): print(customer.name)``
        """
        send = partial(self.send, retries=retries, timeout=timeout)
        body = {"status": "published", **_given(query)}
        return AsyncCustomerIterator(
            plan_of("iter_customers", calls.search_customers, body, page_size), send, self.clock
        )

    @operation(SubscriptionQuery, body=True)
    async def search_subscriptions(
        self, *, retries: Retries = None, timeout: float | None = None, **query: Unpack[SubscriptionQuery]
    ) -> SubscriptionPage:
        """Get one page of subscriptions (POST /subscriptions/search, beside the ten operations; contract.md 7.1).

        Args:
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: customer_id, subscription_ids, subscription_status (without it, active ones only), plan_id,
                filters, sort, limit (1 to 1000), offset, order: see `SubscriptionQuery`.

        Raises:
            Refused: a value is not valid.

        Example: ``page = await api.search_subscriptions(customer_id=customer.id, subscription_status=["trialing"])``
        """
        return await self._rows(calls.search_subscriptions(**_given(query)), SubscriptionPage, retries, timeout)

    @operation(SubscriptionWalk)
    def iter_subscriptions(
        self,
        *,
        page_size: int = PAGE,
        retries: Retries = None,
        timeout: float | None = None,
        **query: Unpack[SubscriptionWalk],
    ) -> AsyncSubscriptionIterator:
        """Walk all subscriptions, oldest first, as `iter_customers` does customers (contract.md 7.1, 11).

        Without `subscription_status`, active ones only. One that changes its status meanwhile may come or be left out.

        Args:
            page_size: subscriptions a call, 1 to 1000.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: customer_id, subscription_ids, subscription_status, plan_id, filters: see `SubscriptionWalk`.

        Raises:
            FlexsyncError: while it is walked: no answer, or a refusal.

        Example: ``async for one in api.iter_subscriptions(subscription_status=["trialing"]): print(one.customer_id)``
        """
        send = partial(self.send, retries=retries, timeout=timeout)
        plan = plan_of("iter_subscriptions", calls.search_subscriptions, _given(query), page_size)
        return AsyncSubscriptionIterator(plan, send, self.clock)


def _given(query: Any) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
