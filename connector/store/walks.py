"""Walks: how far the current run has read each listing, and which of its steps are done.

Promised: the position is committed together with the page that led to it, so a killed run continues at the next page.
Never done: opening or committing a transaction.
"""

from __future__ import annotations

import msgspec

from connector.pull.pages import Position
from connector.pull.windows import Run
from connector.store.database import Database, changed, rows

_ADVANCE = """UPDATE flexsync.walks SET position = $position, done = $done, pages = pages + 1, rows = rows + $rows
    WHERE run_id = $run AND name = $name"""


def position(db: Database, run_id: str, name: str) -> Position | None:
    """Return the position of a walk of this run; None before its first page."""
    given = {"run": run_id, "name": name}
    found = rows(db, "SELECT position FROM flexsync.walks WHERE run_id = $run AND name = $name", given)
    return msgspec.json.decode(found[0][0], type=Position) if found else None


def advance(db: Database, run_id: str, name: str, position: Position, page_rows: int) -> None:
    """Record the new position of a walk, in the transaction of the page that led to it."""
    given = {
        "run": run_id,
        "name": name,
        "position": msgspec.json.encode(position).decode(),
        "done": position.done,
        "rows": page_rows,
    }
    if not changed(db, _ADVANCE, given):
        db.execute("INSERT INTO flexsync.walks VALUES ($run, $name, $position, $done, 1, $rows)", given)


# What a run decided when it began is stored as the position of a walk called "run".


def run_as_begun(db: Database, run_id: str) -> Run | None:
    """Return a run as it was begun; None for one that is not the newest, or that an older version made."""
    given = {"run": run_id}
    found = rows(db, "SELECT position FROM flexsync.walks WHERE run_id = $run AND name = 'run'", given)
    return msgspec.json.decode(found[0][0], type=Run) if found else None


def record_run(db: Database, run: Run) -> None:
    """Record what a new run has decided."""
    db.execute(
        "INSERT INTO flexsync.walks VALUES ($run, 'run', $body, true, 0, 0)",
        {"run": run.run_id, "body": msgspec.json.encode(run).decode()},
    )
