"""What an answer says about the address and the key: errors that name the setting to change, and its value.

Promised: a 404 is blamed on the address only while it has never answered properly; afterwards it is about its call.
Never done: showing the key, I/O.
"""

from __future__ import annotations

from connector.api.answers import is_object
from connector.api.calls import Call
from connector.api.retries import LISTINGS
from connector.errors import AccessRefused, FixInput, KeyRefused, NotFound, SkipRow, StopRun, TryAgain
from connector.settings import DEFAULT_BASE_URL, Api

__all__ = ["located"]

Answered = StopRun | SkipRow | TryAgain


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
    listing = call.endpoint in LISTINGS and not call.about
    if isinstance(error, NotFound) and not worked and (listing or not is_object(body)):
        return FixInput(
            f"base_url {api.base_url} is not the address of a FlexPrice API: {error.message}",
            remedy=f"Correct --base-url, FLEXPRICE_BASE_URL or [api] base_url. It ends in /v1, as {DEFAULT_BASE_URL}.",
        )
    if isinstance(error, KeyRefused | AccessRefused):
        error.remedy += f" The variable of the key is {api.key_env}, base_url is {api.base_url}."
    return error
