"""What histories keep of single rows and figures, batch by batch, without a run around them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import NOON, empty_store

from connector.publications import reading
from connector.store import figures, keeping, versions
from connector.store.store import Store

pytestmark = pytest.mark.sampled  # a tenth for each commit

JULY = NOON - timedelta(days=140)
TOUCHED = pa.table({"key": ["c1"]})


class Rows:
    """A store whose rows are written with SQL; the histories follow as in a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path)
        self.run, self.now = "r1", NOON
        self.meter("COUNT")

    def meter(self, aggregation: str | None) -> None:
        self.store.db.execute("DELETE FROM features")
        self.store.db.execute(
            """INSERT INTO features BY NAME
            SELECT 'f' AS id, 'metered' AS type, $a AS meter_aggregation_type""",
            {"a": aggregation},
        )

    def night(self, days: float = 1) -> None:
        self.run, self.now = f"r{int(self.run[1:]) + 1}", self.now + timedelta(days=days)

    def usage(
        self,
        figure: int | None,
        start: datetime = JULY,
        reset: datetime | None = None,
        counted: str = "s1",
        never: bool | None = None,
    ) -> None:
        """An answer that holds this figure, or none."""
        self.store.db.execute(
            """DELETE FROM usage WHERE current_usage IS DISTINCT FROM $f OR subscription_id <> $c
            OR current_period_start <> $p OR never_resets IS DISTINCT FROM $v""",
            {"f": figure, "c": counted, "p": start, "v": never},
        )
        given = {"f": figure, "p": start, "n": reset, "run": self.run, "now": self.now, "c": counted, "v": never}
        if figure is not None:
            self.store.db.execute(
                """INSERT INTO usage BY NAME SELECT 'c1' AS customer_id, 'f' AS feature_id, $f AS current_usage,
                $c AS subscription_id, $p AS current_period_start, $n AS next_usage_reset_at, $run AS run_id,
                $now AS observed_at, $v AS never_resets WHERE NOT EXISTS (FROM usage)""",
                given,
            )
        figures.follow(self.store.db, "usage", self.run, TOUCHED, self.now)
        self.answer("usage", b"hash", active=counted)

    def own_usage(self, figure: int) -> None:
        """The figure of subscription s1, by whichever answer."""
        self.store.db.execute("DELETE FROM subscription_usage")
        self.store.db.execute(
            """INSERT INTO subscription_usage BY NAME SELECT 'c1' AS customer_id, 's1' AS subscription_id,
            'f' AS feature_id, $f AS current_usage, $p AS current_period_start, $run AS run_id, $now AS observed_at""",
            {"f": figure, "p": JULY, "run": self.run, "now": self.now},
        )
        figures.follow(self.store.db, "subscription_usage", self.run, TOUCHED, self.now)

    def answer(self, resource: str, hash: bytes | None, subscription: str = "", active: str = "") -> None:
        """The answer, in place of the last one; `active` are the subscriptions that counted, as queues tell them."""
        given = {"r": resource, "s": subscription}
        self.store.db.execute("DELETE FROM flexsync.answers WHERE resource = $r AND subscription_id = $s", given)
        self.store.db.execute(
            """INSERT INTO flexsync.answers BY NAME SELECT 'c1' AS customer_id, $r AS resource, $s AS subscription_id,
            $run AS run_id, $now AS observed_at, $h::BLOB AS body_hash, $a AS context""",
            {**given, "run": self.run, "now": self.now, "h": hash, "a": f"3|{active}|0"},
        )

    def entitlement(self, period: str, sources: int, limit: int = 10) -> None:
        """An answer whose entitlement comes from so many sources; a row that did not change is not touched."""
        db = self.store.db
        db.execute("DELETE FROM entitlement_sources")
        db.execute(
            """INSERT INTO entitlement_sources BY NAME SELECT 'c1' AS customer_id, 'f' AS feature_id,
            range AS ordinal FROM range($n)""",
            {"n": sources},
        )
        given = {"p": period, "l": limit}
        db.execute("DELETE FROM entitlements WHERE usage_reset_period <> $p OR usage_limit <> $l", given)
        db.execute(
            """INSERT INTO entitlements BY NAME SELECT 'c1' AS customer_id, 'f' AS feature_id, $l AS usage_limit,
            $p AS usage_reset_period, $run AS run_id, $now AS observed_at WHERE NOT EXISTS (FROM entitlements)""",
            {**given, "run": self.run, "now": self.now},
        )
        versions.follow(db, "entitlements", self.run, "customer_id", TOUCHED, self.now)

    def customer(self, name: str, updated_at: datetime) -> None:
        """A page that holds this row."""
        given = {"n": name, "u": updated_at, "run": self.run, "now": self.now}
        before = versions.written(self.store.db, "customers", TOUCHED)
        self.store.db.execute("DELETE FROM customers")
        self.store.db.execute(
            """INSERT INTO customers BY NAME SELECT 'c1' AS id, $n AS name, $u AS updated_at, $run AS run_id,
            $now AS observed_at""",
            given,
        )
        versions.follow(self.store.db, "customers", self.run, "id", TOUCHED, self.now, before)

    def told(self, query: str) -> list[tuple[Any, ...]]:
        return self.store.rows(query)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    empty_store(tmp_path / "s.duckdb")
    found = Rows(tmp_path / "s.duckdb")
    with found.store:
        yield found


HISTORY = "SELECT run_id, current_usage::INT, restated FROM usage_history ORDER BY run_id"
DAILY = "SELECT used::INT, complete FROM usage_daily ORDER BY run_id"
CONFIRMED = "SELECT last_confirmed_run, last_confirmed_at FROM usage_history ORDER BY run_id LIMIT 1"


def test_what_becomes_never_reset_is_another_window(rows: Rows) -> None:
    """From QUARTERLY to NEVER in one period, both without a moment of the next reset: nothing is known of the use."""
    rows.usage(800, never=False)
    rows.night()
    rows.usage(5000, never=True)
    assert rows.told("SELECT used, complete FROM usage_daily") == [(None, False)]


def test_a_new_period_is_no_new_window_of_what_is_never_reset(rows: Rows) -> None:
    """It adds no figure while the usage stays; a lower one is a correction, and a higher one complete."""
    for figure, start in ((100, JULY), (100, NOON), (40, NOON), (70, NOON + timedelta(days=3))):
        rows.usage(figure, start=start, never=True)
        rows.night()
    assert rows.told("SELECT current_usage, restated FROM usage_history ORDER BY run_id") == [
        (100, False),
        (40, True),
        (70, False),
    ]
    assert rows.told("SELECT used, complete FROM usage_daily ORDER BY day") == [(-60, False), (30, True)]


def test_a_figure_of_an_older_version_is_compared_as_before(rows: Rows) -> None:
    """It does not say whether it is ever reset, so only the period tells."""
    rows.usage(100)
    rows.night()
    rows.usage(130, never=False)
    assert rows.told("SELECT used, complete FROM usage_daily") == [(30, True)]


def test_pruning_keeps_what_later_use_is_compared_with(rows: Rows) -> None:
    """A proven figure, a zero that may be a failure, both older than the kept time, and a later figure: as before."""
    for figure, days in ((90, 1), (100, 1), (0, 20), (40, 1)):
        rows.usage(figure, reset=NOON + timedelta(days=10 if figure > 50 else 41), never=False)
        rows.night(days)
    rows.store.db.execute("UPDATE flexsync.usage_figures SET unproven = true WHERE current_usage = 0")
    query = "SELECT used, complete, since FROM usage_daily WHERE day > '2026-12-10'"
    before = rows.told(query)
    assert before[0][0] == 40
    for run in range(1, 5):
        rows.store.db.execute(
            "INSERT INTO flexsync.runs BY NAME SELECT $r AS run_id, $e AS finished_at",
            {"r": f"r{run}", "e": NOON + timedelta(days=run)},
        )
    keeping.prune(rows.store.db, NOON + timedelta(days=10))
    assert rows.told("SELECT current_usage FROM usage_history ORDER BY run_id") == [(100,), (0,), (40,)]
    assert rows.told(query) == before


def test_an_updated_at_that_was_seen_before_dates_nothing(rows: Rows) -> None:
    """An empty PUT, seen with the old name, and a name that changes later without one: observed, not written then."""
    rows.customer("Team", JULY)
    rows.night()
    touched = rows.now - timedelta(hours=12)
    rows.customer("Team", touched)
    rows.night()
    rows.customer("Renamed", touched)
    basis = "SELECT name, valid_from, valid_basis FROM flexsync.customers_versions ORDER BY valid_from"
    assert rows.told(basis)[1:] == [("Renamed", rows.now, "observed_at")]
    rows.customer("Renamed twice", touched)  # in the same run
    assert rows.told(basis)[1:] == [("Renamed twice", rows.now, "observed_at")]
    rows.night()
    written = rows.now - timedelta(hours=1)
    rows.customer("Written", written)
    rows.customer("Seen once more", written)  # in the same run: this name was never seen with another `updated_at`
    assert rows.told(basis)[2:] == [("Seen once more", written, "updated_at")]


@pytest.mark.parametrize(("figure", "used"), [(20, 20), (510, 10), (0, None)])
def test_a_new_period_without_a_moment_of_reset_is_another_window(rows: Rows, figure: int, used: int | None) -> None:
    """WEEKLY and ANNUAL figures fall with the period, NEVER ones go on: neither is restated; `used` fits both."""
    rows.usage(500)
    rows.night()
    rows.usage(figure, start=NOON)
    assert rows.told(HISTORY) == [("r1", 500, False), ("r2", figure, False)]
    assert rows.told(DAILY) == ([(used, False)] if used else [])


@pytest.mark.parametrize("start", [JULY, NOON])
@pytest.mark.parametrize(("first", "second"), [(20, 500), (500, 20), (20, 20)])
def test_what_a_plain_figure_of_another_subscription_used_is_not_known(
    rows: Rows, first: int, second: int, start: datetime
) -> None:
    """The newest was cancelled, or another came: it is no restatement, and the difference is nobody's usage."""
    reset = NOON + timedelta(days=9)
    rows.usage(first, reset=reset, counted="s1")
    rows.night()
    rows.usage(second, start=start, reset=reset, counted="s2")
    assert rows.told(HISTORY) == [("r1", first, False), ("r2", second, False)]
    assert rows.told("SELECT counted_subscription_id FROM usage_history ORDER BY run_id") == [("s1",), ("s2",)]
    assert rows.told(DAILY) == [(None, False)]
    rows.night()
    rows.usage(second + 5, start=start, reset=reset, counted="s2")
    assert rows.told(DAILY) == [(None, False), (5, True)]


def test_a_window_that_does_not_follow_the_last_one_says_nothing_about_what_was_used(rows: Rows) -> None:
    """The reset period became another one: what the new window holds may be older than the observation before."""
    rows.usage(20, reset=NOON + timedelta(days=2))
    rows.night()
    rows.usage(500, reset=NOON + timedelta(days=9))
    assert rows.told(DAILY) == [(None, False)]


def test_a_figure_that_comes_back_in_its_window_is_compared_with_the_one_before_its_end(rows: Rows) -> None:
    """Nothing was seen in between, so that only one that comes back within a day is complete."""
    rows.usage(500)
    for days, figure in ((0.5, None), (0.5, 510), (1, None), (1, 515)):
        rows.night(days)
        rows.usage(figure)
    assert rows.told(DAILY) == [(10, True), (5, False)]


@pytest.mark.parametrize(("aggregation", "restated", "daily"), [
    ("COUNT", True, [(10, True), (-30, False), (5, True)]),
    ("SUM", True, [(10, True), (-30, False), (5, True)]),
    ("SUM_WITH_MULTIPLIER", True, [(10, True), (-30, False), (5, True)]),
    *((name, True, []) for name in ("MAX", "COUNT_UNIQUE")),
    *((name, False, []) for name in ("AVG", "LATEST", "WEIGHTED_SUM", "NEW_TYPE", None)),
])  # fmt: skip
def test_only_figures_that_add_up_have_differences(
    rows: Rows, aggregation: str | None, restated: bool, daily: list[tuple[int, bool]]
) -> None:
    """The difference of two averages, or of two largest values, is no usage; an average that falls is no correction."""
    rows.meter(aggregation)
    for figure in (120, 130, 100, 105):
        rows.usage(figure)
        rows.night()
    assert [row[2] for row in rows.told(HISTORY)] == [False, False, restated, False]
    assert rows.told(DAILY) == daily


def test_nothing_is_known_of_what_was_used_after_an_unproven_zero(rows: Rows) -> None:
    """The first zero of a window may be a failure: it is no base, however often it was seen; also as an own figure."""
    for figure in (0, 0, 510, 515):
        rows.own_usage(figure)
        rows.usage(figure)
        rows.night()
    told = rows.told("SELECT current_usage::INT, unproven FROM usage_history ORDER BY subscription_id, run_id")
    assert told == [(0, True), (510, False), (515, False)] * 2
    daily = [(None, False, NOON + timedelta(days=1)), (5, True, NOON + timedelta(days=2))]
    query = "SELECT used::INT, complete, since FROM usage_daily ORDER BY subscription_id, run_id"
    assert rows.told(query) == daily * 2


def test_an_unproven_zero_of_a_new_window_leaves_the_last_proven_figure_as_the_base(rows: Rows) -> None:
    """Whatever it hides was used in the new window, thus after that figure: the next one is a lower bound."""
    reset = NOON + timedelta(days=0.5)
    rows.usage(500, reset=reset)
    for figure in (0, 510):
        rows.night()
        rows.usage(figure, reset=reset + timedelta(days=30))
    daily = "SELECT used::INT, complete, since FROM usage_daily"
    assert rows.told(daily) == [(510, False, NOON)]


def test_a_zero_that_is_believed_after_figures_of_its_window_is_no_unproven_one(rows: Rows) -> None:
    """It was compared, and held back until it was believed; a figure of no meter is always zero."""
    for figure in (0, 500, 0, 7):
        rows.usage(figure)
        rows.night()
    assert rows.told("SELECT unproven FROM usage_history ORDER BY run_id") == [(True,), (False,), (False,), (False,)]
    rows.store.db.execute("UPDATE features SET type = 'boolean'")
    rows.usage(0, start=NOON)
    assert rows.told("SELECT unproven FROM usage_history ORDER BY run_id DESC LIMIT 1") == [(False,)]


def test_a_second_answer_of_a_run_replaces_the_figure_and_keeps_what_confirmed_the_one_before(rows: Rows) -> None:
    """A doubtful answer is asked for again: one figure of the run, the last, complete since the night before."""
    rows.usage(100)
    rows.night()
    rows.usage(100)
    confirmed = rows.now
    rows.night()
    for figure in (105, 110):
        rows.usage(figure)
    assert rows.told(HISTORY) == [("r1", 100, False), ("r3", 110, False)]
    assert rows.told(CONFIRMED) == [("r2", confirmed)]
    assert rows.told(DAILY) == [(10, True)]


def test_a_run_confirms_what_its_first_answer_saw(rows: Rows) -> None:
    """The first answer of a run shows the figure of before, the second another one."""
    rows.usage(100)
    rows.night()
    rows.usage(100)
    rows.usage(130)
    assert rows.told(CONFIRMED) == [("r2", rows.now)]


def test_a_figure_that_comes_back_within_a_run_was_never_away(rows: Rows) -> None:
    """An end, or another figure, that the same run takes back leaves nothing."""
    rows.usage(100)
    rows.night()
    for figure in (None, 105, None, 100):
        rows.usage(figure)
    assert rows.told("SELECT count(*) FROM flexsync.usage_figures") == [(1,)]


def test_an_end_stays_as_its_run_first_saw_it(rows: Rows) -> None:
    """A further batch of the customer in the same run rewrites no end."""
    rows.usage(100)
    rows.night()
    rows.usage(None)
    before = rows.told("SELECT * FROM flexsync.usage_figures ORDER BY ALL")
    rows.now += timedelta(hours=1)
    rows.usage(None)
    assert rows.told("SELECT * FROM flexsync.usage_figures ORDER BY ALL") == before


def test_an_answer_that_was_held_back_in_part_confirms_nothing(rows: Rows) -> None:
    """Such an answer has no hash; the run before is the last that is known to have seen the figure."""
    rows.usage(100)
    rows.night()
    rows.answer("usage", None)
    rows.night()
    rows.usage(130)
    assert rows.told(CONFIRMED) == [("r1", NOON)]
    assert rows.told(DAILY) == [(30, False)]


@pytest.mark.parametrize(("active", "own", "run"), [
    ("s1", False, "r2"), ("s1,s2", False, "r1"), ("s2", False, "r1"), ("", False, "r1"), ("s1", True, "r1"),
])  # fmt: skip
def test_a_plain_answer_confirms_the_figure_of_a_sole_subscription_alone(
    rows: Rows, active: str, own: bool, run: str
) -> None:
    """Where others counted too it is about the newest; and never where an answer of its own was held back."""
    rows.own_usage(100)
    rows.night()
    rows.answer("usage", b"hash", active=active)
    if own:
        rows.answer("usage", None, "s1", active)
    rows.night()
    rows.own_usage(130)
    assert rows.told("SELECT last_confirmed_run FROM usage_history ORDER BY run_id LIMIT 1") == [(run,)]


def test_an_own_answer_confirms_the_figure_of_one_of_several_subscriptions(rows: Rows) -> None:
    """Whatever the customer's plain answer is about."""
    rows.own_usage(100)
    rows.night()
    rows.answer("usage", b"hash", "s1", "s1,s2")
    rows.night()
    rows.answer("usage", b"hash", active="s1,s2")
    rows.own_usage(130)
    assert rows.told("SELECT last_confirmed_run FROM usage_history ORDER BY run_id LIMIT 1") == [("r2",)]


# --- customers ------------------------------------------------------------------------------------------------------

NAMES = "SELECT name, valid_from, run_id FROM flexsync.customers_versions ORDER BY valid_from"


def test_a_row_that_a_run_reads_twice_has_one_version(rows: Rows) -> None:
    """As by the closing pass: the last content counts; an empty write after it moves nothing; one back is none."""
    written = [JULY + timedelta(minutes=minute) for minute in range(5)]
    rows.customer("A", JULY)
    rows.night()
    for name, moment in (("B", written[1]), ("C", written[2]), ("C", written[3])):
        rows.customer(name, moment)
    assert rows.told(NAMES) == [("A", JULY, "r1"), ("C", written[2], "r2")]
    rows.customer("A", written[4])
    assert rows.told(NAMES) == [("A", JULY, "r1")]


# --- entitlements ---------------------------------------------------------------------------------------------------

VERSIONS = "SELECT valid_from, usage_limit, usage_reset_period FROM entitlements_history ORDER BY valid_from"


def test_a_drawn_period_and_a_second_source_make_no_version(rows: Rows) -> None:
    """What the server draws is no content, and that a second source came alone is none either."""
    rows.entitlement("MONTHLY", 1)
    for period in ("MONTHLY", "WEEKLY", "MONTHLY"):
        rows.night()
        rows.entitlement(period, 2)
    assert rows.told(VERSIONS) == [(NOON, 10, "MONTHLY")]


def test_a_period_that_becomes_a_fact_is_dated_by_the_answer_that_showed_it(rows: Rows) -> None:
    """The row came in an earlier run, when it was only drawn; the version begins when one source was left."""
    rows.entitlement("MONTHLY", 2)
    rows.night()
    rows.entitlement("WEEKLY", 2)
    rows.night()
    rows.entitlement("WEEKLY", 1)
    assert rows.told(VERSIONS) == [(NOON, 10, "MONTHLY"), (rows.now, 10, "WEEKLY")]
    assert rows.told("SELECT observed_at FROM entitlements_history ORDER BY 1")[1] == (rows.now,)


def test_the_period_of_a_sole_source_is_content(rows: Rows) -> None:
    """Within a run the last one counts, across runs every one."""
    for period in ("MONTHLY", "WEEKLY"):
        rows.entitlement(period, 1)
    assert rows.told(VERSIONS) == [(NOON, 10, "WEEKLY")]
    rows.night()
    rows.entitlement("DAILY", 1)
    assert [row[2] for row in rows.told(VERSIONS)] == ["WEEKLY", "DAILY"]


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_day_is_that_of_the_moment_in_utc(rows: Rows) -> None:
    """A moment in New York's late evening asks for the next day of UTC, as text and as a datetime."""
    rows.usage(100)
    rows.night()
    rows.usage(130)
    rows.store.db.execute("INSERT INTO flexsync.runs BY NAME SELECT 'r2' AS run_id, $n AS finished_at", {"n": rows.now})
    rows.store.close()
    text = "2026-11-20 23:30:00-05:00"
    with reading.open(rows.path) as opened:
        for moment in (text, datetime.fromisoformat(text), "2026-11-21"):
            assert opened.table("usage", as_of=moment).column("current_usage").to_pylist() == [Decimal(130)]
        assert opened.table("usage", as_of="2026-11-20").column("current_usage").to_pylist() == [Decimal(100)]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Asia/Tokyo"])
def test_days_are_those_of_utc_in_whatever_zone_a_session_is(rows: Rows, zone: str) -> None:
    """Another program's session may have any: a figure of 23:00 belongs to that day, one of 1:00 to its own."""
    rows.now = datetime(2026, 11, 20, 23, tzinfo=UTC)
    for figure, hours in ((100, 2), (130, 22), (150, 0)):
        rows.usage(figure)
        rows.night(hours / 24)
    db = rows.store.db
    db.execute("INSERT INTO flexsync.runs BY NAME SELECT 'r3' AS run_id, $n AS finished_at", {"n": rows.now})
    db.execute(f"SET TimeZone = '{zone}'")
    assert rows.told("SELECT day::VARCHAR, used::INT, complete FROM usage_daily ORDER BY run_id") == [
        ("2026-11-21", 30, True),
        ("2026-11-21", 20, True),
    ]
    asked = ("'2026-11-20'", "DATE '2026-11-20'", "'2026-11-20 23:59'", "TIMESTAMP '2026-11-20 23:59'",
             "'2026-11-20T23:59:00Z'", "'2026-11-21 08:00+09:00'", "TIMESTAMPTZ '2026-11-20 15:59-08'")  # fmt: skip
    for day in asked:
        assert rows.told(f"SELECT current_usage::INT FROM usage_asof({day})") == [(100,)], day
    assert rows.told("SELECT current_usage::INT FROM usage_asof('2026-11-20 16:00-08')") == [(150,)]
