"""Replies: status, headers, bytes, and every error body the server knows.

Promises Go's JSON escaping (contract.md 1.4) and the exact error bodies of contract.md 1.2 and 2. Never looks at
data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

__all__ = ["Json", "Refusal", "Reply", "encode", "json_reply"]

Json = dict[str, Any]

JSON_TYPE = "application/json; charset=utf-8"
FIXED_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'",
    "Permissions-Policy": "geolocation=(), microphone=()",
    "Access-Control-Allow-Origin": "*",
}
"""Sent with every handled answer (contract.md 1.4; the two policies' values are ours)."""

CODES = {
    "validation_error": 400,
    "invalid_operation": 400,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "version_conflict": 409,
    "too_many_requests": 429,
    "database_error": 500,
    "system_error": 500,
    "internal_error": 500,
    "service_unavailable": 503,
}

_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Reply:
    """One answer. `delivery` is empty, "cut", "cut_body" or "drip" (`faults/delivery.py`); `delay` is in seconds."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    delivery: str = ""
    delay: float = 0.0


class Refusal(Exception):
    """Raised anywhere below the router to answer with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body.decode())
        self.reply = reply


def escape(body: bytes) -> bytes:
    """Escape what Go's encoder escapes and msgspec does not (contract.md 1.4)."""
    for plain, escaped in _ESCAPES:
        if plain in body:
            body = body.replace(plain, escaped)
    return body


def encode(value: object) -> bytes:
    """A value as the server's JSON."""
    return escape(_encode(value))


def json_reply(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, encode(value))


def error_reply(code: str, message: str, details: Json | None = None) -> Reply:
    """The flat body of contract.md 2.1; `details` is left out when empty, its keys are sorted as Go sorts a map."""
    body: Json = {"code": code, "message": message, "http_status_code": CODES[code]}
    if details:
        body["details"] = dict(sorted(details.items()))
    return json_reply(body, CODES[code])


def refuse(code: str, message: str, **details: object) -> NoReturn:
    """Answer with a flat error."""
    raise Refusal(error_reply(code, message, details))


def panic() -> NoReturn:
    """500 with an empty body and no content type (contract.md 2.2)."""
    raise Refusal(Reply(500, b"", None))


def bare(status: int, **body: str) -> Reply:
    """The three shapes that are not flat errors (contract.md 1.2)."""
    return json_reply(body, status)


def page_not_found() -> Reply:
    """404 as plain text for anything unrouted (contract.md 1.1)."""
    return Reply(404, b"404 page not found", "text/plain")
