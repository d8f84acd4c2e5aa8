"""How JSON objects of the API are read: one `Shape` for each object, made from the table that it fills.

A shape reads in two ways. The fast one is a typed msgspec decoder that refuses unknown fields and wrong types. The
careful one, for bodies that the fast one refuses, keeps every unknown field as JSON text and names every field that
does not fit; what no decoder reads as a whole it takes apart (`raw_json`), so that a value that is no text costs its
own row. Promised: both give the same row for the same good body; numbers never pass through a float.
Never done: building tables, guessing a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from connector.api.grammar import UNREADABLE, refuse_torn
from connector.tables.columns import BOOL, DECIMAL, INT, JSON, MAP, TEXT, TEXTS, TIME, Column, Table
from connector.tables.raw_json import fields_of, is_whole, members_of

Raw = msgspec.Raw
_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TYPES: dict[str, Any] = {
    TEXT: str | None,
    INT: _INT64 | None,
    BOOL: bool | None,
    DECIMAL: str | None,  # text: cast exactly, a column at a time
    TIME: str | None,
    MAP: dict[str, str] | None,
    JSON: Raw,
    TEXTS: list[str] | None,
}
_MISSING = Raw(b"")
EXTRA_FIELD = "extra_"  # holds the fields that the schema does not know
_HIDDEN = "//extra"  # its name in JSON: one that no server sends
_NO_TEXT = "holds a lone surrogate, bytes that are not UTF-8, or too many levels"
_split = msgspec.json.Decoder(dict[str, Raw])
_listed = msgspec.json.Decoder(list[Raw])


@dataclass(slots=True)
class Misfit(Exception):
    """A value that does not fit its column; raised inside, ends as a row of `flexsync.rejects`."""

    field: str
    value: str
    reason: str
    raw: bytes = b""  # the member of a list that holds it


@dataclass
class Shape:
    """One JSON object.

    Attributes:
        name: for messages.
        scalars: field -> kind.
        nested: field -> Shape of an object.
        lists: field -> Shape of the objects in an array.
        raws: fields kept as JSON text and read elsewhere.
        ignored: fields that are known and not kept.
    """

    name: str
    scalars: dict[str, str]
    nested: dict[str, Shape] = field(default_factory=dict)
    lists: dict[str, Shape] = field(default_factory=dict)
    raws: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Build the struct and its decoder once."""
        fields: list[Any] = [(name, _TYPES[kind], _default(kind)) for name, kind in self.scalars.items()]
        fields += [(name, shape.struct | None, None) for name, shape in self.nested.items()]
        fields += [(name, list[shape.struct] | None, None) for name, shape in self.lists.items()]  # type: ignore[name-defined]  # made at run time
        fields += [(name, Raw, _MISSING) for name in self.raws + self.ignored]
        fields.append((EXTRA_FIELD, Any, None))
        self.struct: Any = msgspec.defstruct(
            self.name, fields, forbid_unknown_fields=True, rename={EXTRA_FIELD: _HIDDEN}, gc=False, kw_only=True
        )
        self.decode = msgspec.json.Decoder(self.struct).decode

    def read(self, raw: bytes | Raw) -> tuple[Any, list[Misfit]]:
        """Read one object, the fast way if possible; raises `Misfit` when nothing of it can be used."""
        try:
            bytes(raw).decode()  # the decoder does not look into what it hands on as raw JSON
            return self.decode(raw), []
        except msgspec.ValidationError:
            pass
        except UNREADABLE:
            _refuse_torn(self.name, bytes(raw))
        misfits: list[Misfit] = []
        return self.carefully(raw, misfits), misfits

    def carefully(self, raw: bytes | Raw, misfits: list[Misfit]) -> Any:
        """Read one object field by field; appends misfits of list members, raises `Misfit` for its own."""
        fields = _apart(self.name, raw, _split.decode, fields_of, "object")
        given = {name: self._value(name, value, misfits) for name, value in fields.items() if self._keeps(name)}
        unknown = {name: _whole(name, value) for name, value in fields.items() if not self._knows(name)}
        return self.struct(**given, **{EXTRA_FIELD: unknown or None})

    def _keeps(self, name: str) -> bool:
        return name in self.scalars or name in self.nested or name in self.lists or name in self.raws

    def _knows(self, name: str) -> bool:
        return self._keeps(name) or name in self.ignored

    def _value(self, name: str, raw: Raw, misfits: list[Misfit]) -> Any:
        if name in self.raws:
            return raw
        if name in self.scalars:
            return _scalar(name, self.scalars[name], raw)
        if bytes(raw) == b"null":
            return None
        if name in self.nested:
            return self.nested[name].carefully(raw, misfits)
        return list(_members(name, raw, self.lists[name], misfits))


def _members(name: str, raw: Raw, shape: Shape, misfits: list[Misfit]) -> Iterator[Any]:
    for item in _apart(name, raw, _listed.decode, members_of, "array"):
        try:
            yield shape.carefully(item, misfits)
        except Misfit as misfit:
            misfit.field = f"{name}[].{misfit.field}"
            misfit.raw = bytes(item)
            misfits.append(misfit)


def _scalar(name: str, kind: str, raw: Raw) -> Any:
    if kind == JSON:
        return _whole(name, raw)
    text = bytes(raw)
    if kind == DECIMAL and text[:1] in b"-0123456789":
        return text.decode()  # a bare JSON number: its text is exact
    try:
        return msgspec.json.decode(text, type=_TYPES[kind])
    except msgspec.ValidationError as error:
        raise Misfit(name, _shown(text), str(error)) from error
    except UNREADABLE as error:
        raise Misfit(name, _shown(text), _NO_TEXT) from error


def _whole(name: str, raw: Raw | bytes) -> Raw:
    """Return a value that is kept as JSON text; raises `Misfit` where readers could not read that text."""
    written = name.encode("utf-8", "backslashreplace").decode()
    if written != name or not is_whole(bytes(raw)):
        raise Misfit(written, _shown(raw), _NO_TEXT)
    return Raw(bytes(raw))


def _apart(name: str, raw: Raw | bytes, decode: Callable[[Any], Any], split: Callable[[bytes], Any], kind: str) -> Any:
    """Return the parts of an object or array: by a decoder, else taken apart."""
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise Misfit(name, _shown(raw), f"is not a JSON {kind}") from error
    except UNREADABLE:
        pass
    try:
        return split(bytes(raw))
    except msgspec.DecodeError as error:
        raise Misfit(name, _shown(raw), f"is not a JSON {kind}: {error}") from error


def _refuse_torn(name: str, raw: bytes) -> None:
    try:
        refuse_torn(raw)
    except msgspec.DecodeError as error:
        raise Misfit(name, _shown(raw), str(error)) from error


def _default(kind: str) -> Any:
    return _MISSING if kind == JSON else None


def _shown(raw: bytes | Raw) -> str:
    text = bytes(raw).decode("utf-8", "replace")
    return text if len(text) <= 200 else text[:200] + "…"


def json_text(raw: Raw | None) -> str | None:
    """Text of a free JSON value; None when absent or null."""
    text = b"" if raw is None else bytes(raw)
    return None if text in (b"", b"null") else text.decode()


def json_object(fields: dict[str, Any]) -> str | None:
    """Write unknown fields (nested objects too) back as one JSON object; None when there are none."""
    return msgspec.json.encode(fields).decode() if fields else None


def shape_of(table: Table, name: str = "", **options: Any) -> Shape:
    """Make the shape of the object that fills `table`; dotted paths become nested shapes."""
    return _shape(name or table.name, [(c.path, c) for c in table.columns if c.path], options)


def _shape(name: str, paths: list[tuple[str, Column]], options: dict[str, Any]) -> Shape:
    ignored_below = options.pop("ignored_below", {})
    scalars = {path: column.kind for path, column in paths if "." not in path}
    heads = dict.fromkeys(path.split(".")[0] for path, _ in paths if "." in path)
    nested = {}
    for head in heads:
        below = [(path.partition(".")[2], column) for path, column in paths if path.startswith(head + ".")]
        given = {"ignored": ignored_below.get(head, ())}
        if head in options.get("lists_below", {}):
            given["lists"] = options["lists_below"][head]
        nested[head] = _shape(f"{name}.{head}", below, given)
    options.pop("lists_below", None)
    return Shape(name, scalars, {**nested, **options.pop("nested", {})}, **options)
