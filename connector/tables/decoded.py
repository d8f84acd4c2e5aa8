"""Input and output of decoding, as plain data: an `Answer` goes in; `Decoded` tables and `Reject` rows come out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

__all__ = ["Answer", "Decoded", "Reject"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One body, and the call that it answers.

    Attributes:
        resource: name in `connector.tables.resources`.
        body: raw JSON.
        observed_at: the server's clock of the answer.
        customer_id: the customer of a per-customer call; "" for a listing page.
        subscription_id: the one subscription that was asked for; "" for the plain answer.
        counted: the subscription whose usage the plain answer counts; "" when unknown.
        period_start: `current_period_start` of the subscription that is counted.
        sole: the customer has no other subscription that counts.
    """

    resource: str
    body: bytes
    observed_at: datetime
    customer_id: str = ""
    subscription_id: str = ""
    counted: str = ""
    period_start: datetime | None = None
    sole: bool = True


@dataclass(slots=True)
class Reject:
    """A row that does not fit its table.

    Attributes:
        table: the table.
        owner: the customer of the call; "" for a listing page and for features.
        key: the row's key as text; "" when it has none.
        field: the field that does not fit; "" when the whole body does not.
        value: its value as text.
        reason: why it does not fit.
        raw: the body of the answer, or only the row where a page holds many.
        observed_at: the server's clock of the answer.
        subscription_id: the one subscription that was asked for, or "".
    """

    table: str
    owner: str
    key: str
    field: str
    value: str
    reason: str
    raw: bytes
    observed_at: datetime
    subscription_id: str = ""


@dataclass
class Decoded:
    """What a batch of bodies held.

    Attributes:
        tables: name -> Arrow table with every column of the schema but `run_id`.
        rejects: rows that did not fit.
        failed: index of each answer of which nothing could be used -> the reason.
        unknown: fields that the schema does not know -> how often they were seen.
        rows: per answer, rows in the resource's main table.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)
