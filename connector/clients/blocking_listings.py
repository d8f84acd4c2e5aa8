"""Many customers, or subscriptions: one page at a time, or one by one, for programs without an event loop.

Written from `connector.clients.listings` by `python tests/twins.py`: change that module, never this one.
"""

from __future__ import annotations

from typing import Unpack

from connector.api.calls import PAGE
from connector.api.retries import Retries
from connector.clients.calling import operation
from connector.clients.keywords import CustomerQuery, CustomerSearch, CustomerWalk, SubscriptionQuery, SubscriptionWalk
from connector.clients.models import CustomerPage, SubscriptionPage
from connector.clients.waiting import Waiting
from connector.clients.walking import CustomerIterator, SubscriptionIterator

__all__ = ["Listings"]


class Listings(Waiting):
    """Operations on many customers."""

    @operation(CustomerQuery)
    def list_customers(
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

        Example: ``page = api.list_customers(limit=100, order="asc")``
        """
        return self._run(self._api.list_customers, retries=retries, timeout=timeout, **query)

    @operation(CustomerSearch, body=True)
    def search_customers(
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

        Example: ``page = api.search_customers(metadata={"tier": "gold"}, limit=1000)``
        """
        return self._run(self._api.search_customers, retries=retries, timeout=timeout, **query)

    @operation(CustomerWalk)
    def iter_customers(
        self,
        *,
        page_size: int = PAGE,
        retries: Retries = None,
        timeout: float | None = None,
        **query: Unpack[CustomerWalk],
    ) -> CustomerIterator:
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

        Example: ``for customer in api.iter_customers(status="archived"): print(customer.name)``
        """
        return CustomerIterator(
            self._api.iter_customers(page_size=page_size, retries=retries, timeout=timeout, **query), self._run
        )

    @operation(SubscriptionQuery, body=True)
    def search_subscriptions(
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

        Example: ``page = api.search_subscriptions(customer_id=customer.id, subscription_status=["trialing"])``
        """
        return self._run(self._api.search_subscriptions, retries=retries, timeout=timeout, **query)

    @operation(SubscriptionWalk)
    def iter_subscriptions(
        self,
        *,
        page_size: int = PAGE,
        retries: Retries = None,
        timeout: float | None = None,
        **query: Unpack[SubscriptionWalk],
    ) -> SubscriptionIterator:
        """Walk all subscriptions, oldest first, as `iter_customers` does customers (contract.md 7.1, 11).

        Without `subscription_status`, active ones only. One that changes its status meanwhile may come or be left out.

        Args:
            page_size: subscriptions a call, 1 to 1000.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            **query: customer_id, subscription_ids, subscription_status, plan_id, filters: see `SubscriptionWalk`.

        Raises:
            FlexsyncError: while it is walked: no answer, or a refusal.

        Example: ``for one in api.iter_subscriptions(subscription_status=["trialing"]): print(one.customer_id)``
        """
        return SubscriptionIterator(
            self._api.iter_subscriptions(page_size=page_size, retries=retries, timeout=timeout, **query), self._run
        )
