"""Flexsync's parts: read a FlexPrice account into tables that can prove they are complete.

Public names, loaded when first used; importing `connector` imports nothing heavy:

- `read_rows(source, …)` reads customers from a CSV file, a DataFrame or an Arrow table, with every fault in them.
- `open(path)` opens a publication, or a store, for questions.
- `read(table, …)` streams one table from the API as Arrow record batches, without a store.
- `AsyncFlexprice`, `Flexprice` make the ten operations as typed methods.
- `Sandbox`, `Faults` are a FlexPrice server to practise on.
- `Settings`, `load` put settings together. `errors` is the tree of errors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector import errors
    from connector.api.blocking import Flexprice
    from connector.api.client import AsyncFlexprice
    from connector.publications.reading import open
    from connector.push.file.rows import read_rows
    from connector.sandbox import Faults, Sandbox
    from connector.settings import Settings, load
    from connector.streaming import read

_HOMES = {
    "AsyncFlexprice": "connector.api.client",
    "Faults": "connector.sandbox",
    "Flexprice": "connector.api.blocking",
    "Sandbox": "connector.sandbox",
    "Settings": "connector.settings",
    "load": "connector.settings",
    "open": "connector.publications.reading",
    "read": "connector.streaming",
    "read_rows": "connector.push.file.rows",
}
__all__ = [
    "AsyncFlexprice", "Faults", "Flexprice", "Sandbox", "Settings", "errors", "load", "open", "read", "read_rows",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name == "errors":
        return import_module("connector.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'connector' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
