"""The recipes of configs/schedulers: each command runs as its scheduler runs it, and each code does what is said.

What a scheduler gives a command is given here too: its words, folder and few variables, the mode of the key's file, and
a home that cannot be written. Where `FLEXSYNC_TEST_BUILDER` names a builder (podman, docker), the image is built and
run as well; that needs dist/ and the internet.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from command import COMMAND, PATIENCE, Done, account

from connector.sandbox import Sandbox
from connector.store.store import Store
from pipelines.cli.main import cli

RECIPES = Path(__file__).parents[1] / "configs" / "schedulers"
BUILDER = os.environ.get("FLEXSYNC_TEST_BUILDER", "")


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = account(6)
    with sandbox.running() as base_url:
        yield sandbox, base_url


@dataclass
class Place:
    """A machine of a scheduler: a root folder with the paths that the recipes name, and nothing else."""

    root: Path
    base_url: str

    def __post_init__(self) -> None:
        config = f'[api]\nbase_url = "{self.base_url}"\n[sync]\npublish = ["duckdb:published/billing.duckdb"]\n'
        self.write("etc/flexsync/flexsync.toml", config, 0o644)
        self.write("data/flexsync.toml", config, 0o644)
        for name in ("etc/flexsync/key", "run/secrets/flexprice_key", "run/secrets/flexprice/flexprice_key"):
            self.write(name, "sandbox\n", 0o400)

    def write(self, name: str, text: str, mode: int) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def here(self, text: str) -> str:
        """The words of a recipe with its absolute paths in this root, and its `flexsync` as this one."""
        text = re.sub(r"(?<![\w.:/])/(etc|data|run|var)/", rf"{self.root}/\1/", text)
        return re.sub(r"(?<![\w./-])(/opt/flexsync/bin/)?flexsync(?= sync)", shlex.join(COMMAND), text)

    def run(self, command: str, env: Mapping[str, str], cwd: str = "data") -> Done:
        """Run a line in a shell with these variables only; the home cannot be written, not even by root."""
        given = {"PATH": "/usr/bin:/bin", "HOME": "/dev/null/home", "LOGNAME": "flexsync"}
        given |= {name: self.here(value) for name, value in env.items()}
        (self.root / cwd).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", self.here(command)], env=given, cwd=self.root / cwd, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(live: tuple[Sandbox, str], tmp_path: Path) -> Place:
    return Place(tmp_path, live[1])


def understood(words: list[str]) -> None:
    """The words behind `flexsync` are a command with options that it has."""
    name, *rest = words
    cli.commands[name].make_context(name, rest, resilient_parsing=False).close()


@pytest.mark.sampled
def test_cron(place: Place) -> None:
    """Green is silent, so there is no mail; a second run at the same time ends with 4 and says why, without flock."""
    (place.root / "var/lib/flexsync").mkdir(parents=True)
    lines = [line for line in (RECIPES / "crontab").read_text().splitlines() if line and line[0] != "#"]
    env = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    (job,) = (line for line in lines if not re.match(r"\w+=", line))
    minute, hour, *_, command = job.split(None, 5)
    assert (minute, hour) == ("30", "2")
    assert place.run(command, env) == Done(0, "", "")
    assert (place.root / "var/lib/flexsync/published/billing.duckdb").exists()
    with Store.open(place.root / "var/lib/flexsync/flexsync.duckdb"):
        busy = place.run(command, env)
    assert (busy.code, busy.out) == (4, "")
    assert "another run is writing" in busy.err


def unit(name: str) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(RECIPES / name)
    return parser


@pytest.mark.sampled
def test_systemd(place: Place) -> None:
    """The service runs in its folder with the key as a credential; only an unreachable API is tried again."""
    service = unit("flexsync.service")["Service"]
    name, _, source = service["LoadCredential"].partition(":")
    assert source == "/etc/flexsync/key"
    place.write(f"run/credentials/{name}", "sandbox\n", 0o400)
    variable, _, value = service["Environment"].partition("=")
    env = {variable: value.replace("%d", "/run/credentials")}
    done = place.run(service["ExecStart"], env, service["WorkingDirectory"].lstrip("/"))
    assert (done.code, done.out.split()[0]) == (0, "GREEN"), done.err
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    assert {0, 3, 130} == {0, 1, 2, 3, 4, 5, 130} - {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert service["SuccessExitStatus"] == "130"
    assert unit("flexsync.timer")["Timer"]["Persistent"] == "true"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """Systemd itself finds nothing wrong in them."""
    for name in ("flexsync.service", "flexsync.timer"):
        text = (RECIPES / name).read_text().replace("/opt/flexsync/bin/flexsync", COMMAND[0])
        (tmp_path / name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    said = [line for line in done.stderr.splitlines() if "flexsync" in line]
    assert said == []


def instructions() -> list[tuple[str, str]]:
    text = (RECIPES / "Containerfile").read_text()
    lines = [line.partition(" ") for line in text.splitlines() if line and line[0] != "#"]
    return [(word, rest) for word, _, rest in lines]


@pytest.mark.sampled
def test_container(place: Place) -> None:
    """Entry point and command run with the image's variables alone, write to its folder only, and go on from there."""
    steps = dict(instructions())
    command = [*yaml.safe_load(steps["ENTRYPOINT"]), *yaml.safe_load(steps["CMD"])]
    understood(command[1:])
    env = dict([steps["ENV"].split("=", 1)])
    assert (steps["USER"], steps["WORKDIR"]) == ("10001", "/data")
    before = {path for path in place.root.rglob("*") if not path.is_relative_to(place.root / "data")}
    assert place.run(" ".join(command), env).out.startswith("GREEN")
    (place.root / "data/flexsync.duckdb").unlink()  # a container without a disk for the store
    again = place.run(" ".join(command), env)
    assert "restored from duckdb:published/billing.duckdb" in again.err
    assert ", incremental, " in again.out.splitlines()[0]
    after = {path for path in place.root.rglob("*") if not path.is_relative_to(place.root / "data")}
    assert after == before


@pytest.mark.sampled
def test_kubernetes(place: Place) -> None:
    """Arguments, variables and mounts fit together; the key's mode is one that is taken; only code 3 is tried again."""
    job = yaml.safe_load((RECIPES / "cronjob.yaml").read_text())["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    container: dict[str, Any] = pod["containers"][0]
    understood(container["args"])
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == set(volumes)
    secret = volumes[mounts["/run/secrets/flexprice"]]["secret"]
    key = place.root / "run/secrets/flexprice/flexprice_key"
    for mode, code in ((secret["defaultMode"], 0), (secret["defaultMode"] | 0o040, 0), (0o644, 2)):  # own, with fsGroup
        key.chmod(mode)
        done = place.run(shlex.join(["flexsync", *container["args"]]), env, container["workingDir"].lstrip("/"))
        assert done.code == code, done.err
        assert done.json["status"] == ("green" if code == 0 else "failed")
    (rule,) = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 2, 4, 5])
    assert job["concurrencyPolicy"] == "Forbid"
    assert container["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.sampled
def test_github_actions(place: Place) -> None:
    """The step runs in the checkout; the next night has the publications alone, and is incremental."""
    steps = yaml.safe_load((RECIPES / "github-actions.yml").read_text())["jobs"]["sync"]["steps"]
    step = next(step for step in steps if step.get("run", "").startswith("flexsync"))
    understood(shlex.split(step["run"])[1:])
    assert step["env"] == {"FLEXPRICE_API_KEY": "${{ secrets.FLEXPRICE_API_KEY }}"}
    cached = {one["with"]["path"] for one in steps if one.get("uses", "").startswith("actions/cache")}
    assert cached == {"published"}
    assert place.run(step["run"], {"FLEXPRICE_API_KEY": "sandbox"}).out.startswith("GREEN")
    for path in (place.root / "data").iterdir():
        if path.name not in {"flexsync.toml", *cached}:
            path.unlink()
    again = place.run(step["run"], {"FLEXPRICE_API_KEY": "sandbox"})
    assert ", incremental, " in again.out.splitlines()[0], again.err
    assert (place.root / "data/sync.jsonl").exists()


@pytest.mark.skipif(not BUILDER, reason="FLEXSYNC_TEST_BUILDER names no builder")
def test_the_image_is_built_and_runs() -> None:
    """The image is built from a wheel, and its entry point answers as another user on a read-only root."""
    root = RECIPES.parents[1]
    build = [BUILDER, "build", "-f", str(RECIPES / "Containerfile"), "-t", "flexsync-test", str(root)]
    subprocess.run(build, check=True, timeout=1800)
    words = [
        BUILDER,
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "flexsync-test",
        "demo",
        "--folder",
        "/data/demo",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=True)
    assert "GREEN" in done.stderr


def test_a_recipe_names_only_options_that_exist() -> None:
    """The check of the other tests is one: a word that no command has is an error."""
    with pytest.raises(click.UsageError):
        understood(["sync", "--nonsense"])
