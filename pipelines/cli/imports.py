"""`flexsync import …`: template, export, plan, apply, undo.

Promised: stdout holds the changes, an export or JSON; everything else goes to stderr. `plan` and `undo` exit with 0
when every row can be applied, 1 when some cannot or wait for a decision, 2 when none can; `apply` exits with 0 when
every planned change is made, 1 when some are not.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE
from pipelines.cli.help import Group
from pipelines.cli.import_options import plan_settings
from pipelines.cli.options import load_settings, pace_options, settings_options, with_default

if TYPE_CHECKING:
    from connector.settings import Settings
    from pipelines.import_customers import Planned

__all__ = ["imports"]

ACCOUNT_FLAGS = ("config", "profile", "base_url", "environment_id")  # a plan is for one account

html_option = click.option("--html", type=click.Path(path_type=Path), help="Also write the plan as an HTML page.")


@click.group("import", cls=Group)
def imports() -> None:
    """Import customers from a CSV file: plan, review, apply."""


@imports.command("template")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("customers.csv"), show_default=True, help="File to write."
)
def template(out: Path) -> int:
    """Write an empty CSV file with every column, and a text file that explains the columns."""
    from pipelines import export_customers as job
    from pipelines.report.streams import write_message

    for path in job.write_template(out):
        write_message(f"wrote {path}")
    return DONE


@imports.command("export")
@settings_options
@click.option("--out", type=click.Path(path_type=Path), help="File to write. Default: stdout.")
@click.option(
    "--metadata",
    type=click.Choice(["auto", "columns", "json"]),
    default="auto",
    show_default=True,
    help="One column for each metadata key, or one JSON column. auto: columns up to 50 keys.",
)
@click.option("--bom", is_flag=True, help="Start with a byte order mark, so that Excel recognizes UTF-8.")
def export(out: Path | None, metadata: Any, bom: bool, **flags: Any) -> int:
    """Write all published customers as CSV, to edit and plan. An unedited export plans no change."""
    from connector.plurals import counted
    from pipelines import export_customers as job
    from pipelines.report.streams import write_message

    out = None if str(out) == "-" else out
    if out is not None and out.exists():
        raise FixInput(f"{out} exists and is not overwritten.", remedy="Choose another --out.")
    with click.open_file("-", "w", encoding="utf-8") as stdout:
        count = job.export_customers(load_settings(**flags), out, stdout.write, metadata, bom=bom)
    write_message(f"{counted(count, 'customer')}{f' in {out}' if out else ''}")
    return DONE


@imports.command("plan")
@settings_options
@click.argument("file", metavar="FILE")
@click.option("--out", type=click.Path(path_type=Path), help="Plan to write. Default: the name of FILE with .plan.")
@click.option(
    "--mode",
    type=click.Choice(["upsert", "create", "update"]),
    help=with_default("Create and update customers (upsert), or only one of both.", "upsert"),
)
@click.option(
    "--match",
    type=click.Choice(["external_id", "id"]),
    help=with_default("Column that identifies the customer of a row.", "external_id"),
)
@click.option(
    "--metadata",
    type=click.Choice(["merge", "replace"]),
    help=with_default("Merge metadata with the customer's keys, or replace all of them.", "merge"),
)
@click.option(
    "--onboarding",
    metavar="skip|run[:NAME]",
    help="Whether a create starts the account's onboarding workflow. Required when the plan creates customers.",
)
@click.option("--archive-missing", is_flag=True, help="Also archive every customer that is not in FILE.")
@click.option("--decisions", type=click.Path(path_type=Path), help="The .doubts.csv of an earlier plan, decided.")
@click.option("--accept", metavar="KIND,…", help="Kinds of doubt to accept as a whole: their rows are not held.")
@click.option("--fix", metavar="KIND,…", help="Certain proposals to take: trim, country, timezone, email, id-spaces.")
@click.option("--no-twins", is_flag=True, help="Do not compare new external_ids with those of the account.")
@click.option("--map", "maps", multiple=True, metavar="HEADER=FIELD", help="What a column is; HEADER= leaves it out.")
@click.option(
    "--unknown-columns",
    type=click.Choice(["refuse", "leave", "metadata"]),
    help=with_default("Refuse a file with unknown columns, leave them out, or make them metadata.", "refuse"),
)
@click.option(
    "--write-mapping",
    type=click.Path(path_type=Path),
    help="Write what each column is taken for, as [import.mapping], and plan nothing.",
)
@click.option("--encoding", help="Encoding of FILE. Default: detected.")
@click.option("--delimiter", help="Delimiter of FILE: , ; tab or |. Default: detected.")
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print counts, guards and all faults as JSON on stdout.")
def plan(
    file: str,
    out: Path | None,
    archive_missing: bool,
    decisions: Path | None,
    no_twins: bool,
    maps: tuple[str, ...],
    write_mapping: Path | None,
    html: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Compare FILE (CSV; - for standard input) with the account, and write a plan. Changes no customer."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report.progress import show_progress

    settings = plan_settings(flags, maps, no_twins)
    if file.endswith(".plan"):
        raise FixInput(f"{file} is a plan, not a CSV file.", remedy=f"flexsync import apply {file}")
    if write_mapping is not None:
        return _write_mapping(settings, file, write_mapping)
    out = out or Path(f"{'stdin' if file == '-' else Path(file).stem}.plan")
    if html is not None:
        free_for_page(html)
    given: dict[str, Any] = {"archive_missing": archive_missing, "decisions": decisions, "store": flags["store"]}
    with show_progress() as progress:
        found = job.plan(settings, file, out, **given, progress=progress)
    return _show_plan(found, html, as_json, settings.imports.neutralise, flags)


def _write_mapping(settings: Settings, file: str, out: Path) -> int:
    from pipelines.import_customers.mapping import write_mapping
    from pipelines.report.streams import write_message

    for line in write_mapping(settings, file, out):
        write_message(line)
    return DONE


def _show_plan(found: Planned, html: Path | None, as_json: bool, neutralise: bool, flags: dict[str, Any]) -> int:
    """Print a plan, and write its page; returns the exit code."""
    from pipelines.report.import_json import plan_json
    from pipelines.report.plan_changes import write_changes
    from pipelines.report.plan_page import write_page
    from pipelines.report.plan_summary import plan_summary
    from pipelines.report.streams import write_json, write_message

    if html is not None and found.plan is not None:
        write_page(html, found.plan, neutralise=neutralise)
    if as_json:
        write_json(plan_json(found))
    else:
        write_changes(found)
    write_message(plan_summary(found, html, _account_flags(flags)))
    return int(found.exit_code)


def _account_flags(flags: dict[str, Any]) -> str:
    """The flags that name the account, to be repeated with `apply`."""
    given = ((f"--{name.replace('_', '-')}", flags[name]) for name in ACCOUNT_FLAGS if flags.get(name))
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in given)


@imports.command("apply")
@settings_options
@click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--yes-really", type=int, metavar="COUNT", help="Confirm a plan that trips a guard: the number of its writes."
)
@click.option("--yes-archive", type=int, metavar="COUNT", help="Confirm the archives of the plan: their number.")
@click.option(
    "--canary",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Make this many changes, read them back, then ask.",
)
@click.option("--max-failures", type=click.IntRange(1), help=with_default("Stop after this many refused rows.", "50"))
@click.option(
    "--results", type=click.Path(path_type=Path), help="Results to write, .csv or .parquet. Default: beside the plan."
)
@pace_options
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
def apply(
    plan: Path,
    yes: bool,
    yes_really: int | None,
    yes_archive: int | None,
    canary: int,
    max_failures: int | None,
    results: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Make the changes in PLAN and no others. After an interruption, the same command resumes."""
    from pipelines import import_customers as job
    from pipelines.report.apply_summary import apply_summary
    from pipelines.report.import_json import apply_json
    from pipelines.report.progress import show_progress
    from pipelines.report.streams import write_json, write_message

    confirmed = job.Confirmed(yes, yes_really, yes_archive, _ask if sys.stdin.isatty() else None)
    settings = load_settings(**flags, max_failures=max_failures)
    with show_progress() as progress:
        found = job.apply(
            settings, plan, confirmed, canary=canary, results_to=results, store=flags["store"], progress=progress
        )
    if as_json:
        write_json(apply_json(found))
    write_message(apply_summary(found))
    return found.exit_code


def _ask(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):  # Ctrl-D means no; Ctrl-C is not an answer
            return False
        raise


@imports.command("undo")
@settings_options
@click.argument("run", metavar="RUN")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("undo.plan"), show_default=True, help="Plan to write."
)
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print counts, guards and conflicts as JSON on stdout.")
def undo(run: str, out: Path, html: Path | None, as_json: bool, **flags: Any) -> int:
    """Plan the reversal of RUN (a run id, or its .journal file). Changes no customer: apply the plan."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report.progress import show_progress

    if html is not None:
        free_for_page(html)
    settings = load_settings(**flags)
    with show_progress() as progress:
        found = job.undo_run(settings, run, out, progress)
    return _show_plan(found, html, as_json, settings.imports.neutralise, flags)
