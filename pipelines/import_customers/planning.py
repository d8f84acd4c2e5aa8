"""The plan job: reads a file and the account, and writes a plan.

Promised: nothing is written to the account. A file without a usable row costs no call. Never done: deciding a row (see
`connector.push.plan`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

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
from connector.push.plan.plan import planned
from connector.push.plan.planfile import PlanWriter, Source
from connector.settings import Import, Settings
from pipelines.artifacts import alone, put_aside
from pipelines.confirm import limits
from pipelines.import_customers.account import Account
from pipelines.import_customers.comparing import Comparing
from pipelines.import_customers.planned import Draft, Planned, doubted_of, rejected_of
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
    progress: Progress | None = None,
    clock: Clock = exact_now,
) -> Planned:
    """Read a file and the account, and write a plan.

    Args:
        settings: account and [import].
        source: a CSV file (path, ``-``, binary file object), a DataFrame or an Arrow table.
        out: where the plan goes.
        archive_missing: plan an archive for every customer that the file does not name.
        decisions: the file of doubts that an earlier plan wrote, with yes or no for its rows.
        store: a synced store, whose external_ids new ones are compared with instead of the account's.
        progress: hears how far it is.
        clock: this machine's.

    Returns:
        What came of it; nothing was written to the account.

    Raises:
        FixInput: the file cannot be read at all, or has no row; creates without a choice of onboarding; archives with
            invalid or doubted rows; decisions that cannot be read, a kind of doubt that does not exist.
    """
    shown = progress or Progress()
    given = settings.imports
    decided = _decided(given, decisions)
    compares = Comparing(store, shown, clock) if given.twins else None
    with alone(out):
        if aside := put_aside(out):
            shown.note(aside)
        account = Account.of(settings, shown)
        work = _Planning(account, given, archive_missing, decided, decisions, compares, shown, clock)
        return work.plan(source, out)


@dataclass(frozen=True)
class _Planning:
    """One plan job: the account, [import], what was decided and in which file, the ids to compare with, the clock."""

    account: Account
    given: Import
    archive_missing: bool
    decided: Decisions
    decisions: Path | None
    compares: Comparing | None
    progress: Progress
    clock: Clock

    def plan(self, source: Any, out: Path) -> Planned:
        """Read the file, then the account."""
        given = self.given
        for own in (rejected_of(out), doubted_of(out)):
            _check_not_own(source, own)
        with read_rows(
            source,
            mapping=given.mapping,
            constants=given.constants,
            match=given.match,
            encoding=given.encoding or None,
            delimiter=given.delimiter or None,
            fixes=given.fix,
            unknown=given.unknown_columns,
        ) as rows:
            self.progress.step("read")
            checked = rows.check()
            self.progress.advance("read", checked.rows)
            if not checked.rows:
                raise FixInput(
                    f"{rows.source.name} has a header and no rows.",
                    remedy="Add a row for each customer; `flexsync import export` writes those that exist.",
                )
            _check_undecided(rows)
            found = Planned(_source(rows, checked), checked, rows.source.guessed, columns=rows.columns.bound)
            # Ids of the rows' customers: one may have another external_id by the time of the walk.
            seen: set[int] | None = set() if self.archive_missing else None
            if checked.usable:
                if self.archive_missing and not EXCUSABLE.issuperset(checked.faults):
                    _refuse_archives(found.source.name, checked.invalid)
                self.account.require_key()
            with PlanWriter(out) as writer:
                draft = Draft(found, writer, seen)
                if checked.usable:
                    return run(self._compare(rows, draft))
                draft.take(invalid(row, row.faults, rows) for row in rows)
                return draft.reject()

    async def _compare(self, rows: Rows, draft: Draft) -> Planned:
        found, given = draft.planned, self.given
        async with self.account.open() as api:
            found.existing, environment = await total(api.send)
            self.progress.step("compare", found.source.rows, ("row", "rows"))
            async for entries in planned(rows, self._options(), api.send):
                draft.take(self.decided.meet(entry) for entry in entries)
                _check_onboarding(given.onboarding, self.decided, entries)
                self.progress.advance("compare", len(entries))
            await self._review(rows, draft, environment, api.send)
            if draft.seen is not None:
                await self._archive_missing(rows, draft, draft.seen, api.send)
            found.calls = api.gate.report()["operations"]
        if not rows.source.unchanged():
            raise FixInput(f"{found.source.name} changed while it was read.", remedy="Plan again once it is written.")
        options = {
            "mode": given.mode, "match": given.match, "metadata": given.metadata, "onboarding": given.onboarding,
            "archive_missing": self.archive_missing,
        }  # fmt: skip
        draft.finish(limits(given), self.account.base_url, environment, options, self.clock())
        if aside := draft.write_doubted(self.decisions, self.decided):
            self.progress.note(aside)
        return found

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
            async for entries in planned(rows, self._options(), send, only):
                draft.take_meant(entries, as_they_stand, self.decided)
        found.unmet, found.lapsed = self.decided.without_row, self.decided.lapsed

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


def _check_not_own(source: Any, own: Path) -> None:
    """Make sure that the file is not one of those to which refused and doubted rows go."""
    if isinstance(source, str | Path) and own.exists() and Path(source).exists() and own.samefile(source):
        raise FixInput(f"{own} would be written over itself.", remedy="Give another --out.")


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


def _check_onboarding(choice: str, decided: Decisions, entries: Sequence[Entry]) -> None:
    first = next((entry for entry in entries if entry.do == "create" and not decided.refused(entry)), None)
    if choice or first is None:
        return
    raise FixInput(
        f"line {first.line}, {first.external_id!r}, would be created, and creating a customer can start the account's"
        " onboarding workflow.",
        remedy="If it should exist already, correct its external_id, or say --mode update. To create it, say"
        " --onboarding skip, or --onboarding run (or run:NAME); [import] onboarding keeps it.",
    )


def _source(rows: Rows, checked: Checked) -> Source:
    source = rows.source
    header = next(r.raw for r in source.records() if r.line == rows.columns.line)
    return Source(
        source.name, source.sha256, source.encoding, source.delimiter, header, source.bom.hex(), source.unit,
        checked.rows, checked.blank,
    )  # fmt: skip
