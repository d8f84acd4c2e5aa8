"""The entry point of `flexsync`: the list of commands, signals, and how an error becomes a message and an exit code.

Promised: stdout is data, stderr is messages; every error ends as one message with a remedy and one code
(`pipelines.cli.exit_codes`). Ctrl-C and SIGTERM end a command in the same way, with its state kept.
Never done here: the work of a command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from connector.errors import FlexsyncError
from pipelines.cli.ask import sql
from pipelines.cli.checks import doctor, verify
from pipelines.cli.customers import customers
from pipelines.cli.exit_codes import DONE, INTERNAL_ERROR, INTERRUPTED, WRONG_INPUT
from pipelines.cli.forget import forget
from pipelines.cli.imports import imports
from pipelines.cli.sandbox import demo, sandbox
from pipelines.cli.state import state, status
from pipelines.cli.sync import sync

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flexsync")
def cli() -> None:
    """Keep a local, queryable copy of a FlexPrice account, with proof that it is complete."""


for _command in (imports, demo, sandbox, sync, status, verify, doctor, state, forget, sql, customers):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit.

    Args:
        arguments: the words after `flexsync`; None takes those of the process, and its signals.

    Raises:
        SystemExit: always, with the exit code.
    """
    if arguments is None:
        _handle_signals()
    try:
        given = list(arguments) if arguments is not None else None
        code = cli.main(args=given, prog_name="flexsync", standalone_mode=False)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__ or abort.__context__, KeyboardInterrupt):  # Ctrl-C at a prompt hides its cause
            _exit_interrupted()
        _exit_with("not confirmed: nothing was changed.", "Answer y, or add --yes.", WRONG_INPUT)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FlexsyncError as error:
        _exit_with(error.message, error.remedy, error.exit_code)
    except BrokenPipeError:  # the reader of the pipe has closed it, as `head` does
        sys.stderr.close()
        sys.exit(DONE)
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # Ctrl-C while DuckDB runs a query
            _exit_interrupted()
        _exit_internal_error(error)
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


def _exit_interrupted() -> NoReturn:
    _exit_with("interrupted.", "State is kept: the same command continues from there.", INTERRUPTED)


def _exit_internal_error(error: Exception) -> NoReturn:
    import traceback

    traceback.print_exception(error)
    _exit_with(
        f"internal error: {type(error).__name__}: {error}", "Please report it with the lines above.", INTERNAL_ERROR
    )


def _exit_with(message: str, remedy: str, code: int) -> NoReturn:
    message, remedy = map(_without_control_characters, (message, remedy))
    sys.stderr.write(f"error: {message}\n" + (f"       {remedy}\n" if remedy else ""))
    sys.exit(code)


def _without_control_characters(text: str) -> str:
    """Replace what could control the terminal: a message may quote a file or a server."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
