"""Answers that come late, torn, in pieces, or not at all.

Promises that the call itself was carried out. Never sends anything: `server` reads the reply's `delay` and `manner`.
To add one: a field in `switches.Faults`, a function here, its place in DELIVERY; a new `manner` also needs its
sending in `server/serve.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.sandbox.faults.switches import Faults
from connector.sandbox.replies import Reply

__all__ = ["DELIVERY"]

Hit = Callable[[float], bool]


def latency(faults: Faults, chance: Random, hit: Hit, reply: Reply) -> None:
    """The time that every answer takes."""
    reply.delay += (faults.latency + (chance.random() * faults.jitter if faults.jitter else 0)) / 1000


def torn(faults: Faults, chance: Random, hit: Hit, reply: Reply) -> None:
    """Two thirds of a body, with a length that says it is whole."""
    if reply.status == 200 and reply.body and hit(faults.torn):
        reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]


def lost(faults: Faults, chance: Random, hit: Hit, reply: Reply) -> None:
    """No answer to a call that was carried out."""
    if hit(faults.lost):
        reply.manner = "cut"


def cut_body(faults: Faults, chance: Random, hit: Hit, reply: Reply) -> None:
    """The connection is closed in mid-body."""
    if not reply.manner and reply.body and hit(faults.cut_body):
        reply.manner = "cut_body"


def drip(faults: Faults, chance: Random, hit: Hit, reply: Reply) -> None:
    """The body in small pieces."""
    if not reply.manner and reply.body and hit(faults.drip):
        reply.manner = "drip"


DELIVERY: tuple[Callable[[Faults, Random, Hit, Reply], None], ...] = (latency, torn, lost, cut_body, drip)
"""Applied in this order; an answer has one manner."""
