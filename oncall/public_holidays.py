"""French public holidays by day and commune: the same radiologist may work a holiday for one hospital only.

The eleven national days (Code du travail L.3133-1), those of Alsace-Moselle (L.3134-13) and the commemoration of the
abolition of slavery overseas (L.3422-2) are law for this module; the library `holidays` computes the movable feasts
and names them. It is not followed where it leaves the law: days by custom only (mid-Lent, Good Friday and Schoelcher in
the Antilles), and 28 May for Saint-Martin, where L.3422-2 says the 27th and a circular of 2018 allows the 28th. For
collectivities with labour law of their own (New Caledonia, French Polynesia, Wallis and Futuna) it is followed.

Limit: Good Friday is a holiday in the communes of Alsace-Moselle that have a Protestant temple or a mixed church; every
commune of 57, 67 and 68 is taken for one.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

import holidays

from foundation.errors import PeerError

_COMMUNE: Final = re.compile(r"(?:\d{2}|2[AB])\d{3}")
_ALSACE_MOSELLE: Final = frozenset({"57", "67", "68"})
_ALSACE_MOSELLE_SUBDIVISION: Final = "57"
# L.3422-2: month and day, by the first three digits of the commune.
_ABOLITION: Final = {
    "971": (5, 27),
    "972": (5, 22),
    "973": (6, 10),
    "974": (12, 20),
    "976": (4, 27),
    "977": (10, 9),
    "978": (5, 27),
}
_ABOLITION_NAMES: Final = ("Abolition de l'esclavage", "Abolition of Slavery")
# Collectivities whose own labour law adds days: the library's list is followed.
_OWN_LAW: Final = {"986": "WF", "987": "PF", "988": "NC"}
# A timeline looks at few communes and years again and again.
_YEARS_CACHED_MAX: Final = 1024


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Holiday:
    """A public holiday of one commune; two feasts on one day are one holiday with both names."""

    day: date
    name_fr: str
    name_en: str


def is_commune(code: str) -> bool:
    """Tell whether a text has the form of an INSEE commune code: two digits (or 2A, 2B) and three digits."""
    return _COMMUNE.fullmatch(code) is not None


def is_public_holiday(day: date, commune: str) -> bool:
    """Tell whether a local calendar day is a public holiday in the commune of that INSEE code.

    Raises
    ------
    PeerError
        If the code is not an INSEE commune code: two digits (or 2A, 2B) and three digits.
    """
    return day in _days_of(day.year, commune)


def holidays_of(year: int, commune: str) -> tuple[Holiday, ...]:
    """Return a year's public holidays in the commune of that INSEE code, in order.

    Raises
    ------
    PeerError
        If the code is not an INSEE commune code.
    """
    return tuple(_days_of(year, commune).values())


@lru_cache(maxsize=_YEARS_CACHED_MAX)
def _days_of(year: int, commune: str) -> dict[date, Holiday]:
    if not is_commune(commune):
        message = f"{commune!r} is no INSEE commune code: two digits (or 2A, 2B) and three digits, such as 42218"
        raise PeerError(message)
    department, collectivity = commune[:2], commune[:3]
    subdivision = _ALSACE_MOSELLE_SUBDIVISION if department in _ALSACE_MOSELLE else _OWN_LAW.get(collectivity)
    french = holidays.country_holidays("FR", subdiv=subdivision, years=year, language="fr")
    english = holidays.country_holidays("FR", subdiv=subdivision, years=year, language="en_US")
    found = {day: Holiday(day=day, name_fr=name, name_en=english[day]) for day, name in french.items()}
    if collectivity in _ABOLITION:
        day = date(year, *_ABOLITION[collectivity])
        names = _ABOLITION_NAMES
        if day in found:
            names = (f"{found[day].name_fr}; {names[0]}", f"{found[day].name_en}; {names[1]}")
        found[day] = Holiday(day=day, name_fr=names[0], name_en=names[1])
    return dict(sorted(found.items()))
