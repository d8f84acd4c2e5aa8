"""`flexsync verify`: check the copy against the live API.

Promised: stdout holds the certificate and the differences as JSON; 1 means that the copy is incomplete or differs.
"""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.options import load_settings, settings_options

__all__ = ["verify"]


@click.command()
@settings_options
@click.option("--sample", default=20, show_default=True, help="Number of customers to compare field by field.")
def verify(sample: int, **flags: Any) -> int:
    """Check the copy against the live API now, and print the certificate. Exits with 1 when the check fails."""
    from pipelines import verify as job
    from pipelines.report.streams import write_json

    found = job.verify(load_settings(**flags), sample)
    write_json(found)
    return DONE if found["ok"] else PARTIAL
