"""Headers, cells and faults: what a file says of each customer, and everything that is wrong with it, at its place."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import planted
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import Shop, account, shop, table, writes_of
from planted import HEADERS, MAPPING
from sizes import examples

from connector.errors import FixInput
from connector.push.file import duplicates
from connector.push.file.cells import CLEAR, escaped
from connector.push.file.record import quoted
from connector.push.file.row import Checked, Row
from connector.push.file.rows import Rows, read_rows
from connector.push.file.rules import Fault
from connector.push.plan.planfile import Plan
from pipelines import import_customers as job
from pipelines.import_customers import Planned
from pipelines.progress import Progress


@contextmanager
def opened(source: Any, **given: Any) -> Iterator[Rows]:
    """Text, bytes, a path or a table."""
    source = source.encode() if isinstance(source, str) else source
    with read_rows(io.BytesIO(source) if isinstance(source, bytes) else source, **given) as rows:
        yield rows


def rows_of(source: Any, **given: Any) -> list[Row]:
    with opened(source, **given) as rows:
        rows.check()
        return list(rows)


def row_of(source: Any, **given: Any) -> Row:
    (row,) = rows_of(source, **given)
    return row


def checked(source: Any, **given: Any) -> Checked:
    with opened(source, **given) as rows:
        return rows.check()


def faults_of(source: Any, **given: Any) -> list[Fault]:
    return [fault for row in rows_of(source, **given) for fault in row.faults]


def places(source: Any, **given: Any) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.column, fault.rule) for fault in faults_of(source, **given)]


def refused(source: Any, **given: Any) -> str:
    with pytest.raises(FixInput) as caught:
        rows_of(source, **given)
    assert caught.value.remedy
    return str(caught.value)


def said(row: Row) -> tuple[Any, ...]:
    """What a row says of its customer, wherever it stands."""
    return row.external_id, row.id, row.fields, row.metadata


# --- headers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "external_id", "External ID", "EXTERNAL-ID", " external_id ", "\ufeffexternal_id", "External  Id\u00a0",
        '"external_id\n"',
    ],
)  # fmt: skip
def test_headers_as_people_write_them(header: str) -> None:
    """A header is known in any case, with spaces or hyphens for the underscore, and whatever unseen is around it."""
    assert row_of(f"{header},name\nk,N\n").external_id == "k"


def test_mapping_constants_and_left_out_columns() -> None:
    """Columns are what the mapping says, one mapped to nothing is not read, and constants go to every row."""
    text = "Kundennr ,Firma,Notiz,Stufe\nk1,A,x,gold\nk2,B,\0,\n"
    mapping = {"Kundennr": "external_id", " Firma": "name", "Notiz": "", "Stufe": "metadata.tier"}
    constants = {"timezone": "Europe/Berlin", "metadata.source": "crm"}
    found = rows_of(text, mapping=mapping, constants=constants)
    assert [said(row) for row in found] == [
        ("k1", "", {"name": "A", "timezone": "Europe/Berlin"}, {"source": "crm", "tier": "gold"}),
        ("k2", "", {"name": "B", "timezone": "Europe/Berlin"}, {"source": "crm"}),
    ]
    assert not any(row.faults for row in found)


def test_a_cell_wins_over_a_constant() -> None:
    """A key that a row's own JSON gives is not overwritten by the constant."""
    found = rows_of('external_id,metadata\nk,"{""tier"": ""gold""}"\nl,\n', constants={"metadata.tier": "basic"})
    assert [row.metadata for row in found] == [{"tier": "gold"}, {"tier": "basic"}]


def test_everything_wrong_with_a_header_is_told_at_once() -> None:
    """Unknown, doubled, nameless and wrongly mapped columns, missing ones and bad constants come in one message."""
    text = "\n\nnme,email,E-Mail,,Email,Firma,Notizen,metadata.\n"
    error = refused(text, mapping={"Firma": "nmae", "Ort": "address_city"}, constants={"contact": "1" * 21, "id": "x"})
    told = error.splitlines()
    assert all(line.startswith("standard input line 3: ") for line in told)
    expected = [
        ('column 1, "nme"', "Did you mean name?"),
        ('column 3, "E-Mail"', "email is column 2 already"),
        ('column 4, ""', "it has no name"),
        ('column 5, "Email"', "email is column 2 already"),
        ('column 6, "Firma"', 'mapped to "nmae", which is no field. Did you mean name'),
        ('column 7, "Notizen"', 'unknown. Map it: "Notizen" = "metadata.Notizen", or = ""'),
        ('column 8, "metadata."', "unknown"),
        ("mapping", 'there is no column "Ort"'),
        ("constant contact", "21 characters"),
        ("constant id", "not a field that every row can be given"),
        ("there is no column external_id", "identifies the customer of a row"),
    ]
    assert len(told) == len(expected)
    for line, (place, text) in zip(told, expected, strict=True):
        assert place in line
        assert text in line


@pytest.mark.parametrize(
    "header", ["external_id,External ID", "external_id,name,Name", "external_id,metadata.a,metadata.a"]
)
def test_a_field_in_two_columns(header: str) -> None:
    """Two columns of one field are refused, whatever they are called: which one counts cannot be known."""
    last = header.count(",") + 1
    assert f"column {last}," in refused(f"{header}\n1,2,3\n")
    assert f"is column {last - 1} already" in refused(f"{header}\n1,2,3\n")


def test_metadata_keys_keep_their_case() -> None:
    """``metadata.Tier`` and ``metadata.tier`` are two keys, as for the server; ``Metadata.tier`` is none."""
    assert row_of("external_id,metadata.Tier,metadata.tier\nk,a,b\n").metadata == {"Tier": "a", "tier": "b"}
    assert '"Metadata.tier"' in refused("external_id,Metadata.tier\nk,a\n")


@pytest.mark.parametrize("header", [b"na\0me", b"na\xffme\xc3\xa9\xc3\xa9", b"\x1b[31mname"])
def test_headers_that_hold_what_is_no_text(header: bytes) -> None:
    """A header with NUL or a damaged byte is refused in a message that can be printed."""
    error = refused(b"external_id," + header + b"\n1,2\n")
    assert 'column 2, "' in error
    error.encode()


def test_a_header_that_is_not_there() -> None:
    """A file without a single value has no header, nor has one that begins with a broken line."""
    for text in ("\n\n\n", ",,\n,,\n", '"external_id"x,name\n1,2\n', '"external_id,name\n'):
        assert "has no header" in refused(text, delimiter=",")


def test_a_wide_file_is_refused_at_once() -> None:
    """Fifty thousand unknown columns are refused within seconds, a hundred of them by name."""
    began = time.process_time()
    told = refused("external_id," + ",".join(f"unknown column {n}" for n in range(50_000)) + "\n").splitlines()
    assert time.process_time() - began < 10
    assert len(told) == 101
    assert "and 49900 more like these." in told[-1]


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ({"name": ""}, "cannot empty name"), ({"email": "x"}, "plain address"), ({"name": "a\0b"}, "server refuses"),
        ({"metadata.a\0": "b"}, "server refuses"), ({"name": "\ud800"}, "server refuses"),
        ({"nmae": "x"}, "not a field"),
        ({"metadata": "{}"}, "not a field"), ({"metadata.": "x"}, "not a field"), ({"external_id": "x"}, "not a field"),
        ({"contact": "1"}, "has that column itself"), ({"metadata.pan": "x"}, "PAN has 10 characters"),
        ({"metadata.gstin": planted.GSTIN, "metadata.pan": "ZZZZZ9999Z"}, "characters 3 to 12"),
        ({"address_city": "é" * 51}, "102 bytes"), ({"timezone": "x" * 10_000}, "Not an IANA zone"),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_constants_that_the_server_would_refuse(constants: dict[str, str], told: str) -> None:
    """A constant is checked like a cell, once and before the first row."""
    error = refused("external_id,contact\nk,1\n", constants=constants)
    assert told in error
    assert error.count("\n") == 0
    assert len(error) < 500


@pytest.mark.parametrize("constants", [{"contact": ""}, {"name": "\\N"}, {"metadata.a": ""}, {"metadata.gstin": " "}])
def test_constants_that_pass(constants: dict[str, str]) -> None:
    """An empty constant clears what can be cleared; nothing in a constant is an escape."""
    row = row_of("external_id\nk\n", constants=constants)
    ((name, text),) = constants.items()
    assert row.fields.get(name, (row.metadata or {}).get(name.removeprefix("metadata."))) == text


# --- cells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("\\N", CLEAR), ("\\\\N", "\\N"), ("\\\\\\N", "\\\\N"), ("\\n", "\\n"), ("\\Nx", "\\Nx"), ("N", "N"),
        ("\\", "\\"),
        ("C:\\N", "C:\\N"), (" \\N", " \\N"), ("\\\\", "\\\\"), (" ", " "), ("  x ", "  x "), ("=1+1", "=1+1"),
        ("NULL", "NULL"),
        ("0", "0"), ("\u00a0", "\u00a0"), ("'", "'"),
    ],
)  # fmt: skip
def test_cells_mean_what_they_say(cell: str, value: str | None) -> None:
    r"""Only ``\N`` clears, one more backslash makes it text, and nothing else is trimmed or rewritten."""
    row = row_of(f"external_id,address_city,metadata.k\nk,{cell},{cell}\n")
    assert row.fields == {"address_city": value}
    assert row.metadata == {"k": value}
    assert not row.faults


@given(text=st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
@settings(max_examples=examples(200), deadline=None, derandomize=True)
def test_any_text_can_be_written(text: str) -> None:
    """Whatever a customer holds can be written as a cell that means just that, in a field, a key and metadata."""
    cell = escaped(text)
    row = row_of(quoted(["external_id", "name", "metadata.k"]) + quoted([cell, cell, cell]))
    assert (row.external_id, row.fields, row.metadata) == (text, {"name": text}, {"k": text})
    assert not row.faults


def test_blank_cells_leave_alone() -> None:
    """A blank cell is no value at all, a row of blank metadata says nothing of it, and a blank line is no row."""
    text = "external_id,id,name,contact,metadata.a,metadata\nk,,,1,,\n,,,,,\n\nl,,,,x,\n"
    assert [said(row) for row in rows_of(text)] == [("k", "", {"contact": "1"}, None), ("l", "", {}, {"a": "x"})]
    found = checked(text)
    assert (found.rows, found.blank, found.invalid, found.usable) == (2, 2, 0, 2)


@pytest.mark.parametrize(
    ("cell", "metadata"),
    [
        ('{"a": "b"}', {"a": "b"}), ("{}", {}), (' {"a" : "b"}\n', {"a": "b"}), ('{"a": null}', {"a": CLEAR}),
        ('{"a": "", "": "b"}', {"a": "", "": "b"}), ('{"a": "\\\\N"}', {"a": "\\N"}),
        ('{"a": "1", "a": "2"}', {"a": "2"}),
        ('{"\\u00e9": "\\ud83d\\ude00"}', {"é": "😀"}),
    ],
)  # fmt: skip
def test_metadata_as_json(cell: str, metadata: dict[str, str | None]) -> None:
    """A ``metadata`` cell is a JSON object of texts, as JSON has it: null removes a key, nothing is an escape."""
    row = row_of(table({"external_id": "k", "metadata": cell}))
    assert row.metadata == metadata
    assert not row.faults


def test_metadata_columns_win_over_json() -> None:
    """Where a key stands in a column of its own and in the JSON, the column is taken, and a blank one is not."""
    cells = {
        "external_id": "k",
        "metadata": '{"a": "json", "b": "json", "c": "json"}',
        "metadata.a": "x",
        "metadata.b": "",
    }
    assert row_of(table({**cells, "metadata.c": "\\N"})).metadata == {"a": "x", "b": "json", "c": CLEAR}


# --- faults -------------------------------------------------------------------------------------------------------

LONG = "x" * 300
CASES = [
    ("External ID", "\\N", "cannot_be_cleared_key", "leave the cell blank"),
    ("External ID", "x" * 256, "too_long_key", "256 characters; at most 255"),
    ("id", "\\N", "cannot_be_cleared_key", "cannot empty id"),
    ("Name", "\\N", "cannot_be_cleared", "cannot empty name"),
    ("Name", LONG, "too_long", "300 characters; at most 255"),
    ("Name", "a\0b", "nul", "remove them"),
    ("email", "a@b", "email", "billing@acme.example"),
    ("email", "\\N", "cannot_be_cleared", "cannot empty email"),
    ("email", "\\\\N", "email", "plain address"),
    ("email", "a\0@b.co", "nul", "NUL"),
    ("contact", "1" * 21, "too_long", "21 characters; at most 20"),
    ("address_line1", "é" * 128, "too_many_bytes", "256 bytes in UTF-8; at most 255"),
    ("address_city", "\n" * 101, "too_long", "101 characters"),
    ("address_postal_code", "1" * 21, "too_long", "at most 20"),
    ("address_country", "uk", "country", "Write GB."),
    ("address_country", "\\N", "cannot_be_cleared", "cannot empty address_country"),
    ("timezone", "Berlin", "timezone", "Europe/Berlin?"),
    ("timezone", "\\N", "cannot_be_cleared", "cannot empty timezone"),
    ("metadata.gstin", "29", "tax_key", "15 characters"),
    ("metadata", '{"pan": "x"}', "tax_key", "10 characters"),
    ("metadata", "{'a': 'b'}", "metadata_json", "Write a JSON object of texts"),
    ("metadata", '{"a": 1}', "metadata_json", "Expected `str | null`, got `int`"),
    ("metadata", '{"a": ["b"]}', "metadata_json", "got `array`"),
    ("metadata", '"a"', "metadata_json", "Expected `object`"),
    ("metadata", "{" * 100_000, "metadata_json", "malformed"),
    ("metadata", '{"a": "\\ud800"}', "metadata_json", "JSON object"),
    ("metadata", '{"a": "\\u0000"}', "nul", "NUL"),
    ("metadata", '{"a\\u0000": null}', "nul", "NUL"),
    ("metadata", '{"a": "\0"}', "nul", "NUL"),
    ("metadata.k", "\0", "nul", "NUL"),
]


@pytest.mark.parametrize(("column", "cell", "rule", "remedy"), CASES, ids=lambda value: ascii(value)[:30])
def test_a_fault_says_where_what_why_and_the_way_out(column: str, cell: str, rule: str, remedy: str) -> None:
    """A fault is one, and has its line, the file's own column, the value, the rule, and a remedy."""
    good = {"Name": "two\nlines"} if column == "External ID" else {"External ID": "good", "Name": "two\nlines"}
    bad = {"External ID": "bad", column: cell}
    fine = {"External ID": "fine"}
    (fault,) = faults_of(table(fine, good, bad, columns=["External ID"]) if "External ID" in good else table(fine, bad))
    assert fault.line == (5 if "External ID" in good else 3) - ("Name" not in good and 1)
    assert (fault.column, fault.rule) == (column, rule)
    assert remedy in fault.remedy
    value = "x" if cell == '{"pan": "x"}' else cell  # of JSON the very text that is wrong
    assert fault.value == (value if len(value) <= 120 else value[:119] + "…")


def test_all_faults_of_a_row_are_told() -> None:
    """A row with a fault in each of its cells has them all, in one reading."""
    cells = {
        "external_id": "",
        "name": "\0",
        "email": "x",
        "address_country": "x",
        "timezone": "x",
        "metadata.pan": "x",
    }
    assert places(table(cells)) == [
        (2, "name", "nul"), (2, "external_id", "required"), (2, "email", "email"), (2, "address_country", "country"),
        (2, "timezone", "timezone"), (2, "metadata.pan", "tax_key"),
    ]  # fmt: skip


@pytest.mark.parametrize("match", ["external_id", "id"])
def test_who_a_row_is_about(match: str) -> None:
    """A row must have the external_id it is matched by; matched by id, both may be blank, for then one is made."""
    text = "external_id,id,name\n,cust_1,A\nk,,B\n"
    assert places(text, match=match) == ([(2, "external_id", "required")] if match == "external_id" else [])


def test_ragged_lines() -> None:
    """Too few cells and one too many are faults of the whole line; blank cells too many are not."""
    text = "external_id,name,contact\na,A\nb,B,1\nc,C,1,2\nd,D,1,,\n"
    found = faults_of(text)
    assert [(f.line, f.column, f.rule) for f in found] == [(2, "", "ragged"), (4, "", "ragged")]
    assert "2 cells under 3 headers" in found[0].remedy
    assert found[0].value == "a,A\n"
    assert [row.external_id for row in rows_of(text) if not row.faults] == ["b", "d"]


def test_broken_quotes() -> None:
    """A line with text after a closing quote is a fault and those after it are read; an open quote ends the reading."""
    text = 'external_id,name\na,"A"B\nb,B\nc,"two\n"lines""\nd,D\ne,"open\nf,F\n'
    found = faults_of(text)
    assert [(f.line, f.column, f.rule) for f in found] == [
        (2, "", "quotes"),
        (4, "", "quotes"),
        (7, "", "unclosed_quote"),
    ]
    assert 'twice, ""' in found[0].remedy
    assert "nothing after it could be read" in found[2].remedy
    assert [row.external_id for row in rows_of(text) if not row.faults] == ["b", "d"]


def test_lines_of_a_broken_row_are_no_rows() -> None:
    """What stands on the other lines of a quoted cell is never taken for a row of its own, though it looks like one."""
    text = 'external_id,name,contact\na,"A"B,"1\nevil,Evil,1\n"\nb,B,1\n'
    found = rows_of(text)
    assert [(row.line, row.external_id, [f.rule for f in row.faults]) for row in found] == [
        (2, "", ["quotes"]),
        (5, "b", []),
    ]
    assert found[0].raw == 'a,"A"B,"1\nevil,Evil,1\n"\n'


def test_a_broken_row_whose_end_is_not_near() -> None:
    """Where the quoted cell of a broken row does not end within a hundred lines, those lines are read as rows."""
    text = 'external_id,name,contact\na,"A"B,"1\n' + "".join(f"k{n},N,1\n" for n in range(150))
    found = rows_of(text)
    assert [row.line for row in found if row.faults] == [2]
    assert [row.external_id for row in found if not row.faults] == [f"k{n}" for n in range(150)]
    assert [row.line for row in found] == list(range(2, 153))


def test_damaged_bytes() -> None:
    """A byte that cannot be read is the fault of its cell, in a column that is left out too, and nothing else is."""
    good = "".join(f"k{n},Müller,x,y\n" for n in range(9)).encode()
    text = (
        b"external_id,name,email,notes\n" + good + b"a,M\xfcller,a@b.co,\nb,B,b\xfc@b.co,\nc,C,c@b.co,\xff\nd\xfc,D,,\n"
    )
    text = text.replace(b",x,", b",,")
    found = faults_of(text, mapping={"notes": ""})
    assert [(f.line, f.column, f.rule) for f in found] == [
        (11, "name", "encoding"), (12, "email", "encoding"), (13, "notes", "encoding"), (14, "external_id", "encoding"),
    ]  # fmt: skip
    assert found[0].value == "M\ufffdller"
    assert "not utf-8" in found[0].remedy


def test_nul_in_a_column_that_is_left_out() -> None:
    """NUL in a column that is not sent is no fault."""
    assert faults_of("external_id,notes\nk,\0\n", mapping={"notes": ""}) == []


def test_lone_surrogates_of_utf_16() -> None:
    """Half a character in a UTF-16 file is the fault of its cell: it could not be sent."""
    data = "\ufeffexternal_id,name\nk,a\ud800\nl,😀\n".encode("utf-16-le", "surrogatepass")
    assert places(data) == [(2, "name", "encoding")]
    assert rows_of(data)[1].fields == {"name": "😀"}


# --- duplicates ---------------------------------------------------------------------------------------------------


def test_duplicates_over_the_whole_file() -> None:
    """Every row of a key that stands twice is at fault, each names the lines of the others, and no other key is."""
    rows = [f"k{n},\n" for n in range(3000)]
    rows[0], rows[1500], rows[2999] = "twice,c1\n", 'twice,"c2\n"\n', "twice,c1\n"
    found = faults_of("external_id,id\n" + "".join(rows))
    assert [(f.line, f.column, f.rule) for f in found] == [
        (2, "external_id", "duplicate_key"), (2, "id", "duplicate_key"), (1502, "external_id", "duplicate_key"),
        (3002, "external_id", "duplicate_key"), (3002, "id", "duplicate_key"),
    ]  # fmt: skip
    assert [f.remedy.partition(" too")[0] for f in found] == [
        "It stands on line 1502, 3002", "It stands on line 3002", "It stands on line 2, 3002",
        "It stands on line 2, 1502", "It stands on line 2",
    ]  # fmt: skip
    assert checked("external_id,id\n" + "".join(rows)).faults == {"duplicate_key": 5}


def test_duplicates_are_compared_as_they_are_meant() -> None:
    r"""``\\N`` in a key is the text ``\N``: no duplicate of another; spaces and case make another key."""
    assert faults_of("external_id\n\\\\N\n\\\\\\N\nN\nn\n n\n") == []
    assert len(faults_of('external_id\n"a"\na\n')) == 2


def test_duplicates_do_not_hang_on_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that takes most keys for each other, the very same duplicates and warnings are found."""
    text = "external_id,id\n" + "".join(f"k{n % 70},c{n % 90}\n" if n % 3 else f"K{n},\n" for n in range(100))
    before = places(text), checked(text).warnings
    assert {rule for _, _, rule in before[0]} == {"duplicate_key"}
    assert before[1]
    monkeypatch.setattr(duplicates, "hash", lambda text: len(text) % 2, raising=False)
    assert (places(text), checked(text).warnings) == before


@given(keys=st.lists(st.sampled_from(["a", "A", "b", " a", "ß", "SS", "ss", "c"]), max_size=12))
@settings(max_examples=examples(200), deadline=None, derandomize=True)
def test_duplicates_and_near_ones(keys: list[str]) -> None:
    """The duplicates are the keys that stand more than once, the near ones those that differ by case or spaces only."""
    text = "external_id,name\n" + "".join(f"{key},N\n" for key in keys)
    count = Counter(keys)
    assert [line for line, _, rule in places(text) if rule == "duplicate_key"] == [
        line for line, key in enumerate(keys, 2) if count[key] > 1
    ]
    folded: dict[str, dict[str, int]] = {}
    for line, key in enumerate(keys, 2):
        folded.setdefault(key.strip().casefold(), {}).setdefault(key, line)
    warnings = checked(text).warnings
    near = [found for found in folded.values() if len(found) > 1]
    assert len(warnings) == len(near)
    for warning, found in zip(warnings, near, strict=True):
        assert all(f"{key!r} (line {line})" in warning for key, line in list(found.items())[:3])
        assert ("1 more" in warning) == (len(found) > 3)


def test_near_duplicates_are_warned_of_and_planned() -> None:
    """Keys that differ by case or spaces are allowed, and told with both lines."""
    text = "external_id\nAcme\nother\nacme \n"
    assert faults_of(text) == []
    (warning,) = checked(text).warnings
    assert "'Acme' (line 2) and 'acme ' (line 4) differ only by case or spaces" in warning


def test_a_key_that_stands_everywhere() -> None:
    """A column of one and the same key is told within seconds, and each fault names three others and how many more."""
    began = time.process_time()
    found = faults_of("external_id\n" + "k\n" * 20_000)
    assert time.process_time() - began < 20
    assert len(found) == 20_000
    assert found[1].remedy == "It stands on line 2, 4, 5 and 19996 more too: keep one of them."
    assert max(len(fault.remedy) for fault in found) < 100


def test_many_warnings_are_counted() -> None:
    """Of thousands of near duplicates a hundred are told, and how many more there are."""
    warnings = checked("external_id\n" + "".join(f"k{n}\nK{n}\n" for n in range(2000))).warnings
    assert len(warnings) == 101
    assert warnings[-1] == "and 1900 more like these."


def test_what_check_counts() -> None:
    """Rows, faults by rule and their first five examples are counted over the whole file, and again the same."""
    text = "external_id,email\n" + "".join(f"k{n},{'x' if n % 2 else 'a@b.co'}\n" for n in range(20)) + "k1,\n"
    with opened(text) as rows:
        first, second = rows.check(), rows.check()
    assert first == second
    assert (first.rows, first.invalid, first.usable) == (21, 11, 10)
    assert first.faults == {"email": 10, "duplicate_key": 2}
    assert [fault.line for fault in first.examples["email"]] == [3, 5, 7, 9, 11]


# --- tables -------------------------------------------------------------------------------------------------------

CELLS = st.text(st.sampled_from('ab1é😀 ,"\n\\N@.'), max_size=6)
COLUMNS = ["external_id", "name", "email", "address_country", "metadata.tier", "metadata"]


def as_csv(rows: list[list[str]]) -> str:
    return quoted(COLUMNS) + "".join(map(quoted, rows))


def same(left: list[Row], right: list[Row]) -> None:
    """The rows say the same and have the same faults, wherever they stand."""
    assert [said(row) for row in left] == [said(row) for row in right]
    assert [[(f.column, f.value, f.rule) for f in row.faults] for row in left] == [
        [(f.column, f.value, f.rule) for f in row.faults] for row in right
    ]


@given(rows=st.lists(st.lists(CELLS, min_size=6, max_size=6), max_size=8))
@settings(max_examples=examples(100), deadline=None, derandomize=True)
def test_tables_give_the_rows_of_the_file(rows: list[list[str]]) -> None:
    """A DataFrame and an Arrow table of a file's cells give its rows and its faults."""
    expected = rows_of(as_csv(rows))
    frame = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    arrow = pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(COLUMNS)})
    same(rows_of(frame), expected)
    same(rows_of(arrow), expected)
    assert [row.line for row in rows_of(arrow)] == [n for n, row in enumerate(rows, 1) if any(row)]


@pytest.mark.sampled
def test_a_file_that_pandas_read(tmp_path: Path) -> None:
    """A planted file read by pandas as text has the rows and faults of the file itself, but for broken lines."""
    made = planted.write(tmp_path / "c.csv", 3000, 600, seed=3)
    with opened(made.path, mapping=MAPPING) as rows:
        rows.check()
        whole = [row for row in rows if not any(f.rule in ("ragged", "quotes", "unclosed_quote") for f in row.faults)]
    kept = [row for row in whole if not any(fault.rule == "encoding" for fault in row.faults)]
    text = quoted(list(HEADERS.values()))
    with opened(made.path, mapping=MAPPING) as rows:
        text = quoted(rows.columns.header) + "".join(row.raw for row in kept)
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, lineterminator="\n")
    same(rows_of(frame, mapping=MAPPING), rows_of(text, mapping=MAPPING))


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT], ids=str)
@pytest.mark.parametrize("dtype", ["str", "string", "object", "category"])
def test_missing_values_are_blank(missing: Any, dtype: str) -> None:
    """Whatever pandas calls missing is a blank cell, in each kind of text column."""
    values = pd.Series(["1", missing], dtype="object").astype(dtype)
    frame = pd.DataFrame({"external_id": ["a", "b"], "contact": values})
    assert [row.fields for row in rows_of(frame)] == [{"contact": "1"}, {}]


def test_whole_numbers_are_text() -> None:
    """Columns of whole numbers are read as they print: an external_id is often one; empty text is blank."""
    frame = pd.DataFrame({"external_id": [1, 2**62], "contact": ["", "x"], "metadata.n": pd.array([5, None], "Int64")})
    assert [said(row) for row in rows_of(frame)] == [
        ("1", "", {}, {"n": "5"}),
        (str(2**62), "", {"contact": "x"}, None),
    ]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1.0, 2.0], "1.0 is float"), ([None, 1], "1.0 is float"), ([True, False], "True is bool"),
        (pd.to_datetime(["2026-01-01", None]), "is datetime"), ([b"a", None], "b'a' is bytes"),
        ([["a", "b"], None], "is list"), ([[1, 2], None], "is list"), ([{"a": 1.5}, None], "is dict"),
        (pd.to_timedelta(["1s", None]), "is timedelta"), ([1 + 2j, 3j], "cannot be read"),
        ([object()] * 2, "cannot be read"),
        ([1, "a"], "cannot be read"), (["a", 1.5], "cannot be read"), ([True, "x"], "cannot be read"),
        ([[("a", 1)], None], "cannot be read"),
    ],
)  # fmt: skip
def test_columns_that_are_no_text(values: Any, what: str) -> None:
    """Numbers with a point, truth values, times and mixed columns are refused with the way out, not rewritten."""
    frame = pd.DataFrame({"external_id": ["k", "l"], "contact": values})
    with pytest.raises(FixInput) as caught:
        rows_of(frame)
    assert what in str(caught.value)
    assert "dtype=str" in caught.value.remedy


def test_a_cell_that_is_no_text_is_named() -> None:
    """The message names row, column and value."""
    assert 'table row 2, column "contact": 1.5 is float' in refused(
        pd.DataFrame({"external_id": ["k", "l"], "contact": [None, 1.5]})
    )


@pytest.mark.parametrize(
    "source", [None, 5, [{"external_id": "k"}], {"external_id": ["k"]}, pd.Series(["k"]), object()]
)
def test_what_is_no_table(source: Any) -> None:
    """Anything else than a table is refused, not crashed on."""
    assert "cannot be read" in refused(source)


def test_metadata_in_a_column_of_maps() -> None:
    """A map's null removes a key; a struct gives every row every key, so there a null says nothing."""
    maps = pa.array([[("a", "1"), ("b", None)], [], None], pa.map_(pa.string(), pa.string()))
    arrow = pa.table({"external_id": ["k", "l", "m"], "metadata": maps})
    assert [row.metadata for row in rows_of(arrow)] == [{"a": "1", "b": CLEAR}, {}, None]
    frame = pd.DataFrame({"external_id": ["k", "l", "m", "n"], "metadata": [{"a": "1"}, {"b": "2"}, None, {"a": None}]})
    assert [row.metadata for row in rows_of(frame)] == [{"a": "1"}, {"b": "2"}, None, None]


def test_headers_of_tables_are_mapped_too() -> None:
    """A table's columns are mapped, doubled ones refused, and its messages count rows."""
    frame = pd.DataFrame([["k", "N"], ["k", "M"]], columns=["Kunde", "Firma"])
    found = faults_of(frame, mapping={"Kunde": "external_id", "Firma": "name"})
    assert [(f.line, f.column) for f in found] == [(1, "Kunde"), (2, "Kunde")]
    assert "row 2" in found[0].remedy
    assert "external_id is column 1 already" in refused(pa.table([["a"], ["b"]], names=["external_id", "External ID"]))
    assert "cannot be read" in refused(pd.DataFrame([["a", "b"]], columns=["external_id", "external_id"]))
    assert 'column 2, "0"' in refused(pd.DataFrame([["a", "b"]], columns=["external_id", 0]))


def test_large_and_empty_tables() -> None:
    """Tables of many chunks are read in order, and one without rows has none."""
    parts = [pa.table({"external_id": [f"{part}-{n}" for n in range(1500)]}) for part in range(4)]
    found = rows_of(pa.concat_tables(parts))
    assert [row.external_id for row in found] == [f"{part}-{n}" for part in range(4) for n in range(1500)]
    assert [row.line for row in found] == list(range(1, 6001))
    assert rows_of(parts[0].slice(0, 0)) == []


# --- planted faults -----------------------------------------------------------------------------------------------


def assert_found(made: planted.Planted, **given: Any) -> None:
    """`check` counts and iteration tells exactly what was planted, and the other rows are the right ones."""
    with read_rows(made.path, mapping=MAPPING, **given) as rows:
        found = rows.check()
        told: Counter[planted.Where] = Counter()
        right: dict[str, int] = {}
        for row in rows:
            told.update((fault.line, fault.column, fault.rule) for fault in row.faults)
            if not row.faults:
                right[row.external_id] = row.line
    assert told - made.faults == Counter()
    assert made.faults - told == Counter()
    assert right == made.right
    assert found.faults == Counter(rule for _, _, rule in made.faults.elements())
    assert (found.rows, found.blank, found.invalid) == (made.rows, made.blank, len(made.lines))
    assert found.usable == len(made.right)
    assert found.warnings == []
    assert max(made.lines) > made.rows + made.blank + 1  # quoted newlines: lines are not rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("seed", "end"), [(1, "\n"), (2, "\r\n"), (3, "\r")])
def test_planted_faults_are_found(tmp_path: Path, seed: int, end: str, delimiter: str) -> None:
    """Of faults of every kind planted in a file all are found, at their line and column, by rule, and no others."""
    made = planted.write(tmp_path / "c.csv", 1200, 250, seed, delimiter=delimiter, end=end)
    assert set(made.kinds) == set(planted.KINDS)
    assert_found(made)


class Moments(Progress):
    """Remembers how many calls the account had answered when the file was read."""

    def __init__(self, served: Shop) -> None:
        self.served = served
        self.calls_when_read = -1
        self.rows_read = 0

    def advance(self, what: str, count: int = 1) -> None:
        if what == "read":
            self.calls_when_read, self.rows_read = self.served.sandbox.calls_total, count


def planned(served: Shop, made: planted.Planted, **given: Any) -> Planned:
    """Plan the file, and see that it was read and judged before the first call."""
    moments = Moments(served)
    settings = served.settings(mapping=MAPPING, accept=("blank",), **given)  # one right name is a blank
    found = job.plan(settings, made.path, served.path("customers.plan"), progress=moments)
    assert (moments.calls_when_read, moments.rows_read) == (0, made.rows)
    return found


def once_planned(made: planted.Planted) -> tuple[Counter[planted.Where], dict[str, int]]:
    """Faults and creates as the plan has to have them: a new customer has nothing that could not be cleared."""
    faults, creates = Counter[planted.Where](), dict(made.right)
    alone = Counter(line for line, _, _ in made.faults.elements())
    for (line, column, rule), count in made.faults.items():
        if rule != "cannot_be_cleared" or alone[line] > 1:
            faults[line, column, rule] += count
        elif column == HEADERS["name"]:  # which it needs
            faults[line, column, "required"] += 1
        else:
            creates[made.keys[line]] = line
    return faults, creates


def assert_nothing_planned_for(made: planted.Planted, found: Planned) -> None:
    """Rows with a fault are invalid with all their faults, all others are created, and nothing was written."""
    faults, right = once_planned(made)
    assert found.exit_code == 1
    assert found.plan is not None
    assert found.checked is not None
    assert found.checked.faults == Counter(rule for _, _, rule in made.faults.elements())
    invalid, creates = Counter[planted.Where](), {}
    for entry in Plan.read(found.plan.path).entries():
        assert entry.do in ("invalid", "create")
        if entry.do == "create":
            creates[entry.external_id] = entry.line
        invalid.update((fault.line, fault.column, fault.rule) for fault in entry.faults)
    assert invalid == faults
    assert creates == right
    assert found.counts.writes == len(right)


def test_nothing_is_planned_for_planted_faults(tmp_path: Path) -> None:
    """Planned against an account, planted faults are known before the first call, and their rows come to nothing."""
    made = planted.write(tmp_path / "c.csv", 4000, 1000, seed=11)
    with shop(tmp_path) as served:
        assert_nothing_planned_for(made, planned(served, made))
        assert writes_of(served.sandbox) == 0


@pytest.mark.thorough
def test_a_thousand_faults_in_fifty_thousand_rows(tmp_path: Path) -> None:
    """The full size: 1,000 faults in 50,000 rows are found, each at its place, and come to nothing."""
    made = planted.write(tmp_path / "c.csv", 50_000, 1000, seed=7)
    began = time.perf_counter()
    assert_found(made)
    print(f"\n50,000 rows, 1,000 faults: found in {time.perf_counter() - began:.1f} s", end="")
    with shop(tmp_path) as served:
        began = time.perf_counter()
        found = planned(served, made)
        print(f", planned in {time.perf_counter() - began:.1f} s, {sum(found.calls.values())} calls")
        assert_nothing_planned_for(made, found)
        assert writes_of(served.sandbox) == 0


# --- rejected.csv -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delimiter", "end"), [(",", "\n"), (";", "\r\n")])
def test_rejected_rows_read_back_the_same(tmp_path: Path, delimiter: str, end: str) -> None:
    """The file of rejected rows, read again as it is, has the very rows and faults that were rejected."""
    made = planted.write(tmp_path / "c.csv", 1500, 300, seed=5, delimiter=delimiter, end=end)
    with shop(tmp_path) as served:
        found = planned(served, made)
    assert found.rejected is not None
    path, count = found.rejected
    lines = {line for line, _, _ in once_planned(made)[0]}
    assert count == len(lines)
    with opened(made.path, mapping=MAPPING) as rows:
        rows.check()
        before = [row for row in rows if row.line in lines]
    after = rows_of(path, mapping=MAPPING)
    assert [said(row) for row in after] == [said(row) for row in before]
    assert [[(f.column, f.rule) for f in row.faults] for row in after] == [
        [(f.column, f.rule) for f in row.faults] for row in before
    ]
    for row, first in zip(after, before, strict=True):
        assert row.raw.startswith(f"{first.line}{delimiter}")
        assert row.raw.endswith(first.raw)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_rejected_rows_keep_the_encoding(tmp_path: Path, encoding: str) -> None:
    """Rejected rows are written in the encoding of the file, and read back from it."""
    names = ["Müller & Söhne", "Société Générale", "Ærøskøbing Færge"]
    text = table(*({"external_id": f"k{n}", "name": name, "email": "x"} for n, name in enumerate(names)))
    with shop(tmp_path) as served:
        found = served.plan(text.encode(encoding))
    assert found.rejected is not None
    assert [row.fields["name"] for row in rows_of(found.rejected[0])] == names
    assert served.sandbox.calls_total == 0


def test_a_mended_file_of_rejected_rows_is_planned(tmp_path: Path) -> None:
    """Rows mended in the file of rejected rows, its reasons still in it, are planned like any others."""
    with shop(tmp_path) as served:
        found = served.plan("external_id,name,email\na,A,a@b.co\nb,B,b@b\n")
        assert found.rejected is not None
        mended = found.rejected[0].read_text().replace("b@b\n", "b@b.co\n")
        again = served.plan(mended, "again")
    assert mended.startswith("flexsync_line,flexsync_reason,external_id")
    assert (again.counts.create, again.counts.invalid) == (1, 0)


def test_faults_that_the_server_holds_are_withdrawn(tmp_path: Path) -> None:
    """A value that breaks a rule is no fault where the customer has it already; a faulty key or cell always is."""
    with shop(tmp_path, sandbox=account({"external_id": "k", "email": "a@b", "name": "N"})) as served:
        assert served.plan("external_id,email,name\nk,a@b,N\nl,,L\n").counts.unchanged == 1
        assert served.plan("external_id,email,name\nk,a@b,\0\nl,,L\n").counts.invalid == 1
        assert served.plan("external_id,email,name\nk,c@d,N\nl,,L\n").counts.invalid == 1


# --- memory -------------------------------------------------------------------------------------------------------

MEASURE = """
import re, sys, time
from connector.push.file.rows import read_rows
def peak():  # ru_maxrss would be the parent's, which is larger
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
with read_rows(sys.argv[1]) as rows:
    next(iter(rows))
    before, began = peak(), time.process_time()
    found = rows.check()
    checked = time.process_time()
    count = sum(1 for _ in rows)
    print(found.rows, count, found.invalid, checked - began, time.process_time() - checked, peak() - before)
"""


def measured(path: Path) -> tuple[int, float, float, float]:
    """Rows, seconds of `check`, of iteration, and by how many megabytes the process grew, in one of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    rows, count, invalid, checking, iterating, grown = map(float, done.stdout.split())
    assert (rows, invalid) == (count, 0)
    return int(rows), checking, iterating, grown


def write_customers(path: Path, rows: int, notes: str = "") -> None:
    """A file of twelve columns; `notes` makes its names wider."""
    names = [
        "external_id",
        "name",
        "email",
        "contact",
        "address_line1",
        "address_line2",
        "address_city",
        "address_state",
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(quoted([*names, "address_postal_code", "address_country", "timezone", "metadata.tier"]))
        for n in range(rows):
            file.write(
                f"cust-{n},Müller & Söhne {n} GmbH,billing{n}@mail{n % 9}.example.com,+49 30 {n:07d},Straße {n % 500},"
                f"Floor {n % 9},Köln,NRW,{50000 + n % 9999},DE,Europe/Berlin,{'gold' if n % 3 else 'silver'}{notes}\n"
            )


@pytest.mark.sampled
def test_a_large_file_is_not_held(tmp_path: Path) -> None:
    """Checking and reading a file of a hundred megabytes takes a fifth of that at most."""
    write_customers(tmp_path / "c.csv", 20_000, notes="é" * 2500)
    size = (tmp_path / "c.csv").stat().st_size / 2**20
    assert size > 95
    rows, *_, grown = measured(tmp_path / "c.csv")
    assert rows == 20_000
    assert grown < 20


@pytest.mark.thorough
def test_a_million_rows(tmp_path: Path) -> None:
    """A million rows of twelve columns are checked with less than 250 MB, and read in microseconds each."""
    write_customers(tmp_path / "c.csv", 1_000_000)
    rows, checking, iterating, grown = measured(tmp_path / "c.csv")
    print(f"\n{rows} rows: check {checking:.2f} µs a row, iteration {iterating:.2f} µs a row, grown by {grown:.0f} MB")
    assert grown < 250
    assert checking + iterating < 60
