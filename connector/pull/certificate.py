"""The completeness certificate: what a run can prove, and what it cannot.

Promised: a certificate is green only when every customer and every subscription that existed at T0 is in the store,
counted in several windows of time, and every answer that the run owed arrived in this run and is not suspect; whatever
is missing is named. A zero that nothing can be compared with is counted as unproven, never as proven (contract.md 6.2
and 11: the server reports a failed query as zero).
Never done: I/O, judging single figures (see `connector.pull.suspicion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.pull.proof_windows import Window

JUMP = 0.20  # rise of the share of zeros since the last green run that degrades a run
CROWD = 50  # metered rows from which on their zeros say something in bulk: of fewer, one new plan makes a JUMP


@dataclass(frozen=True, slots=True)
class Totals:
    """The server's counts of customers created before T0: published, archived, then published again."""

    published: int
    archived: int
    published_again: int

    @property
    def agree(self) -> bool:
        """Whether no customer changed its status in between; only then is the sum valid (contract.md 11)."""
        return self.published == self.published_again

    @property
    def existed(self) -> int:
        """Number of customers that existed at T0."""
        return self.published + self.archived


@dataclass(frozen=True, slots=True)
class Counted:
    """One window of `created_at`: the server's count against the store's.

    Attributes:
        window: the window.
        existed: rows that the server counts in it; None when it sent no total, or its totals never agreed.
        stored: rows of it in the store that are not gone.
    """

    window: Window
    existed: int | None
    stored: int

    @property
    def agrees(self) -> bool:
        """Whether the store holds exactly as many rows as existed."""
        return self.existed == self.stored


@dataclass(slots=True)
class ListingProof:
    """Customers or subscriptions: the server's counts against the store's.

    Attributes:
        resource: customers or subscriptions.
        t0: only rows created before this moment are compared.
        counted: the counts, by window of `created_at`; a single one on servers without filters.
        rejected: rows in flexsync.rejects that the store does not hold.
        gone: rows in the store that the server no longer knows.
        method: how the listing was read: keyset, or offset on old servers.
    """

    resource: str
    t0: datetime
    counted: list[Counted]
    rejected: int = 0
    gone: int = 0
    method: str = "keyset"

    @property
    def existed(self) -> int | None:
        """The server's count of all windows; None when one of them is unknown."""
        counts = [each.existed for each in self.counted if each.existed is not None]
        return sum(counts) if len(counts) == len(self.counted) else None

    @property
    def stored(self) -> int:
        """Rows in the store that are not gone."""
        return sum(each.stored for each in self.counted)

    @property
    def disagreeing(self) -> list[Window]:
        """The windows in which the store does not hold what existed."""
        return [each.window for each in self.counted if not each.agrees]

    @property
    def walkable(self) -> list[Window]:
        """The windows that another walk may complete; where the server's count is unknown, it cannot."""
        return [each.window for each in self.counted if each.existed is not None and not each.agrees]

    @property
    def holds(self) -> bool:
        """Whether the store holds exactly as many rows as existed, in every window."""
        return not self.disagreeing

    @property
    def all_rejected(self) -> bool:
        """Whether the quarantine explains all that is missing; walking again would bring the same rows."""
        return self.rejected > 0 and self.existed == self.stored + self.rejected

    def reasons(self) -> list[str]:
        """What is missing, in words; empty when nothing is."""
        if self.holds:
            return []
        if self.existed is None:
            return [f"{self.resource}: the server's totals are missing or never agreed, so their number is unknown"]
        text = (
            f"{self.resource}: {self.existed} existed at {self.t0:%Y-%m-%dT%H:%M:%SZ}, {self.stored} are in the store"
        )
        if self.existed == self.stored:
            text += f", but not the same ones: {len(self.disagreeing)} windows of created_at differ"
        return [f"{text} ({self.rejected} of the others are in flexsync.rejects)" if self.rejected else text]

    def plain(self) -> dict[str, Any]:
        """Return the proof as JSON-able data."""
        return {
            "t0": self.t0.isoformat(),
            "existed": self.existed,
            "stored": self.stored,
            "rejected": self.rejected,
            "gone": self.gone,
            "method": self.method,
            "windows": len(self.counted),
            "holds": self.holds,
        }


@dataclass(slots=True)
class ChildProof:
    """The per-customer answers of one resource.

    Attributes:
        resource: name in `connector.tables.resources`.
        owed: calls that the run has to make.
        held: calls that were answered in this run.
        failed: calls that failed twice.
        suspect: figures that are held back and keep their last good value.
        rejected: rows that do not fit their table.
        contradicted: customers whose usage answer has other entitlements than their entitlements answer, or than the
            answers for each of their subscriptions.
        doubtful: answers that touched an outage of the server, the second ones too.
        examples: some of the failed calls, in words.
        suspects: some of the suspect figures, in words.
        contradicting: some of the contradicted customers.
        doubted: some of the customers with doubtful answers.
    """

    resource: str
    owed: int
    held: int
    failed: int = 0
    suspect: int = 0
    rejected: int = 0
    contradicted: int = 0
    doubtful: int = 0
    examples: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    contradicting: list[str] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)

    def reasons(self) -> list[str]:
        """What is missing, in words, with some examples."""
        others = "answers for each subscription" if self.resource == "usage" else "usage"
        found = [
            (self.owed - self.held - self.failed, f"of {self.owed} customers have no answer of this run"),
            (self.failed, f"calls failed{_some(self.examples, self.failed, '; ')}"),
            (
                self.suspect,
                "figures are suspect and keep their last good value (flexsync.suspects)"
                f"{_some(self.suspects, self.suspect, '; ')}",
            ),
            (self.rejected, "rows do not fit and are in flexsync.rejects"),
            (
                self.contradicted,
                f"customers have other ones in their {others}, as when loading some failed"
                f"{_some(self.contradicting, self.contradicted)}",
            ),
            (self.doubtful, f"answers were given while the server was failing, twice{_some(self.doubted)}"),
        ]
        return [f"{self.resource}: {count} {what}" for count, what in found if count > 0]

    def plain(self) -> dict[str, int]:
        """Return the counts as JSON-able data."""
        names = ("owed", "held", "failed", "suspect", "rejected", "contradicted", "doubtful")
        return {name: getattr(self, name) for name in names}


def _some(examples: Sequence[str], count: int = 0, between: str = ", ") -> str:
    """Give examples, and how many more of `count` there are; 0: that is not known."""
    more = [f"and {count - len(examples)} more"] if count > len(examples) else []
    return f": {between.join([*examples, *more])}" if examples else ""


@dataclass(slots=True)
class ZeroWatch:
    """Zeros among the metered usage rows of the whole account.

    Attributes:
        metered: usage rows of metered features.
        zeros: how many of them are zero.
        unproven: figures of both usage tables that are zero in this run, without an earlier figure to compare with.
        share_before: share of zeros in the last green run; None when there was none.
        figures: metered figures of both usage tables, one per customer, subscription and feature.
        probed: unproven zeros that were read while the analytics store answered a probe before and after.
        doubtful: figures that read zero while the analytics store was down, when they were asked again too.
    """

    metered: int
    zeros: int
    unproven: int
    share_before: float | None = None
    figures: int = 0
    probed: int = 0
    doubtful: int = 0

    @property
    def share(self) -> float:
        """Fraction of the metered rows that are zero, 0 to 1."""
        return self.zeros / self.metered if self.metered else 0.0

    def reasons(self) -> list[str]:
        """Why the zeros look like a failure of the server's analytics store; empty when they do not."""
        found = self._in_bulk()
        if self.doubtful:
            found.append(
                f"usage: {self.doubtful} figures read zero while the analytics store was down (GET /events said so);"
                ' where that is not so, set analytics_probe = "off"'
            )
        return found

    def _in_bulk(self) -> list[str]:
        if self.metered < CROWD:
            return []
        if self.zeros == self.metered and self.share_before != 1.0:
            return [f"usage: all {self.metered} metered figures read zero, as when the analytics store is down"]
        if self.share_before is not None and self.share - self.share_before >= JUMP:
            return [f"usage: zeros rose from {self.share_before:.0%} to {self.share:.0%} of {self.metered} figures"]
        return []

    def plain(self) -> dict[str, Any]:
        """Return the figures as JSON-able data."""
        return {
            "metered": self.metered,
            "zeros": self.zeros,
            "share": self.share,
            "share_before": self.share_before,
            "figures": self.figures,
            "unproven": self.unproven,
            "probed": self.probed,
            "unprobed": self.unproven - self.probed,
            "doubtful": self.doubtful,
        }


@dataclass(slots=True)
class Certificate:
    """What a run can prove, and what it cannot.

    Attributes:
        run_id: the run.
        customers: their proof; None when the listing did not finish.
        subscriptions: their proof; None when they were not loaded, or not listed: one of the faults says so then.
        children: one proof for each per-customer resource.
        zeros: None when the run did not load usage.
        rejected: rows of listings in flexsync.rejects.
        notes: what the reader should know, though nothing is missing.
        faults: what went wrong besides; each of them degrades the run.
    """

    run_id: str
    customers: ListingProof | None
    children: Sequence[ChildProof] = ()
    zeros: ZeroWatch | None = None
    subscriptions: ListingProof | None = None
    rejected: int = 0
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """Everything that keeps the run from being green."""
        found = self.customers.reasons() if self.customers else ["customers: the listing did not finish"]
        found += self.subscriptions.reasons() if self.subscriptions else []
        return list(dict.fromkeys([*self.faults, *found, *self.lasting_reasons]))

    @property
    def lasting_reasons(self) -> list[str]:
        """Those of them that counting the listings again cannot refute: only another run can."""
        found = list(self.faults)
        for child in self.children:
            found += child.reasons()
        found += self.zeros.reasons() if self.zeros else []
        if self.rejected:
            found.append(f"{self.rejected} rows of listings do not fit and are in flexsync.rejects")
        return found

    @property
    def green(self) -> bool:
        """Nothing is missing and nothing is suspect."""
        return not self.reasons

    def plain(self) -> dict[str, Any]:
        """Return the certificate as JSON-able data, for the store, the manifest and `--json`."""
        return {
            "run_id": self.run_id,
            "green": self.green,
            "reasons": self.reasons,
            "notes": self.notes,
            "customers": self.customers and self.customers.plain(),
            "subscriptions": self.subscriptions and self.subscriptions.plain(),
            "children": {child.resource: child.plain() for child in self.children},
            "zeros": self.zeros and self.zeros.plain(),
            "lasting_reasons": self.lasting_reasons,
        }
