"""Whatever the server or the network does, a sync ends green with the true tables, or red with the reason."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tenacity
from command import BASE, account, ask, hard_limit, held, quick_retry, settings_for, sync, tables, truth
from sizes import sampled, thorough

from connector.api.retries import Retry
from connector.pull import suspicion
from connector.sandbox import Clock, Faults, Sandbox
from connector.sandbox.replies import Reply
from connector.sandbox.routes.bodies import Params
from pipelines import jobs
from pipelines.progress import Progress
from pipelines.sync import Options

CHILDREN = ("usage", "entitlements", "grants")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)


@pytest.fixture(scope="session")
def calm_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed. Tests that go on from it copy it."""
    store = tmp_path_factory.mktemp("calm") / "store.duckdb"
    assert sync(account(), store).status == "green"
    return store


@pytest.fixture(scope="session")
def calm(calm_store: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Its tables."""
    return tables(calm_store)


PASSING = {
    "latency": Faults(latency=5, jitter=20),
    "errors 503": Faults(error_rate=0.15),
    "errors 500": Faults(error_rate=0.05, error_status=500, endpoint=frozenset(CHILDREN)),
    "every listing fails once": Faults(error_rate=1.0, first=1, endpoint=frozenset({"search"})),
    "two empty 500s first": Faults(empty500=1.0, first=2),
    "empty 500s": Faults(empty500=0.05, endpoint=frozenset(CHILDREN)),
    "HTML 502": Faults(proxy502=0.15),
    "cut before headers": Faults(cut=0.15),
    "cut in mid-body": Faults(cut_body=0.15),
    "torn JSON": Faults(torn=0.15),
    "dripping bodies": Faults(drip=0.1, drip_delay=0.002),
    "a 401 at the very first call": Faults(unauthorized=1.0, first=1),
    "401s in between": Faults(unauthorized=0.1, endpoint=frozenset({*CHILDREN, "subscriptions"})),
    "everything at once": Faults(
        jitter=5, error_rate=0.04, proxy502=0.04, cut=0.04, cut_body=0.04, torn=0.04, drip=0.02, drip_delay=0.002
    ),
}  # fmt: skip


ALWAYS = {"everything at once"}


@pytest.mark.parametrize("name", [sampled(name) if name in ALWAYS else thorough(name) for name in PASSING])
def test_passing_faults_leave_no_trace(tmp_path: Path, name: str, calm: Any) -> None:
    """Faults that pass cost calls, not rows: the run is green and every table equals an undisturbed run's."""
    sandbox = account(faults=PASSING[name])
    report = sync(sandbox, tmp_path / "s.duckdb")
    assert (report.status, report.reasons) == ("green", [])
    assert tables(tmp_path / "s.duckdb") == calm
    assert held(tmp_path / "s.duckdb") == truth(sandbox)


@pytest.mark.sampled
@pytest.mark.parametrize("retry_after", [1.0, sampled(None)], ids=["with Retry-After", "without"])
def test_a_rate_limit_slows_and_loses_nothing(tmp_path: Path, retry_after: float | None, calm: Any) -> None:
    """A server that answers 429 beyond 60 calls a second gets its pauses, and the run ends whole."""
    sandbox = account(faults=Faults(rate=60, retry_after=retry_after))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connector.api.client.Retry", slower)
        report = sync(sandbox, tmp_path / "s.duckdb")
    assert (report.status, report.reasons) == ("green", [])
    assert tables(tmp_path / "s.duckdb") == calm
    assert report.flow["waited"]["pause" if retry_after else "backoff"] > 0


def slower(attempts: int) -> Any:
    return Retry(attempts, tenacity.wait_random_exponential(multiplier=0.3, max=3))


@pytest.mark.sampled
def test_unknown_fields_are_kept_and_named(tmp_path: Path, calm_store: Path) -> None:
    """Members that the schema does not know go to `extra`, are named in the report, and change nothing else."""
    report = sync(account(faults=Faults(extra_fields=True)), tmp_path / "s.duckdb")
    assert report.status == "green"
    assert any("x_new_member" in name for name in report.unknown)
    kept = ask(tmp_path / "s.duckdb", "SELECT count(*), count(extra), min(extra) FROM customers")
    assert kept[0][0] == kept[0][1] == 60
    assert "2027" in kept[0][2]
    free = ["extra", "meter_filters", "alert_settings"]  # JSON that is kept as it came
    assert tables(tmp_path / "s.duckdb", free) == tables(calm_store, free)


# --- zeros that mean failure --------------------------------------------------------------------------------------


def false_zeros(store: Path, sandbox: Sandbox) -> set[tuple[str, str]]:
    """(customer, feature) whose stored figure is zero where the server's own is not."""
    real = {(customer, feature): used for customer, feature, used, _ in truth(sandbox)["usage"]}
    found = ask(store, "SELECT customer_id, feature_id FROM usage WHERE current_usage = 0")
    return {key for key in found if real[key] != 0}


@pytest.mark.sampled
def test_false_zeros_on_first_sight_are_called_unproven(tmp_path: Path) -> None:
    """A false zero that nothing can be compared with is in the tables, and the certificate names each one."""
    sandbox = account(faults=Faults(zero_usage=0.5))
    report = sync(sandbox, tmp_path / "s.duckdb")
    wrong = false_zeros(tmp_path / "s.duckdb", sandbox)
    assert wrong
    named = set(ask(tmp_path / "s.duckdb", "SELECT customer_id, feature_id FROM flexsync.unproven"))
    assert wrong <= named
    assert report.certificate["zeros"]["unproven"] >= len(named)


@pytest.mark.sampled
def test_all_zeros_on_first_sight_are_not_green(tmp_path: Path) -> None:
    """When every metered figure reads zero, as with the analytics store down, the run is degraded and says so."""
    report = sync(account(faults=Faults(zero_usage=1.0)), tmp_path / "s.duckdb")
    assert report.status == "degraded"
    assert any("metered figures read zero" in reason for reason in report.reasons)


@pytest.mark.parametrize("share", [*map(sampled, (0.02, 0.3, 1.0))])
def test_false_zeros_after_a_good_run_are_held_back(tmp_path: Path, calm_store: Path, calm: Any, share: float) -> None:
    """Figures that fall to zero in their window stay out; the run is degraded, and the next good one is green."""
    sandbox, store = account(), Path(shutil.copy(calm_store, tmp_path / "s.duckdb"))
    sandbox.faults = Faults(zero_usage=share, seed=3)
    report = sync(sandbox, store)
    assert tables(store) == calm
    assert false_zeros(store, sandbox) == set()
    if share > 0.1:
        assert report.status == "degraded"
        assert any("suspect" in reason for reason in report.reasons)
    sandbox.faults = Faults()
    assert sync(sandbox, store).status == "green"
    assert tables(store) == calm


@pytest.mark.sampled
def test_slow_zeros_on_first_sight_are_suspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zero that took as long as the server's analytics time-out is listed as suspect, even with nothing before it."""
    monkeypatch.setattr(suspicion, "ANALYTICS_TIMEOUT", 0.4)
    sandbox = account(40, faults=Faults(zero_usage=0.5, zero_usage_delay=0.5))
    report = sync(sandbox, tmp_path / "s.duckdb")
    wrong = false_zeros(tmp_path / "s.duckdb", sandbox)
    listed = "SELECT customer_id, feature_id FROM flexsync.suspects UNION SELECT customer_id, feature_id FROM {}"
    named = set(ask(tmp_path / "s.duckdb", listed.format("flexsync.unproven")))
    assert wrong <= named
    assert report.status == "degraded"
    assert any("suspect" in reason for reason in report.reasons)


@pytest.mark.sampled
def test_a_zero_that_stays_is_believed_in_the_third_run(tmp_path: Path) -> None:
    """A true correction to zero is held back twice, and then taken; `--accept-lower` takes it at once."""
    sandbox, store, other = account(40), tmp_path / "s.duckdb", tmp_path / "o.duckdb"
    for path in (store, other):
        assert sync(sandbox, path).status == "green"
    used = """SELECT u.customer_id, f.lookup_key FROM usage u JOIN features f ON f.id = u.feature_id
        WHERE u.current_usage > 5 AND u.customer_id IN (
            SELECT customer_id FROM subscriptions GROUP BY 1 HAVING count(*) = 1)
        ORDER BY 1, 2"""
    customer, feature = ask(store, used)[0]
    sandbox.set_usage(customer, feature, 0)
    for status in ("degraded", "degraded", "green"):
        sandbox.clock.advance(6 * 3600)  # or the run would not count
        assert sync(sandbox, store).status == status
    assert sync(sandbox, other, options=Options(accept_lower=frozenset({customer}))).status == "green"
    assert held(store) == held(other) == truth(sandbox)


# --- answers that are short -----------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_skipped_entitlements_after_a_good_run_keep_the_last_rows(tmp_path: Path, calm_store: Path, calm: Any) -> None:
    """Entitlements that vanish while the subscription is still there are held back and named."""
    sandbox, store = account(), Path(shutil.copy(calm_store, tmp_path / "s.duckdb"))
    sandbox.faults = Faults(skip_entitlements=1.0)
    report = sync(sandbox, store)
    assert report.status == "degraded"
    assert any(reason.startswith("entitlements") and "suspect" in reason for reason in report.reasons)
    assert tables(store) == calm


@pytest.mark.sampled
def test_skipped_entitlements_on_first_sight_are_not_green(tmp_path: Path) -> None:
    """A customer whose usage names features and whose entitlements are empty is not called complete."""
    sandbox, store = account(faults=Faults(skip_entitlements=1.0)), tmp_path / "s.duckdb"
    report = sync(sandbox, store)
    assert held(store)["entitlements"] != truth(sandbox)["entitlements"]
    assert report.status == "degraded"
    assert any(reason.startswith("entitlements") for reason in report.reasons)


@pytest.mark.sampled
def test_one_customer_of_the_wrong_type_is_rejected_alone(tmp_path: Path, calm: Any) -> None:
    """A value that does not fit costs that customer's row, with the raw body and the reason, and nobody else's."""
    sandbox, store = account(), tmp_path / "s.duckdb"
    victim = sandbox.active_customer_ids()[3]
    sandbox.faults = Faults(poison=frozenset({victim}))
    report = sync(sandbox, store)
    assert report.status == "degraded"
    assert any("flexsync.rejects" in reason for reason in report.reasons)
    filed = ask(store, "SELECT DISTINCT owner FROM flexsync.rejects")
    assert filed == [(victim,)]
    raw = ask(store, "SELECT field, value, reason, octet_length(raw) FROM flexsync.rejects")
    assert all(field and value and reason and size for field, value, reason, size in raw)
    others = {name: [row for row in rows if victim not in row] for name, rows in tables(store).items()}
    assert others == {name: [row for row in rows if victim not in row] for name, rows in calm.items()}
    sandbox.faults = Faults()
    assert sync(sandbox, store).status == "green"
    assert tables(store) == calm


class Failing(Sandbox):
    """A server that answers 500 whenever it is asked about one customer by path or query."""

    victim = ""

    def reply(self, method: str, path: str, query: Params, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        found = super().reply(method, path, query, body, headers)
        if self.victim and (self.victim in path or any(self.victim == value for _, value in query)):
            return Reply(500, b'{"code":"internal_error","message":"boom"}', "application/json", found.headers)
        return found


@pytest.mark.sampled
def test_one_customer_that_always_fails_is_named_and_costs_no_other(tmp_path: Path, calm: Any) -> None:
    """A customer whose calls always end in 500 makes the run degraded by name; everybody else is complete."""
    sandbox, store = Failing(customers=60, seed=7, base_time=BASE), tmp_path / "s.duckdb"
    sandbox.victim = victim = sandbox.active_customer_ids()[3]
    report = sync(sandbox, store)
    assert report.status == "degraded"
    assert any(victim in reason and "500" in reason for reason in report.reasons)
    others = {name: [row for row in rows if victim not in row] for name, rows in tables(store).items()}
    assert others == {name: [row for row in rows if victim not in row] for name, rows in calm.items()}
    sandbox.victim = ""
    assert sync(sandbox, store).status == "green"
    assert tables(store) == calm


# --- rows that show up late -------------------------------------------------------------------------------------------


@pytest.mark.sampled
def test_a_row_that_becomes_visible_after_the_run_is_taken_by_the_next(tmp_path: Path) -> None:
    """A commit that shows up with an old timestamp after the cursor has passed it is met again by the overlap."""
    clock = Clock(BASE)
    sandbox, store = account(clock=clock), tmp_path / "s.duckdb"
    assert sync(sandbox, store).status == "green"
    clock.advance(5)
    made = sandbox.create_customer(late=1.5, name="Late")
    changed = sandbox.customer_ids()[0]
    sandbox.update_customer(changed, late=1.5, name="Changed late")
    clock.advance(1)
    assert sync(sandbox, store).status == "green"
    assert not ask(store, f"SELECT 1 FROM customers WHERE id = '{made['id']}'")
    clock.advance(1.6)
    assert sync(sandbox, store).status == "green"
    assert held(store) == truth(sandbox)


@pytest.mark.sampled
def test_a_row_that_becomes_visible_in_mid_run_is_not_missed(tmp_path: Path) -> None:
    """A customer that existed at T0 and shows up behind the walk is in the store, or the run is not green."""
    sandbox, store = account(), tmp_path / "s.duckdb"
    asked: list[int] = []

    def appear() -> None:
        asked.append(1)
        if len(asked) == 20:  # the listing is over by then
            sandbox.create_customer(created_at="2026-10-01T00:00:00Z", updated_at="2026-10-01T00:00:00Z", name="Old")

    sandbox.between_calls(appear)
    report = sync(sandbox, store)
    sandbox.between_calls(None)
    assert report.status == "green"
    assert held(store) == truth(sandbox)
    assert any("1 of 4 windows of created_at were walked again" in note for note in report.notes)


@pytest.mark.sampled
def test_a_replica_that_lags_is_caught_up_with(tmp_path: Path) -> None:
    """Lists that are a second behind a busy account lose no row for good: a run says that it is short, or is whole."""
    sandbox, store = account(faults=Faults(lag=1.0, churn=20)), tmp_path / "s.duckdb"
    with sandbox.running() as base_url:
        with hard_limit(60):
            for _ in range(2):
                report = jobs.sync(settings_for(base_url, store), Options(), Progress())
                certified = report.certificate["customers"]
                assert (report.status == "green") == (certified["existed"] == certified["stored"])
                assert report.status == "green" or report.reasons[0].startswith("customers: ")
        sandbox.faults = Faults()  # the replica stays, the churn ends
        time.sleep(1.2)
        assert jobs.sync(settings_for(base_url, store), Options(), Progress()).status == "green"
    assert held(store) == truth(sandbox)


# --- old servers ------------------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize(
    "behaviour", ["filters_refused", sampled("filters_ignored"), sampled("nested_errors"), sampled("archived_included")]
)
def test_old_servers_are_copied_whole(tmp_path: Path, behaviour: str, calm: Any) -> None:
    """A server without the filter language, or with the old defaults and errors, gives the same tables."""
    sandbox, store = account(faults=Faults(old=frozenset({behaviour}))), tmp_path / "s.duckdb"
    for _ in range(2):  # a first run, and one that would be incremental
        report = sync(sandbox, store)
        assert (report.status, report.reasons) == ("green", [])
        found = tables(store)
        if behaviour.startswith("filters"):
            assert report.certificate["customers"]["method"] == "offset"
            assert report.notes
        assert found == calm
        assert held(store) == truth(sandbox)


@pytest.mark.sampled
def test_ties_in_any_order_lose_no_row(tmp_path: Path) -> None:
    """Rows that share a microsecond and come in any order are all there."""
    sandbox, store = account(ties=25, faults=Faults(loose_ties=True)), tmp_path / "s.duckdb"
    for full in (True, False):
        report = sync(sandbox, store, options=Options(full=full))
        assert report.status == "green"
        found, real = held(store), truth(sandbox)
        assert {row[:2] for row in found["usage"]} == {row[:2] for row in real["usage"]}  # its window is left to chance
        assert {**found, "usage": 0} == {**real, "usage": 0}


def test_figures_are_exact(tmp_path: Path) -> None:
    """Usage in the store equals the server's decimal strings digit by digit, none through a float."""
    sandbox, store = account(), tmp_path / "s.duckdb"
    customer = sandbox.active_customer_ids()[0]
    lookup = a_metered_feature(sandbox, customer)
    sandbox.set_usage(customer, lookup, Decimal("123456789012345678.123456789012345678"))
    assert sync(sandbox, store).status == "green"
    assert Decimal("123456789012345678.123456789012345678") in {row[2] for row in held(store)["usage"]}
    assert held(store) == truth(sandbox)


def a_metered_feature(sandbox: Sandbox, customer: str) -> str:
    body = msgspec.json.decode(sandbox.answer("GET", "/customers/usage", {"customer_id": customer})[2])
    return next(row["feature"]["lookup_key"] for row in body["features"] if row["feature"]["type"] == "metered")


@pytest.mark.sampled
@pytest.mark.parametrize("behaviour", [sampled("filters_refused"), "filters_ignored"])
def test_changes_on_old_servers_arrive(tmp_path: Path, behaviour: str) -> None:
    """Without filters, what was created, renamed, archived and cancelled between two runs is there after the second."""
    sandbox, store = account(faults=Faults(old=frozenset({behaviour}))), tmp_path / "s.duckdb"
    assert sync(sandbox, store).status == "green"
    ids = sandbox.customer_ids()
    sandbox.create_customer(name="New one")
    sandbox.update_customer(ids[0], name="Renamed")
    sandbox.archive_customer(ids[1])
    cancelled = ask(store, "SELECT id FROM subscriptions WHERE subscription_status = 'active' ORDER BY 1")[0][0]
    sandbox.cancel_subscription(cancelled)
    sandbox.add_subscription(ids[2])
    assert sync(sandbox, store).status == "green"
    assert held(store) == truth(sandbox)
