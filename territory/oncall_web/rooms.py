"""What the pages ask beside the desk, one object for each room of `oncall` that they show."""

from dataclasses import dataclass

from oncall.evidence.dossier import Sealed
from oncall.evidence.making import Evidence
from oncall.evidence.pages import pdf
from oncall.language import Language
from oncall.report.signing import Signer
from territory.oncall_web.delivery_room import DeliveryRoom
from territory.oncall_web.figures_room import FiguresRoom
from territory.oncall_web.order_room import OrderRoom
from territory.oncall_web.protocol_room import ProtocolRoom
from territory.oncall_web.report_room import ReportRoom
from territory.oncall_web.texts_events import event_words, reason_words
from territory.ups_web.room import WorkitemRoom


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceRoom:
    """Makes dossiers and prints them, signed by the node."""

    maker: Evidence
    signer: Signer

    def pdf(self, sealed: Sealed, language: Language) -> bytes:
        """Return a dossier as PDF/A that carries it."""
        return pdf(sealed, self.signer, language, _words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """The rooms."""

    reports: ReportRoom
    deliveries: DeliveryRoom
    evidence: EvidenceRoom
    figures: FiguresRoom
    orders: OrderRoom
    protocols: ProtocolRoom
    workitems: WorkitemRoom


def _words(word: str, language: Language) -> str:
    found = event_words(word, language.value)
    return found if found != word else reason_words(word, language.value)
