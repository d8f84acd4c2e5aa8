"""The account as a file: whatever it holds, the file plans nothing until it is edited, and then exactly the edit."""

from __future__ import annotations

import asyncio
import csv
import io
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from importing import ABSENT, EDITED, FULL, account, entries, shop, state, table, writes_of
from sizes import examples, sampled
from support import Bent, Direct

from connector.api.fields import FIELDS, TEXTS
from connector.errors import Refused
from connector.push.file.export import COLUMNS, Metadata, explained, exported, template
from connector.push.file.rows import read_rows
from connector.sandbox import Faults, Sandbox
from pipelines.export_customers import export_customers

FORMS: tuple[Any, ...] = get_args(Metadata)
STYLES = ("merge", "replace")
MATCHES = ("external_id", "id")
WAYS = tuple((style, match) for style in STYLES for match in MATCHES)


def export(sandbox: Sandbox, metadata: Any = "auto") -> str:
    """The account's file, in process."""

    async def go() -> str:
        return "".join([record async for record in exported(Direct(sandbox).send, metadata)])

    return asyncio.run(go())


def cells_of(text: str) -> list[list[str]]:
    """The file as another program reads it."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def saved(cells: Iterable[list[str]], quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """The file as another program writes it."""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator="\r\n").writerows(cells)
    return out.getvalue()


def published(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [row for row in state(sandbox).values() if row["status"] == "published"]


def assert_plans_nothing(sandbox: Sandbox, text: str, ways: Any = WAYS) -> None:
    """In every style and match, each customer is met and unchanged."""
    ids = [row["id"] for row in published(sandbox)]
    for style, match in ways:
        found = entries(sandbox, text, metadata=style, match=match)
        changed = [(entry.do, entry.set, entry.faults, entry.why) for entry in found if entry.do != "unchanged"]
        assert changed == [], (style, match)
        assert sorted(entry.id for entry in found) == sorted(ids)


# --- the round trip -----------------------------------------------------------------------------------------------


@pytest.mark.sampled
@pytest.mark.parametrize("form", [form if form == FORMS[0] else sampled(form) for form in FORMS])
def test_five_thousand_customers_plan_nothing(form: str) -> None:
    """The sandbox's seeded account, exported in any form, plans nothing, merged or replaced, by either key."""
    sandbox = Sandbox(customers=5000)
    text = export(sandbox, form)
    assert len(cells_of(text)) == 1 + len(published(sandbox))
    assert_plans_nothing(sandbox, text, WAYS if form == "auto" else WAYS[1:3])
    assert writes_of(sandbox) == 0


def test_the_command_makes_a_file_that_plans_nothing(tmp_path: Path) -> None:
    """Over HTTP: to a file that only its owner can read, or to standard output, the same bytes; planned, no write."""
    with shop(tmp_path, sandbox=Sandbox(customers=300)) as it:
        out = it.path("out.csv")
        count = export_customers(it.settings(), out, print, "auto")
        assert out.read_bytes() == it.export().encode()
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        found = it.plan(out.read_bytes())
    assert found.plan is not None
    assert (found.exit_code, found.counts.unchanged, found.counts.writes, found.guards) == (0, count, 0, [])
    assert list(found.plan.entries()) == []


HOSTILE = [
    "\\N", "\\\\N", "\\\\\\N", "\\n", "N", " lead", "trail ", "\ttab\t", '"', '""', '"quoted"', "a,b", "a;b", "a|b",
    "line\nbreak", "line\r\nbreak", "line\rbreak", "\n", "\r", "=HYPERLINK(\"http://x\")", "+1", "-1", "@x", "'x",
    "\u2028", "\x85", "\x0b", "\x1c", "\ufeff", "é", "e\u0301", "株式会社", "🚢", "null", "{}", '{"a": "b"}', "0", "01",
    "TRUE", "1e5", "2026-11-01", "sep=;", "#x", "\x7f", "\x01",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
)
some = texts.filter(bool)
KEYS = [
    "tier", "with space", " lead", "trail ", "a.b", ".", 'q"uote', "new\nline", "", "=1+1", "id", "name", "metadata",
    "metadata.x", "a,b", "a;b", "a|b", "a\tb", "\ufeffbom", "ключ", "TIER", "flexsync_line", "\r", "old_external_ids",
]  # fmt: skip
metadata_of = st.one_of(
    st.none(), st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), st.one_of(st.just(""), texts), max_size=5)
)
person = st.fixed_dictionaries(
    {"external_id": some, "name": some, "metadata": metadata_of},
    optional={name: texts for name in TEXTS if name not in ("external_id", "name")},
)
people_of = st.lists(person, min_size=1, max_size=5, unique_by=lambda p: p["external_id"])
FEW = settings(max_examples=examples(80), deadline=None, suppress_health_check=list(HealthCheck))
MANY_SEMICOLONS = "x" + "".join(f";metadata.k{n}" for n in range(30))


@pytest.mark.sampled
@FEW
@given(people_of, st.sampled_from(FORMS))
@example([{"external_id": "a", "name": "A", "metadata": {MANY_SEMICOLONS: "v"}}], "auto")
@example([{"external_id": "a", "name": "A", "metadata": {MANY_SEMICOLONS.replace(";", "|"): "v"}}], "columns")
@example([{"external_id": "a", "name": "A", "metadata": {MANY_SEMICOLONS.replace(";", "\t"): "v"}}], "columns")
@example([{"external_id": "a", "name": "A", "metadata": {"": "v", " k ": "v", "k": ""}}], "columns")
@example(
    [
        {"external_id": "a", "name": "A", "metadata": {"k": "", "l": "w"}},
        {"external_id": "b", "name": "B", "metadata": {"k": "v"}},
    ],
    "auto",
)
@example([{"external_id": "\\N", "name": "\\\\N", "contact": "\\N", "metadata": {"\\N": "\\N"}}], "auto")
def test_hostile_values_plan_nothing(people: list[dict[str, Any]], form: str) -> None:
    r"""Quotes, line ends, ``\N``, spaces, formulas, empty values, strange keys: all come back as they were."""
    sandbox = account(*people)
    text = export(sandbox, form)
    assert_plans_nothing(sandbox, text)
    assert_plans_nothing(sandbox, saved(cells_of(text), csv.QUOTE_ALL), WAYS[:1])  # opened and saved elsewhere


@pytest.mark.thorough
@settings(FEW, max_examples=3000)
@given(people_of, st.sampled_from(FORMS))
def test_hostile_values_plan_nothing_many_times(people: Any, form: Any) -> None:
    """The same, 3,000 times."""
    sandbox = account(*people)
    assert_plans_nothing(sandbox, export(sandbox, form))


@FEW
@given(people_of, st.sampled_from(FORMS), st.data())
def test_one_edited_cell_is_the_only_change(people: list[dict[str, Any]], form: str, data: st.DataObject) -> None:
    """A cell that is edited in another program plans that field of that customer, before and after, and no other."""
    sandbox = account(*people)
    header, *body = cells_of(export(sandbox, form))
    columns = [place for place, name in enumerate(header) if name in EDITED or name.startswith("metadata.")]
    place, number = data.draw(st.sampled_from(columns)), data.draw(st.integers(0, len(body) - 1))
    name, match = header[place], data.draw(st.sampled_from(MATCHES))
    body[number][place] = EDITED.get(name, "edited value")
    found = entries(sandbox, saved([header, *body]), match=match, metadata=data.draw(st.sampled_from(STYLES)))
    (changed,) = (entry for entry in found if entry.do != "unchanged")
    held = next(row for row in published(sandbox) if row["id"] == changed.id)
    assert (changed.do, changed.id) == ("update", body[number][0])
    if name in EDITED:
        assert changed.set == {name: (held.get(name, None if name in ABSENT else ""), EDITED[name])}
    else:
        after = {**(held["metadata"] or {}), name.removeprefix("metadata."): "edited value"}
        assert changed.set == {"metadata": (held["metadata"], after)}


def test_one_edited_cell_of_a_real_account(tmp_path: Path) -> None:
    """Export, edit a name, plan, apply over HTTP: one write, and that customer alone differs, in that column alone."""
    with shop(tmp_path, sandbox=Sandbox(customers=400)) as it:
        header, *body = cells_of(it.export())
        before = state(it.sandbox)
        body[123][header.index("name")] = "=Edited()"
        found = it.plan(saved([header, *body]))
        assert (found.counts.update, found.counts.unchanged, found.counts.writes) == (1, len(body) - 1, 1)
        assert it.apply(found).exit_code == 0
        assert writes_of(it.sandbox) == 1
        edited = body[123][0]
        assert state(it.sandbox) == {**before, edited: {**before[edited], "name": "=Edited()"}}


def test_a_file_of_one_account_makes_another_alike(tmp_path: Path) -> None:
    """An export without its ids, applied to an empty account, creates customers with the same fields."""
    people = [
        {
            "external_id": "a",
            "name": "\\N",
            "contact": FULL["contact"],
            "metadata": {"k": "", " s ": '"'},
            "timezone": "Asia/Tokyo",
        },
        {"external_id": " b", "name": "=1+1", "address_city": "x\r\ny", "metadata": None},
    ]
    cells = [record[1:] for record in cells_of(export(account(*people)))]
    with shop(tmp_path) as it:
        found = it.plan(saved(cells), accept=("spaces", "break"))
        assert it.apply(found).exit_code == 0
        skip = ("id", "created_at", "created_by")
        made = [{k: v for k, v in row.items() if k not in skip} for row in state(it.sandbox).values()]
    assert sorted(made, key=str) == sorted(state(account(*people), *skip).values(), key=str)


# --- its form -----------------------------------------------------------------------------------------------------


def header_of(*metadata: Any, form: Any = "auto") -> list[str]:
    sandbox = account(*({"external_id": f"e{n}", "metadata": each} for n, each in enumerate(metadata)))
    return cells_of(export(sandbox, form))[0][len(COLUMNS) :]


def test_columns_of_metadata() -> None:
    """A column for each key in order, a JSON column where one is needed or asked for, JSON alone beyond fifty keys."""
    assert header_of({"b": "1", "a": "2"}, None, {"c": "3"}) == ["metadata.a", "metadata.b", "metadata.c"]
    assert header_of({"b": "1"}, form="json") == ["metadata"]
    assert header_of({"b": ""}, {"b": "1"}) == ["metadata.b", "metadata"]
    assert header_of({" b": "1", "c": "2"}) == ["metadata.c", "metadata"]
    assert (header_of(None), header_of({}), header_of(None, form="columns")) == (["metadata"], ["metadata"], [])
    fifty = {f"k{n:02}": "v" for n in range(50)}
    assert header_of(fifty) == [f"metadata.{key}" for key in fifty]
    assert header_of({**fifty, "more": "v"}) == ["metadata"]
    assert len(header_of({**fifty, "more": "v"}, form="columns")) == 51


def test_formulas_and_odd_texts_stay_as_they_are() -> None:
    """The file is data: nothing is neutralised, trimmed or rewritten; only what looks like a mark is escaped."""
    row = {
        "external_id": "=1+1",
        "name": "@SUM(A1)",
        "contact": "\\N",
        "address_city": " x ",
        "metadata": {"k": "\\\\N"},
    }
    sandbox = account(row)
    header, cells = cells_of(export(sandbox))
    found = dict(zip(header, cells, strict=True))
    assert (found["external_id"], found["name"], found["address_city"]) == ("=1+1", "@SUM(A1)", " x ")
    assert (found["contact"], found["metadata.k"], found["email"]) == ("\\\\N", "\\\\\\N", "")


def test_customers_come_oldest_first_and_archived_ones_do_not() -> None:
    """Rows stand in the order in which the customers were made; who is archived is not in the file."""
    sandbox = Sandbox(customers=1200)
    ids = [record[0] for record in cells_of(export(sandbox))[1:]]
    assert ids == [row["id"] for row in sorted(published(sandbox), key=lambda row: (row["created_at"], row["id"]))]
    assert len(state(sandbox)) > len(ids)


def test_an_empty_account_is_a_header() -> None:
    """Nobody to export leaves the columns alone."""
    assert cells_of(export(account())) == [[*COLUMNS, "metadata"]]


def test_the_template_has_every_column_and_each_is_explained() -> None:
    """The empty file binds as it is, names every field that can be written, and each has a line that tells its rule."""
    with read_rows(io.BytesIO(template(("tier", "Region x")).encode())) as rows:
        assert rows.check().rows == 0
        assert rows.columns.header == [*TEXTS, "metadata.tier", "metadata.Region x"]
    told = "\n".join(explained())
    for name in (*TEXTS, "metadata.KEY", "metadata ", "id "):
        assert f"\n{name}" in told, name
    (email,) = (line for line in explained() if line.startswith("email"))
    assert "at most 255 characters" in email
    assert "cannot be cleared" in email


def test_every_example_in_the_explanation_is_a_good_value() -> None:
    """A file made of the examples alone plans one create without a fault."""
    row = {name: field.example for name, field in FIELDS.items()}
    (found,) = entries(account(), table(row))
    assert (found.do, found.changes) == ("create", row)


# --- while the account changes, and servers that answer strangely -------------------------------------------------


@pytest.mark.sampled
def test_nobody_is_twice_or_missing_while_others_come_and_go() -> None:
    """Creates, archives and updates between the calls: who stays is there once, and nobody at all is there twice."""
    sandbox = Sandbox(customers=3500, ties=1200)
    before = [row["id"] for row in published(sandbox)]
    spared = set(before[::3])
    calls = iter(range(10**6))

    def change() -> None:
        n = next(calls)
        if n > 40:  # a walk that is slower than the account grows never ends
            return
        for k in range(100):
            sandbox.create_customer(external_id=f"late {n} {k}", metadata={f"late{n % 3}": "x"})
        for id in [id for id in sandbox.customer_ids()[n * 50 : n * 50 + 150] if id not in spared]:
            sandbox.archive_customer(id)
        sandbox.update_customer(before[n * 3], name=f"Changed {n}")

    sandbox.between_calls(change)
    text = export(sandbox)
    sandbox.between_calls(None)
    assert next(calls) > 4
    ids = [record[0] for record in cells_of(text)[1:]]
    assert len(ids) == len(set(ids))
    assert spared <= set(ids)
    found = entries(sandbox, text, mode="update")
    assert {entry.do for entry in found if entry.id in spared} <= {"unchanged", "update"}


def test_a_page_that_repeats_rows_gives_each_once() -> None:
    """A server that sends a customer twice does not bring it into the file twice, which could not be planned."""
    sandbox = account({"external_id": "a"}, {"external_id": "b"}, kind=Bent)
    assert isinstance(sandbox, Bent)
    sandbox.bend = lambda route, path, query, body: {**body, "items": [i for i in body["items"] for _ in range(2)]}
    assert [record[1] for record in cells_of(export(sandbox))[1:]] == ["a", "b"]


def test_a_server_that_ignores_filters_is_refused(tmp_path: Path) -> None:
    """A walk that cannot be trusted ends with a sentence, and leaves no file under the name."""
    sandbox = Sandbox(customers=2500, faults=Faults(old=frozenset({"filters_ignored"})))
    with shop(tmp_path, sandbox=sandbox) as it:
        with pytest.raises(Refused, match="the filter said after") as error:
            export_customers(it.settings(), it.path("out.csv"), print, "auto")
        assert "too old" in error.value.remedy
    assert list(tmp_path.iterdir()) == []
