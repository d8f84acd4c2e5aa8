"""A messy file of a CRM and a spreadsheet: every fault, doubt and proposal in it is found, and nothing else is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import messy
import messy_book
import pytest
from importing import Shop, account, shop
from sizes import sampled, thorough

from connector.push.plan.entry import Entry
from pipelines import import_customers as job
from pipelines.import_customers import Planned

FIXES = ("trim", "country", "timezone", "email")


def served(folder: Path, made: messy.Mess) -> Any:
    """An account that holds the customers of before."""
    people = []
    for cells in made.existing:
        fields = {name: text for name, text in cells.items() if name in messy.HEADERS and "." not in name and name}
        people.append({**fields, "metadata": {"tier": tier} if (tier := cells.get("metadata.tier")) else {}})
    more = {"max_creates": 10**6, "max_share": 1.0}
    return shop(folder, sandbox=account(*people), **more, unknown_columns="leave")


def planned(it: Shop, made: messy.Mess, **given: Any) -> tuple[Planned, list[Entry]]:
    found = job.plan(it.settings(**given), made.path, it.path("customers.plan"))
    assert found.plan is not None
    return found, list(found.plan.entries())


def counted(entries: list[Entry], what: Any) -> Counter[messy.Where]:
    return Counter((entry.line, kind) for entry in entries for kind in what(entry))


def compared(made: messy.Mess, found: Planned, entries: list[Entry]) -> None:
    """Every fault, doubt and proposal is told at its line, and every right row is planned."""
    told = counted(entries, lambda entry: (fault.rule for fault in entry.faults))
    assert (told - made.faults, made.faults - told) == (Counter(), Counter())
    told = counted(entries, lambda entry: entry.kinds if entry.do == "held" else ())
    assert (told - made.doubts, made.doubts - told) == (Counter(), Counter())
    told = counted(entries, lambda entry: (one.fix for one in entry.advice))
    assert (told - made.advice, made.advice - told) == (Counter(), Counter())
    writes = {entry.external_id: entry.line for entry in entries if entry.writes and not entry.advice}
    assert writes == made.right
    assert found.counts.kinds == Counter(kind for _, kind in made.doubts.elements())
    assert found.counts.advice == Counter(kind for _, kind in made.advice.elements())


@pytest.mark.parametrize("rows", [480, thorough(40_000)])
def test_everything_in_a_messy_file_is_found(tmp_path: Path, rows: int) -> None:
    """In a CRM export all faults, doubts and proposals are found at their lines: none missed, none too many."""
    made = messy.write(tmp_path / "crm.csv", rows)
    with served(tmp_path, made) as it:
        found, entries = planned(it, made)
    assert (found.source.encoding, found.source.delimiter, found.source.rows) == ("cp1252", ";", rows)
    assert [one.target for one in found.columns] == list(messy.HEADERS)
    compared(made, found, entries)


@pytest.mark.parametrize("rows", [600, thorough(40_000)])
def test_everything_in_a_messy_workbook_is_found(tmp_path: Path, rows: int) -> None:
    """In a workbook too, with its numbers, dates, errors, formulas, merged and hidden cells, at their physical rows."""
    made = messy_book.write(tmp_path / "crm.xlsx", rows)
    with served(tmp_path, made) as it:
        found, entries = planned(it, made)
    assert (found.source.sheet, found.source.rows, found.source.unit) == (messy_book.SHEET, made.rows, "row")
    assert [one.target for one in found.columns] == list(messy.HEADERS)
    compared(made, found, entries)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("crm.csv", 480), sampled("crm.xlsx", 600), thorough("crm.csv", 40_000), thorough("crm.xlsx", 40_000)],
)
def test_taken_proposals_leave_only_what_nobody_can_fix(tmp_path: Path, kind: str, rows: int) -> None:
    """With --fix each proposal is taken and shown, its row is planned, and no external_id is touched."""
    made = (messy_book if kind == "crm.xlsx" else messy).write(tmp_path / kind, rows)
    with served(tmp_path, made) as it:
        _, entries = planned(it, made, fix=FIXES)
    taken = counted(entries, lambda entry: (one.fix for one in entry.advice if one.taken))
    wanted = Counter({where: count for where, count in made.advice.items() if where[1] != "id-spaces"})
    blanks = {line for line, kind in made.doubts if kind == "blank"}
    assert {where for where in wanted - taken if where[0] not in blanks} == set()
    assert taken - wanted == Counter()
    faults = counted(entries, lambda entry: (fault.rule for fault in entry.faults))
    left = Counter({where: count for where, count in made.faults.items() if where[0] not in made.fixable})
    assert {where for where in (left - faults) + (faults - left) if where[0] not in blanks} == set()
    assert all(entry.writes for entry in entries if entry.line in made.fixable)
    assert all(one.field not in ("external_id", "id") for entry in entries for one in entry.advice if one.taken)
