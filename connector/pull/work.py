"""Work items: one call that a run owes, and what came of it.

Promised: plain data, so that the queue (store), the fan-out (pull) and the streaming reader speak of the same thing.
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
        customer_id: whom it asks about.
        subscription_id: the one subscription asked for, or "".
        why: active, left, audit or all.
        counted: the customer's newest subscription that counts, or "".
        period_start: of the subscription that is counted.
        sole: the customer has at most one subscription that counts.
        fresh: nothing of this customer and resource is in the store yet.
        context: what besides the body decides the rows; part of the body's hash.
        same_context: it is what it was at the last good answer.
        previous_hash: hash of the last good body, or None.
        previous_rows: rows of the last good answer, or None.
        state: pending at first; again where it is asked a second time.
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
    """What became of one item.

    Attributes:
        item: the call.
        body: raw JSON of a 2xx answer, or None.
        observed_at: the server's clock.
        seconds: how long the answer took.
        error: why there is none.
        status: HTTP status of a refusal; 0 when there was no answer.
    """

    item: Item
    body: bytes | None
    observed_at: datetime
    seconds: float = 0.0
    error: str = ""
    status: int = 0


def answer_of(result: Result) -> Answer:
    """Put a result's body and its item together, for the reader."""
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
