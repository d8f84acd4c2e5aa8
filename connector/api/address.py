"""What an answer says about the address and the key: errors that name the setting to change, and its value.

Promised: a 404, or a 200 with foreign JSON, is blamed on the address only while it has never answered properly;
afterwards it is about its call.
Never done: showing the key, I/O.
"""

from __future__ import annotations

import msgspec

from connector.api.answers import describe, is_object
from connector.api.calls import Call
from connector.api.retries import LISTINGS
from connector.errors import AccessRefused, FixInput, KeyRefused, NotFound, SkipRow, StopRun, TryAgain
from connector.settings import DEFAULT_BASE_URL, Api

__all__ = ["located", "not_flexprice", "require_page"]

Answered = StopRun | SkipRow | TryAgain


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]


_page = msgspec.json.Decoder(_Page)


def not_flexprice(api: Api, why: str) -> FixInput:
    """Return the error for an address at which something else than FlexPrice answers; `why` is a sentence."""
    return FixInput(
        f"base_url {api.base_url} is not the address of a FlexPrice API: {why}",
        remedy=f"Correct --base-url, FLEXPRICE_BASE_URL or [api] base_url. It ends in /v1, as {DEFAULT_BASE_URL}.",
    )


def require_page(call: Call, body: bytes, api: Api) -> None:
    """Make sure that the first answer of an address is FlexPrice's, where that can be told: every listing has `items`.

    Args:
        call: the call that was answered.
        body: a JSON object (contract.md 3.2).
        api: [api]: the address.

    Raises:
        FixInput: a listing was answered with something else.
    """
    if _lists(call):
        try:
            _page.decode(body)
        except msgspec.ValidationError as error:
            raise not_flexprice(api, f"{describe(call)}: the answer is not a page: {error}.") from None
        except (msgspec.DecodeError, RecursionError):  # a lone surrogate, or a deep row: that row is at fault
            return


def _lists(call: Call) -> bool:
    return call.endpoint in LISTINGS and not call.about


def located(error: Answered, call: Call, body: bytes, api: Api, worked: bool) -> Answered | FixInput:
    """Return the error that names the address, where the answer is about that.

    Args:
        error: as `connector.api.answers.judge` returns it.
        call: the call that was answered.
        body: as received.
        api: [api]: the address, and the name of the key's variable.
        worked: whether the address ever answered properly.

    Returns:
        The same error, whose remedy names the variable and the address where the key or its rights were refused; or
        FixInput for a wrong address: FlexPrice has every listing, and says in JSON that it does not know a customer
        (contract.md 1.1, 2.4).
    """
    if isinstance(error, NotFound) and not worked and (_lists(call) or not is_object(body)):
        return not_flexprice(api, error.message)
    if isinstance(error, KeyRefused | AccessRefused):
        error.remedy += f" The key comes from {api.key_source}, base_url is {api.base_url}."
    return error
