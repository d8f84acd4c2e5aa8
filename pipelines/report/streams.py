"""The two streams of a command: reports and JSON on stdout, progress and warnings on stderr."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

__all__ = ["write_json", "write_message", "write_report"]


def write_message(text: str) -> None:
    """Write a line to stderr, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write_report(text: str) -> None:
    """Write what a command found out, as lines for people, to stdout."""
    sys.stdout.write(f"{text}\n")


def write_json(value: Any) -> None:
    """Write one JSON document to stdout, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
