"""What the operations take by keyword, declared once for both clients.

Promised: the names are the API's own, except `new_external_id` of an update; each has its unit or limit here, with the
section of contract.md that it comes from. None means "not given", in every one of them. Never done: checking, see
`connector.clients.calling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

__all__ = [
    "CustomerChanges", "CustomerQuery", "CustomerSearch", "CustomerWalk", "NewCustomer", "Sort", "SubscriptionQuery",
    "SubscriptionStatus",
]  # fmt: skip

Condition = Mapping[str, Any]
"""One condition of `filters`: field, operator and value (contract.md 3.4)."""

Status = Literal["published", "archived"]
SubscriptionStatus = Literal["active", "trialing", "cancelled", "paused", "incomplete", "draft"]


class Sort(TypedDict):
    """One entry of `sort`; the server takes any other direction as ascending (contract.md 3.3)."""

    field: str
    direction: Literal["asc", "desc"]


class _CustomerFields(TypedDict, total=False):
    """What a customer can be given beside its identifiers (contract.md 5.1)."""

    email: str | None
    """One address without a display name, at most 255 characters. An update cannot clear it."""
    contact: str | None
    """Telephone, at most 20 characters."""
    address_line1: str | None
    """Street, at most 255 characters, and 255 bytes in UTF-8."""
    address_line2: str | None
    """Street, continued: at most 255 characters and bytes."""
    address_city: str | None
    """City, at most 100 characters and bytes."""
    address_state: str | None
    """State or province, at most 100 characters and bytes."""
    address_postal_code: str | None
    """Postal code, at most 20 characters and bytes."""
    address_country: str | None
    """ISO 3166-1 alpha-2 code in upper case. An update cannot clear it."""
    timezone: str | None
    """IANA zone; UTC where a new customer has none. An update cannot clear it."""
    metadata: Mapping[str, str] | None
    """Free texts by key; no other type of value is accepted. An update replaces the whole object."""


class NewCustomer(_CustomerFields, total=False):
    """Keywords of `create_customer` beside `external_id` and `name`."""

    skip_onboarding_workflow: bool | None
    """Do not start the account's onboarding workflow."""
    onboarding_workflow_name: str | None
    """The workflow to start; the server only logs a name that it does not know."""
    tax_rate_overrides: Sequence[Mapping[str, Any]] | None
    """Tax rates of the customer; [] for none, None for the account's own."""


class CustomerChanges(_CustomerFields, total=False):
    """Keywords of `update_customer`: what is not given, or None, stays."""

    name: str | None
    """Name, 1 to 255 characters: the server answers an empty or longer one with a 500 (contract.md 2.4)."""
    new_external_id: str | None
    """Another id of your own, 1 to 255 characters. A customer with metadata null first needs metadata={}."""


class _CustomerFilter(TypedDict, total=False):
    """Which customers (contract.md 3.1); all conditions must hold."""

    status: Status | None
    """Without it, published ones; servers before July 2026 list archived ones too (contract.md 3.6)."""
    expand: Literal["integrations"] | None
    """Load each customer's identities in other systems too."""
    external_ids: Sequence[str]
    """One of these ids of your own; 1,000 a call is a sane batch. An empty list is no filter."""
    customer_ids: Sequence[str]
    """One of these ids. An empty list is no filter."""
    email: str | None
    """This address, letter case included."""
    metadata: Mapping[str, str] | None
    """All these keys with these values."""
    filters: Sequence[Condition]
    """Conditions on columns. The server silently drops one whose operator and value do not fit (contract.md 3.4)."""


class CustomerWalk(_CustomerFilter, total=False):
    """Keywords of `iter_customers`."""


class CustomerQuery(_CustomerFilter, total=False):
    """Keywords of `list_customers`."""

    external_id: str | None
    """This id of your own."""
    limit: int | None
    """Rows, 1 to 1000; 50 where it is not given or 0 (contract.md 3.2)."""
    offset: int | None
    """Rows to skip."""
    order: Literal["asc", "desc"] | None
    """Direction of created_at; by default the newest first."""


class CustomerSearch(CustomerQuery, total=False):
    """Keywords of `search_customers`."""

    sort: Sequence[Sort] | None
    """What to sort by, before created_at. Without `id` as the last one, pages may overlap (contract.md 3.3)."""


class SubscriptionQuery(TypedDict, total=False):
    """Keywords of `search_subscriptions` (contract.md 7.1)."""

    customer_id: str | None
    """Subscriptions of this customer, by the customer's id."""
    subscription_ids: Sequence[str]
    """One of these subscriptions."""
    subscription_status: Sequence[SubscriptionStatus]
    """One of these; without it, or an empty list, active ones only."""
    plan_id: str | None
    """Subscriptions to this plan."""
    filters: Sequence[Condition]
    """Conditions on columns, as for customers."""
    sort: Sequence[Sort] | None
    """What to sort by."""
    limit: int | None
    """Rows, 1 to 1000; 50 where it is not given or 0."""
    offset: int | None
    """Rows to skip."""
    order: Literal["asc", "desc"] | None
    """Direction of created_at."""
