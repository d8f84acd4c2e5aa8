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

Decision = Literal["yes", "no", "same"]
ACCEPTED = "accepted"
_ENDS = "\r\n"
_HASH = 16  # hexadecimal digits of each half of a token


def doubt(entry: Entry, doubts: Iterable[Doubt]) -> Entry:
    """Add doubts to an entry, each kind and text once."""
    for kind, text in doubts:
        if text not in entry.doubts:
            entry.doubts = [*entry.doubts, text]
            entry.kinds = [*entry.kinds, kind]
    return entry


def token(entry: Entry) -> str:
    """What identifies a doubted row and its doubts. It begins with a letter, so that no spreadsheet rewrites it."""
    return f"r{_hash(entry.raw.rstrip(_ENDS))}{_hash(*entry.doubts)}"


def _hash(*texts: str) -> str:
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=_HASH // 2).hexdigest()


@dataclass
class Decisions:
    """What was decided about doubted rows.

    Attributes:
        accepted: kinds of doubt that are accepted as a whole.
        said: token of a row → yes (write it as it stands), no (leave it out) or same (it means the existing customer
            whose external_id only looks different).
        used: tokens that met their row.
    """

    accepted: Set[str] = frozenset()
    said: Mapping[str, Decision] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _same: set[str] = field(default_factory=set)

    def settle(self, entry: Entry) -> Entry:
        """Hold a doubted entry, leave it out, or let it pass."""
        if not entry.doubts or entry.do not in ("create", "update"):
            return entry
        row = token(entry)
        said = self.said.get(row, "")
        if said == "same" and entry.do == "create":
            said = ""  # no one customer is meant: see `connector.push.plan.twins`
        if said:
            self.used.add(row)
        entry.decision = said or (ACCEPTED if self.accepted >= set(entry.kinds) else "")
        if not entry.decision:
            entry.do = "held"
        elif entry.decision == "no":
            entry.do = "left_out"
        return entry

    def meant(self, entry: Entry, twin: Entry) -> Entry:
        """Settle the entry of a row that means an existing customer.

        Args:
            entry: of the row under the external_id that it means.
            twin: of the row as it stands, with its doubts.
        """
        new = [pair for pair in zip(entry.kinds, entry.doubts, strict=True) if pair[1] not in twin.doubts]
        entry.kinds = [*twin.kinds, *(kind for kind, _ in new)]
        entry.doubts = [*twin.doubts, *(text for _, text in new)]
        entry.notes = [f"the file says {twin.external_id!r}", *entry.notes]
        entry.raw = twin.raw
        if entry.do != "update":
            entry.decision = "same"
            self.used.add(token(twin))
        return self.settle(entry)

    def means_another(self, entry: Entry) -> bool:
        """Whether somebody said that a row means an existing customer, whatever else may be doubted by then."""
        if not self._same:
            self._same = {row[: _HASH + 1] for row, said in self.said.items() if said == "same"} or {""}
        return token(entry)[: _HASH + 1] in self._same

    @property
    def unused(self) -> int:
        """How many decisions met no row: the file, or what is doubted in it, is another one by now."""
        return len(self.said) - len(self.used)
