"""Work items: one call that a run has to make, and its result.

Promised: plain data, shared by the queue (store), the fan-out (pull) and the streaming reader.
Never done: I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.tables.decode import Answer

__all__ = ["Item", "Result", "answer_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One call to be made.

    Attributes:
        item: number within the run.
        resource: name in `connector.tables.resources`.
        customer_id: the customer it asks about.
        subscription_id: the one subscription that it asks about, or "" for all.
        why: the reason for the call: active, left, audit or all.
        counted: the customer's newest active subscription, whose usage the answer holds, or "".
        period_start: of that subscription.
        sole: the customer has at most one active subscription.
        fresh: the store has no answer of this customer and resource yet.
        context: what decides the rows besides the body; part of the body's hash.
        same_context: the context is that of the last good answer.
        previous_hash: hash of the last good body, or None.
        previous_rows: rows of the last good answer, or None.
        state: pending at first; again when it is made a second time.
    """

    item: int
    resource: str
    customer_id: str
    subscription_id: str
    why: str
    counted: str
    period_start: datetime | None
    sole: bool
    fresh: bool
    context: str
    same_context: bool
    previous_hash: bytes | None
    previous_rows: int | None
    state: str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one item.

    Attributes:
        item: the call.
        body: raw JSON of a 2xx answer, or None.
        observed_at: when it was answered, by the server's clock.
        seconds: how long the answer took, in seconds.
        error: why there is no body.
        status: HTTP status of a refusal; 0 when no answer came.
        began: `time.monotonic` when the exchange that was answered started, in seconds; 0 when nobody measured it.
        ended: the same when it was complete.
    """

    item: Item
    body: bytes | None
    observed_at: datetime
    seconds: float = 0.0
    error: str = ""
    status: int = 0
    began: float = 0.0
    ended: float = 0.0


def answer_of(result: Result) -> Answer:
    """Combine a result's body with its item, for `connector.tables.decode`."""
    item = result.item
    return Answer(
        item.resource,
        result.body or b"",
        result.observed_at,
        item.customer_id,
        item.subscription_id,
        item.counted,
        item.period_start,
        item.sole,
    )
