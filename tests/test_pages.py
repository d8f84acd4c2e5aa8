"""Walks against answers made by hand: what a server that cheats, tears or stands still does to them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connector.api import calls
from connector.api.calls import Call, Reply
from connector.errors import Refused
from connector.pull.pages import FilterIgnoredError, Page, PageSize, Position, Walk, walk, walk_by_offset, with_body

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stamp(number: int) -> str:
    return calls.timestamp(NOON + timedelta(microseconds=number))


def item(id: str, moment: int) -> dict[str, Any]:
    return {"id": id, "created_at": stamp(moment), "updated_at": stamp(moment)}


class Script:
    """Answers that were written beforehand; keeps what was asked. An answer is its items, or items and a total."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: list[Any], list[Any]

    async def send(self, call: Call) -> Reply:
        self.asked.append(msgspec.json.decode(call.body) if call.body else dict(call.query))
        answer = self.answers.pop(0)
        if isinstance(answer, bytes):
            return Reply(200, answer)
        items, total = answer if isinstance(answer, tuple) else (answer, len(answer))
        body: dict[str, Any] = {"items": items}
        if total is not None:
            body["pagination"] = {"total": total}
        return Reply(200, msgspec.json.encode(body))


def walked(script: Script, by: str = "created_at", since: datetime | None = None, **given: Any) -> list[Page]:
    async def run() -> list[Page]:
        plan = Walk("customers", calls.search_customers, by, {"status": "published"}, since, **given)
        return [page async for page in walk(plan, script.send)]

    found = asyncio.run(run())
    assert not script.answers, "the walk ended before the script did"
    return found


def ids_of(pages: list[Page]) -> list[str]:
    return [id for page in pages for id in page.ids]


def test_a_walk_asks_from_a_microsecond_before_the_last_row() -> None:
    """Offset is never sent; the next page begins a microsecond before the last row; a page with nothing new ends it."""
    rows = [item(id, place) for place, id in enumerate("abcd")]
    script = Script((rows[:3], 4), rows[2:], rows[3:])
    found = walked(script)
    assert [page.ids for page in found] == [tuple("abc"), ("c", "d"), ("d",)]
    assert [page.position.done for page in found] == [False, False, True]
    first, second, third = script.asked
    assert "filters" not in first
    assert second["filters"] == [calls.after("created_at", NOON + timedelta(microseconds=1))]
    assert third["filters"] == [calls.after("created_at", NOON + timedelta(microseconds=2))]
    assert not any("offset" in body for body in script.asked)
    assert first["sort"] == calls.ascending("created_at", "id")


def test_a_page_that_came_short_does_not_end_a_walk() -> None:
    """Pages of one and two rows, though a thousand were asked for: every row is met (a gateway caps pages)."""
    rows = [item(id, place) for place, id in enumerate("abcde")]
    script = Script((rows[:1], 5), ([], 0), (rows[1:3], 4), (rows[2:4], 3), (rows[3:], 2), rows[4:])
    assert sorted(set(ids_of(walked(script)))) == list("abcde")


def test_without_totals_a_walk_ends_at_an_empty_page() -> None:
    """No `pagination`: a page that repeats the last row proves nothing, because the page may be capped at one row."""
    rows = [item(id, place) for place, id in enumerate("ab")]
    script = Script((rows[:1], None), ([], None), (rows[1:], None), ([], None), ([], None))
    assert ids_of(walked(script)) == ["a", "b"]
    assert script.asked[-1]["filters"] == [calls.after("created_at", NOON + timedelta(microseconds=1))]


def test_a_higher_total_is_asked_once_more_then_at_its_microsecond() -> None:
    """An answer with nothing new and a higher total: once more, then by `not_in`; what never comes is lacking."""
    rows = [item("a", 0), item("b", 1)]
    last = (rows[1:], 3)
    script = Script((rows, 3), last, last, ([], 2), ([], 2), ([], 0))
    found = walked(script)
    assert [page.position.step for page in found] == ["next", "next", "tie", "tie", "next", "next"]
    assert found[-1].position.done
    assert found[-1].position.lacking == 2
    script = Script((rows, 3), last, [item("b", 1), item("c", 2)], [item("c", 2)])
    assert ids_of(walked(script))[-1] == "c"


def test_a_total_without_rows_is_lacking_not_endless() -> None:
    """A listing that counts rows and sends none is asked twice; the rows are lacking."""
    found = walked(Script(([], 7), ([], 7)))
    assert (found[-1].position.done, found[-1].position.lacking) == (True, 7)


def test_a_crowd_is_asked_for_without_those_seen_until_none_comes() -> None:
    """A page of one microsecond: the rest of it is asked with `not_in`, and an empty page ends it."""
    crowd = [item("b", 1), item("c", 1), item("d", 1)]
    script = Script((crowd, 5), [item("e", 1)], [], [item("f", 2)], [item("f", 2)])
    assert ids_of(walked(script)) == list("bcdeff")
    at_one = NOON + timedelta(microseconds=1)
    assert script.asked[1]["filters"] == [calls.at("created_at", at_one), calls.not_among("id", ["b", "c", "d"])]
    assert script.asked[2]["filters"][1]["value"]["array"] == ["b", "c", "d", "e"]
    assert script.asked[3]["filters"] == [calls.after("created_at", at_one)]


def test_a_walk_by_updated_at_ends_three_pages_past_its_beginning() -> None:
    """A server that answers new rows for ever does not hold a walk: it ends three pages past the newest row."""
    answers = [([item(f"r{place}", place)], 99) for place in range(9)]
    found = walked(Script(*_untied(answers[:6])), by="updated_at", began=NOON + timedelta(microseconds=2))
    assert ids_of(found) == [f"r{place}" for place in range(6)]
    assert found[-1].position.done


def test_a_walk_of_changes_that_falls_short_begins_anew() -> None:
    """Two of three counted rows came: the walk begins anew. It is whole once what it counts comes; else, lacking."""
    rows = [item("a", 1), item("b", 2), item("c", 3)]
    kept = [rows[0], rows[2]]
    short, end = (kept, 3), ([rows[2]], 1)
    script = Script(short, end, (rows, 3), end)
    found = walked(script, by="updated_at", since=NOON)
    assert ids_of(found) == list("accabcc")
    assert [body["filters"][0]["value"]["date"] for body in script.asked][2] == calls.timestamp(NOON)
    left = walked(Script(short, end, (kept, 2), end), by="updated_at", since=NOON)  # one left the walk: archived
    assert (left[-1].position.done, left[-1].position.lacking) == (True, 0)
    never = walked(Script(*[short, end] * 3), by="updated_at", since=NOON)
    assert (never[-1].position.done, never[-1].position.lacking) == (True, 1)
    walked(Script(short, end), since=NOON)  # a walk of everything is counted by the certificate


def test_a_row_that_moves_on_is_not_missed_by_the_recount() -> None:
    """A row is edited after it was counted and before its page: it comes at the end, and costs no call more."""
    first, last = [item("a", 1), item("b", 2)], [item("b", 2), item("d", 4), item("c", 9)]
    found = walked(Script((first, 4), (last, 3), ([item("c", 9)], 1)), by="updated_at", since=NOON)
    assert set(ids_of(found)) == set("abcd")
    assert found[-1].position.lacking == 0


def _untied(answers: list[Any]) -> list[Any]:
    """Single rows, each followed by the empty answer about its microsecond; the last one ends the walk."""
    return [each for answer in answers for each in (answer, [])][:-1]


def test_a_walk_by_created_at_is_bounded() -> None:
    """`until` is part of every question, and a row at or after it says that the filter is ignored."""
    script = Script([item("a", 0)], [item("a", 0)])
    walked(script, until=NOON + timedelta(seconds=1))
    assert all(calls.before("created_at", NOON + timedelta(seconds=1)) in body["filters"] for body in script.asked)
    with pytest.raises(FilterIgnoredError):
        walked(Script([item("a", 7)]), until=NOON)


def test_a_refused_limit_is_halved() -> None:
    """A 400 about `limit` halves it until it is taken; the size stays for later walks. Another 400 raises."""
    size, asked = PageSize(), []

    async def send(call: Call) -> Reply:
        asked.append(msgspec.json.decode(call.body or b"{}")["limit"])
        if asked[-1] > 300:
            raise Refused("refused", status=400, details={"limit": "must be between 1 and 300"})
        return Reply(200, b'{"items":[],"pagination":{"total":0}}')

    plan = Walk("customers", calls.search_customers, "created_at", {}, size=size)
    asyncio.run(_all(walk(plan, send)))
    asyncio.run(_all(walk(plan, send)))
    assert (asked, size.refused) == ([1000, 500, 250, 250], 1000)
    other = Refused("refused", status=400, details={"status": "unknown"})
    assert not PageSize().halve(other)


async def _all(pages: Any) -> list[Page]:
    return [page async for page in pages]


def test_rows_without_a_moment_do_not_hold_a_walk() -> None:
    """A row whose `updated_at` no calendar has is passed; a page of nothing else ends the walk and lacks the rest."""
    odd = {"id": "x", "created_at": stamp(0), "updated_at": "2026-11-20T23:59:60Z"}
    script = Script([item("a", 0), odd, item("b", 1)], [item("b", 1)])
    assert ids_of(walked(script, by="updated_at")) == ["a", "x", "b", "b"]
    assert ids_of(walked(Script([item("a", 0), odd], [item("a", 0), odd]), by="updated_at")) == ["a", "x", "a", "x"]
    assert walked(Script([odd]), by="updated_at")[-1].position.lacking == 0
    assert walked(Script(([odd], 5)), by="updated_at")[-1].position.lacking == 4


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ([[item("old", -5)]], NOON),
        ([[item("equal", 0)]], NOON),
        ([[item("b", 2), item("a", 1)]], None),
        ([([item("b", 1), item("c", 1)], 9), [item("z", 7)]], None),
        ([([item("b", 1), item("c", 1)], 9), [item("b", 1)]], None),
    ],
)
def test_a_filter_or_sort_that_is_ignored_is_noticed(answers: list[Any], since: datetime | None) -> None:
    """Rows before the window, out of order, of another microsecond, or asked to be left out: the walk raises."""
    with pytest.raises(FilterIgnoredError):
        walked(Script(*answers), since=since)


@pytest.mark.parametrize("body", [b"[]", b'{"items":7}', b"<html>", b'{"items":[{"name":"no id"}'])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    """An answer of another shape is refused by name, never taken for an empty page."""
    with pytest.raises(Refused, match="customers"):
        walked(Script(body))


def test_a_position_survives_being_written_down() -> None:
    """Every field of a position comes back from JSON, and positions of before still read."""
    position = Position(after=NOON, open=("a", "b"), offset=3, left=7, done=True)
    assert msgspec.json.decode(msgspec.json.encode(position), type=Position) == position
    assert msgspec.json.decode(b'{"after":null,"open":null,"offset":0,"done":false}', type=Position) == Position()


def offset_walk(script: Script, start: Position | None = None) -> list[Page]:
    def make(limit: int, offset: int) -> Call:
        return calls.list_customers(limit=limit, offset=offset, status="archived", order="asc")

    found = asyncio.run(_all(walk_by_offset("old", make, script.send, start)))
    assert not script.answers
    return found


def test_old_servers_are_read_twice_over() -> None:
    """By offset, each page begins in the middle of the one that came; a page with nothing new ends it."""
    rows = [item(f"{n}", n) for n in range(6)]
    script = Script((rows[:4], 6), (rows[2:6], 6), (rows[4:], 6))
    found = offset_walk(script)
    assert [body.get("offset", "0") for body in script.asked] == ["0", "2", "4"]
    assert {(body["status"], body["order"], body["limit"]) for body in script.asked} == {("archived", "asc", "1000")}
    assert [page.position.done for page in found] == [False, False, True]


def test_an_offset_walk_goes_back_when_rows_left() -> None:
    """Four of six rows leave after the first page: the unread ones are the last, so the next page starts below them."""
    rows = [item(f"{n}", n) for n in range(8)]
    script = Script((rows[:4], 8), ([], 4), (rows[4:6], 4), (rows[5:7], 4), (rows[6:], 4), (rows[7:], 4))
    assert set(ids_of(offset_walk(script))) == {f"{n}" for n in range(8)}


def test_an_offset_walk_without_totals_ends_at_an_empty_page() -> None:
    """No `pagination`: the walk goes on by half pages until nothing comes."""
    rows = [item(f"{n}", n) for n in range(3)]
    script = Script((rows[:2], None), (rows[1:], None), (rows[2:], None), ([], None))
    assert set(ids_of(offset_walk(script))) == {"0", "1", "2"}


def test_keys_of_a_body_can_be_taken_out() -> None:
    """`with_body` adds, replaces and, with None, removes."""
    plan = Walk("w", calls.search_customers, "created_at", {"status": "published", "expand": "integrations"})
    assert with_body(plan, expand=None, status="archived").body == {"status": "archived"}
