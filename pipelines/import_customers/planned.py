"""A plan in the making, and what it came to: entries are counted and kept, then guards, summary and file follow.

Promised: the plan file appears whole or not at all; refused rows have a file of their own beside it. Never done:
deciding, calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import UNSET

from connector.api.fields import FIELDS
from connector.errors import FixInput
from connector.files import set_aside
from connector.plurals import counted
from connector.push.apply.doubted import keep_decided, write_doubts
from connector.push.apply.rejected import write_rejected
from connector.push.file.headers import Bound
from connector.push.file.row import Checked
from connector.push.plan.counts import Counts
from connector.push.plan.doubts import Decision, Decisions, doubt
from connector.push.plan.entry import Entry
from connector.push.plan.groups import Group, largest
from connector.push.plan.guards import Guard, Limits, tripped
from connector.push.plan.patterns import Patterns
from connector.push.plan.planfile import Header, Plan, PlanWriter, Source, new_run
from connector.push.plan.twins import Twins, matched
from connector.push.plan.unusual import unusual
from pipelines.artifacts import doubted_of, put_aside, rejected_of

__all__ = ["KINDS", "Draft", "Planned", "shown_kinds"]

MOST_REFUSED = 10_000  # of a file of which nothing can be planned; rejected.csv has all
KINDS = ("create", "update", "archive", "unchanged", "invalid", "conflict")
DOUBTED = ("held", "left_out")


@dataclass
class Planned:
    """What a plan came to.

    Attributes:
        source: the file, and how it was read.
        checked: what the first reading found; None for an undo.
        guessed: whether the file's encoding is a guess.
        plan: the plan; None when nothing could be planned, then no file is left.
        header: of the plan, and what it would have been where there is none; its run is "" then.
        counts: entries of each kind.
        existing: published customers.
        guards: those that trip.
        groups: the largest groups of like changes.
        refused: entries, where no plan holds them; the first ten thousand.
        strangers: conflicts without a published customer.
        rejected: where refused rows were written, and how many.
        doubted: where doubted rows were written, and how many.
        columns: what became of each column of the file.
        twins: with what new external_ids were compared, as a sentence; "" where nothing was to be compared.
        unmet: sign → decision, of decisions that met no row of the file.
        lapsed: consents that were about something else than what would be written: their rows are held.
        calls: HTTP calls made, by operation.
    """

    source: Source
    checked: Checked | None = None
    guessed: bool = False
    plan: Plan | None = None
    header: Header | None = None
    counts: Counts = field(default_factory=Counts)
    existing: int = 0
    guards: list[Guard] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    lasting: dict[str, int] = field(default_factory=dict)
    refused: list[Entry] = field(default_factory=list)
    strangers: int = 0
    rejected: tuple[Path, int] | None = None
    doubted: tuple[Path, int] | None = None
    columns: list[Bound] = field(default_factory=list)
    twins: str = ""
    unmet: dict[str, Decision] = field(default_factory=dict)
    lapsed: int = 0
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 every row can be done, 1 some cannot or decisions fit no row, 2 none can."""
        if self.plan is None:
            return FixInput.exit_code
        return 1 if self.counts.invalid or self.counts.conflict or self.counts.held or self.unmet else 0


@dataclass
class Draft:
    """A plan in the making.

    Attributes:
        planned: what it came to so far.
        writer: collects its entries.
        seen: hashes of the ids of its customers, where somebody needs them.
        doubted: whether any entry is doubted.
        read: the file that is planned, where it has a path.
        note: is told of every file that is moved.
        patterns: what its changes have in common.
        rejected_to: where refused rows go; None for beside the plan.
    """

    planned: Planned
    writer: PlanWriter
    seen: set[int] | None = None
    doubted: bool = False
    read: Path | None = None
    note: Callable[[str], None] = lambda _: None
    patterns: Patterns = field(default_factory=Patterns)
    rejected_to: Path | None = None

    def take(self, entries: Iterable[Entry]) -> None:
        """Count entries, and keep them for the file."""
        planned, seen = self.planned, self.seen
        for entry in entries:
            planned.counts.add(entry)
            self.patterns.add(entry)
            planned.strangers += entry.stranger
            self.doubted = self.doubted or bool(entry.doubts)
            if seen is not None:
                seen.add(hash(entry.id))
            self.writer.add(entry)

    def review(self, decisions: Decisions, twins: Twins | None) -> dict[str, Entry]:
        """Look for twins of new customers, and hold what looks like a mistake until it is decided.

        Args:
            decisions: what was decided.
            twins: the existing external_ids to compare with; None to compare with none.

        Returns:
            Existing external_id → entry of the row that means it, taken out of the plan: see `take_meant`.
        """
        if twins is None and not self.doubted and not decisions.said:
            return {}
        counts = Counts(unchanged=self.planned.counts.unchanged)
        self.patterns.restart()
        others: list[Entry] = []

        def reviewed(entry: Entry) -> Entry | None:
            if entry.do == "unchanged":  # counted already
                return entry
            doubt(entry, twins.doubts(entry) if twins is not None else ())
            if entry.do == "create" and decisions.means_another(entry):
                others.append(entry)
                return None
            counts.add(entry := decisions.settle(entry))
            self.patterns.add(entry)
            return entry

        self.writer.revise(reviewed)
        self.planned.counts = counts
        meant, left = matched(others, twins)
        self.take(decisions.unmet(entry, why) for entry, why in left)
        return meant

    def take_meant(self, entries: Iterable[Entry], twins: Mapping[int, Entry], decisions: Decisions) -> None:
        """Take the entries of rows that mean an existing customer.

        Args:
            entries: of the rows under the external_ids that they mean.
            twins: line → entry of the row as it stands.
            decisions: what was decided.
        """
        self.take(decisions.meant(entry, twins[entry.line]) for entry in entries)

    def finish(
        self, limits: Limits, base_url: str, environment: str, options: dict[str, Any], now: datetime, undoes: str = ""
    ) -> Planned:
        """Write the plan, unless there is nothing in it, and the refused rows.

        Args:
            limits: of the guards.
            base_url: the API that was read.
            environment: id of the environment, "" where it has no customer.
            options: for the header.
            now: by this machine's clock.
            undoes: the run that is undone, or "".
        """
        planned, counts = self.planned, self.planned.counts
        self._judge(limits, undoes)
        some = counts.create + counts.update + counts.archive + counts.unchanged + counts.held + counts.left_out
        header = planned.header = Header(
            run=new_run(now) if some else "",
            made_at=now,
            base_url=base_url,
            environment_id=environment,
            source=planned.source,
            options=options,
            counts=counts.plain(),
            existing=planned.existing,
            guards=planned.guards,
            undoes=undoes,
            columns=planned.columns or UNSET,
            twins=planned.twins or UNSET,
            groups=planned.groups or UNSET,
        )
        self._write_rejected()  # first: what a workbook cannot hold is found before there is a plan
        if some:
            planned.plan = self.writer.finish(header, _summary(header), self._older_aside)
        else:
            planned.refused = list(islice(self.writer.entries(), MOST_REFUSED))
        return planned

    def _judge(self, limits: Limits, undoes: str) -> None:
        """Find what `apply` has to ask about, what stays for good, and the largest groups of like changes."""
        planned = self.planned
        planned.guards = tripped(planned.counts, planned.existing, limits)
        if not undoes:  # an undo puts back what customers had, and must not be asked whether that is a mistake
            planned.guards += unusual(self.patterns, planned.existing, limits, self.writer.entries)
            planned.lasting = _lasting(self.patterns)
        planned.groups = largest(self.patterns, self.writer.entries())

    def _write_rejected(self) -> None:
        path, entries = self.rejected_to or rejected_of(self.writer.path), self.writer.entries()
        read = self._reads(path)
        written = write_rejected(path, self.planned.source, entries, {}, next_round=read, aside=self._aside)
        self.planned.rejected = (path, written)

    def write_doubted(self, given: Path | None, decisions: Decisions) -> None:
        """Write the doubted rows, to be decided.

        Args:
            given: the file of the decisions that were made already.
            decisions: that it holds.
        """
        planned, path = self.planned, doubted_of(self.writer.path)
        if aside := keep_decided(path, decisions, given):
            self.note(aside)
        stays = [file for file in (given, self.read) if file is not None]
        written = write_doubts(path, planned.source, self.writer.entries(), decisions, stays, self._aside)
        planned.doubted = (path, written)

    def _reads(self, path: Path) -> bool:
        """Whether that is the file which is planned."""
        return self.read is not None and path.exists() and self.read.exists() and path.samefile(self.read)

    def _older_aside(self, path: Path) -> None:
        self.note(put_aside(path))

    def _aside(self, path: Path) -> None:
        """Move an older file away, and say where it is now."""
        read = self._reads(path)
        kept = set_aside(path)
        self.note(f"{path}, which was planned, is now {kept}" if read else f"the older {path} is now {kept}")


def _lasting(patterns: Patterns) -> dict[str, int]:
    """Field that the API cannot empty → how many existing customers get a value of it where they have none."""
    filled = {name: patterns.filled(name) for name, field in FIELDS.items() if not field.clearable}
    return {name: count for name, count in filled.items() if count}


def shown_kinds(counts: Mapping[str, int]) -> list[str]:
    """The kinds of entries that a summary counts: rows with doubts only where there are any."""
    return [*KINDS, *(kind for kind in DOUBTED if counts.get(kind))]


def _summary(header: Header) -> str:
    """The top of a plan file, for people."""
    counts, source = header.counts, header.source
    sheet = f", sheet {source.sheet}" if source.sheet else ""
    lines = [
        f"Flexsync plan {header.run} for {header.base_url} {header.environment_id}".rstrip(),
        f"undoes {header.undoes}"
        if header.undoes
        else f"from {source.name}{sheet}, {counted(source.rows, 'row')}, sha256 {source.sha256}",
        ", ".join(f"{name} {counts[name]}" for name in shown_kinds(counts)),
        f"{counted(counts['writes'], 'write')}; {counted(header.existing, 'customer exists', 'customers exist')}",
        *(f"changes: {group.text}" for group in header.groups or ()),
        *(f"guard: {guard.text}" for guard in header.guards),
        *([f"new external_ids: {header.twins}"] if header.twins else []),
        "One JSON object a line follows; unchanged rows are only counted. The last line is a digest: do not edit.",
    ]
    return "\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
