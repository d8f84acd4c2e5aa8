"""Files as they come: encodings, delimiters, line ends, and what is broken; every byte is read, counted and kept."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sizes import examples

from connector.errors import FixInput
from connector.push.file import delimited
from connector.push.file import lines as physical
from connector.push.file.delimited import Delimited
from connector.push.file.encoding import error_handler
from connector.push.file.record import Record, quoted

MANY = settings(max_examples=examples(600), deadline=None, derandomize=True)
NAMES = {"external_id", "name", "email", "contact"}
TEXT = "external_id,name\n1,Müller\n2,用户 😀\n"


@contextmanager
def opened(source: Any, known: Callable[[str], bool] = NAMES.__contains__, **given: Any) -> Iterator[Delimited]:
    """Bytes (as a file object), a path, or `-`."""
    with Delimited.open(io.BytesIO(source) if isinstance(source, bytes) else source, known=known, **given) as table:
        yield table


def read(source: Any, **given: Any) -> list[Record]:
    with opened(source, **given) as table:
        return list(table.records())


def cells(source: Any, **given: Any) -> list[list[str]]:
    return [record.cells for record in read(source, **given)]


def lines(source: Any, **given: Any) -> list[int]:
    return [record.line for record in read(source, **given)]


def told(source: Any, **given: Any) -> tuple[str, bool, str]:
    """Encoding, whether it is a guess, delimiter."""
    with opened(source, **given) as table:
        return table.encoding, table.guessed, table.delimiter


def refused(source: Any, **given: Any) -> FixInput:
    with pytest.raises(FixInput) as caught:
        read(source, **given)
    assert caught.value.remedy
    return caught.value


# --- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bom", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_unicode(bom: bytes, encoding: str) -> None:
    """UTF-8 with and without its mark, UTF-16 and UTF-32 with theirs are known for certain, and the mark is no text."""
    data = bom + TEXT.encode(encoding)
    assert told(data) == (encoding, False, ",")
    assert cells(data) == [["external_id", "name"], ["1", "Müller"], ["2", "用户 😀"]]
    with opened(data) as table:
        assert table.bom == bom
        assert table.sha256 == hashlib.sha256(data).hexdigest()
        assert bom + b"".join(table.encode(record.raw) for record in table.records()) == data


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_a_guess(encoding: str) -> None:
    """UTF-16 that lacks the mark is told by its zeros, and shown as a guess."""
    data = "external_id,name\n1,Müller\n".encode(encoding)
    assert told(data) == (encoding, True, ",")
    assert cells(data)[1] == ["1", "Müller"]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", ["Müller & Söhne", "Société Générale", "Coöperatie", "“Quoted” – €"]),
        ("cp1252", ["José Peña"]),  # cp1250 would do as well
        ("cp1251", ["Общество с ограниченной ответственностью", "Рога и копыта", "Москва, улица Ленина"]),
        ("cp932", ["株式会社トヨタ", "日本電気株式会社", "有限会社サンプル"]),
    ],
)
def test_other_encodings_are_guesses(encoding: str, names: list[str]) -> None:
    """A file that is no Unicode is read in the encoding that it most looks like, and that is shown as a guess."""
    data = ("external_id;name\n" + "".join(f"{n};{name}\n" for n, name in enumerate(names))).encode(encoding)
    assert told(data) == (encoding, True, ";")
    assert cells(data)[1:] == [[str(n), name] for n, name in enumerate(names)]


def test_pure_ascii_is_utf_8_for_certain() -> None:
    """A file of ASCII letters alone is UTF-8, which no guess is needed for."""
    assert told(b"external_id,name\n1,Smith\n") == ("utf-8", False, ",")


@pytest.mark.parametrize(
    ("given", "encoding"),
    [
        ("cp1252", "cp1252"), ("latin-1", "iso8859-1"), ("UTF8", "utf-8"), ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16-le"), ("UTF-16BE", "utf-16-be"), ("utf-32", "utf-32-le"), ("cp437", "cp437"),
    ],
)  # fmt: skip
def test_a_given_encoding_is_used_and_is_no_guess(given: str, encoding: str) -> None:
    """--encoding wins over what the file looks like, under any of its names."""
    data = "external_id,name\n1,Smith\n".encode(encoding)
    assert told(data, encoding=given) == (encoding, False, ",")
    assert cells(data, encoding=given)[1] == ["1", "Smith"]


def test_a_given_encoding_wins_over_valid_utf_8() -> None:
    """--encoding cp1252 makes two letters of each umlaut of a UTF-8 file: it is not second-guessed."""
    assert cells(TEXT.encode()[:28], encoding="cp1252")[1] == ["1", "MÃ¼ller"]


@pytest.mark.parametrize(("mark", "given"), [("utf-8", "utf-8"), ("utf-16-le", "utf-16"), ("utf-16-be", "utf-16")])
def test_a_mark_is_skipped_when_its_encoding_is_given(mark: str, given: str) -> None:
    """The mark of the very encoding that is given is no text, and says which half of UTF-16 it is."""
    data = "\ufeffexternal_id,name\n".encode(mark)
    assert told(data, encoding=given)[0] == mark
    assert cells(data, encoding=given) == [["external_id", "name"]]


@pytest.mark.parametrize(
    "given",
    [
        "utf-9", "klingon", "rot13", "hex", "zlib", "undefined", "idna", "punycode", "unicode_escape", "utf-7", "hz",
        "raw-unicode-escape", "iso2022_jp", "iso2022_kr", "a\0b",
    ],
)  # fmt: skip
def test_an_encoding_that_is_none_of_files(given: str) -> None:
    """A name that is no encoding, or one whose letters hang on the lines before, is refused with a remedy."""
    error = refused(TEXT.encode(), encoding=given)
    assert repr(given) in str(error)
    assert "UTF-8" in error.remedy or "utf-8" in error.remedy


def test_a_file_that_is_not_what_was_said() -> None:
    """A file that cannot be decoded as what it was said to be ends with one message that names the encoding."""
    assert "utf-16-le" in str(refused(b"external_id,name\n1,", encoding="utf-16"))
    assert "utf-32-le" in str(refused(TEXT.encode(), encoding="utf-32"))


def test_one_damaged_byte_is_not_the_files_fault() -> None:
    """A byte that is no UTF-8 leaves the file UTF-8: it stays in its line and can be written back, the others read."""
    data = ("external_id,name\n" + "".join(f"{n},Müller & Søn\n" for n in range(50))).encode()
    data = data.replace(b"17,M\xc3\xbcller", b"17,M\xc3ller")
    assert told(data)[:2] == ("utf-8", False)
    found = read(data)
    assert found[18].cells == ["17", "M\udcc3ller & Søn"]
    assert [record.cells[1] for record in found[1:] if record.line != 19] == ["Müller & Søn"] * 49
    with opened(data) as table:
        assert table.encode(found[18].raw) == b"17,M\xc3ller & S\xc3\xb8n\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"1,M\xc3\xbcller\n2,M\xfcller\n", "utf-8"),  # as many damaged as whole ones
        (b"1,M\xfcller\n", "cp1252"),
        (b"1,M\xc3\xbcller\n2,M\xfcller\n3,S\xf8n\n", "cp1252"),
    ],
)
def test_few_damaged_bytes_are_told_from_another_encoding(data: bytes, encoding: str) -> None:
    """A file is UTF-8 unless more of its letters are none: faults are seen, and wrong letters would not be."""
    assert told(b"external_id,name\n" + data) == (encoding, encoding != "utf-8", ",")


def test_a_damaged_byte_far_into_the_file() -> None:
    """A damaged byte is met wherever it is: past what a guess looks at, and on the border of two blocks."""
    line = f"1,Müller{'x' * 2000}\n".encode()
    for place in (2**18 + 5, 2**20 - 1, 2**20, 2**20 + 1):
        data = bytearray(b"external_id,name\n" + line * (2**21 // len(line)))
        data[place] = 0xFF
        assert told(bytes(data))[:2] == ("utf-8", False)
        assert sum("\udcff" in record.raw for record in read(bytes(data))) == 1


# --- delimiters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected_by_known_headers(delimiter: str) -> None:
    """The delimiter that gives the most expected headers wins, however often the others stand there."""
    others = "".join(set(",;\t|") - {delimiter}) * 5
    data = f"external_id{delimiter}{others}{delimiter}name\n1{delimiter}{others}{delimiter}Smith\n".encode()
    assert told(data)[2] == delimiter
    assert cells(data)[1] == ["1", others, "Smith"]


def test_the_header_is_looked_for_past_blank_lines() -> None:
    """Blank lines before the header do not hide the delimiter."""
    assert told(b"\n\n\r\nexternal_id;a,b,c,d;name\n")[2] == ";"


def test_of_unknown_headers_the_most_cells_win() -> None:
    """Where no header is known, for they are all to be mapped, the delimiter that makes most columns is taken."""
    assert told(b"Kunde;Firma, Name;Ort\n")[2] == ";"


@pytest.mark.parametrize(
    ("given", "delimiter"),
    [
        (",", ","),
        ("comma", ","),
        ("semicolon", ";"),
        ("tab", "\t"),
        ("\\t", "\t"),
        ("pipe", "|"),
        ("#", "#"),
        ("§", "§"),
    ],
)
def test_a_given_delimiter_is_used(given: str, delimiter: str) -> None:
    """--delimiter wins over what is detected, as a character or by its name."""
    data = f"external_id{delimiter}name;x,y\n".encode()
    assert told(data, delimiter=given)[2] == delimiter
    assert told(b"external_id,name\n", delimiter=given)[2] == delimiter


@pytest.mark.parametrize("given", [",,", "commas", '"', "\n", "\r", "\0", "\udc80"])
def test_a_delimiter_that_is_none(given: str) -> None:
    """What cannot separate cells is refused with a remedy."""
    assert "delimiter" in str(refused(TEXT.encode(), delimiter=given))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [";", "#", "\t", " "])
def test_a_first_line_that_names_the_delimiter(delimiter: str, end: str) -> None:
    """Excel's first line ``sep=;`` sets the delimiter, is no record, and counts as a line."""
    data = f"sep={delimiter}{end}external_id{delimiter}name,contact{end}1{delimiter}Smith{end}".encode()
    assert told(data)[2] == delimiter
    assert [(r.line, r.cells) for r in read(data)] == [(2, ["external_id", "name,contact"]), (3, ["1", "Smith"])]
    assert told(data, delimiter=",")[2] == ","
    assert lines(data, delimiter=",") == [2, 3]


def test_a_first_line_that_names_the_delimiter_in_utf_16() -> None:
    """``sep=;`` behind a mark, as Excel writes it, is understood."""
    data = "\ufeffsep=;\r\nexternal_id;name\r\n".encode("utf-16-le")
    assert [(r.line, r.cells) for r in read(data)] == [(2, ["external_id", "name"])]


@pytest.mark.parametrize("line", ['sep="', "sep=", "sep=ab", "sep=\0", " sep=;", "Sep=;", "sep=;;"])
def test_a_first_line_that_only_looks_so(line: str) -> None:
    """A line that does not name a delimiter is a record like any other."""
    found = read(line.encode() + b"\nexternal_id,name\n")
    assert found[0].line == 1
    assert found[0].raw.rstrip("\n") == line


# --- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_physical_lines_with_quoted_newlines(end: str) -> None:
    """Each record is known by the line it begins on, whatever ends the lines, and blank lines count."""
    text = end.join(["external_id,name", '1,"two', 'lines"', "", '2,"three', "", 'lines"', "3,one", '4,"', '"', "5,x"])
    found = [(r.line, r.cells) for r in read(text.encode())]
    assert found == [
        (1, ["external_id", "name"]),
        (2, ["1", f"two{end}lines"]),
        (4, []),
        (5, ["2", f"three{end}{end}lines"]),
        (8, ["3", "one"]),
        (9, ["4", end]),
        (11, ["5", "x"]),
    ]


def test_mixed_line_ends() -> None:
    r"""Different line ends in one file are counted right, and ``\r\n`` is one end on a block's border too."""
    for pad in range(8180, 8200):
        data = b"external_id,name\r" + b"1," + b"x" * pad + b"\r\n" + b"2,y\n\r3,z\r\n"
        assert lines(data) == [1, 2, 3, 4, 5]
        assert b"".join(record.raw.encode() for record in read(data)) == data


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_what_is_no_line_end(letter: str) -> None:
    """Characters that Python's splitlines takes for line ends are none in a file."""
    assert [(r.line, r.cells) for r in read(f"external_id,name\n1,a{letter}b\n2,c\n".encode())][1:] == [
        (2, ["1", f"a{letter}b"]),
        (3, ["2", "c"]),
    ]


def test_the_last_line_needs_no_end() -> None:
    """A last line without a line end is a record, and keeps none."""
    assert [r.raw for r in read(b"external_id,name\n1,a")] == ["external_id,name\n", "1,a"]


def test_ragged_lines_and_nul_bytes_are_records() -> None:
    """Lines with too few and too many cells, and NUL bytes, are handed on as they stand."""
    found = cells(b"external_id,name\n1\n1,2,3,4\n,\n\0,a\0b\n")
    assert found[1:] == [["1"], ["1", "2", "3", "4"], ["", ""], ["\0", "a\0b"]]


def test_quotes_inside_cells() -> None:
    """Doubled quotes in a quoted cell are one; a quote inside an unquoted cell is a letter."""
    assert cells(b'external_id,name\n"1","a ""b"" c"\n2,5" pipe\n3,""\n')[1:] == [
        ["1", 'a "b" c'],
        ["2", '5" pipe'],
        ["3", ""],
    ]


def test_text_after_a_closing_quote() -> None:
    """Such a record is told with its line and text, whole if it spans lines, and the lines after it are read on."""
    data = b'external_id,name\n1,"a"b\n2,ok\n3,"two\nlines"x,y\n4,ok\n'
    found = read(data)
    assert [(r.line, r.trouble, r.raw) for r in found if r.trouble] == [
        (2, "quotes", '1,"a"b\n'),
        (4, "quotes", '3,"two\nlines"x,y\n'),
    ]
    assert [(r.line, r.cells) for r in found if not r.trouble] == [
        (1, ["external_id", "name"]),
        (3, ["2", "ok"]),
        (6, ["4", "ok"]),
    ]


def test_a_broken_record_is_taken_whole() -> None:
    """What follows the broken quote belongs to its record up to the line end outside quotes, if that is near."""
    data = b'external_id,name\n"a"b,"c\n"" d\n",e\nf,g\n'
    assert [(r.line, r.trouble, r.raw) for r in read(data)][1:] == [
        (2, "quotes", '"a"b,"c\n"" d\n",e\n'),
        (5, "", "f,g\n"),
    ]


@pytest.mark.parametrize(("lines_after", "whole"), [(99, True), (100, True), (101, False), (5000, False)])
def test_how_far_a_broken_record_is_followed(lines_after: int, whole: bool) -> None:
    """A broken record's open quote is followed for a hundred lines; past that its lines are read as records again."""
    rest = [f"k{n},x\n" for n in range(lines_after - 1)]
    data = "".join(["external_id,name\n", '"a"b,"c\n', *rest, '",d\n', "e,f\n"]).encode()
    found = read(data)
    assert "".join(record.raw for record in found).encode() == data
    assert found[1].trouble == "quotes"
    assert found[1].raw.count("\n") == (1 + lines_after if whole else 1)
    assert [r.line for r in found if r.cells == ["e", "f"]] == ([3 + lines_after] if whole else [])


def test_many_broken_records() -> None:
    """Thousands of them in a row, each with a quote left open, are told one by one within seconds."""
    data = b"external_id,name\n" + b'"a"b,"c\n' * 5000
    found = read(data)
    assert b"".join(record.raw.encode() for record in found) == data
    assert sum(record.trouble == "quotes" for record in found) > 2000


def test_a_quote_that_is_never_closed() -> None:
    """It ends the reading with one record that begins where the quote's record does and holds all the rest."""
    data = b'external_id,name\n1,ok\n2,"open\n3,x\n4,y\n'
    assert [(r.line, r.trouble, r.raw) for r in read(data)][2:] == [(3, "unclosed", '2,"open\n3,x\n4,y\n')]


def test_a_quote_that_is_never_closed_in_a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the file is not held in memory for it: past the longest cell the reading ends just so."""
    monkeypatch.setattr(delimited, "LONGEST_CELL", 2**17)
    before = csv.field_size_limit(2**17)
    try:
        found = read(b'external_id,name\n1,ok\n2,"open\n' + b"3,x\n" * 2**16)
    finally:
        csv.field_size_limit(before)
    assert [(r.line, r.trouble) for r in found] == [(1, ""), (2, ""), (3, "unclosed")]
    assert 2**17 <= len(found[2].raw) < 2**17 + 100


def test_large_cells(tmp_path: Path) -> None:
    """A cell of a megabyte is read whole, also while another file is begun and left."""
    path = tmp_path / "large.csv"
    path.write_bytes(b"external_id,name\n" + b"".join(b"%d,%s\n" % (n, b"x" * 2**20) for n in range(3)))
    with opened(path) as one, opened(path) as other:
        records = one.records()
        next(records)
        next(other.records())  # begun and thrown away
        assert [len(record.cells[1]) for record in records] == [2**20] * 3


def test_a_line_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line longer than any table's is refused, with its number, before it fills the memory."""
    monkeypatch.setattr(physical, "LONGEST_LINE", 1000)
    error = refused(b"external_id,name\n\n1," + b"x" * 2000 + b"\n")
    assert "line 3 has more than 1000 characters" in str(error)


# --- files that are none ------------------------------------------------------------------------------------------


def test_empty_file(tmp_path: Path) -> None:
    """A file of no bytes is refused and told apart from one that is missing."""
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    error = refused(path)
    assert f"{path} is empty" in str(error)
    assert "template" in error.remedy


@pytest.mark.parametrize("data", [b"external_id,name", b"external_id,name\n", b"\xef\xbb\xbfexternal_id,name\r\n\r\n"])
def test_header_only(data: bytes) -> None:
    """A file that ends after its header is read to its end."""
    assert cells(data)[0] == ["external_id", "name"]
    assert not any(cells(data)[1:])


@pytest.mark.parametrize(
    "data", [b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b" ", b"\0", b"\xff\xfe", b"sep=;", b"sep=;\n", b'"']
)
def test_next_to_nothing(data: bytes) -> None:
    """Files of a byte or two, of marks and of blank lines are read without a complaint of Python's."""
    assert all(record.trouble or len(record.cells) < 2 for record in read(data))


@pytest.mark.parametrize("name", ["missing.csv", "folder", "file.csv/inside.csv", "n\0ul.csv", "x" * 5000], ids=ascii)
def test_what_cannot_be_opened(tmp_path: Path, name: str) -> None:
    """A path that is missing, a folder, inside a file, or no name at all is refused by its name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.csv").write_bytes(b"x")
    error = refused(tmp_path / name)
    assert f"{tmp_path / name} cannot be read" in str(error)


def test_workbooks_and_archives(tmp_path: Path) -> None:
    """A workbook or an archive under a CSV file's name is told as what it is."""
    book, packed, old = (tmp_path / name for name in ("book.csv", "packed.csv", "old.csv"))
    with ZipFile(book, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    packed.write_bytes(gzip.compress(TEXT.encode()))
    old.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 500)
    for path, what in ((book, "a workbook"), (packed, "gzip"), (old, "old Excel")):
        error = refused(path)
        assert what in str(error)
        assert "CSV" in error.remedy


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is read, and called by a name that can be printed."""
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_bytes(TEXT.encode())
    with opened(path) as table:
        assert table.name == str(tmp_path / "caf\ufffd.csv")
        assert len(list(table.records())) == 3


# --- standard input, pipes ----------------------------------------------------------------------------------------


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("flexsync-")]


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_standard_input(monkeypatch: pytest.MonkeyPatch, spool: Path) -> None:
    """``-`` reads standard input as bytes, as often as needed, from a copy for its owner only that goes in the end."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode("utf-16")), "ascii"))
    with opened("-") as table:
        assert table.name == "standard input"
        assert table.encoding == "utf-16-le"
        first, again = list(table.records()), list(table.records())
        assert first == again
        assert [record.cells[1] for record in first] == ["name", "Müller", "用户 😀"]
        assert table.path.stat().st_mode & 0o077 == 0
        assert len(leftovers(spool)) == 1
    assert leftovers(spool) == []


@pytest.mark.parametrize("stdin", [None, io.StringIO("external_id\n1\n")])
def test_no_standard_input(monkeypatch: pytest.MonkeyPatch, spool: Path, stdin: object) -> None:
    """Where there is no standard input to read bytes from, that is said, and no copy is left."""
    monkeypatch.setattr("sys.stdin", stdin)
    assert "standard input cannot be read" in str(refused("-"))
    assert leftovers(spool) == []


def test_a_pipe_under_a_name(tmp_path: Path, spool: Path) -> None:
    """A named pipe, as ``<(command)`` gives, can be read only once and yet is read as a file is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(TEXT.encode()))
    writer.start()
    with opened(path) as table:
        assert len(list(table.records())) == len(list(table.records())) == 3
        assert table.name == str(path)
    writer.join()
    assert leftovers(spool) == []


@pytest.mark.parametrize("source", [io.StringIO("external_id\n1\n"), closed := io.BytesIO(b"x")])
def test_file_objects_that_give_no_bytes(spool: Path, source: Any) -> None:
    """A text file object and a closed one are refused, and no copy is left."""
    closed.close()
    assert "cannot be read" in str(refused(source))
    assert leftovers(spool) == []


def test_the_copy_goes_when_the_reading_fails(spool: Path) -> None:
    """No copy of a person's data stays behind when the file turns out to be none."""
    with pytest.raises(FixInput):
        read(b"", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), opened(TEXT.encode()):
        raise ZeroDivisionError
    assert leftovers(spool) == []


# --- any file -----------------------------------------------------------------------------------------------------

ONE_TO_ONE = (
    None, "utf-8", "utf-16", "utf-16-be", "utf-32", "ascii", "cp1252", "cp1250", "cp1251", "latin-1", "iso8859-15",
    "mac_roman", "koi8-r", "cp437", "gb18030", "euc_kr", "shift_jis", "cp037",
)  # fmt: skip
TWO_CODES = ("cp932", "cp950", "big5hkscs", "johab", "mac_arabic", "cp875")
PIECES = st.sampled_from(
    [b"external_id,", b"name", b",", b";", b"\t", b"|", b'"', b'""', b"\n", b"\r", b"\r\n", b"\0", b" a",
     b"sep=;\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xc3\xa9", b"\xe9", b"\x81", b"\xed\xa0\x80",
     b"\xf0\x9f\x98\x80", "é,\n".encode("utf-16-le"), "x\ud800\n".encode("utf-16-le", "surrogatepass"), b"x" * 8190],
)  # fmt: skip
FILES = st.binary(max_size=120) | st.lists(PIECES, max_size=30).map(b"".join)


def whole(data: bytes, encoding: str | None) -> tuple[bytes, bytes, str]:
    """All records' bytes as they are written back, what they have to be, and the encoding; skips what is no file."""
    try:
        with opened(data, encoding=encoding) as table:
            records = list(table.records())
    except FixInput:
        assume(False)
    body = data[len(table.bom) :]
    if table._skip:  # the line that names the delimiter is no record
        first = body.decode(table.encoding, error_handler(table.encoding)).splitlines(keepends=True)[0]
        assert first.rstrip("\r\n") == f"sep={table.delimiter}"
        body = body[len(table.encode(first)) :]
    return b"".join(table.encode(record.raw) for record in records), body, table.encoding


@MANY
@given(data=FILES, encoding=st.sampled_from(ONE_TO_ONE))
def test_every_byte_is_kept(data: bytes, encoding: str | None) -> None:
    """Whatever bytes a file has, once it can be read its records written back are the file, byte for byte."""
    written, body, _ = whole(data, encoding)
    assert written == body


@settings(MANY, max_examples=examples(200))
@given(data=FILES, encoding=st.sampled_from(TWO_CODES))
def test_every_letter_is_kept(data: bytes, encoding: str) -> None:
    """In encodings with two codes for one letter the records written back are the same letters."""
    written, body, found = whole(data, encoding)
    assert written.decode(found, "surrogateescape") == body.decode(found, "surrogateescape")


CELL = st.text(st.sampled_from('ab1é用😀 ,;\t|"\n\r\u2028\0='), max_size=8)
ROWS = st.lists(st.lists(CELL, min_size=2, max_size=2).filter(any), max_size=12)


def breaks(text: str) -> int:
    """Line ends in a text, counted in the plainest way."""
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


@settings(MANY, max_examples=examples(300))
@given(
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"]),
)
def test_what_is_written_is_read(rows: list[list[str]], end: str, delimiter: str, encoding: str) -> None:
    """Any cells, written with any delimiter, line end and encoding, come back as they were, on their lines."""
    texts = [quoted(row, delimiter, end) for row in [["external_id", "name"], *rows]]
    given_encoding = encoding if encoding in ("utf-16-be", "gb18030") else None
    found = read("".join(texts).encode(encoding), encoding=given_encoding)
    assert [record.cells for record in found] == [["external_id", "name"], *rows]
    assert [record.raw for record in found] == texts
    assert [record.line for record in found] == [1 + breaks("".join(texts[:n])) for n in range(len(texts))]


@settings(MANY, max_examples=examples(300))
@given(data=FILES, encoding=st.sampled_from([None, "utf-8", "cp1252", "utf-16"]))
def test_lines_only_go_up(data: bytes, encoding: str | None) -> None:
    """Records begin on lines that rise by as many as the record before them spans."""
    with ExitStack() as stack:
        try:
            table = stack.enter_context(opened(data, encoding=encoding))
            records = list(table.records())
        except FixInput:
            return
        line = 1 + table._skip
        for record in records:
            assert record.line == line
            line += breaks(record.raw)
