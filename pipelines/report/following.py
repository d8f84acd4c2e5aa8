"""The commands that follow a plan: every flag that they need, and what `apply` asks for in words.

Promised: terminal and page show the same commands; each can be pasted into a shell as it stands. None confirms
anything: a confirmation that can be pasted is none. Never done here: printing.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipelines.import_customers import Planned

__all__ = ["Following", "asks", "shell_word"]


def shell_word(path: Path | str) -> str:
    """A path as a word of a shell; one that begins with a dash is no option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") and text != "-" else text)


@dataclass(frozen=True)
class Following:
    """What can follow a plan, as commands.

    Attributes:
        file: that was planned, as it was named.
        account: flags that name the account, each with a space in front.
        planning: flags with which the file was planned, apart from those that only fit that one plan.
        once: flags of that very file, to plan it again: where the plan goes, the sheet.
    """

    file: str = ""
    account: str = ""
    planning: str = ""
    once: str = ""

    def apply(self, found: Planned) -> str:
        """The command that applies a plan; "" where there is nothing to apply."""
        if found.plan is None or not found.counts.writes:
            return ""
        return f"flexsync import apply {shell_word(found.plan.path)}{self.account}"

    def undo_flags(self, plan: Path) -> str:
        """The flags with which a run of a plan is undone: the undo lies beside the plan, where its journal is."""
        beside = plan.parent / "undo.plan"
        return self.account + ("" if plan.parent == Path() else f" --out {shell_word(beside)}")

    def undo(self, run: str, plan: Path) -> str:
        """The command that plans the way back from a run."""
        return f"flexsync import undo {run}{self.undo_flags(plan)}"

    def mended(self, found: Planned) -> str:
        """The command that plans refused rows, once they are corrected; "" where there are none.

        A file of a few rows may not show the encoding that was guessed from all of them, so it is named.
        """
        if not found.rejected or not found.rejected[1]:
            return ""
        encoding = f" --encoding {found.source.encoding}" if found.guessed else ""
        return f"flexsync import plan {shell_word(found.rejected[0])}{self.planning}{encoding}"

    def decided(self, doubts: Path) -> str:
        """The command that plans the file again, once its doubted rows are decided."""
        return (
            f"flexsync import plan {shell_word(self.file)}{self.planning}{self.once} --decisions {shell_word(doubts)}"
        )


def asks(found: Planned) -> str:
    """What `apply` asks for, without the numbers that its guards want: whoever applies a plan has looked at it."""
    numbers = {"writes": "--yes-really COUNT"} if found.guards else {}
    numbers |= {"archives": "--yes-archive COUNT"} if found.counts.archive else {}
    asked = " and ".join(f"for the number of {what}" for what in numbers) or "first"
    return f"it asks {asked}; without a terminal it needs {' '.join(['--yes', *numbers.values()])}"
