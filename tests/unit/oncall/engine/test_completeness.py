"""Lists compared with what is here, the hospital's and the radiographer's words, links that are lost: in the engine."""

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest

from foundation import outbox
from foundation.errors import Refused
from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.completeness import Doubt
from oncall.case.event import Actor, CaseId
from oncall.case.intake_policy import IntakePolicy
from oncall.case.intake_values import StudyDescription
from oncall.case.regions import EscalationState, ImagesState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.engine.completeness import COMPARED_AGAIN_AFTER, Listed
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore, Store
from oncall.engine.sql_store import SqlStore
from pacs.contracts import (
    TOPIC_ASSOCIATION_ENDED,
    TOPIC_INSTANCES_STORED,
    TOPIC_ORDER,
    TOPIC_SITE_LINK,
    TOPIC_STORAGE_COMMITMENT_REQUESTED,
)
from tests.harness.small_territory import BEGIN, at, engine, in_force, request, run_until

STUDY: Final = StudyKey("NORTH", "1.2.3")
CASE: Final = CaseId("order-1")
RADIOGRAPHER: Final = Actor(who="rita", role="radiographer")
SECOND: Final = 1 / 60
STEP: Final = "2.25.7"


class Hospital:
    """States facts into a store, and says what lists and orders say."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids = itertools.count(1)
        self.lists: dict[str, Listed | None] = {}
        self.expected: dict[str, int] = {}
        self.compared = 0

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        return StudyDescription(patient_key="key-north", accession_number="A1")

    def listed(self, mpps_uid: str) -> Listed | None:
        self.compared += 1
        return self.lists[mpps_uid]

    def expected_of(self, order_id: str) -> int | None:
        return self.expected.get(order_id)

    def state(self, topic: str, now: datetime, **payload: object) -> None:
        if isinstance(self.store, MemoryStore):
            event = OutboxEvent(event_id=next(self.ids), topic=topic, payload=payload, created_at_s=now.timestamp())
            self.store.stated.append(event)
            return
        assert isinstance(self.store, SqlStore)
        with self.store._database.write(durable=True) as connection:  # the archive side of it
            outbox.append(connection, topic, payload, created_at_s=now.timestamp())

    def stored(self, now: datetime, count: int = 10) -> None:
        series = [{"series_instance_uid": "1.9", "modality": "CT", "sop_instance_uids": [str(n) for n in range(count)]}]
        self.state(
            TOPIC_INSTANCES_STORED, now, issuer="NORTH", study_instance_uid="1.2.3", series=series,
            calling_aet="CT_NORTH",
        )  # fmt: skip

    def ended(self, now: datetime, how: str = "released") -> None:
        studies = [{"issuer": "NORTH", "study_instance_uid": "1.2.3"}]
        is_released = how == "released"
        self.state(
            TOPIC_ASSOCIATION_ENDED, now, calling_aet="CT_NORTH", studies=studies, is_released=is_released, how=how
        )

    def link(self, now: datetime, state: str, site_id: str = "north") -> None:
        self.state(TOPIC_SITE_LINK, now, site_id=site_id, state=state, since_s=600.0)


class Night:
    """A case of an order that waits for its images, and what is stated about it."""

    def __init__(self, store: Store) -> None:
        rules = in_force()
        self.engine: Engine = engine(store, replace(rules, intake=IntakePolicy(version="1")))
        self.hospital = Hospital(store)
        self.engine.run_due(BEGIN)
        self.engine.open_case(CASE, replace(request(), accession_number="A1", request_id="o-1"), at(1))

    @property
    def case(self) -> Case:
        return self.engine.case(CASE)

    def tick(self, minutes: float) -> Case:
        """Do what the process does at each tick."""
        now = at(minutes)
        self.engine.take_outbox(now, self.hospital)
        self.engine.take_image_evidence(now, self.hospital)
        self.engine.take_site_links(now)
        self.engine.run_due(now)
        return self.case

    def say(self, minutes: float, kind: E, **payload: Any) -> None:
        self.engine.execute(CASE, lambda case, context: commands.say(case, context, kind, **payload), at(minutes))

    def exam_ends(self, minutes: float, listed: Listed | None) -> None:
        self.hospital.lists[STEP] = listed
        self.say(minutes, E.EXAM_STARTED, mpps_uid=STEP)
        self.say(minutes, E.EXAM_COMPLETED, mpps_uid=STEP, expected=None if listed is None else listed.count)


@pytest.fixture
def night(store: Store) -> Night:
    return Night(store)


in_memory = pytest.mark.parametrize("store", ["memory"], indirect=True)


def test_a_finished_exam_is_complete_in_the_tick_that_finds_all_of_its_list(night: Night) -> None:
    night.hospital.stored(at(5))
    night.exam_ends(5.5, Listed(count=10, missing=0, study_instance_uids=("1.2.3",)))
    case = night.tick(5.6)
    assert (case.images.rule, case.images.complete_at, case.images.deadline_at) == ("mpps_list", at(5), at(65))
    assert case.reading.assigned_to is not None


def test_the_end_of_the_association_is_evidence_that_waits_for_quiet(night: Night) -> None:
    night.hospital.stored(at(5))
    night.hospital.ended(at(5))
    assert night.tick(5.1).images.state is ImagesState.ARRIVING
    run_until(night.engine, at(6))
    assert (night.case.images.rule, night.case.images.complete_at) == ("association_end", at(5))


def test_a_commitment_request_is_evidence_that_waits_for_quiet(night: Night) -> None:
    night.hospital.stored(at(5))
    night.hospital.state(
        TOPIC_STORAGE_COMMITMENT_REQUESTED, at(5.1), transaction_uid="2.25.1", calling_aet="CT_NORTH",
        study_instance_uids=["1.2.3"], count=10,
    )  # fmt: skip
    night.tick(5.1)
    run_until(night.engine, at(6))
    assert (night.case.images.rule, night.case.images.complete_at) == ("storage_commitment", at(5))


def test_an_unusable_fact_keeps_nothing_behind_it_from_its_patient(night: Night) -> None:
    night.hospital.state(TOPIC_ASSOCIATION_ENDED, at(4), calling_aet="CT_NORTH", how="sideways", studies=[])
    night.hospital.state(TOPIC_STORAGE_COMMITMENT_REQUESTED, at(4), calling_aet="CT_NORTH")
    night.hospital.stored(at(5))
    assert night.tick(5).images.received == 10


@in_memory
def test_a_list_is_compared_again_when_enough_has_come_and_not_at_every_tick(night: Night) -> None:
    night.hospital.stored(at(5))
    night.exam_ends(5.5, Listed(count=30, missing=20, study_instance_uids=("1.2.3",)))
    for second in range(4):
        night.tick(5.6 + second * SECOND)
    assert night.hospital.compared == 1
    night.hospital.stored(at(5.7), 19)
    night.tick(5.7)
    assert night.hospital.compared == 1 + (COMPARED_AGAIN_AFTER.total_seconds() <= 0.1 * 60)
    compared = night.hospital.compared
    night.hospital.lists[STEP] = Listed(count=30, missing=0, study_instance_uids=("1.2.3",))
    night.hospital.stored(at(5.71), 20)
    case = night.tick(5.72)
    assert night.hospital.compared == compared + 1
    assert (case.images.rule, case.images.complete_at) == ("mpps_list", at(5.71))


def test_a_transfer_that_stops_before_the_list_is_whole_stalls_pages_and_resumes(night: Night) -> None:
    night.hospital.stored(at(5))
    night.exam_ends(5.5, Listed(count=30, missing=20, study_instance_uids=("1.2.3",)))
    night.tick(5.6)
    run_until(night.engine, at(8))
    assert (night.case.images.state, night.case.reading.assigned_to) == (ImagesState.STALLED, None)
    assert chain_states(night.case) == [EscalationState.RUNNING]
    night.hospital.lists[STEP] = Listed(count=30, missing=0, study_instance_uids=("1.2.3",))
    night.hospital.stored(at(9), 20)
    case = night.tick(9.1)
    assert (case.images.rule, case.images.complete_at) == ("mpps_list", at(9))
    assert chain_states(case)[0] is EscalationState.STOPPED


def test_the_hospitals_word_with_a_number_completes_at_once(night: Night) -> None:
    night.hospital.expected["o-1"] = 10
    night.hospital.stored(at(5))
    night.tick(5)
    night.hospital.state(TOPIC_ORDER, at(5.5), order_id="o-1", site_id="north", change="performed")
    night.hospital.state(TOPIC_ORDER, at(5.5), order_id="o-2", site_id="north", change="performed")
    case = night.tick(5.6)
    assert (case.images.rule, case.images.complete_at) == ("exam_complement", at(5))


def test_the_radiographers_number_completes_the_images_and_gives_them_to_a_reader(night: Night) -> None:
    night.hospital.stored(at(5))
    night.tick(5)
    told = night.engine.say_images_complete(CASE, 10, at(5.2), actor=RADIOGRAPHER)
    assert (told.is_complete, told.doubts) == (True, ())
    assert (night.case.images.rule, night.case.images.complete_at) == ("radiographer_button", at(5))
    assert night.case.reading.assigned_to is not None


def test_a_radiographer_is_told_what_is_missing_and_may_insist(night: Night) -> None:
    night.hospital.stored(at(5))
    night.tick(5)
    told = night.engine.say_images_complete(CASE, 12, at(5.2), actor=RADIOGRAPHER)
    assert (told.is_complete, told.doubts, told.missing) == (False, (Doubt.MISSING,), 2)
    told = night.engine.say_images_complete(CASE, None, at(5.3), actor=RADIOGRAPHER, is_insisted=True)
    assert told.is_complete
    said = [event for event in night.engine._store.events_of(CASE) if event.type == E.IMAGES_EVIDENCE_FOUND]
    assert [event.fact.actor for event in said] == [RADIOGRAPHER, RADIOGRAPHER]
    assert said[1].fact.payload["missing"] == 2


def test_the_radiographers_word_is_refused_before_the_first_image(night: Night) -> None:
    with pytest.raises(Refused, match="no image"):
        night.engine.say_images_complete(CASE, None, at(5), actor=RADIOGRAPHER)


def test_images_that_come_late_are_complete_again_and_leave_reader_and_deadline(night: Night) -> None:
    night.hospital.stored(at(5))
    night.tick(5)
    run_until(night.engine, at(8))
    before = night.case
    night.hospital.stored(at(10), 3)
    late = night.tick(10)
    assert (late.images.is_reopened, late.reading.assigned_to) == (True, before.reading.assigned_to)
    run_until(night.engine, at(12))
    after = night.case
    assert (after.images.is_reopened, after.images.complete_again_rule) == (False, "quiet_period")
    assert (after.images.complete_at, after.images.deadline_at) == (at(5), before.images.deadline_at)


def test_a_lost_link_is_told_to_every_open_case_and_pages_once(night: Night) -> None:
    night.engine.open_case(CaseId("other"), request(), at(2))
    night.engine.open_case(CaseId("elsewhere"), request("south"), at(2))
    night.hospital.link(at(3), "silent")
    night.hospital.link(at(3), "silent")
    night.tick(3)
    cases = {case.case_id: case for case in night.engine.open_cases(at(3))}
    assert [cases[one].images.link_lost_at for one in (CASE, "other", "elsewhere")] == [at(3), at(3), None]
    assert [len(technical(case)) for case in cases.values()].count(1) == 1
    assert night.engine.night.duty.links_lost == {"north": at(3 - 10)}
    night.engine.open_case(CaseId("new"), request(), at(4))
    assert night.engine.case(CaseId("new")).images.link_lost_at == at(4)
    assert technical(night.engine.case(CaseId("new"))) == []


def test_images_over_a_link_that_was_lost_count_from_when_they_were_complete_here(night: Night) -> None:
    night.hospital.stored(at(5))
    night.tick(5)
    night.hospital.link(at(5.5), "silent")
    night.tick(5.5)
    run_until(night.engine, at(120))
    assert night.case.images.state is ImagesState.STALLED
    assert len(technical(night.case)) == 1
    night.hospital.link(at(125), "back")
    night.hospital.stored(at(126), 90)
    night.hospital.ended(at(126))
    night.tick(126)
    run_until(night.engine, at(128))
    case = night.case
    assert (case.images.complete_at, case.images.deadline_at) == (at(126), at(186))
    assert case.images.link_lost_at is None
    assert all(one.state is not EscalationState.RUNNING for one in technical(case))
    assert night.engine.night.duty.links_lost == {}


def test_who_has_answered_for_a_lost_link_is_not_paged_again_for_what_cannot_come(night: Night) -> None:
    night.hospital.stored(at(5))
    night.tick(5)
    night.hospital.link(at(5.5), "silent")
    night.tick(5.5)
    night.engine.acknowledge(CASE, PersonId("coline"), at(6))
    run_until(night.engine, at(120))
    assert night.case.images.state is ImagesState.STALLED
    assert chain_states(night.case) == [EscalationState.ACKNOWLEDGED]


@in_memory
def test_a_link_of_a_hospital_that_nobody_knows_is_logged_and_forgotten(night: Night) -> None:
    night.hospital.link(at(3), "silent", site_id="nowhere")
    night.tick(3)
    assert night.engine.night.duty.links_lost == {}


def chain_states(case: Case) -> list[EscalationState]:
    return [one.state for one in technical(case)]


def technical(case: Case) -> list[Any]:
    return [one for one in case.escalations if one.chain_id.startswith(f"{case.case_id}/t")]
