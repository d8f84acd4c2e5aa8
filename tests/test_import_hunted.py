"""Holes that a hunt for doubled, lost and unplanned writes found, each closed: what happens there now."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest
from command import hard_limit
from importing import FULL
from support import Bent
from test_apply import Desk, desk_in, renamed

from connector.errors import FixInput, LockHeld
from connector.push.apply.orders import Pace
from connector.sandbox import Faults
from connector.sandbox.replies import Reply
from pipelines import import_customers as job


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path, customers=0) as opened:
        for number in range(6):
            opened.sandbox.create_customer(external_id=f"c-{number}", name=f"Customer {number}", metadata={"n": "1"})
        yield opened


def undo(desk: Desk, run: str) -> job.Planned:
    return job.undo_run(desk.settings(), run, desk.folder / "undo.plan")


# --- archives -----------------------------------------------------------------------------------------------------


def test_a_mistyped_id_archives_nobody(desk: Desk) -> None:
    """A row whose id names nobody, or an archived predecessor, is a slip: --archive-missing refuses the file."""
    keep = desk.one("c-0")["id"]
    gone = desk.sandbox.create_customer(external_id="c-1", name="Before", status="archived")["id"]
    for wrong in ("cust_mistyped", gone):
        with pytest.raises(FixInput, match="meets no customer"):
            desk.plan("id,name", f"{keep},Customer 0", f"{wrong},x", match="id", archive_missing=True)


def test_a_subscription_since_the_plan_keeps_its_customer(desk: Desk) -> None:
    """A trial begun since the plan, which the server would not mind, keeps a mirror and an undo from archiving."""
    desk.plan("external_id", *(f"c-{number}" for number in range(5)), archive_missing=True)
    desk.sandbox.add_subscription(desk.one("c-5")["id"], status="trialing")
    done = desk.apply()
    assert (done.tally.outcomes, done.exit_code) == ({"skipped": 1}, 1)
    assert desk.one("c-5")
    desk.plan("external_id,name", "n-1,New", name="n")
    run = desk.apply("n").plan.header.run
    assert undo(desk, run).counts.archive == 1
    desk.sandbox.add_subscription(desk.one("n-1")["id"], status="cancelled")
    assert desk.apply("undo").tally.outcomes == {"skipped": 1}
    assert desk.one("n-1")


# --- the window ---------------------------------------------------------------------------------------------------


def test_a_pause_makes_the_check_anew(desk: Desk) -> None:
    """A write that the server put off for longer than the window is checked again: an edit meanwhile is kept."""
    desk.plan("external_id,name", "c-0,Renamed", "c-1,Renamed")
    customer = desk.one("c-0")["id"]
    plain = desk.sandbox.reply
    told: list[str] = []

    def reply(method: str, *rest: Any) -> Reply:
        if method == "PUT" and not told:
            told.append("429")
            threading.Timer(0.1, desk.sandbox.update_customer, (customer,), {"name": "By somebody"}).start()
            return Reply(429, b"{}", "application/json", {"Retry-After": "1"})
        return plain(method, *rest)

    desk.sandbox.reply = reply  # type: ignore[method-assign]
    desk.pace = Pace(looks=(0.0, 0.02), window=0.5)
    done = desk.apply()
    assert done.tally.outcomes == {"skipped": 1, "done": 1}
    assert desk.one("c-0")["name"] == "By somebody"
    assert done.tally.window < 1.0  # the pause that the server asked for


@pytest.mark.sampled
def test_a_slow_pace_shrinks_the_batch(desk: Desk) -> None:
    """At ten calls a second a hundred rows are not checked at once: no write is sent long after its check."""
    desk.plan("external_id,name", *(f"n-{number},New" for number in range(30)))
    settings = desk.settings(calls_per_second=20.0)
    done = job.apply(settings, desk.folder / "c.plan", job.Confirmed(True), pace=Pace(looks=(0.0, 0.02), window=0.4))
    assert done.tally.outcomes == {"done": 30}
    assert done.tally.window < 1.0  # all rows at this pace take 1.5 s
    assert desk.sandbox.calls["POST /customers"] == 30


@pytest.mark.sampled
def test_a_pace_below_the_window_ends(desk: Desk) -> None:
    """Where the pace that was asked for is slower than the window allows, rows are still written, and the gap told."""
    desk.plan(*renamed(1))
    pace = Pace(looks=(0.0, 0.02), window=0.5)
    desk.sandbox.calls.clear()
    with hard_limit(60):
        done = job.apply(desk.settings(calls_per_second=1.0), desk.folder / "c.plan", job.Confirmed(True), pace=pace)
    assert done.tally.outcomes == {"done": 1}
    assert done.tally.window > 0.5
    assert done.calls["put_customers"] == desk.sandbox.calls["PUT /customers"] == 1


@pytest.mark.sampled
def test_slow_look_ups_end_too(desk: Desk) -> None:
    """Where a look-up alone takes longer than the window, the rows are written all the same, one by one if need be."""
    desk.plan(*renamed(4))
    desk.sandbox.faults = Faults(latency=150, endpoint=frozenset({"search"}))
    with hard_limit(60):
        done = desk.apply()
        assert done.tally.outcomes == {"done": 4}
        desk.plan("external_id,name", *(f"n-{number},New" for number in range(12)))
        desk.pace = Pace(looks=(0.0, 0.02), window=0.1)
        assert desk.apply().tally.outcomes == {"done": 12}


def test_a_rename_whose_second_half_fails_ends(desk: Desk) -> None:
    """The first of two writes done and the second one failing for good: a few tries, then failed, and undo tells it."""
    made = desk.sandbox.create_customer(external_id="old", name="Old", metadata=None)
    desk.plan("id,external_id", f"{made['id']},fresh", match="id")
    plain = desk.sandbox.reply

    def reply(method: str, path: str, query: Any, body: bytes | None, *rest: Any) -> Reply:
        if method == "PUT" and b"fresh" in (body or b""):
            desk.sandbox.calls["second half"] += 1
            return Reply(500, b"", None)
        return plain(method, path, query, body, *rest)

    desk.sandbox.reply = reply  # type: ignore[method-assign]
    with hard_limit(30):
        done = desk.apply()
    assert done.tally.outcomes == {"failed": 1}
    assert desk.sandbox.calls["second half"] == 3
    desk.sandbox.reply = plain  # type: ignore[method-assign]
    assert undo(desk, done.plan.header.run).counts.conflict == 1


def test_late_rows_do_not_pass_the_limit_of_failures(desk: Desk) -> None:
    """Once as many rows failed as may, rows whose turn came too late stay left."""
    desk.plan("external_id,name", *(f"n-{number},New" for number in range(30)))
    desk.sandbox.faults = Faults(error_rate=1.0, error_status=400, endpoint=frozenset({"create"}))
    settings = desk.settings(calls_per_second=20.0)
    pace = Pace(looks=(0.0, 0.02), window=0.3)
    done = job.apply(settings, desk.folder / "c.plan", job.Confirmed(True), pace=pace, max_failures=2)
    assert done.tally.left > 0
    assert done.tally.outcomes["failed"] + done.tally.left == 30
    assert desk.sandbox.calls["POST /customers"] == done.tally.outcomes["failed"]


# --- undo ---------------------------------------------------------------------------------------------------------


def test_an_undo_keeps_what_somebody_else_wrote(desk: Desk) -> None:
    """Rows that differed when they were read back: only fields that still hold the run's value are taken back."""
    desk.plan("external_id,name,contact", f"c-0,Renamed,{FULL['contact']}", "n-1,New,")

    def after_the_write() -> None:
        method, path, query, _ = desk.sandbox.log[-1]
        if method == "PUT":
            desk.sandbox.update_customer(dict(query)["id"], name="By somebody")
        if (method, path) == ("POST", "/v1/customers"):
            desk.sandbox.update_customer(desk.one("n-1")["id"], name="By somebody")

    desk.sandbox.between_calls(after_the_write)
    done = desk.apply()
    desk.sandbox.between_calls(None)
    assert done.tally.outcomes == {"differs": 2}
    back = undo(desk, done.plan.header.run)
    assert (back.counts.update, back.counts.archive, back.counts.conflict) == (1, 0, 1)
    assert desk.apply("undo").exit_code == 0
    assert (desk.one("c-0")["name"], desk.one("c-0")["contact"]) == ("By somebody", "")
    assert desk.one("n-1")["name"] == "By somebody"


def test_a_create_that_somebody_else_made_is_not_undone(desk: Desk) -> None:
    """A create that lost to an identical one counts as done, and is nothing that this run could take back."""
    desk.plan("external_id,name", "n-1,New")

    def after_the_check() -> None:
        if b"n-1" in (desk.sandbox.log[-1][3] or b"") and desk.sandbox.log[-1][1].endswith("search"):
            desk.sandbox.between_calls(None)
            desk.sandbox.create_customer(external_id="n-1", name="New")

    desk.sandbox.between_calls(after_the_check)
    done = desk.apply()
    assert done.tally.outcomes == {"done": 1}
    assert undo(desk, done.plan.header.run).counts.archive == 0


def test_an_undo_of_a_refused_create_spares_another_run(desk: Desk) -> None:
    """A create that was refused, and made by a later run, is not archived by the undo of the first one."""
    desk.plan("external_id,name", "n-1,New")
    desk.sandbox.faults = Faults(error_rate=1.0, error_status=400, endpoint=frozenset({"create"}))
    first = desk.apply()
    assert first.tally.outcomes == {"failed": 1}
    desk.sandbox.faults = Faults()
    desk.plan("external_id,name", "n-1,New", name="second")
    assert desk.apply("second").tally.outcomes == {"done": 1}
    assert undo(desk, first.plan.header.run).counts.archive == 0


def test_a_run_is_applied_and_undone_by_one_at_a_time(desk: Desk) -> None:
    """Whatever the plan is called, its run is held while it is applied: neither a copy nor an undo gets in."""
    desk.plan(*renamed(2))
    shutil.copy(desk.folder / "c.plan", desk.folder / "copy.plan")
    run = desk.apply().plan.header.run
    with filelock.FileLock(desk.folder / f".{run}.lock"):
        with pytest.raises(LockHeld):
            job.apply(desk.settings(), desk.folder / "copy.plan", job.Confirmed(True))
        with pytest.raises(LockHeld):
            undo(desk, run)


def test_an_undone_run_cannot_be_applied_again(desk: Desk) -> None:
    """The journal of a run that was taken back tells of the past: its plan is refused, and says why."""
    desk.plan(*renamed(3))
    run = desk.apply().plan.header.run
    undo(desk, run)
    assert desk.apply("undo").exit_code == 0
    with pytest.raises(FixInput, match=f"Run {run} was undone by run"):
        desk.apply()


# --- what a gateway says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}], ids=["", "retry-after"])
@pytest.mark.parametrize("status", [503, 520, 524, 529])
def test_a_write_that_a_gateway_lost_is_looked_up(desk: Desk, status: int, headers: dict[str, str]) -> None:
    """A 503 or 52x after the write was carried out is not taken for a refusal: found, done, and undoable."""
    desk.plan("external_id,name", "c-0,Renamed", "n-1,New")
    plain = desk.sandbox.reply

    def reply(method: str, path: str, *rest: Any) -> Reply:
        answer = plain(method, path, *rest)
        wrote = method == "PUT" or (method, path) == ("POST", "/v1/customers")
        return Reply(status, b"gateway", "text/plain", dict(headers)) if wrote else answer

    desk.sandbox.reply = reply  # type: ignore[method-assign]
    done = desk.apply()
    desk.sandbox.reply = plain  # type: ignore[method-assign]
    assert done.tally.outcomes == {"done": 2}
    assert (desk.sandbox.calls["POST /customers"], desk.sandbox.calls["PUT /customers"]) == (1, 1)
    back = undo(desk, done.plan.header.run)
    assert (back.counts.update, back.counts.archive) == (1, 1)


def test_a_lost_create_that_was_archived_since_is_not_made_again(desk: Desk) -> None:
    """Its answer lost, then archived by somebody: told as skipped, and there is one customer, not two."""
    desk.plan("external_id,name", "n-1,New")
    desk.sandbox.faults = Faults(lost=1.0, endpoint=frozenset({"create"}))

    def after_the_create() -> None:
        if (desk.sandbox.log[-1][0], desk.sandbox.log[-1][1]) == ("POST", "/v1/customers"):
            desk.sandbox.between_calls(None)
            desk.sandbox.archive_customer(desk.one("n-1")["id"])

    desk.sandbox.between_calls(after_the_create)
    done = desk.apply()
    assert done.tally.outcomes == {"skipped": 1}
    assert desk.sandbox.calls["POST /customers"] == 1


# --- accounts and files -------------------------------------------------------------------------------------------


def test_an_empty_account_is_not_taken_for_the_planned_one(tmp_path: Path) -> None:
    """Planned with customers and applied without any, or the other way round: refused, it may be another account."""
    sandbox = Bent(customers=10, seed=7)
    with sandbox.running() as url:
        desk = Desk(tmp_path, sandbox, url)
        desk.plan("external_id,name", "n-1,New")
        sandbox.bend = lambda route, path, query, body: {**body, "items": []} if route == "search" else None
        with pytest.raises(FixInput, match="an account without any customer"):
            desk.apply()
        desk.plan("external_id,name", "n-1,New")
        sandbox.bend = None
        with pytest.raises(FixInput, match="when the account had no customer"):
            desk.apply()
        assert desk.writes() == 0


def test_a_copy_of_a_plan_shares_its_journal(desk: Desk) -> None:
    """The same plan under another name goes on with the same run: nothing is written twice."""
    desk.plan(*renamed(3))
    shutil.copy(desk.folder / "c.plan", desk.folder / "copy.plan")
    assert desk.apply().tally.outcomes == {"done": 3}
    desk.sandbox.calls.clear()
    assert job.apply(desk.settings(), desk.folder / "copy.plan", job.Confirmed(True)).tally.earlier == 3
    assert desk.writes() == 0


def test_a_plan_that_is_edited_in_place_under_an_apply_is_not_followed(desk: Desk) -> None:
    """Lines written over in mid-apply are never carried out: the run stops there, and says why."""
    desk.plan("external_id,name", *(f"n-{number},New" for number in range(300)))
    path = desk.folder / "c.plan"

    def after_the_first_create() -> None:
        if (desk.sandbox.log[-1][0], desk.sandbox.log[-1][1]) == ("POST", "/v1/customers"):
            desk.sandbox.between_calls(None)
            with path.open("r+b") as file:
                text = file.read()
                file.seek(0)
                file.write(text.replace(b'"New"', b'"Bad"'))

    desk.sandbox.between_calls(after_the_first_create)
    with pytest.raises(FixInput, match=r"changed while in use|changed or truncated"):
        job.apply(desk.settings(), path, job.Confirmed(True, 300), pace=Pace(batch=20))
    _, _, body = desk.sandbox.answer("POST", "/customers/search", body={"limit": 1000})
    assert {row["name"] for row in json.loads(body)["items"]} <= {"New", *(f"Customer {n}" for n in range(6))}


def test_keys_that_look_alike_are_asked_about(desk: Desk) -> None:
    """A new external_id that differs from an existing one by unseen characters or accents' form, or looks like none."""
    desk.sandbox.create_customer(external_id="caf\u00e9", name="X")
    found = desk.plan(
        "external_id,name", "c-0\u200b,New", "cafe\u0301,New", "1.23457E+11,New", "external_id,name", "n-1,New"
    )
    assert found.plan is not None
    kinds = [entry.kinds for entry in found.plan.entries()]
    assert kinds == [["spaces", "twin"], ["twin"], ["scientific"], ["header"], []]
    assert (found.counts.held, found.counts.create) == (4, 1)


def test_a_persons_files_are_kept(desk: Desk) -> None:
    """A foreign Parquet file is not replaced, and two mended files are both kept."""
    import pandas as pd

    pd.DataFrame({"mine": [1]}).to_parquet(desk.folder / "mine.parquet")
    desk.plan(*renamed(1), "n-1,")
    with pytest.raises(FixInput, match="is not results"):
        desk.apply(results_to=desk.folder / "mine.parquet")
    for text in ("first", "second"):
        (desk.folder / "c.rejected.csv").write_text(text)
        desk.plan(*renamed(1), "n-1,")
    kept = {path.read_text() for path in desk.folder.glob("c.rejected.csv~*")}
    assert {"first", "second"} <= kept


def test_a_key_that_comes_back_as_a_request_id_is_blotted(desk: Desk) -> None:
    """A server that echoes the key in X-Request-Id leaves no trace of it in journal or results."""
    desk.plan(*renamed(1))
    plain = desk.sandbox._head
    desk.sandbox._head = lambda reply, _: plain(reply, "sandbox")  # type: ignore[method-assign]
    done = desk.apply()
    texts = [path.read_text() for path in desk.folder.glob("c.*.journal")] + [done.results[0].read_text()]
    assert json.dumps("***") in texts[0]
    assert not [text for text in texts if "sandbox" in text]
