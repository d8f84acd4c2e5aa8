"""A row of the person's file as data, and what a first reading of all rows found.

Promised: a row keeps its exact text beside its values. Never done: reading, deciding.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from connector.push.file.advice import Advice
from connector.push.file.cells import Value
from connector.push.file.doubt import Doubt
from connector.push.file.rules import Fault

__all__ = ["Checked", "Row"]

EXAMPLES = 5  # faults of each rule that are kept for people; the plan and rejected.csv have all of them


class Row(msgspec.Struct, gc=False):
    """One row of a person's file.

    Attributes:
        line: physical line on which it begins, from 1.
        raw: its exact text.
        external_id: "" when blank.
        id: the server's id; "" when blank.
        fields: field → text, or None for "clear"; without blank cells and keys.
        metadata: key → text, or None for "remove"; None where the row says nothing about metadata.
        faults: everything that is wrong with it.
        advice: what some of its cells certainly mean, taken or not.
        doubts: field, or "" for the row → a doubt that its cell gives, whatever the text in it.
    """

    line: int
    raw: str
    external_id: str = ""
    id: str = ""
    fields: dict[str, Value] = {}
    metadata: dict[str, Value] | None = None
    faults: list[Fault] = []
    advice: list[Advice] = []
    doubts: dict[str, Doubt] = {}


@dataclass
class Checked:
    """What a first reading found, before any call.

    Attributes:
        rows: how many rows there are, blank lines apart.
        blank: lines without a value.
        invalid: rows with at least one fault.
        usable: rows without a fault.
        faults: how many, by rule.
        examples: the first few of each rule.
        warnings: sentences about what is allowed and looks like a mistake.
    """

    rows: int = 0
    blank: int = 0
    invalid: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Fault]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def usable(self) -> int:
        """Rows without a fault."""
        return self.rows - self.invalid

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        if not row.faults:
            return
        self.invalid += 1
        for fault in row.faults:
            self.faults[fault.rule] += 1
            examples = self.examples.setdefault(fault.rule, [])
            if len(examples) < EXAMPLES:
                examples.append(fault)
