"""The two streams of a command: messages on stderr, JSON on stdout."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

__all__ = ["write_json", "write_message"]


def write_message(text: str) -> None:
    """Write a line to stderr, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write_json(value: Any) -> None:
    """Write one JSON document to stdout, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
