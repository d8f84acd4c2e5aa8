"""Where a customer's rights come from: the subscriptions that entitle, and their plans and add-ons.

Promises that inherited, draft, paused, cancelled and incomplete subscriptions give nothing (contract.md 6.1, 11).
Never changes state.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import Group

__all__ = ["chosen", "entities_of", "source_list", "sources_of"]


def sources_of(account: Account, customer_id: str, wanted: Iterable[str]) -> list[int]:
    """The subscriptions that entitle, newest first."""
    rows = [row for row in account.live(customer_id) if not account.inherited(row)]
    ids = set(wanted)
    return [row for row in rows if account.subscription(row)["id"] in ids] if ids else rows


def entities_of(account: Account, rows: list[int]) -> tuple[str, ...]:
    """The plans and add-ons of subscriptions, in their order."""
    return tuple(entity for row in rows for entity in account.entities_of(row))


def chosen(groups: list[Group], feature_ids: Iterable[str]) -> list[Group]:
    """The groups of the features asked for, all of them when none was named."""
    ids = set(feature_ids)
    return [group for group in groups if group.feature.id in ids] if ids else groups


def source_list(group: Group, subscription_id: str) -> list[msgspec.Raw]:
    """A group's sources as sent: all with the id of the newest subscription (contract.md 6.4)."""
    head = b'{"subscription_id":"' + subscription_id.encode() + b'",'
    return [msgspec.Raw(head + tail) for tail in group.tails]
