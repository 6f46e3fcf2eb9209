"""The clocks C1 to C9: what they run from and to, what pauses, what never does, also across clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from foundation.instants import microseconds
from oncall.case import commands as ask
from oncall.case import commands_critical
from oncall.case import commands_report as report
from oncall.case.clocks import Clock, Reading, late_images_s, read_clocks
from oncall.case.commands import Context
from oncall.case.regions import StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.reading.board import Urgency
from tests.unit.oncall.case.cases import ANNE, BRUNO, Story, after, at, request, us, whole_story

STUDY = StudyKey("ROANNE", "1.2.3")


def clock(case: Case, which: Clock, minutes: float) -> Reading:
    return next(one for one in read_clocks(case, after(minutes)) if one.clock is which)


def clocks(case: Case, minutes: float) -> set[Clock]:
    return {one.clock for one in read_clocks(case, after(minutes))}


@pytest.mark.parametrize(("urgency", "due"), [(Urgency.P1, 5), (Urgency.P2, 10), (Urgency.P3, 10)])
def test_the_answer_is_due_by_urgency_and_stops_with_the_protocol(urgency: Urgency, due: float) -> None:
    story = Story()
    story.opened(urgency=urgency)
    running = clock(story.case, Clock.ANSWER, 3)
    assert (running.due_at, running.left_s(after(3))) == (after(due), (due - 3) * 60)

    story.append(ask.send_protocol(story.case, at(4), author=ANNE, protocol_id="p"))

    stopped = clock(story.case, Clock.ANSWER, 30)
    assert (stopped.stopped_at, stopped.elapsed_s, stopped.is_missed(after(30))) == (after(4), 240.0, False)


def test_the_answer_waits_while_the_requester_is_asked_and_shows_for_how_long() -> None:
    story = Story()
    story.opened()
    story.append(ask.say(story.case, at(2), E.REQUEST_CLARIFICATION_ASKED, question="creatinine?"))
    paused = clock(story.case, Clock.ANSWER, 20)
    assert (paused.is_paused, paused.elapsed_s, paused.paused_s, paused.left_s(after(20))) == (
        True,
        120.0,
        1080.0,
        None,
    )

    story.append(ask.say(story.case, at(22), E.REQUEST_CLARIFICATION_ANSWERED, answer="80"))

    resumed = clock(story.case, Clock.ANSWER, 25)
    assert (resumed.is_paused, resumed.elapsed_s, resumed.due_at) == (False, 300.0, after(30))


def test_the_hour_runs_from_the_last_image_to_the_signature() -> None:
    story = Story()
    story.opened()
    assert Clock.REPORT not in clocks(story.case, 5)
    story.complete(10)
    assert clock(story.case, Clock.REPORT, 69).left_s(after(69)) == 60.0
    assert clock(story.case, Clock.REPORT, 71).is_missed(after(71))
    story.claimed(minutes=40)
    story.signed(minutes=65)

    done = clock(story.case, Clock.REPORT, 600)

    assert (done.elapsed_s, done.is_missed(after(600)), done.is_running) == (55 * 60.0, False, False)


def test_late_instances_have_a_clock_of_their_own_and_the_hour_runs_on() -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.append(ask.receive_instances(story.case, STUDY, at(30), received=5))

    assert late_images_s(story.case, after(45)) == 900.0
    assert clock(story.case, Clock.REPORT, 45).elapsed_s == 35 * 60.0
    assert clock(story.case, Clock.REPORT, 45).due_at == after(70)


def test_the_hour_does_not_pause_while_a_case_is_parked() -> None:
    story = Story()
    story.opened()
    story.complete(0)
    story.claimed(minutes=5)
    story.append(ask.park(story.case, at(10), transaction_uid="2.25.1", reason="waiting for priors"))

    assert clock(story.case, Clock.REPORT, 50).elapsed_s == 50 * 60.0


def test_a_report_that_was_retracted_does_not_keep_the_hour() -> None:
    story = whole_story()
    story.append(report.retract(story.case, at(90), reason="wrong patient"))

    reopened = clock(story.case, Clock.REPORT, 95)

    assert reopened.is_running
    assert (reopened.due_at, reopened.is_missed(after(95))) == (after(70), True)


@pytest.mark.parametrize(("urgency", "limit"), [(Urgency.P1, 2), (Urgency.P2, 5)])
def test_the_acknowledgement_is_due_from_each_assignment_anew(urgency: Urgency, limit: float) -> None:
    story = Story()
    story.opened(urgency=urgency)
    story.complete(10)
    story.assigned(ANNE, 11)
    assert clock(story.case, Clock.ACKNOWLEDGEMENT, 12).due_at == after(11 + limit)

    story.append(ask.assign(story.case, BRUNO, at(20), reason="silence"))

    assert clock(story.case, Clock.ACKNOWLEDGEMENT, 21).due_at == after(20 + limit)
    story.acknowledged(BRUNO, 21)
    assert clock(story.case, Clock.ACKNOWLEDGEMENT, 60).elapsed_s == 60.0


def test_nobody_is_late_to_acknowledge_what_was_taken_back() -> None:
    story = Story()
    story.opened()
    story.complete(10)
    story.assigned(ANNE, 11)
    story.append(ask.revoke(story.case, at(12), reason="reader unavailable"))

    assert Clock.ACKNOWLEDGEMENT not in clocks(story.case, 30)


def test_what_the_hospital_perceives_is_from_request_to_delivery_without_a_target() -> None:
    perceived = clock(whole_story().case, Clock.PERCEIVED, 600)

    assert (perceived.elapsed_s, perceived.due_at) == (31 * 60.0, None)


def test_the_onset_counts_down_four_and_a_half_hours_from_when_the_patient_was_last_well() -> None:
    story = Story()
    story.opened(onset_at=after(-60))

    assert clock(story.case, Clock.ONSET, 0).left_s(after(0)) == 3.5 * 3600


def test_each_critical_finding_has_its_own_clock() -> None:
    story = Story()
    story.opened()
    for name, due in (("f1", 35.0), ("f2", 260.0)):
        story.append(
            commands_critical.declare(
                story.case, at(20), critical_id=name, category=1, finding="x", radiologist=ANNE, due_at=after(due)
            )
        )
    story.append(report.acknowledge_critical(story.case, at(25), critical_id="f1", clinician="Dr Martin"))

    found = {
        one.subject: (one.is_running, one.due_at)
        for one in read_clocks(story.case, after(30))
        if one.clock is Clock.CRITICAL
    }

    assert found == {"f1": (False, after(35)), "f2": (True, after(260))}


def test_a_second_reading_runs_from_the_signature_and_only_where_it_is_required() -> None:
    story = whole_story()
    assert Clock.SECOND_READ not in clocks(story.case, 60)

    story.append(ask.say(story.case, at(50), E.REPORT_DOUBLE_READ_REQUIRED, reason="WBCT", due_at_us=us(30 + 720)))

    assert clock(story.case, Clock.SECOND_READ, 60).due_at == after(750)


def test_the_hospitals_acknowledgement_is_due_from_delivery_and_again_for_an_addendum() -> None:
    story = whole_story()
    assert clock(story.case, Clock.KNOWN_TO_ED, 60).elapsed_s == 9 * 60.0
    story.append(report.add_addendum(story.case, ANNE, at(100), content_hash="a", reason="r"))
    assert Clock.KNOWN_TO_ED not in clocks(story.case, 101)
    story.delivered(102)

    again = clock(story.case, Clock.KNOWN_TO_ED, 110)

    assert (again.started_at, again.is_running, again.due_at) == (after(102), True, after(162))


def test_a_closed_case_has_nothing_that_still_runs() -> None:
    withdrawn = Story()
    withdrawn.opened(onset_at=after(-30))
    withdrawn.append(ask.withdraw(withdrawn.case, at(3), motive="m"))

    assert all(not one.is_running for one in read_clocks(whole_story().case, after(500)))
    assert all(not one.is_running for one in read_clocks(withdrawn.case, after(500)))


def test_a_case_across_the_october_clock_change_takes_the_minutes_that_passed() -> None:
    paris = ZoneInfo("Europe/Paris")
    asked = datetime(2026, 10, 25, 2, 50, tzinfo=paris)
    signed = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=paris)
    story = Story()
    story.append(ask.open_from_request(request(), Context(now=asked)))
    story.append(ask.complete_images(story.case, Context(now=asked), rule="button"))
    story.append(ask.claim(story.case, ANNE, Context(now=asked), transaction_uid="2.25.1"))
    story.append(report.sign(story.case, ANNE, Context(now=signed), content_hash="h"))

    (hour,) = [one for one in read_clocks(story.case, signed) if one.clock is Clock.REPORT]

    assert hour.elapsed_s == 20 * 60.0
    assert hour.due_at is not None
    assert microseconds(hour.due_at) - microseconds(asked) == 3_600_000_000


def test_the_hour_from_half_past_one_on_the_march_night_ends_an_hour_later() -> None:
    complete = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Paris"))
    story = Story()
    story.append(ask.open_from_request(request(), Context(now=complete)))
    story.append(ask.complete_images(story.case, Context(now=complete), rule="button"))

    assert story.case.images.deadline_at == datetime(2026, 3, 29, 0, 30, tzinfo=UTC) + timedelta(hours=1)
