r"""The account's published customers as a file that can be edited and planned, and the template of such a file.

Promised: a plan of an unedited export changes nothing: every value comes back as it was. Texts that look like ``\N``
are escaped; metadata that a column cannot hold (an empty value, a key that is no plain header) goes to a JSON column.
Never done: writing to the server, neutralising formulas (the file is data; see `connector.push.apply.results`).
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Literal

import msgspec

from connector.api.fields import FIELDS, TEXTS
from connector.push.account.customer import Customer, Send, everybody
from connector.push.file.cells import escaped
from connector.push.file.delimited import DELIMITERS
from connector.push.file.record import quoted

__all__ = ["COLUMNS", "Metadata", "explained", "exported", "template"]

Metadata = Literal["auto", "columns", "json"]
COLUMNS = ("id", *TEXTS)
_OTHERS = frozenset(DELIMITERS[1:])
MOST_COLUMNS = 50  # metadata keys that become columns of their own by default; more make one JSON column


_customer = msgspec.json.Decoder(Customer).decode
_encode = msgspec.json.Encoder().encode


async def exported(send: Send, metadata: Metadata = "auto") -> AsyncIterator[str]:
    """All published customers as CSV, oldest first.

    Args:
        send: makes one call.
        metadata: columns, json, or auto: columns up to fifty keys.

    Yields:
        The header, then one record a customer.
    """
    with tempfile.TemporaryFile() as kept:  # the header names all metadata keys, so all customers come first
        keys, exact = await _collect(send, kept)
        if metadata == "json" or (metadata == "auto" and len(keys) > MOST_COLUMNS):
            keys, exact = [], False
        names = [f"metadata.{key}" for key in keys]
        header = [*COLUMNS, *names] if exact and (keys or metadata == "columns") else [*COLUMNS, *names, "metadata"]
        yield quoted(header)
        kept.seek(0)
        for line in kept:
            yield _record(_customer(line), keys, "metadata" in header)


async def _collect(send: Send, kept: IO[bytes]) -> tuple[list[str], bool]:
    """Keep every customer once; returns the keys that can be columns, and whether they hold all metadata."""
    keys: set[str] = set()
    exact = True
    seen: set[str] = set()  # pages may repeat rows
    async for customers in everybody(send):
        for customer in customers:
            if customer.id in seen:
                continue
            seen.add(customer.id)
            kept.write(_encode(customer) + b"\n")
            fitting = {key for key, value in (customer.metadata or {}).items() if _fits(key, value)}
            exact = exact and len(fitting) == len(customer.metadata or {})
            keys |= fitting
    return sorted(keys), exact


def _fits(key: str, value: str) -> bool:
    """Whether a cell of a ``metadata.KEY`` column can hold the pair.

    A blank cell would mean "leave alone"; spaces around a header are ignored, and other delimiters in it could be
    mistaken for the file's.
    """
    return bool(value and key) and key.isprintable() and key == key.strip() and _OTHERS.isdisjoint(key)


def _record(customer: Customer, keys: list[str], json: bool) -> str:
    cells = [escaped(getattr(customer, name) or "") for name in COLUMNS]
    stored = customer.metadata or {}
    cells += [escaped(stored.get(key, "")) for key in keys]
    if json:
        rest = {key: value for key, value in stored.items() if key not in keys or not _fits(key, value)}
        cells.append(_encode(rest).decode() if rest else "")
    return quoted(cells)


def template(keys: tuple[str, ...] = ("tier",)) -> str:
    """The header of an empty file with every column."""
    return quoted([*TEXTS, *(f"metadata.{key}" for key in keys)])


def explained() -> Iterator[str]:
    """What each column means, a line each."""
    yield "Columns of a customer file. The order is free; leave out what you do not need. UTF-8, one customer a line."
    yield ""
    yield "Blank cell: leave the field alone.  \\N: clear it.  \\\\N: the text \\N itself.  Nothing is trimmed."
    yield ""
    for name, field in FIELDS.items():
        size = f"at most {field.octets} bytes in UTF-8" if field.octets else f"at most {field.characters} characters"
        more = "needed" if field.required else ""
        more += "; " * bool(more) + ("can be cleared" if field.clearable else "cannot be cleared")
        yield f"{name:<20} {field.meaning} ({size}; {more}). Example: {field.example}"
    yield f"{'metadata.KEY':<20} one free key a column, such as metadata.tier. \\N removes the key. Example: gold"
    yield f'{"metadata":<20} or a JSON object of texts; null removes a key. Example: {{"tier": "gold"}}'
    yield f"{'id':<20} the server's id: identifies the customer with --match id, else must agree. Blank for new ones."
    yield ""
    yield "metadata.gstin, metadata.pan and metadata.hsn_sac are checked by the server: Indian tax numbers."
