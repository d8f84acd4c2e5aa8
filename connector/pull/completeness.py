"""Whether an answer holds all of a customer's subscriptions, as far as its body says so.

An entitlements answer names in `subscriptions` every active or trialing subscription that is not inherited, also one
without any entitlement; one whose entitlements failed to load is skipped without a word (contract.md 6.2, 11). A usage
answer names none, and stamps every source with the newest one's id (contract.md 6.4); an upcoming grant names its own,
but a subscription without a pending grant is in no answer. So only entitlements can be checked by names.

Never done: I/O, knowing which subscriptions a customer has.
"""

from __future__ import annotations

import msgspec

from connector.api.grammar import UNREADABLE

__all__ = ["named_subscriptions"]

MOST = 50  # names: the server lists 50 rows by default (contract.md 3.2); whether it cuts this list there is not known


class _Subscription(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    subscriptions: list[_Subscription] | None = None


_BODY = msgspec.json.Decoder(_Body)


def named_subscriptions(body: bytes) -> frozenset[str] | None:
    """Return the subscriptions that an entitlements answer was made of; None when the body does not say.

    Args:
        body: raw JSON. Older servers send no `subscriptions`.
    """
    try:
        found = _BODY.decode(body)
    except UNREADABLE:
        return None
    if found.subscriptions is None or len(found.subscriptions) >= MOST:
        return None
    return frozenset(row.id for row in found.subscriptions)
