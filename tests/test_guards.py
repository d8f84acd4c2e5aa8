"""What makes a plan be asked about twice, and which words on the command line let it pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from importing import account, shop, state, table
from support import NOON

from connector.errors import FixInput
from connector.push.plan.counts import Counts
from connector.push.plan.entry import Entry
from connector.push.plan.guards import Guard, Limits, too_old, tripped
from connector.push.plan.planfile import Header, Plan, Source
from connector.settings import load
from pipelines import import_customers as job
from pipelines.confirm import Confirmed, confirm, limits

OPEN = Limits(max_share=1.0, max_creates=10**9, max_archives=10**9, max_key_changes=10**9)


def names(counts: Counts, existing: int = 1000, limits: Limits = OPEN) -> list[str]:
    return [guard.name for guard in tripped(counts, existing, limits)]


# --- each guard at its limit and above it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "existing", "trips"),
    [
        (Counts(update=300), 1000, False),
        (Counts(update=301), 1000, True),
        (Counts(archive=300), 1000, False),
        (Counts(archive=301), 1000, True),
        (Counts(update=150, archive=150), 1000, False),
        (Counts(update=150, archive=151), 1000, True),
        (Counts(update=10), 10, False),
        (Counts(update=11), 11, True),
        (Counts(update=11), 36, True),
        (Counts(update=11), 37, False),
        (Counts(create=5000, unchanged=900, invalid=900, conflict=900), 1000, False),
        (Counts(create=5000), 0, False),
    ],
)
def test_share_of_customers_touched(counts: Counts, existing: int, trips: bool) -> None:
    """Updates and archives together may touch 30 %; ten customers never count as many; nothing else counts."""
    assert names(counts, existing, replace(OPEN, max_share=0.3)) == ["max_share"] * trips


@pytest.mark.parametrize(
    ("name", "limit", "at", "above"),
    [
        ("max_creates", 7, Counts(create=7), Counts(create=8)),
        ("max_creates", 0, Counts(), Counts(create=1)),
        ("max_archives", 0, Counts(), Counts(archive=1)),
        ("max_archives", 3, Counts(archive=3), Counts(archive=4)),
        ("max_key_changes", 0, Counts(update=5), Counts(update=5, key_changes=1)),
        ("max_key_changes", 2, Counts(update=5, key_changes=2), Counts(update=5, key_changes=3)),
    ],
)
def test_counted_guards(name: str, limit: int, at: Counts, above: Counts) -> None:
    """Each count passes at its limit and trips one above it, and trips no other guard."""
    given = replace(OPEN, **{name: limit})
    assert (names(at, limits=given), names(above, limits=given)) == ([], [name])


def test_the_limits_that_hold_when_nobody_says_otherwise() -> None:
    """30 %, 1,000 creates, no archive and no key change pass without asking; a day is the age that does.

    So do 20 % of one field, ten moved values, and twenty customers with one name.
    """
    settings = load(environ={})
    assert limits(settings.imports) == Limits() == Limits(0.3, 10, 1000, 0, 0, 0, timedelta(hours=24), 0.2, 20, 10, 20)
    assert names(Counts(create=1000, update=10, unchanged=5), 10, Limits()) == []
    assert names(Counts(create=1001, update=11, archive=1, key_changes=1, doubts=1), 12, Limits()) == [
        "max_share", "max_creates", "max_archives", "max_key_changes", "max_doubts"
    ]  # fmt: skip


def test_guards_say_what_was_found_and_what_passes() -> None:
    """Each guard is a sentence with both numbers, and names the setting that holds its limit."""
    found = tripped(Counts(create=2, update=40, archive=20, key_changes=5), 100, Limits(max_creates=1))
    assert [(guard.name, guard.found, guard.limit, guard.text) for guard in found] == [
        ("max_share", 0.6, 0.3, "60 of 100 existing customers would change (60%; limit 30%)"),
        ("max_creates", 2, 1, "2 customers would be created (limit 1)"),
        ("max_archives", 20, 0, "20 customers would be archived, for good (limit 0)"),
        ("max_key_changes", 5, 0, "5 customers would get another external_id (limit 0)"),
    ]


def test_key_changes_are_counted_from_entries() -> None:
    """A create has an external_id and changes none; an update that sets one counts, with the writes it takes."""
    counts = Counts()
    counts.add(Entry("create", set={"external_id": (None, "a")}))
    counts.add(Entry("update", set={"external_id": ("a", "b"), "metadata": (None, {})}))
    counts.add(Entry("update", set={"external_id": ("a", "b"), "metadata": ({}, {"k": "v"})}))
    counts.add(Entry("update", set={"metadata": (None, {"k": "v"})}))
    counts.add(Entry("archive"))
    counts.add(Entry("conflict"))
    assert (counts.key_changes, counts.writes, counts.update) == (2, 6, 3)


def test_age() -> None:
    """A plan passes until it is as old as the limit, and not one second later; one from minutes ahead passes."""
    given = Limits(max_age=timedelta(hours=2))
    assert too_old(NOON, NOON + timedelta(hours=2), given) is None
    assert too_old(NOON + timedelta(minutes=5), NOON, given) is None
    assert too_old(NOON + timedelta(minutes=10), NOON, given) is None
    ahead = too_old(NOON + timedelta(days=4000), NOON, given)
    assert ahead is not None
    assert "4000 days, 0:00:00 ahead of this machine's clock: its age is not known" in ahead.text
    old = too_old(NOON, NOON + timedelta(hours=2, seconds=1), given)
    assert old == Guard("max_age", 7201.0, 7200.0, "the plan is 2:00:01 old (limit 2:00:00)")


@pytest.mark.parametrize(
    ("setting", "value", "trips"),
    [
        ("max_share", 0.54, ["max_creates", "max_key_changes", "max_archives"]),
        ("max_creates", 2, ["max_share", "max_key_changes", "max_archives"]),
        ("max_key_changes", 1, ["max_share", "max_creates", "max_archives"]),
        ("max_archives", 20, ["max_share", "max_creates", "max_key_changes"]),
    ],
)
def test_settings_change_the_guards(tmp_path: Path, setting: str, value: Any, trips: list[str]) -> None:
    """Each setting of [import] lifts its own guard and no other; the plan file says which are left."""
    people = [{"external_id": f"e{n}", "name": "N"} for n in range(28)]
    tight = {"max_share": 0.1, "max_creates": 1, "max_key_changes": 0, "max_archives": 0, setting: value}
    with shop(tmp_path, *people, match="id", **tight) as it:
        ids = it.sandbox.customer_ids()
        rows = [{"id": id, "external_id": f"e{n}", "name": "N"} for n, id in enumerate(ids[:14])]
        rows[0]["external_id"] = "other"
        rows += [{"id": "", "external_id": f"n{n}", "name": "N"} for n in range(2)]
        found = it.plan(table(*rows), archive_missing=True)
        assert (found.counts.update, found.counts.archive, found.counts.create) == (1, 14, 2)
        assert found.plan is not None
        header = Plan.read(found.plan.path).header
    assert sorted(guard.name for guard in header.guards) == sorted(trips)
    assert (tmp_path / "customers.plan").read_text().count("# guard: ") == len(trips)


# --- what has to be said ------------------------------------------------------------------------------------------


def plan(writes: int = 3, archives: int = 0, guards: bool = False, made_at: datetime = NOON) -> Plan:
    """A plan of so many writes; it is never read from the disk."""
    found = [Guard("max_share", 0.5, 0.3, "half of all would change")] if guards else []
    counts = {"writes": writes, "archive": archives, "create": 0, "update": writes - archives}
    header = Header(
        run="r", made_at=made_at, base_url="http://127.0.0.1:1/v1", environment_id="env", source=Source("x.csv"),
        options={}, counts=counts, existing=9, guards=found,
    )  # fmt: skip
    return Plan(Path("x.plan"), header, "")


def yes(_: str) -> bool:
    return True


def no(_: str) -> bool:
    return False


def never(_: str) -> bool:
    raise AssertionError("asked")


def typing(*answers: str) -> Callable[[str], str]:
    """Types these answers, one a question, and fails where there are more questions."""

    def typed(_: str) -> str:
        given.append(answers[len(given) % len(answers)] if answers else never(""))  # type: ignore[arg-type]
        return given[-1]

    given: list[str] = []
    return typed


PASSES = ""
REALLY = "Add --yes-really COUNT, with the number of writes from the summary at the top of x.plan."
ARCHIVE = "Add --yes-archive COUNT, with the number of archives from the summary at the top of x.plan."


@pytest.mark.parametrize(
    ("what", "said", "wanted"),
    [
        # nothing to be said for a plan without writes
        ({"writes": 0, "guards": True}, {}, PASSES),
        # --yes, or an answer on a terminal
        ({}, {}, "Add --yes."),
        ({}, {"yes": True}, PASSES),
        ({}, {"yes": True, "ask": never}, PASSES),
        ({}, {"ask": yes}, PASSES),
        ({}, {"ask": no}, "not confirmed: nothing was changed."),
        # --yes-really where a guard trips; --yes alone is not enough, nor is a terminal
        ({"guards": True}, {"yes": True}, REALLY),
        ({"guards": True}, {}, "Add --yes-really COUNT --yes, with the number of writes from"),
        ({"guards": True}, {"ask": never}, REALLY),
        ({"guards": True}, {"yes": True, "really": 3}, PASSES),
        ({"guards": True}, {"really": 3}, "Add --yes."),
        ({"guards": True}, {"really": 3, "ask": yes}, PASSES),
        ({"guards": True}, {"really": 3, "ask": no}, "not confirmed"),
        ({"guards": True}, {"yes": True, "really": 2}, "--yes-really 2 is not the number of writes"),
        ({"guards": True}, {"yes": True, "really": 0}, "--yes-really 0 is not the number of writes"),
        ({}, {"yes": True, "really": 4}, "--yes-really 4 is not the number of writes that the plan shows."),
        ({}, {"yes": True, "really": 3}, PASSES),
        # --yes-archive where anything is archived
        ({"archives": 2}, {"yes": True}, ARCHIVE),
        ({"archives": 2}, {"ask": never}, ARCHIVE),
        ({"archives": 2}, {"yes": True, "archive": 2}, PASSES),
        ({"archives": 2}, {"yes": True, "archive": 3}, "--yes-archive 3 is not the number of archives"),
        ({"archives": 0}, {"yes": True, "archive": 1}, "--yes-archive 1 is not the number of archives"),
        ({"archives": 2, "guards": True}, {"yes": True, "archive": 2}, REALLY),
        ({"archives": 2, "guards": True}, {"yes": True, "really": 3}, ARCHIVE),
        ({"archives": 2, "guards": True}, {}, "Add --yes-really COUNT --yes-archive COUNT --yes, with the numbers of "),
        ({"archives": 2, "guards": True}, {"yes": True, "really": 3, "archive": 2}, PASSES),
        # on a terminal the numbers are typed, and nothing else is asked; with --yes nothing is
        ({"guards": True}, {"ask": never, "number": typing("3")}, PASSES),
        ({"guards": True}, {"ask": never, "number": typing(" 3\n")}, PASSES),
        ({"guards": True}, {"ask": never, "number": typing("2")}, "2 is not the number of writes that the plan shows"),
        ({"guards": True}, {"ask": never, "number": typing("y")}, "y is not the number of writes that the plan shows"),
        ({"guards": True}, {"ask": never, "number": typing("")}, "not confirmed: nothing was changed."),
        ({"guards": True}, {"yes": True, "number": typing()}, REALLY),
        ({"guards": True}, {"really": 3, "ask": no, "number": typing()}, "not confirmed"),
        ({"guards": True, "writes": 1234}, {"number": typing("1,234")}, PASSES),
        ({"archives": 2}, {"ask": never, "number": typing("2")}, PASSES),
        ({"archives": 2}, {"ask": never, "number": typing("3")}, "3 is not the number of archives that the plan shows"),
        ({"archives": 2, "guards": True}, {"number": typing("3", "2")}, PASSES),
        ({"archives": 2, "guards": True}, {"really": 3, "number": typing("2")}, PASSES),
        ({"archives": 2, "guards": True}, {"number": typing("3", "3")}, "3 is not the number of archives"),
    ],
)  # fmt: skip
def test_confirming(what: dict[str, Any], said: dict[str, Any], wanted: str) -> None:
    """Exactly the flags that a plan asks for let it pass; a wrong count never does; a refusal names what is missing."""
    with time_machine.travel(NOON, tick=False):
        if wanted == PASSES:
            confirm(plan(**what), Confirmed(**said), Limits())
            return
        with pytest.raises(FixInput) as error:
            confirm(plan(**what), Confirmed(**said), Limits())
    assert wanted in str(error.value)


def test_no_message_holds_a_number_that_it_asks_for() -> None:
    """Neither a refusal nor a question says how many writes or archives there are: it says where that can be read."""
    asked: list[str] = []
    found = plan(writes=4711, archives=815, guards=True)
    with time_machine.travel(NOON, tick=False):
        for said in (
            Confirmed(), Confirmed(yes=True), Confirmed(really=7, archive=815), Confirmed(really=4711, archive=7),
            Confirmed(really=4711), Confirmed(archive=815), Confirmed(ask=never),
            Confirmed(number=lambda text: asked.append(text) or "12"),  # type: ignore[func-returns-value]
            Confirmed(really=4711, number=lambda text: asked.append(text) or "12"),  # type: ignore[func-returns-value]
        ):  # fmt: skip
            told = unconfirmed(lambda said=said: confirm(found, said, Limits()))  # type: ignore[misc]
            assert not {"4711", "815"} & set(re.findall(r"\d+", told)), told
    assert [text.count("half of all would change") for text in asked] == [1, 1]
    assert not {"4711", "815"} & set(re.findall(r"\d+", " ".join(asked)))


def test_the_question_and_the_refusal_name_the_guards_and_the_account() -> None:
    """Without a guard the number of writes and the server are asked about; a refusal lists every guard's sentence."""
    asked: list[str] = []
    with time_machine.travel(NOON, tick=False):
        confirm(plan(), Confirmed(ask=lambda text: not asked.append(text)), Limits())  # type: ignore[func-returns-value]
        with pytest.raises(FixInput, match="The plan trips 1 guard") as error:
            confirm(plan(guards=True), Confirmed(yes=True), Limits())
    assert asked == ["Make 3 writes (3 update) in http://127.0.0.1:1/v1?"]
    assert "\n  half of all would change" in str(error.value)


@pytest.mark.parametrize(("hours", "old"), [(0, False), (24, False), (24.01, True), (24 * 400, True)])
def test_an_old_plan_needs_a_second_word(hours: float, old: bool) -> None:
    """Beyond a day the plan's age is a guard like any other: --yes-really with its count lets it pass."""
    with time_machine.travel(NOON + timedelta(hours=hours), tick=False):
        confirm(plan(), Confirmed(yes=True, really=3), Limits())
        if not old:
            confirm(plan(), Confirmed(yes=True), Limits())
            return
        with pytest.raises(FixInput, match=r"the plan is .* old \(limit 1 day, 0:00:00\)"):
            confirm(plan(), Confirmed(yes=True), Limits())
        confirm(plan(), Confirmed(yes=True), Limits(max_age=timedelta(hours=hours)))


def unconfirmed(function: Callable[[], object]) -> str:
    with pytest.raises(FixInput) as error:
        function()
    return str(error.value)


def test_nothing_is_written_until_it_is_confirmed(tmp_path: Path) -> None:
    """Over HTTP: unconfirmed, wrongly confirmed and too old plans make no call; the right words make the change."""
    sandbox = account({"external_id": "a", "name": "A"}, {"external_id": "b", "name": "B"})
    with shop(tmp_path, sandbox=sandbox, max_age="1h") as it:
        made = it.plan(table({"external_id": "a", "name": "New"}), archive_missing=True).plan
        assert made is not None
        before, calls = state(sandbox), dict(sandbox.calls)

        def apply(*said: Any) -> Callable[[], object]:
            return lambda: job.apply(it.settings(), made.path, Confirmed(*said))

        assert (
            "--yes-really COUNT --yes-archive COUNT --yes, with the numbers of writes and of archives"
            in unconfirmed(apply())
        )
        assert "--yes-really 1 is not the number of writes that the plan shows" in unconfirmed(apply(True, 1, 1))
        assert "--yes-archive 2 is not the number of archives that the plan shows." in unconfirmed(apply(True, 2, 2))
        assert "not confirmed" in unconfirmed(apply(False, 2, 1, no))
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
            assert "Add --yes-really COUNT, with" in unconfirmed(apply(True, None, 1))
        assert (state(sandbox), dict(sandbox.calls)) == (before, calls)
        assert not list(tmp_path.glob("*.journal"))
        assert it.apply(made).exit_code == 0
        after = {row["external_id"]: (row["name"], row["status"]) for row in state(sandbox).values()}
        assert after == {"a": ("New", "published"), "b": ("B", "archived")}
