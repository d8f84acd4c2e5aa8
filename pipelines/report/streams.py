"""The two streams of a command: reports and JSON on stdout, progress and warnings on stderr.

Promised: text for people shows what is invisible in it, and controls no terminal; JSON holds it as it is.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from pipelines.report.values import visible

__all__ = ["write_json", "write_message", "write_report"]


def write_message(text: str) -> None:
    """Write a line to stderr, at once."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


def write_report(text: str) -> None:
    """Write what a command found out, as lines for people, to stdout."""
    sys.stdout.write(f"{visible(text)}\n")


def write_json(value: Any) -> None:
    """Write one JSON document to stdout, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
