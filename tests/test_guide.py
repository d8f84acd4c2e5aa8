"""docs/develop.md: the guide to a change names every file that such a change touches."""

from __future__ import annotations

import re
import subprocess

import pytest

import docs

FOLDERS = ("configs", "connector", "docs", "pipelines", "tests")
# They tell of the list, or of telephones as an example.
GENERATED = {"docs/develop.md", "tests/test_guide.py", "connector/push/plan/unusual.py"}
RECORDED = ("cassettes/", "recorded/", "versions/")  # what a server said, or an older version wrote


def section(title: str) -> str:
    """The part of the guide under a heading."""
    text = (docs.ROOT / "docs" / "develop.md").read_text(encoding="utf-8")
    return text.split(f"### {title}\n")[1].split("\n### ")[0]


def named_in(text: str) -> set[str]:
    """The files that a part of the guide names, by path, or by name where the folder was named before."""
    return {name.rsplit("/", 1)[-1] for name in re.findall(r"`([\w/.]+\.(?:py|md|toml))`", text)}


def naming(word: str) -> list[str]:
    """The files of the project that say a word."""
    listed = subprocess.run(
        ["git", "grep", "-lw", word, "--", *FOLDERS], cwd=docs.ROOT, capture_output=True, text=True, timeout=60
    )
    return [path for path in listed.stdout.split() if path not in GENERATED and not any(r in path for r in RECORDED)]


def test_the_guide_to_a_field_names_every_file() -> None:
    """What names `contact` has to be looked at for a field like it, and so has prose on the telephone."""
    if not (docs.ROOT / ".git").exists():
        pytest.skip("not a checkout")
    known, found = named_in(section("… a field to customers")), sorted({*naming("contact"), *naming("telephone")})
    assert "connector/tables/schemas.py" in found
    assert [path for path in found if path.rsplit("/", 1)[-1] not in known] == []
