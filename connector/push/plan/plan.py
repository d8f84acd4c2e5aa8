"""A file against the account, in batches: every row becomes one `Entry`.

Promised: nothing is decided from the file alone; customers are looked up a thousand a call, several batches ahead, and
entries come in the order of the file. Never done: writing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from connector.api.calls import PAGE
from connector.push.account.customer import Customer, Send
from connector.push.file.row import Row
from connector.push.file.rows import Rows
from connector.push.file.rules import EXCUSABLE
from connector.push.plan.decide import decided, invalid
from connector.push.plan.entry import Entry
from connector.push.plan.lookup import find
from connector.push.plan.options import Options

__all__ = ["planned"]

AHEAD = 8  # batches that are looked up while an earlier one is decided


async def planned(
    rows: Rows,
    options: Options,
    send: Send,
    only: Mapping[int, str] | None = None,
    met: Callable[[Sequence[tuple[Row, Customer]]], object] | None = None,
) -> AsyncIterator[list[Entry]]:
    """Decide every row, in the order of the file, a batch of a thousand at a time.

    Args:
        rows: checked rows (`Rows.check` has run, so duplicates are known).
        options: how to match and merge.
        send: makes one call; reads only.
        only: line → external_id: decide these rows alone, as rows of that external_id.
        met: hears of the rows of each batch that meet an existing customer, each with that.

    Yields:
        Entries of a batch, `unchanged` ones among them.

    Raises:
        Refused: a look-up was answered with something else.
    """
    waiting: deque[asyncio.Task[list[Entry]]] = deque()
    batches = _batches(rows.as_given() if only is None else _chosen(rows.as_given(), only))
    try:
        while True:
            for batch in islice(batches, AHEAD - len(waiting)):
                waiting.append(asyncio.ensure_future(_decide(batch, rows, options, send, met)))
            if not waiting:
                return
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _chosen(rows: Iterable[Row], only: Mapping[int, str]) -> Iterator[Row]:
    for row in rows:
        if row.line in only:
            row.external_id = only[row.line]
            yield row


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Batches that take one look-up each: a thousand rows that need one."""
    batch: list[Row] = []
    asked = 0
    for row in rows:
        batch.append(row)
        asked += _lookable(row)
        if asked >= PAGE or len(batch) >= 4 * PAGE:
            yield batch
            batch, asked = [], 0
    if batch:
        yield batch


def _lookable(row: Row) -> bool:
    """Whether a row is looked up: it has no fault, or only faults that vanish when the server holds the same value."""
    return all(fault.rule in EXCUSABLE for fault in row.faults)


async def _decide(
    batch: Sequence[Row],
    rows: Rows,
    options: Options,
    send: Send,
    met: Callable[[Sequence[tuple[Row, Customer]]], object] | None,
) -> list[Entry]:
    found = await find([row for row in batch if _lookable(row)], options, send)
    if met is not None:
        keys = ((row, getattr(row, options.match)) for row in batch)
        met([(row, found.by_key[key]) for row, key in keys if key in found.by_key and _lookable(row)])
    return [
        decided(row, found, options, rows.columns) if _lookable(row) else invalid(row, row.faults, rows)
        for row in batch
    ]
