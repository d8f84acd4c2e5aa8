"""The flags of a command, to be repeated in the command that follows it.

Promised: only what was given on the line is repeated, quoted for a shell. Never done: adding flags.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator

import click
from click.core import ParameterSource

__all__ = ["ACCOUNT_FLAGS", "given_flags"]

ACCOUNT_FLAGS = ("config", "profile", "base_url", "environment_id")
"""Parameters that name the account: a plan and its run are of one."""


def given_flags(only: Collection[str] = (), *, without: Collection[str] = ()) -> str:
    """Return flags of the command that runs, as they were given on its line.

    Args:
        only: names of parameters to repeat; none: all.
        without: names of parameters to leave out.

    Returns:
        Words for a shell, each with a space in front; "" for none.
    """
    context = click.get_current_context()
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        if not isinstance(option, click.Option) or (only and name not in only) or name in without:
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words += _words(option, context.params[name])
    return "".join(f" {shlex.quote(word)}" for word in words)


def _words(option: click.Option, value: object) -> Iterator[str]:
    flag = max(option.opts, key=len)
    for one in value if isinstance(value, tuple) else (value,):
        yield flag
        if not option.is_flag:
            yield str(one)
