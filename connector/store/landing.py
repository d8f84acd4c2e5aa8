"""How answers of per-customer calls land in the store: judged, merged, marked, all in the caller's transaction.

Promised: the rows of a customer's last good answer are exactly what the tables hold; a suspect figure, a misfit or a
failed call leaves the last good row alone; an answer whose body is the last good one moves nothing.
Never done: sending; opening or committing a transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connector.pull import suspicion
from connector.pull.work import Item, Result, answer_of
from connector.store.database import Database, rows
from connector.store.merge import Counts, merge_features, replace_owned
from connector.store.queue import mark
from connector.tables.decode import Decoded, Reader, Reject
from connector.tables.resources import RESOURCES
from connector.tables.schemas import TABLES

_TIME = pa.timestamp("us", "UTC")


Mark = tuple[int, str, str, int]  # item, state, error, status


@dataclass
class Landed:
    """What a batch did.

    Attributes:
        counts: rows moved, by table.
        unchanged: answers whose body was the last good one.
        unknown: unknown fields met.
    """

    counts: Counts = field(default_factory=Counts.none)
    unchanged: int = 0
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass
class _Verdicts:
    """What is suspect: per result index, the features ("" = the whole answer), and the rows of the tally.

    `taken` are suspect figures without an earlier row: there is nothing to keep, so they are taken in and listed.
    """

    held: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    taken: set[tuple[int, str]] = field(default_factory=set)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def withheld(self, group: Sequence[Result], *, plain: bool) -> set[tuple[str, str]]:
        """(owner, feature) pairs to keep out: by customer for the plain tables, else by subscription."""
        return {
            (item.customer_id if plain else item.subscription_id or item.counted, feature)
            for i, features in self.held.items()
            for feature in features
            if (i, feature) not in self.taken
            for item in (group[i].item,)
            if not (plain and item.subscription_id)
        }


_CHUNK = 2047  # bytes; from 2048 on hashlib lets go of the interpreter, and getting it back costs more than the hash


def fingerprint(item: Item, body: bytes) -> bytes:
    """Hash of a body together with what else decides its rows; 16 bytes."""
    digest = hashlib.blake2b(item.context.encode(), digest_size=16)
    for place in range(0, len(body), _CHUNK):
        digest.update(body[place : place + _CHUNK])
    return digest.digest()


class Landing:
    """Takes batches of results in; one per run.

    Args:
        db: the store's connection.
        run_id: the run.
        accept: customers, or "all", whose lower figures are believed (`--accept-lower`).
    """

    def __init__(self, db: Database, run_id: str, accept: frozenset[str] = frozenset()) -> None:
        self.db = db
        self.run_id = run_id
        self.accept = accept
        self.reader = Reader()
        self._rejects = bool(rows(db, "SELECT 1 FROM flexsync.rejects LIMIT 1"))
        self._suspects = bool(rows(db, "SELECT 1 FROM flexsync.suspects LIMIT 1"))

    def land(self, results: Sequence[Result], *, final: bool) -> Landed:
        """Take one batch in.

        Args:
            results: of any child resources, each item at most once.
            final: whether this was the second and last try of these items.
        """
        landed = Landed()
        marks: list[Mark] = []
        groups: dict[str, list[Result]] = defaultdict(list)
        same: list[Result] = []
        for result in results:
            if result.body is None:
                marks.append((result.item.item, "failed" if final else "again", result.error, result.status))
            elif self._says_the_same(result):
                same.append(result)
            else:
                groups[result.item.resource].append(result)
        given: list[pa.Table] = []
        for resource, group in groups.items():
            marks += self._changed(resource, group, landed, final, given)
        if given:
            _upsert_answers(self.db, pa.concat_tables(given))
        marks += self._same(same, landed)
        mark(self.db, _marks(marks))
        return landed

    def _says_the_same(self, result: Result) -> bool:
        """Whether the body is the last good one; a second try is always read, for the first may have left rows."""
        item = result.item
        if item.state != "pending" or item.previous_hash is None:
            return False
        return item.previous_hash == fingerprint(item, result.body or b"")

    # --- answers that say what the last one said ---

    def _same(self, same: list[Result], landed: Landed) -> list[Mark]:
        if same:
            landed.unchanged += len(same)
            self._confirm(same)
            self._clear_suspects(same)
            self._clear_rejects(same)
        return [(result.item.item, "done", "", 200) for result in same]

    def _confirm(self, same: list[Result]) -> None:
        self.db.register("confirmed", _keys(same, observed_at=[r.observed_at for r in same]))
        self.db.execute(
            """UPDATE flexsync.answers a SET observed_at = c.observed_at, run_id = $run FROM confirmed c
            WHERE a.customer_id = c.customer_id AND a.resource = c.resource
            AND a.subscription_id = c.subscription_id""",
            {"run": self.run_id},
        )
        self.db.unregister("confirmed")

    # --- answers that say something new ---

    def _changed(
        self, resource: str, group: list[Result], landed: Landed, final: bool, given: list[pa.Table]
    ) -> list[Mark]:
        decoded = self.reader.read([answer_of(result) for result in group])
        landed.unknown.update(decoded.unknown)
        if resource != "upcoming_grants" and decoded.tables["features"].num_rows:
            self._merge_features(decoded.tables["features"], landed.counts)
        verdicts = self._judge(resource, group, decoded, final)
        rejected = {reject.owner for reject in decoded.rejects}
        good = [i for i in range(len(group)) if i not in decoded.failed and "" not in verdicts.held.get(i, ())]
        self._replace(resource, group, decoded, verdicts, good, rejected, landed.counts)
        self._file_rejects(resource, group, decoded, landed.counts)
        given += self._answers(group, decoded, verdicts, good, rejected)
        self._note_suspects(group, decoded, verdicts, final)
        return [self._mark(i, result, decoded, verdicts, final) for i, result in enumerate(group)]

    def _merge_features(self, staged: pa.Table, counts: Counts) -> None:
        merge_features(self.db, staged, self.run_id, counts)
        if self._rejects:  # what is merged now fits
            given = {"ids": staged.column("id").to_pylist()}
            self.db.execute(
                "DELETE FROM flexsync.rejects WHERE table_name = 'features' AND list_contains($ids, key)", given
            )

    def _mark(self, index: int, result: Result, decoded: Decoded, verdicts: _Verdicts, final: bool) -> Mark:
        if index in decoded.failed:
            return result.item.item, "failed" if final else "again", decoded.failed[index], 200
        if index in verdicts.held:
            return result.item.item, "held" if final else "again", "suspect", 200
        return result.item.item, "done", "", 200

    # --- judging ---

    def _judge(self, resource: str, group: list[Result], decoded: Decoded, final: bool) -> _Verdicts:
        verdicts = _Verdicts()
        self._judge_vanished(resource, group, decoded, verdicts)
        if resource != "usage":
            return verdicts
        index = {(r.item.customer_id, r.item.subscription_id): i for i, r in enumerate(group)}
        if all(r.item.fresh and not suspicion.slow(r.seconds) for r in group):
            self._note_first_zeros(group, decoded)
            return verdicts
        self._judge_falls("usage", "''", index, decoded, verdicts)
        self._judge_falls("subscription_usage", "s.subscription_id", index, decoded, verdicts)
        self._judge_first_zeros(group, index, decoded, verdicts, final)
        return verdicts

    def _note_first_zeros(self, group: list[Result], decoded: Decoded) -> None:
        """On first sight every metered zero is unproven: there is nothing that it could be compared with."""
        asked = [r.item.subscription_id for r in group if r.item.subscription_id]
        for table in ("usage", "subscription_usage") if asked else ("usage",):
            self.db.register("staged", decoded.tables[table])
            only = "AND list_contains($asked, s.subscription_id)" if table == "subscription_usage" else ""
            self.db.execute(
                f"""INSERT INTO flexsync.unproven SELECT $run, s.customer_id, s.subscription_id, s.feature_id
                FROM staged s JOIN features f ON f.id = s.feature_id AND f.type = 'metered'
                WHERE s.current_usage = 0 {only}""",
                {"run": self.run_id, **({"asked": asked} if only else {})},
            )
            self.db.unregister("staged")

    def _judge_vanished(self, resource: str, group: list[Result], decoded: Decoded, verdicts: _Verdicts) -> None:
        if resource == "upcoming_grants":
            return  # grants are used up: an empty list is what follows a full one
        gone = [i for i, r in enumerate(group) if i not in decoded.failed and _shrunk(r.item, decoded.rows[i])]
        sweep = rows(self.db, "SELECT customer_id, subscription_id FROM flexsync.sweep") if gone else []
        swept = {id for pair in sweep for id in pair}
        for i in gone:
            item = group[i].item
            if (item.subscription_id or item.customer_id) not in swept:
                continue  # ended since the call was queued: an empty answer is what follows
            if not suspicion.believed(self._runs_before(item), item.customer_id, self.accept):
                verdicts.held[i].add("")
                verdicts.rows.append(_suspect(item, "", "vanished", None, None))

    def _runs_before(self, item: Item) -> int:
        found = rows(
            self.db,
            """SELECT max(runs) FROM flexsync.suspects WHERE customer_id = $c AND resource = $r
            AND subscription_id = $s AND feature_id = '' AND run_id <> $run""",
            {"c": item.customer_id, "r": item.resource, "s": item.subscription_id, "run": self.run_id},
        )
        return int(found[0][0] or 0)

    def _judge_falls(
        self, table: str, asked: str, index: dict[tuple[str, str], int], decoded: Decoded, verdicts: _Verdicts
    ) -> None:
        """Compare staged figures with the last good ones of the same subscription and window."""
        if not decoded.tables[table].num_rows:
            return
        keys = " AND ".join(f"s.{name} = t.{name}" for name in TABLES[table].key)
        self.db.register("staged", decoded.tables[table])
        query = f"""SELECT s.customer_id, s.subscription_id, s.feature_id, t.current_usage, s.current_usage,
                f.meter_aggregation_type, x.offered, coalesce(x.runs, 0), {asked}
            FROM staged s JOIN "{table}" t ON {keys} AND s.subscription_id = t.subscription_id
                AND s.current_period_start IS NOT DISTINCT FROM t.current_period_start
                AND s.next_usage_reset_at IS NOT DISTINCT FROM t.next_usage_reset_at
            LEFT JOIN features f ON f.id = s.feature_id
            LEFT JOIN flexsync.suspects x ON x.customer_id = s.customer_id AND x.resource = 'usage'
                AND x.subscription_id = CASE WHEN list_contains($alone, s.subscription_id) THEN {asked} ELSE '' END
                AND x.feature_id = s.feature_id AND x.run_id <> $run
            WHERE s.current_usage < t.current_usage"""
        alone = [subscription for _, subscription in index if subscription] or [""]
        found = rows(self.db, query, {"run": self.run_id, "alone": alone})
        self.db.unregister("staged")
        for *fall, asked_id in found:
            place = index.get((fall[0], asked_id))
            if place is None:  # a sole subscription's copy of the plain answer, which may have counted another before
                place, asked_id = index[fall[0], ""], ""
                if fall[2] in verdicts.held[place]:
                    continue
            judged = suspicion.Fall(*fall)
            if suspicion.suspicious(judged, self.accept):
                verdicts.held[place].add(judged.feature_id)
                verdicts.rows.append(_suspect_of(judged, asked_id, "zero" if judged.offered == 0 else "lower"))

    def _judge_first_zeros(
        self,
        group: list[Result],
        index: dict[tuple[str, str], int],
        decoded: Decoded,
        verdicts: _Verdicts,
        final: bool,
    ) -> None:
        """Sort zeros without an earlier figure of their window.

        Suspect when the answer was as slow as a failure, else unproven: nobody can tell them (contract.md 11).
        """
        unproven: list[tuple[str, str, str]] = []
        for customer_id, asked, counted, feature_id, has_row, runs in self._incomparable_zeros(decoded):
            place = index.get((customer_id, asked))
            if place is None:  # a sole subscription's copy of the plain answer
                continue
            if suspicion.slow(group[place].seconds) and not suspicion.believed(runs, customer_id, self.accept):
                verdicts.held[place].add(feature_id)
                verdicts.rows.append(_suspect(group[place].item, feature_id, "slow", None, 0))
                verdicts.taken |= {(place, feature_id)} if final and not has_row else set()
            else:
                unproven.append((customer_id, counted, feature_id))
        self._note_unproven(unproven)

    def _incomparable_zeros(self, decoded: Decoded) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for table, asked in (("usage", "''"), ("subscription_usage", "s.subscription_id")):
            keys = " AND ".join(f"s.{name} = t.{name}" for name in TABLES[table].key)
            self.db.register("staged", decoded.tables[table])
            query = f"""SELECT s.customer_id, {asked}, s.subscription_id, s.feature_id, t.feature_id IS NOT NULL,
                    coalesce(x.runs, 0)
                FROM staged s JOIN features f ON f.id = s.feature_id AND f.type = 'metered'
                LEFT JOIN "{table}" t ON {keys}
                LEFT JOIN flexsync.suspects x ON x.customer_id = s.customer_id AND x.resource = 'usage'
                    AND x.subscription_id = {asked} AND x.feature_id = s.feature_id AND x.run_id <> $run
                WHERE s.current_usage = 0 AND NOT coalesce(s.subscription_id = t.subscription_id
                    AND s.current_period_start IS NOT DISTINCT FROM t.current_period_start
                    AND s.next_usage_reset_at IS NOT DISTINCT FROM t.next_usage_reset_at, false)"""
            found += rows(self.db, query, {"run": self.run_id})
            self.db.unregister("staged")
        return found

    # --- writing ---

    def _replace(
        self,
        resource: str,
        group: list[Result],
        decoded: Decoded,
        verdicts: _Verdicts,
        good: list[int],
        rejected: set[str],
        counts: Counts,
    ) -> None:
        for name in RESOURCES[resource].tables:
            if name == "features":
                continue
            withheld = verdicts.withheld(group, plain=name != "subscription_usage")
            staged = _without(decoded.tables[name], TABLES[name].owner, withheld)
            scope = self._scope(name, group, good, rejected, {owner for owner, _ in withheld})
            if scope.num_rows:
                replace_owned(self.db, TABLES[name], staged, scope, self.run_id, counts)
        if resource == "usage":
            self._drop_ended(group, good, counts)

    def _scope(self, table: str, group: list[Result], good: list[int], rejected: set[str], keep: set[str]) -> pa.Table:
        """Owners whose rows in `table` this batch replaces; those with a reject or a held figure lose none."""
        items = [group[i].item for i in good]
        if table == "subscription_usage":
            items = [item for item in items if item.subscription_id or (item.sole and item.counted)]
            owners = [item.subscription_id or item.counted for item in items]
        else:
            items = [item for item in items if not item.subscription_id]
            owners = [item.customer_id for item in items]
        kept = [item.customer_id in rejected or owner in keep for item, owner in zip(items, owners, strict=True)]
        columns = {
            "owner": pa.array(owners, pa.string()),
            "fresh": pa.array([item.fresh for item in items], pa.bool_()),
            "keep": pa.array(kept, pa.bool_()),
        }
        return pa.table(columns)

    def _drop_ended(self, group: list[Result], good: list[int], counts: Counts) -> None:
        """A plain answer ends the figures of subscriptions that do not count any more, and their answers."""
        plain = [group[i] for i in good if not group[i].item.subscription_id and not group[i].item.fresh]
        if not plain:
            return
        self.db.register("plain", _keys(plain, sole=[r.item.sole for r in plain]))
        ended = """NOT EXISTS (SELECT 1 FROM flexsync.sweep w
            WHERE w.subscription_id = t.subscription_id AND w.customer_id = t.{})"""
        theirs = "t.customer_id IN (SELECT customer_id FROM plain)"
        dropped = self.db.execute(f"DELETE FROM subscription_usage t WHERE {theirs} AND {ended.format('customer_id')}")
        counts.deleted["subscription_usage"] += dropped.fetchone()[0]
        self.db.execute(
            f"""DELETE FROM flexsync.answers t WHERE t.resource = 'usage' AND t.subscription_id <> ''
            AND (t.customer_id IN (SELECT customer_id FROM plain WHERE sole)
                OR ({theirs} AND {ended.format("customer_id")}))"""
        )
        for name, owner, of in (
            ("suspects", "customer_id", "t.resource = 'usage'"),
            ("rejects", "owner", "t.table_name IN ('usage', 'usage_sources', 'subscription_usage')"),
        ):  # nobody asks for these subscriptions alone any more, so nothing else would ever settle them
            self.db.execute(
                f"""DELETE FROM flexsync.{name} t WHERE {of} AND t.subscription_id <> ''
                AND (t.{owner} IN (SELECT customer_id FROM plain WHERE sole)
                    OR (t.{owner} IN (SELECT customer_id FROM plain) AND {ended.format(owner)}))"""
            )
        self.db.unregister("plain")

    def _answers(
        self, group: list[Result], decoded: Decoded, verdicts: _Verdicts, good: list[int], rejected: set[str]
    ) -> list[pa.Table]:
        """Rows for flexsync.answers; without a hash where part of the answer was not taken in."""
        until = _trusted_until(decoded)
        given = [group[i] for i in good]
        if not given:
            return []
        clean = [group[i].item.customer_id not in rejected and i not in verdicts.held for i in good]
        staged = _keys(
            given,
            run_id=[self.run_id] * len(given),
            observed_at=[g.observed_at for g in given],
            rows=[decoded.rows[i] for i in good],
            body_hash=[fingerprint(g.item, g.body or b"") if ok else None for g, ok in zip(given, clean, strict=True)],
            context=[g.item.context for g in given],
            trusted_until=[until.get(g.item.customer_id) for g in given],
            seconds=[g.seconds for g in given],
            known=[g.item.previous_rows is not None or not g.item.fresh or g.item.state != "pending" for g in given],
        )
        return [staged]

    def _file_rejects(self, resource: str, group: list[Result], decoded: Decoded, counts: Counts) -> None:
        """Replace what is filed for these answers; a reject that is filed no more has been taken in."""
        if not (self._rejects or decoded.rejects):
            return
        self._rejects = True
        self._drop_rejects(group, list(RESOURCES[resource].tables))
        file_rejects(self.db, decoded.rejects, self.run_id, counts)

    def _clear_rejects(self, same: list[Result]) -> None:
        """An answer that is the last good one again ends what was filed about a bad one in between."""
        for resource in {r.item.resource for r in same} if self._rejects else ():
            group = [r for r in same if r.item.resource == resource]
            self._drop_rejects(group, list(RESOURCES[resource].tables))

    def _drop_rejects(self, group: list[Result], tables: list[str]) -> None:
        self.db.register("asked", _keys(group, one=[1] * len(group)))
        self.db.execute(
            """DELETE FROM flexsync.rejects r USING asked a WHERE r.owner = a.customer_id
            AND r.subscription_id = a.subscription_id AND list_contains($tables, r.table_name)""",
            {"tables": tables},
        )
        self.db.unregister("asked")

    # --- suspects and zeros ---

    def _clear_suspects(self, results: list[Result]) -> None:
        if not self._suspects:
            return
        self.db.register("cleared", _keys(results, one=[1] * len(results)))
        self.db.execute(
            """DELETE FROM flexsync.suspects x USING cleared c WHERE x.customer_id = c.customer_id
            AND x.resource = c.resource AND x.subscription_id = c.subscription_id"""
        )
        self.db.unregister("cleared")

    def _note_suspects(self, group: list[Result], decoded: Decoded, verdicts: _Verdicts, final: bool) -> None:
        """Keep the tally of what was held back; forget it for answers that were good."""
        clear = [r for i, r in enumerate(group) if i not in decoded.failed and i not in verdicts.held]
        if clear:
            self._clear_suspects(clear)
        if not (final and verdicts.rows):
            return
        self._suspects = True
        held = [group[i] for i in verdicts.held]
        before = self._tally(held)
        self._clear_suspects(held)
        for row in verdicts.rows:
            key = (row["customer_id"], row["resource"], row["subscription_id"], row["feature_id"])
            offered, runs = before.get(key, (None, 0))
            row["runs"] = runs + 1 if offered == row["offered"] else 1
            row["run_id"] = self.run_id
        self.db.register("held", pa.Table.from_pylist(verdicts.rows, schema=_SUSPECTS))
        self.db.execute("INSERT INTO flexsync.suspects BY NAME SELECT * FROM held")
        self.db.unregister("held")

    def _tally(self, held: list[Result]) -> dict[tuple[str, str, str, str], tuple[Any, int]]:
        self.db.register("held", _keys(held, one=[1] * len(held)))
        found = rows(
            self.db,
            """SELECT x.customer_id, x.resource, x.subscription_id, x.feature_id, x.offered, x.runs
            FROM flexsync.suspects x JOIN held h ON x.customer_id = h.customer_id AND x.resource = h.resource
            AND x.subscription_id = h.subscription_id WHERE x.run_id <> $run""",
            {"run": self.run_id},
        )
        self.db.unregister("held")
        return {(c, r, s, f): (offered, runs) for c, r, s, f, offered, runs in found}

    def _note_unproven(self, found: list[tuple[str, str, str]]) -> None:
        if not found:
            return
        customers, subscriptions, features = (pa.array(values, pa.string()) for values in zip(*found, strict=True))
        self.db.register("zeros", pa.table({"c": customers, "s": subscriptions, "f": features}))
        self.db.execute("INSERT INTO flexsync.unproven SELECT $run, c, s, f FROM zeros", {"run": self.run_id})
        self.db.unregister("zeros")


_SUSPECTS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("resource", pa.string()),
        ("subscription_id", pa.string()),
        ("feature_id", pa.string()),
        ("kind", pa.string()),
        ("held", pa.decimal128(38, 18)),
        ("offered", pa.decimal128(38, 18)),
        ("runs", pa.int32()),
        ("run_id", pa.string()),
    ]
)


def file_rejects(db: Database, rejects: Sequence[Reject], run_id: str, counts: Counts) -> None:
    """Append rejects; a feature's replaces what was filed of the same feature."""
    if not rejects:
        return
    counts.rejected.update(reject.table for reject in rejects)
    features = [reject.key for reject in rejects if reject.table == "features"]
    if features:
        db.execute(
            "DELETE FROM flexsync.rejects WHERE table_name = 'features' AND list_contains($keys, key)",
            {"keys": features},
        )
    columns = {
        "run_id": [run_id] * len(rejects),
        "table_name": [r.table for r in rejects],
        "owner": [r.owner for r in rejects],
        "subscription_id": [r.subscription_id for r in rejects],
        "key": [r.key for r in rejects],
        "field": [r.field for r in rejects],
        "value": [r.value for r in rejects],
        "reason": [r.reason for r in rejects],
        "observed_at": pa.array([r.observed_at for r in rejects], _TIME),
        "raw": pa.array([r.raw for r in rejects], pa.binary()),
    }
    db.register("rejected", pa.table(columns))
    db.execute("INSERT INTO flexsync.rejects BY NAME SELECT * FROM rejected")
    db.unregister("rejected")


def _upsert_answers(db: Database, staged: pa.Table) -> None:
    columns = """customer_id, resource, subscription_id, run_id, observed_at, rows, body_hash, context, trusted_until,
        seconds"""
    db.register("given", staged)
    if any(staged.column("known").to_pylist()):
        db.execute(
            """DELETE FROM flexsync.answers a USING given g WHERE g.known AND a.customer_id = g.customer_id
            AND a.resource = g.resource AND a.subscription_id = g.subscription_id"""
        )
    db.execute(f"INSERT INTO flexsync.answers ({columns}) SELECT {columns} FROM given")
    db.unregister("given")


def _keys(results: Sequence[Result], **more: list[Any]) -> pa.Table:
    columns: dict[str, Any] = {
        "customer_id": pa.array([r.item.customer_id for r in results], pa.string()),
        "resource": pa.array([r.item.resource for r in results], pa.string()),
        "subscription_id": pa.array([r.item.subscription_id for r in results], pa.string()),
    }
    types = {"observed_at": _TIME, "trusted_until": _TIME, "body_hash": pa.binary()}
    columns.update({name: pa.array(values, types.get(name)) for name, values in more.items()})
    return pa.table(columns)


def _marks(marks: list[Mark]) -> pa.Table:
    names = ("item", "state", "error", "status")
    columns = list(zip(*marks, strict=True)) or [(), (), (), ()]
    types = (pa.int64(), pa.string(), pa.string(), pa.int32())
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.Table.from_arrays(arrays, names=list(names))


def _without(staged: pa.Table, owner: str, withheld: set[tuple[str, str]]) -> pa.Table:
    """Rows of a staged table that are not held back."""
    if not withheld or "feature_id" not in staged.column_names:
        return staged
    pairs = zip(staged.column(owner).to_pylist(), staged.column("feature_id").to_pylist(), strict=True)
    return staged.filter(pa.array([pair not in withheld for pair in pairs], pa.bool_()))


def _shrunk(item: Item, found: int) -> bool:
    """Whether features vanished as when loading them failed (contract.md 6.2).

    All of them; or some, where the same several subscriptions as last time should have given them: the server skips a
    subscription whose entitlements fail to load, and says nothing.
    """
    if item.why != "active" or not item.previous_rows:
        return False
    return not found or (found < item.previous_rows and not item.sole and item.same_context)


def _suspect(item: Item, feature: str, kind: str, held: Any, offered: Any) -> dict[str, Any]:
    return {
        "customer_id": item.customer_id,
        "resource": item.resource,
        "subscription_id": item.subscription_id,
        "feature_id": feature,
        "kind": kind,
        "held": held,
        "offered": offered,
    }


def _suspect_of(fall: suspicion.Fall, asked: str, kind: str) -> dict[str, Any]:
    return {
        "customer_id": fall.customer_id,
        "resource": "usage",
        "subscription_id": asked,
        "feature_id": fall.feature_id,
        "kind": kind,
        "held": fall.held,
        "offered": fall.offered,
    }


def _trusted_until(decoded: Decoded) -> dict[str, int]:
    """Customer -> the earliest moment, in microseconds, at which its figures start anew."""
    until: dict[str, int] = {}
    for name, column in (("usage", "next_usage_reset_at"), ("upcoming_grants", "scheduled_for")):
        table = decoded.tables.get(name)
        if table is None:
            continue
        moments = table.column(column).cast(pa.int64()).to_pylist()
        for customer, moment in zip(table.column("customer_id").to_pylist(), moments, strict=True):
            if moment is not None and moment < until.get(customer, _ENDLESS):
                until[customer] = moment
    return until


_ENDLESS = 2**62  # microseconds
