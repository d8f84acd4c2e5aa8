"""Reading a publication, or a store that nobody writes to: SQL over exactly one run.

Promised: a `Reading` shows the run that it opened until it is closed, whatever is published meanwhile; readers of a
publication never wait for a sync and never block one; nothing is ever written, no `.wal` and no spill file: DuckDB is
attached read-only, with external access off and its settings locked. Parquet files are held open and passed on as
Arrow, so SQL over a lake needs no file access either. Never done: HTTP, changing anything.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb

from connector.errors import FixInput, FlexsyncError, LockHeld
from connector.paths import database_file, expanded
from connector.publications import contents, lake, parts
from connector.publications.contents import RunInfo
from connector.publications.targets import DUCKDB, PARQUET, green_copy
from connector.store import asof
from connector.store.database import literal, rows
from connector.store.keeping import SINCE
from connector.tables.histories import FIGURES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CATALOG = "publication"  # whatever is opened; not "flexsync", which is a schema
ATTEMPTS = 5  # at opening a lake that is replaced twice in the meantime
_LOCKDOWN = (
    "SET TimeZone = 'UTC'",
    "SET temp_directory = ''",  # otherwise a big sort leaves files in the working folder
    "SET python_enable_replacements = false",  # a mistyped table must not resolve to a Python variable
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_REFUSED = {"ATTACH", "DETACH", "COPY", "COPY_DATABASE", "EXPORT", "LOAD", "UPDATE_EXTENSIONS"}
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_TEMPORARY = re.compile(r"\s*CREATE\s+(OR\s+REPLACE\s+)?TEMP(ORARY)?\s", re.IGNORECASE)
_LOCKED = ("set lock on file", "already attached", "file handle conflict")
_WRITES = ("read-only mode", "has been locked")
_OTHER_FILES = ("disabled by configuration", "disabled through configuration")
_SAVE = "`flexsync sql --output FILE --format csv` saves a result, and so do its methods in Python"


class Reading:
    """An open publication or store: one run, read-only. Made by `open`; use it from one thread at a time.

    Attributes:
        path: what was opened.
        connection: DuckDB's own, for what this class does not offer; it cannot write to the publication either.
        run_or_none: the run; None in a store that has none yet.
        tables: names that `table` takes.
        environment_id: of the account, or None.
        published_at: when it was published; None for a working store.
        excluded: columns that the publication leaves out.
        schema_version: of its tables; an older one is read as it is.
        history_since: how far back its histories can be asked; None: as far as its first run knew.
    """

    def __init__(self, path: Path, db: Any, held: ExitStack) -> None:
        self.path = path
        self.connection = db
        self._held = held
        self.run_or_none: RunInfo | None = contents.newest_run(db, CATALOG)
        meta: dict[str, str] = dict(rows(db, f"SELECT key, value FROM {CATALOG}.flexsync.meta"))
        self.schema_version = meta.get("schema_version", "0")
        contents.check_version(path, self.schema_version)
        self.environment_id: str | None = meta.get("environment_id")
        self.published_at = datetime.fromisoformat(meta["published_at"]) if "published_at" in meta else None
        self.history_since = datetime.fromisoformat(meta[SINCE]) if SINCE in meta else None
        self.excluded: tuple[str, ...] = tuple(filter(None, str(meta.get("excluded", "")).split(", ")))
        self.tables = _tables(db)

    @property
    def run(self) -> RunInfo:
        """The run that is shown. Raises FixInput in a store that has none yet; a publication always has one."""
        if self.run_or_none is None:
            raise FixInput(f"{self.path} holds no run yet.", remedy="Run `flexsync sync` first.")
        return self.run_or_none

    def sql(self, query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> pa.Table:
        """Run a query; of several statements, return the last one's result.

        Args:
            query: SQL; temporary tables and views are fine.
            params: values for `$name` or `?`.

        Raises:
            FixInput: the SQL is wrong, or would write.
        """
        try:
            found = None
            for statement in self.connection.extract_statements(query):
                self._refuse_writes(statement)
                found = self.connection.sql(statement.query, params=params)
            return _empty() if found is None else found.to_arrow_table()
        except (duckdb.Error, OSError) as error:  # OSError: a Parquet file that is damaged inside
            raise self._explained(error, query) from error

    def df(self, query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> pd.DataFrame:
        """Run a query and return a pandas DataFrame; decimals stay exact, maps become dictionaries. Raises as `sql`."""
        return self.sql(query, params).to_pandas(maps_as_pydicts="strict")

    def table(self, name: str, as_of: datetime | str | None = None, known: datetime | str | None = None) -> pa.Table:
        """Return a whole table, or its rows as of a moment.

        Args:
            name: one of `tables`.
            as_of: for customers, subscriptions, entitlements: the rows that were true then; for usage and
                subscription_usage: the last figures up to the end of that day (UTC).
            known: with `as_of`: only what the last run that had ended then had found; by default what is known now.

        Raises:
            FixInput: there is no table of that name, or it has no history, or none that reaches so far back; `known`
                without `as_of`.
        """
        if as_of is not None:
            return self._as_of(name, as_of, known)
        if known is not None:
            raise FixInput("known= needs as_of=.", remedy="Give as_of too: the moment whose rows you want.")
        if name not in self.tables:
            near = difflib.get_close_matches(name, self.tables, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(self.tables)}."
            raise FixInput(f'{self.path} has no table "{name}".', remedy=hint)
        schema, _, table = name.rpartition(".")
        return self.sql(f'FROM {CATALOG}.{schema or "main"}."{table}"')

    def _as_of(self, name: str, moment: datetime | str, known: datetime | str | None) -> pa.Table:
        history = asof.history(name)
        if not history or history.view not in self.tables:
            without = f'{self.path} holds no history of "{name}"'
            raise FixInput(f"{without}.", remedy=f"There is one of {', '.join(asof.ASKED)}.")
        given = {"moment": str(moment), "known": "infinity" if known is None else str(known)}
        return self.sql(f"FROM {history.macro}($moment, known := $known) {history.where}", given)

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._held.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _refuse_writes(self, statement: Any) -> None:
        """Refuse writes that DuckDB would allow in memory: the user would believe that they were kept."""
        kind, body = statement.type.name, _COMMENT.sub(" ", statement.query)
        if kind in _REFUSED or (kind == "CREATE" and not _TEMPORARY.match(body)):
            raise self._read_only(body.split()[0].upper())
        if kind in ("DROP", "ALTER") and set(re.findall(r"\w+", body)) & {n.split(".")[-1] for n in self.tables}:
            raise self._read_only(kind)

    def _explained(self, error: Exception, query: str) -> FixInput:
        message = str(error).splitlines()[0]
        if any(sign in message for sign in _WRITES):
            return self._read_only(message)
        if any(sign in message for sign in _OTHER_FILES):
            return FixInput(
                f"{self.path} is all that a query can read: {message}.",
                remedy=f"{_SAVE}; to read other files beside a publication, ATTACH it in a DuckDB of your own.",
            )
        if asof.BEYOND in message:
            return FixInput(f"{self.path}: {message}.", remedy="Ask about a later moment; [history] sets how far back.")
        if "column" in message.lower():
            return FixInput(f"the query failed: {message}", remedy=self._columns(query))
        if "Macro" in message or "Table Function" in message:
            return FixInput(f"the query failed: {message}", remedy=f"There are {', '.join(self._macros())}.")
        if "Table" in message:
            return FixInput(f"the query failed: {message}", remedy=f"Tables: {', '.join(self.tables)}.")
        return FixInput(f"the query failed: {message}", remedy="Correct the query; SHOW TABLES lists the tables.")

    def _macros(self) -> list[str]:
        """Return how each macro is written that this publication has."""
        query = f"""SELECT function_name || '(' || list_aggregate(parameters, 'string_agg', ', ') || ')'
            FROM duckdb_functions() WHERE function_type = 'table_macro' AND database_name = '{CATALOG}' ORDER BY 1"""
        return [name for (name,) in self.connection.execute(query).fetchall()]

    def _columns(self, query: str) -> str:
        """Name the columns of the tables that a query mentions."""
        words = set(re.findall(r"\w+", query))
        named = [name for name in self.tables if name in words or name.split(".")[-1] in words]
        return " ".join(f"{name} has {', '.join(self.table(name).column_names)}." for name in named)

    def _read_only(self, what: str) -> FixInput:
        return FixInput(
            f"{self.path} is read-only: {what}.",
            remedy=f"{_SAVE}; CREATE TEMP TABLE holds intermediate steps.",
        )


def open(path: str | Path, *, green: bool = False) -> Reading:
    """Open a publication or a working store for reading.

    Args:
        path: a DuckDB publication, a lake's folder or its manifest.json, or a working store; `duckdb:` and
            `parquet:` may precede it. While a store is open here, no sync can begin, so keep that short.
        green: open the last green run. It is the newest one if that is green and loaded every resource that its store
            holds, else the one that was kept beside it.

    Raises:
        FixInput: nothing is there, or it is not Flexsync's, or it has a newer version, or no green run is there.
        LockHeld: a sync is writing to that store.
    """
    given = str(path)
    for kind in (DUCKDB, PARQUET):
        given = given.removeprefix(f"{kind}:")
    place = expanded(given)
    if place.name == lake.MANIFEST:
        place = place.parent
    if not place.exists():
        raise FixInput(f"{path} does not exist.", remedy="Correct the path, or run `flexsync sync` first.")
    if place.is_dir():
        return _open(place, partial(_attach_lake, green=green))
    return _open_green(place) if green else _open(place, _attach_file)


def newest(targets: Sequence[str], *, green: bool = False, history: bool = False) -> str | None:
    """Return the publication target that holds the newest run; None if none can be opened.

    Args:
        targets: publications.
        green: look for the newest green run.
        history: of those that hold that run, return the one whose histories reach furthest back; else the first.
    """
    found = []
    for number, target in enumerate(targets):
        with suppress(FlexsyncError), open(target, green=green) as reading:
            if reading.run_or_none is not None and reading.published_at is not None:
                short = reading.history_since.timestamp() if history and reading.history_since else -math.inf
                found.append((reading.run.run_id, reading.published_at, -short, -number, target))
    return max(found)[-1] if found else None


# --- opening, in parts ----------------------------------------------------------------------------------------


def _open(place: Path, attach: Any) -> Reading:
    with ExitStack() as held:
        db = duckdb.connect()  # an instance of its own: a shared one would show the old file
        held.callback(db.close)
        try:
            attach(db, place, held)
            for setting in _LOCKDOWN:
                db.execute(setting)
            reading = Reading(place, db, held)
        except (duckdb.Error, OSError, ValueError) as error:  # damaged Parquet files raise the last two
            raise _unreadable(place, error) from error
        reading._held = held.pop_all()
    return reading


def _open_green(place: Path) -> Reading:
    """Open a file if its run is green and whole, else the copy beside it."""
    for _ in range(ATTEMPTS):  # between both looks a publisher may replace the first and remove the second
        error = lake.no_green(place)
        for path in filter(Path.exists, (place, green_copy(place))):
            try:
                opened = _open(path, _attach_file)
            except FixInput as found:
                error = found
                continue
            if opened.run_or_none is not None and opened.run.proven:
                return opened
            opened.close()
    raise error


def _attach_file(db: Any, place: Path, held: ExitStack) -> None:
    db.execute(f"ATTACH {literal(database_file(place))} AS {CATALOG} (TYPE duckdb, READ_ONLY)")
    db.execute(f"USE {CATALOG}")


def _attach_lake(db: Any, place: Path, held: ExitStack, *, green: bool) -> None:
    manifest, files = _open_files(place, held, green)
    db.execute(f"ATTACH ':memory:' AS {CATALOG}")
    db.execute(f"USE {CATALOG}")
    db.execute(f"CREATE SCHEMA {CATALOG}.flexsync")
    for name in manifest.tables:
        db.register(f"parquet {name}", _dataset(files[name]))
        schema, _, table = name.rpartition(".")
        db.execute(f'CREATE VIEW {CATALOG}.{schema or "main"}."{table}" AS FROM "parquet {name}"')
    if f"flexsync.{FIGURES.name}" in manifest.tables:  # older versions keep no history
        for statement in asof.statements(manifest.excluded):
            db.execute(statement)


def _open_files(place: Path, held: ExitStack, green: bool) -> tuple[parts.Manifest, dict[str, list[Any]]]:
    """Open every file of the run that the manifest names; once open, a file may be deleted."""
    import pyarrow as pa

    for _ in range(ATTEMPTS):
        with ExitStack() as tried, suppress(FileNotFoundError):
            manifest = lake.read(place, green=green)
            files = {
                name: [tried.enter_context(pa.OSFile(str(place / file.path))) for file in entry.files]
                for name, entry in manifest.tables.items()
            }
            held.enter_context(tried.pop_all())
            return manifest, files
    raise FixInput(f"{place} lacks files that its manifest names.", remedy="Publish to it again.")


def _tables(db: Any) -> tuple[str, ...]:
    query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = '{CATALOG}'"
    found = {table if schema == "main" else f"{schema}.{table}" for schema, table in rows(db, query)}
    return tuple(name for name in contents.names() if name in found)


def _dataset(files: list[Any]) -> Any:
    import pyarrow.dataset as ds

    form = ds.ParquetFileFormat()
    fragments = [form.make_fragment(file) for file in files]
    return ds.FileSystemDataset(fragments, fragments[0].physical_schema, form)


def _unreadable(place: Path, error: Exception) -> FlexsyncError:
    message = str(error).splitlines()[0]
    if any(sign in message for sign in _LOCKED):
        return LockHeld(f"a sync is writing to {place}.", remedy="Read the newest publication meanwhile.")
    return FixInput(f"{place} cannot be read as Flexsync's: {message}", remedy="Give a publication or a store.")


def _empty() -> pa.Table:
    import pyarrow as pa

    return pa.table({})
