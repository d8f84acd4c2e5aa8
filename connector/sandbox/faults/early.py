"""Answers in place of the server's: the call is never carried out.

Promises the bodies that a proxy or the server sends in these cases (contract.md 1.2, 2.2). To add one: a field in
`switches.Faults`, a function here, its place in EARLY.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.sandbox.faults.draw import Draw
from connector.sandbox.faults.switches import Faults
from connector.sandbox.replies import Reply, bare, error_reply, page_not_found

__all__ = ["EARLY", "RateLimit", "no_events"]

PROXY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body>\r\n<h1>502 Bad Gateway</h1>\r\n</body>\r\n</html>\r\n"
)


class RateLimit:
    """429 beyond `rate` calls in a second."""

    def __init__(self) -> None:
        self.window: list[float] = []

    def __call__(self, faults: Faults, now: float) -> Reply | None:
        """Count a call at `now` (seconds of a steady clock), or refuse it."""
        if not faults.rate:
            return None
        self.window = [moment for moment in self.window if moment > now - 1.0]
        if len(self.window) < faults.rate:
            self.window.append(now)
            return None
        headers = {} if faults.retry_after is None else {"Retry-After": f"{faults.retry_after:g}"}
        return Reply(429, b'{"message":"Too Many Requests"}', "application/json", headers)


def cut(draw: Draw) -> Reply | None:
    """The connection is closed at once."""
    return Reply(0, delivery="cut") if draw.hit(draw.faults.cut) else None


def proxy502(draw: Draw) -> Reply | None:
    """A proxy answers with a page."""
    return Reply(502, PROXY_PAGE, "text/html") if draw.hit(draw.faults.proxy502) else None


def unauthorized(draw: Draw) -> Reply | None:
    """A transient 401 (contract.md 1.2)."""
    return bare(401, error="Unauthorized") if draw.hit(draw.faults.unauthorized) else None


def empty500(draw: Draw) -> Reply | None:
    """A panic: no body (contract.md 2.2)."""
    return Reply(500, b"", None) if draw.hit(draw.faults.empty500) else None


def error(draw: Draw) -> Reply | None:
    """A JSON error with status `error_status`."""
    if not draw.hit(draw.faults.error_rate):
        return None
    code = "service_unavailable" if draw.faults.error_status == 503 else "internal_error"
    reply = error_reply(code, "An unexpected error occurred")
    reply.status = draw.faults.error_status
    return reply


def no_events(faults: Faults, route: str) -> Reply | None:
    """A server without events routes, or a key that may not read them; no share or `endpoint` limits it."""
    if route != "events" or not faults.no_events:
        return None
    return page_not_found() if faults.no_events == 404 else bare(403, message="insufficient permissions")


EARLY: tuple[Callable[[Draw], Reply | None], ...] = (cut, proxy502, unauthorized, empty500, error)
"""Asked in this order; the first answer is sent."""
