"""What a user reads: numbers agree with their nouns, what is offered is possible, and an error names the option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import Done, account, command, environment
from importing import account as account_of

from connector.errors import FixInput
from connector.plurals import counted
from connector.push.plan.counts import Counts
from connector.push.plan.entry import Entry
from connector.push.plan.guards import Limits, tripped
from connector.push.plan.patterns import Patterns
from connector.push.plan.unusual import unusual
from connector.sandbox import Faults
from pipelines.report.sync_summary import sync_summary
from pipelines.summary import Report

ONE_OF_MANY = re.compile(r"(?<![\d.,:-])1 (?:[a-z]+ )?(?:[a-z]{3,}s|are|exist|look)\b(?<!calls per)")
"""A one before a plural. Words that end in s and are no plural are left out below."""
SINGULAR = ("was", "is", "this", "status", "exists", "looks", "meets", "counts", "access")


def disagreeing(text: str) -> list[str]:
    """The places of a text in which a one stands before a plural."""
    found = (match[0] for match in ONE_OF_MANY.finditer(text))
    return [words for words in found if words.split()[-1] not in SINGULAR]


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ("row",), "0 rows"), (1, ("row",), "1 row"), (2, ("row",), "2 rows"),
        (1, ("reply is", "replies are"), "1 reply is"), (3, ("reply is", "replies are"), "3 replies are"),
    ],
)  # fmt: skip
def test_a_number_and_its_noun_agree(count: int, words: tuple[str, ...], text: str) -> None:
    """Only one is singular."""
    assert counted(count, *words) == text


@pytest.mark.sampled
def test_one_of_everything_is_said_in_the_singular(tmp_path: Path) -> None:
    """An account of one customer, a file of one row, one fault, one write: no output says `1 rows`."""
    with account_of({"external_id": "a", "name": "A"}).running() as base_url:

        def run(*arguments: object) -> str:
            done = command(*arguments, env=environment(base_url), cwd=tmp_path)
            return done.out + done.err

        source = tmp_path / "c.csv"
        source.write_text("external_id,name\na,B\n\n")
        shown = run("sync", "--store", "s.duckdb") + run("status", "--store", "s.duckdb")
        shown += run("doctor", "--store", "s.duckdb") + run("import", "export") + run("import", "plan", "c.csv")
        shown += (tmp_path / "c.plan").read_text().partition("{")[0] + run("import", "apply", "c.plan")
        shown += run("import", "apply", "c.plan", "--yes")
        source.write_text("external_id,name\na,C\nb,\n")
        shown += run("import", "plan", "c.csv") + run("import", "plan", "c.csv", "--archive-missing")
    for words in (": 1 row\n", "1 row,", "1 blank line", "1 write", "1 customer exists", "(1 update)",
                  "1 row that is invalid", "1 published customer", "in c.rejected.csv: correct it"):  # fmt: skip
        assert words in shown, shown
    assert disagreeing(shown) == []


def test_guards_say_one_in_the_singular() -> None:
    """Each guard that counts says one customer, and one row."""
    counts = Counts(create=1, archive=1, key_changes=1, doubts=1)
    found = tripped(counts, 1, Limits(few=0, max_creates=0))
    assert len(found) == 5
    patterns, entry = Patterns(), Entry("update", set={"name": ("A", "B")})
    patterns.add(entry)
    none = Limits(max_field_share=0.0, few_of_field=0, max_moved=0, max_same=0)
    found += unusual(patterns, 1, none, lambda: [entry])
    assert [guard.name for guard in found[5:]] == ["max_field_share", "max_same"]
    assert disagreeing("\n".join(guard.text for guard in found)) == []


def test_backoff_is_said_to_be_a_sum() -> None:
    """Waits of parallel calls add up to more than the run took, and the summary says so; pauses are plain time."""
    report = Report(run_id="run", mode="full", flow={"waited": {"backoff": 213.5, "pause": 2.0}})
    line = next(line for line in sync_summary(report).splitlines() if line.startswith("waited"))
    assert line == "waited     213.5 s for backoff (summed over parallel calls), 2.0 s for pause"


def test_a_sentence_is_closed_once(tmp_path: Path) -> None:
    """Whatever another program's text ends with, a message that quotes it has one sign at its end."""
    for text, closed in (
        ("mode!", "mode!"), ("what?", "what?"), ("it is so.", "it is so."), ("and so on...", "and so on..."),
        ("and so on…", "and so on…"), ("plain", "plain."), ("'x?'", "'x?'."), ("a.b", "a.b."),
    ):  # fmt: skip
        assert FixInput(f"it says {text}.").message == f"it says {closed}"
        assert FixInput(f"{text}. Next.\n{text}.", remedy=f"{text}.").message == f"{closed} Next.\n{closed}"
        assert FixInput("x", remedy=f"{text}.").remedy == closed
    with account(5).running() as base_url:
        assert command("sync", "--only", "customers", env=environment(base_url), cwd=tmp_path).code == 0
    done = command("sql", "create table t (a int)", env=environment(), cwd=tmp_path)
    assert (done.code, re.findall(r"[!?.]\.", done.err)) == (2, []), done.err


def test_figures_that_nothing_vouches_for_are_told_only_where_there_are_any() -> None:
    """`nothing vouches for the other 0` reads like a fault: where every zero was probed, it says so."""

    def told(probed: int, unprobed: int) -> str:
        zeros = {"unproven": probed + unprobed, "figures": 9, "probed": probed, "unprobed": unprobed}
        lines = sync_summary(Report(run_id="run", mode="full", certificate={"zeros": zeros})).splitlines()
        return lines[next(n for n, line in enumerate(lines) if line.startswith("unproven")) + 1].strip()

    up = "read between two probes that found the analytics store up"
    assert told(4, 0) == f"all of them were {up}"
    assert told(3, 1) == f"3 of them were {up}; nothing vouches for the other 1"
    assert told(1, 3) == f"1 of them was {up}; nothing vouches for the other 3"
    assert told(0, 3) == f"none of them was {up}; nothing vouches for them"


# --- what is offered ----------------------------------------------------------------------------------------------


def test_no_undo_is_offered_where_every_write_is_an_archive(tmp_path: Path) -> None:
    """The API cannot un-archive: an apply of archives alone ends without the line that offers an undo."""
    with account_of({"external_id": "a"}, {"external_id": "b"}).running() as base_url:

        def run(*arguments: object) -> Done:
            return command("import", *arguments, env=environment(base_url), cwd=tmp_path)

        (tmp_path / "c.csv").write_text("external_id\na\n")
        run("plan", "c.csv", "--archive-missing")
        done = run("apply", "c.plan", "--yes", "--yes-really", "1", "--yes-archive", "1")
        assert (done.code, "1 done" in done.out, "undo" in done.out) == (0, True, False), done.err
        (tmp_path / "c.csv").write_text("external_id,name\na,B\n")
        run("plan", "c.csv")
        assert "undo      flexsync import undo" in run("apply", "c.plan", "--yes").out


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(("sql", "SELECT 1"), "--on"), (("status",), "--store"), (("state", "show"), "--store"), (("verify",), "--store")],
)
def test_an_error_names_the_option_for_another_copy(tmp_path: Path, arguments: tuple[str, ...], option: str) -> None:
    """Where the default store is missing, the remedy is the option with which the command reads another one."""
    done = command(*arguments, env=environment("http://127.0.0.1:1/v1"), cwd=tmp_path)
    assert (done.code, "flexsync.duckdb does not exist" in done.err, option in done.err) == (2, True, True), done.err


# --- the sandbox, publications, state -----------------------------------------------------------------------------

SHARES = ("error_rate", "empty500", "proxy502", "unauthorized", "cut", "cut_body", "lost", "torn", "drip", "zero_usage",
          "skip_entitlements", "partial_entitlements", "wrong_types")  # fmt: skip


@pytest.mark.parametrize("value", ["5", "-0.1", "1.01", "nan", "inf"])
@pytest.mark.parametrize("name", SHARES)
def test_a_share_outside_its_range_is_refused(name: str, value: str) -> None:
    """Every share lies between 0 and 1; 5 is no 5 %. The fault is named."""
    with pytest.raises(FixInput, match=f"fault {name}: .* is no share") as refused:
        Faults.parse(f"{name}={value}")
    assert "from 0 to 1" in refused.value.remedy
    assert [getattr(Faults.parse(f"{name}={edge}"), name) for edge in (0, 1)] == [0, 1]


def test_every_share_of_the_documentation_is_checked() -> None:
    """The shares in docs/sandbox.md are those above, so a new one is checked too."""
    text = (Path(__file__).parents[1] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \| share \|", text, re.M)) == sorted(SHARES)


@pytest.mark.sampled
def test_doctor_and_sync_agree_about_a_missing_folder(tmp_path: Path) -> None:
    """The folder of a publication is made by a sync, as the configs need; doctor makes none and says what will be."""
    targets = ("duckdb:published/b.duckdb", "parquet:lakes/lake", "parquet:here")
    flags = [word for target in targets for word in ("--publish", target)]
    with account_of().running() as base_url:
        checked = command("doctor", *flags, env=environment(base_url), cwd=tmp_path)
        assert (checked.code, checked.out.count("not published yet")) == (0, 3), checked.out
        assert checked.out.count("a sync makes the folder") == 2
        assert list(tmp_path.iterdir()) == []
        done = command("sync", *flags, env=environment(base_url), cwd=tmp_path)
    assert done.code == 0, done.err
    assert [target for target in targets if f"published  {target}" not in done.out] == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("duckdb:no/such/b.duckdb", "no does not exist"), ("parquet:no/such/lake", "no does not exist"),
        ("duckdb:file/b.duckdb", "file is not a folder"), ("csv:out", "duckdb:PATH"),
        ("duckdb:flexsync.duckdb", "the working store itself"),
    ],
)  # fmt: skip
def test_doctor_and_sync_refuse_the_same_targets(tmp_path: Path, target: str, said: str) -> None:
    """A folder that is missing more than one level up, a file in its place, no target at all: both commands say so."""
    (tmp_path / "file").write_text("")
    with account(5).running() as base_url:
        for job in ("doctor", "sync"):
            done = command(job, "--publish", target, env=environment(base_url), cwd=tmp_path)
            assert (done.code, said in done.err + done.out) == (2, True), done
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.sampled
def test_a_changed_state_is_told(tmp_path: Path) -> None:
    """`state set` and `state reset` say on stderr what they did."""
    with account(5).running() as base_url:

        def run(*arguments: object) -> Done:
            return command(*arguments, "--store", "s.duckdb", env=environment(base_url), cwd=tmp_path)

        run("sync")
        moved, deleted = run("state", "set", "2020-01-01"), run("state", "reset", "--yes")
    assert re.search(
        r"s\.duckdb: \d cursors? moved back; the next sync reads from 2020-01-01T00:00:00\+00:00", moved.err
    )
    assert "s.duckdb: the cursors are deleted; the next sync reads everything again" in deleted.err
    assert (moved.out, deleted.out) == ("", "")
