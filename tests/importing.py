"""What the tests of the import share: an account of a test's own customers, and plan, apply and undo in one word each.

`account(…)` is a sandbox without any invented customer; `entries(…)` plans a file against it in process; `shop(…)`
serves it on loopback and plans, applies and undoes as the command does.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from support import Direct, customers_of

from connector.api.calls import Call, Reply
from connector.api.fields import TEXTS, CustomerFields
from connector.push.apply.orders import Pace
from connector.push.file.record import quoted
from connector.push.file.rows import read_rows
from connector.push.plan.entry import Entry
from connector.push.plan.options import Options
from connector.push.plan.plan import planned
from connector.push.plan.planfile import Plan
from connector.sandbox import Sandbox
from connector.settings import Settings, load
from pipelines import import_customers as job
from pipelines.confirm import Confirmed
from pipelines.export_customers import export_customers
from pipelines.import_customers import Applied, Planned

QUICK = (0.0, 0.05, 0.05)  # looks at a row that is not as expected
Json = dict[str, Any]
FULL = {
    "name": "Acme", "email": "a@acme.example", "contact": "+1555", "address_line1": "1 Main St", "address_line2": "F 2",
    "address_city": "Paris", "address_state": "IDF", "address_postal_code": "75001", "address_country": "FR",
    "timezone": "Europe/Paris",
}  # fmt: skip
OTHER = {
    "name": "Nadir", "email": "b@nadir.example", "contact": "+1666", "address_line1": "2 Side St",
    "address_line2": "F 3", "address_city": "Köln", "address_state": "NRW", "address_postal_code": "50667",
    "address_country": "DE", "timezone": "Europe/Berlin",
}  # fmt: skip
EDITED = {
    "name": "Edited", "email": "edited@x.example", "contact": "+9", "address_line1": "Edited",
    "address_line2": "Edited", "address_city": "Edited", "address_state": "Edited", "address_postal_code": "E1",
    "address_country": "NZ", "timezone": "Pacific/Auckland",
}  # fmt: skip
"""Sample values of every field, in three sets that differ: a rule that refuses one of them changes it here."""
FORBIDDEN = {
    "name": ("x" * 256, "y" * 256, "too_long"),
    "email": ("Ann <ann@acme.example>", "ann@", "email"),
    "contact": ("1" * 21, "2" * 21, "too_long"),
    "address_line1": ("x" * 256, "y" * 256, "too_long"),
    "address_line2": ("ö" * 128, "ü" * 128, "too_many_bytes"),
    "address_city": ("ö" * 60, "ü" * 60, "too_many_bytes"),
    "address_state": ("x" * 101, "y" * 101, "too_long"),
    "address_postal_code": ("1" * 21, "2" * 21, "too_long"),
    "address_country": ("UK", "EU", "country"),
    "timezone": ("Mars/Base", "utc", "timezone"),
}
"""Two values of every field that its rules forbid, and the rule that they break."""
ABSENT = [f.name for f in msgspec.structs.fields(CustomerFields) if f.default is None and f.name in TEXTS]
"""Text fields that are None where the server sends none, which is not the same as an empty one."""


def account(*people: Mapping[str, Any], kind: type[Sandbox] = Sandbox, **given: Any) -> Sandbox:
    """An account that holds these customers and nobody else; any column may be given, and no rule is checked."""
    sandbox = kind(customers=0, **given)
    for fields in people:
        sandbox.create_customer(**fields)
    return sandbox


def id_of(sandbox: Sandbox, external_id: str) -> str:
    """The id of the one customer with an external_id, published or archived."""
    (found,) = (row["id"] for row in customers_of(sandbox) if row["external_id"] == external_id)
    return str(found)


def table(*rows: Mapping[str, str], columns: Iterable[str] = ()) -> str:
    """CSV of rows whose cells are named; columns stand in the order in which they are first named."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    return quoted(names) + "".join(quoted([row.get(name, "") for name in names]) for row in rows)


def entries(
    sandbox: Sandbox, text: str, *, send: Any = None, mapping: Any = None, constants: Any = None, **options: Any
) -> list[Entry]:
    """Every entry of a file's plan, `unchanged` ones among them, in process. Options are those of `plan.Options`."""

    async def go() -> list[Entry]:
        chosen = Options(**options)
        source = io.BytesIO(text.encode())
        with read_rows(source, mapping=mapping, constants=constants, match=chosen.match) as rows:
            rows.check()
            return [e async for batch in planned(rows, chosen, send or Direct(sandbox).send) for e in batch]

    return asyncio.run(go())


def entry(sandbox: Sandbox, text: str, **options: Any) -> Entry:
    """The entry of a file of one row."""
    (found,) = entries(sandbox, text, **options)
    return found


def shown(found: Iterable[Entry]) -> list[tuple[int, str]]:
    """Line and kind of each entry."""
    return [(e.line, e.do) for e in found]


def state(sandbox: Sandbox, *without: str) -> dict[str, Json]:
    """Every customer by id, archived ones too, without who last wrote it and when, and without these columns."""
    skip = {"updated_at", "updated_by", *without}
    return {row["id"]: {k: v for k, v in row.items() if k not in skip} for row in customers_of(sandbox)}


def writes_of(sandbox: Sandbox) -> int:
    """How many writes the account was asked for so far."""
    return sum(count for route, count in sandbox.calls.items() if writes(route))


def writes(route: str) -> bool:
    method, path = route.split(" ", 1)
    return method in ("PUT", "DELETE") or (method == "POST" and path == "/customers")


def searches(sandbox: Sandbox) -> list[Json]:
    """Bodies of the customer searches so far; the sandbox keeps the last thousand calls."""
    return [json.loads(body or b"") for _, path, _, body in sandbox.log if path.endswith("/customers/search")]


def assert_never_empty(bodies: Iterable[Json]) -> None:
    """No empty list was asked for (to the server it means everything, contract.md 3.1), nor was the status left out."""
    for body in bodies:
        assert body.get("status") in ("published", "archived") or body.get("subscription_status"), body
        for name in ("external_ids", "customer_ids", "filters", "subscription_status"):
            assert body.get(name) != [], body
        for condition in body.get("filters", ()):
            assert condition["value"].get("array") != [], body


class Shop:
    """A served account, a folder, and the command's jobs over them.

    Attributes:
        folder: where files, plans and journals go.
        sandbox: the account.
        url: where it is served.
        given: settings of every job; `onboarding` is skip unless a test says otherwise.
    """

    def __init__(self, folder: Path, sandbox: Sandbox, url: str, **given: Any) -> None:
        self.folder, self.sandbox, self.url = folder, sandbox, url
        self.given: Json = {"onboarding": "skip", **given}

    def settings(self, **more: Any) -> Settings:
        given = {"base_url": self.url, "api_key": "sandbox", **self.given, **more}
        return load(environ={}, **given)

    def path(self, name: str) -> Path:
        return self.folder / name

    def plan(
        self, text: str | bytes, name: str = "customers", *, archive_missing: bool = False, **settings: Any
    ) -> Planned:
        """Write NAME.csv and plan it into NAME.plan."""
        source = self.path(f"{name}.csv")
        source.write_bytes(text.encode() if isinstance(text, str) else text)
        return job.plan(self.settings(**settings), source, self.path(f"{name}.plan"), archive_missing=archive_missing)

    def apply(self, planned: Planned | Plan, *, ask: Any = None, store: Path | None = None, **settings: Any) -> Applied:
        """Apply a plan, confirmed in every way that it asks for."""
        plan = planned.plan if isinstance(planned, Planned) else planned
        assert plan is not None, "nothing was planned"
        counts = plan.header.counts
        said = Confirmed(True, counts["writes"], counts["archive"], ask)
        return job.apply(self.settings(**settings), plan.path, said, pace=Pace(looks=QUICK), store=store)

    def undo(self, applied: Applied, name: str = "undo", **settings: Any) -> Planned:
        """Plan the way back from a run into NAME.plan."""
        return job.undo_run(self.settings(**settings), applied.plan.header.run, self.path(f"{name}.plan"))

    def export(self, metadata: Any = "auto", **settings: Any) -> str:
        """The account as `flexsync import export` prints it."""
        parts: list[str] = []
        export_customers(self.settings(**settings), None, parts.append, metadata)
        return "".join(parts)


@contextmanager
def shop(folder: Path, *people: Mapping[str, Any], sandbox: Sandbox | None = None, **given: Any) -> Iterator[Shop]:
    """Serve an account of these customers, or a given one, and yield a `Shop`."""
    sandbox = sandbox or account(*people)
    with sandbox.running() as url:
        yield Shop(folder, sandbox, url, **given)


class Recorder:
    """A `send` that remembers what it was asked; the sandbox's own log keeps a thousand calls only."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._send = Direct(sandbox).send
        self.calls: list[Call] = []

    def bodies(self) -> list[Json]:
        return [json.loads(call.body or b"{}") for call in self.calls]

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        return await self._send(call)
