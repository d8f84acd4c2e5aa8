"""connector.files: unfinished files go, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector import files
from connector.store import migrations


@pytest.mark.parametrize("name", ["work.duckdb", "work[1].duckdb", "work", "lake", "a*b?.db"])
def test_what_a_kill_left_goes_and_nothing_else(tmp_path: Path, name: str) -> None:
    """Whatever the characters of a file's name, its unfinished files and their logs go, those of other files stay."""
    final = tmp_path / name
    left = [files.unfinished(final), files.unfinished(final)]
    logs = [path.with_name(f"{path.name}.{suffix}") for path in left for suffix in ("wal", "tmp")]
    names = (f"{name}-eu", f"{name}-12345678", "work1.duckdb", "axby.db")
    others = [files.unfinished(tmp_path / other) for other in names if other != name]
    for path in (final, *left, *logs, *others):
        path.touch()
    files.clear_unfinished(final)
    assert sorted(tmp_path.iterdir()) == sorted([final, *others])


def test_an_unfinished_copy_goes_whatever_the_name(tmp_path: Path) -> None:
    """A killed migration's copy of a store goes with the next one, brackets in the name or not."""
    store = tmp_path / "work[1].duckdb"
    store.write_bytes(b"x")
    copy = migrations.copy_path(store, 1)
    (tmp_path / f".{copy.name}.abc").touch()
    migrations.copy_beside(store, 1)
    assert sorted(tmp_path.iterdir()) == sorted([store, copy])
