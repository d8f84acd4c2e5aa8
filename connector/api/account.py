"""How a FlexPrice account is opened: the arguments of all clients, declared once.

Promised: a key that is given is a `Secret` before anything can fail; without settings they are loaded from the
environment. Never done: HTTP (`connector.api.client`), operations (`connector.clients`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from connector.api.calls import Call
from connector.api.flow import Gate
from connector.api.recovery import Waiting
from connector.clock import Clock, utc_now
from connector.settings import Secret, Settings, load, masked

__all__ = ["Account", "Hooks", "Observer"]

Observer = Callable[[Call, int, float], None]  # call, HTTP status (0: none came), seconds


class Hooks(TypedDict):
    """What a client is given beside its settings; see `Account`."""

    gate: Gate | None
    on_call: Observer | None
    on_wait: Waiting | None
    clock: Clock


class Account:
    """What every client of an account begins with: its settings and its hooks."""

    _closed = True  # until it is whole: one that its settings refuse holds nothing

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
        on_wait: Waiting | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Open an account.

        Args:
            settings: as `flexsync.load` returns them; without them they are loaded from the environment, and the next
                four arguments override it.
            base_url: address of the API with its ``/v1``.
            api_key: the key.
            environment_id: sent as ``X-Environment-ID``; only keys that are bound to no environment need it
                (contract.md 1.3).
            allow_http: hosts that may be called without TLS.
            gate: shared by all clients that must be throttled together; by default one of its own.
            on_call: called after every HTTP exchange with the call, the status and the seconds.
            on_wait: called when all calls have waited for some seconds because the server fails, and when they go on.
            clock: this machine's, for answers without a `Date` header.

        Raises:
            FixInput: no key, or a base_url that the key must not travel to.
        """
        api_key = masked(api_key)
        if settings is None:
            hosts = tuple(allow_http) if allow_http is not None else None
            settings = load(base_url=base_url, api_key=api_key, environment_id=environment_id, allow_http=hosts)
        self._open(settings, Hooks(gate=gate, on_call=on_call, on_wait=on_wait, clock=clock))

    def _open(self, settings: Settings, hooks: Hooks) -> None:
        """Take the settings and the hooks; each client has its own."""
        raise NotImplementedError
