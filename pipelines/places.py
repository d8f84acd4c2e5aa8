"""Which copy a command reads that was told of none: that of the current folder, or that of the settings.

Promised: a store that is named is taken; what is taken instead is told; a folder's file chooses what is read, and never
where a key is sent. Never done: opening anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from connector.errors import FixInput
from connector.settings import Settings
from pipelines.remembered import SUFFIX, Last, path_of, read, store_of

__all__ = ["known", "same_address"]


def known(settings: Settings, *, named: bool) -> tuple[Settings, str]:
    """Choose the store and the publications to read, from what the last sync left.

    Args:
        settings: as loaded.
        named: a flag names the store, the settings file or what to read; then only publications are looked up.

    Returns:
        The settings with both, and a sentence about what was taken in place of the settings' own; "" if nothing was.
    """
    own = settings.sync.store
    if not named and not (own.exists() and own.resolve().parent == Path.cwd()):
        here = sorted(_here(), key=lambda found: found[1].run.seen, reverse=True)
        if here:
            (store, last), others = here[0], [str(store) for store, _ in here[1:]]
            besides = f"; {', '.join(others)} lie here too, --store chooses" if others else ""
            return _with(settings, store, last.publish), f"this is {store}, which {path_of(store)} names{besides}"
    last_own = read(own)
    if last_own is None or settings.sync.publish:
        return settings, ""
    return _with(settings, own, last_own.publish), ""


def same_address(settings: Settings) -> None:
    """Make sure that the settings call the server from which a store stems.

    Raises:
        FixInput: its last sync called another one.
    """
    last = read(settings.sync.store)
    if last is None or last.base_url in ("", settings.api.base_url):
        return
    config = f"--config {os.path.relpath(last.config)}" if last.config else f"--base-url {last.base_url}"
    profile = f" --profile {last.profile}" if last.profile else ""
    raise FixInput(
        f"the last sync of {settings.sync.store} called {last.base_url}, these settings call {settings.api.base_url}.",
        remedy=f"Give {config}{profile}, or name the store with --store to compare it with this server.",
    )


def _here() -> Iterator[tuple[Path, Last]]:
    """Yield the stores of the current folder of which there is something to read."""
    for path in Path().glob(f"*{SUFFIX}"):
        store = store_of(path)
        if store.exists() and (last := read(store)) is not None:
            yield store, last


def _with(settings: Settings, store: Path, publish: tuple[str, ...]) -> Settings:
    return msgspec.structs.replace(settings, sync=msgspec.structs.replace(settings.sync, store=store, publish=publish))
