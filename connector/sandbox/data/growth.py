"""Usage that grows from day to day and begins anew when its window ends.

A window is what `current_period_start` and `next_usage_reset_at` say together (contract.md 6.1, 11); a NEVER feature
has one for ever. Promises that a figure never falls inside its window, and that what is used in a day follows from the
seed and the number of the day, not from the date. Never moves a period; `renewals` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from connector.sandbox.data.account import Account
from connector.sandbox.data.catalog import Group
from connector.sandbox.data.periods import next_reset
from connector.sandbox.data.sources import entities_of, sources_of
from connector.sandbox.data.subscriptions import LIVE
from connector.sandbox.data.usage import Meter, seeded_usage
from connector.sandbox.ids import mix
from connector.sandbox.replies import Json

__all__ = ["Growth"]

LENGTHS = {"DAILY": 1, "MONTHLY": 30, "NEVER": 400, "ANNUAL": 365}
"""Days in which a subscription uses about what `seeded_usage` says."""
WHOLE = ("COUNT", "COUNT_UNIQUE", "MAX")
"""Aggregations that count things."""
_context = Context(prec=60, rounding=ROUND_HALF_UP)

Key = tuple[int, str, str]  # row number of the subscription, feature, reset period
Window = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that can be read: what a subscription has used of a feature in the window that is open now."""

    key: Key
    window: Window
    group: Group
    used: Decimal


class Growth:
    """Lets usage grow; one for an account, made before its first day.

    Args:
        account: whose usage grows.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.windows: dict[Key, Window] = {}
        for figure in list(self._figures()):  # written, so that every answer for a subscription grows from one figure
            self._write(figure, figure.used)

    def grow(self, day: int) -> None:
        """Add what was used in a day to every figure; a figure whose window is new starts from nothing.

        Args:
            day: its number, the same on any date.
        """
        for figure in list(self._figures()):
            same = self.windows.get(figure.key) == figure.window
            self._write(figure, _context.add(figure.used if same else Decimal(0), self._added(figure, day)))

    def _write(self, figure: Figure, used: Decimal) -> None:
        row, feature_id, reset = figure.key
        self.account.apply("put_usage", row, feature_id, used, reset)
        self.windows[figure.key] = figure.window

    def _added(self, figure: Figure, day: int) -> Decimal:
        """What a day adds: nothing once in eight days, else up to twice an average day."""
        row, _, reset = figure.key
        noise = mix(mix(self.account.seed * 53 + row) ^ figure.group.feature.noise)
        bits = mix(noise + day)
        if bits & 7 == 0:
            return Decimal(0)
        usual = seeded_usage(noise, figure.group, list(figure.group.sources)) / LENGTHS[reset]
        thousandths = (bits >> 3) % 2000 + 1
        added = _context.quantize(usual * thousandths / 1000, Decimal("0.001"))
        if figure.group.aggregation not in WHOLE:
            return added
        return Decimal(int(added + Decimal((bits >> 16) % 1000) / 1000))  # a small figure grows on some days only

    def _figures(self) -> Iterator[Figure]:
        owners = dict.fromkeys(
            self.account.subscription(row)["customer_id"]
            for row, kind in enumerate(self.account.subscriptions.kinds)
            if kind in LIVE
        )
        for customer_id in owners:
            rows = sources_of(self.account, customer_id, ())
            for row in rows:
                yield from self._of(row, rows)

    def _of(self, row: int, rows: list[int]) -> Iterator[Figure]:
        """The figures of one subscription: by its own reset periods, and by those of all `rows` if it is the newest."""
        account, subscription = self.account, self.account.subscription(row)
        meter = Meter(account, row, subscription)
        together = account.catalog.groups(entities_of(account, rows)) if row == rows[0] else []
        shared = {group.feature.id: account.reset_of(group.resets) for group in together if group.metered}
        for group in account.catalog.groups(account.entities_of(row)):
            if group.metered:
                own = account.reset_of(group.resets)
                for reset in dict.fromkeys((own, shared.get(group.feature.id, own))):
                    if meter.counts(reset):
                        key = (row, group.feature.id, reset)
                        window = _window(reset, subscription, meter.anchor, account.now())
                        yield Figure(key, window, group, meter.used(group, reset))


def _window(reset: str, subscription: Json, anchor: int, now: int) -> Window:
    if reset == "NEVER":
        return "", None
    return subscription["current_period_start"], next_reset(reset, anchor, now, subscription["timezone"])
