"""`AsyncFlexprice`: the client of `connector.api`, with the operations by name. Never done here: anything else."""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

from connector.api.calls import Call, Reply
from connector.api.client import Client
from connector.api.retries import Retries
from connector.clients.allowances import AsyncAllowances
from connector.clients.calling import operation
from connector.clients.customers import AsyncCustomers
from connector.clients.listings import AsyncListings

__all__ = ["AsyncFlexprice", "AsyncOperations"]


class AsyncOperations(AsyncCustomers, AsyncListings, AsyncAllowances):
    """Every operation by name, on top of `send`."""


class AsyncFlexprice(Client, AsyncOperations):
    """A FlexPrice account, for asyncio: the ten customer operations by name, iterators, and `send` for any `Call`.

    Use it in ``async with``, or call `aclose`: a client that is left open warns with a ResourceWarning. Several tasks
    may share it. Reads are repeated on passing faults; a write only when it is certain that it was not carried out.

    Example:
        ``async with AsyncFlexprice(api_key=…) as api: customer = await api.get_customer(external_id="acct-1")``
    """

    @operation()
    async def send(
        self, call: Call, *, retries: Retries = None, timeout: float | None = None, until: float | None = None
    ) -> Reply:
        """Make any call of `connector.api.calls`, for what has no operation by name.

        Args:
            call: the call.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.
            until: no attempt starts after this moment of `time.monotonic`.

        Returns:
            The 2xx answer as it came.

        Raises:
            FlexsyncError: no answer, or a refusal.
        """
        return await super().send(call, retries=retries, timeout=timeout, until=until)
