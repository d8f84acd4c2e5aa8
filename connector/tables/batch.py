"""A batch of answers of one resource on its way to Arrow tables.

Promised: a body that cannot be read fails as a whole, with its reason; a row that does not fit becomes a reject and
leaves the other rows alone. Never done: knowing which resource fills which table (see `connector.tables.decode`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.tables.arrays import array, transposed
from connector.tables.columns import JSON, TIME, Column, Table, arrow_type
from connector.tables.decoded import Answer, Decoded
from connector.tables.extras import extras
from connector.tables.rejects import bad_keys, reject_of
from connector.tables.rows import Rows
from connector.tables.schemas import CUSTOMER_ID, SUBSCRIPTION_USAGE, USAGE
from connector.tables.shapes import EXTRA_FIELD, Misfit, Shape, json_text

__all__ = ["Batch"]

_OBSERVED = Column("observed_at", TIME, "", "")


class Batch:
    """Answers of one resource.

    Args:
        answers: the answers.
        main: the table that the members of their lists fill.
    """

    def __init__(self, answers: Sequence[Answer], main: Table) -> None:
        self.answers = answers
        self.main = main
        self.decoded = Decoded(rows=[0] * len(answers))

    def items(self, body: Shape, name: str, refusal: Callable[[Answer, list[Any]], str] | None = None) -> Rows:
        """Read all bodies; the members of their list `name` become rows.

        Args:
            body: what the bodies are.
            name: of the list.
            refusal: says of an answer and its members why they are not what was asked for; "" if they are.
        """
        rows = Rows(self.main)
        for index, answer in enumerate(self.answers):
            members = self._members(body, name, index, answer)
            reason = refusal(answer, members) if refusal else ""
            for struct in self._fail(index, reason) if reason else members:
                rows.structs.append(struct)
                rows.owners.append(index)
                self.decoded.rows[index] += 1
        return rows

    def table(self, table: Table, rows: Rows) -> None:
        """Make the Arrow table of `rows`; a row that does not fit becomes a reject."""
        rows.table = table
        columns, bad = self._arrays(table, rows)
        if bad:
            for index, misfit in bad.items():
                self.decoded.rejects.append(reject_of(table, self.answers[rows.owners[index]], misfit, rows, index))
            columns, _ = self._arrays(table, rows.where([index not in bad for index in range(len(rows.owners))]))
        schema = pa.schema([pa.field(c.name, arrow_type(c.kind)) for c in (*table.columns, _OBSERVED)])
        self.decoded.tables[table.name] = pa.Table.from_arrays(columns, schema=schema)

    def reject(self, table: Table, owner: int, misfit: Misfit) -> None:
        """Reject an object that was never decoded."""
        self.decoded.rejects.append(reject_of(table, self.answers[owner], misfit))

    def copy_sole_usage(self) -> None:
        """Copy a plain answer's figures to its subscription as well, where the customer has no other one."""
        held, asked = self.decoded.tables["usage"], self.decoded.tables["subscription_usage"]
        sole = pa.array([a.customer_id for a in self.answers if a.sole and not a.subscription_id], pa.string())
        # Only to the subscription that is known to be the one: a source may name none, or another.
        counted = pa.array([a.counted for a in self.answers if a.sole and a.counted], pa.string())
        named = pc.is_in(held.column("subscription_id"), counted)
        own = held.filter(pc.and_(pc.is_in(held.column("customer_id"), sole), named))
        self.decoded.tables["subscription_usage"] = pa.concat_tables([asked, own.select(asked.column_names)])

    # --- reading bodies ---

    def _members(self, shape: Shape, name: str, index: int, answer: Answer) -> list[Any]:
        try:
            body, misfits = shape.read(answer.body)
        except Misfit as error:
            return self._fail(index, f"{error.field}: {error.reason}")
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

    # --- making columns ---

    def _arrays(self, table: Table, rows: Rows) -> tuple[list[pa.Array], dict[int, Misfit]]:
        values = self._values(table, rows)
        bad = bad_keys(table, values)
        arrays = [array(column, values[column.name], bad) for column in (*table.columns, _OBSERVED)]
        return arrays, bad

    def _values(self, table: Table, rows: Rows) -> dict[str, list[Any]]:
        read = [column for column in table.columns if column.path]
        values = dict(zip([c.name for c in read], transposed(rows.structs, [c.path for c in read]), strict=True))
        for column in read:
            if column.kind == JSON:
                values[column.name] = [json_text(raw) for raw in values[column.name]]
        values.update(rows.made)
        if any(column is CUSTOMER_ID for column in table.columns):
            values["customer_id"] = [self.answers[i].customer_id for i in rows.owners]
        shown = USAGE if table is SUBSCRIPTION_USAGE else table  # the same object fills both
        values["extra"] = extras(table, rows.structs, shown.name, self.decoded.unknown)
        values["observed_at"] = [self.answers[i].observed_at for i in rows.owners]
        for column in table.columns:
            values.setdefault(column.name, [None] * len(rows.owners))
        return values
