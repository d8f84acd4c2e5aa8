"""Migrations: the SQL that turns a store of an older schema version into one of this version.

Promised: the statements of a version are never changed once it was released, only later versions are added; together
they are one transaction, which the caller opens; before it, the file is copied beside itself. They also run over a
store that was made by `ddl` and filled from an older publication (`connector.publications.restore`), so each of them
tolerates columns and tables that are there already. Never done: a migration to an older version; deleting a copy.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from connector import files
from connector.store import ddl, version_3
from connector.tables.schemas import SCHEMA_VERSION

OLDEST = 1
"""The oldest schema version that can be migrated."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        """INSERT INTO flexsync.cursors (resource, cursor, full_at, run_id)
        SELECT unnest(['customers/published', 'customers/archived']), cursor, full_at, run_id
        FROM flexsync.cursors WHERE resource = 'customers'""",
        "DELETE FROM flexsync.cursors WHERE resource = 'customers'",
        "ALTER TABLE flexsync.unproven ADD COLUMN IF NOT EXISTS probed BOOLEAN",
        "ALTER TABLE flexsync.queue ADD COLUMN IF NOT EXISTS asked_at DOUBLE",
        "ALTER TABLE flexsync.queue ADD COLUMN IF NOT EXISTS answered_at DOUBLE",
        """CREATE TABLE IF NOT EXISTS flexsync.proof_windows (run_id VARCHAR, resource VARCHAR, begins TIMESTAMPTZ,
        ends TIMESTAMPTZ, counted BIGINT, stored BIGINT)""",
        # A run that an older version began lacks what this one's certificate rests on, so it is not resumed.
        """UPDATE flexsync.runs SET status = 'failed', reasons = ['given up: begun by an older version']
        WHERE status IN ('running', 'interrupted')""",
    ),
    3: version_3.TABLES,
    4: (
        "ALTER TABLE flexsync.usage_figures ADD COLUMN IF NOT EXISTS lacking BOOLEAN",
        "ALTER TABLE flexsync.usage_figures ADD COLUMN IF NOT EXISTS never_resets BOOLEAN",
        'ALTER TABLE "usage" ADD COLUMN IF NOT EXISTS never_resets BOOLEAN',
        "ALTER TABLE subscription_usage ADD COLUMN IF NOT EXISTS never_resets BOOLEAN",
        # No body has this hash, so each is read once more, and fills the new column.
        "UPDATE flexsync.answers SET body_hash = ''::BLOB WHERE resource = 'usage' AND body_hash IS NOT NULL",
        """UPDATE flexsync.runs SET status = 'failed', reasons = ['given up: begun by an older version']
        WHERE status IN ('running', 'interrupted')""",
    ),
}
"""Schema version -> the statements that lead to it from the version before. A column is added at the end of its table,
with IF NOT EXISTS, and in `ddl` or `connector.tables.schemas` too; tests/test_migrations.py compares the two."""

_CREATED = re.compile(r"\s*CREATE TABLE IF NOT EXISTS ([\w.]+)")


def statements(version: int) -> Iterator[str]:
    """Yield every statement that leads from a schema version to this one, in order; none from this one."""
    if version == SCHEMA_VERSION:
        return
    for number in range(version + 1, SCHEMA_VERSION + 1):
        yield from MIGRATIONS[number]
    yield from ddl.statements()  # every table is there already: this brings the comments up to date
    yield f"UPDATE flexsync.meta SET value = '{SCHEMA_VERSION}' WHERE key = 'schema_version'"


def tables_since(version: int) -> set[str]:
    """Return the tables, as `flexsync.runs`, that a publication of a schema version does not have yet."""
    later = (text for number, texts in MIGRATIONS.items() if number > version for text in texts)
    return {found[1] for text in later if (found := _CREATED.match(text))}


def copy_path(path: Path, version: int) -> Path:
    """Return the name of a store's copy: `work.duckdb` of schema version 1 is kept as `work.schema-1.duckdb`."""
    return path.with_name(f"{path.stem}.schema-{version}{path.suffix}")


def copies(path: Path) -> list[Path]:
    """Return the copies beside a store, those that a killed migration did not finish included."""
    names = glob.escape(f"{path.stem}.schema-"), glob.escape(path.suffix)
    found = [*path.parent.glob(f"{names[0]}*{names[1]}*"), *path.parent.glob(f".{names[0]}*{names[1]}.*")]
    return sorted(copy for copy in found if copy.is_file())


def copy_beside(path: Path, version: int) -> Path:
    """Copy a store beside itself, completely and onto the disk, or not at all.

    Args:
        path: the store's file. The caller holds its lock, has emptied its write-ahead log, and has no connection open.
        version: its schema version.

    Returns:
        The copy. One of the same content is kept as it is; one of other content is kept under another name, `NAME~`.

    Raises:
        FixInput: the folder cannot be written, or the disk is full.
    """
    copy = copy_path(path, version)
    for left in copy.parent.glob(f".{glob.escape(copy.name)}.*"):  # by an attempt that was killed
        files.remove(left)
    with path.open("rb") as store, files.atomic_write(copy, keep_other=True) as file:
        shutil.copyfileobj(store, file, 1 << 20)
    return copy
