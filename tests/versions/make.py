"""Make the folder of the version at hand: `.venv/bin/python tests/versions/make.py`, once, before its release.

It does what README.md says, with the command itself, against a sandbox on loopback. Port 8473 must be free, because the
plan names its server. Never done: replacing a folder that is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import sleep
from typing import Any

from connector.push.plan.planfile import Plan
from connector.store.store import Store
from connector.tables.schemas import SCHEMA_VERSION

HERE = Path(__file__).parent
FLEXSYNC = (sys.executable, "-m", "pipelines.cli")
PORT = 8473
SERVER = {"FLEXPRICE_BASE_URL": f"http://127.0.0.1:{PORT}/v1", "FLEXPRICE_API_KEY": "sandbox"}
SANDBOX = ("sandbox", "--customers", "60", "--seed", "7", "--port", str(PORT))
SYNC = ("sync", "--store", "work.duckdb", "--publish", "duckdb:billing.duckdb", "--publish", "parquet:lake")
PLAN = ("import", "plan", "customers.csv", "--onboarding", "skip")
APPLY = ("import", "apply", "customers.plan", "--yes")
FILE = """external_id,name,email,address_country,metadata.tier
acct-0000000,Cedar Ltd,,,
acct-0000001,,billing@quay.example,FR,gold
acct-0000003,,,,\\N
acme-7,Acme Seven,ops@acme.example,US,silver
acme-8,"Acme, Eight",,,
acme-9,,,,
"""


def main() -> None:
    """Make the folder, or say that it is there."""
    target = HERE / f"{version('flexsync')}-schema-{SCHEMA_VERSION}"
    if target.exists():
        sys.exit(f"{target} is there: archives are never made anew.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder):
            work(folder)
        facts = json.dumps(facts_of(folder), indent=1) + "\n"
        target.mkdir()
        (target / "facts.json").write_text(facts)
        pack(folder, target / "made.tar.xz")
    print(f"{target}:\n{facts}", end="")


@contextmanager
def sandbox(folder: Path) -> Iterator[None]:
    """Serve the account for the length of a block."""
    with subprocess.Popen([*FLEXSYNC, *SANDBOX], cwd=folder, env=environment()) as server:
        try:
            for _ in range(300):
                if answers():
                    break
                sleep(0.1)
            yield
        finally:
            server.terminate()


def answers() -> bool:
    """Return whether the sandbox serves; any HTTP status will do."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1", timeout=1)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def environment() -> dict[str, str]:
    """Return an environment in which `pipelines` is found and only the sandbox is called."""
    return {**os.environ, **SERVER, "PYTHONPATH": str(HERE.parents[1])}


def flexsync(folder: Path, *arguments: str, code: int = 0) -> None:
    """Run one command, which has to exit with `code`."""
    found = subprocess.run([*FLEXSYNC, *arguments], cwd=folder, env=environment(), check=False).returncode
    if found != code:
        sys.exit(f"flexsync {' '.join(arguments)} exited with {found}, not {code}.")


def work(folder: Path) -> None:
    """Run two syncs, make a plan and apply it; a copy of the plan stays unapplied."""
    (folder / "customers.csv").write_text(FILE)
    flexsync(folder, *SYNC)
    flexsync(folder, *SYNC)
    flexsync(folder, *PLAN, code=1)  # one line of the file is invalid
    shutil.copy(folder / "customers.plan", folder / "waiting.plan")
    flexsync(folder, *APPLY)


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what the tests know of the folder."""
    plan = Plan.read(folder / "waiting.plan")
    with Store.open(folder / "work.duckdb") as store:
        run = store.last_run()
        return {
            "schema": SCHEMA_VERSION,
            "run": run.run_id if run else "",
            "import_run": plan.header.run,
            "digest": plan.digest,
            "usage": store.count("SELECT count(*) FROM usage"),
        }


def pack(folder: Path, archive: Path) -> None:
    """Pack the folder, without lock files."""
    with tarfile.open(archive, "w:xz") as packed:
        for path in sorted(folder.iterdir()):
            if not path.name.endswith(".lock"):
                packed.add(path, path.name, filter=lambda entry: None if entry.name.endswith(".lock") else entry)


if __name__ == "__main__":
    main()
