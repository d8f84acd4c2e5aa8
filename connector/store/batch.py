"""A batch: the answers of one resource that are ingested together, with the rows decoded from their bodies.

Never done: SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from connector.pull.work import Result
from connector.tables.decode import Decoded

UTC_MICROSECONDS = pa.timestamp("us", "UTC")
_TYPES = {"observed_at": UTC_MICROSECONDS, "trusted_until": UTC_MICROSECONDS, "body_hash": pa.binary()}


@dataclass(frozen=True)
class Batch:
    """Answers of one resource and what they hold.

    Attributes:
        resource: name in `connector.tables.resources`.
        results: the answers; each has a body. The other parts of the store refer to one by its index here.
        decoded: the rows of their bodies.
        final: whether this was the second and last attempt at these calls.
    """

    resource: str
    results: Sequence[Result]
    decoded: Decoded
    final: bool

    @cached_property
    def index(self) -> dict[tuple[str, str], int]:
        """(customer, subscription asked for or "") -> index of the answer."""
        return {(r.item.customer_id, r.item.subscription_id): i for i, r in enumerate(self.results)}

    @cached_property
    def customers_with_rejects(self) -> frozenset[str]:
        """Customers with a row that does not fit its table."""
        return frozenset(reject.owner for reject in self.decoded.rejects)


def keys(results: Sequence[Result], **more: list[Any]) -> pa.Table:
    """Return an Arrow table (customer_id, resource, subscription_id) of answers, with more columns if given."""
    columns: dict[str, Any] = {
        "customer_id": pa.array([r.item.customer_id for r in results], pa.string()),
        "resource": pa.array([r.item.resource for r in results], pa.string()),
        "subscription_id": pa.array([r.item.subscription_id for r in results], pa.string()),
    }
    columns.update({name: pa.array(values, _TYPES.get(name)) for name, values in more.items()})
    return pa.table(columns)
