"""Runs what README.md and docs/*.md show, and compares, or writes, what it prints.

`python tests/docs.py` writes all outputs and generated pages anew, `python tests/docs.py docs/import.md` one page's;
`tests/test_docs.py` compares. Each page runs from top to bottom in an empty folder of its own. By the word behind the
fence, a block is:

- `console`: lines that start with `$ ` are run, what follows is their output. A comment `# exit code N` at the end
  says that the command exits with N instead of 0. `flexsync sandbox …` stays up to the end of the page, on a free port
  in place of 8080. `RUN` is the run that the last line `undo` on the page names. An output of more than 60 lines ends
  with `…`.
- `csv NAME`: the file NAME, written as it stands.
- `python`: run as it stands; a block `output` behind it holds what it prints.
- `toml`: settings, which have to load.
- `bash` and `text`: not run. The two `bash` blocks are what `.ci/run` runs.

Compared are words and data. Not compared are moments, ids made at run time, durations, rates, sizes and padding.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

import pages

from connector.settings import load

ROOT = Path(__file__).parents[1]
GENERATED = {ROOT / "docs" / "settings.md": pages.settings_page, ROOT / "docs" / "tables.md": pages.tables_page}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page not in GENERATED]  # by hand

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
EXITS = re.compile(r"\s+# exit code (\d+)$")
UNDO = re.compile(r"^undo +flexsync import undo (\S+)$", re.M)
LONGEST = 60  # lines of one output that are shown
SECRETS = ("FLEXPRICE_BASE_URL", "FLEXPRICE_API_KEY", "FLEXPRICE_ENVIRONMENT_ID", "FLEXSYNC_CONFIG", "FLEXSYNC_PROFILE")

MASKS = [
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{6}\b", "RUN"),
    (r"\b([a-z]+)_[0-9A-HJKMNP-TV-Z]{26}\b", r"\1_ID"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?", "MOMENT"),
    (r"\b(\d+ days?, )?\d+:\d\d:\d\d(\.\d+)?\b", "AGE"),
    (r"\b\d+(\.\d+)? ?(s|ms|kB|MB|GB)\b", r"# \2"),
    (r"\b\d+ responses were the same", "# responses were the same"),  # figures move on while the sandbox stays up
]
RATES = (r"\b\d+ of \d+", "# of #")
# A probe goes by time, so a slow machine makes more of them, and knows less about the time between two.
PROBED = [
    (r"\b\d+( get_events)", r"#\1"),
    (r"^calls \d+(:.* get_events)", r"calls #\1"),
    (r"^(RUN \w+ \w+ MOMENT) \d+$", r"\1 #"),  # a run's calls, in `status`
    (r"^(\d{4}-\d\d-\d\d \w+ \d+) \d+ ", r"\1 # "),  # a night's calls, in `demo --nights`
    (r"^(\d+|all|none) of them (was|were) read between two probes.*$", "# of them were read between two probes"),
]


@dataclass
class Block:
    """One fenced block of a page: its word, the name behind it, and its text."""

    kind: str
    name: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(kind, name, text) for kind, name, text in BLOCK.findall(page.read_text(encoding="utf-8"))]


def still(text: str) -> list[str]:
    """What must be equal on any day and any machine."""
    lines = []
    for line in text.splitlines():
        for pattern, mask in [*MASKS, RATES] if re.search("(a|per) second", line) else MASKS:
            line = re.sub(pattern, mask, line)
        line = re.sub(r"\s+", " ", line).strip()
        for pattern, mask in PROBED:
            line = re.sub(pattern, mask, line)
        lines.append(line)
    parts = groupby(lines, lambda line: line.endswith("calls to make"))  # endpoints run side by side: in any order
    return [line for unordered, group in parts for line in (sorted(group) if unordered else group)]


# --- commands ---------------------------------------------------------------------------------------------------


def _child(writer: Any, folder: Path, environment: dict[str, str], task: list[str] | str) -> None:
    """In a process of its own: the command `flexsync` with these arguments, or this Python."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream in (1, 2):
        os.dup2(writer.fileno(), stream)
    writer.close()
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, encoding="utf-8") for stream in (1, 2))
    try:
        if isinstance(task, str):
            exec(task, {"__name__": "__main__"})
        else:
            from pipelines.cli.main import main

            sys.argv = task
            main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


CONTEXT = multiprocessing.get_context("forkserver")  # one process imports everything once: a command is a fork of it
CONTEXT.set_forkserver_preload([
    "duckdb", "httpx_aiohttp", "pandas", "pyarrow.parquet", "connector.sandbox", "pipelines.cli.main",
    "pipelines.demo", "pipelines.import_customers",
])  # fmt: skip


def _start(folder: Path, environment: dict[str, str], task: list[str] | str) -> tuple[BaseProcess, IO[str]]:
    reader, writer = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_child, args=(writer, folder, environment, task), daemon=True)
    process.start()
    writer.close()
    stream = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
    reader.close()
    return process, stream


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Shell:
    """Runs the commands of one page in order, as a person would in two terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(_free_port())
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
        for name in SECRETS:
            self.environment.pop(name, None)
        self.servers: list[tuple[BaseProcess, IO[str]]] = []
        self.undoable = "RUN"

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output, stdout and stderr as they come on a terminal."""
        command = EXITS.sub("", command).replace("8080", self.port)
        command = re.sub(r"\bRUN\b", self.undoable, command)
        words = shlex.split(command)
        if words[0] == "export":
            self.environment.update(word.split("=", 1) for word in words[1:])
            return 0, ""
        if words[:2] == ["flexsync", "sandbox"]:
            return 0, self._clean(self._serve(words))
        if words[0] == "flexsync" and not re.search(r"[|&;<>$`]", re.sub(r"\"[^\"$`]*\"|'[^']*'", "", command)):
            return self._run(words)
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, text=True, timeout=540,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return done.returncode, self._clean(done.stdout)

    def python(self, code: str) -> tuple[int, str]:
        """Exit code and output of a Python program."""
        return self._run(code.replace("8080", self.port))

    def _run(self, task: list[str] | str) -> tuple[int, str]:
        process, stream = _start(self.folder, self.environment, task)
        with stream:
            output = stream.read()
        process.join(60)
        return process.exitcode or 0, self._clean(output)

    def _serve(self, words: list[str]) -> str:
        process, stream = _start(self.folder, self.environment, words)
        self.servers.append((process, stream))
        return stream.readline() + stream.readline()

    def _clean(self, output: str) -> str:
        self.undoable = ([self.undoable, *UNDO.findall(output)])[-1]
        return output.replace(self.port, "8080").replace(str(self.folder), ".")

    def close(self) -> None:
        for process, stream in self.servers:
            process.terminate()
            process.join(20)
            stream.close()


@contextmanager
def shell() -> Iterator[Shell]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Shell(Path(folder).resolve())
        try:
            yield opened
        finally:
            opened.close()


# --- pages ------------------------------------------------------------------------------------------------------


def shown(output: str) -> str:
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    text = "\n".join(lines if len(lines) <= LONGEST else [*lines[:LONGEST], "…"])
    return text + "\n" if text else ""


def played(page: Path) -> Iterator[tuple[Block, str]]:
    """Run a page; each block with the text that it should have. Raises AssertionError where a command fails."""
    output = ""
    with shell() as opened:
        for block in blocks(page):
            if block.kind == "console":
                yield block, "".join(_line(opened, line) for line in block.text.splitlines() if line.startswith("$ "))
            elif block.kind == "python":
                code, output = opened.python(block.text)
                assert code == 0, f"{page.name}: {block.text}\nexited with {code}:\n{output}"
                yield block, block.text
            elif block.kind == "output":
                yield block, shown(output)
            else:
                _other(opened, block)
                yield block, block.text


def _line(opened: Shell, line: str) -> str:
    wanted = EXITS.search(line)
    code, output = opened.run(line[2:])
    assert code == (int(wanted[1]) if wanted else 0), f"{line}\nexited with {code}:\n{output}"
    return f"{line}\n{shown(output)}"


def _other(opened: Shell, block: Block) -> None:
    assert block.kind in ("csv", "toml", "bash", "text"), f"```{block.kind} has no meaning here; see tests/docs.py"
    if block.kind == "csv":
        (opened.folder / block.name).write_text(block.text, encoding="utf-8")
    elif block.kind == "toml":
        tomllib.loads(block.text)
        (opened.folder / "example.toml").write_text(block.text, encoding="utf-8")
        load(opened.folder / "example.toml", environ={})


def write(page: Path) -> None:
    """Write the page anew: a generated one as a whole, of any other the outputs."""
    if page in GENERATED:
        page.write_text(GENERATED[page](), encoding="utf-8")
        return
    texts = iter([text for _, text in played(page)])

    def again(match: re.Match[str]) -> str:
        head = match[0].split("\n", 1)[0]
        return f"{head}\n{next(texts)}```"

    page.write_text(BLOCK.sub(again, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    import docs  # by its name, which the processes that it starts know too

    for given in [Path(name).resolve() for name in sys.argv[1:]] or [*GENERATED, *WRITTEN]:
        print(given.relative_to(ROOT), flush=True)
        docs.write(given)
