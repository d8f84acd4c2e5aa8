"""The sandbox beside a real server: every recorded request is sent to it, in order, and the two answers are compared.

Left out, and why:

- /entitlements/search, /features/search, /creditgrants and /plans/search: Flexsync does not call them, the sandbox has
  no such routes.
- `pagination.total` where the recording shows only some of the matches (TOTALS): the other rows were never seen.
- `x-request-id` and `date`, ids and times of the `rec-*` customers: made anew; equal times must stay equal times.
- `next_usage_reset_at` of customers seen only in a usage sample is compared, but proves nothing: the day and zone of
  their subscription were read from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from connector.sandbox import Clock, Sandbox
from connector.sandbox.recorded.exchanges import read

RECORDED = Path(__file__).parent / "recorded" / "real-server.jsonl"
ABSENT = ("/v1/entitlements/search", "/v1/features/search", "/v1/creditgrants", "/v1/plans/search")
TOTALS = (
    "search: metadata", "search: contains", "subscriptions: keyset", "subscriptions: next", "subscriptions: cancelled",
    "subscriptions: default", "subscriptions: changed since",
)  # fmt: skip
RANDOM = {"search: unknown field"}
ULID = re.compile(r"cust_01M84TK[0-9A-Z]{19}")
STAMP = re.compile(r"(?<=\")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z(?=\")")

EXCHANGES = read(RECORDED)


class Replay:
    """One sandbox, and what it answered to each exchange."""

    def __init__(self) -> None:
        self.sandbox = Sandbox.from_recorded(RECORDED)
        self.ids: dict[str, str] = {}
        self.answers = [self._send(number, exchange) for number, exchange in enumerate(EXCHANGES)]

    def _send(self, number: int, exchange: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        clock = self.sandbox.clock
        assert isinstance(clock, Clock)
        # the recorded Date has whole seconds, so a step of our own keeps the writes apart
        clock.start = parsedate_to_datetime(exchange["response"]["headers"]["date"]) + timedelta(milliseconds=number)
        request = exchange["request"]
        headers = dict(request["headers"])
        if headers.get("Authorization") == "<key>":
            headers["Authorization"] = "Bearer <key>"  # the recording hides the whole value
        query = [(name, self._own(value)) for name, value in request["query"]]
        body = self._own(request["body"]) if request["body"] is not None else None
        status, sent, answer = self.sandbox.answer(
            request["method"], self._own(request["path"]), query, body, key=None, headers=headers
        )
        if status == 201:
            self.ids[json.loads(exchange["response"]["body"])["id"]] = json.loads(answer)["id"]
        return status, sent, answer.decode()

    def _own(self, text: str) -> str:
        for theirs, ours in self.ids.items():
            text = text.replace(theirs, ours)
        return text

    def as_recorded(self, text: str) -> str:
        """Our answer with the recorded ids."""
        for theirs, ours in self.ids.items():
            text = text.replace(ours, theirs)
        return text


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


def numbered(*names: str) -> list[Any]:
    return [
        pytest.param(number, id=f"{number}-{exchange['name']}")
        for number, exchange in enumerate(EXCHANGES)
        if exchange["request"]["path"] not in ABSENT and (not names or exchange["name"] in names)
    ]


def ordered(value: Any) -> Any:
    """A JSON value in which the order of keys counts."""
    if isinstance(value, dict):
        return [(key, ordered(member)) for key, member in value.items()]
    return [ordered(member) for member in value] if isinstance(value, list) else (type(value).__name__, value)


@pytest.mark.parametrize("number", numbered())
def test_status_and_type_are_those_of_the_real_server(replay: Replay, number: int) -> None:
    """The sandbox answers with the recorded status, content type and redirect target."""
    name, recorded = EXCHANGES[number]["name"], EXCHANGES[number]["response"]
    status, headers, _ = replay.answers[number]
    if name in RANDOM:
        assert status in {400, 500}
    else:
        assert status == recorded["status"]
    assert headers.get("Content-Type") == recorded["headers"].get("content-type")
    assert headers.get("Location") == recorded["headers"].get("location")
    assert ("X-Request-Id" in headers) == ("x-request-id" in recorded["headers"])


@pytest.mark.parametrize("number", numbered())
def test_body_is_that_of_the_real_server(replay: Replay, number: int) -> None:
    """The sandbox answers with the recorded body: keys, order, types and values."""
    exchange = EXCHANGES[number]
    theirs, ours = exchange["response"]["body"] or "", replay.as_recorded(replay.answers[number][2])
    if exchange["name"] in RANDOM:
        assert ours in {e["response"]["body"] for e in EXCHANGES if e["name"] == exchange["name"]}
    elif replay.answers[number][0] >= 300 or not theirs:
        assert ours == theirs
    else:
        assert ordered(comparable(exchange, ours)) == ordered(comparable(exchange, theirs))


def comparable(exchange: dict[str, Any], text: str) -> Any:
    """A body without what cannot be known."""
    body = json.loads(STAMP.sub("at", text) if ULID.search(text) else text)
    if exchange["name"] in TOTALS:
        del body["pagination"]["total"]
    return body


def flow() -> list[int]:
    """The exchanges that make, change and archive the rec-* customers."""
    first, last = EXCHANGES.index(next(e for e in EXCHANGES if e["name"] == "create: all fields")), 0
    last = max(n for n, e in enumerate(EXCHANGES) if e["name"] == "create: external_id of an archived one")
    return list(range(first, last + 1))


def moments(bodies: Iterator[str]) -> list[list[int]]:
    """Each body's timestamps as numbers in order of first appearance, rounded to microseconds as the table does."""
    known: dict[str, int] = {}
    return [[known.setdefault(rounded(text), len(known)) for text in STAMP.findall(body)] for body in bodies]


def rounded(text: str) -> str:
    """A timestamp to the nearest microsecond."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return f"{whole}.{(int(fraction.ljust(9, '0')) + 500) // 1000:06d}" if fraction else f"{whole}.000000"


def test_times_of_the_written_customers_relate_as_recorded(replay: Replay) -> None:
    """PUT answers the old `updated_at`, a re-read the new one, POST's nanoseconds are stored rounded, as recorded."""
    places = [n for n in flow() if "/usage" not in EXCHANGES[n]["request"]["path"]]
    theirs = moments(EXCHANGES[n]["response"]["body"] or "" for n in places)
    ours = moments(replay.answers[n][2] for n in places)
    assert ours == theirs
    assert len({label for body in theirs for label in body}) > 8


def test_escaping_is_byte_for_byte(replay: Replay) -> None:
    """Angle brackets, ampersands and U+2028 are escaped as Go does, other letters are raw UTF-8."""
    places = [n for n, e in enumerate(EXCHANGES) if e["name"] in ("search: keyset first page", "get: integrations")]
    for number in places:
        assert replay.answers[number][2] == EXCHANGES[number]["response"]["body"]
    assert len(places) == 2
