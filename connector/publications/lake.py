"""The Parquet publication: `DIR/runs/RUN_ID/TABLE/part-0.parquet`, and a `DIR/manifest.json` that names the newest run.

The histories lie beside the runs (`connector.publications.increments`).

Promised: a reader reads the manifest once and sees one run; the files of a run never change; the run before the newest
stays, for readers that have just read the older manifest, and so does the last green run, which the manifest names too,
unless they hold anything personal about a customer that was forgotten by now; only folders with a manifest of
Flexsync's are ever deleted. Never done: following a path out of the lake.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath

import duckdb
import msgspec

from connector.api.grammar import UNREADABLE
from connector.errors import FixInput
from connector.files import remove, replace
from connector.publications import blanking, increments, targets
from connector.publications.contents import PublishedTable, Snapshot, check_version, reaching
from connector.publications.parts import FORMAT, FORMAT_VERSION, Entry, LastGreen, Manifest, copy
from connector.publications.targets import Target
from connector.store import holdings
from connector.store.database import Database, literal
from connector.store.keeping import Horizon

MANIFEST = "manifest.json"


def read(lake: Path, *, green: bool = False) -> Manifest:
    """Read a lake's manifest.

    Args:
        lake: its folder.
        green: read the manifest of the last green run.

    Raises:
        FixInput: there is none; it is not Flexsync's, is too new, or names files outside the lake.
        FileNotFoundError: the last green run was removed meanwhile.
    """
    path = lake / MANIFEST
    try:
        manifest = _decoded(path)
    except FileNotFoundError as error:
        raise FixInput(f"{path} does not exist.", remedy="Publish to this lake first, or correct the path.") from error
    if manifest.run.proven or not green:
        return manifest
    if manifest.last_green is None:
        raise no_green(lake)
    return _decoded(lake / manifest.last_green.manifest)


def no_green(what: object) -> FixInput:
    """Return the error for a publication without a green run."""
    return FixInput(
        f"{what} holds no green run.", remedy="Read the newest run without green, or sync until it is green."
    )


def _decoded(path: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FixInput(f"{path} cannot be read: {error}.", remedy="Give a lake that can be read.") from error
    except UNREADABLE as error:
        raise _not_ours(path, str(error)) from error
    if manifest.format != FORMAT:
        raise _not_ours(path, f'its format is "{manifest.format}"')
    if manifest.format_version > FORMAT_VERSION:
        raise FixInput(f"{path} has format version {manifest.format_version}.", remedy="Upgrade Flexsync.")
    check_version(path, manifest.schema_version)
    _inside(path, manifest)
    return manifest


def write(
    db: Database,
    store: str,
    snapshot: Snapshot,
    target: Target,
    *,
    keep_green: bool = True,
    horizon: Horizon | None = None,
) -> Manifest:
    """Write a snapshot as the lake's newest run, then switch the manifest to it.

    Args:
        db: a connection to the store, inside a transaction.
        store: the store's catalog, quoted.
        snapshot: what to write.
        target: the lake; the caller holds its lock.
        keep_green: if the run is degraded, or loaded only some resources, keep the last green one.
        horizon: how far back its histories have to answer; None: as far as they do.
    """
    runs = target.path / "runs"
    runs.mkdir(exist_ok=True)
    named = _named(target.path)
    final = _new_folder(target, snapshot.run.run_id, named)
    unfinished = targets.temporary(target)
    try:
        entries, since = _files(db, store, snapshot, target.path, unfinished, final, horizon)
        last_green = _last_green(snapshot, target.path, final.name, keep_green)
        manifest = _manifest(snapshot, entries, since, last_green)
        body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (unfinished / MANIFEST).write_bytes(body)  # marks the folder as Flexsync's
        replace(unfinished, final)
        _switch(target, body)
    finally:
        remove(unfinished)
    _prune(target, {*_untelling(snapshot, target.path, named[:1]), *_folders(manifest)})
    prune_histories(target.path)
    return manifest


def prune_histories(lake: Path) -> None:
    """Delete the files of histories that no run of a lake names; the caller holds its lock."""
    increments.prune(lake, [of_run(folder) for folder in (lake / "runs").iterdir() if (folder / MANIFEST).exists()])


def of_run(folder: Path) -> Manifest:
    """Read the manifest of a run's folder. Raises as `read`."""
    return _decoded(folder / MANIFEST)


def _last_green(snapshot: Snapshot, lake: Path, folder: str, keep: bool) -> LastGreen | None:
    """Return the last green run from now on. One that holds what is to be left out now is not kept."""
    if snapshot.run.proven:
        return LastGreen(snapshot.run.run_id, snapshot.published_at, f"runs/{folder}/{MANIFEST}")
    try:
        found = read(lake, green=True) if keep else None
    except (FixInput, FileNotFoundError):
        return None
    if found is None or not set(snapshot.excluded) <= set(found.excluded) or _tells(snapshot, lake, found):
        return None
    return LastGreen(found.run_id, found.published_at, f"runs/{_folders(found)[0]}/{MANIFEST}")


def _untelling(snapshot: Snapshot, lake: Path, folders: Sequence[str]) -> list[str]:
    """Return the runs that hold nobody who was forgotten."""
    found = ((name, lake / "runs" / name) for name in folders)
    return [name for name, run in found if (run / MANIFEST).exists() and not _tells(snapshot, lake, of_run(run))]


def _tells(snapshot: Snapshot, lake: Path, found: Manifest) -> bool:
    """Return whether a run holds anybody who was forgotten, for all that is known."""
    if found.forgotten == snapshot.forgotten:
        return False
    lists = {name: ", ".join(literal(lake / file.path) for file in entry.files) for name, entry in found.tables.items()}
    sources = {name: f"read_parquet([{paths}], union_by_name = true)" for name, paths in lists.items() if paths}
    try:
        with closing(duckdb.connect()) as db:  # an error would end the transaction that the store is read in
            return holdings.tells(db, snapshot.tombstones, sources)
    except (duckdb.Error, OSError):
        return True


def _files(
    db: Database,
    store: str,
    snapshot: Snapshot,
    lake: Path,
    folder: Path,
    final: Path,
    horizon: Horizon | None,
) -> tuple[dict[str, Entry], datetime | None]:
    """Write the tables of a run into its folder, and what its histories have more than the lake beside it.

    Returns:
        The files by table, and how far back the histories can be asked.
    """
    before = increments.continued(db, store, snapshot, lake, _before(lake))
    if before:
        before = blanking.blanked(db, lake, snapshot, before)
        horizon = horizon if increments.due(before, horizon) else None
        snapshot = reaching(snapshot, increments.reached(before, horizon))
    entries = {
        table.name: increments.write(db, store, table, lake, snapshot.run, before, horizon)
        if table.history
        else _whole(db, store, table, lake, folder, final)
        for table in snapshot.tables
    }
    return entries, snapshot.since


def _whole(db: Database, store: str, table: PublishedTable, lake: Path, folder: Path, final: Path) -> Entry:
    """Write a table of a run into its folder."""
    path = folder / table.name / "part-0.parquet"
    path.parent.mkdir(parents=True)
    file = copy(db, table.query.format(store=store), path, lake, final=final / table.name / path.name)
    return Entry(file.rows, (file,))


def _before(lake: Path) -> Manifest | None:
    try:
        return read(lake)
    except FixInput:
        return None


def _manifest(
    snapshot: Snapshot, tables: dict[str, Entry], since: datetime | None, last_green: LastGreen | None
) -> Manifest:
    run = snapshot.run
    return Manifest(
        run_id=run.run_id,
        mode=run.mode,
        status=run.status,
        green=run.green,
        whole=run.whole,
        reasons=run.reasons,
        started_at=run.started_at,
        finished_at=run.finished_at,
        published_at=snapshot.published_at,
        environment_id=snapshot.environment_id,
        excluded=snapshot.excluded,
        forgotten=snapshot.forgotten,
        history_since=since,
        last_green=last_green,
        tables=tables,
    )


def _new_folder(target: Target, run_id: str, named: Collection[str]) -> Path:
    """Return a folder name that is free; a run that is published again gets a number.

    A folder of the run that the manifest does not name is deleted: its publisher was killed before the switch.
    """
    number, final = 1, target.path / "runs" / run_id
    while final.exists():
        if _ours(final) and final.name not in named:
            _delete(target, final)
            break
        number += 1
        final = final.with_name(f"{run_id}.{number}")
    return final


def _switch(target: Target, body: bytes) -> None:
    """Let the manifest name the new run."""
    unfinished = targets.temporary(target)
    unfinished.write_bytes(body)
    replace(unfinished, target.path / MANIFEST)


def _named(lake: Path) -> list[str]:
    """Return the folders that the lake's manifest names; none if there is no manifest."""
    try:
        return _folders(read(lake))
    except FixInput:
        return []


def _folders(manifest: Manifest) -> list[str]:
    """Return the names of the folders of a manifest's run, and of its last green run."""
    paths = [entry.files[0].path for entry in manifest.tables.values() if entry.files[0].path.startswith("runs/")][:1]
    if manifest.last_green:
        paths.append(manifest.last_green.manifest)
    return [PurePosixPath(path).parts[1] for path in paths]


def _prune(target: Target, kept: set[str]) -> None:
    """Delete all runs but those kept; the one before is kept too: a reader may have just read the older manifest."""
    for folder in (target.path / "runs").iterdir():
        if folder.name not in kept and _ours(folder):
            _delete(target, folder)


def _delete(target: Target, folder: Path) -> None:
    """Rename a folder, then delete it, so that a half-deleted run never has a run's name."""
    doomed = targets.temporary(target)
    folder.rename(doomed)
    remove(doomed)


def _ours(folder: Path) -> bool:
    try:
        return bool(msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest).format == FORMAT)
    except (OSError, *UNREADABLE):
        return False


def _inside(path: Path, manifest: Manifest) -> None:
    named = [file.path for entry in manifest.tables.values() for file in entry.files]
    for name in [*named, *([manifest.last_green.manifest] if manifest.last_green else [])]:
        parts = PurePosixPath(name).parts
        if len(parts) < 3 or parts[0] not in ("runs", increments.FOLDER) or ".." in parts:
            raise _not_ours(path, f"it names {name}")


def _not_ours(path: Path, why: str) -> FixInput:
    return FixInput(
        f"{path} is not a manifest of Flexsync's: {why}.", remedy="Give another folder, or move that file away."
    )
