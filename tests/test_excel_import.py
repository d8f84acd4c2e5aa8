"""A workbook through the whole import: plan, decisions, apply, undo, and results and refused rows as workbooks."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
from command import command, environment
from importing import Shop, id_of, shop, state
from workbooks import book, sheet

from connector.errors import FixInput
from connector.push.apply.journal import Line
from connector.push.apply.rejected import REASONS, write_rejected
from connector.push.apply.results import COLUMNS, write_results
from connector.push.apply.workbook import LONGEST
from connector.push.file.rows import opened
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Plan, Source
from pipelines import import_customers as job
from pipelines.confirm import Confirmed

HEADER = ("external_id", "name", "email", "contact")
ODD = (
    "0042",
    "=1+1",
    "+49 1",
    "-1",
    "@x",
    "'q",
    "1e5",
    "TRUE",
    "#N/A",
    "01.02.2024",
    "  x ",
    "a\nb",
    "A_x000D_",
    "é😀",
)
"""Texts that a spreadsheet would change."""


def cells(path: Path) -> list[list[str]]:
    """What a workbook holds."""
    with opened(path) as table:
        return [record.cells for record in table.records()]


def plan(it: Shop, path: Path, **given: Any) -> job.Planned:
    return job.plan(it.settings(), path, it.path("customers.plan"), **given)


def test_a_workbook_is_planned_applied_and_taken_back(tmp_path: Path) -> None:
    """The plan names hash and sheet and the row in every entry; apply writes it, and undo takes it back."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, ("a-1", "Renamed"), ("b-2", "New", "b@x.example"))
    with shop(tmp_path, {"external_id": "a-1", "name": "Before"}) as it:
        before = state(it.sandbox)
        found = plan(it, path)
        assert "crm.xlsx, sheet Kunden, 2 rows" in it.path("customers.plan").read_text(encoding="utf-8")
        header = Plan.read(it.path("customers.plan")).header
        assert (header.source.sheet, header.source.unit, len(header.source.sha256)) == ("Kunden", "row", 64)
        assert found.plan is not None
        assert [(entry.line, entry.do) for entry in found.plan.entries()] == [(2, "update"), (3, "create")]
        done = it.apply(found)
        assert done.tally.outcomes == {"done": 2}
        assert {row["name"] for row in state(it.sandbox).values()} == {"Renamed", "New"}
        it.apply(it.undo(done))
        published = {id: row for id, row in state(it.sandbox).items() if row["status"] == "published"}
        assert published == before


def test_a_workbook_that_changes_while_it_is_planned_is_refused(tmp_path: Path) -> None:
    """A workbook that is saved between reading and planning is no longer what the plan would say."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, ("a-1", "One"))
    with opened(path) as table:
        assert table.unchanged()
        sheet(path, HEADER, ("a-1", "Two"))
        assert not table.unchanged()


def test_doubts_of_a_workbook_are_decided(tmp_path: Path) -> None:
    """Numbers as ids are held; yes in the file of doubts, given back as CSV or as a workbook, writes the row."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, (42, "A"), (43, "B"), ("0044", "C"))
    with shop(tmp_path) as it:
        found = plan(it, path)
        assert (found.counts.create, found.counts.held, found.counts.kinds) == (1, 2, {"number": 2})
        doubts = it.path("customers.doubts.csv")
        lines = [line.split(",") for line in doubts.read_text(encoding="utf-8").splitlines()]
        decided = sheet(tmp_path / "decided.xlsx", lines[0], ("yes", *lines[1][1:]), ("no", *lines[2][1:]))
        again = plan(it, path, decisions=decided)
        assert (again.counts.create, again.counts.left_out, again.counts.held) == (2, 1, 0)
        accepted = job.plan(it.settings(accept=("number",)), path, it.path("other.plan"))
        assert (accepted.counts.create, accepted.counts.held) == (3, 0)


def test_a_number_that_is_an_id_of_the_account_is_no_doubt(tmp_path: Path) -> None:
    """Where the account has the very id, the number lost nothing; where it has it with zeros, both are told."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, (42, "Renamed"), (7, "New"))
    with shop(tmp_path, {"external_id": "42", "name": "Before"}, {"external_id": "0007", "name": "Zeros"}) as it:
        found = plan(it, path)
        assert found.plan is not None
        entries = list(found.plan.entries())
    assert [(entry.do, entry.kinds) for entry in entries] == [("update", []), ("held", ["number", "twin"])]


def test_hidden_rows_are_held_and_merged_cells_too(tmp_path: Path) -> None:
    """A row that a filter hides is not written unasked, nor one whose cell shows what only another row holds."""

    def fill(made: Any) -> None:
        page = made.add_worksheet()
        page.write_row(0, 0, HEADER)
        for number in range(1, 5):
            page.write_row(number, 0, (f"c{number}", f"Name {number}"))
        page.merge_range("C2:C3", "a@x.example")
        page.set_row(3, None, None, {"hidden": True})

    with shop(tmp_path, {"external_id": "c4", "name": "Name 4"}) as it:
        found = plan(it, book(tmp_path / "crm.xlsx", fill))
        assert found.plan is not None
        held = [(entry.line, entry.kinds) for entry in found.plan.entries() if entry.do == "held"]
    assert held == [(3, ["merged"]), (4, ["hidden"])]
    assert found.counts.unchanged == 1


# --- workbooks that are written -----------------------------------------------------------------------------------


def test_refused_rows_of_a_workbook_come_back_as_they_were(tmp_path: Path) -> None:
    """rejected.xlsx holds every text as a text; corrected and planned again, each value is as in the first file."""
    rows = [(f"{text}", "", "no address", text) for text in ODD]
    path = sheet(tmp_path / "crm.xlsx", HEADER, *rows)
    with shop(tmp_path) as it:
        out = it.path("out.xlsx")
        found = plan(it, path, rejected_to=out)
        assert (found.exit_code, found.rejected) == (2, (out, len(ODD)))
    head, *kept = cells(out)
    assert head == ["flexsync_line", "flexsync_reason", *HEADER]
    assert [row[2:] for row in kept] == [list(row) for row in rows]
    assert [row[0] for row in kept] == [str(number) for number in range(2, len(ODD) + 2)]
    corrected = sheet(tmp_path / "again.xlsx", head, *([*row[:4], "", row[5]] for row in kept))
    with shop(tmp_path) as it, opened(corrected) as table:
        assert [record.cells[2] for record in table.records()][1:] == list(ODD)
        assert job.plan(it.settings(), out, it.path("other.plan")).counts.invalid == len(ODD)


def test_refused_rows_say_what_their_cells_would_be_doubted_for(tmp_path: Path) -> None:
    """What a text no longer shows (that an id was a number, the row hidden) stands in the reason of a refused row."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, (42, "A", "bad"), (43, "B"))
    out = tmp_path / "out.xlsx"
    with shop(tmp_path) as it:
        plan(it, path, rejected_to=out)
        (_, first), number = cells(out)[1][:2], "Also: external_id is a number in the workbook"
        assert (first.startswith("email: Write one plain address"), number in first) == (True, True)
        found = job.plan(it.settings(mode="update"), path, it.path("b.plan"), rejected_to=out)
        assert (found.counts.invalid, found.counts.conflict) == (1, 1)
        assert number in cells(out)[2][1]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_doubt_about_a_cell_outlives_the_round_of_its_row(tmp_path: Path, kind: str) -> None:
    """Corrected in the file of refused rows, the row is still asked about; without its reason, it is taken as right."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, (42, "A", "bad"), ("a-1", "B", "worse"))
    out = tmp_path / f"out.{kind}"

    def mend(at: int, text: str) -> None:
        rows = cells(out) if kind == "xlsx" else [*csv.reader(out.open(newline=""))]
        rows[1][at] = text
        if kind == "xlsx":
            sheet(out, *rows)
        else:
            with out.open("w", newline="") as file:
                csv.writer(file).writerows(rows)

    with shop(tmp_path) as it:
        plan(it, path, rejected_to=out)
        for at, text, counts in ((4, "ok@x.example", (0, 1, 1)), (1, "", (1, 0, 1))):
            mend(at, text)
            found = job.plan(it.settings(), out, it.path("next.plan"), rejected_to=tmp_path / f"later.{kind}")
            assert (found.counts.create, found.counts.held, found.counts.invalid) == counts
            if found.counts.held:
                assert found.plan is not None
                (held,) = (entry for entry in found.plan.entries() if entry.do == "held")
                assert held.doubts[0].startswith("external_id is a number in the workbook")


def test_refused_rows_of_a_csv_file_as_a_workbook(tmp_path: Path) -> None:
    """Rows of a text file are divided into their cells; one with a broken quote or odd bytes keeps its text."""
    source = Source("a.csv", encoding="cp1252", delimiter=";", header="external_id;name\r\n")
    faults: Any = [{"line": 2, "column": "name", "value": "", "rule": "x", "remedy": "Correct it."}]
    import msgspec

    entries = msgspec.convert(
        [
            {"do": "invalid", "line": 2, "raw": '"0042";"a ""q"" ; b"\r\n', "faults": faults},
            {"do": "invalid", "line": 3, "raw": '"open;x\n', "faults": faults},
            {"do": "invalid", "line": 4, "raw_bytes": b"caf\xe9;\x81\r\n", "faults": faults},
        ],
        list[Entry],
    )
    path = tmp_path / "a.xlsx"
    assert write_rejected(path, source, entries, {}) == 3
    assert [row[2:] for row in cells(path)] == [
        ["external_id", "name"],
        ["0042", 'a "q" ; b'],
        ['"open;x', ""],
        ["café", "\ufffd"],
    ]


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    """Written again, an unchanged rejected.xlsx is not put aside; one that somebody edited is."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, ("a", "", "bad"))
    out = tmp_path / "out.xlsx"
    with shop(tmp_path) as it:
        for _ in range(2):
            plan(it, path, rejected_to=out)
        assert not (tmp_path / "out.xlsx~").exists()
        plan(it, out, rejected_to=out)  # the next round, with nothing corrected
        assert not (tmp_path / "out.xlsx~").exists()
        sheet(out, *(edited := [[*REASONS, *HEADER], ["2", "why", "a", "corrected", "", ""]]))
        plan(it, path, rejected_to=out)
        assert cells(tmp_path / "out.xlsx~") == edited
        for name in ("mine.xlsx", "mine.csv"):
            sheet(it.path("mine.xlsx"), HEADER, ("mine",))
            it.path("mine.csv").write_text("external_id\nmine\n")
            with pytest.raises(FixInput, match="exists and is not a file of refused rows: it is not overwritten"):
                plan(it, path, rejected_to=it.path(name))


def test_results_as_a_workbook(tmp_path: Path) -> None:
    """--results FILE.xlsx holds every row as text, is replaced by a later run, and nothing else of that name is."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, ("0042", "=1+1"), ("a-1", "One", "bad@@x"))
    out, rejected = tmp_path / "results.xlsx", tmp_path / "rejected.xlsx"
    with shop(tmp_path) as it:
        found = plan(it, path)
        assert found.plan is not None
        for _ in range(2):
            done = job.apply(
                it.settings(), found.plan.path, Confirmed(True, 1, 0), results_to=out, rejected_to=rejected
            )
        id = id_of(it.sandbox, "0042")
        assert (done.results, done.rejected) == ((out, 2), (rejected, 0))
        head, first, second = cells(out)
        assert head == list(COLUMNS)
        assert first[:5] == ["2", "0042", id, "create", "done"]
        assert (second[0], second[4]) == ("3", "invalid")
        sheet(out, ("mine",))
        with pytest.raises(FixInput, match="is not results: it is not overwritten"):
            job.apply(it.settings(), found.plan.path, Confirmed(True, 1, 0), results_to=out)


def test_rows_that_a_run_did_not_write_as_a_workbook(tmp_path: Path) -> None:
    """A customer that somebody changed since the plan is skipped, and stands in the workbook that was asked for."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, ("0042", "New name"))
    out = tmp_path / "left.xlsx"
    with shop(tmp_path, {"external_id": "0042", "name": "Before"}) as it:
        found = plan(it, path)
        assert found.plan is not None
        it.sandbox.update_customer(id_of(it.sandbox, "0042"), name="Meanwhile")
        done = job.apply(it.settings(), found.plan.path, Confirmed(True, 1, 0), rejected_to=out)
    assert done.rejected == (out, 1)
    assert cells(out)[1][2:4] == ["0042", "New name"]


def test_what_no_workbook_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that is too long, and too many rows, are refused with the way out, and leave no file."""
    entry, path = Entry("create", 2, "a" * (LONGEST + 1)), tmp_path / "a.xlsx"
    with pytest.raises(FixInput, match="row 2: a cell has more than 32,767 characters"):
        write_results(path, [entry], {})
    assert write_results(path, [Entry("create", 2, "a" * LONGEST)], {}) == 1
    path.unlink()
    monkeypatch.setattr("connector.push.apply.workbook.LAST_ROW", 2)
    lines: dict[int, Line] = {}
    with pytest.raises(FixInput, match=r"too many rows or columns.*End its name with \.csv"):
        write_results(path, [Entry("create", 2, "a"), Entry("create", 3, "b")], lines)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where XlsxWriter is not installed, --rejected and --results of a workbook are refused before any call."""
    with shop(tmp_path) as it:
        found = it.plan("external_id,name\na,A\n")
        assert found.plan is not None
        monkeypatch.setitem(sys.modules, "xlsxwriter", None)
        calls = sum(it.sandbox.calls.values())
        wanted: tuple[dict[str, Any], ...] = ({"results_to": tmp_path / "r.xlsx"}, {"rejected_to": tmp_path / "r.xlsx"})
        for given in wanted:
            with pytest.raises(FixInput, match=r"not installed.*flexsync\[excel\]"):
                job.apply(it.settings(), found.plan.path, Confirmed(True, 1, 0), **given)
        with pytest.raises(FixInput, match="not installed"):
            job.plan(it.settings(), tmp_path / "customers.csv", it.path("b.plan"), rejected_to=tmp_path / "r.xlsx")
        assert sum(it.sandbox.calls.values()) == calls


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_chooses_a_sheet_and_says_so(tmp_path: Path) -> None:
    """Without --sheet of two it exits with 2 and names them; with it the sheet stands in the summary."""

    def fill(made: Any) -> None:
        for name in ("A", "B b"):
            page = made.add_worksheet(name)
            page.write_row(0, 0, ("external_id", "name", "Notizen"))
            page.write_row(1, 0, (f"{name}-1", "New", "x"))

    book(tmp_path / "crm.xlsx", fill)
    with shop(tmp_path) as it:

        def run(*arguments: str) -> tuple[int, str]:
            done = command("import", *arguments, env=environment(it.url), cwd=tmp_path)
            return done.code, done.out + done.err

        code, said = run("plan", "crm.xlsx", "--onboarding", "skip")
        assert (code, "1 'A', 2 'B b'" in said, "--sheet 1" in said) == (2, True, True), said
        plan = ("plan", "crm.xlsx", "--onboarding", "skip", "--sheet", "2", "--map", "Notizen=", "--html", "p.html")
        code, said = run(*plan)
        assert (code, "file      crm.xlsx: sheet B b, 1 row" in said) == (0, True), said
        assert "warning   of the workbook only sheet 'B b' is read, not 'A'" in said
        assert "sheet <code>B b</code>" in (tmp_path / "p.html").read_text()
        code, said = run("plan", "crm.xlsx", "--sheet", "B b", "--write-mapping", "m.toml")
        assert (code, "flexsync import plan crm.xlsx --sheet 'B b' --config m.toml" in said) == (0, True), said
        code, said = run("plan", "crm.xlsx", "--sheet", "A", "--rejected", "r.txt")
        assert (code, "--rejected r.txt is neither .csv nor .xlsx" in said) == (2, True), said
        code, said = run("plan", "crm.xlsx", "--sheet", "A", "--rejected", "crm.xlsx")
        assert (code, "is not a file of refused rows" in said) == (2, True), said


def test_doubted_rows_of_a_workbook_planned_undecided_stay_held(tmp_path: Path) -> None:
    """Every cell of x.doubts.csv is a text: what the workbook's cells gave to doubt stands beside it, and counts."""
    path = sheet(tmp_path / "crm.xlsx", HEADER, (42, "A"), ("a-1", "B", "", 49301234567))
    with shop(tmp_path) as it:
        job.plan(it.settings(), path, it.path("crm.plan"))
        doubts = it.path("crm.doubts.csv")
        for decision, counts in (("", (0, 2, 0)), ("yes", (2, 0, 0))):
            lines = doubts.read_text().splitlines(keepends=True)
            doubts.write_text("".join([lines[0], *(decision + line for line in lines[1:])]))
            found = job.plan(it.settings(), doubts, it.path("crm.plan"))
            assert (found.counts.create, found.counts.held, found.counts.left_out) == counts


def test_what_a_workbook_cannot_hold_stops_a_plan_before_there_is_one(tmp_path: Path) -> None:
    """A refused row with a cell that no workbook takes: the older plan stays as it is, and no new one appears."""
    it_file = tmp_path / "long.csv"
    with shop(tmp_path) as it:
        it_file.write_text("external_id,name\na,A\n")
        job.plan(it.settings(), it_file, it.path("long.plan"))
        older = it.path("long.plan").read_bytes()
        it_file.write_text(f"external_id,name,email\na,A,\nb,{'x' * 40_000},bad\n")
        with pytest.raises(FixInput, match="cell"):
            job.plan(it.settings(), it_file, it.path("long.plan"), rejected_to=it.path("out.xlsx"))
        assert it.path("long.plan").read_bytes() == older
        assert not it.path("long.plan~").exists()
