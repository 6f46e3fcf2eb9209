"""What is asked of a case: who may, what is refused with which reason, what a repeated command says."""

from datetime import timedelta

import pytest

from foundation.errors import PeerError
from oncall.case import commands as ask
from oncall.case import commands_critical
from oncall.case import commands_report as report
from oncall.case.regions import (
    CriticalState,
    DeliveryState,
    IdentityState,
    ImagesState,
    ProtocolState,
    ReadingState,
    ReportState,
    RequestState,
    StudyKey,
)
from oncall.case.state import TransitionRefused
from oncall.case.vocabulary import EventType as E
from oncall.directory import SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from tests.unit.oncall.case.cases import ANNE, BRUNO, Story, after, at, request, whole_story

STUDY = StudyKey("ROANNE", "1.2.3")


def claimed() -> Story:
    story = Story()
    story.opened()
    story.complete()
    story.assigned()
    story.acknowledged()
    story.claimed()
    return story


def test_a_case_goes_from_request_to_an_acknowledged_report() -> None:
    case = whole_story().case

    assert (case.request.state, case.images.state, case.reading.state) == (
        RequestState.SUBMITTED,
        ImagesState.COMPLETE,
        ReadingState.DONE,
    )
    assert (case.report.state, case.delivery.state, case.is_open) == (ReportState.SIGNED, DeliveryState.CLOSED, False)
    assert case.delivery.acknowledged_by == "Dr Martin"
    assert case.report.signed_at == after(30)


def test_the_hour_begins_with_the_last_image_and_is_stored_with_its_policy() -> None:
    story = Story()
    story.opened()

    case = story.complete(10, target_s=1200.0)

    assert case.images.complete_at == after(10)
    assert case.images.deadline_at == after(70)
    assert case.images.target_at == after(30)
    assert (case.images.rule, case.images.deadline_policy) == ("button", "policy-1")


def test_images_complete_said_again_says_nothing() -> None:
    story = Story()
    story.opened()
    case = story.complete()

    assert ask.complete_images(case, at(50), rule="quiet_period") == ()


def test_a_target_of_the_request_is_kept_until_the_images_are_there() -> None:
    story = Story()
    story.opened(target_s=600.0)

    assert story.complete(10).images.target_at == after(20)


@pytest.mark.parametrize(("wished", "target"), [(15, 15), (65, 60), (90, 60)])
def test_triage_brings_the_target_nearer_and_never_past_where_it_was(wished: float, target: float) -> None:
    story = Story()
    story.opened()
    story.complete(0)

    facts = ask.triage(
        story.case, at(5), urgency=Urgency.P1, reason="deficit", target_at=after(wished), needs=SubSpecialty.NEURO
    )

    case = story.append(facts)
    assert (case.images.target_at, case.images.deadline_at) == (after(target), after(60))
    assert case.urgency is Urgency.P1


def test_a_request_that_comes_again_does_not_make_a_case_less_urgent() -> None:
    story = Story()
    story.opened(urgency=Urgency.P2)
    story.append(ask.triage(story.case, at(1), urgency=Urgency.P1, reason="deficit"))

    case = story.append(ask.submit(story.case, request(urgency=Urgency.P3), at(2)))

    assert (case.urgency, case.request.submitted_at) == (Urgency.P1, after(0))


def test_a_draft_takes_its_urgency_and_its_patient_from_the_request_that_is_submitted() -> None:
    story = Story()
    story.append(ask.open_from_draft(request(patient_key="", urgency=Urgency.P1), at(0)))

    case = story.append(ask.submit(story.case, request(urgency=Urgency.P3), at(2)))

    assert (case.urgency, case.request.submitted_at) == (Urgency.P3, after(2))
    assert (case.identity.state, case.patient_key) == (IdentityState.KNOWN, "key-1")


def test_a_request_that_comes_again_for_another_patient_blocks_the_identity() -> None:
    story = Story()
    story.opened()

    case = story.append(ask.submit(story.case, request(patient_key="key-2"), at(2)))

    assert (case.identity.state, case.patient_key) == (IdentityState.BLOCKED, "key-1")


def test_triage_down_leaves_the_target_where_it_is() -> None:
    story = Story()
    story.opened(urgency=Urgency.P1, exam=ExamKind.STROKE)
    story.complete(0, target_s=1200.0)

    case = story.append(ask.triage(story.case, at(5), urgency=Urgency.P3, reason="mimic"))

    assert (case.urgency, case.images.target_at) == (Urgency.P3, after(20))


def test_instances_after_complete_are_late_kept_and_restart_nothing() -> None:
    story = Story()
    story.opened()
    story.append(ask.receive_instances(story.case, STUDY, at(1), received=100, outbox_event_id=1))
    before = story.complete(10).images

    case = story.append(ask.receive_instances(story.case, STUDY, at(25), received=40, outbox_event_id=2))

    assert case.images.late_instances == 40
    assert case.images.late_since == after(25)
    assert (case.images.complete_at, case.images.deadline_at) == (before.complete_at, before.deadline_at)
    assert case.reading.state is ReadingState.QUEUED


def test_instances_that_were_told_of_are_not_counted_again() -> None:
    story = Story()
    story.opened()
    story.append(ask.receive_instances(story.case, STUDY, at(1), received=100, outbox_event_id=7))

    assert ask.receive_instances(story.case, STUDY, at(2), received=100, outbox_event_id=7) == ()


def test_a_withdrawn_request_whose_images_come_is_opened_again_for_somebody_to_look() -> None:
    story = Story()
    story.opened()
    story.append(ask.withdraw(story.case, at(2), motive="transfer"))
    assert not story.case.is_open

    case = story.complete(10)

    assert case.is_open
    assert case.is_ready
    assert [event.type for event in story.log.events(story.case_id)[-2:]] == [E.CASE_REOPENED, E.IMAGES_COMPLETE]


def test_a_refusal_after_the_exam_says_that_it_is_to_be_reported() -> None:
    story = Story()
    story.opened()
    story.append(ask.say(story.case, at(1), E.EXAM_STARTED))

    with pytest.raises(TransitionRefused, match="report it"):
        ask.refuse(story.case, at(2), motive="not indicated")


def test_only_the_reader_who_is_asked_acknowledges() -> None:
    story = Story()
    story.opened()
    story.complete()
    story.assigned(ANNE)

    with pytest.raises(TransitionRefused, match="another reader"):
        ask.acknowledge(story.case, BRUNO, at(12))


def test_an_answer_that_comes_after_the_case_went_elsewhere_is_refused() -> None:
    story = Story()
    story.opened()
    story.complete()
    story.assigned(ANNE)
    story.append(ask.assign(story.case, BRUNO, at(13), reason="silence"))

    with pytest.raises(TransitionRefused, match="another reader"):
        ask.acknowledge(story.case, ANNE, at(14))
    assert story.case.reading.assigned_to == BRUNO


def test_silence_is_not_recorded_of_somebody_who_has_answered() -> None:
    story = Story()
    story.opened()
    story.complete()
    story.assigned()
    story.acknowledged()

    with pytest.raises(TransitionRefused, match="there is no silence"):
        ask.record_silence(story.case, ANNE, at(16), silent_s=300.0)


def test_a_declined_case_goes_back_and_remembers_who_declined() -> None:
    story = Story()
    story.opened()
    story.complete()
    story.assigned()

    case = story.append(ask.decline(story.case, ANNE, at(12), reason="busy"))

    assert (case.reading.state, case.reading.assigned_to) == (ReadingState.QUEUED, None)
    assert case.reading.declined_by == {ANNE}


def test_a_claim_is_refused_to_a_second_reader_with_the_code_of_ups() -> None:
    with pytest.raises(TransitionRefused, match="C302"):
        ask.claim(claimed().case, BRUNO, at(14), transaction_uid="2.25.2")


def test_the_same_claim_again_says_nothing() -> None:
    assert ask.claim(claimed().case, ANNE, at(14), transaction_uid="2.25.1") == ()


def test_a_claim_of_somebody_elses_case_is_refused_until_it_is_reassigned() -> None:
    story = Story()
    story.opened()
    story.complete()
    story.assigned(ANNE)

    with pytest.raises(TransitionRefused, match="reassigned"):
        ask.claim(story.case, BRUNO, at(12), transaction_uid="2.25.2")


def test_who_opens_a_queued_case_has_it() -> None:
    story = Story()
    story.opened()
    story.complete()

    case = story.claimed(BRUNO, uid="2.25.9")

    assert (case.reading.assigned_to, case.reading.claimed_by) == (BRUNO, BRUNO)
    assert case.reading.acknowledged_at is not None


@pytest.mark.parametrize("change", [ask.park, ask.release])
def test_a_change_of_a_claim_needs_its_transaction_uid(change: object) -> None:
    assert callable(change)
    with pytest.raises(TransitionRefused, match="C301"):
        change(claimed().case, at(14), transaction_uid="2.25.2", reason="call")


def test_a_released_claim_is_replaced_by_another_work_item_and_its_uid_is_spent() -> None:
    story = claimed()

    case = story.append(ask.release(story.case, at(14), transaction_uid="2.25.1", reason="not mine"))

    assert (case.reading.state, case.reading.work_item) == (ReadingState.QUEUED, 2)
    assert case.reading.replaced_transaction_uids == ("2.25.1",)
    with pytest.raises(TransitionRefused, match="C301"):
        ask.claim(case, ANNE, at(15), transaction_uid="2.25.1")


def test_a_claimed_case_that_goes_to_another_reader_cancels_the_work_item_first() -> None:
    story = claimed()

    facts = ask.assign(story.case, BRUNO, at(20), reason="reader unavailable")

    assert [one.type for one in facts] == [E.ASSIGN_REVOKED, E.ASSIGN_MADE]
    assert facts[0].payload["replaced_transaction_uid"] == "2.25.1"
    reading = story.append(facts).reading
    assert (reading.assigned_to, reading.claimed_by, reading.work_item) == (BRUNO, None, 2)


def test_a_parked_case_stays_its_readers_and_is_resumed() -> None:
    story = claimed()
    parked = story.append(ask.park(story.case, at(14), transaction_uid="2.25.1", reason="priors"))
    assert (parked.reading.state, parked.reading.parked_reason) == (ReadingState.PARKED, "priors")

    resumed = story.append(ask.resume(story.case, at(15), transaction_uid="2.25.1"))

    assert (resumed.reading.state, resumed.reading.claimed_by) == (ReadingState.CLAIMED, ANNE)


def test_only_the_reader_who_has_opened_a_case_signs_it() -> None:
    with pytest.raises(TransitionRefused, match="only the reader"):
        report.sign(claimed().case, BRUNO, at(20), content_hash="h")


def test_a_signature_under_another_transaction_uid_than_the_claims_is_refused() -> None:
    story = claimed()

    with pytest.raises(TransitionRefused, match="C301"):
        report.sign(story.case, ANNE, at(20), content_hash="h", transaction_uid="2.25.9")
    signed = story.append(report.sign(story.case, ANNE, at(20), content_hash="h", transaction_uid="2.25.1"))

    assert signed.report.state is ReportState.SIGNED


def test_nobody_signs_a_case_that_nobody_has_opened() -> None:
    story = Story()
    story.opened()
    story.complete()

    with pytest.raises(TransitionRefused, match="open the case first"):
        report.sign(story.case, ANNE, at(20), content_hash="h")


def test_a_signed_report_is_not_signed_with_another_content() -> None:
    story = claimed()
    story.signed(content_hash="h1")

    assert report.sign(story.case, ANNE, at(31), content_hash="h1") == ()
    with pytest.raises(TransitionRefused, match="never changes"):
        report.sign(story.case, ANNE, at(31), content_hash="h2")


def test_nothing_is_signed_while_the_identity_is_blocked_but_a_finding_may_be_told() -> None:
    story = claimed()
    story.append(report.block_identity(story.case, at(14), reason="Patient ID is not the request's"))

    with pytest.raises(TransitionRefused, match="identity"):
        report.sign(story.case, ANNE, at(20), content_hash="h")
    told = story.append(report.communicate_finding(story.case, at(15), method="phone", recipient="Dr Martin"))
    assert told.report.first_communicated_at == after(15)

    story.append(report.correct_identity(story.case, at(21), patient_key="key-2", reason="bracelet read"))
    assert story.signed(minutes=22).report.signed_at == after(22)


def test_an_unidentified_patient_is_reconciled_later_with_clock_assignment_and_report_untouched() -> None:
    story = Story()
    story.opened(patient_key="", urgency=Urgency.P1, exam=ExamKind.WHOLE_BODY)
    assert story.case.identity.state is IdentityState.PROVISIONAL
    story.complete()
    story.assigned()
    story.claimed()
    story.signed()
    before = story.case

    case = story.append(report.correct_identity(before, at(300), patient_key="key-9", reason="family came"))

    assert (case.identity.state, case.patient_key) == (IdentityState.KNOWN, "key-9")
    assert (case.images, case.reading, case.report) == (before.images, before.reading, before.report)


def test_an_addendum_on_a_closed_case_opens_it_and_delivery_begins_again() -> None:
    story = whole_story()

    case = story.append(report.add_addendum(story.case, ANNE, at(60), content_hash="a", reason="late series"))

    assert case.is_open
    assert (case.delivery.state, case.delivery.acknowledged_at) == (DeliveryState.NONE, None)
    assert case.delivery.first_acknowledged_at == after(40)
    assert [version.kind for version in case.report.versions] == [E.REPORT_SIGNED, E.REPORT_ADDENDUM]


def test_a_receipt_for_an_older_version_is_kept_and_confirms_nothing() -> None:
    story = whole_story()
    story.append(report.add_addendum(story.case, ANNE, at(60), content_hash="a", reason="late series"))
    story.append(report.send_report(story.case, at(61), channel="web"))

    case = story.append(report.acknowledge_report(story.case, "Dr Martin", at(62), version=1))

    assert case.delivery.state is DeliveryState.SENT
    assert story.log.events(story.case_id)[-1].type == E.REPORT_ACKNOWLEDGED_BY_ED


def test_a_retracted_report_is_kept_and_its_case_is_read_again_under_the_same_deadline() -> None:
    story = whole_story()
    deadline = story.case.images.deadline_at
    story.append(report.retract(story.case, at(60), reason="wrong patient"))
    assert story.case.report.signed_at is None

    story.append(ask.reopen(story.case, at(61), reason="wrong patient", read_again=True))

    case = story.case
    assert case.is_ready
    assert case.images.deadline_at == deadline
    assert [version.content_hash for version in case.report.versions] == ["h1"]
    story.claimed(BRUNO, 62, uid="2.25.7")
    assert [version.version for version in story.signed(BRUNO, 70, content_hash="h2").report.versions] == [1, 2]


def test_what_was_retracted_is_not_signed_again_without_a_reading() -> None:
    story = whole_story()
    story.append(report.retract(story.case, at(60), reason="wrong patient"))

    with pytest.raises(TransitionRefused, match="read again"):
        report.sign(story.case, ANNE, at(61), content_hash="h2")


def test_a_case_without_an_acknowledgement_is_closed_only_with_a_reason() -> None:
    story = claimed()
    story.signed()
    story.delivered()

    with pytest.raises(TransitionRefused, match="no named clinician"):
        ask.close(story.case, at(32))
    assert not story.append(ask.close(story.case, at(32), reason="told by phone, call 17")).is_open


def test_a_case_that_a_reader_has_open_is_not_closed() -> None:
    with pytest.raises(TransitionRefused, match="sign or release"):
        ask.close(claimed().case, at(14), reason="tidy up")


def test_no_case_closes_over_a_critical_finding_that_nobody_has_taken_over() -> None:
    story = claimed()
    declared = commands_critical.declare(
        story.case, at(20), critical_id="f1", category=1, finding="bleeding", radiologist=ANNE, due_at=after(35)
    )
    story.append(declared)
    story.signed()
    story.delivered()
    story.append(report.acknowledge_report(story.case, "Dr Martin", at(33)))

    with pytest.raises(TransitionRefused, match="critical finding"):
        ask.close(story.case, at(34))

    story.append(report.acknowledge_critical(story.case, at(34), critical_id="f1", clinician="Dr Martin"))
    assert not story.append(ask.close(story.case, at(36))).is_open


def test_one_critical_finding_is_acknowledged_and_the_other_still_waits() -> None:
    story = claimed()
    for critical_id, category in (("f1", 1), ("f2", 2)):
        story.append(
            commands_critical.declare(
                story.case,
                at(20),
                critical_id=critical_id,
                category=category,
                finding="x",
                radiologist=ANNE,
                due_at=after(35),
            )
        )

    case = story.append(report.acknowledge_critical(story.case, at(22), critical_id="f1", clinician="Dr Martin"))

    assert [one.state for one in case.criticals] == [CriticalState.ACKNOWLEDGED, CriticalState.DECLARED]


def test_a_critical_finding_declared_again_becomes_more_urgent_never_less() -> None:
    story = claimed()

    def declare(category: int, due: float) -> None:
        facts = commands_critical.declare(
            story.case,
            at(20),
            critical_id="f1",
            category=category,
            finding="x",
            radiologist=ANNE,
            due_at=after(due),
        )
        story.append(facts)

    declare(2, 240)
    declare(1, 35)
    declare(3, 4000)

    assert [(one.category, one.due_at) for one in story.case.criticals] == [(1, after(35))]


@pytest.mark.parametrize("clinician", ["", None])
def test_an_acknowledgement_names_somebody(clinician: str | None) -> None:
    story = claimed()
    story.signed()
    story.delivered()

    with pytest.raises(PeerError, match="names the clinician"):
        report.acknowledge_report(story.case, clinician or "", at(33))


def test_a_superseded_protocol_needs_a_new_acknowledgement_of_its_own_version() -> None:
    story = Story()
    story.opened()
    story.append(ask.send_protocol(story.case, at(1), author=ANNE, protocol_id="head-plain"))
    story.append(ask.acknowledge_protocol(story.case, at(2), version=1, radiographer="R1"))

    case = story.append(ask.send_protocol(story.case, at(3), author=BRUNO, protocol_id="head-angio"))

    assert (case.protocol.state, case.protocol.version, case.protocol.author) == (ProtocolState.SENT, 2, BRUNO)
    with pytest.raises(TransitionRefused, match="version 2 of the protocol is in force"):
        ask.acknowledge_protocol(case, at(4), version=1, radiographer="R1")
    assert story.append(ask.acknowledge_protocol(case, at(4), version=2, radiographer="R1")).protocol.acknowledged_by


def test_facts_that_the_vocabulary_does_not_know_are_refused_without_their_values() -> None:
    story = Story()
    story.opened()

    with pytest.raises(PeerError, match=r"does not carry \['patient_name'\]") as refused:
        ask.say(story.case, at(1), E.REQUEST_RECEIVED, patient_name="DUPONT^JEANNE")
    assert "DUPONT" not in str(refused.value)


def test_what_happened_earlier_than_it_was_told_counts_from_when_it_happened() -> None:
    story = Story()
    story.opened()

    case = story.append(ask.complete_images(story.case, at(30, happened_at=after(10)), rule="button"), minutes=30)

    assert case.images.complete_at == after(10)
    assert story.log.events(story.case_id)[-1].recorded_at - after(10) == timedelta(minutes=20)
