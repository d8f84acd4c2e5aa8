"""Headers as other systems write them: which field each is, what becomes of the others, and a mapping to correct."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command import command, environment
from importing import account, shop

from connector.api.fields import TEXTS
from connector.errors import FixInput
from connector.push.file.headers import near
from connector.push.file.rows import read_rows
from connector.push.file.synonyms import SYNONYMS, field_called
from connector.settings import Settings, load
from pipelines.import_customers.mapping import write_mapping


def targets(header: str, **given: Any) -> list[str]:
    """The field of each column; "" where it is left out."""
    with read_rows(io.BytesIO(f"{header}\n".encode()), **given) as rows:
        return [one.target for one in rows.columns.bound]


def refused(header: str, **given: Any) -> str:
    with pytest.raises(FixInput) as caught:
        targets(header, **given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("E-Mail", "email"), ("Company Name", "name"), ("Time Zone", "timezone"), ("Street", "address_line1"),
        ("ZIP", "address_postal_code"), ("PLZ", "address_postal_code"), ("State", "address_state"),
        ("Telefon", "contact"), ("Kundennummer", "external_id"), ("Code postal", "address_postal_code"),
        ("Kunden-Nr.", "external_id"), ("TÉLÉPHONE", "contact"), ("Straße", "address_line1"),
        ("Land", "address_country"), ("Staat", "address_country"),
        ("N° client", "external_id"), ("Correo electrónico", "email"), ("Ragione sociale", "name"),
    ],
)  # fmt: skip
def test_headers_of_crm_exports_are_known(header: str, field: str) -> None:
    """A header that other systems use for a field is that field, in any case, with or without accents."""
    assert field_called(header) == field_called(header.upper()) == field


def test_every_synonym_is_a_field() -> None:
    """The table names fields only, all of them, and no field's own name stands for another one."""
    assert set(SYNONYMS) == set(TEXTS)
    assert [name for name in TEXTS if field_called(name) not in ("", name)] == []


def test_columns_tell_how_they_were_found() -> None:
    """A field's own name and a mapping win over a synonym; what became of each column is kept."""
    with read_rows(
        io.BytesIO(b"Kundennummer;name;Telefon;Notizen;X\n"), mapping={"X": "metadata.x", "Notizen": ""}
    ) as rows:
        assert [tuple(one) for one in rows.columns.bound] == [
            ("Kundennummer", "external_id", "synonym"), ("name", "name", "name"), ("Telefon", "contact", "synonym"),
            ("Notizen", "", "left out"), ("X", "metadata.x", "mapped"),
        ]  # fmt: skip
    assert targets("external_id,Firma,Telefon", mapping={"Firma": "metadata.firm", "Telefon": "metadata.t"}) == [
        "external_id", "metadata.firm", "metadata.t"
    ]  # fmt: skip


def test_two_columns_of_one_field_are_refused() -> None:
    """Two synonyms of a field, or one beside the field itself, are told: which one counts cannot be known."""
    assert 'column 3, "Telefon": contact is column 2 already' in refused("external_id,Phone,Telefon")
    assert 'column 2, "Firma": name is column 3 already' in refused("external_id,Firma,name")
    assert targets("external_id,Phone,Telefon", mapping={"Telefon": "metadata.t"})[1:] == ["contact", "metadata.t"]


@pytest.mark.parametrize("unknown", ["refuse", "leave", "metadata"])
def test_a_second_column_of_a_field_is_not_unknown(unknown: str) -> None:
    """What is done with unknown columns is not done with a known one that stands twice: the file is refused."""
    told = refused("Kundennummer,Firma,Name,Mobil,Telefon", unknown=unknown)
    assert 'column 2, "Firma": name is column 3 already' in told
    assert 'column 5, "Telefon": contact is column 4 already' in told
    assert "metadata.x is column 2 already" in refused("external_id,metadata.x,metadata.x", unknown=unknown)
    assert targets("external_id,Phone,Telefon", unknown=unknown, mapping={"Telefon": ""})[1:] == ["contact", ""]


def test_unknown_columns_that_are_called_alike_are_not_kept_in_one_key() -> None:
    """Of two unknown columns with one name none is dropped unsaid when both are to be kept."""
    assert "metadata.Notiz is column 2 already" in refused("external_id,Notiz,Notiz", unknown="metadata")
    assert targets("external_id,Notiz,Notiz", unknown="leave") == ["external_id", "", ""]


def test_unknown_columns_are_refused_left_out_or_kept() -> None:
    """What happens to unknown columns is said beforehand; by default the file is refused with the way out."""
    header = "external_id,Notizen,Umsatz 2024"
    told = refused(header)
    assert '"Notizen": unknown. Map it' in told
    for way in ("--map", "[import.mapping]", "--write-mapping", "--unknown-columns leave"):
        assert way in told
    assert targets(header, unknown="leave") == ["external_id", "", ""]
    assert targets(header, unknown="metadata") == ["external_id", "metadata.Notizen", "metadata.Umsatz 2024"]
    assert '"nmae", which is no field' in refused("external_id,X", mapping={"X": "nmae"}, unknown="leave")


@pytest.mark.parametrize("header", ["Notizen", "Telephonie", "Umsatz", "Segment", "Anrede"])
def test_no_field_is_suggested_for_something_else(header: str) -> None:
    """A header that is not near a field's name gets no suggestion, least of all timezone."""
    assert "timezone" not in near(header)


@pytest.mark.parametrize(
    ("header", "field"),
    [("nme", "name"), ("emial", "email"), ("Telefom", "contact"), ("Postleitzal", "address_postal_code")],
)
def test_a_misspelt_header_names_its_field(header: str, field: str) -> None:
    """A slip in a field's name, or in a synonym of it, is told with the field."""
    assert f"Did you mean {field}" in near(header)


def test_a_written_mapping_is_used_as_it_is(tmp_path: Path) -> None:
    """The mapping that is written names every column, can be corrected, and plans what it says."""
    path, out = tmp_path / "crm.csv", tmp_path / "mapping.toml"
    path.write_text('Kundennummer;Firma;"Notiz ""x"" = 1";Emial;flexsync_line;Nom\nk;N;y;;1;M\n')
    told = write_mapping(Settings(), path, out)
    text = out.read_text()
    assert tomllib.loads(text)["import"]["mapping"] == {
        "Kundennummer": "external_id", "Firma": "name", 'Notiz "x" = 1': "", "Emial": "", "Nom": ""
    }  # fmt: skip
    assert "Did you mean email?" in text
    assert '"Nom" = ""  # left out: another column is name already' in text
    assert f"flexsync import plan {path} --config {out}" in told[-1]
    out.write_text(text.replace('"Emial" = ""', '"Emial" = "email"'))
    mapping = tomllib.loads(out.read_text())["import"]["mapping"]
    with read_rows(path, mapping=mapping) as rows:
        assert [one.target for one in rows.columns.bound] == ["external_id", "name", "", "email", "", ""]
    with pytest.raises(FixInput, match="is not overwritten"):
        write_mapping(Settings(), path, out)


def test_a_written_mapping_keeps_every_other_setting(tmp_path: Path) -> None:
    """What a settings file, the environment and flags said stands in the new file, so that it plans what they plan."""
    old, out, path = tmp_path / "a.toml", tmp_path / "m.toml", tmp_path / "c.csv"
    old.write_text(
        '[api]\nbase_url = "http://127.0.0.1:9/v1"\n[flow]\nmax_pause = "90s"\n[import]\nmode = "update"\n'
        'fix = ["trim"]\nmax_age = "1h30m"\nmax_share = 0.5\n[import.mapping]\n"Segment" = "metadata.segment"\n'
        '[import.constants]\n"metadata.source" = "a \\"crm\\" \\u007f\\n"\n[privacy]\nexclude = ["customers.email"]\n'
    )
    path.write_text("Kundennummer,Firma,Segment\nk,N,x\n")
    given = load(config=old, environ={}, metadata="replace", twins=False)
    write_mapping(given, path, out)
    again = load(config=out, environ={})
    mapping = {"Kundennummer": "external_id", "Firma": "name", "Segment": "metadata.segment"}
    for name in ("api", "flow", "sync", "privacy", "history"):
        assert getattr(again, name) == getattr(given, name)
    assert again.imports == msgspec.structs.replace(given.imports, mapping=mapping)


@pytest.mark.parametrize("header", ["a\x7fb", "a\tb", 'a"b', "a\\b", "\x85", "\u2028", "ü"])
def test_a_mapping_of_any_header_is_a_settings_file(tmp_path: Path, header: str) -> None:
    """Whatever characters a header has, the written file can be read, and names it."""
    path, out = tmp_path / "c.csv", tmp_path / "m.toml"
    doubled = header.replace('"', '""')
    path.write_text(f'external_id|"x{doubled}y"|"x{doubled}y"\n', newline="")
    write_mapping(load(environ={}, delimiter="|"), path, out)
    assert f"x{header}y" in load(config=out, environ={}).imports.mapping


def test_columns_are_named_on_the_line(tmp_path: Path) -> None:
    """--map adds to the settings file and wins over it; --fix, --accept and --no-twins reach the plan; all is told."""
    (tmp_path / "c.csv").write_text("Nr=,Firma,Was,Land\na,#N/A,x,de\n")
    (tmp_path / "i.toml").write_text(
        '[import]\nonboarding = "skip"\n[import.mapping]\n"Was" = "metadata.was"\n"Land" = ""\n'
    )
    with account().running() as url:
        flags = ["--map", "Nr==external_id", "--map", "Land=address_country", "--config", "i.toml", "--no-twins"]
        done = command(
            "import",
            "plan",
            "c.csv",
            *flags,
            "--fix",
            "country",
            "--accept",
            "error",
            env=environment(url),
            cwd=tmp_path,
        )
        assert done.code == 0, done.err
        assert "columns   Nr= → external_id, Firma → name, Was → metadata.was, Land → address_country" in done.out
        assert "line 2, column Land: file said de, plan writes DE" in done.out
        assert "accepted  error: 1" in done.out
        assert "twins     new external_ids are not compared: --no-twins" in done.out
        assert "next      flexsync import apply c.plan --config i.toml" in done.out
        wrote = command("import", "plan", "c.csv", "--write-mapping", "m.toml", env=environment(url), cwd=tmp_path)
        assert (wrote.code, "wrote     m.toml: 4 columns of c.csv" in wrote.out) == (0, True), wrote.err
        wrong = command("import", "plan", "c.csv", "--map", "Land", env=environment(url), cwd=tmp_path)
        assert (wrong.code, "names no column and field" in wrong.err) == (2, True), wrong.err
        fix = command("import", "plan", "c.csv", "--fix", "id", env=environment(url), cwd=tmp_path)
        assert (fix.code, "id-spaces" in fix.err) == (2, True), fix.err


def test_the_plan_holds_what_became_of_each_column(tmp_path: Path) -> None:
    """The plan file's header names each column of the file, its field, and how that was found."""
    with shop(tmp_path, unknown_columns="leave") as it:
        found = it.plan("Kundennummer,name,Notizen\na,A,x\n")
        assert found.plan is not None
        assert [one.how for one in found.plan.header.columns or []] == ["synonym", "name", "unknown"]
