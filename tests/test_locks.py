"""Locks: one process holds one at a time, and a command that ended, well or badly, leaves no file of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import filelock
import pytest
from command import PATIENCE, account, command, environment
from sizes import Size, sizes

from connector.locks import Lock, TakenError, held
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


@sizes(default=30, sampled=100, thorough=5000)
def test_one_process_at_a_time_holds_a_lock_whose_file_goes_and_comes(tmp_path: Path, size: Size) -> None:
    """Four processes that take a lock and give it back as fast as they can are never inside together."""
    (tmp_path / "number").write_text("0")
    words = [sys.executable, "-c", COUNT_UP, str(tmp_path), str(size.count)]
    processes = [subprocess.Popen(words) for _ in range(PROCESSES)]
    assert [process.wait(PATIENCE) for process in processes] == [0] * PROCESSES
    assert (tmp_path / "number").read_text() == str(PROCESSES * size.count)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["number"]


INSIDE = """
import os, sys, time
from pathlib import Path
from connector.locks import held
folder, own = Path(sys.argv[1]), str(os.getpid()).encode()
log = os.open(folder / "log", os.O_APPEND | os.O_WRONLY)
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    with held(folder / "a.lock", 240):
        os.write(log, b"+" + own + b"\\n")
        time.sleep(0.0005)
        os.write(log, b"-" + own + b"\\n")
"""


@sizes(default=1, sampled=10, thorough=200)
def test_killed_holders_let_nobody_in_beside_another(tmp_path: Path, size: Size) -> None:
    """Two processes are killed while four take a lock in turn: whoever is inside is alone, and no file is left."""
    chance = size.chance()
    (tmp_path / "log").touch()
    for _ in range(size.count):
        words = [sys.executable, "-c", INSIDE, str(tmp_path)]
        victims = [subprocess.Popen([*words, "100000"], stdout=subprocess.PIPE) for _ in range(2)]
        others = [subprocess.Popen([*words, "60"], stdout=subprocess.PIPE) for _ in range(2)]
        for process in (*victims, *others):
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        for victim in victims:
            time.sleep(chance.random() * 0.03)
            victim.kill()
        assert [victim.wait(PATIENCE) for victim in victims] == [-signal.SIGKILL] * 2
        assert [other.wait(PATIENCE) for other in others] == [0] * 2
        for process in (*victims, *others):
            assert process.stdout
            process.stdout.close()
        killed = {str(victim.pid) for victim in victims}
        steps = (tmp_path / "log").read_text().splitlines()
        for step, following in pairwise([*steps, "+"]):
            if step[0] == "+":  # it leaves before anybody comes, or was killed inside, and never comes again
                assert following == f"-{step[1:]}" or step[1:] in killed, (step, following)
        (tmp_path / "log").write_text("")
    with held(tmp_path / "a.lock"):  # of a victim that was the last
        pass
    assert _locks(tmp_path) == []


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


def _run(folder: Path) -> str:
    """The id of the run that was applied there."""
    (journal,) = folder.glob("c.*.journal")
    return journal.name.split(".")[1]


def test_a_lock_that_is_held_is_told_and_left_to_its_holder(tmp_path: Path) -> None:
    """A plan that another command works at, or whose rejected rows it writes: 4, nothing is moved, the lock stays."""
    (tmp_path / "c.csv").write_text("external_id,name\nnew-1,New\nnew-2,\n")
    with account(6).running() as base_url:
        env, plan = environment(base_url), ("import", "plan", "c.csv", "--onboarding", "skip")
        assert command(*plan, env=env, cwd=tmp_path).code == 1
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        for name, words in (
            ("c.plan.lock", plan), ("c.rejected.csv.lock", plan),
            ("c.plan.lock", ("import", "apply", "c.plan", "--yes")),
            ("c.rejected.csv.lock", ("import", "plan", "c.rejected.csv")),
        ):  # fmt: skip
            with held(tmp_path / name):
                done = command(*words, env=env, cwd=tmp_path)
                assert (done.code, f"another plan or apply has {name.removesuffix('.lock')}" in done.err) == (4, True)
                assert _locks(tmp_path) == [name]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_command_that_ended_leaves_a_lock(tmp_path: Path) -> None:
    """Whether it is done, refused or cut short: sync, publications, state, plan, apply and undo."""
    (tmp_path / "c.csv").write_text("external_id,name\nnew-1,New\n")
    (tmp_path / "bad.csv").write_text("nothing,known\n1,2\n")
    (tmp_path / "some.csv").write_text("external_id,name\nnew-1,Newer\nnew-2,\n")
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
            (0, ("import", "apply", "c.plan")),
            (2, ("import", "undo", "none")),
            (0, ("import", "undo", "RUN", "--html", "p.html")),
            (2, ("import", "apply", "undo.plan")),
            (1, ("import", "plan", "some.csv", "--onboarding", "skip")),
            (2, ("import", "plan", "some.rejected.csv", "--onboarding", "skip")),
        ):
            words = tuple(_run(tmp_path) if word == "RUN" else word for word in words)
            done = command(*words, env=env, cwd=tmp_path)
            assert done.code == code, (words, done.err)
            assert _locks(tmp_path) == [], words
    with Store.open(tmp_path / "flexsync.duckdb"):
        assert _locks(tmp_path) == ["flexsync.duckdb.lock"]
