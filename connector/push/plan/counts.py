"""How many entries of each kind a plan has.

Promised: the numbers in the plan's header, in its guards and in its summary are these. Never done: judging them (see
`connector.push.plan.guards`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.push.plan.entry import Entry

__all__ = ["Counts", "can_be_undone", "customers_written"]


@dataclass
class Counts:
    """How many entries of each kind, and what they add up to."""

    create: int = 0
    update: int = 0
    archive: int = 0
    unchanged: int = 0
    invalid: int = 0
    conflict: int = 0
    writes: int = 0
    key_changes: int = 0
    doubts: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one."""
        setattr(self, entry.do, getattr(self, entry.do) + 1)
        self.writes += entry.writes
        self.key_changes += entry.do == "update" and "external_id" in entry.set
        self.doubts += bool(entry.doubts)
        for fault in entry.faults:
            self.faults[fault.rule] = self.faults.get(fault.rule, 0) + 1

    def plain(self) -> dict[str, int]:
        """Counts as JSON-able data, without the faults."""
        return {name: value for name, value in self.__dict__.items() if name != "faults"}


def customers_written(counts: Mapping[str, int]) -> int:
    """How many customers a plan writes, from the counts in its header. A rename can take two writes."""
    return counts["create"] + counts["update"] + counts["archive"]


def can_be_undone(counts: Mapping[str, int]) -> bool:
    """Whether a plan makes anything that an undo could take back: there is no un-archive (contract.md 3.7)."""
    return counts["create"] + counts["update"] > 0
