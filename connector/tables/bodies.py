"""The shape of every JSON body, made once from the schemas of the tables that it fills.

A new field of a table needs no line here. A new object needs one shape, and one name in the list of its parent.
Never done here: reading.
"""

from __future__ import annotations

from connector.tables.schemas import (
    CUSTOMER_INTEGRATIONS,
    CUSTOMERS,
    ENTITLEMENT_BUCKETS,
    ENTITLEMENTS,
    FEATURES,
    SUBSCRIPTIONS,
    UPCOMING_GRANTS,
    USAGE,
    USAGE_SOURCES,
)
from connector.tables.shapes import Shape, shape_of

__all__ = ["CUSTOMER_PAGE", "ENTITLEMENTS_BODY", "FEATURE", "GRANTS_BODY", "SUBSCRIPTION_PAGE", "USAGE_BODY"]

_INTEGRATION = shape_of(CUSTOMER_INTEGRATIONS)
_CUSTOMER = shape_of(
    CUSTOMERS,
    lists={"integrations": _INTEGRATION},
    ignored=("parent_customer_id", "parent_customer", "parent_customer_external_id"),  # older servers (contract.md 8.2)
)
_PLAN_IGNORED = (
    "id description environment_id metadata display_order tenant_id status created_at updated_at created_by updated_by"
)
_SUBSCRIPTION = shape_of(SUBSCRIPTIONS, ignored_below={"plan": tuple(_PLAN_IGNORED.split())}, raws=("customer",))
FEATURE = shape_of(
    FEATURES,
    # the meter's own tenant is the feature's; its id is meter_id
    ignored_below={"meter": ("id", "tenant_id")},
)
_SOURCE = shape_of(USAGE_SOURCES, "source")
_BUCKET = shape_of(ENTITLEMENT_BUCKETS, "bucket")
_GRANT = shape_of(UPCOMING_GRANTS)
_USAGE = shape_of(USAGE, lists={"sources": _SOURCE}, raws=("feature",))
_ENTITLEMENT = shape_of(
    ENTITLEMENTS, lists={"sources": _SOURCE}, lists_below={"entitlement": {"buckets": _BUCKET}}, raws=("feature",)
)
_PAGE = ("pagination",)
CUSTOMER_PAGE = Shape("customers page", {}, lists={"items": _CUSTOMER}, ignored=_PAGE)
SUBSCRIPTION_PAGE = Shape("subscriptions page", {}, lists={"items": _SUBSCRIPTION}, ignored=_PAGE)
USAGE_BODY = Shape("usage", {"customer_id": "text"}, lists={"features": _USAGE}, ignored=("pagination", "period"))
ENTITLEMENTS_BODY = Shape(
    "entitlements", {"customer_id": "text"}, lists={"features": _ENTITLEMENT}, ignored=("subscriptions",)
)
GRANTS_BODY = Shape("upcoming_grants", {}, lists={"items": _GRANT}, ignored=_PAGE)
