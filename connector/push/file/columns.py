"""Which column of the file is which field, as the parser needs it, and constants for the fields without a column.

Promised: every unknown or duplicate header is named, with the nearest known field (see `connector.push.file.headers`).
Never done: reading rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.api.fields import TEXTS
from connector.errors import FixInput
from connector.push.file import rules
from connector.push.file.headers import PREFIX, Bound, Headers, Unknown, bare, is_target
from connector.push.file.marks import ROW
from connector.push.file.record import Record, is_readable
from connector.push.file.wording import cut, listed

__all__ = ["KEYS", "PREFIX", "Columns"]

KEYS = ("external_id", "id")
_REMEDY = (
    'Correct the header, or say what a column is: --map "HEADER=FIELD" (or "HEADER=" to leave it out), or'
    " [import.mapping] in the config, which --write-mapping FILE writes to be corrected."
    " --unknown-columns leave leaves out all columns that are unknown."
)


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
        bound: what became of each column.
    """

    header: list[str]
    line: int
    keys: dict[str, int]
    fields: list[tuple[int, str, Callable[[str], Any]]]
    metadata: list[tuple[int, str]]
    json: int | None
    constants: dict[str, str]
    bound: list[Bound] = field(default_factory=list)

    @classmethod
    def bind(
        cls,
        record: Record,
        *,
        mapping: Mapping[str, str] | None = None,
        constants: Mapping[str, str] | None = None,
        match: str = "external_id",
        unknown: Unknown = "refuse",
        name: str = "the file",
        unit: str = "line",
    ) -> Columns:
        """Find the field of every header.

        Args:
            record: the header.
            mapping: header → field; "" leaves the column out.
            constants: field → text, for columns that the file does not have.
            match: the column that identifies the customer of a row.
            unknown: what to do with an unknown column: `refuse` the file, `leave` it out, make it `metadata`.
            name: of the file, for messages.
            unit: what the number of the header counts, for messages.

        Raises:
            FixInput: lists every unknown or duplicate header, with the nearest known one.
        """
        headers = Headers(record.cells, mapping or {}, unknown)
        found, wrong = headers.found, [*headers.wrong, *_bad_constants(constants or {}, headers.found)]
        if match not in found:
            wrong.append(f"there is no column {match}: it identifies the customer of a row.")
        _refuse(wrong, f"{name} {unit} {record.line}" if record.line else name)
        return cls(
            header=record.cells,
            line=record.line,
            keys={key: found[key] for key in KEYS if key in found},
            fields=[(found[f], f, rules.check(f)) for f in TEXTS if f in found and f not in KEYS],
            metadata=[(position, key[len(PREFIX) :]) for key, position in found.items() if key.startswith(PREFIX)],
            json=found.get("metadata"),
            constants=dict(constants or {}),
            bound=headers.bound,
        )

    def own(self, name: str) -> int | None:
        """The position of a column of Flexsync's own; None where the file has none of that name."""
        own = (at for at, one in enumerate(self.bound) if one.how == "own" and bare(one.header) == name)
        return next(own, None)

    def is_name(self, external_id: str) -> bool:
        """Whether an external_id is the header of its own column: joined files repeat theirs."""
        return external_id == bare(self.header[self.keys["external_id"]]) if "external_id" in self.keys else False

    def named(self) -> dict[int, str]:
        """Position → field, `external_id` or ``metadata.KEY``, of the columns that are read; and the row itself."""
        keys = {position: key for key, position in self.keys.items()}
        fields = {position: name for position, name, _ in self.fields}
        return {**keys, **fields, **{position: PREFIX + key for position, key in self.metadata}, ROW: ""}

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


def _refuse(wrong: Sequence[str], place: str) -> None:
    if wrong:
        raise FixInput("\n".join(f"{place}: {text}" for text in listed(wrong)), remedy=_REMEDY)


def _bad_constants(constants: Mapping[str, str], found: Iterable[str]) -> Iterator[str]:
    for name, text in constants.items():
        if name in KEYS or not is_target(name) or name == "metadata":
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
