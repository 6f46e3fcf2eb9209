"""Public holidays are a property of (date, commune); the vectors are those of the domain notes (§1.8)."""

from datetime import date

import pytest

from foundation.errors import PeerError
from oncall.public_holidays import holidays_of, is_public_holiday

SAINT_ETIENNE, STRASBOURG, METZ, MULHOUSE, AJACCIO = "42218", "67482", "57463", "68224", "2A004"
OVERSEAS = {
    "97105": (5, 27),  # Basse-Terre, Guadeloupe
    "97209": (5, 22),  # Fort-de-France, Martinique
    "97302": (6, 10),  # Cayenne, Guyane
    "97411": (12, 20),  # Saint-Denis, La Réunion
    "97611": (4, 27),  # Mamoudzou, Mayotte
    "97701": (10, 9),  # Saint-Barthélemy
    "97801": (5, 27),  # Saint-Martin
}
EASTER_MONDAYS = {2026: (4, 6), 2027: (3, 29), 2028: (4, 17)}


def days(year: int, commune: str) -> set[tuple[int, int]]:
    return {(one.day.month, one.day.day) for one in holidays_of(year, commune)}


@pytest.mark.parametrize("year", EASTER_MONDAYS)
@pytest.mark.parametrize("commune", [SAINT_ETIENNE, AJACCIO])
def test_the_nation_has_the_eleven_days_of_the_labour_code(year: int, commune: str) -> None:
    ascension_and_pentecost = {2026: {(5, 14), (5, 25)}, 2027: {(5, 6), (5, 17)}, 2028: {(5, 25), (6, 5)}}
    fixed = {(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)}

    assert days(year, commune) == fixed | {EASTER_MONDAYS[year]} | ascension_and_pentecost[year]


@pytest.mark.parametrize(("year", "day"), [(2008, (5, 1)), (1997, (5, 8)), (2059, (5, 8)), (2070, (5, 8))])
def test_when_ascension_is_another_holiday_there_are_ten_days(year: int, day: tuple[int, int]) -> None:
    found = holidays_of(year, SAINT_ETIENNE)

    assert len(found) == 10
    (both,) = [one for one in found if (one.day.month, one.day.day) == day]
    assert "Ascension" in both.name_fr
    assert ";" in both.name_fr


@pytest.mark.parametrize("commune", [STRASBOURG, METZ, MULHOUSE])
def test_alsace_and_moselle_add_good_friday_and_saint_stephen(commune: str) -> None:
    assert days(2027, commune) - days(2027, SAINT_ETIENNE) == {(3, 26), (12, 26)}
    assert len(holidays_of(2027, commune)) == 13


@pytest.mark.parametrize(("commune", "day"), OVERSEAS.items())
def test_overseas_adds_the_day_of_its_abolition_of_slavery_and_no_other(commune: str, day: tuple[int, int]) -> None:
    assert days(2026, commune) - days(2026, SAINT_ETIENNE) == {day}
    assert days(2026, SAINT_ETIENNE) <= days(2026, commune)


def test_good_friday_in_the_antilles_is_a_custom_and_no_public_holiday() -> None:
    assert not is_public_holiday(date(2027, 3, 26), "97105")
    assert is_public_holiday(date(2027, 3, 26), STRASBOURG)


@pytest.mark.parametrize(
    ("commune", "day"),
    [
        pytest.param("98818", date(2026, 9, 24), id="Nouméa"),
        pytest.param("98735", date(2026, 11, 20), id="Papeete"),
        pytest.param("98613", date(2026, 7, 29), id="Wallis"),
    ],
)
def test_a_collectivity_with_its_own_labour_law_has_its_own_day(commune: str, day: date) -> None:
    assert is_public_holiday(day, commune)
    assert not is_public_holiday(day, SAINT_ETIENNE)


def test_the_same_day_may_be_a_holiday_in_one_hospital_and_a_workday_in_another() -> None:
    assert is_public_holiday(date(2026, 12, 26), STRASBOURG)
    assert not is_public_holiday(date(2026, 12, 26), SAINT_ETIENNE)


def test_days_come_in_order_with_names_in_both_languages() -> None:
    found = holidays_of(2026, SAINT_ETIENNE)

    assert list(found) == sorted(found)
    assert (found[0].name_fr, found[0].name_en) == ("Jour de l'an", "New Year's Day")


@pytest.mark.parametrize("code", ["", "4221", "422188", "2C004", "FR-42", "Saint-Étienne"])
def test_what_is_no_commune_is_refused_instead_of_having_no_holidays(code: str) -> None:
    with pytest.raises(PeerError, match="INSEE"):
        is_public_holiday(date(2026, 1, 1), code)
