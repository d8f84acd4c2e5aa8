"""What a shifted, re-sorted or filled-down column does to a plan is asked about; what people do in bulk is not."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import Json, account, shop, table
from sizes import examples
from support import Direct

from connector.push.account.customer import Customer
from connector.push.file.row import Row
from connector.push.file.rows import read_rows
from connector.push.plan.entry import Entry
from connector.push.plan.groups import Group, largest
from connector.push.plan.guards import Guard, Limits
from connector.push.plan.options import Options
from connector.push.plan.patterns import Patterns
from connector.push.plan.plan import planned
from connector.push.plan.planfile import Plan
from connector.push.plan.unusual import unusual
from pipelines.report.plan_summary import plan_summary

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


def guards(text: str, them: list[Json] | None = None, **given: Any) -> list[Guard]:
    """The guards of this kind that the plan of a file trips, in process."""
    return looked_at(text, them, **given)[1]


def looked_at(text: str, them: list[Json] | None = None, **given: Any) -> tuple[Patterns, list[Guard], list[Entry]]:
    """What the plan of a file has in common, the guards that it trips, and its entries, in process."""
    them = them or people()
    sandbox = account(*them)

    async def go() -> tuple[Patterns, list[Guard], list[Entry]]:
        with read_rows(io.BytesIO(text.encode())) as rows:
            rows.check()
            patterns, kept = Patterns.of(rows.columns), []
            async for batch in planned(rows, Options(), Direct(sandbox).send, met=patterns.meet):
                kept += [entry for entry in batch if entry.do != "unchanged"]
            for entry in kept:
                patterns.add(entry)
        return patterns, [*unusual(patterns, len(them), Limits(**given), lambda: kept)], kept

    return asyncio.run(go())


def texts(found: Iterable[Guard]) -> list[str]:
    return [guard.text for guard in found]


def placeless(text: str) -> str:
    """The text of a guard without the lines that it names."""
    whole, sign, lines = text.partition(" From line ")
    assert sign
    assert " to line " in lines
    return whole


def shifted(field: str, rows: list[Json]) -> Callable[[int, Json], str]:
    return lambda n, _: str(rows[n - 1][field])


# --- columns that were shifted or sorted --------------------------------------------------------------------------


def test_a_column_shifted_by_one_row_is_asked_about(tmp_path: Path) -> None:
    """A quarter of the customers take their neighbour's name: fewer than 30 %, and yet no plain yes lets it pass."""
    some = people()[:28]
    with shop(tmp_path, *people()) as it:
        found = it.plan(cells(some, name=shifted("name", some)))
    assert found.plan is not None
    assert [(guard.name, guard.found, guard.limit, guard.text) for guard in found.guards] == [
        ("max_field_share", 0.2545, 0.2, "28 of 110 existing customers would get another name (25%; limit 20%)"),
        ("max_moved", 28, 10, "28 customers would take the name that another customer has today (limit 10):"
                              " was the column shifted or sorted? From line 2 (Company 027) to line 29."),
    ]  # fmt: skip
    header = Plan.read(found.plan.path).header
    assert header.guards == found.guards
    assert "# guard: 28 customers would take the name that another" in found.plan.path.read_text()


def test_a_column_of_keys_in_another_order_moves_every_other_column() -> None:
    """The guard names the field of most customers, and the others with their numbers."""
    some = people()[:24]
    wrong = cells(some, name=shifted("name", some), email=shifted("email", some),
                  metadata__erp=lambda n, _: some[n - 1]["metadata"]["erp"] if n > 4 else "")  # fmt: skip
    (_, moved) = guards(wrong)
    assert moved.text == (
        "24 customers would take the name that another customer has today (limit 10); likewise email (24),"
        " metadata.erp (19): were columns shifted or sorted? From line 2 (Company 023) to line 25."
    )


@pytest.mark.parametrize("what", ["half of it is blank", "its owners keep theirs"])
def test_values_of_customers_that_keep_them_count_too(what: str) -> None:
    """In a shifted column with blanks, or one that was pasted elsewhere, the other customer need not change itself."""
    them = people()
    for row in them:
        row["contact"] = f"+49 {row['external_id']}" if int(row["external_id"][1:]) % 2 else ""
    pasted = them[50:90] + [{"contact": ""}] * 70
    at = shifted("contact", them) if what.startswith("half") else lambda n, _: str(pasted[n]["contact"])
    _, found, changed = looked_at(cells(them, contact=at), them)
    takes = f"{len(changed)} customers would take the contact that another customer has today (limit 10)"
    (text,) = texts(found)
    assert (len(changed) >= 20, placeless(text)) == (True, f"{takes}: was the column shifted or sorted?")


@pytest.mark.parametrize("blanks", [0, 3])
@pytest.mark.parametrize("order", [sorted, lambda values: [values[-1], *values[:-1]]])
def test_a_column_of_values_that_many_have_is_recognized(order: Any, blanks: int) -> None:
    """Cities sorted, or shifted by a row, with blanks or without: the file has each as often as the account."""
    them = people(200)
    for row in them[:: blanks or 1000]:
        row["address_city"] = ""
    ordered = order([row["address_city"] for row in them])
    _, found, changed = looked_at(cells(them, address_city=lambda n, _: ordered[n]), them)
    (text,) = (guard.text for guard in found if guard.name == "max_moved")
    assert placeless(text) == (
        f"{len(changed)} customers would take the address_city that another customer has today (limit 10):"
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
def test_bulk_changes_pass(what: str) -> None:
    """To fill what is empty or has the server's default, to correct a few, to recode: none of it looks like damage."""
    them = people()
    for row in them[:22]:
        row["email"] = "old@x.example"
    _, found, changed = looked_at(cells(them, **BULK[what]), them)
    assert len(changed) >= 10
    assert found == []


def test_recoded_values_are_no_sorted_column() -> None:
    """Tiers change their names in a circle: each is given up and taken, always in the same way."""
    found = guards(cells(people(), metadata__tier=lambda n, row: TIERS[row["metadata"]["tier"]]))
    assert [guard.name for guard in found] == ["max_field_share"]


def test_numbers_that_happen_to_be_another_customers_are_no_shift() -> None:
    """Seats, counted anew each night, are numbers that many customers have: no guard takes them for a moved column."""
    them = people(400)
    for n, row in enumerate(them):
        row["metadata"] = {"seats": str(n * 37 % 97)}
    some = {n: str(n * 53 % 89) for n in range(0, 400, 7)}
    _, found, changed = looked_at(cells(them, metadata__seats=lambda n, row: some.get(n, "")), them)
    assert (len(changed) > 50, found) == (True, [])


def test_small_files_are_not_asked_about() -> None:
    """Of forty customers twenty get another name, and ten exchange theirs: no guard of these trips."""
    them = people(40)
    assert guards(cells(them, name=lambda n, row: f"New {n}" if n < 20 else ""), them) == []
    assert guards(cells(them, name=lambda n, row: f"Company {n ^ 1:03d}" if n < 10 else ""), them) == []


@pytest.mark.parametrize(
    ("name", "passes", "trips", "new"),
    [
        ("max_field_share", 22, 23, lambda n, row: f"New {n}"),
        ("max_moved", 10, 11, lambda n, row: f"Company {n + 50:03d}"),
        ("max_same", 20, 21, lambda n, row: "One"),
    ],
)
def test_each_guard_at_its_limit_and_above_it(name: str, passes: int, trips: int, new: Any) -> None:
    """Of 110 customers: 20 % of one field, ten moved values and twenty of one name pass, and one more does not."""
    for count, wanted in ((passes, []), (trips, [name])):
        text = cells(people(), name=lambda n, row, count=count: new(n, row) if n < count else "")  # type: ignore[misc]
        assert [guard.name for guard in guards(text) if guard.name == name] == wanted
    few = people(40)
    for count in (20, 21):
        text = cells(few, name=lambda n, row, count=count: f"New {n}" if n < count else "")  # type: ignore[misc]
        assert [guard.name for guard in guards(text, few)] == ["max_field_share"] * (count == 21)


# --- one value for many -------------------------------------------------------------------------------------------


def test_one_address_for_many_is_asked_about() -> None:
    """Different e-mails become one: the guard says which, and for how many; a name filled down to new rows likewise."""
    them = people(400)
    text = cells(them, email=lambda n, row: "ops@one.example" if n < 21 else "",
                 name=lambda n, row: f"{row['name']} Ltd" if n > 380 else "")  # fmt: skip
    assert texts(guards(text, them)) == ["21 customers would get the same email, ops@one.example (limit 20)"]
    made = table(*({"external_id": f"new-{n}", "name": "Acme"} for n in range(101)))
    assert texts(guards(made, them)) == ["101 customers would get the same name, Acme (limit 100)"]


@pytest.mark.parametrize(
    ("shared", "rows", "asked"), [(100, 100, False), (101, 202, False), (101, 201, True), (101, 101, True)]
)
def test_an_address_that_new_customers_share(shared: int, rows: int, asked: bool) -> None:
    """A reseller gets the bills of a hundred new customers, or of half of all, and nobody is asked."""
    made = ({"external_id": f"new-{n}", "name": f"N {n}",
             "email": "a@reseller.example" if n < shared else f"n{n}@x.example"} for n in range(rows))  # fmt: skip
    told = "101 customers would get the same email, a@reseller.example (limit 100)"
    assert texts(guards(table(*made))) == [told] * asked


@pytest.mark.parametrize(("setting", "value"), [("max_field_share", 0.3), ("max_moved", 28), ("max_same", 28)])
def test_each_setting_lifts_its_own_guard(setting: str, value: Any) -> None:
    """Each limit that is as large as what was found takes its guard away, and no other."""
    some = people()[:28]
    text = cells(some, name=shifted("name", some), email=lambda n, row: "ops@one.example")
    names = [guard.name for guard in guards(text, **{setting: value})]
    assert names == [name for name in NEW if name != setting]


# --- the way back -------------------------------------------------------------------------------------------------


def test_an_undo_is_not_stopped_by_its_own_mirror(tmp_path: Path) -> None:
    """The way back from a shifted column moves as many names: it puts back what was there, and no guard asks why."""
    some = people()[:28]
    with shop(tmp_path, *people()) as it:
        first = it.plan(cells(some, name=shifted("name", some)))
        undo = it.undo(it.apply(first))
        assert ([guard.name for guard in first.guards], undo.guards) == (["max_field_share", "max_moved"], [])
        assert undo.counts.update == 28
        again = it.undo(it.apply(undo), "again")
        assert (again.counts.update, again.guards) == (28, [])


# --- groups of like changes ---------------------------------------------------------------------------------------


def groups(entries: Iterable[Entry]) -> list[Group]:
    patterns, kept = Patterns(), [*entries]
    for entry in kept:
        patterns.add(entry)
    return largest(patterns, kept)


def update(**pairs: Any) -> Entry:
    return Entry("update", set=pairs)


def test_the_three_largest_groups_are_told(tmp_path: Path) -> None:
    """In the plan's file, in what a job returns: how many customers, the field, before and after, largest first."""
    them = people()
    text = cells(
        them,
        timezone=lambda n, row: "Europe/Berlin" if n < 60 else "",
        name=lambda n, row: f"{row['name']} Ltd" if n < 12 else "",
        metadata__tier=lambda n, row: "platinum" if row["metadata"]["tier"] == "gold" else "",
        contact=lambda n, row: "+49" if n < 5 else "",
    )
    with shop(tmp_path, *them, max_share=1.0) as it:
        found = it.plan(text)
    assert found.plan is not None
    assert [group.text for group in found.groups] == [
        "60 customers: timezone UTC → Europe/Berlin",
        "37 customers: metadata.tier gold → platinum",
        "12 customers: name, different values, such as Company 000 → Company 000 Ltd",
    ]
    assert Plan.read(found.plan.path).header.groups == found.groups
    assert "# changes: 60 customers: timezone UTC → Europe/Berlin\n" in found.plan.path.read_text()
    assert msgspec.structs.asdict(found.groups[0]) == {
        "field": "timezone", "customers": 60, "differ": [], "before": "UTC", "after": "Europe/Berlin"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        ([update(name=("A", "B")), update(name=("C", "D"))], []),
        ([update(name=("A", "B"))] * 2, ["2 customers: name A → B"]),
        ([update(contact=(None, f"{n}")) for n in range(10)],
         ["10 customers: contact nothing → different values, such as 0"]),
        ([update(email=(f"{n}", "x")) for n in range(11)], ["11 customers: email different values → x, such as 0"]),
        ([update(contact=(f"{n}", "")) for n in range(11)], ['11 customers: contact different values → "", such as 0']),
        ([update(metadata=(None, {"k": "v"}))] * 3, ["3 customers: metadata.k nothing → v"]),
        ([update(metadata=({"k": "v", "l": "w"}, {"l": "w"}))] * 3, ["3 customers: metadata.k v → nothing"]),
        ([Entry("create", set={"name": (None, "A")})] * 9 + [Entry("archive")] * 9, []),
        ([update(name=("A", " B"), email=("", "x"))] * 2,
         ['2 customers: name A → " B"', '2 customers: email "" → x']),
    ],
)  # fmt: skip
def test_what_is_alike(entries: list[Entry], wanted: list[str]) -> None:
    """The same before and after; else one of both and more than a few; new and archived customers are no changes."""
    assert [group.text for group in groups(entries)] == wanted


VALUES = st.sampled_from(["", "a", "b", "c", "d", "e", "f", *(f"v{n}" for n in range(30))])
PAIRS = st.tuples(VALUES, VALUES).filter(lambda pair: pair[0] != pair[1])


@given(st.lists(st.tuples(st.sampled_from(["name", "email", "contact"]), PAIRS), max_size=120))
@settings(max_examples=examples(300), deadline=None)
def test_groups_are_those_that_counting_finds(drawn: list[tuple[str, tuple[str, str]]]) -> None:
    """Each group counts exactly the changes of its kind that no more alike group has; none is larger than the third."""
    entries = [update(**{name: pair}) for name, pair in drawn]
    wanted: list[tuple[int, str, Any, Any]] = []
    for name in ("name", "email", "contact"):
        left = [pair for field, pair in drawn if field == name]
        share = len(left) // 10
        for key, least in ((lambda p: p, max(2, share)), (lambda p: (None, p[1]), max(10, share)),
                           (lambda p: (p[0], None), max(10, share)), (lambda p: (None, None), 10)):  # fmt: skip
            counts = Counter(key(pair) for pair in left)
            wanted += [(count, name, *one) for one, count in counts.items() if count >= least]
            left = [pair for pair in left if counts[key(pair)] < least]
    found = [(g.customers, g.field, *(None if side in g.differ else getattr(g, side) for side in ("before", "after")))
             for g in groups(entries)]  # fmt: skip
    assert [one[0] for one in found] == sorted((one[0] for one in wanted), reverse=True)[:3]
    assert set(found) <= set(wanted)


@given(st.lists(PAIRS, min_size=25, max_size=90))
@settings(max_examples=examples(200), deadline=None)
def test_guards_count_what_a_plain_count_finds(drawn: list[tuple[str, str]]) -> None:
    """However values lie: what is overwritten, and what one value would replace, are as many as counting says."""
    patterns, entries = Patterns(), [update(email=pair) for pair in drawn]
    for entry in entries:
        patterns.add(entry)
    limits = Limits(max_field_share=0.0, few_of_field=0, max_moved=10**9, max_same=1)
    found = {guard.name: guard.found for guard in unusual(patterns, len(drawn), limits, lambda: entries)}
    overwritten = sum(before != "" for before, _ in drawn)
    assert found.get("max_field_share", 0) == round(overwritten / len(drawn), 4)
    to: dict[str, Counter[str]] = {}
    for before, after in drawn:
        to.setdefault(after, Counter())[before] += 1
    same = [0]
    for after, befores in to.items():
        full = [count for before, count in befores.items() if before]
        merged = sum(full) - max(full, default=0) + bool(full)
        if after and (merged > 1 or merged + befores[""] > max(5, 0.5 * len(drawn))):
            same.append(merged + befores[""])
    assert found.get("max_same", 0) == max(same)


NAMES = st.lists(st.integers(0, 60), min_size=30, max_size=60)


@given(NAMES, st.data())
@settings(max_examples=examples(200), deadline=None)
def test_moved_values_are_those_that_another_customer_has(held: list[int], data: Any) -> None:
    """Against a plain count: each taken value counts as often as it is held, where most values of the field differ."""
    new = data.draw(st.lists(st.integers(0, 90), min_size=len(held), max_size=len(held)))
    pairs = [(f"v{a}", f"v{b}") for a, b in zip(held, new, strict=True) if a != b]
    patterns = Patterns(["name"])
    patterns.meet([(Row(n, ""), Customer(id=f"{n}", name=f"v{a}")) for n, a in enumerate(held)])
    for pair in pairs:
        patterns.add(update(name=pair))
    limits = Limits(max_field_share=1.0, max_moved=0, max_same=10**9)
    found = {guard.name: guard.found for guard in unusual(patterns, 1000, limits, lambda: ())}
    owners, wanted = Counter(f"v{a}" for a in held), Counter(after for _, after in pairs)
    taken = sum(min(count, owners[after]) for after, count in wanted.items() if owners[after] <= 3)
    if len(owners) >= 0.8 * len(held):
        assert found.get("max_moved", 0) == (taken if taken >= len(pairs) / 2 else 0)


# --- what is kept -------------------------------------------------------------------------------------------------


def test_what_is_kept_does_not_grow_with_the_texts() -> None:
    """Twelve bytes a value that a row meets and changes, however long; no counts of a field with very many values."""
    rows = 20_001
    patterns = Patterns(["name", "timezone"])
    for n in range(rows):
        said: dict[str, Any] = {"name": f"B {n}" * 99, "timezone": "Europe/Berlin"}
        held: dict[str, Any] = {"name": f"A {n}" * 99, "timezone": "UTC"}
        patterns.meet([(Row(n, "", fields=said), Customer(id=f"{n}", **held))])
        patterns.add(update(**{name: (held[name], said[name]) for name in said}))
    kept = [*patterns.updated.values(), *patterns.held.values()]
    assert sum(len(values) * values.itemsize for values in kept) == 2 * rows * 12
    assert {name: len(counts) for name, counts in patterns.said.items()} == {"timezone": 1}


def test_a_file_of_ever_new_metadata_keys_is_not_kept_whole() -> None:
    """Of a thousand keys changes are kept; those of further ones are planned all the same."""
    patterns = Patterns(metadata=True)
    for n in range(1100):
        keys = {f"k{n}": "v"}
        patterns.meet([(Row(n, "", metadata={**keys}), Customer(id=f"{n}", metadata={f"l{n}": "v"}))])
        patterns.add(update(metadata=({}, keys)))
    assert (len(patterns.updated), len(patterns.held), len(patterns.said)) == (1000, 1000, 1000)


def test_what_an_undo_cannot_empty_again_is_said_before(tmp_path: Path) -> None:
    """An e-mail or a country that fills an empty one stays for good; one that replaces another can be put back."""
    stored = [{"external_id": "a", "name": "A"}, {"external_id": "b", "name": "B", "email": "old@x.example"}]
    rows = [{"external_id": key, "email": f"{key}@x.example", "contact": "+49"} for key in "ab"]
    with shop(tmp_path, *stored) as it:
        found = it.plan(table(*rows))
        assert "note      1 value will be filled that the API cannot empty again: 1 email\n" in plan_summary(found)
        assert found.plan is not None
        back = it.undo(it.apply(found))
        assert "cannot empty again" not in plan_summary(back)
