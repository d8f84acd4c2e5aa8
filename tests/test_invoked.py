"""What is printed to be typed next can be typed: the command that ran, by a path where the shell does not find it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, PATIENCE, command, environment, flexsync

from connector.sandbox import Sandbox
from pipelines.demo import clear
from pipelines.report.invoked import invoked


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scripts of an environment that nobody activated, with a space in its path."""
    folder = tmp_path / "my project" / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "flexsync"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("PATH", os.defpath)
    return folder


def test_an_activated_environment_needs_no_path(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the shell finds this very command, also by a link as pipx makes one, its name suffices."""
    monkeypatch.setenv("PATH", f"{venv}{os.pathsep}{os.defpath}")
    assert invoked() == "flexsync"
    links = venv.parent / "links"
    links.mkdir()
    (links / "flexsync").symlink_to(venv / "flexsync")
    monkeypatch.setenv("PATH", str(links))
    assert invoked() == "flexsync"


def test_another_environment_is_named_by_its_path(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole and quoted, or relative where it lies below the current folder; also where the shell finds another one."""
    assert invoked() == f"'{venv}/flexsync'"
    monkeypatch.chdir(venv.parent.parent)
    assert invoked() == ".venv/bin/flexsync"
    other = venv.parent / "other"
    other.mkdir()
    (other / "flexsync").write_text("#!/bin/sh\n")
    (other / "flexsync").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    assert invoked() == ".venv/bin/flexsync"


def test_a_script_beside_another_python_is_known_by_its_call(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install --user` puts it elsewhere than Python; a folder of that name is no script."""
    own = venv.parent / "own"
    own.mkdir()
    (venv / "flexsync").rename(own / "flexsync")
    monkeypatch.setattr(sys, "argv", [str(own / "flexsync"), "demo"])
    assert invoked() == f"'{own}/flexsync'"
    monkeypatch.setenv("PATH", str(own))
    assert invoked() == "flexsync"
    monkeypatch.chdir(venv)
    (venv / "flexsync").mkdir()
    monkeypatch.setattr(sys, "argv", ["flexsync", "demo"])
    monkeypatch.setenv("PATH", os.defpath)
    assert invoked() == "./python -m pipelines.cli"


def test_the_commands_that_a_demo_suggests_work_as_they_stand(tmp_path: Path) -> None:
    """Typed into a shell that has no environment activated, each ends with 0 and prints something."""
    bare = {**environment(key=""), "PATH": os.defpath}
    done = flexsync("demo", "--folder", "d", "--customers", "8", env=bare, cwd=tmp_path)
    assert done.code == 0, done.err
    typed = [line.strip() for line in done.out.partition("Try next:")[2].splitlines() if line.strip()]
    assert len(typed) == 2
    for line in typed:
        again = subprocess.run(
            line, shell=True, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert again.returncode == 0, again.stderr
        assert again.stdout


def test_init_and_the_sandbox_name_what_can_be_typed_too(tmp_path: Path) -> None:
    """Their next command begins with the same words as the demo's."""
    bare = {**environment(), "PATH": os.defpath}
    with Sandbox(customers=2, seed=7).running() as base_url:
        done = command("init", "--base-url", base_url, "--key-env", "FLEXPRICE_API_KEY", env=bare, cwd=tmp_path)
    assert f"next  {_here()} sync --config flexsync.toml" in done.out
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "--customers", "2", "--port", "0"], env=bare, cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert f"FLEXPRICE_API_KEY=sandbox {_here()} sync --store" in process.stdout.readline()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _here() -> str:
    beside = Path(sys.executable).with_name("flexsync")
    return str(beside) if beside.exists() else f"{sys.executable} -m pipelines.cli"


def test_a_demos_folder_is_ignored_by_git(tmp_path: Path) -> None:
    """Nothing of it is ever offered for a commit, and the next demo still knows the folder for its own."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for _ in range(2):
        clear(tmp_path / "d")
        (tmp_path / "d" / "billing.duckdb").write_text("")
    told = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == ""
