"""A plan and an apply as JSON for machines.

Promised: all faults and conflicts, not only the first; keys are never renamed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from connector.push.plan.entry import Entry
from pipelines.import_customers import Applied, Planned
from pipelines.report.plan_summary import entries_of

__all__ = ["apply_json", "plan_json"]

_STATUS = {0: "done", 1: "partial", 2: "refused"}
"""By exit code: everything can be done, or was; some of it; nothing can."""


def _ended(code: int) -> dict[str, Any]:
    """How a command ended, as every object says it; one that failed has an error (`pipelines.cli.ending`)."""
    return {"status": _STATUS[code], "error": None}


def plan_json(found: Planned) -> dict[str, Any]:
    """Counts, guards, groups of like changes, every fault, conflict, doubt and piece of advice of a plan."""
    entries = list(entries_of(found))
    plan = found.plan
    return {
        **_ended(found.exit_code),
        "plan": str(plan.path) if plan is not None else None,
        "run": plan.header.run if plan is not None else None,
        "digest": plan.digest if plan is not None else None,
        "source": msgspec.to_builtins(found.source),
        "counts": found.counts.plain(),
        "existing": found.existing,
        "guards": msgspec.to_builtins(found.guards),
        "groups": [msgspec.structs.asdict(group) for group in found.groups],
        "faults": [msgspec.to_builtins(fault) for entry in entries for fault in entry.faults],
        "conflicts": [
            {"line": e.line, "external_id": e.external_id, "id": e.id, "why": e.why}
            for e in entries
            if e.do == "conflict"
        ],
        "doubts": [_doubted(e) for e in entries if e.doubts or e.do in ("held", "left_out")],
        "unmet": [{"row": sign, "decision": said} for sign, said in found.unmet.items()],
        "lapsed": found.lapsed,
        "advice": [msgspec.to_builtins(one) for entry in entries for one in entry.advice],
        "columns": [one._asdict() for one in found.columns],
        "twins": found.twins,
        "warnings": found.checked.warnings if found.checked else [],
        "calls": found.calls,
        "rejected": str(found.rejected[0]) if found.rejected and found.rejected[1] else None,
        "doubted": str(found.doubted[0]) if found.doubted and found.doubted[1] else None,
    }


def _doubted(entry: Entry) -> dict[str, Any]:
    """A row that looks like a mistake, or about which somebody decided; `why` it is held all the same."""
    names = ("line", "external_id", "id", "kinds", "doubts", "decision", "why")
    return {name: getattr(entry, name) for name in names}


def apply_json(found: Applied) -> dict[str, Any]:
    """Outcomes, calls and files of an apply."""
    tally = found.tally
    return {
        **_ended(found.exit_code),
        "run": found.plan.header.run,
        "complete": tally.complete,
        "outcomes": dict(tally.outcomes),
        "earlier": tally.earlier,
        "left": tally.left,
        "stopped": tally.stopped,
        "window_seconds": round(tally.window, 6),
        "calls": found.calls,
        "seconds": round(found.seconds, 3),
        "refused": [
            {"line": e.line, "external_id": e.external_id, "id": e.id, "outcome": e.outcome, "why": e.why}
            for e in found.refused
        ],
        "rejected": str(found.rejected[0]) if found.rejected[1] else None,
        "results": str(found.results[0]),
    }
