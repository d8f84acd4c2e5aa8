"""The command `flexsync`. It parses, calls a job, prints, and sets the exit code.

Promised: stdout is data, stderr is talk, the exit code is a promise: 0 done; 1 done in part; 2 your input; 3 the API
could not be reached or refused the key; 4 another run holds the lock; 5 a fault of ours; 130 interrupted, state kept.
`flexsync --help` imports nothing heavy. Only this module, `cli_import` and `cli_options` know click. Never done here:
work.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from connector.errors import FixInput, FlexsyncError
from pipelines.cli.imports import imports
from pipelines.cli.options import DONE, PART, Duration, F, Moment, settings_of, where


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; every error ends as one message and one code."""
    if arguments is None:
        _take_signals()
    try:
        given = list(arguments) if arguments is not None else None
        code = cli.main(args=given, prog_name="flexsync", standalone_mode=False)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__ or abort.__context__, KeyboardInterrupt):  # Ctrl-C at a question hides its cause
            _interrupted()
        _fail("not confirmed: nothing was changed.", "Answer y, or add --yes.", FixInput.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FlexsyncError as error:
        _fail(error.message, error.remedy, error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has gone: nothing is wrong with us
        sys.stderr.close()
        sys.exit(DONE)
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # how DuckDB words Ctrl-C
            _interrupted()
        _bug(error)
    sys.exit(code if isinstance(code, int) else DONE)


def _take_signals() -> None:
    """Let SIGTERM end the command as Ctrl-C does, and a second signal not break the tidying up."""
    import signal

    def end(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _interrupted() -> None:
    _fail("interrupted.", "State is kept: the same command goes on from there.", 130)


def _fail(message: str, remedy: str, code: int) -> None:
    message, remedy = map(_shown, (message, remedy))
    sys.stderr.write(f"error: {message}\n" + (f"       {remedy}\n" if remedy else ""))
    sys.exit(code)


def _shown(text: str) -> str:
    """The text without characters that would command the terminal: a message may quote a file or a server."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _bug(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)
    _fail(f"a fault of ours: {type(error).__name__}: {error}", "Please report it with the lines above.", 5)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flexsync")
def cli() -> None:
    """Keep a local, queryable, provably complete copy of a FlexPrice account."""


cli.add_command(imports)


# --- demo, sandbox ------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("flexsync-demo"), show_default=True)
@click.option("--customers", default=2000, show_default=True, help="Size of the invented account.")
@click.option("--seed", default=7, show_default=True, help="Of the invented data.")
def demo(folder: Path, customers: int, seed: int) -> int:
    """Load an invented account from a sandbox and answer a question with SQL. Needs no account."""
    from pipelines import demo as job
    from pipelines.report import terminal as out

    progress = out.progress()
    report, answer = job.demo(folder, customers, seed, progress)
    progress.end()
    out.say(out.summary(report))
    out.say("")
    click.echo(job.QUESTION)
    out.table(answer.column_names, list(zip(*(c.to_pylist() for c in answer.columns), strict=True)))
    click.echo(f"\n{folder}/billing.duckdb and {folder}/lake hold the copy. Next, type:")
    click.echo(
        f'  flexsync sql --on {folder}/billing.duckdb "SELECT plan_name, count(*) FROM subscriptions GROUP BY 1"'
    )
    click.echo(f"  flexsync status --store {folder}/work.duckdb")
    return DONE if report.status == "green" else PART


@cli.command()
@click.option("--customers", default=2000, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--latency", type=float, help="Milliseconds that every answer waits.")
@click.option("--faults", default="", help="Such as error_rate=0.05,rate=20,retry_after=1; see the README.")
def sandbox(customers: int, seed: int, port: int, host: str, latency: float | None, faults: str) -> int:
    """Serve a FlexPrice API with seeded data and faults on demand. Its key is `sandbox`."""
    from connector.sandbox import Faults, run
    from pipelines.report import terminal as out

    asked = ",".join(part for part in (f"latency={latency:g}" if latency else "", faults) if part)

    def ready(base_url: str) -> None:
        out.say(f"{customers} customers at {base_url}, key: sandbox. Stop with Ctrl-C. In another terminal:")
        click.echo(f"FLEXPRICE_BASE_URL={base_url} FLEXPRICE_API_KEY=sandbox flexsync sync --store work.duckdb")

    try:
        run(customers, seed, port, Faults.parse(asked), host, ready)
    except OSError as error:
        raise FixInput(f"{host} port {port}: {error.strerror}.", remedy="Give another --port.") from error
    return DONE


# --- sync and what looks at it --------------------------------------------------------------------------------------


@cli.command()
@where
@click.option("--publish", multiple=True, metavar="KIND:PATH", help="duckdb:FILE or parquet:FOLDER; may repeat.")
@click.option("--publish-when", type=click.Choice(["always", "green"]), help="Publish degraded runs too, or not.")
@click.option("--full", is_flag=True, help="Walk everything, whatever the cursor says.")
@click.option("--only", metavar="R,…", help="customers, subscriptions, usage, entitlements, upcoming_grants.")
@click.option("--no-prune", is_flag=True, help="Call every customer, subscribed or not.")
@click.option("--accept-lower", multiple=True, metavar="CUSTOMER|all", help="Believe this customer's lower figures.")
@click.option("--dry-run", is_flag=True, help="Count what would be read; write nothing.")
@click.option("--max-calls", type=int, help="End, resumable, after so many calls.")
@click.option("--calls-per-second", type=float, help="Never faster than this.")
@click.option("--max-in-flight", type=int, help="Calls at once.")
@click.option("--deadline", type=Duration(), help="End, resumable, after this time.")
@click.option("--log", type=click.Path(path_type=Path), help="Append what happens to this file, as lines of JSON.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
def sync(
    config: Path | None,
    profile: str | None,
    full: bool,
    only: str | None,
    no_prune: bool,
    accept_lower: tuple[str, ...],
    dry_run: bool,
    log: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Load what is new, prove it complete, publish it. 0: green. 1: degraded, and it says why."""
    from pipelines import jobs
    from pipelines.report import terminal as out
    from pipelines.report.log import logged
    from pipelines.sync import Options

    flags["only"] = tuple(name.strip() for name in only.split(",")) if only else None
    flags["prune"] = False if no_prune else None
    settings = settings_of(config, profile, **flags)
    options = Options(full, frozenset(accept_lower))
    if dry_run:
        out.data(jobs.dry_run(settings, options))
        return DONE
    progress = out.progress()
    try:
        with logged(progress, log) as told:
            report = jobs.sync(settings, options, told)
    finally:
        progress.end()
    out.say(out.summary(report))
    if as_json:
        out.data(report.plain())
    return DONE if report.status == "green" else PART


@cli.command()
@where
@click.option("--publish", multiple=True, metavar="KIND:PATH", help="Where to look while a sync holds the store.")
@click.option("--max-age", type=Duration(), help="Exit 1 when the copy is older.")
@click.option("--json", "as_json", is_flag=True)
def status(max_age: timedelta | None, as_json: bool, **flags: Any) -> int:
    """Say how old and how whole the copy is."""
    from pipelines import jobs
    from pipelines.report import terminal as out

    found = jobs.status(settings_of(**flags), max_age)
    if as_json:
        out.data(found)
    else:
        seconds = found["age_seconds"]
        age = "never finished a run" if seconds is None else f"{timedelta(seconds=seconds)} old"
        older = f", older than {max_age}" if max_age and found["stale"] else ""
        out.say(f"{found['source']}: {age}{older}, {found['rejects']} rejects, {found['suspects']} suspects")
        columns = ("run_id", "mode", "status", "started_at", "calls")
        out.table(columns, [[run[name] for name in columns] for run in found["runs"]])
        out.table(("table", "rows"), list(found["rows"].items()))
    return PART if found["stale"] else DONE


@cli.command()
@where
@click.option("--sample", default=20, show_default=True, help="Customers compared field by field.")
def verify(sample: int, **flags: Any) -> int:
    """Prove the copy against the live API, now. Prints the certificate; 1 when it does not hold."""
    from pipelines import verify as job
    from pipelines.report import terminal as out

    found = job.verify(settings_of(**flags), sample)
    out.data(found)
    return DONE if found["ok"] else PART


@cli.command()
@where
@click.option("--publish", multiple=True, metavar="KIND:PATH")
def doctor(**flags: Any) -> int:
    """Check settings, key, store, publications and server; say what to do about what is missing."""
    from pipelines import doctor as job
    from pipelines.report import terminal as out

    checks = job.doctor(settings_of(**flags))
    for check in checks:
        out.say(f"{'ok ' if check['ok'] else 'BAD'}  {check['check']}: {check['found']}")
        if not check["ok"]:
            out.say(f"     {check['remedy']}")
    return next((check["exit_code"] for check in checks if not check["ok"]), DONE)


@cli.group()
def state() -> None:
    """Show or change what the next sync starts from."""


@state.command("show")
@where
def state_show(**flags: Any) -> int:
    """Print cursors and the last runs."""
    from pipelines import jobs
    from pipelines.report import terminal as out

    out.data(jobs.show_state(settings_of(**flags)))
    return DONE


@state.command("reset")
@where
@click.option("--yes", is_flag=True, help="Do not ask.")
def state_reset(yes: bool, **flags: Any) -> int:
    """Forget cursors: the next sync reads everything again. Rows stay."""
    from pipelines import jobs

    if not yes:
        click.confirm("Forget the cursors, so that the next sync is a full one?", abort=True, err=True)
    jobs.reset_state(settings_of(**flags))
    return DONE


@state.command("set")
@where
@click.argument("moment", type=Moment())
def state_set(moment: datetime, **flags: Any) -> int:
    """Move the cursors back to MOMENT, so that the next sync reads from there."""
    from pipelines import jobs

    jobs.set_state(settings_of(**flags), moment)
    return DONE


@cli.command()
@where
@click.argument("query")
@click.option("--on", metavar="PATH", help="A publication or store; by default the store, or what was published.")
@click.option("--publish", multiple=True, metavar="KIND:PATH", help="Where to look while a sync holds the store.")
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
@click.option("--output", type=click.Path(path_type=Path), help="File to write; needed for parquet.")
def sql(query: str, on: str | None, kind: str, output: Path | None, **flags: Any) -> int:
    """Ask a question of the copy; it cannot be written to. QUERY may be - for standard input."""
    from pipelines import jobs
    from pipelines.report import terminal as out

    with jobs.reading(settings_of(**flags), on) as (opened, remark):
        if remark:
            out.say(f"note: {remark}")
        found = opened.sql(sys.stdin.read() if query == "-" else query)
        try:
            _write(found, kind, output)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FixInput(f"{output} cannot be written: {error}.", remedy="Give another --output.") from error
    return DONE


def _write(found: Any, kind: str, output: Path | None) -> None:
    from pipelines.report import terminal as out

    if kind == "parquet":
        if output is None:
            raise FixInput("parquet is not for the terminal.", remedy="Add --output FILE.")
        from pyarrow import parquet

        parquet.write_table(found, output)
        return
    with click.open_file(str(output or "-"), "w", encoding="utf-8") as file:
        if kind == "csv":
            _csv(found, file)
        elif kind == "json":
            file.write(_json(found) + "\n")
        else:
            rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
            out.table(found.column_names, rows, file)


def _csv(found: Any, file: Any) -> None:
    import csv

    from pipelines.report.terminal import plain

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(found.column_names)
    for row in zip(*(column.to_pylist() for column in found.columns), strict=True):
        writer.writerow(["" if value is None else plain(value) for value in row])


def _json(found: Any) -> str:
    import msgspec

    from pipelines.report.terminal import jsonable

    return msgspec.json.encode([jsonable(row) for row in found.to_pylist()]).decode()


# --- the ten operations, by hand ------------------------------------------------------------------------------------


@cli.group()
def customers() -> None:
    """Call the ten operations by hand; each prints the server's JSON on stdout."""


def _send(call: Any, flags: dict[str, Any]) -> int:
    """Make one call and print its body as it came, indented."""
    from pipelines import operations

    body = operations.send(call, settings_of(**flags))
    if body:
        click.echo(body)
    return DONE


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise FixInput(f"{value!r} is not KEY=VALUE.", remedy="Write --metadata tier=gold.")
        pairs[name] = text
    return pairs


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FixInput(f"{path} cannot be read: {error}.", remedy="Name a UTF-8 file with a JSON object.") from error


def _object(text: str | None) -> dict[str, Any]:
    """Read a JSON object given as text, as @FILE, or as - for standard input."""
    if text is None:
        return {}
    import json

    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = _file(Path(text[1:]))
    try:
        found = json.loads(text)
    except ValueError as error:
        raise FixInput(f"the body is not JSON: {error}.", remedy="Give a JSON object, @FILE or -.") from error
    if not isinstance(found, dict):
        raise FixInput("the body is not a JSON object.", remedy='Write {"name": "…"}.')
    return found


def paging(command: F) -> F:
    """Add the options that GET and POST listings share (contract.md 3.1)."""
    options = [
        click.option("--limit", type=int, help="1 to 1000; 50 by default."),
        click.option("--offset", type=int),
        click.option("--status", type=click.Choice(["published", "archived"])),
        click.option("--expand", type=click.Choice(["integrations"])),
        click.option("--external-id"),
        click.option("--external-ids", multiple=True, help="May repeat."),
        click.option("--customer-ids", multiple=True, help="May repeat."),
        click.option("--email"),
        click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="May repeat; all must match."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_PAGING = ("limit", "offset", "status", "expand", "external_id", "external_ids", "customer_ids", "email", "metadata")


def _listing(flags: dict[str, Any]) -> dict[str, Any]:
    given = {name: flags.pop(name) for name in _PAGING}
    given["metadata"] = _pairs(given["metadata"])
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v not in (None, (), {})}


@customers.command("list")
@where
@paging
@click.option("--order", type=click.Choice(["asc", "desc"]), help="By created_at.")
def customers_list(order: str | None, **flags: Any) -> int:
    """GET /customers (get_customers)."""
    from connector.api import calls

    given = _listing(flags)
    return _send(calls.list_customers(**given, order=order), flags)


@customers.command("search")
@where
@paging
@click.option("--sort", multiple=True, metavar="FIELD[:asc|desc]", help="May repeat.")
@click.option("--filter", "filters", multiple=True, metavar="JSON", help="One condition; may repeat.")
@click.option("--body", metavar="JSON|@FILE|-", help="The whole body; options lie over it.")
def customers_search(sort: tuple[str, ...], filters: tuple[str, ...], body: str | None, **flags: Any) -> int:
    """POST /customers/search (post_customers_search)."""
    from connector.api import calls

    given = {**_object(body), **_listing(flags)}
    if sort:
        parts = [entry.partition(":") for entry in sort]
        given["sort"] = [{"field": name, "direction": direction or "asc"} for name, _, direction in parts]
    if filters:
        given["filters"] = [_object(condition) for condition in filters]
    return _send(calls.search_customers(given), flags)


@customers.command("get")
@where
@click.argument("id", required=False)
@click.option("--external-id")
@click.option("--expand", type=click.Choice(["integrations"]))
def customers_get(id: str | None, external_id: str | None, expand: str | None, **flags: Any) -> int:
    """GET /customers/{id} (get_customers_id_) or /customers/external/{external_id} (…_external_external_id_)."""
    from pipelines import operations

    if bool(id) == bool(external_id):
        raise FixInput("give either ID or --external-id.", remedy="flexsync customers get cust_…")
    settings = settings_of(**flags)
    click.echo(operations.get(settings, id=id, external_id=external_id, expand=expand))
    return DONE


_TEXTS = ("name", "email", "contact", "address-line1", "address-line2", "address-city", "address-state")
_FIELDS = (*_TEXTS, "address-postal-code", "address-country", "timezone")


def fields(command: F) -> F:
    """Add the options for a customer's fields (contract.md 5.1)."""
    for name in reversed(_FIELDS):
        command = click.option(f"--{name}")(command)
    command = click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="May repeat.")(command)
    return click.option("--body", metavar="JSON|@FILE|-", help="The whole body; options lie over it.")(command)


def _customer(flags: dict[str, Any]) -> dict[str, Any]:
    body = _object(flags.pop("body"))
    metadata = _pairs(flags.pop("metadata"))
    given = {name.replace("-", "_"): flags.pop(name.replace("-", "_")) for name in _FIELDS}
    body.update({name: value for name, value in given.items() if value is not None})
    return {**body, "metadata": metadata} if metadata else body


@customers.command("create")
@where
@fields
@click.option("--external-id")
@click.option("--skip-onboarding-workflow", is_flag=True, help="Do not start the account's workflow.")
def customers_create(external_id: str | None, skip_onboarding_workflow: bool, **flags: Any) -> int:
    """POST /customers (post_customers)."""
    from connector.api import calls

    body = _customer(flags)
    if external_id is not None:
        body["external_id"] = external_id
    if skip_onboarding_workflow:
        body["skip_onboarding_workflow"] = True
    return _send(calls.create_customer(body), flags)


@customers.command("update")
@where
@fields
@click.argument("id", required=False)
@click.option("--external-id", help="Instead of ID: whom to update.")
@click.option("--new-external-id", help="Changes the external id itself.")
def customers_update(id: str | None, external_id: str | None, new_external_id: str | None, **flags: Any) -> int:
    """PUT /customers (put_customers). Metadata replaces the whole object."""
    from connector.api import calls

    body = _customer(flags)
    if new_external_id is not None:
        body["external_id"] = new_external_id
    return _send(calls.update_customer(body, id=id, external_customer_id=external_id), flags)


@customers.command("delete")
@where
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def customers_delete(id: str, yes: bool, **flags: Any) -> int:
    """DELETE /customers/{id} (delete_customers_id_). Archives; the API has no way back."""
    from connector.api import calls

    if not yes:
        click.confirm(f"Archive {id}? The API cannot undo it.", abort=True, err=True)
    return _send(calls.delete_customer(id), flags)


@customers.command("usage")
@where
@click.argument("id", required=False)
@click.option("--external-id", help="Instead of ID.")
@click.option("--feature-ids", multiple=True, help="May repeat.")
@click.option("--feature-lookup-keys", multiple=True, help="May repeat.")
@click.option("--subscription-ids", multiple=True, help="May repeat.")
def customers_usage(
    id: str | None,
    external_id: str | None,
    feature_ids: tuple[str, ...],
    feature_lookup_keys: tuple[str, ...],
    subscription_ids: tuple[str, ...],
    **flags: Any,
) -> int:
    """GET /customers/usage (get_customers_usage)."""
    from connector.api import calls

    call = calls.get_usage(
        id,
        customer_lookup_key=external_id,
        feature_ids=feature_ids,
        feature_lookup_keys=feature_lookup_keys,
        subscription_ids=subscription_ids,
    )
    return _send(call, flags)


@customers.command("entitlements")
@where
@click.argument("id")
@click.option("--feature-ids", multiple=True, help="May repeat.")
@click.option("--subscription-ids", multiple=True, help="May repeat.")
def customers_entitlements(
    id: str, feature_ids: tuple[str, ...], subscription_ids: tuple[str, ...], **flags: Any
) -> int:
    """GET /customers/{id}/entitlements (get_customers_id_entitlements)."""
    from connector.api import calls

    return _send(calls.get_entitlements(id, feature_ids=feature_ids, subscription_ids=subscription_ids), flags)


@customers.command("grants")
@where
@click.argument("id")
def customers_grants(id: str, **flags: Any) -> int:
    """GET /customers/{id}/grants/upcoming (get_customers_id_grants_upcoming)."""
    from connector.api import calls

    return _send(calls.get_upcoming_grants(id), flags)
