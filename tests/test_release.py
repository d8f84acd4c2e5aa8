"""What a release holds: all packages, one version everywhere, and archives that work when they are installed alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_in_the_wheel(settings: dict[str, Any]) -> None:
    """A folder with an __init__.py at the top is found by setuptools, typed, and checked by mypy and lint-imports."""
    packages = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    assert packages == ["connector", "flexsync", "pipelines"]
    found = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    data = settings["tool"]["setuptools"]["package-data"]
    assert [name for name in packages if not any(fnmatch(name, pattern) for pattern in found)] == []
    assert [name for name in packages if "py.typed" not in data[name] or not (ROOT / name / "py.typed").exists()] == []
    assert sorted(settings["tool"]["mypy"]["packages"]) == packages
    assert sorted(settings["tool"]["importlinter"]["root_packages"]) == packages


def test_every_file_that_is_no_module_is_in_the_wheel(settings: dict[str, Any]) -> None:
    """Templates and the like are named as package data."""
    data = settings["tool"]["setuptools"]["package-data"]
    for name, patterns in data.items():
        files = [path for path in (ROOT / name).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
        left = [path for path in files if not any(path.match(f"{name}/{pattern}") for pattern in patterns)]
        assert left == []


def test_the_changelog_begins_with_the_version(settings: dict[str, Any]) -> None:
    """The version of pyproject.toml is the one under way in CHANGELOG.md."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", text, re.M)
    assert newest
    assert newest[1] == settings["project"]["version"]


def test_the_versions_of_python_are_those_that_ci_looks_for(settings: dict[str, Any]) -> None:
    """The oldest classifier is the oldest version that installs, and the versions have no gap."""
    told = re.findall(r"Python :: 3\.(\d+)", " ".join(settings["project"]["classifiers"]))
    numbers = [int(minor) for minor in told]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert settings["project"]["requires-python"] == f">=3.{numbers[0]}"
    assert sys.version_info[1] in numbers


@pytest.mark.thorough
def test_the_archives_work_alone(tmp_path: Path) -> None:
    """Wheel and source archive, installed alone in a clean environment, play the demo, and the pages are true of them.

    It needs a package index, and takes some minutes.
    """
    done = subprocess.run([ROOT / ".ci" / "release", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("installed alone, it plays the demo") == 2
    assert done.stdout.count("shows what is installed") >= 7
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gz", ".whl"]
