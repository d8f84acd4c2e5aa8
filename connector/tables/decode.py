"""JSON bodies to Arrow tables: which list of which body fills which table.

Promised: every row of a good body arrives exactly; an unknown field goes to `extra`; a value that does not fit sends
its row, with the raw body and the reason, to the rejects, and leaves the other rows alone. Bodies are read by typed
decoders and columns are made whole (transposed, then cast); no Python code touches single cells.
Never done: I/O, floats, dropping something without a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from connector.tables.batch import Batch
from connector.tables.bodies import (
    CUSTOMER_PAGE,
    ENTITLEMENTS_BODY,
    FEATURE,
    GRANTS_BODY,
    SUBSCRIPTION_PAGE,
    USAGE_BODY,
)
from connector.tables.decoded import Answer, Decoded, Reject
from connector.tables.rejects import id_in
from connector.tables.rows import Rows
from connector.tables.schemas import (
    CUSTOMER_INTEGRATIONS,
    CUSTOMERS,
    ENTITLEMENT_BUCKETS,
    ENTITLEMENT_SOURCES,
    ENTITLEMENTS,
    FEATURES,
    SUBSCRIPTION_USAGE,
    SUBSCRIPTIONS,
    UPCOMING_GRANTS,
    USAGE,
    USAGE_SOURCES,
)
from connector.tables.shapes import EXTRA_FIELD, Misfit, json_text
from connector.tables.usage_sources import not_its_own

__all__ = ["Answer", "Decoded", "Reader", "Reject"]

_FEATURED = {"usage": USAGE_BODY, "entitlements": ENTITLEMENTS_BODY}  # bodies with features in a list `features`


_SENT, _YEAR_2 = "9999", "0002"  # year 1 means "never" (contract.md 6.1)


class Reader:
    """Decodes batches of answers. It remembers the features that it has seen, so that each content is decoded once.

    One thread at a time may use a reader.

    Args:
        features_apart: `read` gives out no features; the caller takes them from `features`, in the order of arrival.
    """

    def __init__(self, *, features_apart: bool = False) -> None:
        self._features_apart = features_apart
        self._features: dict[bytes, tuple[str, Any]] = {}  # raw feature -> id, row
        self._emitted: dict[str, bytes] = {}  # id -> the raw feature that was given out last

    def read(self, answers: Sequence[Answer]) -> Decoded:
        """Decode answers of one resource into the tables that it fills.

        Args:
            answers: all of the same resource.

        Returns:
            Tables of 0..n rows each. No body that a server may send makes it raise.
        """
        readers: dict[str, Callable[[Sequence[Answer]], Decoded]] = {
            "customers": self._customers,
            "subscriptions": self._subscriptions,
            "usage": self._usage,
            "entitlements": self._entitlements,
            "upcoming_grants": self._grants,
        }
        return readers[answers[0].resource](answers)

    def features(self, answers: Sequence[Answer]) -> Decoded:
        """Decode only the features of answers, which may be of several resources.

        Args:
            answers: in the order of their arrival; those without features, or that cannot be read, are passed over.

        Returns:
            The table `features`: what is new or another content than the last one of that id, so that an edit that is
            taken back arrives too. Of several contents with one `updated_at` only the last is in it.
        """
        batch, entries = Batch(answers, FEATURES), Rows(FEATURES)
        for index, answer in enumerate(answers):
            found = _raw_features(answer)
            entries.raws += found
            entries.owners += [index] * len(found)
        self._know(batch, entries)
        batch.table(FEATURES, self._new_features(entries))
        return batch.decoded

    # --- listings ---

    def _customers(self, answers: Sequence[Answer]) -> Decoded:
        batch = Batch(answers, CUSTOMERS)
        customers = batch.items(CUSTOMER_PAGE, "items")
        batch.table(CUSTOMERS, customers)
        batch.table(CUSTOMER_INTEGRATIONS, customers.exploded("integrations"))
        return batch.decoded

    def _subscriptions(self, answers: Sequence[Answer]) -> Decoded:
        batch = Batch(answers, SUBSCRIPTIONS)
        found = batch.items(SUBSCRIPTION_PAGE, "items")
        for row in found.structs:  # `customer` is always null unless expanded; if not, keep it
            if json_text(row.customer):
                setattr(row, EXTRA_FIELD, {**(getattr(row, EXTRA_FIELD) or {}), "customer": row.customer})
        batch.table(SUBSCRIPTIONS, found)
        return batch.decoded

    # --- per customer ---

    def _usage(self, answers: Sequence[Answer]) -> Decoded:
        batch = Batch(answers, USAGE)
        entries = batch.items(USAGE_BODY, "features", not_its_own)
        entries.put("feature_id", self._feature_ids(batch, entries))
        asked = [answers[i].subscription_id for i in entries.owners]
        counted = [s or _first_source(row) for s, row in zip(asked, entries.structs, strict=True)]
        entries.put("subscription_id", counted)
        starts = [
            answers[i].period_start if s == (answers[i].subscription_id or answers[i].counted) else None
            for i, s in zip(entries.owners, counted, strict=True)
        ]
        entries.put("current_period_start", starts)
        entries.put("never_resets", [(row.next_usage_reset_at or _SENT) < _YEAR_2 for row in entries.structs])
        plain = [not s for s in asked]
        main = entries.where(plain)
        batch.table(USAGE, main)
        batch.table(USAGE_SOURCES, main.exploded("sources"))
        batch.table(SUBSCRIPTION_USAGE, entries.where([not p for p in plain]))
        batch.copy_sole_usage()
        self._give_out_features(batch, entries)
        return batch.decoded

    def _entitlements(self, answers: Sequence[Answer]) -> Decoded:
        batch = Batch(answers, ENTITLEMENTS)
        entries = batch.items(ENTITLEMENTS_BODY, "features")
        entries.put("feature_id", self._feature_ids(batch, entries))
        batch.table(ENTITLEMENTS, entries)
        batch.table(ENTITLEMENT_SOURCES, entries.exploded("sources"))
        batch.table(ENTITLEMENT_BUCKETS, entries.exploded("entitlement.buckets"))
        self._give_out_features(batch, entries)
        return batch.decoded

    def _grants(self, answers: Sequence[Answer]) -> Decoded:
        batch = Batch(answers, UPCOMING_GRANTS)
        grants = batch.items(GRANTS_BODY, "items")
        for row in grants.structs:
            row.retry_count = row.retry_count or 0  # omitted when 0 (contract.md 6.5)
        batch.table(UPCOMING_GRANTS, grants)
        return batch.decoded

    # --- features: the same few objects in every body ---

    def _feature_ids(self, batch: Batch, entries: Rows) -> list[str | None]:
        entries.raws = [bytes(row.feature) for row in entries.structs]
        self._know(batch, entries)
        return [self._features[raw][0] or None for raw in entries.raws]

    def _know(self, batch: Batch, entries: Rows) -> None:
        for raw, owner in zip(entries.raws, entries.owners, strict=True):
            if raw not in self._features:
                self._features[raw] = self._read_feature(batch, raw, owner)

    def _read_feature(self, batch: Batch, raw: bytes, owner: int) -> tuple[str, Any]:
        try:
            row, _ = FEATURE.read(raw or b"null")
        except Misfit as misfit:
            misfit.raw = raw
            batch.reject(FEATURES, owner, misfit)
            return id_in(raw), None
        return row.id or "", row

    def _give_out_features(self, batch: Batch, entries: Rows) -> None:
        if not self._features_apart:
            batch.table(FEATURES, self._new_features(entries))

    def _new_features(self, entries: Rows) -> Rows:
        last: dict[tuple[str, Any], tuple[Any, int]] = {}
        for raw, owner in zip(entries.raws, entries.owners, strict=True):
            id, row = self._features[raw]
            if row is not None and self._emitted.get(id) != raw:
                self._emitted[id] = raw
                last[id, row.updated_at] = row, owner
        fresh = Rows(FEATURES)
        fresh.structs = [row for row, _ in last.values()]
        fresh.owners = [owner for _, owner in last.values()]
        return fresh


def _raw_features(answer: Answer) -> list[bytes]:
    shape = _FEATURED.get(answer.resource)
    try:
        found = shape.read(answer.body)[0].features if shape else None
    except Misfit:
        return []
    return [bytes(row.feature) for row in found or ()]


def _first_source(row: Any) -> str:
    return (row.sources[0].subscription_id or "") if row.sources else ""
