"""A store without a database, for proofs that need thousands of runs: the listings' part of `connector.store.store`.

It has the methods that a run with `only = ["customers", "subscriptions"]` uses, and keeps rows as the server sent them.
`test_drift.py` shows that it ends with the tables, cursors and status of the real store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from connector.errors import FixInput
from connector.pull.certificate import Certificate, Counted
from connector.pull.findings import Findings, Kept
from connector.pull.pages import Page, Position
from connector.pull.proof_windows import Window
from connector.pull.watermarks import listing_of, starts
from connector.pull.windows import FULL, Beginning, Run, certified_until, mode_of, new_run_id, resumable

ACTIVE = ("active", "trialing")
_page = msgspec.json.Decoder(dict[str, Any])


@dataclass(slots=True)
class Row:
    """A row of a listing as the server sent it, without integrations."""

    sent: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    observed_at: datetime
    run_id: str
    gone_at: datetime | None = None


@dataclass
class Recorded:
    """A run of this store."""

    run: Run
    status: str = "running"
    resumed: int = 0


@dataclass
class MemoryStore:
    """As `Store`, method by method; what a method promises is said there.

    Attributes:
        tables: listing -> id -> row.
        integrations: customer -> its integrations by id.
        cursors: walk -> cursor and the moment of the last full walk.
        ended: the runs, oldest first.
        counted: what the last run's proof counted.
    """

    path: str = "memory"
    tables: dict[str, dict[str, Row]] = field(default_factory=lambda: {"customers": {}, "subscriptions": {}})
    integrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursors: dict[str, tuple[datetime | None, datetime | None]] = field(default_factory=dict)
    ended: list[Recorded] = field(default_factory=list)
    environment: str = ""
    unknown: Counter[str] = field(default_factory=Counter)
    counted: dict[tuple[str, Window], Counted] = field(default_factory=dict)
    _seen: dict[str, set[str]] = field(default_factory=dict)
    _awaited: dict[str, set[str]] = field(default_factory=dict)
    _back: set[str] = field(default_factory=set)
    _walks: dict[str, Position] = field(default_factory=dict)
    found: list[Kept] | None = None  # given since `_kept`
    _kept: list[Kept] = field(default_factory=list)
    _older: dict[str, list[datetime]] = field(default_factory=lambda: {"customers": [], "subscriptions": []})
    _unlinked: set[tuple[str, str]] = field(default_factory=set)  # link and customer
    _sweep: dict[str, str] = field(default_factory=dict)  # subscription -> customer

    # --- runs ---

    def bind(self, environment_id: str) -> None:
        if self.environment not in ("", environment_id):
            raise FixInput("another environment", remedy="")
        self.environment = environment_id

    def resume(self, now: datetime, resources: tuple[str, ...], *, full: bool, resume_for: timedelta) -> Run | None:
        last = self.ended[-1] if self.ended else None
        if last is None or last.status not in ("running", "interrupted"):
            return None
        if (full and last.run.mode != FULL) or last.run.resources != resources:
            return None
        if not resumable(last.run.started_at, now, resume_for):
            return None
        last.status, last.resumed = "running", last.resumed + 1
        return replace(last.run, resumed=last.resumed)

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
        moments = [self.cursors.get(walk, (None, None))[1] for walk in beginning.watermarks]
        known = [moment for moment in moments if moment]
        before = self.ended[-1].run.started_at - overlap if self.ended else None
        full = full or any(before and self._any_older(name, before) for name in self.tables)
        full_at = min(known) if len(known) == len(moments) else None
        held = [r.created_at for rows in self.tables.values() for r in rows.values() if not r.gone_at and r.created_at]
        run = Run(
            new_run_id(beginning.began, max((each.run.run_id for each in self.ended), default=None)),
            FULL if full else mode_of(full_at, beginning.clock, full_every),
            beginning.began,
            certified_until(beginning.began, [*beginning.newest, *held]),
            starts({w: c for w, (c, _) in self.cursors.items()}, beginning.watermarks, beginning.clocks, overlap),
            0,
            resources,
            beginning.clock,
        )
        for each in self.ended:
            each.status = "failed" if each.status in ("running", "interrupted") else each.status
        self.ended.append(Recorded(run))
        self._seen, self._walks, self._sweep, self.counted = {name: set() for name in self.tables}, {}, {}, {}
        self._awaited, self._back = {name: set() for name in self.tables}, set()
        self._kept, self.found = self.found or [], None
        self._unlinked, self._older = set(), {name: [] for name in self.tables}
        return run

    def interrupt(self, run: Run, calls: int) -> None:
        self.ended[-1].status = "interrupted"

    def finish(
        self,
        run: Run,
        certificate: Certificate,
        report: dict[str, Any],
        clocks: Sequence[datetime],
        listed: Sequence[str],
        since: datetime | None = None,
    ) -> str:
        self.ended[-1].status = "green" if certificate.green else "degraded"
        for walk, start in run.starts.items() if self.environment else ():
            if listing_of(walk) in set(listed) & set(run.resources):
                full_at = run.full_at if run.mode == FULL else self.cursors.get(walk, (None, None))[1]
                self.cursors[walk] = start.cursor, full_at
        return self.ended[-1].status

    def counts(self, run: Run) -> dict[str, dict[str, int]]:
        return {}

    # --- listings ---

    def position(self, run: Run, name: str) -> Position | None:
        return self._walks.get(name)

    def done(self, run: Run, name: str) -> bool:
        return name in self._walks and self._walks[name].done

    def step_done(self, run: Run, name: str) -> None:
        self._walks[name] = Position(done=True)

    def commit_page(self, run: Run, name: str, resource: str, page: Page, *, integrations: bool = False) -> None:
        for sent in () if page.repeated else _page.decode(page.reply.body)["items"]:
            self.bind(sent["environment_id"])
            links, held = sent.pop("integrations", ()), self.tables[resource].get(sent["id"])
            if resource == "customers" and integrations:
                self._back.discard(sent["id"])
            elif resource == "customers" and held and held.gone_at:
                self._back.add(sent["id"])
            if integrations:
                kept, named = self.integrations.setdefault(sent["id"], {}), {link["id"]: link for link in links}
                self._unlinked |= {(id, sent["id"]) for id in kept}
                self._unlinked -= {(id, sent["id"]) for id in named}
                kept.update(named)
            self._merge(run, resource, sent, page.reply.date or run.started_at)
        self._walks[name] = page.position

    def _merge(self, run: Run, resource: str, sent: dict[str, Any], observed_at: datetime) -> None:
        table, id = self.tables[resource], sent["id"]
        updated_at, held = datetime.fromisoformat(sent["updated_at"]), table.get(id)
        if held and updated_at < held.updated_at and id not in self._seen[resource]:
            self._older[resource].append(held.observed_at)
        if held is None or (
            (id not in self._seen[resource] or held.gone_at or updated_at >= held.updated_at)
            and (held.sent != sent or held.gone_at is not None)
        ):
            table[id] = Row(sent, datetime.fromisoformat(sent["created_at"]), updated_at, observed_at, run.run_id)
        self._seen[resource].add(id)
        self._awaited[resource].discard(id)
        if resource == "subscriptions":
            self._sweep.pop(id, None)
            if table[id].sent["subscription_status"] in ACTIVE:
                self._sweep[id] = sent["customer_id"]

    def settle_listing(self, run: Run, resource: str) -> None:
        """There are no rejects."""

    def forget_older(self) -> None:
        self._older = {name: [] for name in self.tables}

    def await_again(self, run: Run, resource: str, window: Window, walk: str) -> None:
        if walk not in self._walks:
            self._awaited[resource] |= {id for id, row in self.tables[resource].items() if _inside(row, window)}

    def unswept(self) -> list[str]:
        rows = self.tables["subscriptions"].items()
        return sorted(id for id, row in rows if _live(row) and id not in self._sweep)

    def mark_gone(self, run: Run, resource: str, ids: Sequence[str], now: datetime) -> int:
        for id in ids:
            if id in self.tables[resource]:
                self.tables[resource][id].gone_at, self.tables[resource][id].run_id = now, run.run_id
            if resource == "subscriptions":
                self._sweep.pop(id, None)
        return len(ids)

    def delete_child_rows(self, run: Run, customer_ids: Sequence[str], now: datetime) -> None:
        self._sweep = {id: owner for id, owner in self._sweep.items() if owner not in customer_ids}
        for id in customer_ids:
            self.integrations.pop(id, None)

    def delete_missing_links(self, run: Run) -> None:
        for id, customer in self._missing():
            del self.integrations[customer][id]

    # --- evidence for the certificate ---

    def facts(self, work: Callable[..., Any], *given: Any) -> Any:
        return getattr(self, f"_{work.__name__}")(*given)

    def save_count(self, run: Run, resource: str, counted: Counted) -> None:
        self.counted[resource, counted.window] = counted

    def child_proofs(self, run: Run) -> list[Any]:
        return []

    def _broken_features(self) -> int:
        return 0

    def zero_watch(self, run: Run) -> None:
        return None

    def _rejected_listings(self) -> int:
        return 0

    def _created_at_random(self, resource: str, number: int, seed: str) -> list[datetime]:
        return drawn([(id, row.created_at) for id, row in self.tables[resource].items()], number, seed)

    def _of_run(self, run: Run) -> Findings:
        found = Findings()
        found.take_over(self._kept if self.found is None else self.found)
        for name, position in self._walks.items():
            if position.done and position.lacking:
                found.lacks(run, name, position.lacking)
        return found

    def _missing(self) -> list[tuple[str, str]]:
        return sorted((id, owner) for id, owner in self._unlinked if id in self.integrations.get(owner, ()))

    def _all_stored(self) -> int:
        return sum(map(len, self.integrations.values()))

    def _calls_per_customer(self) -> int:
        return 0

    def _stored_in(self, resource: str, window: Window) -> int:
        return sum(row.gone_at is None and _inside(row, window) for row in self.tables[resource].values())

    def _stored(self, resource: str) -> int:
        return sum(row.gone_at is None for row in self.tables[resource].values())

    def _gone(self, resource: str) -> int:
        return len(self.tables[resource]) - self._stored(resource)

    def _gone_in_run(self, resource: str, run_id: str) -> int:
        return sum(row.gone_at is not None and row.run_id == run_id for row in self.tables[resource].values())

    def _rejected(self, resource: str) -> int:
        return 0

    def _unseen_in(self, resource: str, window: Window) -> list[str]:
        rows, seen = self.tables[resource].items(), self._seen[resource] - self._awaited[resource]
        return sorted(id for id, r in rows if r.gone_at is None and _inside(r, window) and id not in seen)

    def _unnamed_edits(self, resource: str, status: str, since: datetime | None, read_before: datetime) -> list[str]:
        rows = [(id, r) for id, r in self.tables[resource].items() if id not in self._seen[resource] and not r.gone_at]
        edited = [(id, r) for id, r in rows if (not since or r.updated_at > since) and r.observed_at < read_before]
        return sorted(id for id, r in edited if status in ("", r.sent["status"]))

    def _any_older(self, resource: str, read_before: datetime) -> bool:
        return any(moment < read_before for moment in self._older[resource])

    def _gone_edits(
        self, resource: str, status: str, since: datetime | None, run_id: str, refused: Sequence[str]
    ) -> int:
        ended = [each.run.run_id for each in self.ended if each.status in ("green", "degraded")]
        last = max((id for id in ended if id < run_id), default="")
        rows = [(id, r) for id, r in self.tables[resource].items() if status in ("", r.sent["status"])]
        edited = [(id, r) for id, r in rows if not since or r.updated_at > since]
        return sum(id in refused or (r.gone_at is not None and r.run_id > last) for id, r in edited)

    def _met_and_gone(self, resource: str, run_id: str) -> list[str]:
        rows, seen = self.tables[resource].items(), self._seen[resource]
        return sorted(id for id, row in rows if row.gone_at and row.run_id == run_id and id in seen)

    def _returned(self) -> list[str]:
        return sorted(self._back)

    def _met(self, resource: str, ids: Sequence[str]) -> list[str]:
        return sorted(self._seen[resource].intersection(ids))

    def _still_active(self, ids: Sequence[str], before: datetime) -> list[str]:
        rows = {id: self.tables["subscriptions"][id] for id in ids if id in self.tables["subscriptions"]}
        return sorted(id for id, row in rows.items() if _live(row) and row.updated_at < before)

    def _counted_before(self, run_id: str, resource: str, window: Window) -> int | None:
        counted = self.counted.get((resource, window))
        return counted.existed if counted else None


def drawn(rows: Sequence[tuple[str, datetime]], number: int, seed: str) -> list[datetime]:
    """`created_at` of up to `number` rows, the same ones for the same seed."""
    shuffled = sorted(rows, key=lambda row: (sha256((row[0] + seed).encode()).digest(), row[0]))
    return [created_at for _, created_at in shuffled[:number]]


def _inside(row: Row, window: Window) -> bool:
    return row.created_at < window.ends and (window.begins is None or row.created_at >= window.begins)


def _live(row: Row) -> bool:
    return row.gone_at is None and row.sent["subscription_status"] in ACTIVE
