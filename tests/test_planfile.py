"""The plan as a file: what stands in it, who can read it, and that only the plan that was written is ever read."""

from __future__ import annotations

import json
import os
import resource
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from importing import Shop, shop, table
from sizes import examples
from support import NOON

from connector.errors import FixInput, FlexsyncError
from connector.files import atomic_write
from connector.push.file.rules import Fault
from connector.push.plan.entry import Entry
from connector.push.plan.guards import Guard
from connector.push.plan.planfile import Header, Plan, PlanWriter, Source, new_run
from connector.sandbox import Faults, Sandbox
from connector.sandbox.server.access import Key
from pipelines import import_customers as job
from pipelines.progress import Progress

MARKER = "sk_01MARKERq7XzTELLTALEv93wKEY"


def header(**more: Any) -> Header:
    given: dict[str, Any] = {
        "run": "20261120T120000Z-abcdef", "made_at": NOON, "base_url": "http://127.0.0.1:1/v1", "environment_id": "env",
        "source": Source("customers.csv"), "options": {"mode": "upsert"}, "counts": {"writes": 0}, "existing": 3,
        "guards": [Guard("max_share", 0.5, 0.3, "too many")],
    }  # fmt: skip
    return Header(**{**given, **more})


def written(path: Path, entries: list[Entry], summary: str = "a summary\nof two lines", **more: Any) -> Plan:
    with PlanWriter(path) as writer:
        for entry in entries:
            writer.add(entry)
        return writer.finish(header(**more), summary)


SOME = [
    Entry("create", 2, "new", set={"external_id": (None, "new"), "name": (None, "N")}, raw="new,N\n"),
    Entry("update", 3, "a", "cust_A", {"name": ("Old", "New"), "contact": (None, "+1")}, "f" * 32, raw="a,New\n"),
    Entry("archive", 0, "b", "cust_B", precondition="e" * 32),
    Entry("conflict", 4, "c", "cust_C", why="because", raw="c,\n"),
    Entry("invalid", 5, "d", faults=[Fault(5, "name", "", "required", "fill it")], raw_bytes=b"\xff,\n"),
]


# --- what stands in it --------------------------------------------------------------------------------------------


def test_a_plan_reads_as_text(tmp_path: Path) -> None:
    """Sentences first, then the header and one JSON object a line, and a digest of all that; unchanged is left out."""
    people = [{"external_id": key, "name": "Acme"} for key in "abc"]
    with shop(tmp_path, *people) as it:
        rows = [{"external_id": "a", "name": "Acme"}, {"external_id": "b", "name": "Straße"}, {"external_id": "n"}]
        found = it.plan(table(*rows))
    assert found.plan is not None
    lines = it.path("customers.plan").read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if line.startswith("# ")]
    assert lines[: len(told)] == told
    assert told[2] == "# create 0, update 1, archive 0, unchanged 1, invalid 1, conflict 0"
    assert told[3] == "# 1 write; 3 customers exist"
    head, *rest, last = [json.loads(line) for line in lines[len(told) :]]
    assert (head["flexsync_plan"], head["run"]) == (1, found.plan.header.run)
    assert head["source"]["sha256"] == sha256(it.path("customers.csv").read_bytes()).hexdigest()
    assert head["environment_id"] == it.sandbox.environment_id
    assert [(entry["do"], entry["line"]) for entry in rest] == [("update", 3), ("invalid", 4)]
    assert rest[0]["set"] == {"name": ["Acme", "Straße"]}
    body = it.path("customers.plan").read_bytes()
    assert last == {"digest": "sha256:" + sha256(body[: body.rindex(b'{"digest"')]).hexdigest()}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Header and entries come back equal, from the writer and from the file, as often as they are asked for."""
    plan = written(tmp_path / "x.plan", SOME)
    again = Plan.read(tmp_path / "x.plan")
    assert (again.header, again.digest) == (plan.header, plan.digest) == (header(), plan.digest)
    assert list(again.entries()) == list(again.entries()) == list(plan.entries()) == SOME
    with PlanWriter(tmp_path / "y.plan") as writer:
        for n, entry in enumerate(SOME):
            writer.add(entry)
            assert list(writer.entries()) == SOME[: n + 1]  # reading does not disturb what is added later
            assert next(writer.entries()) == SOME[0]  # nor does reading that stops half way


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
values = st.one_of(st.none(), words, st.dictionaries(words, words, max_size=3))
faults = st.builds(Fault, st.integers(0, 10**9), words, words, words, words)
entry_of = st.builds(
    Entry,
    st.sampled_from(["create", "update", "archive", "invalid", "conflict"]),
    st.integers(0, 10**9), words, words, st.dictionaries(words, st.tuples(values, values), max_size=4), words, words,
    st.lists(words, max_size=2), st.lists(faults, max_size=2), words, st.binary(max_size=20),
)  # fmt: skip
FEW = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(st.lists(entry_of, max_size=5), words)
@example([Entry("create", raw='# {"digest":1}\n{"digest":')], "#\r{\x85}\u2028\n\n{}")
def test_any_text_comes_back(entries: list[Entry], summary: str) -> None:
    """Any text in any place of an entry or the summary comes back as it was, and breaks no line of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.plan"
        written(path, entries, summary)
        assert list(Plan.read(path).entries()) == entries
        plain = [line for line in path.read_bytes().split(b"\n") if line and not line.startswith(b"# ")]
        assert len(plain) == len(entries) + 2


def test_a_file_name_that_is_no_text_is_planned_all_the_same(tmp_path: Path) -> None:
    """A source whose name holds bytes that are not UTF-8 is named with marks in their place."""
    source = tmp_path / os.fsdecode(b"caf\xe9.csv")
    with shop(tmp_path, {"external_id": "a", "name": "A"}) as it:
        source.write_text(table({"external_id": "a", "name": "B"}))
        found = job.plan(it.settings(), source, it.path("x.plan"))
    assert found.counts.update == 1
    assert Plan.read(it.path("x.plan")).header.source.name.endswith("caf\ufffd.csv")


def test_files_beside_a_plan(tmp_path: Path) -> None:
    """Journal, results and rejects are named after the plan, with or without its ending."""
    assert Plan(tmp_path / "a.plan", header(), "").beside(".results.csv") == tmp_path / "a.results.csv"
    assert Plan(tmp_path / "a.b", header(), "").beside(".results.csv") == tmp_path / "a.b.results.csv"


def test_run_ids_sort_by_time() -> None:
    """An id begins with the second it was made in, and two of one second differ."""
    moments = [datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=n) for n in range(0, 200_000, 9973)]
    ids = [new_run(moment) for moment in moments]
    assert ids == sorted(ids)
    assert len({new_run(moments[0]) for _ in range(50)}) == 50


# --- only the plan that was written is read -----------------------------------------------------------------------


@dataclass
class Plain:
    """A plan's bytes and a place to put changed ones."""

    path: Path
    data: bytes

    def refused(self, data: bytes) -> str:
        """The message by which changed bytes are refused."""
        assert data != self.data
        self.path.write_bytes(data)
        with pytest.raises(FixInput) as error:
            Plan.read(self.path)
        return str(error.value)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    path = tmp_path_factory.mktemp("plain") / "x.plan"
    written(path, SOME)
    return Plain(path, path.read_bytes())


MANY = settings(max_examples=examples(250), deadline=None, suppress_health_check=list(HealthCheck))


def test_every_flipped_byte_is_refused(plain: Plain) -> None:
    """Each byte of the file, changed in one bit or in all, makes it another file that is refused."""
    for place, byte in enumerate(plain.data):
        for other in {byte ^ 1, byte ^ 0x20, byte ^ 0xFF} if place % 7 == 0 else {byte ^ 1 << place % 8}:
            plain.refused(plain.data[:place] + bytes([other]) + plain.data[place + 1 :])


def test_every_cut_is_refused(plain: Plain) -> None:
    """Wherever the file ends early, its last line end included, it is refused."""
    for end in range(len(plain.data)):
        assert "cannot be read" not in plain.refused(plain.data[:end])


@MANY
@given(st.data())
def test_moved_lines_are_refused(plain: Plain, data: st.DataObject) -> None:
    """Lines swapped, doubled, taken out or put in anywhere make a plan that is refused."""
    lines = plain.data.splitlines(keepends=True)
    first, second = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    swapped = list(lines)
    swapped[first], swapped[second] = lines[second], lines[first]
    extra = data.draw(st.one_of(st.sampled_from(lines), st.binary(max_size=9), st.just(b"\n"), st.just(b"# more\n")))
    for changed in (
        swapped,
        [*lines[:first], lines[first], *lines[first:]],
        [*lines[:first], *lines[first + 1 :]],
        [*lines[:first], extra, *lines[first:]],
        [*lines, extra],
    ):
        if b"".join(changed) != plain.data:
            plain.refused(b"".join(changed))


@MANY
@given(st.binary(max_size=200))
@example(b"")
@example(b"# only talk\n")
@example(b'{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}\n')
def test_other_files_are_no_plans(plain: Plain, data: bytes) -> None:
    """Arbitrary bytes are refused, never taken for a plan, and never crash the reader."""
    assume(data != plain.data)
    plain.refused(data)


def test_a_digest_made_anew_over_changed_text_is_not_enough_for_another_version(plain: Plain) -> None:
    """A plan of another version of the format is told as such, though its digest is right."""
    body = plain.data.replace(b'"flexsync_plan":1', b'"flexsync_plan":2')
    body = body[: body.rindex(b'{"digest"')]
    body += b'{"digest":"sha256:%s"}\n' % sha256(body).hexdigest().encode()
    assert "version 2, this is 1" in plain.refused(body)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, and a folder, are told with their reason."""
    for path, reason in ((tmp_path / "no.plan", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(FixInput, match=reason):
            Plan.read(path)


@pytest.mark.parametrize("how", ["replaced", "edited", "removed"])
def test_a_plan_that_changes_after_it_was_checked_is_not_used(tmp_path: Path, how: str) -> None:
    """What was checked is what is carried out: a file that was edited, or took its place meanwhile, is refused."""
    path = tmp_path / "x.plan"
    for checked in (lambda: written(path, SOME), lambda: Plan.read(written(path, SOME).path)):
        plan = checked()
        assert list(plan.entries()) == SOME
        if how == "replaced":
            written(path, SOME[:1])
        elif how == "edited":
            with path.open("ab") as file:
                file.write(b"{}\n")
        else:
            path.unlink()
        with pytest.raises(FixInput, match=r"x\.plan"):
            list(plan.entries())


# --- who can read it, and what is never in it ---------------------------------------------------------------------


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The plan, its rejects and the journal are of mode 0600, whatever the umask and whatever stood there."""
    before = os.umask(0)
    try:
        with shop(tmp_path, {"external_id": "a", "name": "A"}) as it:
            rows = [{"external_id": "a", "name": "B"}, {"external_id": "n"}]
            it.plan(table(*rows))
            it.path("customers.plan").chmod(0o644)  # put aside as it is
            it.apply(it.plan(table(*rows)))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    del modes["customers.csv"], modes["customers.plan~"]
    assert set(modes.values()) == {0o600}
    assert {name.split(".", 1)[1].split(".")[-1] for name in modes} == {"plan", "csv", "journal"}


def test_the_key_is_in_no_file(tmp_path: Path) -> None:
    """Plan, journal, results and rejects of a whole life hold no trace of the API key."""
    sandbox = Sandbox(customers=5, keys={MARKER: Key()})
    with shop(tmp_path, sandbox=sandbox, api_key=MARKER, max_share=1.0) as it:
        text = it.export()
        found = it.plan(text.replace("Europe", "Africa").replace("@", "+x@") + "n,n\n")
        it.undo(it.apply(found))
    searched = [path for path in tmp_path.iterdir() if path.stat().st_size]
    assert {"customers.plan", "undo.plan", "customers.rejected.csv"} <= {path.name for path in searched}
    for path in searched:
        assert MARKER[3:].encode() not in path.read_bytes(), path


# --- planning that fails ------------------------------------------------------------------------------------------

GOOD = table({"external_id": "a", "name": "B"})
NEW = table({"external_id": "n", "name": "N"})


def fails_by_column(it: Shop) -> Any:
    it.plan("external_id,nmae\na,B\n")


def fails_by_faults(it: Shop) -> Any:
    return it.plan(table({"external_id": "a", "metadata": "no json"}))


def fails_by_conflicts(it: Shop) -> Any:
    return it.plan(GOOD, mode="create")


def fails_by_onboarding(it: Shop) -> Any:
    it.plan(NEW, onboarding="")


def fails_by_key(it: Shop) -> Any:
    it.plan(GOOD, api_key="wrong")


def fails_by_no_key(it: Shop) -> Any:
    it.plan(GOOD, api_key="")


def fails_by_server(it: Shop) -> Any:
    it.sandbox.faults = Faults(error_rate=1.0, error_status=400)
    it.plan(GOOD)


def fails_by_mirror(it: Shop) -> Any:
    it.plan(table({"external_id": "a", "name": "B"}, {"external_id": ""} | {"name": "x"}), archive_missing=True)


def fails_by_empty_file(it: Shop) -> Any:
    it.plan("")


FAILURES: list[Callable[[Shop], Any]] = [
    fails_by_column, fails_by_faults, fails_by_conflicts, fails_by_onboarding, fails_by_key, fails_by_no_key,
    fails_by_server, fails_by_mirror, fails_by_empty_file,
]  # fmt: skip


class Notes(Progress):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("failing", FAILURES, ids=lambda function: function.__name__)
def test_planning_that_fails_moves_nothing_and_says_which_plan_is_there(
    tmp_path: Path, failing: Callable[[Shop], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that fails leaves the older plan as it is, and says so; it leaves no half-written file and no lock."""
    notes = Notes()
    with shop(tmp_path, {"external_id": "a", "name": "A"}) as it:
        older = it.plan(GOOD).plan
        assert older is not None
        before = older.path.read_bytes()
        monkeypatch.setattr(job, "plan", partial(job.plan, progress=notes))
        try:
            result = failing(it)
        except FlexsyncError:
            pass
        else:
            assert (result.plan, result.exit_code) == (None, 2)
    assert older.path.read_bytes() == before
    still = f"{older.path} is still the older plan, run {older.header.run}: no new one was made"
    assert notes.notes[-1] == still
    assert {path.name for path in tmp_path.iterdir()} <= {"customers.csv", "customers.plan", "customers.rejected.csv"}


def test_a_full_disk_moves_no_older_plan(tmp_path: Path) -> None:
    """Where the new plan does not fit, the older one keeps its name."""
    with shop(tmp_path, {"external_id": "a", "name": "A"}) as it:
        older = it.plan(GOOD).plan
        assert older is not None
        before, rows = older.path.read_bytes(), [{"external_id": f"n-{n}", "name": "N" * 200} for n in range(50)]
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        it.path("customers.csv").write_text(table(*rows))
        size = it.plan(table(*rows), "other").plan
        assert size is not None
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size.path.stat().st_size - 100, limit[1]))
            with pytest.raises(FixInput, match="Make room"):
                job.plan(it.settings(), it.path("customers.csv"), older.path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert older.path.read_bytes() == before
    assert not list(tmp_path.glob("customers.plan~*"))


def test_a_file_that_is_no_plan_is_not_overwritten(tmp_path: Path) -> None:
    """The name of a person's file, a folder's, or the CSV file's own is refused before anything is read."""
    with shop(tmp_path, {"external_id": "a", "name": "A"}) as it:
        it.path("notes.txt").write_text("mine")
        it.path("folder").mkdir()
        source = it.path("customers.csv")
        source.write_text(GOOD)
        it.sandbox.calls.clear()
        for out in ("notes.txt", "folder", "customers.csv"):
            with pytest.raises(FixInput):
                job.plan(it.settings(), source, it.path(out))
        assert it.sandbox.calls == {}
    assert (it.path("notes.txt").read_text(), source.read_text()) == ("mine", GOOD)
    assert it.path("folder").is_dir()


def test_an_interrupted_plan_leaves_nothing(tmp_path: Path) -> None:
    """An exception while entries are collected, or while the file is written, leaves the folder as it was."""
    (tmp_path / "y.plan").write_bytes(b"older")
    with suppress(KeyboardInterrupt), PlanWriter(tmp_path / "x.plan") as writer:
        writer.add(SOME[0])
        raise KeyboardInterrupt
    with suppress(KeyboardInterrupt), atomic_write(tmp_path / "y.plan") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("y.plan", b"older")]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be made is told with its name and the way out."""
    for make, remedy in (
        (PlanWriter, "Give another --out."),
        (lambda path: atomic_write(path).__enter__(), "Give another place."),
    ):
        with pytest.raises(FixInput, match=r"nowhere/x\.plan cannot be written: No such file") as error:
            make(tmp_path / "nowhere" / "x.plan")
        assert error.value.remedy == remedy


@pytest.mark.parametrize("where", ["collecting", "writing"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, where: str) -> None:
    """Where no more can be written while entries are collected, or at the end, it says so and no file stays."""
    path, many = tmp_path / "x.plan", [Entry("create", n, "x" * 50) for n in range(2000)]
    lines = written(path, many).path.read_bytes().splitlines(keepends=True)
    path.unlink()
    whole_size, collected = sum(map(len, lines)), sum(map(len, lines[3:-1]))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (collected // 2 if where == "collecting" else whole_size - 10, before[1]))
    try:
        with pytest.raises(FixInput) as error:
            written(path, many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert collected < whole_size - 10
    assert str(error.value) == f"{path} cannot be written: File too large. Make room."
    assert list(tmp_path.iterdir()) == []
