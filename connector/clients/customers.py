"""One customer: find, create, update and archive.

Promised: one method for each operation of the reference, whose name stands in the docstring; the first place is the
server's id, `external_id=` takes your own. Never done: reading an answer of a write again (see contract.md 5.3).
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

from typing import Literal, Unpack

from connector.api import calls, models
from connector.api.retries import Retries
from connector.clients.asking import Asking, about, nobody
from connector.clients.calling import operation
from connector.clients.keywords import CustomerChanges, NewCustomer
from connector.errors import FixInput

__all__ = ["AsyncCustomers"]


class AsyncCustomers(Asking):
    """Operations on one customer."""

    @operation()
    async def get_customer(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        expand: Literal["integrations"] | None = None,
        retries: Retries = None,
        timeout: float | None = None,
    ) -> models.Customer:
        """Get a customer (`get_customers_id_`).

        By id, archived customers are found too, and the answer may be 30 minutes old (contract.md 2.4, 3.8). By
        `external_id`, only the published one is found, as it is now.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead.
            expand: "integrations" loads the customer's identities in other systems too.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: there is none.
            TypeError: both ids, or neither.

        Example: ``customer = await api.get_customer(external_id="acct-1")``
        """
        if external_id is not None:
            return await self.get_customer_by_external_id(external_id, expand=expand, retries=retries, timeout=timeout)
        with about(customer_id, None):
            call = calls.get_customer(str(customer_id), expand=expand)
            return await self._get(call, models.Customer, retries, timeout)

    @operation()
    async def get_customer_by_external_id(
        self,
        external_id: str,
        *,
        expand: Literal["integrations"] | None = None,
        retries: Retries = None,
        timeout: float | None = None,
    ) -> models.Customer:
        """Get the published customer that has an id of your own (`get_customers_external_external_id_`).

        An id that cannot stand in a path (it holds ``/``, contract.md 1.1) is searched for instead.

        Args:
            external_id: your own id.
            expand: "integrations" loads the customer's identities in other systems too.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: no published customer has it.

        Example: ``customer = await api.get_customer_by_external_id("acct-1")``
        """
        if not external_id:
            raise FixInput("external_id is empty.", remedy="Give the customer's external_id.")
        with about(None, external_id):
            if calls.fits_path(external_id):
                call = calls.get_customer_by_external_id(external_id, expand=expand)
                return await self._get(call, models.Customer, retries, timeout)
            call = calls.search_customers(external_id=external_id, status="published", limit=1, expand=expand)
            for customer in (await self._get(call, models.CustomerPage, retries, timeout)).items:
                return customer
            raise nobody(external_id)

    @operation(NewCustomer, body=True)
    async def create_customer(
        self,
        *,
        external_id: str,
        name: str,
        retries: Retries = None,
        timeout: float | None = None,
        **fields: Unpack[NewCustomer],
    ) -> models.Customer:
        """Create a customer (`post_customers`).

        It may start the account's onboarding workflow (contract.md 5.1). Timestamps of the answer may differ from the
        stored ones by rounding (contract.md 4).

        Args:
            external_id: your own id, 1 to 255 characters; no other published customer may have it.
            name: 1 to 255 characters.
            retries: further attempts after the first; a create that may have been carried out is never sent again.
            timeout: seconds for one attempt, instead of the settings'.
            **fields: email, contact, address_line1, address_line2, address_city, address_state, address_postal_code,
                address_country, timezone, metadata, skip_onboarding_workflow, onboarding_workflow_name,
                tax_rate_overrides: see `NewCustomer` for their limits.

        Raises:
            Conflict: a published customer has this external_id.
            UnknownOutcome: no usable answer came; look the external_id up before you create it again.
            Refused: a value is not valid; `details` says which.

        Example: ``await api.create_customer(external_id="acct-1", name="Acme", metadata={"tier": "gold"})``
        """
        call = calls.create_customer(external_id=external_id, name=name, **fields)
        return await self._get(call, models.Customer, retries, timeout)

    @operation(CustomerChanges, body=True)
    async def update_customer(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        retries: Retries = None,
        timeout: float | None = None,
        **changes: Unpack[CustomerChanges],
    ) -> models.Customer:
        """Update a customer (`put_customers`): what is not given, or None, stays (contract.md 5.3).

        `metadata` replaces the whole object. email, address_country and timezone cannot be cleared. `updated_at` and
        `updated_by` of the answer are the old ones. Without changes, the server still stamps `updated_at`. The last
        writer wins; archived customers are changed too, by id.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead; `new_external_id` changes it.
            retries: further attempts after the first; an update that may have been carried out is never sent again.
            timeout: seconds for one attempt, instead of the settings'.
            **changes: name, email, contact, address_line1, address_line2, address_city, address_state,
                address_postal_code, address_country, timezone, metadata, new_external_id: see `CustomerChanges`.

        Raises:
            NotFound: there is none; Conflict: another published customer has `new_external_id`.
            UnknownOutcome: no usable answer came; read the customer before you update it again.
            TypeError: both ids, or neither.

        Example: ``await api.update_customer(customer.id, name="Acme Ltd")``
        """
        fields = {**changes, "external_id": changes.get("new_external_id")}
        fields.pop("new_external_id", None)
        with about(customer_id, external_id):
            call = calls.update_customer(fields, id=customer_id, external_customer_id=external_id)
            return await self._get(call, models.Customer, retries, timeout)

    @operation()
    async def delete_customer(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        retries: Retries = None,
        timeout: float | None = None,
    ) -> None:
        """Archive a customer (`delete_customers_id_`). The API has no way back (contract.md 3.6, 5.4).

        Trialing, paused and draft subscriptions, and invoices, do not hinder it. The external_id becomes free: a later
        create with it makes a customer with another id.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead; one more call looks the customer up.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: there is none, or it is archived already.
            Refused: an active subscription, or a wallet, is in the way.
            UnknownOutcome: no usable answer came.
            TypeError: both ids, or neither.

        Example: ``await api.delete_customer(customer.id)``
        """
        with about(customer_id, external_id):
            found = customer_id or await self._id_of(str(external_id), retries, timeout)
            await self.send(calls.delete_customer(found), retries=retries, timeout=timeout)
