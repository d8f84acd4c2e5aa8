"""Histories in a store that was restored from a publication."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sizes import Size, few, sizes
from stores import KINDS, target
from support import Bent, World, calm, set_bend

from connector.publications import contents
from connector.publications.publish import publish
from connector.publications.restore import restore
from connector.store.store import Store
from connector.tables.histories import HISTORIES, without
from connector.tables.schemas import TABLES

COLUMNS = [
    f"{table.name}.{column}"
    for table in TABLES.values()
    for column in table.names
    if column not in contents.required_columns(table)
    and any(without(history, [f"{table.name}.{column}"]) for history in HISTORIES.values())
]
WORST = ("entitlements.usage_reset_period", "usage.total_limit", "usage.subscription_id", "usage.next_usage_reset_at")


def restored_without(world: World, columns: Sequence[str], to: str) -> None:
    with Store.open(world.path) as store:
        publish(store, to, exclude=columns)
    world.path.unlink()
    restore(to, world.path)


def held(world: World) -> list[tuple[Any, ...]]:
    """Number of rows of each history, and of the rows in which a table differs from what its history shows now."""
    queries = [f"(SELECT count(*) FROM flexsync.{name})" for name in HISTORIES]
    for name, alone in (("entitlements", ""), ("usage", " WHERE subscription_id = ''")):
        columns = "customer_id, feature_id, "
        columns += "usage_reset_period, usage_limit" if name == "entitlements" else "total_limit, next_usage_reset_at"
        shown = f"SELECT {columns} FROM {name}_asof('2100-01-01'){alone}"
        queries.append(f"(SELECT count(*) FROM (SELECT {columns} FROM {name} EXCEPT ALL {shown}))")
    return world.rows(f"SELECT {', '.join(queries)}")


@sizes(default=0, sampled=8, thorough=len(COLUMNS))
def test_no_column_that_was_left_out_begins_a_version_or_figure(size: Size, tmp_path: Path) -> None:
    """An unchanged account, restored without a column: its histories hold no row more, and the column is filled."""
    sandbox = calm(1)
    one = sandbox.add_subscription(sandbox.customer_ids()[0], "Team")
    sandbox.set_usage(sandbox.customer_ids()[0], "api_calls", 50, one)
    world = World(tmp_path, sandbox, audit_sample=0)
    world.sync()
    before, kept = held(world), world.path.read_bytes()
    assert before[0][-2:] == (0, 0)
    for columns in [WORST, *([c] for c in size.chance().sample(COLUMNS, min(size.count, len(COLUMNS)) - 1))]:
        world.path.write_bytes(kept)
        restored_without(world, columns, f"duckdb:{tmp_path / 'out.duckdb'}")
        assert world.sync().status == "green"
        assert held(world) == before, columns
        assert world.rows("SELECT count(*) FROM flexsync.meta WHERE key = 'restored_without'") == [(0,)], columns
        assert world.rows("SELECT count(*) FROM flexsync.usage_figures WHERE lacking") == [(0,)], columns


@pytest.mark.sampled
def test_a_null_is_completed_by_the_first_answer_only(tmp_path: Path) -> None:
    """A limit that was left out, and that the first answer says is none, has not been there before it is set later."""
    sandbox = calm(1, kind=Bent)
    (customer,) = sandbox.customer_ids()
    sandbox.add_subscription(customer, "Team")
    world, limit = World(tmp_path, sandbox, audit_sample=0), []

    def bend(route: str, path: dict[str, str], query: dict[str, str], body: Any) -> Any:
        for entry in body.get("features", ()) if route in ("usage", "entitlements") else ():
            inside = entry.get("entitlement", entry)
            for name in {"usage_limit", "total_limit"} & inside.keys():
                inside[name] = limit[0] if limit else None
        return body

    set_bend(world, bend)
    world.sync()
    restored_without(world, ["entitlements.usage_limit", "usage.total_limit"], f"duckdb:{tmp_path / 'out.duckdb'}")
    world.sync()
    limit.append(77)
    world.later(86_400)
    world.sync()
    known = "SELECT count(*) FROM {} WHERE {} = 77 AND run_id < (SELECT max(run_id) FROM flexsync.runs)"
    assert world.rows("SELECT count(*) > 0 FROM flexsync.usage_figures WHERE total_limit = 77") == [(True,)]
    assert world.rows(known.format("flexsync.usage_figures", "total_limit")) == [(0,)]
    assert world.rows(known.format("flexsync.entitlements_versions", "usage_limit")) == [(0,)]


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
