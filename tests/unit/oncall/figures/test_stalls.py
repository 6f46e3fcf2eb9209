"""How long images stood still, as figures count it: until they move again or are complete, late ones included."""

from datetime import timedelta

from oncall.case import commands
from oncall.case.completeness import due_images
from oncall.case.image_evidence import EvidenceKind, ImageEvidence
from oncall.case.intake_policy import IntakePolicy
from oncall.case.regions import StudyKey
from oncall.figures.trace import trace_of
from tests.unit.oncall.case.cases import Story, after, at

POLICY = IntakePolicy(version="1")
STUDY = StudyKey("ROANNE", "1.2.3")


def test_images_that_were_found_to_be_missing_stood_still_until_they_are_complete_again() -> None:
    story = Story()
    story.opened()
    story.append(commands.receive_instances(story.case, STUDY, at(5), received=10, outbox_event_id=1), 5)
    story.append(due_images(story.case, POLICY, after(7)), 7)
    compare(story, 8, missing=20)
    story.append(commands.receive_instances(story.case, STUDY, at(14), received=20, outbox_event_id=2), 14)
    compare(story, 14.1, missing=0)
    (stall,) = trace_of(story.log.events(story.case_id)).stalls
    assert (stall.start, stall.end - stall.start) == (after(5), timedelta(minutes=9))


def compare(story: Story, minutes: float, *, missing: int) -> None:
    """Compare the scanner's list with what is here, and look at the images when everything has waited long enough."""
    listed = ImageEvidence(kind=EvidenceKind.MPPS_LIST, source="2.25.1", at=after(minutes), count=30, missing=missing)
    story.append(commands.find_evidence(story.case, at(minutes), listed), minutes)
    story.append(due_images(story.case, POLICY, after(minutes + 3)), minutes + 3)
