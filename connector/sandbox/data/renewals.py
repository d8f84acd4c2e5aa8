"""The server's periodic job: billing periods that have ended move on (contract.md 11).

Promises that a period lies in the past until this job runs, that a trial that has ended becomes active, and that a
subscription to be cancelled at the end of its period is. Never reads a clock but the account's.
"""

from __future__ import annotations

from connector.sandbox.clock import parse_rfc3339, stamp
from connector.sandbox.data.mutators import Mutators
from connector.sandbox.data.periods import MONTHS, period_around
from connector.sandbox.data.subscriptions import LIVE
from connector.sandbox.replies import Json

__all__ = ["renew"]


def renew(sandbox: Mutators) -> int:
    """Move every active or trialing subscription whose period has ended into the one that holds now.

    Returns:
        How many moved or ended. Their `updated_at` is now (inferred: the job writes the row).
    """
    account, moved = sandbox.account, 0
    with sandbox.lock:
        now = account.now()
        for row, kind in enumerate(account.subscriptions.kinds):
            subscription = account.subscription(row) if kind in LIVE else None
            if subscription and (parse_rfc3339(subscription["current_period_end"]) or 0) <= now:
                sandbox.update_subscription(subscription["id"], **_next(subscription, now))
                moved += 1
    return moved


def _next(subscription: Json, now: int) -> Json:
    """The columns that change when a period has ended."""
    ended = subscription["current_period_end"]
    if subscription["cancel_at_period_end"]:
        return {"subscription_status": "cancelled", "end_date": ended, "cancelled_at": ended}
    anchor = subscription["billing_anchor"]
    changed: Json = {}
    if subscription["subscription_status"] == "trialing":  # what was tried is billed from the end of the trial on
        anchor = ended
        changed = {"subscription_status": "active", "billing_anchor": anchor, "trial_start": None, "trial_end": None}
    months = MONTHS[subscription["billing_period"]]
    start, end = period_around(parse_rfc3339(anchor) or 0, now, months, subscription["timezone"])
    return {**changed, "current_period_start": stamp(start), "current_period_end": stamp(end)}
