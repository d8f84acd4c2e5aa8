"""The store's tables as SQL text: the data tables from `connector.tables.schemas`, and the internal tables.

Promised: every table and every column of a data table carries its meaning as a comment; all state is rows of schema
`flexsync`, so a publication carries it. A change here or in the data tables needs its statement in `migrations`. Never
done: running a statement.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.store import asof
from connector.store.database import literal
from connector.tables.histories import HISTORIES
from connector.tables.schemas import DUCKDB_TYPES, STAMPS, TABLES, Table

INTERNAL: dict[str, tuple[str, str]] = {
    "meta": ("what this file is: schema_version, environment_id, made_by", "key VARCHAR, value VARCHAR"),
    "runs": (
        "one row per run; status is running, interrupted, green, degraded or failed",
        """run_id VARCHAR, mode VARCHAR, status VARCHAR, started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ,
        resources VARCHAR[], resumed INTEGER, calls BIGINT, seconds DOUBLE, reasons VARCHAR[], report VARCHAR,
        version VARCHAR""",
    ),
    "run_tables": (
        "rows that a run inserted, updated, deleted and rejected, per table",
        "run_id VARCHAR, table_name VARCHAR, inserted BIGINT, updated BIGINT, deleted BIGINT, rejected BIGINT",
    ),
    "cursors": (
        "up to when each walk has read: customers/published, customers/archived, subscriptions",
        "resource VARCHAR, cursor TIMESTAMPTZ, full_at TIMESTAMPTZ, run_id VARCHAR",
    ),
    "walks": (
        "how far the current run has read each listing, and which of its steps are done",
        "run_id VARCHAR, name VARCHAR, position VARCHAR, done BOOLEAN, pages BIGINT, rows BIGINT",
    ),
    "met": (
        "ids that the current run has seen in a listing, and what it has found out",
        "resource VARCHAR, id VARCHAR",
    ),
    "sweep": (
        "active and trialing subscriptions, as the last run found them",
        """subscription_id VARCHAR, customer_id VARCHAR, subscription_type VARCHAR, created_at TIMESTAMPTZ,
        current_period_start TIMESTAMPTZ""",
    ),
    "queue": (
        "one row per call of the last run; state is pending, done, again, held or failed",
        """item BIGINT, resource VARCHAR, customer_id VARCHAR, subscription_id VARCHAR, why VARCHAR, counted VARCHAR,
        period_start TIMESTAMPTZ, sole BOOLEAN, fresh BOOLEAN, context VARCHAR, same_context BOOLEAN,
        previous_hash BLOB, previous_rows BIGINT, state VARCHAR, error VARCHAR, status INTEGER,
        asked_at DOUBLE, answered_at DOUBLE""",
    ),
    "answers": (
        "last answer per customer and child resource: when it was last confirmed, its rows, a hash of its body",
        """customer_id VARCHAR, resource VARCHAR, subscription_id VARCHAR, run_id VARCHAR, observed_at TIMESTAMPTZ,
        rows BIGINT, body_hash BLOB, context VARCHAR, trusted_until TIMESTAMPTZ, seconds DOUBLE""",
    ),
    "suspects": (
        "figures held back because they may be a failure; runs counts how often the same was offered",
        """customer_id VARCHAR, resource VARCHAR, subscription_id VARCHAR, feature_id VARCHAR, kind VARCHAR,
        held DECIMAL(38, 18), offered DECIMAL(38, 18), runs INTEGER, run_id VARCHAR""",
    ),
    "unproven": (
        "zeros of the last run that no earlier figure of the same window can be compared with",
        "run_id VARCHAR, customer_id VARCHAR, subscription_id VARCHAR, feature_id VARCHAR, probed BOOLEAN",
    ),
    "proof_windows": (
        "the windows of created_at that a certificate compared: rows that the server counted, and rows stored",
        """run_id VARCHAR, resource VARCHAR, begins TIMESTAMPTZ, ends TIMESTAMPTZ, counted BIGINT,
        stored BIGINT""",
    ),
    "rejects": (
        "quarantine: rows that do not fit their table, until they do; raw holds the body and stays in this file",
        """run_id VARCHAR, table_name VARCHAR, owner VARCHAR, subscription_id VARCHAR, key VARCHAR, field VARCHAR,
        value VARCHAR, reason VARCHAR, observed_at TIMESTAMPTZ, raw BLOB""",
    ),
    "import_journal": (
        "the outcome of every row of an import's plan; stays in this file",
        """run_id VARCHAR, planned_at TIMESTAMPTZ, line BIGINT, external_id VARCHAR, customer_id VARCHAR,
        action VARCHAR, outcome VARCHAR, why VARCHAR, changes VARCHAR, request_id VARCHAR""",
    ),
    "certificates": ("proof of completeness, one per run", "run_id VARCHAR, green BOOLEAN, body VARCHAR"),
}
"""Internal tables: name -> (comment, columns). The comments are part of the stored format."""

_STORE_ONLY = {"met", "walks", "queue", "import_journal"}
PUBLISHED = tuple(name for name in INTERNAL if name not in _STORE_ONLY)
"""Internal tables that every publication has."""
STORE_ONLY_COLUMNS = {"rejects": ("raw",)}
"""Columns of published internal tables that no publication has."""


def statements() -> Iterator[str]:
    """Yield every statement that makes an empty store, in order."""
    yield "CREATE SCHEMA IF NOT EXISTS flexsync"
    for path, table in paths().items():
        yield create(path, table)
        yield from comments(path, table)
    for name, (meaning, columns) in INTERNAL.items():
        yield f"CREATE TABLE IF NOT EXISTS flexsync.{name} ({columns})"
        yield f"COMMENT ON TABLE flexsync.{name} IS {literal(meaning)}"
    yield from asof.statements()


def paths() -> dict[str, Table]:
    """Return every declared table by where it lies: data tables in `main`, histories in `flexsync`."""
    return {**TABLES, **{f"flexsync.{name}": table for name, table in HISTORIES.items()}}


def create(path: str, table: Table) -> str:
    """Return CREATE TABLE of a declared table. Keys are not declared: they slow merges down (design section 10)."""
    columns = ", ".join(f'"{c.name}" {DUCKDB_TYPES[c.kind]}' for c in (*table.columns, *STAMPS))
    return f"CREATE TABLE IF NOT EXISTS {path} ({columns})"


def comments(path: str, table: Table) -> Iterator[str]:
    """Yield the COMMENT statements of a declared table and its columns."""
    about = f"{table.source}; key {', '.join(table.key)}"
    yield f"COMMENT ON TABLE {path} IS {literal(about)}"
    for column in (*table.columns, *STAMPS):
        yield f'COMMENT ON COLUMN {path}."{column.name}" IS {literal(column.meaning)}'
