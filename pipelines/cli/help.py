"""What `--help` shows besides a command's own text: whole sentences in lists of commands, and the exit codes.

Promised: no sentence is cut, however narrow the terminal; every command says which exit codes it has, and what they
mean there. Never done here: the work of a command.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

__all__ = ["Group", "commands_of", "tell_exit_codes"]

_WHOLE = 10_000
"""Characters of a sentence in a list of commands, at most."""

_CODES = {
    0: "done",
    1: "done in part: rows refused, or the copy is not provably complete",
    2: "your input: flags, settings, a file, or the address of the API",
    3: "the API cannot be reached, or refuses the key",
    4: "another run holds the store or the plan",
    5: "a fault in Flexsync",
    130: "interrupted; state is kept",
}
_OWN = {
    "sync": {0: "green", 1: "degraded, or stopped by a limit"},
    "status": {0: "fresh", 1: "stale"},
    "verify": {0: "the copy holds", 1: "it does not, or a customer differs"},
    "doctor": {0: "everything is there", 1: "the server refuses a call"},
    "forget": {0: "nothing holds the customer any more", 1: "something still does"},
    "demo": {0: "green", 1: "degraded"},
    "import plan": {0: "every row can be applied", 1: "some rows cannot", 2: "no row can, or your input"},
    "import undo": {0: "every row can be applied", 1: "some rows cannot", 2: "no row can, or your input"},
    "import apply": {0: "every planned change is made", 1: "some are not"},
    "customers": {1: "the server refuses the call"},
}
"""What a code means for a command, or for every command of a group, where that is narrower."""
_OFFLINE = ("status", "state", "sql", "forget", "demo", "sandbox", "completion", "import template")
_UNLOCKED = ("demo", "sandbox", "completion", "customers", "init", "import template", "import export")
"""Commands that have no code 3, and no code 4."""


class Group(click.Group):
    """A group whose list of commands shows the whole first sentence of each."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.get_short_help_str(_WHOLE)) for name, found in commands])


def commands_of(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command of a group and of the groups in it, each with the words that call it."""
    for name, found in group.commands.items():
        words = f"{path} {name}".strip()
        yield words, found
        if isinstance(found, click.Group):
            yield from commands_of(found, words)


def tell_exit_codes(cli: click.Group) -> None:
    """Put the exit codes below the help of every command."""
    cli.epilog = _told(dict(_CODES))
    for words, command in commands_of(cli):
        first = words.partition(" ")[0]
        codes = {**_CODES, **_OWN.get(first, {}), **_OWN.get(words, {})}
        for code, without in ((3, _OFFLINE), (4, _UNLOCKED)):
            if words in without or first in without:
                del codes[code]
        command.epilog = _told(codes)


def _told(codes: dict[int, str]) -> str:
    lines = [f"  {code:<4} {meaning}" for code, meaning in codes.items()]
    return "\n".join(["\b", "Exit codes:", *lines])  # \b keeps the lines as they are
