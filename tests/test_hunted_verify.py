"""What a hunt found: proofs and verifications that were green over a store that is wrong, or red over one that is right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support import Bent, Direct, World, calm, synced

from connector.sandbox import Faults
from connector.store.store import Store
from pipelines.verify import _verify


def verified(w: World, sample: int = 100) -> dict[str, Any]:
    """The outcome of `flexsync verify` against the account as it answers now, in process."""

    async def run() -> dict[str, Any]:
        with Store.open(w.path) as store:
            return await _verify(Direct(w.sandbox), w.settings().sync, store, sample, w.clock)

    return asyncio.run(run())


def bend(w: World, change: Any) -> None:
    """Let `change(route, body)` edit the answers in place; None ends that."""

    def bent(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        change(route, body)
        return body

    w.sandbox.bend = bent if change else None  # type: ignore[attr-defined]


def hide(w: World, id: str, route: str = "search") -> None:
    """Leave a row out of every page of a listing, while the totals count it."""

    def change(asked: str, body: Any) -> None:
        if asked == route:
            body["items"] = [item for item in body["items"] if item["id"] != id]

    bend(w, change)


# --- verify -------------------------------------------------------------------------------------------------------


def test_verify_keeps_what_the_run_found_wrong(tmp_path: Path) -> None:
    """An edit that no page brought degrades the run, and every `verify` until a run has read it."""
    w = synced(tmp_path, 6, Bent)
    w.later(3600)
    edited = w.sandbox.customer_ids()[3]
    w.sandbox.update_customer(edited, name="Edited")
    hide(w, edited)
    reasons = w.sync().reasons
    assert any("more than it sends" in reason for reason in reasons)
    bend(w, None)
    assert set(reasons) <= set(verified(w, 0)["certificate"]["reasons"])
    w.later(600)
    assert w.sync().status == "green"
    assert verified(w, 0)["ok"]


@pytest.mark.parametrize("old", ["filters_ignored", "filters_refused"])
def test_verify_counts_as_the_server_can(old: str, tmp_path: Path) -> None:
    """On a server without filters it counts everything, as the run did, and is green where nothing changed."""
    w = World(tmp_path, calm(6, faults=Faults(old=frozenset({old}))))
    assert w.sync().status == "green"
    found = verified(w)
    assert found["ok"], found
    assert {found["certificate"][name]["method"] for name in ("customers", "subscriptions")} == {"offset"}
