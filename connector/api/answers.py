"""What an answer means: every body that a server or a proxy sends, turned into one error of `connector.errors`.

Promised: all shapes of contract.md 2.2 are understood (flat, ``error``, ``error`` + ``message``, ``message``, plain
text, empty, HTML, the old nested object, proxy noise); a text from outside is cut to a readable length, and the API
key never survives in it. Never done: I/O, waiting, deciding whether to ask again (see `connector.api.retries`).
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

__all__ = ["PASSING", "NotSent", "UnknownOutcome", "blotted", "cut", "is_object", "judge", "redirected", "retry_after"]

PASSING = frozenset({408, 429, 500, 502, 503, 504, *range(520, 531)})
"""Statuses that a repeat may cure (design section 6); from 520 up they are of proxies, who may have passed it on."""
NO_ROUTE = "404 page not found"  # the server's plain text for a path that it does not route (contract.md 1.1)
SHOWN = 300  # characters of a foreign text that a message carries
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)

_KINDS: dict[int, type[StopRun | SkipRow]] = {401: KeyRefused, 403: AccessRefused, 404: NotFound, 409: Conflict}
_REMEDIES = {
    400: "Mend the call: what the server says about it stands above.",
    401: "Check the key, and that base_url is the region it belongs to.",
    403: "Use a key of that environment whose role allows it, or set environment_id.",
    404: "Look it up again: it may be archived, or belong to another environment.",
    409: "Use another external_id, or update the customer that has this one.",
    500: "The server fails on this very call: report it to its operator.",
}


class UnknownOutcome(TryAgain):
    """A write was sent and no usable answer came: it may or may not have been carried out.

    Whoever sent it looks first, and sends again only what is not there (contract.md 5.1).
    """

    unknown_outcome = True


class NotSent(TryAgain):
    """A write was not sent, for what it rests on was read too long ago. Nothing was carried out."""


class _Anything(msgspec.Struct):
    """Any JSON object; what is in it is parsed and dropped (2 µs a 2.5 kB body, a quarter of decoding it)."""


_object = msgspec.json.Decoder(_Anything)


def is_object(body: bytes) -> bool:
    """Whether `body` is one whole JSON object in UTF-8; false for torn, foreign and empty bodies."""
    try:
        _object.decode(body)
        return body.isascii() or bool(body.decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def judge(
    call: Call, status: int, headers: Mapping[str, str], body: bytes, hide: Secret
) -> StopRun | SkipRow | TryAgain:
    """The error that an answer stands for.

    Args:
        call: what was asked.
        status: HTTP status; of a 2xx the body did not hold together.
        headers: of the answer, names in any case.
        body: as received.
        hide: the API key; it is blotted out wherever the answer repeats it.

    Returns:
        An error to be raised: TryAgain for a passing fault, else what the tree of `connector.errors` says.
    """
    code, text, details = _understand(body)
    known: dict[str, Any] = {
        "status": status,
        "code": blotted(code, hide),
        "details": _blot_all(details, hide),
        "request_id": blotted(headers.get("x-request-id", ""), hide),
    }
    said = blotted(text, hide)
    if 200 <= status < 300:
        return TryAgain(f"{named(call)}: {status} with a body that is not JSON{_quoted(said)}.", **known)
    message = f"{named(call)}: {status}{' ' + known['code'] if code else ''}{_quoted(said)}{_listed(known['details'])}."
    if status in PASSING:
        wait = retry_after(headers.get("retry-after"), headers.get("date")) if status in {429, 503} else None
        return TryAgain(message, remedy=_REMEDIES.get(status, ""), retry_after=wait, **known)
    if status == 404 and text == NO_ROUTE:
        return NotFound(message, remedy="There is no such address: does base_url end in /v1?", **known)
    kind: type[StopRun | SkipRow] | None = _KINDS.get(status)
    if kind is None:
        kind = Unreachable if 300 <= status < 400 or status < 200 else Refused
    return kind(message, remedy=_REMEDIES.get(status, _REMEDIES[400] if status < 500 else ""), **known)


def redirected(call: Call, status: int, location: str, hide: Secret) -> Unreachable:
    """A 3xx: it is never followed, because the key would travel with it (contract.md 1.1)."""
    where = blotted(location, hide)[:SHOWN]
    return Unreachable(
        f"{named(call)}: {status}, a redirect to {where!r}; it was not followed, the key stayed here.",
        remedy="Set base_url to the address that answers without redirecting, if you trust it.",
        status=status,
    )


def cut(call: Call, what: str, hide: Secret) -> TryAgain:
    """No whole answer came: refused connection, time-out, cut body. `what` says which."""
    return TryAgain(f"{named(call)}: {blotted(what, hide)[:SHOWN]}.")


def named(call: Call) -> str:
    """How messages name a call: the reference's operation, whom it is about, and the path without query."""
    about = f" {call.about}" if call.about else ""
    return f"{call.operation}{about} ({call.method} {call.path})"


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait from a `Retry-After` header: a number, or an HTTP date.

    A date is measured against the server's own clock (`Date`) where it sent one. Nonsense is None.
    """
    if not value:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        moment, now = _http_date(value), _http_date(date or "")
        return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()) if moment else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- bodies -----------------------------------------------------------------------------------------------------


def _understand(body: bytes) -> tuple[str, str, Mapping[str, Any]]:
    """Code, text and details of an error body, whatever its shape (contract.md 2.1, 2.2)."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", _plain(body), {}
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


def blotted(text: str, hide: Secret) -> str:
    """The text without the key."""
    return text.replace(hide.reveal(), "***") if hide else text


def _blot_all(value: Any, hide: Secret) -> Any:
    if isinstance(value, str):
        return blotted(value, hide)
    if isinstance(value, dict):
        return {blotted(str(name), hide): _blot_all(item, hide) for name, item in value.items()}
    return [_blot_all(item, hide) for item in value] if isinstance(value, list) else value
