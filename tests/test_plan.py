"""What is planned for each row of a file, given what the server holds: kinds, fields, metadata, keys, and the calls."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from command import hard_limit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import (
    ABSENT,
    EDITED,
    FORBIDDEN,
    FULL,
    OTHER,
    Recorder,
    account,
    assert_never_empty,
    entries,
    entry,
    id_of,
    searches,
    shop,
    shown,
    state,
    table,
    writes_of,
)
from sizes import examples
from support import Bent, Direct

from connector.api.calls import Call, Reply
from connector.api.fields import TEXTS
from connector.errors import Refused
from connector.push.account.customer import look_up
from connector.push.file.rows import read_rows
from connector.push.plan import plan as plans
from connector.push.plan.entry import Entry
from connector.push.plan.options import Options
from connector.push.plan.plan import planned
from connector.sandbox import Sandbox

GSTIN, PAN = "29ABCDE1234F1Z5", "ABCDE1234F"
CLEARABLE = {"contact", "address_line1", "address_line2", "address_city", "address_state", "address_postal_code"}


@pytest.mark.parametrize("values", [FULL, OTHER, EDITED, FORBIDDEN], ids=["FULL", "OTHER", "EDITED", "FORBIDDEN"])
def test_every_field_has_sample_values(values: dict[str, Any]) -> None:
    """The tests of the import walk over these lists, so a field that is missing in one would go untested."""
    assert set(values) == set(TEXTS) - {"external_id"}


# --- what each row comes to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("upsert", ["unchanged", "update", "create", "invalid", "conflict", "conflict", "create"]),
        ("create", ["conflict", "conflict", "create", "invalid", "conflict", "conflict", "create"]),
        ("update", ["unchanged", "update", "conflict", "conflict", "conflict", "conflict", "conflict"]),
    ],
)
def test_rows_by_external_id_in_each_mode(mode: str, wanted: list[str]) -> None:
    """Equal, different, new, nameless, ids that disagree, archived: each row comes to its own in each mode."""
    sandbox = account(
        {"external_id": "same", **FULL}, {"external_id": "other", **FULL}, {"external_id": "third"},
        {"external_id": "fourth"}, {"external_id": "gone", "status": "archived"},
    )  # fmt: skip
    other = id_of(sandbox, "other")
    text = table(
        {"external_id": "same", "id": "", **FULL},
        {"external_id": "other", "id": other, "name": "New name"},
        {"external_id": "new", "name": "New"},
        {"external_id": "nameless", "email": "x@y.example"},
        {"external_id": "third", "id": id_of(sandbox, "fourth")},
        {"external_id": "unknown", "name": "N", "id": "cust_NOBODY"},
        {"external_id": "gone", "name": "Again"},
    )
    assert [e.do for e in entries(sandbox, text, mode=mode)] == wanted
    assert writes_of(sandbox) == 0


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("upsert", ["unchanged", "update", "create", "invalid", "invalid", "conflict", "conflict", "conflict"]),
        ("create", ["conflict", "conflict", "create", "invalid", "invalid", "conflict", "conflict", "conflict"]),
        ("update", ["unchanged", "update", "conflict", "conflict", "conflict", "conflict", "conflict", "conflict"]),
    ],
)
def test_rows_by_id_in_each_mode(mode: str, wanted: list[str]) -> None:
    """By id: equal, different, new, new without name or key, unknown, archived, and a key that somebody has."""
    sandbox = account(
        {"external_id": "same", **FULL}, {"external_id": "other", **FULL}, {"external_id": "third"},
        {"external_id": "gone", "status": "archived"},
    )  # fmt: skip
    text = table(
        {"id": id_of(sandbox, "same"), **FULL},
        {"id": id_of(sandbox, "other"), "external_id": "other", "name": "New name"},
        {"external_id": "new", "name": "New"},
        {"external_id": "nameless", "email": "x@y.example"},
        {"name": "Without a key"},
        {"id": "cust_NOBODY", "name": "N"},
        {"id": id_of(sandbox, "gone"), "name": "Back"},
        {"external_id": "third", "name": "Third"},
    )
    assert [e.do for e in entries(sandbox, text, match="id", mode=mode)] == wanted
    assert writes_of(sandbox) == 0


def test_conflicts_say_why_and_the_way_out() -> None:
    """Each conflict names whom it is about and what to do; it keeps the row as it stood."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, {"external_id": "z", "status": "archived"})
    a, b, z = (id_of(sandbox, key) for key in "abz")
    apart = entry(sandbox, table({"external_id": "a", "id": b, "name": "N"}))
    assert apart.why == f"external_id belongs to {a}, the file says {b}. Correct one of them."
    assert (apart.id, apart.raw) == (a, f"a,{b},N\n")
    assert f"it exists as {a}" in entry(sandbox, table({"external_id": "a"}), mode="create").why
    assert "does not exist" in entry(sandbox, table({"external_id": "n", "name": "N"}), mode="update").why
    assert "use --match id" in entry(sandbox, table({"external_id": "n", "id": a, "name": "N"})).why
    assert "no customer has the id" in entry(sandbox, table({"id": "x", "name": "N"}), match="id").why
    gone = entry(sandbox, table({"id": z, "name": "N"}), match="id")
    assert (gone.do, gone.external_id, gone.id) == ("conflict", "z", z)
    assert gone.why == "it is archived, and the API has no way to un-archive."
    for mode in ("upsert", "create", "update"):
        held = entry(sandbox, table({"id": "", "external_id": "a", "name": "N"}), match="id", mode=mode)
        assert held.why == f"external_id 'a' belongs to {a}. Give that id, or another.", mode


def test_an_archived_namesake_is_noted() -> None:
    """A create whose external_id archived customers had says so, naming the newest of them."""
    sandbox = account(*[{"external_id": "a", "status": "archived"}] * 3, {"external_id": "b"})
    newest = max(sandbox.customer_ids("archived"))
    for options in ({}, {"match": "id"}):
        columns = {"id": ""} if options else {}
        made = entry(sandbox, table({**columns, "external_id": "a", "name": "Again"}), **options)
        note = f"{newest} had this external_id and is archived: a new customer is made, the old one stays."
        assert (made.do, made.id, made.notes) == ("create", "", [note])
    plain = entry(sandbox, table({"external_id": "c", "name": "Again"}))
    assert (plain.do, plain.notes) == ("create", [])


def test_a_create_shows_all_that_is_given() -> None:
    """Before is null everywhere; blank cells and cleared ones are not sent; metadata stands whole."""
    row = {"external_id": "n", "name": "N", "email": "", "contact": "\\N", "address_city": "Ω"}
    made = entry(account(), table({**row, "metadata.tier": "gold", "metadata.gone": "\\N"}))
    assert made.set == {
        "external_id": (None, "n"), "name": (None, "N"), "address_city": (None, "Ω"),
        "metadata": (None, {"tier": "gold"}),
    }  # fmt: skip
    assert (made.writes, made.precondition, made.external_id) == (1, "", "n")


@pytest.mark.parametrize("name", sorted(FULL.keys() - {"name"} - CLEARABLE))
def test_a_new_customer_has_nothing_to_be_cleared(name: str) -> None:
    """Clearing what a customer that is yet to be made does not have is no fault, though PUT could not clear it."""
    made = entry(account(), table({"external_id": "n", "name": "N", name: "\\N"}))
    assert (made.do, made.set) == ("create", {"external_id": (None, "n"), "name": (None, "N")})


def test_a_new_customer_without_a_name_is_told_so() -> None:
    """A blank or cleared name makes a new customer invalid, by the rule that it needs one."""
    for cell in ("", "\\N"):
        (fault,) = entry(account(), table({"external_id": "n", "name": cell, "email": "a@b.example"})).faults
        assert (fault.line, fault.column, fault.rule) == (2, "name", "required")


# --- fields -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FULL))
def test_one_changed_field_is_the_only_one_planned(name: str) -> None:
    """Of a whole row only the cell that differs is planned, with before and after."""
    sandbox = account({"external_id": "a", **FULL, "metadata": {"tier": "gold"}})
    row = {"external_id": "a", **FULL, "metadata.tier": "gold", name: OTHER[name]}
    found = entry(sandbox, table(row))
    assert (found.do, found.set, found.writes) == ("update", {name: (FULL[name], OTHER[name])}, 1)
    assert (found.id, found.external_id, len(found.precondition)) == (id_of(sandbox, "a"), "a", 32)


def test_all_fields_at_once() -> None:
    """A row that differs everywhere plans every field, before and after, in both matches."""
    sandbox = account({"external_id": "a", **FULL, "metadata": {"tier": "gold"}})
    row = {"id": id_of(sandbox, "a"), "external_id": "a", **OTHER, "metadata.tier": "iron"}
    wanted: dict[str, Any] = {name: (FULL[name], OTHER[name]) for name in FULL}
    wanted["metadata"] = ({"tier": "gold"}, {"tier": "iron"})
    assert entry(sandbox, table(row)).set == wanted
    assert entry(sandbox, table({**row, "external_id": "b"}), match="id").set == {**wanted, "external_id": ("a", "b")}


def test_blank_cells_keep() -> None:
    """A row that is blank but for its key leaves everything as it is, metadata included, merged or replaced."""
    sandbox = account({"external_id": "a", **FULL, "metadata": {"tier": "gold"}})
    row = {"external_id": "a", "id": "", **dict.fromkeys(FULL, ""), "metadata.tier": "", "metadata": ""}
    for metadata in ("merge", "replace"):
        assert entry(sandbox, table(row), metadata=metadata).do == "unchanged"


@pytest.mark.parametrize("name", sorted(FULL))
def test_clearing(name: str) -> None:
    r"""``\N`` empties what the API can empty, is a fault for the rest, and plans nothing where it is empty already."""
    sandbox = account({"external_id": "full", **FULL}, {"external_id": "empty", name: ""})
    full = entry(sandbox, table({"external_id": "full", name: "\\N"}))
    if name in CLEARABLE:
        assert (full.do, full.set) == ("update", {name: (FULL[name], "")})
    else:
        assert (full.do, [fault.rule for fault in full.faults]) == ("invalid", ["cannot_be_cleared"])
    assert entry(sandbox, table({"external_id": "empty", name: "\\N"})).do == "unchanged"


@pytest.mark.parametrize("name", ABSENT)
def test_an_absent_text_and_an_empty_one_are_alike_to_a_file(name: str) -> None:
    r"""Null and "" are both empty: clearing plans nothing, and giving a value shows which of the two it was."""
    sandbox = account({"external_id": "null"}, {"external_id": "empty", name: ""})
    for key, before in (("null", None), ("empty", "")):
        assert entry(sandbox, table({"external_id": key, name: "\\N"})).do == "unchanged"
        assert entry(sandbox, table({"external_id": key, name: FULL[name]})).set == {name: (before, FULL[name])}


def test_the_text_backslash_n() -> None:
    r"""``\\N`` is the text ``\N``, in fields, in metadata and in keys."""
    sandbox = account({"external_id": "\\N", "name": "N"})
    row = {"external_id": "\\\\N", "name": "\\\\N", "address_city": "\\\\\\N", "metadata.k": "\\\\N"}
    found = entry(sandbox, table(row))
    wanted = {"name": ("N", "\\N"), "address_city": ("", "\\\\N"), "metadata": (None, {"k": "\\N"})}
    assert (found.external_id, found.set) == ("\\N", wanted)


def test_nothing_is_trimmed_or_folded() -> None:
    """Keys that differ by case or spaces are different customers; values keep their spaces."""
    sandbox = account({"external_id": "a", "name": "N"}, {"external_id": "a ", "name": "N"})
    found = entries(sandbox, table(*({"external_id": key, "name": " N"} for key in ("a", "a ", "A"))))
    assert [(e.do, e.set["name"]) for e in found] == [
        ("update", ("N", " N")), ("update", ("N", " N")), ("create", (None, " N"))
    ]  # fmt: skip
    assert found[0].id != found[1].id


# --- metadata -----------------------------------------------------------------------------------------------------

KEPT: Any = ...  # planned as unchanged
TWO = {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("held", "cells", "merged", "replaced"),
    [
        (None, {"metadata": "{}"}, KEPT, KEPT),
        ({}, {"metadata": "{}"}, KEPT, KEPT),
        (TWO, {"metadata": "{}"}, KEPT, {}),
        (None, {"metadata": '{"a": null}'}, KEPT, KEPT),
        (None, {"metadata.a": "\\N"}, KEPT, KEPT),
        (None, {"metadata.a": "1"}, {"a": "1"}, {"a": "1"}),
        ({}, {"metadata.a": "1"}, {"a": "1"}, {"a": "1"}),
        (TWO, {"metadata.a": "1"}, KEPT, {"a": "1"}),
        (TWO, {"metadata.a": "1", "metadata.b": "2"}, KEPT, KEPT),
        (TWO, {"metadata.a": "9"}, {"a": "9", "b": "2"}, {"a": "9"}),
        (TWO, {"metadata.a": "\\N"}, {"b": "2"}, {}),
        (TWO, {"metadata.a": "\\N", "metadata.b": "\\N"}, {}, {}),
        (TWO, {"metadata.a": "\\N", "metadata.b": ""}, {"b": "2"}, {}),
        (TWO, {"metadata.c": "3"}, {**TWO, "c": "3"}, {"c": "3"}),
        (TWO, {"metadata.c": "\\N"}, KEPT, {}),
        (TWO, {"metadata": '{"b": "2", "a": "1"}'}, KEPT, KEPT),
        (TWO, {"metadata": '{"a": null}'}, {"b": "2"}, {}),
        (TWO, {"metadata": '{"a": ""}'}, {"a": "", "b": "2"}, {"a": ""}),
        ({"a": ""}, {"metadata": '{"a": ""}'}, KEPT, KEPT),
        ({"a": ""}, {"metadata": '{"a": null}'}, {}, {}),
        ({"a": ""}, {"metadata.a": ""}, KEPT, KEPT),
        (TWO, {"metadata": '{"a": "json", "c": "3"}', "metadata.a": "cell"}, {"a": "cell", "b": "2", "c": "3"},
         {"a": "cell", "c": "3"}),
        (TWO, {"metadata": '{"a": "json"}', "metadata.a": "\\N"}, {"b": "2"}, {}),
        (TWO, {"metadata": '{"a": "json"}', "metadata.a": ""}, {"a": "json", "b": "2"}, {"a": "json"}),
        ({"A": "1"}, {"metadata.a": "1"}, {"A": "1", "a": "1"}, {"a": "1"}),
    ],
)  # fmt: skip
def test_metadata(held: Any, cells: dict[str, str], merged: Any, replaced: Any) -> None:
    """Merging keeps what the row does not name, replacing drops it; null and empty are one; cells win over JSON."""
    sandbox = account({"external_id": "a", "metadata": held})
    for style, after in (("merge", merged), ("replace", replaced)):
        found = entry(sandbox, table({"external_id": "a", **cells}), metadata=style)
        wanted = ("unchanged", {}) if after is KEPT else ("update", {"metadata": (held, after)})
        assert (found.do, found.set) == wanted, style


def test_constants_are_merged_below_cells() -> None:
    """A constant for a metadata key is merged like a cell, and a cell's JSON column wins over it."""
    sandbox = account({"external_id": "a", "metadata": {"x": "1"}})
    given = {"metadata.source": "crm", "timezone": "Europe/Paris"}
    found = entry(sandbox, table({"external_id": "a", "name": "Made 0"}), constants=given)
    assert found.set == {"timezone": ("UTC", "Europe/Paris"), "metadata": ({"x": "1"}, {"x": "1", "source": "crm"})}
    text = table({"external_id": "a", "metadata": '{"source": "file"}'})
    assert entry(sandbox, text, constants={"metadata.source": "crm"}).changes == {
        "metadata": {"x": "1", "source": "file"}
    }


# --- values that the rules forbid and the server holds ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_forbidden_value_that_the_server_holds_is_no_fault(name: str) -> None:
    """The same value plans nothing and hinders no other field; as soon as it differs it is a fault; so for creates."""
    held, differs, rule = FORBIDDEN[name]
    sandbox = account({"external_id": "a", "address_line1": "", "name": "Acme", name: held})
    assert entry(sandbox, table({"external_id": "a", name: held})).do == "unchanged"
    field, before, after = ("email", "", "a@b.example") if name == "name" else ("name", "Acme", "New")
    beside = entry(sandbox, table({"external_id": "a", name: held, field: after}))
    assert (beside.do, beside.set) == ("update", {field: (before, after)})
    for key in ("a", "new"):
        found = entry(sandbox, table({"external_id": key, "name": "New", name: differs}))
        assert (found.do, found.set, [(f.column, f.rule) for f in found.faults]) == ("invalid", {}, [(name, rule)])
    absent = entry(sandbox, table({"external_id": "new", "name": "New", name: held}))
    assert (absent.do, [f.column for f in absent.faults]) == ("invalid", [name])


def test_only_the_faults_of_what_would_be_sent_are_told() -> None:
    """Of two forbidden values the one that the server holds is not told: there is nothing to mend in it."""
    sandbox = account({"external_id": "a", "address_country": "UK", "timezone": "Mars/Base"})
    found = entry(sandbox, table({"external_id": "a", "address_country": "UK", "timezone": "Mars/Dome"}))
    assert (found.do, [(f.column, f.rule) for f in found.faults]) == ("invalid", [("timezone", "timezone")])


def test_the_told_column_is_the_files_own() -> None:
    """A fault that is found against the server names the header as it stands in the file."""
    sandbox = account({"external_id": "a", "metadata": {"gstin": GSTIN}})
    mapping = {"Kunde": "external_id", "Land": "address_country", "Steuer": "metadata.pan"}
    found = entry(sandbox, table({"Kunde": "a", "Land": "UK"}), mapping={k: mapping[k] for k in ("Kunde", "Land")})
    assert [f.column for f in found.faults] == ["Land"]
    found = entry(
        sandbox, table({"Kunde": "a", "Steuer": "ZZZZZ9999Z"}), mapping={k: mapping[k] for k in ("Kunde", "Steuer")}
    )
    assert [(f.column, f.value, f.rule) for f in found.faults] == [("Steuer", "ZZZZZ9999Z", "tax_key")]


# --- tax numbers --------------------------------------------------------------------------------------------------


def refused(sandbox: Sandbox, customer: str, body: Any) -> bool:
    """Whether the server itself refuses such a PUT."""
    return sandbox.answer("PUT", "/customers", {"id": customer}, body)[0] == 400


@pytest.mark.parametrize(
    ("held", "cells", "merge", "replace"),
    [
        ({"gstin": GSTIN}, {"metadata.pan": PAN}, "update", "update"),
        ({"gstin": GSTIN}, {"metadata.pan": "ZZZZZ9999Z"}, "invalid", "update"),
        ({"pan": PAN}, {"metadata.gstin": "29ZZZZZ9999Z1Z5"}, "invalid", "update"),
        ({"gstin": "bad"}, {"metadata.tier": "gold"}, "invalid", "update"),
        ({"gstin": "bad"}, {"metadata.gstin": "\\N"}, "update", "update"),
        ({"gstin": "bad"}, {"metadata.gstin": GSTIN}, "update", "update"),
        ({"gstin": "bad"}, {"metadata.gstin": "bad"}, "unchanged", "unchanged"),
        ({"gstin": "bad"}, {"metadata.gstin": "worse"}, "invalid", "invalid"),
        ({"gstin": "bad"}, {"metadata.gstin": "bad", "metadata.tier": "gold"}, "invalid", "invalid"),
        ({"gstin": "bad"}, {"name": "New"}, "update", "update"),
        ({"hsn_sac": "123"}, {"metadata": '{"tier": "gold"}'}, "invalid", "update"),
        ({"gstin": GSTIN, "pan": "ZZZZZ9999Z"}, {"metadata.pan": PAN}, "update", "update"),
        ({"gstin": f" {GSTIN.lower()} "}, {"metadata.pan": PAN.lower()}, "update", "update"),
        (None, {"metadata.gstin": GSTIN, "metadata.pan": "ZZZZZ9999Z"}, "invalid", "invalid"),
    ],
)
def test_tax_numbers_are_checked_as_they_would_be_stored(held: Any, cells: Any, merge: str, replace: str) -> None:
    """The whole metadata that would be sent must pass, stored keys included; and the server agrees each time."""
    for style, wanted in (("merge", merge), ("replace", replace)):
        sandbox = account({"external_id": "a", "metadata": held})
        found = entry(sandbox, table({"external_id": "a", **cells}), metadata=style)
        assert (found.do, [f.rule for f in found.faults]) == (wanted, ["tax_key"] if wanted == "invalid" else [])
        if wanted == "update":
            assert not refused(sandbox, id_of(sandbox, "a"), found.changes)


def test_a_key_change_beside_a_bad_stored_tax_number_is_told_before_it_fails() -> None:
    """An external_id is sent together with the stored metadata, so a tax number in it that is wrong hinders it."""
    sandbox = account({"external_id": "a", "metadata": {"gstin": "bad", "tier": "gold"}})
    customer = id_of(sandbox, "a")
    assert refused(sandbox, customer, {"external_id": "b", "metadata": {"gstin": "bad", "tier": "gold"}})
    found = entry(sandbox, table({"id": customer, "external_id": "b"}), match="id")
    assert (found.do, [(f.column, f.value, f.rule) for f in found.faults]) == (
        "invalid", [("metadata.gstin", "bad", "tax_key")]
    )  # fmt: skip
    mended = entry(sandbox, table({"id": customer, "external_id": "b", "metadata.gstin": "\\N"}), match="id")
    assert (mended.do, mended.changes) == ("update", {"external_id": "b", "metadata": {"tier": "gold"}})


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "cells", "pair", "writes"),
    [
        (None, {}, (None, {}), 2),
        (None, {"metadata.k": "v"}, (None, {"k": "v"}), 2),
        ({}, {}, None, 1),
        ({"k": "v"}, {}, None, 1),
        ({"k": "v"}, {"metadata.k": "w"}, ({"k": "v"}, {"k": "w"}), 1),
    ],
)
def test_a_changed_external_id(held: Any, cells: Any, pair: Any, writes: int) -> None:
    """Null metadata visibly becomes an object, and takes a second write; other metadata stays out of the plan."""
    sandbox = account({"external_id": "a", "metadata": held})
    found = entry(sandbox, table({"id": id_of(sandbox, "a"), "external_id": "b", **cells}), match="id")
    wanted = {"external_id": ("a", "b"), **({"metadata": pair} if pair else {})}
    assert (found.do, found.set, found.writes, found.external_id) == ("update", wanted, writes, "a")


def test_a_changed_external_id_arrives_as_shown(tmp_path: Path) -> None:
    """Applied, the key is the new one and metadata is what the plan shows, without the server's own list of ids."""
    people = ({"external_id": "null"}, {"external_id": "some", "metadata": {"k": "v"}})
    with shop(tmp_path, *people, max_key_changes=5) as it:
        rows = [{"id": id_of(it.sandbox, key), "external_id": f"{key} 2"} for key in ("null", "some")]
        found = it.plan(table(*rows), match="id")
        assert (found.counts.update, found.counts.writes, found.counts.key_changes) == (2, 3, 2)
        assert it.apply(found).exit_code == 0
        assert writes_of(it.sandbox) == 3
        held = {row["external_id"]: row["metadata"] for row in state(it.sandbox).values()}
        assert held == {"null 2": {}, "some 2": {"k": "v"}}


def test_an_external_id_that_somebody_has_is_a_conflict() -> None:
    """A wanted key that a published customer holds is refused, one that an archived customer had is not."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, {"external_id": "z", "status": "archived"})
    a, b = id_of(sandbox, "a"), id_of(sandbox, "b")
    found = entry(sandbox, table({"id": a, "external_id": "b"}), match="id")
    assert (found.do, found.id) == ("conflict", a)
    assert found.why == f"external_id 'b' belongs to {b}. Free it in a plan of its own first."
    assert entry(sandbox, table({"id": a, "external_id": "z"}), match="id").do == "update"
    swap = entries(sandbox, table({"id": a, "external_id": "b"}, {"id": b, "external_id": "a"}), match="id")
    assert [e.do for e in swap] == ["conflict", "conflict"]


# --- calls --------------------------------------------------------------------------------------------------------


def test_one_read_a_thousand_rows(tmp_path: Path) -> None:
    """2,500 rows of existing customers take three look-ups and one total, whatever changed, and nothing is written."""
    sandbox = Sandbox(customers=3000)
    people = [row for row in state(sandbox).values() if row["status"] == "published"][:2500]
    sandbox.calls.clear()
    sandbox.log.clear()
    rows = [
        {"external_id": row["external_id"], "name": row["name"] + "!" * (n % 7 == 0)} for n, row in enumerate(people)
    ]
    with shop(tmp_path, sandbox=sandbox, max_share=1.0) as it:
        found = it.plan(table(*rows))
    assert (found.counts.update, found.counts.unchanged) == (358, 2142)
    assert sandbox.calls == {"POST /customers/search": 4}
    bodies = searches(sandbox)
    assert [len(body.get("external_ids", "-")) for body in bodies] == [1, 1000, 1000, 500]
    assert_never_empty(bodies)


@pytest.mark.parametrize("match", ["external_id", "id"])
def test_archived_ones_are_asked_for_only_where_nobody_is_published(match: str) -> None:
    """Of 1,100 rows the 3 without a published customer are looked up among the archived, in one call and no more."""
    sandbox = Sandbox(customers=1500)
    people = [row for row in state(sandbox).values() if row["status"] == "published"]
    sandbox.log.clear()
    rows = [{match: row[match], "name": row["name"]} for row in people[:1100]]
    lost = [{match: f"new-{n}", "name": "New"} for n in range(3)]
    entries(sandbox, table(*rows[:500], *lost, *rows[500:]), match=match)
    bodies = searches(sandbox)
    names = {"external_id": "external_ids", "id": "customer_ids"}
    asked = [(body["status"], len(body[names[match]])) for body in bodies]
    assert sorted(asked) == [("archived", 3), ("published", 103), ("published", 1000)]
    assert [row[match] for row in lost] == next(b[names[match]] for b in bodies if b["status"] == "archived")
    assert_never_empty(bodies)


def test_holders_are_asked_for_only_where_a_key_moves() -> None:
    """By id: rows that keep their external_id cost one look-up, those that want another one a second."""
    sandbox = account(*({"external_id": f"e{n}"} for n in range(20)))
    people = state(sandbox)
    sandbox.log.clear()
    entries(sandbox, table(*({"id": id, "external_id": row["external_id"]} for id, row in people.items())), match="id")
    assert [sorted(body) for body in searches(sandbox)] == [["customer_ids", "limit", "status"]]
    sandbox.log.clear()
    first, *rest = people
    rows = [
        {"id": first, "external_id": "moved"},
        *({"id": id, "external_id": people[id]["external_id"]} for id in rest),
    ]
    entries(sandbox, table(*rows), match="id")
    assert [body.get("external_ids") for body in searches(sandbox)] == [None, ["moved"]]


def test_rows_with_faults_are_not_asked_for(tmp_path: Path) -> None:
    """Invalid rows are in no look-up and fill no batch; a file of nothing else makes no call at all."""
    bad = [{"external_id": f"bad{n}", "metadata": "no json"} for n in range(1500)]
    sandbox = account({"external_id": "a", "name": "A"})
    sandbox.log.clear()
    found = entries(sandbox, table(*bad[:700], {"external_id": "a", "name": "B"}, *bad[700:]))
    assert [e.do for e in found] == ["invalid"] * 700 + ["update"] + ["invalid"] * 800
    assert [body["external_ids"] for body in searches(sandbox)] == [["a"]]
    with shop(tmp_path, sandbox=sandbox) as it:
        sandbox.calls.clear()
        nothing = it.plan(table(*bad))
        assert (nothing.plan, nothing.exit_code, nothing.counts.invalid) == (None, 2, 1500)
        assert not it.path("customers.plan").exists()
    assert sandbox.calls == {}


def test_rows_with_faults_fill_no_batch() -> None:
    """900 good rows with a bad one after each are one look-up, not two."""
    sandbox = account()
    rows = [
        row for n in range(900)
        for row in ({"external_id": f"g{n}", "name": "N"}, {"external_id": f"b{n}", "metadata": "no json"})
    ]  # fmt: skip
    entries(sandbox, table(*rows))
    assert [(body["status"], len(body["external_ids"])) for body in searches(sandbox)] == [
        ("published", 900), ("archived", 900)
    ]  # fmt: skip


@pytest.mark.parametrize("match", ["external_id", "id"])
def test_where_nobody_is_made_no_namesake_is_asked_for(match: str) -> None:
    """With --mode update a row without a customer is a conflict, so its archived namesakes are of no interest."""
    sandbox = account({"external_id": "gone", "status": "archived"})
    rows = [{"id": "", "external_id": key, "name": "N"} for key in ("gone", "new")]
    assert [e.do for e in entries(sandbox, table(*rows), mode="update", match=match)] == ["conflict", "conflict"]
    assert [(body["status"], body["external_ids"]) for body in searches(sandbox)] == [("published", ["gone", "new"])]


def test_more_archived_namesakes_than_a_page_holds() -> None:
    """A thousand archived rows of one external_id do not hide those of another one."""
    sandbox = account({"external_id": "rare", "status": "archived"})
    for _ in range(1100):
        sandbox.create_customer(external_id="worn", status="archived")
    ids = sandbox.customer_ids("archived")
    found = asyncio.run(look_up(Direct(sandbox).send, "external_id", ["worn", "rare", "none"], "archived"))
    assert {key: customer.id for key, customer in found.items()} == {"rare": ids[0], "worn": ids[-1]}


def test_the_newest_of_archived_namesakes_is_found_in_any_order() -> None:
    """Whichever way the server sorts, the namesake that is told is the one that was made last."""
    sandbox = account(*[{"external_id": "a", "status": "archived"}] * 3, kind=Bent)
    assert isinstance(sandbox, Bent)
    newest = max(sandbox.customer_ids("archived"))
    for order in (1, -1):
        sandbox.bend = lambda route, path, query, body, order=order: {**body, "items": body["items"][::order]}  # type: ignore[misc]
        assert newest in entry(sandbox, table({"external_id": "a", "name": "N"})).notes[0]


def bending(status: str = "published") -> Bent:
    """A server that answers every search with the same customers, whatever was asked."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, {"external_id": "z", "status": status}, kind=Bent)
    assert isinstance(sandbox, Bent)
    items = list(state(sandbox).values())
    sandbox.bend = lambda route, path, query, body: {**body, "items": items} if route == "search" else None
    return sandbox


@pytest.mark.parametrize("match", ["external_id", "id"])
def test_a_server_that_ignores_the_filter_is_refused(match: str) -> None:
    """Customers that were not asked for end the plan: a server without that filter cannot be imported into."""
    sandbox = bending()
    row = {"external_id": "a", "id": sandbox.customer_ids()[0], "name": "N"}
    with pytest.raises(Refused, match="2 customers that were not asked for") as error:
        entries(sandbox, table(row), match=match)
    assert "too old" in error.value.remedy


def test_a_server_that_ignores_the_status_is_refused() -> None:
    """An archived customer in the answer about published ones ends the plan."""
    sandbox = bending("archived")
    with pytest.raises(Refused, match="1 customers that were not asked for"):
        entries(sandbox, table(*({"external_id": key, "name": "N"} for key in "abz")))


@pytest.mark.parametrize("body", [{"items": 5}, {"items": [{"name": "no id"}], "pagination": {}}, [], {}])
def test_an_answer_that_is_no_page_is_refused(body: Any) -> None:
    """A 200 that holds no customers ends the plan, rather than letting every row be new."""
    sandbox = account({"external_id": "a"}, kind=Bent)
    assert isinstance(sandbox, Bent)
    sandbox.bend = lambda *_: body
    with pytest.raises(Refused, match="not answered with a page of customers"):
        entries(sandbox, table({"external_id": "a", "name": "N"}))


def test_entries_come_in_the_order_of_the_file() -> None:
    """Batches are looked up ahead and may answer in any order; the entries do not."""
    sandbox = Sandbox(customers=200)
    people = [row for row in state(sandbox).values() if row["status"] == "published"]
    rows = [{"external_id": row["external_id"], "name": "N" if n % 3 else row["name"]} for n, row in enumerate(people)]
    chance, direct = Random(3), Direct(sandbox)

    async def slow(call: Call) -> Reply:
        await asyncio.sleep(chance.random() / 100)
        return await direct.send(call)

    with patch.object(plans, "PAGE", 7):
        found = entries(sandbox, table(*rows), send=slow)
    assert shown(found) == [(n + 2, "update" if n % 3 else "unchanged") for n in range(len(rows))]
    assert direct.calls == -(-len(rows) // 7)


def test_a_failing_look_up_ends_the_plan_and_leaves_no_task() -> None:
    """The error of a batch comes out as it is, and the look-ups that ran ahead are cancelled."""
    text = table(*({"external_id": f"x{n}", "name": "N"} for n in range(100)))

    async def failing(call: Call) -> Reply:
        if b'"x0"' in (call.body or b""):
            raise Refused("no more")
        await asyncio.sleep(3600)
        raise AssertionError

    async def go() -> None:
        with (
            patch.object(plans, "PAGE", 10),
            read_rows(io.BytesIO(text.encode())) as rows,
            pytest.raises(Refused, match="no more"),
        ):
            async for _ in planned(rows, Options(), failing):
                pass
        assert len(asyncio.all_tasks()) == 1

    with hard_limit(20):
        asyncio.run(go())


# --- against a model ----------------------------------------------------------------------------------------------

VALUES = {
    "name": ["Acme", "Nadir", "", "x" * 256],
    "email": ["a@acme.example", "b@b.example", "", "broken"],
    "address_city": ["Paris", "", "\\N", "ö" * 60],
    "address_country": ["FR", "DE", "", "UK"],
    "timezone": ["UTC", "Europe/Paris", "", "utc"],
    **{name: [FULL[name], OTHER[name], "", None, FORBIDDEN[name][0]] for name in ABSENT},
}
BAD = {"x" * 256, "broken", "ö" * 60, "UK", "utc", *(FORBIDDEN[name][0] for name in ABSENT)}
TAGS = {"tier": ["gold", "iron", ""], "pan": [PAN, "ZZZZZ9999Z", "bad"], "gstin": [GSTIN, "bad", ""]}
UNCLEARABLE = ("name", "email", "address_country", "timezone")
KEYS = ["a", "b", "c", "A", "a ", "\\N", 'née,"q"']
keys = st.sampled_from(KEYS)
held_metadata = st.one_of(
    st.none(), st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in TAGS.items()})
)
people_of = st.lists(
    st.fixed_dictionaries(
        {"external_id": keys, "status": st.sampled_from(["published", "published", "archived"])},
        optional={**{name: st.sampled_from(values) for name, values in VALUES.items()}, "metadata": held_metadata},
    ),
    max_size=7,
)
cell = {name: st.sampled_from(["", "\\N", *[v for v in values if v]]) for name, values in VALUES.items()}
cell |= {f"metadata.{key}": st.sampled_from(["", "\\N", *[v for v in values if v]]) for key, values in TAGS.items()}
cell["metadata"] = st.one_of(
    st.just(""),
    st.fixed_dictionaries({}, optional={k: st.sampled_from([*v, None]) for k, v in TAGS.items()}).map(json.dumps),
)
file_of = st.lists(
    st.fixed_dictionaries({"external_id": st.one_of(keys, st.just("")), "who": st.integers(0, 9)}, optional=cell),
    min_size=1, max_size=7,
    unique_by=(lambda r: r["external_id"] or object(), lambda r: r["who"] if r["who"] < 8 else object()),
)  # fmt: skip
how = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["upsert", "create", "update"]), "match": st.sampled_from(["external_id", "id"]),
        "metadata": st.sampled_from(["merge", "replace"]),
    }
)  # fmt: skip


def escaped(text: str) -> str:
    return "\\" + text if text.strip("\\") == "N" and text != "N" else text


def ids_in(row: dict[str, Any], ids: list[str]) -> str:
    """The id cell of a row: one of the account's customers, an unknown one, or blank."""
    return ids[row["who"]] if row["who"] < len(ids) else "" if row["who"] >= 8 else f"cust_UNKNOWN{row['who']}"


def tax_wrong(metadata: dict[str, Any]) -> bool:
    gstin, pan = metadata.get("gstin"), metadata.get("pan")
    return "bad" in (gstin, pan) or bool(gstin and pan and pan != gstin[2:12])


def modelled(people: list[dict[str, Any]], row: dict[str, Any], id: str, how: dict[str, str]) -> tuple[str, str, Any]:
    """Kind, id and changes of one row, in the plainest way; of an invalid row the fields at fault."""
    published = [p for p in people if p["status"] == "published"]
    external_id = row["external_id"]
    wanted: dict[str, Any] = {}
    for name in VALUES:
        text = row.get(name, "")
        if text:
            wanted[name] = "" if text == "\\N" else text.replace("\\\\N", "\\N")
    metadata: dict[str, Any] | None = json.loads(row["metadata"]) if row.get("metadata") else None
    for key in TAGS:
        if text := row.get(f"metadata.{key}", ""):
            metadata = {**(metadata or {}), key: None if text == "\\N" else text}
    given = {k: v for k, v in (metadata or {}).items() if v is not None}

    match = how["match"]
    at_fault = {name for name, text in wanted.items() if text in BAD} | ({"metadata"} if tax_wrong(given) else set())
    if match == "external_id" and not external_id:
        return "invalid", "", at_fault | {"external_id"} | {name for name in UNCLEARABLE if wanted.get(name) == ""}
    key = id if match == "id" else external_id
    mine = next((p for p in published if key and p[match] == key), None)
    holder = next((p for p in published if external_id and p["external_id"] == external_id), None)
    if mine is None:
        if at_fault:
            return "invalid", "", at_fault
        if how["mode"] == "update" or id or (match == "id" and holder):
            return "conflict", "", {}
        if not external_id or not wanted.get("name"):
            return "invalid", "", {"external_id" if not external_id else "name"}
        made = {"external_id": external_id, **{k: v for k, v in wanted.items() if v}}
        if metadata is not None:
            made["metadata"] = given
        return "create", "", {k: (None, v) for k, v in made.items()}

    if (id and id != mine["id"]) or how["mode"] == "create":
        return "conflict", "", {}
    target = {**mine, **{k: v for k, v in wanted.items() if v != (mine[k] or "")}}
    if external_id:
        target["external_id"] = external_id
    stored = mine["metadata"] or {}
    if metadata is not None:
        after = {**(stored if how["metadata"] == "merge" else {}), **metadata}
        after = {k: v for k, v in after.items() if v is not None}
        if after != stored:
            target["metadata"] = after
    if target["external_id"] != mine["external_id"] and target["metadata"] is None:
        target["metadata"] = {}
    changed = {k: (mine[k], target[k]) for k in mine if target[k] != mine[k]}
    wrong = {name for name, (_, after) in changed.items() if isinstance(after, str) and after in BAD}
    wrong |= {name for name in UNCLEARABLE if name in changed and changed[name][1] == ""}
    if {"metadata", "external_id"} & changed.keys() and tax_wrong(target["metadata"] or {}):
        wrong.add("metadata")
    if wrong:
        return "invalid", "", wrong
    if "external_id" in changed and holder:
        return "conflict", "", {}
    return ("update", mine["id"], changed) if changed else ("unchanged", mine["id"], {})


def prepared(people: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """No two published customers share an external_id."""
    seen: set[str] = set()
    for person in people:
        if person["status"] == "published" and person["external_id"] in seen:
            person = {**person, "status": "archived"}
        seen |= {person["external_id"]} if person["status"] == "published" else set()
        yield person


def check_against_model(people: list[dict[str, Any]], rows: list[dict[str, Any]], how: dict[str, str]) -> None:
    sandbox = account()
    made = [sandbox.create_customer(**person) for person in prepared(people)]
    known = [{**dict.fromkeys(ABSENT), **row} for row in made]
    slim = [{k: row[k] for k in ("id", "external_id", "status", "metadata", *VALUES)} for row in known]
    ids = [row["id"] for row in made]
    lines = []
    for row in rows:
        cells = {k: v for k, v in row.items() if k not in ("who", "external_id")}
        lines.append({"external_id": escaped(row["external_id"]), "id": ids_in(row, ids), **cells})
    recorder = Recorder(sandbox)
    with patch.object(plans, "PAGE", 3):
        found = entries(sandbox, table(*lines, columns=("external_id", "id")), send=recorder, **how)
    assert_never_empty(recorder.bodies())
    assert {call.operation for call in recorder.calls} <= {"post_customers_search"}
    rows = [row for row, line in zip(rows, lines, strict=True) if any(line.values())]  # a blank line is no row
    for row, e in zip(rows, found, strict=True):
        wanted = modelled(slim, row, ids_in(row, ids), how)
        assert compared(e) == wanted, (row, e)
        assert bool(e.why) == (e.do == "conflict")
        assert not (e.set if e.do == "invalid" else e.faults)
        assert bool(e.precondition) == (e.do == "update")


def compared(e: Entry) -> tuple[str, str, Any]:
    what: Any = e.set if e.do != "invalid" else {fault.column.split(".")[0] for fault in e.faults}
    return e.do, e.id if e.do in ("update", "unchanged") else "", what


FEW = settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(people_of, file_of, how)
def test_plans_equal_a_plain_model(
    people: list[dict[str, Any]], rows: list[dict[str, Any]], how: dict[str, str]
) -> None:
    """Random accounts and files: every row's kind, customer and changes are those of a slow model of the rules."""
    check_against_model(people, rows, how)


@pytest.mark.thorough
@settings(FEW, max_examples=5000)
@given(people_of, file_of, how)
def test_plans_equal_a_plain_model_many_times(people: Any, rows: Any, how: Any) -> None:
    """The same, 5,000 times."""
    check_against_model(people, rows, how)
