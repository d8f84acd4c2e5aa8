"""The account behind the key, and whether it is the one that a plan was made for.

Promised: a plan is never applied to another account than the one that was read. Never done: writing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from connector.api.client import Client
from connector.errors import FixInput
from connector.push.plan.planfile import Header
from connector.settings import Settings
from pipelines.progress import Progress

__all__ = ["Account", "check_environment"]


@dataclass(frozen=True)
class Account:
    """What a job needs to reach an account.

    Attributes:
        base_url: address of the API.
        open: makes a client; use it as an async context.
        require_key: raises `FixInput` where there is no key.
    """

    base_url: str
    open: Callable[[], Client]
    require_key: Callable[[], object]

    @classmethod
    def of(cls, settings: Settings, progress: Progress) -> Account:
        """The account that settings describe; `progress` hears of every call, and of waits."""
        client = partial(Client, settings, on_call=progress.called, on_wait=progress.waited)
        return cls(settings.api.base_url, client, settings.require_key)

    def check_address(self, header: Header) -> None:
        """Make sure that a plan was made at this address. Raises `FixInput`."""
        if header.base_url != self.base_url:
            raise FixInput(
                f"The plan is for {header.base_url}, settings say {self.base_url}.",
                remedy="Use the same base_url (--config, --profile or FLEXPRICE_BASE_URL as for the plan),"
                " or plan again.",
            )


def check_environment(header: Header, environment: str, *, begun: bool, left: int) -> None:
    """Make sure that a plan was made in the environment that the key opens.

    Args:
        header: of the plan.
        environment: id of the environment, "" where it has no customer and so does not say.
        begun: whether the plan's run has written anything.
        left: customers that it has not written yet.

    Raises:
        FixInput: it is another one, or may be another one.
    """
    if header.environment_id and environment and header.environment_id != environment:
        raise FixInput(
            f"The plan is for environment {header.environment_id}, the key opens {environment}.",
            remedy="Use the key that the plan was made with.",
        )
    if header.environment_id and not environment and left:
        raise FixInput(
            f"The plan is for environment {header.environment_id}; the key opens an account without any customer.",
            remedy="Use the key that the plan was made with, or plan again.",
        )
    if environment and not header.environment_id and not begun:
        raise FixInput(
            "The plan was made when the account had no customer, and now it has some.",
            remedy="Plan again: it may be another account, or somebody has begun to fill it.",
        )
