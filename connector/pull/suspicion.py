"""Suspicion: which figures of an answer may be a failure of the server, and when they are believed after all.

Promised: the same answer always gives the same verdict, from the figure that is held, the one that is offered and the
runs that offered it before. The server reports a failed query as zero, with status 200 (contract.md 6.2 and 11).
Never done: I/O, reading a clock, remembering anything between two calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

GROWING = frozenset({"COUNT", "COUNT_UNIQUE", "MAX"})  # aggregation types that can only grow within a window
ANALYTICS_TIMEOUT = (
    10.0  # seconds that the server waits for its analytics store before it reports zero (contract.md 11)
)
ZERO_RUNS = 3  # runs in a row that have to report a zero before it is believed
RUNS_APART = timedelta(hours=5)  # a run sooner after one that counted may meet the same outage; one in six hours counts


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure that is lower than the last good one of the same subscription and window.

    Attributes:
        customer_id: the customer.
        subscription_id: the subscription that the figure belongs to.
        feature_id: the metered feature.
        held: the last good figure, in the feature's units.
        offered: the new figure.
        aggregation: the meter's aggregation type, or None when unknown.
        offered_before: the figure that earlier runs offered and that was held back, or None.
        runs_before: how many runs in a row offered that figure, each `RUNS_APART` after the one that counted before it;
            this run counts only if it is `RUNS_APART` after the last of them, which otherwise is left out.
    """

    customer_id: str
    subscription_id: str
    feature_id: str
    held: Decimal
    offered: Decimal
    aggregation: str | None = None
    offered_before: Decimal | None = None
    runs_before: int = 0


def suspicious(fall: Fall, accept: frozenset[str] = frozenset()) -> bool:
    """Whether a lower figure is held back, so that the last good one stays.

    Runs that follow each other within hours, as retries do, count as one.

    A zero is believed in the third run that reports it. A lower figure of an aggregation that can only grow is
    believed when the next run reports the same or more (usage continues in between). Every other one is believed.

    Args:
        fall: the figure and its history.
        accept: customer ids, or "all", whose lower figures are believed at once (`--accept-lower`).
    """
    if accept & {"all", fall.customer_id}:
        return False
    if fall.offered == 0:
        return not (fall.offered_before == 0 and fall.runs_before >= ZERO_RUNS - 1)
    if fall.aggregation not in GROWING:
        return False
    before = fall.offered_before
    return not (before is not None and 0 < before <= fall.offered and fall.runs_before >= 1)


def believed(runs_before: int, customer_id: str, accept: frozenset[str]) -> bool:
    """Whether an answer that looks like a failure (vanished features, a slow zero) is believed by now.

    Args:
        runs_before: earlier runs in a row that got the same answer, as in `Fall`.
        customer_id: the customer that the answer is about.
        accept: customer ids, or "all", whose lower figures are believed at once (`--accept-lower`).
    """
    return bool(accept & {"all", customer_id}) or runs_before >= ZERO_RUNS - 1


def slow(elapsed: float) -> bool:
    """Whether an answer took so long, in seconds, that the server's query probably timed out (contract.md 11)."""
    return elapsed >= ANALYTICS_TIMEOUT
