"""Carrying out a plan over real HTTP: what arrives, what is left alone, what is told, and how many calls it takes."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import pytest
from command import quick_retry
from importing import FULL
from sizes import few
from support import Bent

from connector.errors import AccessRefused, FixInput, LockHeld, Unreachable
from connector.publications import reading
from connector.publications.publish import publish
from connector.push.apply.journal import path_of, read
from connector.push.apply.orders import Pace
from connector.push.apply.outcomes import Tally
from connector.push.plan.planfile import Plan
from connector.sandbox import Faults, Sandbox
from connector.settings import load
from connector.store.store import Store
from pipelines import import_customers as job
from pipelines import jobs
from pipelines.import_customers import Applied, Confirmed, Planned
from pipelines.progress import Progress
from pipelines.sync import Options

# The product's ten seconds, made short; its second of a window made long, for a busy machine makes fewer calls in one.
PACE = Pace(looks=(0.0, 0.02, 0.02, 0.05), window=60.0)
WRITES = ("POST /customers", "PUT /customers", "DELETE /customers/{id}")
Json = dict[str, Any]


class Desk:
    """An operator's desk: an account, a folder, and the two commands."""

    def __init__(self, folder: Path, sandbox: Sandbox, url: str) -> None:
        self.folder, self.sandbox, self.url = folder, sandbox, url
        self.pace = PACE

    def settings(self, **given: Any) -> Any:
        return load(environ={}, **{"base_url": self.url, "api_key": "sandbox", "onboarding": "skip", **given})

    def plan(self, *lines: str, name: str = "c", archive_missing: bool = False, **given: Any) -> Planned:
        path = self.folder / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        out = self.folder / f"{name}.plan"
        return job.plan(self.settings(**given), path, out, archive_missing=archive_missing)

    def apply(self, name: str = "c", **more: Any) -> Applied:
        given = {key: more.pop(key) for key in ("api_key", "base_url", "attempts", "neutralise") if key in more}
        path = self.folder / f"{name}.plan"
        counts = Plan.read(path).header.counts
        confirmed = more.pop("confirmed", Confirmed(True, counts["writes"], counts["archive"]))
        return job.apply(self.settings(**given), path, confirmed, pace=self.pace, **more)

    def rows(self, name: str = "c", kind: str = "results") -> list[Json]:
        text = self.file(name, kind).read_text(encoding="utf-8")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def file(self, name: str, kind: str) -> Path:
        """The results of a plan, or the rows that its run did not take."""
        run = Plan.read(self.folder / f"{name}.plan").header.run
        return self.folder / f"{name}.{run}.{kind}.csv"

    def held(self, external_id: str, status: str = "published") -> list[Json]:
        """Every customer of that external id, as the server tells it, without being counted."""
        calls, log, between = self.sandbox.calls.copy(), self.sandbox.log.copy(), self.sandbox._between
        faults, self.sandbox.faults = self.sandbox.faults, Faults()
        self.sandbox.between_calls(None)
        body = {"external_id": external_id, "status": status}
        _, _, answer = self.sandbox.answer("POST", "/customers/search", body=body)
        self.sandbox.calls, self.sandbox.log, self.sandbox.faults = calls, log, faults
        self.sandbox.between_calls(between)
        return json.loads(answer)["items"]

    def one(self, external_id: str) -> Json:
        found = self.held(external_id)
        assert len(found) == 1, f"{external_id}: {len(found)} customers"
        return found[0]

    def writes(self) -> int:
        return sum(self.sandbox.calls[route] for route in WRITES)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.api.client.Retry", quick_retry)


@contextmanager
def desk_in(folder: Path, customers: int = 60, **given: Any) -> Iterator[Desk]:
    sandbox = Sandbox(customers=customers, seed=7, **given)
    with sandbox.running() as url:
        yield Desk(folder, sandbox, url)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as opened:
        for number in range(10):
            opened.sandbox.create_customer(external_id=f"c-{number}", name=f"Customer {number}", metadata={"n": "1"})
        yield opened


def renamed(count: int = 10) -> list[str]:
    return ["external_id,name", *(f"c-{number},Renamed {number}" for number in range(count))]


# --- what arrives ---------------------------------------------------------------------------------------------------


def test_the_account_ends_as_the_plan_says_and_only_that_is_written(desk: Desk) -> None:
    """Creates, updates and nothing else arrive; an unchanged row costs no write; each write is one call."""
    before = desk.one("c-3")
    desk.plan(
        "external_id,name,email,contact,metadata.tier,metadata.n",
        "c-0,Renamed,,,gold,",
        "c-1,,a@b.example,\\N,,\\N",
        f"new-1,New One,n@new.example,{FULL['contact']},silver,",
        "c-3,Customer 3,,,,1",
    )
    desk.sandbox.calls.clear()
    done = desk.apply()
    assert done.tally.outcomes == {"done": 3}
    assert (done.exit_code, desk.writes()) == (0, 3)
    first, second, made = desk.one("c-0"), desk.one("c-1"), desk.one("new-1")
    assert (first["name"], first["metadata"]) == ("Renamed", {"n": "1", "tier": "gold"})
    assert (second["email"], second["metadata"], second["name"]) == ("a@b.example", {}, "Customer 1")
    assert (made["name"], made["email"], made["contact"]) == ("New One", "n@new.example", FULL["contact"])
    assert (made["timezone"], made["metadata"]) == ("UTC", {"tier": "silver"})
    assert desk.one("c-3") == before


def test_reads_are_few(desk: Desk) -> None:
    """An apply of one batch reads four times: the account, the check by id and by external id, and the read-back."""
    desk.plan(*renamed(), "new-1,New")
    desk.sandbox.calls.clear()
    desk.apply()
    assert desk.sandbox.calls["POST /customers/search"] == 4  # the new one has an id by then: one look for both
    assert desk.writes() == 11


def test_an_applied_plan_can_be_applied_again_and_planned_again(desk: Desk) -> None:
    """A second apply writes nothing, and a second plan of the same file is empty."""
    desk.plan(*renamed(), "new-1,New")
    desk.apply()
    writes = desk.writes()
    again = desk.apply()
    assert (again.tally.outcomes, again.tally.earlier, again.exit_code) == ({"done": 11}, 11, 0)
    assert desk.plan(*renamed(), "new-1,New", name="d").counts.unchanged == 11
    assert desk.writes() == writes


def test_onboarding_goes_with_every_create(desk: Desk) -> None:
    """skip, run and run:NAME are what the create says of the account's workflow."""
    wanted = {
        "skip": {"skip_onboarding_workflow": True},
        "run": {},
        "run:eu": {"onboarding_workflow_name": "eu"},
    }
    for number, (choice, expected) in enumerate(wanted.items()):
        desk.plan("external_id,name", f"made-{number}-x,New", name=f"p{number}", onboarding=choice)
        desk.sandbox.log.clear()
        desk.apply(f"p{number}")
        bodies = [json.loads(body or b"{}") for method, path, _, body in desk.sandbox.log if (method, path) == CREATE]
        assert bodies == [{"external_id": f"made-{number}-x", "name": "New", **expected}]


CREATE = ("POST", "/v1/customers")


def test_an_external_id_changes_without_the_servers_list_of_ids(desk: Desk) -> None:
    """With --match id an external_id changes, beside null metadata too, and metadata ends as planned (5.3)."""
    plain = desk.sandbox.create_customer(external_id="old-1", name="Null", metadata=None)
    rich = desk.sandbox.create_customer(external_id="old-2", name="Rich", metadata={"a": "b"})
    lines = ("id,external_id,name", f"{plain['id']},fresh-1,", f"{rich['id']},fresh-2,Richer")
    found = desk.plan(*lines, match="id")
    assert (found.counts.writes, found.counts.key_changes) == (3, 2)
    desk.sandbox.calls.clear()
    assert desk.apply().exit_code == 0
    assert desk.writes() == 3
    assert desk.one("fresh-1")["metadata"] == {}
    assert (desk.one("fresh-2")["metadata"], desk.one("fresh-2")["name"]) == ({"a": "b"}, "Richer")
    assert not desk.held("old-1")
    assert not desk.held("old-2")


# --- other writers --------------------------------------------------------------------------------------------------


def test_nobodys_edit_is_overwritten_and_each_is_listed(desk: Desk) -> None:
    """Edits between plan and apply, to the planned field or another one, archives and renames stay; all are told."""
    desk.plan(*renamed())
    ids = [desk.one(f"c-{number}")["id"] for number in range(10)]
    edit = desk.sandbox.update_customer
    edit(ids[1], name="By somebody")
    edit(ids[2], email="x@y.example")
    edit(ids[3], metadata={"n": "2"})
    desk.sandbox.archive_customer(ids[4])
    edit(ids[5], external_id="c-5-moved")
    edit(ids[6], name="Renamed 6")  # the very same change
    edit(ids[7])  # `updated_at` alone moves: no change
    desk.sandbox.remove_customer(ids[8])
    rows = {number: desk.held(f"c-{number}") for number in (1, 2, 3, 4, 6, 8)}
    done = desk.apply()
    assert done.tally.outcomes == {"done": 4, "skipped": 6}
    assert done.exit_code == 1
    assert {number: desk.held(f"c-{number}") for number in rows} == rows
    assert desk.one("c-5-moved")["name"] == "Customer 5"
    told = {row["external_id"]: row["why"] for row in desk.rows() if row["outcome"] == "skipped"}
    assert told["c-1"] == "it was changed since the plan: name is now 'By somebody', was 'Customer 1'"
    assert told["c-2"] == told["c-3"] == "it was changed since the plan: in other fields than the planned ones"
    assert told["c-4"] == "it was archived since the plan"
    assert told["c-8"] == "it is not there any more"
    assert set(told) == {f"c-{number}" for number in (1, 2, 3, 4, 5, 8)}
    assert [row["external_id"] for row in desk.rows(kind="rejected")] == sorted(told)


def test_what_another_writer_creates_meanwhile_is_kept(desk: Desk) -> None:
    """A customer made since the plan is left as it is; one made just as planned counts as done."""
    desk.plan("external_id,name", "n-1,One", "n-2,Two")
    desk.sandbox.create_customer(external_id="n-1", name="Somebody's")
    desk.sandbox.create_customer(external_id="n-2", name="Two")
    done = desk.apply()
    assert done.tally.outcomes == {"skipped": 1, "done": 1}
    assert desk.one("n-1")["name"] == "Somebody's"
    assert desk.writes() == 0


@pytest.mark.parametrize(("name", "outcome"), [("Somebody's", "skipped"), ("One", "done")])
def test_a_create_that_loses_the_race_is_looked_up(desk: Desk, name: str, outcome: str) -> None:
    """409 because somebody created it after the check: read again, and done or a conflict by what is there."""
    desk.plan("external_id,name", "n-1,One")

    def after_the_check() -> None:
        if desk.sandbox.log[-1][1].endswith("/search") and b"n-1" in (desk.sandbox.log[-1][3] or b""):
            desk.sandbox.between_calls(None)
            desk.sandbox.create_customer(external_id="n-1", name=name)

    desk.sandbox.between_calls(after_the_check)
    done = desk.apply()
    assert done.tally.outcomes == {outcome: 1}
    assert desk.one("n-1")["name"] == name
    assert desk.sandbox.calls["POST /customers"] == 1


def test_an_edit_inside_the_window_is_told(desk: Desk) -> None:
    """An edit of another column between check and PUT survives, and the row is told as differing."""
    desk.plan("external_id,name", "c-0,Renamed")
    customer = desk.one("c-0")["id"]

    def after_the_check() -> None:
        if b"customer_ids" in (desk.sandbox.log[-1][3] or b""):
            desk.sandbox.between_calls(None)
            desk.sandbox.update_customer(customer, email="late@edit.example")

    desk.sandbox.between_calls(after_the_check)
    done = desk.apply()
    assert (done.tally.outcomes, done.exit_code) == ({"differs": 1}, 1)
    assert (desk.one("c-0")["name"], desk.one("c-0")["email"]) == ("Renamed", "late@edit.example")
    assert desk.rows()[0]["why"] == "it was written and reads back otherwise: email is 'late@edit.example', not ''"


def test_old_values_that_a_cached_copy_brings_back_are_told(desk: Desk) -> None:
    """PUT starting from a stale copy resurrects an old e-mail: the read-back sees all columns and says so (3.8)."""
    customer = desk.one("c-0")["id"]
    desk.sandbox.faults = Faults(cache=60)
    desk.sandbox.answer("GET", f"/customers/{customer}")  # the server's cache is filled …
    desk.sandbox.update_customer(customer, email="new@mail.example")  # … and passed by
    desk.plan("external_id,name", "c-0,Renamed")
    done = desk.apply()
    assert (done.tally.outcomes, done.exit_code) == ({"differs": 1}, 1)
    assert desk.one("c-0")["email"] == ""
    assert desk.rows()[0]["why"] == "it was written and reads back otherwise: email is '', not 'new@mail.example'"


# --- faults ---------------------------------------------------------------------------------------------------------

TROUBLE = {
    "lost answers": Faults(lost=0.3, endpoint=frozenset({"create", "update", "delete"})),
    "lost answers, reads too": Faults(lost=0.15),
    "cut before": Faults(cut=0.3, endpoint=frozenset({"create", "update", "delete"})),
    "cut in the body": Faults(cut_body=0.3),
    "torn bodies": Faults(torn=0.2),
    "empty 500s": Faults(empty500=0.2),
    "503": Faults(error_rate=0.3),
    "502 from a proxy": Faults(proxy502=0.3),
    "504": Faults(error_rate=0.2, error_status=504),
    "401 now and then": Faults(unauthorized=0.1),
    "429": Faults(rate=60, retry_after=0.2),
    "a replica that lags": Faults(),
}


def everything(desk: Desk) -> list[str]:
    """A file of 30 creates, 20 updates, 5 renames by a second plan's worth of trouble."""
    return [
        "external_id,name,metadata.k",
        *(f"n-{number},New {number},v" for number in range(30)),
        *(f"c-{number},Renamed {number},v" for number in range(10)),
    ]


@pytest.mark.parametrize("trouble", few(TROUBLE, 4))
def test_each_fault_alone_ends_with_the_planned_account(tmp_path: Path, trouble: str) -> None:
    """Whatever goes wrong on the wire, in one try or several, all rows end as planned and nobody is made twice."""
    given: Json = {"faults": Faults(lag=0.15)} if "replica" in trouble else {}
    with desk_in(tmp_path, customers=20, **given) as desk:
        if "replica" in trouble:
            desk.pace = Pace(looks=(0.0, 0.05, 0.1, 0.2, 0.2), window=60.0)
        for number in range(10):
            desk.sandbox.create_customer(external_id=f"c-{number}", name=f"Customer {number}", late=0)
        desk.sandbox.account.read_side()
        if "replica" in trouble:
            import time

            time.sleep(0.2)
        desk.plan(*everything(desk))
        if "replica" not in trouble:
            desk.sandbox.faults = TROUBLE[trouble]
        done = until_complete(desk)
        assert done.tally.outcomes == {"done": 40}
        if "replica" in trouble:
            time.sleep(0.2)
        for number in range(30):
            made = desk.one(f"n-{number}")
            assert (made["name"], made["metadata"]) == (f"New {number}", {"k": "v"})
            assert not desk.held(f"n-{number}", "archived")
        assert all(desk.one(f"c-{n}")["name"] == f"Renamed {n}" for n in range(10))


def until_complete(desk: Desk) -> Applied:
    """The same command again while the network is said to be gone; at most ten times."""
    for _ in range(10):
        try:
            return desk.apply(attempts=4)
        except Unreachable:
            continue
    raise AssertionError("ten tries were not enough")


def test_a_server_that_fails_for_good_fails_the_row_and_no_other(desk: Desk) -> None:
    """A write that is answered with an empty 500 each time is sent three times, then told as failed."""
    desk.plan(*renamed(3), "n-1,New")
    desk.sandbox.faults = Faults(empty500=1.0, endpoint=frozenset({"create"}))
    done = desk.apply()
    assert done.tally.outcomes == {"done": 3, "failed": 1}
    assert desk.sandbox.calls["POST /customers"] == 3
    failed = next(row for row in desk.rows() if row["outcome"] == "failed")
    assert "sent 3 times without an effect" in failed["why"]
    assert "500" in failed["why"]
    assert desk.rows(kind="rejected")[0]["external_id"] == "n-1"


def test_refused_rows_are_told(desk: Desk) -> None:
    """Archives that the server refuses are told with its words, on the screen and in the results; others go on."""
    for number in range(6):
        desk.sandbox.create_customer(external_id=f"gone-{number}", name="Gone")
    _, _, answer = desk.sandbox.answer("POST", "/customers/search", body={"limit": 1000})
    published = [row["external_id"] for row in json.loads(answer)["items"]]
    desk.plan("external_id", *(key for key in published if not key.startswith("gone-")), archive_missing=True)
    desk.sandbox.faults = Faults(error_rate=1, error_status=400, endpoint=frozenset({"delete"}), first=4)
    done = desk.apply()
    assert (done.tally.outcomes, done.exit_code) == ({"failed": 4, "done": 2}, 1)
    assert [line.outcome for line in done.refused] == ["failed"] * 4
    assert "An unexpected error occurred" in next(row["why"] for row in desk.rows() if row["outcome"] == "failed")
    assert sum(len(desk.held(f"gone-{number}", "archived")) for number in range(6)) == 2


def test_failures_stop_a_run_between_batches(desk: Desk) -> None:
    """After as many failures as may be, nothing more is begun; the rest is left for the same command."""
    desk.plan("external_id,name", *(f"n-{number},New" for number in range(250)))
    desk.sandbox.faults = Faults(error_rate=1.0, error_status=400, endpoint=frozenset({"create"}))
    desk.pace = replace(PACE, window=600.0)  # on a busy machine some would come too late, and be left
    done = desk.apply(max_failures=5)
    assert done.tally.outcomes == {"failed": 100}
    assert (done.tally.left, done.exit_code) == (150, 1)
    assert "--max-failures" in done.tally.stopped
    desk.sandbox.faults = Faults()
    assert desk.apply().tally.outcomes == {"failed": 100, "done": 150}


def test_a_key_that_may_only_read_writes_nothing(desk: Desk) -> None:
    """403 ends the run with nothing written; the same command with the right key ends as planned."""
    desk.plan(*renamed())
    with pytest.raises(AccessRefused):
        desk.apply(api_key="reader")
    assert desk.one("c-0")["name"] == "Customer 0"
    assert desk.apply().tally.outcomes == {"done": 10}


# --- the canary -----------------------------------------------------------------------------------------------------


def asking(answers: list[bool], asked: list[str]) -> Callable[[str], bool]:
    def ask(question: str) -> bool:
        asked.append(question)
        return answers.pop(0)

    return ask


def test_a_canary_is_written_read_back_and_asked_about(desk: Desk) -> None:
    """--canary writes so many and asks; "no" leaves the rest, and the same command goes on."""
    desk.plan(*renamed())
    asked: list[str] = []
    done = desk.apply(canary=3, confirmed=Confirmed(ask=asking([True, False], asked)))
    assert asked[1] == "The canary: 3 of 3 are as planned. Continue with the rest?"
    assert (done.tally.outcomes, done.tally.left, done.exit_code) == ({"done": 3}, 7, 1)
    assert desk.writes() == 3
    done = desk.apply(canary=2, confirmed=Confirmed(ask=asking([True, True], asked)))
    assert (done.tally.outcomes, done.exit_code) == ({"done": 10}, 0)


def test_a_canary_that_is_not_as_planned_stops_a_script(desk: Desk) -> None:
    """With --yes nobody is asked: the rest follows a clean canary, and does not follow another one."""
    desk.plan(*renamed())
    desk.sandbox.update_customer(desk.one("c-1")["id"], name="By somebody")
    done = desk.apply(canary=3)
    assert (done.tally.outcomes, done.tally.left) == ({"done": 2, "skipped": 1}, 7)
    assert done.tally.stopped == "after the canary of 3"
    assert desk.apply(canary=3).tally.outcomes == {"done": 9, "skipped": 1}


# --- journal, lock, account -----------------------------------------------------------------------------------------


def test_intent_is_on_the_disk_before_the_write_is_sent(desk: Desk) -> None:
    """When the server gets a write, the journal already names the row."""
    plan = desk.plan(*renamed()).plan
    assert plan is not None
    seen: list[bool] = []

    def look() -> None:
        if desk.sandbox.log[-1][0] == "PUT":
            wanted = dict(desk.sandbox.log[-1][2])["id"]
            seen.append(any(line.what == "intent" and line.id == wanted for line in read(path_of(plan))))

    desk.sandbox.between_calls(look)
    desk.apply()
    assert seen == [True] * 10


def test_a_torn_journal_line_is_dropped_and_its_row_looked_up(desk: Desk) -> None:
    """A line cut by a crash is not believed: the row is looked up, found done, and not written again."""
    plan = desk.plan(*renamed()).plan
    assert plan is not None
    desk.apply()
    path = path_of(plan)
    lines = path.read_bytes().splitlines(keepends=True)
    outcome = max(place for place, line in enumerate(lines) if b'"outcome"' in line)
    path.write_bytes(b"".join(lines[:outcome]) + lines[outcome][:20])
    desk.sandbox.calls.clear()
    assert desk.apply().tally.outcomes == {"done": 10}
    assert desk.writes() == 0


def test_an_open_intent_is_sent_again_only_where_nothing_happened(desk: Desk) -> None:
    """After a crash before any answer: written rows are found, unwritten ones sent, edited ones left and told."""
    plan = desk.plan(*renamed(3)).plan
    assert plan is not None
    desk.apply()
    path = path_of(plan)
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if b'"outcome"' not in line
                              and b'"answer"' not in line))  # fmt: skip
    ids = [desk.one(f"c-{number}")["id"] for number in range(3)]
    desk.sandbox.update_customer(ids[1], name="Customer 1")  # as if that write had never arrived
    desk.sandbox.update_customer(ids[2], name="By somebody")
    desk.sandbox.calls.clear()
    done = desk.apply()
    assert done.tally.outcomes == {"done": 2, "skipped": 1}
    assert desk.writes() == 1
    assert desk.one("c-2")["name"] == "By somebody"
    assert "whether this write arrived is not known" in desk.rows()[2]["why"]


def test_an_answered_write_is_never_sent_again(desk: Desk) -> None:
    """After a crash between answer and read-back, a row that somebody put back is told, not written once more."""
    plan = desk.plan(*renamed(1)).plan
    assert plan is not None
    desk.apply()
    path = path_of(plan)
    path.write_bytes(b"".join(x for x in path.read_bytes().splitlines(keepends=True) if b'"outcome"' not in x))
    desk.sandbox.update_customer(desk.one("c-0")["id"], name="Customer 0")
    desk.sandbox.calls.clear()
    assert desk.apply().tally.outcomes == {"differs": 1}
    assert desk.writes() == 0


def test_the_journal_of_another_plan_is_refused(desk: Desk) -> None:
    """A journal whose digest is another plan's is not continued."""
    plan = desk.plan(*renamed(1)).plan
    assert plan is not None
    path_of(plan).write_bytes(b'{"what":"begin","run":"x","digest":"other"}\n')
    with pytest.raises(FixInput, match="belongs to another plan"):
        desk.apply()
    assert desk.writes() == 0


def test_two_applies_of_one_plan_do_not_meet(desk: Desk) -> None:
    """While one apply has a plan, another one ends at once and writes nothing."""
    plan = desk.plan(*renamed(1)).plan
    assert plan is not None
    with filelock.FileLock(f"{plan.path}.lock"), pytest.raises(LockHeld):
        desk.apply()
    assert desk.writes() == 0


def test_a_plan_is_for_one_account(tmp_path: Path) -> None:
    """A plan of another environment writes nothing, and another address is refused before any call."""
    sandbox = Bent(customers=20, seed=7)
    with sandbox.running() as url:
        desk = Desk(tmp_path, sandbox, url)
        desk.plan("external_id,name", "n-1,New")
        sandbox.bend = elsewhere
        with pytest.raises(FixInput, match=r"for environment env_01J0\w+, the key opens env_other"):
            desk.apply()
        sandbox.bend = None
        before = sandbox.calls_total
        with pytest.raises(FixInput, match=r"The plan is for http://127\.0\.0\.1:\d+/v1, settings say"):
            desk.apply(base_url=url.replace("127.0.0.1", "localhost"))
        assert (desk.writes(), sandbox.calls_total) == (0, before)
        assert desk.apply().exit_code == 0


def elsewhere(_route: str, _path: Any, _query: Any, body: Any) -> Any:
    """Every customer belongs to another environment."""
    return {**body, "items": [{**item, "environment_id": "env_other"} for item in body["items"]]}


# --- results --------------------------------------------------------------------------------------------------------

FORMULA = '=HYPERLINK("http://evil.example","x")'


def test_a_formula_is_data_where_it_goes_and_harmless_where_people_look(desk: Desk) -> None:
    """A formula is sent and rejected as it stands, and neutralised in results.csv, unless that is switched off."""
    quoted = '"' + FORMULA.replace('"', '""') + '"'
    desk.plan("external_id,name", f"{quoted},{quoted}", f"n-2,{quoted}", name="f")
    desk.sandbox.create_customer(external_id="n-2", name="Somebody's")
    desk.apply("f")
    assert desk.one(FORMULA)["name"] == FORMULA
    assert desk.rows("f")[0]["external_id"] == "'" + FORMULA
    assert desk.file("f", "rejected").read_text().splitlines()[1].endswith(f",n-2,{quoted}")
    desk.apply("f", neutralise=False)
    assert desk.rows("f")[0]["external_id"] == FORMULA


def test_results_as_parquet_hold_the_same_rows(desk: Desk) -> None:
    """--results FILE.parquet has every planned row with its outcome, exactly."""
    from pyarrow import parquet

    desk.plan(*renamed(3), f'"{FORMULA.replace(chr(34), chr(34) * 2)}",New', "bad-1,")
    desk.apply(results_to=desk.folder / "r.parquet")
    rows = parquet.read_table(desk.folder / "r.parquet").to_pylist()
    assert [row["outcome"] for row in rows] == ["done"] * 4 + ["invalid"]
    assert rows[3]["external_id"] == FORMULA


def test_rejected_rows_keep_their_bytes_and_can_be_planned_again(desk: Desk) -> None:
    """rejected.csv has the file's own encoding, delimiter and bytes after two columns, and is a file to be planned."""
    text = 'external_id;name;metadata.note\r\nc-0;"Ren;amed";"two\r\nlines"\r\nn-1;Ünique;ü\r\n'
    (desk.folder / "u.csv").write_bytes(text.encode("utf-16"))
    job.plan(desk.settings(), desk.folder / "u.csv", desk.folder / "u.plan")
    desk.sandbox.update_customer(desk.one("c-0")["id"], email="a@b.example")
    desk.apply("u")
    rejected = desk.file("u", "rejected")
    data = rejected.read_bytes()
    lines = data.decode("utf-16")
    assert data[:2] == text.encode("utf-16")[:2]
    assert lines.splitlines()[0] == "flexsync_line;flexsync_reason;external_id;name;metadata.note"
    assert lines.endswith(';c-0;"Ren;amed";"two\r\nlines"\r\n')
    again = job.plan(desk.settings(), rejected, desk.folder / "v.plan")
    assert (again.counts.update, again.counts.invalid) == (1, 0)
    assert desk.apply("v").exit_code == 0
    assert desk.one("c-0")["metadata"] == {"n": "1", "note": "two\r\nlines"}


def test_a_file_that_is_being_mended_is_not_lost(desk: Desk) -> None:
    """Neither an apply nor a new plan takes a mended rejected.csv away: it is kept, beside the new one if need be."""
    desk.plan(*renamed(2), "n-1,")
    path = desk.folder / "c.rejected.csv"
    mended = path.read_text().replace("n-1,", "n-1,Mended")
    path.write_text(mended)
    desk.apply()
    assert path.read_text() == mended
    desk.plan(*renamed(2), "n-1,")
    assert path.with_name("c.rejected.csv~").read_text() == mended
    assert path.read_text() != mended
    desk.plan(*renamed(2))
    assert not path.exists()


def test_a_begun_plan_keeps_its_name_and_can_be_gone_on_with(desk: Desk) -> None:
    """Planning anew puts an unfinished run's plan aside under the run's name; applied from there it ends as planned."""
    run = desk.plan(*renamed()).plan
    assert run is not None
    desk.apply(canary=3, confirmed=Confirmed(ask=asking([True, False], [])))
    desk.plan(*renamed(1), "n-1,New")
    kept = desk.folder / f"c.{run.header.run}.plan"
    assert Plan.read(kept).digest == run.digest
    assert desk.apply(f"c.{run.header.run}").tally.outcomes == {"done": 10}
    desk.plan("external_id,name", "c-0,Again")  # not begun: kept with a ~
    assert (desk.folder / "c.plan~").exists()


def test_a_refused_write_is_known_not_to_have_happened(desk: Desk) -> None:
    """After a 403 the same command sends at once: nothing has to be waited for or looked up."""
    desk.plan("external_id,name", "n-1,New")
    desk.pace = Pace(looks=(0.0, 60.0))
    with pytest.raises(AccessRefused):
        desk.apply(api_key="reader")
    assert desk.apply().tally.outcomes == {"done": 1}


def test_a_plan_is_not_made_anew_under_an_apply(desk: Desk) -> None:
    """While an apply has a plan, planning to the same name ends at once and the plan stays."""
    plan = desk.plan(*renamed(1)).plan
    assert plan is not None
    with filelock.FileLock(f"{plan.path}.lock"), pytest.raises(LockHeld):
        desk.plan(*renamed(2))
    assert Plan.read(plan.path).digest == plan.digest


def test_files_are_readable_by_their_owner_only(desk: Desk) -> None:
    """Plan, journal, rejected and results hold customers' data: mode 600."""
    desk.plan(*renamed(2), "n-1,")
    desk.apply()
    paths = [
        p for p in desk.folder.iterdir() if p.suffix in (".plan", ".journal") or "results" in p.name or "rej" in p.name
    ]
    assert len(paths) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


@pytest.mark.sampled
def test_outcomes_go_to_the_store_and_stay_there(desk: Desk) -> None:
    """--store has plan and outcomes in flexsync.import_journal, once however often it is applied, unpublished."""
    desk.plan(*renamed(2), "n-1,")
    store = desk.folder / "work.duckdb"
    jobs.sync(desk.settings(store=store), Options(), Progress())
    for _ in range(2):
        desk.apply(store=store)
    with Store.open(store) as opened:
        rows = opened.rows('SELECT line, external_id, "action", outcome FROM flexsync.import_journal ORDER BY line')
        assert rows == [(2, "c-0", "update", "done"), (3, "c-1", "update", "done"), (4, "n-1", "invalid", "invalid")]
        publish(opened, f"duckdb:{desk.folder / 'out.duckdb'}")
    with reading.open(desk.folder / "out.duckdb") as copy:
        names = copy.sql("SELECT table_name FROM information_schema.tables").column(0).to_pylist()
    assert "import_journal" not in names
    assert "runs" in names


def test_the_window_is_measured(desk: Desk) -> None:
    """The longest time between a check and the sending of its write is told."""
    desk.plan(*renamed())
    tally: Tally = desk.apply().tally
    assert 0 < tally.window < 60
