"""Rows that look like a mistake: held until somebody decides about each of them or accepts their kind."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from importing import Shop, shop, state, table

from connector.errors import FixInput
from connector.push.file.damage import KINDS, changed, spoilt
from connector.push.plan.planfile import Plan
from pipelines import import_customers as job
from pipelines.import_customers import Planned

ROWS = (
    {"external_id": "a-1", "name": "#N/A"}, {"external_id": "01.02.2024", "name": "Dated"},
    {"external_id": "a-3", "name": "Right"}, {"external_id": "a-4", "name": "TRUE"},
)  # fmt: skip


def kinds(name: str, *texts: str) -> list[str]:
    return [found.kind if (found := spoilt(name, text)) else "" for text in texts]


def again(it: Shop, decisions: Path | None = None, **given: Any) -> Planned:
    return job.plan(it.settings(**given), it.path("customers.csv"), it.path("customers.plan"), decisions=decisions)


def decide(path: Path, *said: str) -> list[dict[str, str]]:
    """Write decisions into a file of doubts, as a person does, and return its rows."""
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for row, word in zip(rows, said, strict=True):
        row["decision"] = word
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return rows


def shown(found: Planned) -> list[tuple[str, str]]:
    assert found.plan is not None
    return [(entry.external_id, entry.do) for entry in found.plan.entries()]


# --- signs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "texts"),
    [
        ("name", "error", ("#NV", "#N/A", "#REF!", "#ZAHL!", "######")), ("name", "placeholder", ("null", "N/A", "?")),
        ("name", "blank", (" ", "\u00a0", "\u200b", " \n")), ("external_id", "zero", ("0", "0.0", "000")),
        ("external_id", "boolean", ("FALSE", "True", "WAHR")), ("external_id", "date", ("01.02.2024", "04-Mar")),
        ("external_id", "decimal", ("12345.0", "12345,00")), ("external_id", "rounded", ("12345678901234500000",)),
        ("external_id", "formula", ('="001"', "'acct-1")), ("external_id", "spaces", (" a", "a\u00a0", "a\u200b")),
        ("contact", "scientific", ("4,93012E+11", "4.93012E+11", "5E+10")),
        ("name", "encoding", ("MÃ¼ller", "M├╝ller")),
        ("name", "letters", ("M?ller", "M\ufffdller")), ("name", "escape", ("A&amp;B", "A_x000D_")),
        ("name", "ligature", ("O\ufb03ce",)), ("name", "break", ("A\nB",)), ("metadata.a", "error", ("#NV",)),
    ],
)  # fmt: skip
def test_each_damage_has_its_sign(name: str, kind: str, texts: tuple[str, ...]) -> None:
    """Every kind of damage is told by its look alone, in the fields where it may stand."""
    assert kinds(name, *texts) == [kind] * len(texts)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("name", ("Acme", "4711", "Null & Nichtig AG", "株式会社", "Łódź", "'s-Hertogenbosch", "=1+1", "\\N", "Vero",
                  "R&D", "Why? Because", "Müller\u00a0AG", "1. FC Köln", "May", "شرکت\u200cها")),
        ("external_id", ("acct-1", "42", "0042", "12345678901234567", "1234567890123450", "1.2.3", "MAR-1234567")),
        ("contact", ("+49 221 12", "0221/12", "(0)221", "040-12-34")), ("address_postal_code", ("01067", "1100-148")),
        ("metadata.a", ("0", "FALSE", "none", "01.02.2024", "12.0", "&amp;", "-")), ("address_line2", ("a\nb",)),
        ("address_country", ("NA",)), ("name", ("",)),
    ],
)  # fmt: skip
def test_odd_values_are_not_doubted(name: str, texts: tuple[str, ...]) -> None:
    """Odd names, long numbers, metadata of any kind and texts of other scripts are no damage."""
    assert kinds(name, *texts) == [""] * len(texts)


def test_a_stored_look_is_not_doubted_again() -> None:
    """A value that looked spoilt before is not doubted for it once more; a newly spoilt one is."""
    assert changed("name", "A &amp; B", "A &amp; C") is None
    assert changed("name", "A & B", "A &amp; C") is not None


# --- decisions ----------------------------------------------------------------------------------------------------


def test_doubted_rows_are_held_and_decided_one_by_one(tmp_path: Path) -> None:
    """Nothing is written for a doubted row; yes writes it as it stands, no leaves it out, blank keeps it held."""
    with shop(tmp_path) as it:
        found = it.plan(table(*ROWS))
        assert shown(found) == [("a-1", "held"), ("01.02.2024", "held"), ("a-3", "create"), ("a-4", "held")]
        assert (found.counts.held, found.counts.writes, found.exit_code) == (3, 1, 1)
        path, rows = found.doubted or (Path(), 0)
        assert (path.name, rows) == ("customers.doubts.csv", 3)
        said = decide(path, "no", "yes", "")
        assert [row["flexsync_kind"] for row in said] == ["error", "date", "boolean"]
        found = again(it, path)
        assert shown(found) == [("a-1", "left_out"), ("01.02.2024", "create"), ("a-3", "create"), ("a-4", "held")]
        assert (found.exit_code, found.guards) == (1, [])
        assert [row["decision"] for row in csv.DictReader(path.open())] == ["no", "yes", ""]
        decide(path, "no", "yes", "no")
        found = again(it, path)
        assert (found.exit_code, found.counts.left_out, found.unmet) == (0, 2, {})
        done = it.apply(found)
        assert done.tally.outcomes == {"done": 2}
        assert sorted(row["external_id"] for row in state(it.sandbox).values()) == ["01.02.2024", "a-3"]
        why = {row["external_id"]: row["why"] for row in csv.DictReader(done.results[0].open())}
        assert why["a-1"] == "name is an error value of a spreadsheet"
        results = {row["external_id"]: row["outcome"] for row in csv.DictReader(done.results[0].open())}
        assert results == {"a-1": "left_out", "01.02.2024": "done", "a-3": "done", "a-4": "left_out"}


def test_a_spreadsheet_may_spoil_the_file_of_doubts(tmp_path: Path) -> None:
    """Decisions survive other columns that were changed, another delimiter, encoding and order of rows."""
    with shop(tmp_path) as it:
        path, _ = it.plan(table(*ROWS)).doubted or (Path(), 0)
        rows = decide(path, "YES", "n", "")
        lines = [";".join([row["decision"], "x", row["flexsync_row"], "Ä"]) for row in reversed(rows)]
        it.path("mine.csv").write_bytes("\r\n".join(["decision;line;flexsync_row;name", *lines, ""]).encode("cp1252"))
        found = again(it, it.path("mine.csv"))
        assert shown(found) == [("a-1", "create"), ("01.02.2024", "left_out"), ("a-3", "create"), ("a-4", "held")]


def test_a_decision_is_about_what_was_seen(tmp_path: Path) -> None:
    """A row that changed, or is doubted for another reason, is asked about again, and the stray decision told."""
    with shop(tmp_path) as it:
        path, _ = it.plan(table(*ROWS)).doubted or (Path(), 0)
        decide(path, "yes", "yes", "yes")
        it.path("customers.csv").write_text(table({**ROWS[0], "name": "#REF!"}, *ROWS[1:]))
        it.sandbox.create_customer(external_id="A-4", name="X")  # a twin by now
        found = again(it, path)
        assert shown(found) == [("a-1", "held"), ("01.02.2024", "create"), ("a-3", "create"), ("a-4", "held")]
        assert (len(found.unmet), found.lapsed) == (1, 1)


def test_a_kind_is_accepted_as_a_whole(tmp_path: Path) -> None:
    """Rows all of whose doubts are of accepted kinds pass, and the guard then asks about their number."""
    with shop(tmp_path) as it:
        found = it.plan(table(*ROWS), accept=("error", "boolean"))
        assert shown(found) == [("a-1", "create"), ("01.02.2024", "held"), ("a-3", "create"), ("a-4", "create")]
        assert [(guard.name, guard.found) for guard in found.guards] == [("max_doubts", 2)]
        assert it.plan(table(*ROWS), accept=("error", "boolean"), max_doubts=2).guards == []
        with pytest.raises(FixInput, match="'errors' is no kind of doubt") as refused:
            it.plan(table(*ROWS), accept=("errors",))
        assert all(kind in refused.value.remedy for kind in KINDS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("external_id,name\na,b\n", "has no columns decision and flexsync_row"),
        ("decision,flexsync_row\nmaybe,r1\n", "line 2: decision 'maybe' is neither yes, no nor same"),
        ("", "is empty"), ('decision,flexsync_row\n"yes\n', "line 2 cannot be read"),
    ],
)  # fmt: skip
def test_decisions_that_cannot_be_read(tmp_path: Path, text: str, told: str) -> None:
    """Another file, or another word than yes and no, is refused before any call."""
    (tmp_path / "d.csv").write_text(text)
    with shop(tmp_path) as it:
        it.path("customers.csv").write_text(table(*ROWS))
        with pytest.raises(FixInput, match=told):
            again(it, tmp_path / "d.csv")
        assert it.sandbox.calls_total == 0


def test_a_doubted_row_archives_nobody(tmp_path: Path) -> None:
    """--archive-missing refuses a file with a doubted row: its customer may be the one that seems to be missing."""
    with shop(tmp_path, {"external_id": "0042", "name": "A"}) as it, pytest.raises(FixInput, match="only misspelt"):
        it.plan(table({"external_id": "42", "name": "A"}), archive_missing=True)


def test_nothing_but_doubts_is_a_plan(tmp_path: Path) -> None:
    """A file of which every row is held makes a plan that can be looked at, and no write."""
    with shop(tmp_path) as it:
        found = it.plan(table(ROWS[0]))
        assert found.plan is not None
        assert (found.exit_code, found.counts.writes) == (1, 0)
        assert Plan.read(found.plan.path).header.counts["held"] == 1


def test_rows_with_doubts_keep_their_bytes(tmp_path: Path) -> None:
    """A file of doubts holds each row byte for byte, in the file's own encoding, delimiter and line ends."""
    row = b'"null";"M\xfcller; S\xf6hne"\r\n'
    with shop(tmp_path, encoding="cp1252") as it:
        found = it.plan(b"external_id;name\r\n" + row)
        assert found.doubted is not None
        text = found.doubted[0].read_bytes()
        assert text.startswith(b"decision;flexsync_line;flexsync_row;flexsync_kind;flexsync_doubt;external_id;name\r\n")
        assert text.endswith(row)


def test_a_file_of_doubts_can_be_planned_itself(tmp_path: Path) -> None:
    """Elsewhere it is a file like any other; onto itself it brings its decisions, and stays as it is."""
    with shop(tmp_path) as it:
        path, _ = it.plan(table(*ROWS)).doubted or (Path(), 0)
        assert job.plan(it.settings(), path, it.path("other.plan")).counts.held == 3
        decide(path, "yes", "no", "")
        before = {line.split(",", 1)[0] for line in path.read_text().splitlines()}
        found = job.plan(it.settings(), path, it.path("customers.doubts.plan"))
        counts = found.counts
        assert (counts.create + counts.update, counts.left_out, counts.held) == (1, 1, 1)
        assert (
            {line.split(",", 1)[0] for line in path.read_text().splitlines()} == before == {"decision", "yes", "no", ""}
        )


# --- the existing customer ----------------------------------------------------------------------------------------


def test_a_row_can_mean_the_existing_customer(tmp_path: Path) -> None:
    """Same gives a row to the customer whose id only looks different, and stays so when it is planned again."""
    rows = table({"external_id": "42", "name": "New name"}, {"external_id": "43", "name": "B"}, {"external_id": "n-1"})
    with shop(
        tmp_path, {"external_id": "0042", "name": "A"}, {"external_id": "0043", "name": "B"}, max_share=1.0
    ) as it:
        path, _ = it.plan(rows).doubted or (Path(), 0)
        decide(path, "same", "same")
        found = again(it, path)
        assert found.plan is not None
        (update,) = (entry for entry in found.plan.entries() if entry.writes)
        assert (update.do, update.external_id, update.changes) == ("update", "0042", {"name": "New name"})
        assert update.notes == ["the file says '42'"]
        assert (found.counts.unchanged, found.counts.held, found.unmet) == (1, 0, {})
        it.apply(found)
        assert {row["external_id"]: row["name"] for row in state(it.sandbox).values()} == {
            "0042": "New name",
            "0043": "B",
        }
        last = again(it, path)
        assert (last.counts.unchanged, last.counts.writes, last.counts.held, last.unmet) == (2, 0, 0, {})
        assert [row["decision"] for row in csv.DictReader(path.open())] == ["same", "same"]


def test_what_the_existing_customer_would_lose_is_asked_about(tmp_path: Path) -> None:
    """A row that means an existing customer and would spoil its values is held until that was seen too."""
    with shop(tmp_path, {"external_id": "0042", "name": "A", "contact": "+4930"}, max_share=1.0) as it:
        path, _ = it.plan(table({"external_id": "42", "name": "A", "contact": "4930"})).doubted or (Path(), 0)
        decide(path, "same")
        found = again(it, path)
        assert (found.counts.held, found.counts.kinds) == (1, {"zeros": 1})
        decide(path, "same")
        found = again(it, path)
        assert (found.counts.update, found.counts.held, found.unmet) == (1, 0, {})


@pytest.mark.parametrize("keys", [("42", "042"), ("fresh",), ("n-1", "N-1")])
def test_same_needs_one_customer_of_its_own(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Two rows cannot mean one customer, nor one row a customer that is not there: the row stays held."""
    with shop(tmp_path, {"external_id": "0042", "name": "A"}, {"external_id": "Z", "name": "Z"}, max_share=1.0) as it:
        path, count = it.plan(table(*({"external_id": key, "name": "#N/A"} for key in keys))).doubted or (Path(), 0)
        decide(path, *["same"] * count)
        found = again(it, path)
        assert (found.counts.update + found.counts.held, found.counts.create) == (len(keys), 0)
        assert found.counts.update <= 1
        assert found.counts.held >= len(keys) - 1


def test_a_postal_code_that_may_have_lost_zeros_is_doubted(tmp_path: Path) -> None:
    """By the country of the row, or of the customer where the row names none; other countries have such codes."""
    stored = [{"external_id": "us", "name": "U", "address_country": "US"}, {"external_id": "at", "name": "A"}]
    rows = [
        {"external_id": "us", "address_postal_code": "2138"}, {"external_id": "at", "address_postal_code": "1010"},
        {"external_id": "de", "name": "D", "address_postal_code": "1067", "address_country": "DE"},
        {"external_id": "ch", "name": "C", "address_postal_code": "8001", "address_country": "CH"},
        {"external_id": "au", "name": "S", "address_postal_code": "800", "address_country": "AU"},
        {"external_id": "fr", "name": "F", "address_postal_code": "75001", "address_country": "FR"},
        {"external_id": "es", "name": "E", "address_postal_code": "x28", "address_country": "ES"},
    ]  # fmt: skip
    with shop(tmp_path, *stored) as it:
        found = it.plan(table(*rows))
    assert found.plan is not None
    held = {entry.external_id: entry.doubts for entry in found.plan.entries() if entry.do == "held"}
    assert {*held} == {"us", "de", "au"}
    assert held["us"] == ["address_postal_code is shorter than the codes of US: it may have lost zeros in front"]
