"""What a shifted, re-sorted or filled-down column does to a plan is asked about; what people do in bulk is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from importing import Json, shop, table

from connector.push.plan.guards import Guard
from connector.push.plan.planfile import Plan

NEW = ("max_field_share", "max_moved", "max_same")
CITIES = ("Köln", "Paris", "Lisboa", "Roma", "Wien", "Bern", "Oslo", "Kraków")


def people(count: int = 110) -> list[Json]:
    """Customers with names and e-mails of their own, and a city and a tier that others have too."""
    return [
        {
            "external_id": f"e{n:03d}",
            "name": f"Company {n:03d}",
            "email": f"n{n:03d}@x.example",
            "address_city": CITIES[(n * n + n // 3) % len(CITIES)],
            "timezone": "UTC",
            "metadata": {"tier": ("gold", "silver", "bronze")[n % 3], "erp": f"K{n:04d}"},
        }
        for n in range(count)
    ]


def cells(rows: Iterable[Json], **columns: Callable[[int, Json], str]) -> str:
    """A file of some columns of these customers; each is made by a function of place and customer."""
    rows = list(rows)
    made = [{name.replace("__", "."): make(n, row) for name, make in columns.items()} for n, row in enumerate(rows)]
    return table(*({"external_id": row["external_id"], **own} for row, own in zip(rows, made, strict=True)))


def planned(folder: Path, text: str, them: list[Json] | None = None, **settings: Any) -> Any:
    with shop(folder, *(them or people()), **{"max_share": 1.0, "max_creates": 10**6, **settings}) as it:
        return it.plan(text)


def texts(guards: Iterable[Guard]) -> list[str]:
    return [guard.text for guard in guards if guard.name in NEW]


def shifted(field: str, rows: list[Json]) -> Callable[[int, Json], str]:
    return lambda n, _: str(rows[n - 1][field])


# --- columns that were shifted or sorted --------------------------------------------------------------------------


def test_a_column_shifted_by_one_row_is_asked_about(tmp_path: Path) -> None:
    """A quarter of the customers take their neighbour's name: fewer than 30 %, and yet no plain yes lets it pass."""
    some = people()[:28]
    found = planned(tmp_path, cells(some, name=shifted("name", some)), max_share=0.3)
    assert [(guard.name, guard.found, guard.limit, guard.text) for guard in found.guards] == [
        ("max_field_share", 0.2545, 0.2, "28 of 110 existing customers would get another name (25%; limit 20%)"),
        ("max_moved", 28, 10, "28 customers would take the name that another customer has today (limit 10):"
                              " was the column shifted or sorted?"),
    ]  # fmt: skip
    header = Plan.read(found.plan.path).header
    assert header.guards == found.guards
    assert "# guard: 28 customers would take the name that another" in found.plan.path.read_text()


def test_a_column_of_keys_in_another_order_moves_every_other_column(tmp_path: Path) -> None:
    """The guard names the field of most customers, and the others with their numbers."""
    some = people()[:24]
    wrong = cells(some, name=shifted("name", some), email=shifted("email", some),
                  metadata__erp=lambda n, _: some[n - 1]["metadata"]["erp"] if n > 4 else "")  # fmt: skip
    (_, moved) = planned(tmp_path, wrong).guards
    assert moved.text == (
        "24 customers would take the name that another customer has today (limit 10); likewise email (24),"
        " metadata.erp (19): were columns shifted or sorted?"
    )


def test_a_sorted_column_of_values_that_many_have_is_recognized(tmp_path: Path) -> None:
    """Cities in the order of the alphabet: each is taken as often as it is given up, and from many to many."""
    them = people()
    ordered = sorted(row["address_city"] for row in them)
    found = planned(tmp_path, cells(them, address_city=lambda n, _: ordered[n]))
    (text,) = (guard.text for guard in found.guards if guard.name == "max_moved")
    assert text == (
        f"{found.counts.update} customers would take the address_city that another customer has today (limit 10):"
        " was the column shifted or sorted?"
    )


# --- what people do in bulk ---------------------------------------------------------------------------------------

TIERS = {"gold": "silver", "silver": "bronze", "bronze": "gold"}
BULK: dict[str, dict[str, Callable[[int, Json], str]]] = {
    "a zone for all that have the default": {"timezone": lambda n, row: "Europe/Berlin"},
    "what was empty is filled": {"contact": lambda n, row: f"+49 {n:05d}", "address_state": lambda n, row: "NRW"},
    "a metadata key for all": {"metadata__source": lambda n, row: "crm"},
    "a metadata key of each": {"metadata__seats": lambda n, row: str(n * 7)},
    "a twelfth of the names": {"name": lambda n, row: row["name"] + (" Ltd" if n % 12 == 0 else "")},
    "a company that changes its address": {"email": lambda n, row: "new@x.example" if n < 22 else ""},
    "a few that swap": {"name": lambda n, row: f"Company {n ^ 1:03d}" if n < 10 else ""},
}


@pytest.mark.parametrize("what", BULK)
def test_bulk_changes_pass(tmp_path: Path, what: str) -> None:
    """To fill what is empty or has the server's default, to correct a few, to recode: none of it looks like damage."""
    them = people()
    for row in them[:22]:
        row["email"] = "old@x.example"
    found = planned(tmp_path, cells(them, **BULK[what]), them)
    assert found.counts.update >= 10
    assert found.guards == []


def test_recoded_values_are_no_sorted_column(tmp_path: Path) -> None:
    """Tiers change their names in a circle: each is given up and taken, always in the same way."""
    found = planned(tmp_path, cells(people(), metadata__tier=lambda n, row: TIERS[row["metadata"]["tier"]]))
    assert [guard.name for guard in found.guards] == ["max_field_share"]


def test_numbers_that_happen_to_be_another_customers_are_no_shift(tmp_path: Path) -> None:
    """Seats, counted anew each night, are numbers that many customers have: no guard takes them for a moved column."""
    them = people(400)
    for n, row in enumerate(them):
        row["metadata"] = {"seats": str(n * 37 % 97)}
    some = {n: str(n * 53 % 89) for n in range(0, 400, 7)}
    found = planned(tmp_path, cells(them, metadata__seats=lambda n, row: some.get(n, "")), them)
    assert (found.counts.update > 50, found.guards) == (True, [])


def test_small_files_are_not_asked_about(tmp_path: Path) -> None:
    """Of forty customers twenty get another name, and ten exchange theirs: no guard of these trips."""
    them = people(40)
    new = cells(them, name=lambda n, row: f"New {n}" if n < 20 else "")
    (tmp_path / "a").mkdir()
    assert planned(tmp_path / "a", new, them).guards == []
    swap = cells(them, name=lambda n, row: f"Company {n ^ 1:03d}" if n < 10 else "")
    (tmp_path / "b").mkdir()
    assert planned(tmp_path / "b", swap, them).guards == []


# --- one value for many -------------------------------------------------------------------------------------------


def test_one_address_for_many_is_asked_about(tmp_path: Path) -> None:
    """Different e-mails become one: the guard says which, and for how many; a name filled down to new rows likewise."""
    them = people(400)
    text = cells(them, email=lambda n, row: "ops@one.example" if n < 21 else "",
                 name=lambda n, row: f"{row['name']} Ltd" if n > 380 else "")  # fmt: skip
    assert texts(planned(tmp_path, text, them).guards) == [
        "21 customers would get the same email, ops@one.example (limit 20)"
    ]
    made = table(*({"external_id": f"new-{n}", "name": "Acme"} for n in range(21)))
    assert texts(planned(tmp_path, made, them).guards) == ["21 customers would get the same name, Acme (limit 20)"]


def test_an_address_that_a_tenth_of_new_customers_share_passes(tmp_path: Path) -> None:
    """A reseller gets the bills of 25 of 300 new customers, and nobody is asked; of 30 of 300 somebody is."""
    for shared, wanted in ((25, []), (30, ["30 customers would get the same email, a@reseller.example (limit 20)"])):
        rows = ({"external_id": f"new-{n}", "name": f"N {n}",
                 "email": "a@reseller.example" if n < shared else f"n{n}@x.example"} for n in range(300))  # fmt: skip
        assert texts(planned(tmp_path, table(*rows)).guards) == wanted


@pytest.mark.parametrize(("setting", "value"), [("max_field_share", 0.3), ("max_moved", 28), ("max_same", 28)])
def test_each_setting_lifts_its_own_guard(tmp_path: Path, setting: str, value: float) -> None:
    """Each limit that is as large as what was found takes its guard away, and no other."""
    some = people()[:28]
    text = cells(some, name=shifted("name", some), email=lambda n, row: "ops@one.example")
    names = [guard.name for guard in planned(tmp_path, text, **{setting: value}).guards]
    assert names == [name for name in NEW if name != setting]


# --- the way back -------------------------------------------------------------------------------------------------


def test_an_undo_is_not_stopped_by_its_own_mirror(tmp_path: Path) -> None:
    """The way back from a shifted column moves as many names: it puts back what was there, and no guard asks why."""
    some = people()[:28]
    with shop(tmp_path, *people(), max_share=0.3) as it:
        first = it.plan(cells(some, name=shifted("name", some)))
        undo = it.undo(it.apply(first))
        assert ([guard.name for guard in first.guards], undo.guards) == (["max_field_share", "max_moved"], [])
        assert undo.counts.update == 28
        again = it.undo(it.apply(undo), "again")
        assert (again.counts.update, again.guards) == (28, [])
