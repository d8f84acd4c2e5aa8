"""Which columns tell something about a person, and which column says whose row it is.

Promised: whatever free text the account or the person writes is personal, fields that this version does not know
included; ids that FlexPrice made, states, plans, figures and times are not. Never done: blanking (see
`connector.store.erasure` and `connector.store.tombstones`).
"""

from __future__ import annotations

from connector.tables.columns import Table
from connector.tables.histories import HISTORIES, origin

__all__ = ["personal", "whose"]

_EVERYWHERE = {"metadata", "extra", "created_by", "updated_by"}
_OF_CUSTOMERS = """external_id name email contact address_line1 address_line2 address_city address_state
    address_postal_code address_country timezone"""
_ALSO = {
    # external_id is the account's own name of the person; many accounts put an e-mail address there.
    "customers": {*_OF_CUSTOMERS.split()},
    "customer_integrations": {"provider_entity_id"},
    "subscriptions": {"lookup_key", "gateway_payment_method_id", "timezone"},
    "upcoming_grants": {"application_reason", "failure_reason", "idempotency_key"},
}
_WHOSE = {"customers": "id", "customer_integrations": "entity_id", "features": ""}


def personal(table: Table) -> tuple[str, ...]:
    """Return the columns of a table or history that are blanked when its customer is forgotten."""
    base = _base(table)
    also = _ALSO.get(base, set())
    return tuple(c.name for c in table.columns if whose(table) and c.name in _EVERYWHERE | also)


def whose(table: Table) -> str:
    """Return the column of a table or history that holds the customer's id; "" where rows belong to no customer."""
    return _WHOSE.get(_base(table), "customer_id")


def _base(table: Table) -> str:
    return origin(table.name)[0] if table.name in HISTORIES else table.name
