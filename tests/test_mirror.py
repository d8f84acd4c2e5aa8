"""`--archive-missing`: whom a file does not name is archived, unless a subscription or a doubt speaks for it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import Recorder, account, assert_never_empty, id_of, shop, state, table
from sizes import examples
from support import Bent, Direct, subscriptions_of

from connector.errors import FixInput, Refused
from connector.push.account.subscribed import subscribed
from connector.push.file.rows import read_rows
from connector.push.plan.entry import Entry
from connector.push.plan.mirror import missing, named
from connector.push.plan.planfile import Plan
from connector.sandbox import Faults, Sandbox

STATUSES = ("active", "trialing", "paused", "incomplete", "draft", "cancelled")


def known(text: str, match: str = "external_id") -> Set[int]:
    """Whom a file names."""
    with read_rows(io.BytesIO(text.encode()), match=match) as rows:
        return named(rows)


def strangers(sandbox: Sandbox, text: str, **options: Any) -> list[Entry]:
    """What a mirror plans beside the rows of the file, in process."""

    async def go() -> list[Entry]:
        return [entry async for batch in missing(known(text, **options), send) for entry in batch]

    send = Recorder(sandbox)
    try:
        return asyncio.run(go())
    finally:
        assert_never_empty(send.bodies())


def archived(found: list[Entry]) -> list[str]:
    return [entry.external_id for entry in found if entry.do == "archive"]


def kept(found: list[Entry]) -> list[str]:
    return [entry.external_id for entry in found if entry.do == "conflict"]


def test_exactly_the_published_ones_that_the_file_does_not_name() -> None:
    """Named ones, by external_id or by id, and archived ones are left alone; the rest is archived, as it was read."""
    sandbox = account(*({"external_id": key} for key in "abcd"), {"external_id": "gone", "status": "archived"})
    text = table({"external_id": "a"}, {"external_id": "x", "id": id_of(sandbox, "b")}, {"external_id": "gone"})
    found = strangers(sandbox, text)
    assert [(entry.do, entry.line, entry.id) for entry in found] == [
        ("archive", 0, id_of(sandbox, "c")), ("archive", 0, id_of(sandbox, "d"))
    ]  # fmt: skip
    assert all(len(entry.precondition) == 32 and not entry.set for entry in found)


@pytest.mark.parametrize("status", STATUSES)
def test_a_subscription_that_is_not_cancelled_keeps_its_customer(status: str) -> None:
    """Every status but cancelled is a conflict that says so, though the server blocks on `active` alone."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"})
    sandbox.add_subscription(id_of(sandbox, "b"), status=status)
    found = strangers(sandbox, table({"external_id": "other"}))
    if status == "cancelled":
        assert (archived(found), kept(found)) == (["a", "b"], [])
        return
    assert (archived(found), kept(found)) == (["a"], ["b"])
    assert found[1].why == f"not in the file, but it has a subscription ({status}): cancel that first."


def test_one_live_subscription_among_cancelled_ones_is_enough() -> None:
    """A customer with several is kept for the one that is not cancelled."""
    sandbox = account({"external_id": "a"})
    for status in ("cancelled", "cancelled", "trialing", "cancelled"):
        sandbox.add_subscription(id_of(sandbox, "a"), status=status)
    assert kept(strangers(sandbox, table({"external_id": "other"}))) == ["a"]


def test_rows_that_are_invalid_or_in_conflict_still_name_their_customer() -> None:
    """Whatever becomes of a row, the customers that it speaks of by either key are not archived."""
    sandbox = account(*({"external_id": key} for key in "abc"))
    text = table({"external_id": "a", "metadata": "no json"}, {"external_id": "b", "id": id_of(sandbox, "c")})
    assert strangers(sandbox, text) == []


def test_nothing_else_in_the_account_is_looked_at_differently() -> None:
    """Keys are compared exactly: other case or spaces are other customers, and those are archived."""
    sandbox = account(*({"external_id": key} for key in ("a", "A", "a ", "\\N")))
    assert archived(strangers(sandbox, table({"external_id": "a"}, {"external_id": "\\\\N"}))) == ["A", "a "]


def test_two_external_ids_of_one_customer(tmp_path: Path) -> None:
    """By id: a row that renames its customer names both the id and the new key; nobody is archived for the old one."""
    people = (
        {"external_id": "old", "metadata": {}},
        {"external_id": "kept"},
        {"external_id": "taken"},
        {"external_id": "x"},
    )
    with shop(tmp_path, *people, max_share=1.0) as it:
        rows = [
            {"id": id_of(it.sandbox, "old"), "external_id": "new"},
            {"id": id_of(it.sandbox, "kept"), "external_id": "taken"},
        ]
        found = it.plan(table(*rows), match="id", archive_missing=True)
        assert found.plan is not None
        planned = [(entry.do, entry.external_id) for entry in found.plan.entries()]
    assert planned == [("update", "old"), ("conflict", "taken"), ("archive", "x")]


def test_counts_guard_and_apply(tmp_path: Path) -> None:
    """Archives are counted apart, trip their guard, and are carried out: exactly those customers are archived then."""
    with shop(tmp_path, *({"external_id": f"e{n}", "name": "N"} for n in range(8))) as it:
        it.sandbox.add_subscription(id_of(it.sandbox, "e7"))
        before = state(it.sandbox)
        found = it.plan(table(*({"external_id": f"e{n}", "name": "N"} for n in range(4))), archive_missing=True)
        counts = found.counts
        assert (counts.archive, counts.unchanged, counts.conflict, counts.writes) == (3, 4, 1, 3)
        assert (found.exit_code, [guard.name for guard in found.guards]) == (1, ["max_archives"])
        assert found.plan is not None
        assert Plan.read(found.plan.path).header.options["archive_missing"] is True
        assert it.apply(found).exit_code == 0
        gone = {id for id, row in state(it.sandbox).items() if row["status"] == "archived"}
        assert {before[id]["external_id"] for id in gone} == {"e4", "e5", "e6"}
        again = it.plan(table(*({"external_id": f"e{n}", "name": "N"} for n in range(4))), archive_missing=True)
        assert (again.counts.archive, again.counts.writes, again.counts.conflict) == (0, 0, 1)


@pytest.mark.parametrize(
    "bad",
    [
        {"external_id": ""}, {"external_id": "b", "metadata": "no json"}, {"external_id": "a", "name": "twice"},
    ],
)  # fmt: skip
def test_a_file_with_an_invalid_row_is_refused(tmp_path: Path, bad: dict[str, str]) -> None:
    """One row with a fault, and nothing is planned or read: its customer might be archived for a slip of the hand."""
    with shop(tmp_path, {"external_id": "a", "name": "A"}, {"external_id": "b"}) as it:
        it.sandbox.calls.clear()
        rows = [{"external_id": "c", "name": "C"}, {"external_id": "a", "name": "B"}, {"name": "x", **bad}]
        with pytest.raises(FixInput, match=r"that (is|are) invalid or meets? no customer, and --archive-missing would"):
            it.plan(table(*rows), archive_missing=True)
        assert it.sandbox.calls == {}
        assert not it.path("customers.plan").exists()


def test_a_file_of_invalid_rows_alone_archives_nobody(tmp_path: Path) -> None:
    """Where nothing can be planned for the rows, nothing is planned for anybody else either, and no call is made."""
    with shop(tmp_path, {"external_id": "a", "name": "A"}, {"external_id": "b"}) as it:
        it.sandbox.calls.clear()
        found = it.plan(table({"external_id": "a", "metadata": "no json"}), archive_missing=True)
        assert (found.plan, found.exit_code, found.counts.archive) == (None, 2, 0)
        assert it.sandbox.calls == {}


def test_without_the_flag_nobody_is_archived(tmp_path: Path) -> None:
    """A plain plan has no archive, whoever is not in the file."""
    with shop(tmp_path, *({"external_id": key, "name": "N"} for key in "abc")) as it:
        found = it.plan(table({"external_id": "a", "name": "M"}))
        assert found.plan is not None
        assert [entry.do for entry in found.plan.entries()] == ["update"]


# --- calls, and servers that answer strangely ---------------------------------------------------------------------


@pytest.mark.sampled
def test_every_customer_is_met_once_in_an_account_of_many_pages() -> None:
    """5,000 customers: each published one that the file lacks and that has no live subscription, exactly once."""
    sandbox = Sandbox(customers=5000, ties=1500)
    people = [row for row in state(sandbox).values() if row["status"] == "published"]
    busy = {row["customer_id"] for row in subscriptions_of(sandbox) if row["subscription_status"] != "cancelled"}
    names = {row["id"] for row in people[::3]}
    sandbox.log.clear()
    found = strangers(sandbox, table(*({"external_id": row["external_id"]} for row in people[::3])))
    rest = [row for row in people if row["id"] not in names]
    assert sorted(entry.id for entry in found) == sorted(row["id"] for row in rest)
    assert sorted(entry.id for entry in found if entry.do == "conflict") == sorted(
        row["id"] for row in rest if row["id"] in busy
    )
    assert busy
    for _, path, _, body in sandbox.log:
        asked = json.loads(body or b"")
        if path.endswith("/subscriptions/search"):
            (condition,) = asked["filters"]
            assert 0 < len(condition["value"]["array"]) <= 1000
            assert "cancelled" not in asked["subscription_status"]
        else:
            assert asked["status"] == "published"
            assert asked.get("filters") != []


def test_more_subscriptions_than_a_page_holds() -> None:
    """A customer with a thousand subscriptions does not hide that of another one in the same question."""
    sandbox = account(*({"external_id": key} for key in "abc"))
    a, b, c = sandbox.customer_ids()
    for _ in range(1100):
        sandbox.add_subscription(a)
    sandbox.add_subscription(c, status="paused")
    found = asyncio.run(subscribed(Direct(sandbox).send, [a, b, c]))
    assert found == {a: "active", c: "paused"}


@pytest.mark.sampled
def test_customers_come_and_go_during_the_walk() -> None:
    """While others are created, archived and changed between the calls, nobody who was there all the time is missed."""
    sandbox = Sandbox(customers=3000)
    before = {row["id"] for row in state(sandbox).values() if row["status"] == "published"}
    spared = sorted(before)[::50]
    turn = iter(range(10**6))

    def change() -> None:
        n = next(turn)
        for k in range(20):
            sandbox.create_customer(external_id=f"late {n} {k}")
        ids = [id for id in sandbox.customer_ids() if id not in spared]
        sandbox.archive_customer(ids[n * 7 % len(ids)])
        sandbox.update_customer(spared[n % len(spared)], name=f"Changed {n}")

    sandbox.between_calls(change)
    found = strangers(sandbox, table({"external_id": "nobody"}))
    ids = [entry.id for entry in found]
    assert len(ids) == len(set(ids))
    assert set(spared) <= set(ids)


def test_a_server_that_ignores_filters_is_refused() -> None:
    """A walk that cannot be trusted plans no archive."""
    sandbox = Sandbox(customers=2500, faults=Faults(old=frozenset({"filters_ignored"})))
    everyone = table(*({"external_id": row["external_id"]} for row in state(sandbox).values()))
    with pytest.raises(Refused, match="the filter said after") as error:
        strangers(sandbox, everyone)
    assert "too old" in error.value.remedy
    with pytest.raises(Refused, match="answered with those of others"):
        strangers(sandbox, table({"external_id": "nobody"}))


def test_an_answer_about_other_customers_subscriptions_is_refused() -> None:
    """Were the question for some customers' subscriptions ignored, nobody could be said to have none."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, kind=Bent)
    assert isinstance(sandbox, Bent)
    sandbox.add_subscription(id_of(sandbox, "a"))
    items = subscriptions_of(sandbox)
    for body in ({"items": items}, {"items": 5}):
        sandbox.bend = lambda route, path, query, reply, body=body: body if route == "subscriptions" else None  # type: ignore[misc]
        with pytest.raises(Refused, match="subscriptions"):
            strangers(sandbox, table({"external_id": "a"}))


def test_a_customer_that_is_no_customer_is_refused() -> None:
    """A page whose rows are not those of customers ends the walk with a sentence."""
    sandbox = account({"external_id": "a"}, kind=Bent)
    assert isinstance(sandbox, Bent)

    def bend(route: str, path: Any, query: Any, body: Any) -> Any:
        return {**body, "items": [{**item, "name": None} for item in body["items"]]}

    sandbox.bend = bend
    with pytest.raises(Refused, match="not answered with a page of customers"):
        strangers(sandbox, table({"external_id": "b"}))


# --- any account --------------------------------------------------------------------------------------------------

KEYS = ["a", "A", "a ", "b", "\\N", "ü"]
people_of = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from(["published", "archived"]),
        st.lists(st.sampled_from(STATUSES), max_size=2),
    ),
    max_size=6,
    unique_by=lambda p: (p[0], p[1]),
)
FEW = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(people_of, st.sets(st.sampled_from(KEYS), max_size=4), st.sets(st.integers(0, 5), max_size=2))
def test_a_mirror_equals_a_plain_model(people: list[Any], keys: set[str], places: set[int]) -> None:
    """Random accounts and files: archives and conflicts are those that a filter over the account gives."""
    sandbox = account()
    made = []
    for key, status, subscriptions in people:
        row = sandbox.create_customer(external_id=key, status=status)
        made.append((row["id"], key, status, subscriptions))
        for each in subscriptions:
            sandbox.add_subscription(row["id"], status=each)
    ids = {made[place][0] for place in places if place < len(made)}
    rows = [{"external_id": key.replace("\\N", "\\\\N"), "id": ""} for key in keys]
    rows += [{"external_id": f"free {n}", "id": id} for n, id in enumerate(sorted(ids))]
    found = strangers(sandbox, table(*rows, columns=("external_id", "id")))
    left = [p for p in made if p[2] == "published" and p[1] not in keys and p[0] not in ids]
    live = [p for p in left if set(p[3]) - {"cancelled"}]
    assert [(entry.id, entry.do) for entry in found] == [(p[0], "conflict" if p in live else "archive") for p in left]
