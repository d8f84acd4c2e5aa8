"""Rows that are merged from several answers: whose they are, which content wins, and what a reject waits for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sizes import few, sampled
from support import (
    NOON,
    Bent,
    World,
    ask,
    assert_exact,
    calm,
    counting,
    customers_of,
    empty_store,
    held,
    subscriptions_of,
    synced,
    truth,
)

from connector.pull.proof_windows import Window
from connector.sandbox import Sandbox
from connector.store import gone, listing_facts
from connector.store.counts import Counts
from connector.store.database import rows
from connector.store.listings import merge_page
from connector.store.store import Store
from connector.tables.decode import Answer, Reader

HOUR = 3600


def world(folder: Path) -> World:
    """A small world after a green first run; its answers can be bent."""
    w = synced(folder, 12, kind=Bent, audit_sample=0)
    w.later(60)
    return w


def exact(w: World) -> bool:
    try:
        w.check()
    except AssertionError:
        return False
    return True


# --- rows that pass from one customer to another -------------------------------------------------------------------


def with_grants(w: World) -> list[str]:
    """The customers that have upcoming grants, in the order of their calls."""
    return [c for c in sorted(counting(w.sandbox)) if ask(w.sandbox, f"/customers/{c}/grants/upcoming")["items"]]


def cross_grants(w: World, asked: str, given: str, times: int) -> None:
    """Answer the next calls for the grants of one customer with those of another."""
    body = json.dumps(ask(w.sandbox, f"/customers/{given}/grants/upcoming"), default=str)
    left = [times]

    def bend(route: str, path: dict[str, str], _query: Any, _body: Any) -> Any:
        if route != "grants" or path["id"] != asked or not left[0]:
            return None
        left[0] -= 1
        return json.loads(body)

    w.sandbox.bend = bend


@pytest.mark.sampled
@pytest.mark.parametrize("places", few([(0, -1), (-1, 0)]))
def test_grants_of_another_customer(places: tuple[int, int], tmp_path: Path) -> None:
    """A grants answer that is another customer's, once, is asked again and takes no row from its owner."""
    w = world(tmp_path)
    people = with_grants(w)
    cross_grants(w, people[places[0]], people[places[1]], times=1)
    assert w.sync().status == "green"
    w.check()


@pytest.mark.sampled
def test_grants_of_another_customer_again_and_again(tmp_path: Path) -> None:
    """While the answers are another customer's, the run is degraded, and both keep their rows."""
    w = world(tmp_path)
    first, *_, last = with_grants(w)
    theirs = f"select id, customer_id from upcoming_grants where customer_id in ('{first}', '{last}') order by id"
    before = w.rows(theirs)
    cross_grants(w, first, last, times=99)
    report = w.sync()
    assert report.status == "degraded"
    assert f"{first} all features foreign" in " ".join(report.reasons)
    assert w.rows(theirs) == before
    w.sandbox.bend = None
    assert w.sync().status == "green"
    w.check()


@pytest.mark.sampled
def test_grants_of_a_subscription_that_is_not_known(tmp_path: Path) -> None:
    """Rows that pass to another customer have their first owner asked again in the same run, whatever its last body."""
    w = world(tmp_path)
    first, *_, last = with_grants(w)
    cross_grants(w, first, last, times=1)
    crossed = w.sandbox.bend

    def unknown(_route: str, _path: Any, _query: Any, body: Any) -> Any:
        for item in body.get("items", ()):
            if "credits" in item:
                item["subscription_id"] = "subs_unknown"
        return body

    w.sandbox.bend = unknown
    assert w.sync().status == "green"
    w.sandbox.bend = lambda *given: unknown(*given[:3], crossed(*given) or given[3])
    assert w.sync().status == "green"
    held = dict(w.rows("select id, customer_id from upcoming_grants"))
    own = {c: [g["id"] for g in ask(w.sandbox, f"/customers/{c}/grants/upcoming")["items"]] for c in (first, last)}
    assert {held[id] for id in own[first]} == {first}
    assert {held[id] for id in own[last]} == {last}


def move(sandbox: Sandbox, subscription: str, source: str, target: str) -> None:
    """Give a subscription to another customer."""
    account = sandbox.account
    number = account.subscriptions.find(subscription)
    account.owned[source].remove(number)
    account.owned.setdefault(target, []).append(number)
    sandbox.update_subscription(subscription, customer_id=target)


@pytest.mark.sampled
def test_a_subscription_that_moves_and_comes_back(tmp_path: Path) -> None:
    """A subscription that is another customer's between two calls of a run leaves no grant with the wrong one."""
    w = World(tmp_path, calm(2, kind=Bent), audit_sample=0)
    source, target = w.sandbox.create_customer()["id"], w.sandbox.create_customer()["id"]
    moving = w.sandbox.add_subscription(source, "Team")
    w.sandbox.add_subscription(target, "Team")
    assert w.sync().status == "green"
    w.later(HOUR)
    asked: list[str] = []

    def bend(route: str, path: dict[str, str], _query: Any, _body: Any) -> None:
        if route == "grants":
            asked.append(path["id"])

    places = iter([(source, target), (target, source)])
    waits = iter([source, target])
    awaited = [next(waits)]

    def between() -> None:
        if awaited[0] in asked:
            move(w.sandbox, moving, *next(places))
            awaited[0] = next(waits, "")

    w.sandbox.bend = bend
    w.sandbox.between_calls(between)
    report = w.sync(max_in_flight=1)
    assert awaited == [""], "the subscription did not move twice"
    w.sandbox.between_calls(None)
    assert report.status == "degraded" or exact(w)
    w.later(HOUR)
    assert w.sync().status == "green"
    w.check()


# --- rejects, and rows that are gone -------------------------------------------------------------------------------


def damage(w: World, route: str, id: str, **fields: Any) -> None:
    """Send one row of a listing with values that do not fit."""

    def bend(asked: str, _path: Any, _query: Any, body: Any) -> Any:
        for item in body["items"] if asked == route else ():
            item.update(fields if item["id"] == id else {})
        return body

    w.sandbox.bend = bend


def reject_beside_a_window(folder: Path, listing: str) -> World:
    """A world with a reject, whose next run walks another window again, because a row in it was late."""
    w = World(folder, calm(12, kind=Bent), audit_sample=0, only=("customers", "subscriptions"))
    made = w.sandbox.create_customer(created_at="2026-11-20T11:59:00Z")["id"]
    late = w.sandbox.add_subscription(made, "Team", "paused", created_at="2026-11-20T11:59:40Z")
    late = late if listing == "subscriptions" else made
    w.sandbox.hide(late)
    assert w.sync().status == "green"
    w.later(HOUR)
    if listing == "customers":
        edited, other = w.sandbox.customer_ids()[3:5]
        w.sandbox.update_customer(edited, name="Edited")
        damage(w, "search", edited, metadata={"k": 7})
        w.later(HOUR)
        w.sandbox.update_customer(other, name="Edited too")  # moves the cursor on
    else:
        edited, other = [s["id"] for s in subscriptions_of(w.sandbox) if s["subscription_status"] != "active"][:2]
        w.sandbox.update_subscription(edited, version=5)
        damage(w, "subscriptions", edited, version="seven")
        w.later(HOUR)
        w.sandbox.update_subscription(other, version=3)
    w.later(60)
    assert w.sync().status == "degraded"
    w.sandbox.bend = None
    w.sandbox.show(late)
    w.later(60)
    return w


@pytest.mark.sampled
@pytest.mark.parametrize("listing", ["customers", sampled("subscriptions")])
def test_a_reject_waits_for_its_own_row(listing: str, tmp_path: Path) -> None:
    """A window that is walked again settles nothing about rows outside of it; a full walk does."""
    w = reject_beside_a_window(tmp_path, listing)
    report = w.sync()
    assert "walked again" in " ".join(report.notes)
    assert report.status == "degraded"
    assert w.sync(full=True).status == "green"
    assert w.rows("select key from flexsync.rejects") == []


def page(db: Any, name: str, updated_at: str) -> None:
    """Merge a page with one customer into a store, as run `r`."""
    row = {"id": "c", "name": name, "created_at": "2026-11-01T00:00:00Z", "updated_at": updated_at}
    decoded = Reader().read([Answer("customers", json.dumps({"items": [row]}).encode(), NOON)])
    merge_page(db, "r", "customers", decoded, Counts(), integrations=False)


def test_a_window_walked_again_replaces_nothing_by_older_rows(tmp_path: Path) -> None:
    """A row that is awaited once more is still one that the run has read: an older one of a replica does not win."""
    new, old, window = "2026-11-20T11:00:00Z", "2026-11-20T10:00:00Z", Window(None, NOON)
    empty_store(tmp_path / "s.duckdb")
    with Store.open(tmp_path / "s.duckdb") as store, store.transaction() as db:
        page(db, "new", new)
        assert listing_facts.unseen_in(db, "customers", window) == []
        listing_facts.await_again(db, "customers", window)
        assert listing_facts.unseen_in(db, "customers", window) == ["c"]
        page(db, "old", old)
        assert listing_facts.unseen_in(db, "customers", window) == []
        assert rows(db, "SELECT name FROM customers") == [("new",)]
        gone.mark(db, "r", "customers", ["c"], NOON, Counts())
        page(db, "old", old)
        assert rows(db, "SELECT name, gone_at FROM customers") == [("old", None)]


@pytest.mark.sampled
def test_a_gone_customer_leaves_no_row_of_its_own(tmp_path: Path) -> None:
    """Every table but customers itself loses the rows of a customer that is gone; its rejects go too."""
    w = synced(tmp_path, 12, kind=Bent, audit_sample=0)
    linked = next(row["id"] for row in customers_of(w.sandbox) if row.get("integrations"))
    w.sandbox.update_customer(linked, name="Edited")
    damage(w, "search", linked, metadata={"k": 7})
    w.later(60)
    assert w.sync().status == "degraded"
    w.sandbox.bend = None
    w.sandbox.remove_customer(linked)
    w.later(60)
    assert w.sync().status == "green"
    with Store.open(w.path) as store:
        assert_exact(held(store), truth(w.sandbox), gone=frozenset({linked}))
