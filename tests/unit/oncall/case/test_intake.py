"""What the archive states becomes cases: linked, opened by policy, told of images, blocked; twice is once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from foundation import outbox
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.instants import microseconds
from foundation.outbox import OutboxEvent
from oncall.case import commands as ask
from oncall.case.commands_report import correct_identity
from oncall.case.completeness import due_images, next_look_at
from oncall.case.event import CaseId
from oncall.case.intake import CONSUMER, TOPICS, Intake
from oncall.case.intake_policy import EmergencyRule, IntakePolicy, OnCallHours, is_within, site_of
from oncall.case.intake_values import Grade, IntakeResult, StudyDescription
from oncall.case.log import MemoryCaseLog
from oncall.case.regions import IdentityState, ImagesState, RequestState, StudyKey
from oncall.case.sql_log import SqlCaseLog
from oncall.case.state import Case, TransitionRefused
from oncall.case.unclaimed import UnclaimedStudy
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, Site, SiteId, SubSpecialty
from oncall.reading.board import ExamKind, Urgency
from pacs.contracts import TOPIC_INSTANCE_CONFLICT, TOPIC_INSTANCES_STORED, TOPIC_STUDY_IN_TWO_PATIENTS
from tests.unit.oncall.case.cases import ANNE, Story, after, at, numbered_ids, request

ROANNE = Site(
    site_id=SiteId("roanne"),
    name="Roanne",
    time_zone="Europe/Paris",
    commune="42187",
    ae_titles=frozenset({"ROA_CT1"}),
    issuer="ROANNE",
)
FEURS = Site(
    site_id=SiteId("feurs"),
    name="Feurs",
    time_zone="Europe/Paris",
    commune="42094",
    ae_titles=frozenset({"FEU_CT1", "SHARED"}),
    issuer="FEURS",
)
MONTBRISON = Site(
    site_id=SiteId("montbrison"), name="M", time_zone="Europe/Paris", commune="42147", ae_titles=frozenset({"SHARED"})
)
DIRECTORY = Directory(sites={site.site_id: site for site in (ROANNE, FEURS, MONTBRISON)}, persons={}, providers={})
NIGHTS = OnCallHours(weekdays=frozenset(range(7)), start=time(18, 30), end=time(8, 30))
POLICY = IntakePolicy(
    version="intake-1",
    rules=(
        EmergencyRule(
            name="heads",
            modalities=frozenset({"CT"}),
            body_parts=frozenset({"HEAD"}),
            hours=(NIGHTS,),
            exam=ExamKind.HEAD,
            urgency=Urgency.P1,
        ),
        EmergencyRule(name="ct at night", modalities=frozenset({"CT"}), hours=(NIGHTS,)),
    ),
    quiet_s=90.0,
    stalled_s=120.0,
)
UID = "1.2.3"
STUDY = StudyKey("ROANNE", UID)
# 20:00 at Roanne.
NOW = after(0)


class Archive:
    """States facts, and knows what it holds of each study."""

    def __init__(self) -> None:
        self.ids = count(1)
        self.known: dict[tuple[StudyKey, int | None], StudyDescription] = {}

    def stored(
        self,
        instances: int = 10,
        *,
        uid: str = UID,
        issuer: str = "ROANNE",
        aet: str = "ROA_CT1",
        study_pk: int = 1,
        stated_at: datetime | None = None,
    ) -> OutboxEvent:
        event_id = next(self.ids)
        uids = [f"{uid}.{event_id}.{number}" for number in range(instances)]
        series = {"series_instance_uid": f"{uid}.1", "series_pk": 1, "modality": "CT", "sop_instance_uids": uids}
        return OutboxEvent(
            event_id=event_id,
            topic=TOPIC_INSTANCES_STORED,
            payload={
                "issuer": issuer,
                "study_instance_uid": uid,
                "study_pk": study_pk,
                "series": [series],
                "calling_aet": aet,
            },
            created_at_s=0.0 if stated_at is None else stated_at.timestamp(),
        )

    def said(self, topic: str, **payload: Any) -> OutboxEvent:
        return OutboxEvent(event_id=next(self.ids), topic=topic, payload=payload)

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        return self.known.get((study, study_pk), StudyDescription(patient_key="key-1"))


class Seen:
    """What the intake looks at: a log, and studies that no case has."""

    def __init__(self, log: MemoryCaseLog | SqlCaseLog, unclaimed: Mapping[StudyKey, UnclaimedStudy]) -> None:
        self._log = log
        self._unclaimed = unclaimed

    def case(self, case_id: CaseId) -> Case | None:
        return self._log.case(case_id)

    def case_of_study(self, study: StudyKey) -> CaseId | None:
        return self._log.case_of_study(study)

    def studies_of_uid(self, study_instance_uid: str) -> Sequence[tuple[StudyKey, CaseId]]:
        return self._log.studies_of_uid(study_instance_uid)

    def open_cases(self) -> Sequence[Case]:
        return self._log.open_cases()

    def unclaimed_of_uid(self, study_instance_uid: str) -> Sequence[UnclaimedStudy]:
        return [one for study, one in self._unclaimed.items() if study.study_instance_uid == study_instance_uid]


def graded(exam: ExamKind, rule: EmergencyRule, _at: datetime) -> Grade:
    """Return strokes as the most urgent, anything else as not urgent at all."""
    if exam is ExamKind.STROKE:
        return Grade(Urgency.P1, SubSpecialty.NEURO)
    return Grade(Urgency.P3, rule.needs)


class Night:
    """An intake on a log in memory."""

    def __init__(self, policy: IntakePolicy = POLICY) -> None:
        self.archive = Archive()
        self.log = MemoryCaseLog(numbered_ids())
        self.intake = Intake(
            policy,
            DIRECTORY,
            self.archive,
            is_public_holiday=lambda _day, _commune: False,
            new_case_id=lambda event: CaseId(f"study-{event.event_id}"),
            triage=graded,
        )
        self.unclaimed: dict[StudyKey, UnclaimedStudy] = {}

    def take(self, *events: OutboxEvent, now: datetime = NOW) -> IntakeResult:
        result = self.intake.take(events, Seen(self.log, self.unclaimed), now)
        self.unclaimed.update((one.study, one) for one in result.unclaimed)
        for case_id, facts in result.facts.items():
            known = self.log.case(case_id)
            self.log.append(case_id, 0 if known is None else known.seq, facts, now)
        return result

    def requested(self, case_id: str = "order", **changes: Any) -> Story:
        story = Story(self.log, CaseId(case_id))
        story.opened(**changes)
        return story

    def types(self, case_id: CaseId) -> list[str]:
        return [event.type for event in self.log.events(case_id)]


def test_an_emergency_study_that_nobody_announced_opens_a_case_by_policy() -> None:
    night = Night()

    result = night.take(night.archive.stored(25))

    (case,) = night.log.open_cases()
    assert result.opened == (case.case_id,)
    assert result.links == {STUDY: case.case_id}
    assert (case.site_id, case.urgency, case.patient_key) == ("roanne", Urgency.P2, "key-1")
    assert (case.request.state, case.images.state) == (RequestState.UNANNOUNCED, ImagesState.ARRIVING)
    assert (case.images.received, case.images.studies) == (25, (STUDY,))
    assert night.types(case.case_id) == [E.REQUEST_UNANNOUNCED, E.IMAGES_FIRST_INSTANCE]
    assert night.log.events(case.case_id)[0].fact.policy_version == "intake-1"


def test_the_first_rule_that_fits_says_what_the_case_is() -> None:
    night = Night()
    night.archive.known[STUDY, 1] = StudyDescription(body_part="head")

    night.take(night.archive.stored())

    (case,) = night.log.open_cases()
    assert (case.exam, case.urgency) == (ExamKind.HEAD, Urgency.P1)
    assert night.log.events(case.case_id)[0].fact.payload["rule"] == "heads"


@pytest.mark.parametrize(
    ("aet", "issuer", "hour", "reason"),
    [
        ("ROA_CT1", "ROANNE", 12, "no rule"),
        ("UNKNOWN", "", 20, "no single site"),
        ("SHARED", "", 20, "no single site"),
    ],
    ids=["in-the-daytime", "unknown-ae", "ae-of-two-sites"],
)
def test_a_study_that_is_nobodys_case_is_named_with_the_reason(aet: str, issuer: str, hour: int, reason: str) -> None:
    night = Night()
    now = datetime(2026, 11, 22, hour - 1, tzinfo=UTC)

    result = night.take(night.archive.stored(aet=aet, issuer=issuer), now=now)

    assert night.log.open_cases() == ()
    assert [one.study for one in result.unclaimed] == [StudyKey(issuer, UID)]
    assert reason in result.unclaimed[0].reason


def test_an_ae_of_two_sites_is_told_apart_by_the_issuer() -> None:
    assert site_of(DIRECTORY, "SHARED", "FEURS") == FEURS
    assert site_of(DIRECTORY, "SHARED", "") is None
    assert site_of(DIRECTORY, "NEW_CT", "ROANNE") == ROANNE


def test_a_batch_makes_one_fact_per_study_not_one_per_image() -> None:
    night = Night()
    night.take(night.archive.stored(10))

    night.take(*(night.archive.stored(8) for _ in range(100)), now=after(1))

    (case,) = night.log.open_cases()
    assert case.images.received == 810
    assert night.types(case.case_id)[2:] == [E.IMAGES_PROGRESS]


def test_events_that_are_seen_again_have_no_effect() -> None:
    night = Night()
    events = [
        night.archive.stored(10),
        night.archive.stored(5, uid="1.2.4"),
        night.archive.stored(7),
        night.archive.said(TOPIC_INSTANCE_CONFLICT, study_instance_uid=UID, conflict_pk=3),
    ]
    night.take(*events)
    before = {case.case_id: case for case in night.log.open_cases()}

    for again in (events, events[1:], events[3:]):
        result = night.take(*again, now=after(5))
        assert result.facts == {}

    assert {case.case_id: case for case in night.log.open_cases()} == before


def test_a_batch_that_overlaps_the_one_before_counts_only_what_is_new() -> None:
    night = Night()
    first, second, third = (night.archive.stored(10) for _ in range(3))
    night.take(first, second)

    night.take(second, third)

    assert [case.images.received for case in night.log.open_cases()] == [30]


def test_two_studies_of_one_case_are_counted_apart_whatever_their_order() -> None:
    night = Night()
    story = night.requested()
    for uid in (UID, "1.2.4"):
        night.archive.known[StudyKey("ROANNE", uid), 1] = StudyDescription(patient_key="key-1", accession_number="A1")
    first = night.archive.stored(10, uid="1.2.4")
    inner = [night.archive.stored(3), night.archive.stored(4), night.archive.stored(5, uid="1.2.4")]

    night.take(first, *inner)

    assert story.case.images.received == 22
    assert set(story.case.images.studies) == {STUDY, StudyKey("ROANNE", "1.2.4")}


def test_a_study_joins_the_request_that_waits_for_it() -> None:
    night = Night()
    story = night.requested()
    night.archive.known[STUDY, 1] = StudyDescription(patient_key="key-1", accession_number="A1")

    result = night.take(night.archive.stored(12))

    assert result.opened == ()
    assert result.links == {STUDY: story.case_id}
    assert night.types(story.case_id)[1:] == [E.IMAGES_LINKED, E.IMAGES_FIRST_INSTANCE]
    assert story.case.images.received == 12


def test_a_study_in_doubt_opens_its_own_case_and_is_proposed() -> None:
    night = Night()
    night.requested(patient_key="")
    night.archive.known[STUDY, 1] = StudyDescription(patient_key="temporary-7")

    result = night.take(night.archive.stored())

    assert len(result.opened) == 1
    (proposal,) = result.proposals
    assert (proposal.study, proposal.case_id) == (STUDY, result.opened[0])
    assert [match.case_id for match in proposal.candidates] == ["order"]


def test_a_mismatch_of_patients_blocks_the_request_and_reads_the_images_as_another_case() -> None:
    night = Night()
    story = night.requested()
    night.archive.known[STUDY, 1] = StudyDescription(patient_key="key-of-somebody-else", accession_number="A1")

    result = night.take(night.archive.stored())

    assert story.case.identity.state is IdentityState.BLOCKED
    assert story.case.images.studies == ()
    (opened,) = result.opened
    other = night.log.case(opened)
    assert other is not None
    assert (other.patient_key, other.images.studies) == ("key-of-somebody-else", (STUDY,))


def test_images_of_a_second_patient_under_the_same_uid_do_not_join_the_firsts_case() -> None:
    night = Night()
    night.archive.known[STUDY, 1] = StudyDescription(patient_key="key-1")
    night.archive.known[STUDY, 2] = StudyDescription(patient_key="key-2")
    night.take(night.archive.stored(10))

    night.take(night.archive.stored(20, study_pk=2), now=after(1))
    night.take(night.archive.stored(30, study_pk=2), night.archive.stored(1), now=after(2))

    first, second = night.log.open_cases()
    assert (first.patient_key, first.images.received, first.identity.state) == ("key-1", 11, IdentityState.BLOCKED)
    assert (second.patient_key, second.images.received) == ("key-2", 50)


def test_a_uid_under_two_patients_that_were_settled_to_be_one_blocks_nothing() -> None:
    night = Night()
    night.take(night.archive.stored())
    (case,) = night.log.open_cases()
    story = Story(night.log, case.case_id)
    story.append(correct_identity(story.case, at(1), patient_key="key-2", reason="bracelet read"))
    night.archive.known[StudyKey("", UID), 2] = StudyDescription(patient_key="key-2")
    night.take(night.archive.said(TOPIC_STUDY_IN_TWO_PATIENTS, study_instance_uid=UID, study_pks=[1, 2]))
    assert story.case.identity.state is IdentityState.KNOWN
    night.archive.known[StudyKey("", UID), 3] = StudyDescription(patient_key="key-3")
    night.take(night.archive.said(TOPIC_STUDY_IN_TWO_PATIENTS, study_instance_uid=UID, study_pks=[1, 3]))
    assert story.case.identity.state is IdentityState.BLOCKED


def test_a_uid_under_two_patients_blocks_the_identity_of_every_case_that_has_it() -> None:
    night = Night()
    night.take(night.archive.stored())
    night.archive.known[StudyKey("", UID), 2] = StudyDescription(patient_key="key-2")
    night.take(night.archive.said(TOPIC_STUDY_IN_TWO_PATIENTS, study_instance_uid=UID, study_pks=[1, 2]))

    (case,) = night.log.open_cases()
    assert case.identity.state is IdentityState.BLOCKED
    story = Story(night.log, case.case_id)
    story.complete(1)
    story.claimed(ANNE, 2)
    with pytest.raises(TransitionRefused, match="identity"):
        story.signed(ANNE, 3)


def test_a_conflict_of_bytes_is_noted_on_the_case_of_its_study_and_moves_nothing() -> None:
    night = Night()
    night.take(night.archive.stored())
    (before,) = night.log.open_cases()

    night.take(
        night.archive.said(
            TOPIC_INSTANCE_CONFLICT,
            study_instance_uid=UID,
            series_instance_uid="1",
            sop_instance_uid="2",
            conflict_pk=7,
            calling_aet="ROA_CT1",
        )
    )

    (case,) = night.log.open_cases()
    assert case.images.conflicts == 1
    assert (case.identity, case.reading) == (before.identity, before.reading)
    assert night.log.events(case.case_id)[-1].fact.payload["conflict_pk"] == 7


def test_a_conflict_of_a_study_without_a_case_is_passed_over() -> None:
    night = Night()

    assert night.take(night.archive.said(TOPIC_INSTANCE_CONFLICT, study_instance_uid="9.9")).facts == {}


def test_an_event_that_cannot_be_understood_does_not_keep_the_others_from_their_patients() -> None:
    night = Night()
    broken = night.archive.said(TOPIC_INSTANCES_STORED, issuer="ROANNE")

    result = night.take(broken, night.archive.stored())

    assert result.unusable == (broken.event_id,)
    assert len(result.opened) == 1


def test_a_dead_index_leaves_everything_as_it_was() -> None:
    night = Night()

    def describe(_study: StudyKey, _study_pk: int | None) -> StudyDescription:
        raise Unavailable("the index does not answer")

    night.intake.describe = describe

    with pytest.raises(Unavailable):
        night.take(night.archive.stored())
    assert night.log.open_cases() == ()


# When images are complete


def test_the_hour_begins_with_the_last_image_not_with_the_silence_that_was_noticed() -> None:
    night = Night()
    result = night.take(night.archive.stored(), now=after(10))
    (case,) = night.log.open_cases()
    assert result.look_again_at == {case.case_id: after(10) + timedelta(seconds=90)}
    assert due_images(case, POLICY, after(10) + timedelta(seconds=89)) == ()

    (complete,) = due_images(case, POLICY, after(12))

    assert (complete.type, complete.occurred_at) == (E.IMAGES_COMPLETE, after(10))
    assert complete.payload["rule"] == "quiet_period"


def test_a_relay_that_was_down_does_not_give_the_hour_away() -> None:
    night = Night()
    night.take(night.archive.stored(stated_at=after(2)), night.archive.stored(stated_at=after(3)), now=after(45))
    (case,) = night.log.open_cases()

    (complete,) = due_images(case, POLICY, after(45))

    assert complete.occurred_at == after(3)
    assert complete.payload["deadline_at_us"] == microseconds(after(63))


def test_a_study_of_the_night_that_is_taken_in_the_morning_is_still_one_of_the_night() -> None:
    night = Night()

    night.take(night.archive.stored(stated_at=after(60)), now=after(14 * 60))

    assert len(night.log.open_cases()) == 1


def test_an_archive_whose_clock_is_ahead_states_nothing_from_the_future() -> None:
    night = Night()
    night.take(night.archive.stored(stated_at=after(30)), now=after(10))

    assert [case.images.latest_at for case in night.log.open_cases()] == [after(10)]


def test_images_are_complete_as_soon_as_as_many_came_as_the_scanner_told() -> None:
    night = Night()
    night.take(night.archive.stored(10))
    (case,) = night.log.open_cases()
    story = Story(night.log, case.case_id)
    story.append(ask.say(case, at(1), E.EXAM_COMPLETED, expected=30))

    night.take(night.archive.stored(15), now=after(2))
    assert not story.case.is_ready
    night.take(night.archive.stored(5), now=after(3))

    assert (story.case.images.complete_at, story.case.images.rule) == (after(3), "expected_count")
    assert story.case.is_ready


def test_a_study_whose_images_stop_short_is_stalled_not_complete() -> None:
    night = Night()
    night.take(night.archive.stored(10))
    (case,) = night.log.open_cases()
    story = Story(night.log, case.case_id)
    story.append(ask.say(case, at(0), E.EXAM_COMPLETED, expected=30))
    assert due_images(story.case, POLICY, after(1.9)) == ()

    story.append(due_images(story.case, POLICY, after(2)))

    assert story.case.images.state is ImagesState.STALLED
    assert next_look_at(story.case, POLICY) is None
    night.take(night.archive.stored(20), now=after(5))
    assert story.case.images.complete_at == after(5)


def test_images_after_complete_are_late_and_the_deadline_stays() -> None:
    night = Night()
    night.take(night.archive.stored())
    (case,) = night.log.open_cases()
    story = Story(night.log, case.case_id)
    deadline = story.complete(1).images.deadline_at

    night.take(night.archive.stored(4), now=after(20))

    assert (story.case.images.late_instances, story.case.images.deadline_at) == (4, deadline)
    assert night.types(case.case_id)[-1] == E.IMAGES_LATE_INSTANCE


# Hours


HOLIDAY = date(2026, 12, 25)


@pytest.mark.parametrize(
    ("local", "is_on_call"),
    [
        ("2026-11-24T18:29", False),
        ("2026-11-24T18:30", True),
        ("2026-11-25T08:29", True),
        ("2026-11-25T08:30", False),
        ("2026-11-28T12:00", True),  # Saturday
        ("2026-11-30T00:30", True),  # Sunday's shift runs into Monday
        ("2026-12-25T12:00", True),  # a Friday, and a holiday
        ("2026-10-25T02:30", True),  # the hour that happens twice
        ("2026-03-29T03:00", True),  # after the hour that does not happen
    ],
)
def test_on_call_hours_are_wall_time_at_the_site(local: str, is_on_call: bool) -> None:
    hours = [
        OnCallHours(weekdays=frozenset(range(7)), start=time(18, 30), end=time(8, 30)),
        OnCallHours(weekdays=frozenset({5, 6}), start=time(8, 30), end=time(18, 30), on_holidays=True),
    ]
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)

    found = any(is_within(one, ROANNE, moment, lambda day, _commune: day == HOLIDAY) for one in hours)

    assert found is is_on_call


# The real outbox


def test_a_relay_that_dies_before_its_commit_takes_the_batch_again_with_effect_once(database: Database) -> None:
    night = Night()
    log = SqlCaseLog(database, numbered_ids())
    event = night.archive.stored(10)
    with database.write(durable=True) as connection:
        outbox.append(connection, event.topic, event.payload, created_at_s=0.0)

    def relay(*, dies: bool) -> None:
        with database.read() as reading:
            done = outbox.read_cursor(reading, CONSUMER)
            batch = outbox.read_after(reading, done, topics=TOPICS)
        result = night.intake.take(batch, Seen(log, {}), NOW)
        with database.write(durable=True) as writing:
            for case_id, facts in result.facts.items():
                log.append_within(writing, case_id, 0, facts, NOW)
            outbox.write_cursor(writing, CONSUMER, max(result.last_event_id, done))
            if dies:
                raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        relay(dies=True)
    assert log.open_cases() == ()
    relay(dies=False)
    relay(dies=False)

    (case,) = log.open_cases()
    assert (case.seq, case.images.received) == (2, 10)
    assert log.studies_of_uid(UID) == ((STUDY, case.case_id),)


def test_what_is_requested_is_kept_and_nothing_empty() -> None:
    payload: Mapping[str, Any] = request(onset_at=after(-30)).payload()

    assert payload["onset_at_us"] < after(0).timestamp() * 1_000_000
    assert all(value not in {"", None} for value in payload.values())
