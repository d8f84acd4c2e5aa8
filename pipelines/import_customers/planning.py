"""The plan job: reads a file and the account, and writes a plan.

Promised: nothing is written to the account. A file without a usable row costs no call. Never done: deciding a row (see
`connector.push.plan`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from msgspec import UNSET

from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.plurals import counted
from connector.push.account.customer import Send, total
from connector.push.apply.doubted import read_decisions
from connector.push.file.advice import FIXES
from connector.push.file.damage import KINDS
from connector.push.file.headers import bare
from connector.push.file.row import Checked
from connector.push.file.rows import Rows, read_rows
from connector.push.file.rules import EXCUSABLE
from connector.push.plan import mirror
from connector.push.plan.decide import invalid
from connector.push.plan.doubts import Decisions
from connector.push.plan.entry import Entry
from connector.push.plan.options import Options
from connector.push.plan.patterns import Patterns
from connector.push.plan.plan import planned
from connector.push.plan.planfile import PlanWriter, Source
from connector.settings import Import, Settings
from pipelines.artifacts import alone, check_rejected, doubted_of, rejected_of, replacing
from pipelines.confirm import limits
from pipelines.import_customers.account import Account
from pipelines.import_customers.comparing import Comparing
from pipelines.import_customers.planned import Draft, Planned
from pipelines.progress import Progress
from pipelines.runner import run

__all__ = ["plan"]


def plan(
    settings: Settings,
    source: Path | str | BinaryIO | Any,
    out: Path,
    *,
    archive_missing: bool = False,
    decisions: Path | None = None,
    store: Path | None = None,
    sheet: str | None = None,
    rejected_to: Path | None = None,
    progress: Progress | None = None,
    clock: Clock = exact_now,
) -> Planned:
    """Read a file and the account, and write a plan.

    Args:
        settings: account and [import].
        source: a CSV file or a workbook (path, ``-``, binary file object), a DataFrame or an Arrow table.
        out: where the plan goes.
        archive_missing: plan an archive for every customer that the file does not name.
        decisions: the file of doubts that an earlier plan wrote, with yes or no for its rows.
        store: a synced store, whose external_ids new ones are compared with instead of the account's.
        sheet: name or number of a workbook's sheet; without it the only visible one with data.
        rejected_to: where refused rows go (.csv or .xlsx), instead of beside the plan.
        progress: hears how far it is.
        clock: this machine's.

    Returns:
        What came of it; nothing was written to the account.

    Raises:
        FixInput: what `flexsync import plan` refuses: a file, a decision or a choice that is wrong or missing.
    """
    asked = _Asked(archive_missing, decisions or _own_decisions(source, out), sheet, rejected_to)
    shown = progress or Progress()
    compares = Comparing(store, shown, clock) if settings.imports.twins else None
    return _begun(settings, asked, compares, shown, clock, source, out)


class _Asked(NamedTuple):
    """What is asked of one plan: archives, where decisions stand, the sheet of a workbook, where refused rows go."""

    archive_missing: bool
    decisions: Path | None
    sheet: str | None
    rejected_to: Path | None


def _begun(
    settings: Settings,
    asked: _Asked,
    compares: Comparing | None,
    shown: Progress,
    clock: Clock,
    source: Any,
    out: Path,
) -> Planned:
    """Check what is asked, hold the plan's name, and plan."""
    decided = _decided(settings.imports, asked.decisions)
    check_rejected(asked.rejected_to)
    with alone(out), alone(asked.rejected_to or rejected_of(out)), replacing(out, shown.note):
        account = Account.of(settings, shown)
        return _Planning(account, settings.imports, asked, decided, compares, shown, clock).plan(source, out)


@dataclass(frozen=True)
class _Planning:
    """One plan job: the account, [import], what is asked and decided, the ids to compare with, the clock."""

    account: Account
    given: Import
    asked: _Asked
    decided: Decisions
    compares: Comparing | None
    progress: Progress
    clock: Clock

    def plan(self, source: Any, out: Path) -> Planned:
        """Read the file, then the account."""
        given = self.given
        with read_rows(
            source,
            mapping=given.mapping,
            constants=given.constants,
            match=given.match,
            encoding=given.encoding or None,
            delimiter=given.delimiter or None,
            fixes=given.fix,
            unknown=given.unknown_columns,
            sheet=self.asked.sheet,
        ) as rows:
            self.progress.step("read")
            checked = rows.check()
            self.progress.advance("read", checked.rows)
            if not checked.rows:
                raise FixInput(
                    f"{rows.source.name} has a header and no rows.",
                    remedy="Add a row for each customer; `flexsync import export` writes those that exist.",
                )
            if not _same_file(_path_of(source), self.asked.decisions):
                _check_undecided(rows)
            found = Planned(_source(rows, checked), checked, rows.source.guessed, columns=rows.columns.bound)
            # Ids of the rows' customers: one may have another external_id by the time of the walk.
            seen: set[int] | None = set() if self.asked.archive_missing else None
            if checked.usable:
                if self.asked.archive_missing and not EXCUSABLE.issuperset(checked.faults):
                    _refuse_archives(found.source.name, checked.invalid)
                self.account.require_key()
            with PlanWriter(out) as writer:
                to, patterns = self.asked.rejected_to, Patterns.of(rows.columns)
                draft = Draft(found, writer, seen, False, _path_of(source), self.progress.note, patterns, to)
                if checked.usable:
                    return run(self._compare(rows, draft))
                draft.take(invalid(row, row.faults, rows) for row in rows.as_given())
                return self._finished(draft, "")

    async def _compare(self, rows: Rows, draft: Draft) -> Planned:
        found, given = draft.planned, self.given
        async with self.account.open() as api:
            found.existing, environment = await total(api.send)
            self.progress.step("compare", found.source.rows, ("row", "rows"))
            async for entries in planned(rows, self._options(), api.send, met=draft.patterns.meet):
                draft.take(self.decided.meet(entry) for entry in entries)
                _check_onboarding(given.onboarding, self.decided, found.source.unit, entries)
                self.progress.advance("compare", len(entries))
            await self._review(rows, draft, environment, api.send)
            if draft.seen is not None:
                await self._archive_missing(rows, draft, draft.seen, api.send)
            found.calls = api.gate.report()["operations"]
        if not rows.source.unchanged():
            raise FixInput(f"{found.source.name} changed while it was read.", remedy="Plan again once it is written.")
        self._finished(draft, environment)
        draft.write_doubted(self.asked.decisions, self.decided)
        return found

    def _finished(self, draft: Draft, environment: str) -> Planned:
        """Write the plan, unless there is nothing in it, and the refused rows."""
        given = self.given
        options = {
            "mode": given.mode, "match": given.match, "metadata": given.metadata, "onboarding": given.onboarding,
            "archive_missing": self.asked.archive_missing,
        }  # fmt: skip
        return draft.finish(limits(given), self.account.base_url, environment, options, self.clock())

    async def _review(self, rows: Rows, draft: Draft, environment: str, send: Send) -> None:
        """Compare new external_ids, and hold what looks like a mistake."""
        found, twins = draft.planned, None
        if found.counts.create + found.counts.key_changes:
            found.twins = "not compared: --no-twins"
            if self.compares is not None:
                twins = await self.compares.twins(rows, environment, found.existing, send)
                found.twins = self.compares.said
        if meant := draft.review(self.decided, twins):
            only = {entry.line: external_id for external_id, entry in meant.items()}
            as_they_stand = {entry.line: entry for entry in meant.values()}
            async for entries in planned(rows, self._options(), send, only, draft.patterns.meet):
                draft.take_meant(entries, as_they_stand, self.decided)
        found.unmet, found.lapsed = self.decided.without_row, self.decided.lapsed
        if found.unmet and _same_file(draft.read, self.asked.decisions):
            raise FixInput(
                f"{found.source.name} holds {counted(len(found.unmet), 'decision')} about rows that are not in it as"
                " they were: it was edited, or saved in another form.",
                remedy=f"Plan the file that it was written for, with --decisions {found.source.name}.",
            )

    def _options(self) -> Options:
        return Options(self.given.mode, self.given.match, self.given.metadata)

    async def _archive_missing(self, rows: Rows, draft: Draft, seen: set[int], send: Send) -> None:
        """Plan archives for customers that the file does not name."""
        found = draft.planned
        if found.counts.invalid or found.strangers:
            _refuse_archives(found.source.name, found.counts.invalid + found.strangers)
        if doubted := found.counts.held + found.counts.left_out + len(found.unmet):
            what = ("row that looks like a mistake", "rows that look like a mistake")
            raise FixInput(
                f"{found.source.name} has {counted(doubted, *what)}, and --archive-missing would archive customers that"
                " are only misspelt.",
                remedy="Correct them first: `flexsync import plan` without --archive-missing lists them.",
            )
        self.progress.step("archive")
        async for entries in mirror.missing(seen | mirror.named(rows), send):
            draft.take(entries)


def _decided(given: Import, decisions: Path | None) -> Decisions:
    """What was decided beforehand. Raises `FixInput` for an unknown kind, or decisions that cannot be read."""
    _check_kinds("kind of proposal", "--fix", given.fix, FIXES)
    _check_kinds("kind of doubt", "--accept", given.accept, KINDS)
    return Decisions(frozenset(given.accept), read_decisions(decisions) if decisions else {})


def _check_kinds(what: str, flag: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Make sure that only known kinds were named. Raises `FixInput`."""
    if wrong := next((kind for kind in given if kind not in known), None):
        raise FixInput(f"{wrong!r} is no {what}.", remedy=f"{flag} takes {', '.join(known)}.")


def _own_decisions(source: Any, out: Path) -> Path | None:
    """The file itself, where it is the file of doubts: it brings its decisions."""
    path, doubts = _path_of(source), doubted_of(out)
    return path if _same_file(path, doubts) else None


def _same_file(one: Path | None, other: Path | None) -> bool:
    return bool(one and other and one.exists() and other.exists() and one.samefile(other))


def _path_of(source: Any) -> Path | None:
    """The file that is planned, where it has a path."""
    return Path(source) if isinstance(source, str | Path) and str(source) != "-" else None


def _check_undecided(rows: Rows) -> None:
    """Make sure that a file of doubts that is planned as it stands holds no decision. Raises `FixInput`."""
    own = [one.how == "own" and bare(one.header) == "decision" for one in rows.columns.bound]
    if not any(own):
        return
    at, records = own.index(True), (one for one in rows.source.records() if one.line != rows.columns.line)
    if line := next((one.line for one in records if len(one.cells) > at and one.cells[at].strip()), 0):
        name = rows.source.name
        raise FixInput(
            f"{name} line {line} holds a decision, and decisions are not taken from the file that is planned.",
            remedy=f"Plan the file that {name} was written for, with --decisions {name}. To plan its rows as they stand"
            " in it, empty its column decision.",
        )


def _refuse_archives(name: str, rows: int) -> NoReturn:
    what = counted(rows, "row that is invalid or meets no customer", "rows that are invalid or meet no customer")
    raise FixInput(
        f"{name} has {what}, and --archive-missing would archive customers that are only mistyped.",
        remedy="Correct them first: `flexsync import plan` without --archive-missing lists them.",
    )


def _check_onboarding(choice: str, decided: Decisions, unit: str, entries: Sequence[Entry]) -> None:
    first = next((entry for entry in entries if entry.do == "create" and not decided.refused(entry)), None)
    if choice or first is None:
        return
    raise FixInput(
        f"{unit} {first.line}, {first.external_id!r}, would be created, and creating a customer can start"
        " the account's onboarding workflow.",
        remedy="If it should exist already, correct its external_id, or say --mode update. To create it, say"
        " --onboarding skip, or --onboarding run (or run:NAME); [import] onboarding keeps it.",
    )


def _source(rows: Rows, checked: Checked) -> Source:
    source = rows.source
    header = rows.given(next(r.raw for r in source.records() if r.line == rows.columns.line))
    return Source(
        source.name, source.sha256, source.encoding, source.delimiter, header, source.bom.hex(), source.unit,
        checked.rows, checked.blank, source.sheet or UNSET,
    )  # fmt: skip
