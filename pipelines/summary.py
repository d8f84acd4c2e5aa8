"""What a sync run did, as data: stored with the run, printed, given to machines.

Promised: nothing in it but numbers, names and sentences; never the key. Never done: formatting (`pipelines.report`
does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report"]


@dataclass
class Report:
    """What a run did; printed, stored and given to machines."""

    run_id: str = ""
    status: str = ""
    mode: str = ""
    resumed: int = 0
    resources: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    certificate: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    unchanged: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    flow: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    published: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {**self.__dict__, "calls": self.flow.get("calls", 0)}

    @property
    def moved(self) -> int:
        """Rows inserted, updated or deleted."""
        return sum(f["inserted"] + f["updated"] + f["deleted"] for f in self.tables.values())
