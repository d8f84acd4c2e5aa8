"""A user's program over the whole library, and the pages' examples, pass type checkers, which find every slip."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import connector
import docs
import flexsync
from pipelines.demo import demo
from pipelines.progress import Progress

TYPED = Path(__file__).parent / "typed"
PYRIGHT = shutil.which("pyright")  # it brings a node of its own, so it is no dependency of the tests


def test_flexsync_offers_what_connector_offers() -> None:
    """`import flexsync` has the public names of `connector`, and they are the same objects."""
    assert flexsync.__all__ == connector.__all__
    assert [name for name in flexsync.__all__ if getattr(flexsync, name) is not getattr(connector, name)] == []
    assert dir(flexsync) == dir(connector)
    with pytest.raises(AttributeError, match="flexsync"):
        flexsync.opne  # type: ignore[attr-defined]  # noqa: B018
    for package in (flexsync, connector):
        assert (Path(str(package.__file__)).parent / "py.typed").exists()


def test_importing_flexsync_imports_nothing_heavy() -> None:
    """The names are loaded on first use."""
    program = "import sys, flexsync; print([m for m in ('duckdb', 'pyarrow', 'pandas', 'httpx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=docs.ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.sampled
def test_the_users_program_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the type checkers see is also what works."""
    sys.path.insert(0, str(TYPED))
    try:
        import right
    finally:
        sys.path.remove(str(TYPED))
    demo(tmp_path, 10, 7, Progress())
    right.main(str(tmp_path / "billing.duckdb"))
    assert "green" in capsys.readouterr().out


def examples(folder: Path) -> list[Path]:
    """Every Python example of README.md and docs/, each page's as one program."""
    found = []
    for page in docs.PAGES:
        code = "\n".join(block.text for block in docs.blocks(page) if block.kind == "python")
        if code:
            found.append(folder / f"{page.stem.lower()}_page.py")
            found[-1].write_text(code, encoding="utf-8")
    return found


@pytest.fixture
def programs(tmp_path: Path) -> list[Path]:
    """Copies outside of the project, as a user's are."""
    return [Path(shutil.copy(TYPED / "right.py", tmp_path)), *examples(tmp_path)]


@pytest.fixture
def slips(tmp_path: Path) -> tuple[Path, set[int]]:
    text = (TYPED / "wrong.py").read_text(encoding="utf-8")
    lines = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")}
    return Path(shutil.copy(TYPED / "wrong.py", tmp_path)), lines


def mypy(*files: Path) -> str:
    """What mypy --strict says about files of a user."""
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "--no-pretty"]
    env = {**os.environ, "MYPYPATH": str(docs.ROOT)}
    folder = files[0].parent
    done = subprocess.run(
        [*command, *map(str, files)], capture_output=True, text=True, check=False, cwd=folder, env=env
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def pyright(*files: Path) -> list[tuple[str, int, str]]:
    """File, line and message of what pyright says about files of a user."""
    settings = {
        "extraPaths": [str(docs.ROOT)],
        "include": [file.name for file in files],
        "typeCheckingMode": "standard",
    }
    (files[0].parent / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, "-p", str(files[0].parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=files[0].parent)
    told = json.loads(done.stdout)["generalDiagnostics"]
    told = [one for one in told if one["severity"] == "error"]
    return [(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"]) for one in told]


@pytest.mark.sampled
def test_mypy_passes_a_users_program_and_finds_every_slip(programs: list[Path], slips: tuple[Path, set[int]]) -> None:
    """The program and the pages' examples pass --strict; each slip is found, and nothing else."""
    told = re.sub(
        r"^.*stubs not installed for.*$", "", mypy(*programs, slips[0]), flags=re.M
    )  # the user's own business
    assert [line for line in told.splitlines() if " error:" in line and not line.startswith("wrong.py")] == []
    assert {int(line) for line in re.findall(r"^wrong\.py:(\d+): error", told, re.M)} == slips[1]


@pytest.mark.sampled
@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_pyright_passes_a_users_program_and_finds_every_slip(
    programs: list[Path], slips: tuple[Path, set[int]]
) -> None:
    """As mypy does."""
    told = pyright(*programs, slips[0])
    assert [one for one in told if one[0] != "wrong.py"] == []
    assert {line for name, line, _ in told if name == "wrong.py"} == slips[1]
