"""Nights of the sandbox: an account that lives on between syncs, and the demo that plays them.

What happens is compared with the account itself, which stands still while it is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command import command, environment
from sizes import Size, few, sizes
from support import World, ask, assert_exact, counting, customers_of, held, moment, subscriptions_of, truth

from connector.sandbox import Clock, Sandbox
from connector.sandbox.clock import stamp
from connector.sandbox.data.life import KINDS, Event, Life
from connector.sandbox.data.renewals import renew
from connector.sandbox.ids import timeless
from connector.store.store import Store
from pipelines.nights import latest_night

pytestmark = pytest.mark.sampled  # a tenth for each commit

FIRST = datetime(2026, 10, 30, 2, tzinfo=UTC)
DAYS = 40
BUSY = 77  # in its first two days a feature is renamed, a plan changes, and customers come, are renamed and leave
Figures = dict[tuple[str, ...], tuple[Any, Any]]


def account(customers: int, first: datetime = FIRST, seed: int = 7) -> tuple[Sandbox, Life]:
    """An account at its first night, and its life."""
    clock = Clock(first)
    sandbox = Sandbox(customers=customers, seed=seed, clock=clock)
    return sandbox, Life(sandbox, clock, seed)


# --- nights that are synced ---------------------------------------------------------------------------------------


@sizes(default=0, sampled=3, thorough=40)
def test_every_night_is_green_and_equals_the_account(tmp_path: Path, size: Size) -> None:
    """After each night's sync the store holds what the account holds; only a renamed plan waits for a full run."""
    sandbox, life = account(customers=300 if size.count >= 40 else 12, seed=BUSY)
    world = World(tmp_path, sandbox)
    names: dict[str, set[str]] = defaultdict(set)
    for night in range(size.count):
        if night:
            life.day()
        report = world.sync(audit_sample=5)
        assert (report.status, report.reasons) == ("green", []), night
        for plan in sandbox.account.catalog.plans.values():
            names[plan.id].add(plan.name)
        check(world, names if report.mode == "incremental" else {})


def check(world: World, names: dict[str, set[str]]) -> None:
    """As `World.check`, but a subscription may show an earlier one of its plan's `names`: no `updated_at` moved."""
    want = truth(world.sandbox)
    with Store.open(world.path) as store:
        have = held(store)
    for key, row in want["subscriptions"].items():
        shown = have["subscriptions"].get(key, {}).get("plan_name")
        if shown in names.get(row["plan_id"], ()):
            row["plan_name"] = shown
    assert_exact(have, want)


# --- usage --------------------------------------------------------------------------------------------------------


def figures(sandbox: Sandbox) -> Figures:
    """Every metered figure that can be asked for, and its window: by customer, and by subscription."""
    found: Figures = {}
    for customer_id, group in counting(sandbox).items():
        starts = {row["id"]: row["current_period_start"] for row in group}
        for asked in ("", *starts):
            query = [("customer_id", customer_id), *([("subscription_ids", asked)] if asked else [])]
            for entry in ask(sandbox, "/customers/usage", query)["features"]:
                if entry["feature"]["type"] == "metered":
                    subscription = entry["sources"][0]["subscription_id"]
                    window = (starts[subscription], entry["next_usage_reset_at"])
                    key = (customer_id, asked, subscription, entry["feature"]["lookup_key"])
                    found[key] = (window, float(entry["current_usage"]))
    return found


def test_usage_grows_inside_a_window_and_begins_anew_after_it() -> None:
    """In forty nights no figure falls inside its window, and figures of every window that ends begin anew."""
    sandbox, life = account(15)
    before, grew = figures(sandbox), set()
    fell: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    monthly = {key for key, (window, used) in before.items() if used and _resets(window) == "MONTHLY"}
    for _ in range(DAYS):
        life.day()
        now = figures(sandbox)
        for key in before.keys() & now.keys():
            (old, was), (new, used) = before[key], now[key]
            assert used >= was or old != new, f"{key} fell from {was} to {used} inside {old}"
            grew |= {key} if old == new and used > was else set()
            fell[_resets(new)] |= {key} if used < was else set()
        monthly &= now.keys()
        before = now
    assert grew
    assert monthly <= fell["MONTHLY"]
    assert monthly
    assert fell["DAILY"]
    assert not fell["NEVER"]


def _resets(window: tuple[str, str | None]) -> str:
    start, reset = window
    if reset is None:
        return "PERIOD"
    if reset.startswith("0001"):
        return "NEVER"
    begins, ends = moment(start), moment(reset)
    assert begins
    assert ends
    return "MONTHLY" if ends - begins > timedelta(days=25) else "DAILY"


# --- what happens -------------------------------------------------------------------------------------------------


@cache
def lived(first: datetime) -> tuple[Sandbox, list[list[Event]]]:
    """An account after forty days, and what happened on each; several tests read it, and none changes it."""
    sandbox, life = account(25, first)
    return sandbox, [life.day() for _ in range(DAYS)]


def people(sandbox: Sandbox) -> set[tuple[str, str, str, str]]:
    return {(timeless(row["id"]), row["external_id"], row["name"], row["status"]) for row in customers_of(sandbox)}


@pytest.mark.parametrize(
    "first",
    few(
        [
            datetime(2028, 2, 20, 2, tzinfo=UTC),
            datetime(2027, 3, 1, 2, tzinfo=UTC),
            datetime(2026, 12, 31, 2, tzinfo=UTC),
            datetime(2031, 10, 1, 2, tzinfo=UTC),
        ]
    ),
    ids=str,
)
def test_the_same_seed_gives_the_same_nights_on_any_date(first: datetime) -> None:
    """What happens, when in the day and to whom does not depend on the date."""
    sandbox, days = lived(FIRST)
    other, others = lived(first)
    assert [[(e.after, e.kind, timeless(e.id)) for e in day] for day in days] == [
        [(e.after, e.kind, timeless(e.id)) for e in day] for day in others
    ]
    assert people(sandbox) == people(other)


def test_the_same_seed_gives_the_same_figures_on_the_same_date() -> None:
    """Two accounts of one seed and date are equal after five days, down to the last row."""
    one, other = account(10), account(10)
    for _ in range(5):
        assert one[1].day() == other[1].day()
    assert truth(one[0]) == truth(other[0])


def test_everything_happens_and_sometimes_nothing() -> None:
    """In forty days each kind of event happens, and some days are quiet."""
    _, days = lived(FIRST)
    assert {event.kind for day in days for event in day} == KINDS.keys()
    assert [] in days


def test_no_date_of_the_account_lies_after_its_clock() -> None:
    """Whatever a day writes is dated in that day."""
    sandbox, _ = lived(FIRST)
    now = stamp(sandbox.now())
    rows = [*customers_of(sandbox), *subscriptions_of(sandbox)]
    assert max(row["updated_at"] for row in rows) <= now
    assert max(row["created_at"] for row in rows) <= now
    assert sandbox.clock() == FIRST + timedelta(days=DAYS)


# --- periods and names --------------------------------------------------------------------------------------------


def test_periods_move_on() -> None:
    """The night after a period ends it has moved; a trial is active then; who cancelled for that day is cancelled."""
    sandbox, life = account(40)
    begun = {row["id"]: row for row in subscriptions_of(sandbox)}
    for _ in range(DAYS):
        life.day()
        late = [row["id"] for row in _live(sandbox) if row["current_period_end"] <= _before(sandbox, minutes=30)]
        assert late == []
    now = {row["id"]: row for row in subscriptions_of(sandbox)}
    trials = [id for id, row in begun.items() if row["subscription_status"] == "trialing"]
    ending = [
        id
        for id, row in begun.items()
        if row["subscription_status"] == "active" and row["cancel_at_period_end"] and row["billing_period"] == "MONTHLY"
    ]
    assert trials
    assert ending
    assert all(now[id]["subscription_status"] in ("active", "cancelled") for id in trials)
    assert all(now[id]["trial_end"] is None for id in trials if now[id]["subscription_status"] == "active")
    assert {now[id]["subscription_status"] for id in ending} == {"cancelled"}


def _live(sandbox: Sandbox) -> Iterator[dict[str, Any]]:
    return (row for row in subscriptions_of(sandbox) if row["subscription_status"] in ("active", "trialing"))


def _before(sandbox: Sandbox, minutes: int) -> str:
    return stamp(sandbox.now() - minutes * 60_000_000)


def test_the_job_changes_nothing_twice() -> None:
    """A period that holds now is left alone."""
    sandbox, _ = account(60)
    renew(sandbox)  # some begin in the past, as on a server whose job is late
    assert renew(sandbox) == 0


def test_a_renamed_plan_shows_at_once_and_moves_no_subscription() -> None:
    """A plan's rename is in every subscription and no `updated_at`; another account of the seed keeps the name."""
    sandbox, _ = account(30)
    before = {row["id"]: row for row in subscriptions_of(sandbox)}
    plan = next(row["plan"]["id"] for row in before.values())
    sandbox.rename_plan(plan, "Basic")
    for row in subscriptions_of(sandbox):
        assert row["plan"]["name"] == ("Basic" if row["plan_id"] == plan else before[row["id"]]["plan"]["name"])
        assert row["updated_at"] == before[row["id"]]["updated_at"]
    assert {row["plan"]["name"] for row in subscriptions_of(account(30)[0])}.isdisjoint({"Basic"})


def test_a_renamed_feature_shows_at_once_and_moves() -> None:
    """A feature's rename is in its `name` and `updated_at`; its lookup key and what it grants stay."""
    sandbox, _ = account(30)
    sandbox.clock.advance(60)  # type: ignore[attr-defined]
    customer = sandbox.active_customer_ids()[0]
    old = ask(sandbox, f"/customers/{customer}/entitlements")["features"]
    sandbox.rename_feature(old[0]["feature"]["id"], "Another")
    new = ask(sandbox, f"/customers/{customer}/entitlements")["features"]
    assert new[0]["feature"] == old[0]["feature"] | {"name": "Another", "updated_at": stamp(sandbox.now())}
    assert new[0]["entitlement"] == old[0]["entitlement"]
    assert new[1:] == old[1:]


# --- the demo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-11-28T18:10:25+00:00", "2026-11-28T02:00:00+00:00"),
        ("2026-11-28T02:00:00+00:00", "2026-11-28T02:00:00+00:00"),
        ("2026-03-01T01:59:59+00:00", "2026-02-28T02:00:00+00:00"),
    ],
)
def test_the_last_night_is_the_latest_one_that_is_over(now: str, night: str) -> None:
    """No night lies in the future."""
    assert latest_night(lambda: datetime.fromisoformat(now)) == datetime.fromisoformat(night)


@pytest.mark.sampled
@pytest.mark.parametrize("last", [(), ("--last-night", "2026-03-01")], ids=["latest", "given"])
def test_demo_plays_nights(tmp_path: Path, last: tuple[str, ...]) -> None:
    """`flexsync demo --nights 3` prints a line a night and the answer; its store holds the last night's account."""
    given = ("demo", "--folder", "d", "--customers", "12", "--nights", "3", "--seed", str(BUSY), *last)
    done = command(*given, env=environment(key=""), cwd=tmp_path)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["night", "status", "customers", "calls", "rows", "moved"]
    nights = [datetime.fromisoformat(line.split()[0]).replace(hour=2, tzinfo=UTC) for line in lines[1:4]]
    assert [night - nights[0] for night in nights] == [timedelta(days=day) for day in range(3)]
    assert not last or lines[3].startswith(last[1])
    assert {line.split()[1] for line in lines[1:4]} == {"green"}
    assert "Which customers" in done.out
    sandbox, life = account(12, nights[0], BUSY)
    life.day()
    life.day()
    with Store.open(tmp_path / "d" / "work.duckdb") as store:
        assert_exact(held(store), truth(sandbox))
        dated = store.rows("SELECT started_at, finished_at FROM flexsync.runs ORDER BY run_id")
        assert [row[0].astimezone(UTC) for row in dated] == nights
        assert store.rows("SELECT max(observed_at) FROM usage")[0][0].astimezone(UTC) <= nights[-1]
    assert (tmp_path / "d" / "billing.duckdb").exists()
    assert (tmp_path / "d" / "lake" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("given", "fault"),
    [(("--nights", "2", "--last-night", "9000-01-01"), "9000-01-01"), (("--last-night", "2026-09-30"), "--nights")],
)
def test_demo_refuses_a_last_night_that_is_none(tmp_path: Path, given: tuple[str, ...], fault: str) -> None:
    """A night in the future, or one without a number of nights, is named on stderr; no folder is made."""
    done = command("demo", "--folder", "d", *given, env=environment(), cwd=tmp_path)
    assert done.code == 2
    assert fault in done.err
    assert not (tmp_path / "d").exists()


def test_demo_refuses_a_number_of_nights_that_is_none(tmp_path: Path) -> None:
    """`--nights 0` is named on stderr; no folder is made."""
    done = command("demo", "--folder", "d", "--nights", "0", env=environment(), cwd=tmp_path)
    assert done.code == 2
    assert "--nights" in done.err
    assert not (tmp_path / "d").exists()
