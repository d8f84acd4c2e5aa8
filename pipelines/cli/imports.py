"""`flexsync import …`: template, export, plan, apply, undo. It parses, calls the job, prints, and sets the exit code.

Promised: stdout has the changes (or JSON), stderr the talk; `plan` exits 0 when every row can be done, 1 when some
cannot, 2 when none can; `apply` exits 0 when every planned row is done, 1 when some are not. Never done here: work.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from connector.errors import FixInput
from pipelines.cli.options import DONE, settings_of, where


@click.group("import")
def imports() -> None:
    """Bring customers from a CSV file into FlexPrice: plan, look, then apply."""


@imports.command("template")
@click.option("--out", type=click.Path(path_type=Path), default=Path("customers.csv"), show_default=True)
def template(out: Path) -> int:
    """Write an empty file with every column, and one beside it that explains them."""
    from pipelines import export_customers as job
    from pipelines.report import terminal

    for path in job.write_template(out):
        terminal.say(f"wrote {path}")
    return DONE


@imports.command("export")
@where
@click.option("--out", type=click.Path(path_type=Path), help="Where to; standard output by default.")
@click.option(
    "--metadata", type=click.Choice(["auto", "columns", "json"]), default="auto", show_default=True,
    help="A column for each key, or one JSON column; auto: columns up to 50 keys.",
)  # fmt: skip
@click.option("--bom", is_flag=True, help="Begin with a byte order mark, so that Excel reads umlauts right.")
def export(out: Path | None, metadata: Any, bom: bool, **flags: Any) -> int:
    """Write the published customers as a file that plans nothing until it is edited."""
    from pipelines import export_customers as job
    from pipelines.report import terminal

    out = None if str(out) == "-" else out
    if out is not None and out.exists():
        raise FixInput(f"{out} exists.", remedy="Give another --out.")
    with click.open_file("-", "w", encoding="utf-8") as stdout:
        count = job.export_customers(settings_of(**flags), out, stdout.write, metadata, bom=bom)
    terminal.say(f"{count} customers{f' in {out}' if out else ''}")
    return DONE


@imports.command("plan")
@where
@click.argument("file", metavar="FILE")
@click.option("--out", type=click.Path(path_type=Path), help="The plan; FILE's name with .plan by default.")
@click.option("--mode", type=click.Choice(["upsert", "create", "update"]), help="upsert by default.")
@click.option("--match", type=click.Choice(["external_id", "id"]), help="Whom a row is about; external_id by default.")
@click.option("--metadata", type=click.Choice(["merge", "replace"]), help="merge by default.")
@click.option("--onboarding", metavar="skip|run[:NAME]", help="Whether creates start the account's workflow.")
@click.option("--archive-missing", is_flag=True, help="Plan an archive for every customer that FILE does not name.")
@click.option("--encoding", help="Instead of the detected one.")
@click.option("--delimiter", help="Instead of the detected one: , ; tab or |.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the changes, to be looked at.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON on stdout, all faults among it.")
def plan(file: str, out: Path | None, archive_missing: bool, html: Path | None, as_json: bool, **flags: Any) -> int:
    """Read FILE (CSV; - for standard input) and the account, and write a plan. Changes nothing."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report import terminal

    settings = settings_of(**flags)
    if file.endswith(".plan"):
        raise FixInput(f"{file} is a plan.", remedy=f"flexsync import apply {file}")
    out = out or Path(f"{'stdin' if file == '-' else Path(file).stem}.plan")
    if html is not None:
        free_for_page(html)
    progress = terminal.progress()
    try:
        found = job.plan(settings, file, out, archive_missing=archive_missing, progress=progress)
    finally:
        progress.end()
    return _show(found, html, as_json, settings.imports.neutralise, _again(flags))


def _again(flags: dict[str, Any]) -> str:
    """What was said of the account, to be said again: a plan is for one account."""
    import shlex

    names = ("config", "profile", "base_url", "environment_id")
    said = ((f"--{name.replace('_', '-')}", flags[name]) for name in names if flags.get(name))
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in said)


def _show(found: Any, html: Path | None, as_json: bool, neutralise: bool, again: str) -> int:
    from pipelines.report import imports as told
    from pipelines.report import terminal

    if html is not None and found.plan is not None:
        told.write_page(html, found.plan, neutralise)
    if as_json:
        terminal.data(told.plan_json(found))
    else:
        told.changes(found)
    terminal.say(told.plan_summary(found, html, again))
    return int(found.exit_code)


@imports.command("apply")
@where
@click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--yes-really", type=int, metavar="COUNT", help="Where a guard trips: the number of writes of the plan.")
@click.option("--yes-archive", type=int, metavar="COUNT", help="Where the plan archives: how many.")
@click.option("--canary", type=click.IntRange(0), default=0, help="Write so many, read them back, then ask.")
@click.option("--max-failures", type=click.IntRange(1), help="Stop after so many refused rows; 50 by default.")
@click.option("--results", type=click.Path(path_type=Path), help=".csv or .parquet; beside the plan by default.")
@click.option("--calls-per-second", type=float, help="Never faster than this.")
@click.option("--max-in-flight", type=int, help="Calls at once.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON on stdout.")
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
    """Do what PLAN says, and no more. Interrupted, the same command goes on."""
    from pipelines import import_customers as job
    from pipelines.report import imports as told
    from pipelines.report import terminal

    confirmed = job.Confirmed(yes, yes_really, yes_archive, _ask if sys.stdin.isatty() else None)
    settings = settings_of(**flags, max_failures=max_failures)
    progress = terminal.progress()
    try:
        found = job.apply(
            settings, plan, confirmed, canary=canary, results_to=results, store=flags["store"], progress=progress
        )
    finally:
        progress.end()
    if as_json:
        terminal.data(told.apply_json(found))
    terminal.say(told.apply_summary(found))
    return found.exit_code


def _ask(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):  # Ctrl-D is a "no"; Ctrl-C is not an answer
            return False
        raise


@imports.command("undo")
@where
@click.argument("run", metavar="RUN")
@click.option("--out", type=click.Path(path_type=Path), default=Path("undo.plan"), show_default=True)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the changes, to be looked at.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON on stdout.")
def undo(run: str, out: Path, html: Path | None, as_json: bool, **flags: Any) -> int:
    """Plan the way back from RUN (an id, or its .journal file). Changes nothing: apply that plan."""
    from pipelines import import_customers as job
    from pipelines.artifacts import free_for_page
    from pipelines.report import terminal

    if html is not None:
        free_for_page(html)
    settings, progress = settings_of(**flags), terminal.progress()
    try:
        found = job.undo_run(settings, run, out, progress)
    finally:
        progress.end()
    return _show(found, html, as_json, settings.imports.neutralise, _again(flags))
