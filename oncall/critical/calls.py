"""Calls about a critical finding: whom a hospital can be called at, and what became of a call.

For: the number that was dialled, out of the directory, never typed with a patient in mind. Not for: telling the
finding, which is a communication with read-back (`oncall.case.commands_report`).

Invariant: no outcome of a call confirms anything; a message that was left is not a person who knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from foundation.errors import Refused
from oncall.directory import ChannelKind, ContactDuty, Directory, PersonId, SiteId


class CallOutcome(StrEnum):
    """What became of a call."""

    REACHED = "reached"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    WRONG_NUMBER = "wrong_number"
    LEFT_MESSAGE = "left_message"


@dataclass(frozen=True, kw_only=True, slots=True)
class HospitalNumber:
    """Somebody of a hospital who can be called, with the number in E.164."""

    person_id: PersonId
    name: str
    duty: ContactDuty
    number: str


_CALLED: tuple[ContactDuty, ...] = (
    ContactDuty.EMERGENCY_PHYSICIAN,
    ContactDuty.SENIOR,
    ContactDuty.ADMINISTRATOR_ON_DUTY,
    ContactDuty.NEUROLOGIST,
    ContactDuty.RADIOGRAPHER,
)


def hospital_numbers(directory: Directory, site_id: SiteId) -> Sequence[HospitalNumber]:
    """Return whom a hospital can be called at, in the order in which it is called; who has no number is not there."""
    contacts = directory.sites[site_id].contacts
    found: dict[PersonId, HospitalNumber] = {}
    for duty in _CALLED:
        for person_id in contacts.get(duty, ()):
            person = directory.persons.get(person_id)
            numbers = {} if person is None else {one.kind: one.address for one in reversed(person.contact_methods)}
            number = numbers.get(ChannelKind.VOICE) or numbers.get(ChannelKind.SMS)
            if person is not None and number:
                found.setdefault(
                    person_id, HospitalNumber(person_id=person_id, name=person.name, duty=duty, number=number)
                )
    return tuple(found.values())


def number_of(directory: Directory, site_id: SiteId, person_id: PersonId) -> HospitalNumber:
    """Return the number of one of the hospital's people.

    Raises
    ------
    Refused
        If the hospital does not name them, or they have no number.
    """
    for one in hospital_numbers(directory, site_id):
        if one.person_id == person_id:
            return one
    raise Refused("the directory has no number of that person at this hospital: correct the directory, or call another")
