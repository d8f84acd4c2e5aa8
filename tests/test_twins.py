"""New external_ids that only look different from existing ones: found, named, and what finding them costs."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import Shop, searches, shop, table
from sizes import examples, sampled, thorough

from connector.clock import exact_now
from connector.push.file import folding
from connector.push.file.folding import differences, fold
from connector.sandbox import Sandbox
from pipelines import import_customers as job
from pipelines import jobs
from pipelines.import_customers import Planned
from pipelines.progress import Progress
from pipelines.sync import Options


class Notes(Progress):
    """Remembers what was said, and how many calls were made before."""

    def __init__(self, it: Shop) -> None:
        self.it, self.said = it, list[tuple[int, str]]()

    def note(self, text: str) -> None:
        self.said.append((self.it.sandbox.calls_total, text))


def planned(it: Shop, *rows: dict[str, str], **given: Any) -> tuple[Planned, Notes]:
    notes = Notes(it)
    it.path("customers.csv").write_text(table(*rows))
    more = {name: given.pop(name) for name in ("store", "clock", "decisions") if name in given}
    settings = it.settings(**given)
    return job.plan(settings, it.path("customers.csv"), it.path("customers.plan"), progress=notes, **more), notes


def doubts(found: Planned) -> dict[str, list[str]]:
    assert found.plan is not None
    return {entry.external_id: entry.doubts for entry in found.plan.entries() if entry.doubts}


UNSEEN = "\ufe0f\u034f\u115f\u1160\u3164\uffa0\u180b\u17b4\u2800\U000e0101\x7f\x07\x9b\u202e"


@pytest.mark.parametrize(
    ("one", "other", "by"),
    [
        ("42", "0042", "leading zeros"), ("Acme", "ACME", "case"), ("a\u2013b", "a-b", "dashes"),
        ("cafe\u0301", "caf\u00e9", "Unicode form"), ("a\u200bb", "ab", "invisible characters"),
        ("O\u2019Neill", "O'Neill", "quotes"), ("a b", "ab", "spaces"), ("12345.0", "12345", "number form"),
        ("4,93E+11", "493000000000", "number form"), ("1,234,567", "1234567", "number form"),
        ("12.345", "12345", "number form"), ("12,345", "12345", "number form"), ("12,345", "12.345", "number form"),
        ("12.345,00", "12345", "number form"), ("12,34,567", "1234567", "number form"),
        ("1.000", "1000", "number form"), ("1,000,000", "1000000", "number form"),
        ('="001"', "1", "quotes or leading zeros"), ("acct-01", "acct-1", "leading zeros"),
        ("\uff21", "a", "Unicode form or case"), ("O\u00b4Neill", "O'Neill", "quotes"),
        ("O\u02bcNeill", "O\u2019Neill", "quotes"), ("a\ufe312", "a-2", "dashes or Unicode form"),
        *((f"a{unseen}b", "ab", "invisible characters") for unseen in UNSEEN),
    ],
)  # fmt: skip
def test_twins_have_one_folding_key(one: str, other: str, by: str) -> None:
    """Each way in which an id is rewritten folds away, and is named."""
    assert fold(one) == fold(other)
    assert differences(one, other) == by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "420"), ("a-1", "a_1"), ("a-1", "a1"), ("1.5", "15"), ("12.34", "1234"), ("1.2345", "12345"),
        ("1001", "101"), ("a01", "a1"), ("ä", "a"),
    ],
)  # fmt: skip
def test_other_ids_are_no_twins(one: str, other: str) -> None:
    """Ids that a person tells apart have folding keys of their own."""
    assert fold(one) != fold(other)


@settings(max_examples=examples(300), deadline=None, derandomize=True)
@given(st.text(max_size=12))
def test_a_folding_key_is_the_same_folded_or_not(text: str) -> None:
    """Any text has a folding key, and one with a capital, a space or a zero-width space more has the same."""
    assert fold(f" {text}\u200b") == fold(text)
    assert fold(fold(text).replace(" ", "")) == fold(fold(text))


@settings(max_examples=examples(300), deadline=None, derandomize=True)
@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_ascii_folds_as_any_text_does(text: str) -> None:
    """The short way of ASCII and the steps for all texts give the same folding key."""
    assert fold(text) == folding._folded(text)


def test_twins_of_the_account_and_of_the_file_are_named(tmp_path: Path) -> None:
    """A new id beside an existing twin, or beside another new one, is held; existing ids and renamed ones are not."""
    people = [{"external_id": key, "name": "X"} for key in ("0042", "Acme", "both", "BOTH", "gone")]
    with shop(tmp_path, *people) as it:
        rows = ("42", "ACME", "both", "BOTH", "n-1", "N-1", "fresh")
        found, _ = planned(it, *({"external_id": key, "name": "X"} for key in rows))
        told = doubts(found)
        assert list(told) == ["42", "ACME", "n-1", "N-1"]
        assert told["42"][0].startswith("'0042' exists (cust_")
        assert told["42"][0].endswith("they differ only by leading zeros")
        assert told["n-1"] == ["'N-1' (line 7) in this file: they differ only by case"]


def test_a_number_that_can_be_read_in_two_ways_is_compared_in_both(tmp_path: Path) -> None:
    """1.000 may be a thousand or a one with decimals: it is the twin of both, in the account and in the file."""
    people = [{"external_id": key, "name": "X"} for key in ("1", "1000", "12345", "7000", "9.000")]
    with shop(tmp_path, *people) as it:
        rows = ("1.000", "12.345", "2,000", "2", "7,000", "9", "9000", "3.000", "3,000")
        found, _ = planned(it, *({"external_id": key, "name": "X"} for key in rows))
        assert found.plan is not None
        told = {entry.external_id: entry for entry in found.plan.entries() if "twin" in entry.kinds}
        assert list(told) == ["1.000", "12.345", "2,000", "2", "7,000", "9", "9000", "3.000", "3,000"]
        said = [text for entry in told.values() for text in entry.doubts if "only" in text]
        assert all(text.endswith("differ only by number form") for text in said)
        assert "'1' exists" in told["1.000"].doubts[-1] or "'1000' exists" in told["1.000"].doubts[-1]
        assert found.checked is not None
        assert len(found.checked.warnings) == 2


def test_a_customers_own_id_is_no_twin(tmp_path: Path) -> None:
    """An external_id that changes by --match id is compared with everybody else's, not with its own."""
    with shop(tmp_path, {"external_id": "Acme", "name": "A"}, {"external_id": "X-1", "name": "B"}) as it:
        export = it.export().splitlines()
        ids = {line.split(",")[1]: line.split(",")[0] for line in export[1:]}
        own, other = {"id": ids["Acme"], "external_id": "ACME"}, {"id": ids["X-1"], "external_id": "acme"}
        assert planned(it, own, match="id")[0].counts.update == 1
        assert planned(it, other, match="id")[0].counts.held == 1
        assert planned(it, own, other, match="id")[0].counts.held == 2


def test_a_walk_is_announced_with_its_calls_and_made_once(tmp_path: Path) -> None:
    """The account is walked once, only where an external_id is new; the calls are said before the first of them."""
    with shop(tmp_path, sandbox=Sandbox(customers=2300, seed=7)) as it:
        found, notes = planned(it, {"external_id": "n-1", "name": "New"})
        (before, text), *_ = notes.said
        walked = it.sandbox.calls_total - before
        assert f"{walked} calls" in text
        assert "--no-twins" in text
        assert found.twins == f"compared with {found.existing} external_ids, all of the account"
        without, notes = planned(it, {"external_id": "n-1", "name": "New"}, twins=False)
        assert (without.twins, notes.said[1:]) == ("not compared: --no-twins", [])
        assert "# new external_ids: not compared: --no-twins\n" in it.path("customers.plan").read_text()
        assert sum(found.calls.values()) - sum(without.calls.values()) == walked
        same, notes = planned(it, {"external_id": "acct-0000001", "email": "x@y.example"})
        assert (same.twins, sum(same.calls.values())) == ("", 2)
        assert not any("compared" in text for _, text in notes.said)


def test_a_fresh_store_takes_the_place_of_the_walk(tmp_path: Path) -> None:
    """The ids of a store whose last run is green and of today are taken; else it is told why not, and walked."""
    with shop(tmp_path, {"external_id": "0042", "name": "A"}) as it:
        store = tmp_path / "s.duckdb"
        jobs.sync(it.settings(store=store), Options(), Progress())
        row = {"external_id": "42", "name": "A"}
        found, notes = planned(it, row, store=store)
        assert list(doubts(found)) == ["42"]
        assert found.twins.startswith(f"compared with 1 external_id of {store}, run ")
        assert sum(found.calls.values()) == 3
        late, notes = planned(it, row, store=store, clock=lambda: exact_now() + timedelta(hours=25))
        assert list(doubts(late)) == ["42"]
        assert any("more than a day ago" in text for _, text in notes.said)
        none, notes = planned(it, row, store=tmp_path / "none.duckdb")
        assert list(doubts(none)) == ["42"]
        assert any("none.duckdb is not used" in text and "does not exist" in text for _, text in notes.said)
        assert searches(it.sandbox)


MEASURED = """
import re, sys
from pathlib import Path
import numpy
from connector.push.file.rows import read_rows
from connector.push.plan.twins import Identified, Twins

def used():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

path, rows = Path(sys.argv[1]), int(sys.argv[2])
with path.open("w") as file:
    file.write("external_id\\n")
    file.writelines(f"{n}\\n" for n in range(rows))
before = used()
with read_rows(path) as opened:
    opened.check()
    twins = Twins(opened)
    for start in range(0, rows, 1000):
        twins.look_at([Identified(f"00{n}", f"cust_{n:026d}") for n in range(start, start + 1000)])
print(used() - before)
"""


@pytest.mark.parametrize(("rows", "most"), [sampled(100_000, 40), thorough(1_000_000, 100)])
def test_keys_are_kept_as_hashes(tmp_path: Path, rows: int, most: int) -> None:
    """Comparing a file of a million ids with an account of as many, each a twin, takes at most 100 MB more."""
    words = [sys.executable, "-c", MEASURED, str(tmp_path / "c.csv"), str(rows)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    print(f"{rows} rows: {done.stdout.strip()} MB")
    assert 0 < float(done.stdout) < most
