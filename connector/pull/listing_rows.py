"""What a walk reads of a page: each row's id and moments, and the server's total.

Promised: a row that does not fit (an id that is no text, a moment that no calendar has, a lone surrogate in any field)
costs that row, never the page, and never the rows beside it; a total that was not sent, or is no number, is None and
not 0. A body that is torn, or is no page, raises. Never done: I/O; decoding more than ids, moments and the total;
rejecting rows (`connector.tables` does, with the reason).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from connector.api.grammar import UNREADABLE, refuse_torn
from connector.tables.raw_json import fields_of, members_of

__all__ = ["PageRow", "PageRows", "environment_of", "read_page"]

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # a moment without a zone is none
_NEVER = datetime(2, 1, 1, tzinfo=UTC)  # Go's zero time is year 1: "never" (contract.md 6.1)


class PageRow(msgspec.Struct, frozen=True, gc=False):
    """One row of a page.

    Attributes:
        id: its id.
        created_at: None when it was not sent, or cannot be read.
        updated_at: likewise.
    """

    id: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: _Moment | None = None
    updated_at: _Moment | None = None


class PageRows(msgspec.Struct, frozen=True):
    """The rows of a page.

    Attributes:
        rows: those with an id, in the server's order.
        misfits: number of further rows that have no readable id.
        total: the server's count of all rows that the question matches; None when it did not say.
    """

    rows: tuple[PageRow, ...]
    misfits: int = 0
    total: int | None = None


class _Pagination(msgspec.Struct, gc=False):
    total: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Page(msgspec.Struct):
    items: tuple[PageRow, ...]
    pagination: _Pagination | None = None


_page = msgspec.json.Decoder(_Page)
_row = msgspec.json.Decoder(PageRow)
_id = msgspec.json.Decoder(Annotated[str, msgspec.Meta(min_length=1)])
_moment = msgspec.json.Decoder(_Moment | None)
_total = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0)] | None, strict=False)


def read_page(body: bytes) -> PageRows:
    """Read the ids, moments and total of a page.

    Args:
        body: a listing's answer (contract.md 3.2).

    Returns:
        Its rows; ``len(rows) + misfits`` is the number of items that it holds.

    Raises:
        msgspec.DecodeError: the body is torn, or has no list of items.
    """
    try:
        page = _page.decode(body)
    except UNREADABLE:
        return _read_by_row(body)
    rows = page.items
    if any(_is_never(row.created_at) or _is_never(row.updated_at) for row in rows):
        rows = tuple(PageRow(row.id, _known(row.created_at), _known(row.updated_at)) for row in rows)
    return PageRows(rows, 0, page.pagination.total if page.pagination else None)


def environment_of(body: bytes) -> str:
    """Return the environment of a page's first row that names one; "" where none does.

    Args:
        body: a listing's answer.

    Raises:
        msgspec.DecodeError: the body is torn, or has no list of items.
    """
    for raw in _items(body)[1]:
        try:
            named = _id.decode(fields_of(raw).get("environment_id", b"null"))
        except UNREADABLE:
            continue
        return str(named)
    return ""


def _read_by_row(body: bytes) -> PageRows:
    fields, items = _items(body)
    read = [_read_row(raw) for raw in items]
    rows = tuple(row for row in read if row is not None)
    return PageRows(rows, len(read) - len(rows), _total_in(fields.get("pagination", b"null")))


def _items(body: bytes) -> tuple[dict[str, bytes], list[bytes]]:
    """Return the fields of a page, and the members of its list of items."""
    refuse_torn(body)
    fields = fields_of(body)
    if "items" not in fields:
        raise msgspec.DecodeError("the body has no list 'items'")
    return fields, members_of(fields["items"])


def _read_row(raw: bytes) -> PageRow | None:
    """Read one row; None when it has no id."""
    try:
        row = _row.decode(raw)
        return PageRow(row.id, _known(row.created_at), _known(row.updated_at))
    except UNREADABLE:
        pass
    try:
        fields = fields_of(raw)
        named = _id.decode(fields.get("id", b"null"))
    except UNREADABLE:
        return None
    created_at, updated_at = (_or_none(_moment, fields.get(name)) for name in ("created_at", "updated_at"))
    return PageRow(named, _known(created_at), _known(updated_at))


def _total_in(pagination: bytes) -> int | None:
    try:
        found: int | None = _or_none(_total, fields_of(pagination).get("total"))
    except UNREADABLE:
        return None
    return found


def _or_none(decoder: msgspec.json.Decoder[Any], raw: bytes | None) -> Any:
    try:
        return None if raw is None else decoder.decode(raw)
    except UNREADABLE:
        return None


def _is_never(moment: datetime | None) -> bool:
    return moment is not None and moment < _NEVER


def _known(moment: datetime | None) -> datetime | None:
    return None if _is_never(moment) else moment
