"""What a customer has used, may use and will be credited, for programs without an event loop.

Written from `connector.clients.allowances` by `python tests/twins.py`: change that module, never this one.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.api.retries import Retries
from connector.clients.calling import operation
from connector.clients.models import Entitlements, UpcomingGrants, UsageSummary
from connector.clients.waiting import Waiting

__all__ = ["Allowances"]


class Allowances(Waiting):
    """Operations on what a customer has."""

    @operation()
    def get_usage(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        feature_ids: Sequence[str] = (),
        feature_lookup_keys: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retries: Retries = None,
        timeout: float | None = None,
    ) -> UsageSummary:
        """Get what a customer has used in the running period (`get_customers_usage`): a snapshot (contract.md 6.1).

        Of several subscriptions the limits are summed, but only the newest one's events count: ask for one at a time. A
        usage of 0 may mean that the server's own query failed (contract.md 11). `usage_percent` 0.5 is half.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead.
            feature_ids: only these features.
            feature_lookup_keys: only these, at most 50; if none of them exists, the server sends all features.
            subscription_ids: only these subscriptions.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: there is no such customer. TypeError: both ids, or neither.

        Example: ``usage = api.get_usage(external_id="acct-1").to_pandas()``
        """
        return self._run(
            self._api.get_usage,
            customer_id,
            external_id=external_id,
            feature_ids=feature_ids,
            feature_lookup_keys=feature_lookup_keys,
            subscription_ids=subscription_ids,
            retries=retries,
            timeout=timeout,
        )

    @operation()
    def get_entitlements(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        feature_ids: Sequence[str] = (),
        subscription_ids: Sequence[str] = (),
        retries: Retries = None,
        timeout: float | None = None,
    ) -> Entitlements:
        """Get what a customer may use (`get_customers_id_entitlements`).

        The server answers an unknown id with empty lists (contract.md 6.2). So if an id that does not look like the
        server's gets one, one more call asks for the customer. A subscription that the server fails to load is missing.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead.
            feature_ids: only these features.
            subscription_ids: only these subscriptions.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: there is no such customer. TypeError: both ids, or neither.

        Example: ``for entry in api.get_entitlements(customer.id).features: …``
        """
        return self._run(
            self._api.get_entitlements,
            customer_id,
            external_id=external_id,
            feature_ids=feature_ids,
            subscription_ids=subscription_ids,
            retries=retries,
            timeout=timeout,
        )

    @operation()
    def get_upcoming_grants(
        self,
        customer_id: str | None = None,
        *,
        external_id: str | None = None,
        retries: Retries = None,
        timeout: float | None = None,
    ) -> UpcomingGrants:
        """Get the credits that a customer will be granted (`get_customers_id_grants_upcoming`), earliest first.

        All come at once: there is no paging (contract.md 6.5). Failed ones are among them.

        Args:
            customer_id: the server's id, ``cust_…``.
            external_id: your own id, instead; one more call looks the customer up.
            retries: further attempts after the first, instead of the settings'.
            timeout: seconds for one attempt, instead of the settings'.

        Raises:
            NotFound: there is no such customer, or a subscription of it ended while the server read.
            TypeError: both ids, or neither.

        Example: ``credits = sum(grant.credits for grant in api.get_upcoming_grants(customer.id).items)``
        """
        return self._run(
            self._api.get_upcoming_grants, customer_id, external_id=external_id, retries=retries, timeout=timeout
        )
