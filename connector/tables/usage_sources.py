"""The sources of a usage answer: whose figures they say it holds.

Asked for one subscription, the server stamps every source with its id; without that question, with the newest one's
(contract.md 6.4, 11). So an answer that a cache or an older server gives as if nobody had named a subscription shows
itself, for the newest subscription by what a subscription cannot have: two plans, or a plan's entitlement twice.

Never done: I/O; looking at an answer about a customer as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.tables.decoded import Answer

__all__ = ["not_its_own"]


def not_its_own(answer: Answer, features: Sequence[Any]) -> str:
    """Return why an answer is not about the one subscription that was asked for; "" if it is, or if none was.

    Args:
        answer: the answer, with the subscription.
        features: the decoded members of its list.
    """
    asked = answer.subscription_id
    if not asked:
        return ""
    plans: set[str] = set()
    for feature in features:
        met: set[str] = set()
        for source in feature.sources or ():
            entitlement = source.entitlement_id or ""
            if source.subscription_id and source.subscription_id != asked:
                return f"the answer is about subscription {source.subscription_id!r}, asked was {asked!r}"
            if source.entity_type == "subscription" and source.entity_id and source.entity_id != asked:
                return f"the answer has an entitlement of subscription {source.entity_id!r}, asked was {asked!r}"
            if source.entity_type == "plan":
                plans.add(source.entity_id or "")
                if len(plans) > 1 or entitlement in met:
                    return f"the answer has the plans of several subscriptions, asked was {asked!r}"
                met |= {entitlement} - {""}
    return ""
