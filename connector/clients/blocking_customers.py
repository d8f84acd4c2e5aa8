"""One customer: find, create, update and archive, for programs without an event loop.

Written from `connector.clients.customers` by `python tests/twins.py`: change that module, never this one.
"""

from __future__ import annotations

from typing import Literal, Unpack

from connector.api import models
from connector.api.retries import Retries
from connector.clients.calling import operation
from connector.clients.keywords import CustomerChanges, NewCustomer
from connector.clients.waiting import Waiting

__all__ = ["Customers"]


class Customers(Waiting):
    """Operations on one customer."""

    @operation()
    def get_customer(
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

        Example: ``customer = api.get_customer(external_id="acct-1")``
        """
        return self._run(
            self._api.get_customer,
            customer_id,
            external_id=external_id,
            expand=expand,
            retries=retries,
            timeout=timeout,
        )

    @operation()
    def get_customer_by_external_id(
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

        Example: ``customer = api.get_customer_by_external_id("acct-1")``
        """
        return self._run(
            self._api.get_customer_by_external_id, external_id, expand=expand, retries=retries, timeout=timeout
        )

    @operation(NewCustomer, body=True)
    def create_customer(
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

        Example: ``api.create_customer(external_id="acct-1", name="Acme", metadata={"tier": "gold"})``
        """
        return self._run(
            self._api.create_customer, external_id=external_id, name=name, retries=retries, timeout=timeout, **fields
        )

    @operation(CustomerChanges, body=True)
    def update_customer(
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

        Example: ``api.update_customer(customer.id, name="Acme Ltd")``
        """
        return self._run(
            self._api.update_customer, customer_id, external_id=external_id, retries=retries, timeout=timeout, **changes
        )

    @operation()
    def delete_customer(
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

        Example: ``api.delete_customer(customer.id)``
        """
        return self._run(
            self._api.delete_customer, customer_id, external_id=external_id, retries=retries, timeout=timeout
        )
