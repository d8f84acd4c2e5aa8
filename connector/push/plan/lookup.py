"""What the account holds of one batch of rows: their customers, and other customers that the rows affect.

Promised: reads only, and only the look-ups that the options and rows need. Never done: deciding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.push.account.customer import Customer, Send, look_up
from connector.push.file.damage import tidy
from connector.push.file.row import Row
from connector.push.plan.options import Options

__all__ = ["Found", "find"]


@dataclass
class Found:
    """What the server holds of a batch.

    Attributes:
        by_key: external_id or id (see `Options.match`) → published customer.
        archived: external_id or id → archived customer.
        holders: external_id → published customer that has it; only where rows match by id.
        near: external_id without invisible differences → published customer that has it.
    """

    by_key: dict[str, Customer]
    archived: dict[str, Customer]
    holders: dict[str, Customer]
    near: dict[str, Customer] = field(default_factory=dict)


async def find(asked: Sequence[Row], options: Options, send: Send) -> Found:
    """Read the customers of a batch, and the others that its rows affect.

    Archived customers are looked up only for rows without a published customer: by external_id as namesakes of a new
    customer, by id to say what became of it. Holders of an external_id are looked up only for rows that match by id and
    have another external_id than their customer.

    Args:
        asked: rows that can be looked up.
        options: how to match and merge.
        send: makes one call; reads only.

    Raises:
        Refused: see `look_up`.
    """
    match, creates = options.match, options.mode != "update"
    keys = [getattr(row, match) for row in asked if getattr(row, match)]
    by_key = await look_up(send, match, keys)
    missing = [key for key in keys if key not in by_key] if creates or match == "id" else []
    archived = await look_up(send, match, missing, "archived")
    holders: dict[str, Customer] = {}
    if match == "id":
        wanted = [row.external_id for row in asked if row.external_id and _renames(row, by_key.get(row.id))]
        holders = await look_up(send, "external_id", wanted)
        fresh = [row.external_id for row in asked if creates and not row.id and row.external_id not in holders]
        archived |= await look_up(send, "external_id", filter(None, fresh), "archived")
    alike = [tidy(row.external_id) for row in asked if creates and row.external_id != tidy(row.external_id)]
    near = await look_up(send, "external_id", filter(None, alike))
    return Found(by_key, archived, holders, near)


def _renames(row: Row, held: Customer | None) -> bool:
    return held is None or held.external_id != row.external_id
