"""Findings: what a run found out that keeps it from being green, holds a cursor, calls everybody, or is worth a note.

Promised: findings are plain data, which the store keeps together with the answers that they were found in, so that a
run that is stopped and resumed ends as one in one go would have. Never done: I/O, deciding what is a finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from connector.api.freshness import Cached
from connector.pull.windows import FULL, Run

__all__ = ["KINDS", "Findings", "Kept"]

KINDS = ("fault", "note", "unlisted", "lacking", "not marked", "denied", "everyone", "cached")
"""The kinds of findings, as the store keeps them."""

Kept = tuple[str, str, str]
"""A finding as it is kept: kind, listing or "", text or id."""


def _by_listing() -> defaultdict[str, set[str]]:
    return defaultdict(set)


@dataclass
class Findings:
    """What a run has found out so far.

    Attributes:
        faults: what keeps the run from being green, besides what the certificate counts.
        notes: what the reader should know, though nothing is missing.
        unlisted: listings that could not be read to their end; their cursors stay.
        lacking: listings of whose changes the server counts more than it sends; their cursors stay too.
        not_marked: rows that the server no longer knows and that were not marked as gone, by listing.
        denied: rows that this run has read, that an answer to their id did not have later, and that stay, by listing.
        every_customer: call every customer, because subscriptions cannot tell who needs a call.
        cached: answers that came from a cache before the server, which keep the run from being green too.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlisted: set[str] = field(default_factory=set)
    lacking: set[str] = field(default_factory=set)
    not_marked: defaultdict[str, set[str]] = field(default_factory=_by_listing)
    denied: defaultdict[str, set[str]] = field(default_factory=_by_listing)
    every_customer: bool = False
    cached: Cached = field(default_factory=Cached)

    def fault(self, text: str) -> None:
        """Add a fault, once."""
        if text not in self.faults:
            self.faults.append(text)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def lacks(self, run: Run, walk: str, rows: int) -> None:
        """Add that a walk ended although the server counts more rows than it sent.

        Args:
            run: the run.
            walk: its name, as `walk/customers/published`.
            rows: how many more.
        """
        self.fault(f"{walk}: the server counts {rows} rows more than it sends")
        if run.mode != FULL and walk.startswith("walk/"):  # or the next run would begin behind the rows
            self.lacking.add("subscriptions" if "subscriptions" in walk.split("/") else "customers")

    def kept(self) -> list[Kept]:
        """Return the findings as they are kept, in order."""
        ids = {"not marked": self.not_marked, "denied": self.denied}
        return [
            *(("fault", "", text) for text in self.faults),
            *(("note", "", text) for text in self.notes),
            *(("unlisted", name, "") for name in sorted(self.unlisted)),
            *(("lacking", name, "") for name in sorted(self.lacking)),
            *((kind, name, id) for kind, by in ids.items() for name in sorted(by) for id in sorted(by[name])),
            *([("everyone", "", "")] if self.every_customer else []),
            *([("cached", "", self.cached.plain())] if self.cached.answers else []),
        ]

    def take_over(self, kept: Iterable[Kept]) -> None:
        """Add what an earlier process of the run found out."""
        for kind, listing, text in kept:
            if kind == "fault":
                self.fault(text)
            elif kind == "note":
                self.note(text)
            elif kind == "cached":
                self.cached.add(text)
            elif kind == "everyone":
                self.every_customer = True
            elif kind in ("unlisted", "lacking"):
                (self.unlisted if kind == "unlisted" else self.lacking).add(listing)
            else:
                (self.denied if kind == "denied" else self.not_marked)[listing].add(text)
