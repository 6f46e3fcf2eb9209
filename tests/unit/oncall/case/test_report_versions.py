"""Preliminary findings, notices of retraction, changed identities: what each does to report, hour and delivery."""

import pytest

from oncall.case import commands as ask
from oncall.case import commands_report as report
from oncall.case.clocks import Clock, read_clocks
from oncall.case.regions import DeliveryState, ReadingState, ReportState
from oncall.case.state import TransitionRefused
from oncall.case.vocabulary import EventType as E
from tests.unit.oncall.case.cases import ANNE, BRUNO, Story, after, at, whole_story

UID = "2.25.1"


def claimed(**changes: str) -> Story:
    story = Story()
    story.opened(0, **changes)
    story.complete()
    story.assigned()
    story.claimed()
    return story


def preliminary(story: Story, minutes: float = 15, content_hash: str = "p1") -> None:
    facts = report.issue_preliminary(story.case, ANNE, at(minutes), content_hash=content_hash, transaction_uid=UID)
    story.append(facts)


def test_a_preliminary_version_does_not_stop_the_hour() -> None:
    story = claimed()
    preliminary(story)

    case = story.case
    (hour,) = [one for one in read_clocks(case, after(20)) if one.clock is Clock.REPORT]
    assert (case.report.state, case.report.version, case.report.signed_at) == (ReportState.PRELIMINARY, 1, None)
    assert hour.is_running
    assert case.reading.state is ReadingState.CLAIMED
    assert case.is_ready


def test_the_final_report_comes_after_it_and_stops_the_hour() -> None:
    story = claimed()
    preliminary(story)
    preliminary(story, 18, "p2")

    case = story.signed(minutes=30, content_hash="h1")

    assert [one.version for one in case.report.versions] == [1, 2, 3]
    assert case.report.signed_at == after(30)
    assert case.report.standing is not None
    assert case.report.standing.version == 3


def test_an_acknowledged_preliminary_confirms_nothing_of_the_report() -> None:
    story = claimed()
    preliminary(story)
    story.append(report.send_report(story.case, at(16), channel="web"))
    story.append(report.record_delivery(story.case, at(16), channel="web", version=1))
    told = story.append(report.acknowledge_report(story.case, "Dr Martin", at(17), version=1))
    assert told.delivery.state is DeliveryState.ACKNOWLEDGED
    assert (told.delivery.first_delivered_at, told.delivery.first_acknowledged_at) == (None, None)

    signed = story.signed(minutes=30)
    assert (signed.delivery.state, signed.delivery.acknowledged_at) == (DeliveryState.NONE, None)
    story.append(report.send_report(story.case, at(31), channel="web"))
    late = story.append(report.acknowledge_report(story.case, "Dr Martin", at(32), version=1))
    assert late.delivery.acknowledged_at is None


def test_a_case_is_not_closed_over_a_preliminary_that_was_read() -> None:
    story = claimed()
    preliminary(story)
    story.append(report.send_report(story.case, at(16), channel="web"))
    story.append(report.acknowledge_report(story.case, "Dr Martin", at(17), version=1))
    story.append(ask.release(story.case, at(18), transaction_uid=UID, reason="another P1"))

    with pytest.raises(TransitionRefused, match="no named clinician"):
        ask.close(story.case, at(19))


def test_only_who_has_the_case_open_signs_a_finding_of_it() -> None:
    story = claimed()

    with pytest.raises(TransitionRefused, match="only the reader"):
        report.issue_preliminary(story.case, BRUNO, at(15), content_hash="p", transaction_uid=UID)
    with pytest.raises(TransitionRefused, match="C301"):
        report.issue_preliminary(story.case, ANNE, at(15), content_hash="p", transaction_uid="2.25.9")
    story.append(report.block_identity(story.case, at(14), reason="bracelet and request differ"))
    with pytest.raises(TransitionRefused, match="identity"):
        report.issue_preliminary(story.case, ANNE, at(15), content_hash="p", transaction_uid=UID)


def test_signing_the_same_again_keeps_what_became_of_its_delivery() -> None:
    story = whole_story()
    story.append(ask.reopen(story.case, at(50), reason="a question"))
    story.append(report.send_report(story.case, at(51), channel="web"))
    said = at(52).fact(E.REPORT_SIGNED, version=1, signer=ANNE, content_hash="h1")

    case = story.append((said,))

    assert case.delivery.state is DeliveryState.SENT
    assert len(case.report.versions) == 1


def test_a_notice_of_retraction_is_a_version_and_its_case_is_read_again() -> None:
    story = whole_story()

    case = story.append(report.withdraw(story.case, BRUNO, at(60), content_hash="r", reason="wrong patient"))

    assert (case.report.state, case.report.version, case.report.retracted) == (ReportState.RETRACTED, 2, (1,))
    assert [one.kind for one in case.report.versions] == [E.REPORT_SIGNED, E.REPORT_RETRACTED]
    assert case.is_open
    assert case.is_ready
    assert case.report.signed_at is None
    assert (case.delivery.state, case.delivery.acknowledged_at) == (DeliveryState.NONE, None)
    story.claimed(BRUNO, 62, uid="2.25.7")
    signed = story.signed(BRUNO, 70, content_hash="h2")
    assert (signed.report.version, signed.report.signed_at) == (3, after(70))


def test_a_preliminary_can_be_withdrawn_and_its_reader_goes_on() -> None:
    story = claimed()
    preliminary(story)

    case = story.append(report.withdraw(story.case, ANNE, at(16), content_hash="r", reason="wrong patient"))

    assert (case.report.state, case.reading.state) == (ReportState.RETRACTED, ReadingState.CLAIMED)
    assert case.report.standing is None
    assert story.signed(minutes=30, content_hash="h1").report.signed_at == after(30)


def test_a_withdrawal_that_was_read_does_not_close_the_case() -> None:
    story = whole_story()
    story.append(report.withdraw(story.case, ANNE, at(60), content_hash="r", reason="wrong patient"))
    story.append(report.send_report(story.case, at(61), channel="web"))
    story.append(report.acknowledge_report(story.case, "Dr Martin", at(62), version=2))

    with pytest.raises(TransitionRefused, match="no named clinician"):
        ask.close(story.case, at(63))


def test_a_version_keeps_the_patient_it_was_signed_for_and_the_case_says_so() -> None:
    story = whole_story()
    story.append(report.correct_identity(story.case, at(50), patient_key="key-2", reason="bracelets were exchanged"))

    assert story.case.is_signed_for_another
    told = story.append(report.note_identity(story.case, at(50)))

    assert [one.patient_key for one in told.report.versions] == ["key-1"]
    assert told.is_open
    assert (told.delivery.state, told.delivery.acknowledged_at) == (DeliveryState.SENT, None)
    assert report.note_identity(told, at(51)) == ()


def test_a_report_signed_again_for_the_right_patient_stands_and_an_addendum_does_not_heal_it() -> None:
    story = whole_story()
    story.append(report.correct_identity(story.case, at(50), patient_key="key-2", reason="bracelets were exchanged"))
    story.append(report.note_identity(story.case, at(50)))
    story.append(report.add_addendum(story.case, ANNE, at(51), content_hash="a", reason="late series"))
    assert story.case.is_signed_for_another

    case = story.append(report.replace_report(story.case, ANNE, at(52), content_hash="h2", reason="right patient"))

    assert not case.is_signed_for_another
    assert report.note_identity(case, at(53)) == ()


def test_an_identity_that_goes_back_is_told_once_more() -> None:
    story = whole_story()
    for minutes, key in ((50, "key-2"), (55, "key-1")):
        story.append(report.correct_identity(story.case, at(minutes), patient_key=key, reason="read again"))
        facts = report.note_identity(story.case, at(minutes))
        assert E.REPORT_IDENTITY_CHANGED in [one.type for one in facts]
        story.append(facts)

    assert not story.case.is_signed_for_another


def test_while_nobody_knows_whose_it_is_nothing_is_said_of_another_patient() -> None:
    story = whole_story()
    story.append(report.block_identity(story.case, at(50), reason="two bracelets"))

    assert report.note_identity(story.case, at(50)) == ()
    assert report.note_identity(claimed().case, at(50)) == ()


def test_a_report_of_another_patient_is_not_closed_because_somebody_read_it() -> None:
    story = whole_story()
    story.append(report.correct_identity(story.case, at(50), patient_key="key-2", reason="bracelets were exchanged"))
    story.append(report.note_identity(story.case, at(50)))
    story.append(report.acknowledge_report(story.case, "Dr Martin", at(51), version=1))

    with pytest.raises(TransitionRefused, match="signed for another patient"):
        ask.close(story.case, at(52))
    assert not story.append(ask.close(story.case, at(53), reason="taken out of the other record by hand")).is_open


def test_an_unknown_patient_who_is_given_a_name_alarms_nobody_and_who_is_then_another_does() -> None:
    story = claimed(patient_key="")
    story.signed()
    story.append(report.correct_identity(story.case, at(300), patient_key="key-9", reason="family came"))
    assert not story.case.is_signed_for_another
    assert report.note_identity(story.case, at(300)) == ()

    story.append(report.correct_identity(story.case, at(310), patient_key="key-8", reason="it was his brother"))

    assert story.case.is_signed_for_another
    assert E.REPORT_IDENTITY_CHANGED in [one.type for one in report.note_identity(story.case, at(310))]


def test_what_was_withdrawn_is_nobody_s_when_the_patient_changes() -> None:
    story = whole_story()
    story.append(report.withdraw(story.case, ANNE, at(60), content_hash="r", reason="wrong patient"))
    story.append(report.correct_identity(story.case, at(61), patient_key="key-2", reason="bracelets were exchanged"))

    assert report.note_identity(story.case, at(61)) == ()
