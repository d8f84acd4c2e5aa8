"""Publishing after a run: every target that the settings name.

Promised: what cannot be published is reported before the run, not after it. Never done: publishing a run that ended
with an error.
"""

from __future__ import annotations

from pathlib import Path

from connector.errors import FixInput
from connector.publications import contents, targets
from connector.publications.publish import publish
from connector.settings import Privacy
from connector.settings import Sync as SyncSettings
from connector.store.store import Store
from pipelines.summary import Report


def check_targets(names: tuple[str, ...], store: Path, privacy: Privacy) -> None:
    """Check before a run that its publications can be written.

    Args:
        names: the targets, as ``KIND:PATH``.
        store: the working store.
        privacy: [privacy]: the columns to leave out.

    Raises:
        FixInput: a target or a column that cannot be, with the way out.
    """
    contents.excluded(privacy.exclude)
    parsed = [targets.parse(name) for name in names]
    taken = {store.resolve(), *(target.path for target in parsed)}
    for name, target in zip(names, parsed, strict=True):
        if target.path == store.resolve():
            raise FixInput(f"{name} is the working store itself.", remedy="Give the publication a name of its own.")
        if target.kind == targets.DUCKDB and targets.green_copy(target.path) in taken:
            raise FixInput(
                f"{targets.green_copy(target.path)} is where the last green run of {name} is kept.",
                remedy="Give the other file another name.",
            )
        if not target.path.parent.is_dir():
            raise FixInput(f"{target.path.parent} does not exist.", remedy=f"Make the folder, or correct {name}.")


def publish_all(store: Store, settings: SyncSettings, privacy: Privacy, report: Report) -> list[str]:
    """Write every publication that the settings name, and list them in the report.

    A degraded run is published too, and marked as degraded, unless `publish_when` is "green". The last green run stays
    readable beside it, unless `keep_green` is false.

    Args:
        store: the open store.
        settings: [sync]: the targets, when to publish, and what to keep.
        privacy: [privacy]: the columns to leave out.
        report: of the run.

    Returns:
        The targets that were written.
    """
    if settings.publish_when == "green" and report.status != "green":
        return []
    for target in settings.publish:
        written = publish(store, target, exclude=privacy.exclude, keep_green=settings.keep_green)
        report.published.append(target)
        if written.last_green and not written.run.green:
            report.notes.append(f"{target}: the last green run, {written.last_green}, stays readable (sql --green)")
    return report.published
