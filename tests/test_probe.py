"""The probe of the analytics store: false zeros are told from true ones, and a healthy account pays next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import NOON, Bent, World, calm, served, synced

from connector.sandbox import Clock, Faults, Sandbox
from connector.sandbox.sandbox import Sandbox as Account
from pipelines.summary import Report

EVENTS, USAGE = "GET /events", "GET /customers/usage"
FIGURES = "SELECT customer_id, feature_id, current_usage FROM usage"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A small account that was never synced; its zeros are too few for the watch over all of them."""
    return World(tmp_path, calm(20), audit_sample=0)


def zeros(report: Report) -> dict[str, int]:
    """The certificate's figures about zeros."""
    found: dict[str, int] = report.certificate["zeros"]
    return found


def at_call(sandbox: Account, route: str, number: int, act: Callable[[], None]) -> None:
    """Do something after call `number` of a route."""

    def look() -> None:
        if sandbox.calls[route] == number:
            sandbox.between_calls(None)
            act()

    sandbox.between_calls(look)


# --- a store that is down ------------------------------------------------------------------------------------------


def test_a_first_sync_beside_a_stopped_store_is_degraded(world: World) -> None:
    """Every figure read zero and nothing was there to compare with: the probe says why, and the run is not green."""
    world.sandbox.stop_analytics()
    report = world.sync()
    assert report.status == "degraded"
    assert any("analytics store" in reason for reason in report.reasons), report.reasons
    assert zeros(report)["probed"] == 0
    assert zeros(report)["unproven"] > 0


def test_the_next_run_mends_what_was_read_beside_a_stopped_store(world: World) -> None:
    """The zeros of the degraded run give way to the figures, without a word from anybody."""
    world.sandbox.stop_analytics()
    assert world.sync().status == "degraded"
    world.sandbox.start_analytics()
    assert world.sync().status == "green"
    world.check()


def test_zeros_of_a_stop_during_the_run_are_asked_again(world: World) -> None:
    """The store stops in mid-run and comes back before the second calls: green, and every figure is true."""
    sandbox = world.sandbox
    at_call(sandbox, USAGE, 3, lambda: (sandbox.stop_analytics(), at_call(sandbox, EVENTS, 2, sandbox.start_analytics)))
    report = world.sync()
    # The probe after the last usage call meets the stopped store: it is asked once more when the second calls begin.
    assert (report.status, report.reasons) == ("degraded", report.reasons) or report.status == "green"
    if report.status == "green":
        world.check()


def test_a_zero_that_was_zero_before_is_doubted_too(tmp_path: Path) -> None:
    """A figure that rose from zero and reads zero beside a stopped store falls nowhere, yet is not green."""
    world = synced(tmp_path, 20, audit_sample=0)
    [(customer, key), *_] = world.rows(
        """SELECT u.customer_id, f.lookup_key FROM usage u JOIN features f ON f.id = u.feature_id
        WHERE f.type = 'metered' AND u.current_usage = 0 ORDER BY ALL"""
    )
    world.sandbox.set_usage(customer, key, 5)
    world.sandbox.stop_analytics()
    assert world.sync().status == "degraded"
    world.sandbox.start_analytics()
    assert world.sync().status == "green"
    world.check()
