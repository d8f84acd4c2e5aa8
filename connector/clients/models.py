"""What the operations return, for annotations too: answers that give Arrow tables and DataFrames, and what they hold.

Promised: `to_arrow` has the columns, types and comments of the tables of a sync (docs/tables.md), without `run_id`. It
is made from the server's own body, so fields that this version does not know stand in `extra`. Never done: a call.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, TypeVar

import msgspec

from connector.api import models
from connector.api.fields import Object
from connector.api.models import (
    Aggregation,
    Bucket,
    Customer,
    Entitlement,
    Feature,
    FeatureEntitlement,
    FeatureUsage,
    Grant,
    Integration,
    Meter,
    MeterFilter,
    Pagination,
    ReportingUnit,
    Source,
    Subscription,
)
from connector.errors import FixInput

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "Aggregation", "Bucket", "Customer", "CustomerPage", "Entitlement", "Entitlements", "Feature", "FeatureEntitlement",
    "FeatureUsage", "Grant", "Integration", "Meter", "MeterFilter", "Pagination", "ReportingUnit", "Result", "Source",
    "Subscription", "SubscriptionPage", "UpcomingGrants", "UsageSummary",
]  # fmt: skip

R = TypeVar("R", bound="Result")


class Received(msgspec.Struct, frozen=True):
    """The answer that a result was read from."""

    body: bytes
    observed_at: datetime
    customer_id: str


class Result(Object, frozen=True, kw_only=True, dict=True):
    """An answer with rows."""

    resource: ClassVar[str] = ""
    tables: ClassVar[tuple[str, ...]] = ()
    """Names of the tables that it can give; the first one is its own."""

    def to_arrow(self, table: str = "") -> pa.Table:
        """Return its rows as an Arrow table, as a sync would store them, without `run_id`.

        Args:
            table: one of `tables`; by default the first.

        Raises:
            FixInput: no such table, or the result was not received from a server.
            Refused: a row does not fit its table.
        """
        from connector.tables.decode import Answer, Reader
        from connector.tables.streamed import fitting, schema_of

        table = table or self.tables[0]
        if table not in self.tables:
            raise FixInput(f"{type(self).__name__} has no table {table!r}.", remedy=f"It has {', '.join(self.tables)}.")
        source = self._received()
        answer = Answer(self.resource, source.body, source.observed_at, source.customer_id)
        return fitting(Reader().read([answer]), table).cast(schema_of(table))

    def to_pandas(self, table: str = "") -> pd.DataFrame:
        """Return its rows as a DataFrame; decimals stay exact, metadata becomes dictionaries. Raises as `to_arrow`.

        Args:
            table: one of `tables`; by default the first.
        """
        return self.to_arrow(table).to_pandas(maps_as_pydicts="strict")

    def _received(self) -> Received:
        source = self.__dict__.get("received")
        if not isinstance(source, Received):
            raise FixInput("this result was made by hand or copied.", remedy="Take the one that the client returned.")
        return source


def received(result: R, body: bytes, observed_at: datetime, customer_id: str = "") -> R:
    """Note on a result which body it was read from, and return it."""
    result.__dict__["received"] = Received(body, observed_at, customer_id)
    return result


class CustomerPage(Result, models.CustomerPage, frozen=True, kw_only=True):
    """One page of customers; `pagination.offset` is the next page's (contract.md 3.2)."""

    resource: ClassVar[str] = "customers"
    tables: ClassVar[tuple[str, ...]] = ("customers", "customer_integrations")


class SubscriptionPage(Result, models.SubscriptionPage, frozen=True, kw_only=True):
    """One page of subscriptions."""

    resource: ClassVar[str] = "subscriptions"
    tables: ClassVar[tuple[str, ...]] = ("subscriptions",)


class UsageSummary(Result, models.UsageSummary, frozen=True, kw_only=True):
    """What a customer has used; a snapshot, not a history (contract.md 6.1)."""

    resource: ClassVar[str] = "usage"
    tables: ClassVar[tuple[str, ...]] = ("usage", "usage_sources", "features")


class Entitlements(Result, models.Entitlements, frozen=True, kw_only=True):
    """What a customer may use (contract.md 6.2)."""

    resource: ClassVar[str] = "entitlements"
    tables: ClassVar[tuple[str, ...]] = ("entitlements", "entitlement_sources", "entitlement_buckets", "features")


class UpcomingGrants(Result, models.UpcomingGrants, frozen=True, kw_only=True):
    """All grants that are due, earliest first; there is no paging (contract.md 6.5)."""

    resource: ClassVar[str] = "upcoming_grants"
    tables: ClassVar[tuple[str, ...]] = ("upcoming_grants",)
