"""What people and the engine ask of a case's protocol, as pure decisions, like `oncall.case.commands`.

For: sending a protocol with the signature that its cautions need, questions and answers, what the console was given,
deviations and their reasons. Not for: what deviates (`oncall.protocol.comparison`), or the states (`oncall.case`).

Invariants: a protocol with a caution that needs a signature is not sent without one: a reason, and the clinician with
whom it was agreed; the signature is recorded with it, in one step. What is already so is not said twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from foundation.errors import Refused
from oncall.case import commands
from oncall.case.commands import Context, Facts, possible, say
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.protocol.cautions import NEEDS_SIGNATURE, Caution
from oncall.protocol.comparison import Deviation
from oncall.protocol.model import Protocol, SentProtocol
from oncall.protocol.payload import asked_to_json, protocol_in_force

EMPTY = "a protocol is one of the library, or says in words what to do"


class SignatureNeeded(Refused):
    """A caution of the protocol needs a signature; ``cautions`` says which."""

    def __init__(self, cautions: Iterable[Caution]) -> None:
        self.cautions = tuple(cautions)
        super().__init__(
            f"this protocol needs a reason and the clinician with whom it was agreed: {', '.join(self.cautions)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """Why a protocol is sent in spite of its cautions: clinical text, and the clinician with whom it was agreed."""

    reason: str
    clinician: str


def send(
    case: Case,
    context: Context,
    *,
    author: PersonId,
    protocol: Protocol | None,
    text: str = "",
    cautions: Iterable[Caution] = (),
    signature: Signature | None = None,
    reason: str = "",
) -> Facts:
    """Answer the request with a protocol of the library, in words, or both; or supersede the one that was sent.

    The same protocol again says nothing.

    Raises
    ------
    SignatureNeeded
        If a caution asks for a signature and there is none.
    Refused
        If it says nothing, or the case's state does not allow it.
    """
    if protocol is None and not text:
        raise Refused(EMPTY)
    needing = [one for one in cautions if one in NEEDS_SIGNATURE]
    if needing and (signature is None or not signature.reason or not signature.clinician):
        raise SignatureNeeded(needing)
    sent = as_sent(protocol, text, author=author, context=context)
    known = protocol_in_force(case)
    if known is not None and replace(sent, version=known.version, sent_at=known.sent_at, reason=known.reason) == known:
        return ()
    facts = commands.send_protocol(
        case,
        context,
        author=author,
        protocol_id=sent.protocol_id,
        text=text or None,
        asked=asked_to_json(sent) or None,
        reason=reason or None,
    )
    if signature is None or not needing:
        return facts
    signed = context.fact(
        E.PROTOCOL_COUNTERSIGNED,
        reason=signature.reason,
        clinician=signature.clinician,
        person_id=author,
        version=facts[0].payload["version"],
        cautions=[one.value for one in needing],
    )
    return possible(case, *facts, signed)


def as_sent(protocol: Protocol | None, text: str, *, author: PersonId, context: Context) -> SentProtocol:
    """Return a protocol as it would be sent, without its version."""
    if protocol is None:
        return SentProtocol(version=0, author=author, sent_at=context.at, text=text)
    return SentProtocol(
        version=0,
        author=author,
        sent_at=context.at,
        title=protocol.title,
        modality=protocol.modality,
        language=protocol.language,
        protocol_id=protocol.protocol_id,
        library_version=protocol.version,
        text=text,
        codes=protocol.codes,
        phases=protocol.phases,
        contrast=protocol.contrast,
        preparation=protocol.preparation,
        instructions=protocol.instructions,
    )


def deliver(case: Case, context: Context, *, version: int, aet: str) -> Facts:
    """A console has been given this version with its worklist; once for each of them, and not of one replaced since."""
    if version != case.protocol.version or case.protocol.sent_at is None:
        return ()
    return say(case, context, E.PROTOCOL_DELIVERED_TO_CONSOLE, version=version, aet=aet)


def ask(case: Case, context: Context, *, question: str, radiographer: str) -> Facts:
    """The radiographer asks something about the protocol; it is open until it is answered or superseded."""
    version = case.protocol.version or None
    return say(case, context, E.PROTOCOL_QUESTION, question=question, radiographer=radiographer, version=version)


def answer(case: Case, context: Context, *, reply: str, person_id: PersonId) -> Facts:
    """The radiologist answers the oldest question that is open.

    Raises
    ------
    Refused
        If no question is open.
    """
    if not case.protocol.open_questions:
        raise Refused("no question about the protocol is open; send a new version to change it")
    return say(case, context, E.PROTOCOL_ANSWERED, answer=reply, person_id=person_id)


def detect(case: Case, context: Context, found: Deviation, *, mpps_uid: str = "") -> Facts:
    """What was performed deviates from what was asked; the same deviation is said once."""
    if found.deviation_id in case.protocol.deviations or found.version != case.protocol.version:
        return ()
    return say(
        case,
        context,
        E.PROTOCOL_DEVIATION_DETECTED,
        deviation=found.kind.value,
        deviation_id=found.deviation_id,
        version=found.version,
        phase_id=found.phase_id or None,
        asked=found.asked or None,
        performed=found.performed or None,
        series_instance_uid=found.series_instance_uid or None,
        mpps_uid=mpps_uid or None,
    )


def justify(
    case: Case,
    context: Context,
    *,
    deviation_id: str,
    reason: str,
    person_id: PersonId | None = None,
    radiographer: str = "",
) -> Facts:
    """Radiologist or radiographer says why a deviation is right; one that has a reason keeps its first.

    Raises
    ------
    Refused
        If there is no such deviation.
    """
    if deviation_id not in case.protocol.deviations:
        raise Refused("there is no such deviation; reload the page")
    if deviation_id in case.protocol.deviations_justified:
        return ()
    return say(
        case,
        context,
        E.PROTOCOL_DEVIATION_JUSTIFIED,
        reason=reason,
        deviation_id=deviation_id,
        version=case.protocol.version,
        person_id=person_id,
        radiographer=radiographer or None,
    )
