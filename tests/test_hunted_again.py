"""Scenarios of a second hunt: runs that ended green over tables that did not hold what the account did."""

from __future__ import annotations

from pathlib import Path

import pytest
from sizes import sampled
from support import Bent, World, counting, synced
from test_called_too_early import before
from test_hunted import soles


def idle(w: World) -> str:
    """The first customer without a subscription that counts."""
    return next(id for id in sorted(w.sandbox.customer_ids()) if id not in counting(w.sandbox))


def green_again(w: World) -> None:
    """The next run is green, and the tables are exactly what the account holds."""
    w.later(600)
    report = w.sync()
    assert (report.status, report.reasons) == ("green", [])
    w.check()


# --- rows that go, and come back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("new", ["customer", sampled("subscription")])
def test_row_of_this_run_is_not_gone_by_one_answer(tmp_path: Path, new: str) -> None:
    """A row that a run has read stays when a replica does not have it yet; the run is degraded, not wrong."""
    w = synced(tmp_path, 20, kind=Bent)
    w.later(600)
    customer = w.sandbox.create_customer(name="New Ltd")["id"] if new == "customer" else soles(w)[0]
    subscription = w.sandbox.add_subscription(customer, "Scale")
    w.later(20)
    late = customer if new == "customer" else subscription
    with before(prove=lambda: w.sandbox.hide(late)):
        report = w.sync()
    assert report.status == "degraded"
    assert any(late in reason and "this run had read" in reason for reason in report.reasons), report.reasons
    w.sandbox.show(late)
    w.check()
    green_again(w)
