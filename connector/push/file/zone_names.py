"""The names of time zones, and the zone that a spelling or a city certainly means.

Promised: a zone is meant by its own name in another spelling, or by a city's. Never done: reading an offset, because
Etc/GMT+1 is an hour behind UTC and GMT+1 an hour ahead; taking a state, a region or a base for a city, or a city that
shares its name with one in another zone.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib.resources import files

__all__ = ["city_zone", "is_offset", "zone_meant", "zones"]

_AREAS = frozenset(
    ("Africa", "America", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)  # not Antarctica, whose bases are called like people, nor Etc, US, Canada, Brazil, Mexico and Chile
_REGIONS = frozenset(
    ("act", "knox_in", "lhi", "north", "nsw", "queensland", "samoa", "south", "tasmania", "victoria", "virgin")
)
_SHARED = frozenset(
    (
        "antigua", "belem", "chatham", "christmas", "currie", "easter", "halifax", "johnston", "kanton", "la_paz",
        "mahe", "merida", "midway",
        "montserrat", "nassau", "norfolk", "perth", "resolute", "santa_isabel", "santarem", "santiago", "st_johns",
        "st_thomas", "stanley", "tripoli", "wake", "wallis",
    )
)  # fmt: skip
"""Places of which a town, a county or a canton in another zone has the name."""
_OFFSET = re.compile(r"[+\u2212-] ?[0-9]")


class _Zones(dict[str, str]):
    """Folded name → name; `in` asks for the exact name."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name.casefold()) == name


@cache
def zones() -> dict[str, str]:
    """Every IANA zone of the tzdata package, by its folded name; `in` asks for the exact name.

    The machine's own list is not used: it may be older than the server's, or contain names that are not zones.
    """
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return _Zones({name.casefold(): name for name in names if name != "Factory"})


def zone_meant(text: str) -> str:
    """The zone of that spelling, or of that city; "" where it is not certain."""
    wanted = _folded(text)
    return zones().get(wanted) or ("" if wanted in _SHARED else city_zone(wanted))


def city_zone(text: str) -> str:
    """The zone of a city, which may share its name with another one; "" for none."""
    return _cities().get(_folded(text), "")


def is_offset(text: str) -> bool:
    """Whether a text says how far from UTC a place is, and so names no place."""
    return _OFFSET.search(text) is not None and text not in zones()


def _folded(text: str) -> str:
    return "/".join(part.strip() for part in text.split("/")).casefold().replace(" ", "_")


@cache
def _cities() -> dict[str, str]:
    """Folded city → zone, of the cities of continents and oceans that are the last part of one zone only."""
    names = [name.split("/") for name in zones().values()]
    ends = Counter(parts[-1] for parts in names if len(parts) > 1)
    found = {
        parts[1].casefold(): "/".join(parts)
        for parts in names
        if len(parts) == 2 and parts[0] in _AREAS and ends[parts[1]] == 1
    }
    return {city: name for city, name in found.items() if city not in _REGIONS}
