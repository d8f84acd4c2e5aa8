"""The recording itself: exchanges, their moments, and the objects in their bodies.

Promises the exchanges in the order in which they were made. Never interprets what a body says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from connector.sandbox.replies import Json

__all__ = ["RECORDED_KEY", "Exchange", "began_at", "body_of", "objects_in", "read"]

Exchange = Json
RECORDED_KEY = "<key>"
"""What stands in the recording for the key: one of the server's config file, so the environment header is needed."""


def read(path: Path) -> list[Exchange]:
    """The exchanges, in order."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def began_at(exchanges: list[Exchange]) -> datetime:
    """When the first answer was sent."""
    return parsedate_to_datetime(exchanges[0]["response"]["headers"]["date"])


def body_of(exchange: Exchange) -> Json:
    """The body of a JSON 200; empty for any other answer."""
    response = exchange["response"]
    if response["status"] != 200 or not (response["body"] or "").startswith("{"):
        return {}
    body: Json = json.loads(response["body"])
    return body


def objects_in(value: Any) -> Iterator[Json]:
    """Every object in a body, outer ones first."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from objects_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from objects_in(member)
