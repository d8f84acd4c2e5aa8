"""What the tests with cassettes share: how a tape is scrubbed, and what it calls the sandbox."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

HERE = "http://localhost:8080/v1"  # what cassettes call the sandbox, whatever port it had
CONFIG: dict[str, Any] = {
    "filter_headers": [("x-api-key", "***")],
    "before_record_request": lambda request: _move(request),
    "match_on": ["method", "path", "query", "body"],
    "decode_compressed_response": False,
}


def _move(request: Any) -> Any:
    """Give every recorded request the same host and port."""
    request.uri = urlsplit(request.uri)._replace(netloc=urlsplit(HERE).netloc).geturl()
    return request
