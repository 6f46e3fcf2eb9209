"""That an association which sent images has ended, and how: one fact in the outbox for the whole association.

For: gathering which studies an association stored, and stating its end (``association_ended/1``, `pacs.contracts`). Not
for: what follows from it (`oncall` decides), or the association's line in the log.

Invariants: nothing is written for an image; the fact is stated after all images of the association are found, so that
whoever reads the outbox in order hears of them first; a fact that cannot be stated is logged and lost: those who wait
for it have a quiet period beside it.

Source: PS3.8 9.3 (A-RELEASE and A-ABORT).
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Protocol

from sqlalchemy import select

from foundation import log, outbox
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Unavailable
from pacs.archive.schema import patient, study
from pacs.contracts import TOPIC_ASSOCIATION_ENDED

STUDIES_MAX: Final = 1024
"""Studies of one association that are told of: a migration sends more, and nobody waits for those."""


class Ending(StrEnum):
    """How an association ended that stored images."""

    RELEASED = "released"
    ABORTED = "aborted"
    """By the sender's A-ABORT between two messages: some programs end so."""
    CUT = "cut"
    """In any other way: inside a message, by a lost connection, a time-out, or an abort of ours."""


_BY_PEER: Final = "aborted_by_peer"


def ending_of(word: str, *, is_receiving: bool) -> Ending:
    """Return how an association ended.

    Parameters
    ----------
    word : str
        As its line in the log has it.
    is_receiving : bool
        A data set had been begun and not finished.
    """
    if word == Ending.RELEASED:
        return Ending.RELEASED
    return Ending.ABORTED if word == _BY_PEER and not is_receiving else Ending.CUT


class StudiesStored:
    """The Study Instance UIDs that one association stored, at most `STUDIES_MAX`; a set insertion for each image."""

    def __init__(self) -> None:
        self._raw: set[bytes] = set()

    def add(self, study_instance_uid: bytes) -> None:
        """Note the study of an image: the element's value as sent."""
        if len(self._raw) < STUDIES_MAX:
            self._raw.add(study_instance_uid)

    @property
    def uids(self) -> list[str]:
        """The UIDs, sorted."""
        return sorted({raw.decode("ascii", "replace").strip(" \0") for raw in self._raw} - {""})


class TellEnd(Protocol):
    """States the end of an association that stored images."""

    def __call__(self, calling_aet: str, study_instance_uids: Collection[str], ending: Ending) -> None:
        """State it; never raises."""


class AssociationFacts:
    """States ends of associations in the outbox; used from many threads.

    Parameters
    ----------
    database : Database
        The index, which says whose the studies are.
    clock : Clock
        When it is stated.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def __call__(self, calling_aet: str, study_instance_uids: Collection[str], ending: Ending) -> None:
        """State the end of an association; see `TellEnd`."""
        whose = (
            select(study.c.study_instance_uid, patient.c.issuer)
            .join(patient, patient.c.patient_pk == study.c.patient_pk)
            .where(study.c.study_instance_uid.in_(sorted(study_instance_uids)))
            .order_by(study.c.study_pk)
        )
        try:
            with self._database.write() as connection:
                studies = [
                    {"issuer": row.issuer, "study_instance_uid": row.study_instance_uid}
                    for row in connection.execute(whose)
                ]
                fact = {
                    "calling_aet": calling_aet,
                    "studies": studies,
                    "is_released": ending is Ending.RELEASED,
                    "how": ending.value,
                }
                now_s = self._clock.now().timestamp()
                outbox.append(connection, TOPIC_ASSOCIATION_ENDED, fact, created_at_s=now_s)
        except Unavailable as error:
            log.warning("association_end_not_stated", calling_aet=calling_aet, reason=str(error))


def tell_nobody(calling_aet: str, study_instance_uids: Collection[str], ending: Ending) -> None:
    """State nothing: an archive without anybody who waits for images."""
    del calling_aet, study_instance_uids, ending
