"""Random accounts, files, settings and decisions: nothing is ever written against a decision, or without one."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

from importing import Shop, shop, table
from sizes import Size, sizes
from test_doubts import again, decide

from connector.push.plan.entry import Entry

KEYS = ("acct-4", "ACCT-4", "Acct\u20114", "0042", "42", "042", "b-1", "B-1")
VARIED: list[dict[str, Any]] = [
    {}, {}, {"twins": False}, {"accept": ("twin", "error")}, {"constants": {"timezone": "Europe/Paris"}},
    {"mapping": {"name": "address_city", "address_city": "name"}}, {"fix": ("trim", "id-spaces")}, {"mode": "create"},
]  # fmt: skip
What = tuple[str, dict[str, Any], list[str]]


def decided_at_random(it: Shop, path: Path, chance: random.Random) -> dict[str, str]:
    """Give every row that the file of doubts lists its word, a new one where there is none; row → word."""
    rows = csv.DictReader(path.open()) if path.exists() else []
    words = [row["decision"].rstrip("?") or chance.choice(("yes", "no", "same", "")) for row in rows]
    rows = decide(path, *words) if words else []
    return {row["external_id"]: row["decision"] for row in rows if row["external_id"]}


@sizes(3, 6, 400)
def test_nothing_is_written_against_a_decision(tmp_path: Path, size: Size) -> None:
    """Whatever the settings and the account become: no row is written that was refused or not agreed to."""
    chance = size.chance()
    for number in range(size.count):
        people = [{"external_id": key, "name": "X"} for key in chance.sample(KEYS, 3)]
        names = ("X", "New", "#N/A", "TRUE")
        rows = [{"external_id": k, "name": chance.choice(names), "address_city": "A"} for k in chance.sample(KEYS, 4)]
        folder = tmp_path / str(number)
        folder.mkdir()
        with shop(folder, *people, max_share=1.0, max_doubts=99) as it:
            path = it.path("customers.doubts.csv")
            found, said, seen = it.plan(table(*rows)), dict[str, str](), dict[str, What]()
            for _ in range(4):
                assert found.plan is not None or found.exit_code == 2
                for entry in found.plan.entries() if found.plan is not None else ():
                    key = next(csv.reader([entry.raw]))[0] if entry.raw else entry.external_id
                    judge(entry, said.get(key, ""), seen.get(key))
                    if entry.do == "held":
                        seen[key] = (entry.id, entry.set, sorted(entry.doubts))
                said |= decided_at_random(it, path, chance)
                if chance.random() < 0.3:
                    it.sandbox.create_customer(external_id=chance.choice(KEYS).upper(), name="Later")
                found = again(it, path if path.exists() else None, **chance.choice(VARIED))


def judge(entry: Entry, said: str, seen: What | None) -> None:
    """Compare what is planned with what somebody said last about the row, and saw when they said it."""
    if not entry.writes:
        return
    assert said != "no", entry
    if said == "same":
        assert (entry.do, entry.decision) == ("update", "same")
        assert any("the file says" in note for note in entry.notes)
    elif entry.doubts and entry.decision != "accepted":
        assert entry.decision == said == "yes"
        assert seen == (entry.id, entry.set, sorted(entry.doubts))
