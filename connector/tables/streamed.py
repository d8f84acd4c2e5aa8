"""Tables that no run has stored: the columns of the stored ones without `run_id`.

Promised: a row that does not fit raises, because there is no ledger that could record it. Never done: I/O.
"""

from __future__ import annotations

import pyarrow as pa

from connector.errors import Refused
from connector.tables.decoded import Decoded
from connector.tables.schemas import TABLES

__all__ = ["fitting", "schema_of"]


def schema_of(table: str) -> pa.Schema:
    """Return the Arrow schema of a streamed table: the stored one without `run_id`."""
    return pa.schema([field for field in TABLES[table].arrow() if field.name != "run_id"])


def fitting(decoded: Decoded, table: str) -> pa.Table:
    """Return one of the tables that a body filled.

    Args:
        decoded: of a `Reader`.
        table: its name.

    Raises:
        Refused: a row does not fit its table.
    """
    for reject in decoded.rejects:
        raise Refused(
            f"{reject.table} {reject.key or reject.owner}: {reject.field} {reject.value!r} {reject.reason}.",
            remedy="A sync puts such rows into flexsync.rejects and continues.",
        )
    return decoded.tables[table]
