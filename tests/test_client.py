"""connector.api.client against real servers on loopback: what goes out, what comes back, what is asked again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import os
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time
import traceback
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
import tenacity
from aiohttp import web

from connector.api import calls, models, transport
from connector.api.client import FAILED_IN_A_ROW
from connector.api.flow import Gate
from connector.api.retries import Retry
from connector.clients.asynchronous import AsyncFlexprice
from connector.clients.blocking import Flexprice
from connector.errors import (
    AccessRefused,
    BudgetSpent,
    Conflict,
    FixInput,
    FlexsyncError,
    KeyRefused,
    NotFound,
    Refused,
    SkipRow,
    StopRun,
    UnknownOutcome,
    Unreachable,
)
from connector.settings import load

KEY = "sk_MARKER0123456789MARKER"
CUSTOMER = {"id": "cust_1", "external_id": "e1", "name": "Acme", "status": "published", "metadata": None}
USAGE = calls.get_usage("cust_1")
LISTING = calls.search_customers(limit=1)
READ = calls.get_customer("cust_1")
CREATE = calls.create_customer(external_id="e1", name="Acme")
UPDATE = calls.update_customer(id="cust_1", name="B")
DELETE = calls.delete_customer("cust_1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Step = tuple[int, object] | tuple[int, object, dict[str, str]]


def eager(attempts: int = 6) -> Retry:
    return Retry(attempts, tenacity.wait_none())


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def speaking(talk: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server below HTTP, for answers that no web framework would send. `talk` gets each request's head."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                await talk(head, writer)
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


class Script:
    """A handler that gives its answers in order, the last one for ever, and remembers what was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.seen: list[web.Request] = []

    async def __call__(self, request: web.Request) -> web.Response:
        await request.read()
        self.seen.append(request)
        status, body, *headers = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers[0] if headers else None)
        return web.json_response(body, status=status, headers=headers[0] if headers else None)


def ask(script: Handler, call: calls.Call = READ, *, times: int = 1, **options: object) -> object:
    """Send one call to a server that follows `script`; the reply, or the error itself."""

    async def main() -> object:
        async with serving(script) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            options.setdefault("retries", eager())
            for _ in range(times):
                try:
                    found: object = await api.send(call, **options)  # type: ignore[arg-type]
                except FlexsyncError as error:
                    found = error
            return found

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FLEXPRICE_API_KEY",
        "FLEXPRICE_BASE_URL",
        "FLEXSYNC_CONFIG",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- what goes out ------------------------------------------------------------------------------------------------


def test_key_goes_into_one_header_only() -> None:
    """The key is in x-api-key and nowhere else in a request; the other headers are as promised."""

    async def main() -> web.Request:
        script = Script((200, CUSTOMER))
        async with serving(script) as base, AsyncFlexprice(base_url=base, api_key=KEY, environment_id="env_1") as api:
            await api.get_customer("cust_1", retries=eager(1))
        return script.seen[0]

    request = asyncio.run(main())
    assert [name for name, value in request.headers.items() if KEY in value] == ["x-api-key"]
    assert KEY not in request.path_qs
    assert request.headers["X-Environment-ID"] == "env_1"
    assert request.headers["User-Agent"].startswith("flexsync/")
    assert request.headers["Accept-Encoding"] == "gzip"
    assert (request.headers["Cache-Control"], request.headers["Pragma"]) == ("no-cache", "no-cache")
    assert "Authorization" not in request.headers


def test_key_header_name_is_a_setting(tmp_path: Path) -> None:
    """A deployment that reads the key from another header gets it there, and not in x-api-key."""
    script = Script((200, CUSTOMER))

    async def main() -> None:
        config = tmp_path / "c.toml"
        config.write_text('[api]\nkey_header = "x-other"\n')
        async with serving(script) as base:
            settings = load(config, environ={}, base_url=base, api_key=KEY)
            async with AsyncFlexprice(settings) as api:
                await api.get_customer("cust_1")

    asyncio.run(main())
    assert script.seen[0].headers["x-other"] == KEY
    assert "x-api-key" not in script.seen[0].headers


@pytest.mark.parametrize(
    "odd", ["a b", "100%", "a+b", "ü€😀", "a?b=c&d", "a#b", "~a", "%2F", "%41", "a;b,c", "a:b@c", '"', "a\\b"]
)
def test_odd_ids_arrive_unchanged(odd: str) -> None:
    """An id of any characters reaches the server as it is, in a path and in a query."""
    script = Script((200, {}))
    ask(script, calls.get_customer(odd))
    ask(script, calls.get_usage(odd, feature_ids=[odd, "x"]))
    assert unquote(script.seen[0].raw_path.rsplit("/", 1)[1]) == odd
    assert script.seen[1].query.getall("feature_ids") == [odd, "x"]
    assert script.seen[1].query["customer_id"] == odd


def test_body_is_sent_as_json() -> None:
    """A search is a POST whose body is the filter, byte for byte, with its content type."""
    bodies: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        assert request.headers["content-type"] == "application/json"
        return web.json_response({"items": []})

    ask(handler, LISTING)
    assert bodies == [LISTING.body]


def test_redirect_is_refused_and_key_stays() -> None:
    """A redirect to another host is an error that names it; that host never hears from us."""
    other = Script((200, CUSTOMER))

    async def main() -> str:
        async with serving(other) as elsewhere:
            script = Script((302, b"<html>moved</html>", {"Location": f"{elsewhere}/customers?k={KEY}"}))
            async with serving(script) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
                with pytest.raises(Unreachable) as caught:
                    await api.send(READ, retries=eager())
            assert elsewhere in str(caught.value)
            assert len(script.seen) == 1
            return str(caught.value)

    text = asyncio.run(main())
    assert other.seen == []
    assert KEY not in text


# --- what comes back ----------------------------------------------------------------------------------------------


def test_reply_carries_clock_and_request_id() -> None:
    """A reply has the server's clock in UTC, its request id, the seconds it took and the number of attempts."""
    date = "Sat, 01 Aug 2026 09:30:15 GMT"
    reply = ask(Script((503, {}), (200, CUSTOMER, {"Date": date, "X-Request-Id": "req_1"})))
    assert isinstance(reply, calls.Reply)
    assert reply.date == datetime(2026, 8, 1, 9, 30, 15, tzinfo=UTC)
    assert (reply.request_id, reply.attempts, reply.status) == ("req_1", 2, 200)
    assert 0 < reply.elapsed < 30
    assert reply.json() == CUSTOMER
    assert reply.headers["x-request-id"] == "req_1"


def test_reply_says_when_its_exchange_ran() -> None:
    """A reply has the moments at which the answered exchange began and ended; failed attempts do not count."""
    times: list[float] = []

    async def handler(_: web.Request) -> web.Response:
        times.append(time.monotonic())
        await asyncio.sleep(0.05)
        return web.json_response({}, status=503 if len(times) == 1 else 200)

    reply = ask(handler)
    assert isinstance(reply, calls.Reply)
    assert times[0] + 0.05 <= reply.began <= times[1]
    assert times[1] + 0.05 <= reply.ended == reply.began + reply.elapsed <= time.monotonic()
    assert calls.Reply(200, b"{}").began == 0


def test_reply_without_a_sane_date_has_none() -> None:
    """A Date header that is none does not stop anything: the reply's date is None."""
    reply = ask(Script((200, CUSTOMER, {"Date": "yesterday"})))
    assert isinstance(reply, calls.Reply)
    assert reply.date is None


WHOLE = json.dumps(CUSTOMER).encode()
PACKED = {
    "one member": ("gzip", gzip.compress(WHOLE)),
    "its old name": ("x-gzip", gzip.compress(WHOLE)),
    "in capitals": (" GZip ", gzip.compress(WHOLE)),
    "two members": ("gzip", gzip.compress(WHOLE[:40]) + gzip.compress(WHOLE[40:])),
    "an empty member": ("gzip", gzip.compress(WHOLE) + gzip.compress(b"")),
    "zeros behind": ("gzip", gzip.compress(WHOLE) + bytes(100)),
    "not compressed": ("identity", WHOLE),
    "larger than what is inflated at once": ("gzip", gzip.compress(WHOLE + b" " * 3_000_000)),
}


@pytest.mark.parametrize("how", PACKED)
def test_compressed_body_is_unpacked(how: str) -> None:
    """A body that a proxy compressed arrives as the JSON it was, however it is cut into members."""
    coding, packed = PACKED[how]
    reply = ask(Script((200, packed, {"Content-Encoding": coding})))
    assert isinstance(reply, calls.Reply)
    assert reply.json() == CUSTOMER


@pytest.mark.parametrize(
    ("coding", "packed", "said"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(WHOLE)), "has the coding 'gzip, gzip', and gzip alone"),
        ("br", WHOLE, "has the coding 'br', and gzip alone"),
        ("gzip", gzip.compress(WHOLE)[:-9], "was cut off"),
        ("gzip", WHOLE, "cannot be decompressed"),
        ("gzip", gzip.compress(WHOLE) + b"garbage", "cannot be decompressed"),
    ],
    ids=["twice", "another", "cut off", "none", "garbage behind"],
)
def test_another_coding_is_told(coding: str, packed: bytes, said: str) -> None:
    """What was not asked for, or is broken, is called so, and not foreign JSON."""
    error = ask(Script(*[(200, packed, {"Content-Encoding": coding})] * 8))
    assert isinstance(error, Unreachable)
    assert said in str(error)


def test_a_body_that_grows_is_stopped_while_it_grows() -> None:
    """A few hundred kilobytes that become 100 MB cost no more than 64 MB."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(100)) + packer.flush()
    tracemalloc.start()
    try:
        error = ask(Script((200, bomb, {"Content-Encoding": "gzip"})))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, Refused)
    assert "larger than 48 MiB once it is decompressed" in str(error)
    assert peak < 64 * 2**20


@pytest.mark.parametrize("packed", [False, True])
def test_endless_body_is_refused(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    """A body beyond any page's size is refused, also when it only grows while being unpacked."""
    monkeypatch.setattr(transport, "BIGGEST", 10_000)
    monkeypatch.setattr(transport, "MOST_INFLATED", 10_000)
    body = b'{"a":"' + b"x" * 200_000 + b'"}'
    step = (200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else (200, body)
    error = ask(Script(step))
    assert isinstance(error, Refused)
    assert "larger" in str(error)


def test_delete_answers_nothing() -> None:
    """204 with an empty body is a success."""
    reply = ask(Script((204, b"")), DELETE)
    assert isinstance(reply, calls.Reply)
    assert reply.body == b""


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (403, AccessRefused), (404, NotFound), (409, Conflict), (418, Refused), (501, Refused)],
)
def test_final_answers_are_asked_once(status: int, kind: type[FlexsyncError]) -> None:
    """A status that repeats for ever is reported after one exchange, with the server's own words."""
    script = Script((status, {"code": "c_1", "message": "what went wrong", "details": {"limit": "too big"}}))
    call = USAGE if status == 404 else LISTING  # a listing that is not there says that the address is wrong
    error = ask(script, call)
    assert type(error) is kind
    assert len(script.seen) == 1
    for part in (str(status), "c_1", "what went wrong", "too big", call.operation):
        assert part in str(error)
    assert isinstance(error, SkipRow | StopRun)
    assert error.details == {"limit": "too big"}  # who lists halves its page by this (contract.md 2.4)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable_and_its_address(status: int) -> None:
    """401 and 403 say where the key comes from and where it was sent, and never the key itself."""

    async def main() -> str:
        async with serving(Script((status, {"error": "Unauthorized"}))) as base:
            settings = load(environ={"OUR_KEY": KEY}, base_url=base, key_env="OUR_KEY")
            async with AsyncFlexprice(settings) as api:
                with pytest.raises(KeyRefused if status == 401 else AccessRefused) as caught:
                    await api.send(READ, retries=eager())
                assert base in str(caught.value)
                return str(caught.value)

    text = asyncio.run(main())
    assert "OUR_KEY" in text
    assert KEY not in text


UNKNOWN = {"code": "not_found", "message": "Customer with ID cust_1 was not found"}


@pytest.mark.parametrize(
    ("call", "body"), [(LISTING, b"404 page not found"), (USAGE, b"404 page not found"), (LISTING, {"detail": "none"})]
)
def test_a_404_before_anything_was_answered_means_a_wrong_address(call: calls.Call, body: object) -> None:
    """An address that has no such path is the user's input: the error names it, and what it lacks."""
    script = Script((404, body))
    error = ask(script, call)
    assert type(error) is FixInput
    assert len(script.seen) == 1
    for part in ("base_url http://127.0.0.1:", "404", "/v1", "--base-url"):
        assert part in str(error)


@pytest.mark.parametrize(
    ("call", "steps"),
    [
        (USAGE, [(404, UNKNOWN)]),
        (USAGE, [(200, CUSTOMER), (404, b"404 page not found")]),
        (LISTING, [(200, {"items": []}), (404, b"404 page not found")]),
    ],
)
def test_a_404_of_a_server_that_answers_is_about_its_call(call: calls.Call, steps: list[Step]) -> None:
    """A customer that is unknown is no wrong address, nor is a path that is missing on a server that has others."""
    assert type(ask(Script(*steps), call, times=len(steps))) is NotFound


# --- what is asked again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_faults_are_asked_again(status: int) -> None:
    """A read survives every status that a repeat can cure."""
    reply = ask(Script((status, b""), (200, CUSTOMER)))
    assert isinstance(reply, calls.Reply)
    assert reply.attempts == 2


def test_repeated_500_is_permanent_after_three() -> None:
    """The same 500 three times is an answer if others are answered: no fourth call (contract.md 2.2)."""
    seen: Counter[str] = Counter()

    async def handler(request: web.Request) -> web.Response:
        seen[request.method] += 1  # the control call is a search
        return web.Response(status=500) if request.method == "GET" else web.json_response({})

    error = ask(handler, USAGE)
    assert isinstance(error, Refused)
    assert seen == {"GET": 3, "POST": 1}
    assert "3 times" in str(error)


def test_a_server_that_says_500_to_everything_is_unreachable() -> None:
    """Before anything was ever answered, 500s prove nothing about a call: all attempts, and one control call."""
    script = Script((500, b""))
    error = ask(script)
    assert isinstance(error, Unreachable)
    assert len(script.seen) == 6 + 1


def test_changing_500_uses_all_attempts() -> None:
    """500s that differ are passing faults until the tries are spent; a listing then stops the run."""
    script = Script(*[(500, {"message": f"m{n}"}) for n in range(9)])
    error = ask(script)
    assert isinstance(error, Unreachable)
    assert len(script.seen) == 6 + 1  # a control call shows that the others fail too


def test_500_that_turns_into_400_ends_at_once() -> None:
    """The random 400 or 500 of contract.md 2.3 is not spun on: the 400 decides."""
    script = Script((500, {"message": "Failed to list customers"}), (400, {"message": "Failed to list customers"}))
    error = ask(script)
    assert isinstance(error, Refused)
    assert len(script.seen) == 2


@pytest.mark.parametrize("call", [USAGE, calls.get_entitlements("cust_1"), calls.get_upcoming_grants("cust_1")])
def test_one_lost_customer_does_not_end_a_run(call: calls.Call) -> None:
    """A per-customer read whose tries are spent is refused for that customer only."""
    script = Script((503, b"a"), (502, b"b"))
    error = ask(script, call, retries=eager(4))
    assert isinstance(error, Refused)
    assert len(script.seen) == 4
    assert "cust_1" in str(error)


def test_many_lost_customers_end_the_run() -> None:
    """Twenty per-customer calls lost in a row are the server's fault: the run stops instead of failing every row."""
    error = ask(Script((502, b"bad gateway")), USAGE, times=FAILED_IN_A_ROW, retries=eager(2))
    assert isinstance(error, Unreachable)
    assert "20 calls in a row" in str(error)


def test_success_between_lost_customers_keeps_the_run() -> None:
    """Lost customers that are not in a row never end the run, however many they are."""
    script = Script(*[(502, b"") if n % 10 else (200, {}) for n in range(60)], (502, b""))
    assert isinstance(ask(script, USAGE, times=60, retries=eager(1)), Refused)


def test_refused_connection_stops_the_run() -> None:
    """A host that is gone is Unreachable even for a per-customer read, and names the host."""

    async def main() -> str:
        async with serving(Script((200, {}))) as base:
            pass
        async with AsyncFlexprice(base_url=base, api_key=KEY) as api:
            with pytest.raises(Unreachable) as caught:
                await api.send(USAGE, retries=eager(3))
        assert api.gate.calls == 3
        return str(caught.value)

    assert "127.0.0.1" in asyncio.run(main())


def test_retry_after_costs_no_attempt() -> None:
    """A 429 with Retry-After is waited for even when only one try is allowed."""
    script = Script((429, {}, {"Retry-After": "0"}), (503, {}, {"Retry-After": "0"}), (200, CUSTOMER))
    reply = ask(script, retries=eager(1))
    assert isinstance(reply, calls.Reply)
    assert reply.attempts == 3


def test_retry_after_as_a_date_is_measured_by_the_servers_clock() -> None:
    """An HTTP date in Retry-After counts from the server's Date, so a wrong local clock does not matter."""
    now = datetime(2031, 1, 1, tzinfo=UTC)
    later = {"Date": format_datetime(now, True), "Retry-After": format_datetime(now + timedelta(days=1), True)}
    error = ask(Script((429, {}, later)))
    assert isinstance(error, BudgetSpent)
    assert "86400" in str(error)


def test_pause_holds_every_worker() -> None:
    """While the server wants a pause, no call of any endpoint starts; afterwards all of them are answered."""
    times: list[float] = []

    async def handler(_: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            return web.json_response({}, status=429, headers={"Retry-After": "1"})
        return web.json_response({})

    async def main() -> None:
        async with serving(handler) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            first = asyncio.create_task(api.send(USAGE))
            await asyncio.sleep(0.3)  # by now the 429 has come
            await asyncio.gather(first, *(api.send(call) for call in [READ, USAGE, CREATE] * 5))
            assert api.gate.report()["waited"]["pause"] >= 0.5

    asyncio.run(main())
    assert len(times) == 17
    assert min(times[1:]) - times[0] >= 1.0


def test_401_is_tried_once_more() -> None:
    """One 401 may be a database hiccup; two before the key ever worked are a wrong key (contract.md 1.2)."""
    assert isinstance(ask(Script((401, {"error": "Unauthorized"}), (200, CUSTOMER))), calls.Reply)
    script = Script((401, {"error": "Unauthorized"}))
    error = ask(script)
    assert isinstance(error, KeyRefused)
    assert len(script.seen) == 2


def test_401_passes_once_the_key_has_worked() -> None:
    """After a success, 401s are waited out like a 503; if they stay, the key is refused all the same."""
    script = Script((200, CUSTOMER), (401, b"a"), (401, b"b"), (401, b"c"), (200, CUSTOMER))
    assert isinstance(ask(script, times=2), calls.Reply)
    script = Script((200, CUSTOMER), (401, b""))
    assert isinstance(ask(script, times=2, retries=eager(4)), KeyRefused)
    assert len(script.seen) == 5


@pytest.mark.parametrize(
    "body",
    [b'{"id":"cust_1","name":"Ac', b"", b"<html><title>Sign in</title></html>", b'["a"]', b'{"a":1}x', b'{"a":"\xff"}'],
)
def test_body_that_is_no_json_object_is_asked_again(body: bytes) -> None:
    """A 200 whose length is right but whose body is torn or foreign never reaches the caller."""
    reply = ask(Script((200, body), (200, CUSTOMER)))
    assert isinstance(reply, calls.Reply)
    assert (reply.attempts, reply.json()) == (2, CUSTOMER)
    assert isinstance(ask(Script((200, body)), retries=eager(2)), Unreachable)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n",
        b"",
    ],
)
def test_cut_connection_is_asked_again(head: bytes) -> None:
    """A connection that ends inside the body, or before any answer, is a passing fault for a read."""
    count = 0

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count == 1:
            writer.write(head + b'{"id":"cust_1"}' if head else b"")
            writer.close()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def main() -> calls.Reply:
        async with speaking(talk) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            return await api.send(USAGE, retries=eager())

    assert asyncio.run(main()).attempts == 2


@pytest.mark.parametrize("call", [USAGE, CREATE])
def test_dripping_body_is_stopped(call: calls.Call) -> None:
    """One deadline covers the whole attempt: a body that drips for ever ends there, and the next call works."""
    drip = True

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            if drip
            else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        )
        while drip:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def main() -> None:
        nonlocal drip
        async with speaking(talk) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            async with asyncio.timeout(10):
                with pytest.raises(Refused if call is USAGE else UnknownOutcome, match="no whole answer within"):
                    await api.send(call, retries=eager(2), timeout=0.2)
            drip = False
            assert (await api.send(call)).body == b"{}"
            assert api.gate.in_flight == 0

    asyncio.run(main())


def test_deadline_of_the_run_cuts_a_call_short() -> None:
    """A read in flight when the run's deadline comes ends there, as a spent budget and not as a time-out."""

    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    async def main() -> None:
        async with serving(handler) as base, AsyncFlexprice(base_url=base, api_key=KEY, gate=Gate(deadline=0.3)) as api:
            with pytest.raises(BudgetSpent, match="deadline"):
                await api.send(USAGE, retries=eager(1))

    asyncio.run(main())


def test_cancelled_call_gives_everything_back() -> None:
    """A caller that is cancelled leaves no call at the gate, and with a pool of one the next call still works."""

    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(0 if request.path.endswith("cust_1") else 30)
        return web.json_response({})

    async def main() -> None:
        gate = Gate(max_in_flight=1)
        async with serving(handler) as base, AsyncFlexprice(base_url=base, api_key=KEY, gate=gate) as api:
            for _ in range(3):
                task = asyncio.create_task(api.send(USAGE))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert gate.in_flight == 0
            await asyncio.wait_for(api.send(READ), 5)

    asyncio.run(main())


# --- writes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [CREATE, UPDATE, DELETE])
@pytest.mark.parametrize("step", [(500, b""), (502, b"bad"), (504, b""), (408, b""), (201, b'{"id":')])
def test_write_of_unknown_outcome_is_not_repeated(call: calls.Call, step: Step) -> None:
    """A write that may have been carried out is sent once, and says so."""
    script = Script(step)
    error = ask(script, call)
    assert isinstance(error, UnknownOutcome)
    assert error.unknown_outcome
    assert error.status == step[0]
    assert len(script.seen) == 1


SOON = {"Retry-After": "0"}


@pytest.mark.parametrize("step", [(429, {}), (401, {}), (429, {}, SOON)])
def test_write_refused_at_the_door_is_repeated(step: Step) -> None:
    """429 and 401 come before anything is written, so the write is sent again."""
    script = Script(step, (201, CUSTOMER))
    assert isinstance(ask(script, CREATE), calls.Reply)
    assert len(script.seen) == 2


@pytest.mark.parametrize("call", [CREATE, UPDATE, DELETE])
def test_write_on_a_dropped_kept_connection_is_sent_once(call: calls.Call) -> None:
    """Nobody repeats a write behind our back: aiohttp would, for PUT and DELETE on a kept connection."""
    heads: list[bytes] = []

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head.split(b" ")[0])
        if len(heads) == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        else:
            writer.close()

    async def main() -> None:
        async with speaking(talk) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            await api.send(USAGE)
            with pytest.raises(UnknownOutcome):
                await api.send(call, retries=eager())

    asyncio.run(main())
    assert heads == [b"GET", call.method.encode()]


def test_write_to_a_host_that_is_gone_is_repeated() -> None:
    """A refused connection carried nothing: the write is tried again, then the host is Unreachable."""

    async def main() -> None:
        async with serving(Script((200, {}))) as base:
            pass
        async with AsyncFlexprice(base_url=base, api_key=KEY) as api:
            with pytest.raises(Unreachable):
                await api.send(CREATE, retries=eager(3))
        assert api.gate.calls == 3

    asyncio.run(main())


# --- proxies and TLS ------------------------------------------------------------------------------------------------


def proxied(monkeypatch: pytest.MonkeyPatch, userinfo: str = "", no_proxy: str = "") -> list[web.Request]:
    """Ask a host that does not exist, with a proxy in the environment; what the proxy saw."""
    script = Script((200, {}))

    async def main() -> None:
        async with serving(script) as base:
            monkeypatch.setenv("HTTP_PROXY", base.replace("/v1", "").replace("//", f"//{userinfo}"))
            monkeypatch.setenv("NO_PROXY", no_proxy)
            there = "http://flexprice.invalid/v1"
            async with AsyncFlexprice(base_url=there, api_key=KEY, allow_http=["flexprice.invalid"]) as api:
                with contextlib.suppress(Unreachable):
                    await api.send(READ, retries=eager(1))

    asyncio.run(main())
    return script.seen


def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY carries the call, in absolute form, and its credentials go to the proxy as such."""
    seen = proxied(monkeypatch, userinfo="user:pass@")
    assert [str(request.url) for request in seen] == ["http://flexprice.invalid/v1/customers/cust_1"]
    assert seen[0].headers["Proxy-Authorization"].startswith("Basic ")


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host named in NO_PROXY is spoken to directly."""
    assert proxied(monkeypatch, no_proxy="flexprice.invalid") == []


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http to loopback is allowed because it does not leave the machine; a proxy would be another machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert isinstance(ask(Script((200, CUSTOMER))), calls.Reply)


def test_useless_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy setting that cannot work says which variable to mend, without its credentials."""
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:hush@proxy:70")
    with pytest.raises(FixInput, match="HTTPS_PROXY") as caught:
        AsyncFlexprice(api_key=KEY)
    assert "hush" not in str(caught.value)


def test_tunnel_carries_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """For https a proxy is asked for a tunnel only: it gets its own credentials and never the key."""
    heads: list[bytes] = []

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        async with speaking(talk) as base:
            monkeypatch.setenv("HTTPS_PROXY", base.replace("/v1", "").replace("//", "//user:pass@"))
            async with AsyncFlexprice(base_url="https://flexprice.invalid/v1", api_key=KEY) as api:
                with pytest.raises(Unreachable) as caught:
                    await api.send(READ, retries=eager(1))
            assert "pass" not in str(caught.value)

    asyncio.run(main())
    assert heads[0].startswith(b"CONNECT flexprice.invalid:443")
    assert b"proxy-authorization: basic" in heads[0].lower()
    assert KEY.encode() not in b"".join(heads)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    path = tmp_path / "self.pem"
    line = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*line.split(), "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_certificate_is_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-signed host is refused without being asked, and accepted once its authority is trusted."""
    script = Script((200, {}))

    async def main() -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        async with serving(script, tls) as base:
            async with AsyncFlexprice(base_url=base, api_key=KEY) as api:
                with pytest.raises(Unreachable, match="TLS"):
                    await api.send(READ, retries=eager())
            assert script.seen == []
            monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
            async with AsyncFlexprice(base_url=base, api_key=KEY) as api:
                await api.send(READ, retries=eager())

    asyncio.run(main())
    assert len(script.seen) == 1


# --- flow, observers, secrets ---------------------------------------------------------------------------------------


def test_never_more_in_flight_than_allowed() -> None:
    """With a hundred callers the server never sees more calls at once than max_in_flight, and sees that many."""
    now = most = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return web.json_response({})

    async def main() -> None:
        gate = Gate(max_in_flight=6)
        async with serving(handler) as base, AsyncFlexprice(base_url=base, api_key=KEY, gate=gate) as api:
            await asyncio.gather(*(api.send(USAGE) for _ in range(200)))

    asyncio.run(main())
    assert most == 6


def test_observer_hears_of_every_exchange() -> None:
    """on_call is told call, status and seconds of each exchange, failed ones included."""
    heard: list[tuple[str, int]] = []

    async def main() -> None:
        script = Script((503, {}), (200, CUSTOMER), (404, {}))
        async with serving(script) as base:
            watch = lambda call, status, _: heard.append((call.operation, status))  # noqa: E731
            async with AsyncFlexprice(base_url=base, api_key=KEY, on_call=watch) as api:
                await api.send(READ, retries=eager())
                with pytest.raises(NotFound):
                    await api.send(USAGE)

    asyncio.run(main())
    assert heard == [("get_customers_id_", 503), ("get_customers_id_", 200), ("get_customers_usage", 404)]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 500, 503])
@pytest.mark.parametrize("call", [USAGE, CREATE])
def test_key_never_comes_back_in_an_error(status: int, call: calls.Call, caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the key in every place does not get it into a message, an attribute, a repr or a log."""
    caplog.set_level(logging.DEBUG)
    body = {"code": KEY, "message": f"bad key {KEY}", "error": KEY, "details": {KEY: [{"a": KEY}]}}
    echo = {"X-Request-Id": KEY, "Location": f"/x?{KEY}", "WWW-Authenticate": KEY}
    error = ask(Script((status, b"not json " + KEY.encode() if status == 200 else body, echo)), call, retries=eager(2))
    assert isinstance(error, FlexsyncError)
    assert KEY not in str(error) + repr(error) + repr(vars(error)) + repr(error.args) + caplog.text


def test_key_is_in_no_repr_and_no_traceback_with_locals() -> None:
    """Neither client, settings nor a traceback that shows our functions' local variables prints the key."""

    async def main() -> None:
        script = Script((404, {"message": "no"}))
        async with serving(script) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            shown = [repr(api), repr(api.settings), repr(vars(api))]
            with pytest.raises(NotFound) as caught:
                await api.send(CREATE)
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown += [str(frame.locals) for frame in frames.stack if "connector" in frame.filename]
        assert len(shown) > 5
        assert KEY not in "".join(shown)

    asyncio.run(main())


# --- operations by name -----------------------------------------------------------------------------------------------


def typed(body: object, work: Callable[[AsyncFlexprice], Awaitable[object]]) -> tuple[object, Script]:
    script = Script((200, body))

    async def main() -> object:
        async with serving(script) as base, AsyncFlexprice(base_url=base, api_key=KEY) as api:
            return await work(api)

    return asyncio.run(main()), script


def test_typed_customer_tolerates_other_versions() -> None:
    """Unknown keys are ignored, missing optional ones get defaults, nine fraction digits become six."""
    body = {**CUSTOMER, "created_at": "2026-08-01T09:30:15.19631326Z", "news": {"a": 1}}
    customer, _ = typed(body, lambda api: api.get_customer("cust_1"))
    assert customer.created_at == datetime(2026, 8, 1, 9, 30, 15, 196313, tzinfo=UTC)  # type: ignore[attr-defined]
    assert (customer.contact, customer.metadata) == (None, None)  # type: ignore[attr-defined]


def test_typed_usage_is_exact() -> None:
    """Amounts are decimals to the last digit, and "never" is the year 1 that the server sent."""
    feature = {
        "feature": {"id": "feat_1"},
        "usage_percent": "0.0000000248913578",
        "current_usage": "12345678901234567890.5",
    }
    body = {
        "customer_id": "cust_1",
        "features": [{**feature, "next_usage_reset_at": "0001-01-01T00:00:00Z"}],
        "period": None,
    }
    usage, _ = typed(body, lambda api: api.get_usage("cust_1"))
    row = usage.features[0]  # type: ignore[attr-defined]
    assert row.usage_percent == Decimal("0.0000000248913578")
    assert row.current_usage == Decimal("12345678901234567890.5")
    assert row.next_usage_reset_at == datetime(1, 1, 1, tzinfo=UTC)


MODELS = {
    r"/v1/customers/usage|/v1/customers/[^/]+/usage": models.UsageSummary,
    r"/v1/customers/.+/entitlements": models.Entitlements,
    r"/v1/customers/[^/]+/grants/upcoming": models.UpcomingGrants,
    r"/v1/subscriptions/search": models.SubscriptionPage,
    r"/v1/customers/search": models.CustomerPage,
    r"/v1/customers/(external/)?[^/]+": models.Customer,
}


def test_recorded_bodies_fit_the_models() -> None:
    """Every good answer of a real server decodes into its model."""
    fitted = Counter[str]()
    text = (Path(__file__).parent / "recorded" / "real-server.jsonl").read_text(encoding="utf-8")
    for exchange in map(json.loads, text.splitlines()):
        request, response = exchange["request"], exchange["response"]
        model = next((kind for path, kind in MODELS.items() if re.fullmatch(path, request["path"])), None)
        if model and response["status"] < 300 and response["body"]:
            found = msgspec.json.decode(response["body"], type=model)
            fitted[model.__name__] += 1
            for customer in getattr(found, "items", ()) if model is models.CustomerPage else ():
                assert customer.created_at.tzinfo is not None
    assert set(fitted) == {model.__name__ for model in MODELS.values()}
    assert sum(fitted.values()) > 60


def test_body_that_does_not_fit_names_the_field() -> None:
    """A body of the wrong shape names the operation and the field."""
    with pytest.raises(Refused, match=r"get_customers_id_ cust_1.*\$\.name"):
        typed({**CUSTOMER, "name": 5}, lambda api: api.get_customer("cust_1"))


def test_external_id_with_a_slash_is_searched_for() -> None:
    """An external id that no path can carry is found by search, published only; none is a NotFound."""
    found, script = typed({"items": [CUSTOMER]}, lambda api: api.get_customer_by_external_id("a/b"))
    assert found.id == "cust_1"  # type: ignore[attr-defined]
    assert script.seen[0].path == "/v1/customers/search"
    with pytest.raises(NotFound, match="a/b"):
        typed({"items": []}, lambda api: api.get_customer_by_external_id("a/b"))
    with pytest.raises(FixInput):
        typed({}, lambda api: api.get_customer_by_external_id(""))


def test_per_call_retry_overrides_the_settings() -> None:
    """retries= on an operation decides how often this one call is tried."""
    with pytest.raises(Unreachable, match="Tried 2 times"):
        typed([], lambda api: api.list_customers(limit=1, retries=eager(2)))


# --- without an event loop --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def background(handler: Handler) -> AsyncIterator[str]:  # type: ignore[misc]
    """`serving`, in a thread: the sync client blocks the one it is called from."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()
    base = asyncio.run_coroutine_threadsafe(stack.enter_async_context(serving(handler)), loop).result()
    try:
        yield base
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_sync_client_needs_no_loop() -> None:
    """Flexprice answers in plain code, closes twice, leaves no thread, and says so when used afterwards."""
    with background(Script((200, CUSTOMER))) as base:
        before = threading.active_count()
        with Flexprice(base_url=base, api_key=KEY) as api:
            assert api.get_customer("cust_1").name == "Acme"
            assert api.gate.report()["calls"] == 1
        api.close()
        assert threading.active_count() == before
        with pytest.raises(FixInput, match="closed"):
            api.get_customer("cust_1")


def test_sync_client_works_inside_a_running_loop() -> None:
    """In a notebook a loop is running already; the sync client does not mind."""

    async def main(base: str) -> str:
        with Flexprice(base_url=base, api_key=KEY) as api:
            return api.get_customer("cust_1").name

    with background(Script((200, CUSTOMER))) as base:
        assert asyncio.run(main(base)) == "Acme"


def test_sync_client_is_shared_by_threads() -> None:
    """Several threads may use one sync client at once."""
    with background(Script((200, CUSTOMER))) as base, Flexprice(base_url=base, api_key=KEY) as api:
        names: list[str] = []
        threads = [threading.Thread(target=lambda: names.append(api.get_customer("c").name)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert names == ["Acme"] * 8


def test_interrupted_sync_call_ends() -> None:
    """Ctrl-C in a waiting call ends the call too: nothing goes on behind the caller's back."""

    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
    try:
        with background(handler) as base, Flexprice(base_url=base, api_key=KEY) as api:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                api.get_customer("cust_1")
            time.sleep(0.2)
            assert api.gate.in_flight == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_closed_client_says_so() -> None:
    """A closed async client is named as such, and closing twice is safe."""

    async def main() -> None:
        api = AsyncFlexprice(api_key=KEY)
        await api.aclose()
        await api.aclose()
        with pytest.raises(FixInput, match="closed"):
            await api.send(READ)

    asyncio.run(main())


def test_no_key_says_how_to_set_one() -> None:
    """Without a key the client refuses at once and names the variable."""
    with pytest.raises(FixInput, match="FLEXPRICE_API_KEY"):
        AsyncFlexprice()
