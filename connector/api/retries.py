"""How often one call is asked again: the rules of design section 6 as a small state, made only after a first fault.

Promised: reads are repeated on passing faults until their tries are spent; a write is repeated only when it is certain
that nothing was carried out; a 500 that repeats word for word is permanent after three; waits that the server asked
for cost no try. Never done: I/O and sleeping: `after` says what to do, the client does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connector.api.answers import UnknownOutcome
from connector.api.calls import Call
from connector.api.flow import Retry
from connector.errors import FlexsyncError, KeyRefused, Refused, TryAgain, Unreachable

__all__ = ["PER_CUSTOMER", "Fault", "Tries", "Wait"]

PER_CUSTOMER = frozenset({"usage", "entitlements", "upcoming_grants"})  # one failing customer must not end a run
Kind = TypeVar("Kind", Refused, Unreachable, UnknownOutcome)
EARLY = 4  # refused connections of a read before anything ever answered: a wrong address more likely than a blip
SAME = 3  # identical 500s that make it permanent (contract.md 2.4: some are)
REFUSED_EARLY = frozenset({401, 429})
"""Answered before any handler ran, so a write was not carried out; a 503 may come from a gateway that passed it on."""


@dataclass(frozen=True)
class Fault:
    """One attempt that failed.

    Attributes:
        error: what it came to.
        body: of the answer, to recognise a fault that repeats word for word.
        sent: False when it is certain that the server never saw the call (refused connection, unknown host).
    """

    error: TryAgain | KeyRefused
    body: bytes = b""
    sent: bool = True


@dataclass(frozen=True)
class Wait:
    """What to do before the next try: sleep `seconds`, or hold `everybody` for that long."""

    seconds: float
    everybody: bool = False


class Tries:
    """The state of one call that has failed at least once.

    Args:
        call: the call.
        retry: how many tries, and how long between them.
        max_pause: seconds that the server may put this one call off before it counts as failed.
        clock: seconds, never going back.
    """

    def __init__(self, call: Call, retry: Retry, max_pause: float, clock: Callable[[], float]) -> None:
        self.call = call
        self.retry = retry
        self.made = 0
        self.paused = 0
        self._clock = clock
        self._put_off_until = clock() + max_pause
        self._unauthorized = 0
        self._same = 0
        self._last: tuple[int, bytes] = (0, b"")

    @property
    def attempts(self) -> int:
        """HTTP exchanges made so far, paused ones included."""
        return self.made + self.paused

    def after(self, fault: Fault, key_worked: bool) -> Wait:
        """What follows a fault.

        Args:
            fault: the newest one.
            key_worked: whether this client's key was ever accepted; then a 401 is a passing fault (contract.md 1.2).

        Returns:
            How to wait before the next try.

        Raises:
            UnknownOutcome: a write that may have been carried out.
            KeyRefused: a 401 that did not pass.
            Refused: a 500 that repeats, or the tries of a per-customer read are spent.
            Unreachable: the tries are spent.
        """
        error = fault.error
        safe = self.call.repeatable or not fault.sent or error.status in REFUSED_EARLY
        asked = isinstance(error, TryAgain) and error.retry_after is not None
        if asked and safe and self._clock() < self._put_off_until:
            self.paused += 1
            return Wait(error.retry_after or 0.0, everybody=True)
        self.made += 1
        if not safe:
            raise self._unknown(error)
        self._unauthorized += error.status == 401
        if self._unauthorized > 1 and not key_worked:
            raise error
        nobody = self.call.repeatable and not (fault.sent or key_worked) and self.made >= EARLY
        if nobody or self._repeats(fault) or self.made >= self.retry.attempts:
            raise self._final(fault)
        return Wait(self.retry.seconds(self.made))

    def _repeats(self, fault: Fault) -> bool:
        seen = (fault.error.status, fault.body)
        self._same = self._same + 1 if seen == self._last else 1
        self._last = seen
        return fault.error.status == 500 and self._same >= SAME

    def _final(self, fault: Fault) -> FlexsyncError:
        error = fault.error
        if error.status == 401:
            return error
        if self._same >= SAME and error.status == 500 and self._last[0] == 500:
            return _again(Refused, error, f"It repeated word for word {self._same} times.", error.remedy)
        tried = f"Tried {self.attempts} times." if self.attempts > 1 else "Tried once."
        if self.call.endpoint in PER_CUSTOMER and fault.sent:
            return _again(Refused, error, tried, "Only this customer's row is missing: run again later.")
        return _again(Unreachable, error, tried, "Check base_url and the network, then run again: state is kept.")

    def _unknown(self, error: TryAgain | KeyRefused) -> UnknownOutcome:
        remedy = "It may have been carried out: look before sending it again."
        return _again(UnknownOutcome, error, "The write was sent.", remedy)


def _again(kind: type[Kind], error: TryAgain | KeyRefused, add: str, remedy: str) -> Kind:
    return kind(
        f"{error.message} {add}",
        remedy=remedy,
        status=error.status,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )
