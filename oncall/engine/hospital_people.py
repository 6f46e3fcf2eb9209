"""Who may take note for a hospital: its own people, by name, and nobody of the territory in their place.

For: refusing that a reader or a coordinator takes over what only a clinician can. Not for: who a session belongs to,
which whoever asks has settled (`Actor`).

Source: §1.7 (Cass. crim. 4 June 2013): the radiologist makes sure that the prescriber knows.
"""

from typing import Final

from foundation.errors import Refused
from oncall.case.event import Actor
from oncall.case.state import Case
from oncall.directory import Person, PersonId, Role
from oncall.engine.draft import Draft

_OF_THE_TERRITORY: Final = frozenset({Role.RADIOLOGIST, Role.COORDINATOR})


def ensure_of_hospital(draft: Draft, case: Case, who: str) -> None:
    """Refuse somebody whom the directory knows as a reader or coordinator and whom the hospital does not name.

    A name that the directory does not have is taken: nights have locums.

    Raises
    ------
    Refused
        With what to do instead.
    """
    person = _known(draft, who)
    if person is not None and not _is_of_hospital(draft, case, person):
        raise Refused("that person is not of this hospital: name the clinician there who takes note of it")


def ensure_taken_over(draft: Draft, case: Case, clinician: str, actor: Actor, *, read_back_by: str) -> None:
    """Refuse that somebody of the territory takes over, or says so for a clinician who has not read it back.

    Raises
    ------
    Refused
        With what to do instead.
    """
    ensure_of_hospital(draft, case, clinician)
    speaker = draft.rules.directory.persons.get(PersonId(actor.who))
    is_theirs = speaker is not None and not _is_of_hospital(draft, case, speaker)
    if is_theirs and clinician.strip() != read_back_by.strip():
        raise Refused("a clinician takes it over: let them say so, or record that they have read it back to you")


def _known(draft: Draft, who: str) -> Person | None:
    persons = draft.rules.directory.persons
    named = who.strip().casefold()
    found = persons.get(PersonId(who.strip()))
    return found or next((one for one in persons.values() if one.name.casefold() == named), None)


def _is_of_hospital(draft: Draft, case: Case, person: Person) -> bool:
    if person.role not in _OF_THE_TERRITORY:
        return True
    contacts = draft.rules.directory.sites[case.site_id].contacts
    return any(person.person_id in named for named in contacts.values())
