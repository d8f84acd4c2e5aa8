"""The working store: one DuckDB file with the tables and all state, and one transaction per step of a job.

Promised: rows, cursors, queue marks, answers and counts of a step are committed together or not at all (design section
2.2); one process writes at a time. Never done: HTTP, deciding what to load; SQL, which is in the modules beside this.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from connector.errors import FixInput
from connector.locks import Lock
from connector.pull.certificate import Certificate, ChildProof, Counted, ZeroWatch
from connector.pull.findings import Kept
from connector.pull.pages import Page, Position
from connector.pull.proof_windows import Window
from connector.pull.windows import Beginning, Run
from connector.pull.work import Item, Result
from connector.store import (
    counts,
    cursors,
    erasure,
    evidence,
    findings,
    gone,
    import_journal,
    links,
    listing_facts,
    listings,
    opening,
    queue,
    rejects,
    runs,
    tombstones,
    walks,
)
from connector.store.counts import Counts
from connector.store.database import Database, Row, count, rows
from connector.store.holdings import Person
from connector.store.ingest import Ingest, Ingested
from connector.tables.decode import Answer, Reader
from connector.tables.resources import RESOURCES

T = TypeVar("T")


class Store:
    """The working store. Open it with `Store.open`; every method is safe to call from one worker thread at a time.

    Attributes:
        db: the connection; for `Ingest` and for tests.
        path: the file.
        unknown: unknown fields of listings, and how often they were seen.
        older: the copy of the file as it was, if opening it migrated it from an older schema version.
        tombstones: who was forgotten; only `forget` adds to them, so one reading serves a whole run.
        found: what the run has found out, to be kept by the next transaction; None if all of it is kept.
    """

    def __init__(self, db: Any, path: Path, lock: Lock | None, older: Path | None = None) -> None:
        self.db = db
        self.path = path
        self.older = older
        self.tombstones = tombstones.read(db)
        self.unknown: Counter[str] = Counter()
        self.found: list[Kept] | None = None
        self._lock = lock
        self._open = True
        self._mutex = threading.RLock()
        self._reader = Reader()

    # --- opening, transactions, queries ---

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open a store for writing; make one if there is no file, migrate one of an older schema version.

        Raises:
            LockHeld: another process has it.
            FixInput: the file is not a store, or of a newer version; its folder cannot be written.
        """
        path = Path(path)
        lock = opening.lock(path)
        try:
            db = opening.connect(path)
            try:
                with opening.explained(path):
                    older = opening.prepare(db, path)
                    return cls(db, path, lock, older)
            except BaseException:
                db.close()
                raise
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Close the file and release the lock; safe to call twice."""
        with self._mutex:
            try:
                if self._open:
                    self._open = False
                    with opening.explained(self.path):
                        opening.detach(self.db)
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
        """Commit everything inside together, or nothing if it raises."""
        with self._mutex, opening.explained(self.path):
            self.db.execute("BEGIN")
            try:
                yield self.db
                findings.keep(self.db, self.found)
                self.db.execute("COMMIT")
                self.found = None
            except BaseException:
                opening.roll_back(self.db)
                raise

    @contextmanager
    def _counting(self, run: Run) -> Iterator[tuple[Database, Counts]]:
        """Give a transaction, and what counts the rows that it moves for the run."""
        moved = Counts()
        with self.transaction() as db:
            yield db, moved
            counts.add(db, run.run_id, moved)

    @contextmanager
    def _query(self) -> Iterator[Database]:
        """Give the connection for queries outside a transaction."""
        with self._mutex, opening.explained(self.path):
            yield self.db

    def cursor(self) -> Any:
        """Open a second connection to the same file; the caller closes it."""
        db = self.db.cursor()
        opening.begin_session(db)
        return db

    def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
        """Return the rows of a query, as Python values."""
        with self._query() as db:
            return rows(db, query, parameters)

    def count(self, query: str, parameters: dict[str, Any] | None = None) -> int:
        """Return the single number that a query gives."""
        with self._query() as db:
            return count(db, query, parameters)

    # --- runs ---

    def bind(self, environment_id: str) -> None:
        """Tie the store to an environment. Raises `FixInput` if it belongs to another one."""
        with self.transaction() as db:
            self._bind(db, environment_id)

    def _bind(self, db: Database, environment_id: str) -> None:
        known = runs.environment(db)
        if known is None:
            runs.set_environment(db, environment_id)
        elif known != environment_id:
            raise FixInput(
                f"{self.path} holds environment {known}, the key opens {environment_id}.",
                remedy="Use another --store for it, or the key of the first environment.",
            )

    def resume(self, now: datetime, resources: tuple[str, ...], *, full: bool, resume_for: timedelta) -> Run | None:
        """Resume the interrupted run; None when there is none that fits.

        Args:
            now: the server's clock.
            resources: what to load.
            full: walk everything, whatever the cursors say.
            resume_for: age up to which an interrupted run is resumed.
        """
        with self.transaction() as db:
            run = runs.unfinished(db)
            fits = run and runs.can_resume(run, now, resume_for, resources, full)
            return runs.resume(db, run) if run and fits else None

    def begin(
        self,
        beginning: Beginning,
        resources: tuple[str, ...],
        *,
        full: bool,
        full_every: timedelta,
        overlap: timedelta,
        version: str,
    ) -> Run:
        """Begin a new run.

        Args:
            beginning: the clocks, and the newest rows.
            resources: what to load.
            full: walk everything, whatever the cursors say.
            full_every: age of the last full walk from which a run is full.
            overlap: how long before the cursor an incremental window starts.
            version: Flexsync's, for the record.
        """
        with self.transaction() as db:
            return runs.begin(
                db, beginning, resources, full=full, full_every=full_every, overlap=overlap, version=version
            )

    def last_run(self) -> Run | None:
        """Return the newest run that ended green or degraded."""
        with self._query() as db:
            return runs.last_finished(db)

    def interrupt(self, run: Run, calls: int) -> None:
        """Record that a run was stopped and can be resumed, with the calls it made."""
        with self.transaction() as db:
            runs.interrupt(db, run.run_id, calls)

    def finish(
        self,
        run: Run,
        certificate: Certificate,
        report: dict[str, Any],
        clocks: Sequence[datetime],
        listed: Sequence[str],
        since: datetime | None = None,
    ) -> str:
        """Finish a run, and return its status: store its certificate and report, move the cursors of what was read.

        An account without customers names no environment. Until it does, no cursor is stored: the next key may open
        another environment.

        Args:
            run: the run.
            certificate: what it proves.
            report: as JSON-able data.
            clocks: this machine's clock, and the server's if it disagrees.
            listed: listings that were read to their end.
            since: how far back the histories can be asked from now on; None: as far as before.
        """
        status = "green" if certificate.green else "degraded"
        with self.transaction() as db:
            evidence.save_certificate(db, certificate)
            if runs.environment(db):
                cursors.move(db, run, set(listed) & set(run.resources))
            runs.finish(db, run.run_id, status, clocks, certificate.reasons, report, since)
        return status

    def counts(self, run: Run) -> dict[str, dict[str, int]]:
        """Return the rows that a run inserted, updated, deleted and rejected, by table."""
        with self._query() as db:
            return counts.of_run(db, run.run_id)

    def record_import(self, run_id: str, planned_at: datetime, rows: Iterator[dict[str, Any]]) -> None:
        """Store the outcomes of an import, in place of those that an earlier attempt of the same run stored."""
        with self.transaction() as db:
            import_journal.record(db, run_id, planned_at, rows, self.tombstones)

    def forget(self, person: Person, now: datetime) -> None:
        """Write the file anew without anything personal about a customer; a tombstone keeps later answers blank."""
        with self._query() as db:
            erasure.rewrite(db, self.path, person, now)
            self.tombstones = tombstones.read(db)

    # --- listings ---

    def position(self, run: Run, name: str) -> Position | None:
        """Return the position of a walk of this run; None before its first page."""
        with self._query() as db:
            return walks.position(db, run.run_id, name)

    def done(self, run: Run, name: str) -> bool:
        """Return whether a walk or step of this run is done."""
        return (position := self.position(run, name)) is not None and position.done

    def step_done(self, run: Run, name: str) -> None:
        """Record that a step without pages is done."""
        with self.transaction() as db:
            walks.advance(db, run.run_id, name, Position(done=True), 0)

    def commit_page(self, run: Run, name: str, resource: str, page: Page, *, integrations: bool = False) -> Counts:
        """Store a page of a listing together with the walk's new position; return the rows moved.

        Args:
            run: the run.
            name: of the walk.
            resource: customers or subscriptions.
            page: from `connector.pull.pages`.
            integrations: the page was requested with expand=integrations, so a missing integration may be gone.

        Raises:
            FixInput: a row belongs to another environment than the store; nothing of the page is stored.
        """
        with self._counting(run) as (db, moved):
            if not page.repeated:
                decoded = self._reader.read([Answer(resource, page.reply.body, page.reply.date or run.started_at)])
                for environment in listings.environments(decoded, resource):
                    self._bind(db, environment)
                self.unknown.update(decoded.unknown)
                decoded = self.tombstones.blank(decoded)
                listings.merge_page(db, run.run_id, resource, decoded, moved, integrations=integrations)
            walks.advance(db, run.run_id, name, page.position, len(page.ids))
        return moved

    def settle_listing(self, run: Run, resource: str) -> None:
        """After a full walk, drop the rejects of earlier runs: what still does not fit was filed again by this one."""
        with self.transaction() as db:
            rejects.release_earlier_runs(db, run.run_id, resource)

    def forget_older(self) -> None:
        """Forget that rows came back with an older edit, because all rows were read anew."""
        with self.transaction() as db:
            listing_facts.forget_older(db)

    def await_again(self, run: Run, resource: str, window: Window, walk: str) -> None:
        """Await the ids of a window once more, unless `walk` has begun already."""
        with self.transaction() as db:
            if walks.position(db, run.run_id, walk) is None:
                listing_facts.await_again(db, resource, window)

    def unswept(self) -> list[str]:
        """Return subscriptions that are stored as active or trialing and that the sweep did not return."""
        with self._query() as db:
            return gone.unswept(db)

    def mark_gone(self, run: Run, resource: str, ids: Sequence[str], now: datetime) -> int:
        """Mark rows as gone that cannot be read by id in any status; return how many."""
        if ids:
            with self._counting(run) as (db, moved):
                gone.mark(db, run.run_id, resource, ids, now, moved)
        return len(ids)

    def delete_child_rows(self, run: Run, customer_ids: Sequence[str], now: datetime) -> None:
        """Delete the child rows of customers that the server, asked by id, no longer has."""
        with self._counting(run) as (db, moved):
            gone.delete_child_rows(db, run.run_id, customer_ids, now, moved)

    def delete_missing_links(self, run: Run) -> None:
        """Delete the integrations that the answers of this run left out."""
        with self._counting(run) as (db, moved):
            links.delete_missing(db, moved)

    # --- per-customer calls ---

    def fill_queue(self, run: Run, *, sample: int, everyone: bool) -> int:
        """Queue the calls that this run still needs; return how many were added."""
        children = [name for name in run.resources if RESOURCES[name].call]
        with self.transaction() as db:
            return queue.fill(db, children, run.run_id, sample=sample, everyone=everyone)

    def take(self, resource: str, state: str, beyond: int, number: int) -> list[Item]:
        """Return the next `number` items of a resource in a state, after item `beyond`."""
        with self._query() as db:
            return queue.take(db, resource, state, beyond, number)

    def waiting(self, state: str = "pending") -> dict[str, int]:
        """Return the number of items in a state, by resource."""
        with self._query() as db:
            return queue.waiting(db, state)

    def commit_answers(self, run: Run, ingest: Ingest, results: Sequence[Result], *, final: bool) -> Ingested:
        """Ingest a batch of answers together with their marks in the queue."""
        with self.transaction() as db:
            ingested = ingest.ingest(results, final=final)
            counts.add(db, run.run_id, ingested.counts)
        return ingested

    # --- evidence for the certificate ---

    def facts(self, work: Callable[..., T], *given: Any) -> T:
        """Return what a function of `listing_facts`, `findings` and the like finds; it only reads."""
        with self._query() as db:
            return work(db, *given)

    def save_count(self, run: Run, resource: str, counted: Counted) -> None:
        """Store the counts of one window of a listing's proof."""
        with self.transaction() as db:
            listing_facts.save_count(db, run.run_id, resource, counted)

    def child_proofs(self, run: Run) -> list[ChildProof]:
        """Return, per child resource, the answers owed, held, failed, suspect and rejected."""
        with self._query() as db:
            return evidence.child_proofs(db, run)

    def zero_watch(self, run: Run) -> ZeroWatch | None:
        """Return the zeros among metered usage rows; None when usage was not asked for."""
        with self._query() as db:
            return evidence.zero_watch(db, run)
