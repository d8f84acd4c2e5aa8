"""`flexsync import …` as a person and a script use it: exit codes, what is on stdout and on stderr, interruption."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from command import BASE, COMMAND, Done, command, environment, flexsync, start
from importing import ABSENT, FULL, table

from connector.sandbox import Faults, Sandbox

FILE = """external_id,name,email,metadata.tier
acct-0000001,Renamed,,gold
new-1,New One,one@new.example,
acct-0000003,,,
"""
WRITES = ("POST /customers", "PUT /customers", "DELETE /customers/{id}")


@pytest.fixture
def live() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(customers=40, seed=7, base_time=BASE)
    with sandbox.running() as base_url:
        yield sandbox, base_url


@pytest.fixture
def run(live: tuple[Sandbox, str], tmp_path: Path) -> Any:
    """`flexsync import …` in this test's own folder, which holds customers.csv."""
    (tmp_path / "customers.csv").write_text(FILE)

    def go(*arguments: object, **more: str) -> Done:
        return command("import", *arguments, env=environment(live[1], **more), cwd=tmp_path)

    return go


def written(sandbox: Sandbox) -> int:
    return sum(sandbox.calls[route] for route in WRITES)


# --- plan ---------------------------------------------------------------------------------------------------------


def test_plan_shows_changes_and_what_comes_next(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A plan prints each change, says what to type next, exits 0 and writes nothing but its file."""
    done = run("plan", "customers.csv", "--onboarding", "skip")
    assert done.code == 0, done.err
    assert [line.split()[:3] for line in done.out.splitlines()[:2]] == [
        ["2", "update", "acct-0000001"],
        ["3", "create", "new-1"],
    ]
    assert "1 create, 1 update, 0 archive, 1 unchanged, 0 invalid, 0 conflict" in done.out
    assert "flexsync import apply customers.plan" in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "customers.csv",
        "customers.plan",
    ]
    assert written(live[0]) == 0


def test_a_plan_tells_what_was_not_set_from_what_was_empty(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A text that the server did not send is printed as `nothing`, an empty one as `""`, in every such field."""
    live[0].create_customer(external_id="unset")
    live[0].create_customer(external_id="empty", **dict.fromkeys(ABSENT, ""))
    rows = ({"external_id": key, **{name: FULL[name] for name in ABSENT}} for key in ("unset", "empty"))
    (tmp_path / "customers.csv").write_text(table(*rows))
    printed = [line.split(maxsplit=3)[2:] for line in run("plan", "customers.csv").out.splitlines()[:2]]
    assert printed == [
        ["unset", ", ".join(f"{name} nothing → {FULL[name]}" for name in ABSENT)],
        ["empty", ", ".join(f'{name} "" → {FULL[name]}' for name in ABSENT)],
    ]


def test_plan_exits_1_when_some_rows_cannot_be_done(run: Any, tmp_path: Path) -> None:
    """Faults are grouped by rule with line, column, value and remedy; the other rows are planned."""
    (tmp_path / "customers.csv").write_text(FILE + "new-2,Two,nobody,\nnew-3,,,\n")
    done = run("plan", "customers.csv", "--onboarding", "skip")
    assert done.code == 1
    assert "line 5, column email: nobody. Write one plain address" in done.out
    assert 'line 6, column name: "". A new customer needs name' in done.out
    assert "2 rows in customers.rejected.csv" in done.out
    assert (tmp_path / "customers.plan").exists()


def test_plan_exits_2_when_nothing_can_be_planned(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """No valid row: no call, no new plan, the older one left where it is and named, and every fault listed."""
    assert run("plan", "customers.csv", "--onboarding", "skip").code == 0
    before = live[0].calls_total
    (tmp_path / "customers.csv").write_text("external_id,email\na,x\n,y@z.example\n")
    done = run("plan", "customers.csv", "--onboarding", "skip", "--json")
    assert done.code == 2
    assert [fault["rule"] for fault in done.json["faults"]] == ["email", "required"]
    assert done.json["plan"] is None
    assert live[0].calls_total == before
    assert "note: customers.plan is still the older plan, run " in done.err
    assert (tmp_path / "customers.rejected.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("external_id,nmae\na,b\n", 'line 1: column 2, "nmae": unknown. Did you mean name?'),
        ("external_id,name,Name\na,b,c\n", 'column 3, "Name": name is column 2 already'),
        ("name\nx\n", "there is no column external_id"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_input(run: Any, tmp_path: Path, text: str, told: str) -> None:
    """Exit 2, one message, nothing called, no traceback."""
    (tmp_path / "customers.csv").write_text(text)
    done = run("plan", "customers.csv")
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_header_only_is_nothing_to_plan(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A file with a header and no row exits 2, says so and what to do, and calls nobody."""
    (tmp_path / "customers.csv").write_text("external_id,name\n,\n")
    done = run("plan", "customers.csv")
    assert done.code == 2
    assert "error: customers.csv has a header and no rows.\n       Add a row for each customer" in done.err
    assert live[0].calls_total == 0


def test_creating_needs_a_word_on_onboarding(run: Any, tmp_path: Path) -> None:
    """A plan that would create says so, names the first row and the flag, and leaves no plan."""
    done = run("plan", "customers.csv")
    assert done.code == 2
    assert "line 3, 'new-1', would be created" in done.err
    assert "--onboarding skip" in done.err
    assert not (tmp_path / "customers.plan").exists()
    assert run("plan", "customers.csv", "--onboarding", "sometimes").code == 2
    assert run("plan", "customers.csv", "--mode", "update").code == 1  # the new one is a conflict


def test_two_fields_for_one_column_are_refused(run: Any, live: tuple[Sandbox, str]) -> None:
    """--map that names one column twice is a slip, unless it says the same."""
    done = run("plan", "customers.csv", "--map", "Tel=contact", "--map", "Tel=")
    assert done.code == 2
    assert "--map 'Tel=contact' and 'Tel=' are about one column" in done.err
    same = run("plan", "customers.csv", "--map", "name=name", "--map", "name = name", "--mode", "update")
    assert same.code == 1
    assert live[0].calls_total > 0


def test_a_persons_file_is_never_overwritten(run: Any, tmp_path: Path) -> None:
    """--out that names something else than a plan is refused, and the file stays."""
    done = run("plan", "customers.csv", "--onboarding", "skip", "--out", "customers.csv")
    assert done.code == 2
    assert (tmp_path / "customers.csv").read_text() == FILE


def test_a_slip_never_archives_its_customer(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """--archive-missing refuses rows that turn out invalid, or to meet nobody, only when they are compared."""
    for text, more in (
        ("external_id\nacct-000001\n", ()),  # a slip for acct-0000001: new, and without a name
        ("external_id,name\nacct-000001,X\n", ("--mode", "update")),
        ("external_id,email\nacct-0000001,nobody\nacct-0000003,\n", ()),
    ):
        (tmp_path / "customers.csv").write_text(text)
        done = run("plan", "customers.csv", "--archive-missing", *more)
        assert (done.code, "1 row that is invalid or meets no customer" in done.err) == (2, True), done.err
        assert not (tmp_path / "customers.plan").exists()


def test_a_place_that_cannot_be_written_is_named(run: Any, tmp_path: Path) -> None:
    """A folder that does not exist is not made, and a damaged plan is told apart from one to be planned over."""
    done = run("plan", "customers.csv", "--onboarding", "skip", "--out", "nowhere/c.plan")
    assert (done.code, "nowhere does not exist" in done.err) == (2, True), done.err
    assert not (tmp_path / "nowhere").exists()
    run("plan", "customers.csv", "--onboarding", "skip")
    path = tmp_path / "customers.plan"
    path.write_text(path.read_text()[:-9])
    done = run("plan", "customers.csv", "--onboarding", "skip")
    assert (done.code, "Remove it, or give another --out." in done.err) == (2, True), done.err


def test_a_file_that_changes_meanwhile_is_not_planned(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """Rows are read more than once; a file that is written to in between gives no plan."""
    live[0].between_calls(lambda: (tmp_path / "customers.csv").write_text(FILE.replace("Renamed", "Other")))
    done = run("plan", "customers.csv", "--onboarding", "skip")
    assert (done.code, "changed while it was read" in done.err) == (2, True), done.err
    assert not (tmp_path / "customers.plan").exists()


def test_an_encoding_that_was_given_is_no_guess(run: Any, tmp_path: Path) -> None:
    """A detected encoding that nothing proves is called a guess; one that was named is not, and sep= comes back."""
    (tmp_path / "customers.csv").write_bytes("sep=#\nexternal_id#name#email\na#Müller#x\nb#Köln#\n".encode("cp1252"))
    plan = ("plan", "customers.csv", "--onboarding", "skip")
    assert "cp1252, #, encoding guessed" in run(*plan).out
    done = run(*plan, "--encoding", "cp1252")
    assert "cp1252, #\n" in done.out
    assert run("plan", "customers.rejected.csv", "--encoding", "cp1252").code == 2
    assert (tmp_path / "customers.rejected.csv").read_bytes().startswith(b"sep=#\nflexsync_line#")


def test_settings_come_from_the_file_too(run: Any, tmp_path: Path) -> None:
    """[import.mapping] and [import.constants] name the columns; onboarding need not be said again."""
    (tmp_path / "customers.csv").write_text("Kunde;Firma;Notiz\nnew-1;Eins GmbH;x\n")
    (tmp_path / "import.toml").write_text(
        '[import]\nonboarding = "skip"\n[import.mapping]\nKunde = "external_id"\nFirma = "name"\nNotiz = ""\n'
        '[import.constants]\ntimezone = "Europe/Berlin"\n"metadata.source" = "crm"\n'
    )
    done = run("plan", "customers.csv", "--config", "import.toml")
    assert done.code == 0, done.err
    assert "name Eins GmbH, timezone Europe/Berlin, metadata.source nothing → crm" in done.out


@pytest.mark.sampled
def test_standard_input_is_a_file(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """`-` reads the file from standard input; the plan is stdin.plan."""
    env = environment(live[1])
    done = flexsync("import", "plan", "-", "--onboarding", "skip", "--json", env=env, cwd=tmp_path, stdin=FILE)
    assert done.code == 0, done.err
    assert (done.json["plan"], done.json["source"]["name"]) == ("stdin.plan", "standard input")


def test_a_page_is_written(run: Any, tmp_path: Path) -> None:
    """--html writes the page and says where."""
    done = run("plan", "customers.csv", "--onboarding", "skip", "--html", "plan.html")
    assert "plan.html" in done.out
    assert "new-1" in (tmp_path / "plan.html").read_text()


def shown(page: Path) -> str:
    """The text of a page, without its tags."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page.read_text())).split())


def test_the_page_is_written_where_no_row_is_good_and_says_so(
    run: Any, live: tuple[Sandbox, str], tmp_path: Path
) -> None:
    """Every row bad: exit 2, no plan, and a page with every fault and the command that plans the corrected rows."""
    (tmp_path / "customers.csv").write_text("external_id,name,email\na,A,x\n,B,\n")
    for mode, code in (("upsert", 2), ("create", 2)):
        page = tmp_path / f"{mode}.html"
        done = run("plan", "customers.csv", "--mode", mode, "--html", page.name)
        text = shown(page)
        assert (done.code, f"page      {page.name}" in done.out) == (code, True), done.out
        assert "No plan was made: no row can be applied." in text
        assert "2 invalid" in text
        assert "existing customers" not in text  # nobody was asked
        assert "Write one plain address" in page.read_text()
        command = f"flexsync import plan customers.rejected.csv --mode {mode}"
        assert command in text
        assert f"\n          {command}\n" in done.out
    (tmp_path / "customers.csv").write_text("external_id,name\nacct-0000001,A\n")
    assert run("plan", "customers.csv", "--mode", "create", "--html", "create.html").code == 2
    assert "1 conflict" in shown(tmp_path / "create.html")
    assert re.search(r"\b\d+ existing customers", shown(tmp_path / "create.html"))


def test_warnings_and_doubts_stand_in_the_page(run: Any, tmp_path: Path) -> None:
    """What the terminal warns about, what is held by kind of doubt, and the command with the decisions."""
    text = "external_id;name\nn-1;#N/A\nN-2;Z\u00fcri\nn-2;Two\n".encode("cp1252")
    (tmp_path / "customers.csv").write_bytes(text)
    done = run("plan", "customers.csv", "--onboarding", "skip", "--no-twins", "--html", "plan.html")
    assert done.code == 1, done.err
    page = shown(tmp_path / "plan.html")
    warnings = re.findall("^warning +(.*)$", done.out, re.M)
    assert warnings
    assert [warning for warning in warnings if warning not in page] == []
    assert "The encoding of the file is a guess" in page
    assert "New external_ids are not compared: --no-twins" in page
    assert "By kind of doubt: error 1." in page
    again = "flexsync import plan customers.csv --onboarding skip --no-twins --decisions customers.doubts.csv"
    assert (again in page, again in done.out) == (True, True)


def test_an_encoding_that_was_guessed_is_named_for_the_rejected_rows(run: Any, tmp_path: Path) -> None:
    """A file of a few rows may not show it: the command that plans them says how they are written."""
    (tmp_path / "customers.csv").write_bytes("external_id;name;email\na;Müller;x\nb;Köln;\n".encode("cp1252"))
    plan = ("plan", "customers.csv", "--onboarding", "skip")
    rejected = "plan customers.rejected.csv --onboarding skip"
    assert f"{rejected} --encoding cp1252\n" in run(*plan).out
    assert f"{rejected} --encoding cp1252\n" in run(*plan, "--encoding", "cp1252").out
    (tmp_path / "customers.csv").write_text("external_id;name;email\na;Müller;x\n")
    assert f"{rejected}\n" in run(*plan).out


@pytest.mark.parametrize("name", ["my plan.plan", "-x.plan", "it's.plan"])
def test_what_comes_next_can_be_pasted(run: Any, live: tuple[Sandbox, str], tmp_path: Path, name: str) -> None:
    """The command in page and terminal names the account as the plan did, confirms nothing, and works as it stands."""
    (tmp_path / "a b.toml").write_text('[import]\nonboarding = "skip"\nmax_creates = 0\n')
    flags = ("--config", "a b.toml", "--base-url", live[1])
    done = run("plan", "customers.csv", *flags, f"--out={name}", "--html", "p.html")
    (following,) = re.findall("^next +flexsync import (.*)$", done.out, re.M)
    assert f"flexsync import {following}" in shown(tmp_path / "p.html")
    assert "--yes" not in following
    hint = "t asks for the number of writes; without a terminal it needs --yes --yes-really COUNT"
    assert (hint in done.out, hint in shown(tmp_path / "p.html")) == (True, True)
    done = run(*shlex.split(following), "--yes", "--yes-really", 2)
    assert done.code == 0, done.err
    (undo,) = re.findall("^undo +flexsync import (.*)$", done.out, re.M)
    done = run(*shlex.split(undo))
    assert done.code == 0, done.err
    (following,) = re.findall("^next +flexsync import (.*)$", done.out, re.M)
    assert "--config 'a b.toml' --base-url" in following
    assert run(*shlex.split(following), "--yes", "--yes-really", 2, "--yes-archive", 1).code == 0


# --- apply --------------------------------------------------------------------------------------------------------


def test_apply_needs_yes_where_there_is_no_terminal(run: Any, live: tuple[Sandbox, str]) -> None:
    """Without a terminal and without --yes nothing is written, and the flag is named."""
    run("plan", "customers.csv", "--onboarding", "skip")
    done = run("apply", "customers.plan")
    assert done.code == 2
    assert "Add --yes." in done.err
    assert written(live[0]) == 0


def test_apply_json_says_what_became_of_it(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """--json on stdout has outcomes, calls and files; a rerun says that it was done earlier."""
    run("plan", "customers.csv", "--onboarding", "skip")
    done = run("apply", "customers.plan", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["complete"] is True
    assert done.json["outcomes"] == {"done": 2}
    assert done.json["calls"]["post_customers"] == 1
    assert written(live[0]) == 2
    again = run("apply", "customers.plan", "--yes", "--json")
    assert (again.code, again.json["earlier"], written(live[0])) == (0, 2, 2)
    rows = list(csv.DictReader(io.StringIO((tmp_path / again.json["results"]).read_text())))
    assert [(row["line"], row["do"], row["outcome"]) for row in rows] == [
        ("2", "update", "done"),
        ("3", "create", "done"),
    ]


def test_a_guard_needs_exactly_the_number_of_writes(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """More creates than pass: --yes alone and a wrong number write nothing, the right number does."""
    rows = "".join(f"n-{number},New\n" for number in range(12))
    (tmp_path / "customers.csv").write_text(f"external_id,name\n{rows}")
    (tmp_path / "few.toml").write_text('[import]\nonboarding = "skip"\nmax_creates = 10\n')
    done = run("plan", "customers.csv", "--config", "few.toml")
    assert "guard     12 customers would be created (limit 10)" in done.out
    assert "apply customers.plan --config few.toml\n" in done.out
    for flags, told in (
        (("--yes",), "Add --yes-really COUNT, with the number of writes from the summary"),
        (("--yes", "--yes-really", "11"), "--yes-really 11 is not the number of writes that the plan shows"),
    ):
        done = run("apply", "customers.plan", *flags)
        assert (done.code, told in done.err) == (2, True), done.err
        assert written(live[0]) == 0
    assert run("apply", "customers.plan", "--yes", "--yes-really", "12").code == 0
    assert written(live[0]) == 12


def test_an_edited_plan_is_refused(run: Any, live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A plan that was changed after it was made writes nothing."""
    run("plan", "customers.csv", "--onboarding", "skip")
    path = tmp_path / "customers.plan"
    path.write_text(path.read_text().replace("Renamed", "Remade"))
    done = run("apply", "customers.plan", "--yes")
    assert done.code == 2
    assert "it was changed or truncated" in done.err
    assert written(live[0]) == 0


def test_an_unreachable_server_is_3_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """No server: exit 3; the plan stays good, and the same command ends as planned."""
    (tmp_path / "customers.csv").write_text(FILE)
    (tmp_path / "fast.toml").write_text("[flow]\nattempts = 1\n")
    sandbox = Sandbox(customers=40, seed=7, base_time=BASE)
    apply = ("import", "apply", "customers.plan", "--yes", "--config", "fast.toml")
    with sandbox.running() as base_url:
        env = environment(base_url)
        assert command("import", "plan", "customers.csv", "--onboarding", "skip", env=env, cwd=tmp_path).code == 0
    assert command(*apply, env=env, cwd=tmp_path).code == 3
    with sandbox.running(port=urlsplit(base_url).port or 0):
        assert command(*apply, env=env, cwd=tmp_path).code == 0
    assert written(sandbox) == 2


def interrupted(sandbox: Sandbox, route: str, calls: int, *flags: str, **where: Any) -> str:
    """Apply customers.plan, and interrupt it after some calls of a route; returns what it said on stderr."""
    sandbox.faults = Faults(latency=20)
    process = start("import", "apply", "customers.plan", *flags, **where)
    deadline = time.monotonic() + 120  # of a busy machine
    while sandbox.calls[route] < calls and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    sandbox.faults = Faults()
    assert process.returncode == 130, err
    return str(err)


@pytest.mark.sampled
def test_an_interrupted_apply_goes_on(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """SIGINT ends an apply with 130 and its results so far; the same command does the rest, nobody twice."""
    sandbox, base_url = live
    rows = "".join(f"n-{number},New {number}\n" for number in range(300))
    (tmp_path / "customers.csv").write_text(f"external_id,name\n{rows}")
    env = environment(base_url)
    plan = command("import", "plan", "customers.csv", "--onboarding", "skip", env=env, cwd=tmp_path)
    assert plan.code == 0, plan.err
    err = interrupted(sandbox, "POST /customers", 40, "--yes", env=env, cwd=tmp_path)
    assert "the same command continues from there" in err
    done = command("import", "apply", "customers.plan", "--yes", "--json", env=env, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["outcomes"] == {"done": 300}
    _, _, body = sandbox.answer(
        "POST", "/customers/search", body={"external_ids": [f"n-{n}" for n in range(300)], "limit": 1}
    )
    assert b'"total":300' in body


class Terminal:
    """`flexsync …` with a terminal of its own."""

    def __init__(self, *arguments: str, env: dict[str, str], cwd: Path) -> None:
        self.file, other = pty.openpty()
        words = [*COMMAND, *arguments]
        self.process = subprocess.Popen(
            words, env=env, cwd=cwd, stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)
        self.seen = ""

    def until(self, text: str, seconds: float = 120) -> None:
        """Read until `text` has come since the last answer."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            assert self.more(), self.seen

    def more(self) -> bool:
        """Read what is there; False when the other end was closed."""
        if select.select([self.file], [], [], 0.1)[0]:
            try:
                self.seen += os.read(self.file, 4096).decode(errors="replace")
            except OSError:
                return False
        return True

    def type(self, text: str) -> None:
        self.seen = ""
        os.write(self.file, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the command ends: CPython misses a signal that comes as it begins to read a line."""
        for _ in range(30):
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(1)
        return self.end()

    def end(self, seconds: float = 30) -> int:
        """The exit code; a command that goes on is killed."""
        deadline = time.monotonic() + seconds
        while self.more() and self.process.poll() is None and time.monotonic() < deadline:
            pass
        try:
            return self.process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            self.process.kill()
            os.close(self.file)


@pytest.mark.sampled
def test_a_terminal_is_asked_and_the_canary_shown(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """On a terminal apply asks before it writes and after the canary; Ctrl-C there keeps the state, y goes on."""
    sandbox, base_url = live
    (tmp_path / "customers.csv").write_text("external_id,name\n" + "".join(f"n-{n},New\n" for n in range(20)))
    env = environment(base_url)
    assert command("import", "plan", "customers.csv", "--onboarding", "skip", env=env, cwd=tmp_path).code == 0
    apply = ("import", "apply", "customers.plan", "--canary", "3")
    terminal = Terminal(*apply, env=env, cwd=tmp_path)
    terminal.until("Make 20 writes (20 create) in")
    terminal.type("n\n")
    assert (terminal.end(), written(sandbox)) == (2, 0)
    terminal = Terminal(*apply, env=env, cwd=tmp_path)
    terminal.until("[y/N]")
    terminal.type("y\n")
    terminal.until("The canary: 3 of 3 are as planned. Continue with the rest?")
    assert written(sandbox) == 3
    assert (terminal.interrupt(), written(sandbox)) == (130, 3)
    terminal = Terminal(*apply, env=env, cwd=tmp_path)
    terminal.until("[y/N]")
    terminal.type("y\n")
    terminal.until("The canary")
    terminal.type("y\n")
    assert (terminal.end(), written(sandbox)) == (0, 20)


def test_a_terminal_is_asked_for_a_number_that_it_does_not_show(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """Where a guard trips, apply shows guards and groups, and writes only once the number of writes was typed."""
    sandbox, base_url = live
    for number in range(23):
        sandbox.create_customer(external_id=f"c-{number:02d}", name=f"Before {number}")
    rows = [f"c-{number:02d},Before {number - 1}\n" for number in range(1, 23)]
    (tmp_path / "customers.csv").write_text(f"external_id,name\n{''.join(rows)}")
    env, apply = environment(base_url), ("import", "apply", "customers.plan")
    done = command("import", "plan", "customers.csv", "--json", env=env, cwd=tmp_path)
    assert done.json["groups"] == [
        {"field": "name", "customers": 22, "differ": ["before", "after"], "before": "Before 1", "after": "Before 0"}
    ]
    done = command("import", "plan", "customers.csv", env=env, cwd=tmp_path)
    assert "changes   22 customers: name, different values, such as Before 1 → Before 0\nguard     22 of " in done.out
    terminal = Terminal(*apply, env=env, cwd=tmp_path)
    terminal.until("from the summary at the top of customers.plan:")
    assert "21 customers would take the name that another customer has today" in terminal.seen
    assert "changes: 22 customers: name, different values, such as Before 1 → Before 0" in terminal.seen
    assert "22 writes" not in terminal.seen
    terminal.type("y\n")
    terminal.until("y is not the number of writes that the plan shows: nothing was changed.")
    assert (terminal.end(), written(sandbox)) == (2, 0)
    terminal = Terminal(*apply, env=env, cwd=tmp_path)
    terminal.until("How many writes does it make?")
    terminal.type("22\n")
    assert (terminal.end(), written(sandbox)) == (0, 22)


@pytest.mark.sampled
def test_an_interrupted_apply_can_be_taken_back(live: tuple[Sandbox, str], tmp_path: Path) -> None:
    """Broken off, planned anew meanwhile, and undone: every customer that the run wrote is as before."""
    sandbox, base_url = live
    ids = [sandbox.create_customer(external_id=f"c-{n}", name=f"Customer {n}")["id"] for n in range(150)]
    rows = "".join(f"c-{number},Wrong\n" for number in range(150)) + "".join(f"n-{n},New\n" for n in range(50))
    (tmp_path / "customers.csv").write_text(f"external_id,name\n{rows}")
    env = environment(base_url)
    plan = ("import", "plan", "customers.csv", "--onboarding", "skip", "--json")
    run_id = command(*plan, env=env, cwd=tmp_path).json["run"]
    err = interrupted(sandbox, "PUT /customers", 120, "--yes", "--yes-really", "200", env=env, cwd=tmp_path)
    assert f"flexsync import undo {run_id} takes back what was written" in err
    again = command(*plan, env=env, cwd=tmp_path)
    assert f"its plan is now customers.{run_id}.plan" in again.err
    undo = command("import", "undo", run_id, "--json", env=env, cwd=tmp_path)
    assert undo.json["conflicts"] == []
    counts = undo.json["counts"]
    back = (
        "import",
        "apply",
        "undo.plan",
        "--yes",
        "--yes-really",
        counts["writes"],
        "--yes-archive",
        counts["archive"],
    )
    assert command(*back[: 8 if counts["archive"] else 6], env=env, cwd=tmp_path).code == 0
    _, _, body = sandbox.answer("POST", "/customers/search", body={"customer_ids": ids, "limit": 1000})
    assert sorted(row["name"] for row in json.loads(body)["items"]) == sorted(f"Customer {n}" for n in range(150))


def test_nothing_of_a_persons_is_overwritten(run: Any, tmp_path: Path) -> None:
    """--html and --results refuse a file that is something else; a plan given to `plan` is told apart, and stays."""
    run("plan", "customers.csv", "--onboarding", "skip")
    for arguments, told in (
        (("plan", "customers.csv", "--onboarding", "skip", "--html", "customers.csv"), "is not a page of a plan"),
        (("apply", "customers.plan", "--yes", "--results", "customers.csv"), "is not results"),
        (("apply", "customers.plan", "--yes", "--results", "r.txt"), "neither .csv nor .xlsx nor .parquet"),
        (("plan", "customers.plan"), "flexsync import apply customers.plan"),
    ):
        done = run(*arguments)
        assert (done.code, told in done.err) == (2, True), done.err
    assert (tmp_path / "customers.csv").read_text() == FILE
    assert run("apply", "customers.plan", "--yes", "--results", "r.csv").code == 0
    assert run("apply", "customers.plan", "--yes", "--results", "r.csv").code == 0


# --- undo, template, export ---------------------------------------------------------------------------------------


def test_undo_is_a_plan_like_any_other(run: Any, live: tuple[Sandbox, str]) -> None:
    """Undo RUN writes a plan; applied with what it asks for, the account is as before."""
    run("plan", "customers.csv", "--onboarding", "skip")
    run_id = run("apply", "customers.plan", "--yes", "--json").json["run"]
    done = run("undo", run_id)
    assert done.code == 0, done.err
    assert [line.split()[1] for line in done.out.splitlines()[:2]] == ["archive", "update"]
    assert "apply undo.plan\n" in done.out
    done = run("apply", "undo.plan", "--yes", "--yes-really", "2", "--yes-archive", "1")
    assert done.code == 0, done.err
    assert run("undo", "20200101T000000Z-abcdef").code == 2
    assert run("plan", "customers.csv", "--mode", "update", "--json").json["counts"]["update"] == 1


def test_a_template_explains_every_column_and_overwrites_nothing(run: Any, tmp_path: Path) -> None:
    """Template writes a file with all columns and one that tells of them; neither replaces a file that exists."""
    done = run("template", "--out", "empty.csv")
    assert done.code == 0
    header = next(csv.reader(io.StringIO((tmp_path / "empty.csv").read_text())))
    notes = (tmp_path / "empty.columns.txt").read_text()
    assert [name for name in header if name.split(".")[0] not in notes] == []
    assert run("template", "--out", "empty.csv").code == 2
    assert run("template").code == 2
    assert (tmp_path / "customers.csv").read_text() == FILE


def test_an_export_plans_nothing(run: Any, tmp_path: Path) -> None:
    """Export writes every published customer, on stdout or to a file; planned as it is, it plans nothing."""
    done = run("export")
    assert done.code == 0
    assert run("export", "--out", "all.csv").code == 0
    assert (tmp_path / "all.csv").read_text(encoding="utf-8") == done.out
    found = run("plan", "all.csv", "--json")
    assert found.code == 0, found.err
    counts = found.json["counts"]
    assert (counts["unchanged"], counts["writes"]) == (len(list(csv.DictReader(io.StringIO(done.out)))), 0)
    assert run("export", "--out", "all.csv").code == 2


def test_help_stays_light() -> None:
    """`flexsync import --help` loads nothing heavy."""
    words = "import sys; from pipelines.cli.main import main\n"
    words += "try: main(['import', 'plan', '--help'])\nexcept SystemExit: pass\n"
    words += "print([m for m in ('httpx', 'duckdb', 'pyarrow', 'pandas', 'aiohttp', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == "[]"
