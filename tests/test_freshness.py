"""connector.api.freshness: answers that a cache before the server kept are no answers of this run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import NOON, World, before, calm

from connector.api import calls
from connector.api.calls import Call, Reply
from connector.api.freshness import MOST, Freshness
from connector.errors import BudgetSpent
from connector.sandbox import Sandbox
from connector.sandbox import replies as sandbox
from connector.settings import Sync

STALE = int(Sync().overlap.total_seconds())
USAGE = calls.get_usage("cust_1")


class Kept(Sandbox):
    """A server behind a gateway that keeps every answer to a GET and says its age, whatever the request asks for."""

    caches = True

    def reply(
        self, method: str, path: str, query: Any, body: bytes | None, headers: Mapping[str, str]
    ) -> sandbox.Reply:
        kept: dict[str, tuple[sandbox.Reply, datetime]] = self.__dict__.setdefault("kept", {})
        found, at = kept.get(f"{method} {path} {query}", (None, NOON))
        if found is None or not self.caches:
            found, at = super().reply(method, path, query, body, headers), self.clock()
        if method == "GET" and found.status == 200 and self.caches:
            kept[f"{method} {path} {query}"] = found, at
            age = int((self.clock() - at).total_seconds())
            self.__dict__["old"] = self.__dict__.get("old", 0) + (age > STALE)
            found = sandbox.Reply(200, found.body, found.content_type, {**found.headers, "Age": str(age)})
        return found


@pytest.mark.sampled
@pytest.mark.parametrize("customers", [8, 60])
def test_answers_from_a_cache_make_no_green_run(
    customers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures of the last night, sent by a gateway, degrade the run and say why, for at most twenty calls more."""
    monkeypatch.setattr("connector.api.client.PAUSE", 0.0)
    server = calm(customers, kind=Kept)
    with server.running() as url:
        w = World(tmp_path, server, url, audit_sample=0)
        assert w.sync().status == "green"
        w.later(60_000)
        report = w.sync()
        told = [reason for reason in report.reasons if "from a cache before the server, up to 16:40:0" in reason]
        assert (report.status, len(told)) == ("degraded", 1)
        stored = int(told[0].split()[0])
        assert server.__dict__["old"] == stored + min(stored, MOST)
        server.caches = False  # type: ignore[attr-defined]
        w.later(60_000)
        assert w.sync().status == "green"
        w.check()


def spent(*_: Any) -> None:
    """End a run as --max-calls and --deadline do."""
    raise BudgetSpent("no calls are left")


def test_a_resumed_run_does_not_forget_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old figures that a stopped run stored keep it from being green, though it is resumed without the cache."""
    monkeypatch.setattr("connector.api.client.PAUSE", 0.0)
    server = calm(8, kind=Kept)
    with server.running() as url:
        w = World(tmp_path, server, url, audit_sample=0)
        assert w.sync(full=True).status == "green"
        w.later(60_000)
        with pytest.raises(BudgetSpent), before(close=spent):
            w.sync(full=True)
        server.caches = False  # type: ignore[attr-defined]
        report = w.sync(full=True)
        assert (report.status, report.resumed) == ("degraded", 1)
        assert any("from a cache before the server" in reason for reason in report.reasons)
        w.later(60)
        assert w.sync().status == "green"
        w.check()


def answer(date: float | None = 0, age: str = "") -> Reply:
    """An answer with a `Date`, in seconds after noon, and an `Age`."""
    moment = None if date is None else NOON + timedelta(seconds=date)
    return Reply(200, b"{}", moment, headers={"age": age} if age else {})


def kept(*answers: Reply, call: Call = USAGE) -> tuple[int, int]:
    """How many answers were asked for again, and how many stayed old; each next one follows from what was asked."""
    freshness, asked = Freshness(Sync().overlap), 0
    before: Reply | None = None
    for reply in answers:
        again = freshness.doubts(call, reply, before)
        before = reply if again else None
        asked += again
    assert bool(freshness.cached.faults()) is bool(freshness.cached.answers)
    return asked, freshness.cached.answers


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([answer(age="0"), answer(age=str(STALE)), answer(None)], (0, 0)),
        ([answer(age="60000"), answer(age="60001")], (1, 1)),
        ([answer(age="60000"), answer(age="3")], (1, 0)),
        ([answer(age=odd) for odd in ("soon", "-700", "7e9", "\u0667\u0667\u0667\u0667", "9" * 5000)], (0, 0)),
        ([answer(7200), answer(0), answer(0)], (1, 1)),
        ([answer(7200), answer(0), answer(1)], (1, 0)),
        ([answer(7200), answer(0), answer(7201)], (1, 0)),
        ([answer(0), answer(7200)], (0, 0)),
        ([answer(STALE), answer(0), answer(None)], (0, 0)),
    ],
)
def test_which_answers_are_asked_for_again(answers: list[Reply], found: tuple[int, int]) -> None:
    """An old `Age`, or a `Date` far behind that stands still; a clock of its own that moves on is none."""
    assert kept(*answers) == found


def test_not_thousands_of_calls_are_asked_again() -> None:
    """Twenty calls show what the gateway does; all old answers are counted."""
    assert kept(*[answer(age="60000")] * 1000) == (MOST, 1000 - MOST)
    clocks = [answer(7200), *(answer(second) for second in range(1000))]
    assert kept(*clocks) == (MOST, 0)


def test_a_write_is_never_asked_again() -> None:
    """Whatever age its answer claims."""
    assert kept(answer(age="60000"), call=calls.update_customer(id="cust_1", name="B")) == (0, 0)
