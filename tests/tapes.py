"""What the tests with cassettes share: the account that is recorded, how a cassette is scrubbed, and its address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connector.sandbox import Faults, Key, Sandbox

HERE = "http://localhost:8080/v1"  # what cassettes call the sandbox, whatever port it had
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
CONFIG: dict[str, Any] = {
    "filter_headers": [("x-api-key", "***")],
    "before_record_request": lambda request: _move(request),
    "match_on": ["method", "path", "query", "body"],
    "decode_compressed_response": False,
    "allow_playback_repeats": False,
}


def _move(request: Any) -> Any:
    """Give every recorded request the same host and port."""
    request.uri = urlsplit(request.uri)._replace(netloc=urlsplit(HERE).netloc).geturl()
    return request


def account(customers: int, keys: dict[str, Key], faults: Faults | None = None) -> Sandbox:
    """The sandbox that is recorded; its clock stands still."""
    return Sandbox(customers=customers, clock=lambda: NOON, keys=keys, faults=faults)


def address(record_mode: str, sandbox: Sandbox) -> Iterator[str]:
    """For a fixture: the sandbox's address while recording; while replaying only the name that cassettes use."""
    if record_mode == "none":
        yield HERE
        return
    with sandbox.running() as url:
        yield url


def scrubbed(module: str) -> Sequence[Path]:
    """The cassettes of a test module; fails where one holds a key, or a port of the machine that recorded it."""
    paths = sorted((Path(__file__).parent / "cassettes" / module).glob("*.yaml"))
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "MARKER" not in text, path
        assert "127.0.0.1" not in text, path
        assert "x-api-key" in text, path
    return paths
