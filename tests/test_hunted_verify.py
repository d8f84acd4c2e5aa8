"""What a hunt found: proofs and verifications that were green over a wrong store, or red over a right one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sizes import few, sampled
from support import Bent, Direct, World, ask, calm, counting, set_bend, subscriptions_of, synced

from connector.sandbox import Faults
from connector.store.store import Store
from connector.tables.schemas import TABLES
from pipelines.sync import proving
from pipelines.sync.listing import list_subscriptions_by_offset
from pipelines.verify import _verify


def verified(w: World, sample: int = 100) -> dict[str, Any]:
    """The outcome of `flexsync verify` against the account as it answers now, in process."""

    async def run() -> dict[str, Any]:
        with Store.open(w.path) as store:
            return await _verify(Direct(w.sandbox), w.settings().sync, store, sample, w.clock)

    return asyncio.run(run())


def edit(w: World, change: Callable[[str, Any], object]) -> None:
    """Let `change(route, body)` edit the answers in place, until `set_bend(w, None)`."""

    def bent(route: str, _path: Any, _query: Any, body: Any) -> Any:
        change(route, body)
        return body

    set_bend(w, bent)


def hide(w: World, id: str, route: str = "search") -> None:
    """Leave a row out of every page of a listing, while the totals count it."""

    def change(asked: str, body: Any) -> None:
        if asked == route:
            body["items"] = [item for item in body["items"] if item["id"] != id]

    edit(w, change)


# --- verify -------------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_verify_keeps_what_the_run_found_wrong(tmp_path: Path) -> None:
    """An edit that no page brought degrades the run, and every `verify` until a run has read it."""
    w = synced(tmp_path, 6, Bent)
    w.later(3600)
    edited = w.sandbox.customer_ids()[3]
    w.sandbox.update_customer(edited, name="Edited")
    hide(w, edited)
    reasons = w.sync().reasons
    assert any("more than it sends" in reason for reason in reasons)
    set_bend(w, None)
    assert set(reasons) <= set(verified(w, 0)["certificate"]["reasons"])
    w.later(600)
    assert w.sync().status == "green"
    assert verified(w, 0)["ok"]


@pytest.mark.sampled
@pytest.mark.parametrize("old", ["filters_ignored", sampled("filters_refused")])
def test_verify_counts_as_the_server_can(old: str, tmp_path: Path) -> None:
    """On a server without filters it counts everything, as the run did, and is green where nothing changed."""
    w = World(tmp_path, calm(6, faults=Faults(old=frozenset({old}))))
    assert w.sync().status == "green"
    found = verified(w)
    assert found["ok"], found
    assert {found["certificate"][name]["method"] for name in ("customers", "subscriptions")} == {"offset"}


def told(found: dict[str, Any]) -> set[tuple[str, ...]]:
    """Table and key of each difference."""
    return {(one["table"], *one["key"].values()) for one in found["differences"]}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A right copy, which the tests damage and mend again."""
    w = synced(tmp_path_factory.mktemp("copied"), 20, Bent)
    assert verified(w)["ok"]
    return w


@pytest.mark.sampled
def test_verify_misses_a_stored_customer_that_never_comes(copied: World) -> None:
    """A row that the server counts and never sends is no row less to compare, but a difference."""
    lost = copied.sandbox.customer_ids()[3]
    hide(copied, lost)
    found = verified(copied)
    set_bend(copied, None)
    assert not found["ok"]
    assert told(found) == {("customers", lost)}


@pytest.mark.parametrize("table", few(["subscription_usage", "entitlements", "usage", "upcoming_grants"], 2))
def test_verify_tells_rows_that_only_one_side_has(table: str, copied: World) -> None:
    """A row of an answer that the store lacks, and a stored one that no answer has, are differences."""
    key = TABLES[table].key
    with Store.open(copied.path) as store, store.transaction() as db:
        rows = db.execute(f"SELECT rowid, {', '.join(key)} FROM {table} ORDER BY 1 LIMIT 1").fetchall()
        row, *lost = rows[0]
        db.execute(f"UPDATE {table} SET {key[-1]} = 'extra' WHERE rowid = {row}")
    found = verified(copied)
    with Store.open(copied.path) as store, store.transaction() as db:
        db.execute(f"UPDATE {table} SET {key[-1]} = $was WHERE {key[-1]} = 'extra'", {"was": lost[-1]})
    assert told(found) == {(table, *lost), (table, *lost[:-1], "extra")}


@pytest.mark.sampled
def test_verify_compares_a_single_subscriptions_limits(copied: World) -> None:
    """The figures of a subscription move by themselves, what it may use does not."""
    with Store.open(copied.path) as store, store.transaction() as db:
        db.execute("UPDATE subscription_usage SET is_soft_limit = NOT is_soft_limit, current_usage = 0")
        keys = db.execute("SELECT subscription_id, feature_id FROM subscription_usage").fetchall()
    found = verified(copied)
    with Store.open(copied.path) as store, store.transaction() as db:
        db.execute("UPDATE subscription_usage SET is_soft_limit = NOT is_soft_limit")
    assert told(found) == {("subscription_usage", *key) for key in keys}


# --- the period of a figure ---------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_the_period_of_the_counted_subscription_moves(tmp_path: Path) -> None:
    """Of two subscriptions of one microsecond the server counts the smaller id; its period moves, the body does not."""
    w = World(tmp_path, calm(6, kind=Bent))
    customer = min(set(w.sandbox.customer_ids()) - set(counting(w.sandbox)))
    now = w.clock()
    counted, _ = sorted(w.sandbox.add_subscription(customer, plan, created_at=now) for plan in ("Scale", "Team"))
    usage = ask(w.sandbox, "/customers/usage", [("customer_id", customer)])["features"]
    monthly = {one["feature"]["id"] for one in usage if (one["next_usage_reset_at"] or "0001") > "1"}

    def smaller(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        if customer not in (query.get("customer_id"), path.get("id")) or route not in ("usage", "entitlements"):
            return None
        body["features"] = [one for one in body["features"] if one["feature"]["id"] not in monthly]
        for one in body["features"] if route == "usage" and "subscription_ids" not in query else ():
            for source in one["sources"]:
                source["subscription_id"] = counted
        return body

    w.sandbox.bend = smaller  # type: ignore[attr-defined]
    w.later(5)
    assert w.sync().status == "green"
    w.check()
    w.later(600)
    w.sandbox.update_subscription(counted, current_period_start="2026-11-20T12:05:00Z")
    assert w.sync().status == "green"
    w.check()


# --- counting subscriptions as a whole ----------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_new_subscription_does_not_make_up_for_a_lost_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages of a server without filters hold a neighbour twice in place of X, and Y begins in between."""
    w = World(tmp_path, calm(12, kind=Bent, faults=Faults(old=frozenset({"filters_ignored"}))))
    lost = sorted((row["created_at"], row["id"]) for row in subscriptions_of(w.sandbox))[4][1]

    def twice(route: str, body: Any) -> None:
        ids = [item["id"] for item in body["items"]] if route == "subscriptions" else []
        if len(ids) > 1 and lost in ids:
            body["items"][ids.index(lost)] = body["items"][ids.index(lost) - 1]

    async def begin_first(*given: Any) -> None:
        w.later(1)
        w.sandbox.add_subscription(w.sandbox.customer_ids()[0], "Starter", status="draft")
        await list_subscriptions_by_offset(*given)

    edit(w, twice)
    monkeypatch.setattr(proving, "list_subscriptions_by_offset", begin_first)
    report = w.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("subscriptions: ") for reason in report.reasons), report.reasons
    set_bend(w, None)
    w.later(60)
    assert w.sync().status == "green"
    w.check()


@pytest.mark.sampled
def test_subscriptions_that_begin_all_the_time_are_no_lost_ones(tmp_path: Path) -> None:
    """On a server without filters the rows up to the newest that was counted are a fixed set."""
    w = World(tmp_path, calm(6, faults=Faults(old=frozenset({"filters_ignored"}))))

    calls = itertools.count()

    def begin_another() -> None:
        w.later(1)
        if next(calls) % 3 == 0:
            w.sandbox.add_subscription(w.sandbox.customer_ids()[0], "Starter", status="draft")

    w.sandbox.between_calls(begin_another)
    report = w.sync()
    assert report.status == "green", report.reasons
