"""Numbers come out of the directory, in the order in which a hospital is called."""

from dataclasses import replace

import pytest

from foundation.errors import Refused
from oncall.critical.calls import hospital_numbers, number_of
from oncall.directory import ContactDuty, Directory, PersonId, Role, SiteId
from tests.harness.small_territory import directory, person, without_contacts

NORTH = SiteId("north")


def with_senior() -> Directory:
    known = directory()
    north = known.sites[NORTH]
    contacts = {**north.contacts, ContactDuty.SENIOR: (PersonId("simone"), PersonId("emma"))}
    return replace(
        known,
        sites={**known.sites, NORTH: replace(north, contacts=contacts)},
        persons={**known.persons, PersonId("simone"): person("simone", Role.EMERGENCY_PHYSICIAN)},
    )


def test_a_hospital_is_called_at_its_physician_first_and_everybody_once() -> None:
    assert [one.person_id for one in hospital_numbers(with_senior(), NORTH)] == ["emma", "simone"]


def test_who_has_no_number_cannot_have_been_called() -> None:
    known = without_contacts(with_senior(), "emma")

    assert [one.person_id for one in hospital_numbers(known, NORTH)] == ["simone"]
    with pytest.raises(Refused, match="no number"):
        number_of(known, NORTH, PersonId("emma"))


def test_somebody_of_another_hospital_is_not_called_for_this_one() -> None:
    with pytest.raises(Refused, match="at this hospital"):
        number_of(directory(), NORTH, PersonId("edgar"))
