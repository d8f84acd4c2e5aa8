"""Whether a failed call is sent again, and after which wait. `RetryState` is made only after a first failure.

Promised: reads are retried on transient faults until their attempts are used up; a write is retried only when it is
certain that nothing was carried out; a 500 that repeats word for word is permanent after three, if the server answered
others in between; waits that the server asked for, and failures in an outage, do not count as attempts. Never done:
I/O or sleeping: `RetryState.after` says what to do, the client does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import tenacity

from connector.api.calls import Call
from connector.errors import FixInput, FlexsyncError, KeyRefused, Refused, TryAgain, UnknownOutcome, Unreachable

__all__ = ["LISTINGS", "PER_CUSTOMER", "Failure", "Retries", "Retry", "RetryState", "Wait", "policy", "positive"]

LISTINGS = frozenset({"customers", "subscriptions"})
PER_CUSTOMER = frozenset({"usage", "entitlements", "upcoming_grants"})  # one failing customer must not end a run
WRONG_ADDRESS = 4  # refused connections of a read before anything ever answered: more likely a typo than a blip
PERMANENT = 3  # identical 500s in a row that make it permanent (contract.md 2.4: some are)
NOT_EXECUTED = frozenset({401, 429})
"""Sent before any handler ran, so a write was not carried out. A 503 may come from a gateway that passed it on."""
Kind = TypeVar("Kind", Refused, Unreachable, UnknownOutcome)
_NO_LOOP = tenacity.Retrying()  # a strategy is asked for seconds only; the loop around it is ours


def positive(timeout: float | None, default: float) -> float:
    """Return the seconds of a time limit, or the default for None; raises FixInput for 0 and less."""
    if timeout is not None and not timeout > 0:
        raise FixInput(f"timeout is {timeout}.", remedy="Give seconds above 0, or leave it out.")
    return default if timeout is None else timeout


@dataclass(frozen=True)
class Retry:
    """The retry policy of one call.

    Attributes:
        attempts: attempts in total, the first included; waits that the server asked for do not count.
        wait: tenacity's strategy for the seconds between attempts; by default exponential with full jitter.
    """

    attempts: int = 6
    wait: tenacity.wait.wait_base = field(
        default_factory=lambda: tenacity.wait_random_exponential(multiplier=1, max=60)
    )

    def seconds(self, attempt: int) -> float:
        """Return how long to wait after attempt number `attempt` (1 is the first)."""
        state = tenacity.RetryCallState(_NO_LOOP, None, (), {})
        state.attempt_number = attempt
        return self.wait(state)


Retries = int | Retry | None
"""Further attempts after the first, or a whole policy; None: the settings' number."""


def policy(retries: Retries, default: Retry) -> Retry:
    """Return the policy that `retries` stands for; raises FixInput for a negative number."""
    if retries is None or isinstance(retries, Retry):
        return default if retries is None else retries
    if retries < 0:
        raise FixInput(f"retries is {retries}.", remedy="Give 0 for a single attempt, or more.")
    return Retry(retries + 1)


@dataclass(frozen=True)
class Failure:
    """One attempt that failed.

    Attributes:
        error: its meaning.
        body: of the answer, to recognise a failure that repeats word for word.
        sent: False when it is certain that the server never saw the call (refused connection, unknown host).
        began: when the exchange started, by `time.monotonic`.
        ended: when it had failed.
    """

    error: TryAgain | KeyRefused
    body: bytes = b""
    sent: bool = True
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Wait:
    """What to do before the next attempt: sleep `seconds`, or hold the calls of all callers for that long."""

    seconds: float
    for_all: bool = False


class RetryState:
    """The state of one call that has failed at least once.

    Args:
        call: the call.
        retry: the policy.
        max_pause: seconds that the server may delay this one call before further pauses count as attempts.
        clock: seconds, never going back.
    """

    def __init__(self, call: Call, retry: Retry, max_pause: float, clock: Callable[[], float]) -> None:
        self.call = call
        self.retry = retry
        self.attempts = 0
        self.paused = 0
        self.first: Failure | None = None  # of those that count
        self.last: Failure | None = None
        self.proven = True  # the server answered others since the failure before the newest one
        self._clock = clock
        self._patient_until = clock() + max_pause
        self._unauthorized = 0
        self._repeats = 0
        self._last: tuple[int, bytes] = (0, b"")

    @property
    def exchanges(self) -> int:
        """HTTP exchanges so far, those that ended in a pause included."""
        return self.attempts + self.paused

    @property
    def patient(self) -> bool:
        """Whether the server may delay this call without an attempt being counted."""
        return self._clock() < self._patient_until

    def safe(self, failure: Failure) -> bool:
        """Whether the call can be sent again: it carries nothing out, or certainly was not carried out."""
        return self.call.repeatable or not failure.sent or failure.error.status in NOT_EXECUTED

    def forget(self, more: int = 0) -> None:
        """Count no failure so far against this call, nor `more` of its exchanges: the server failed as a whole."""
        self.paused += self.attempts + more
        self.attempts = self._unauthorized = self._repeats = 0
        self.first = self.last = None
        self._last = (0, b"")

    def after(self, failure: Failure, key_worked: bool) -> Wait:
        """Decide what follows a failure.

        Args:
            failure: the newest one.
            key_worked: whether the server ever accepted this client's key; then a 401 is transient (contract.md 1.2).

        Returns:
            How to wait before the next attempt.

        Raises:
            UnknownOutcome: a write that may have been carried out.
            KeyRefused: a 401 that stays.
            Refused: a 500 that repeats, or the attempts of a per-customer read are used up.
            Unreachable: the attempts are used up.
        """
        error = failure.error
        safe = self.safe(failure)
        asked = isinstance(error, TryAgain) and error.retry_after is not None
        if asked and safe and self.patient:
            self.paused += 1
            return Wait(error.retry_after or 0.0, for_all=True)
        self.attempts += 1
        self.first, self.last = self.first or failure, failure
        if not safe:
            raise self._unknown(error)
        self._unauthorized += error.status == 401
        if self._unauthorized > 1 and not key_worked:
            raise error
        unreachable = self.call.repeatable and not (failure.sent or key_worked) and self.attempts >= WRONG_ADDRESS
        if unreachable or self._is_permanent(failure) or self.attempts >= self.retry.attempts:
            raise self._final(failure)
        return Wait(self.retry.seconds(self.attempts))

    def _is_permanent(self, failure: Failure) -> bool:
        seen = (failure.error.status, failure.body)
        self._repeats = self._repeats + 1 if seen == self._last else 1
        self._last = seen
        return failure.error.status == 500 and self._repeats >= PERMANENT and self.proven

    def _final(self, failure: Failure) -> FlexsyncError:
        error = failure.error
        if error.status == 401:
            return error
        if self._repeats >= PERMANENT and error.status == 500 and self.proven:
            return _extended(Refused, error, f"It repeated word for word {self._repeats} times.", error.remedy)
        tried = f"Tried {self.exchanges} times." if self.exchanges > 1 else "Tried once."
        if self.call.endpoint in PER_CUSTOMER and failure.sent:
            return _extended(Refused, error, tried, "Only this customer's row is missing: run again later.")
        return _extended(Unreachable, error, tried, "Check base_url and the network, then run again: state is kept.")

    def _unknown(self, error: TryAgain | KeyRefused) -> UnknownOutcome:
        remedy = "It may have been carried out: look it up before sending it again."
        return _extended(UnknownOutcome, error, "The write was sent.", remedy)


def _extended(kind: type[Kind], error: TryAgain | KeyRefused, sentence: str, remedy: str) -> Kind:
    """The same answer as another kind of error, with one more sentence."""
    return kind(
        f"{error.message} {sentence}",
        remedy=remedy,
        status=error.status,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )
