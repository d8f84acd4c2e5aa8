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
from connector.pull import pages
from connector.pull.pages import FilterIgnoredError, Page, PageSize, Position, Walk, walk, walk_by_offset, with_body

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stamp(number: int) -> str:
    return calls.timestamp(NOON + timedelta(microseconds=number))


def item(id: str, moment: int) -> dict[str, Any]:
    return {"id": id, "created_at": stamp(moment), "updated_at": stamp(moment)}


class Script:
    """Answers that were written beforehand; keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: list[Any], list[Any]

    async def send(self, call: Call) -> Reply:
        self.asked.append(msgspec.json.decode(call.body) if call.body else dict(call.query))
        items = self.answers.pop(0)
        body = items if isinstance(items, bytes) else msgspec.json.encode({"items": items, "pagination": {"total": 9}})
        return Reply(200, body)


def walked(script: Script, by: str = "created_at", since: datetime | None = None, limit: int = 4) -> list[Page]:
    async def run() -> list[Page]:
        plan = Walk("customers", calls.search_customers, by, {"status": "published"}, since, size=PageSize(limit))
        return [page async for page in walk(plan, script.send)]

    return asyncio.run(run())


def test_a_walk_asks_from_a_microsecond_before_the_last_row() -> None:
    """Offset is never sent; the next page begins one microsecond before the last row; a short page ends the walk."""
    script = Script([item(id, place) for place, id in enumerate("abcd")], [item("d", 3), item("e", 9)])
    found = walked(script)
    assert [page.ids for page in found] == [tuple("abcd"), ("d", "e")]
    assert [page.position.done for page in found] == [False, True]
    first, second = script.asked
    assert "filters" not in first
    assert second["filters"] == [calls.after("created_at", NOON + timedelta(microseconds=2))]
    assert not any("offset" in body for body in script.asked)
    assert first["sort"] == calls.ascending("created_at", "id")


def test_a_crowd_is_asked_for_without_those_seen_until_none_comes() -> None:
    """Three of four rows at one microsecond: the rest of it is asked with `not_in`, and an empty page ends it."""
    crowd = [item("a", 0), item("b", 1), item("c", 1), item("d", 1)]
    script = Script(crowd, [item("e", 1)], [], [item("f", 2)])
    found = walked(script)
    assert [id for page in found for id in page.ids] == list("abcdef")
    at_one = NOON + timedelta(microseconds=1)
    assert script.asked[1]["filters"] == [calls.at("created_at", at_one), calls.not_among("id", ["b", "c", "d"])]
    assert script.asked[2]["filters"][1]["value"]["array"] == ["b", "c", "d", "e"]
    assert script.asked[3]["filters"] == [calls.after("created_at", at_one)]


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ([[item("old", -5)]], NOON),
        ([[item("equal", 0)]], NOON),
        ([[item("b", 2), item("a", 1)]], None),
        ([[item("a", 0), item("b", 1), item("c", 1), item("d", 1)], [item("z", 7)]], None),
        ([[item("a", 0), item("b", 1), item("c", 1), item("d", 1)], [item("b", 1)]], None),
    ],
)
def test_a_filter_or_sort_that_is_ignored_is_noticed(answers: list[Any], since: datetime | None) -> None:
    """Rows before the window, out of order, of another microsecond, or asked to be left out: the walk raises."""
    with pytest.raises(FilterIgnoredError):
        walked(Script(*answers), since=since)


@pytest.mark.parametrize("body", [b"[]", b'{"items":7}', b"<html>", b'{"items":[{"name":"no id"}]}'])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    """An answer of another shape is refused by name, never taken for an empty page."""
    with pytest.raises(Refused, match="customers"):
        walked(Script(body))


def test_a_row_without_its_moment_is_refused() -> None:
    """A walk cannot stand on a row that has no `updated_at`."""
    with pytest.raises(Refused, match="x has no updated_at"):
        walked(Script([{"id": "x", "created_at": stamp(0)}]), by="updated_at")


def test_a_position_survives_being_written_down() -> None:
    """Every field of a position comes back from JSON, and positions of before still read."""
    position = Position(after=NOON, open=("a", "b"), offset=3, left=7, done=True)
    assert msgspec.json.decode(msgspec.json.encode(position), type=Position) == position
    assert msgspec.json.decode(b'{"after":null,"open":null,"offset":0,"done":false}', type=Position) == Position()


def test_old_servers_are_read_twice_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """By offset, each page begins half a page after the last one, oldest first, and a short page ends it."""
    monkeypatch.setattr(pages, "PAGE", 4)
    script = Script(*[[item(f"{n}{i}", i) for i in range(4)] for n in range(2)], [item("x", 9)])

    async def run() -> list[Page]:
        return [page async for page in walk_by_offset("old", "archived", script.send, Position(offset=2))]

    found = asyncio.run(run())
    assert [body["offset"] for body in script.asked] == ["2", "4", "6"]
    assert {(body["status"], body["order"], body["limit"]) for body in script.asked} == {("archived", "asc", "4")}
    assert [page.position.done for page in found] == [False, False, True]


def test_keys_of_a_body_can_be_taken_out() -> None:
    """`with_body` adds, replaces and, with None, removes."""
    plan = Walk("w", calls.search_customers, "created_at", {"status": "published", "expand": "integrations"})
    assert with_body(plan, expand=None, status="archived").body == {"status": "archived"}
