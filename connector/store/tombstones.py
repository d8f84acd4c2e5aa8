"""Tombstones: who was forgotten, as salted hashes of customer ids, so that no later answer brings a person back.

They are rows of flexsync.meta, so every publication has them, and a store that is restored from one. Promised: a row of
a forgotten customer keeps its key, its state and its times, and nothing personal; what is rejected of such an answer is
kept without its body. Never done: opening or committing a transaction; making up a row that an answer does not hold.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from connector.store.database import Database, rows
from connector.tables.decode import Decoded, Reject
from connector.tables.personal import personal, whose
from connector.tables.schemas import TABLES, Table

SALT, FORGOTTEN = "forget_salt", "forgotten/"
"""Keys of flexsync.meta: the salt, and the beginning of one key for each tombstone."""
WITHHELD = "withheld: the customer was forgotten"
NAMED = "list_contains($hashes, sha256(concat($salt, {})))"
"""The condition, as SQL, that a column names a forgotten customer."""

_TEXTS = re.compile(rb'"([^"\\]{1,200})"')  # an id needs no escaping


@dataclass(frozen=True)
class Tombstones:
    """The tombstones of a store.

    Attributes:
        salt: of the hashes; "" while nobody was forgotten.
        hashes: one for each forgotten customer.
    """

    salt: str
    hashes: frozenset[str]

    def names(self, customer_id: str | None) -> bool:
        """Return whether a customer was forgotten."""
        return bool(self.hashes and customer_id) and hashed(self.salt, str(customer_id)) in self.hashes

    @property
    def parameters(self) -> dict[str, object]:
        """Return the parameters of `NAMED`."""
        return {"salt": self.salt, "hashes": sorted(self.hashes)}

    def blank(self, decoded: Decoded) -> Decoded:
        """Return decoded answers without anything personal about forgotten customers."""
        if not self.hashes:
            return decoded
        tables = {name: self._blank(TABLES[name], staged) for name, staged in decoded.tables.items()}
        return replace(decoded, tables=tables, rejects=[self._withhold(reject) for reject in decoded.rejects])

    def _blank(self, table: Table, staged: pa.Table) -> pa.Table:
        if not personal(table) or not staged.num_rows:
            return staged
        keys = staged.column(whose(table)).to_pylist()
        mine = {key for key in set(keys) if self.names(key)}
        if not mine:
            return staged
        kept = pa.array([None if key in mine else i for i, key in enumerate(keys)], pa.int64())  # NULL takes NULL
        for name in personal(table):
            place = staged.schema.get_field_index(name)
            staged = staged.set_column(place, staged.schema.field(place), staged.column(place).take(kept))
        return staged

    def _withhold(self, reject: Reject) -> Reject:
        named = [reject.owner, reject.key, *(text.decode("utf-8", "replace") for text in _TEXTS.findall(reject.raw))]
        if not any(map(self.names, named)):
            return reject
        if reject.table == "features":  # only its body names the customer
            return replace(reject, raw=b"")
        return replace(reject, value="", reason=WITHHELD, raw=b"")


def read(db: Database, schema: str = "flexsync") -> Tombstones:
    """Return the tombstones of a store; `schema`: of its internal tables, with their catalog."""
    where = f"starts_with(key, '{FORGOTTEN}') OR key = '{SALT}'"
    found: dict[str, str] = dict(rows(db, f"SELECT key, value FROM {schema}.meta WHERE {where}"))
    salt = found.pop(SALT, "")
    return Tombstones(salt, frozenset(key.removeprefix(FORGOTTEN) for key in found))


def digest(db: Database, catalog: str) -> str:
    """Return a hash of the tombstones of a store: another one as soon as somebody else is forgotten; "" without any."""
    where = f"WHERE starts_with(key, '{FORGOTTEN}')"
    found = rows(db, f"SELECT md5(string_agg(key, ' ' ORDER BY key)) FROM {catalog}.flexsync.meta {where}")
    return found[0][0] or ""


def entries(known: Tombstones, customer_id: str, now: datetime) -> Sequence[tuple[str, str]]:
    """Return the rows of flexsync.meta that add a tombstone; none where there is one.

    Args:
        known: the tombstones so far.
        customer_id: whom to forget.
        now: by this machine's clock.
    """
    if known.names(customer_id):
        return []
    salt = known.salt or secrets.token_hex(16)
    added = [] if known.salt else [(SALT, salt)]
    return [*added, (FORGOTTEN + hashed(salt, customer_id), now.isoformat(timespec="seconds"))]


def hashed(salt: str, customer_id: str) -> str:
    """Return the hash that a tombstone holds."""
    return hashlib.sha256(f"{salt}{customer_id}".encode()).hexdigest()
