"""Asking of a case's protocol: signatures, versions, questions, deviations; what is already so is not said twice."""

from dataclasses import replace

import pytest

from foundation.errors import Refused
from oncall.case import commands as case_commands
from oncall.case import matching
from oncall.case.event import CaseId
from oncall.case.log import MemoryCaseLog
from oncall.case.regions import ProtocolState
from oncall.case.vocabulary import EventType as E
from oncall.protocol import commands
from oncall.protocol.cautions import Caution
from oncall.protocol.commands import Signature, SignatureNeeded
from oncall.protocol.comparison import Deviation, DeviationKind
from oncall.protocol.payload import asked_in_words, protocol_in_force, sent_in
from tests.unit.oncall.case.cases import ANNE, BRUNO, Story, after, at, numbered_ids
from tests.unit.oncall.protocol.protocols import protocol, sent

ABDOMEN = protocol("ct-abdomen")
MISSING = Deviation(kind=DeviationKind.PHASE_MISSING, version=1, phase_id="portal", asked="Portal")


def told(minutes: float = 4) -> Story:
    """Return a case for which a protocol of the library was sent."""
    story = Story()
    story.opened()
    story.append(commands.send(story.case, at(minutes), author=ANNE, protocol=ABDOMEN, text="Oral water."), minutes)
    return story


def test_what_was_sent_is_read_back_whole_whatever_becomes_of_the_library() -> None:
    story = told()
    expected = sent("ct-abdomen", author=ANNE, sent_at=after(4), text="Oral water.")
    assert protocol_in_force(story.case) == expected
    assert sent_in(story.log.events(story.case_id)[-1]) == expected
    assert story.case.request.answered_at == after(4)


def test_a_protocol_sent_again_as_it_is_says_nothing_and_another_supersedes_it() -> None:
    story = told()
    assert commands.send(story.case, at(5), author=ANNE, protocol=ABDOMEN, text="Oral water.") == ()
    story.append(case_commands.acknowledge_protocol(story.case, at(5), version=1, radiographer="M. Petit"), 5)
    chosen = protocol("ct-mesenteric")
    story.append(commands.send(story.case, at(6), author=BRUNO, protocol=chosen, reason="lactate is high"), 6)
    found = protocol_in_force(story.case)
    assert found is not None
    assert (found.version, found.protocol_id, found.author, found.reason) == (
        2, "ct-mesenteric", BRUNO, "lactate is high",
    )  # fmt: skip
    assert story.case.protocol.acknowledged_at is None
    with pytest.raises(Refused, match="version 2 of the protocol is in force"):
        case_commands.acknowledge_protocol(story.case, at(7), version=1, radiographer="M. Petit")


def test_a_protocol_of_before_its_parts_were_kept_is_one_in_words() -> None:
    story = Story()
    story.opened()
    story.append(case_commands.send_protocol(story.case, at(4), author=ANNE, protocol_id="ct-1", text="Plain."), 4)
    found = protocol_in_force(story.case)
    assert found is not None
    assert (found.protocol_id, found.text, found.phases) == ("ct-1", "Plain.", ())


def test_a_protocol_says_something() -> None:
    story = Story()
    story.opened()
    with pytest.raises(Refused, match="one of the library, or says in words"):
        commands.send(story.case, at(4), author=ANNE, protocol=None)


@pytest.mark.parametrize(
    "signature", [None, Signature(reason="", clinician="Dr Roy"), Signature(reason="vital", clinician="")]
)
def test_what_needs_a_signature_is_not_sent_without_a_whole_one(signature: Signature | None) -> None:
    story = Story()
    story.opened()
    cautions = (Caution.EGFR_LOW, Caution.ALLERGY_UNKNOWN)
    with pytest.raises(SignatureNeeded) as refused:
        commands.send(story.case, at(4), author=ANNE, protocol=ABDOMEN, cautions=cautions, signature=signature)
    assert refused.value.cautions == (Caution.EGFR_LOW,)


def test_a_signature_is_recorded_with_what_it_is_for_in_the_same_step() -> None:
    story = Story()
    story.opened()
    facts = commands.send(
        story.case, at(4), author=ANNE, protocol=ABDOMEN, cautions=(Caution.EGFR_LOW, Caution.EGFR_UNKNOWN),
        signature=Signature(reason="occlusion, no alternative", clinician="Dr Roy"),
    )  # fmt: skip
    assert [one.type for one in facts] == [E.PROTOCOL_SENT, E.PROTOCOL_COUNTERSIGNED]
    assert facts[1].payload == {
        "reason": "occlusion, no alternative", "clinician": "Dr Roy", "person_id": ANNE, "version": 1,
        "cautions": ["egfr_low"],
    }  # fmt: skip


def test_what_is_only_unknown_asks_for_no_signature() -> None:
    story = Story()
    story.opened()
    cautions = (Caution.EGFR_UNKNOWN, Caution.PREGNANCY_UNKNOWN)
    facts = commands.send(story.case, at(4), author=ANNE, protocol=ABDOMEN, cautions=cautions)
    assert [one.type for one in facts] == [E.PROTOCOL_SENT]


def test_a_question_is_open_until_it_is_answered_or_another_version_is_sent() -> None:
    story = told()
    story.append(commands.ask(story.case, at(5), question="24 G only?", radiographer="M. Petit"), 5)
    assert (story.case.protocol.open_questions, story.case.protocol.questioned_at) == (1, after(5))
    story.append(commands.answer(story.case, at(6), reply="2 mL/s then", person_id=ANNE), 6)
    assert story.case.protocol.open_questions == 0
    with pytest.raises(Refused, match="no question"):
        commands.answer(story.case, at(7), reply="again", person_id=ANNE)
    story.append(commands.ask(story.case, at(7), question="Oral?", radiographer="M. Petit"), 7)
    story.append(commands.send(story.case, at(8), author=ANNE, protocol=ABDOMEN, text="Nothing oral."), 8)
    assert story.case.protocol.open_questions == 0


def test_a_console_that_is_given_a_version_replaced_since_delivers_nothing() -> None:
    story = told()
    story.append(commands.deliver(story.case, at(5), version=1, aet="CT1"), 5)
    assert story.case.protocol.state is ProtocolState.DELIVERED
    story.append(commands.send(story.case, at(6), author=ANNE, protocol=ABDOMEN), 6)
    assert commands.deliver(story.case, at(7), version=1, aet="CT1") == ()
    assert story.case.protocol.state is ProtocolState.SENT


def test_a_deviation_is_said_once_and_justified_once() -> None:
    story = told()
    story.append(commands.detect(story.case, at(9), MISSING, mpps_uid="1.2.77"), 9)
    assert commands.detect(story.case, at(9), MISSING) == ()
    assert commands.detect(story.case, at(9), replace(MISSING, version=2)) == ()
    name = MISSING.deviation_id
    story.append(commands.justify(story.case, at(10), deviation_id=name, reason="vomited", radiographer="M. Petit"), 10)
    assert (story.case.protocol.deviations_open, story.case.protocol.deviations_justified) == (0, (name,))
    assert commands.justify(story.case, at(11), deviation_id=name, reason="other", person_id=ANNE) == ()
    with pytest.raises(Refused, match="no such deviation"):
        commands.justify(story.case, at(11), deviation_id="1:kv_differs", reason="x")


def test_a_protocol_goes_with_its_request_to_the_case_that_has_the_study() -> None:
    log = MemoryCaseLog(numbered_ids())
    request_case = Story(log, CaseId("request"))
    request_case.opened(request_id="ORDER-1")
    request_case.append(commands.send(request_case.case, at(4), author=ANNE, protocol=ABDOMEN, text="Water."), 4)
    request_case.append(
        case_commands.acknowledge_protocol(request_case.case, at(5), version=1, radiographer="M. Petit"), 5
    )
    study_case = Story(log, CaseId("study"))
    study_case.opened(1)

    joined = matching.attach_request(study_case.case, request_case.case, at(6), reason="same")
    study_case.append(joined.target, 6)

    found = protocol_in_force(study_case.case)
    assert found is not None
    assert (found.protocol_id, found.text, found.phases) == ("ct-abdomen", "Water.", ABDOMEN.phases)
    assert study_case.case.protocol.state is ProtocolState.ACKNOWLEDGED
    assert study_case.case.request.answered_at == after(4)
    assert study_case.log.events(CaseId("study"))[-2].fact.payload["channel"] == matching.CARRIED


def test_what_was_asked_is_told_in_a_line_for_the_evidence() -> None:
    said = told().case.protocol.said["protocol"]
    assert asked_in_words(said).startswith("Acute abdomen / 1. Abdomen and pelvis, portal venous; start at 75 s")
    assert asked_in_words({"language": "fr"}) == "Protocole rédigé par le radiologue"
