"""What a customer may use, summed over its subscriptions (contract.md 6.2).

Promises the server's own distortion: every source carries the id of the newest subscription. Never changes state.
"""

from __future__ import annotations

from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import Entitlement, Group
from connector.sandbox.data.sources import entities_of, selected, source_list
from connector.sandbox.replies import Json

__all__ = ["entitlements_of"]


def entitlements_of(account: Account, customer_id: str, rows: list[int], feature_ids: list[str]) -> Json:
    """GET /customers/{id}/entitlements from these subscriptions, newest first (contract.md 6.2)."""
    subscriptions = [account.subscription(row) for row in rows]
    features = [
        {
            "feature": group.feature.raw,
            "entitlement": _entitlement(account, group),
            "sources": source_list(group, subscriptions[0]["id"]),
        }
        for group in selected(account.catalog.groups(entities_of(account, rows)), feature_ids)
    ]
    return {"customer_id": customer_id, "subscriptions": subscriptions, "features": features}


def _entitlement(account: Account, group: Group) -> Json:
    body: Json = {"is_enabled": True}
    if group.limit is not None:
        body["usage_limit"] = group.limit
    body["is_soft_limit"] = group.soft
    if group.metered:
        body["usage_reset_period"] = account.reset_of(group.resets)
    static = list(dict.fromkeys(s.static for s in group.sources if s.static))
    config = [s.config for s in group.sources if s.config]
    body |= {"static_values": static} if static else {}
    body |= {"config_values": config} if config else {}
    if group.metered:
        parallel = any(s.mode == "parallel" for s in group.sources)
        body["aggregation_mode"] = "parallel" if parallel else "additive"
        if parallel:
            body["buckets"] = [_bucket(source) for source in group.sources]
    return body


def _bucket(source: Entitlement) -> Json:
    return {"entitlement_id": source.id, "source_entity_id": source.entity_id, **source.bucket}
