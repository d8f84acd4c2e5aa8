"""The way back from a run: what is reversed, what is kept, what cannot be; and applied, it gives the account back."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import (
    ABSENT,
    FORBIDDEN,
    FULL,
    OTHER,
    Recorder,
    account,
    assert_never_empty,
    entries,
    id_of,
    shop,
    state,
    table,
    writes_of,
)
from sizes import examples
from support import Direct

from connector.api.answers import NotSent
from connector.api.calls import Call, Reply
from connector.errors import FixInput
from connector.push.account.customer import Customer, fingerprint
from connector.push.apply.apply import Apply
from connector.push.apply.journal import Journal, Line, read
from connector.push.apply.orders import Orders, Pace
from connector.push.apply.undo import undone
from connector.push.plan.counts import Counts
from connector.push.plan.entry import Entry
from connector.push.plan.planfile import Header, Plan, PlanWriter, Source, new_run
from connector.sandbox import Sandbox
from pipelines import import_customers as job

number = count()


NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)


def planned(folder: Path, found: Iterable[Entry]) -> Plan:
    """A plan of these entries, on the disk."""
    counts = Counts()
    with PlanWriter(folder / f"{next(number)}.plan") as writer:
        for entry in found:
            counts.add(entry)
            writer.add(entry)
        header = Header(
            run=new_run(NOW), made_at=NOW, base_url="", environment_id="", source=Source("x"), options={},
            counts=counts.plain(), existing=0, guards=[],
        )  # fmt: skip
        return writer.finish(header, "")


def carried_out(sandbox: Sandbox, folder: Path, found: Iterable[Entry]) -> list[Line]:
    """Apply entries in process, all of them successfully; returns the run's journal."""
    plan = planned(folder, found)
    with Journal.of(plan) as journal:
        orders = Orders(pace=Pace(looks=(0.0, 0.01)))
        tally = asyncio.run(Apply(plan, Direct(sandbox).send, journal, orders).run())
        assert tally.complete, journal.settled
        return list(read(journal.path))


def back(sandbox: Sandbox, lines: Iterable[Line], send: Any = None) -> list[Entry]:
    """What an undo of that journal plans."""

    async def go() -> list[Entry]:
        return [entry async for batch in undone(lines, send or Direct(sandbox).send) for entry in batch]

    return asyncio.run(go())


def run_of(sandbox: Sandbox, folder: Path, *rows: dict[str, str], **options: Any) -> list[Line]:
    """Plan and apply rows; returns the journal."""
    return carried_out(sandbox, folder, entries(sandbox, table(*rows), **options))


def reasons(found: Iterable[Entry]) -> list[tuple[str, str]]:
    return [(entry.do, entry.why or "; ".join(entry.notes)) for entry in found]


# --- reversed -----------------------------------------------------------------------------------------------------


def test_an_update_is_reversed_field_by_field(tmp_path: Path) -> None:
    """Every changed field goes back to what it was; fields that the run did not change are not in the undo."""
    sandbox = account({"external_id": "a", **FULL, "metadata": {"k": "v"}})
    before = state(sandbox)
    lines = run_of(sandbox, tmp_path, {"external_id": "a", **OTHER, "name": FULL["name"], "metadata.k": "w"})
    (found,) = back(sandbox, lines)
    wanted: dict[str, Any] = {name: (OTHER[name], FULL[name]) for name in FULL if name != "name"}
    assert found.set == {**wanted, "metadata": ({"k": "w"}, {"k": "v"})}
    assert (found.do, found.line, found.external_id, found.notes) == ("update", 2, "a", [])
    assert state(sandbox) != before
    carried_out(sandbox, tmp_path, [found])
    assert state(sandbox) == before


def test_a_changed_key_goes_back(tmp_path: Path) -> None:
    """An external_id goes back in one write, without the server's own list of ids in the metadata."""
    sandbox = account({"external_id": "a", "metadata": {"k": "v"}})
    before, id = state(sandbox), id_of(sandbox, "a")
    lines = run_of(sandbox, tmp_path, {"id": id, "external_id": "b"}, match="id")
    (found,) = back(sandbox, lines)
    assert (found.do, found.external_id, found.set, found.writes) == ("update", "b", {"external_id": ("b", "a")}, 1)
    carried_out(sandbox, tmp_path, [found])
    assert state(sandbox) == before


def test_a_created_customer_is_archived(tmp_path: Path) -> None:
    """What the run made is archived; made again later, its key is free."""
    sandbox = account({"external_id": "a"})
    lines = run_of(sandbox, tmp_path, {"external_id": "n", "name": "N"})
    (found,) = back(sandbox, lines)
    assert (found.do, found.external_id, found.id) == ("archive", "n", id_of(sandbox, "n"))
    carried_out(sandbox, tmp_path, [found])
    assert state(sandbox)[found.id]["status"] == "archived"
    assert entries(sandbox, table({"external_id": "n", "name": "N"}))[0].do == "create"


def test_the_last_row_is_taken_back_first(tmp_path: Path) -> None:
    """Entries come in the opposite order of the run, over more than one batch, each row once."""
    sandbox = account(*({"external_id": f"e{n}", "name": "Old"} for n in range(1200)))
    lines = [Line("begin", run="r")]
    for n, id in enumerate(sandbox.customer_ids()):
        lines += [
            Line("intent", n, do="update", id=id, set={"name": ("Old", "New")}),
            Line("intent", n, do="update", id=id, set={"name": ("Old", "New")}),
            Line("answer", n, do="update", id=id),
            Line("outcome", n, line=n + 2, do="update", id=id, outcome="done", left="another"),
        ]
    recorder = Recorder(sandbox)
    found = back(sandbox, lines, recorder)
    assert [entry.line for entry in found] == list(range(1201, 1, -1))
    assert [call.operation for call in recorder.calls] == ["post_customers_search"] * 2


# --- kept, and impossible -----------------------------------------------------------------------------------------


def test_what_happened_since_the_run_is_kept(tmp_path: Path) -> None:
    """Customers that were edited, archived or removed since the run are left as they are, each with its reason."""
    sandbox = account(*({"external_id": key, "name": "Old", "metadata": {}} for key in "abcdef"))
    ids = {key: id_of(sandbox, key) for key in "abcdef"}
    rows = ({"external_id": key, "name": "New", "metadata.k": "v"} for key in "abcdef")
    lines = run_of(sandbox, tmp_path, *rows, {"external_id": "n", "name": "N"}, {"external_id": "m", "name": "M"})
    sandbox.update_customer(ids["a"], name="Theirs")
    sandbox.update_customer(ids["b"], email="theirs@x.example")
    sandbox.archive_customer(ids["c"])
    sandbox.remove_customer(ids["d"])
    sandbox.update_customer(ids["e"])  # updated_at alone moves
    sandbox.update_customer(id_of(sandbox, "n"), name="Theirs")
    sandbox.archive_customer(id_of(sandbox, "m"))
    assert reasons(reversed(back(sandbox, lines))) == [
        ("conflict", "kept: it was edited since the run: name"),
        ("conflict", "kept: it was edited since the run"),
        ("conflict", "kept: it was archived since"),
        ("conflict", "kept: it is not there any more"),
        ("update", ""),
        ("update", ""),
        ("conflict", "kept: it was edited since the run: name"),
        ("conflict", "kept: it was archived since"),
    ]


@pytest.mark.parametrize("status", ["active", "trialing", "paused", "incomplete", "draft", "cancelled"])
def test_a_created_customer_with_a_subscription_cannot_be_taken_back(tmp_path: Path, status: str) -> None:
    """A subscription in any status, even a cancelled one, is business done: the customer stays, and says why."""
    sandbox = account()
    rows = ({"external_id": key, "name": "N"} for key in "ab")
    lines = run_of(sandbox, tmp_path, *rows)
    sandbox.add_subscription(id_of(sandbox, "a"), status=status)
    free, busy = back(sandbox, lines)
    assert (free.do, free.external_id) == ("archive", "b")
    assert (busy.do, busy.external_id) == ("conflict", "a")
    assert busy.why == f"impossible: it was created by the run and has a subscription now ({status})"


def test_an_updated_customer_with_a_subscription_is_taken_back(tmp_path: Path) -> None:
    """Subscriptions hinder archives only."""
    sandbox = account({"external_id": "a", "name": "Old"})
    lines = run_of(sandbox, tmp_path, {"external_id": "a", "name": "New"})
    sandbox.add_subscription(id_of(sandbox, "a"))
    assert reasons(back(sandbox, lines)) == [("update", "")]


def test_an_archive_cannot_be_taken_back(tmp_path: Path) -> None:
    """The API has no way to un-archive, and the undo says so."""
    sandbox = account({"external_id": "a"})
    (made,) = back(sandbox, run_of(sandbox, tmp_path, {"external_id": "n", "name": "N"}))
    lines = carried_out(sandbox, tmp_path, [made])
    assert reasons(back(sandbox, lines)) == [("conflict", "impossible: the API has no way to un-archive")]


def test_what_cannot_be_cleared_is_told(tmp_path: Path) -> None:
    """An e-mail, a country and a zone that the run filled stay, and so do an empty contact and metadata: all told."""
    sandbox = account({"external_id": "a", "name": "Old", "timezone": ""})
    row = {name: OTHER[name] for name in ("email", "address_country", "timezone", "contact", "address_city", "name")}
    (found,) = back(sandbox, run_of(sandbox, tmp_path, {"external_id": "a", **row, "metadata.k": "v"}))
    assert found.set == {
        "contact": (OTHER["contact"], ""), "address_city": ("Köln", ""), "name": ("Nadir", "Old"),
        "metadata": ({"k": "v"}, {}),
    }  # fmt: skip
    (note,) = found.notes
    for told in ("e-mail", "country", "time zone", "contact was not set", "metadata was null"):
        assert told in note, note
    carried_out(sandbox, tmp_path, [found])
    held = state(sandbox)[found.id]
    assert (held["name"], held["contact"], held["metadata"], held["email"]) == ("Old", "", {}, OTHER["email"])


@pytest.mark.parametrize("name", ABSENT)
def test_a_text_that_was_not_set_is_emptied(tmp_path: Path, name: str) -> None:
    """A text that the server did not send before the run goes back to the nearest value, and the undo says so."""
    sandbox = account({"external_id": "a"})
    (found,) = back(sandbox, run_of(sandbox, tmp_path, {"external_id": "a", name: OTHER[name]}))
    assert found.set == {name: (OTHER[name], "")}
    assert found.notes == [f"not taken back: {name} was not set, and an empty one is the nearest"]


def test_nothing_but_what_cannot_be_cleared_is_impossible(tmp_path: Path) -> None:
    """Where nothing is left to be reversed, no write is planned, and the reason is given."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"})
    lines = run_of(sandbox, tmp_path, {"external_id": "a", "email": "a@b.example"})
    assert reasons(back(sandbox, lines)) == [("conflict", "impossible: an e-mail cannot be emptied")]
    rows = {"id": id_of(sandbox, "b"), "external_id": "b", "metadata": "{}", "email": "b@b.example"}
    assert reasons(back(sandbox, run_of(sandbox, tmp_path, rows, match="id", metadata="replace"))) == [
        ("conflict", "impossible: an e-mail cannot be emptied")
    ]


REFUSED = {name: held for name, (held, _, _) in FORBIDDEN.items()}
"""Values that the server refuses; where one of `FORBIDDEN` breaks a rule of Flexsync only, another stands here."""


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_value_that_the_server_refuses_is_not_sent_back(tmp_path: Path, name: str) -> None:
    """A value older than the server's rules cannot be given back: it is told, and the other fields are reversed."""
    held, other = REFUSED[name], "name" if name == "address_state" else "address_state"
    sandbox = account({"external_id": "a", other: "Old", name: held})
    lines = run_of(sandbox, tmp_path, {"external_id": "a", name: OTHER[name], other: "New"})
    (found,) = back(sandbox, lines)
    assert found.set == {other: ("New", "Old")}
    assert found.notes[0].startswith(f"not taken back: {name} {held!r}: ")
    carried_out(sandbox, tmp_path, [found])


def test_metadata_with_a_tax_number_that_the_server_refuses_is_not_sent_back(tmp_path: Path) -> None:
    """Metadata goes back whole or not at all: one wrong tax number in it keeps it as the run left it."""
    sandbox = account({"external_id": "a", "name": "Old", "metadata": {"gstin": "bad", "k": "v"}})
    (found,) = back(sandbox, run_of(sandbox, tmp_path, {"external_id": "a", "name": "New", "metadata.gstin": "\\N"}))
    assert (found.set, found.notes[0][:38]) == ({"name": ("New", "Old")}, "not taken back: metadata.gstin 'bad': ")
    carried_out(sandbox, tmp_path, [found])


def test_a_key_that_somebody_has_by_now_is_told(tmp_path: Path) -> None:
    """An external_id that another customer took since the run cannot go back; the other fields can."""
    sandbox = account({"external_id": "a", "name": "Old", "metadata": {}})
    row = {"id": id_of(sandbox, "a"), "external_id": "b", "name": "New"}
    lines = run_of(sandbox, tmp_path, row, match="id")
    taker = sandbox.create_customer(external_id="a")["id"]
    (found,) = back(sandbox, lines)
    assert (found.set, found.notes) == (
        {"name": ("New", "Old")}, [f"not taken back: external_id 'a' belongs to {taker} now"]
    )  # fmt: skip
    sandbox.archive_customer(taker)
    assert back(sandbox, lines)[0].set == {"name": ("New", "Old"), "external_id": ("b", "a")}


# --- runs that did not go smoothly --------------------------------------------------------------------------------


def test_rows_that_the_run_did_not_write_are_not_touched(tmp_path: Path) -> None:
    """Rows that were so already, changed meanwhile, or refused by the server are not in the undo."""
    sandbox = account(*({"external_id": key, "name": "Old"} for key in "abcd"))
    found = entries(sandbox, table(*({"external_id": key, "name": "New"} for key in "abcd")))
    sandbox.update_customer(id_of(sandbox, "a"), name="New")  # somebody made the same change
    sandbox.update_customer(id_of(sandbox, "b"), name="Theirs")
    found[2].set = {"address_country": ("", "nowhere")}  # the server refuses it
    plan = planned(tmp_path, found)
    with Journal.of(plan) as journal:
        asyncio.run(Apply(plan, Direct(sandbox).send, journal, Orders(pace=Pace(looks=(0.0,)))).run())
        outcomes = [journal.settled[n].outcome for n in range(4)]
    assert outcomes == ["done", "skipped", "failed", "done"]
    assert [(e.do, e.external_id) for e in back(sandbox, read(journal.path))] == [("update", "d")]


def test_half_a_rename_that_then_fails_is_listed(tmp_path: Path) -> None:
    """Metadata became {} and the new external_id was refused after a late turn: the undo says so."""
    sandbox = account({"external_id": "a", "name": "A", "metadata": None})
    id = id_of(sandbox, "a")
    (found,) = entries(sandbox, table({"id": id, "external_id": "b"}), match="id")
    assert found.writes == 2
    plan, send, turns = planned(tmp_path, [found]), Direct(sandbox).send, count()

    async def write(call: Call, _until: float) -> Reply:
        if next(turns) == 1:  # the second PUT comes too late, and meanwhile somebody takes the external_id
            sandbox.create_customer(external_id="b")
            raise NotSent("too late")
        return await send(call)

    with Journal.of(plan) as journal:
        asyncio.run(Apply(plan, send, journal, Orders(pace=Pace(looks=(0.0, 0.01))), write=write).run())
        assert journal.settled[0].outcome == "failed"
    assert [row["metadata"] for row in state(sandbox).values() if row["external_id"] == "a"] == [{}]
    (kept,) = back(sandbox, read(journal.path))
    assert (kept.do, kept.external_id) == ("conflict", "a")
    assert "whether the run wrote it" in kept.why


def test_an_unfinished_run_is_looked_at(tmp_path: Path) -> None:
    """Rows that a broken-off run sent and did not settle are undone where they arrived, and kept where edited."""
    for what in ("intent", "answer"):
        sandbox = account(*({"external_id": key, "name": "Old"} for key in "abc"))
        rows = ({"external_id": key, "name": "New"} for key in "abcn")
        lines = run_of(sandbox, tmp_path, *rows)
        cut = [line for line in lines if line.what in ("begin", "intent", what)]
        if what == "intent":  # of b, nothing arrived
            sandbox.update_customer(id_of(sandbox, "b"), name="Old")
        sandbox.update_customer(id_of(sandbox, "c"), name="Theirs")
        found = {entry.external_id: (entry.do, entry.set.get("name")) for entry in back(sandbox, cut)}
        assert found.pop("a") == ("update", ("New", "Old"))
        assert found.pop("n") == ("archive", None)
        assert found.pop("c")[0] == "conflict"
        assert found == ({} if what == "intent" else {"b": ("update", ("New", "Old"))})


def test_rows_of_which_it_is_not_known_are_told(tmp_path: Path) -> None:
    """Sent rows that were skipped, or failed and are not as before, are listed as kept: the run may have written."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, {"external_id": "c"})
    a, b, c = sandbox.customer_ids()
    two: dict[str, Any] = {"external_id": ("b", "z"), "metadata": (None, {})}
    lines = [
        Line("begin", run="r"),
        Line("intent", 0, do="update", id=a, set={"name": ("Old", "New")}),
        Line("outcome", 0, do="update", id=a, outcome="skipped", why="not known"),
        Line("intent", 1, do="update", id=b, set=two),
        Line("outcome", 1, do="update", id=b, outcome="failed", why="taken"),
        Line("intent", 2, do="update", id=c, set={"name": ("Old", "New")}),
        Line("outcome", 2, do="update", id=c, outcome="failed", why="refused"),
        Line("outcome", 3, do="update", id=c, outcome="skipped", why="never sent"),
    ]
    assert [(entry.id, entry.do, entry.why[:34]) for entry in back(sandbox, lines)] == [
        (c, "conflict", "kept: it is neither as it was nor "), (b, "conflict", "kept: it is neither as it was nor "),
        (a, "conflict", "kept: somebody changed it, and whe"),
    ]  # fmt: skip


def test_a_write_without_effect_needs_no_undo() -> None:
    """A row that was sent and still is as before plans nothing, null metadata included."""
    sandbox = account({"external_id": "a", "name": "Old"})
    (id,) = sandbox.customer_ids()
    before = Customer(id=id, external_id="a", name="Old", timezone="UTC", environment_id=sandbox.environment_id)
    lines = [
        Line("intent", 0, do="update", id=id, set={"name": ("Old", "New"), "metadata": (None, {"k": "v"})}),
        Line("outcome", 0, do="update", id=id, outcome="differs", left=fingerprint(before)),
    ]
    assert reasons(back(sandbox, lines)) == [("conflict", "kept: it is as it was before the run")]


# --- over HTTP, as the command does it ----------------------------------------------------------------------------


def test_undo_and_undo_of_the_undo(tmp_path: Path) -> None:
    """Applied, an undo gives the account back; its own undo makes the run's updates again, but no archive undone."""
    people = [{"external_id": key, **FULL, "metadata": {"k": key}} for key in "abc"]
    with shop(tmp_path, *people, max_share=1.0, max_archives=9) as it:
        before = state(it.sandbox)
        rows = [{"external_id": key, **OTHER, "metadata.k": "\\N", "metadata.l": "w"} for key in "ab"]
        text = table(*rows, {"external_id": "n", "name": "N"})
        done = it.apply(it.plan(text))
        after = state(it.sandbox)
        made = id_of(it.sandbox, "n")

        undo = it.undo(done)
        assert undo.plan is not None
        assert (undo.plan.header.undoes, undo.counts.update, undo.counts.archive) == (done.plan.header.run, 2, 1)
        assert "# undoes " + done.plan.header.run in undo.plan.path.read_text(encoding="utf-8")
        taken = it.apply(undo)
        assert taken.exit_code == 0
        assert state(it.sandbox) == {**before, made: {**after[made], "status": "archived"}}

        again = it.undo(taken, "redo")
        assert (again.counts.update, again.counts.archive, again.counts.conflict) == (2, 0, 1)
        assert it.apply(again).exit_code == 0
        assert state(it.sandbox) == {**after, made: {**after[made], "status": "archived"}}
        assert {e.do for e in it.undo(done, "late").plan.entries()} == {"update", "conflict"}  # type: ignore[union-attr]


def test_undo_reads_only_and_names_its_reasons(tmp_path: Path) -> None:
    """Making an undo writes nothing; one with nothing to do makes none, moves none, exits 2 and keeps its reasons."""
    with shop(tmp_path, {"external_id": "a", "name": "Old"}) as it:
        done = it.apply(it.plan(table({"external_id": "a", "name": "New"})))
        writes = writes_of(it.sandbox)
        first = it.undo(done).plan
        it.sandbox.update_customer(id_of(it.sandbox, "a"), name="Theirs")
        nothing = it.undo(done)
        assert (nothing.plan, nothing.exit_code) == (None, 2)
        assert [entry.why for entry in nothing.refused] == ["kept: it was edited since the run: name"]
        assert first is not None
        assert Plan.read(it.path("undo.plan")).digest == first.digest
        assert writes_of(it.sandbox) == writes


def test_an_unknown_run(tmp_path: Path) -> None:
    """A run without a journal here, and a file that is none, are refused with the way out."""
    with shop(tmp_path, {"external_id": "a"}) as it:
        it.path("no.journal").write_text("no journal\n")
        it.path("empty.journal").write_text("")
        for wanted, why in (("20261120T000000Z-abcdef", "no journal of a run"), (str(it.path("no.journal")), "line 1")):
            with pytest.raises(FixInput, match=why):
                job.undo_run(it.settings(), wanted, it.path("undo.plan"))
        with pytest.raises(FixInput, match="not the journal of a run"):
            job.undo_run(it.settings(), str(it.path("empty.journal")), it.path("undo.plan"))


# --- any run ------------------------------------------------------------------------------------------------------

KEYS = ["a", "b", "c", "d"]
VALUES: dict[str, list[Any]] = {
    "name": ["Acme", "Nadir", "x" * 256], "email": ["", "a@a.example", "broken"],
    "address_city": ["", "Paris", "\\N"], "address_country": ["", "FR", "UK"], "timezone": ["UTC", "Europe/Paris", ""],
    "metadata": [None, {}, {"k": "v"}, {"k": "", "l": "w"}, {"gstin": "bad"}],
    **{name: [None, "", FULL[name]] for name in ABSENT},
}  # fmt: skip
person = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})
row = st.fixed_dictionaries(
    {"name": st.sampled_from(["", "Acme", "Umbra"])},
    optional={
        "email": st.sampled_from(["", "n@n.example", "a@a.example"]),
        "address_city": st.sampled_from(["", "Köln", "\\N"]), "address_country": st.sampled_from(["", "DE"]),
        "timezone": st.sampled_from(["", "Asia/Tokyo"]), "metadata.k": st.sampled_from(["", "w", "\\N"]),
        "metadata": st.sampled_from(["", "{}", '{"m": "1"}', '{"gstin": null}']),
        "external_id": st.sampled_from(["a", "new", "other"]),
        **{name: st.sampled_from(["", OTHER[name], "\\N"]) for name in ABSENT},
    },
)  # fmt: skip
FEW = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(st.lists(person, max_size=3), st.lists(row, min_size=1, max_size=4), st.sampled_from(["merge", "replace"]))
def test_an_undo_gives_any_account_back(people: list[Any], rows: list[Any], style: str) -> None:
    """Random runs: the undo goes through whole, and every column is as before but for what it told; no row is new."""
    sandbox = account(*({"external_id": KEYS[n], **fields} for n, fields in enumerate(people)))
    ids = sandbox.customer_ids()
    cells = [{"id": ids[n] if n < len(ids) else "", **fields} for n, fields in enumerate(rows)]
    seen: set[str] = set()
    for cell in cells:
        key = cell.setdefault("external_id", "")
        cell["external_id"] = "" if key in seen else key
        seen.add(key)
    before = state(sandbox)
    with tempfile.TemporaryDirectory() as folder:
        lines = carried_out(sandbox, Path(folder), entries(sandbox, table(*cells), match="id", metadata=style))
        recorder = Recorder(sandbox)
        taken = back(sandbox, lines, recorder)
        assert_never_empty(recorder.bodies())
        carried_out(sandbox, Path(folder), taken)
    told = {entry.id: f"{entry.why} {entry.notes}" for entry in taken}
    after = state(sandbox)
    for id, held in after.items():
        if id not in before:
            assert held["status"] == "archived"
            continue
        wrong = {name for name in held.keys() | before[id].keys() if held.get(name) != before[id].get(name)}
        assert all(TELLS[name] in told.get(id, "") for name in wrong), (wrong, told.get(id))
    assert before.keys() <= after.keys()


TELLS = {
    "email": "mail", "address_country": "country", "timezone": "zone", "metadata": "metadata", "name": "name",
    **{name: name for name in ABSENT},
}  # fmt: skip
