"""Histories: every version of a row and every figure that changed, as of any moment, by what was known at another."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from histories import KEYS, VERSIONED, Diary, check_earlier, check_intervals, check_model, same, same_figure, shown
from sizes import few
from support import Bent, World, before, calm

import connector
from connector.publications.publish import publish
from connector.publications.reading import Reading
from connector.pull.watermarks import WALKS
from connector.pull.windows import Beginning
from connector.store.store import Store

DAY, HOUR = 86_400, 3_600
MOMENTS = ("valid_from", "valid_to")

pytestmark = pytest.mark.sampled  # the nights of the story take as long as a hundred other tests


class Story:
    """Nights of a small account, each with changes of its own; runs and moments are remembered by name."""

    def __init__(self, folder: Path) -> None:
        self.sandbox = calm(5, kind=Bent)
        self.world = World(folder, self.sandbox, audit_sample=0)
        self.diary = Diary(self.world)
        self.plan, self.drawn = "Team", "MONTHLY"
        self.run: dict[str, str] = {}
        self.at: dict[str, datetime] = {}
        self.sandbox.bend = self._bend  # type: ignore[attr-defined]
        self.a, self.b, self.c, self.d, self.e = self.sandbox.customer_ids()
        self.a1, self.c1, self.b1 = (self.sandbox.add_subscription(who, "Team") for who in (self.a, self.c, self.b))
        self.b2 = self.sandbox.add_subscription(self.b, "Scale")

    def _bend(self, route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        """Rename the plan, as the server does without moving `updated_at`; draw reset periods where sources tie."""
        for row in body.get("items", ()):
            if (row.get("plan") or {}).get("name") == "Team":
                row["plan"]["name"] = self.plan
        for entry in body.get("features", ()):
            if len(entry["sources"]) > 1 and "usage_reset_period" in entry.get("entitlement", ()):
                entry["entitlement"]["usage_reset_period"] = self.drawn
        return body

    def night(self, name: str, seconds: float = DAY, **given: Any) -> None:
        self.world.later(seconds - 1)
        self.diary.sync(**given)
        self.run[name], self.at[name] = self.diary.attempts[-1].run, self.diary.attempts[-1].at

    def call(self, customer: str, name: str, **more: Any) -> datetime:
        """Give a customer another name; return when."""
        self.world.later(HOUR)
        self.sandbox.update_customer(customer, name=name, **more)
        return self.sandbox.clock()

    def use(self, figure: int) -> None:
        self.sandbox.set_usage(self.a, "api_calls", figure)
        self.sandbox.set_usage(self.a, "storage_gb", figure)  # reset every day


def first_nights(story: Story) -> None:
    sandbox = story.sandbox
    story.use(100)
    story.night("first")
    story.at["changed"] = story.call(story.a, "Changed")
    sandbox.touch_customer(story.b)
    story.plan, story.drawn = "Team 2027", "WEEKLY"
    story.use(150)
    story.night("changed run")
    story.call(story.c, "Backdated", updated_at=datetime(2020, 1, 1, tzinfo=UTC))
    story.at["archived"] = story.call(story.d, "Archived", status="archived")
    for row in (story.e, story.b2):
        sandbox.hide(row)
    sandbox.cancel_subscription(story.c1)
    story.use(120)
    story.night("gone", full=True)
    for row in (story.e, story.b2):
        sandbox.show(row)
    story.night("back", full=True)


def later_nights(story: Story) -> None:
    story.use(175)
    story.call(story.a, "Killed")
    story.night("killed", 3 * DAY, max_calls=20)
    story.at["twice"] = story.call(story.a, "Twice")
    story.night("resumed", HOUR)
    story.call(story.a, "Given up")
    story.night("given up", max_calls=20)
    story.call(story.a, "After")
    story.night("after", 2 * DAY)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    found = Story(tmp_path_factory.mktemp("story"))
    first_nights(found)
    later_nights(found)
    return found


@pytest.fixture(scope="module")
def opened(story: Story) -> Iterator[Reading]:
    with connector.open(story.world.path) as reading:
        yield reading


def history(opened: Reading, name: str, id: str, columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns} FROM {name}_history WHERE id = $id ORDER BY valid_from"
    return [tuple(row.values()) for row in opened.sql(query, {"id": id}).to_pylist()]


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_change_makes_one_version(story: Story, opened: Reading) -> None:
    """A new name makes one version, valid from `updated_at`; before it ends there, known from run to run."""
    columns = "name, valid_from, valid_to, valid_basis, known_from, known_to"
    before, after, *_ = history(opened, "customers", story.a, columns)
    assert after[:2] == ("Changed", story.at["changed"])
    assert after[3:5] == ("updated_at", story.run["changed run"])
    assert before[2:] == (story.at["changed"], "updated_at", story.run["first"], story.run["changed run"])


def test_an_empty_put_makes_no_version(story: Story, opened: Reading) -> None:
    """Only `updated_at` moved, and the one version stays open."""
    assert history(opened, "customers", story.b, "known_from, valid_to") == [(story.run["first"], None)]


def test_a_plans_rename_makes_a_version_of_every_subscription(story: Story, opened: Reading) -> None:
    """It moves no `updated_at`, so the version is valid from when the answer came, and says so."""
    for id in (story.a1, story.b1):
        assert history(opened, "subscriptions", id, "plan_name, valid_from, valid_basis")[1:] == [
            ("Team 2027", story.at["changed run"], "observed_at")
        ]


def test_an_older_updated_at_is_not_believed(story: Story, opened: Reading) -> None:
    """A row that says it was written before its last version is valid from when it was seen."""
    found = history(opened, "customers", story.c, "name, valid_from, valid_basis")
    assert found[1:] == [("Backdated", story.at["gone"], "observed_at")]


def test_an_archive_is_a_version(story: Story, opened: Reading) -> None:
    """An archived customer has a version that says so, and it stays open."""
    found = history(opened, "customers", story.d, "status, valid_from, valid_to")
    assert found[1:] == [("archived", story.at["archived"], None)]


def test_a_gone_row_ends_and_one_that_comes_back_begins(story: Story, opened: Reading) -> None:
    """A hidden row's version ends when it was missed; shown again, with its old timestamps, it begins a new one."""
    for name, id in (("customers", story.e), ("subscriptions", story.b2)):
        first, second = history(opened, name, id, "valid_to, valid_from, valid_basis, known_from")
        assert first[0] == story.at["gone"]
        assert second == (None, story.at["back"], "observed_at", story.run["back"])
        between = opened.table(name, as_of=story.at["gone"] + timedelta(hours=1)).column("id").to_pylist()
        assert id not in between


def test_entitlements_end_with_their_subscription(story: Story, opened: Reading) -> None:
    """All of a customer's entitlements vanish in one run, and end there."""
    query = "SELECT DISTINCT valid_to, known_to FROM entitlements_history WHERE customer_id = $c"
    assert opened.sql(query, {"c": story.c}).to_pylist() == [
        {"valid_to": story.at["gone"], "known_to": story.run["gone"]}
    ]


def test_a_reset_period_that_is_drawn_makes_no_version(story: Story, opened: Reading) -> None:
    """Two sources tie, so the server draws; with one source left, the period is a fact, and dated as one."""
    query = """SELECT feature_id, usage_reset_period, valid_from, known_from FROM entitlements_history
        WHERE customer_id = $c ORDER BY feature_id, valid_from"""
    found = opened.sql(query, {"c": story.b}).to_pylist()
    assert story.run["changed run"] not in {row["known_from"] for row in found}
    ends = [run.at for run in story.diary.runs]
    assert {row["valid_from"] for row in found} <= set(ends)


def test_a_row_that_is_read_by_a_killed_and_a_resumed_run_has_one_version(story: Story, opened: Reading) -> None:
    """A run that was killed between two changes of a row adds one version, the last it saw."""
    assert story.run["killed"] == story.run["resumed"]
    found = history(opened, "customers", story.a, "name, valid_from, known_from")
    of_run = [row for row in found if row[2] == story.run["killed"]]
    assert of_run == [("Twice", story.at["twice"], story.run["killed"])]


def test_what_a_given_up_run_found_is_known_with_the_next_that_ends(story: Story, opened: Reading) -> None:
    """Its version stays, and no question about an earlier state of knowledge shows it."""
    assert story.run["given up"] != story.run["after"]
    assert [row[0] for row in history(opened, "customers", story.a, "name")][-3:] == ["Twice", "Given up", "After"]
    ended = story.diary.runs[-1].ended
    assert ended
    between = story.at["given up"] + timedelta(minutes=30)
    for known, name in ((ended - timedelta(seconds=1), "Twice"), (ended, "Given up")):
        shown_then = shown(opened, "customers", between, known)
        assert shown_then[(story.a,)]["name"] == name


def test_a_full_walk_that_reads_everything_again_adds_what_changed_alone(story: Story, opened: Reading) -> None:
    """The run in which two rows came back has versions of them, of their entitlements, and of nothing else."""
    for name, key, theirs in (("customers", "id", story.e), ("subscriptions", "id", story.b2)):
        query = f"SELECT {key} FROM flexsync.{name}_versions WHERE run_id = $run"
        assert opened.sql(query, {"run": story.run["back"]}).to_pylist() == [{key: theirs}]
    query = "SELECT DISTINCT customer_id FROM flexsync.entitlements_versions WHERE run_id = $run"
    assert opened.sql(query, {"run": story.run["back"]}).to_pylist() == [{"customer_id": story.b}]


# --- usage ----------------------------------------------------------------------------------------------------------


def calls_of(opened: Reading, view: str, columns: str, subscription: str) -> list[tuple[Any, ...]]:
    query = f"""SELECT {columns} FROM {view} WHERE subscription_id = $s AND customer_id = $c AND feature_id IN (
        SELECT id FROM features WHERE lookup_key = 'api_calls') ORDER BY run_id"""
    customer = "SELECT customer_id FROM subscriptions WHERE id = $s"
    found = opened.sql(query.replace("$c", f"({customer})"), {"s": subscription})
    return [tuple(row.values()) for row in found.to_pylist()]


def test_a_figure_is_written_when_it_changed(story: Story, opened: Reading) -> None:
    """A count that falls is held back once and never written as true; believed in the next run, it is restated."""
    told = story.run
    columns = "current_usage, restated, run_id, last_confirmed_run"
    assert calls_of(opened, "usage_history", columns, story.a1) == [
        (100, False, told["first"], told["first"]),
        (150, False, told["changed run"], told["changed run"]),
        (120, True, told["back"], told["back"]),
        (175, False, told["resumed"], None),
    ]


def test_plain_usage_has_the_same_figures(story: Story, opened: Reading) -> None:
    """A customer with one subscription has its figures under both keys; the customer's has no subscription."""
    query = """SELECT current_usage, h.run_id FROM usage_history h JOIN features f ON f.id = feature_id
        WHERE customer_id = $c AND subscription_id = $s AND lookup_key = 'api_calls' ORDER BY ALL"""
    plain, alone = (opened.sql(query, {"c": story.a, "s": s}).to_pylist() for s in ("", story.a1))
    assert plain == alone
    assert len(plain) == 4


def test_used_is_complete_within_a_window_and_between_two_nights(story: Story, opened: Reading) -> None:
    """The difference of two nights; after missed nights, a restatement or a held figure it is not complete."""
    columns = "day, used, complete"
    assert calls_of(opened, "usage_daily", columns, story.a1) == [
        (story.at["changed run"].date(), 50, True),
        (story.at["back"].date(), -30, False),
        (story.at["resumed"].date(), 55, False),
    ]


def test_across_a_reset_used_is_a_lower_bound(story: Story, opened: Reading) -> None:
    """A DAILY feature read once a night is never complete, and what is used is the new figure."""
    query = """SELECT DISTINCT complete, used = h.current_usage AS whole FROM usage_daily d JOIN usage_history h
        USING (customer_id, subscription_id, feature_id, run_id) JOIN features f ON f.id = feature_id
        WHERE lookup_key = 'storage_gb' AND customer_id = $c"""
    assert opened.sql(query, {"c": story.a}).to_pylist() == [{"complete": False, "whole": True}]


def test_an_ended_subscription_ends_its_figures(story: Story, opened: Reading) -> None:
    """From that day on there is no figure of it, and the day before there was one."""
    for name, key in (("usage", "customer_id"), ("subscription_usage", "subscription_id")):
        id = story.c if name == "usage" else story.c1
        for day, there in ((story.at["gone"] - timedelta(days=1), True), (story.at["gone"], False)):
            found = opened.table(name, as_of=day).column(key).to_pylist()
            assert (id in found) == there, (name, day)


def test_a_renewal_during_a_run_leaves_its_figure_without_a_period(tmp_path: Path) -> None:
    """Between listing and call a quarter begins, and no answer says so: what was used is a lower bound."""
    sandbox = calm(1)
    (customer,) = sandbox.customer_ids()
    old, new = ({"current_period_start": f"2026-{month}-21T12:00:30Z"} for month in ("08", "11"))
    one = sandbox.add_subscription(
        customer, "Team", billing_period="QUARTERLY", start_date="2026-08-21T12:00:30Z", **old
    )
    world = World(tmp_path, sandbox, audit_sample=0)

    def renew() -> None:
        sandbox.update_subscription(one, **new)
        sandbox.set_usage(customer, "tokens", 5, one)

    sandbox.set_usage(customer, "tokens", 3, one)
    world.sync()
    world.later(DAY)
    with before(call_customers=renew):
        world.sync()
    world.later(DAY)
    sandbox.set_usage(customer, "tokens", 9, one)
    world.sync()
    query = """SELECT used, complete FROM usage_daily d JOIN features f ON f.id = d.feature_id
        WHERE lookup_key = 'tokens' AND subscription_id <> '' ORDER BY day"""
    assert world.rows(query) == [(2, False), (4, False)]


# --- as of ----------------------------------------------------------------------------------------------------------


def test_intervals_never_overlap_and_are_never_empty(opened: Reading) -> None:
    """On both axes, for every key of every history."""
    check_intervals(opened)


def test_as_of_now_is_what_the_tables_hold(story: Story, opened: Reading) -> None:
    """Without `known`, at the end of time, every history shows its table."""
    now = story.sandbox.clock() + timedelta(seconds=1)
    for name, rows in story.diary.runs[-1].tables.items():
        have = shown(opened, name, now, None)
        assert have.keys() == rows.keys(), name
        equal = same if name in VERSIONED else same_figure
        assert all(equal(have[key], row) for key, row in rows.items()), name


@pytest.mark.parametrize("kind", ["store", *few(("duckdb", "parquet"))])
def test_as_of_each_run_is_what_the_tables_held_then(story: Story, opened: Reading, tmp_path: Path, kind: str) -> None:
    """In the store and in either publication, each run's end shows what that run left."""
    if kind == "store":
        check_earlier(opened, story.diary)
        return
    target = f"{kind}:{tmp_path / 'out'}"
    copied = tmp_path / "copy.duckdb"
    copied.write_bytes(story.world.path.read_bytes())
    with Store.open(copied) as store:
        publish(store, target)
    with connector.open(target) as published:
        check_earlier(published, story.diary)
        check_intervals(published)


def test_every_moment_is_what_a_plain_model_says(story: Story, opened: Reading) -> None:
    """Both axes, at moments around every change."""
    check_model(opened, story.diary, random.Random(1), 12)
    assert KEYS.keys() >= set(VERSIONED)


# --- other stores ---------------------------------------------------------------------------------------------------


def test_a_store_of_an_older_version_begins_its_history_with_its_next_run(tmp_path: Path) -> None:
    """Every row has one version of that run, as old as the row says; what a later run changes is a second one."""
    with tarfile.open(Path(__file__).parent / "versions" / "0.2.0-schema-2" / "made.tar.xz") as archive:
        archive.extract("work.duckdb", tmp_path, filter="data")
    with Store.open(tmp_path / "work.duckdb") as store:
        last = store.last_run()
        assert last is not None
        run = begun(store, last.resources, last.started_at + timedelta(hours=1))
        for name, run_column in (("customers", "known_from"), ("subscriptions", "known_from"), ("usage", "run_id")):
            alone = " WHERE subscription_id = ''" if name == "usage" else ""
            history = f"SELECT count(*), min({run_column}), max({run_column}) FROM {name}_history{alone}"
            assert store.rows(history) == [(store.count(f"SELECT count(*) FROM {name}"), run, run)], name
        dated = """SELECT count(*) FROM customers_history h JOIN customers c USING (id)
            WHERE h.valid_from <> c.updated_at OR h.valid_basis <> 'updated_at'"""
        assert store.count(dated) == 0
        before = store.count("SELECT count(*) FROM flexsync.entitlements_versions")
        assert before == store.count("SELECT count(*) FROM entitlements")
        begun(store, last.resources, last.started_at + timedelta(days=3))
        assert store.count("SELECT count(*) FROM flexsync.entitlements_versions") == before


def begun(store: Store, resources: tuple[str, ...], now: datetime) -> str:
    beginning = Beginning(clock=now, date=now, watermarks=dict.fromkeys(WALKS, now))
    week, hour = timedelta(days=7), timedelta(hours=1)
    return store.begin(beginning, resources, full=False, full_every=week, overlap=hour, version="test").run_id


@pytest.mark.sampled
@pytest.mark.parametrize("calls", [7, 19, 33])
def test_a_killed_run_leaves_the_history_of_an_undisturbed_one(tmp_path: Path, calls: int) -> None:
    """The same changes, with one run killed and resumed, and with none: the same versions and figures."""
    found = []
    for name, given in (("killed", {"max_calls": calls}), ("calm", {})):
        (tmp_path / name).mkdir()
        story = Story(tmp_path / name)
        story.use(100)
        story.night("first")
        story.call(story.a, "Changed")
        story.sandbox.cancel_subscription(story.c1)
        story.use(150)
        story.night("second", **given)
        if given:
            story.night("resumed", 1)
        with connector.open(story.world.path) as opened:
            found.append([_plain(opened, name) for name in (*VERSIONED, "usage")])
    assert found[0] == found[1]


def _plain(opened: Reading, name: str) -> list[dict[str, Any]]:
    """A history without the names of runs, and without when answers came."""
    left_out = "known_from, known_to" if name in VERSIONED else "run_id, last_confirmed_run, last_confirmed_at"
    query = f"SELECT * EXCLUDE ({left_out}, observed_at) FROM {name}_history ORDER BY ALL"
    rows = opened.sql(query).to_pylist()
    return [
        {k: v for k, v in row.items() if not (k in MOMENTS and row.get("valid_basis") != "updated_at")} for row in rows
    ]
