"""Which column of the file is which field: headers by name, by mapping, or by a near spelling that is only suggested.

Promised: every unknown or duplicate header is named, with the nearest known field. A column is never guessed.
Never done: reading rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import Any

from connector.api.fields import TEXTS
from connector.errors import FixInput
from connector.push.file import rules
from connector.push.file.record import Record, is_readable, printable
from connector.push.file.wording import LISTED, SHOWN, cut, listed

__all__ = ["KEYS", "PREFIX", "REASONS", "Columns", "bare", "is_known"]

KEYS = ("external_id", "id")
PREFIX = "metadata."
REASONS = ("flexsync_line", "flexsync_reason")  # columns of a rejected.csv: ignored
_TARGETS = ("id", *TEXTS, "metadata")


@dataclass(frozen=True)
class Columns:
    """Which column of the file is which field.

    Attributes:
        header: the file's own names.
        line: physical line of the header.
        keys: key → position.
        fields: (position, field, check) of every other field.
        metadata: (position, key) of the ``metadata.KEY`` columns.
        json: position of the ``metadata`` column, or None.
        constants: field → text that every row gets where its cell is blank.
    """

    header: list[str]
    line: int
    keys: dict[str, int]
    fields: list[tuple[int, str, Callable[[str], Any]]]
    metadata: list[tuple[int, str]]
    json: int | None
    constants: dict[str, str]

    @classmethod
    def bind(
        cls,
        record: Record,
        *,
        mapping: Mapping[str, str] | None = None,
        constants: Mapping[str, str] | None = None,
        match: str = "external_id",
        name: str = "the file",
    ) -> Columns:
        """Find the field of every header.

        Args:
            record: the header.
            mapping: header → field; "" leaves the column out.
            constants: field → text, for columns that the file does not have.
            match: the column that identifies the customer of a row.
            name: of the file, for messages.

        Raises:
            FixInput: lists every unknown or duplicate header, with the nearest known one.
        """
        found: dict[str, int] = {}
        wrong = [*_bad_mapping(record.cells, mapping or {}, found), *_bad_constants(constants or {}, found)]
        if match not in found:
            wrong.append(f"there is no column {match}: it identifies the customer of a row.")
        if wrong:
            place = f"{name} line {record.line}" if record.line else name
            remedy = "Correct the header, or say in the config what a column is: [import.mapping]."
            raise FixInput("\n".join(f"{place}: {text}" for text in listed(wrong)), remedy=remedy)
        return cls(
            header=record.cells,
            line=record.line,
            keys={key: found[key] for key in KEYS if key in found},
            fields=[(found[f], f, rules.check(f)) for f in TEXTS if f in found and f not in KEYS],
            metadata=[(position, key[len(PREFIX) :]) for key, position in found.items() if key.startswith(PREFIX)],
            json=found.get("metadata"),
            constants=dict(constants or {}),
        )

    def name(self, target: str) -> str:
        """The file's own header of a field or ``metadata.KEY``; the field itself where there is none."""
        for position, field_name, _ in self.fields:
            if field_name == target:
                return self.header[position]
        for position, key in self.metadata:
            if PREFIX + key == target:
                return self.header[position]
        if target in self.keys:
            return self.header[self.keys[target]]
        return self.header[self.json] if self.json is not None and target.startswith("metadata") else target


def bare(header: str) -> str:
    """A header without the invisible characters that may surround it."""
    return header.strip("\ufeff\xa0 \t\r\n")


def is_known(header: str) -> bool:
    """Whether a header means a field without any mapping."""
    return _target(bare(header), {}) is not None


def _target(header: str, mapping: Mapping[str, str]) -> str | None:
    """The field of a header; "" for a column to leave out, None for an unknown one."""
    if "\0" in header or printable(header) != header:
        return None
    if header in mapping:
        target = mapping[header]
        return target if not target or _is_target(target) else None
    if header in REASONS:
        return ""
    if _is_target(header):
        return header
    plain = re.sub(r"[\s-]+", "_", header).lower()
    return plain if plain in _TARGETS else None


def _is_target(name: str) -> bool:
    return name in _TARGETS or (name.startswith(PREFIX) and len(name) > len(PREFIX))


def _bad_mapping(cells: Sequence[str], mapping: Mapping[str, str], found: dict[str, int]) -> Iterator[str]:
    """What is wrong with the header under a mapping; target → position of what is right goes to `found`."""
    given = {bare(name): target for name, target in mapping.items()}
    headers = [bare(header) for header in cells]
    known = set(headers)
    missing = (f'mapping: there is no column "{cut(header)}".' for header in given if header not in known)
    yield from chain(_bad_headers(headers, given, found), missing)


def _bad_headers(headers: Sequence[str], mapping: Mapping[str, str], found: dict[str, int]) -> Iterator[str]:
    """What is wrong with each header; target → position of the others goes to `found`."""
    wrong = 0
    for position, header in enumerate(headers):
        target = _target(header, mapping)
        place = f'column {position + 1}, "{cut(header)}"'
        if target is None:
            wrong += 1
            yield f"{place}: {_suggestion(header, mapping.get(header)) if wrong <= LISTED else 'unknown.'}"
        elif target in found:
            yield f"{place}: {target} is column {found[target] + 1} already."
        elif target:
            found[target] = position


def _suggestion(header: str, mapped: str | None) -> str:
    if mapped is not None:
        return f'mapped to "{cut(mapped)}", which is no field.{_near(mapped)}'
    if not header:
        return "it has no name. Name it, or leave it out."
    if not is_readable(header):
        return "it has bytes that are not text. Correct it, or name the file's --encoding."
    if len(header) > SHOWN:
        return "unknown. Name it, or leave it out."
    near = _near(header)
    return (
        f'unknown.{near} {"Else map" if near else "Map"} it: "{header}" = "metadata.{header}", or = "" to leave it out.'
    )


def _near(name: str) -> str:
    """A question about the fields with a similar name; "" where there is none."""
    close = get_close_matches(name[:SHOWN].lower(), _TARGETS, n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _bad_constants(constants: Mapping[str, str], found: Iterable[str]) -> Iterator[str]:
    for name, text in constants.items():
        if name in KEYS or not _is_target(name) or name == "metadata":
            yield f"constant {name}: not a field that every row can be given."
        elif name in found:
            yield f"constant {name}: the file has that column itself."
        elif not is_readable(name + text):
            yield f"constant {name} = {cut(text)!r}: it has characters that the server refuses."
        elif name in TEXTS and (verdict := rules.check(name)(text) if text else rules.cleared(name)):
            yield f"constant {name} = {cut(text)!r}: {verdict[1]}"
    metadata = {name.removeprefix(PREFIX): text for name, text in constants.items() if name.startswith(PREFIX)}
    for key, _, remedy in rules.check_metadata(metadata):
        yield f"constant metadata.{key} = {metadata[key]!r}: {remedy}"
