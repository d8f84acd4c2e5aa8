"""The outcomes of imports, as rows of flexsync.import_journal.

Promised: a row about a forgotten customer tells only its line, action and outcome, and so does a conflict with one.
Never done: opening or committing a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from connector.store.database import Database, registered
from connector.store.tombstones import Tombstones
from connector.tables import import_results

_ROWS = 50_000  # rows written at once
_INSERT = """INSERT INTO flexsync.import_journal
    SELECT $run, $at, line, external_id, id, "do", outcome, why, changes, request_id FROM imported"""
_BLANK = {"external_id": None, "why": None, "changes": None}
_ID = re.compile(r"[0-9A-Za-z_\-]+")


def record(
    db: Database, run_id: str, planned_at: datetime, results: Iterator[dict[str, Any]], forgotten: Tombstones
) -> None:
    """Store the outcomes of an import, in place of those that an earlier attempt of the same run stored.

    Args:
        db: the connection, inside a transaction.
        run_id: the plan's run.
        planned_at: when the plan was made.
        results: one row per entry of the plan, with the columns of `connector.tables.import_results`.
        forgotten: whose external ids are left out.
    """
    db.execute("DELETE FROM flexsync.import_journal WHERE run_id = $run", {"run": run_id})
    results = (_blanked(row, forgotten) for row in results)
    while batch := list(islice(results, _ROWS)):
        with registered(db, imported=pa.Table.from_pylist(batch, schema=import_results.schema())):
            db.execute(_INSERT, {"run": run_id, "at": planned_at})


def _blanked(row: dict[str, Any], forgotten: Tombstones) -> dict[str, Any]:
    """Return a row without what it tells of a forgotten customer; a conflict holds the external id of whom it names."""
    if forgotten.names(row["id"]):
        return {**row, **_BLANK}
    if not forgotten.hashes or not any(map(forgotten.names, _ID.findall(row["why"] or ""))):
        return row
    return {**row, **(_BLANK if row["do"] == "conflict" else {"why": None})}
