"""Listings against servers, gateways and clocks that misbehave: green is true, or the run is degraded and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import Bent, World, calm, customers_of

from connector.errors import BudgetSpent
from connector.pull import windows
from connector.pull.absence import believable
from connector.sandbox import Faults, Sandbox
from pipelines.sync import lookup

LISTINGS = ("customers", "subscriptions")


def account(folder: Path, customers: int = 25, kind: type[Sandbox] = Sandbox, **switches: Any) -> World:
    """An account of which only the listings are read."""
    return World(folder, calm(customers, faults=Faults(**switches), kind=kind), only=LISTINGS)


def ids(world: World, listing: str = "customers") -> set[str]:
    return {row[0] for row in world.rows(f"SELECT id FROM {listing} WHERE gone_at IS NULL")}


def names(world: World) -> dict[str, str]:
    return dict(world.rows("SELECT id, name FROM customers"))


def listed(world: World) -> list[dict[str, Any]]:
    return customers_of(world.sandbox)


def live(world: World) -> set[str]:
    return {*world.sandbox.customer_ids("published"), *world.sandbox.customer_ids("archived")}


# --- where a walk ends ---------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize(
    "switches",
    [
        {"cap": 7},
        sampled({"cap": 1}),
        sampled({"cap": 200}),
        sampled({"cap_bytes": 3000}),
        sampled({"max_limit": 9}),
        sampled({"cap": 7, "no_pagination": True}),
        sampled({"no_pagination": True}),
    ],
)
def test_a_capped_gateway_costs_no_row(tmp_path: Path, switches: dict[str, Any]) -> None:
    """Pages cut by rows or bytes, limits refused, totals not sent: both listings are whole, green where they count."""
    world = account(tmp_path, **switches)
    for turn in range(2):
        report = world.sync()
        assert ids(world) == live(world)
        assert len(ids(world, "subscriptions")) == world.sandbox.account.subscriptions.count
        if "no_pagination" in switches:
            assert report.status == "degraded"
            assert "customers: the server's totals are missing" in report.reasons[0]
        else:
            assert report.status == "green", report.reasons
        world.sandbox.update_customer(world.sandbox.customer_ids()[turn], name=f"New {turn}")
    world.sync()
    assert {f"New {turn}" for turn in range(2)} <= set(names(world).values())


@pytest.mark.sampled
def test_a_crowd_that_is_longer_than_the_cap(tmp_path: Path) -> None:
    """All customers changed in one microsecond, read through pages of seven: each one's change arrives."""
    world = account(tmp_path, cap=7)
    assert world.sync().status == "green"
    world.later(60)
    world.sandbox.touch_all(world.sandbox.now())
    assert world.sync().status == "green"
    assert world.rows("SELECT count(DISTINCT updated_at) FROM customers") == [(1,)]


@pytest.mark.sampled
def test_an_archive_between_a_page_and_its_count(tmp_path: Path) -> None:
    """A total that fell after the page was read ends no walk early."""
    world = account(tmp_path, cap=5)
    left = [*world.sandbox.customer_ids("published")][:6]

    def archive() -> None:
        if left:
            world.sandbox.archive_customer(left.pop())

    world.sandbox.before_count(archive)
    report = world.sync()
    world.sandbox.before_count(None)
    assert report.status == "green", report.reasons
    assert ids(world) == live(world)


@pytest.mark.sampled
def test_rows_that_are_counted_and_never_sent_degrade(tmp_path: Path) -> None:
    """A server that hides a row from every page, and counts it, is not believed; the run ends and says which walk."""
    world = account(tmp_path, kind=Bent)
    hidden = max(listed(world), key=lambda row: (row["status"] == "published", str(row["created_at"])))["id"]

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        if route == "search":
            body["items"] = [item for item in body["items"] if item["id"] != hidden]
        return body

    world.sandbox.bend = bend
    report = world.sync()
    assert report.status == "degraded"
    assert any(reason.startswith("customers:") for reason in report.reasons)
    assert any("the server counts 1 rows more than it sends" in reason for reason in report.reasons)


# --- gone ----------------------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_gateway_that_caps_marks_nobody_gone(tmp_path: Path) -> None:
    """A full run through a gateway that begins to cap pages marks no customer and no subscription as gone."""
    world = account(tmp_path)
    assert world.sync().status == "green"
    world.sandbox.faults = Faults(cap=4)
    report = world.sync(full=True)
    assert report.status == "green", report.reasons
    for listing in LISTINGS:
        assert world.rows(f"SELECT count(*) FROM {listing} WHERE gone_at IS NOT NULL") == [(0,)]


@pytest.mark.sampled
def test_an_answer_shorter_than_its_total_is_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked up twelve at a time through pages of four, ids are asked again in halves; one that is gone is marked."""
    monkeypatch.setattr(lookup, "ID_BATCH", 12)
    world = account(tmp_path, cap=4)
    world.sync()
    gone = world.sandbox.customer_ids("published")[0]
    world.sandbox.remove_customer(gone)
    assert world.sync(full=True).status == "green"
    assert world.rows("SELECT id FROM customers WHERE gone_at IS NOT NULL") == [(gone,)]


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("listing", "remove"), [("customers", "remove_customer"), sampled("subscriptions", "remove_subscription")]
)
def test_too_many_gone_are_not_believed(tmp_path: Path, listing: str, remove: str) -> None:
    """Eight of the rows vanish at once: none is marked and the run is degraded, until a person accepts the number."""
    world = account(tmp_path)
    world.sync()
    for id in sorted(ids(world, listing))[:8]:
        getattr(world.sandbox, remove)(id)
    query = f"SELECT count(*) FROM {listing} WHERE gone_at IS NOT NULL"
    refused = world.sync(full=True)
    assert refused.status == "degraded"
    assert any("--accept-gone 8" in reason for reason in refused.reasons)
    assert world.rows(query) == [(0,)]
    assert world.sync(full=True, accept_gone=7).status == "degraded"
    assert world.rows(query) == [(0,)]
    accepted = world.sync(full=True, accept_gone=8)
    assert accepted.status == "green", accepted.reasons
    assert world.rows(query) == [(8,)]


@pytest.mark.parametrize(
    ("gone", "stored", "accepted", "believed"),
    [
        (5, 100, 0, True), (6, 100, 0, False), (10, 1000, 0, True), (11, 1000, 0, False), (2, 3, 0, True),
        (3, 3, 0, False), (3, 3, 3, True),
        (4, 15, 0, False), (4, 16, 0, True), (900, 1000, 900, True), (900, 1000, 899, False), (0, 0, 0, True),
    ],
)  # fmt: skip
def test_how_many_may_go(gone: int, stored: int, accepted: int, believed: bool) -> None:
    """Five or 1 %, but no more than a quarter of a small account and never all of it, unless a person says so."""
    assert believable(gone, stored, accepted) is believed


# --- counts --------------------------------------------------------------------------------------------------------


def test_a_deleted_and_a_late_row_do_not_cancel_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One customer deleted by hand and an old one that becomes visible: the totals agree, the windows do not."""
    monkeypatch.setattr(windows.secrets, "token_hex", lambda _: "c0ffee")  # windows follow the run id
    world = account(tmp_path)
    by_age = [row["id"] for row in sorted(listed(world), key=lambda row: str(row["created_at"]))]
    late = by_age[3]
    world.sandbox.hide(late)
    assert world.sync().status == "green"
    world.sandbox.show(late)
    world.sandbox.remove_customer(by_age[-3])
    report = world.sync()
    assert report.status == "green", report.reasons
    assert any("windows of created_at were walked again" in note for note in report.notes)
    assert ids(world) == live(world)


@pytest.mark.sampled
def test_a_subscription_that_no_walk_named_is_found_by_the_count(tmp_path: Path) -> None:
    """A subscription that appeared long after its timestamps is counted, and its window is walked again."""
    world = account(tmp_path)
    late = world.sandbox.account.subscription(0)["id"]
    world.sandbox.hide(late)
    assert world.sync().status == "green"
    world.sandbox.show(late)
    report = world.sync()
    assert report.status == "green", report.reasons
    assert late in ids(world, "subscriptions")


@pytest.mark.sampled
def test_a_stopped_proof_goes_on_where_it_was(tmp_path: Path) -> None:
    """Runs of a few calls add up to one: what was counted is not counted again."""
    world = account(tmp_path)
    attempts = 0
    while True:
        attempts += 1
        assert attempts < 30
        try:
            report = world.sync(max_calls=9)
            break
        except BudgetSpent:
            continue
    assert (report.status, report.resumed) == ("green", attempts - 1)
    counted = world.rows("SELECT resource, count(*) FROM flexsync.proof_windows GROUP BY ALL ORDER BY ALL")
    assert counted == [("customers", 4), ("subscriptions", 4)]


# --- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize(
    "ahead", [900, sampled(-3600), sampled(7200), sampled(-1_795_000_000), sampled(365 * 86_400 * 12)]
)
@pytest.mark.parametrize("answers", [0, sampled(3)])
def test_a_wrong_date_loses_no_edit(tmp_path: Path, ahead: int, answers: int) -> None:
    """A gateway's `Date` minutes or years away, once or always: every edit after that run arrives with the next one."""
    world = account(tmp_path)
    world.sync()
    world.sandbox.faults = Faults(date_ahead=ahead, date_for=answers)
    assert world.sync().status == "green"
    edited = world.sandbox.customer_ids("published")[:9]
    for place, id in enumerate(edited):
        world.later(90)
        world.sandbox.update_customer(id, name=f"Edit {place}")
    if answers:
        world.sandbox.faults = Faults()
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    assert {f"Edit {place}" for place in range(9)} <= set(names(world).values())


@pytest.mark.sampled
@pytest.mark.parametrize("skew", [3600, sampled(-3600)])
def test_edits_during_a_walk_longer_than_the_overlap(tmp_path: Path, skew: int) -> None:
    """Every call takes two minutes and a customer changes between any two: the next quiet run has them all."""
    world = account(tmp_path, customers=12, cap=3, date_ahead=skew)
    world.sync()
    everyone, turn = [*world.sandbox.customer_ids("published")], iter(range(10_000))

    def edit() -> None:
        world.later(120)
        number = next(turn)
        world.sandbox.update_customer(everyone[number % len(everyone)], name=f"Edit {number}")

    world.sandbox.between_calls(edit)
    world.sync()
    world.sandbox.between_calls(None)
    assert world.sync().mode == "incremental"
    live_names = {row["id"]: row["name"] for row in listed(world)}
    assert names(world) == live_names


@pytest.mark.sampled
def test_each_walk_has_its_own_cursor(tmp_path: Path) -> None:
    """An archive of months ago does not make the published walk read months again: each walk has its newest row."""
    world = account(tmp_path)
    world.sync()
    cursors = dict(world.rows("SELECT resource, cursor FROM flexsync.cursors"))
    newest = world.rows("SELECT status, max(updated_at) FROM customers GROUP BY ALL")
    assert {f"customers/{status}": moment for status, moment in newest}.items() <= cursors.items()
    world.later(3600)
    world.sandbox.update_customer(world.sandbox.customer_ids("published")[0], name="New")
    world.sync()
    after = dict(world.rows("SELECT resource, cursor FROM flexsync.cursors"))
    assert after["customers/published"] > cursors["customers/published"]
    assert after["customers/archived"] == cursors["customers/archived"]


@pytest.mark.sampled
def test_an_empty_account_needs_no_full_run(tmp_path: Path) -> None:
    """A walk that never had a row is walked incrementally from its beginning; its first row arrives."""
    world = account(tmp_path, customers=0)
    assert world.sync().status == "green"
    world.sandbox.create_customer(name="First")
    world.sync()
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    world.sandbox.archive_customer(world.sandbox.create_customer(name="Second")["id"])
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental")
    assert sorted(names(world).values()) == ["First", "Second"]
