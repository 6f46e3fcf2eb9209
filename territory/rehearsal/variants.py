"""The Loire story as it should go, and as nights go: what each variant does, and what must be true when it ends.

For: ``telegarde demo --variant`` and the acceptance test, which play the same. Not for: the steps themselves
(`territory.rehearsal.story`).

Invariant: every variant ends with a report that the emergency physician has acknowledged by name, clocks that are right
to the second, and evidence that proves itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.uid import generate_uid

from territory.demo_node import StepFailed
from territory.rehearsal.scanner import Exam
from territory.rehearsal.story import PATIENT_ID, PATIENT_NAME, Story

EVENING: Final = datetime(2026, 10, 20, 18, 10, tzinfo=UTC)
"""20:10 on a Tuesday in Paris."""

BEFORE_THE_BATON: Final = datetime(2026, 10, 20, 20, 55, tzinfo=UTC)
"""22:55; readers change at 23:30."""

CLOCKS_GO_BACK: Final = datetime(2026, 10, 25, 0, 20, tzinfo=UTC)
"""02:20 CEST; at 03:00 it is 02:00 CET, and 02:30 comes twice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way in which the story goes; ``begins_at`` is what the clock shows first."""

    name: str
    title: str
    play: Callable[[Story], None]
    begins_at: datetime = EVENING


def _as_it_should(story: Story) -> None:
    story.ask_by_hl7()
    _until_complete(story)
    _read_and_report(story)
    _finish(story, C1=180, C4=1200, C5=2400)


def _by_form(story: Story) -> None:
    story.ask_by_form()
    _until_complete(story)
    _read_and_report(story)
    _finish(story, C1=180, C4=1200, C5=2400)


def _transfer_stalls(story: Story) -> None:
    story.ask_by_hl7()
    exam = _until_on_table(story)
    half = len(exam.files) // 2
    story.at(20)
    story.send(exam.files[:half], "storescu, and then nothing more")
    story.at(22)
    story.end_exam()
    story.at(23)
    story.coordinator_looks()
    story.at(27)
    if story.case()["deadline_at"] is not None:
        raise StepFailed("the hour began with half of the images")
    stalled = story.expect("images.stalled")
    story.say("The transfer has stopped: somebody is told", f"{stalled.payload['silent_s']:.0f} s without an image")
    story.at(30)
    story.send(exam.files[half:])
    story.complete()
    _read_and_report(story, taken_at=31, opened_at=32, signed_at=50, acknowledged_at=55)
    _finish(story, C1=180, C4=1200, C5=3000)


def _radiologist_is_silent(story: Story) -> None:
    story.ask_by_hl7()
    silent = story.texts("DEMANDE")[-1][0]
    story.say(f"{story.name(silent)} is paged and says nothing")
    story.at(2.2)
    second = story.take_request(after=[silent])
    if second == silent:
        raise StepFailed("nobody else was asked")
    story.at(3)
    story.answer_with_protocol()
    _prepare(story)
    exam = _on_table(story)
    story.at(20)
    story.send(exam.files)
    story.at(22)
    story.end_exam()
    story.complete()
    reader = story.assigned()
    story.say(f"{story.name(reader)} is assigned, paged twice and says nothing")
    # C3 of a stroke is two minutes; then the next one is asked.
    story.at(24.5)
    answered = story.take_case(after=[reader])
    if answered == reader:
        raise StepFailed("the silent reader was asked again and nobody else")
    _report(story, opened_at=25, signed_at=40, acknowledged_at=45)
    _finish(story, C1=180, C4=1200, C5=2400)


def _shift_changes(story: Story) -> None:
    change = story.next_change_of_readers()
    # The images are complete a minute and a half before the change, and whoever reads them stays.
    story.begin_at(change - timedelta(minutes=23.5))
    story.ask_by_hl7()
    _until_complete(story)
    story.at(25)
    reader = story.take_case()
    if reader not in story.readers_on_duty():
        raise StepFailed(f"{story.name(reader)} has gone home and was given the case")
    _report(story, opened_at=26, signed_at=40, acknowledged_at=45)
    _finish(story, C1=180, C4=1200, C5=2400)


def _images_before_request(story: Story) -> None:
    item = _typed_at_the_console(story)
    exam = story.acquire(item)
    story.send(exam.files, "nobody has asked for anything yet")
    story.find_unannounced()
    story.at(6)
    first = story.complete()
    story.say("The order comes after the images", "ORM^O01 with their accession number")
    story.ask_by_hl7(accession_number=str(item.AccessionNumber))
    story.expect("request.matched")
    if story.complete().at != first.at:
        raise StepFailed("the order has moved the hour")
    _read_and_report(story, taken_at=8, opened_at=9, signed_at=20, acknowledged_at=25)
    _finish(story, C4=1200)


def _wrong_patient(story: Story) -> None:
    story.ask_by_hl7()
    story.at(0.4)
    story.take_request()
    story.at(3)
    story.answer_with_protocol()
    item = _prepare(story)
    story.at(15)
    exam = story.begin_exam(item, patient_id="IPP009999")
    story.at(20)
    story.send(exam.files, "under another Patient ID than the order's")
    story.expect("identity.mismatch_blocked")
    story.say("The images are another patient's by their ID: nothing is taken for this patient's", "blocked")
    story.at(22)
    story.settle_patient()
    # As an unannounced exam they were complete when their association ended, and the hour came along with them.
    story.complete()
    story.at(23)
    story.end_exam()
    _read_and_report(story, taken_at=23.5, opened_at=24, signed_at=40, acknowledged_at=45)
    _finish(story, C1=180, C4=1200)


def _link_is_lost(story: Story) -> None:
    story.ask_by_hl7()
    exam = _until_on_table(story)
    half = len(exam.files) // 2
    story.at(20)
    story.send(exam.files[:half], "and then the hospital's link is cut")
    story.link_is_lost()
    story.coordinator_looks()
    story.at(138)
    if story.case()["deadline_at"] is not None:
        raise StepFailed("the hour began while the images could not come")
    story.link_is_back()
    story.at(141)
    story.send(exam.files[half:], "two hours later")
    story.end_exam()
    story.complete()
    _read_and_report(story, taken_at=141.5, opened_at=142, signed_at=161, acknowledged_at=165)
    _finish(story, C1=180, C4=1200)


def _clocks_go_back(story: Story) -> None:
    story.ask_by_hl7()
    _until_complete(story)
    # T1 is 02:40 CEST, when the last image came; the deadline is 02:40 CET, an hour after.
    _read_and_report(story, taken_at=23, opened_at=24, signed_at=70, acknowledged_at=75)
    _finish(story, C1=180, C4=3000, C5=4200)


# Parts of every variant; minutes are since the story began.


def _until_on_table(story: Story) -> Exam:
    story.at(0.4)
    story.take_request()
    story.at(3)
    story.answer_with_protocol()
    _prepare(story)
    return _on_table(story)


def _prepare(story: Story) -> Dataset:
    story.at(4)
    story.item = story.worklist()
    story.at(5)
    story.acknowledge_protocol()
    return story.item


def _on_table(story: Story) -> Exam:
    story.at(15)
    assert story.item is not None, "the console has its item"
    return story.begin_exam(story.item)


def _until_complete(story: Story) -> None:
    exam = _until_on_table(story)
    story.at(20)
    story.send(exam.files)
    story.at(22)
    story.end_exam()
    story.complete()


def _read_and_report(
    story: Story, *, taken_at: float = 23, opened_at: float = 24, signed_at: float = 40, acknowledged_at: float = 45
) -> None:
    story.at(taken_at)
    story.take_case()
    _report(story, opened_at=opened_at, signed_at=signed_at, acknowledged_at=acknowledged_at)


def _report(story: Story, *, opened_at: float, signed_at: float, acknowledged_at: float) -> None:
    story.at(opened_at)
    story.open_case()
    story.at(signed_at)
    story.sign()
    story.delivered()
    story.at(acknowledged_at)
    story.take_note()


def _finish(story: Story, **clocks_s: float) -> None:
    story.check_clocks(clocks_s)
    story.prove()


def _typed_at_the_console(story: Story) -> Dataset:
    """Return what a radiographer types who has no order: the patient, and a number that the hospital gave."""
    del story
    item, step = Dataset(), Dataset()
    item.PatientName, item.PatientID, item.IssuerOfPatientID = PATIENT_NAME, PATIENT_ID, "FONTCLAIRE"
    item.PatientBirthDate, item.PatientSex = "19580312", "F"
    item.AccessionNumber, item.StudyInstanceUID = "FC0077812", generate_uid()
    step.Modality = "CT"
    item.ScheduledProcedureStepSequence = [step]
    return item


_LIST: Final = (
    Variant(name="loire", title="as it should go", play=_as_it_should),
    Variant(name="form", title="asked by the form", play=_by_form),
    Variant(name="stalled", title="the transfer stalls at half", play=_transfer_stalls),
    Variant(name="silent", title="the radiologist is silent", play=_radiologist_is_silent),
    Variant(
        name="shift-change", title="the shift changes in the middle", play=_shift_changes, begins_at=BEFORE_THE_BATON
    ),
    Variant(name="images-first", title="images before the request", play=_images_before_request),
    Variant(name="wrong-patient", title="a wrong patient identifier", play=_wrong_patient),
    Variant(name="link-lost", title="the hospital's link is lost for two hours", play=_link_is_lost),
    Variant(name="october", title="02:30 comes twice", play=_clocks_go_back, begins_at=CLOCKS_GO_BACK),
)
VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType({one.name: one for one in _LIST})
"""By name, in the order in which they are shown."""
