"""README.md and docs/*.md: what they show is what happens, every link leads somewhere, nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from sizes import sampled

import docs
from connector.errors import FixInput
from connector.sandbox import Faults
from connector.settings import Settings
from pipelines.cli.main import cli

README = docs.ROOT / "README.md"
LINKED = [*docs.PAGES, docs.ROOT / "CONTRIBUTING.md", docs.ROOT / "CHANGELOG.md"]


def name(page: Path) -> str:
    return page.relative_to(docs.ROOT).as_posix()


def prose(page: Path) -> str:
    """The page without its blocks."""
    return docs.BLOCK.sub("", page.read_text(encoding="utf-8"))


def everything() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in docs.PAGES)


# --- what is shown ----------------------------------------------------------------------------------------------


SHOWN = [page for page in docs.WRITTEN if docs.blocks(page)]


@pytest.mark.parametrize("page", [page if page == README else sampled(page) for page in SHOWN], ids=name)
def test_a_page_shows_what_its_commands_print(page: Path) -> None:
    """Each command and each Python example of a page works, and prints what stands below it."""
    for block, text in docs.played(page):
        assert docs.still(text) == docs.still(block.text), f"run: python tests/docs.py {name(page)}"


@pytest.mark.parametrize("page", docs.PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block without a word behind its fence would be neither run nor compared."""
    fences = [line for line in page.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("```")]
    assert len(fences) == 2 * len(docs.blocks(page))


def test_what_is_compared_is_data() -> None:
    """Counts, figures and names count; moments, ids made at run time, durations, rates and padding do not."""
    shown = "calls 3 a, 2026-11-26T00:08:52+00:00, 20261126T000852Z-d896be, 4.3 s, 0:00:10 old\nplan   Team  38"
    later = "calls 3 a, 2027-01-01T10:00:00.5Z, 20270101T100000Z-000000, 14 s, 1 day, 2:00:10 old\nplan Team 38"
    assert docs.still(shown) == docs.still(later)
    assert docs.still("calls a second: usage 3 of 70, grants 1 of 2") == docs.still(
        "calls a second: usage 9 of 8, grants 4 of 5"
    )
    for other in ("plan Team 39", "plan Crew 38"):
        assert docs.still("plan Team 38") != docs.still(other)


@pytest.mark.parametrize("page", docs.GENERATED, ids=name)
def test_a_generated_page_is_fresh(page: Path) -> None:
    """The pages of settings and tables are what the code declares."""
    assert page.read_text(encoding="utf-8") == docs.GENERATED[page](), f"run: python tests/docs.py {name(page)}"


def test_ci_runs_the_two_commands_word_for_word() -> None:
    """The README has two commands for a new user, and CI runs exactly these."""
    given = [block.text.strip() for block in docs.blocks(README) if block.kind == "bash"]
    assert len(given) == 2
    script = (docs.ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [command for command in given if command not in script] == []
    others = [name(p) for p in docs.WRITTEN if p != README and any(b.kind == "bash" for b in docs.blocks(p))]
    assert others == [], "a bash block is not run: write console"


# --- links ------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes from headings."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).lower().strip() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


def broken(page: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(docs.ROOT):
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: that page has no such heading"


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file of the repository, and an anchor a heading in it."""
    assert list(broken(page)) == []


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a missing heading and a file outside of the repository are all reported."""
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` & c-d\n[1](#a-b--c-d) [2](none.md) [3](#none) [4](page.md#none) [5](../) [6](https://x.y/z)"
    )
    assert [fault.split(":")[0] for fault in broken(page)] == ["none.md", "#none", "page.md#none", "../"]


def test_every_page_is_linked_from_the_readme() -> None:
    """A reader of the README finds every page."""
    text = README.read_text(encoding="utf-8")
    assert [name(page) for page in docs.PAGES if page != README and f"({name(page)})" not in text] == []


def test_contributing_points_to_the_page_for_developers() -> None:
    """What contributors need is written once, in docs/develop.md."""
    text = (docs.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "(docs/develop.md)" in text
    assert len(text.splitlines()) <= 5


# --- nothing is left out ----------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    """The README is a product page; the rest is in docs/."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250


def commands(group: click.Group, path: str = "flexsync") -> Iterator[str]:
    for word, command in group.commands.items():
        full = f"{path} {word}"
        yield full
        if isinstance(command, click.Group):
            yield from commands(command, full)


def test_every_command_of_the_help_is_documented() -> None:
    """Each command and each subcommand stands in the README or in docs/."""
    text = everything()
    assert [command for command in commands(cli) if not re.search(rf"\b{command}\b", text)] == []


def test_every_setting_is_documented() -> None:
    """Each setting stands in docs/settings.md, in the table of its section."""
    text = (docs.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    sections = {field.encode_name: field.type for field in msgspec.structs.fields(Settings)}
    for section, struct in sections.items():
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            part = re.search(rf"^## \[{section.removesuffix('s')}\]$(.*?)(^## |\Z)", text, re.M | re.S)
            assert part, section
            names = [field.name for field in msgspec.structs.fields(struct)]
            assert [known for known in names if f"| `{known}` |" not in part[1]] == []


def test_every_fault_of_the_sandbox_is_documented() -> None:
    """Each switch of the sandbox stands in docs/sandbox.md with what it takes, and each endpoint that it can be for."""
    text = (docs.ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \| (?!every|read)", text.split("## Faults")[1], re.M)) == sorted(
        vars(Faults())
    )
    with pytest.raises(FixInput) as unknown:
        Faults(endpoint="none")
    endpoints = re.findall(r"\w+", str(unknown.value).partition(": ")[2])
    assert "usage" in endpoints
    assert [known for known in endpoints if f"`{known}`" not in text] == []


def test_every_exit_code_is_documented() -> None:
    """Each exit code that an error carries stands in the table of docs/nightly.md."""
    from connector import errors

    codes = {getattr(errors, known).exit_code for known in errors.__all__}
    table = (docs.ROOT / "docs" / "nightly.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    assert {0, *codes} == {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}


def test_no_registry_address_is_committed() -> None:
    """The file of tested versions holds name==version lines only."""
    lines = (docs.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.+!\-]+", line)] == []


def test_every_test_that_the_pages_name_exists() -> None:
    """A test file that a page names as the proof of a promise is there."""
    named = set(re.findall(r"tests/[\w/]+\.py", everything()))
    assert len(named) > 20
    assert not [path for path in sorted(named) if not (docs.ROOT / path).exists()]
