"""List answers that hold less than was asked for, as behind a gateway with limits of its own.

Promises that rows are cut from the end of a page only, and that each row's bytes stay as they were. To add one: a field
in `switches.Faults`, a function here, its place in PAGES.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import msgspec

from connector.sandbox.faults.draw import Draw
from connector.sandbox.replies import Reply, encode

__all__ = ["PAGES"]

PAGED = ("list", "search", "subscriptions")
"""The routes that answer pages."""
LISTS = (*PAGED, "grants")
"""All routes whose answers have `pagination`."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


def cap(draw: Draw, reply: Reply) -> None:
    """No more than so many rows, whatever the limit."""
    if draw.faults.cap and draw.route in PAGED and reply.status == 200:
        _keep(reply, lambda rows: draw.faults.cap)


def cap_bytes(draw: Draw, reply: Reply) -> None:
    """No more rows than so many bytes hold, commas included; one row at least."""
    most = draw.faults.cap_bytes
    if most and draw.route in PAGED and reply.status == 200:
        _keep(reply, lambda rows: max(1, sum(end <= most for end in accumulate(len(bytes(r)) + 1 for r in rows))))


def no_pagination(draw: Draw, reply: Reply) -> None:
    """A list without its total."""
    if draw.faults.no_pagination and draw.route in LISTS and reply.status == 200:
        reply.body = encode({key: value for key, value in _members(reply.body).items() if key != "pagination"})


def _keep(reply: Reply, count: Callable[[list[msgspec.Raw]], int]) -> None:
    """Cut a page to its first `count(rows)` rows."""
    page = _members(reply.body)
    rows = _rows(page["items"])
    kept = rows[: count(rows)]
    reply.body = encode({**page, "items": kept})


PAGES: tuple[Callable[[Draw, Reply], None], ...] = (cap, cap_bytes, no_pagination)
"""Applied in this order."""
