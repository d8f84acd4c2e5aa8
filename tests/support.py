"""Helpers of the tests about losing and doubling rows: a sandbox to sync from, and a slow, plain model of the truth."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from connector.api import answers
from connector.api.calls import Call, Reply
from connector.api.client import Client
from connector.api.freshness import Freshness
from connector.api.masking import Mask
from connector.api.outages import Outages
from connector.api.retries import Retries, Retry, policy
from connector.errors import BudgetSpent, Refused, TryAgain
from connector.sandbox import Clock, Faults, Sandbox
from connector.settings import Secret, Settings, load
from connector.store.database import rows as fetch
from connector.store.store import Store
from connector.tables.schemas import BOOL, DECIMAL, INT, JSON, MAP, TABLES, TEXT, TEXTS, TIME, Column
from pipelines.summary import Report
from pipelines.sync import Options, Sync
from pipelines.sync import run as steps

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
Rows = dict[tuple[Any, ...], dict[str, Any]]


# --- an API without sockets ---------------------------------------------------------------------------------------


class Direct:
    """The client's `send` over `Sandbox.answer`; is its own gate."""

    def __init__(self, sandbox: Sandbox, max_calls: int | None = None, max_in_flight: int = 32) -> None:
        self.sandbox = sandbox
        self.gate = self
        self.calls = 0
        self.max_calls = max_calls
        self.max_in_flight = max_in_flight
        self.seconds: Callable[[Call], float] = lambda call: 0.0
        self.monotonic: Callable[[], float] = time.monotonic
        self.outages = Outages(time.monotonic)  # without sockets there are none
        self.mask, self.freshness = Mask(Secret("sk_direct")), Freshness(timedelta(minutes=10))

    async def send(self, call: Call, *, retries: Retries = None, **_: Any) -> Reply:
        last: TryAgain | None = None
        for _ in range(policy(retries, Retry(8)).attempts):  # one error class has a random status (contract.md 2.3)
            try:
                return self._send(call)
            except TryAgain as error:
                last = error
        said = (last.message, last.status) if last else ("", 0)
        raise Refused(f"{call.operation} fails again and again: {said[0]}", status=said[1])

    def _send(self, call: Call) -> Reply:
        if self.max_calls is not None and self.calls >= self.max_calls:
            raise BudgetSpent("no calls are left")
        self.calls += 1
        began = self.monotonic()
        status, headers, body = self.sandbox.answer(call.method, call.path, call.query, call.body)
        if status >= 300:
            raise answers.judge(call, status, {k.lower(): v for k, v in headers.items()}, body, Secret(""))
        date = datetime.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        return Reply(status, body, date, self.seconds(call), began=began)

    def report(self) -> dict[str, Any]:
        return {"calls": self.calls}


# --- one account, one store, several runs --------------------------------------------------------------------------


_EMPTY: list[bytes] = []


def empty_store(path: Path) -> None:
    """Put a new store at `path` where there is none; it is made once a process, and copied."""
    if path.exists():
        return
    if not _EMPTY:
        Store.open(path).close()
        _EMPTY.append(path.read_bytes())
    path.write_bytes(_EMPTY[0])


class World:
    """A sandbox whose clock stands still between changes, and a store that is synced from it.

    A store that is there stays. `url`: where the sandbox listens; without it the calls are made in process.
    """

    def __init__(self, folder: Path, sandbox: Sandbox, url: str = "", **settings: Any) -> None:
        self.sandbox = sandbox
        self.path = folder / "store.duckdb"
        empty_store(self.path)
        self.given: dict[str, Any] = {
            "base_url": url or "http://127.0.0.1:1/v1",
            "api_key": "sandbox",
            "store": self.path,
            **settings,
        }
        self.url = url
        self.seconds: Callable[[Call], float] = lambda call: 0.0
        self.monotonic: Callable[[], float] = time.monotonic
        self.asked: list[str] = []  # routes of the last run's calls

    def settings(self, **more: Any) -> Settings:
        return load(environ={}, **{**self.given, **more})

    def sync(
        self, full: bool = False, accept: frozenset[str] = frozenset(), accept_gone: int = 0, **settings: Any
    ) -> Report:
        """One run, a second later by the server's clock."""
        self.later(1)
        before = self.sandbox.calls.copy()
        try:
            return asyncio.run(self._sync(self.settings(**settings), Options(full, accept, accept_gone)))
        finally:
            counted = self.sandbox.calls - before
            self.asked = sorted(counted.elements())

    async def _sync(self, settings: Settings, options: Options) -> Report:
        with Store.open(self.path) as store:
            if not self.url:
                api = Direct(self.sandbox, settings.flow.max_calls, settings.flow.max_in_flight)
                api.seconds, api.monotonic = self.seconds, self.monotonic
                return await Sync(
                    settings.sync, api, store, options,
                    clock=self.clock, monotonic=self.monotonic, history=settings.history,
                ).run()  # fmt: skip
            async with Client(settings) as api:
                return await Sync(settings.sync, api, store, options, clock=self.clock, history=settings.history).run()

    def clock(self) -> datetime:
        """The clock of our machine; it agrees with the server's."""
        return self.sandbox.clock().replace(microsecond=0)

    def later(self, seconds: float) -> None:
        assert isinstance(self.sandbox.clock, Clock)
        self.sandbox.clock.advance(seconds)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with Store.open(self.path) as store:
            return store.rows(query)

    def check(self) -> None:
        """Every table is exactly what the account holds."""
        with Store.open(self.path) as store:
            assert_exact(held(store), truth(self.sandbox))


def calm(customers: int = 40, seed: int = 7, faults: Faults | None = None, kind: type[Sandbox] = Sandbox) -> Sandbox:
    """An account whose clock moves only when told to."""
    return kind(customers=customers, seed=seed, faults=faults, clock=Clock(NOON))


_FIRST_RUNS: dict[str, tuple[bytes, list[str]]] = {}


def synced(folder: Path, customers: int = 40, kind: type[Sandbox] = Sandbox, **settings: Any) -> World:
    """A world after a green first run. That run is made once a process and kind; later worlds get a copy of its store.

    `calm` accounts of a size are equal, and a run changes nothing in them but the clock.
    """
    world = World(folder, calm(customers, kind=kind), **settings)
    key = repr((customers, kind, settings))
    if key in _FIRST_RUNS:
        stored, asked = _FIRST_RUNS[key]
        world.later(1)
        world.path.write_bytes(stored)
        world.asked = [*asked]
        return world
    report = world.sync()
    assert report.status == "green", report.reasons
    _FIRST_RUNS[key] = world.path.read_bytes(), [*world.asked]
    return world


@contextmanager
def served(folder: Path, sandbox: Sandbox | None = None, **settings: Any) -> Iterator[World]:
    """A world over real HTTP."""
    sandbox = sandbox or calm()
    with sandbox.running() as url:
        yield World(folder, sandbox, url, **settings)


# --- what the store holds ------------------------------------------------------------------------------------------


def held(store: Store) -> dict[str, Rows]:
    """Every data table, by key; fails where a key stands twice."""
    return {name: _held(store, name) for name in TABLES}


def _held(store: Store, name: str) -> Rows:
    table = TABLES[name]
    names = [column.name for column in table.columns]
    found: Rows = {}
    for values in fetch(store.db, f'SELECT {", ".join(chr(34) + n + chr(34) for n in names)} FROM "{name}"'):
        row = {c.name: _plain(c, value) for c, value in zip(table.columns, values, strict=True)}
        key = tuple(row[part] for part in table.key)
        assert key not in found, f"{name} holds {key} twice"
        found[key] = row
    return found


def _plain(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == MAP:
        return dict(value)
    return json.loads(value, parse_float=Decimal) if column.kind == JSON else value


# --- what the account holds ----------------------------------------------------------------------------------------


def ask(sandbox: Sandbox, path: str, query: Any = ()) -> Any:
    """GET, in process, without being counted as the product's call."""
    return _asked(sandbox, "GET", path, query, None)


def listing(sandbox: Sandbox, path: str, **body: Any) -> list[dict[str, Any]]:
    """All rows of a search."""
    found: list[dict[str, Any]] = []
    while True:
        given = {**body, "limit": 1000, "offset": len(found), "sort": [{"field": "id", "direction": "asc"}]}
        items = _asked(sandbox, "POST", path, (), given)["items"]
        found += items
        if len(items) < 1000:
            return found


def _asked(sandbox: Sandbox, method: str, path: str, query: Any, body: Any) -> Any:
    between, faults, calls = sandbox._between, sandbox.faults, sandbox.calls.copy()
    sandbox.between_calls(None)
    sandbox.faults = Faults(seed=faults.seed)
    try:
        status, _, text = sandbox.answer(method, path, query, body)
    finally:
        sandbox.between_calls(between)
        sandbox.faults = faults
        sandbox.calls.clear()
        sandbox.calls.update(calls)
    assert status == 200, (path, status, text[:200])
    return json.loads(text, parse_float=Decimal)


def customers_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every customer of either status, as the server would send it."""
    statuses = ("published", "archived")
    return [row for s in statuses for row in listing(sandbox, "/customers/search", status=s, expand="integrations")]


def subscriptions_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    statuses = ["active", "trialing", "cancelled", "paused", "incomplete", "draft"]
    return listing(sandbox, "/subscriptions/search", subscription_status=statuses)


def counting(sandbox: Sandbox) -> dict[str, list[dict[str, Any]]]:
    """Customer -> its subscriptions that count, newest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in subscriptions_of(sandbox):
        if row["subscription_status"] in ("active", "trialing") and row["subscription_type"] != "inherited":
            found.setdefault(row["customer_id"], []).append(row)
    for group in found.values():
        group.sort(key=lambda row: (moment(row["created_at"]), row["id"]), reverse=True)
    return found


def truth(sandbox: Sandbox) -> dict[str, Rows]:
    """Every data table as it has to be, made row by row from what the account answers now."""
    tables: dict[str, Rows] = {name: {} for name in TABLES}
    people = customers_of(sandbox)
    for row in people:
        _add(tables, "customers", row)
        for link in row.get("integrations", ()):
            _add(tables, "customer_integrations", link)
    for row in subscriptions_of(sandbox):
        _add(tables, "subscriptions", row)
    for customer_id, group in counting(sandbox).items():
        if any(row["id"] == customer_id for row in people):
            _children(sandbox, tables, customer_id, group)
    return tables


def rows_of(name: str, sent: list[dict[str, Any]]) -> Rows:
    """The rows of one table as they have to be, made from what the server sent."""
    tables: dict[str, Rows] = {name: {}}
    for row in sent:
        _add(tables, name, row)
    return tables[name]


def _children(sandbox: Sandbox, tables: dict[str, Rows], customer_id: str, group: list[dict[str, Any]]) -> None:
    starts = {row["id"]: moment(row["current_period_start"]) for row in group}
    plain = ask(sandbox, "/customers/usage", [("customer_id", customer_id)])
    for entry in plain["features"]:
        _usage(tables, "usage", customer_id, entry, starts)
    for subscription in starts:
        each = plain
        if len(starts) > 1:
            query = [("customer_id", customer_id), ("subscription_ids", subscription)]
            each = ask(sandbox, "/customers/usage", query)
        for entry in each["features"]:
            _usage(tables, "subscription_usage", customer_id, entry, starts)
    for entry in ask(sandbox, f"/customers/{customer_id}/entitlements")["features"]:
        made = {"customer_id": customer_id, "feature_id": entry["feature"]["id"]}
        _add(tables, "entitlements", entry, made)
        _add(tables, "features", entry["feature"])
        for place, source in enumerate(entry["sources"]):
            _add(tables, "entitlement_sources", source, {**made, "ordinal": place})
        for place, bucket in enumerate(entry["entitlement"].get("buckets", ())):
            _add(tables, "entitlement_buckets", bucket, {**made, "ordinal": place})
    for grant in ask(sandbox, f"/customers/{customer_id}/grants/upcoming")["items"]:
        _add(tables, "upcoming_grants", {"retry_count": 0, **grant}, {"customer_id": customer_id})


def _usage(tables: dict[str, Rows], table: str, customer_id: str, entry: Any, starts: dict[str, Any]) -> None:
    subscription = entry["sources"][0]["subscription_id"]
    made = {"customer_id": customer_id, "feature_id": entry["feature"]["id"], "subscription_id": subscription}
    never = (entry["next_usage_reset_at"] or "").startswith("0001")
    _add(tables, table, entry, {**made, "current_period_start": starts[subscription], "never_resets": never})
    _add(tables, "features", entry["feature"])
    for place, source in enumerate(entry["sources"]) if table == "usage" else ():
        _add(tables, "usage_sources", source, {**made, "subscription_id": source["subscription_id"], "ordinal": place})


def _add(tables: dict[str, Rows], name: str, item: dict[str, Any], made: dict[str, Any] | None = None) -> None:
    table = TABLES[name]
    made = made or {}
    row = {c.name: made[c.name] if c.name in made else _value(c, item) for c in table.columns}
    tables[name][tuple(row[part] for part in table.key)] = row


def _value(column: Column, item: Any) -> Any:
    if not column.path:
        return None
    for part in column.path.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    if item is None:
        return None
    readers: dict[str, Callable[[Any], Any]] = {DECIMAL: Decimal, TIME: moment, MAP: dict, TEXTS: list}
    assert column.kind in (TEXT, INT, BOOL, JSON, *readers)
    return readers.get(column.kind, lambda value: value)(item)


def moment(text: str) -> datetime | None:
    """A timestamp of the API; None for the year 1."""
    found = datetime.fromisoformat(text)
    return None if found.year == 1 else found.astimezone(UTC)


def assert_exact(have: dict[str, Rows], want: dict[str, Rows], gone: frozenset[str] = frozenset()) -> None:
    """Compare all tables row by row; rows of `gone` customers must say so and are left out of the comparison.

    Features stay once they were met, for nothing says that one is gone.
    """
    wrong: list[str] = []
    for name, rows in want.items():
        mine = {k: r for k, r in have[name].items() if not (name == "customers" and k[0] in gone)}
        if name == "features":
            mine = {key: row for key, row in mine.items() if key in rows}
        wrong += [f"{name}: {key} is missing" for key in rows.keys() - mine.keys()]
        wrong += [f"{name}: {key} should not be there" for key in mine.keys() - rows.keys()]
        for key in rows.keys() & mine.keys():
            wrong += [
                f"{name}: {key}.{column} is {mine[key][column]!r}, not {value!r}"
                for column, value in rows[key].items()
                if mine[key][column] != value
            ]
    for customer in gone:
        assert have["customers"][(customer,)]["gone_at"] is not None, f"{customer} is gone, and nothing says so"
    assert not wrong, "\n".join([f"{len(wrong)} differences", *sorted(wrong)[:12]])


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


Bend = Callable[[str, dict[str, str], dict[str, str], Any], Any]


class Bent(Sandbox):
    """A sandbox whose answers a test can change: `bend(route, path, query, body)` gives another body, or None.

    A number that it gives instead is the status of an error.
    """

    bend: Bend | None = None

    def handle(self, call: Any) -> Any:
        reply = super().handle(call)
        if self.bend and reply.status == 200:
            body = self.bend(call.route.name, call.path, dict(call.query), json.loads(reply.body))
            if isinstance(body, int):
                reply.status, body = body, {"code": "internal_error", "message": "An unexpected error occurred"}
            reply.body = reply.body if body is None else json.dumps(body, separators=(",", ":")).encode()
        return reply


def set_bend(world: World, how: Bend | None) -> None:
    """Change the answers of a world's sandbox from now on; None for no more."""
    assert isinstance(world.sandbox, Bent)
    world.sandbox.bend = how


@contextmanager
def before(**acts: Callable[[], object]) -> Iterator[None]:
    """Do something just before a step of a run begins: call_customers, close or prove."""
    real = {step: getattr(steps, step) for step in acts}

    def late(step: str) -> Callable[..., Any]:
        async def begin(*given: Any) -> Any:
            acts[step]()
            return await real[step](*given)

        return begin

    try:
        for step in acts:
            setattr(steps, step, late(step))
        yield
    finally:
        for step, function in real.items():
            setattr(steps, step, function)
