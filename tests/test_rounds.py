"""Rounds of correcting: `x.rejected.csv`, mended and planned, gives the `x.rejected.csv` of the next round.

The file that was read is kept, and every row is in one of them, in a plan, or in the account.
"""

from __future__ import annotations

import csv
import io
import random
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from command import command, environment
from importing import Shop, id_of, shop, table
from sizes import Size, sizes

from connector.errors import FixInput, Refused
from connector.push.apply.doubted import read_decisions
from connector.push.file.own import without
from connector.push.plan.planfile import Plan
from connector.sandbox import Faults
from pipelines import import_customers as job
from pipelines.import_customers import Planned
from pipelines.progress import Progress

BAD = "a@@b"


class Notes(Progress):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def plan(it: Shop, name: str, progress: Progress | None = None, **given: Any) -> Planned:
    """Plan a file of the folder into the plan that the command would write."""
    source = it.path(name)
    return job.plan(it.settings(twins=False), source, it.path(f"{source.stem}.plan"), progress=progress, **given)


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text())))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mend(path: Path, *pairs: tuple[str, str]) -> str:
    """Correct a file as a person does in an editor; returns its text."""
    text = path.read_text()
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return text


def test_the_next_round_has_the_name_of_the_last(tmp_path: Path) -> None:
    """Three bad rows, one of them mended: the other two, with one line and reason each, and the file read is kept."""
    text = "external_id,name,email\nn-1,One,x\nn-2,Two,y\nn-3,,\n"
    notes = Notes()
    with shop(tmp_path) as it:
        it.path("x.csv").write_text(text)
        assert plan(it, "x.csv").exit_code == 2
        rejected = it.path("x.rejected.csv")
        read = mend(rejected, (",x\n", ",x@a.example\n"))
        found = plan(it, "x.rejected.csv", notes)
        assert (found.counts.create, found.counts.invalid, found.rejected) == (1, 2, (rejected, 2))
        assert names(tmp_path) == ["x.csv", "x.rejected.csv", "x.rejected.csv~", "x.rejected.plan"]
        assert it.path("x.rejected.csv~").read_text() == read
        assert notes.notes == [f"{rejected}, which was planned, is now {rejected}~"]
        header, second, third = rows(rejected)
        assert header == ["flexsync_line", "flexsync_reason", "external_id", "name", "email"]
        assert (second[0], second[2:], third[0], third[2:]) == ("3", ["n-2", "Two", "y"], "4", ["n-3", "", ""])
        assert it.apply(found).exit_code == 0
        mend(rejected, (",y\n", ",y@a.example\n"), ("n-3,,", "n-3,Three,"))
        last = plan(it, "x.rejected.csv", notes)
        assert (last.counts.create, last.exit_code) == (2, 0)
        assert rejected.exists()  # nothing is left to correct: the file that was read stays
        assert it.apply(last).exit_code == 0
        assert plan(it, "x.rejected.csv").counts.unchanged == 2


def test_planned_again_the_same_way_no_row_is_lost(tmp_path: Path) -> None:
    """The rows of a round that was not applied stay in its plan, which the next plan of that name does not hide."""
    notes = Notes()
    with shop(tmp_path, {"external_id": "z", "name": "Z"}) as it:
        it.path("x.csv").write_text("external_id,name,email\nn-1,One,x\nn-2,Two,y\n")
        plan(it, "x.csv")
        mend(it.path("x.rejected.csv"), (",x\n", ",x@a.example\n"))
        first = plan(it, "x.rejected.csv").plan
        mend(it.path("x.rejected.csv"), (",y\n", ",y@a.example\n"))
        second = plan(it, "x.rejected.csv", notes)
        assert first is not None
        run = first.header.run
        kept = it.path(f"x.rejected.{run}.plan")
        said = f"run {run} was not applied, and its rows stand in no file that is to be planned: its plan is now {kept}"
        assert notes.notes == [said]
        assert it.apply(Plan.read(kept)).exit_code == it.apply(second).exit_code == 0
        assert {line.split(",")[1] for line in it.export().splitlines()[1:]} == {"n-1", "n-2", "z"}


def test_held_rows_go_into_the_next_round_too(tmp_path: Path) -> None:
    """The file read is kept under another name: what is held of it stands in the next one, and can be decided there."""
    with shop(tmp_path) as it:
        it.path("x.csv").write_text("external_id,name,email\nn-1,One,x\nn-2,#N/A,y\nn-3,Three,z\n")
        plan(it, "x.csv")
        rejected, doubts = it.path("x.rejected.csv"), it.path("x.rejected.doubts.csv")
        mend(rejected, (",x\n", ",x@a.example\n"), (",y\n", ",y@a.example\n"))
        found = plan(it, "x.rejected.csv")
        assert (found.counts.create, found.counts.held, found.counts.invalid) == (1, 1, 1)
        assert [row[2] for row in rows(rejected)[1:]] == ["n-2", "n-3"]
        it.apply(found)
        doubts.write_text(doubts.read_text().replace("\n,3,", "\nyes,3,"))
        assert list(read_decisions(doubts).values()) == ["yes"]
        found = plan(it, "x.rejected.csv", decisions=doubts)
        assert (found.counts.create, found.counts.held, found.counts.invalid, len(found.unmet)) == (1, 0, 1, 0)
        assert [row[2] for row in rows(rejected)[1:]] == ["n-3"]


def test_the_file_of_doubts_planned_itself_is_kept_too(tmp_path: Path) -> None:
    """x.doubts.csv, with one row corrected, gives the x.doubts.csv of the next round, and no x.doubts.doubts.csv."""
    with shop(tmp_path) as it:
        it.path("x.csv").write_text("external_id,name\nn-1,#N/A\nn-2,#REF!\n")
        assert plan(it, "x.csv").counts.held == 2
        read = mend(it.path("x.doubts.csv"), ("n-1,#N/A", "n-1,One"))
        found = plan(it, "x.doubts.csv")
        assert (found.counts.create, found.counts.held) == (1, 1)
        assert it.path("x.doubts.csv~").read_text() == read
        assert rows(it.path("x.doubts.csv"))[1][-2:] == ["n-2", "#REF!"]
        assert len(rows(it.path("x.doubts.csv"))[0]) == 7
        assert not list(tmp_path.glob("*doubts.doubts*"))
        mend(it.path("x.doubts.csv"), ("n-2,#REF!", "n-2,Two"))
        assert plan(it, "x.doubts.csv").counts.create == 1
        assert it.path("x.doubts.csv").exists()


def test_rows_that_a_run_did_not_write_go_in_rounds_too(tmp_path: Path) -> None:
    """x.RUN.rejected.csv of an apply, mended and planned: what is still wrong has that name again, with one reason."""
    with shop(tmp_path, {"external_id": "a", "name": "A"}, {"external_id": "b", "name": "B"}) as it:
        it.path("x.csv").write_text("external_id,name,email\na,New,\nb,New,\n")
        found = plan(it, "x.csv")
        for external_id in ("a", "b"):
            it.sandbox.update_customer(id_of(it.sandbox, external_id), name="Theirs")
        done = it.apply(found)
        rejected, count = done.rejected
        assert (count, done.tally.outcomes) == (2, {"skipped": 2})
        mend(rejected, ("b,New,", "b,New,nobody"))
        again = plan(it, rejected.name)
        assert (again.counts.update, again.counts.invalid, again.rejected) == (1, 1, (rejected, 1))
        assert [row[0] for row in rows(rejected)[1:]] == ["3"]
        assert len(rows(rejected)[0]) == 5
        assert it.apply(again).exit_code == 0


@pytest.mark.parametrize("out", ["x.plan", "x.rejected.plan", "other.plan"])
def test_only_a_plan_that_takes_its_place_moves_the_file_that_was_read(tmp_path: Path, out: str) -> None:
    """With --out of another name, the rejected rows go elsewhere, and the file that was read stays where it is."""
    with shop(tmp_path) as it:
        it.path("x.csv").write_text("external_id,name,email\nn-1,One,x\nn-2,Two,y\n")
        plan(it, "x.csv")
        read = mend(it.path("x.rejected.csv"), (",x\n", ",x@a.example\n"))
        found = job.plan(it.settings(), it.path("x.rejected.csv"), it.path(out))
        assert found.counts.create == 1
        where = "x.rejected.csv" if out == "other.plan" else "x.rejected.csv~"
        assert it.path(where).read_text() == read


def test_a_round_that_fails_moves_nothing(tmp_path: Path) -> None:
    """No choice of onboarding, a server that refuses: the file that was mended has its name and its bytes."""
    with shop(tmp_path) as it:
        it.path("x.csv").write_text("external_id,name,email\nn-1,One,x\nn-2,Two,y\n")
        plan(it, "x.csv")
        read = mend(it.path("x.rejected.csv"), (",x\n", ",x@a.example\n"))
        done = command("import", "plan", "x.rejected.csv", env=environment(it.url), cwd=tmp_path)
        assert (done.code, "onboarding" in done.err) == (2, True)
        assert names(tmp_path) == ["x.csv", "x.rejected.csv"]
        assert it.path("x.rejected.csv").read_text() == read
        again = ("import", "plan", "x.rejected.csv", "--onboarding", "skip")
        done = command(*again, env=environment(it.url), cwd=tmp_path)
        assert (done.code, "1 row in x.rejected.csv" in done.out) == (1, True), done.out
        assert "note: x.rejected.csv, which was planned, is now x.rejected.csv~" in done.err


@pytest.mark.parametrize(
    ("raw", "cells", "left"),
    [
        ("2,why,a,b\n", 2, "a,b\n"), ('2,"why, and ""so""\nmore",a,"b\n"\r\n', 2, 'a,"b\n"\r\n'),
        ("2,why\n", 2, "2,why\n"), ('2,"why,a\n', 2, '2,"why,a\n'),
        ('2,"why"x,a\n', 2, '2,"why"x,a\n'), (",,a\n", 2, "a\n"), ("a\n", 0, "a\n"),
        ("2\nb,c,d\n", 2, "2\nb,c,d\n"), ('2,w,"a\n', 2, '"a\n'),
    ],
)  # fmt: skip
def test_our_own_columns_are_taken_off_exactly(raw: str, cells: int, left: str) -> None:
    """What follows them stays byte for byte, broken quotes too; where they cannot be told apart, the row is whole."""
    assert without(raw, cells, ",") == left


@sizes(default=2, sampled=6, thorough=200)
def test_every_row_is_somewhere_whatever_is_done(tmp_path: Path, size: Size) -> None:
    """Rows are mended at random over random rounds, applied or not, failing or not: none is ever only in the past."""
    for seed in range(size.count):
        folder = tmp_path / str(seed)
        folder.mkdir()
        _play(folder, random.Random(f"{size.seed}-{seed}"))


def _play(folder: Path, chance: random.Random) -> None:
    ids = [f"n-{n}" for n in range(8)]
    with shop(folder) as it:
        it.path("x.csv").write_text(table(*({"external_id": id, "name": "N", "email": BAD} for id in ids)))
        plan(it, "x.csv")
        for _ in range(6):
            rejected = it.path("x.rejected.csv")
            lines = rejected.read_text().splitlines(keepends=True)
            mended = [line.replace(BAD, "a@b.example") if chance.random() < 0.4 else line for line in lines]
            rejected.write_text("".join(mended))
            if chance.random() < 0.2:
                it.sandbox.faults = Faults(error_rate=1.0, error_status=400)
                with suppress(Refused):
                    plan(it, "x.rejected.csv")
                it.sandbox.faults = Faults()
            found = plan(it, "x.rejected.csv")
            if found.plan and found.counts.writes and chance.random() < 0.6:
                assert it.apply(found).exit_code == 0
            assert _somewhere(it, ids), (names(folder), ids)


def _somewhere(it: Shop, ids: list[str]) -> bool:
    """Whether each id is in the account, in a plan that can be applied under its own name, or in the next round."""
    found = {line.split(",")[1] for line in it.export().splitlines()[1:]}
    for path in it.folder.glob("*.plan"):
        found |= {entry.external_id for entry in Plan.read(path).entries() if entry.writes}
    found |= {row[2] for row in rows(it.path("x.rejected.csv"))[1:]}
    return found >= set(ids)


def test_the_command_of_the_next_round_works_as_it_stands(tmp_path: Path) -> None:
    """What the line `rejected` says plans the corrected rows, with every flag that the first plan was given."""
    (tmp_path / "x y.csv").write_text("Kunde;Firma;Land\nn-1;One;Nowhere\nn-2;;de\n")
    with shop(tmp_path) as it:
        flags = ("--onboarding", "skip", "--map", "Kunde=external_id", "--map", "Firma=name", "--fix", "country")
        done = command("import", "plan", "x y.csv", *flags, env=environment(it.url), cwd=tmp_path)
        lines = [line.strip() for line in done.out.splitlines()]
        again = next(lines[n + 1] for n, line in enumerate(lines) if line.startswith("rejected "))
        mend(it.path("x y.rejected.csv"), ("Nowhere", "DE"), ("n-2;;", "n-2;Two;"))
        done = command(*shlex.split(again)[1:], env=environment(it.url), cwd=tmp_path)
        assert (done.code, "2 create" in done.out) == (0, True), done.out + done.err


def test_a_file_of_doubts_saved_in_another_form_is_not_planned_by_itself(tmp_path: Path) -> None:
    """Its decisions would meet no row, and a row that says no would be created: nothing is planned."""
    with shop(tmp_path) as it:
        it.path("x.csv").write_text("external_id,name\nn-1,#N/A\nn-2,Two\n")
        plan(it, "x.csv")
        doubts = it.path("x.doubts.csv")
        text = doubts.read_text().replace("\n,2,", "\nno,2,")
        for edited in (text.replace(",", ";"), text.replace("#N/A", "#N/A ")):
            doubts.write_text(edited)
            with pytest.raises(FixInput, match="edited, or saved in another form"):
                plan(it, "x.doubts.csv")
        doubts.write_text(text)
        assert plan(it, "x.doubts.csv").counts.left_out == 1
