"""Ingest: a batch of per-customer answers goes into the tables.

An answer is either the last good one again, and only confirmed; or it is decoded, judged, merged and recorded.
Promised: the tables hold exactly the rows of each customer's last good answer; a suspect figure, a row that does not
fit and a failed call leave the last good row as it is. Never done: HTTP; opening or committing a transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from connector.pull.work import Result, answer_of
from connector.store import answers
from connector.store.batch import Batch
from connector.store.counts import Counts
from connector.store.database import Database
from connector.store.merge import merge_features
from connector.store.queue import Mark, mark, outdate
from connector.store.rejects import Rejects
from connector.store.replace import replace_rows
from connector.store.suspects import Suspects
from connector.store.tombstones import Tombstones
from connector.store.verdicts import Judge, Verdicts
from connector.tables.decode import Reader
from connector.tables.resources import RESOURCES


@dataclass
class Ingested:
    """What ingesting a batch did.

    Attributes:
        counts: rows moved, by table.
        unchanged: number of answers whose body was the last good one.
        unknown: unknown fields, and how often they were seen.
        incomplete: answers that leave out a subscription of their customer; they were not stored.
        left_out: those subscriptions.
        deprived: resource -> customers whose rows became another customer's; they are asked again.
        outdated: customers whose answers have to be made again, because they have subscriptions that are not known.
    """

    counts: Counts = field(default_factory=Counts)
    unchanged: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    incomplete: list[Result] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    deprived: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    outdated: set[str] = field(default_factory=set)


class Ingest:
    """Ingests the answers of one run.

    Args:
        db: the store's connection.
        run_id: the run.
        forgotten: whose rows and rejects are kept blank.
        accept: customers, or "all", whose lower figures are believed (`--accept-lower`).
    """

    def __init__(self, db: Database, run_id: str, forgotten: Tombstones, accept: frozenset[str] = frozenset()) -> None:
        self.db = db
        self.run_id = run_id
        self._forgotten = forgotten
        self._reader = Reader(features_apart=True)
        self._suspects = Suspects(db, run_id)
        self._rejects = Rejects(db, run_id)
        self._judge = Judge(db, run_id, accept, self._suspects)

    def ingest(self, results: Sequence[Result], *, final: bool) -> Ingested:
        """Ingest results, inside the caller's transaction.

        Args:
            results: of any child resources, each item at most once.
            final: whether this was the second and last attempt at these items.
        """
        done = Ingested()
        self._merge_features(results, done)
        marks: list[Mark] = []
        same: list[Result] = []
        new: dict[str, list[Result]] = defaultdict(list)
        for result in results:
            if result.body is None:
                marks.append(_mark(result, _retry(final), result.error, result.status))
            elif answers.unchanged(result):
                same.append(result)
            else:
                new[result.item.resource].append(result)
        marks += self._ingest_new(new, final, done)
        self._forget(done)
        marks += self._confirm(same, final, done)
        mark(self.db, marks)
        self._forget(done)  # once more: what was just marked as done is among it
        outdate(self.db, sorted(done.outdated))
        return done

    def _merge_features(self, results: Sequence[Result], done: Ingested) -> None:
        """Merge the features of all answers before any is judged, in the order of arrival.

        Those of an answer that is the last good one again are met too: else an older content in another answer, from a
        replica or a cache, would pass for the only one of this run.
        """
        given = [
            answer_of(r) for r in results if r.body is not None and "features" in RESOURCES[r.item.resource].tables
        ]
        decoded = self._reader.features(given)
        done.unknown.update(decoded.unknown)
        features = decoded.tables["features"]
        if features.num_rows:
            merge_features(self.db, features, self.run_id, done.counts)
            self._rejects.release_features(features.column("id").to_pylist())
        self._rejects.file(decoded.rejects, done.counts)

    def _forget(self, done: Ingested) -> None:
        for resource, customers in done.deprived.items():
            answers.forget(self.db, resource, customers)

    def _confirm(self, same: list[Result], final: bool, done: Ingested) -> list[Mark]:
        """Take note of answers that are the last good ones again; read those whose rows another answer took."""
        if not same:
            return []
        new: dict[str, list[Result]] = defaultdict(list)
        for result in answers.confirm(self.db, self.run_id, same):
            new[result.item.resource].append(result)
        read = {result.item.item for results in new.values() for result in results}
        same = [result for result in same if result.item.item not in read]
        done.unchanged += len(same)
        self._suspects.clear(same)
        self._rejects.release_answers(same)
        return [*(_mark(result, "done") for result in same), *self._ingest_new(new, final, done)]

    def _ingest_new(self, new: dict[str, list[Result]], final: bool, done: Ingested) -> list[Mark]:
        """Decode, judge and store answers that differ from the last good ones."""
        marks: list[Mark] = []
        staged: list[pa.Table] = []
        for resource, results in new.items():
            decoded = self._forgotten.blank(self._reader.read([answer_of(result) for result in results]))
            done.unknown.update(decoded.unknown)
            verdicts = self._store(Batch(resource, results, decoded, final), done.counts)
            if verdicts.deprived:
                done.deprived[resource] |= verdicts.deprived
            done.incomplete += [results[i] for i in verdicts.left_out]
            done.left_out.update(*verdicts.left_out.values())
            done.outdated |= verdicts.outdated
            rows = answers.staged(self.run_id, verdicts)
            staged += [] if rows is None else [rows]
            marks += _marks(verdicts)
        if staged:
            answers.upsert(self.db, pa.concat_tables(staged))
        return marks

    def _store(self, batch: Batch, counts: Counts) -> Verdicts:
        """Store the rows of one batch, features apart."""
        verdicts = self._judge.judge(batch)
        replace_rows(self.db, self.run_id, verdicts, counts)
        self._rejects.refile(batch, counts)
        self._suspects.clear([result for i, result in enumerate(batch.results) if verdicts.unsuspected(i)])
        if batch.final:
            self._suspects.record([batch.results[i] for i in verdicts.held], verdicts.suspects)
        return verdicts


def _marks(verdicts: Verdicts) -> list[Mark]:
    """Return the outcome of every answer of a batch."""
    batch = verdicts.batch
    marks = []
    for i, result in enumerate(batch.results):
        if i in batch.decoded.failed:
            marks.append(_mark(result, _retry(batch.final), batch.decoded.failed[i]))
        elif i in verdicts.held:
            marks.append(_mark(result, "held" if batch.final else "again", "suspect"))
        else:
            marks.append(_mark(result, "done"))
    return marks


def _mark(result: Result, state: str, error: str = "", status: int = 200) -> Mark:
    return Mark(result.item.item, state, error, status, result.began or None, result.ended or None)


def _retry(final: bool) -> str:
    return "failed" if final else "again"
