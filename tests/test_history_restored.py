"""Histories in a store that was restored from a publication."""

from __future__ import annotations

from pathlib import Path

import pytest
from sizes import few
from stores import KINDS, target
from support import World, calm

from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.store.store import Store


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_excluded_columns_are_completed_and_begin_no_version(tmp_path: Path, kind: str) -> None:
    """The first run after the restore fills them in; a row that changed meanwhile begins one version."""
    world = World(tmp_path, calm(6), audit_sample=0)
    world.sync()
    first, second, *_ = world.sandbox.customer_ids()
    with Store.open(world.path) as store:
        publish(store, target(kind, tmp_path), exclude=["customers.email"])
    world.path.unlink()
    restore(target(kind, tmp_path), world.path)
    assert world.rows("SELECT count(email), count(content_hash) FROM flexsync.customers_versions") == [(0, 0)]
    world.sandbox.update_customer(second, name="Renamed")
    assert world.sync().status == "green"
    query = "SELECT count(*), count(email) FROM flexsync.customers_versions WHERE id = '{}'"
    assert world.rows(query.format(first)) == [(1, 1)]
    assert world.rows(query.format(second)) == [(2, 1)]
    same = """SELECT count(*) FROM (SELECT id, name, email FROM customers EXCEPT
        SELECT id, name, email FROM customers_asof(now()::TIMESTAMPTZ + INTERVAL 10 YEAR))"""
    assert world.rows(same) == [(0,)]


@pytest.mark.sampled
@pytest.mark.parametrize("kind", few(KINDS))
def test_a_null_that_was_known_is_not_completed(tmp_path: Path, kind: str) -> None:
    """Only left-out columns are: what was NULL then and has a value now is a change, and begins a version."""
    world, to = World(tmp_path, calm(6), audit_sample=0), target(kind, tmp_path)
    first, second, *_ = world.sandbox.customer_ids()
    for customer in (first, second):
        world.sandbox.update_customer(customer, contact=None)
    world.sync()
    query = "SELECT contact, email IS NOT NULL FROM flexsync.customers_versions WHERE id = '{}' ORDER BY valid_from"
    for night in range(2):  # the second store is restored from what the first one, completed, has published
        with Store.open(world.path) as store:
            publish(store, to, exclude=["customers.email"])
        world.path.unlink()
        restore(to, world.path)
        assert world.rows("SELECT value FROM flexsync.meta WHERE key = 'restored_without'") == [("customers.email",)]
        world.later(86400)
        world.sandbox.update_customer((first, second)[night], contact="+49")
        assert world.sync().status == "green"
        assert world.rows(query.format((first, second)[night])) == [(None, False), ("+49", True)]
        assert world.rows("SELECT count(*) FROM flexsync.meta WHERE key = 'restored_without'") == [(0,)]
