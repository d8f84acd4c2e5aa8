"""The demo: a sandbox server, a sync, a publication, and one question answered with SQL. No account, no internet.

Promised: the answer is read from the publication that the demo leaves behind; nothing outside its folder is touched.
Never done: using a real account; the server is the sandbox, and its numbers are invented.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.errors import FixInput, OurFault
from connector.publications import reading as copies
from connector.settings import Settings, load
from pipelines import jobs
from pipelines.progress import Progress
from pipelines.summary import Report
from pipelines.sync import Options

QUESTION = "Which customers have used up more than they are entitled to?"
ANSWER = """SELECT c.name, f.name AS feature, u.current_usage AS used, u.total_limit AS "limit",
    round(u.usage_percent * 100, 1) AS percent
FROM usage u
JOIN customers c ON c.id = u.customer_id
JOIN features f ON f.id = u.feature_id
WHERE f.type = 'metered' AND u.total_limit > 0 AND u.current_usage > u.total_limit
ORDER BY u.usage_percent DESC, c.name
LIMIT 5"""


def demo(folder: Path, customers: int, seed: int, progress: Progress) -> tuple[Report, Any]:
    """Load a sandbox account into `folder` and answer the question.

    Args:
        folder: made when missing; files of an earlier demo are replaced.
        customers: number of customers in the sandbox account.
        seed: of its invented data.
        progress: gets the steps, counts and notes of the sync.

    Returns:
        The report of the sync, and the answer as an Arrow table.

    Raises:
        FixInput: the folder holds something else.
    """
    clear(folder)
    with server("connector.sandbox", "--customers", str(customers), "--seed", str(seed)) as (base_url, _):
        report = jobs.sync(settings_for(folder, base_url), Options(), progress)
    return report, answer(folder)


def settings_for(folder: Path, base_url: str, *, published: bool = True, **given: Any) -> Settings:
    """Return the settings of the demo: its folder's store and, if `published`, its publications; no environment.

    Args:
        folder: of the demo.
        base_url: of the sandbox.
        published: whether the run is published.
        **given: further settings by name.
    """
    targets = (f"duckdb:{folder / 'billing.duckdb'}", f"parquet:{folder / 'lake'}")
    return load(
        environ={},
        base_url=base_url,
        api_key="sandbox",
        store=folder / "work.duckdb",
        publish=targets if published else (),
        **given,
    )


def answer(folder: Path) -> Any:
    """Return the answer to `QUESTION` as an Arrow table, read from the demo's publication."""
    with copies.open(folder / "billing.duckdb") as reading:
        return reading.sql(ANSWER)


def clear(folder: Path) -> None:
    """Make the folder, or remove what an earlier demo left in it.

    A copy has the same file names whoever made it, so a demo marks its folder, and empties only a marked one. git
    ignores all that is in it.

    Raises:
        FixInput: it is no folder, or holds what no demo made.
    """
    if folder.exists() and not folder.is_dir():
        raise FixInput(f"{folder} is a file.", remedy="Give another --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    mark, known = folder / ".demo", {"work", "billing", "lake", "demo", "gitignore"}
    held = [path.name for path in folder.iterdir() if path.name != mark.name]
    foreign = [name for name in held if not mark.exists() or name.lstrip(".").split(".")[0] not in known]
    if foreign:
        raise FixInput(f"{folder} holds {foreign[0]}, which is not a demo's.", remedy="Give another --folder.")
    mark.write_text("`flexsync demo` made this folder, and empties it when it runs again.\n", encoding="utf-8")
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    for path in (*folder.glob("work.duckdb*"), *folder.glob("billing.duckdb*")):
        path.unlink()
    if (folder / "lake" / "manifest.json").exists():  # of an earlier demo
        shutil.rmtree(folder / "lake")


@contextmanager
def server(module: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a sandbox in its own process, so that server and client can use a core each.

    Args:
        module: what to run with `python -m`; its first line on stdout is its base URL.
        *arguments: of the module.

    Yields:
        The base URL, and the process.
    """
    command = [sys.executable, "-m", module, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603  # our own module
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            if not line.startswith("http://"):
                raise OurFault("the sandbox did not start.", remedy=f"Try `python -m {module}` by itself.")
            yield line, process
        finally:
            process.terminate()
            process.wait(timeout=10)
