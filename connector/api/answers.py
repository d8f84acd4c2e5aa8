"""What an answer means: every body that a server or a proxy sends becomes one error of `connector.errors`.

Promised: all shapes of contract.md 2.2 are parsed (flat, ``error``, ``error`` + ``message``, ``message``, plain text,
empty, HTML, the old nested object, proxy noise); text from outside is cut to a readable length, and the API key is
masked in it. Never done: I/O, waiting, deciding whether to retry (see `connector.api.retries`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from connector.api.calls import Call
from connector.api.grammar import UNREADABLE, refuse_torn
from connector.api.masking import redacted, redacted_in
from connector.errors import (
    AccessRefused,
    Conflict,
    KeyRefused,
    NotFound,
    Refused,
    SkipRow,
    StopRun,
    TryAgain,
    Unreachable,
)
from connector.settings import Secret

__all__ = [
    "TRANSIENT", "NotSent", "describe", "is_object", "judge", "no_answer", "redirected",
    "retry_after", "unreadable",
]  # fmt: skip

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504, *range(520, 531)})
"""Statuses that a retry may cure (design section 6). Those from 520 up are of proxies, which may have passed it on."""
NO_ROUTE = "404 page not found"  # the server's plain text for a path that it does not route (contract.md 1.1)
SHOWN = 300  # characters of a text from outside that a message carries
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)

_KINDS: dict[int, type[StopRun | SkipRow]] = {401: KeyRefused, 403: AccessRefused, 404: NotFound, 409: Conflict}
_REMEDIES = {
    400: "Correct the call: the message holds what the server says about it.",
    401: "Check the key, and that base_url is the region it belongs to.",
    403: "Use a key of that environment whose role allows it, or set environment_id.",
    404: "Look it up again: it may be archived, or belong to another environment.",
    409: "Use another external_id, or update the customer that has this one.",
    500: "The server fails on this very call: report it to its operator.",
}


class NotSent(TryAgain):
    """A write was not sent, because the data that it rests on was read too long ago. Nothing was carried out."""


class _Anything(msgspec.Struct):
    """Any JSON object; its members are parsed and dropped (2 µs a 2.5 kB body, a quarter of decoding it)."""


_object = msgspec.json.Decoder(_Anything)


def is_object(body: bytes) -> bool:
    """Whether `body` is one whole JSON object in UTF-8; false for torn and empty bodies and for any other content.

    One with a text that is none (a lone surrogate), or with a value that is nested too deep for any decoder, is whole:
    asked again it is the same, and only one row is at fault.
    """
    try:
        body.isascii() or body.decode()
        _object.decode(body)
    except (UnicodeDecodeError, msgspec.ValidationError):
        return False
    except (msgspec.DecodeError, RecursionError):
        return body.lstrip().startswith(b"{") and _is_whole(body)
    return True


def _is_whole(body: bytes) -> bool:
    try:
        refuse_torn(body)
    except msgspec.DecodeError:
        return False
    return True


def judge(
    call: Call, status: int, headers: Mapping[str, str], body: bytes, secret: Secret
) -> StopRun | SkipRow | TryAgain:
    """Return the error that an answer stands for.

    Args:
        call: the call that was answered.
        status: HTTP status; with a 2xx the body is not a whole JSON object.
        headers: of the answer, names in any case.
        body: as received.
        secret: the API key; it is masked wherever the answer repeats it.

    Returns:
        An error to be raised: TryAgain for a transient fault, else the class of `connector.errors` for the status.
    """
    code, said, details = _parse(body, secret)
    known: dict[str, Any] = {
        "status": status,
        "code": code,
        "details": details,
        "request_id": redacted(headers.get("x-request-id", ""), secret),
    }
    if 200 <= status < 300:
        return TryAgain(f"{describe(call)}: {status} with a body that is not JSON{_quoted(said)}.", **known)
    message = f"{describe(call)}: {status}{' ' + code if code else ''}{_quoted(said)}{_listed(details)}."
    if status in TRANSIENT:
        wait = retry_after(headers.get("retry-after"), headers.get("date")) if status in {429, 503} else None
        return TryAgain(message, remedy=_REMEDIES.get(status, ""), retry_after=wait, **known)
    if status == 404 and said == NO_ROUTE:
        return NotFound(message, remedy="The server has no such path: check that base_url ends in /v1.", **known)
    kind: type[StopRun | SkipRow] | None = _KINDS.get(status)
    if kind is None:
        kind = Unreachable if 300 <= status < 400 or status < 200 else Refused
    return kind(message, remedy=_REMEDIES.get(status, _REMEDIES[400] if status < 500 else ""), **known)


def redirected(call: Call, status: int, location: str, secret: Secret) -> Unreachable:
    """Return the error for a 3xx. A redirect is never followed: the key would travel with it (contract.md 1.1)."""
    where = redacted(location, secret)[:SHOWN]
    return Unreachable(
        f"{describe(call)}: {status}, a redirect to {where!r}; it was not followed, and the key was not sent there.",
        remedy="Set base_url to the address that answers without redirecting, if you trust it.",
        status=status,
    )


def no_answer(call: Call, what: str, secret: Secret) -> TryAgain:
    """Return the error for a refused connection, a time-out or a cut body; `what` says which."""
    return TryAgain(f"{describe(call)}: {redacted(what, secret)[:SHOWN]}.")


def unreadable(call: Call) -> Refused:
    """Return the error for a whole answer that nobody can decode, because of one of its values."""
    return Refused(
        f"{describe(call)}: the answer holds a text that is none, such as a lone surrogate, or too many levels.",
        remedy="Correct that value in FlexPrice. A sync puts such rows into flexsync.rejects and continues.",
    )


def describe(call: Call) -> str:
    """Return a call's name in messages: the reference's operation, its subject, and the path without query."""
    about = f" {call.about}" if call.about else ""
    return f"{call.operation}{about} ({call.method} {call.path})"


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, or None when it cannot be read, or lies in the past.

    A moment that has passed says nothing: taken as "now", it would have every worker call a busy server at once.

    Args:
        value: a number of seconds, or an HTTP date.
        date: the answer's `Date`; only the server's own clock can measure a date of its.
    """
    if not value:
        return None
    try:
        seconds = float(int(value))
    except OverflowError:
        return None
    except ValueError:
        moment, now = _http_date(value), _http_date(date or "")
        seconds = (moment - now).total_seconds() if moment and now else -1.0
    return seconds if seconds >= 0 else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- bodies -----------------------------------------------------------------------------------------------------


def _parse(body: bytes, secret: Secret) -> tuple[str, str, Mapping[str, Any]]:
    """Code, text and details of an error body, whatever its shape; the key is masked (contract.md 2.1, 2.2)."""
    try:
        code, text, details = _apart(msgspec.json.decode(body))
        return redacted(code, secret), redacted(text, secret), redacted_in(details, secret)
    except UNREADABLE:  # a few levels less than a decoder reads are too many for what follows it
        return "", redacted(_plain(body), secret), {}


def _apart(found: Any) -> tuple[str, str, Mapping[str, Any]]:
    if not isinstance(found, dict):
        return "", str(found), {}
    inner = found.get("error")
    nested = inner if isinstance(inner, dict) else {}  # servers before April 2026
    parts = [inner if isinstance(inner, str) else "", found.get("message"), nested.get("message")]
    said = [part for part in parts if isinstance(part, str) and part]
    internal = nested.get("internal_error")
    text = ": ".join(said) or (internal if isinstance(internal, str) else "")
    details = found.get("details") or nested.get("details")
    code = found.get("code") or nested.get("code")
    return (
        str(code or ""),
        text or ("" if details or code else str(found)),
        details if isinstance(details, dict) else {},
    )


def _plain(body: bytes) -> str:
    text = body[:65536].decode("utf-8", "replace")
    if re.match(r"\s*<", text):
        title = _TITLE.search(text)
        text = f"an HTML page: {title[1] if title else _TAG.sub(' ', text)}"
    return " ".join(html.unescape(text).split())


def _quoted(text: str) -> str:
    if not text:
        return ", empty body"
    return f' "{text[:SHOWN]}{"…" if len(text) > SHOWN else ""}"'


def _listed(details: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}: {value}" for name, value in details.items())
    return f" ({text[:SHOWN]})" if text else ""
