"""`flexsync init`: from nothing to a settings file that works, and the next command.

Promised: nothing is written before the address and the key have worked, unless --no-check says so; a file that is there
is not overwritten; without a terminal nothing is asked, and what is missing is named. stdout holds what was found,
written, and what comes next.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE
from pipelines.cli.options import CONFIG, with_default

if TYPE_CHECKING:
    from connector.settings import Settings

__all__ = ["init"]

PUBLISH = "duckdb:published/billing.duckdb"
KEY_ENV = "FLEXPRICE_API_KEY"


@click.command()
@click.option("--base-url", help="API address with its /v1. Asked for on a terminal.")
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the API key. Asked for on a terminal.")
@click.option("--key-file", metavar="FILE", help="File that holds the API key, instead of a variable.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=CONFIG,
    show_default=True,
    help="Settings file to write.",
)
@click.option("--store", type=click.Path(path_type=Path), help=with_default("Working store.", "flexsync.duckdb"))
@click.option(
    "--publish", multiple=True, metavar="KIND:PATH", help=with_default("Publication to write. Repeatable.", PUBLISH)
)
@click.option("--no-check", is_flag=True, help="Do not call the server, as where it cannot be reached from here.")
def init(
    base_url: str | None,
    key_env: str | None,
    key_file: str | None,
    out: Path,
    store: Path | None,
    publish: tuple[str, ...],
    no_check: bool,
) -> int:
    """Write a settings file for an account, after its address and key have worked, and say what comes next.

    Also writes a .gitignore beside it, or adds to the one that is there: copies and imports hold customers' data.
    """
    from connector.settings import load
    from pipelines import init as job
    from pipelines.report.invoked import invoked
    from pipelines.report.streams import write_report

    job.refuse_existing(out)
    base_url, key_env, key_file = _asked(base_url, key_env, key_file)
    # A file that is named is tried, though a variable would win over it.
    environ: dict[str, str] | None = {} if key_file else None
    settings = load(
        base_url=base_url,
        key_env=key_env,
        key_file=key_file,
        store=store,
        publish=publish or (PUBLISH,),
        environ=environ,
    )
    if not no_check:
        _check(settings)
    job.write_config(out, settings)
    write_report(f"wrote {out}")
    if job.ignore(out.parent, (*_beside(out, key_file), *job.lakes(settings))):
        write_report(f"wrote {out.parent / '.gitignore'}: copies and imports are never committed")
    write_report(f"next  {invoked()} sync --config {shlex.quote(str(out))}")
    return DONE


def _beside(out: Path, key_file: str | None) -> tuple[str, ...]:
    """The name of the key's file, where it lies beside the settings."""
    if key_file is None or Path(key_file).resolve().parent != out.resolve().parent:
        return ()
    return (Path(key_file).name,)


def _asked(base_url: str | None, key_env: str | None, key_file: str | None) -> tuple[str, str | None, str | None]:
    """Ask for what no flag gave. Raises `FixInput` where nobody can be asked."""
    from connector.settings import DEFAULT_BASE_URL, load

    if key_env and key_file:
        raise FixInput("--key-env and --key-file exclude each other.", remedy="Give one of them.")
    missing = [name for name, given in (("--base-url", base_url), ("--key-env", key_env or key_file)) if not given]
    if missing and not sys.stdin.isatty():
        raise FixInput(
            f"there is no terminal to ask on: {' and '.join(missing)} missing.",
            remedy=f"Give --base-url {DEFAULT_BASE_URL} and --key-env {KEY_ENV}, or --key-file FILE.",
        )
    if not base_url:
        known = load().api.base_url  # of the environment first: the key there belongs to that server
        base_url = click.prompt("Address of the API", default=known, err=True)
    if not key_env and not key_file:
        given = click.prompt("Variable that holds the API key, or the path of its file", default=KEY_ENV, err=True)
        key_env, key_file = (None, given) if "/" in given or "." in given else (given, None)
    return base_url or DEFAULT_BASE_URL, key_env, key_file


def _check(settings: Settings) -> None:
    """Check key, address and places, and print what was found. Raises `FixInput` or another error for the first fault.

    The store and the publications do not exist yet; their folders are made by the first sync.
    """
    from pipelines import doctor as job
    from pipelines.report.streams import write_report

    settings.require_key()
    for check in job.doctor(settings):
        if not check["ok"]:
            raise job.error_of(check)
        write_report(f"ok   {check['check']}: {check['found']}")
