"""The entry point of `flexsync`: the list of commands, signals, and how an error becomes a message and an exit code.

Promised: stdout is data and reports, stderr is progress and warnings; every error ends as one message with a remedy and
one code (`pipelines.cli.exit_codes`). Ctrl-C and SIGTERM end a command in the same way, with its state kept.
Never done here: the work of a command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pipelines.cli.ask import sql
from pipelines.cli.checks import doctor, verify
from pipelines.cli.completion import completion
from pipelines.cli.customers import customers
from pipelines.cli.ending import exit_with, failure_of, usage, wants_json
from pipelines.cli.exit_codes import DONE
from pipelines.cli.forget import forget
from pipelines.cli.help import Group, tell_exit_codes
from pipelines.cli.imports import imports
from pipelines.cli.init import init
from pipelines.cli.sandbox import demo, sandbox
from pipelines.cli.state import state, status
from pipelines.cli.sync import sync

__all__ = ["cli", "main"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flexsync")
def cli() -> None:
    """Keep a local, queryable copy of a FlexPrice account, with proof that it is complete."""


for _command in (
    init, imports, demo, sandbox, sync, status, verify, doctor, state, forget, sql, customers, completion
):  # fmt: skip
    cli.add_command(_command)
tell_exit_codes(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit.

    Args:
        arguments: the words after `flexsync`; None takes those of the process, and its signals.

    Raises:
        SystemExit: always, with the exit code.
    """
    if arguments is None:
        _handle_signals()
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = wants_json(given)
    try:
        code = cli.main(args=given, prog_name="flexsync", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        exit_with(usage(error), as_json=as_json, shown=True)
    except BrokenPipeError:  # the reader of the pipe has closed it, as `head` does
        sys.stderr.close()
        sys.exit(DONE)
    except Exception as error:
        exit_with(failure_of(error), as_json=as_json)
    sys.exit(code if isinstance(code, int) else DONE)


def _handle_signals() -> None:
    """Make SIGTERM end the command as Ctrl-C does, and keep a second signal from interrupting the clean-up."""
    import signal

    def end(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
