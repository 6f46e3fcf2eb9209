"""A study that nothing makes an emergency is kept: until a person, or a request, takes it, with its images' times."""

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Final

import pytest

from foundation import outbox
from foundation.errors import Refused
from foundation.outbox import OutboxEvent
from oncall.case.event import Actor, CaseId
from oncall.case.intake_policy import EmergencyRule, IntakePolicy
from oncall.case.intake_values import StudyDescription
from oncall.case.regions import IdentityState, ImagesState, RequestState, StudyKey
from oncall.case.unclaimed import UnclaimedStudy
from oncall.directory import SubSpecialty
from oncall.engine.engine import Engine
from oncall.engine.ports import Changes, HeadMoved, MemoryStore, Store
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import ExamKind, Urgency
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_STUDY_IN_TWO_PATIENTS
from tests.harness.small_territory import BEGIN, at, engine, in_force, memory_store, request, run_until

STUDY: Final = StudyKey("NORTH", "1.2.3")
ORDER: Final = CaseId("order-1")
PHYSICIAN: Final = Actor(who="emma", role="physician")
DAY: Final = IntakePolicy(version="day")
KEY: Final = "key-north"


class Archive:
    """States facts into a store, and describes what it stated."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids = itertools.count(1)
        self.description = StudyDescription(patient_key=KEY, accession_number="A1")

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        return self.description

    def state(self, topic: str, now: datetime, **payload: object) -> None:
        if isinstance(self.store, MemoryStore):
            event = OutboxEvent(event_id=next(self.ids), topic=topic, payload=payload, created_at_s=now.timestamp())
            self.store.stated.append(event)
            return
        assert isinstance(self.store, SqlStore)
        with self.store._database.write(durable=True) as connection:  # the archive side of it
            outbox.append(connection, topic, payload, created_at_s=now.timestamp())

    def stored(self, now: datetime, count: int = 10, *, uid: str = STUDY.study_instance_uid) -> None:
        instances = [f"{uid}.{number}" for number in range(count)]
        series = [{"series_instance_uid": f"{uid}.9", "modality": "CT", "sop_instance_uids": instances}]
        self.state(
            TOPIC_INSTANCES_STORED, now, issuer="NORTH", study_instance_uid=uid, series=series, calling_aet="CT_NORTH"
        )


def day(store: Store, policy: IntakePolicy = DAY) -> tuple[Engine, Archive]:
    runner = engine(store, replace(in_force(), intake=policy))
    runner.run_due(BEGIN)
    return runner, Archive(store)


def test_a_study_that_is_no_emergency_is_kept_with_what_is_known_of_it(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5), 10)
    runner.take_outbox(at(5), archive)
    archive.stored(at(6), 20)
    runner.take_outbox(at(6.5), archive)

    (kept,) = runner.unclaimed_studies(at(7))

    assert (kept.study, kept.received, kept.first_at, kept.last_at) == (STUDY, 30, at(5), at(6))
    assert (kept.site_id, kept.modalities, kept.accession_number) == ("north", {"CT"}, "A1")
    assert kept.reason == "no rule makes it an emergency"
    assert runner.open_cases(at(7)) == []


def test_a_person_who_calls_it_an_emergency_starts_the_hour_at_its_last_image(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    run_until(runner, at(25))

    case = runner.open_for_study(STUDY, request(urgency=Urgency.P1), at(25), actor=PHYSICIAN)

    assert (case.images.complete_at, case.images.deadline_at) == (at(5), at(65))
    assert (case.request.state, case.images.received) == (RequestState.UNANNOUNCED, 10)
    assert case.reading.assigned_to is not None
    assert runner.unclaimed_studies(at(25)) == []
    assert store.case_of_study(STUDY) == case.case_id
    with pytest.raises(Refused, match="without a case"):
        runner.open_for_study(STUDY, request(), at(26), actor=PHYSICIAN)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_images_that_come_later_are_late_in_the_case_that_took_it(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    case = runner.open_for_study(STUDY, request(), at(25), actor=PHYSICIAN)

    archive.stored(at(26), 3)
    runner.take_outbox(at(26), archive)

    after = runner.case(case.case_id)
    assert (after.images.late_instances, after.images.received) == (3, 13)
    assert after.images.deadline_at == case.images.deadline_at
    assert runner.unclaimed_studies(at(27)) == []


def test_a_request_that_comes_later_finds_its_study_and_gives_no_minute_away(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    run_until(runner, at(30))

    case = runner.open_case(ORDER, replace(request(), accession_number="A1"), at(30))

    assert case.images.studies == (STUDY,)
    assert (case.images.state, case.images.complete_at, case.images.deadline_at) == (
        ImagesState.COMPLETE,
        at(5),
        at(65),
    )
    assert case.reading.assigned_to is not None
    assert runner.unclaimed_studies(at(30)) == []


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_all_studies_of_an_accession_number_come_to_the_request_and_no_other_does(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    archive.stored(at(6), uid="1.2.4")
    runner.take_outbox(at(6), archive)
    archive.description = StudyDescription(patient_key="key-of-another", accession_number="A2")
    archive.stored(at(7), uid="1.2.5")
    runner.take_outbox(at(7), archive)

    case = runner.open_case(ORDER, replace(request(), accession_number="A1"), at(8))

    assert {study.study_instance_uid for study in case.images.studies} == {"1.2.3", "1.2.4"}
    assert [kept.study.study_instance_uid for kept in runner.unclaimed_studies(at(8))] == ["1.2.5"]


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_study_that_only_may_be_the_requests_is_proposed_and_linked_by_a_person(store: Store) -> None:
    runner, archive = day(store)
    archive.description = StudyDescription()
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    case = runner.open_case(ORDER, request(), at(10))
    assert case.images.studies == ()

    (candidate,) = runner.match_candidates(ORDER, at(10))
    assert (candidate.case_id, candidate.study) == (ORDER, STUDY)
    linked = runner.link_study(ORDER, STUDY, at(11), actor=PHYSICIAN, reason="bracelet read")

    assert (linked.images.complete_at, linked.images.studies) == (at(5), (STUDY,))
    assert runner.link_study(ORDER, STUDY, at(12), actor=PHYSICIAN, reason="bracelet read") == linked


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_study_of_another_patient_is_not_linked_by_anybody(store: Store) -> None:
    runner, archive = day(store)
    archive.description = StudyDescription(patient_key="key-of-another")
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    runner.open_case(ORDER, request(), at(10))

    with pytest.raises(Refused, match="another patient"):
        runner.link_study(ORDER, STUDY, at(11), actor=PHYSICIAN, reason="mistake")


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_study_under_two_patients_is_blocked_in_the_case_that_takes_it(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    archive.state(TOPIC_STUDY_IN_TWO_PATIENTS, at(5), study_instance_uid="1.2.3", study_pks=[1, 2])
    runner.take_outbox(at(5), archive)

    case = runner.open_for_study(STUDY, request(), at(25), actor=PHYSICIAN)

    assert case.identity.state is IdentityState.BLOCKED


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_the_second_patient_under_one_study_uid_is_another_study(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)
    archive.description = StudyDescription(patient_key="key-of-another")
    archive.stored(at(6))
    runner.take_outbox(at(6), archive)

    kept = runner.unclaimed_studies(at(7))

    assert {one.patient_key for one in kept} == {KEY, "key-of-another"}
    assert len({one.study for one in kept}) == 2


def test_what_is_old_is_not_shown_and_at_last_not_kept(store: Store) -> None:
    runner, archive = day(store)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)

    assert runner.unclaimed_studies(at(25 * 60)) == []
    assert store.unclaimed_since(BEGIN) != []
    archive.stored(at(8 * 24 * 60), uid="1.2.8")
    runner.take_outbox(at(8 * 24 * 60), archive)
    assert [kept.study.study_instance_uid for kept in store.unclaimed_since(BEGIN)] == ["1.2.8"]


def test_a_decision_on_an_unclaimed_study_that_has_changed_is_made_again(store: Store) -> None:
    seen = UnclaimedStudy(study=STUDY, first_at=at(1), last_at=at(1), received=1, told_by=1, reason="r")
    store.commit(Changes(unclaimed_kept=(seen,)), head=0, worker="one", now=at(1))
    later = replace(seen, received=2, told_by=2)
    store.commit(Changes(unclaimed_seen=(seen,), unclaimed_kept=(later,)), head=0, worker="one", now=at(1))

    with pytest.raises(HeadMoved):
        store.commit(Changes(unclaimed_seen=(seen,)), head=0, worker="two", now=at(2))

    assert store.unclaimed_of_uid("1.2.3") == [later]


@pytest.mark.parametrize(
    ("words", "exam", "urgency", "needs"),
    [
        (("Scanner cérébral - AVC",), ExamKind.STROKE, Urgency.P1, SubSpecialty.NEURO),
        (("BODYSCAN polytraumatisé",), ExamKind.WHOLE_BODY, Urgency.P1, SubSpecialty.TRAUMA),
        (("TDM crâne",), ExamKind.HEAD, Urgency.P2, SubSpecialty.GENERAL),
        (("protocole 7",), ExamKind.CHEST, Urgency.P2, SubSpecialty.GENERAL),
    ],
    ids=["stroke", "polytrauma", "head", "unknown words"],
)
def test_what_the_scanner_calls_an_unannounced_study_may_raise_it_and_never_lowers_it(
    words: tuple[str, ...], exam: ExamKind, urgency: Urgency, needs: SubSpecialty
) -> None:
    rule = EmergencyRule(name="ct", modalities=frozenset({"CT"}), exam=ExamKind.CHEST, urgency=Urgency.P2)
    runner, archive = day(memory_store(), IntakePolicy(version="night", rules=(rule,)))
    archive.description = StudyDescription(patient_key=KEY, words=words)
    archive.stored(at(5))
    runner.take_outbox(at(5), archive)

    (case,) = runner.open_cases(at(5))

    assert (case.exam, case.urgency, case.needs) == (exam, urgency, needs)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_images_that_a_relay_brings_late_are_complete_at_once_and_not_at_the_next_review(store: Store) -> None:
    rule = EmergencyRule(name="ct", modalities=frozenset({"CT"}))
    runner, archive = day(store, IntakePolicy(version="night", rules=(rule,)))
    run_until(runner, at(30))
    archive.stored(at(10))

    runner.take_outbox(at(30), archive)
    run_until(runner, at(30.1))

    (case,) = runner.open_cases(at(30.1))
    assert (case.images.complete_at, case.images.deadline_at) == (at(10), at(70))
    assert case.reading.assigned_to is not None
