"""The export of customers to a file, and the template of such a file.

Promised: the template never overwrites a file; an export appears whole or not at all. Never done: writing
to the account.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import partial
from pathlib import Path

from connector.api.client import Client
from connector.errors import FixInput
from connector.files import atomic_write
from connector.push.file import export
from connector.settings import Settings
from pipelines.runner import run

__all__ = ["export_customers", "write_template"]


def export_customers(
    settings: Settings,
    out: Path | None,
    write: Callable[[str], object],
    metadata: export.Metadata,
    *,
    bom: bool = False,
) -> int:
    """Write all published customers as a file that can be planned again.

    Args:
        settings: account.
        out: the file; None passes each record to `write`.
        write: receives text.
        metadata: columns, json or auto.
        bom: begin with a byte order mark, from which Excel recognises UTF-8.

    Returns:
        How many customers.

    Raises:
        FixInput: there is no key, or `out` cannot be written.
    """
    settings.require_key()
    client = partial(Client, settings)
    if out is None:
        write("\ufeff" * bom)
        return run(_export(client, write, metadata))
    with atomic_write(out) as file:
        file.write(codecs.BOM_UTF8 * bom)
        return run(_export(client, lambda text: file.write(text.encode("utf-8")), metadata))


async def _export(client: Callable[[], Client], write: Callable[[str], object], metadata: export.Metadata) -> int:
    count = -1  # the header
    async with client() as api:
        async for record in export.exported(api.send, metadata):
            write(record)
            count += 1
    return count


def write_template(out: Path) -> tuple[Path, Path]:
    """Write an empty file with every column, and one beside it that explains them. Returns both paths.

    Raises:
        FixInput: one of them exists: a person's file is not overwritten.
    """
    notes = out.with_suffix(".columns.txt")
    for path in (out, notes):
        if path.exists():
            raise FixInput(f"{path} exists.", remedy="Give another --out.")
    for path, text in ((out, export.template()), (notes, "\n".join(export.explained()) + "\n")):
        with atomic_write(path) as file:
            file.write(text.encode("utf-8"))
    return out, notes
