"""The push: a file of customers, a plan that shows every change, an apply that makes those changes and no others.

Promised: `plan` only reads; `apply` writes what the plan shows, once it is confirmed as its guards ask; a plan that
fails leaves no older plan under its name to be applied by mistake. Never done here: HTTP, deciding, printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from connector.api.client import AsyncFlexprice
from connector.errors import FixInput
from connector.push.account.customer import total
from connector.push.apply import journal as journals
from connector.push.apply import undo
from connector.push.apply.apply import Apply
from connector.push.apply.journal import Journal, Line
from connector.push.apply.orders import Orders, Pace
from connector.push.apply.outcomes import Tally
from connector.push.apply.results import results, write_rejected, write_results
from connector.push.file.row import Checked
from connector.push.file.rows import Rows, read_rows
from connector.push.file.rules import EXCUSABLE
from connector.push.plan import mirror
from connector.push.plan.counts import Counts
from connector.push.plan.decide import invalid
from connector.push.plan.entry import Entry
from connector.push.plan.guards import Guard, tripped
from connector.push.plan.options import Options
from connector.push.plan.plan import planned
from connector.push.plan.planfile import Header, Plan, PlanWriter, Source, new_run
from connector.settings import Settings
from connector.store.store import Store
from pipelines.confirm import Confirmed, confirm, go_on, limits, quietly
from pipelines.jobs import run
from pipelines.places import alone, check_not_undone, put_aside, results_of
from pipelines.progress import Progress

__all__ = ["Applied", "Confirmed", "Planned", "apply", "plan", "undo_run"]

MOST_REFUSED = 10_000  # of a file of which nothing can be planned; rejected.csv has all
KINDS = ("create", "update", "archive", "unchanged", "invalid", "conflict")


@dataclass
class Planned:
    """What a plan came to.

    Attributes:
        source: the file, and how it was read.
        checked: what the first reading found; None for an undo.
        guessed: whether the file's encoding is a guess.
        plan: the plan; None when nothing could be planned, then no file is left.
        counts: entries of each kind.
        existing: published customers.
        guards: those that trip.
        refused: entries, where no plan holds them; the first ten thousand.
        strangers: conflicts that met no customer.
        rejected: where refused rows were written, and how many.
        calls: HTTP calls made, by operation.
    """

    source: Source
    checked: Checked | None = None
    guessed: bool = False
    plan: Plan | None = None
    counts: Counts = field(default_factory=Counts)
    existing: int = 0
    guards: list[Guard] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    strangers: int = 0
    rejected: tuple[Path, int] | None = None
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 every row can be done, 1 some cannot, 2 none can."""
        if self.plan is None:
            return FixInput.exit_code
        return 1 if self.counts.invalid or self.counts.conflict else 0


@dataclass
class Applied:
    """What an apply came to; `refused` are the outcomes that are not as planned."""

    plan: Plan
    tally: Tally
    rejected: tuple[Path, int]
    results: tuple[Path, int]
    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    refused: list[Line] = field(default_factory=list)

    def after(self, canary: Applied) -> Applied:
        """The same, with what its canary took."""
        calls = {name: self.calls.get(name, 0) + canary.calls.get(name, 0) for name in {**self.calls, **canary.calls}}
        window = max(self.tally.window, canary.tally.window)
        tally = replace(self.tally, earlier=canary.tally.earlier, window=window)
        return replace(self, tally=tally, calls=calls, seconds=self.seconds + canary.seconds)

    @property
    def exit_code(self) -> int:
        """0 every planned row is done; 1 some were skipped, failed, differ or are left."""
        return 0 if self.tally.complete else 1


# --- plan -----------------------------------------------------------------------------------------------------------


def plan(
    settings: Settings,
    source: Path | str | BinaryIO | Any,
    out: Path,
    *,
    archive_missing: bool = False,
    progress: Progress | None = None,
) -> Planned:
    """Read a file and the account, and write a plan.

    Args:
        settings: account and [import].
        source: a CSV file (path, ``-``, binary file object), a DataFrame or an Arrow table.
        out: where the plan goes.
        archive_missing: plan an archive for every customer that the file does not name.
        progress: is told how far it is.

    Returns:
        What came of it; nothing was written to the account.

    Raises:
        FixInput: the file cannot be read at all; creates without a word on onboarding; archives with invalid rows.
    """
    told = progress or Progress()
    with alone(out):
        if aside := put_aside(out):
            told.note(aside)
        return _planned(settings, source, out, archive_missing, told)


def _planned(settings: Settings, source: Any, out: Path, archive_missing: bool, told: Progress) -> Planned:
    given = settings.imports
    own = rejected_of(out)
    if isinstance(source, str | Path) and own.exists() and Path(source).exists() and own.samefile(source):
        raise FixInput(f"{own} would be written over itself.", remedy="Give another --out.")
    with read_rows(
        source,
        mapping=given.mapping,
        constants=given.constants,
        match=given.match,
        encoding=given.encoding or None,
        delimiter=given.delimiter or None,
    ) as rows:
        told.step("read")
        checked = rows.check()
        found = Planned(_source(rows, checked), checked, rows.source.guessed)
        told.advance("read", checked.rows)
        if not checked.usable:  # no call is made for it
            with PlanWriter(out) as writer:
                _take(found, writer, (invalid(row, row.faults, rows) for row in rows))
                return _rejected(found, out, writer)
        if archive_missing and not EXCUSABLE.issuperset(checked.faults):
            _mistyped(found.source.name, checked.invalid)
        settings.require_key()
        with PlanWriter(out) as writer:
            return run(_plan(settings, rows, found, out, writer, archive_missing, told))


async def _plan(
    settings: Settings, rows: Rows, found: Planned, out: Path, writer: PlanWriter, archive_missing: bool, told: Progress
) -> Planned:
    given = settings.imports
    # Ids that were met: a customer may have another external_id by the time of the walk.
    known: set[int] | None = set() if archive_missing else None
    async with AsyncFlexprice(settings, on_call=told.called) as api:
        found.existing, environment = await total(api.send)
        told.step("compare", found.source.rows, "rows")
        async for entries in planned(rows, Options(given.mode, given.match, given.metadata), api.send):
            _take(found, writer, entries, known)
            _check_onboarding(given.onboarding, found.counts, entries)
            told.advance("compare", len(entries))
        if known is not None:
            if found.counts.invalid or found.strangers:
                _mistyped(found.source.name, found.counts.invalid + found.strangers)
            told.step("archive")
            async for entries in mirror.missing(known | mirror.named(rows), api.send):
                _take(found, writer, entries)
        found.calls = api.gate.report()["operations"]
    if not rows.source.unchanged():
        raise FixInput(f"{found.source.name} changed while it was read.", remedy="Plan again once it is written.")
    options = {
        "mode": given.mode, "match": given.match, "metadata": given.metadata, "onboarding": given.onboarding,
        "archive_missing": archive_missing,
    }  # fmt: skip
    return _finished(found, settings, out, writer, environment, options)


def _mistyped(name: str, rows: int) -> NoReturn:
    raise FixInput(
        f"{name} has {rows} rows that are invalid or meet no customer, and --archive-missing would archive customers"
        " that are only mistyped.",
        remedy="Mend them first: `flexsync import plan` without --archive-missing lists them.",
    )


def _take(found: Planned, writer: PlanWriter, entries: Iterable[Entry], known: set[int] | None = None) -> None:
    for entry in entries:
        found.counts.add(entry)
        found.strangers += entry.stranger
        if known is not None:
            known.add(hash(entry.id))
        writer.add(entry)


def _check_onboarding(choice: str, counts: Counts, entries: Sequence[Entry]) -> None:
    if choice or not counts.create:
        return
    first = next(entry for entry in entries if entry.do == "create")
    raise FixInput(
        f"line {first.line}, {first.external_id!r}, would be created, and creating a customer can start the account's"
        " onboarding workflow.",
        remedy="If it should exist already, mend its external_id, or say --mode update. To create it, say --onboarding"
        " skip, or --onboarding run (or run:NAME); [import] onboarding keeps it.",
    )


def _finished(
    found: Planned, settings: Settings, out: Path, writer: PlanWriter, environment: str, options: dict[str, Any],
    undoes: str = "",
) -> Planned:  # fmt: skip
    counts = found.counts
    found.guards = tripped(counts, found.existing, limits(settings))
    if counts.create + counts.update + counts.archive + counts.unchanged:
        now = datetime.now(UTC)
        header = Header(
            run=new_run(now),
            made_at=now,
            base_url=settings.api.base_url,
            environment_id=environment,
            source=found.source,
            options=options,
            counts=counts.plain(),
            existing=found.existing,
            guards=found.guards,
            undoes=undoes,
        )
        found.plan = writer.finish(header, summary(header))
    return _rejected(found, out, writer)


def rejected_of(out: Path) -> Path:
    """Where the rows go that a plan does not take."""
    return Plan(out, None, "").beside(".rejected.csv")  # type: ignore[arg-type]  # only its name is needed


def _rejected(found: Planned, out: Path, writer: PlanWriter) -> Planned:
    path = rejected_of(out)
    if found.plan is None:
        found.refused = list(islice(writer.entries(), MOST_REFUSED))
    found.rejected = (path, write_rejected(path, found.source, writer.entries(), {}))
    return found


def summary(header: Header) -> str:
    """What stands at the top of a plan, for people."""
    counts, source = header.counts, header.source
    lines = [
        f"Flexsync plan {header.run} for {header.base_url} {header.environment_id}".rstrip(),
        f"undoes {header.undoes}"
        if header.undoes
        else f"from {source.name}, {source.rows} rows, sha256 {source.sha256}",
        ", ".join(
            f"{name} {counts[name]}" for name in ("create", "update", "archive", "unchanged", "invalid", "conflict")
        ),
        f"{counts['writes']} writes; {header.existing} customers exist",
        *(f"guard: {guard.text}" for guard in header.guards),
        "One JSON object a line follows; unchanged rows are only counted. The last line is a digest: do not edit.",
    ]
    return "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)


def _source(rows: Rows, checked: Checked) -> Source:
    source = rows.source
    header = next(r.raw for r in source.records() if r.line == rows.columns.line)
    return Source(
        source.name, source.sha256, source.encoding, source.delimiter, header, source.bom.hex(), source.unit,
        checked.rows, checked.blank,
    )  # fmt: skip


# --- apply ----------------------------------------------------------------------------------------------------------


def apply(
    settings: Settings,
    path: Path,
    confirmed: Confirmed,
    *,
    canary: int = 0,
    max_failures: int | None = None,
    results_to: Path | None = None,
    store: Path | None = None,
    pace: Pace | None = None,
    progress: Progress | None = None,
) -> Applied:
    """Do what a plan says, and no more; run again, it goes on where it was.

    Args:
        settings: account and [import].
        path: the plan.
        confirmed: what was said, and who can be asked.
        canary: write so many first, read them back, then ask.
        max_failures: stop after so many refused rows.
        results_to: where the results go (.csv or .parquet), instead of beside the plan.
        store: a working store whose `flexsync.import_journal` shall have the outcomes too.
        pace: how many rows are checked together, and how patiently.
        progress: is told how far it is.

    Returns:
        What became of it.

    Raises:
        FixInput: the plan was changed, is another account's, or was not confirmed as it asks.
        LockHeld: another apply has this plan, or a sync the store.
        StopRun: the server is gone or refuses; what was done is in the journal.
    """
    told = progress or Progress()
    confirmed = replace(confirmed, ask=quietly(confirmed.ask, told))
    with alone(path), _stored(store) as kept, ExitStack() as stack:
        found = Plan.read(path)
        stack.enter_context(alone(path.parent / f".{found.header.run}"))  # it may lie here under another name too
        check_not_undone(found)
        _check_account(found.header, settings, "")
        settings.require_key()
        results_of(found, results_to)  # a wrong place is told before anything is written
        confirm(found, confirmed, limits(settings))
        orders = Orders(
            onboarding=str(found.header.options.get("onboarding") or "skip"),
            canary=canary,
            max_failures=settings.imports.max_failures if max_failures is None else max_failures,
            pace=pace or Pace(),
        )
        with Journal.of(found, datetime.now(UTC).isoformat()) as journal:
            try:
                done = run(_apply(settings, found, journal, orders, kept, told, results_to))
                if done.tally.canary and go_on(done.tally.canary, confirmed):
                    rest = replace(orders, canary=0)
                    done = run(_apply(settings, found, journal, rest, kept, told, results_to)).after(done)
                return done
            except BaseException:
                _told(settings, found, journal, results_to)
                if journal.settled or journal.open:
                    told.note(_broken_off(found, journal))
                raise


def _broken_off(found: Plan, journal: Journal) -> str:
    counts = found.header.counts
    rows = counts["create"] + counts["update"] + counts["archive"]
    return (
        f"run {found.header.run}: {len(journal.settled)} of {rows} customers are settled. The same command goes on; "
        f"flexsync import undo {found.header.run} takes back what was written"
    )


async def _apply(
    settings: Settings, found: Plan, journal: Journal, orders: Orders, kept: Store | None, told: Progress,
    results_to: Path | None,
) -> Applied:  # fmt: skip
    header = found.header
    counts = header.counts
    began = datetime.now(UTC)
    async with AsyncFlexprice(settings, on_call=told.called) as api:
        if counts["writes"]:
            _, environment = await total(api.send)
            _check_account(header, settings, environment)
            rows = counts["create"] + counts["update"] + counts["archive"] - len(journal.settled)
            _check_empty(header, environment, begun=bool(journal.settled or journal.open), left=rows)
            if kept and environment:
                kept.bind(environment)
        rows = counts["create"] + counts["update"] + counts["archive"] - len(journal.settled)
        told.step("write", rows, "customers")
        work = Apply(
            found,
            api.send,
            journal,
            orders,
            on_settled=lambda count: told.advance("write", count),
            write=lambda call, until: api.send(call, until=until),
            every_subscription=bool(header.undoes),
        )
        tally = await work.run()
        calls = api.gate.report()["operations"]
    rejected, written = _told(settings, found, journal, results_to)
    if kept:
        kept.record_import(header.run, header.made_at, results(found.entries(), journal.settled))
    seconds = (datetime.now(UTC) - began).total_seconds()
    refused = [line for line in journal.settled.values() if line.outcome != "done"]
    return Applied(found, tally, rejected, written, calls, seconds, refused)


def _told(
    settings: Settings, found: Plan, journal: Journal, results_to: Path | None
) -> tuple[tuple[Path, int], tuple[Path, int]]:
    """Write what became of every row so far.

    Rows that this run did not take have a file of their own: those that the plan refused are in the plan's already, and
    somebody may be mending them there.
    """
    rejected = found.beside(f".{found.header.run}.rejected.csv")
    out = results_of(found, results_to)
    writing = (entry for entry in found.entries() if entry.writes)
    refused = write_rejected(rejected, found.header.source, writing, journal.settled)
    written = write_results(out, found.entries(), journal.settled, neutralise=settings.imports.neutralise)
    return (rejected, refused), (out, written)


def _check_account(header: Header, settings: Settings, environment: str) -> None:
    """A plan is for one account: the environment that was read, and the address under which it was."""
    if header.environment_id and environment and header.environment_id != environment:
        raise FixInput(
            f"The plan is for environment {header.environment_id}, the key opens {environment}.",
            remedy="Use the key that the plan was made with.",
        )
    if header.base_url != settings.api.base_url:
        raise FixInput(
            f"The plan is for {header.base_url}, settings say {settings.api.base_url}.",
            remedy="Use the same base_url (--config, --profile or FLEXPRICE_BASE_URL as for the plan), or plan again.",
        )


def _check_empty(header: Header, environment: str, *, begun: bool, left: int) -> None:
    """An account without customers names no environment: the plan and the key may then be of different ones."""
    if header.environment_id and not environment and left:
        raise FixInput(
            f"The plan is for environment {header.environment_id}; the key opens an account without any customer.",
            remedy="Use the key that the plan was made with, or plan again.",
        )
    if environment and not header.environment_id and not begun:
        raise FixInput(
            "The plan was made when the account had no customer, and now it has some.",
            remedy="Plan again: it may be another account, or somebody has begun to fill it.",
        )


@contextmanager
def _stored(path: Path | None) -> Iterator[Store | None]:
    """The store is opened before anything is written to the account: a held one must stop the run now, not after it."""
    with Store.open(path) if path else nullcontext() as store:
        yield store


# --- undo ---------------------------------------------------------------------------------------------------------


def undo_run(settings: Settings, wanted: str, out: Path, progress: Progress | None = None) -> Planned:
    """Plan the way back from a run.

    Args:
        settings: account and guards.
        wanted: the run's id, or its journal's path.
        out: where the plan goes.
        progress: is told how far it is.

    Returns:
        What came of it: reversed rows as update and archive, kept and impossible ones as conflict.

    Raises:
        FixInput: there is no such journal.
    """
    settings.require_key()
    path = _journal_of(wanted, out.parent)
    first = next(journals.read(path), None)
    if first is None or first.what != "begin":
        raise FixInput(f"{path} is not the journal of a run.", remedy="Name the run, or its .journal file.")
    told = progress or Progress()
    running = alone(path.parent / f".{first.run}")  # a run that is under way cannot be taken back as a whole
    with running, alone(out), PlanWriter(out) as writer:
        if aside := put_aside(out):
            told.note(aside)
        found = Planned(Source(f"undo of {first.run}"))
        return run(_undo(settings, found, path, first, out, writer, told))


async def _undo(
    settings: Settings, found: Planned, path: Path, first: Line, out: Path, writer: PlanWriter, told: Progress
) -> Planned:
    async with AsyncFlexprice(settings, on_call=told.called) as api:
        found.existing, environment = await total(api.send)
        if environment and first.environment_id not in ("", environment):
            raise FixInput(
                f"{path} is of environment {first.environment_id}, the key opens {environment}.",
                remedy="Use the key that the run was made with.",
            )
        told.step("compare")
        async for entries in undo.undone(journals.read(path), api.send):
            _take(found, writer, entries)
            told.advance("compare", len(entries))
        found.calls = api.gate.report()["operations"]
    return _finished(found, settings, out, writer, environment, {"onboarding": "skip"}, first.run)


def _journal_of(wanted: str, folder: Path) -> Path:
    if Path(wanted).is_file():
        return Path(wanted)
    places = dict.fromkeys((folder, Path()))
    found = [path for place in places for path in place.glob("*.journal") if path.name.endswith(f".{wanted}.journal")]
    if found:
        return found[0]
    raise FixInput(
        f"There is no journal of a run {wanted!r} here.",
        remedy="Give the run's id in the folder of its plan, or the path of its .journal file.",
    )
