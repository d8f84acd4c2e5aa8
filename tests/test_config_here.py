"""A flexsync.toml in the current folder: no command takes it unasked, and every one that goes without it says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Done, account, command, environment

from connector.sandbox import Sandbox

NOTE = "note: flexsync.toml in this folder is not used"
HOW = ("--config flexsync.toml", "FLEXSYNC_CONFIG=flexsync.toml")
DEAD = "http://127.0.0.1:9/v1"  # nobody listens on the discard port


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account(5)
    with sandbox.running() as base_url:
        yield sandbox, base_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose file sends the key elsewhere."""
    (tmp_path / "flexsync.toml").write_text(f'[api]\nbase_url = "{DEAD}"\n[sync]\nstore = "other.duckdb"\n')
    return tmp_path


CALLING = (
    ("sync", "--only", "customers"),
    ("sync", "--dry-run"),
    ("doctor",),
    ("customers", "list", "--limit", "1"),
    ("import", "export", "--out", "out.csv"),
)


@pytest.mark.parametrize("words", CALLING, ids=" ".join)
def test_a_folders_file_does_not_choose_where_the_key_goes(
    live: tuple[Sandbox, str], folder: Path, words: tuple[str, ...]
) -> None:
    """The address stays that of the environment; stderr says that the file is not used, and how to use it."""
    done = command(*words, env=environment(live[1]), cwd=folder)
    assert done.code == 0, done.err
    assert done.err.count(NOTE) == 1
    assert all(how in done.err for how in HOW)
    assert NOTE not in done.out


def run(folder: Path, *words: str, base_url: str = "", **more: str) -> Done:
    return command(*words, env={**environment(base_url), **more}, cwd=folder)


def test_the_flag_wins_over_the_variable_and_nothing_is_said(live: tuple[Sandbox, str], folder: Path) -> None:
    """--config, then FLEXSYNC_CONFIG: a file that is named is used, and an empty variable means none."""
    (folder / "here.toml").write_text(f'[api]\nbase_url = "{live[1]}"\n')
    good = run(folder, "customers", "list", "--config", "here.toml", FLEXSYNC_CONFIG="flexsync.toml")
    assert (good.code, good.err) == (0, "")
    good = run(folder, "customers", "list", FLEXSYNC_CONFIG="here.toml")
    assert (good.code, good.err) == (0, "")
    good = run(folder, "customers", "list", base_url=live[1], FLEXSYNC_CONFIG="")
    assert (good.code, good.err) == (0, "")
    (folder / "flexsync.toml").write_text(f'[api]\nbase_url = "{live[1]}"\n')
    good = run(folder, "customers", "list", FLEXSYNC_CONFIG="flexsync.toml")
    assert (good.code, good.err) == (0, "")


def test_a_quiet_sync_stays_quiet(live: tuple[Sandbox, str], folder: Path) -> None:
    """--quiet says nothing on green, so a job that cron runs in such a folder sends no mail."""
    done = run(folder, "sync", "--only", "customers", "--quiet", base_url=live[1])
    assert (done.code, done.out, done.err) == (0, "", "")


def test_what_reads_the_copy_that_is_there_says_nothing(live: tuple[Sandbox, str], folder: Path) -> None:
    """`status` and `sql` name the file only where they find no copy; `verify` calls the server, so it does."""
    for words in (("status",), ("sql", "SELECT 1")):
        done = run(folder, *words)
        assert (done.code, done.err.count(NOTE)) == (2, 1)
    assert run(folder, "sync", "--store", "copy.duckdb", base_url=live[1]).code == 0
    for words in (("status",), ("sql", "SELECT 1"), ("sql", "--on", "copy.duckdb", "SELECT 1")):
        assert NOTE not in run(folder, *words).err
    assert NOTE in run(folder, "verify", "--sample", "1", base_url=live[1]).err


def test_a_wrong_setting_is_told_beside_the_note(folder: Path) -> None:
    """The note comes first, because what follows may fail for want of the file."""
    done = run(folder, "sync", "--profile", "live")
    assert done.code == 2
    assert done.err.index(NOTE) < done.err.index("there is no profile")


def test_without_such_a_file_nothing_is_said(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A folder of that name is no settings file."""
    (tmp_path / "flexsync.toml").mkdir()
    assert run(tmp_path, "customers", "list", base_url=live[1]).err == ""
