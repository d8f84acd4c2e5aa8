"""Customers that exist and that a file does not name: candidates for the archive.

Promised: only published customers are considered. A customer with a subscription that is not cancelled is a conflict,
because the server would refuse some of these and archive others that still run (contract.md 5.4). A customer that
shares an external_id or an id with a row of the file is left alone. Never done: archiving.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Set

from connector.push.account.customer import Customer, Send, everybody, fingerprint
from connector.push.account.subscribed import subscribed
from connector.push.file.rows import Rows
from connector.push.plan.entry import Entry

__all__ = ["missing", "named"]


def named(rows: Rows) -> Set[int]:
    """Hashes of every id and external_id of a file. A collision can only spare a customer, never archive one."""
    found: set[int] = set()
    for row in rows:
        found.update(hash(key) for key in (row.external_id, row.id) if key)
    return found


async def missing(known: Set[int], send: Send) -> AsyncIterator[list[Entry]]:
    """Walk all published customers and plan an archive for those that the file does not name.

    Args:
        known: see `named`.
        send: makes one call; reads only.

    Yields:
        archive and conflict entries, a page at a time.
    """
    seen: set[str] = set()
    async for customers in everybody(send):
        strangers = [c for c in customers if c.id not in seen and not _named(c, known)]
        seen.update(customer.id for customer in strangers)
        busy = await subscribed(send, [customer.id for customer in strangers])
        yield [_archive(customer, busy.get(customer.id, "")) for customer in strangers]


def _named(customer: Customer, known: Set[int]) -> bool:
    return hash(customer.external_id) in known or hash(customer.id) in known


def _archive(customer: Customer, subscription: str) -> Entry:
    if subscription:
        why = f"not in the file, but it has a subscription ({subscription}): cancel that first."
        return Entry("conflict", 0, customer.external_id, customer.id, why=why)
    return Entry("archive", 0, customer.external_id, customer.id, precondition=fingerprint(customer))
