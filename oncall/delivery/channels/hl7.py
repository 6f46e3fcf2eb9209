"""Reports as HL7 messages: the port that an interface to a hospital fills in, and what its answers mean.

For: what is handed over, and by which id the other end recognises it. Not for: segments or MLLP.

The contract: `Hl7Port.hand_over` gives one report to a destination under a message control id (MSH-10) that is always
the same for the same delivery. It returns the code of the application acknowledgement (MSA-1, HL7 2.5.1 2.9.2): AA or
CA is the only success, AE and AR (CE, CR) are refusals; it raises `Unavailable` when there was no answer.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from foundation.errors import Unavailable
from oncall.case.event import CaseId
from oncall.delivery.channels.port import Parcel
from oncall.delivery.documents import DocumentKind, NotDescribed
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.queue import Arrived, NotArrived, Outcome
from oncall.report.version import VersionKind

CONTROL_ID_CHARACTERS: Final = 20
"""Of MSH-10 in HL7 2.5.1."""

_TAKEN: Final = frozenset({"AA", "CA"})
_REFUSED: Final = frozenset({"AE", "AR", "CE", "CR"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Hl7Report:
    """What an ORU message is made of: the text and the PDF of a version, and what it is to those before it."""

    destination: str
    control_id: str
    case_id: CaseId
    version: int
    kind: VersionKind
    text: str
    pdf: bytes


class NoDestination(Unavailable):
    """The directory names a destination that this node does not have."""


class Hl7Port(Protocol):
    """An interface to hospitals' systems."""

    def hand_over(self, report: Hl7Report) -> str:
        """Give a report to its destination; return MSA-1.

        Raises
        ------
        NoDestination
            If there is no such destination.
        oncall.delivery.documents.NotDescribed
            If it is not certain whose the report is.
        foundation.errors.Unavailable
            If nobody answered: the same report is handed over again later.
        """


class Hl7Way:
    """The channel `DeliveryChannel.HL7`: arrived when the hospital's system accepted it."""

    channel: Final = DeliveryChannel.HL7

    def __init__(self, port: Hl7Port) -> None:
        self._port = port

    def deliver(self, parcel: Parcel) -> Outcome:
        """Hand it over and say what the answer means."""
        delivery, documents = parcel.delivery, parcel.documents()
        report = Hl7Report(
            destination=delivery.address,
            control_id=delivery.delivery_id[:CONTROL_ID_CHARACTERS],
            case_id=delivery.case_id,
            version=delivery.version,
            kind=delivery.kind,
            text=documents[DocumentKind.PLAIN_TEXT].decode(),
            pdf=documents[DocumentKind.PDF],
        )
        try:
            code = self._port.hand_over(report)
        except NotDescribed as error:
            return NotArrived(reason=error.reason)
        except NoDestination:
            return NotArrived(reason="unknown_destination")
        except Unavailable:
            return NotArrived(reason="no_answer")
        if code in _TAKEN:
            return Arrived(reference=report.control_id)
        return NotArrived(reason=f"refused_{code}" if code in _REFUSED else "not_understood")
