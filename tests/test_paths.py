"""Paths of stores and publications: DuckDB opens exactly the file that was named, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import empty_store

from connector.errors import FixInput
from connector.publications import reading
from connector.publications.targets import parse
from connector.store.store import Store

PLAIN = ["a#b", "a%20b", "a*b", "a[1]", "a'b", 'a"b', "a;b", "a\nb", " a", "ä", "a{b}", "-a", "~a", "a b/c", "x.gz"]
READ_OTHERWISE = ["a?b", "a?b/c", "a\\b", "a\udcffb"]
NO_FILES = [":memory:", "md:billing", "s3://bucket/work.duckdb", "duckdb:work.duckdb", "postgres:dbname=x", "file:work"]


@pytest.mark.parametrize("name", PLAIN)
def test_a_store_is_the_file_that_was_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as a relative path too: no character of a name sends the store to another place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    empty_store(path)
    with Store.open(path) as store:
        store.bind("env_1")
    with reading.open(path) as copy:
        assert copy.environment_id == "env_1"
    held = [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
    assert held == [tmp_path / name]


@pytest.mark.parametrize("name", READ_OTHERWISE)
def test_a_name_that_duckdb_reads_otherwise_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is made, for stores and targets: DuckDB would open, or log beside, another file."""
    for refused in (lambda: Store.open(tmp_path / name), lambda: parse(f"duckdb:{tmp_path}/{name}")):
        with pytest.raises(FixInput, match="cannot be the path of a DuckDB file"):
            refused()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NO_FILES)
def test_an_address_is_no_store(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database in memory would keep nothing, and one of another system is not a file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FixInput, match="not a file"):
        Store.open(name)
    assert [*tmp_path.iterdir()] == []
