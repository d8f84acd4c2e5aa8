"""What a publication holds: which tables, which of their columns, in which order, and of which run.

Promised: every data table and every internal table that travels, without the columns that stay (`ddl.STORE_ONLY_COLUMNS`) or that
`[privacy] exclude` names; one snapshot, of a run that ended. Never done: writing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from connector.errors import FixInput
from connector.store import ddl
from connector.store.database import Database, rows
from connector.tables.schemas import SCHEMA_VERSION, STAMPS, TABLES, Table

OWN_META = ("published_at", "excluded")  # rows of flexsync.meta that only publications have
ENDED = ("green", "degraded")
_KEPT_BY = ("created_at", *(stamp.name for stamp in STAMPS))  # besides key and owner: the sync cannot do without
_RUN = "run_id, mode, status, started_at, finished_at, reasons"


class Source(Protocol):
    """What is needed of a working store."""

    def cursor(self) -> Any:
        """Open a connection of its own to it."""
        ...

    @property
    def path(self) -> Path:
        """Its file."""
        ...


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run whose tables one sees.

    Attributes:
        run_id: sortable by time.
        mode: full or incremental.
        status: green, degraded; of a working store also running, interrupted or failed.
        started_at: by the server's clock.
        finished_at: by the server's clock; None while it runs.
        reasons: why it is not green.
    """

    run_id: str
    mode: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    reasons: tuple[str, ...] = ()

    @property
    def green(self) -> bool:
        """Whether the certificate proves it complete."""
        return self.status == "green"


@dataclass(frozen=True, slots=True)
class Part:
    """One table on its way out.

    Attributes:
        name: as readers type it, `customers` or `flexsync.runs`.
        query: its rows, with `{store}` where the store's catalog goes.
        comments: column (or "" for the table) to its meaning.
    """

    name: str
    query: str
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Schema and name, quoted."""
        schema, _, name = self.name.rpartition(".")
        return f'"{schema or "main"}"."{name}"'


@dataclass(frozen=True, slots=True)
class Edition:
    """What one publication is made of.

    Attributes:
        run: the run.
        environment_id: of the account, or None where the store is not bound to one.
        published_at: by this machine's clock.
        excluded: columns left out, as `table.column`.
        parts: its tables.
    """

    run: RunInfo
    environment_id: str | None
    published_at: datetime
    excluded: tuple[str, ...]
    parts: tuple[Part, ...]


def names() -> tuple[str, ...]:
    """All tables of a publication, data first."""
    return (*TABLES, *(f"flexsync.{name}" for name in ddl.PUBLISHED))


def excluded(exclude: Sequence[str]) -> tuple[str, ...]:
    """Check the columns that are to be left out.

    Raises:
        FixInput: one is unknown, or the sync keeps rows by it.
    """
    known = {f"{table.name}.{column}" for table in TABLES.values() for column in table.names}
    for name in exclude:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else "Write table.column, as in customers.email."
            raise FixInput(f'[privacy] exclude: there is no column "{name}".', remedy=hint)
        table, _, column = name.partition(".")
        if column in needed(TABLES[table]):
            raise FixInput(
                f'[privacy] exclude: "{name}" cannot be left out, the rows are kept by it.',
                remedy="Exclude other columns, or build a view for readers that leaves it out.",
            )
    return tuple(sorted(set(exclude)))


def needed(table: Table) -> tuple[str, ...]:
    """Columns of a table that no publication can be without."""
    return (*table.key, *((table.owner,) if table.owner else ()), *_KEPT_BY)


@contextmanager
def snapshot(store: Source) -> Iterator[Any]:
    """Give a connection of its own to the store, so that the transaction is ours from BEGIN to the end."""
    db = store.cursor()
    try:
        yield db
    finally:
        db.close()


def edition(db: Database, store: str, exclude: Sequence[str]) -> Edition:
    """Read what is to be published, inside the caller's transaction.

    Args:
        db: a connection that sees the store.
        store: the store's catalog, quoted.
        exclude: columns to leave out.

    Raises:
        FixInput: no run has ended yet, or the newest one is still open.
    """
    run = newest_run(db, store)
    if run is None:
        raise FixInput("the store holds no run yet, so there is nothing to publish.", remedy="Run `flexsync sync`.")
    if run.status not in ENDED:
        raise FixInput(
            f"run {run.run_id} is {run.status}; only a run that ended can be published.",
            remedy="Run `flexsync sync` again: it goes on where that run stopped.",
        )
    found = rows(db, f"SELECT value FROM {store}.flexsync.meta WHERE key = 'environment_id'")
    without, now = excluded(exclude), datetime.now(UTC)
    return Edition(run, str(found[0][0]) if found else None, now, without, tuple(_parts(without, now)))


def newest_run(db: Database, catalog: str) -> RunInfo | None:
    """Return the newest run of a store or publication; None where there is none."""
    found = rows(db, f"SELECT {_RUN} FROM {catalog}.flexsync.runs ORDER BY run_id DESC LIMIT 1")
    if not found:
        return None
    run_id, mode, status, started_at, finished_at, reasons = found[0]
    began, ended = (moment.astimezone(UTC) if moment else None for moment in (started_at, finished_at))
    return RunInfo(run_id, mode, status, began, ended, tuple(reasons or ()))


def check_version(of: object, version: str | int | None, *, exactly: bool = False) -> None:
    """Raise `FixInput` when the schema version is newer than this Flexsync's, or `exactly` and another one."""
    given = int(version) if version is not None and str(version).isdigit() else 0
    if given > SCHEMA_VERSION or (exactly and given != SCHEMA_VERSION):
        raise FixInput(
            f"{of} has schema version {version}, this Flexsync knows {SCHEMA_VERSION}.",
            remedy="Upgrade Flexsync." if given > SCHEMA_VERSION else "Sync into a new --store.",
        )


def _parts(without: Sequence[str], now: datetime) -> Iterator[Part]:
    for table in TABLES.values():
        columns = [c for c in (*table.columns, *STAMPS) if f"{table.name}.{c.name}" not in without]
        query = f"""SELECT {", ".join(f'"{c.name}"' for c in columns)} FROM {{store}}.main."{table.name}"
            ORDER BY {", ".join(f'"{name}"' for name in table.key)}"""
        about = f"{table.source}; key {', '.join(table.key)}"
        yield Part(table.name, query, {"": about, **{c.name: c.meaning for c in columns}})
    for name in ddl.PUBLISHED:
        yield Part(f"flexsync.{name}", _internal(name, without, now), {"": ddl.INTERNAL[name][0]})


def _internal(name: str, without: Sequence[str], now: datetime) -> str:
    left_out = f" EXCLUDE ({', '.join(ddl.STORE_ONLY_COLUMNS[name])})" if name in ddl.STORE_ONLY_COLUMNS else ""
    query = f"SELECT *{left_out} FROM {{store}}.flexsync.{name}"
    if name == "meta":  # a publication tells itself from a store by these
        query += f" UNION ALL VALUES ('published_at', '{now.isoformat()}'), ('excluded', '{', '.join(without)}')"
    return query
