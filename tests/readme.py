"""Runs the README's console blocks and compares, or writes, what they print.

`python tests/readme.py` writes the outputs anew; `tests/test_readme.py` compares them, numbers and moments apart. The
blocks run in order, in one folder; `flexsync sandbox …` stays up until the end, on a free port in place of 8080.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.tables.schemas import TABLES

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.S)
LONGEST = 40  # lines of one output that are shown


def blocks(text: str) -> list[str]:
    return BLOCK.findall(text)


def commands(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Shell:
    """Runs commands one by one, as a person would in two terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {**os.environ, "PATH": bin_folder + os.pathsep + os.environ["PATH"], "COLUMNS": "100"}
        for name in ("FLEXPRICE_BASE_URL", "FLEXPRICE_API_KEY", "FLEXPRICE_ENVIRONMENT_ID"):
            self.environment.pop(name, None)
        self.servers: list[subprocess.Popen[str]] = []

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output, stdout and stderr as they come on a terminal."""
        command = command.replace("8080", self.port)
        if command.startswith("export "):
            self.environment.update(pair.split("=", 1) for pair in command[7:].split())
            return 0, ""
        if command.startswith("flexsync sandbox"):
            return 0, self._serve(command)
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, text=True, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.replace(self.port, "8080").replace(str(self.folder), ".")

    def _serve(self, command: str) -> str:
        server = subprocess.Popen(
            command.split(), cwd=self.folder, env={**self.environment, "PYTHONUNBUFFERED": "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.servers.append(server)
        assert server.stdout
        lines = [server.stdout.readline(), server.stdout.readline()]
        return "".join(lines).replace(self.port, "8080")

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
            server.wait(timeout=20)


@contextmanager
def shell() -> Iterator[Shell]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Shell(Path(folder))
        try:
            yield opened
        finally:
            opened.close()


def shown(output: str) -> str:
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    return "\n".join(lines if len(lines) <= LONGEST else [*lines[:LONGEST], "…"])


def table_of_tables() -> str:
    lines = ["| table | key | from |", "|---|---|---|"]
    lines += [f"| `{t.name}` | `{', '.join(t.key)}` | {t.source} |" for t in TABLES.values()]
    return "\n".join(lines)


def with_tables(text: str) -> str:
    return re.sub(
        r"(<!-- tables -->\n).*?(<!-- /tables -->)", lambda m: m[1] + table_of_tables() + "\n" + m[2], text, flags=re.S
    )


def write() -> None:
    text = with_tables(README.read_text(encoding="utf-8"))
    with shell() as opened:

        def again(match: re.Match[str]) -> str:
            parts = []
            for command in commands(match[1]):
                code, output = opened.run(command)
                if code:
                    raise SystemExit(f"{command}\nexited with {code}:\n{output}")
                parts.append(f"$ {command}\n" + (shown(output) + "\n" if output.strip() else ""))
            return "```console\n" + "".join(parts) + "```"

        README.write_text(BLOCK.sub(again, text), encoding="utf-8")


if __name__ == "__main__":
    write()
