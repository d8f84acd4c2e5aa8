"""The only HTTP: a `Call` goes out, a `Reply` or one error of `connector.errors` comes back.

Promised: the key travels in one header and to one host only, over verified TLS except where settings allow plain
http; redirects are never followed; every attempt, body included, ends at one total deadline; a 2xx body is a whole
JSON object before anybody sees it; every attempt passes the gate. Never done: logging, paging, or sending a write
again that may have been carried out.

httpx is the interface (requests, responses, headers, decoders), the aiohttp transport does the work, and it is called
directly: `AsyncClient` on top of it only adds redirects, cookies and auth, all of which are unwanted here. Measured on
two cores over loopback, 6,000 GETs of 2.5 kB, 64 callers (``tests/benchmarks/transport.py``; CPU is the client's):

    bare aiohttp                         14,540/s     68 µs a call
    transport called with httpx.Request   5,471/s    183 µs
    AsyncClient over the transport        3,025/s    330 µs
    httpx's own pool                        221/s  4,525 µs
    `send`, with gate and checks          7,397/s    135 µs    (see `_Ready` for what it saves)

Called directly, the transport has no time-outs and no proxies of its own; both are decided here. Its error mapping is
too coarse as well (a refused connection arrives as `httpx.ConnectTimeout`), so the cause beneath it is read.
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its repeats off

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import threading
import time
import urllib.request
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from connector.api import answers
from connector.api.calls import Call, Reply
from connector.api.flow import Gate, Retry, Slot
from connector.api.operations import AsyncOperations, Operations
from connector.api.retries import PER_CUSTOMER, Fault, Tries
from connector.errors import FixInput, KeyRefused, Refused, TryAgain, Unreachable
from connector.settings import Secret, Settings, load

__all__ = ["AsyncFlexprice", "Flexprice", "Observer", "gate_for"]

Observer = Callable[[Call, int, float], None]  # call, HTTP status (0: none came), seconds
R = TypeVar("R")

BIGGEST = 256 * 1024 * 1024  # bytes: a page of 1000 is a few MB; beyond this something else is answering
HOPELESS = 20  # per-customer calls lost in a row, over all endpoints, after which it is the server and not the row
KEEP_ALIVE = 15.0  # seconds: shorter than the idle time-out of common proxies, so we close first


def gate_for(settings: Settings) -> Gate:
    """A gate as [flow] asks for; its deadline runs from now."""
    flow = settings.flow
    return Gate(
        max_in_flight=flow.max_in_flight,
        calls_per_second=flow.calls_per_second,
        max_pause=flow.max_pause.total_seconds(),
        max_calls=flow.max_calls,
        deadline=flow.deadline.total_seconds() if flow.deadline else None,
    )


class AsyncFlexprice(AsyncOperations):
    """A FlexPrice account: `send` for any `Call`, and the ten customer operations by name.

    ``async with AsyncFlexprice(base_url=…, api_key=…) as api: page = await api.search_customers(limit=100)``

    Args:
        settings: as `connector.settings.load` gives them; without them they are loaded from the environment, and
            the next four arguments lie over that.
        base_url: the API with its ``/v1``.
        api_key: the key.
        environment_id: sent as ``X-Environment-ID``; needed only by keys bound to none (contract.md 1.3).
        allow_http: hosts that may be spoken to without TLS.
        gate: shared by everything that must be slow together; by default one of its own.
        on_call: told about every HTTP exchange.

    Raises:
        FixInput: no key, or a base_url that the key must not travel to.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        environment_id: str | None = None,
        allow_http: Sequence[str] | None = None,
        gate: Gate | None = None,
        on_call: Observer | None = None,
    ) -> None:
        if settings is None:
            hosts = tuple(allow_http) if allow_http is not None else None
            settings = load(base_url=base_url, api_key=api_key, environment_id=environment_id, allow_http=hosts)
        self.settings = settings
        self.gate = gate or gate_for(settings)
        self.retry = Retry(settings.flow.attempts)
        self._key = settings.require_key()
        self._key_worked = False
        self._base = settings.api.base_url
        self._timeout = settings.flow.timeout.total_seconds()
        self._reading = _Headers(_headers(settings, self._key))
        self._writing = _Headers({**self._reading, "content-type": "application/json"})
        self._transport = _transport(self._base, self.gate.max_in_flight)
        self._on_call = on_call
        self._closed = False
        self._lost = 0
        self._date: tuple[str, datetime | None] = ("", None)  # the header changes once a second, parsing costs 10 µs

    async def __aenter__(self) -> AsyncFlexprice:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; a second time does nothing."""
        self._closed = True
        await self._transport.aclose()

    # --- one exchange -------------------------------------------------------------------------------------------

    async def send(
        self, call: Call, *, retry: Retry | None = None, timeout: float | None = None, until: float | None = None
    ) -> Reply:
        """Make a call, as often as the rules of `connector.api.retries` allow.

        Args:
            call: from `connector.api.calls`.
            retry: instead of the settings' ``attempts``.
            timeout: seconds for one attempt, body included, instead of the settings'.
            until: no attempt starts after this moment of `time.monotonic`, however long the gate or a pause took.

        Returns:
            The 2xx answer; its body is one JSON object (empty for 204).

        Raises:
            KeyRefused: 401 twice before the key ever worked, or until the tries were spent (contract.md 1.2).
            AccessRefused: 403.
            NotFound: 404. Conflict: 409. Refused: another 4xx, or a 5xx that stays.
            Unreachable: no answer, or only passing faults, until the tries were spent; a redirect.
            UnknownOutcome: a write was sent and no usable answer came; it was not repeated.
            NotSent: `until` has passed, and nothing was carried out.
            BudgetSpent: deadline, max_calls or max_pause.
        """
        tries: Tries | None = None
        while True:
            async with self.gate.slot(call.endpoint, call.operation) as slot:
                if until is not None and time.monotonic() > until:
                    slot.unused()
                    raise answers.NotSent(f"{answers.named(call)}: it was not sent, for its turn came too late.")
                outcome = await self._attempt(call, timeout or self._timeout, slot, tries.attempts + 1 if tries else 1)
            if isinstance(outcome, Reply):
                return outcome
            if tries is None:
                tries = Tries(call, retry or self.retry, self.gate.max_pause, time.monotonic)
            await self._wait_after(tries, outcome)

    async def _wait_after(self, tries: Tries, fault: Fault) -> None:
        try:
            wait = tries.after(fault, self._key_worked)
        except Refused as refused:
            self._lost += 1
            if self._lost >= HOPELESS and tries.call.endpoint in PER_CUSTOMER:
                raise Unreachable(
                    f"{HOPELESS} calls in a row were lost; the last one: {refused.message}",
                    remedy="The server is failing as a whole: run again later, state is kept.",
                    status=refused.status,
                ) from None
            raise
        if wait.everybody:
            self.gate.pause(wait.seconds)
        else:
            await self.gate.back_off(wait.seconds)

    async def _attempt(self, call: Call, seconds: float, slot: Slot, number: int) -> Reply | Fault:
        """One exchange. Returns a Fault where asking again may help, raises what is final."""
        began = time.perf_counter()
        status, body, broken = 0, b"", None
        try:
            async with asyncio.timeout(min(seconds, self.gate.left())):
                response = await self._transport.handle_async_request(self._request(call))
                status = response.status_code
                body = await _read(response)
        except (TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError, _TooBig) as error:
            broken = error
        elapsed = time.perf_counter() - began
        if self._on_call:
            self._on_call(call, status, elapsed)
        if broken is not None:
            slot.failed()
            return self._broken(call, broken, elapsed)
        if 200 <= status < 300 and (answers.is_object(body) or status == 204):
            slot.succeeded(elapsed)
            self._key_worked, self._lost = True, 0
            return self._reply(response, body, elapsed, number)
        return self._refused(call, response, body, slot, elapsed)

    def _request(self, call: Call) -> httpx.Request:
        if self._closed:
            raise FixInput("This client is closed.", remedy="Open a new one.")
        url = self._base + call.path
        if call.query:
            url += "?" + urlencode(call.query, quote_via=quote)
        headers = self._reading if call.body is None else self._writing
        return _Ready(call.method, url, headers, call.body or b"")

    def _reply(self, response: httpx.Response, body: bytes, elapsed: float, number: int) -> Reply:
        headers = response.headers
        headers.encoding = "iso-8859-1"  # or httpx tries encodings on every header
        text = headers.get("date", "")
        if text != self._date[0]:
            self._date = (text, _moment(text))
        request_id = answers.blotted(headers.get("x-request-id", ""), self._key)
        return Reply(response.status_code, body, self._date[1], elapsed, number, request_id, headers)

    def _refused(self, call: Call, response: httpx.Response, body: bytes, slot: Slot, elapsed: float) -> Fault:
        status, headers = response.status_code, response.headers
        if 300 <= status < 400:
            raise answers.redirected(call, status, headers.get("location", ""), self._key)
        error = answers.judge(call, status, headers, body, self._key)
        if isinstance(error, TryAgain):
            slot.failed()
            return Fault(error, body)
        slot.succeeded(elapsed)
        if isinstance(error, KeyRefused):  # a 401 can be transient (contract.md 1.2)
            return Fault(error, body)
        self._lost = 0  # the server is there and says no
        raise error

    def _broken(self, call: Call, error: Exception, waited: float) -> Fault:
        cause = error.__cause__ or error
        if isinstance(cause, aiohttp.ClientSSLError):
            message = answers.cut(call, f"no trusted TLS connection: {cause}", self._key).message
            raise Unreachable(message, remedy="Set SSL_CERT_FILE to the authority that signs for that host.")
        if isinstance(error, _TooBig):
            raise Refused(f"{answers.named(call)}: {error}.", remedy="Ask for a smaller page.")
        if isinstance(error, TimeoutError):
            if call.repeatable:
                self.gate.check()  # it was the run's deadline that cut it short, not the call's
            return Fault(answers.cut(call, f"no whole answer within {waited:.1f} s", self._key))
        sent = not isinstance(cause, aiohttp.ClientConnectorError)
        what = "the connection broke" if sent else f"no connection to {urlsplit(self._base).netloc}"
        return Fault(answers.cut(call, f"{what}: {cause or type(cause).__name__}", self._key), sent=sent)


class Flexprice(Operations):
    """`AsyncFlexprice` for programs without an event loop; takes the same arguments.

    The transport is async only, so the work is done by a loop in a thread of its own: that also works in a notebook,
    whose own loop is already running. Closing twice is safe; several threads may share one.

    ``with Flexprice(base_url=…, api_key=…) as api: customer = api.get_customer("cust_…")``
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        environment_id: str | None = None,
        allow_http: Sequence[str] | None = None,
        gate: Gate | None = None,
        on_call: Observer | None = None,
    ) -> None:
        self._api = self._async = AsyncFlexprice(
            settings,
            base_url=base_url,
            api_key=api_key,
            environment_id=environment_id,
            allow_http=allow_http,
            gate=gate,
            on_call=on_call,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flexprice", daemon=True)
        self._thread.start()
        self._closing = threading.Lock()

    def __enter__(self) -> Flexprice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def gate(self) -> Gate:
        """The gate that all calls pass; `gate.report()` counts them."""
        return self._async.gate

    def close(self) -> None:
        """Close all connections and end the thread; a second time does nothing."""
        with self._closing:
            if self._loop.is_closed():
                return
            self._run(self._async.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        if self._loop.is_closed():
            work.close()
            raise FixInput("This client is closed.", remedy="Open a new one.")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:  # Ctrl-C: the call must not go on behind the caller's back
            waiting.cancel()
            raise


# --- how the wire is set up ---------------------------------------------------------------------------------------


class _Headers(httpx.Headers):
    """Headers that a traceback with local variables does not print: the key is among them."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class _Ready(httpx.Request):
    """A request made of parts that `connector.api.calls` has encoded already.

    httpx would parse the address and copy the headers once more, a quarter of the time of a small call; aiohttp
    parses the address anyway.
    """

    def __init__(self, method: str, url: str, headers: httpx.Headers, content: bytes) -> None:
        self.method = method
        self.url = cast("httpx.URL", url)  # the transport only takes its text
        self.headers = headers
        self.extensions = {}
        self._body = content

    @property
    def content(self) -> bytes:
        return self._body


class _TooBig(Exception):
    """A body that no page can have."""


async def _read(response: httpx.Response) -> bytes:
    """The whole body; decompressed where a proxy has compressed it (the server never does, contract.md 1.4)."""
    compressed = "content-encoding" in response.headers
    # The plain stream skips two generators per body, a tenth of the time of a small call.
    chunks = response.aiter_bytes() if compressed else cast("AsyncIterable[bytes]", response.stream)
    parts, size = [], 0
    try:
        async for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > BIGGEST:
                raise _TooBig(f"the answer is larger than {BIGGEST // 2**20} MiB")
    except BaseException:
        await response.aclose()  # the rest of this body must not be read as the next answer
        raise
    return b"".join(parts)


def _transport(base_url: str, connections: int) -> AiohttpTransport:
    if base_url.startswith("http:") and _is_here(urlsplit(base_url).hostname or ""):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: none is spoken, and loading all costs 50 ms
    else:
        context = httpx.create_ssl_context()  # SSL_CERT_FILE and SSL_CERT_DIR are honoured

    def session() -> aiohttp.ClientSession:  # made inside the loop that uses it
        pool = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEP_ALIVE, ssl=context)
        opened = aiohttp.ClientSession(connector=pool, cookie_jar=aiohttp.DummyCookieJar())
        # aiohttp repeats PUT and DELETE by itself when a kept connection drops: a second write that nobody ordered.
        opened._retry_connection = False
        return opened

    return AiohttpTransport(verify=context, client=session, proxy=_proxy(base_url))


def _proxy(base_url: str) -> httpx.Proxy | None:
    """The environment's proxy for this one host. aiohttp's own reading would also send ``.netrc`` passwords."""
    parts = urlsplit(base_url)
    if _is_here(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None  # a proxy's loopback is another machine, and plain http to it would show the key
    found = urllib.request.getproxies()
    address = found.get(parts.scheme) or found.get("all")
    if not address:
        return None
    try:
        return httpx.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx.InvalidURL):
        raise FixInput(
            f"The proxy set for {parts.scheme} in the environment is not an http(s) proxy.",
            remedy="Write HTTPS_PROXY like http://host:port, or add the API's host to NO_PROXY.",
        ) from None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(settings: Settings, key: Secret) -> dict[str, str]:
    headers = {
        settings.api.key_header: key.reveal(),
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": f"flexsync/{_version()}",
    }
    if settings.api.environment_id:
        headers["x-environment-id"] = settings.api.environment_id
    return headers


def _version() -> str:
    try:
        return version("flexsync")
    except PackageNotFoundError:
        return "source"


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
