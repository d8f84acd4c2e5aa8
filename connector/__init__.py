"""The library: reads a FlexPrice account into tables with a proof that they are complete, and writes customers back.

In: an account, through its API; a file of customers. Out: a store, publications, tables; changed customers. Never done
here: a command, printing (see `pipelines`). Public names are loaded on first use, so that importing `connector` imports
nothing heavy:

- `read_rows(source, …)` reads customers from a CSV file, a DataFrame or an Arrow table, and reports every fault in it.
- `open(path)` opens a publication or a store for reading; `open(path, green=True)` its last green run.
- `read(table, …)` streams one table from the API as Arrow record batches, without a store.
- `AsyncFlexprice`, `Flexprice` have the ten operations as typed methods.
- `Sandbox`, `Faults` are a FlexPrice server for practice and tests.
- `Settings`, `load` put settings together. `errors` holds every error, `models` what the operations return.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector import errors
    from connector.clients import models
    from connector.clients.asynchronous import AsyncFlexprice
    from connector.clients.blocking import Flexprice
    from connector.publications.reading import open
    from connector.push.file.rows import read_rows
    from connector.sandbox import Faults, Sandbox
    from connector.settings import Settings, load
    from connector.streaming import read

_MODULES = {
    "AsyncFlexprice": "connector.clients.asynchronous",
    "Faults": "connector.sandbox",
    "Flexprice": "connector.clients.blocking",
    "Sandbox": "connector.sandbox",
    "Settings": "connector.settings",
    "load": "connector.settings",
    "open": "connector.publications.reading",
    "read": "connector.streaming",
    "read_rows": "connector.push.file.rows",
}
__all__ = [
    "AsyncFlexprice", "Faults", "Flexprice", "Sandbox", "Settings", "errors", "load", "models", "open",
    "read", "read_rows",
]  # fmt: skip


if not TYPE_CHECKING:  # or type checkers would take any name for a public one

    def __getattr__(name: str) -> Any:
        """Load a public name on first use."""
        if name in ("errors", "models"):
            return import_module({"errors": "connector.errors", "models": "connector.clients.models"}[name])
        if name in _MODULES:
            return getattr(import_module(_MODULES[name]), name)
        raise AttributeError(f"module 'connector' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
