"""Edits that a listing leaves out although it counts them, and rows that no listing counts: found, or named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Bent, World, assert_exact, customers_of, held, rows_of, subscriptions_of, synced

from connector.store.store import Store

LISTINGS = ("customers", "subscriptions")
Bend = Callable[[str, Any, Any, Any], Any]


def account(folder: Path, customers: int = 20, **settings: Any) -> World:
    """An account of which only the listings are read, after a green first run."""
    return synced(folder, customers, kind=Bent, **{"only": LISTINGS, **settings})


def assert_listings(world: World) -> None:
    """Customers, their integrations and subscriptions are exactly what the account holds."""
    people = customers_of(world.sandbox)
    sent = {
        "customers": people,
        "customer_integrations": [link for row in people for link in row.get("integrations", ())],
        "subscriptions": subscriptions_of(world.sandbox),
    }
    with Store.open(world.path) as store:
        assert_exact(held(store), {name: rows_of(name, rows) for name, rows in sent.items()})


def without(route: str, id: str, times: int) -> Bend:
    """Leave a row out of pages of several rows, at most so many times; the total counts it."""
    left = [times]

    def bend(asked: str, path: Any, query: Any, body: Any) -> Any:
        items = body["items"] if asked == route else ()
        if len(items) > 1 and left[0] and any(item["id"] == id for item in items):
            left[0] -= 1
            body["items"] = [item for item in items if item["id"] != id]
            return body
        return None

    return bend


def edited(world: World) -> str:
    """Change two customers, half an hour apart; return the earlier one."""
    first, second = [*world.sandbox.customer_ids("published")][:2]
    world.later(3600)
    world.sandbox.update_customer(first, name="Edited")
    world.later(1800)
    world.sandbox.update_customer(second, name="Edited too")
    world.later(60)
    return first


def changed(world: World) -> str:
    """Change two subscriptions that are not active, half an hour apart; return the earlier one."""
    ended = [s["id"] for s in subscriptions_of(world.sandbox) if s["subscription_status"] not in ("active", "trialing")]
    world.later(3600)
    world.sandbox.update_subscription(ended[0], version=9)
    world.later(1800)
    world.sandbox.update_subscription(ended[1], version=9)
    world.later(60)
    return str(ended[0])


def set_bend(world: World, bend: Bend | None) -> None:
    assert isinstance(world.sandbox, Bent)
    world.sandbox.bend = bend


# --- rows that a page of changes counts and leaves out ---------------------------------------------------------------

CHANGES = [("search", edited, "customers"), ("subscriptions", changed, "subscriptions")]


@pytest.mark.parametrize(("route", "change", "resource"), CHANGES)
def test_a_change_that_one_page_leaves_out_arrives(tmp_path: Path, route: str, change: Any, resource: str) -> None:
    """A page of changes lacks a row that its own total counts, once: the walk begins anew, and the row arrives."""
    world = account(tmp_path)
    set_bend(world, without(route, change(world), times=1))
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    set_bend(world, None)
    assert_listings(world)


@pytest.mark.parametrize(("route", "change", "resource"), CHANGES)
def test_a_change_that_every_page_leaves_out_is_named(tmp_path: Path, route: str, change: Any, resource: str) -> None:
    """A change that the server counts and never sends degrades the run; once it is sent, the next run has it."""
    world = account(tmp_path)
    set_bend(world, without(route, change(world), times=1000))
    report = world.sync()
    assert report.status == "degraded"
    assert any(f"walk/{resource}" in reason and "1 rows more than it sends" in reason for reason in report.reasons)
    set_bend(world, None)
    world.later(3600)
    report = world.sync()
    assert (report.status, report.mode) == ("green", "incremental"), report.reasons
    assert_listings(world)
