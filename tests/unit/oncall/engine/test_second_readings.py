"""Second readings through the engine: asked for, given by day, alarmed when overdue; discrepancies told and learned."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from foundation.errors import PeerError, Refused
from oncall.case import commands, commands_report
from oncall.case.event import Actor, CaseId
from oncall.case.regions import SecondReadingState
from oncall.directory import ChannelKind, PersonId
from oncall.engine.engine import Engine
from oncall.engine.in_force import InForce
from oncall.engine.paging import running_chain
from oncall.engine.ports import Store
from oncall.rota.model import Session
from oncall.rota.timeline import Timeline
from oncall.second_reading.board import is_first_report_hidden
from oncall.second_reading.policy import Reason, SecondReadingPolicy
from oncall.second_reading.score import BodyRegion, CorrectionBy, DiscrepancyKind, Score
from oncall.spans import Span
from tests.harness.small_territory import BEGIN, END, at, engine, in_force, memory_store, request

CASE: Final = CaseId("C1")
ANNA, BORIS, DIANE = map(PersonId, ("anna", "boris", "diane"))
DESK: Final = Actor(who="desk-north", role="request")
CHIEF: Final = Actor(who="coline", role="coordinate")
ALWAYS: Final = SecondReadingPolicy(version="t", sampled_share=1.0)
# 11:00 to 16:00 in Paris, the day after clocks went back.
SESSION: Final = Span(start=datetime(2026, 10, 25, 10, tzinfo=UTC), end=datetime(2026, 10, 25, 15, tzinfo=UTC))
HOURS: Final = 60.0


def rules(policy: SecondReadingPolicy | None = ALWAYS, *by_day: PersonId) -> InForce:
    """The night's rules, and whoever works the day after it."""
    known = in_force()
    roster = replace(known.roster, sessions=tuple(Session(person_id=one, span=SESSION) for one in by_day))
    around = Span(start=BEGIN - timedelta(days=7), end=END + timedelta(days=14))
    return replace(known, roster=roster, timeline=Timeline(roster, known.directory, around), second_reading=policy)


def signed(store: Store, now: InForce | None = None) -> Engine:
    """A case that anna has signed at 18:40 in the evening and that the hospital has, closed."""
    runner = engine(store, now or rules(ALWAYS, BORIS))
    runner.open_case(CASE, request(), at(5))
    runner.complete_images(CASE, at(5), rule="radiographer")
    runner.claim(CASE, runner.case(CASE).reading.assigned_to or ANNA, at(6), transaction_uid="1.2")
    runner.sign(CASE, runner.case(CASE).reading.claimed_by or ANNA, at(10), transaction_uid="1.2")
    runner.execute(CASE, partial(commands_report.send_report, channel="web"), at(11))
    runner.execute(CASE, lambda case, context: commands_report.acknowledge_report(case, "Dr Martin", context), at(12))
    return runner


def closed(store: Store, now: InForce | None = None) -> Engine:
    runner = signed(store, now)
    runner.execute(CASE, commands.close, at(13))
    return runner


def given(store: Store, policy: SecondReadingPolicy = ALWAYS) -> tuple[Engine, PersonId]:
    """A closed case whose second reading somebody else was given the day after."""
    by_day = (ANNA, BORIS, DIANE)
    runner = closed(store, rules(policy, *by_day))
    jump(runner, SESSION.start + timedelta(hours=1))
    second = runner.case(CASE).second_reading.assigned_to
    assert second is not None
    return runner, second


def jump(runner: Engine, now: datetime) -> None:
    """Do what is due by `now` at `now`, as an engine that was away does: whoever is late does one step."""
    while runner.run_due(now) or ((due_at := runner.next_due_at()) is not None and due_at <= now):
        pass


def told(store: Store, now: datetime, text: str = "SECONDE LECTURE EN RETARD") -> int:
    """Take what waits to be sent, and return how many messages say it."""
    with store.queue() as queue:
        waiting = [queue.lease(channel, now, worker="s", limit=999).messages for channel in ChannelKind]
    return sum(text in one.text for messages in waiting for one in messages)


def breached(store: Store) -> list[str]:
    return [event.fact.payload["clock"] for event in store.events_of(CASE) if event.type == "clock.breached"]


def types(store: Store) -> list[str]:
    return [event.type for event in store.events_of(CASE)]


def test_a_signed_report_that_a_rule_asks_for_is_on_the_board_until_it_is_read(store: Store) -> None:
    runner = signed(store)

    (pending,) = runner.second_readings_due(at(20))
    signed_at = runner.case(CASE).report.signed_at
    assert signed_at is not None
    assert pending.reasons == (Reason.SAMPLED.value,)
    assert (pending.earliest_at, pending.due_at) == (signed_at + timedelta(hours=12), signed_at + timedelta(hours=48))
    assert pending.assigned_to is None


def test_no_rule_no_second_reading_unless_somebody_asks_for_one() -> None:
    store = memory_store()
    runner = signed(store, rules(None))
    assert runner.second_readings_due(at(20)) == []

    for _ in range(2):
        runner.require_second_reading(CASE, at(20), actor=CHIEF)

    assert [one.reasons for one in runner.second_readings_due(at(20))] == [("asked",)]
    assert types(store).count("report.double_read_required") == 1


def test_it_is_given_to_another_reader_by_day_although_the_case_is_closed(store: Store) -> None:
    runner = closed(store, rules(ALWAYS, ANNA, BORIS, DIANE))
    first = runner.case(CASE).reading.claimed_by or runner.case(CASE).report.versions[0].signer
    jump(runner, SESSION.start - timedelta(seconds=1))
    assert runner.case(CASE).second_reading.assigned_to is None

    jump(runner, SESSION.start + timedelta(hours=1, seconds=1))

    second = runner.case(CASE).second_reading.assigned_to
    assert second in {ANNA, BORIS, DIANE} - {first}
    assert not runner.case(CASE).is_open
    assert runner.second_reading_load(SESSION.end)[second] == 1


def test_nobody_is_given_one_before_its_earliest_hour_nor_at_night() -> None:
    store = memory_store()
    runner = signed(store, rules(ALWAYS, BORIS, DIANE))

    assert runner.assign_second_readings(at(60)) == 0
    # boris and diane are on duty all night, and twelve hours later it is not yet eight in Paris.
    assert runner.assign_second_readings(at(10 + 12 * HOURS)) == 0
    assert runner.case(CASE).second_reading.state is SecondReadingState.REQUIRED


def test_a_coordinator_gives_it_to_somebody_but_never_to_who_signed_it() -> None:
    runner = signed(memory_store())
    first = PersonId(runner.case(CASE).report.versions[0].signer)
    with pytest.raises(Refused, match="first_reader"):
        runner.assign_second_reading(CASE, first, at(20), actor=CHIEF)
    with pytest.raises(Refused, match="not_a_radiologist"):
        runner.assign_second_reading(CASE, PersonId("coline"), at(20), actor=CHIEF)

    runner.assign_second_reading(CASE, DIANE, at(20), actor=CHIEF)

    assert runner.second_readings_due(at(21))[0].assigned_to == DIANE


def test_who_reads_it_second_is_another_person_even_when_they_say_so_themselves() -> None:
    runner, second = given(memory_store())
    first = PersonId(runner.case(CASE).report.versions[0].signer)

    with pytest.raises(Refused, match="another reader"):
        runner.record_second_reading(CASE, first, SESSION.end, score=Score.AGREE)
    runner.record_second_reading(CASE, second, SESSION.end, score=Score.AGREE)


def test_agreement_ends_it_and_nobody_is_told_of_anything() -> None:
    store = memory_store()
    runner, second = given(store)

    for _ in range(2):
        runner.record_second_reading(CASE, second, SESSION.end, score=Score.AGREE)
    jump(runner, SESSION.end + timedelta(days=3))

    part = runner.case(CASE).second_reading
    assert (part.state, part.score, part.done_by) == (SecondReadingState.DONE, "1", second)
    assert runner.second_readings_due(SESSION.end) == []
    assert types(store).count("report.double_read_done") == 1
    assert "clock.breached" not in types(store)


def test_a_blind_reader_says_what_they_see_before_they_are_shown_the_first_report() -> None:
    store = memory_store()
    runner, second = given(store, replace(ALWAYS, is_blind=True))
    assert is_first_report_hidden(runner.case(CASE), second)
    with pytest.raises(Refused, match="blind"):
        runner.record_second_reading(CASE, second, SESSION.end, score=Score.AGREE)
    with pytest.raises(Refused, match="missing"):
        runner.record_blind_findings(CASE, second, "  ", SESSION.end)

    runner.record_blind_findings(CASE, second, "splenic laceration, grade II", SESSION.end)

    assert not is_first_report_hidden(runner.case(CASE), second)
    assert runner.record_second_reading(CASE, second, SESSION.end, score=Score.AGREE).second_reading.score == "1"


def test_an_overdue_second_reading_alarms_again_and_again_and_is_breached_once(store: Store) -> None:
    runner = closed(store, rules(ALWAYS))
    due_at = runner.second_readings_due(at(20))[0].due_at
    jump(runner, due_at - timedelta(seconds=1))
    assert told(store, due_at - timedelta(seconds=1)) == 0

    for hours in (0, 2, 4, 6):
        jump(runner, due_at + timedelta(hours=hours))
        assert told(store, due_at + timedelta(hours=hours)) >= 1

    assert breached(store).count("C8") == 1
    assert runner.next_due_at() is not None


def test_an_overdue_second_reading_shows_on_the_wall_when_nobody_can_be_reached() -> None:
    store = memory_store()
    known = rules(ALWAYS)
    nobody = {one: replace(person, contact_methods=()) for one, person in known.directory.persons.items()}
    runner = closed(store, replace(known, directory=replace(known.directory, persons=nobody)))
    due_at = runner.second_readings_due(at(20))[0].due_at

    jump(runner, due_at)

    assert told(store, due_at) == 1


@pytest.mark.parametrize("score", [Score.HARD_SIGNIFICANT, Score.OBVIOUS_SIGNIFICANT])
def test_a_significant_discrepancy_opens_the_case_and_climbs_the_hospital_until_somebody_takes_note(
    score: Score,
) -> None:
    store = memory_store()
    runner, second = given(store)
    found_at = SESSION.end
    runner.record_second_reading(
        CASE, second, found_at, score=score, kind=DiscrepancyKind.MISSED, body_region=BodyRegion.SPINE, category=1,
        note="C2 fracture",
    )  # fmt: skip
    assert runner.case(CASE).is_open
    jump(runner, found_at + timedelta(minutes=14))
    assert running_chain(runner.case(CASE), "x") is None

    jump(runner, found_at + timedelta(minutes=16))
    assert running_chain(runner.case(CASE), "x") is not None
    with pytest.raises(Refused, match="not of this hospital"):
        runner.acknowledge_discrepancy(CASE, "anna", found_at + timedelta(minutes=17), actor=DESK)
    with pytest.raises(Refused, match="discrepancy"):
        runner.execute(CASE, partial(commands.close, reason="tidy"), found_at + timedelta(minutes=17))
    runner.acknowledge_discrepancy(CASE, "Dr Martin", found_at + timedelta(minutes=18), actor=DESK)

    assert running_chain(runner.case(CASE), "x") is None
    assert runner.case(CASE).second_reading.acknowledged_by == "Dr Martin"


def test_a_discrepancy_that_does_not_matter_opens_nothing_and_pages_nobody() -> None:
    store = memory_store()
    runner, second = given(store)

    runner.record_second_reading(CASE, second, SESSION.end, score=Score.USUAL_MINOR, kind=DiscrepancyKind.OVERCALLED)
    jump(runner, SESSION.end + timedelta(days=4))

    assert not runner.case(CASE).is_open
    assert "escalation.started" not in types(store)[types(store).index("discrepancy.recorded") :]


def test_a_discrepancy_is_closed_after_the_hospital_knows_and_the_report_is_corrected(store: Store) -> None:
    runner, second = given(store)
    found_at = SESSION.end
    close = partial(runner.close_learning, CASE, actor=CHIEF, kind=DiscrepancyKind.MISSED)
    runner.record_second_reading(
        CASE, second, found_at, score=Score.USUAL_SIGNIFICANT, kind=DiscrepancyKind.MISSED,
        correction_by=CorrectionBy.SECOND_READER,
    )  # fmt: skip
    with pytest.raises(Refused, match="takes note"):
        close(found_at, lesson="Look at the last slices.")
    runner.communicate_discrepancy(
        CASE, found_at, actor=Actor(who=second, role="read"), recipient="Dr Martin", method="phone", read_back="C2"
    )
    runner.acknowledge_discrepancy(CASE, "Dr Martin", found_at, actor=Actor(who=second, role="read"))
    with pytest.raises(Refused, match="still says"):
        close(found_at, lesson="Look at the last slices.")
    runner.execute(
        CASE,
        lambda case, context: commands_report.add_addendum(case, second, context, content_hash="h2", reason="C2"),
        found_at,
    )
    with pytest.raises(Refused, match="names nobody"):
        close(found_at, lesson="boris missed it")
    assert store.lessons() == []

    close(found_at, lesson="Look at the last slices.", body_region=BodyRegion.SPINE)
    close(found_at, lesson="Said twice by a retry.")

    (lesson,) = store.lessons()
    assert (lesson.period, lesson.lesson) == ("2026-10", "Look at the last slices.")
    assert (lesson.score, lesson.body_region) == (Score.USUAL_SIGNIFICANT, BodyRegion.SPINE)
    assert runner.case(CASE).second_reading.state is SecondReadingState.CLOSED


def test_no_identifier_of_the_case_reaches_the_learning_log(store: Store) -> None:
    runner, second = given(store)
    runner.record_second_reading(
        CASE, second, SESSION.end, score=Score.HARD_MINOR, kind=DiscrepancyKind.MISSED, note="Mme Durand, key-north"
    )
    runner.close_learning(
        CASE, SESSION.end, actor=CHIEF, kind=DiscrepancyKind.MISSED, lesson="Wide windows for the pleura."
    )

    written = repr(store.lessons()).casefold()
    directory = rules().directory
    named = [CASE, "key-north", "durand", second, "25", *directory.persons, *directory.sites]
    assert "wide windows" in written
    assert [one for one in named if one.casefold() in written] == []


def test_a_retracted_report_is_not_read_a_second_time_and_what_replaces_it_is(store: Store) -> None:
    runner = signed(store)
    runner.execute(CASE, partial(commands_report.retract, reason="wrong patient"), at(20))

    assert runner.second_readings_due(at(20)) == []
    assert runner.case(CASE).second_reading.state is SecondReadingState.NONE
    assert runner.next_due_at() is not None


def test_an_agreement_is_no_discrepancy_and_a_discrepancy_has_a_kind() -> None:
    runner, second = given(memory_store())
    with pytest.raises(PeerError, match="kind"):
        runner.record_second_reading(CASE, second, SESSION.end, score=Score.USUAL_MINOR)
    assert runner.case(CASE).second_reading.state is SecondReadingState.ASSIGNED

    with pytest.raises(PeerError, match="agreement"):
        runner.record_discrepancy(CASE, second, SESSION.end, score=Score.AGREE, kind=DiscrepancyKind.OTHER)


def test_a_discrepancy_that_somebody_found_unasked_is_told_like_any_other() -> None:
    runner = closed(memory_store(), rules(None))

    found = runner.record_discrepancy(
        CASE, BORIS, at(600), score=Score.OBVIOUS_SIGNIFICANT, kind=DiscrepancyKind.WRONG_SIDE_OR_LEVEL, category=1
    )

    assert found.is_open
    assert [one.case_id for one in runner.open_discrepancies(at(601))] == [CASE]
    assert found.second_reading.communicate_by == at(615)


@pytest.mark.parametrize(
    "signed_at",
    [
        pytest.param(datetime(2026, 10, 24, 23, 30, tzinfo=UTC), id="clocks-go-back"),
        pytest.param(datetime(2027, 3, 27, 23, 30, tzinfo=UTC), id="clocks-go-forward"),
    ],
)
def test_forty_eight_hours_are_forty_eight_hours_whatever_the_clocks_on_the_wall_do(signed_at: datetime) -> None:
    store = memory_store()
    known = rules(ALWAYS)
    around = Span(start=signed_at - timedelta(days=7), end=signed_at + timedelta(days=7))
    runner = engine(store, replace(known, timeline=Timeline(known.roster, known.directory, around)))
    runner.open_case(CASE, request(), signed_at)
    runner.complete_images(CASE, signed_at, rule="radiographer")
    reader = runner.case(CASE).reading.assigned_to or ANNA
    runner.execute(CASE, lambda case, context: commands.claim(case, reader, context, transaction_uid="1.2"), signed_at)
    runner.sign(CASE, reader, signed_at, transaction_uid="1.2")
    runner.execute(CASE, partial(commands.close, reason="told by phone"), signed_at)

    jump(runner, signed_at + timedelta(hours=48) - timedelta(seconds=1))
    assert "C8" not in breached(store)
    jump(runner, signed_at + timedelta(hours=48))

    assert breached(store).count("C8") == 1
