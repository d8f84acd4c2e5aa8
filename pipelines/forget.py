"""Forget: a customer's personal data leaves the store, its histories, its publications and the copies of the store.

Promised: nothing is changed before `forget`; what still holds the person afterwards, or could not be looked into, is
named. Never done: calls (FlexPrice keeps its customer); changing files of imports, which are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from connector import files
from connector.clock import Clock, exact_now
from connector.errors import FixInput, FlexsyncError
from connector.publications import forgetting, targets
from connector.publications.forgetting import Copy
from connector.settings import Settings
from connector.store import endings, erasure, holdings, migrations
from connector.store.database import Database
from connector.store.holdings import Person
from connector.store.store import Store
from pipelines import mentions
from pipelines.opening import existing_store
from pipelines.sync.publishing import reach

__all__ = ["Found", "Place", "find", "forget"]

BLANKED, REMOVED, PUBLISHED = "will be blanked", "will be removed", "will be published again"
KEPT, NAMED = "stays: names the id only", "yours to remove"
ALIKE = "stays: a text about another customer holds the same word"


@dataclass(frozen=True)
class Place:
    """Where a person is held.

    Attributes:
        where: a table of the store, or a file.
        rows: number of rows, where they can be counted.
        then: what becomes of it.
    """

    where: str
    rows: int | None
    then: str

    @property
    def erasable(self) -> bool:
        """Return whether `forget` erases what it holds."""
        return self.then in (BLANKED, REMOVED, PUBLISHED)


@dataclass(frozen=True)
class Found:
    """A customer, and everything that is known to hold it.

    Attributes:
        person: the customer.
        forgotten: it was forgotten before.
        places: where it is held.
        targets: publications.
        files: files to look into: those of the plans and folders that were given.
    """

    person: Person = field(repr=False)
    forgotten: bool
    places: tuple[Place, ...]
    targets: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def held(self) -> list[Place]:
        """Return the places that hold something personal."""
        return [place for place in self.places if place.then not in (KEPT, ALIKE)]

    @property
    def to_do(self) -> bool:
        """Return whether there is anything to erase, or no tombstone yet."""
        return not self.forgotten or any(place.erasable for place in self.places)


def find(settings: Settings, customer: str, plans: Sequence[Path] = (), folders: Sequence[Path] = ()) -> Found:
    """List every place that holds a customer. Changes nothing.

    Args:
        settings: [sync]: the store and the publications.
        customer: its id, or a present or past external id.
        plans: plans of imports; they and the files of their runs are looked into.
        folders: folders whose files are looked into.

    Raises:
        FixInput: there is no store, or it knows no such customer, or several; a publication, plan or folder does not
            exist.
        LockHeld: a sync holds the store.
    """
    given = _given(plans, folders)
    with existing_store(settings.sync.store) as store:
        person = store.facts(holdings.find, customer)
        places = [*_in_store(store, person), *_copies(settings, person), *_in_files(settings, given, person)]
        known = store.tombstones.names(person.id)
    return Found(person, known, tuple(places), settings.sync.publish, given)


def _given(plans: Sequence[Path], folders: Sequence[Path]) -> tuple[Path, ...]:
    for path in plans:
        if not path.is_file():
            raise FixInput(f"{path} does not exist.", remedy="Correct --plan.")
    for path in folders:
        if not path.is_dir():
            raise FixInput(f"{path} is not a folder.", remedy="Correct --folder.")
    found = [*(file for plan in plans for file in mentions.beside(plan))]
    return tuple(dict.fromkeys([*found, *(file for folder in folders for file in mentions.inside(folder))]))


def _in_store(store: Store, person: Person) -> Iterator[Place]:
    for path, rows in store.facts(_places, person).items():
        yield Place(path, rows, BLANKED)
    for path, rows in store.facts(holdings.mentions, person).items():
        yield Place(path, rows, KEPT)
    if rows := store.facts(holdings.alike, person):
        yield Place("flexsync.import_journal", rows, ALIKE)


def _places(db: Database, person: Person) -> dict[str, int]:
    return holdings.places(db, person, {path: path for path in erasure.paths()})


def _copies(settings: Settings, person: Person) -> Iterator[Place]:
    """Yield the copies beside the store and the publications that hold the person, or that cannot be read."""
    for copy in forgetting.older(settings.sync.store, person):
        if copy.holds:
            yield _place(copy, REMOVED)
    for target in settings.sync.publish:
        for copy in _published(target, person):
            if copy.holds:
                yield _place(copy, PUBLISHED)


def _published(target: str, person: Person) -> list[Copy]:
    """Return the files of a publication; refuse one that is not there: the one that was meant keeps the person."""
    found = forgetting.published(target, person)
    if not found:
        raise FixInput(
            f"there is no publication at {target}.",
            remedy="Correct --publish, or leave it out: what was never published holds nobody.",
        )
    return found


def _place(copy: Copy, then: str) -> Place:
    folder = Path.cwd()
    where = copy.path.relative_to(folder) if copy.path.is_relative_to(folder) else copy.path
    return Place(str(where), copy.rows, f"cannot be read: {copy.why}" if copy.why else then)


def _in_files(settings: Settings, given: Sequence[Path], person: Person) -> Iterator[Place]:
    """Yield the given files that name the person, those apart that are looked into anyway."""
    ours = {settings.sync.store.resolve(), *(path.resolve() for path in migrations.copies(settings.sync.store))}
    for target in map(targets.parse, settings.sync.publish):
        ours |= {target.path, targets.green_copy(target.path)}
    others = [path for path in given if path.exists() and not {path.resolve(), *path.resolve().parents} & ours]
    databases = [path for path in others if _is_database(path)]
    for copy in (forgetting.look_into(path, person) for path in databases):
        if copy.holds:
            yield _place(copy, NAMED)
    for found in mentions.mentions((p for p in others if p not in databases), [person.id, *person.names]):
        yield Place(str(found.path), None, f"cannot be read: {found.why}" if found.why else NAMED)


def _is_database(path: Path) -> bool:
    """Return whether a file is DuckDB's: by what it holds, as backups get other names; its texts are compressed."""
    try:
        return path.suffix == ".duckdb" or targets.is_duckdb(path)
    except OSError:
        return False


def forget(settings: Settings, found: Found, *, clock: Clock = exact_now) -> list[Place]:
    """Erase a customer, and publish again.

    Args:
        settings: [sync], [privacy] and [history].
        found: what `find` found.
        clock: this machine's.

    Returns:
        What still holds the person, with the reason.

    Raises:
        FixInput: the store cannot be written anew; nothing was changed.
        LockHeld: a sync holds the store.
    """
    with existing_store(settings.sync.store) as store:
        store.forget(found.person, clock())
        failed = list(_publish(store, settings, found, clock))
    _remove_copies(settings, found.person)
    left = [replace(place, then=NAMED) if place.erasable else place for place in _copies(settings, found.person)]
    return [*failed, *left, *_in_files(settings, found.files, found.person)]


def _publish(store: Store, settings: Settings, found: Found, clock: Clock) -> Iterator[Place]:
    keep, exclude, now = settings.sync.keep_green, settings.privacy.exclude, clock()
    for target in found.targets:
        try:
            since = reach(settings.history, target, now, store.facts(endings.newest))
            forgetting.republish(store, target, found.person, exclude, keep_green=keep, since=since, clock=lambda: now)
        except FlexsyncError as error:
            yield Place(target, None, f"could not be published again: {error.message}")


def _remove_copies(settings: Settings, person: Person) -> None:
    for copy in forgetting.older(settings.sync.store, person):
        if copy.rows or copy.path.name.startswith("."):  # such a one is unfinished: its migration was killed
            files.remove(copy.path)
