"""The report of a sync run, as data: stored with the run, printed, and written as JSON.

Promised: it holds numbers, names and sentences, and never the key. Never done: formatting (`pipelines.report` does
that).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report"]


@dataclass
class Report:
    """What a run did.

    Attributes:
        run_id: sorts by the time at which the run began.
        status: green or degraded.
        mode: full or incremental.
        resumed: how often the run was resumed.
        resources: what it loaded.
        reasons: what keeps it from being green.
        notes: what the reader should know besides.
        certificate: as `connector.pull.certificate.Certificate.plain` gives it.
        tables: rows inserted, updated, deleted and rejected, by table.
        unchanged: answers whose body was the last good one.
        unknown: fields of answers that the schemas do not know, counted.
        flow: calls, retries and pauses, as the client's gate reports them.
        seconds: how long the run took.
        published: targets that were written.
    """

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
        """Return the report as JSON-able data."""
        return {**self.__dict__, "calls": self.flow.get("calls", 0)}

    @property
    def moved(self) -> int:
        """Rows inserted, updated or deleted, over all tables."""
        return sum(f["inserted"] + f["updated"] + f["deleted"] for f in self.tables.values())
