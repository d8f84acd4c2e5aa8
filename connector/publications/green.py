"""The last green publication of a DuckDB target, kept beside a newer one as `NAME.green.duckdb`.

Newer ones are degraded, or green in some resources only (`--only`), which proves nothing about the others.
Promised: a green file gets its second name before such a run takes the first one, so a killed publisher leaves it
readable under at least one of them; a copy never holds a column that `[privacy] exclude` names by now, nor anything
personal about a customer that was forgotten by now; a file that is not a publication of the same environment is not
replaced. Never done: writing into a publication; a copy of a lake's
run (its manifest names it, see `lake`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from connector import files
from connector.errors import FixInput, FlexsyncError
from connector.publications import reading, targets
from connector.publications.contents import Snapshot
from connector.publications.reading import Reading
from connector.publications.targets import Target
from connector.store import holdings, tombstones


def keep(place: Target, snapshot: Snapshot) -> str | None:
    """Keep the last green publication, before a run that is not green and whole replaces what is at the target.

    Args:
        place: a DuckDB target; the caller holds its lock.
        snapshot: that run.

    Returns:
        The run that the copy holds; None if there is no green publication that may be kept.

    Raises:
        FixInput: a foreign file has the copy's name.
    """
    copy = targets.green_copy(place.path)
    older = _green_run(copy, snapshot)
    current = _green_run(place.path, snapshot)
    if current:
        _link(place, copy)
    elif older is None:
        drop(place, snapshot)
    return current or older


def drop(place: Target, snapshot: Snapshot) -> None:
    """Remove the copy: the target holds a newer green and whole run, or no copy is wanted. A foreign file stays."""
    copy = targets.green_copy(place.path)
    try:
        _green_run(copy, snapshot)
    except FlexsyncError:
        return
    copy.unlink(missing_ok=True)
    targets.wal(copy).unlink(missing_ok=True)
    files.sync(copy.parent)


def _green_run(path: Path, snapshot: Snapshot) -> str | None:
    """Return the run of a publication, if it is green and whole, and lacks all that may not be kept now."""
    if not path.exists():
        return None
    with reading.open(path) as found:
        other = found.environment_id is not None and snapshot.environment_id not in (None, found.environment_id)
        if found.published_at is None or other:
            raise FixInput(
                f"{path} is no publication of this account, and the last green one has to be kept there.",
                remedy="Move it away, or set keep_green = false in [sync].",
            )
        kept = found.run is not None and found.run.proven and set(snapshot.excluded) <= set(found.excluded)
        return found.run.run_id if kept and found.run and not _tells(found, snapshot) else None


def _tells(found: Reading, snapshot: Snapshot) -> bool:
    """Return whether a publication holds anybody who was forgotten; one that was written since then does not."""
    if tombstones.digest(found.connection, reading.CATALOG) == snapshot.forgotten:
        return False
    sources = {name: f"{reading.CATALOG}.{name}" for name in found.tables}
    return holdings.tells(found.connection, snapshot.tombstones, sources)


def _link(place: Target, copy: Path) -> None:
    """Give the file at the target a second name, in one step."""
    second = targets.temporary(place)
    try:
        try:
            os.link(place.path, second)
        except OSError:  # a file system without hard links
            shutil.copy(place.path, second)
        targets.wal(copy).unlink(missing_ok=True)
        files.replace(second, copy)
    finally:
        files.remove(second)  # a rename between two names of one file leaves both
