"""Access: keys, environments, permissions (contract.md 1.2, 1.3).

Promises the three error shapes that are not flat. Never checks a real secret: a sandbox key is a plain word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.sandbox.data.catalog import ENVIRONMENT, USER
from connector.sandbox.replies import Reply, bare

__all__ = ["KEYS", "Key", "admit"]

WRITERS = frozenset({"super_admin", "all_writer"})


@dataclass(frozen=True)
class Key:
    """A credential. Without an environment it acts like one of the server's config file: the header is needed."""

    role: str = "super_admin"
    environment: str | None = ENVIRONMENT
    user: str = USER


KEYS: dict[str, Key] = {
    "sandbox": Key(),
    "reader": Key(role="event_ingestor"),
    "config": Key(environment=None),
}


def admit(headers: Mapping[str, str], keys: Mapping[str, Key], write: bool, environment: str) -> Key | Reply:
    """The caller's key, or the refusal; `headers` have lower-case names."""
    key = keys.get(headers.get("x-api-key", ""))
    if key is None:
        return _without_key(headers.get("authorization", ""))
    chosen = key.environment or headers.get("x-environment-id", "")
    if chosen != environment:
        return bare(403, error="Access denied", message="Invalid or inaccessible environment")
    if write and key.role not in WRITERS:
        return bare(403, message="insufficient permissions")
    return key


def _without_key(authorization: str) -> Reply:
    if not authorization:
        return bare(401, error="Unauthorized")
    if not authorization.startswith("Bearer "):
        return bare(401, error="Invalid authorization header format")
    return bare(401, error="Invalid token")
