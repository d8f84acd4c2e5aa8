"""`flexsync customers`: who is meant, how metadata is merged, how all are walked, and the formats of a listing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from command import Done, account, command, environment

from connector.api.models import Customer
from connector.sandbox import Faults, Sandbox
from pipelines.cli import listings
from pipelines.report.customers import COLUMNS, FORMATS, SHOWN

ON_ONE = ("get", "update", "delete", "usage", "entitlements", "grants")


class Shell:
    """`flexsync customers …` against a sandbox."""

    def __init__(self, sandbox: Sandbox, base_url: str, folder: Path) -> None:
        self.sandbox, self.base_url, self.folder = sandbox, base_url, folder

    def __call__(self, *words: str, code: int | None = 0) -> Done:
        done = command("customers", *words, env=environment(self.base_url), cwd=self.folder)
        assert code in (None, done.code), done.err
        return done

    def make(self, **fields: Any) -> str:
        return str(self.sandbox.create_customer(**fields)["id"])

    def stored(self, id: str) -> Any:
        return self("get", id).json


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    sandbox = account(12)
    with sandbox.running() as base_url:
        yield Shell(sandbox, base_url, tmp_path)


# --- who is meant ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_ONE)
def test_both_ids_or_neither_is_refused(shell: Shell, name: str) -> None:
    """Every command about one customer takes ID or --external-id; both, none or an empty one ends before any call."""
    before = shell.sandbox.calls_total
    more = ("--yes",) if name == "delete" else ()
    for words in ((), ("cust_1", "--external-id", "a"), ("",), ("--external-id", "")):
        done = shell(name, *words, *more, code=2)
        assert "--external-id" in done.err
        assert done.out == ""
    assert shell.sandbox.calls_total == before


@pytest.mark.parametrize("external_id", ["own-1", "own/1 ü?&="])
def test_every_command_takes_an_id_of_the_users_own(shell: Shell, external_id: str) -> None:
    """Each does for --external-id what it does for ID, also where no path can carry it."""
    id = shell.make(external_id=external_id, name="Own")
    shell.sandbox.add_subscription(id)
    own = ("--external-id", external_id)
    for name in ("get", "usage", "entitlements", "grants"):
        assert shell(name, *own).out == shell(name, id).out
    assert shell("update", *own, "--name", "Owned").json["id"] == id
    shell.make(external_id=f"{external_id}/2", name="Free")
    assert shell("delete", "--external-id", f"{external_id}/2", "--yes").out == ""
    assert "external_id" in shell("get", "--external-id", f"{external_id}/2", code=1).err


@pytest.mark.parametrize("name", ON_ONE)
def test_an_id_of_the_other_kind_is_recognised(shell: Shell, name: str) -> None:
    """A 404, and the empty answer that stands for one, says how the other kind of id is written."""
    more = ("--yes",) if name == "delete" else ("--metadata", "a=b") if name == "update" else ()
    assert "write --external-id acct-0000003" in shell(name, "acct-0000003", *more, code=1).err
    server_id = "cust_01KBFZ00000000000000000000"
    assert "without --external-id" in shell(name, "--external-id", server_id, *more, code=1).err
    assert "own id" not in shell(name, "--external-id", "nobody", *more, code=1).err


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "external_id"])
def test_update_merges_metadata_as_the_import_does(shell: Shell, by: str) -> None:
    r"""Keys that are not named stay; a value replaces one, \N removes one, \\N is the text itself."""
    id = shell.make(external_id="m-1", name="M", metadata={"tier": "gold", "crm": "1", "old": "x"})
    who = (id,) if by == "id" else ("--external-id", "m-1")
    pairs = ("tier=silver", "old=\\N", "text=\\\\N", "new=", "a=b=c")
    done = shell("update", *who, *(word for pair in pairs for word in ("--metadata", pair)), "--name", "N")
    wanted = {"tier": "silver", "crm": "1", "text": "\\N", "new": "", "a": "b=c"}
    assert done.json["metadata"] == wanted
    assert (shell.stored(id)["metadata"], shell.stored(id)["name"]) == (wanted, "N")


def test_update_replaces_metadata_where_that_is_said(shell: Shell) -> None:
    """--metadata-replace writes the named keys and no others; alone it is refused, because it would remove all."""
    id = shell.make(external_id="m-1", name="M", metadata={"tier": "gold", "crm": "1"})
    assert "--body" in shell("update", id, "--metadata-replace", code=2).err
    assert shell.stored(id)["metadata"] == {"tier": "gold", "crm": "1"}
    shell("update", id, "--metadata", "tier=silver", "--metadata", "x=\\N", "--metadata-replace")
    assert shell.stored(id)["metadata"] == {"tier": "silver"}


def test_a_body_says_the_whole_metadata(shell: Shell) -> None:
    """What --body holds replaces, as the API has it; --metadata goes on top of that."""
    id = shell.make(external_id="m-1", name="M", metadata={"tier": "gold"})
    shell("update", id, "--body", '{"metadata":{"b":"1","c":"2"}}', "--metadata", "c=3")
    assert shell.stored(id)["metadata"] == {"b": "1", "c": "3"}
    shell("update", id, "--body", '{"metadata":null}', "--metadata", "d=4")
    assert shell.stored(id)["metadata"] == {"b": "1", "c": "3", "d": "4"}
    assert "not an object" in shell("update", id, "--body", '{"metadata":[]}', "--metadata", "d=4", code=2).err


def test_metadata_that_is_null_is_merged_too(shell: Shell) -> None:
    """A customer without metadata gets it, also together with a new external_id, which the server cannot do at once."""
    id = shell.make(external_id="m-1", name="M")
    assert shell.stored(id)["metadata"] is None
    done = shell("update", "--external-id", "m-1", "--metadata", "a=1", "--new-external-id", "m-2")
    assert (done.json["external_id"], done.json["metadata"]) == ("m-2", {"a": "1"})
    assert shell.stored(id)["metadata"] == {"a": "1"}


def test_an_archived_customer_is_merged_by_its_id(shell: Shell) -> None:
    """PUT changes archived customers too; their metadata is read before, and nothing is lost."""
    id = shell.make(external_id="m-1", name="M", metadata={"tier": "gold"})
    shell.sandbox.archive_customer(id)
    assert shell("update", id, "--metadata", "a=1").json["metadata"] == {"tier": "gold", "a": "1"}
    assert "No published customer" in shell("update", "--external-id", "m-1", "--metadata", "a=1", code=1).err


def test_create_takes_metadata_as_before(shell: Shell) -> None:
    """A new customer has nothing to merge with; a removed key is left out."""
    made = shell("create", "--external-id", "c", "--name", "C", "--metadata", "a=1", "--metadata", "b=\\N")
    assert made.json["metadata"] == {"a": "1"}
    assert "KEY=VALUE" in shell("create", "--external-id", "d", "--name", "D", "--metadata", "=x", code=2).err


# --- listings ---------------------------------------------------------------------------------------------------------


def ids(done: Done) -> list[str]:
    return [msgspec.json.decode(line)["id"] for line in done.out.splitlines()]


def test_all_customers_are_walked_by_a_keyset(shell: Shell) -> None:
    """Each comes once, oldest first, whatever the page size, without any offset, and where many share a microsecond."""
    for _ in range(5):
        shell.make(created_at="2026-07-01T00:00:00Z", updated_at="2026-07-01T00:00:00Z")
    for size in ("2", "1000"):
        done = shell("search", "--all", "--limit", size, "--format", "jsonl")
        assert sorted(ids(done)) == sorted(shell.sandbox.customer_ids("published"))
        moments = [msgspec.json.decode(line)["created_at"] for line in done.out.splitlines()]
        assert moments == sorted(moments)
    archived = ids(shell("search", "--all", "--status", "archived", "--format", "jsonl"))
    assert sorted(archived) == sorted(shell.sandbox.customer_ids("archived"))


def test_a_walk_keeps_the_filters_of_the_line_and_of_the_body(shell: Shell) -> None:
    """Conditions, a metadata key and a body narrow what is walked, on every page."""
    kept = {shell.make(name=f"Walk {number}", metadata={"walk": "yes"}) for number in range(3)}
    for words in (
        ("--metadata", "walk=yes"),
        ("--filter", '{"field":"name","operator":"contains","value":{"string":"Walk"}}'),
        ("--body", '{"metadata":{"walk":"yes"}}'),
    ):
        assert set(ids(shell("search", "--all", "--limit", "2", "--format", "jsonl", *words))) == kept


@pytest.mark.parametrize(
    "words", [("--sort", "name"), ("--offset", "3"), ("--body", '{"order":"asc"}'), ("--body", '{"limit":"x"}')]
)
def test_a_walk_refuses_what_it_cannot_keep(shell: Shell, words: tuple[str, ...]) -> None:
    """It has an order and pages of its own, so --all refuses what asks for others, before any call."""
    before = shell.sandbox.calls_total
    assert "--all" in shell("search", "--all", *words, code=2).err
    assert shell.sandbox.calls_total == before


def test_all_customers_as_json_are_one_object(shell: Shell) -> None:
    """`.items` holds every customer as the server sent it, as one page does."""
    found = shell("search", "--all", "--limit", "4").json
    page = shell("search", "--limit", "1000", "--sort", "created_at", "--sort", "id").json
    assert list(found) == ["items"]
    assert sorted(found["items"], key=str) == sorted(page["items"], key=str)
    assert shell("search", "--all", "--email", "nobody@example.com").json == {"items": []}


@pytest.mark.parametrize("name", ["list", "search"])
def test_a_listing_as_csv_and_as_a_table(shell: Shell, name: str) -> None:
    """CSV has every field of a customer, a table the ones that name it; rows are those of the JSON."""
    shell.make(external_id="q", name='A "B", C\nD', metadata={"k": "ü"}, created_at="2029-01-01T00:00:00Z")
    wanted = shell(name, "--limit", "1000").json["items"]
    rows = list(csv.DictReader(io.StringIO(shell(name, "--limit", "1000", "--format", "csv").out)))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["id"] for row in rows] == [row["id"] for row in wanted]
    made = next(row for row in rows if row["external_id"] == "q")
    assert (made["name"], made["metadata"], made["contact"]) == ('A "B", C\nD', '{"k":"ü"}', "")
    table = shell(name, "--limit", "1000", "--format", "table").out
    assert table.split()[: len(SHOWN)] == list(SHOWN)
    assert len(table.splitlines()) == len(wanted) + 1
    assert all(row["id"] in table for row in wanted)
    lines = shell(name, "--limit", "1000", "--format", "jsonl").out.splitlines()
    assert [msgspec.json.decode(line) for line in lines] == wanted


def test_a_table_cannot_control_the_terminal(shell: Shell) -> None:
    """A name with a control character or a line break stays one printable line."""
    shell.make(external_id="esc", name="red \x1b[31m\nrow", created_at="2029-01-01T00:00:00Z")
    line = next(line for line in shell("list", "--format", "table").out.splitlines() if "esc" in line)
    assert line.isprintable()
    assert "red \\u001b[31m\\nrow" in line


def test_columns_are_the_fields_of_a_customer() -> None:
    """A field that customers get has its column in the CSV."""
    assert set(COLUMNS) == set(Customer.__struct_fields__) - {"integrations"}
    assert set(SHOWN) <= set(COLUMNS)


@pytest.mark.parametrize("found", [listings.list_customers, listings.search], ids=["list", "search"])
def test_every_format_can_be_chosen(found: click.Command) -> None:
    """The flag takes the formats that have a writer."""
    (option,) = (one for one in found.params if one.name == "kind")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == FORMATS


def test_a_part_of_a_listing_says_that_it_is_one(shell: Shell) -> None:
    """Formats without the total tell on stderr how many customers match; a whole page says nothing."""
    total = len(shell.sandbox.customer_ids("published"))
    done = shell("search", "--limit", "3", "--format", "csv")
    assert f"3 of {total} customers" in done.err
    assert "--all" in done.err
    assert shell("search", "--all", "--format", "csv").err == ""
    assert shell("search", "--limit", "1000", "--format", "jsonl").err == ""


def test_fields_that_have_no_column_are_named(shell: Shell) -> None:
    """A field that a newer server sends is not in the CSV, and stderr says so; JSON lines have it."""
    customer = {"id": "cust_1", "name": "N", "loyalty": "high"}
    from pipelines.report.customers import writer

    out = io.StringIO()
    made = writer("csv", out)
    made.take([msgspec.json.encode(customer)])
    assert "loyalty" in made.close()
    made = writer("jsonl", out)
    made.take([msgspec.json.encode(customer)])
    assert (made.close(), "loyalty" in out.getvalue().splitlines()[-1]) == ("", True)


def test_integrations_have_a_column_where_they_were_asked_for(shell: Shell) -> None:
    """--expand integrations adds the column, which holds JSON."""
    done = shell("search", "--all", "--expand", "integrations", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert any(msgspec.json.decode(row["integrations"] or "[]") for row in rows)


def test_a_server_that_ignores_filters_cannot_be_walked(tmp_path: Path) -> None:
    """The walk ends with an error that names what works there, instead of going on for ever."""
    old = Sandbox(customers=12, seed=5, faults=Faults(old=frozenset({"filters_ignored"})))
    with old.running() as base_url:
        done = Shell(old, base_url, tmp_path)("search", "--all", "--limit", "3", code=1)
    assert "--offset" in done.err


def test_an_update_of_nothing_is_refused(shell: Shell) -> None:
    """Without a field there is nothing to write, and no call is made."""
    id = shell.make(name="As it was")
    before = shell.sandbox.calls_total
    done = shell("update", id, code=2)
    assert "nothing to change: no field was given." in done.err
    assert shell.sandbox.calls_total == before
