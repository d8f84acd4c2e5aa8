"""How many entries of each kind a plan has.

Promised: the numbers in the plan's header, in its guards and in its summary are these. Never done: judging them (see
`connector.push.plan.guards`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.push.plan.doubts import ACCEPTED
from connector.push.plan.entry import Entry

__all__ = ["Counts", "customers_written"]


@dataclass
class Counts:
    """How many entries of each kind, and what they add up to.

    Attributes:
        create: customers to be made; and likewise update, archive, unchanged, invalid, conflict, held, left_out.
        writes: HTTP writes.
        key_changes: updates that change an external_id.
        doubts: rows that look like a mistake and are written all the same, because their kind of doubt was accepted.
        faults: how many, by rule.
        kinds: doubts about rows that wait for a decision, by kind.
        advice: cells that certainly mean something else and are written as they stand, by kind.
        fixed: cells for which the plan writes what they mean, by kind.
    """

    create: int = 0
    update: int = 0
    archive: int = 0
    unchanged: int = 0
    invalid: int = 0
    conflict: int = 0
    held: int = 0
    left_out: int = 0
    writes: int = 0
    key_changes: int = 0
    doubts: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    advice: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one."""
        setattr(self, entry.do, getattr(self, entry.do) + 1)
        self.writes += entry.writes
        self.key_changes += entry.do == "update" and "external_id" in entry.set
        self.doubts += entry.decision == ACCEPTED
        for fault in entry.faults:
            _count(self.faults, fault.rule)
        for kind in entry.kinds if entry.do == "held" else ():
            _count(self.kinds, kind)
        for one in entry.advice:
            if entry.writes or not one.taken:
                _count(self.fixed if one.taken else self.advice, one.fix)

    def plain(self) -> dict[str, int]:
        """Counts of entries as JSON-able data."""
        return {name: value for name, value in self.__dict__.items() if isinstance(value, int)}


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def customers_written(counts: Mapping[str, int]) -> int:
    """How many customers a plan writes, from the counts in its header. A rename can take two writes."""
    return counts["create"] + counts["update"] + counts["archive"]
