"""The README's commands work and print what it says; its tables are made from the schemas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import readme

ROOT = readme.README.parent


def still(text: str) -> list[str]:
    """What must be equal: words, not figures, moments, ids or the padding that depends on them."""
    text = re.sub(r"\b(cust|env|tenant|user)_[0-9A-Z]+", "ID", text)
    text = re.sub(r"[0-9a-f]*\d[\w:.+\-]*", "#", text)
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    # Rows that end in figures are the sandbox's data, and that moves on with the day on which it is served.
    return ["a row" if re.search(r"(^|[ ,])#$", line) else line for line in lines]


def test_every_console_block_prints_what_the_readme_says() -> None:
    """Each command of the README exits with 0 and prints what stands below it, figures and moments apart."""
    text = readme.README.read_text(encoding="utf-8")
    with readme.shell() as shell:
        for block in readme.blocks(text):
            got = ""
            for command in readme.commands(block):
                code, output = shell.run(command)
                assert code == 0, f"{command}\n{output}"
                got += f"$ {command}\n" + (readme.shown(output) + "\n" if output.strip() else "")
            assert still(got) == still(block)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python, run as it stands beside a published copy and a sandbox."""
    from connector.sandbox import Sandbox
    from pipelines.demo import demo
    from pipelines.progress import Progress

    demo(tmp_path / "demo", customers=100, seed=7, progress=Progress())
    (tmp_path / "demo" / "billing.duckdb").rename(tmp_path / "billing.duckdb")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", readme.README.read_text(encoding="utf-8"), re.S)
    with Sandbox(customers=100, seed=7).running() as base_url:
        found: dict[str, Any] = {}
        for example in code:
            exec(example.replace("http://127.0.0.1:8080/v1", base_url), found)
    assert len(found["usage"]) > 0
    assert found["done"].tally.outcomes == {"done": 1}


def test_the_table_of_tables_is_made_from_the_schemas() -> None:
    """The README lists exactly the tables, keys and calls that the code declares."""
    assert readme.table_of_tables() in readme.README.read_text(encoding="utf-8")


def test_ci_runs_the_two_commands_word_for_word() -> None:
    """What a new user is told to type is what CI runs."""
    told = re.findall(r"```bash\n(.*?)\n```", readme.README.read_text(encoding="utf-8"), re.S)
    assert len(told) == 2
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(command in script.splitlines() for command in told)


def test_every_command_of_the_help_is_in_the_readme() -> None:
    """Each top-level command is told of."""
    from pipelines.cli.main import cli

    text = readme.README.read_text(encoding="utf-8")
    assert [name for name in cli.commands if f"flexsync {name}" not in text] == []


def test_no_registry_address_is_committed() -> None:
    """The file of tested versions holds name==version lines only."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.+!\-]+", line)] == []
