"""Going on with a run, and back: what is left is told, nothing is asked where nothing is, an undo can do something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from importing import QUICK, Shop, id_of, shop, table, writes_of

from connector.errors import FixInput
from connector.push.apply.journal import Line
from connector.push.apply.orders import Pace
from connector.push.apply.undo import can_be_undone
from connector.sandbox import Sandbox
from pipelines import import_customers as job
from pipelines.confirm import Confirmed
from pipelines.import_customers import Applied
from pipelines.progress import Progress
from pipelines.report.apply_summary import apply_summary
from pipelines.report.plan_summary import plan_summary

PEOPLE = [{"external_id": f"c-{n}", "name": "Old", "metadata": {}} for n in range(4)]
ROWS = [{"external_id": f"c-{n}", "name": "New"} for n in range(4)] + [{"external_id": "n", "name": "N"}]


class Asked:
    """Answers questions with what was given, and keeps them."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.questions = list(answers), list[str]()

    def __call__(self, question: str) -> bool:
        self.questions.append(question)
        return self.answers.pop(0)


class Notes(Progress):
    """Keeps notes, and what a step counts up to."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def apply(it: Shop, confirmed: Confirmed, *, canary: int = 0, progress: Progress | None = None) -> Applied:
    path = it.path("customers.plan")
    return job.apply(it.settings(), path, confirmed, canary=canary, pace=Pace(looks=QUICK), progress=progress)


def test_a_resumed_run_asks_about_what_is_left(tmp_path: Path) -> None:
    """Two of five are done: question and refusal name the other three, not the five of the plan."""
    with shop(tmp_path, *PEOPLE) as it:
        it.plan(table(*ROWS))
        apply(it, Confirmed(ask=Asked(True, False)), canary=2)
        assert writes_of(it.sandbox) == 2
        asked = Asked(False)
        with pytest.raises(FixInput, match="not confirmed"):
            apply(it, Confirmed(ask=asked))
        assert asked.questions == [f"Make the last 3 of 5 writes (1 create, 2 update) in {it.url}?"]
        with pytest.raises(FixInput, match=re.escape("makes the last 3 of 5 writes (1 create, 2 update): confirm it")):
            apply(it, Confirmed())
        assert writes_of(it.sandbox) == 2
        done = apply(it, Confirmed(ask=Asked(True)))
    assert (done.tally.outcomes, done.tally.earlier) == ({"done": 5}, 2)


def test_an_applied_plan_says_so_and_asks_nothing(tmp_path: Path) -> None:
    """Applied again, without any confirmation: nothing is left, and what became of it; not a write, no question."""
    with shop(tmp_path, *PEOPLE, max_creates=0) as it:
        it.apply(it.plan(table(*ROWS)))
        before = writes_of(it.sandbox)
        for confirmed in (Confirmed(), Confirmed(ask=Asked()), Confirmed(really=77)):
            done = apply(it, confirmed)
            first = apply_summary(done).splitlines()[0]
            assert re.fullmatch(r"run +\S+: nothing was left to do; earlier: 5 done", first)
            assert done.exit_code == 0
        assert writes_of(it.sandbox) == before


def test_a_run_that_breaks_off_says_how_many_are_left(tmp_path: Path) -> None:
    """The note counts what is left, and gives the command that takes back what was written, with its flags."""
    notes = Notes()
    with shop(tmp_path, *PEOPLE) as it:
        run = it.plan(table(*ROWS)).plan
        assert run is not None
        with pytest.raises(KeyboardInterrupt):
            apply(it, Confirmed(ask=_stopping), canary=2, progress=notes)
    said = f"run {run.header.run}: 3 of 5 customers are left. The same command continues; "
    assert notes.notes[-1] == f"{said}flexsync import undo {run.header.run} takes back what was written"


def _stopping(question: str) -> bool:
    if question.startswith("The canary"):
        raise KeyboardInterrupt
    return True


# --- an undo is offered where it can do something ------------------------------------------------------------------


def offered(it: Shop, found: Applied) -> bool:
    """Whether the summary offers an undo; where it does not, an undo has nothing to do, and the other way round."""
    shown = "\nundo " in f"\n{apply_summary(found)}"
    counts = it.undo(found, "tried").counts
    assert shown == bool(counts.writes), counts
    return shown


def test_an_undo_is_offered_only_where_it_can_do_something(tmp_path: Path) -> None:
    """Of a run, of its undo, and of the undo of that one: the line `undo` stands where an undo writes something."""
    with shop(tmp_path, {"external_id": "c", "name": "Old", "metadata": {}}, max_archives=9) as it:
        made = it.apply(it.plan(table({"external_id": "n", "name": "N"})))
        assert offered(it, made)
        archived = it.apply(it.undo(made))
        assert not offered(it, archived)
        assert plan_summary(it.undo(archived)).endswith("wrote     no plan: nothing of the run can be taken back")
        renamed = it.apply(it.plan(table({"external_id": "c", "name": "New"}), name="b"))
        back = it.apply(it.undo(renamed, "back"))
        assert offered(it, back)
        assert offered(it, it.apply(it.undo(back, "forth")))
        filled = it.apply(it.plan(table({"external_id": "c", "email": "a@b.example", "address_country": "FR"}), "d"))
        assert not offered(it, filled)  # neither can be emptied
        told = it.apply(it.plan(table({"external_id": "c", "address_city": "Paris"}), "e"))
        assert offered(it, told)


def test_no_undo_is_offered_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    """Every row was edited meanwhile, or was so already: there is nothing to take back."""
    with shop(tmp_path, *PEOPLE[:2]) as it:
        plan = it.plan(table(*ROWS[:2]))
        _rename(it.sandbox, "c-0", "Theirs")
        _rename(it.sandbox, "c-1", "New")
        done = it.apply(plan)
        assert done.tally.outcomes == {"skipped": 1, "done": 1}
        assert not offered(it, done)


def _rename(sandbox: Sandbox, external_id: str, name: str) -> None:
    sandbox.update_customer(id_of(sandbox, external_id), name=name)


@pytest.mark.parametrize(
    ("lines", "possible"),
    [
        ([Line("outcome", 0, do="create", outcome="done")], False),  # it was there already: nothing was sent
        ([Line("intent", 0, do="create")], True),
        ([Line("intent", 0, do="create"), Line("withdrawn", 0)], False),
        ([Line("intent", 0, do="create"), Line("outcome", 0, do="create", outcome="differs")], False),
        ([Line("intent", 0, do="update", set={"metadata": (None, {})})], False),
        ([Line("intent", 0, do="update", set={"metadata": (None, {"a": "b"})})], True),
        ([Line("intent", 0, do="update", set={"timezone": ("", "Europe/Rome"), "name": ("A", "B")})], True),
        ([], False),
    ],
)
def test_the_journal_says_whether_there_is_a_way_back(lines: Sequence[Line], possible: bool) -> None:
    """Without a call: what was sent, and what the API can take back."""
    assert can_be_undone([Line("begin", run="r"), *lines]) is possible
