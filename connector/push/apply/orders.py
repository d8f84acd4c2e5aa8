"""How a plan is carried out: how many rows at once, how patiently, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Orders", "Pace"]


@dataclass(frozen=True)
class Pace:
    """How many rows at once, and how patiently.

    Attributes:
        batch: rows that are checked together: few, so that the time between check and write is short.
        window: seconds between the check and the sending of a write, at most; a later write is checked again. It grows
            only where a single row comes too late, because then the requested pace leaves no other way.
        looks: seconds before each look at a row that is not as expected, because a replica may lag: ten in all.
    """

    batch: int = 100
    window: float = 1.0
    looks: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 3.25)


@dataclass(frozen=True)
class Orders:
    """How a plan is carried out.

    Attributes:
        onboarding: skip, run, or run:NAME: what a create says about the account's onboarding workflow.
        canary: stop once so many rows are settled, for a person to look at them; 0 for none.
        max_failures: stop after so many rows that failed or differ.
        pace: see `Pace`.
    """

    onboarding: str = "skip"
    canary: int = 0
    max_failures: int = 50
    pace: Pace = Pace()
