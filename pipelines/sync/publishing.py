"""Publishing after a run: every target that the settings name.

Promised: what cannot be published is reported before the run, not after it. Never done: publishing a run that ended
with an error.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from connector.clock import Clock, exact_now
from connector.errors import FixInput
from connector.publications import contents, targets
from connector.publications.publish import publish
from connector.settings import History, Privacy
from connector.settings import Sync as SyncSettings
from connector.store import endings
from connector.store.store import Store
from pipelines.summary import Report


def check_targets(names: tuple[str, ...], store: Path, privacy: Privacy) -> None:
    """Check before a run that its publications can be written, and make their folders.

    Args:
        names: the targets, as ``KIND:PATH``.
        store: the working store.
        privacy: [privacy]: the columns to leave out.

    Raises:
        FixInput: a target or a column that cannot be, with the way out.
    """
    contents.excluded(privacy.exclude)
    _check_paths(names, store)
    for folder in [check_target(name, store) for name in names]:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FixInput(f"{folder} cannot be made: {error}.", remedy="Give a folder that can be written.") from error


def _check_paths(names: tuple[str, ...], store: Path) -> None:
    """Refuse two targets in one place, and what stands where the last green run of a target is kept."""
    parsed = [targets.parse(name) for name in names]
    paths = [target.path for target in parsed]
    taken = {store.resolve(), *paths}
    for name, target in zip(names, parsed, strict=True):
        if paths.count(target.path) > 1:
            raise FixInput(f"two publications would stand at {target.path}.", remedy=f"Correct {name}.")
        if target.kind == targets.DUCKDB and targets.green_copy(target.path) in taken:
            raise FixInput(
                f"{targets.green_copy(target.path)} is where the last green run of {name} is kept.",
                remedy="Give the other file another name.",
            )


def check_target(name: str, store: Path) -> Path:
    """Check a publication without writing anything.

    Args:
        name: the target, as ``KIND:PATH``.
        store: the working store.

    Returns:
        The folder that a sync puts the publication into. A sync makes it where it is missing, but makes none above it:
        a path that is wrong from there on is mistyped more often than not.

    Raises:
        FixInput: the target cannot be, with the way out.
    """
    target = targets.parse(name)
    folder = target.path.parent
    if target.path == store.resolve():
        raise FixInput(f"{name} is the working store itself.", remedy="Give the publication a name of its own.")
    targets.check(target)
    if not folder.parent.is_dir():
        raise FixInput(f"{folder.parent} does not exist.", remedy=f"Make the folder, or correct {name}.")
    if folder.exists() and not folder.is_dir():
        raise FixInput(f"{folder} is not a folder.", remedy=f"Correct {name}.")
    return folder


def publish_all(
    store: Store,
    settings: SyncSettings,
    privacy: Privacy,
    report: Report,
    clock: Clock = exact_now,
    history: History | None = None,
) -> list[str]:
    """Write every publication that the settings name, and list them in the report.

    A degraded run is published too, and marked as degraded, unless `publish_when` is "green". The last green run stays
    readable beside it, unless `keep_green` is false; so it does beside a green run that loaded only some resources
    (`--only`): that proves these, while the rows of the others may stem from a degraded run.

    Args:
        store: the open store.
        settings: [sync]: the targets, when to publish, and what to keep.
        privacy: [privacy]: the columns to leave out.
        report: of the run.
        clock: this machine's.
        history: [history]: how far back publications can be asked.

    Returns:
        The targets that were written.
    """
    if settings.publish_when == "green" and report.status != "green":
        return []
    now = clock()  # one moment for all, so that none of them is newer than another
    for target in settings.publish:
        since = reach(history or History(), target, now, store.facts(endings.newest))
        written = publish(
            store, target, privacy.exclude, keep_green=settings.keep_green, since=since, clock=lambda: now
        )
        report.published.append(target)
        if written.last_green and not written.run.proven:
            report.notes.append(f"{target}: the last green run, {written.last_green}, stays readable (sql --green)")
    return report.published


def reach(history: History, target: str, now: datetime, ended: datetime | None) -> datetime | None:
    """Return how far back a publication has to answer; None: as far as the store.

    Args:
        history: [history].
        target: as ``KIND:PATH``.
        now: by this machine's clock.
        ended: when the newest run ended: a clock that is ahead must not remove what is young.
    """
    before = history.since_in_duckdb if targets.parse(target).kind == targets.DUCKDB else history.since
    return before(min(now, ended or now))
