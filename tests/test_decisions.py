"""Decisions about doubted rows: a refusal holds whatever else changes, a consent is for what would be written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from importing import Shop, id_of, shop, table
from test_doubts import again, decide, shown
from test_twins import Notes
from test_twins import planned as compared

from connector.errors import FixInput
from pipelines import import_customers as job
from pipelines import jobs
from pipelines.import_customers import Planned
from pipelines.progress import Progress
from pipelines.report.import_json import plan_json
from pipelines.report.plan_summary import plan_summary
from pipelines.sync import Options

FOUR = {"external_id": "acct-4", "name": "Four"}
TWIN = {"external_id": "ACCT-4", "name": "Four b"}


def asked(it: Shop, method: str, path: str, **body: Any) -> None:
    """Change the account as somebody else does."""
    head = {"x-api-key": "sandbox", "content-type": "application/json"}
    with urlopen(Request(it.url + path, json.dumps(body).encode() or None, head, method=method)) as answer:
        answer.read()


def archived(it: Shop) -> None:
    asked(it, "DELETE", f"/customers/{id_of(it.sandbox, 'acct-4')}")


def created(it: Shop) -> None:
    it.sandbox.create_customer(external_id="ACCT-4", name="By somebody else")


def nothing(it: Shop) -> None:
    pass


def whys(found: Planned) -> dict[str, str]:
    assert found.plan is not None
    return {entry.external_id: entry.why for entry in found.plan.entries() if entry.do == "held"}


# --- refusals -----------------------------------------------------------------------------------------------------

CHANGES = [
    pytest.param(nothing, {"twins": False}, id="not-compared"), pytest.param(archived, {}, id="twin-archived"),
    pytest.param(created, {}, id="exists-by-now"),
    pytest.param(nothing, {"mapping": {"name": "address_city"}, "constants": {"name": "N"}}, id="mapped"),
    pytest.param(nothing, {"accept": ("twin",)}, id="accepted"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "given"), CHANGES)
def test_no_holds_whatever_else_changes(tmp_path: Path, change: Callable[[Shop], None], given: dict[str, Any]) -> None:
    """A row that somebody left out is never written, also when nothing is doubted in it any more."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        decide(path, "no")
        change(it)
        found = again(it, path, **given)
        assert shown(found) == [("ACCT-4", "left_out")]
        assert (found.counts.writes, found.exit_code, found.unmet) == (0, 0, {})
        assert [row["decision"] for row in decide(path, "no")] == ["no"]
        assert shown(again(it, path, **given)) == [("ACCT-4", "left_out")]


@pytest.mark.parametrize(("change", "given"), CHANGES)
def test_same_never_creates(tmp_path: Path, change: Callable[[Shop], None], given: dict[str, Any]) -> None:
    """A row that means an existing customer is held, with the reason, where it cannot be given to that customer."""
    with shop(tmp_path, FOUR, max_share=1.0) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        decide(path, "same")
        change(it)
        for _ in range(2):  # what the first plan writes is given back as it is
            found = again(it, path, **given)
            if "accept" in given:
                assert shown(found) == [("acct-4", "update")]
                continue
            assert [do for _, do in shown(found)] == ["held"]
            assert (found.counts.writes, found.exit_code, found.unmet) == (0, 1, {})
            (why,) = whys(found).values()
            assert why in plan_summary(found)
            assert [row["why"] for row in plan_json(found)["doubts"]] == [why]


def test_a_refusal_holds_when_a_fix_takes_the_doubt_away(tmp_path: Path) -> None:
    """--fix mends what was doubted, and the row stays left out; the same decision is met by an unchanged row too."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table({"external_id": " acme-7", "name": "Seven"})).doubted or (Path(), 0)
        decide(path, "no")
        assert shown(again(it, path, fix=("id-spaces",))) == [("acme-7", "left_out")]
        it.sandbox.create_customer(external_id="acme-7", name="Seven")
        found = again(it, path, fix=("id-spaces",))
        assert (found.counts.unchanged, found.exit_code, found.unmet) == (1, 0, {})
        assert [row["decision"] for row in decide(path, "no")] == ["no"]


def test_same_is_no_consent_to_an_update(tmp_path: Path) -> None:
    """A row that changes a customer is held under `same`: neither its values nor its external_id were agreed to."""
    with shop(tmp_path, {**FOUR, "contact": "493012345678"}, {"external_id": "other", "name": "O"}) as it:
        path, _ = it.plan(table({"external_id": "acct-4", "contact": "4,93012E+11"})).doubted or (Path(), 0)
        decide(path, "same")
        found = again(it, path)
        assert (shown(found), found.exit_code) == ([("acct-4", "held")], 1)
        assert "exists already" in whys(found)["acct-4"]
        path, _ = it.plan(table({"id": id_of(it.sandbox, "other"), "external_id": "ACCT-4"}), match="id").doubted or (
            Path(),
            0,
        )
        decide(path, "same")
        assert shown(again(it, path, match="id")) == [("other", "held")]


@pytest.mark.parametrize("accept", [(), ("twin",)])
def test_same_says_why_it_is_not_met(tmp_path: Path, accept: tuple[str, ...]) -> None:
    """Two rows of one customer, two customers of one row, or another row's customer: held, named, and not accepted."""
    people = (FOUR, {"external_id": "x-1", "name": "X"}, {"external_id": "X-1", "name": "X"})
    keys = ("ACCT-4", "Acct-4", "x\u20111")
    with shop(tmp_path, *people, max_share=1.0) as it:
        found = it.plan(table(*({"external_id": key, "name": "b"} for key in keys)))
        path, _ = found.doubted or (Path(), 0)
        rows = decide(path, "same", "same", "same")
        assert "'X-1' exists" in rows[2]["flexsync_doubt"]
        assert "'x-1' exists" in rows[2]["flexsync_doubt"]
        found = again(it, path, accept=accept)
        assert shown(found) == [(key, "held") for key in keys]
        told = whys(found)
        assert "line 3" in told["ACCT-4"]
        assert "line 2" in told["Acct-4"]
        assert "2 customers look like it" in told["x\u20111"]
        found = it.plan(table(TWIN, FOUR))
        path, _ = found.doubted or (Path(), 0)
        decide(path, "same")
        found = again(it, path, accept=accept)
        assert shown(found) == [("ACCT-4", "held")]
        assert found.counts.unchanged == 1


def test_a_store_is_of_this_account_and_its_customers_exist(tmp_path: Path) -> None:
    """`same` on a customer that is gone since the store's run creates nobody; an empty account uses no store."""
    with shop(tmp_path, FOUR, {"external_id": "o", "name": "O"}) as it:
        store = tmp_path / "s.duckdb"
        jobs.sync(it.settings(store=store), Options(), Progress())
        path, _ = compared(it, TWIN, store=store)[0].doubted or (Path(), 0)
        decide(path, "same")
        archived(it)
        for accept in ((), ("twin",)):
            found, _ = compared(it, TWIN, store=store, decisions=path, accept=accept)
            assert shown(found) == [("ACCT-4", "held")]
            assert "'acct-4' is not there any more" in whys(found)["ACCT-4"]
    with shop(tmp_path) as empty:
        found, notes = compared(empty, TWIN, store=store)
        assert (found.counts.create, found.counts.held) == (1, 0)
        assert any(f"{store} is not used" in text for _, text in notes.said)


def test_a_refusal_archives_nobody(tmp_path: Path) -> None:
    """--archive-missing refuses a file whose row means another customer, or decisions whose rows are gone."""
    with shop(tmp_path, FOUR, {"external_id": "o", "name": "O"}) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        decide(path, "same")
        sources = it.path("customers.csv"), it.path("customers.plan")
        for _ in range(2):
            with pytest.raises(FixInput, match="--archive-missing would archive"):
                job.plan(it.settings(twins=False), *sources, archive_missing=True, decisions=path)
            it.path("customers.csv").write_text(table({**TWIN, "name": "Other"}))


# --- consents -----------------------------------------------------------------------------------------------------

TWO_COLUMNS = 'external_id,Tel A,Tel B,name\nacme-1,"4,93012E+11","4,47700E+11",Acme\n'
Told = tuple[str, dict[str, Any], str, dict[str, Any]]
OTHERS: list[Any] = [
    pytest.param((TWO_COLUMNS, {"mapping": {"Tel A": "contact", "Tel B": ""}},
                  TWO_COLUMNS, {"mapping": {"Tel A": "", "Tel B": "contact"}}), nothing, id="mapping"),
    pytest.param(("external_id,name,address_city\n01.02.2024,Acme,Paris\n", {},
                  "external_id,address_city,name\n01.02.2024,Acme,Paris\n", {}), nothing, id="header"),
    pytest.param(("external_id\na-1\n", {"constants": {"name": "#N/A"}},
                  "external_id\na-1\n", {"constants": {"name": "#REF!"}}), nothing, id="constant"),
    pytest.param(("external_id,name\nACCT-4,#N/A\n", {"twins": False}, "external_id,name\nACCT-4,#N/A\n",
                  {"twins": False}), created, id="exists-by-now"),
    pytest.param(("external_id,contact\nacct-4,42\n", {}, "external_id,contact\nacct-4,42\n", {}),
                 lambda it: asked(it, "PUT", f"/customers/{id_of(it.sandbox, 'acct-4')}", contact="00042"),
                 id="stored-value"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "change"), OTHERS)
def test_yes_is_for_exactly_what_would_be_written(tmp_path: Path, told: Told, change: Callable[[Shop], None]) -> None:
    """A row that says yes to other values, or to another customer's, is asked about again, and that is said."""
    text, given, then, later = told
    with shop(tmp_path, {**FOUR, "contact": "0042"}, max_share=1.0) as it:
        path, _ = it.plan(text, **given).doubted or (Path(), 0)
        decide(path, "yes")
        assert again(it, path, **given).counts.writes == 1
        change(it)
        it.path("customers.csv").write_text(then)
        found = again(it, path, **later)
        assert [do for _, do in shown(found)] == ["held"]
        assert (found.lapsed, found.exit_code, plan_json(found)["lapsed"]) == (1, 1, 1)
        assert "1 decision was about something else" in plan_summary(found)
        (row,) = decide(path, "yes")
        assert row["flexsync_kind"]
        found = again(it, path, **later)
        assert found.counts.writes == found.counts.update + found.counts.create == 1


def test_a_lapsed_yes_is_shown_as_a_question(tmp_path: Path) -> None:
    """The file of doubts says what was decided about something else, and a question is no decision."""
    with shop(tmp_path) as it:
        path, _ = it.plan("external_id\na-1\n", constants={"name": "#N/A"}).doubted or (Path(), 0)
        decide(path, "yes")
        for _ in range(2):
            assert again(it, path, constants={"name": "#REF!"}).counts.held == 1
            assert path.read_text().splitlines()[1].startswith(("yes?,", ","))


def test_a_consent_that_is_not_needed_is_kept(tmp_path: Path) -> None:
    """Yes to a row in which nothing is doubted for once is no open decision, and is there when it is needed again."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        decide(path, "yes")
        found = again(it, path, twins=False)
        assert (shown(found), found.exit_code, found.unmet) == ([("ACCT-4", "create")], 0, {})
        found = again(it, path)
        assert (shown(found), found.exit_code, found.lapsed) == ([("ACCT-4", "create")], 0, 0)
        it.apply(found)
        found = again(it, path)
        assert (found.counts.unchanged, found.exit_code, found.unmet, found.lapsed) == (1, 0, {}, 0)


def test_same_is_for_the_values_that_were_seen(tmp_path: Path) -> None:
    """A row that means a customer and says something else by now is held until that is confirmed."""
    with shop(tmp_path, FOUR, max_share=1.0) as it:
        path, _ = it.plan("external_id\nACCT-4\n", constants={"name": "A"}).doubted or (Path(), 0)
        decide(path, "same")
        for _ in range(2):
            found = again(it, path, constants={"name": "B"})
            assert (shown(found), found.lapsed, found.exit_code) == ([("acct-4", "held")], 1, 1)
            assert path.read_text().splitlines()[1].startswith("same?,")
        decide(path, "same")
        found = again(it, path, constants={"name": "B"})
        assert (shown(found), found.exit_code) == ([("acct-4", "update")], 0)


# --- decisions and their file -------------------------------------------------------------------------------------


def test_decisions_without_a_row_are_told_and_kept(tmp_path: Path) -> None:
    """A decision whose row is no more exits with 1, is in JSON, and stays in the file until it is removed."""
    with shop(tmp_path) as it:
        path, _ = it.plan(table({"external_id": "a-1", "name": "#N/A"}, FOUR)).doubted or (Path(), 0)
        (row,) = decide(path, "no")
        it.path("customers.csv").write_text(table({"external_id": "a-1", "name": "Right"}, FOUR))
        for _ in range(2):
            found = again(it, path)
            assert (found.counts.create, found.exit_code) == (2, 1)
            assert found.unmet == {row["flexsync_row"]: "no"}
            assert plan_json(found)["unmet"] == [{"row": row["flexsync_row"], "decision": "no"}]
            assert f"1 decision fits no row of {it.path('customers.csv')}" in plan_summary(found)
            assert [kept["flexsync_row"] for kept in decide(path, "no")] == [row["flexsync_row"]]
        decide(path, "")
        assert (again(it, path).exit_code, path.exists()) == (0, True)


@pytest.mark.parametrize("words", [("no", "yes"), ("yes", "no"), ("same", "yes"), ("no", "same?")])
@pytest.mark.parametrize("other", ["", "0" * 16])
def test_contradictory_decisions_are_refused(tmp_path: Path, words: tuple[str, str], other: str) -> None:
    """Two different words about one row are refused, with both lines, whatever would be written; equal ones are one."""
    with shop(tmp_path) as it:
        path, _ = it.plan(table({"external_id": "a-1", "name": "#N/A"})).doubted or (Path(), 0)
        sign = decide(path, words[0])[0]["flexsync_row"]
        before = path.read_text()
        path.write_text(f"{before}{words[1]},2,{sign[: len(sign) - len(other)]}{other},,,,\n")
        with pytest.raises(FixInput, match=f"line 2 says {words[0]} and line 3 says {re.escape(words[1])}"):
            again(it, path)
        path.write_text(f"{before}{words[0].upper()},2,{sign.upper()},,,,\n")
        assert again(it, path).unmet == {}


def test_decisions_that_were_not_given_are_kept_and_told(tmp_path: Path) -> None:
    """Planning again without --decisions keeps the decided file under another name, and says which."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        decide(path, "no")
        notes = Notes(it)
        source = it.path("customers.csv")
        assert job.plan(it.settings(), source, it.path("customers.plan"), progress=notes).counts.held == 1
        kept = it.path("customers.doubts.csv~")
        assert any(f"{kept} holds 1 decision" in text and f"--decisions {kept}" in text for _, text in notes.said)
        assert shown(again(it, kept)) == [("ACCT-4", "left_out")]
        assert [row["decision"] for row in decide(path, "no")] == ["no"]


def test_the_decided_file_of_doubts_is_not_planned(tmp_path: Path) -> None:
    """A file of doubts with a decision in it is refused as a file to plan, with the flag that takes it."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table(TWIN, {"external_id": "z", "name": "#N/A"})).doubted or (Path(), 0)
        assert job.plan(it.settings(), path, it.path("second.plan")).counts.held == 2
        decide(path, "", "no")
        before = it.sandbox.calls_total
        with pytest.raises(FixInput, match="line 3 holds a decision") as refused:
            job.plan(it.settings(), path, it.path("second.plan"))
        assert f"--decisions {path}" in refused.value.remedy
        assert it.sandbox.calls_total == before


def test_onboarding_is_asked_about_creates_only(tmp_path: Path) -> None:
    """A row that means an existing customer, or is left out, starts no onboarding."""
    with shop(tmp_path, FOUR, max_share=1.0) as it:
        path, _ = it.plan(table(TWIN, {"external_id": "z", "name": "#N/A"})).doubted or (Path(), 0)
        decide(path, "same", "no")
        assert again(it, path, onboarding="").counts.update == 1
        decide(path, "same", "yes")
        with pytest.raises(FixInput, match="onboarding"):
            again(it, path, onboarding="")


def test_decisions_of_an_earlier_version_are_asked_about_again(tmp_path: Path) -> None:
    """A sign whose second half is unknown holds as a refusal, and lapses as a consent."""
    with shop(tmp_path, FOUR) as it:
        path, _ = it.plan(table(TWIN)).doubted or (Path(), 0)
        for word, do in (("no", "left_out"), ("yes", "held"), ("same", "held")):
            (row,) = decide(path, word)
            path.write_text(path.read_text().replace(row["flexsync_row"], row["flexsync_row"][:17] + "0" * 16))
            found = again(it, path)
            assert [entry for _, entry in shown(found)] == [do]
            assert ("earlier version" in plan_summary(found)) is (do == "held")
