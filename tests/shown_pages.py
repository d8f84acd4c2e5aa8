"""Plays README.md and docs/ with the Flexsync that is installed, and compares what they show.

`.ci/release` runs it in another folder. It needs no pytest, and finds the
project's packages nowhere but in its own environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

import connector
import docs

LONG = ("asking.md",)  # it plays thirty nights; `-m sampled` compares it


def main() -> None:
    assert Path(connector.__file__).is_relative_to(sys.prefix), connector.__file__
    for page in docs.WRITTEN:
        if page.name in LONG or not docs.blocks(page):
            continue
        for block, text in docs.played(page):
            assert docs.still(text) == docs.still(block.text), f"{page.name} shows\n{block.text}\nbut now it is\n{text}"
        print(f"{page.relative_to(docs.ROOT)} shows what is installed", flush=True)


if __name__ == "__main__":
    main()
