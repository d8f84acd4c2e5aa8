"""What the operations take by keyword, declared once for both clients.

Promised: the names are the API's own, except `new_external_id` of an update; each has its meaning and its limit here,
which `help()` of the operation shows. None means "not given", in every one of them. Never done: checking, see
`connector.clients.calling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

__all__ = [
    "CustomerChanges", "CustomerQuery", "CustomerSearch", "CustomerWalk", "NewCustomer", "Sort", "SubscriptionQuery",
    "SubscriptionStatus", "SubscriptionWalk",
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

    email: Annotated[
        str | None, "one address without a display name, at most 255 characters. An update cannot clear it"
    ]
    contact: Annotated[str | None, "telephone, at most 20 characters"]
    address_line1: Annotated[str | None, "street, at most 255 characters, and 255 bytes in UTF-8"]
    address_line2: Annotated[str | None, "street, continued: at most 255 characters and bytes"]
    address_city: Annotated[str | None, "city, at most 100 characters and bytes"]
    address_state: Annotated[str | None, "state or province, at most 100 characters and bytes"]
    address_postal_code: Annotated[str | None, "postal code, at most 20 characters and bytes"]
    address_country: Annotated[str | None, "ISO 3166-1 alpha-2 code in upper case. An update cannot clear it"]
    timezone: Annotated[str | None, "IANA zone; UTC where a new customer has none. An update cannot clear it"]
    metadata: Annotated[
        Mapping[str, str] | None,
        "free texts by key; no other type of value is accepted. An update replaces the whole object",
    ]


class NewCustomer(_CustomerFields, total=False):
    """Keywords of `create_customer` beside `external_id` and `name`."""

    skip_onboarding_workflow: Annotated[bool | None, "do not start the account's onboarding workflow"]
    onboarding_workflow_name: Annotated[
        str | None, "the workflow to start; the server only logs a name that it does not know"
    ]
    tax_rate_overrides: Annotated[
        Sequence[Mapping[str, Any]] | None, "tax rates of the customer; [] for none, None for the account's own"
    ]


class CustomerChanges(_CustomerFields, total=False):
    """Keywords of `update_customer`: what is not given, or None, stays."""

    name: Annotated[
        str | None, "name, 1 to 255 characters: the server answers an empty or longer one with a 500 (contract.md 2.4)"
    ]
    new_external_id: Annotated[
        str | None, "another id of your own, 1 to 255 characters. A customer with metadata null first needs metadata={}"
    ]


class _CustomerFilter(TypedDict, total=False):
    """Which customers (contract.md 3.1); all conditions must hold."""

    status: Annotated[
        Status | None, "without it, published ones; servers before July 2026 list archived ones too (contract.md 3.6)"
    ]
    expand: Annotated[Literal["integrations"] | None, "load each customer's identities in other systems too"]
    external_ids: Annotated[
        Sequence[str], "one of these ids of your own; 1,000 a call is a sane batch. An empty list is refused"
    ]
    customer_ids: Annotated[Sequence[str], "one of these ids. An empty list is refused"]
    email: Annotated[str | None, "this address, letter case included"]
    metadata: Annotated[Mapping[str, str] | None, "all these keys with these values"]
    filters: Annotated[
        Sequence[Condition],
        "conditions on columns. The server silently drops one whose operator and value do not fit (contract.md 3.4)",
    ]


class CustomerWalk(_CustomerFilter, total=False):
    """Keywords of `iter_customers`."""


class CustomerQuery(_CustomerFilter, total=False):
    """Keywords of `list_customers`."""

    external_id: Annotated[str | None, "this id of your own"]
    limit: Annotated[int | None, "rows, 1 to 1000; 50 where it is not given or 0 (contract.md 3.2)"]
    offset: Annotated[int | None, "rows to skip"]
    order: Annotated[Literal["asc", "desc"] | None, "direction of created_at; by default the newest first"]


class CustomerSearch(CustomerQuery, total=False):
    """Keywords of `search_customers`."""

    sort: Annotated[
        Sequence[Sort] | None,
        "what to sort by, before created_at. Without `id` as the last one, pages may overlap (contract.md 3.3)",
    ]


class SubscriptionWalk(TypedDict, total=False):
    """Keywords of `iter_subscriptions` (contract.md 7.1)."""

    customer_id: Annotated[str | None, "subscriptions of this customer, by the customer's id"]
    subscription_ids: Annotated[Sequence[str], "one of these subscriptions"]
    subscription_status: Annotated[Sequence[SubscriptionStatus], "one of these; without it, active ones only"]
    plan_id: Annotated[str | None, "subscriptions to this plan"]
    filters: Annotated[Sequence[Condition], "conditions on columns, as for customers"]


class SubscriptionQuery(SubscriptionWalk, total=False):
    """Keywords of `search_subscriptions`."""

    sort: Annotated[Sequence[Sort] | None, "what to sort by"]
    limit: Annotated[int | None, "rows, 1 to 1000; 50 where it is not given or 0"]
    offset: Annotated[int | None, "rows to skip"]
    order: Annotated[Literal["asc", "desc"] | None, "direction of created_at"]
