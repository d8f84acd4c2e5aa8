"""Help that says everything: whole sentences, every default, the exit codes; and shells that complete from it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from command import COMMAND, PATIENCE, command, environment
from sizes import few

from connector import errors
from connector.settings.declarations import SECTIONS
from connector.settings.setting import settable_in
from connector.settings.values import written
from pipelines.cli.help import Group, commands_of
from pipelines.cli.main import cli

EVERY = {"": cli, **dict(commands_of(cli))}
DEFAULTS = {
    name: setting.default
    for struct in SECTIONS.values()
    for name, setting in settable_in(struct).items()
    if setting.flag
}


def page(words: str, width: int = 60) -> str:
    """The help of a command, in one line a paragraph."""
    return command(*words.split(), "--help", env=environment(COLUMNS=str(width)), cwd=Path.cwd()).out


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("words", [words for words, found in EVERY.items() if isinstance(found, click.Group)])
def test_no_sentence_of_a_list_is_cut(words: str) -> None:
    """The first sentence of each command stands whole in the list, on a narrow terminal too."""
    group = EVERY[words]
    assert isinstance(group, Group)
    shown = flat(page(words))
    assert "..." not in shown.partition("Commands:")[2]
    for found in group.commands.values():
        sentence = flat((found.help or "").split("\n\n")[0])
        assert re.split(r"(?<=\.) (?=[A-Z])", sentence)[0] in shown


def _shown(value: Any) -> str:
    return written(value) if isinstance(value, timedelta) else str(value)


def _defaults(command: click.Command) -> dict[str, tuple[str, str]]:
    """Option -> its default and its help; options without a default are left out."""
    found = {}
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag and not option.multiple:
            context = click.Context(command)
            own = option.get_default(context)
            default = own if isinstance(own, int | float | str | Path) else DEFAULTS.get(option.name or "")
            if default not in (None, "", ()):
                found[option.opts[-1]] = _shown(default), flat((option.get_help_record(context) or ("", ""))[1])
    return found


def test_every_default_is_shown() -> None:
    """An option that stands for a setting shows that setting's default, any other one its own."""
    told = {words: _defaults(found) for words, found in EVERY.items()}
    told["init"].pop("--base-url")  # it asks
    assert told["sync"].keys() >= {"--base-url", "--store", "--deadline", "--max-in-flight", "--publish-when"}
    assert told["verify"].keys() >= {"--sample", "--store"}
    for words, options in told.items():
        for name, (default, text) in options.items():
            assert re.search(rf"\[(.*; )?default: {re.escape(default)}[\];]", text), (words, name, text)


@pytest.mark.parametrize("words", few(EVERY, 40))
def test_every_command_tells_its_exit_codes(words: str) -> None:
    """They stand below its options, with what they mean there; together they are those of the errors."""
    told = {int(code) for code in re.findall(r"^ +(\d+) +\w", page(words).partition("Exit codes:")[2], re.M)}
    known = {0, *(getattr(errors, name).exit_code for name in errors.__all__)}
    assert {0, 2, 5, 130} <= told <= known
    if not words:
        assert told == known


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_a_shell(shell: str, tmp_path: Path) -> None:
    """The script defines a completion of `flexsync`; where the shell is installed, it reads it without an error."""
    done = command("completion", shell, env=environment(), cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "_FLEXSYNC_COMPLETE" in done.out
    if shell == "bash" and shutil.which(shell):
        read = subprocess.run([shell, "-n"], input=done.out, text=True, capture_output=True, timeout=PATIENCE)
        assert (read.returncode, read.stderr) == (0, "")


def test_what_is_completed() -> None:
    """Commands, options and values, without anything heavy being imported."""
    script = """
import sys
from pipelines.cli.main import main
try:
    main()
finally:
    sys.stderr.write(str([name for name in "duckdb pyarrow httpx pandas rich msgspec".split() if name in sys.modules]))
"""
    for line, wanted in {
        "flexsync st": "status",
        "flexsync sync --qu": "--quiet",
        "flexsync sql --format p": "parquet",
    }.items():
        words = {"_FLEXSYNC_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            [COMMAND[0], "-c", script], env=environment(**words), capture_output=True, text=True, timeout=PATIENCE
        )
        assert wanted in [entry.partition(",")[2] for entry in done.stdout.splitlines()]
        assert done.stderr == "[]"
    assert sys.executable == COMMAND[0]
