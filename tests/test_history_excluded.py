"""Columns that `[privacy] exclude` names: nothing that a publication holds, its histories included, stems from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sizes import Size, few, sizes
from stores import KINDS, run_id, store_in, target

from connector.errors import FixInput
from connector.publications import contents, reading
from connector.publications.publish import publish
from connector.publications.reading import Reading
from connector.publications.restore import restore
from connector.store import asof, ddl
from connector.store.store import Store
from connector.tables.columns import DECIMAL, INT, JSON, MAP, TEXT, TEXTS, TIME, Table
from connector.tables.histories import FIGURES, HISTORIES, origin
from connector.tables.schemas import TABLES

pytestmark = pytest.mark.sampled  # a tenth for each commit

COLUMNS = [f"{t.name}.{c}" for t in TABLES.values() for c in t.names if c not in contents.required_columns(t)]
NUMBERS = {name: 7_000_001 + 13 * number for number, name in enumerate(COLUMNS)}
"""What is planted in each column that can be left out: its number, in its type."""
OF_FIGURES = [
    name for name in COLUMNS if name.split(".")[0] in origin(FIGURES.name) and name.split(".")[1] in FIGURES.names
]


_RENAMED = {("usage", "counted_subscription_id"): "subscription_id"}


def planted(name: str, kind: str) -> Any:
    """A value that stands in no other column; None where a type has too few values for that."""
    number = NUMBERS.get(name, 0)
    values: dict[str, Any] = {
        TEXT: f"planted {number}",
        JSON: f'{{"planted": {number}}}',
        TEXTS: [f"planted {number}"],
        INT: number,
        DECIMAL: number,
        TIME: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    }
    return {"planted": str(number)} if kind == MAP else values.get(kind)


def sign(name: str) -> str:
    """The text by which a planted value is known."""
    table, _, column = name.partition(".")
    value = planted(name, TABLES[table].column(column).kind)
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(NUMBERS[name])


SHOWN = [n for n in COLUMNS if planted(n, TABLES[n.split(".")[0]].column(n.split(".")[1]).kind) is not None]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with one row in each table and history, and a value of its own in each column."""
    folder = tmp_path_factory.mktemp("planted")
    with store_in(folder, customers=0) as store, store.transaction() as db:
        for path, table in ddl.paths().items():
            sources = origin(table.name) if table.name in HISTORIES else (table.name,)
            for source in sources:
                _plant(db, path, table, source)
        fits = "INSERT INTO flexsync.rejects (table_name, field, value, reason) VALUES ($t, $f, $v, $v)"
        for name in SHOWN:
            table_name, _, column = name.partition(".")
            db.execute(fits, {"t": table_name, "f": column, "v": sign(name)})
        figures = [NUMBERS[f"{table}.current_usage"] for table in origin(FIGURES.name)]
        db.execute(
            "INSERT INTO flexsync.suspects (held, offered) VALUES ($held, $offered)",
            dict(zip(("held", "offered"), figures, strict=True)),
        )
    return (folder / "work.duckdb").read_bytes()


def _plant(db: Any, path: str, table: Table, source: str) -> None:
    values: dict[str, Any] = {}
    for column in table.columns:
        name = _RENAMED.get((source, column.name), column.name) if table is FIGURES else column.name
        if f"{source}.{name}" in NUMBERS and column.name not in table.key:
            values[column.name] = planted(f"{source}.{name}", column.kind)
        elif column.name in (*table.key, table.owner) and column.kind == TEXT:
            values[column.name] = "" if source == "usage" and column.name == "subscription_id" else "k"
    values |= {"run_id": run_id(1), "observed_at": datetime(2026, 1, 1, 1, tzinfo=UTC)}
    if table.name in HISTORIES:
        values |= {"ended": False} | ({} if table is FIGURES else {"valid_from": values["observed_at"]})
    there = {name: value for name, value in values.items() if value is not None}
    names = ", ".join(f'${name} AS "{name}"' for name in there)
    db.execute(f"INSERT INTO {path} BY NAME SELECT {names}", there)


@pytest.fixture
def store(stored: bytes, tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "work.duckdb").write_bytes(stored)
    with Store.open(tmp_path / "work.duckdb") as opened:
        yield opened


def texts(opened: Reading) -> str:
    """Everything that can be read, as text: every table, every view, every macro."""
    queries = [f"FROM {name}" for name in opened.tables]
    queries += [f"FROM {name}('2026-01-02')" for name in asof.MACROS]
    found = [opened.sql(f"SELECT t::VARCHAR FROM ({query}) t").column(0).to_pylist() for query in queries]
    return "\n".join(text for rows in found for text in rows)


def check(store: Store, to: str, without: list[str]) -> None:
    publish(store, to, without)
    with reading.open(to) as opened:
        text = texts(opened)
    assert [name for name in SHOWN if (sign(name) in text) == (name in without)] == []


@pytest.mark.parametrize("kind", few(KINDS))
def test_nothing_stems_from_an_excluded_column(store: Store, tmp_path: Path, kind: str) -> None:
    """All columns that can be left out, at once; without any, every planted value is found."""
    check(store, target(kind, tmp_path), [])
    check(store, target(kind, tmp_path), COLUMNS)
    restore(target(kind, tmp_path), tmp_path / "back.duckdb")
    with Store.open(tmp_path / "back.duckdb") as back:
        assert back.count("SELECT count(*) FROM flexsync.customers_versions") == 1


@sizes(default=1, sampled=3, thorough=len(COLUMNS))
def test_a_column_can_be_excluded_alone(store: Store, tmp_path: Path, size: Size) -> None:
    """The publication opens, every view and macro that is left answers, and every other column is there."""
    for name in size.chance().sample(COLUMNS, size.count) if size.count > 1 else ["usage.current_usage"]:
        check(store, target("duckdb", tmp_path), [name])


@pytest.mark.sampled
@pytest.mark.parametrize("column", ["usage.subscription_id", "features.meter_aggregation_type"])
def test_what_usage_a_figure_tells_stems_from_other_columns_too(store: Store, tmp_path: Path, column: str) -> None:
    """Which subscription was counted, and whether its meter adds up: without them there is no `usage_daily`."""
    check(store, target("duckdb", tmp_path), [column])
    with reading.open(target("duckdb", tmp_path)) as opened:
        assert "usage_daily" not in opened.tables
        told = {"counted_subscription_id", "additive"} & set(opened.sql("FROM usage_history").column_names)
    assert len(told) == 1


@pytest.mark.parametrize(
    "column", ["customers.updated_at", "subscriptions.updated_at", "subscription_usage.customer_id"]
)
def test_what_histories_are_dated_by_is_required(store: Store, tmp_path: Path, column: str) -> None:
    """`valid_from` of a version stems from `updated_at`, and a figure needs to say whose it is."""
    with pytest.raises(FixInput, match="cannot be left out"):
        publish(store, target("duckdb", tmp_path), [column])


def test_the_fault_of_a_view_is_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a statement fails inside the new file, the error names it, and nothing is left."""
    monkeypatch.setattr(asof, "statements", lambda without: ["CREATE VIEW x AS FROM nowhere"])
    with pytest.raises(FixInput, match="nowhere"):
        publish(store, target("duckdb", tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir() if "lock" not in path.name) == ["work.duckdb"]
