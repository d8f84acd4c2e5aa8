"""List requests that the server reads differently: old servers, and what is left to chance.

Promises that the request was checked before. To add one: a field in `switches.Faults` (or a word in OLD), a function
here, its place in REQUESTS (for as long as the switch is on) or in TROUBLED (within `endpoint` and `first`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.sandbox.faults.switches import Faults
from connector.sandbox.replies import refuse
from connector.sandbox.routes.filters import INVALID, Filter

__all__ = ["REQUESTS", "TROUBLED"]


def filters_refused(faults: Faults, chance: Random, request: Filter, noun: str) -> None:
    """Servers that know no filters answer 400 or 500 (contract.md 3.6)."""
    if request.conditions and "filters_refused" in faults.old:
        code = "validation_error" if chance.random() < 5 / 6 else "database_error"
        refuse(code, f"Failed to list {noun}")


def filters_ignored(faults: Faults, chance: Random, request: Filter, noun: str) -> None:
    """Servers that drop the filters and list everything."""
    if "filters_ignored" in faults.old:
        request.conditions = []


def archived_included(faults: Faults, chance: Random, request: Filter, noun: str) -> None:
    """Servers whose customer lists hold archived rows unless a status is named (contract.md 3.6)."""
    request.archived_included = "archived_included" in faults.old


def loose_ties(faults: Faults, chance: Random, request: Filter, noun: str) -> None:
    """Rows that the sort leaves equal come in any order (contract.md 3.3)."""
    request.loose = faults.loose_ties


def max_limit(faults: Faults, chance: Random, request: Filter, noun: str) -> None:
    """A server or gateway with smaller pages refuses the larger ones (contract.md 2.4), its own default apart."""
    if not faults.max_limit or request.limit <= faults.max_limit:
        return
    if request.limit_given:
        refuse("validation_error", INVALID, limit=f"must be between 1 and {faults.max_limit}")
    request.limit = faults.max_limit


Edit = Callable[[Faults, Random, Filter, str], None]
REQUESTS: tuple[Edit, ...] = (
    filters_refused,
    filters_ignored,
    archived_included,
    loose_ties,
)
TROUBLED: tuple[Edit, ...] = (max_limit,)
