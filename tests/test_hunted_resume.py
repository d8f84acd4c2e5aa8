"""Scenarios of a third hunt: runs that ended green over tables that did not hold what the account did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import Bent, World, before, counting, set_bend, subscriptions_of, synced
from test_hunted import first_of, soles
from test_hunted_again import green_again

from connector.errors import BudgetSpent


def stop() -> None:
    """End a run as --max-calls and --deadline do."""
    raise BudgetSpent("no calls are left")


def stopped(w: World, step: str, **given: Any) -> None:
    """A run that ends just before a step."""
    with pytest.raises(BudgetSpent), before(**{step: stop}):
        w.sync(**given)


def leaves_out(w: World, id: str) -> None:
    """From now on the server counts a row and sends it in no answer."""

    def bend(_route: str, _path: Any, _query: Any, body: Any) -> Any:
        if any(row.get("id") == id for row in body.get("items", ())):
            return {**body, "items": [row for row in body["items"] if row.get("id") != id]}
        return None

    set_bend(w, bend)


def edited_later(w: World) -> None:
    """Somebody else is edited half an hour later, so that no closing pass reaches back to what was edited before."""
    w.later(1800)
    w.sandbox.update_customer(sorted(w.sandbox.customer_ids())[9], name="Later Ltd")
    w.sandbox.update_subscription(first_of(w, soles(w)[-1]), version=4)
    w.later(60)


# --- what a stopped run had found out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "full"), [("customer", True), sampled("subscription", True), sampled("subscription", False)]
)
@pytest.mark.parametrize("step", ["call_customers", sampled("prove")])
def test_a_row_that_is_counted_and_not_sent_is_not_forgotten(tmp_path: Path, what: str, full: bool, step: str) -> None:
    """What a run found out before it was stopped degrades it after it was resumed; the next run reads the row."""
    w = synced(tmp_path, 20, kind=Bent)
    w.later(3600)
    if what == "customer":
        row = sorted(w.sandbox.customer_ids())[3]
        w.sandbox.update_customer(row, name="Edited Ltd")
    else:
        row = first_of(w, soles(w)[0])
        w.sandbox.cancel_subscription(row)
    edited_later(w)
    leaves_out(w, row)
    stopped(w, step, full=full)
    report = w.sync(full=full)
    set_bend(w, None)
    assert (report.status, report.resumed) == ("degraded", 1)
    assert any(row in reason for reason in report.reasons) or not full, report.reasons
    green_again(w)


@pytest.mark.sampled
def test_a_call_for_everybody_is_not_forgotten(tmp_path: Path) -> None:
    """The sweep leaves an active subscription out; stopped right after and resumed, the run still calls everybody."""
    w = synced(tmp_path, 20, kind=Bent, audit_sample=0)
    w.later(3600)
    row = first_of(w, soles(w)[0])

    def bend(route: str, _path: Any, _query: Any, body: Any) -> Any:
        if route == "subscriptions" and len(body.get("items", ())) > 1:
            return {"items": [each for each in body["items"] if each["id"] != row]}
        return None

    set_bend(w, bend)
    stopped(w, "call_customers")
    set_bend(w, None)
    report = w.sync()
    assert (report.status, report.resumed) == ("green", 1), report.reasons
    called = {id for (id,) in w.rows("SELECT DISTINCT customer_id FROM flexsync.queue")}
    assert called >= set(w.sandbox.customer_ids("published")) > set(counting(w.sandbox))


@pytest.mark.sampled
def test_rows_that_were_not_marked_are_not_forgotten(tmp_path: Path) -> None:
    """Half of the customers are unknown to a replica in a full walk; the resumed run names them, and stays full."""
    w = synced(tmp_path, 20, kind=Bent)
    w.later(3600)
    hidden = sorted(w.sandbox.customer_ids())[:10]
    for id in hidden:
        w.sandbox.hide(id)
    stopped(w, "call_customers", full=True)
    for id in hidden:
        w.sandbox.show(id)
    report = w.sync(full=True)
    assert (report.status, report.resumed) == ("degraded", 1)
    assert any("none was marked as gone" in reason for reason in report.reasons), report.reasons
    green_again(w)


# --- integrations that an answer leaves out ------------------------------------------------------------------------

LINKS = "SELECT id FROM customer_integrations ORDER BY id"
DAY = 86400


def ignores_expand(w: World, customers: frozenset[str] | None = None) -> None:
    """From now on customers, or some of them, come without integrations, as from a build that ignores `expand`."""

    def bend(_route: str, _path: Any, _query: Any, body: Any) -> Any:
        linked = [row for row in body.get("items", ()) if "integrations" in row]
        for row in linked:
            if customers is None or row["id"] in customers:
                del row["integrations"]
        return body if linked else None

    set_bend(w, bend)


def test_an_instance_that_ignores_expand_deletes_no_link(tmp_path: Path) -> None:
    """A full walk meets an old build: all links stay, the run is degraded, and the next one walks everything again."""
    w = synced(tmp_path, 20, kind=Bent, only=["customers"])
    links = w.rows(LINKS)
    assert links
    w.later(8 * DAY)
    ignores_expand(w)
    report = w.sync()
    assert (report.status, report.mode, w.rows(LINKS)) == ("degraded", "full", links)
    assert any(f"--accept-gone {len(links)}" in reason for reason in report.reasons), report.reasons
    set_bend(w, None)
    w.later(DAY)
    report = w.sync()
    assert (report.status, report.mode, w.rows(LINKS)) == ("green", "full", links), report.reasons


@pytest.mark.sampled
@pytest.mark.parametrize("accept", [False, True])
def test_links_go_where_that_is_believable(tmp_path: Path, accept: bool) -> None:
    """One link of several goes after a second answer without it; all of them only where --accept-gone says so."""
    w = synced(tmp_path, 40, kind=Bent, only=["customers"])
    links = w.rows("SELECT entity_id, id FROM customer_integrations ORDER BY id")
    assert len(links) > 1
    one = frozenset({links[0][0]})
    w.later(8 * DAY)
    ignores_expand(w, None if accept else one)
    report = w.sync(accept_gone=len(links) if accept else 0)
    assert (report.status, report.mode) == ("green", "full"), report.reasons
    assert w.rows("SELECT id FROM customer_integrations ORDER BY id") == (
        [] if accept else [(id,) for owner, id in links if owner not in one]
    )


@pytest.mark.sampled
def test_a_link_that_one_page_left_out_stays(tmp_path: Path) -> None:
    """One instance of two ignores `expand` for a page; asked by id, the other names the links: nothing is deleted."""
    w = synced(tmp_path, 40, kind=Bent, only=["customers"])
    links = w.rows(LINKS)
    owner = w.rows("SELECT entity_id FROM customer_integrations ORDER BY id")[0][0]
    w.later(8 * DAY)
    ignores_expand(w, frozenset({owner}))
    with before(prove=lambda: set_bend(w, None)):
        report = w.sync()
    assert (report.status, report.mode, w.rows(LINKS)) == ("green", "full", links), report.reasons


# --- figures that fall ---------------------------------------------------------------------------------------------

FEATURE = """SELECT feature_id FROM usage u JOIN features f ON f.id = u.feature_id
    WHERE f.meter_aggregation_type = 'COUNT' AND current_usage > 1 ORDER BY 1 LIMIT 1"""
FIGURES = "SELECT customer_id, current_usage FROM usage WHERE feature_id = '{}' ORDER BY ALL"


def tells(w: World, feature: str, figure: str | None) -> None:
    """From now on usage answers tell a figure of a feature; None: that they have no features at all."""

    def bend(route: str, _path: Any, _query: Any, body: Any) -> Any:
        if route == "usage":
            body["features"] = body["features"] if figure else []
            for entry in body["features"]:
                entry |= {"current_usage": figure} if entry["feature"]["id"] == feature else {}
        return body

    set_bend(w, bend)


@pytest.mark.sampled  # six syncs a case
@pytest.mark.parametrize("told", ["0", "1", None])
def test_retries_in_one_outage_confirm_nothing(tmp_path: Path, told: str | None) -> None:
    """A scheduler retries a degraded run within minutes: the false figures are no truer by it, and stay out."""
    w = synced(tmp_path, 12, kind=Bent)
    w.later(3600)
    feature = w.rows(FEATURE)[0][0]
    figures = w.rows(FIGURES.format(feature))
    tells(w, feature, told)
    for _ in range(4):
        assert w.sync().status == "degraded"
        w.later(120)
    assert w.rows(FIGURES.format(feature)) == figures
    assert {runs for (runs,) in w.rows("SELECT runs FROM flexsync.suspects")} == {1}
    set_bend(w, None)
    w.later(DAY)
    assert w.sync().status == "green"
    w.check()


@pytest.mark.sampled
def test_runs_of_every_hour_confirm_a_correction_in_time(tmp_path: Path) -> None:
    """A COUNT that was corrected, and grows on, is held back for five hours of hourly runs, a zero for ten."""
    w = synced(tmp_path, 12, kind=Bent)
    customer, key, feature = w.rows(
        """SELECT u.customer_id, f.lookup_key, f.id FROM usage u JOIN features f ON f.id = u.feature_id
        WHERE f.meter_aggregation_type = 'COUNT' AND current_usage > 20 AND u.customer_id IN (
            SELECT customer_id FROM flexsync.sweep GROUP BY 1 HAVING count(*) = 1) ORDER BY ALL LIMIT 1"""
    )[0]
    for first, hours in ((5, 5), (0, 10)):
        for hour in range(hours + 1):
            w.sandbox.set_usage(customer, key, first + (hour if first else 0))
            w.later(3600)
            report = w.sync()
            assert report.status == ("degraded" if hour < hours else "green"), (first, hour, report.reasons)
    assert w.rows(f"SELECT current_usage FROM usage WHERE feature_id = '{feature}' AND customer_id = '{customer}'") == [
        (0,)
    ]


# --- a status that this version does not know -----------------------------------------------------------------------


class Seventh(Bent):
    """A server with a seventh status: its rows are in no answer to the six, only where these are excluded."""

    rows: tuple[Any, ...] = ()

    def handle(self, call: Any) -> Any:
        reply = super().handle(call)
        filters = json.loads(call.body or b"{}").get("filters", ())
        if any(each["field"] == "subscription_status" and each["operator"] == "not_in" for each in filters):
            named = [each["value"]["array"] for each in filters if each["field"] == "id"]
            items = [row for row in self.rows if not named or row["id"] in named[0]]
            body = {"items": items, "pagination": {"total": len(items), "limit": 1, "offset": 1}}
            reply.body = json.dumps(body).encode()
        return reply


@pytest.mark.sampled
@pytest.mark.parametrize("known", [True, False], ids=["active before", "new"])
def test_a_status_that_is_not_known_degrades_and_removes_nothing(tmp_path: Path, known: bool) -> None:
    """A subscription gets a seventh status, or is created with it: the run names it, and marks nothing as gone."""
    w = synced(tmp_path, 12, kind=Seventh)
    w.later(3600)
    customer = soles(w)[0]
    subscription = first_of(w, customer) if known else w.sandbox.add_subscription(customer, status="draft")
    row = next(each for each in subscriptions_of(w.sandbox) if each["id"] == subscription)
    assert isinstance(w.sandbox, Seventh)
    w.sandbox.rows = (json.loads(json.dumps({**row, "subscription_status": "unpaid"}, default=str)),)
    w.sandbox.hide(subscription)
    w.later(DAY)
    report = w.sync()
    assert report.status == "degraded"
    assert any(f"unpaid of {subscription}" in reason for reason in report.reasons), report.reasons
    stored = w.rows(f"SELECT subscription_status, gone_at FROM subscriptions WHERE id = '{subscription}'")
    assert stored == ([("unpaid", None)] if known else [])
    w.sandbox.rows = ()
    w.sandbox.show(subscription)
    w.later(DAY)
    w.sync()
    w.check()
