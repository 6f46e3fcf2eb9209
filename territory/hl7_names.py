"""What this node and the people it speaks of are called in HL7 messages.

For: headers to a destination, and people by the directory. Not for: what a message says.
"""

import hashlib
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import Person
from oncall.report_documents import person_name
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.segments_out import Organisation, Professional
from pacs.worklist.hl7.writing import Header
from territory.settings import Hl7

CONTROL_ID_CHARACTERS: Final = 20
"""Of MSH-10 in HL7 2.5.1."""


def header_to(
    hl7: Hl7, destination: Destination, message_type: tuple[str, str, str], control_id: str, at: datetime,
    zone: ZoneInfo, *, profile: tuple[str, ...] = (),
) -> Header:  # fmt: skip
    """Return the header of a message to a destination; `at` (UTC) is when what it tells of happened."""
    return Header(
        sending_application=hl7.application,
        sending_facility=hl7.facility,
        receiving_application=destination.application,
        receiving_facility=destination.facility,
        message_type=message_type,
        control_id=control_id,
        sent_at=at,
        zone=zone,
        profile=profile,
        processing_id=hl7.processing_id,
        character_set=destination.character_set,
    )


def control_id_of(*parts: str) -> str:
    """Return the one control id of what these parts name: the same however often it is made."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:CONTROL_ID_CHARACTERS]


def professional_of(name: str, rpps: str) -> Professional:
    """Return somebody by their plain name ("Dr Anne Martin") and RPPS number or ''."""
    family, given, _, prefix, _ = person_name.components(person_name.as_pn(name))
    return Professional(family=family, given=given, prefix=prefix, rpps=rpps)


def person_as_professional(person: Person | None) -> Professional | None:
    """Return somebody of the directory; None for nobody."""
    return None if person is None else professional_of(person.name, person.rpps or "")


def service_of(hl7: Hl7) -> Organisation:
    """Return who answers: the teleradiology service."""
    return Organisation(name=hl7.organisation or hl7.application, finess=hl7.finess)
