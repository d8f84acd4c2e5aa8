"""Rows that are not taken in: a value that does not fit, a missing key, a key that occurs twice in one answer.

Promised: each becomes a `Reject` with its reason and its raw body. Never done: storing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from connector.api.grammar import UNREADABLE
from connector.tables.columns import Table
from connector.tables.decoded import Answer, Reject
from connector.tables.raw_json import fields_of, members_of
from connector.tables.rows import Rows
from connector.tables.schemas import CUSTOMER_INTEGRATIONS, CUSTOMERS, FEATURES, SUBSCRIPTIONS
from connector.tables.shapes import Misfit

__all__ = ["bad_keys", "id_in", "reject_of"]

_REPEATABLE = (CUSTOMERS, SUBSCRIPTIONS, CUSTOMER_INTEGRATIONS, FEATURES)  # read twice is no fault: the store keeps one
_id = msgspec.json.Decoder(str)


def bad_keys(table: Table, values: dict[str, list[Any]]) -> dict[int, Misfit]:
    """Return the rows without a key, or with a key that an earlier row of the batch has, by their index."""
    keys = list(zip(*(values[name] for name in table.key), strict=True))
    unique = len(set(keys)) == len(keys) or table in _REPEATABLE
    if unique and not any(None in key or "" in key for key in keys):
        return {}
    bad: dict[int, Misfit] = {}
    seen: set[Any] = set()
    for index, key in enumerate(keys):
        if None in key or "" in key:
            bad[index] = Misfit(table.key[-1], "", "the row has no key")
        elif key in seen and table not in _REPEATABLE:
            bad[index] = Misfit(table.key[-1], str(key[-1]), "the key stands twice in one answer")
        seen.add(key)
    return bad


def reject_of(table: Table, answer: Answer, misfit: Misfit, rows: Rows | None = None, index: int = 0) -> Reject:
    """Return the reject of one row.

    Args:
        table: the table that the row was for.
        answer: the answer that it came in.
        misfit: what does not fit.
        rows: the rows that it is one of; None when it was never decoded.
        index: its index in `rows`.
    """
    key = id_in(misfit.raw) if rows is None else rows.key_text(index)
    raw = answer.body
    if not answer.customer_id and key:  # of a page of a thousand, only the row
        raw = misfit.raw or _item(answer.body, key)
    shared = table is FEATURES  # a feature belongs to no single customer
    return Reject(
        table.name,
        "" if shared else answer.customer_id,
        key,
        misfit.field,
        misfit.value,
        misfit.reason,
        raw,
        answer.observed_at,
        "" if shared else answer.subscription_id,
    )


def id_in(raw: bytes) -> str:
    """Return the `id` of a JSON object, or "" when it has none."""
    try:
        return str(_id.decode(fields_of(raw).get("id", b'""')))
    except UNREADABLE:
        return ""


def _item(body: bytes, key: str) -> bytes:
    """The one member of a page that a reject is about, so that a page of 1000 is not stored for it."""
    named = f'"{key}"'.encode()
    return next((item for item in _items(body) if named in item), body)


@lru_cache(maxsize=1)  # a page of which every row is rejected is taken apart once
def _items(body: bytes) -> list[bytes]:
    return members_of(fields_of(body).get("items", b"[]"))
