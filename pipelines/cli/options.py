"""Options that several commands share, the types of their values, and the settings they lead to.

Never done here: the work of a command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from connector.settings import Settings

__all__ = [
    "CONFIG",
    "Command",
    "Duration",
    "Moment",
    "add_options",
    "json_option",
    "load_known",
    "load_settings",
    "pace_options",
    "publish_option",
    "settings_options",
    "with_default",
]

CONFIG = Path("flexsync.toml")
"""What `flexsync init` writes."""
Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[timedelta]):
    """A length of time such as 90s, 15m, 26h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse the value, or fail with an error that names it."""
        if isinstance(value, timedelta):
            return value
        from connector.settings import duration

        try:
            return duration(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration. Write 90s, 15m, 26h, 1h30m or 7d.", param, ctx)


class Moment(click.ParamType[datetime]):
    """An ISO 8601 timestamp; without a time zone it is UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse the value, or fail with an error that names it."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 timestamp. Write 2026-11-23T00:00:00Z.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add options to a command; `--help` shows them in the order of the list."""
    for option in reversed(options):
        command = option(command)
    return command


def with_default(help: str, value: str) -> str:
    """Return the help of an option whose default is a setting's; click shows the default of an option only."""
    return f"{help}  [default: {value}]"


def settings_options(command: Command) -> Command:
    """Add the options that choose the account, the settings file and the store."""
    return add_options(
        command,
        [
            click.option(
                "--config", type=click.Path(path_type=Path), help="Settings file (TOML), such as configs/nightly.toml."
            ),
            click.option("--profile", help="Section [profiles.NAME] of the settings file: one account environment."),
            click.option(
                "--base-url",
                help=with_default(
                    "API address with its /v1. Overrides FLEXPRICE_BASE_URL.", "https://us.api.flexprice.io/v1"
                ),
            ),
            click.option(
                "--environment-id",
                help="Environment, for a key that is bound to none. Overrides FLEXPRICE_ENVIRONMENT_ID.",
            ),
            click.option(
                "--store",
                type=click.Path(path_type=Path),
                help=with_default("Working store, a DuckDB file.", "flexsync.duckdb"),
            ),
        ],
    )


def pace_options(command: Command) -> Command:
    """Add the options that limit how fast a command calls the API."""
    return add_options(
        command,
        [
            click.option("--calls-per-second", type=float, help="Upper limit of calls per second."),
            click.option("--max-in-flight", type=int, help=with_default("Upper limit of concurrent calls.", "32")),
        ],
    )


def publish_option(help: str) -> Callable[[Command], Command]:
    """The option `--publish`, which may be repeated; `help` says what the command does with a publication."""
    return click.option("--publish", multiple=True, metavar="KIND:PATH", help=f"{help} Repeatable.")


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, with status and error, on failure too."
)


def load_settings(config: Path | None, profile: str | None, *, quiet: bool = False, **flags: Any) -> Settings:
    """Combine the settings file, the environment and the flags that were given; flags win.

    Args:
        config: the settings file; None reads only the file that FLEXSYNC_CONFIG names.
        profile: the profile of that file.
        quiet: do not say that a settings file lies here and is not used.
        flags: settings by name; None and () mean that the flag was not given.

    Raises:
        FixInput: the file or a value is wrong.
    """
    from connector.settings import load

    if not (config or quiet):
        _tell_unused()
    return load(config, profile, **{name: value for name, value in flags.items() if value not in (None, ())})


def _tell_unused() -> None:
    """Say that a settings file lies here that nobody named.

    It is not taken: a folder that somebody else made would choose where the key of the environment is sent, and a job
    of cron would change when a file comes into its folder. An empty FLEXSYNC_CONFIG says that none is wanted.
    """
    from pipelines.report.streams import write_message

    if "FLEXSYNC_CONFIG" not in os.environ and CONFIG.is_file():
        write_message(
            f"note: {CONFIG} in this folder is not used: add --config {CONFIG}, or export FLEXSYNC_CONFIG={CONFIG}"
        )


def load_known(on: str | None = None, *, calls: bool = False, **flags: Any) -> Settings:
    """Combine the settings as `load_settings`, for a command that reads the copy, and say which copy it takes.

    Args:
        on: what to read, where a flag names it.
        calls: the command calls the server, too.
        flags: as `load_settings` takes them.

    Raises:
        FixInput: the file or a value is wrong.
    """
    from pipelines.places import known
    from pipelines.report.streams import write_message

    named = bool(on) or any(flags.get(name) for name in ("store", "config", "publish"))
    settings, taken = known(load_settings(**flags, quiet=not calls), named=named)
    if taken:
        write_message(f"note: {taken}")
    if not (calls or on or flags.get("config") or settings.sync.store.exists()):
        _tell_unused()
    return settings
