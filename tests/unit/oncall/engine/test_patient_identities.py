"""What hospitals say of their patients, in the cases: merged, split again, qualified, doubted."""

from datetime import datetime

import pytest

from foundation.outbox import OutboxEvent
from oncall.case import commands, commands_report
from oncall.case.event import Actor, CaseId
from oncall.case.regions import IdentityState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType
from oncall.directory import PersonId
from oncall.engine.engine import Engine
from oncall.engine.identities import IdentityNews
from oncall.engine.ports import MemoryStore
from tests.harness.small_territory import at, engine, memory_store, request

MERGED = IdentityNews(change="merged", patient_key="key-2", other_patient_key="key-1", issuer="NORTH")
UNDONE = IdentityNews(change="unlinked", patient_key="key-2", other_patient_key="key-1", was_merged=True)


class Hospital:
    """Says things of patients; cases take them by `take`."""

    def __init__(self) -> None:
        self.store: MemoryStore = memory_store()
        self.engine: Engine = engine(self.store)
        self.said: dict[str, IdentityNews] = {}

    def say(self, news: IdentityNews, when: datetime) -> None:
        change_id = f"c{len(self.store.stated) + 1}"
        self.said[change_id] = news
        payload = {"change_id": change_id, "change": news.change, "issuer": news.issuer}
        event = OutboxEvent(
            event_id=len(self.store.stated) + 1, topic="patient_identity/1", payload=payload,
            created_at_s=when.timestamp(),
        )  # fmt: skip
        self.store.stated.append(event)
        self.engine.take_identities(when, self.said.get)

    def case_of(self, case_id: str, patient_key: str, when: datetime) -> CaseId:
        asked = request()
        named = type(asked)(**{**{name: getattr(asked, name) for name in asked.__slots__}, "patient_key": patient_key})
        self.engine.open_case(CaseId(case_id), named, when)
        return CaseId(case_id)

    def case(self, case_id: CaseId) -> Case:
        return self.engine.case(case_id)

    def types(self, case_id: CaseId) -> list[str]:
        return [event.type for event in self.store.events_of(case_id)]


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def test_a_case_follows_its_patient_who_is_merged(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))

    hospital.say(MERGED, at(5))

    identity = hospital.case(case_id).identity
    assert (identity.state, identity.patient_key, identity.former_patient_keys) == (
        IdentityState.KNOWN, "key-2", ("key-1",),
    )  # fmt: skip
    merged = hospital.store.events_of(case_id)[-1].fact
    assert (merged.type, merged.occurred_at, merged.actor.role) == (EventType.IDENTITY_MERGED, at(5), "hospital")


def test_cases_of_other_patients_are_not_touched(hospital: Hospital) -> None:
    other, kept = hospital.case_of("a", "key-3", at(0)), hospital.case_of("b", "key-2", at(0))

    hospital.say(MERGED, at(5))

    assert EventType.IDENTITY_MERGED not in hospital.types(other) + hospital.types(kept)


def test_only_cases_that_the_merge_moved_go_back_when_it_is_undone(hospital: Hospital) -> None:
    moved = hospital.case_of("a", "key-1", at(0))
    own = hospital.case_of("b", "key-2", at(1))
    hospital.say(MERGED, at(5))
    later = hospital.case_of("c", "key-2", at(6))

    hospital.say(UNDONE, at(10))

    assert hospital.case(moved).patient_key == "key-1"
    assert hospital.case(own).patient_key == "key-2"
    assert hospital.case(later).patient_key == "key-2"
    assert hospital.types(moved)[-1] == EventType.IDENTITY_SPLIT


def test_a_merge_after_an_undoing_is_a_merge_again(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))
    for number, news in enumerate((MERGED, UNDONE, MERGED, UNDONE)):
        hospital.say(news, at(5 + number))

    assert hospital.case(case_id).patient_key == "key-1"


def test_a_merge_that_was_undone_before_anybody_looked_moves_nothing(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))

    hospital.say(IdentityNews(**{**_fields(MERGED), "is_undone": True}), at(5))

    assert hospital.case(case_id).patient_key == "key-1"


def test_a_link_changes_no_case(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))

    hospital.say(IdentityNews(change="linked", patient_key="key-2", other_patient_key="key-1"), at(5))

    assert hospital.case(case_id).patient_key == "key-1"


def test_a_signed_report_whose_patient_was_merged_is_told_anew(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))
    _sign(hospital, case_id)

    hospital.say(MERGED, at(30))

    assert hospital.case(case_id).is_signed_for_another
    assert EventType.REPORT_IDENTITY_CHANGED in hospital.types(case_id)


def test_a_qualified_ins_qualifies_the_case_and_a_doubted_one_takes_it_back(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))

    hospital.say(IdentityNews(change="updated", patient_key="key-1", is_qualified=True), at(5))
    assert hospital.case(case_id).identity.state is IdentityState.QUALIFIED

    hospital.say(IdentityNews(change="updated", patient_key="key-1", was_qualified=True), at(6))
    assert hospital.case(case_id).identity.state is IdentityState.KNOWN


def test_what_is_blocked_stays_blocked_until_a_person_settles_it(hospital: Hospital) -> None:
    case_id = hospital.case_of("a", "key-1", at(0))
    hospital.engine.execute(
        case_id, lambda case, context: commands_report.block_identity(case, context, reason="test"), at(1)
    )

    hospital.say(MERGED, at(5))
    hospital.say(IdentityNews(change="updated", patient_key="key-2", is_qualified=True), at(6))

    identity = hospital.case(case_id).identity
    assert (identity.state, identity.patient_key) == (IdentityState.BLOCKED, "key-2")


def _fields(news: IdentityNews) -> dict[str, object]:
    return {name: getattr(news, name) for name in news.__slots__}


def _sign(hospital: Hospital, case_id: CaseId) -> None:
    study, anna = StudyKey("NORTH", "1.2.3"), PersonId("anna")
    hospital.engine.execute(
        case_id, lambda case, context: commands.receive_instances(case, study, context, received=1), at(10)
    )
    hospital.engine.complete_images(case_id, at(11), rule="quiet_period")
    hospital.engine.claim(case_id, anna, at(12), transaction_uid="1.2.9")
    hospital.engine.execute(
        case_id,
        lambda case, context: commands_report.sign(case, anna, context, content_hash="h", transaction_uid="1.2.9"),
        at(20), actor=Actor(who="anna", role="reader"),
    )  # fmt: skip
