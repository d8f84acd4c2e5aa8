"""How a command ends that failed: a message with a remedy on stderr, with `--json` an object on stdout, and a code.

Promised: whoever gave `--json` finds one object on stdout, however early the command failed; its `error.class` is a
name of `connector.errors`. Never done here: deciding what is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from connector.errors import FixInput, FlexsyncError, Interrupted, OurFault, public_name

__all__ = ["exit_with", "failure_of", "usage", "wants_json"]


def wants_json(words: Sequence[str]) -> bool:
    """Return whether the words of a command ask for JSON; they may not even be read yet."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def usage(error: click.ClickException) -> FlexsyncError:
    """Return a wrong word or value on the line as an error of ours."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "flexsync"
    return FixInput(error.format_message(), remedy=f"{command} --help lists what it takes.")


def failure_of(error: Exception) -> FlexsyncError:
    """Return what is not an error of ours as one, and print its traceback if it is a fault of ours.

    Args:
        error: that nothing below has handled.
    """
    if isinstance(error, FlexsyncError):
        return error
    if isinstance(error, click.exceptions.Abort):
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # Ctrl-C at a prompt hides its cause
            return _interrupted()
        return FixInput("not confirmed: nothing was changed.", remedy="Answer y, or add --yes.")
    if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # Ctrl-C while DuckDB runs a query
        return _interrupted()
    import traceback

    traceback.print_exception(error)
    text = f"internal error: {type(error).__name__}: {error}"
    return OurFault(text, remedy="Please report it with the lines above.")


def exit_with(error: FlexsyncError, *, as_json: bool, shown: bool = False) -> NoReturn:
    """Say what failed, and exit with its code.

    Args:
        error: what failed.
        as_json: print it as one object on stdout, too.
        shown: the message is on stderr already.
    """
    if not shown:
        from pipelines.report.values import visible

        message, remedy = visible(error.message), visible(error.remedy)  # which may quote a file or a server
        sys.stderr.write(f"error: {message}\n" + (f"       {remedy}\n" if remedy else ""))
    if as_json:
        from pipelines.report.streams import write_json

        told = {"class": public_name(error), "message": error.message, "remedy": error.remedy}
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        write_json({"status": status, "error": {**told, "exit_code": error.exit_code}})
    sys.exit(error.exit_code)


def _interrupted() -> Interrupted:
    return Interrupted("interrupted.", remedy="State is kept: the same command continues from there.")
