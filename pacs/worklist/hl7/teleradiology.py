"""The answer to a request by the ANS's flow 3: accepted, with the protocol of the exam, or refused, with the reason.

For: ORU^R01 with OBR-4 ``REPONSE_DEMANDE``. Not for: reports (`results_out`), or reading flows 1, 2 and 4
(`orders_in`, `complement_in`).

Invariants: an acceptance has at least one protocol; a refusal has none; the number of the request is said again as the
hospital wrote it.

References
----------
ANS volet Téléradiologie, HEAD e13d37a of its repository (13 March 2026), flux 3
"""

from dataclasses import dataclass
from typing import Final

from pacs.worklist.hl7 import codes
from pacs.worklist.hl7.codes import TlrObservation, TlrProcedure
from pacs.worklist.hl7.order_context import OrderContext
from pacs.worklist.hl7.segments_out import (
    Organisation,
    Professional,
    document,
    observation,
    organisation,
    pid,
    placer_of,
    professional,
)
from pacs.worklist.hl7.writing import Header, message, segment
from pacs.worklist.order import Order

MESSAGE_TYPE: Final = ("ORU", "R01", "ORU_R01")
ACCEPTED: Final = "OK"
REFUSED: Final = "OC"

_PROTOCOL: Final = (TlrObservation.PROTOCOL.value, "Protocole d'imagerie médicale", codes.TLR_OBSERVATIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """Yes, and how: the protocol in words, or as a document; at least one of the two."""

    text: str = ""
    pdf: bytes = b""

    def __post_init__(self) -> None:
        """Check that there is a protocol."""
        assert self.text or self.pdf, "an acceptance has a protocol (ORC-1 OK)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """No, and why, in words: clinical text."""

    motive: str


def answer(
    header: Header, order: Order, context: OrderContext, decision: Acceptance | Refusal, *,
    radiologist: Professional | None, service: Organisation,
) -> bytes:  # fmt: skip
    """Return the answer to a request.

    Parameters
    ----------
    header : Header
        With `MESSAGE_TYPE` and `codes.TLR_PROFILE`.
    radiologist : Professional or None
        Who has answered (médecin effecteur).
    service : Organisation
        The teleradiology service.
    """
    is_accepted = isinstance(decision, Acceptance)
    placer, who = placer_of(order, context), professional(radiologist)
    orc = segment(
        "ORC",
        {
            1: ACCEPTED if is_accepted else REFUSED,
            2: placer,
            12: who,
            16: "" if isinstance(decision, Acceptance) else ("", decision.motive),
            17: (codes.TELERADIOLOGY, "", codes.TLR_ORGANISATIONS),
            21: organisation(service),
        },
    )
    named = (TlrProcedure.ANSWER.value, codes.TLR_LABELS[TlrProcedure.ANSWER], codes.TLR_PROCEDURES)
    obr = segment("OBR", {2: placer, 4: named, 16: who})
    protocols = _protocols(decision) if isinstance(decision, Acceptance) else ()
    return message(header, (pid(order.patient, context), orc, obr, *protocols))


def _protocols(decision: Acceptance) -> tuple[str, ...]:
    found = []
    if decision.text:
        found.append(observation(1, "FT", _PROTOCOL, decision.text, status="F"))
    if decision.pdf:
        # OBX-5.2 is TEXT in the specification's table, whatever the document; its subtype says what it is.
        value = document(decision.pdf, "TEXT", "PDF")
        found.append(observation(len(found) + 1, "ED", _PROTOCOL, value, status="F"))
    return tuple(found)
