"""Integrations of customers that an answer of this run did not name, though it was asked for them.

A server that does not know `expand` ignores it: it answers 200 without the key, as it does for a customer that has no
integration (contract.md 3.9). Promised: no page deletes an integration; one that answers left out is noted in
flexsync.met until an answer names it, or the run has seen how many there are. Never done: opening or committing a
transaction; deciding how many are believable.
"""

from __future__ import annotations

import pyarrow as pa

from connector.store.counts import Counts
from connector.store.database import Database, changed, count, registered, rows

MISSING = "customer_integrations, missing"  # the name under which flexsync.met holds them

_STILL = f"""FROM customer_integrations t WHERE id IN (SELECT id FROM flexsync.met WHERE resource = '{MISSING}')"""


def note(db: Database, customers: pa.Table, named: pa.Table) -> None:
    """Note the integrations of a page's customers that it does not name, in place of what was noted of them before.

    Args:
        db: the connection, inside a transaction.
        customers: of the page, which was asked for integrations.
        named: the page's integrations; they are stored already.
    """
    with registered(db, page=customers.select(["id"]), named=named.select(["id"])):
        theirs = "SELECT t.id FROM customer_integrations t WHERE entity_id IN (SELECT id FROM page)"
        db.execute(f"DELETE FROM flexsync.met WHERE resource = '{MISSING}' AND id IN ({theirs})")
        db.execute(f"INSERT INTO flexsync.met SELECT '{MISSING}', id FROM ({theirs}) WHERE id NOT IN (FROM named)")


def missing(db: Database) -> list[tuple[str, str]]:
    """Return the integrations that answers left out and that are stored, each with its customer, in order."""
    return [(str(id), str(customer)) for id, customer in rows(db, f"SELECT id, entity_id {_STILL} ORDER BY id")]


def all_stored(db: Database) -> int:
    """Return the number of integrations that are stored."""
    return count(db, "SELECT count(*) FROM customer_integrations")


def delete_missing(db: Database, counts: Counts) -> None:
    """Delete the integrations that answers left out."""
    counts.deleted["customer_integrations"] += changed(db, f"DELETE {_STILL}")
