"""The existing external_ids that new ones are compared with: of a synced store, or read from the account once.

Promised: reads only; a walk is announced with its calls before it begins; a store is used only where its last run is
green, younger than a day, and of the same environment. Never done: comparing (see `connector.push.plan.twins`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from connector.clock import Clock
from connector.errors import FlexsyncError, Refused
from connector.plurals import counted
from connector.push.account.customer import Send, everybody
from connector.push.file.rows import Rows
from connector.push.plan.twins import Identified, Twins
from pipelines.progress import Progress

if TYPE_CHECKING:
    from connector.publications.reading import Reading

__all__ = ["Comparing"]

FRESH = timedelta(hours=24)
PAGE = 1000  # customers a call
AROUND = 2  # calls of a walk besides its pages: where it ends, and whether that is all
BATCH = 50_000  # ids that are taken from a store at a time
_QUERY = "SELECT external_id, id FROM customers WHERE status = 'published' AND gone_at IS NULL"


class Comparing:
    """Finds what new external_ids are compared with.

    Attributes:
        store: a synced store, or None.
        progress: hears of the calls before they are made.
        clock: this machine's.
        said: where the ids came from, as a sentence.
    """

    def __init__(self, store: Path | None, progress: Progress, clock: Clock) -> None:
        self.store, self.progress, self.clock = store, progress, clock
        self.said = ""

    async def twins(self, rows: Rows, environment: str, existing: int, send: Send) -> Twins:
        """Compare with the store, if that may be used, else with the account.

        Args:
            rows: the file, checked.
            environment: id of the account's environment.
            existing: how many published customers it has.
            send: makes one call; reads only.

        Raises:
            StopRun: the server is gone.
        """
        found = Twins(rows)
        if self.store is not None and self._from_store(found, self.store, environment):
            return found
        calls = counted(-(-existing // PAGE) + AROUND, "call")
        self.progress.note(
            f"new external_ids are compared with all of the account ({existing}): {calls}; --store STORE or --no-twins"
            " saves them"
        )
        self.progress.step("twins", existing, ("customer", "customers"))
        self.said = f"compared with {counted(existing, 'external_id')}, all of the account"
        try:
            async for customers in everybody(send):
                found.look_at(Identified(one.external_id, one.id) for one in customers)
                self.progress.advance("twins", len(customers))
        except Refused as error:  # a server that cannot be walked can still be imported into
            self.said = f"not compared with all external_ids of the account: {error.message}"
            self.progress.note(f"new external_ids are {self.said}")
        return found

    def _from_store(self, found: Twins, store: Path, environment: str) -> bool:
        """Take the ids of a store; False, and a note, where it may not be used."""
        from connector.publications import reading

        try:
            with reading.open(store) as copy:
                if why := self._unfit(copy, environment):
                    self.progress.note(f"{store} is not used to compare external_ids: {why}")
                    return False
                for batch in _batches(copy):
                    found.look_at(batch)
                run = copy.run.run_id if copy.run else ""
        except FlexsyncError as error:
            self.progress.note(f"{store} is not used to compare external_ids: {error.message}")
            return False
        self.said = f"compared with {counted(found.compared, 'external_id')} of {store}, run {run}"
        return True

    def _unfit(self, copy: Reading, environment: str) -> str:
        """Why a store may not be used; "" where it may."""
        run = copy.run
        if run is None or not run.proven or run.finished_at is None:
            return "its last run is not green and whole"
        if self.clock() - run.finished_at > FRESH:
            return f"its last run ended {run.finished_at:%Y-%m-%d %H:%M} UTC, more than a day ago"
        if not environment:
            return "the account has no customer, and so does not say which environment it is"
        if copy.environment_id != environment:
            return f"it is of environment {copy.environment_id}"
        return ""


def _batches(copy: Reading) -> Iterator[list[Identified]]:
    for batch in copy.sql(_QUERY).to_batches(max_chunksize=BATCH):
        yield [Identified(*pair) for pair in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
