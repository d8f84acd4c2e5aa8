"""Reading by offset: servers without the filter language, and a microsecond with more rows than `not_in` can name.

Rows can leave meanwhile (an update, an archive), and each one shifts the rest down by one. So each page begins in the
middle of the one before, by the rows that this one held, never by the limit that was asked for; and where the server
counts, the unread rows stay the last ones: a page that starts beyond the first of them is asked for again, further
down. The end is an answer that adds nothing to the page before it, while the total is not higher.

Promised: no step relies on a page size. Never done: I/O; sorting.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from connector.api.calls import Call
from connector.pull.page import Found, Page, PageSize, Position, Send, ask_sized

__all__ = ["read_on", "walk_by_offset"]

Ask = Callable[[int], Awaitable[Found]]  # offset -> page


async def walk_by_offset(
    name: str,
    make: Callable[[int, int], Call],
    send: Send,
    start: Position | None = None,
    size: PageSize | None = None,
) -> AsyncGenerator[Page, None]:
    """Walk a whole listing by offset (design section 4, old servers).

    Args:
        name: for messages.
        make: limit, offset -> Call; the oldest rows must come first.
        send: makes one call.
        start: the position of an interrupted walk.
        size: the limit, shared by all walks of a run.

    Yields:
        Pages; the last one's position is `done`. A page repeats half of the one before.
    """
    asked = size or PageSize()

    async def ask(offset: int) -> Found:
        return await ask_sized(name, lambda rows: make(rows, offset), send, asked)

    position = start or Position(step="crowd")
    while not position.done:
        page = await read_on(ask, position)
        position = page.position
        yield page


async def read_on(ask: Ask, position: Position) -> Page:
    """Read the page that follows a position by offset.

    Args:
        ask: offset -> page.
        position: its `open` holds the ids of the page before.

    Returns:
        The page; its position is `done` when all rows were read.
    """
    offset = position.offset
    found = await ask(offset)
    while position.left is not None and found.total is not None and offset > max(0, found.total - position.left):
        offset = max(0, found.total - position.left - max(1, found.length // 2))
        found = await ask(offset)
    return Page(found.reply, found.ids, found.total, _after(position, found, offset), misfits=found.misfits)


def _after(position: Position, found: Found, offset: int) -> Position:
    end = offset + found.length
    missing = max(0, (found.total or 0) - end)
    new = set(found.ids) - set(position.open or ())
    if not new and not missing and (found.total is not None or not found.length):
        return Position(position.after, done=True)
    if found.length:
        left = None if found.total is None else missing
        return Position(position.after, found.ids, "crowd", offset + max(1, found.length // 2), left)
    if position.idle:  # the server counts rows that it does not send
        return Position(position.after, lacking=missing, done=True)
    return Position(position.after, position.open, "crowd", offset, position.left, idle=1)
