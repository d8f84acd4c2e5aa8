"""Doubts and what was decided about them: a doubted row is held until a person says yes or no to it.

Promised: nothing is written for a row that looks like a mistake, unless its kinds of doubt were accepted, or somebody
said yes to that very row with those very doubts: a row that changed since is asked about again. Never done: finding
doubts (see `connector.push.file.damage`, `connector.push.plan.twins`); files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from connector.push.file.doubt import Doubt
from connector.push.plan.entry import Entry

__all__ = ["ACCEPTED", "Decision", "Decisions", "doubt", "token"]

Decision = Literal["yes", "no"]
ACCEPTED = "accepted"


def doubt(entry: Entry, doubts: Iterable[Doubt]) -> Entry:
    """Add doubts to an entry, each kind and text once."""
    for kind, text in doubts:
        if text not in entry.doubts:
            entry.doubts = [*entry.doubts, text]
            entry.kinds = [*entry.kinds, kind]
    return entry


def token(entry: Entry) -> str:
    """What identifies a doubted row and its doubts. It begins with a letter, so that no spreadsheet rewrites it."""
    said = "\0".join([entry.raw.rstrip("\r\n"), *entry.doubts])
    return "r" + blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass
class Decisions:
    """What was decided about doubted rows.

    Attributes:
        accepted: kinds of doubt that are accepted as a whole.
        said: token of a row → yes (write it as it stands) or no (leave it out).
        used: tokens that met their row.
    """

    accepted: Set[str] = frozenset()
    said: Mapping[str, Decision] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def settle(self, entry: Entry) -> Entry:
        """Hold a doubted entry, leave it out, or let it pass."""
        if not entry.doubts or entry.do not in ("create", "update"):
            return entry
        row = token(entry)
        said = self.said.get(row, "")
        if said:
            self.used.add(row)
        entry.decision = said or (ACCEPTED if self.accepted >= set(entry.kinds) else "")
        if not entry.decision:
            entry.do = "held"
        elif entry.decision == "no":
            entry.do = "left_out"
        return entry

    @property
    def unused(self) -> int:
        """How many decisions met no row: the file, or what is doubted in it, is another one by now."""
        return len(self.said) - len(self.used)
