"""JSON bodies → Arrow tables. Units, decimals and timestamps are decided here and nowhere else.

Promised: every row of a good body arrives exactly; an unknown field goes to `extra`; a value that does not fit
sends its row, with the raw body and the reason, to the rejects, and leaves the other rows alone. Bodies are read
by typed decoders and columns are made whole (transposed, then cast); no cell is touched by Python code.
Never done: I/O, floats, silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from connector.tables.schemas import (
    CUSTOMER_INTEGRATIONS,
    CUSTOMERS,
    DECIMAL,
    ENTITLEMENT_BUCKETS,
    ENTITLEMENT_SOURCES,
    ENTITLEMENTS,
    FEATURES,
    JSON,
    MAP,
    SUBSCRIPTION_USAGE,
    SUBSCRIPTIONS,
    TIME,
    UPCOMING_GRANTS,
    USAGE,
    USAGE_SOURCES,
    Column,
    Table,
    arrow_type,
)
from connector.tables.shapes import EXTRA_FIELD, Misfit, Shape, join, json_text, shape_of

_NEVER = pa.scalar(datetime(2, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))  # anything earlier means "never"
_AUDIT = ("created_by", "updated_by")


@dataclass(frozen=True, slots=True)
class Answer:
    """One body and whom it was asked about.

    Attributes:
        resource: name in `connector.tables.resources`.
        body: raw JSON.
        observed_at: the server's clock of the answer.
        customer_id: whom a per-customer call asked about; "" for a listing page.
        subscription_id: the one subscription that was asked for; "" for the plain answer.
        counted: the subscription whose usage the plain answer counts; "" when unknown.
        period_start: `current_period_start` of the subscription that is counted.
        sole: the customer has no other subscription that counts.
    """

    resource: str
    body: bytes
    observed_at: datetime
    customer_id: str = ""
    subscription_id: str = ""
    counted: str = ""
    period_start: datetime | None = None
    sole: bool = True


@dataclass(slots=True)
class Reject:
    """A row that could not be taken in: what, whose, why, and the raw body."""

    table: str
    owner: str
    key: str
    field: str
    value: str
    reason: str
    raw: bytes
    observed_at: datetime
    subscription_id: str = ""


@dataclass
class Decoded:
    """What a batch of bodies held.

    Attributes:
        tables: name -> Arrow table with every column of the schema but `run_id`.
        rejects: rows that did not fit.
        failed: indices of answers of which nothing could be used, with the reason.
        unknown: fields that the schema does not know -> how often they were seen.
        rows: per answer, rows in the resource's main table.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)


# --- shapes: made once, from the schemas --------------------------------------------------------------------

_INTEGRATION = shape_of(CUSTOMER_INTEGRATIONS)
_CUSTOMER = shape_of(
    CUSTOMERS,
    lists={"integrations": _INTEGRATION},
    ignored=("parent_customer_id", "parent_customer", "parent_customer_external_id"),  # older servers (contract.md 8.2)
)
_PLAN_IGNORED = (
    "id description environment_id metadata display_order tenant_id status created_at updated_at created_by updated_by"
)
_SUBSCRIPTION = shape_of(SUBSCRIPTIONS, ignored_below={"plan": tuple(_PLAN_IGNORED.split())}, raws=("customer",))
_FEATURE = shape_of(
    FEATURES,
    # the meter's own tenant is the feature's; its id is meter_id
    ignored_below={"meter": ("id", "tenant_id")},
)
_SOURCE = shape_of(USAGE_SOURCES, "source")
_BUCKET = shape_of(ENTITLEMENT_BUCKETS, "bucket")
_GRANT = shape_of(UPCOMING_GRANTS)
_USAGE = shape_of(USAGE, lists={"sources": _SOURCE}, raws=("feature",))
_ENTITLEMENT = shape_of(
    ENTITLEMENTS, lists={"sources": _SOURCE}, lists_below={"entitlement": {"buckets": _BUCKET}}, raws=("feature",)
)
_PAGE = ("pagination",)
_CUSTOMER_PAGE = Shape("customers page", {}, lists={"items": _CUSTOMER}, ignored=_PAGE)
_SUBSCRIPTION_PAGE = Shape("subscriptions page", {}, lists={"items": _SUBSCRIPTION}, ignored=_PAGE)
_USAGE_BODY = Shape("usage", {"customer_id": "text"}, lists={"features": _USAGE}, ignored=("pagination", "period"))
_ENTITLEMENTS_BODY = Shape(
    "entitlements", {"customer_id": "text"}, lists={"features": _ENTITLEMENT}, ignored=("subscriptions",)
)
_GRANTS_BODY = Shape("upcoming_grants", {}, lists={"items": _GRANT}, ignored=_PAGE)


class Reader:
    """Decodes batches of answers; remembers features already met, so that each is read once.

    Promised: thread-safe only when used by one thread at a time.
    """

    def __init__(self) -> None:
        self._features: dict[bytes, tuple[str, Any]] = {}  # raw feature -> id, row
        self._emitted: set[bytes] = set()

    def read(self, answers: Sequence[Answer]) -> Decoded:
        """Decode answers of one resource into the tables that it fills.

        Args:
            answers: all of the same resource.

        Returns:
            Tables of 0..n rows each; never raises for what a server may send.
        """
        readers: dict[str, Callable[[Sequence[Answer]], Decoded]] = {
            "customers": self._customers,
            "subscriptions": self._subscriptions,
            "usage": self._usage,
            "entitlements": self._entitlements,
            "upcoming_grants": self._grants,
        }
        return readers[answers[0].resource](answers)

    # --- listings ---

    def _customers(self, answers: Sequence[Answer]) -> Decoded:
        batch = _Batch(answers, CUSTOMERS)
        customers = batch.items(_CUSTOMER_PAGE, "items")
        batch.table(CUSTOMERS, customers)
        batch.table(CUSTOMER_INTEGRATIONS, batch.children(customers, "integrations"))
        return batch.decoded

    def _subscriptions(self, answers: Sequence[Answer]) -> Decoded:
        batch = _Batch(answers, SUBSCRIPTIONS)
        found = batch.items(_SUBSCRIPTION_PAGE, "items")
        for row in found.structs:  # `customer` is always null unless expanded; if not, keep it
            if json_text(row.customer):
                setattr(row, EXTRA_FIELD, {**(getattr(row, EXTRA_FIELD) or {}), "customer": row.customer})
        batch.table(SUBSCRIPTIONS, found)
        return batch.decoded

    # --- per customer ---

    def _usage(self, answers: Sequence[Answer]) -> Decoded:
        batch = _Batch(answers, USAGE)
        entries = batch.items(_USAGE_BODY, "features")
        entries.put("feature_id", self._feature_ids(batch, entries))
        asked = [answers[i].subscription_id for i in entries.owner]
        counted = [s or _first_source(row) for s, row in zip(asked, entries.structs, strict=True)]
        entries.put("subscription_id", counted)
        starts = [
            answers[i].period_start if s == (answers[i].subscription_id or answers[i].counted) else None
            for i, s in zip(entries.owner, counted, strict=True)
        ]
        entries.put("current_period_start", starts)
        plain = [not s for s in asked]
        main = entries.where(plain)
        batch.table(USAGE, main)
        batch.table(USAGE_SOURCES, batch.children(main, "sources"))
        batch.table(SUBSCRIPTION_USAGE, entries.where([not p for p in plain]))
        batch.file_sole()
        batch.table(FEATURES, self._new_features(entries))
        return batch.decoded

    def _entitlements(self, answers: Sequence[Answer]) -> Decoded:
        batch = _Batch(answers, ENTITLEMENTS)
        entries = batch.items(_ENTITLEMENTS_BODY, "features")
        entries.put("feature_id", self._feature_ids(batch, entries))
        batch.table(ENTITLEMENTS, entries)
        batch.table(ENTITLEMENT_SOURCES, batch.children(entries, "sources"))
        batch.table(ENTITLEMENT_BUCKETS, batch.children(entries, "entitlement.buckets"))
        batch.table(FEATURES, self._new_features(entries))
        return batch.decoded

    def _grants(self, answers: Sequence[Answer]) -> Decoded:
        batch = _Batch(answers, UPCOMING_GRANTS)
        grants = batch.items(_GRANTS_BODY, "items")
        for row in grants.structs:
            row.retry_count = row.retry_count or 0  # omitted when 0 (contract.md 6.5)
        batch.table(UPCOMING_GRANTS, grants)
        return batch.decoded

    # --- features: the same few objects in every body ---

    def _feature_ids(self, batch: _Batch, entries: _Rows) -> list[str | None]:
        entries.raws = [bytes(row.feature) for row in entries.structs]
        for raw, owner in zip(entries.raws, entries.owner, strict=True):
            if raw not in self._features:
                self._features[raw] = self._read_feature(batch, raw, owner)
        return [self._features[raw][0] or None for raw in entries.raws]

    def _read_feature(self, batch: _Batch, raw: bytes, owner: int) -> tuple[str, Any]:
        try:
            row, _ = _FEATURE.read(raw or b"null")
        except Misfit as misfit:
            misfit.raw = raw
            batch.reject(FEATURES, owner, misfit)
            return _id_of(raw), None
        return row.id or "", row

    def _new_features(self, entries: _Rows) -> _Rows:
        fresh = _Rows(FEATURES)
        for raw, owner in zip(entries.raws, entries.owner, strict=True):
            if raw not in self._emitted and self._features[raw][1] is not None:
                self._emitted.add(raw)
                fresh.structs.append(self._features[raw][1])
                fresh.owner.append(owner)
        return fresh


def _id_of(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=msgspec.defstruct("Named", [("id", str)])).id  # type: ignore[attr-defined,no-any-return]  # made at run time
    except msgspec.DecodeError:
        return ""


def _first_source(row: Any) -> str:
    return (row.sources[0].subscription_id or "") if row.sources else ""


class _Rows:
    """Structs of one table, the answer that each came from, and columns that are made here."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.structs: list[Any] = []
        self.owner: list[int] = []
        self.raws: list[bytes] = []  # the raw feature of each, where there is one
        self.made: dict[str, list[Any]] = {}

    def put(self, name: str, values: list[Any]) -> None:
        self.made[name] = values

    def where(self, keep: list[bool]) -> _Rows:
        if all(keep):
            return self
        rows = _Rows(self.table)
        rows.structs = _kept(self.structs, keep)
        rows.owner = _kept(self.owner, keep)
        rows.made = {name: _kept(values, keep) for name, values in self.made.items()}
        return rows


def _kept(values: list[Any], keep: Iterable[bool]) -> list[Any]:
    return [value for value, k in zip(values, keep, strict=True) if k]


class _Batch:
    """The answers of one batch on their way to tables."""

    def __init__(self, answers: Sequence[Answer], main: Table) -> None:
        self.answers = answers
        self.main = main
        self.decoded = Decoded(rows=[0] * len(answers))

    def items(self, body: Shape, name: str) -> _Rows:
        """Read all bodies; the members of their list `name` become rows."""
        rows = _Rows(self.main)
        for index, answer in enumerate(self.answers):
            for struct in self._members(body, name, index, answer):
                rows.structs.append(struct)
                rows.owner.append(index)
                self.decoded.rows[index] += 1
        return rows

    def _members(self, shape: Shape, name: str, index: int, answer: Answer) -> list[Any]:
        try:
            body, misfits = shape.read(answer.body)
        except (Misfit, msgspec.DecodeError) as error:
            return self._fail(index, f"{error}")
        for misfit in misfits:
            self.reject(self.main, index, misfit)
        if getattr(body, "customer_id", answer.customer_id) != answer.customer_id:
            return self._fail(index, f"the body is about {body.customer_id!r}, asked was {answer.customer_id!r}")
        if getattr(body, EXTRA_FIELD):
            self.decoded.unknown.update(f"{shape.name}.{field}" for field in getattr(body, EXTRA_FIELD))
        members = getattr(body, name)
        return self._fail(index, f"the body has no list {name!r}") if members is None else members

    def _fail(self, index: int, reason: str) -> list[Any]:
        self.decoded.failed[index] = reason
        self.reject(self.main, index, Misfit("", "", reason))
        return []

    def children(self, parents: _Rows, path: str) -> _Rows:
        """Explode the list at `path` of every parent; children get its keys and their place."""
        rows = _Rows(self.main)
        lists = _column(parents.structs, path)
        rows.structs = [child for members in lists for child in members or ()]
        counts = [len(members or ()) for members in lists]
        rows.owner = _repeat(parents.owner, counts)
        rows.made = {name: _repeat(values, counts) for name, values in parents.made.items() if name == "feature_id"}
        rows.put("ordinal", [place for count in counts for place in range(count)])
        return rows

    def file_sole(self) -> None:
        """File a plain answer's figures under its subscription as well, where the customer has no other one."""
        held, asked = self.decoded.tables["usage"], self.decoded.tables["subscription_usage"]
        sole = pa.array([a.customer_id for a in self.answers if a.sole and not a.subscription_id], pa.string())
        # Only under the subscription that was known to be the one: a source may name none, or another.
        counted = pa.array([a.counted for a in self.answers if a.sole and a.counted], pa.string())
        named = pc.is_in(held.column("subscription_id"), counted)
        own = held.filter(pc.and_(pc.is_in(held.column("customer_id"), sole), named))
        self.decoded.tables["subscription_usage"] = pa.concat_tables([asked, own.select(asked.column_names)])

    def table(self, table: Table, rows: _Rows) -> None:
        """Make the Arrow table of `rows`, sending misfits to the rejects."""
        rows.table = table
        columns, bad = self._columns(table, rows)
        if bad:
            for place, misfit in bad.items():
                self.reject(table, rows.owner[place], misfit, rows, place)
            columns, _ = self._columns(table, rows.where([place not in bad for place in range(len(rows.owner))]))
        schema = pa.schema([pa.field(c.name, arrow_type(c.kind)) for c in (*table.columns, _OBSERVED)])
        self.decoded.tables[table.name] = pa.Table.from_arrays(columns, schema=schema)

    def _columns(self, table: Table, rows: _Rows) -> tuple[list[pa.Array], dict[int, Misfit]]:
        values = self._values(table, rows)
        bad = _unkeyed(table, values)
        arrays = [_array(column, values[column.name], bad) for column in (*table.columns, _OBSERVED)]
        return arrays, bad

    def _values(self, table: Table, rows: _Rows) -> dict[str, list[Any]]:
        read = [column for column in table.columns if column.path]
        values = dict(zip([c.name for c in read], _transposed(rows.structs, [c.path for c in read]), strict=True))
        for column in read:
            if column.kind == JSON:
                values[column.name] = [json_text(raw) for raw in values[column.name]]
        values.update(rows.made)
        if any(column is _CUSTOMER_ID for column in table.columns):
            values["customer_id"] = [self.answers[i].customer_id for i in rows.owner]
        values["extra"] = self._extras(table, rows)
        values["observed_at"] = [self.answers[i].observed_at for i in rows.owner]
        for column in table.columns:
            values.setdefault(column.name, [None] * len(rows.owner))
        return values

    def _extras(self, table: Table, rows: _Rows) -> list[str | None]:
        nested = sorted({c.path.rpartition(".")[0] for c in table.columns if "." in c.path})
        paths = [EXTRA_FIELD, *(f"{path}.{EXTRA_FIELD}" for path in nested)]
        if not any(any(_column(rows.structs, path)) for path in paths):
            return [None] * len(rows.structs)
        return [self._extra(table, row, nested) for row in rows.structs]

    def _extra(self, table: Table, row: Any, nested: list[str]) -> str | None:
        parts: dict[str, Any] = dict(getattr(row, EXTRA_FIELD) or {})
        for path in nested:
            below = _at(row, path)
            if below is not None and getattr(below, EXTRA_FIELD):
                parts[path] = getattr(below, EXTRA_FIELD)
        if parts:
            shown = USAGE if table is SUBSCRIPTION_USAGE else table  # the same object, filed twice
            self.decoded.unknown.update(f"{shown.name}.{name}" for name in parts)
        return join(parts)

    def reject(self, table: Table, owner: int, misfit: Misfit, rows: _Rows | None = None, place: int = 0) -> None:
        """File one row under the rejects, with the raw body that it came in."""
        answer = self.answers[owner]
        key = _id_of(misfit.raw) if rows is None else _key_text(table, rows, place)
        raw = answer.body
        if not answer.customer_id and key:  # of a page of a thousand, only the row
            raw = misfit.raw or _item(answer.body, key)
        self.decoded.rejects.append(
            Reject(
                table.name,
                "" if table is FEATURES else answer.customer_id,  # a feature is everybody's
                key,
                misfit.field,
                misfit.value,
                misfit.reason,
                raw,
                answer.observed_at,
                "" if table is FEATURES else answer.subscription_id,
            )
        )


_OBSERVED = Column("observed_at", TIME, "", "")
_CUSTOMER_ID = next(column for column in USAGE.columns if column.name == "customer_id")


def _repeat(values: list[Any], counts: list[int]) -> list[Any]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = getattr(row, name, None)
    return row


def _column(structs: list[Any], path: str) -> list[Any]:
    try:
        return list(map(attrgetter(path), structs))
    except AttributeError:  # a nested object came as null
        return [_at(row, path) for row in structs]


def _transposed(structs: list[Any], paths: list[str]) -> list[list[Any]]:
    if not structs:
        return [[] for _ in paths]
    try:
        return [list(column) for column in zip(*map(attrgetter(*paths), structs), strict=True)]
    except AttributeError:
        return [_column(structs, path) for path in paths]


def _array(column: Column, values: list[Any], bad: dict[int, Misfit]) -> pa.Array:
    """Make one column; places whose value does not fit are noted in `bad` and come out NULL."""
    try:
        return _cast(column, values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return _cast(column, [_tested(column, place, value, bad) for place, value in enumerate(values)])


def _cast(column: Column, values: list[Any]) -> pa.Array:
    if column.kind == DECIMAL:
        return pc.cast(pa.array(values, pa.string()), arrow_type(DECIMAL))
    if column.kind == TIME and column.path:  # text, as it was sent; what is made here is a moment already
        moments = pc.cast(pa.array(values, pa.string()), arrow_type(TIME))
        return pc.if_else(pc.less(moments, _NEVER), pa.scalar(None, moments.type), moments)
    if column.kind == MAP:
        return pa.array(values, arrow_type(MAP))
    return pa.array(values, arrow_type(column.kind))


def _tested(column: Column, place: int, value: Any, bad: dict[int, Misfit]) -> Any:
    try:
        _cast(column, [value])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        bad.setdefault(place, Misfit(column.name, str(value)[:200], _reason(column, str(error))))
        return None
    return value


def _reason(column: Column, error: str) -> str:
    wanted = {DECIMAL: "decimal(38, 18)", TIME: "RFC 3339 with at most six fraction digits"}
    return f"does not fit {wanted.get(column.kind, column.kind)}: {error.splitlines()[0]}"


def _unkeyed(table: Table, values: dict[str, list[Any]]) -> dict[int, Misfit]:
    """Places without a key, or whose key stood in this batch already."""
    keys = list(zip(*(values[name] for name in table.key), strict=True))
    owned = len(set(keys)) == len(keys) or table in _LISTED
    if owned and not any(None in key or "" in key for key in keys):
        return {}
    bad: dict[int, Misfit] = {}
    seen: set[Any] = set()
    for place, key in enumerate(keys):
        if None in key or "" in key:
            bad[place] = Misfit(table.key[-1], "", "the row has no key")
        elif key in seen and table not in _LISTED:
            bad[place] = Misfit(table.key[-1], str(key[-1]), "the key stands twice in one answer")
        seen.add(key)
    return bad


_LISTED = (CUSTOMERS, SUBSCRIPTIONS, CUSTOMER_INTEGRATIONS, FEATURES)  # met twice = seen twice; the store keeps one


def _key_text(table: Table, rows: _Rows, place: int) -> str:
    parts = []
    for name in table.key:
        made = rows.made.get(name)
        parts.append(made[place] if made else getattr(rows.structs[place], name, ""))
    return "/".join(str(part) for part in parts if part not in (None, ""))


def _item(body: bytes, key: str) -> bytes:
    """Find the one member of a page that a reject is about, so that a page of 1000 is not stored for it."""
    try:
        items = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("items", msgspec.Raw(b"[]"))
        for item in msgspec.json.decode(items, type=list[msgspec.Raw]):
            if key and f'"{key}"'.encode() in bytes(item):
                return bytes(item)
    except msgspec.DecodeError:
        pass
    return body
