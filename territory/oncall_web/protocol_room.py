"""What the pages of protocols ask for: the library, what speaks against one for this patient, what was performed.

For: one place that case page, console page and interface use. Not for: sending (`doings_protocol`), or layout.
"""

import threading

from foundation.database import Database
from oncall.case.regions import ImagesState
from oncall.case.state import Case
from oncall.language import Language
from oncall.protocol import library
from oncall.protocol.cautions import Caution, PatientFacts, cautions
from oncall.protocol.comparison import Comparison, compare
from oncall.protocol.model import Protocol, SentProtocol
from oncall.protocol.payload import protocol_in_force
from oncall.protocol.performed import PerformedFacts


class ProtocolRoom:
    """Protocols for the pages.

    Parameters
    ----------
    performed : PerformedFacts
        Looks up what was performed; used by one thread at a time.
    """

    def __init__(self, database: Database, performed: PerformedFacts) -> None:
        self._database = database
        self._performed = performed
        self._turn = threading.Lock()

    def offered(self, case: Case, language: Language) -> tuple[Protocol, ...]:
        """Return the protocols in force, those that suit the case first."""
        with self._database.read() as connection:
            known = library.in_force(connection)
        return library.suited(
            (one.protocol for one in known.values()), exam=case.exam, modality=case.request.modality, language=language
        )

    def find(self, protocol_id: str, language: Language) -> Protocol | None:
        """Return a protocol in force, in this language or else in another."""
        with self._database.read() as connection:
            known = library.in_force(connection)
        found = [one.protocol for (name, _), one in known.items() if name == protocol_id]
        return next((one for one in found if one.language is language), found[0] if found else None)

    def cautions(self, protocol: Protocol | None, patient: PatientFacts) -> tuple[Caution, ...]:
        """Return what speaks against a protocol of the library for a patient; of one in words nothing is known."""
        if protocol is None:
            return ()
        return cautions(protocol.contrast, patient, is_unborn_exposed=protocol.is_unborn_exposed)

    def in_force(self, case: Case) -> SentProtocol | None:
        """Return the protocol that was sent last, or None."""
        return protocol_in_force(case)

    def comparison(self, case: Case) -> Comparison | None:
        """Return what has been seen of the protocol in force; None when it is in words, or nothing was performed."""
        asked = protocol_in_force(case)
        if asked is None or not asked.phases:
            return None
        with self._turn:
            done = self._performed(case.images.studies, case.request.request_id)
        if not done.series:
            return None
        return compare(asked, done.ended() if case.images.state is ImagesState.COMPLETE else done)
