"""Evidence of completeness in any order, twice, or judged in between: one rule, one T1, one deadline."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.completeness import due_images, known_missing, next_look_at, outlook
from oncall.case.image_evidence import STRENGTH, EvidenceKind, ImageEvidence
from oncall.case.intake_policy import IntakePolicy
from oncall.case.log import MemoryCaseLog
from oncall.case.regions import ImagesState, StudyKey
from oncall.case.state import Case
from oncall.case.vocabulary import EventType as E
from tests.unit.oncall.case.cases import START, Story, after, numbered_ids

POLICY = IntakePolicy(version="1")
STUDY = StudyKey("ROANNE", "1.2.3")
RECEIVED = 50
LATEST = after(10)
#: After every quiet time of the policy.
MUCH_LATER = after(10 + 24 * 60)

counts = st.none() | st.integers(1, 2 * RECEIVED)
said_at = st.integers(0, 1200).map(lambda seconds: after(10) + timedelta(seconds=seconds))


@st.composite
def evidence(draw: st.DrawFn) -> ImageEvidence:
    """Draw one piece of evidence as its source would say it."""
    kind = draw(st.sampled_from([kind for kind in EvidenceKind if kind is not EvidenceKind.QUIET_PERIOD]))
    if kind is EvidenceKind.EXPECTED_COUNT:
        kind = EvidenceKind.RADIOGRAPHER_BUTTON
    at = draw(said_at)
    match kind:
        case EvidenceKind.MPPS_LIST:
            # What is listed is a fact: compared later, it misses the same.
            source = draw(st.sampled_from(["2.25.1", "2.25.2"]))
            missing = 3 if source == "2.25.2" else 0
            return ImageEvidence(kind=kind, source=source, at=at, studies=("1.2.3",), count=20, missing=missing)
        case EvidenceKind.ASSOCIATION_END:
            how = draw(st.sampled_from(["released", "aborted", "cut"]))
            return ImageEvidence(kind=kind, source="1.2.3", at=at, studies=("1.2.3",), how=how)
        case EvidenceKind.STORAGE_COMMITMENT:
            return ImageEvidence(kind=kind, source=draw(st.sampled_from("ab")), at=at, studies=("1.2.3",))
        case EvidenceKind.EXAM_COMPLEMENT:
            return ImageEvidence(kind=kind, source="o-1", at=at, count=draw(counts))
        case _:
            return ImageEvidence(kind=kind, source="radiographer", at=at, count=draw(counts))


def distinct(all_of_it: list[ImageEvidence]) -> list[ImageEvidence]:
    """Leave one saying of each source at each instant: nobody says two things at once."""
    return list({(one.kind, one.source, one.at): one for one in all_of_it}.values())


bodies = st.lists(evidence(), max_size=8).map(distinct)


def story_with_images() -> Story:
    story = Story(MemoryCaseLog(numbered_ids()))
    story.opened()
    context = Context(now=LATEST)
    story.append(commands.receive_instances(story.case, STUDY, context, received=RECEIVED, outbox_event_id=1), 10)
    return story


def take(story: Story, found: ImageEvidence) -> None:
    story.append(commands.find_evidence(story.case, Context(now=found.at), found), 10)


def undated(story: Story) -> list[ImageEvidence]:
    """Return the evidence of a case; when a list was compared is all the same."""
    found = story.case.images.evidence
    return [replace(one, at=LATEST) if one.kind is EvidenceKind.MPPS_LIST else one for one in found]


def judge(story: Story, now: datetime) -> Case:
    return story.append(due_images(story.case, POLICY, now), 10)


@given(body=bodies, data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_repetition_of_evidence_give_the_same_rule_and_hour(
    body: list[ImageEvidence], data: st.DataObject
) -> None:
    in_order, shuffled = story_with_images(), story_with_images()
    for one in sorted(body, key=lambda one: one.at):
        take(in_order, one)
    again = data.draw(st.lists(st.sampled_from(body), max_size=8)) if body else []
    for one in data.draw(st.permutations([*body, *again])):
        take(shuffled, one)
    assert undated(shuffled) == undated(in_order)
    first, second = judge(in_order, MUCH_LATER).images, judge(shuffled, MUCH_LATER).images
    for field in ("state", "rule", "confidence", "complete_at", "deadline_at", "stalled_since"):
        assert getattr(first, field) == getattr(second, field), field


@given(body=bodies, late=st.lists(st.integers(1, 40), max_size=3), data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_said_and_judged_in_between_the_deadline_is_set_once_and_t1_is_the_newest_image(
    body: list[ImageEvidence], late: list[int], data: st.DataObject
) -> None:
    story = story_with_images()
    for one in sorted(body, key=lambda one: one.at):
        take(story, one)
        if data.draw(st.booleans()):
            judge(story, one.at)
    set_once = judge(story, MUCH_LATER).images
    if set_once.state is not ImagesState.COMPLETE:
        assert set_once.deadline_at is None
        return
    assert set_once.complete_at == LATEST
    assert set_once.deadline_at == LATEST + timedelta(hours=1)
    for number, minutes in enumerate(sorted(late)):
        now = MUCH_LATER + timedelta(minutes=minutes)
        facts = commands.receive_instances(story.case, STUDY, Context(now=now), received=1, outbox_event_id=2 + number)
        story.append(facts, 10)
        assert story.case.images.is_reopened
        judge(story, now + timedelta(days=1))
    last = story.case.images
    for field in ("complete_at", "deadline_at", "rule", "confidence", "deadline_policy"):
        assert getattr(last, field) == getattr(set_once, field), field


@given(body=bodies)
@settings(max_examples=150, deadline=None)
def test_what_is_known_to_be_incomplete_is_never_complete_and_never_without_a_next_look(
    body: list[ImageEvidence],
) -> None:
    story = story_with_images()
    for one in body:
        take(story, one)
    missing = known_missing(story.case)
    found = outlook(story.case, POLICY)
    if missing:
        assert found.rule_at(MUCH_LATER) is None
        assert next_look_at(story.case, POLICY) is not None
        assert judge(story, MUCH_LATER).images.state is ImagesState.STALLED
    else:
        assert found.rule_at(MUCH_LATER) is not None
        assert judge(story, MUCH_LATER).images.state is ImagesState.COMPLETE


@given(body=bodies)
@settings(max_examples=100, deadline=None)
def test_the_rule_is_the_strongest_evidence_that_holds(body: list[ImageEvidence]) -> None:
    story = story_with_images()
    for one in body:
        take(story, one)
    found = outlook(story.case, POLICY)
    rule = found.rule_at(MUCH_LATER)
    if rule is not None:
        assert STRENGTH[rule] == min(STRENGTH[one.kind] for one in found.candidates)
    events = [event for event in story.log.events(story.case_id) if event.type == E.IMAGES_EVIDENCE_FOUND]
    assert {event.fact.occurred_at >= START for event in events} <= {True}
