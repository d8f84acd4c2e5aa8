"""A listing row that does not fit costs that row: the run goes on, and ends degraded with the row in the rejects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sizes import sampled
from support import Bent, World, calm

from connector.api.calls import SUBSCRIPTION_STATUSES

ROUTES = {"customers": "search", "subscriptions": "subscriptions"}
ODD: dict[str, dict[str, Any]] = {
    "a leap second": {"updated_at": "2026-06-30T23:59:60Z"},
    "a lone surrogate": {"created_by": "\ud800"},
    "an id that is a number": {"id": 17},
    "a lone surrogate in an unknown field": {"new": ["\ud800"]},
    "a moment without a zone": {"updated_at": "2026-06-30T23:59:59"},
    "a number for a text": {"status": 1e300},
}
CASES = [
    *((name, "customers") for name in list(ODD)[:3]),
    ("a lone surrogate", "subscriptions"),
    *(sampled(name, "customers") for name in list(ODD)[3:]),
    *(sampled(name, "subscriptions") for name in ODD if name != "a lone surrogate"),
]


def world(folder: Path) -> World:
    return World(folder, calm(12, kind=Bent), audit_sample=0)


def ids(w: World, resource: str) -> list[str]:
    statuses = {} if resource == "customers" else {"subscription_status": list(SUBSCRIPTION_STATUSES)}
    body = {"limit": 1000, **statuses}
    _, _, text = w.sandbox.answer("POST", f"/v1/{resource}/search", body=body)
    return sorted(row["id"] for row in json.loads(text)["items"])


def let_come(w: World, resource: str, id: str, fields: dict[str, Any]) -> None:
    """Let one row come with other fields wherever it is listed."""

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        for row in body["items"] if route == ROUTES[resource] else ():
            row.update(fields if row["id"] == id else {})
        return body

    w.sandbox.bend = bend  # type: ignore[attr-defined]


def held(w: World, resource: str) -> set[str]:
    return {row[0] for row in w.rows(f"SELECT id FROM {resource} WHERE gone_at IS NULL")}


@pytest.mark.parametrize(("name", "resource"), CASES)
def test_a_row_that_is_odd_at_first_sight(name: str, resource: str, tmp_path: Path) -> None:
    """Every other row arrives, the odd one is in the rejects; mended, it makes the next full run green."""
    w = world(tmp_path)
    everything = ids(w, resource)
    let_come(w, resource, everything[1], ODD[name])
    report = w.sync()
    assert held(w, resource) == {*everything} - {everything[1]}
    assert report.status == "degraded"
    assert any("of listings do not fit and are in flexsync.rejects" in reason for reason in report.reasons)
    w.sandbox.bend = None  # type: ignore[attr-defined]
    assert w.sync(full=True).status == "green"
    w.check()


@pytest.mark.parametrize(("name", "resource"), CASES)
def test_a_row_that_becomes_odd(name: str, resource: str, tmp_path: Path) -> None:
    """Its last good row stays, with its children; it is not taken for gone, and the run says what is wrong."""
    w = world(tmp_path)
    assert w.sync().status == "green"
    before = {name: w.rows(f"SELECT count(*) FROM {name}") for name in ("customers", "subscriptions", "usage")}
    everything = ids(w, resource)
    let_come(w, resource, everything[1], ODD[name])
    report = w.sync(full=True)
    assert held(w, resource) == {*everything}
    assert {name: w.rows(f"SELECT count(*) FROM {name}") for name in before} == before
    assert report.status == "degraded"
    assert any("of listings do not fit and are in flexsync.rejects" in reason for reason in report.reasons)
    w.sandbox.bend = None  # type: ignore[attr-defined]
    assert w.sync(full=True).status == "green"
    w.check()
