"""The summary of a sync run: a few labelled lines for people. `Report.plain` is the same for machines.

Promised: what is missing or unproven is always listed; a line without news is left out.
"""

from __future__ import annotations

from connector.plurals import counted
from connector.tables.resources import RESOURCES
from pipelines.summary import Report

__all__ = ["sync_summary"]

PER_CUSTOMER = ("usage", "entitlements", "upcoming_grants")  # endpoints whose rate decides how long a run takes
FIGURES = ("inserted", "updated", "deleted")


def sync_summary(report: Report) -> str:
    """The status, the proof, the calls, the changes and the gaps of a run, one line each."""
    lines = [
        _headline(report),
        *_scope(report),
        *_customers(report),
        f"calls      {report.plain()['calls']}: {_operations(report)}",
        *_rate(report),
        *_waited(report),
        *_rows(report),
        *(f"reason     {reason}" for reason in report.reasons),
        *(f"note       {note}" for note in report.notes),
        *_unknown(report),
        *_unproven(report),
        *(f"published  {target}" for target in report.published),
    ]
    return "\n".join(lines)


def _headline(report: Report) -> str:
    line = f"{report.status.upper()}  run {report.run_id}, {report.mode}, {report.seconds:.1f} s"
    if report.resumed:
        line += f", resumed {counted(report.resumed, 'time')}"
    return line


def _scope(report: Report) -> list[str]:
    if set(report.resources) == set(RESOURCES):
        return []
    return [f"scope      only {', '.join(report.resources)}; the other resources were not checked"]


def _customers(report: Report) -> list[str]:
    found = report.certificate.get("customers")
    if not found:
        return []
    existed = "an unknown number" if found["existed"] is None else found["existed"]
    stored = "all are" if found["holds"] else "NOT all are"
    return [f"customers  {existed} existed at {found['t0']}; {stored} in the store ({found['stored']})"]


def _operations(report: Report) -> str:
    return ", ".join(f"{count} {name}" for name, count in report.flow.get("operations", {}).items())


def _rate(report: Report) -> list[str]:
    rates = [
        f"{name} {flow['calls_per_second']:.0f} of {max(flow['possible_per_second'], flow['calls_per_second']):.0f}"
        for name, flow in report.flow.get("endpoints", {}).items()
        if name in PER_CUSTOMER
    ]
    return [f"rate       calls per second, made and possible: {', '.join(rates)}"] if rates else []


def _waited(report: Report) -> list[str]:
    # Waiting for an endpoint's own limit is how the rate is kept; only the other reasons are news.
    reasons = [(name, seconds) for name, seconds in report.flow.get("waited", {}).items() if name != "limit"]
    return ["waited     " + ", ".join(_wait(*reason) for reason in reasons)] if reasons else []


def _wait(name: str, seconds: float) -> str:
    """One reason; only backoff is summed over calls (`connector.api.flow`), so it may exceed the run's own time."""
    return f"{seconds:.1f} s for {name}{' (summed over parallel calls)' if name == 'backoff' else ''}"


def _rows(report: Report) -> list[str]:
    """Rows inserted, updated and deleted by table; tables without a change are left out."""
    same = counted(report.unchanged, "response was the same as last time", "responses were the same as last time")
    if not report.moved:
        return [f"rows       no row changed; {same}"]
    lines = ["rows       " + " " * 22 + "".join(f"{name:>9}" for name in FIGURES)]
    for table, changed in report.tables.items():
        figures = [changed[name] for name in FIGURES]
        if any(figures):
            lines.append(f"           {table:<22}" + "".join(f"{figure:>9}" for figure in figures))
    return lines + ([f"           {same}"] if report.unchanged else [])


def _unknown(report: Report) -> list[str]:
    if not report.unknown:
        return []
    return ["unknown    fields that the schema does not name, kept in `extra`: " + ", ".join(sorted(report.unknown))]


def _unproven(report: Report) -> list[str]:
    zeros = report.certificate.get("zeros") or {}
    if not zeros.get("unproven"):
        return []
    return [
        f"unproven   {zeros['unproven']} of {zeros['figures']} metered figures are zero, with no earlier figure of "
        "their window to compare with (see flexsync.unproven)",
        f"           {_probed(zeros['probed'], zeros['unprobed'])}",
    ]


def _probed(probed: int, unprobed: int) -> str:
    """How many figures were read while the analytics store was certainly up, and how many were not."""
    some = counted(probed, "of them was", "of them were") if probed else "none of them was"
    of_them = some if unprobed else "all of them were"
    others = f"the other {unprobed}" if probed else "them"
    rest = f"; nothing vouches for {others}" if unprobed else ""
    return f"{of_them} read between two probes that found the analytics store up{rest}"
