"""What several commands share: durations, moments, and the options that say which account and which settings.

Never done here: work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
DONE, PART = 0, 1


class Duration(click.ParamType[timedelta]):
    """A length of time such as 90s, 15m, 26h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse, or fail naming the value."""
        if isinstance(value, timedelta):
            return value
        from connector.settings import duration

        try:
            return duration(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration: write 90s, 15m, 26h, 1h30m or 7d.", param, ctx)


class Moment(click.ParamType[datetime]):
    """An ISO 8601 moment; without a zone it is UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse, or fail naming the value."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a moment: write 2026-11-23T00:00:00Z.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def where(command: F) -> F:
    """Add the options that say which account, which file and which settings."""
    options = [
        click.option("--config", type=click.Path(path_type=Path), help="TOML file, such as configs/nightly.toml."),
        click.option("--profile", help="[profiles.NAME] of the file: one account environment."),
        click.option("--base-url", help="The API with its /v1. Or FLEXPRICE_BASE_URL."),
        click.option("--environment-id", help="For keys bound to none. Or FLEXPRICE_ENVIRONMENT_ID."),
        click.option("--store", type=click.Path(path_type=Path), help="The working store, a DuckDB file."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(config: Path | None, profile: str | None, **flags: Any) -> Any:
    """Put settings together from the file, the environment and the flags that were given."""
    from connector.settings import load

    return load(config, profile, **{name: value for name, value in flags.items() if value not in (None, ())})
