"""The catalogue: one row for each resource, with the call that feeds it and the tables that it fills.

Promised: a new per-customer resource is one more row here, one shape in `connector.tables.bodies` and one method in
`connector.tables.decode`. Never done: sending, decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connector.api import calls
from connector.api.calls import Call
from connector.errors import FixInput


@dataclass(frozen=True, slots=True)
class Resource:
    """A listing, or a per-customer call.

    Attributes:
        name: as `--only` takes it.
        tables: tables that its bodies fill.
        call: for a per-customer resource, (customer_id, subscription_id or "") -> Call.
        audited: whether the audit sample calls it for customers that should have nothing.
    """

    name: str
    tables: tuple[str, ...]
    call: Callable[[str, str], Call] | None = None
    audited: bool = False


def _usage(customer_id: str, subscription_id: str) -> Call:
    return calls.get_usage(customer_id, subscription_ids=[subscription_id] if subscription_id else ())


LISTINGS = (
    Resource("customers", ("customers", "customer_integrations")),
    Resource("subscriptions", ("subscriptions",)),
)
CHILDREN = (
    Resource("usage", ("usage", "usage_sources", "subscription_usage", "features"), _usage),
    Resource(
        "entitlements",
        ("entitlements", "entitlement_sources", "entitlement_buckets", "features"),
        lambda customer_id, _: calls.get_entitlements(customer_id),
        audited=True,
    ),
    Resource(
        "upcoming_grants",
        ("upcoming_grants",),
        lambda customer_id, _: calls.get_upcoming_grants(customer_id),
        audited=True,
    ),
)
RESOURCES: dict[str, Resource] = {resource.name: resource for resource in LISTINGS + CHILDREN}


def chosen(only: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Turn `--only` into resource names, listings first.

    Customers are always listed, and subscriptions whenever a per-customer resource is chosen: they say which customers
    to call.

    Raises:
        FixInput: naming an unknown resource.
    """
    wanted = list(only) or list(RESOURCES)
    for name in wanted:
        if name not in RESOURCES:
            raise FixInput(f'unknown resource "{name}".', remedy=f"Known ones: {', '.join(RESOURCES)}.")
    children = [resource.name for resource in CHILDREN if resource.name in wanted]
    listings = ["customers", "subscriptions"] if children or "subscriptions" in wanted else ["customers"]
    return (*listings, *children)
