"""`flexsync forget`: erase a customer from everything that Flexsync keeps.

Promised: stdout lists where the person is held, as a table or as JSON; nothing is changed before the confirmation; the
exit code is 1 when something still holds the person, and stderr names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.exit_codes import DONE, PARTIAL
from pipelines.cli.options import load_settings, publish_option, settings_options

if TYPE_CHECKING:
    from pipelines.forget import Found, Place

__all__ = ["forget"]


@click.command()
@settings_options
@click.argument("customer")
@publish_option("Publication to erase the customer from: duckdb:FILE or parquet:FOLDER.")
@click.option(
    "--plan",
    "plans",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Plan of an import: say whether it, its journals, results or rejected rows name the customer. Repeatable.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder: say which of its files name the customer. Repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print the places, and what is left, as JSON on stdout.")
def forget(
    customer: str, plans: tuple[Path, ...], folders: tuple[Path, ...], yes: bool, as_json: bool, **flags: Any
) -> int:
    """Erase CUSTOMER, an id or external id, from the store, its histories and its publications.

    Names, addresses, e-mail, telephone, external id, metadata and every unknown field are blanked; the row stays with
    its id, status and times, so that the next sync still proves the copy complete. Ids, plans, limits and figures of
    usage stay: they tell of nobody once the customer is blank. Later syncs keep the row blank. Files of imports are
    named, not changed. FlexPrice is not called and keeps its customer.
    """
    from pipelines import forget as job
    from pipelines.report.streams import write_message
    from pipelines.restoring import restore_missing

    settings = load_settings(**flags)
    if restored := restore_missing(settings.sync):
        write_message(f"note: {restored}")
    found = job.find(settings, customer, plans, folders)
    if not as_json:
        _write_places(found)
    left = [place for place in found.held if not place.erasable]
    if found.to_do:
        if not yes:
            click.confirm(_question(found), abort=True, err=True)
        left = job.forget(settings, found)
        write_message(
            f"{settings.sync.store}: {found.person.id} is forgotten; backups and unnamed copies are out of reach"
        )
    else:
        write_message(f"{settings.sync.store}: {found.person.id} was forgotten before, and nothing personal was found")
    for place in left:
        write_message(f"still there: {place.where}: {place.then}")
    if as_json:
        _write_json(found, left)
    return PARTIAL if left else DONE


def _question(found: Found) -> str:
    runs = " Kept runs that hold it are removed, the last green one too." if found.targets else ""
    return f"Erase customer {found.person.id}? This cannot be undone.{runs}"


def _write_places(found: Found) -> None:
    from pipelines.report.rows import write_rows

    if found.places:
        write_rows(["where", "rows", "what"], [(place.where, place.rows, place.then) for place in found.places])


def _write_json(found: Found, left: list[Place]) -> None:
    from dataclasses import asdict

    from pipelines.report.streams import write_json

    write_json(
        {
            "customer_id": found.person.id,
            "places": [asdict(place) for place in found.places],
            "left": [asdict(place) for place in left],
        }
    )
