"""The async client: a `Call` goes out, a `Reply` or one error of `connector.errors` comes back.

Promised: the key travels in one header and to one host only, over verified TLS except where settings allow plain
http; redirects are never followed; every attempt, body included, ends at one total deadline; a 2xx body is a whole
JSON object before the caller sees it; every attempt passes the gate, and none is lost to an outage
(`connector.api.recovery`). Never done: logging, paging, or sending a write
again that may have been carried out.
"""

# ruff: noqa: ASYNC109 - `timeout` is per attempt; an asyncio.timeout around the call would cut its retries off

from __future__ import annotations

import asyncio
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

from connector.api import answers, masking, transport
from connector.api.account import Account, Hooks
from connector.api.address import located, require_page
from connector.api.calls import Call, Reply
from connector.api.flow import PROBES, Gate, Slot
from connector.api.freshness import NO_CACHE, PAUSE, Freshness
from connector.api.outages import Outages, Outcome
from connector.api.recovery import Recovery
from connector.api.retries import PER_CUSTOMER, Failure, Retries, Retry, RetryState, policy, positive
from connector.api.transport import BROKEN, Headers, Request, Response, open_transport, read_body
from connector.errors import BudgetSpent, FixInput, FlexsyncError, KeyRefused, Refused, TryAgain, Unreachable
from connector.settings import Secret, Settings

__all__ = ["Client", "gate_for"]

FAILED_IN_A_ROW = 20  # per-customer calls that fail in a row, with none ever answered, before it is the server's fault


def gate_for(settings: Settings) -> Gate:
    """Return a gate with the limits of [flow]; its deadline runs from now."""
    flow = settings.flow
    return Gate(
        max_in_flight=flow.max_in_flight,
        calls_per_second=flow.calls_per_second,
        max_pause=flow.max_pause.total_seconds(),
        max_calls=flow.max_calls,
        deadline=flow.deadline.total_seconds() if flow.deadline else None,
    )


class Client(Account):
    """Sends: `send` for any `Call`. Its arguments are those of `Account`; `connector.clients` adds the operations.

    ``async with Client(base_url=…, api_key=…) as api: reply = await api.send(calls.get_customer("cust_…"))``

    Attributes:
        outages: spans of time in which the server failed as a whole; `outages.touched(reply.began, reply.ended)` says
            which answers to doubt.
        freshness: which answers came from a cache before the server.
        mask: takes the key out of answers, and notes where it was.
    """

    def _open(self, settings: Settings, hooks: Hooks) -> None:
        self.settings = settings
        self.clock = hooks["clock"]
        self.gate = hooks["gate"] or gate_for(settings)
        self.retry = Retry(settings.flow.attempts)
        self._key = settings.require_key()
        self.mask, self.freshness = masking.Mask(self._key), Freshness(settings.sync.overlap)
        self._key_worked = False
        self._base = settings.api.base_url
        self._timeout = settings.flow.timeout.total_seconds()
        self.outages = Outages(time.monotonic)
        self._recovery = Recovery(self.gate, self.outages, self._probe, self._timeout, time.monotonic, hooks["on_wait"])
        self._read_headers = Headers(_headers(settings, self._key))
        self._write_headers = Headers({**self._read_headers, "content-type": "application/json"})
        self._transport = open_transport(self._base, self.gate.max_in_flight)
        self._on_call = hooks["on_call"]
        self._closed = False
        self._failed_in_a_row = 0
        self._date: tuple[str, datetime | None] = ("", None)  # the header changes once a second, parsing costs 10 µs

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(f"unclosed {self!r}: use `async with`, or `aclose`", ResourceWarning, 2, source=self)

    async def aclose(self) -> None:
        """Close all connections; a second time does nothing."""
        self._closed = True
        await self._transport.aclose()

    async def send(
        self, call: Call, *, retries: Retries = None, timeout: float | None = None, until: float | None = None
    ) -> Reply:
        """Make a call, as often as the rules of `connector.api.retries` and `connector.api.freshness` allow.

        Args:
            call: from `connector.api.calls`.
            retries: further attempts after the first, or a whole policy, instead of the settings' ``attempts``.
            timeout: seconds for one attempt, body included, instead of the settings'.
            until: no attempt starts after this moment of `time.monotonic`, however long the gate or a pause took.

        Returns:
            The 2xx answer; its body is one JSON object (empty for 204).

        Raises:
            KeyRefused: 401 twice before the key ever worked, or until the attempts were used up (contract.md 1.2).
            AccessRefused, NotFound, Conflict: 403, 404, 409.
            FixInput: 404 to a listing, or no JSON of FlexPrice's, before anything was ever answered: wrong base_url.
            Refused: another 4xx, or a 5xx that stays.
            Unreachable: no answer, or transient faults until the attempts, or max_pause, were used up; a redirect.
            UnknownOutcome: a write was sent and no usable answer came; it was not sent again.
            NotSent: `until` has passed, and nothing was carried out.
            BudgetSpent: deadline, max_calls or max_pause.
        """
        retry, seconds = policy(retries, self.retry), positive(timeout, self._timeout)
        reply = await self._send(call, retry, seconds, until)
        if not self.freshness.doubts(call, reply, None):
            return reply
        await self.gate.back_off(PAUSE)
        again = await self._send(call, retry, seconds, until)
        self.freshness.doubts(call, again, reply)
        return replace(again, attempts=again.attempts + reply.attempts)

    async def _send(self, call: Call, retry: Retry, seconds: float, until: float | None) -> Reply:
        state: RetryState | None = None
        while True:
            if self._recovery.failing:
                await self._recovery.wait(call)
            async with self.gate.slot(call.endpoint, call.operation) as slot:
                if until is not None and time.monotonic() > until:
                    slot.unused()
                    raise answers.NotSent(f"{answers.describe(call)}: it was not sent, because its turn came too late.")
                outcome = await self._attempt(call, seconds, slot, state.exchanges + 1 if state else 1)
            if isinstance(outcome, Reply):
                self._failed_in_a_row = 0
                return outcome
            if state is None:
                state = RetryState(call, retry, self.gate.max_pause, time.monotonic)
            await self._wait_after(state, outcome)

    async def _wait_after(self, state: RetryState, failure: Failure) -> None:
        if await self._recovery.ride_out(state, failure, self._key_worked):
            return
        try:
            wait = state.after(failure, self._key_worked)
        except Refused as refused:
            self._failed_in_a_row += 1
            many = self._failed_in_a_row >= FAILED_IN_A_ROW and not self._recovery.served_customers
            if many and state.call.endpoint in PER_CUSTOMER:
                raise Unreachable(
                    f"{FAILED_IN_A_ROW} calls in a row failed; the last one: {refused.message}",
                    remedy="The server is failing as a whole: run again later, state is kept.",
                    status=refused.status,
                ) from None
            raise
        if wait.for_all:
            self.gate.pause(wait.seconds)
        else:
            await self.gate.back_off(wait.seconds)

    async def _probe(self, call: Call, seconds: float) -> FlexsyncError | None:
        """Ask whether the server works, in one exchange. Any answer but a passing fault says that it does."""
        async with self.gate.slot(PROBES, call.operation) as slot:
            try:
                outcome = await self._attempt(call, seconds, slot, 1)
            except BudgetSpent:
                raise
            except FlexsyncError:  # final: the next call that is no probe meets it again, and says so
                return None
        if isinstance(outcome, Reply):
            return None
        if isinstance(outcome.error, TryAgain) and outcome.error.retry_after is not None:
            self.gate.pause(outcome.error.retry_after)
        return outcome.error

    # --- one attempt ----------------------------------------------------------------------------------------------

    async def _attempt(self, call: Call, seconds: float, slot: Slot, number: int) -> Reply | Failure:
        """One exchange. Returns a Failure where a retry may help, raises what is final."""
        began = time.monotonic()
        status, body, problem = 0, b"", None
        try:
            async with asyncio.timeout(min(seconds, self.gate.left())):
                response = await self._transport.handle_async_request(self._request(call))
                status = response.status_code
                body = await read_body(response)
                body = self.mask.body(body, call.operation) if response.is_success else body
        except BROKEN as error:
            problem = error
        elapsed = time.monotonic() - began
        if self._on_call:
            self._on_call(call, status, elapsed)
        good = problem is None and 200 <= status < 300 and (answers.is_object(body) or status == 204)
        self._recovery.note(call, began, began + elapsed, self._outcome(status, problem, good))
        if good:
            slot.succeeded(elapsed)
            if not self._key_worked:
                require_page(call, body, self.settings.api)
            self._key_worked = True
            return self._reply(response, body, began, elapsed, number)
        if problem is not None:
            slot.failed()
            failure = self._no_answer(call, problem, elapsed)
        else:
            failure = self._refused(call, response, body, slot, elapsed)
        return replace(failure, began=began, ended=began + elapsed)

    def _outcome(self, status: int, problem: Exception | None, good: bool) -> Outcome:
        if problem is not None:
            return Outcome.UNCONNECTED if transport.never_sent(problem) else Outcome.FAILED
        if status == 429 or (status == 401 and not self._key_worked):
            return Outcome.DEFERRED
        failed = status == 401 or status in answers.TRANSIENT or (200 <= status < 300 and not good)
        return Outcome.FAILED if failed else Outcome.ANSWERED

    def _request(self, call: Call) -> Request:
        if self._closed:
            raise FixInput("This client is closed.", remedy="Open a new one.")
        url = self._base + call.path
        if call.query:
            url += "?" + urlencode(call.query, quote_via=quote)
        headers = self._read_headers if call.body is None else self._write_headers
        return Request(call.method, url, headers, call.body or b"")

    def _reply(self, response: Response, body: bytes, began: float, elapsed: float, number: int) -> Reply:
        headers = response.headers
        headers.encoding = "iso-8859-1"  # or httpx tries encodings on every header
        text = headers.get("date", "")
        if text != self._date[0]:
            self._date = (text, _moment(text))
        request_id = masking.redacted(headers.get("x-request-id", ""), self._key)
        return Reply(response.status_code, body, self._date[1], elapsed, number, request_id, headers, began)

    def _refused(self, call: Call, response: Response, body: bytes, slot: Slot, elapsed: float) -> Failure:
        status, headers = response.status_code, response.headers
        if 300 <= status < 400:
            raise answers.redirected(call, status, headers.get("location", ""), self._key)
        judged = answers.judge(call, status, headers, body, self._key)
        error = located(judged, call, body, self.settings.api, self._key_worked)
        if isinstance(error, TryAgain):
            slot.failed()
            return Failure(error, body)
        slot.succeeded(elapsed)
        if isinstance(error, KeyRefused):  # a 401 can be transient (contract.md 1.2)
            return Failure(error, body)
        self._failed_in_a_row = 0  # the server is there and refuses this call
        raise error

    def _no_answer(self, call: Call, error: Exception, waited: float) -> Failure:
        cause = transport.cause_of(error)
        if transport.is_untrusted(error):
            message = answers.no_answer(call, f"no trusted TLS connection: {cause}", self._key).message
            raise Unreachable(message, remedy="Set SSL_CERT_FILE to the authority that signs for that host.")
        if isinstance(error, transport.BodyTooLarge):
            raise Refused(f"{answers.describe(call)}: {error}.", remedy="Ask for a smaller page.")
        if isinstance(error, TimeoutError):
            if call.repeatable:
                self.gate.check()  # it was the run's deadline that cut it short, not the call's
            return Failure(answers.no_answer(call, f"no whole answer within {waited:.1f} s", self._key))
        if isinstance(error, transport.NotDecoded):
            return Failure(answers.no_answer(call, str(error), self._key))
        sent = not transport.never_sent(error)
        what = "the connection broke" if sent else f"no connection to {urlsplit(self._base).netloc}"
        return Failure(answers.no_answer(call, f"{what}: {cause or type(cause).__name__}", self._key), sent=sent)


def _headers(settings: Settings, key: Secret) -> dict[str, str]:
    headers = {
        settings.api.key_header: key.reveal(),
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": f"flexsync/{_version()}",
        **NO_CACHE,
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
    """Read a `Date` header; one that no machine's clock can show is none."""
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 9000 else None
