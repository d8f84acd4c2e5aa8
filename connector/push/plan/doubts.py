"""Doubts and what was decided about them: a doubted row is held until a person decides about it.

A refusal holds for the row whatever else changes: `no`, and `same` that cannot be met, are found by the text of the row
alone, also where nothing is doubted in it any more. A consent, `yes` or `same`, is for exactly that row with exactly
what would be written: it lapses where the customer, a value before or after, or a doubt is another one, and the row is
asked about again. A row in which nothing is doubted needs no consent.

Promised: nothing is written for a row that looks like a mistake, unless its kinds of doubt were accepted, or somebody
consented; nothing is written for a row that somebody refused. Never done: finding doubts (see
`connector.push.file.damage`, `connector.push.plan.twins`); files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import msgspec

from connector.push.file.damage import TWIN
from connector.push.file.doubt import Doubt
from connector.push.plan.entry import Entry

__all__ = ["ACCEPTED", "GIVEN", "Decision", "Decisions", "doubt", "row_of", "token"]

Decision = Literal["yes", "no", "same", "same?"]
GIVEN = ("yes", "no", "same")
ACCEPTED = "accepted"
_MEANT = ("same", "same?")
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
    """What identifies a row, and what would be written for it with which doubts: its sign.

    It begins with a letter, so that no spreadsheet rewrites it. Its first half identifies the row, see `row_of`.
    """
    what = msgspec.json.encode((entry.id, entry.set, sorted(entry.doubts)), order="sorted")
    return f"{_row(entry)}{_hash(what)}"


def row_of(sign: str) -> str:
    """The half of a sign that identifies the row."""
    return sign[: _HASH + 1]


def _row(entry: Entry) -> str:
    return f"r{_hash(entry.raw.rstrip(_ENDS).encode('utf-8', 'surrogatepass'))}"


def _hash(text: bytes) -> str:
    return blake2b(text, digest_size=_HASH // 2).hexdigest()


@dataclass
class Decisions:
    """What was decided about rows.

    Attributes:
        accepted: kinds of doubt that are accepted as a whole.
        said: sign of a row → yes (write it as it stands), no (leave it out), same (it means the existing customer whose
            external_id only looks different) or same? (the same, to be confirmed); one word a row.
        lapsed: how many consents were about something else than what would be written.
    """

    accepted: Set[str] = frozenset()
    said: Mapping[str, Decision] = field(default_factory=dict)
    lapsed: int = 0
    _met: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._signs = {row_of(sign): sign for sign in self.said}

    def meet(self, entry: Entry) -> Entry:
        """Take note of a row of the file, whatever is planned for it; hold it where it does not mean what was said."""
        if not (said := self._about(entry)):
            return entry
        self._met.add(_row(entry))
        if entry.do not in ("create", "update"):
            entry.decision = said
        return self.unmet(entry, _own(entry)) if entry.do == "unchanged" and said in _MEANT else entry

    def settle(self, entry: Entry) -> Entry:
        """Hold an entry, leave it out, or let it pass."""
        if entry.do not in ("create", "update"):
            return entry
        said = self._about(entry)
        if said == "no":
            entry.do, entry.decision = "left_out", said
        elif said in _MEANT:
            return self.unmet(entry, _own(entry))
        elif said and (not entry.doubts or token(entry) in self.said):
            entry.decision = said
        elif entry.doubts and self.accepted >= set(entry.kinds):
            entry.decision = ACCEPTED
        elif entry.doubts:
            entry.do, entry.decision = "held", said and "yes?"
            self.lapsed += bool(said)
        return entry

    def unmet(self, entry: Entry, why: str) -> Entry:
        """Hold the entry of a row that means an existing customer and cannot be given to one."""
        entry.do, entry.decision = "held", self._about(entry)
        entry.why = f"it was decided to be an existing customer (same), and {why}"
        return entry

    def meant(self, entry: Entry, twin: Entry) -> Entry:
        """Settle the entry of a row that means an existing customer.

        Args:
            entry: of the row under the external_id that it means.
            twin: of the row as it stands, with its doubts.
        """
        if entry.do == "create":
            return self.unmet(twin, f"{entry.external_id!r} is not there any more. Correct the row, or say yes or no.")
        entry.raw, entry.decision = twin.raw, self._about(twin)
        entry.notes = [f"the file says {twin.external_id!r}", *entry.notes]
        seen = list(zip(twin.kinds, twin.doubts, strict=True))
        new = [pair for pair in zip(entry.kinds, entry.doubts, strict=True) if pair not in seen]
        agreed = entry.do != "update" or (not new and self._same(twin))
        told = [*(pair for pair in seen if agreed or pair[0] != TWIN), *new]
        entry.kinds, entry.doubts = [kind for kind, _ in told], [text for _, text in told]
        if not agreed and not self._same(entry):
            entry.do, entry.decision = "held", "same?"
            what = f"it was decided to be {entry.external_id!r} (same), before these changes to it were planned"
            entry.why = f"{what}. Say same again, or yes or no."
            self.lapsed += 1
        return entry

    def refused(self, entry: Entry) -> bool:
        """Whether a row is not to be created: somebody left it out, or said that it means an existing customer."""
        return self._about(entry) in ("no", *_MEANT)

    def means_another(self, entry: Entry) -> bool:
        """Whether somebody said that a row means an existing customer, whatever else may be doubted by then."""
        return self._about(entry) in _MEANT

    def sign(self, entry: Entry) -> str:
        """The sign with which a decision about an entry is written: the one it was given for, while it holds."""
        return self._signs[_row(entry)] if entry.decision in GIVEN else token(entry)

    @property
    def without_row(self) -> dict[str, Decision]:
        """Decisions that met no row: the file, or the row, is another one by now."""
        return {sign: said for sign, said in self.said.items() if row_of(sign) not in self._met}

    def _same(self, entry: Entry) -> bool:
        """Whether somebody consented to exactly this entry as that of an existing customer."""
        return self.said.get(token(entry)) == "same"

    def _about(self, entry: Entry) -> Decision | Literal[""]:
        """What was said about a row; "" for nothing."""
        return self.said[self._signs[row]] if self._signs and (row := _row(entry)) in self._signs else ""


def _own(entry: Entry) -> str:
    return f"its own customer, {entry.external_id!r}, exists already. Correct the row, or say yes or no."
