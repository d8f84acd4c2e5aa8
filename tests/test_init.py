"""`flexsync init` leads to a first sync, and the key may come from a file that nobody else can read."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
from command import COMMAND, PATIENCE, account, command, environment
from sizes import few

from connector.errors import FixInput
from connector.sandbox import Sandbox
from connector.settings import Settings, load
from pipelines.init import IGNORED, config_text, ignore


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account(6)
    with sandbox.running() as base_url:
        yield sandbox, base_url


def test_init_and_the_command_that_it_names(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """With flags: what was checked and written, and a next command that is green; `status` needs no flag then."""
    env = environment(key="sandbox")
    flags = ("--base-url", live[1], "--key-env", "FLEXPRICE_API_KEY")
    done = command("init", *flags, env=env, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "ok   key: *** from the variable FLEXPRICE_API_KEY" in done.out
    assert "ok   server: " in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "flexsync.toml"]
    following = re.findall(r"^next +flexsync (.*)$", done.out, re.M)
    assert following == ["sync --config flexsync.toml"]
    assert command(*following[0].split(), env=env, cwd=tmp_path).code == 0
    assert (tmp_path / "published" / "billing.duckdb").exists()
    assert command("status", env=env, cwd=tmp_path).code == 0
    again = command("init", *flags, env=env, cwd=tmp_path)
    assert (again.code, again.out) == (2, "")
    assert "flexsync.toml exists and is not overwritten" in again.err


def test_without_a_terminal_the_flags_are_named(tmp_path: Path) -> None:
    """Nothing is asked for where nobody can answer, and nothing is written."""
    done = command("init", env=environment(), cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "--base-url and --key-env missing" in done.err
    assert not list(tmp_path.iterdir())


WRONG = {
    "a wrong key": (("--key-env", "OTHER_KEY"), 3, "401"),
    "no key": (("--key-env", "NO_KEY"), 2, "NO_KEY is not set"),
    "no key file": (("--key-file", "none"), 2, "key_file none cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_nothing_is_written_for_an_account_that_cannot_be_read(
    live: tuple[Sandbox, str], tmp_path: Path, name: str
) -> None:
    """Address and key are tried first; the exit code is that of a sync that would fail so."""
    words, code, said = WRONG[name]
    env = environment(key="sandbox", OTHER_KEY="wrong")
    done = command("init", "--base-url", live[1], *words, env=env, cwd=tmp_path)
    assert done.code == code, done.err
    assert said in done.err
    assert not list(tmp_path.iterdir())
    assert command("init", "--base-url", live[1], *words, "--no-check", env=env, cwd=tmp_path).code == 0


@pytest.mark.sampled
@pytest.mark.parametrize("exported", [False, True])
def test_on_a_terminal_it_asks(live: tuple[Sandbox, str], tmp_path: Path, exported: bool) -> None:
    """Two questions: the address, and where the key is; an empty answer takes what stands in brackets.

    Where the environment names an address, that one: the key of one server never goes to another.
    """
    mine, its = pty.openpty()
    words, env = [*COMMAND, "init"], environment(key="sandbox")
    offered = live[1] if exported else "https://us.api.flexprice.io/v1"
    if exported:
        env["FLEXPRICE_BASE_URL"] = live[1]
    process = subprocess.Popen(words, env=env, cwd=tmp_path, stdin=its, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(mine, b"\n\n" if exported else f"{live[1]}\n\n".encode())
    out, err = process.communicate(timeout=PATIENCE)
    os.close(mine)
    os.close(its)
    assert process.returncode == 0, err
    assert f"Address of the API [{offered}]: ".encode() in err
    assert b"[FLEXPRICE_API_KEY]: " in err
    assert b"next  flexsync sync" in out
    assert load(tmp_path / "flexsync.toml", environ={}).api.base_url == live[1]


def test_the_file_holds_every_setting() -> None:
    """It loads to what was given; with every setting uncommented to the defaults, and to examples where none is."""
    given = load(environ={}, base_url="https://x.example/v1", publish=("duckdb:a.duckdb",), max_in_flight=7)

    def loaded(text: str, folder: Path = Path("/tmp")) -> Settings:
        path = folder / f"flexsync-{os.getpid()}.toml"
        path.write_text(text)
        try:
            return msgspec.structs.replace(load(path, environ={}), config=None)
        finally:
            path.unlink()

    assert loaded(config_text(given)) == given
    plain = re.sub(r"^# (\w+ = .*)$", r"\1", config_text(Settings()), flags=re.M)
    example = loaded(plain)
    assert (example.flow.max_calls, example.flow.calls_per_second) == (100000, 50.0)
    flow = msgspec.structs.replace(example.flow, max_calls=None, calls_per_second=None)
    assert msgspec.structs.replace(example, flow=flow) == Settings()
    assert all(len(line) <= 160 for line in plain.splitlines())


def test_lines_of_gitignore_stay(tmp_path: Path) -> None:
    """Patterns are added once, below what stands there."""
    (tmp_path / ".gitignore").write_text("node_modules/\n*.plan")
    assert set(ignore(tmp_path)) == set(IGNORED) - {"*.plan"}
    assert (tmp_path / ".gitignore").read_text().startswith("node_modules/\n*.plan\n\n# Copies")
    assert ignore(tmp_path) == []


OURS = (
    "flexsync.duckdb", "flexsync.duckdb.lock", "flexsync.last.json", "published/b.duckdb", "lake/manifest.json",
    "elsewhere/manifest.json", "c.plan", "c.plan~", "c.plan~2", "c.20261129T043154Z-9d88dc.plan", "c.RUN.journal",
    "c.RUN.results.csv", "c.RUN.results.xlsx", "c.rejected.csv", "c.rejected.csv~", "c.rejected.csv~3",
    "c.rejected.xlsx", "c.RUN.rejected.csv", "c.RUN.rejected.csv~", "c.doubts.csv", "c.doubts.csv~", ".c.plan.lock",
)  # fmt: skip
"""What copies and imports leave: customers' data, and locks."""


def test_whatever_we_leave_is_ignored(tmp_path: Path) -> None:
    """The file that init writes, and the project's own, keep from git every file that a copy or an import leaves."""
    flags = ("--base-url", "https://x.example/v1", "--key-env", "K", "--no-check", "--publish", "parquet:elsewhere")
    done = command("init", *flags, env=environment(), cwd=tmp_path)
    assert "wrote .gitignore: copies and imports are never committed" in done.out
    for folder, skipped in ((tmp_path, ()), (Path(__file__).parents[1], ("elsewhere/",))):
        patterns = [line for line in (folder / ".gitignore").read_text().splitlines() if line and line[0] != "#"]
        committed = [name for name in OURS if not name.startswith(skipped or ("/",)) and not _ignored(name, patterns)]
        assert committed == [], folder
    assert ".gitignore" in command("init", "--help", env=environment(), cwd=tmp_path).out


def _ignored(name: str, patterns: list[str]) -> bool:
    """Whether git ignores a file: by its name, or by a folder that it is in."""
    folder, _, last = name.rpartition("/")
    return any(fnmatch(last, pattern) or (pattern.endswith("/") and f"{folder}/" == pattern) for pattern in patterns)


# --- the key in a file ----------------------------------------------------------------------------------------------


def key_file(folder: Path, mode: int, text: str = "sandbox\n") -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", few([0o400, 0o600, 0o440, 0o640]))
def test_a_key_comes_from_a_file(live: tuple[Sandbox, str], tmp_path: Path, mode: int) -> None:
    """As a mounted secret is: through a link, with a line end. A variable that is set wins over the file."""
    key_file(tmp_path, mode)
    (tmp_path / "mounted").symlink_to("key")
    env = environment(live[1], key="", FLEXPRICE_API_KEY_FILE="mounted")
    assert command("customers", "list", "--limit", "1", env=env, cwd=tmp_path).code == 0
    env["FLEXPRICE_API_KEY"] = "wrong"
    assert command("customers", "list", "--limit", "1", env=env, cwd=tmp_path).code == 3


@pytest.mark.parametrize("mode", few([0o644, 0o604, 0o660, 0o602, 0o601]))
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message names the file, its mode and the way out, and never the key; a command without calls needs no key."""
    path = key_file(tmp_path, mode)
    settings = load(environ={}, key_file=str(path))
    with pytest.raises(FixInput) as refused:
        settings.require_key()
    assert f"{path} is open to others (mode {mode:04o})" in str(refused.value)
    assert "chmod 600" in str(refused.value)
    assert "sandbox" not in str(refused.value)


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("a b", "holds a space"), ("\x00\xff", "outside ASCII")])
def test_a_file_that_holds_no_key(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file and says what is wrong with it."""
    path = key_file(tmp_path, 0o600, text)
    with pytest.raises(FixInput, match=said) as refused:
        load(environ={}, key_file=str(path)).require_key()
    assert str(path) in str(refused.value)
