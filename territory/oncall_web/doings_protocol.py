"""What each action about a protocol does, for somebody who may, like `doings`; and when its button is shown.

For: `actions`, the page of the protocol and the console's page. Not for: what a caution or a deviation is
(`oncall.protocol`).
"""

from oncall.case.commands import Context, Facts
from oncall.case.state import Case
from oncall.directory import PersonId
from oncall.language import Language
from oncall.protocol import commands
from oncall.protocol.commands import Signature, SignatureNeeded
from territory.oncall_web.access import May
from territory.oncall_web.doings import Call, FieldsWrong
from territory.oncall_web.offers import awaits_protocol

WORDS_CHARACTERS_MAX = 2_000
"""Of what a radiologist writes into a protocol: a page of the console."""


def send_protocol(call: Call) -> Case:
    """Answer the request with a protocol of the library, in words, or both."""
    values, room = call.values, call.site.rooms.protocols
    language = Language.ENGLISH if values["language"] == Language.ENGLISH.value else Language.FRENCH
    chosen = room.find(values["protocol_id"], language) if values["protocol_id"] else None
    if values["protocol_id"] and chosen is None:
        raise FieldsWrong({"protocol_id": "unknown_protocol"})
    if chosen is None and not values["text"]:
        raise FieldsWrong({"protocol_id": "protocol_empty"})
    known = call.site.desk.case(call.case_id)
    cautions = room.cautions(chosen, call.site.rooms.orders.patient_of(known, call.site.desk.now()))
    signature = Signature(reason=values["signature_reason"], clinician=values["signature_clinician"])

    def command(case: Case, context: Context) -> Facts:
        return commands.send(
            case,
            context,
            author=call.person_id,
            protocol=chosen,
            text=values["text"],
            cautions=cautions,
            signature=signature,
            reason=values["protocol_reason"],
        )

    try:
        return call.execute(command)
    except SignatureNeeded:
        empty = [name for name in ("signature_reason", "signature_clinician") if not values[name]]
        raise FieldsWrong(dict.fromkeys(empty, "signature_needed")) from None


def ask(call: Call) -> Case:
    """The radiographer asks something about the protocol."""
    question, radiographer = call.values["question"], call.values["radiographer"]
    return call.execute(lambda case, context: commands.ask(case, context, question=question, radiographer=radiographer))


def answer(call: Call) -> Case:
    """The radiologist answers the oldest open question."""
    reply = call.values["answer"]
    return call.execute(lambda case, context: commands.answer(case, context, reply=reply, person_id=call.person_id))


def justify(call: Call) -> Case:
    """Radiologist or radiographer says why a deviation is right."""
    values = call.values
    is_reader = May.READ in call.holder.may and not values["radiographer"]
    person_id = PersonId(call.holder.who) if is_reader and not call.holder.is_anybody else None
    return call.execute(
        lambda case, context: commands.justify(
            case,
            context,
            deviation_id=values["deviation_id"],
            reason=values["reason"],
            person_id=person_id,
            radiographer=values["radiographer"],
        )
    )


def never_on_the_page(case: Case, me: PersonId | None) -> bool:
    """It has a page of its own."""
    return False


def may_ask(case: Case, me: PersonId | None) -> bool:
    """The exam is to be made."""
    return awaits_protocol(case, me) and case.request.submitted_at is not None


def has_question(case: Case, me: PersonId | None) -> bool:
    """A question about the protocol is open."""
    return case.is_open and case.protocol.open_questions > 0


def open_deviations(case: Case) -> tuple[str, ...]:
    """Return the ids of the deviations that nobody has justified."""
    return tuple(one for one in case.protocol.deviations if one not in case.protocol.deviations_justified)


def has_deviation(case: Case, me: PersonId | None) -> bool:
    """What was performed deviates, and nobody has said why."""
    return case.is_open and bool(open_deviations(case))
