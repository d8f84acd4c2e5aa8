"""One entry of a plan: what would be done for one row, and why not where nothing can be done.

Promised: an entry holds everything that `apply`, `rejected.csv` and a reader of the plan need. Its field names are the
keys of the plan file. Never done: deciding (see `connector.push.plan.decide`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connector.push.file.advice import Advice
from connector.push.file.rules import Fault

__all__ = ["Do", "Entry"]

Do = Literal["create", "update", "archive", "unchanged", "invalid", "conflict", "held", "left_out"]


class Entry(msgspec.Struct, omit_defaults=True):
    """What is planned for one row.

    Attributes:
        do: create, update, archive, unchanged, invalid or conflict; held: a create or update that looks like a
            mistake, until somebody decides about it; left_out: somebody decided against it.
        line: of the person's file; 0 where no row of it is concerned.
        external_id: the customer's, before the change.
        id: the server's id; "" for a create.
        set: field → [before, after]; before is null for a create. `metadata` is always whole.
        precondition: fingerprint of the customer as it was read (see `connector.push.account.customer`).
        why: reason and way out of a conflict.
        notes: what is worth knowing.
        faults: of an invalid row.
        raw: the row's exact text in the file.
        raw_bytes: instead of `raw`, where the row has bytes that are not text.
        doubts: what looks like a mistake, a sentence each.
        stranger: a conflict without a published customer.
        kinds: the kind of each doubt (`connector.push.file.damage.KINDS`).
        decision: about the doubts: yes, no, accepted (the kind as a whole), or "" where nobody decided.
        advice: what cells of the row certainly mean, and whether that is what is planned.
    """

    do: Do
    line: int = 0
    external_id: str = ""
    id: str = ""
    set: dict[str, tuple[Any, Any]] = {}
    precondition: str = ""
    why: str = ""
    notes: list[str] = []
    faults: list[Fault] = []
    raw: str = ""
    raw_bytes: bytes = b""
    doubts: list[str] = []
    stranger: bool = False
    kinds: list[str] = []
    decision: str = ""
    advice: list[Advice] = []

    @property
    def writes(self) -> int:
        """HTTP writes that it takes: two where an external_id changes and metadata is null (contract.md 5.3)."""
        if self.do not in ("create", "update", "archive"):
            return 0
        renames = self.do == "update" and "external_id" in self.set
        return 2 if renames and self.set.get("metadata", ({},))[0] is None else 1

    @property
    def changes(self) -> dict[str, Any]:
        """Field → value after."""
        return {name: after for name, (_, after) in self.set.items()}
