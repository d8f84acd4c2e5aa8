"""Findings of the current run: rows of flexsync.met, under names of their own, until the next run begins.

Promised: they are kept in the transaction that stores what they were found in, so they are never lost with the process.
Never done: opening or committing a transaction; deciding what is a finding (`connector.pull.findings`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connector.pull.findings import KINDS, Findings, Kept
from connector.pull.pages import Position
from connector.pull.windows import Run
from connector.store.database import Database, literal, rows

_MARK = ": "  # between kind and listing, as in `denied: customers`; the names of listings have none
_OURS = f"split_part(resource, '{_MARK}', 1) IN ({', '.join(map(literal, KINDS))})"


def keep(db: Database, found: Iterable[Kept] | None) -> None:
    """Keep what a run has found out, in place of what was kept before; None: that is all of it."""
    if found is None:
        return
    db.execute(f"DELETE FROM flexsync.met WHERE {_OURS}")
    for kind, listing, text in found:
        db.execute("INSERT INTO flexsync.met VALUES ($name, $text)", {"name": f"{kind}{_MARK}{listing}", "text": text})


def kept(db: Database) -> list[Kept]:
    """Return what was kept: kind, listing or "", text or id."""
    found = rows(db, f"SELECT resource, id FROM flexsync.met WHERE {_OURS}")
    return [(kind, listing, text) for name, text in found for kind, _, listing in (name.partition(_MARK),)]


def of_run(db: Database, run: Run) -> Findings:
    """Return what the earlier processes of a run found out, the rows that its walks lack included."""
    found = Findings()
    found.take_over(kept(db))
    query = "SELECT name, position FROM flexsync.walks WHERE run_id = $run AND done AND name <> 'run' ORDER BY name"
    for name, body in rows(db, query, {"run": run.run_id}):
        lacking = msgspec.json.decode(body, type=Position).lacking
        if lacking:
            found.lacks(run, name, lacking)
    return found
