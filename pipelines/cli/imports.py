"""`flexsync import …`: template, export, plan, apply, undo.

Promised: stdout holds changes and reports, an export or one JSON object; stderr holds progress and notes. `plan` and
`undo` exit with 0 when every row can be applied, 1 when some cannot or wait for a decision, or a decision fits no row,
2 when none can; `apply` exits with 0 when every planned change is made, 1 when some are not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import FixInput
from pipelines.cli.exit_codes import DONE
from pipelines.cli.help import Group
from pipelines.cli.import_options import plan_settings
from pipelines.cli.options import load_settings, pace_options, settings_options, with_default
from pipelines.cli.repeating import ACCOUNT_FLAGS, given_flags

if TYPE_CHECKING:
    from connector.settings import Settings
    from pipelines.import_customers import Applied, Planned
    from pipelines.report.following import Following

__all__ = ["imports"]

# Options that the next plan does not repeat.
ONE_PLAN = ("out", "html", "quiet", "as_json", "decisions", "write_mapping", "archive_missing", "rejected", "sheet")

quiet_option = click.option(
    "--quiet", is_flag=True, help="Print nothing when every row can be applied; --json still prints its object."
)
html_option = click.option("--html", type=click.Path(path_type=Path), help="Also write the plan as an HTML page.")
rejected_option = click.option(
    "--rejected",
    type=click.Path(path_type=Path),
    help="Rows that were not taken, .csv or .xlsx. Default: beside the plan.",
)


@click.group("import", cls=Group)
def imports() -> None:
    """Import customers from a CSV file or a workbook: plan, review, apply."""


@imports.command("template")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("customers.csv"), show_default=True, help="File to write."
)
def template(out: Path) -> int:
    """Write an empty CSV file with every column, and a text file that explains the columns."""
    from pipelines import export_customers as job
    from pipelines.report.streams import write_report

    for path in job.write_template(out):
        write_report(f"wrote {path}")
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
    from pipelines.report.streams import write_message, write_report

    out = None if str(out) == "-" else out
    if out is not None and out.exists():
        raise FixInput(f"{out} exists and is not overwritten.", remedy="Choose another --out.")
    with click.open_file("-", "w", encoding="utf-8") as stdout:
        count = job.export_customers(load_settings(**flags), out, stdout.write, metadata, bom=bom)
    if out is None:
        write_message(counted(count, "customer"))  # stdout has the export
    else:
        write_report(f"{counted(count, 'customer')} in {out}")
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
@click.option("--sheet", metavar="NAME|NUMBER", help="Sheet of a workbook. Default: the only visible one with data.")
@rejected_option
@html_option
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Print counts, guards and all faults as one JSON object.")
def plan(
    file: str,
    out: Path | None,
    archive_missing: bool,
    decisions: Path | None,
    no_twins: bool,
    maps: tuple[str, ...],
    write_mapping: Path | None,
    sheet: str | None,
    rejected: Path | None,
    html: Path | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Compare FILE (CSV or .xlsx; - for standard input) with the account, and write a plan. Changes no customer."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report.progress import show_progress

    settings = plan_settings(flags, maps, no_twins)
    if file.endswith(".plan"):
        raise FixInput(f"{file} is a plan, not a file of customers.", remedy=f"flexsync import apply {file}")
    if write_mapping is not None:
        return _write_mapping(settings, file, write_mapping, sheet)
    out = out or Path(f"{'stdin' if file == '-' else Path(file).stem}.plan")
    if html is not None:
        free_for_page(html)
    given: dict[str, Any] = {"archive_missing": archive_missing, "decisions": decisions, "store": flags["store"]}
    given |= {"sheet": sheet, "rejected_to": rejected}
    with show_progress(quiet=quiet) as progress:
        found = job.plan(settings, file, out, **given, progress=progress)
        progress.ended(_status(found))
    return _show_plan(found, html, settings, _following(file), as_json=as_json, quiet=quiet)


def _write_mapping(settings: Settings, file: str, out: Path, sheet: str | None) -> int:
    from pipelines.import_customers.mapping import write_mapping
    from pipelines.report.streams import write_report

    for line in write_mapping(settings, file, out, sheet):
        write_report(line)
    return DONE


def _status(found: Planned | Applied) -> dict[str, str]:
    """How a job ended, for its progress: notes of one that went well need not be told."""
    return {"status": "degraded" if found.exit_code else "green"}


def _show_plan(
    found: Planned, html: Path | None, settings: Settings, following: Following, *, as_json: bool, quiet: bool
) -> int:
    """Print a plan, and write its page; returns the exit code."""
    from pipelines.report.import_json import plan_json
    from pipelines.report.plan_changes import write_changes
    from pipelines.report.plan_page import write_page
    from pipelines.report.plan_summary import plan_summary
    from pipelines.report.streams import write_json, write_report

    if html is not None:
        write_page(html, found, following, neutralise=settings.imports.neutralise)
    if as_json:
        write_json(plan_json(found))
    elif found.exit_code or not quiet:
        write_changes(found)
        write_report(plan_summary(found, html, following))
    return int(found.exit_code)


def _following(file: str = "") -> Following:
    """The commands that can follow this one; a file that is corrected is planned with the flags of this plan."""
    from pipelines.report.following import Following

    planning, once = given_flags(without=ONE_PLAN), given_flags(("out", "sheet"))
    return Following(file, given_flags(ACCOUNT_FLAGS), planning, once)


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
    "--results",
    type=click.Path(path_type=Path),
    help="Results to write, .csv, .xlsx or .parquet. Default: beside the plan.",
)
@rejected_option
@pace_options
@click.option(
    "--quiet", is_flag=True, help="Print nothing when every planned change is made; --json still prints its object."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def apply(
    plan: Path,
    yes: bool,
    yes_really: int | None,
    yes_archive: int | None,
    canary: int,
    max_failures: int | None,
    results: Path | None,
    rejected: Path | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Make the changes in PLAN and no others. After an interruption, the same command resumes."""
    from pipelines import import_customers as job
    from pipelines.report.apply_summary import apply_summary
    from pipelines.report.import_json import apply_json
    from pipelines.report.progress import show_progress
    from pipelines.report.streams import write_json, write_report

    asks = (_ask, _ask_number) if sys.stdin.isatty() else (None, None)
    confirmed = job.Confirmed(yes, yes_really, yes_archive, *asks)
    settings = load_settings(**flags, max_failures=max_failures)
    following, given = _following(), {"canary": canary, "results_to": results, "store": flags["store"]}
    given["rejected_to"] = rejected
    with show_progress(quiet=quiet) as progress:
        undo_flags = following.undo_flags(plan)
        found = job.apply(settings, plan, confirmed, **given, undo_flags=undo_flags, progress=progress)
        progress.ended(_status(found))
    if as_json:
        write_json(apply_json(found))
    elif found.exit_code or not quiet:
        write_report(apply_summary(found, following))
    return found.exit_code


def _ask(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):  # Ctrl-D means no; Ctrl-C is not an answer
            return False
        raise


def _ask_number(question: str) -> str:
    try:
        return str(click.prompt(question, default="", show_default=False, err=True))
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            return ""
        raise


@imports.command("undo")
@settings_options
@click.argument("run", metavar="RUN")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("undo.plan"), show_default=True, help="Plan to write."
)
@html_option
@quiet_option
@click.option("--json", "as_json", is_flag=True, help="Print counts, guards and conflicts as one JSON object.")
def undo(run: str, out: Path, html: Path | None, quiet: bool, as_json: bool, **flags: Any) -> int:
    """Plan the reversal of RUN (a run id, or its .journal file). Changes no customer: apply the plan."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report.progress import show_progress

    if html is not None:
        free_for_page(html)
    settings = load_settings(**flags)
    with show_progress(quiet=quiet) as progress:
        found = job.undo_run(settings, run, out, progress)
        progress.ended(_status(found))
    return _show_plan(found, html, settings, _following(), as_json=as_json, quiet=quiet)
