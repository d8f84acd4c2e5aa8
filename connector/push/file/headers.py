"""Which field each header means: by its own name, by a mapping, or by a name that other systems use for the field.

Promised: a field's own name and a mapping win over a synonym; every header that is unknown, doubled or wrongly mapped
is told with its place and the nearest known field, a doubled one whatever is done with unknown ones; what became of
each column is kept, to be shown. Never done: reading rows; guessing from values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, NamedTuple

from connector.api.fields import TEXTS
from connector.push.file.record import is_readable, printable
from connector.push.file.synonyms import SYNONYMS, field_called, plain
from connector.push.file.wording import LISTED, SHOWN, cut

__all__ = ["OWN", "PREFIX", "Bound", "Headers", "Unknown", "bare", "is_known", "is_target"]

PREFIX = "metadata."
OWN = ("flexsync_line", "flexsync_reason", "flexsync_row", "flexsync_kind", "flexsync_doubt", "decision")
"""Columns of Flexsync's own files, ignored; `decision` only beside `flexsync_row`."""
Unknown = Literal["refuse", "leave", "metadata"]
How = Literal["name", "synonym", "mapped", "left out", "own", "unknown"]
_TARGETS = ("id", *TEXTS, "metadata")
_NEAR = 0.7  # of 1; below it the nearest name is rarely the meant one


class Bound(NamedTuple):
    """What became of one column.

    Attributes:
        header: the file's own name of it.
        target: the field, ``metadata.KEY``, or "" for a column that is left out.
        how: `name`, `synonym`, `mapped`, `left out` (by the mapping), `own` (Flexsync's), `unknown`.
    """

    header: str
    target: str
    how: How


@dataclass
class Headers:
    """The headers of a file, and what they mean.

    Attributes:
        cells: the file's own headers.
        mapping: header → field; "" leaves the column out.
        unknown: what to do with an unknown column: refuse the file, leave it out, or make it metadata.
        bound: what became of each column.
        found: target → position.
        wrong: a sentence for each fault.
    """

    cells: Sequence[str]
    mapping: Mapping[str, str]
    unknown: Unknown = "refuse"
    bound: list[Bound] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._given = {bare(name): target for name, target in self.mapping.items()}
        self._bare = [bare(header) for header in self.cells]
        known = set(self._bare)
        meant = [self._meant(header) for header in self._bare]
        own = {target for target, how in meant if how in ("name", "mapped") and target}
        for position, (target, how) in enumerate(meant):
            self._bind(position, target, how, own)
        self.wrong += [f'mapping: there is no column "{cut(name)}".' for name in self._given if name not in known]

    def _meant(self, header: str) -> tuple[str, How]:
        """The target of a header, and how it was found."""
        if "\0" in header or printable(header) != header:
            return "", "unknown"
        if header in self._given:
            target = self._given[header]
            return (target, "mapped" if target else "left out") if not target or is_target(target) else ("", "unknown")
        if header in OWN and (header != "decision" or "flexsync_row" in self._bare):
            return "", "own"
        if target := _own_name(header):
            return target, "name"
        target = field_called(header)
        return target, "synonym" if target else "unknown"

    def _bind(self, position: int, target: str, how: How, own: set[str]) -> None:
        header = self._bare[position]
        taken = self.found.get(target) if target else None
        if how == "unknown" and self.unknown != "refuse" and header not in self._given:
            target = self._kept(header)
            taken = self.found.get(target)
        if how == "unknown" and (self.unknown == "refuse" or header in self._given):
            self._refuse(position, self._suggestion(header))
        elif taken is not None or (how == "synonym" and target in own):
            first = taken if taken is not None else self._own_place(target)
            self._refuse(position, f"{target} is column {first + 1} already.")
            target, how = "", "unknown"
        if target:
            self.found.setdefault(target, position)
        self.bound.append(Bound(self.cells[position], target, how))

    def _kept(self, header: str) -> str:
        """Where the values of an unknown column go."""
        target = f"{PREFIX}{header}"
        fits = self.unknown == "metadata" and header and is_readable(header)
        return target if fits else ""

    def _own_place(self, target: str) -> int:
        return next(n for n, h in enumerate(self._bare) if self._given.get(h, _own_name(h)) == target)

    def _refuse(self, position: int, why: str) -> None:
        self.wrong.append(f'column {position + 1}, "{cut(self._bare[position])}": {why}')

    def _suggestion(self, header: str) -> str:
        if len(self.wrong) > LISTED:
            return "unknown."
        if (mapped := self._given.get(header)) is not None:
            return f'mapped to "{cut(mapped)}", which is no field.{near(mapped)}'
        if not header:
            return "it has no name. Name it, or leave it out."
        if not is_readable(header):
            return "it has bytes that are not text. Correct it, or name the file's --encoding."
        if len(header) > SHOWN:
            return "unknown. Name it, or leave it out."
        said = near(header)
        ways = f'"{header}" = "metadata.{header}", or = "" to leave it out.'
        return f"unknown.{said} {'Else map' if said else 'Map'} it: {ways}"


def bare(header: str) -> str:
    """A header without the invisible characters that may surround it."""
    return header.strip("\ufeff\xa0 \t\r\n")


def is_known(header: str) -> bool:
    """Whether a header means a field without any mapping."""
    header = bare(header)
    return bool(header in OWN[:-1] or _own_name(header) or field_called(header))


def is_target(name: str) -> bool:
    """Whether a name is a field, `id`, `metadata` or ``metadata.KEY``."""
    return name in _TARGETS or (name.startswith(PREFIX) and len(name) > len(PREFIX))


def near(name: str) -> str:
    """A question about the fields with a similar name, their own or another system's; "" where there is none."""
    close = [*get_close_matches(name[:SHOWN].lower(), _TARGETS, n=2, cutoff=_NEAR), *_alike(plain(name[:SHOWN]))]
    found = list(dict.fromkeys(close))[:2]
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _alike(name: str) -> Iterator[str]:
    known = {plain(word): target for target, words in SYNONYMS.items() for word in re.split(r"[|\n]", words)}
    yield from (known[word] for word in get_close_matches(name, [w for w in known if w], n=1, cutoff=_NEAR + 0.1))


def _own_name(header: str) -> str:
    """The field that a header names by the field's own name, written as people write it; "" for none."""
    if "\0" in header or printable(header) != header:
        return ""
    if is_target(header):
        return header
    written = re.sub(r"[\s-]+", "_", header).lower()
    return written if written in _TARGETS else ""
