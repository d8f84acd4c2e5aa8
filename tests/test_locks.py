"""Locks: one process holds one at a time, and a command that ended, well or badly, leaves no file of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from command import PATIENCE, account, command, environment
from sizes import Size, sizes

from connector.locks import Lock, TakenError
from connector.store.store import Store

PROCESSES = 4


COUNT_UP = """
import os, sys
from pathlib import Path
from connector.locks import held
folder = Path(sys.argv[1])
number, inside = folder / "number", folder / "inside"
for _ in range(int(sys.argv[2])):
    with held(folder / "number.lock", 240):
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if another process is inside
        number.write_text(str(int(number.read_text()) + 1))
        inside.unlink()
"""


@sizes(default=30, sampled=400, thorough=5000)
def test_one_process_at_a_time_holds_a_lock_whose_file_goes_and_comes(tmp_path: Path, size: Size) -> None:
    """Four processes that take a lock and give it back as fast as they can are never inside together."""
    (tmp_path / "number").write_text("0")
    words = [sys.executable, "-c", COUNT_UP, str(tmp_path), str(size.count)]
    processes = [subprocess.Popen(words) for _ in range(PROCESSES)]
    assert [process.wait(PATIENCE) for process in processes] == [0] * PROCESSES
    assert (tmp_path / "number").read_text() == str(PROCESSES * size.count)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["number"]


def test_a_file_that_a_killed_process_left_is_no_lock(tmp_path: Path) -> None:
    """The file alone holds nobody up, and goes with the next lock; a lock that is held does."""
    path = tmp_path / "a.lock"
    path.touch()
    lock = Lock.take(path)
    with pytest.raises(TakenError):
        Lock.take(path)
    lock.release()
    lock.release()
    assert not path.exists()


def test_who_gets_a_lock_at_the_moment_it_is_given_back_holds_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first holder gives it back, the second one takes it; no third gets in."""
    path, given_back = tmp_path / "a.lock", filelock.UnixFileLock._release
    second: list[Lock] = []

    def release(inner: filelock.UnixFileLock) -> None:
        given_back(inner)
        if not second:
            second.append(Lock.take(path))

    first = Lock.take(path)
    monkeypatch.setattr(filelock.UnixFileLock, "_release", release)
    first.release()
    with pytest.raises(TakenError):
        Lock.take(path)
    second[0].release()
    assert not path.exists()


def _locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.lock"))


def test_no_command_that_ended_leaves_a_lock(tmp_path: Path) -> None:
    """Whether it is done, refused or cut short: sync, publications, state, plan and apply."""
    (tmp_path / "c.csv").write_text("external_id,name\nnew-1,New\n")
    (tmp_path / "bad.csv").write_text("nothing,known\n1,2\n")
    published = ("--publish", "duckdb:out.duckdb", "--publish", "parquet:lake")
    with account(6).running() as base_url:
        env = environment(base_url)
        for code, words in (
            (2, ("sync", "--base-url", f"{base_url}/none")),
            (1, ("sync", "--max-calls", "5")),
            (0, ("sync", *published)),
            (2, ("state", "set", "2100-01-01")),
            (0, ("import", "plan", "c.csv", "--onboarding", "skip")),
            (2, ("import", "plan", "bad.csv")),
            (2, ("import", "apply", "none.plan", "--yes")),
            (0, ("import", "apply", "c.plan", "--yes")),
        ):
            done = command(*words, env=env, cwd=tmp_path)
            assert done.code == code, (words, done.err)
            assert _locks(tmp_path) == [], words
    with Store.open(tmp_path / "flexsync.duckdb"):
        assert _locks(tmp_path) == ["flexsync.duckdb.lock"]
