"""What goes where: reports on stdout, progress and warnings on stderr, one JSON object always, run ids in the log."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command import Done, account, command, environment, quick_retry
from importing import account as account_of
from importing import id_of
from rich.console import Console
from sizes import few

from connector import errors
from connector.sandbox import Faults, Sandbox
from pipelines.report.bars import BarProgress

FEW = ("--only", "customers")  # what a test about streams needs to read


def _sync(sandbox: Sandbox, folder: Path, *words: object) -> Done:
    with sandbox.running() as base_url:
        return command("sync", *words, env=environment(base_url), cwd=folder)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_report_of_a_sync_is_on_stdout_and_its_progress_on_stderr(tmp_path: Path) -> None:
    """A scheduler that keeps stdout keeps the report, and nothing else."""
    done = _sync(account(6), tmp_path, *FEW, "--publish", "duckdb:out.duckdb")
    assert done.out.startswith("GREEN  run ")
    assert done.out.endswith("published  duckdb:out.duckdb\n")
    assert "walk/customers/published: " in done.err
    assert not {"GREEN", "published  duckdb"} & set(re.findall("GREEN|published  duckdb", done.err))


def test_quiet_says_nothing_on_green_and_everything_else_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Green: not a byte, so cron sends no mail. Degraded: the report. An error: its message. JSON: its object."""
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)
    sandbox = account(12)
    assert sandbox.active_customer_ids()
    assert _sync(sandbox, tmp_path, *FEW, "--quiet") == Done(0, "", "")
    found = _sync(sandbox, tmp_path, *FEW, "--quiet", "--json")
    assert (found.code, found.json["status"], found.json["error"], found.err) == (0, "green", None, "")
    sandbox.faults = Faults(poison=frozenset(sandbox.active_customer_ids()[:1]))
    found = _sync(sandbox, tmp_path, "--quiet")
    assert found.code == 1
    assert found.out.startswith("DEGRADED")
    found = _sync(sandbox, tmp_path, "--quiet", "--max-calls", "3")
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("error: ")


def test_quiet_tells_the_notes_of_a_run_that_fails(tmp_path: Path) -> None:
    """What led to the failure is not lost: the note that a run was resumed stands before the error."""
    sandbox = account(6)
    assert _sync(sandbox, tmp_path, "--max-calls", "12").code == 1
    found = _sync(sandbox, tmp_path, "--quiet", "--max-calls", "3")
    assert found.code == 1
    assert re.match(r"note: resuming run \S+, begun at \S+\nerror: ", found.err), found.err


FAILING = {
    "no server": (("sync",), 3, "Unreachable"),
    "no such option": (("sync", "--nonsense"), 2, "FixInput"),
    "a wrong value": (("sync", "--deadline", "soon"), 2, "FixInput"),
    "no store": (("status",), 2, "FixInput"),
    "no key": (("sync", "--config", "none.toml"), 2, "FixInput"),
    "no plan": (("import", "apply", "none.plan"), 2, "FixInput"),
    "no file": (("import", "plan", "none.csv"), 2, "FixInput"),
    "no journal": (("import", "undo", "none"), 2, "FixInput"),
    "nobody": (("forget", "none"), 2, "FixInput"),
    "no store to verify": (("verify",), 2, "FixInput"),
    "no state to show": (("state", "show"), 2, "FixInput"),
    "no server to check": (("doctor",), 3, "Unreachable"),
    "no folder for the store": (("doctor", "--store", "none/s.duckdb"), 2, "FixInput"),
}


@pytest.mark.parametrize("name", FAILING)
def test_json_is_one_object_on_failure_too(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever went wrong, however early: status, class, message, remedy and exit code; stderr says it in words."""
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)
    words, code, kind = FAILING[name]
    done = command(*words, "--json", env=environment("http://127.0.0.1:9/v1"), cwd=tmp_path)
    assert done.code == code, done.err
    error = done.json["error"]
    assert (done.json["status"], error["class"], error["exit_code"]) == ("failed", kind, code)
    if words[0] != "doctor":  # it tells a failed check in its report
        assert error["message"].split("\n")[0].rstrip(".") in done.err
    assert error["class"] in errors.__all__
    assert error["remedy"]


def test_json_of_what_succeeds_says_so(tmp_path: Path) -> None:
    """Every report of the copy has a `status` and an `error` that is null, beside what the command found."""
    sandbox = account(6)
    with sandbox.running() as base_url:
        env = environment(base_url)
        assert command("sync", *FEW, env=env, cwd=tmp_path).code == 0
        found = {}
        for words in (("status",), ("verify", "--sample", "2"), ("doctor",), ("state", "show")):
            done = command(*words, "--json", env=env, cwd=tmp_path)
            assert (done.code, done.err) == (0, "")
            found[words[0]] = done.json
            assert done.json["error"] is None
        sandbox.update_customer(sandbox.customer_ids("published")[0], name="Changed since")
        differing = command("verify", "--sample", "100", "--json", env=env, cwd=tmp_path)
    assert {name: one["status"] for name, one in found.items()} == {
        "status": "fresh", "verify": "ok", "doctor": "ok", "state": "ok",
    }  # fmt: skip
    assert (differing.code, differing.json["status"], differing.json["error"]) == (1, "differs", None)
    assert len(differing.json["differences"]) == 1
    assert (found["verify"]["compared"], found["verify"]["ok"]) == (2, True)
    assert [check["ok"] for check in found["doctor"]["checks"]] == [True] * len(found["doctor"]["checks"])
    assert found["state"]["cursors"]
    late = command("status", "--max-age", "0s", "--json", env=env, cwd=tmp_path)
    assert (late.code, late.json["status"], late.json["error"]) == (1, "stale", None)


def test_doctor_as_json_tells_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed check does not hide the others; `error` is the first one, whose exit code the command has."""
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)
    words = ("doctor", "--store", "none/s.duckdb", "--json")
    done = command(*words, env=environment("http://127.0.0.1:9/v1"), cwd=tmp_path)
    told = [(check["check"], check["ok"], check.get("class")) for check in done.json["checks"]]
    assert told == [
        ("settings", True, None), ("key", True, None), ("store", False, "FixInput"), ("server", False, "Unreachable"),
    ]  # fmt: skip
    assert done.json["error"]["message"].startswith("store: none does not exist")
    assert (done.code, done.err) == (2, "")


@pytest.mark.parametrize("words", few([("sync",), ("state", "reset"), ("sync", "--dry-run")]))
def test_without_json_a_failure_leaves_stdout_empty(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Stdout is for results: an error is none."""
    done = command(*words, env=environment("", key=""), cwd=tmp_path)
    assert (done.code, done.out) == (2, "")


def test_a_bug_is_told_as_json_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody expected is a fault of ours: code 5, one object, and the traceback on stderr."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("pipelines.jobs.sync", broken)
    done = command("sync", "--json", env=environment("http://127.0.0.1:9/v1"), cwd=tmp_path)
    assert done.code == 5
    assert done.json["error"]["class"] == "OurFault"
    assert "internal error: KeyError" in done.json["error"]["message"]
    assert "Traceback" in done.err


def test_an_interrupted_command_says_so_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and SIGTERM end in an object, too: interrupted, code 130."""

    def stopped(*_: object, **__: object) -> None:
        raise errors.Interrupted("interrupted.", remedy="State is kept.")

    monkeypatch.setattr("pipelines.jobs.sync", stopped)
    done = command("sync", "--json", env=environment("http://127.0.0.1:9/v1"), cwd=tmp_path)
    assert (done.code, done.json["status"]) == (130, "interrupted")
    assert done.json["error"]["exit_code"] == 130


def test_every_line_of_the_log_names_its_run(tmp_path: Path) -> None:
    """Lines of one file are told apart by run; the last one of a run says how it ended, an error included."""
    sandbox = account(6)
    assert _sync(sandbox, tmp_path, "--log", "log.jsonl", "--max-calls", "12").code == 1
    failed = _lines(tmp_path / "log.jsonl")
    assert _sync(sandbox, tmp_path, "--log", "log.jsonl").code == 0
    both = _lines(tmp_path / "log.jsonl")
    assert all("run_id" in line for line in both)
    began = next(line for line in failed if line["event"] == "began")
    after = failed[failed.index(began) :]
    assert {line["run_id"] for line in after} == {began["run_id"]}
    assert {line["run_id"] for line in failed[: failed.index(began)]} <= {None}
    assert (failed[-1]["event"], failed[-1]["error"], failed[-1]["exit_code"]) == ("failed", "BudgetSpent", 1)
    assert (both[-1]["event"], both[-1]["status"], both[-1]["run_id"]) == ("ended", "green", began["run_id"])


def _drawn(*, total: int | None) -> str:
    out = io.StringIO()
    progress = BarProgress(Console(file=out, force_terminal=True, width=100, no_color=True))
    progress.step("usage", total)
    progress.advance("usage", 1234)
    progress._bars.refresh()
    progress.end()
    return out.getvalue()


def test_a_bar_shows_its_rate_and_none_stands_for_an_end_that_nobody_knows() -> None:
    """With a total: a bar, so many of how many, and calls per second. Without: rows and their rate, and no bar."""
    known, unknown = _drawn(total=2000), _drawn(total=None)
    assert "━" in known
    assert re.search(r"1,234/2,000 +[\d,]+ calls/s", known)
    assert "━" not in unknown
    assert re.search(r"usage +1,234 +[\d,]+ rows/s", unknown)


# --- imports ------------------------------------------------------------------------------------------------------

ROWS = "external_id,name\na,New\nn,N\n"


def _import(base_url: str, folder: Path) -> Any:
    def run(*words: object) -> Done:
        return command("import", *words, env=environment(base_url), cwd=folder)

    return run


def test_the_report_of_an_import_is_on_stdout_and_its_progress_on_stderr(tmp_path: Path) -> None:
    """Plan, apply and undo report on stdout, as a sync does; steps and notes are on stderr; --json is one object."""
    (tmp_path / "c.csv").write_text(ROWS)
    with account_of({"external_id": "a", "name": "A"}).running() as base_url:
        run = _import(base_url, tmp_path)
        plan = ("plan", "c.csv", "--onboarding", "skip")
        done = run(*plan)
        assert "plan      1 create, 1 update" in done.out
        assert "\nnext      flexsync import apply c.plan" in done.out
        assert done.err.splitlines()[0] == "read: 2 rows"
        assert {"plan  ", "next  "} & set(re.findall("^(?:plan|next)  ", done.err, re.M)) == set()
        done = run(*plan, "--json")
        assert (done.json["counts"]["create"], "plan  " in done.err) == (1, False)
        assert (done.json["status"], done.json["error"]) == ("done", None)
        assert done.err.endswith("\nnote: the older c.plan is now c.plan~\n")
        done = run("apply", "c.plan", "--yes")
        assert done.out.startswith("run       ")
        assert done.err == "write: 2 customers\n"
        run_id = done.out.split()[1].rstrip(":")
        done = run("undo", run_id)
        assert "plan      0 create, 1 update, 1 archive" in done.out
        assert done.err == "compare: 2 rows\n"
        done = run("apply", "undo.plan", "--yes", "--yes-really", 2, "--yes-archive", 1, "--json")
        assert (done.json["outcomes"], done.err) == ({"done": 2}, "write: 2 customers\n")


def test_a_quiet_import_says_nothing_where_all_went_well(tmp_path: Path) -> None:
    """Every row can be applied, every change is made: not a byte. Otherwise the notes and the report; JSON always."""
    (tmp_path / "c.csv").write_text(ROWS)
    with account_of({"external_id": "a", "name": "A"}).running() as base_url:
        run = _import(base_url, tmp_path)
        plan = ("plan", "c.csv", "--onboarding", "skip", "--quiet")
        assert run(*plan) == run(*plan) == Done(0, "", "")
        assert (run(*plan, "--json").json["counts"]["update"], run(*plan, "--json").err) == (1, "")
        assert run("apply", "c.plan", "--yes", "--quiet") == Done(0, "", "")
        assert run("apply", "c.plan", "--yes", "--quiet", "--json").json["earlier"] == 2
        (tmp_path / "c.csv").write_text(ROWS + "m,\n")
        done = run(*plan)
        assert (done.code, "1 invalid" in done.out) == (1, True)
        assert done.err == "note: the older c.plan is now c.plan~4\n"
        run_id = next(tmp_path.glob("c.*.journal")).name.split(".")[1]
        assert run("undo", run_id, "--quiet") == Done(0, "", "")


def test_the_object_of_an_import_says_how_it_ended(tmp_path: Path) -> None:
    """Done, partial or refused, as the exit code says; an apply names every row that it did not write, and why."""
    sandbox = account_of({"external_id": "a", "name": "A"}, {"external_id": "b", "name": "B"})
    with sandbox.running() as base_url:
        run = _import(base_url, tmp_path)
        plan = ("plan", "c.csv", "--json")
        for text, code, status in (("a,\nb,\n", 0, "done"), ("a,N\n,N\nb,N\n", 1, "partial"), (",N\n", 2, "refused")):
            (tmp_path / "c.csv").write_text(f"external_id,name\n{text}")
            done = run(*plan)
            assert (done.code, done.json["status"], done.json["error"]) == (code, status, None)
        sandbox.update_customer(id_of(sandbox, "b"), name="Theirs")
        done = run("apply", "c.plan", "--yes", "--json")
        assert (done.code, done.json["status"], done.json["error"]) == (1, "partial", None)
        (refused,) = done.json["refused"]
        assert (refused["line"], refused["external_id"], refused["outcome"]) == (4, "b", "skipped")
        assert "name is now 'Theirs', was 'B'" in refused["why"]
