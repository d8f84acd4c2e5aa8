"""The completeness certificate, and the judging of figures that may be failures.

Promised: a certificate is green only when every customer that existed at T0 is in the store and every answer that
was owed is there, young and unsuspected; whatever is missing is named. A zero that nothing can be compared with is
counted as unproven, never called proven (contract.md 6.2 and 11: the server reports a failed query as zero, with 200).
Never done: I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

GROWING = frozenset({"COUNT", "COUNT_UNIQUE", "MAX"})  # within a window these can only grow
ANALYTICS_TIMEOUT = 10.0  # seconds the server waits for its analytics store before it says zero (contract.md 11)
ZERO_RUNS = 3  # a zero is believed when the third run in a row says so
JUMP = 0.20  # of the share of zeros, against the last green run
CROWD = 50  # metered rows from which "all of them are zero" is not an accident


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure that is lower than the last good one of the same subscription and window.

    Attributes:
        held: the last good figure, in the feature's units.
        offered: the new one.
        aggregation: the meter's aggregation type, or None when unknown.
        offered_before: what an earlier run offered and was refused, or None.
        runs_before: how many runs in a row offered that.
    """

    customer_id: str
    subscription_id: str
    feature_id: str
    held: Decimal
    offered: Decimal
    aggregation: str | None = None
    offered_before: Decimal | None = None
    runs_before: int = 0


def suspicious(fall: Fall, accept: frozenset[str] = frozenset()) -> bool:
    """Whether a fallen figure has to be held back.

    A zero is believed in the third run that says it. A lower figure of a growing aggregation is believed when the next
    run still says it, or more (use goes on while one waits).
    """
    if accept & {"all", fall.customer_id}:
        return False
    if fall.offered == 0:
        return not (fall.offered_before == 0 and fall.runs_before >= ZERO_RUNS - 1)
    if fall.aggregation not in GROWING:
        return False
    before = fall.offered_before
    return not (before is not None and 0 < before <= fall.offered and fall.runs_before >= 1)


def believed(runs_before: int, customer_id: str, accept: frozenset[str]) -> bool:
    """Whether what looked like a failure so many runs in a row is believed: vanished features, a slow zero."""
    return bool(accept & {"all", customer_id}) or runs_before >= ZERO_RUNS - 1


def slow(elapsed: float) -> bool:
    """Whether an answer took as long as a server that gave up on its analytics store (contract.md 11)."""
    return elapsed >= ANALYTICS_TIMEOUT


@dataclass(frozen=True, slots=True)
class Totals:
    """How many customers existed at T0: published, archived, published once more, each `created_at before T0`."""

    published: int
    archived: int
    published_again: int

    @property
    def agree(self) -> bool:
        """Whether nothing was archived in between; only then the sum is the number of customers (contract.md 11)."""
        return self.published == self.published_again

    @property
    def existed(self) -> int:
        """Number of customers that existed at T0."""
        return self.published + self.archived


@dataclass(slots=True)
class CustomerProof:
    """The customers' half: what the server counts against what the store holds."""

    t0: datetime
    existed: int | None
    stored: int
    rejected: int
    gone: int
    method: str

    @property
    def holds(self) -> bool:
        """Exactly the customers that existed are in the store."""
        return self.existed is not None and self.existed == self.stored

    def reasons(self) -> list[str]:
        """What is missing, in words."""
        if self.existed is None:
            return ["customers: the server's totals never agreed, so nobody knows how many there are"]
        if self.holds:
            return []
        text = f"customers: {self.existed} existed at {self.t0:%Y-%m-%dT%H:%M:%SZ}, {self.stored} are in the store"
        return [f"{text} ({self.rejected} of the others are in flexsync.rejects)" if self.rejected else text]


@dataclass(slots=True)
class ChildProof:
    """One child resource: answers owed, held and young, failed, suspect, rejected."""

    resource: str
    owed: int
    held: int
    failed: int = 0
    suspect: int = 0
    rejected: int = 0
    contradicted: int = 0
    examples: list[str] = field(default_factory=list)

    def reasons(self) -> list[str]:
        """What is missing, in words, with up to three examples."""
        some = f": {'; '.join(self.examples[:3])}" if self.examples else ""
        found = [
            (self.owed - self.held - self.failed, f"of {self.owed} customers have no answer of this run"),
            (self.failed, f"calls failed{some}"),
            (self.suspect, f"figures are suspect and keep their last good value{'' if self.failed else some}"),
            (self.rejected, "rows do not fit and are in flexsync.rejects"),
            (self.contradicted, "customers have usage but no entitlement, as when loading them failed"),
        ]
        return [f"{self.resource}: {count} {what}" for count, what in found if count > 0]


@dataclass(slots=True)
class ZeroWatch:
    """Zeros among metered usage rows, watched in bulk; `unproven` have no earlier figure to be compared with."""

    metered: int
    zeros: int
    unproven: int
    share_before: float | None = None

    @property
    def share(self) -> float:
        """Fraction of metered rows that read zero."""
        return self.zeros / self.metered if self.metered else 0.0

    def reasons(self) -> list[str]:
        """Why the zeros look like a failure of the server's analytics store, if they do."""
        if self.metered >= CROWD and self.zeros == self.metered and self.share_before != 1.0:
            return [f"usage: all {self.metered} metered figures read zero, as when the analytics store is down"]
        if self.share_before is not None and self.share - self.share_before >= JUMP:
            return [f"usage: zeros rose from {self.share_before:.0%} to {self.share:.0%} of {self.metered} figures"]
        return []


@dataclass(slots=True)
class Certificate:
    """What a run can prove, and what it cannot."""

    run_id: str
    customers: CustomerProof | None
    children: Sequence[ChildProof] = ()
    zeros: ZeroWatch | None = None
    rejected: int = 0
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """Everything that keeps the run from being green."""
        found = list(self.faults)
        found += self.customers.reasons() if self.customers else ["customers: the listing did not finish"]
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
        customers = self.customers
        return {
            "run_id": self.run_id,
            "green": self.green,
            "reasons": self.reasons,
            "notes": self.notes,
            "customers": customers
            and {
                "t0": customers.t0.isoformat(),
                "existed": customers.existed,
                "stored": customers.stored,
                "rejected": customers.rejected,
                "gone": customers.gone,
                "method": customers.method,
                "holds": customers.holds,
            },
            "children": {
                child.resource: {
                    "owed": child.owed,
                    "held": child.held,
                    "failed": child.failed,
                    "suspect": child.suspect,
                    "rejected": child.rejected,
                    "contradicted": child.contradicted,
                }
                for child in self.children
            },
            "zeros": self.zeros
            and {
                "metered": self.zeros.metered,
                "zeros": self.zeros.zeros,
                "share": self.zeros.share,
                "share_before": self.zeros.share_before,
                "unproven": self.zeros.unproven,
            },
        }
