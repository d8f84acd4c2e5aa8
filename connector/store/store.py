"""The working store: one DuckDB file that holds the tables and everything Flexsync must remember.

Promised: rows, cursor, queue marks, answers and ledger land in one transaction or not at all (design section 2.2); one
process writes at a time; a file that is not ours, is newer, or belongs to another environment is refused.
Never done: HTTP, deciding what to load.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import filelock
import msgspec

from connector.errors import FixInput, LockHeld, OurFault
from connector.pull.certificate import Certificate, ChildProof, CustomerProof, ZeroWatch
from connector.pull.pages import Page, Position
from connector.pull.windows import FULL, Run
from connector.pull.work import Item, Result
from connector.push.apply import results
from connector.store import ddl, ledger, queue
from connector.store.database import rows
from connector.store.landing import Landed, Landing, file_rejects
from connector.store.merge import Counts, merge_listing, replace_owned
from connector.tables.decode import Answer, Reader
from connector.tables.resources import RESOURCES
from connector.tables.schemas import SCHEMA_VERSION, TABLES

MEMORY = "192MB"  # DuckDB's own limit; beyond it spills to disk


class Store:
    """The working store. Use `Store.open`; every method is safe to call from one worker thread at a time."""

    def __init__(self, db: Any, path: Path, lock: filelock.BaseFileLock | None) -> None:
        self.db = db
        self.path = path
        self._lock = lock
        self._open = True
        self._mutex = threading.RLock()
        self._reader = Reader()
        self.unknown: Counter[str] = Counter()  # unknown fields met in listings

    # --- opening ---

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open or make a store for writing.

        Raises:
            LockHeld: another process has it.
            FixInput: the file is no DuckDB file, not ours, or of a newer version; its folder cannot be written.
        """
        path = Path(path)
        lock = _locked(path)
        try:
            db = _connect(path)
            try:
                with _told(path):
                    _prepare(db, path)
            except BaseException:
                db.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(db, path, lock)

    def close(self) -> None:
        """Close the file and let go of the lock; safe to call twice."""
        with self._mutex:
            try:
                if self._open:
                    self._open = False
                    with _told(self.path):
                        self.db.execute("USE memory")
                        self.db.execute("DETACH store")  # writes the log into the file
            finally:
                self.db.close()
                if self._lock is not None:
                    self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Everything inside lands together or not at all."""
        with self._mutex, _told(self.path):
            self.db.execute("BEGIN")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                _roll_back(self.db)
                raise

    def cursor(self) -> Any:
        """Open a connection of its own to the same file; the caller closes it."""
        db = self.db.cursor()
        db.execute("USE store")
        return db

    def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query, as Python values."""
        with self._mutex, _told(self.path):
            return rows(self.db, query, parameters)

    def count(self, query: str, parameters: dict[str, Any] | None = None) -> int:
        """Return the one number that a query gives."""
        return int(self.rows(query, parameters)[0][0] or 0)

    # --- runs ---

    def bind(self, environment_id: str) -> None:
        """Tie the store to an environment; raises `FixInput` when it belongs to another one."""
        with self.transaction() as db:
            known = ledger.environment(db)
            if known is None:
                ledger.set_environment(db, environment_id)
            elif known != environment_id:
                raise FixInput(
                    f"{self.path} holds environment {known}, the key opens {environment_id}.",
                    remedy="Use another --store for it, or the key of the first environment.",
                )

    def record_import(self, run_id: str, planned_at: datetime, rows: Iterator[dict[str, Any]]) -> None:
        """Keep what became of an import's rows, in place of what an earlier try of the same run left here."""
        import pyarrow as pa

        insert = """INSERT INTO flexsync.import_journal
            SELECT $run, $at, line, external_id, id, "do", outcome, why, changes, request_id FROM imported"""
        with self.transaction() as db:
            db.execute("DELETE FROM flexsync.import_journal WHERE run_id = $run", {"run": run_id})
            while batch := list(islice(rows, 50_000)):
                db.register("imported", pa.Table.from_pylist(batch, schema=results.schema()))
                db.execute(insert, {"run": run_id, "at": planned_at})
                db.unregister("imported")

    def begin(
        self,
        now: datetime,
        resources: tuple[str, ...],
        *,
        full: bool,
        full_every: timedelta,
        overlap: timedelta,
        resume_for: timedelta,
        version: str,
    ) -> Run:
        """Take the interrupted run up again if it fits, else begin one at `now`, the server's clock."""
        with self.transaction() as db:
            run = ledger.open_run(db)
            if run and ledger.can_resume(run, now, resume_for, resources, full):
                return ledger.resume(db, run)
            return ledger.begin(db, now, resources, full=full, full_every=full_every, overlap=overlap, version=version)

    def last_run(self) -> Run | None:
        """Return the newest run that ended green or degraded."""
        found = self.rows(
            """SELECT run_id, mode, started_at, resumed, resources FROM flexsync.runs
            WHERE status IN ('green', 'degraded') ORDER BY run_id DESC LIMIT 1"""
        )
        if not found:
            return None
        run_id, mode, t0, resumed, resources = found[0]
        return Run(run_id, mode, t0, None, resumed, tuple(resources))

    def interrupt(self, run: Run, calls: int) -> None:
        """Note that a run was stopped and can be resumed."""
        with self.transaction() as db:
            db.execute(
                "UPDATE flexsync.runs SET status = 'interrupted', calls = calls + $calls WHERE run_id = $run",
                {"calls": calls, "run": run.run_id},
            )

    def finish(
        self, run: Run, certificate: Certificate, report: dict[str, Any], now: datetime, listed: Sequence[str]
    ) -> str:
        """End a run: certificate, status, and the cursors of the listings that were read. Returns the status.

        An account without any customer names no environment; until it does, there is no cursor, for the next key may
        open another one.
        """
        status = "green" if certificate.green else "degraded"
        with self.transaction() as db:
            body = msgspec.json.encode(certificate.plain()).decode()
            db.execute("DELETE FROM flexsync.certificates WHERE run_id = $run", {"run": run.run_id})
            db.execute(
                "INSERT INTO flexsync.certificates VALUES ($run, $green, $body)",
                {"run": run.run_id, "green": certificate.green, "body": body},
            )
            if ledger.environment(db):
                for name in listed:
                    if name in run.resources:
                        ledger.set_cursor(db, name, run.t0, run.t0 if run.mode == FULL else None, run.run_id)
            ledger.finish(db, run.run_id, status, now, certificate.reasons, report)
        return status

    def counts(self, run: Run) -> dict[str, dict[str, int]]:
        """Rows that the run moved, by table."""
        with self._mutex:
            return ledger.counts_of(self.db, run.run_id)

    # --- walks ---

    def position(self, run: Run, name: str) -> Position | None:
        """Where a walk of this run stands."""
        with self._mutex:
            return ledger.position_of(self.db, run.run_id, name)

    def done(self, run: Run, name: str) -> bool:
        """Whether a step of this run is over."""
        position = self.position(run, name)
        return position is not None and position.done

    def step_done(self, run: Run, name: str) -> None:
        """Note that a step without pages is over."""
        with self.transaction() as db:
            ledger.set_position(db, run.run_id, name, Position(done=True), 0)

    def commit_page(self, run: Run, name: str, resource: str, page: Page, *, integrations: bool = False) -> Counts:
        """Take a page of a listing in, together with the walk's new position.

        Args:
            run: the run.
            name: of the walk.
            resource: customers or subscriptions.
            page: from `connector.pull.pages`.
            integrations: the page was asked with expand=integrations, so their absence means something.

        Returns:
            Rows moved.
        """
        observed = page.reply.date or run.t0
        counts = Counts.none()
        with self.transaction() as db:
            decoded = self._reader.read([Answer(resource, page.reply.body, observed)])
            self._merge_page(db, run, resource, decoded, counts, integrations)
            ledger.set_position(db, run.run_id, name, page.position, len(page.ids))
            ledger.add_counts(db, run.run_id, counts)
        self.unknown.update(decoded.unknown)
        return counts

    def _merge_page(self, db: Any, run: Run, resource: str, decoded: Any, counts: Counts, integrations: bool) -> None:
        staged = decoded.tables[resource]
        _settle_rejects(db, resource, staged, decoded.rejects)
        file_rejects(db, decoded.rejects, run.run_id, counts)
        if staged.num_rows:
            merge_listing(db, TABLES[resource], resource, staged, run.run_id, counts)
        if resource == "subscriptions" and staged.num_rows:
            _note_sweep(db, staged)
        if integrations and staged.num_rows:
            # which customer a misfit belongs to is not known, so none of the page loses a link that did not come
            bad = [r for r in decoded.rejects if f"{r.table}.{r.field}".startswith(_LINKS)]
            scope = _owners(staged, keep=bool(bad))
            children = decoded.tables["customer_integrations"]
            replace_owned(db, TABLES["customer_integrations"], children, scope, run.run_id, counts)

    def settle_listing(self, run: Run, resource: str) -> None:
        """After a full walk, forget what earlier runs filed: what still does not fit was filed anew by this one."""
        with self.transaction() as db:
            db.execute(
                "DELETE FROM flexsync.rejects WHERE list_contains($tables, table_name) AND run_id <> $run",
                {"tables": list(RESOURCES[resource].tables), "run": run.run_id},
            )

    def unmet(self, run: Run, resource: str, *, active_only: bool) -> list[str]:
        """Ids that we hold and that no listing of this run has met: created before T0, not gone.

        Args:
            run: the run.
            resource: customers or subscriptions.
            active_only: only subscriptions that we hold as active or trialing.
        """
        status = "AND subscription_status IN ('active', 'trialing')" if active_only else ""
        query = f"""SELECT id FROM {resource} t WHERE gone_at IS NULL AND created_at < $t0 {status}
            AND NOT EXISTS (SELECT 1 FROM flexsync.met m WHERE m.resource = $resource AND m.id = t.id) ORDER BY id"""
        return [row[0] for row in self.rows(query, {"t0": run.t0, "resource": resource})]

    def forget_met(self, run: Run, resource: str, walk: str) -> None:
        """Begin to note anew which rows a listing meets, unless that walk has begun already."""
        with self.transaction() as db:
            if ledger.position_of(db, run.run_id, walk) is None:
                db.execute("DELETE FROM flexsync.met WHERE resource = $resource", {"resource": resource})

    def unswept(self) -> list[str]:
        """Subscriptions that we hold as active and that the sweep did not name."""
        query = """SELECT id FROM subscriptions WHERE gone_at IS NULL AND subscription_status IN ('active', 'trialing')
            AND id NOT IN (SELECT subscription_id FROM flexsync.sweep) ORDER BY id"""
        return [row[0] for row in self.rows(query)]

    def mark_gone(self, run: Run, resource: str, ids: Sequence[str], now: datetime) -> int:
        """Mark rows that can no longer be read by their id in any status; returns how many."""
        if not ids:
            return 0
        with self.transaction() as db:
            db.execute(
                f"""UPDATE {resource} SET gone_at = $now, run_id = $run, observed_at = $now
                WHERE list_contains($ids, id)""",
                {"now": now, "run": run.run_id, "ids": list(ids)},
            )
            if resource == "subscriptions":
                db.execute("DELETE FROM flexsync.sweep WHERE list_contains($ids, subscription_id)", {"ids": list(ids)})
            counts = Counts.none()
            counts.updated[resource] += len(ids)
            ledger.add_counts(db, run.run_id, counts)
        return len(ids)

    def forget_children(self, run: Run, customer_ids: Sequence[str]) -> None:
        """Empty the child rows of customers whom the server, asked by id, does not know any more."""
        given = {"ids": list(customer_ids)}
        counts = Counts.none()
        with self.transaction() as db:
            for table in {name for resource in RESOURCES.values() if resource.call for name in resource.tables}:
                if table != "features":
                    sql = f"DELETE FROM {table} WHERE list_contains($ids, customer_id)"
                    counts.deleted[table] += db.execute(sql, given).fetchone()[0]
            db.execute("DELETE FROM flexsync.answers WHERE list_contains($ids, customer_id)", given)
            db.execute("DELETE FROM flexsync.suspects WHERE list_contains($ids, customer_id)", given)
            db.execute("DELETE FROM flexsync.rejects WHERE list_contains($ids, owner)", given)
            db.execute("DELETE FROM flexsync.sweep WHERE list_contains($ids, customer_id)", given)
            db.execute(
                "UPDATE flexsync.queue SET state = 'done', error = 'gone' WHERE list_contains($ids, customer_id)", given
            )
            ledger.add_counts(db, run.run_id, counts)

    # --- the queue ---

    def fill_queue(self, run: Run, *, sample: int, everyone: bool) -> int:
        """Queue the calls that this run still needs; returns how many were added."""
        children = [name for name in run.resources if RESOURCES[name].call]
        with self.transaction() as db:
            return queue.fill(db, children, run.run_id, sample=sample, everyone=everyone)

    def take(self, resource: str, state: str, beyond: int, number: int) -> list[Item]:
        """Return the next items of a resource in a state."""
        with self._mutex:
            return queue.take(self.db, resource, state, beyond, number)

    def waiting(self, state: str = "pending") -> dict[str, int]:
        """Items in a state, by resource."""
        query = "SELECT resource, count(*) FROM flexsync.queue WHERE state = $state GROUP BY resource"
        return {name: int(number) for name, number in self.rows(query, {"state": state})}

    def commit_answers(self, run: Run, landing: Landing, results: Sequence[Result], *, final: bool) -> Landed:
        """Take a batch of answers in, with their marks."""
        with self.transaction() as db:
            landed = landing.land(results, final=final)
            ledger.add_counts(db, run.run_id, landed.counts)
        return landed

    def surprises(self) -> list[str]:
        """Customers of the audit sample that had something."""
        query = """SELECT DISTINCT q.customer_id FROM flexsync.queue q JOIN flexsync.answers a
            ON a.customer_id = q.customer_id AND a.resource = q.resource AND a.rows > 0
            WHERE q.why = 'audit' AND q.state = 'done' ORDER BY 1"""
        return [row[0] for row in self.rows(query)]

    def refused_as_unknown(self) -> list[str]:
        """Customers whose call was answered 404, to be compared with the customer's state."""
        query = "SELECT DISTINCT customer_id FROM flexsync.queue WHERE state = 'failed' AND status = 404"
        return [row[0] for row in self.rows(query)]

    # --- facts for the certificate ---

    def customer_proof(self, run: Run, existed: int | None, method: str) -> CustomerProof:
        """What the store holds of the customers that existed at T0."""
        # A server without filters counts all it has, so all that we have is what that is compared with.
        before = "created_at < $t0" if method == "keyset" else "$t0 IS NOT NULL"
        query = f"SELECT count(DISTINCT id) FROM customers WHERE {before} AND gone_at IS {{}} NULL"
        stored = self.count(query.format(""), {"t0": run.t0})
        gone = self.count(query.format("NOT"), {"t0": run.t0})
        rejected = self.count(
            """SELECT count(DISTINCT key) FROM flexsync.rejects WHERE table_name = 'customers'
            AND key <> '' AND key NOT IN (SELECT id FROM customers)"""
        )
        return CustomerProof(run.t0, existed, stored, rejected, gone, method)

    def child_proofs(self, run: Run) -> list[ChildProof]:
        """Per child resource: answers owed, held, failed and suspect."""
        return [self._child_proof(run, name) for name in run.resources if RESOURCES[name].call]

    def _child_proof(self, run: Run, name: str) -> ChildProof:
        given = {"r": name}
        owed = """SELECT count(*) FROM flexsync.queue WHERE resource = $r AND why <> 'audit'"""
        state = owed + " AND state = '{}'"
        missing = """SELECT count(DISTINCT customer_id) FROM flexsync.sweep s
            WHERE subscription_type IS DISTINCT FROM 'inherited' AND NOT EXISTS (SELECT 1 FROM flexsync.queue q
            WHERE q.resource = $r AND q.customer_id = s.customer_id AND q.subscription_id = '' AND q.why <> 'audit')"""
        held = self.count(state.format("done"), given) + self.count(state.format("held"), given)
        tables = [table for table in RESOURCES[name].tables if table != "features"]
        rejected = "SELECT count(*) FROM flexsync.rejects WHERE list_contains($tables, table_name)"
        return ChildProof(
            name,
            owed=self.count(owed, given) + self.count(missing, given),
            held=held,
            failed=self.count("SELECT count(*) FROM flexsync.queue WHERE resource = $r AND state = 'failed'", given),
            suspect=self.count("SELECT count(*) FROM flexsync.suspects WHERE resource = $r", given),
            rejected=self.count(rejected, {"tables": tables}),
            contradicted=self.count(_CONTRADICTED) if name == "entitlements" and "usage" in run.resources else 0,
            examples=self._examples(name),
        )

    def _examples(self, name: str) -> list[str]:
        failed = self.rows(
            "SELECT customer_id, error FROM flexsync.queue WHERE resource = $r AND state = 'failed' LIMIT 3",
            {"r": name},
        )
        suspect = self.rows(
            """SELECT customer_id, feature_id, kind, held, offered FROM flexsync.suspects WHERE resource = $r
            ORDER BY customer_id, feature_id LIMIT 3""",
            {"r": name},
        )
        told = [f"{customer}: {error}" for customer, error in failed]
        for customer, feature, kind, held, offered in suspect:
            told.append(
                f"{customer} {feature or 'all features'} {kind}" + (f" {held:f} to {offered:f}" if held else "")
            )
        return told

    def broken_features(self) -> int:
        """Features that rows refer to and that are missing, or whose newest content did not fit."""
        return self.count(
            """SELECT count(DISTINCT feature_id) FROM (SELECT feature_id FROM usage
                UNION SELECT feature_id FROM subscription_usage UNION SELECT feature_id FROM entitlements)
            WHERE feature_id NOT IN (SELECT id FROM features)
            OR feature_id IN (SELECT key FROM flexsync.rejects WHERE table_name = 'features')"""
        )

    def zero_watch(self, run: Run) -> ZeroWatch | None:
        """Zeros among metered usage rows; None when usage was not asked for."""
        if "usage" not in run.resources:
            return None
        found = self.rows(
            """SELECT count(*), count(*) FILTER (current_usage = 0) FROM usage u
            JOIN features f ON f.id = u.feature_id AND f.type = 'metered'"""
        )
        metered, zeros = (int(value) for value in found[0])
        unproven = "SELECT count(*) FROM (SELECT DISTINCT * FROM flexsync.unproven WHERE run_id = $run)"
        with self._mutex:
            before = ledger.last_share(self.db, run.run_id)
        return ZeroWatch(metered, zeros, self.count(unproven, {"run": run.run_id}), before)

    def rejected_listings(self) -> int:
        """Rows of listings that are outstanding in the rejects."""
        return self.count(
            """SELECT count(*) FROM flexsync.rejects
            WHERE table_name IN ('customers', 'customer_integrations', 'subscriptions')"""
        )


# A failed load of entitlements is an empty answer with status 200; usage of the same customer gives it away.
_CONTRADICTED = """SELECT count(DISTINCT u.customer_id) FROM usage u JOIN flexsync.sweep s USING (customer_id)
    WHERE u.is_enabled AND s.subscription_type IS DISTINCT FROM 'inherited'
    AND u.customer_id NOT IN (SELECT customer_id FROM entitlements)"""

# --- opening, in parts ----------------------------------------------------------------------------------------


def _locked(path: Path) -> filelock.BaseFileLock:
    if not path.parent.exists():
        raise FixInput(f"{path.parent} does not exist.", remedy="Make the folder, or give another --store.")
    lock = filelock.FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise LockHeld(
            f"another run is writing to {path}.", remedy="Wait for it; `flexsync status` shows the last publication."
        ) from error
    except OSError as error:
        raise FixInput(f"{path}.lock cannot be written: {error}.", remedy="Give a --store that can.") from error
    return lock


def _connect(path: Path) -> Any:
    """Attach the file as `store`: a catalog is named after its file, and `flexsync.duckdb` would hide a schema."""
    db = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2})
    try:
        db.execute(f"ATTACH {_quoted(str(path))} AS store")
    except duckdb.Error as error:
        db.close()
        text = str(error).splitlines()[0]
        if "lock" in text.lower() or "Unique file handle" in text:
            raise LockHeld(
                f"{path} is open in another process: {text}", remedy="Close it there; one process writes at a time."
            ) from error
        raise FixInput(
            f"{path} cannot be opened as a DuckDB file: {text}", remedy="Give a --store of Flexsync's, or a new name."
        ) from error
    db.execute("USE store")
    db.execute("SET TimeZone = 'UTC'")  # not at connecting: the zone extension is not loaded yet there
    db.execute("SET preserve_insertion_order = false")
    return db


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _prepare(db: Any, path: Path) -> None:
    query = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'store'"
    tables = {row[0] for row in db.execute(query).fetchall()}
    if not tables:
        _make(db)
        return
    if "flexsync.meta" not in tables:
        raise FixInput(f"{path} is a DuckDB file that Flexsync did not make.", remedy="Give --store a name of its own.")
    found = db.execute("SELECT value FROM flexsync.meta WHERE key = 'schema_version'").fetchall()
    version = int(found[0][0]) if found else 0
    if version > SCHEMA_VERSION:
        raise FixInput(
            f"{path} has schema version {version}, this Flexsync knows {SCHEMA_VERSION}.",
            remedy="Upgrade Flexsync, or give another --store.",
        )
    if version < SCHEMA_VERSION:
        raise FixInput(f"{path} has schema version {version}, which is too old.", remedy="Sync into a new --store.")


def _make(db: Any) -> None:
    db.execute("BEGIN")
    for statement in ddl.statements():
        db.execute(statement)
    db.execute("INSERT INTO flexsync.meta VALUES ('schema_version', $v)", {"v": str(SCHEMA_VERSION)})
    db.execute("INSERT INTO flexsync.meta VALUES ('made_by', 'flexsync')")
    db.execute("COMMIT")


_FULL = ("No space left", "disk is full", "Disk is full", "File too large", "Disk quota", "max_temp_directory_size")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in words what DuckDB could not do."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error).splitlines()[0]
        if any(sign in str(error) for sign in _FULL):
            raise FixInput(
                f"the disk of {path} is full: {text}",
                remedy="Free some space and run the same command again; what was committed is kept.",
            ) from error
        raise OurFault(f"{path}: {text}", remedy="Please report it.") from error


def _roll_back(db: Any) -> None:
    try:
        db.execute("ROLLBACK")
    except duckdb.Error:  # a failed COMMIT has rolled back already
        return


# --- listings, in parts -----------------------------------------------------------------------------------------


def _note_sweep(db: Any, staged: Any) -> None:
    """Keep the sweep equal to what the newest rows say of these subscriptions."""
    db.register("staged", staged)
    db.execute("DELETE FROM flexsync.sweep WHERE subscription_id IN (SELECT id FROM staged)")
    db.execute(
        """INSERT INTO flexsync.sweep SELECT id, customer_id, subscription_type, created_at, current_period_start
        FROM subscriptions WHERE id IN (SELECT id FROM staged) AND subscription_status IN ('active', 'trialing')"""
    )
    db.unregister("staged")


def _settle_rejects(db: Any, resource: str, staged: Any, rejects: Sequence[Any]) -> None:
    """Take rows that now fit, or that are filed anew, out of the rejects."""
    keys = [*staged.column("id").to_pylist(), *(reject.key for reject in rejects)]
    db.execute(
        "DELETE FROM flexsync.rejects WHERE table_name = $t AND list_contains($keys, key)",
        {"t": resource, "keys": [key for key in keys if key]},
    )


_LINKS = ("customer_integrations.", "customers.integrations[")  # where misfits of integrations are filed


def _owners(staged: Any, *, keep: bool) -> Any:
    import pyarrow as pa

    owners = list(dict.fromkeys(staged.column("id").to_pylist()))
    no = pa.array([False] * len(owners), pa.bool_())
    kept = pa.array([keep] * len(owners), pa.bool_())
    return pa.table({"owner": pa.array(owners, pa.string()), "fresh": no, "keep": kept})
