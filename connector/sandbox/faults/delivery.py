"""Answers that come late, torn, in pieces, or not at all.

Promises to change only how an answer arrives: whether the call was carried out is decided before. Never sends anything:
`server` reads the reply's `delay` and `delivery`. To add one: a field in `switches.Faults`, a function here, its place
in DELIVERY, or a call in `injector` if its switch is in `switches.LASTING`; a new word for `Reply.delivery` also needs
its sending in `server/serve.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.sandbox.faults.draw import Draw
from connector.sandbox.replies import Reply

__all__ = ["DELIVERY"]


def latency(draw: Draw, reply: Reply) -> None:
    """The time that every answer takes."""
    faults = draw.faults
    reply.delay += (faults.latency + (draw.chance.random() * faults.jitter if faults.jitter else 0)) / 1000


def torn(draw: Draw, reply: Reply) -> None:
    """Two thirds of a body, with a length that says it is whole."""
    if reply.status == 200 and reply.body and draw.hit(draw.faults.torn):
        reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]


def lost(draw: Draw, reply: Reply) -> None:
    """No answer to a call that was carried out."""
    if draw.hit(draw.faults.lost):
        reply.delivery = "cut"


def cut_body(draw: Draw, reply: Reply) -> None:
    """The connection is closed in mid-body."""
    if not reply.delivery and reply.body and draw.hit(draw.faults.cut_body):
        reply.delivery = "cut_body"


def drip(draw: Draw, reply: Reply) -> None:
    """The body in small pieces."""
    if not reply.delivery and reply.body and draw.hit(draw.faults.drip):
        reply.delivery = "drip"


DELIVERY: tuple[Callable[[Draw, Reply], None], ...] = (latency, torn, lost, cut_body, drip)
"""Applied in this order; an answer has one delivery."""
