"""What a publication holds: which tables, which of their columns, in which order, and of which run.

Promised: every data table and every table of `ddl.PUBLISHED`, without `ddl.STORE_ONLY_COLUMNS` and without the columns
that `[privacy] exclude` names; all of it is one snapshot, of a run that ended. Never done: writing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from connector.errors import FixInput
from connector.store import asof, ddl, keeping, tombstones
from connector.store.database import Database, literal, rows
from connector.store.keeping import Horizon
from connector.store.tombstones import Tombstones
from connector.tables import histories
from connector.tables.histories import FIGURES, HISTORIES, needed_by_histories, origin
from connector.tables.schemas import SCHEMA_VERSION, STAMPS, TABLES, Table

PUBLICATION_META = ("published_at", "excluded")  # rows of flexsync.meta that only publications have
ENDED = ("green", "degraded")
WITHHELD = "withheld: the column is left out"
_REQUIRED = ("created_at", *(stamp.name for stamp in STAMPS))  # a sync of a restored store needs them
_RUN = "run_id, mode, status, started_at, finished_at, reasons"
_WHOLE = """resources IS NULL
    OR list_has_all(resources, ARRAY(SELECT unnest(resources) FROM {catalog}.flexsync.runs))"""


class Source(Protocol):
    """The part of a working store that publishing needs."""

    def cursor(self) -> Any:
        """Open a second connection to the store; the caller closes it."""
        ...

    @property
    def path(self) -> Path:
        """The store's file."""
        ...


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that a store or publication shows.

    Attributes:
        run_id: sortable by time.
        mode: full or incremental.
        status: green or degraded; in a working store also running, interrupted or failed.
        started_at: by the server's clock.
        finished_at: by the clock of the machine that ran it; None while it runs.
        reasons: why it is not green.
        whole: it loaded every resource that any run of its store ever loaded.
    """

    run_id: str
    mode: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    reasons: tuple[str, ...] = ()
    whole: bool = True

    @property
    def finished(self) -> bool:
        """Return whether it came to its end; a publication holds no other."""
        return self.status in ("green", "degraded")

    @property
    def green(self) -> bool:
        """Return whether the certificate proves it complete, in the resources that it loaded."""
        return self.status == "green"

    @property
    def proven(self) -> bool:
        """Return whether it is green and whole.

        A run of some resources (`--only`) says nothing about the others: their rows may stem from a degraded run. So it
        never takes the place of the last green run.
        """
        return self.green and self.whole


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of a publication.

    Attributes:
        name: as readers type it: `customers`, `flexsync.runs`.
        query: SELECT of its rows, with `{store}` in place of the store's catalog.
        comments: column (or "" for the table) -> its meaning.
        history: rows are only ever added to it.
    """

    name: str
    query: str
    comments: Mapping[str, str] = field(default_factory=dict)
    history: bool = False

    @property
    def path(self) -> str:
        """Return schema and name, quoted."""
        schema, _, name = self.name.rpartition(".")
        return f'"{schema or "main"}"."{name}"'


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one publication is made of.

    Attributes:
        run: the run.
        environment_id: of the account; None if the store is not bound to one.
        published_at: by this machine's clock.
        excluded: columns left out, as `table.column`.
        tables: its tables.
        forgotten: whose personal data it lacks, as `tombstones.digest`.
        tombstones: who that is.
        since: how far back its histories can be asked; None: they hold everything.
    """

    run: RunInfo
    environment_id: str | None
    published_at: datetime
    excluded: tuple[str, ...]
    tables: tuple[PublishedTable, ...]
    forgotten: str
    tombstones: Tombstones
    since: datetime | None


def names() -> tuple[str, ...]:
    """Return the names of all tables and views of a publication, data tables first."""
    return (*TABLES, *asof.VIEWS, *(name for name in stored() if name not in TABLES))


def stored() -> tuple[str, ...]:
    """Return the names of all tables of a publication: all that a store is restored from."""
    return (*TABLES, *(f"flexsync.{name}" for name in (*ddl.PUBLISHED, *HISTORIES)))


def excluded(exclude: Sequence[str]) -> tuple[str, ...]:
    """Check the columns that are to be left out, and return them sorted.

    Raises:
        FixInput: a column is unknown, or a sync needs it.
    """
    known = {f"{table.name}.{column}" for table in TABLES.values() for column in table.names}
    for name in exclude:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else "Write table.column, as in customers.email."
            raise FixInput(f'[privacy] exclude: there is no column "{name}".', remedy=hint)
        table, _, column = name.partition(".")
        if column in required_columns(TABLES[table]):
            raise FixInput(
                f'[privacy] exclude: "{name}" cannot be left out: it identifies a row or places it in time.',
                remedy="Exclude other columns, or build a view for readers that leaves it out.",
            )
    return tuple(sorted(set(exclude)))


def required_columns(table: Table) -> tuple[str, ...]:
    """Return the columns of a table that every publication must have."""
    return (*table.key, *((table.owner,) if table.owner else ()), *needed_by_histories(table), *_REQUIRED)


@contextmanager
def connection(store: Source) -> Iterator[Any]:
    """Open a second connection to the store, for a transaction that nobody else shares."""
    db = store.cursor()
    try:
        yield db
    finally:
        db.close()


def snapshot(
    db: Database, store: str, exclude: Sequence[str], now: datetime, horizon: Horizon | None = None
) -> Snapshot:
    """Return what is to be published, inside the caller's transaction.

    Args:
        db: a connection that sees the store.
        store: the store's catalog, quoted.
        exclude: columns to leave out.
        now: by this machine's clock.
        horizon: how far back its histories have to answer; None: as far as the store's.

    Raises:
        FixInput: no run has ended yet, or the newest one is unfinished.
    """
    run = newest_run(db, store)
    if run is None:
        raise FixInput("the store holds no run yet, so there is nothing to publish.", remedy="Run `flexsync sync`.")
    if run.status not in ENDED:
        raise FixInput(
            f"run {run.run_id} is {run.status}; only a run that ended can be published.",
            remedy="Run `flexsync sync` again: it continues where that run stopped.",
        )
    found = rows(db, f"SELECT value FROM {store}.flexsync.meta WHERE key = 'environment_id'")
    without = excluded(exclude)
    environment, forgotten = str(found[0][0]) if found else None, tombstones.digest(db, store)
    since = max(filter(None, [keeping.reach(db, store), horizon and horizon.since]), default=None)
    known, tables = tombstones.read(db, f"{store}.flexsync"), tuple(_tables(without, now, since, horizon))
    return Snapshot(run, environment, now, without, tables, forgotten, known, since)


def reaching(found: Snapshot, since: datetime | None) -> Snapshot:
    """Return a snapshot that says of its histories how far back they can be asked."""
    meta = _internal("meta", found.excluded, found.published_at, since)
    tables = tuple(replace(table, query=meta) if table.name == "flexsync.meta" else table for table in found.tables)
    return replace(found, tables=tables, since=since)


def newest_run(db: Database, catalog: str) -> RunInfo | None:
    """Return the newest run of a store or publication; None where there is none."""
    return _newest(db, catalog, "")


def proven_run(db: Database, catalog: str) -> RunInfo | None:
    """Return the newest run that the ledger of a store or publication calls green and whole (`RunInfo.proven`)."""
    return _newest(db, catalog, f"WHERE status = 'green' AND ({_WHOLE.format(catalog=catalog)})")


def _newest(db: Database, catalog: str, where: str) -> RunInfo | None:
    asked = f"SELECT {_RUN}, {_WHOLE} FROM {{catalog}}.flexsync.runs".format(catalog=catalog)
    found = rows(db, f"{asked} {where} ORDER BY run_id DESC LIMIT 1")
    if not found:
        return None
    run_id, mode, status, started_at, finished_at, reasons, whole = found[0]
    began, ended = (moment.astimezone(UTC) if moment else None for moment in (started_at, finished_at))
    return RunInfo(run_id, mode, status, began, ended, tuple(reasons or ()), whole)


def check_version(what: object, version: str | int | None) -> None:
    """Check a schema version; an older one can be read.

    Raises:
        FixInput: it is newer than this Flexsync's.
    """
    given = int(version) if version is not None and str(version).isdigit() else 0
    if given > SCHEMA_VERSION:
        raise FixInput(
            f"{what} has schema version {version}, this Flexsync knows {SCHEMA_VERSION}.", remedy="Upgrade Flexsync."
        )


def _tables(
    without: Sequence[str], now: datetime, since: datetime | None, horizon: Horizon | None
) -> Iterator[PublishedTable]:
    for path, table in ddl.paths().items():
        left_out = _left_out(table, without)
        columns = [c for c in (*table.columns, *STAMPS) if c.name not in left_out]
        history, source = table.name in HISTORIES, f"{{store}}.{path}"
        if history and horizon:
            source = f"({keeping.needed(table, source, horizon)})"
        query = f"""SELECT {", ".join(f'"{c.name}"' for c in columns)} FROM {source}"""
        if not history:  # to sort those of a year takes more memory than a store's connection has
            query += f""" ORDER BY {", ".join(f'"{name}"' for name in table.key)}"""
        about = f"{table.source}; key {', '.join(table.key)}"
        yield PublishedTable(path, query, {"": about, **{c.name: c.meaning for c in columns}}, history)
    for name in ddl.PUBLISHED:
        yield PublishedTable(f"flexsync.{name}", _internal(name, without, now, since), {"": ddl.INTERNAL[name][0]})


def _left_out(table: Table, without: Sequence[str]) -> set[str]:
    """Return the columns of a table that are left out, in a history those that stem from such a column."""
    if table.name in HISTORIES:
        return histories.without(table, without)
    return {column for name, _, column in (full.partition(".") for full in without) if name == table.name}


def _internal(name: str, without: Sequence[str], now: datetime, since: datetime | None) -> str:
    left_out = f" EXCLUDE ({', '.join(ddl.STORE_ONLY_COLUMNS[name])})" if name in ddl.STORE_ONLY_COLUMNS else ""
    query = f"SELECT *{left_out}{_withheld(name, without)} FROM {{store}}.flexsync.{name}"
    if name != "meta":
        return query
    # The first two rows tell a publication from a store.
    added = {"published_at": now.isoformat(), "excluded": ", ".join(without)}
    added |= {keeping.SINCE: since.isoformat()} if since else {}
    rows = ", ".join(f"('{key}', '{value}')" for key, value in added.items())
    return f"{query} WHERE key <> '{keeping.SINCE}' UNION ALL VALUES {rows}"


def _withheld(name: str, without: Sequence[str]) -> str:
    """Return the REPLACE clause that hides what an internal table tells about columns that are left out."""
    tables = sorted({full.partition(".")[0] for full in without})
    shown = [f"{table}.{column}" for table in tables for column in TABLES[table].names]
    if name == "rejects" and without:
        kept = ", ".join(literal(full) for full in shown if full not in without)
        named = ", ".join(map(literal, tables))
        hidden = f"table_name IN ({named}) AND concat(table_name, '.', field) NOT IN ({kept})"
        texts = {"value": "", "reason": WITHHELD}
        cases = [f"CASE WHEN {hidden} THEN {literal(text)} ELSE {of} END AS {of}" for of, text in texts.items()]
        return f" REPLACE ({', '.join(cases)})"
    if name == "suspects" and {f"{table}.current_usage" for table in origin(FIGURES.name)} & set(without):
        return " REPLACE (NULL::DECIMAL(38, 18) AS held, NULL::DECIMAL(38, 18) AS offered)"
    return ""
