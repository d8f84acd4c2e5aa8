"""The ten customer operations of the reference, and the subscription search, as typed methods.

Promised: one method for each operation, with the reference's own name in its docstring; every method takes `retry` and
`timeout` for this one call; results are the structs of `connector.api.models`. `AsyncOperations` needs only a `send`;
`Operations` is the same for programs without an event loop.
Never done: HTTP (see `connector.api.client`), paging (see `connector.pull.pages`).
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec

from connector.api import answers, calls, models
from connector.api.calls import Call, Json, Reply
from connector.api.grammar import UNREADABLE
from connector.api.retries import Retry
from connector.errors import FixInput, NotFound, Refused

__all__ = ["AsyncOperations", "CustomerQuery", "Operations"]

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")


class CustomerQuery(TypedDict, total=False):
    """Keys of a customer listing, GET and POST (contract.md 3.1)."""

    limit: int | None
    offset: int | None
    status: str | None
    order: str | None
    expand: str | None
    external_id: str | None
    external_ids: Sequence[str]
    customer_ids: Sequence[str]
    email: str | None
    metadata: Mapping[str, str] | None
    filters: Sequence[Json]


class AsyncOperations:
    """Every operation by name, on top of `send`."""

    async def send(self, call: Call, *, retry: Retry | None = None, timeout: float | None = None) -> Reply:
        """Make a call; implemented by `connector.api.client.AsyncFlexprice`."""
        raise NotImplementedError

    async def list_customers(
        self, *, retry: Retry | None = None, timeout: float | None = None, **query: Unpack[CustomerQuery]
    ) -> models.CustomerPage:
        """`get_customers`: one page by GET; ordered by `created_at` only (contract.md 3.5).

        Args:
            retry: instead of the settings' number of attempts. The same applies to every operation below.
            timeout: seconds per attempt, instead of the settings'. The same applies below.
            **query: keys of `CustomerQuery`; `limit` is 1 to 1000 (contract.md 3.2).

        Returns:
            The page.

        Raises:
            FlexsyncError: what `send` raises. The same applies below.
        """
        return await self._get(calls.list_customers(**_some(query)), models.CustomerPage, retry, timeout)

    async def search_customers(
        self,
        body: Json | None = None,
        *,
        sort: Sequence[Json] | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        **query: Unpack[CustomerQuery],
    ) -> models.CustomerPage:
        """`post_customers_search`: one page by POST, with `filters` and `sort` (contract.md 3.4, 3.7)."""
        call = calls.search_customers(body, sort=sort, **_some(query))
        return await self._get(call, models.CustomerPage, retry, timeout)

    async def get_customer(
        self, id: str, *, expand: str | None = None, retry: Retry | None = None, timeout: float | None = None
    ) -> models.Customer:
        """`get_customers_id_`: archived ones as well; may be 30 minutes old (contract.md 2.4, 3.8)."""
        return await self._get(calls.get_customer(id, expand=expand), models.Customer, retry, timeout)

    async def get_customer_by_external_id(
        self, external_id: str, *, expand: str | None = None, retry: Retry | None = None, timeout: float | None = None
    ) -> models.Customer:
        """`get_customers_external_external_id_`: the published customer of that id.

        An id that cannot stand in a path (it holds ``/``, contract.md 1.1) is searched for instead.
        """
        if calls.fits_path(external_id):
            call = calls.get_customer_by_external_id(external_id, expand=expand)
            return await self._get(call, models.Customer, retry, timeout)
        if not external_id:
            raise FixInput("external_id is empty.", remedy="Give the customer's external_id.")
        call = calls.search_customers(external_id=external_id, status="published", limit=1, expand=expand)
        page = await self._get(call, models.CustomerPage, retry, timeout)
        if not page.items:
            raise NotFound(f"No published customer has the external_id {external_id!r}.", status=404, code="not_found")
        return page.items[0]

    async def create_customer(
        self, body: Json | None = None, *, retry: Retry | None = None, timeout: float | None = None, **fields: object
    ) -> models.Customer:
        """`post_customers`: `external_id` and `name` are required; fields as in contract.md 5.1.

        Timestamps of the answer may differ from the stored ones by rounding (contract.md 4).

        Raises:
            Conflict: a published customer has this external_id.
            UnknownOutcome: no usable answer: look the external_id up before creating it again.
        """
        return await self._get(calls.create_customer(body, **fields), models.Customer, retry, timeout)

    async def update_customer(
        self,
        body: Json | None = None,
        *,
        id: str | None = None,
        external_customer_id: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        **fields: object,
    ) -> models.Customer:
        """`put_customers`: absent fields stay, `metadata` is replaced whole (contract.md 5.3).

        `updated_at` and `updated_by` of the answer are the old ones: read again for the real ones.
        """
        call = calls.update_customer(body, id=id, external_customer_id=external_customer_id, **fields)
        return await self._get(call, models.Customer, retry, timeout)

    async def delete_customer(self, id: str, *, retry: Retry | None = None, timeout: float | None = None) -> None:
        """`delete_customers_id_`: archives the customer, irrevocably (contract.md 3.6, 5.4)."""
        await self.send(calls.delete_customer(id), retry=retry, timeout=timeout)

    async def get_usage(
        self,
        customer_id: str | None = None,
        *,
        customer_lookup_key: str | None = None,
        feature_ids: Sequence[str] = (),
        feature_lookup_keys: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> models.UsageSummary:
        """`get_customers_usage`: a snapshot of the running period (contract.md 6.1)."""
        call = calls.get_usage(
            customer_id,
            customer_lookup_key=customer_lookup_key,
            feature_ids=feature_ids,
            feature_lookup_keys=feature_lookup_keys,
            subscription_ids=subscription_ids,
        )
        return await self._get(call, models.UsageSummary, retry, timeout)

    async def get_entitlements(
        self,
        id: str,
        *,
        feature_ids: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> models.Entitlements:
        """`get_customers_id_entitlements`: an unknown id gives empty lists, not an error (contract.md 6.2)."""
        call = calls.get_entitlements(id, feature_ids=feature_ids, subscription_ids=subscription_ids)
        return await self._get(call, models.Entitlements, retry, timeout)

    async def get_upcoming_grants(
        self, id: str, *, retry: Retry | None = None, timeout: float | None = None
    ) -> models.UpcomingGrants:
        """`get_customers_id_grants_upcoming`: all at once, there is no paging (contract.md 6.5)."""
        return await self._get(calls.get_upcoming_grants(id), models.UpcomingGrants, retry, timeout)

    async def search_subscriptions(
        self, body: Json | None = None, *, retry: Retry | None = None, timeout: float | None = None, **given: object
    ) -> models.SubscriptionPage:
        """POST /subscriptions/search; without `subscription_status` only active ones (contract.md 7.1)."""
        return await self._get(calls.search_subscriptions(body, **given), models.SubscriptionPage, retry, timeout)

    async def _get(self, call: Call, model: type[T], retry: Retry | None, timeout: float | None) -> T:
        reply = await self.send(call, retry=retry, timeout=timeout)
        try:
            return msgspec.json.decode(reply.body, type=model)
        except msgspec.ValidationError as error:
            message = f"{answers.describe(call)}: the answer does not fit {model.__name__}: {error}."
            remedy = "The server may be another version: send(call).json() returns the body as it is."
            raise Refused(message, remedy=remedy, status=reply.status, request_id=reply.request_id) from None
        except UNREADABLE as error:
            raise answers.unreadable(call) from error


class Operations:
    """The same operations for programs without an event loop: each waits for its answer.

    The method of the same name in `AsyncOperations` says what an operation does, takes and raises.
    """

    _api: AsyncOperations

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work` to its end; implemented by `connector.api.blocking.Flexprice`."""
        raise NotImplementedError

    def send(self, call: Call, *, retry: Retry | None = None, timeout: float | None = None) -> Reply:
        """Make any call; returns its 2xx answer."""
        return self._run(self._api.send(call, retry=retry, timeout=timeout))

    def list_customers(
        self, *, retry: Retry | None = None, timeout: float | None = None, **query: Unpack[CustomerQuery]
    ) -> models.CustomerPage:
        """`get_customers`."""
        return self._run(self._api.list_customers(retry=retry, timeout=timeout, **query))

    def search_customers(
        self,
        body: Json | None = None,
        *,
        sort: Sequence[Json] | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        **query: Unpack[CustomerQuery],
    ) -> models.CustomerPage:
        """`post_customers_search`."""
        return self._run(self._api.search_customers(body, sort=sort, retry=retry, timeout=timeout, **query))

    def get_customer(
        self, id: str, *, expand: str | None = None, retry: Retry | None = None, timeout: float | None = None
    ) -> models.Customer:
        """`get_customers_id_`."""
        return self._run(self._api.get_customer(id, expand=expand, retry=retry, timeout=timeout))

    def get_customer_by_external_id(
        self, external_id: str, *, expand: str | None = None, retry: Retry | None = None, timeout: float | None = None
    ) -> models.Customer:
        """`get_customers_external_external_id_`."""
        work = self._api.get_customer_by_external_id(external_id, expand=expand, retry=retry, timeout=timeout)
        return self._run(work)

    def create_customer(
        self, body: Json | None = None, *, retry: Retry | None = None, timeout: float | None = None, **fields: object
    ) -> models.Customer:
        """`post_customers`."""
        return self._run(self._api.create_customer(body, retry=retry, timeout=timeout, **fields))

    def update_customer(
        self,
        body: Json | None = None,
        *,
        id: str | None = None,
        external_customer_id: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        **fields: object,
    ) -> models.Customer:
        """`put_customers`."""
        work = self._api.update_customer(
            body, id=id, external_customer_id=external_customer_id, retry=retry, timeout=timeout, **fields
        )
        return self._run(work)

    def delete_customer(self, id: str, *, retry: Retry | None = None, timeout: float | None = None) -> None:
        """`delete_customers_id_`."""
        return self._run(self._api.delete_customer(id, retry=retry, timeout=timeout))

    def get_usage(
        self,
        customer_id: str | None = None,
        *,
        customer_lookup_key: str | None = None,
        feature_ids: Sequence[str] = (),
        feature_lookup_keys: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> models.UsageSummary:
        """`get_customers_usage`."""
        work = self._api.get_usage(
            customer_id,
            customer_lookup_key=customer_lookup_key,
            feature_ids=feature_ids,
            feature_lookup_keys=feature_lookup_keys,
            subscription_ids=subscription_ids,
            retry=retry,
            timeout=timeout,
        )
        return self._run(work)

    def get_entitlements(
        self,
        id: str,
        *,
        feature_ids: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> models.Entitlements:
        """`get_customers_id_entitlements`."""
        work = self._api.get_entitlements(
            id, feature_ids=feature_ids, subscription_ids=subscription_ids, retry=retry, timeout=timeout
        )
        return self._run(work)

    def get_upcoming_grants(
        self, id: str, *, retry: Retry | None = None, timeout: float | None = None
    ) -> models.UpcomingGrants:
        """`get_customers_id_grants_upcoming`."""
        return self._run(self._api.get_upcoming_grants(id, retry=retry, timeout=timeout))

    def search_subscriptions(
        self, body: Json | None = None, *, retry: Retry | None = None, timeout: float | None = None, **given: object
    ) -> models.SubscriptionPage:
        """POST /subscriptions/search."""
        return self._run(self._api.search_subscriptions(body, retry=retry, timeout=timeout, **given))


def _some(query: CustomerQuery) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
