"""The Loire story: an emergency physician asks, the right radiologist answers, the scanner is told, the report is back.

For: the steps, each over the protocol by which it really goes, and what must be true after each. Not for: what goes
wrong on the way (`territory.rehearsal.variants`), or who watches (`territory.demo`, the acceptance test).

Invariant: a step that did not have its effect raises `StepFailed`; nothing is taken from the node's own tables that a
person or a peer could not see, but the log that is proved at the end.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import hl7
from pydicom import Dataset

from oncall.case.event import CaseId
from oncall.directory import ChannelKind, PersonId
from oncall.evidence.verification import verify
from oncall.language import Language
from oncall.notify import case_code
from oncall.report.canonical import content_to_json
from oncall.report.content import Dose, ReportContent
from oncall.rota.model import LineKind, Shift
from territory.demo_node import StepFailed
from territory.rehearsal.hospital import HospitalSystem, request
from territory.rehearsal.interface import answer_link
from territory.rehearsal.node import SITE, WORKSTATION_AET, RehearsalNode
from territory.rehearsal.scanner import Exam, Scanner
from territory.rehearsal.telephones import Text

ZONE: Final = ZoneInfo("Europe/Paris")
PATIENT_ID: Final = "IPP004711"
PATIENT_NAME: Final = "DELÉTANG^ÉLOÏSE"
PHYSICIAN: Final = PersonId(f"{SITE}-urg1")
RADIOGRAPHER: Final = PersonId(f"{SITE}-mer1")

Tell = Callable[[datetime.datetime, str, str], None]
"""Told of each step: when (local wall time), what, and a detail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """One event of the case's log, as the interface shows it."""

    at: datetime.datetime
    type: str
    payload: Mapping[str, Any]


class Story:
    """One patient's night.

    Parameters
    ----------
    node : RehearsalNode
        Started.
    scanner : Scanner
    hospital : HospitalSystem
        Listening.
    tell : callable
        Told of each step.
    """

    def __init__(self, node: RehearsalNode, scanner: Scanner, hospital: HospitalSystem, tell: Tell) -> None:
        self.node = node
        self.scanner = scanner
        self.hospital = hospital
        self._tell = tell
        self.began_at = node.now
        self.case_id = ""
        self.item: Dataset | None = None
        self.exam: Exam | None = None
        self.reader = PersonId("")
        self.transaction_uid = ""
        self.ended_with: Mapping[str, float] = {}
        self._complete_since: datetime.datetime | None = None
        self._task_uid = ""

    # Time and people

    def say(self, what: str, detail: str = "") -> None:
        """Tell of a step."""
        self._tell(self.node.now.astimezone(ZONE), what, detail)

    def at(self, minutes: float) -> None:
        """Let time pass until so many minutes after the story began."""
        self.node.pass_time(self.began_at + timedelta(minutes=minutes))

    def name(self, person_id: str) -> str:
        """Return what somebody is called."""
        return self.node.directory.persons[PersonId(person_id)].name

    def texts(self, begins: str) -> list[tuple[PersonId, Text]]:
        """Return the messages about this case that begin so, with who got each, oldest first."""
        numbers = {
            method.address: person.person_id
            for person in self.node.directory.persons.values()
            for method in person.contact_methods
            if method.kind is ChannelKind.SMS
        }
        code = case_code(CaseId(self.case_id))
        found = [one for one in self.node.telephones.texts() if one.text.startswith(begins) and code in one.text]
        return [(numbers[one.to], one) for one in found]

    def case(self) -> Any:
        """Return the case as the coordinator's interface shows it."""
        return self._coordinator().get(f"/oncall/api/cases/{self.case_id}")

    def log(self) -> list[Happened]:
        """Return the case's log."""
        events = self._coordinator().get(f"/oncall/api/cases/{self.case_id}/log")["events"]
        return [
            Happened(
                at=datetime.datetime.fromisoformat(one["occurred_at"]), type=one["type"], payload=one.get("payload", {})
            )
            for one in events
        ]

    def happened(self, event_type: str) -> list[Happened]:
        """Return the log's events of one type."""
        return [one for one in self.log() if one.type == event_type]

    def expect(self, event_type: str, **payload: Any) -> Happened:
        """Return the newest event of a type whose payload says this.

        Raises
        ------
        StepFailed
            If there is none.
        """
        found = [one for one in self.happened(event_type) if payload.items() <= one.payload.items()]
        if not found:
            raise StepFailed(f"the log has no {event_type} {payload or ''}; it has {[one.type for one in self.log()]}")
        return found[-1]

    def _coordinator(self) -> Any:
        return self.node.interface("c01")

    # The request

    def ask_by_hl7(self, *, accession_number: str = "", control_id: str = "1", order: str = "D2026-0815") -> None:
        """The emergency physician's system sends an order (ORM^O01, flux 1)."""
        message = request(
            control_id=control_id,
            order=order,
            patient_id=PATIENT_ID,
            name=PATIENT_NAME,
            at=self.node.now.astimezone(ZONE),
            accession_number=accession_number,
        )
        answer = self.hospital.send(self.node.hl7_port, message)
        if answer != "AA":
            raise StepFailed(f"the order was answered {answer}")
        self.node.settle()
        self.case_id = self._newest_case()
        self.say("The emergency physician asks for a CT: stroke", "ORM^O01 over MLLP, answered AA")

    def ask_by_form(self) -> None:
        """The emergency physician fills in the form."""
        case = self.node.interface(PHYSICIAN).post(
            "/oncall/api/cases",
            {
                "site_id": SITE,
                "exam": "stroke",
                "urgency": "1",
                "modality": "CT",
                "patient_id": PATIENT_ID,
                "family_name": PATIENT_NAME.split("^")[0],
                "given_name": PATIENT_NAME.split("^")[1],
                "birth_date": "1958-03-12",
                "sex": "F",
                "egfr": "74",
                "requester": "Dr Roy",
                "onset_at": (self.node.now - timedelta(minutes=50)).isoformat(),
            },
        )
        self.case_id = case["case_id"]
        self.node.settle()
        self.say("The emergency physician asks for a CT: stroke", "JSON interface of the form")

    def _newest_case(self) -> str:
        cases = self._coordinator().get("/oncall/api/cases")["cases"]
        here = [one["case_id"] for one in cases if one["site"] == SITE]
        if not here:
            raise StepFailed("no case was opened")
        return str(here[-1])

    def take_request(self, *, after: Sequence[PersonId] = ()) -> PersonId:
        """Whoever was paged last about the request says that they answer it; return who.

        Parameters
        ----------
        after : sequence of PersonId
            Who was paged before and said nothing.
        """
        asked = self.texts("DEMANDE")
        if not asked:
            raise StepFailed("nobody was paged about the request")
        who, text = asked[-1]
        if who in after:
            raise StepFailed(f"{who} was paged again and nobody else")
        self.say(f"{self.name(who)} is on duty and is paged", text.text.partition(" Je m'en")[0])
        answer_link(text.link, is_yes=True)
        self.node.settle()
        self.reader = who
        return who

    # The protocol, and the scanner

    def answer_with_protocol(self, protocol_id: str = "ct-stroke") -> None:
        """The radiologist answers with a protocol of the library."""
        sent = {"protocol_id": protocol_id, "text": "Perfusion si NIHSS > 5"}
        self.node.interface(self.reader).post(f"/oncall/api/cases/{self.case_id}/protocol-sent", sent)
        self.node.settle()
        self.say(f"{self.name(self.reader)} answers with a protocol", protocol_id)

    def worklist(self) -> Dataset:
        """The console asks for its worklist; return this patient's item."""
        items = [one for one in self.scanner.worklist() if str(one.PatientID) == PATIENT_ID]
        if len(items) != 1:
            raise StepFailed(f"the console's worklist has {len(items)} items of this patient, not one")
        self.node.settle()
        step = items[0].ScheduledProcedureStepSequence[0]
        codes = [f"{one.CodeValue} {one.CodeMeaning}" for one in step.get("ScheduledProtocolCodeSequence") or []]
        self.say(
            f"The console of {self.scanner.aet} shows it", f"findscu -W: {items[0].PatientName}; {', '.join(codes)}"
        )
        return items[0]

    def acknowledge_protocol(self, version: int = 1) -> None:
        """The radiographer says that the protocol was seen."""
        sent = {"radiographer": RADIOGRAPHER, "version": str(version)}
        self.node.interface(RADIOGRAPHER).post(f"/oncall/api/cases/{self.case_id}/protocol-acknowledged", sent)
        self.node.settle()
        self.say("The radiographer has seen the protocol", f"version {version}")

    def begin_exam(self, item: Dataset, *, patient_id: str | None = None) -> Exam:
        """The patient is on the table."""
        self.exam = self.scanner.acquire(item, self.node.now.astimezone(ZONE), patient_id=patient_id)
        self.scanner.begin(self.exam, self.node.now.astimezone(ZONE))
        self.node.settle()
        self.say("The patient is on the table", "MPPS IN PROGRESS")
        return self.exam

    def send(self, files: Sequence[Any], detail: str = "storescu") -> None:
        """Images go to the archive."""
        self.scanner.send(files)
        self.node.settle()
        self.say(f"{len(files)} images arrive", detail)

    def end_exam(self) -> None:
        """The scanner says what it made; the images are complete."""
        assert self.exam is not None, "an exam was begun"
        self.scanner.complete(self.exam, self.node.now.astimezone(ZONE))
        self.node.settle()
        self.say("The scanner lists what it made", "MPPS COMPLETED")

    def complete(self) -> Happened:
        """Images are complete: return the event (T1), with its evidence."""
        found = self.expect("images.complete")
        deadline_at = datetime.datetime.fromisoformat(self.case()["deadline_at"])
        if deadline_at - found.at != timedelta(hours=1):
            raise StepFailed(f"the deadline is {deadline_at - found.at} after the last evidence, not an hour")
        # Whoever was paged before was told of something else.
        self._complete_since = self._complete_since or self.node.now
        self.say(
            "Every image is there: the hour begins",
            f"by {found.payload['rule']}; until {deadline_at.astimezone(ZONE):%H:%M %Z}",
        )
        return found

    # The reading

    def take_case(self, *, after: Sequence[PersonId] = ()) -> PersonId:
        """Whoever was paged last to read says yes; return who."""
        texts = [*self.texts("P1"), *self.texts("RAPPEL P1"), *self.texts("SANS REPONSE: P1")]
        since = self._complete_since or self.node.now
        asked = [one for one in texts if one[0] not in after and one[1].at >= since]
        if not asked:
            raise StepFailed(
                f"nobody was paged to read it; messages: {[one.text for one in self.node.telephones.texts()]}"
            )
        who, text = asked[-1]
        answer_link(text.link, is_yes=True)
        self.node.settle()
        self.expect("assign.acknowledged", person_id=who)
        self.reader = who
        self.say(f"{self.name(who)} is assigned, paged and says yes", text.text.partition(" Accepter")[0])
        return who

    def open_case(self) -> None:
        """The radiologist claims the reading task (UPS-RS)."""
        mine = self.node.interface(self.reader)
        tasks = mine.get("/dicom-web/workitems?ProcedureStepState=SCHEDULED")
        if not tasks:
            raise StepFailed("the reading list is empty")
        mine_of = [one for one in tasks if self._is_of_this_case(one)]
        if len(mine_of) != 1:
            raise StepFailed(f"{len(mine_of)} reading tasks of this case")
        uid = mine_of[0]["00080018"]["Value"][0]
        self.transaction_uid = f"2.25.{abs(hash(self.case_id)) % 10**30}"
        state = {
            "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]},
            "00081195": {"vr": "UI", "Value": [self.transaction_uid]},
        }
        mine.ask("PUT", f"/dicom-web/workitems/{uid}/state", [state], "application/dicom+json")
        self.node.settle()
        self.expect("read.opened", person_id=self.reader)
        self._task_uid = uid
        self.say(f"{self.name(self.reader)} opens the study", "UPS-RS: the reading task is IN PROGRESS")

    def _is_of_this_case(self, task: Mapping[str, Any]) -> bool:
        return self.case_id in str(task) or PATIENT_ID in str(task)

    def sign(self) -> None:
        """The radiologist signs the report; it leaves at once."""
        content = ReportContent(
            language=Language.FRENCH,
            title="Scanner cérébral et angio-TSA",
            indication="Déficit brutal de l'hémicorps droit.",
            technique="Acquisition sans injection, angioscanner des troncs supra-aortiques, perfusion.",
            results="Pas d'hémorragie. Hyperdensité spontanée de l'artère cérébrale moyenne gauche.",
            conclusion="Occlusion M1 gauche, pénombre. ASPECTS 8.",
            doses=(Dose(quantity="DLP", value=1240.0, unit="mGy.cm"),),
        )
        sent = {"kind": "final", "content": content_to_json(content), "is_lack_accepted": "yes"}
        self.node.interface(self.reader).post(f"/oncall/api/cases/{self.case_id}/sign", sent)
        self.node.settle()
        task = self.node.interface(self.reader).get(f"/dicom-web/workitems/{self._task_uid}")
        state = (task[0] if isinstance(task, list) else task)["00741000"]["Value"][0]
        if state != "COMPLETED":
            raise StepFailed(f"the reading task is {state} after the report was signed")
        self.say(f"{self.name(self.reader)} signs the report", "version 1, final; the reading task is COMPLETED")

    def delivered(self) -> None:
        """The hospital has the report as ORU^R01, and the archive as SR."""
        results = [one for one in map(_parsed, self.hospital.received) if str(one.segment("MSH")[9]).startswith("ORU")]
        finals = [one for one in results if any(_field(segment, 25) == "F" for segment in one.segments("OBR"))]
        if not finals:
            kinds = [str(_parsed(one).segment("MSH")[9]) for one in self.hospital.received]
            raise StepFailed(f"the hospital got no final ORU^R01; it got {kinds}")
        self.expect("report.delivered", version=1)
        self.say("The hospital's system has the report", f"ORU^R01, OBR-25 F, {len(finals[-1].segments('OBX'))} OBX")
        modalities = self.archived()
        if "SR" not in modalities:
            raise StepFailed(f"the archive has {modalities} of the study, no SR")
        self.say("The archive has it beside the images", "modalities " + ", ".join(sorted(modalities)))

    def archived(self) -> set[str]:
        """Return the modalities that the archive has of the study, asked by C-FIND."""
        assert self.exam is not None, "an exam was begun"
        found = self.node.find_studies(WORKSTATION_AET, StudyInstanceUID=str(self.exam.item.StudyInstanceUID))
        values = [one.get("ModalitiesInStudy") or [] for one in found]
        return {word for one in values for word in ([one] if isinstance(one, str) else one)}

    def take_note(self) -> None:
        """The emergency physician reads the report and says so by name."""
        mine = self.node.interface(PHYSICIAN)
        mine.post(f"/oncall/api/cases/{self.case_id}/report/acknowledge", {"version": 1, "clinician": PHYSICIAN})
        self.node.settle()
        self.expect("report.acknowledged_by_ED")
        self.say(f"{self.name(PHYSICIAN)} has read it", "acknowledged by name")

    # What must be true at the end

    def clocks(self) -> Mapping[str, Any]:
        """Return the case's clocks by name."""
        clocks: Mapping[str, Any] = self.case()["clocks"]
        return clocks

    def prove(self) -> None:
        """The dossier of the hospital proves itself."""
        data = self.node.interface(PHYSICIAN).download(f"/oncall/api/cases/{self.case_id}/evidence", {"format": "json"})
        verdict = verify(data)
        if not verdict.is_proven:
            raise StepFailed(f"the evidence does not prove itself: {[str(one) for one in verdict.differences]}")
        self.say("The evidence verifies", f"{len(data):,} bytes, {len(self.log())} events")

    def check_clocks(self, wanted_s: Mapping[str, float]) -> None:
        """Compare clocks with what the story's own times say, to the second."""
        clocks = self.case()["clocks"]
        for name, seconds in wanted_s.items():
            elapsed_s = clocks[name]["elapsed_s"]
            if clocks[name]["stopped_at"] is None or abs(elapsed_s - seconds) > 1.0:
                raise StepFailed(f"{name} says {elapsed_s} s, not {seconds}: {clocks[name]}")
        self.ended_with = dict(wanted_s)
        told = ", ".join(f"{name} {seconds / 60:g} min" for name, seconds in wanted_s.items())
        self.say("Every clock is right", told)

    # What some variants do

    def begin_at(self, at: datetime.datetime) -> None:
        """Let the story begin later than it was made."""
        self.node.pass_time(at)
        self.began_at = self.node.now

    def readers_on_duty(self) -> list[PersonId]:
        """Return who reads now."""
        return [one.person_id for one in self._shifts_of_readers() if self.node.now in one.span]

    def next_change_of_readers(self) -> datetime.datetime:
        """Return when the next reader goes home, at least half an hour from now."""
        soon = self.node.now + timedelta(minutes=30)
        return min(one.span.end for one in self._shifts_of_readers() if one.span.end > soon)

    def _shifts_of_readers(self) -> list[Shift]:
        shifts = self.node.timeline().shifts
        return [one for one in shifts if self.node.kind_of(one.line_id) is LineKind.DUTY]

    def assigned(self) -> PersonId:
        """Return who the case is assigned to."""
        return PersonId(self.case()["reader"])

    def acquire(self, item: Dataset) -> Exam:
        """The scanner makes images of what was typed; nothing is said of it yet."""
        self.exam = self.scanner.acquire(item, self.node.now.astimezone(ZONE))
        return self.exam

    def find_unannounced(self) -> None:
        """The images opened a case by themselves."""
        self.case_id = self._newest_case()
        self.expect("request.unannounced")
        self.say("A CT that nobody announced, at night: it is an emergency", "a case is opened")

    def coordinator_looks(self) -> None:
        """The coordinator is paged about a transfer that has stopped, and says that they look after it."""
        who, text = self.texts("TRANSFERT ARRETE")[-1]
        answer_link(text.link, is_yes=True)
        self.node.settle()
        self.say(f"{self.name(who)} is told and looks after it", text.text.partition(" Je m'en")[0])

    def settle_patient(self) -> None:
        """The coordinator calls the hospital: the ID was typed wrong, and moves the images to the order's case."""
        reason = "typed wrong at the console; confirmed by telephone"
        cases = self._coordinator().get("/oncall/api/cases")["cases"]
        (other,) = [one["case_id"] for one in cases if one["site"] == SITE and one["case_id"] != self.case_id]
        assert self.exam is not None, "an exam was begun"
        study = str(self.exam.item.StudyInstanceUID)
        moved = {"study": study, "to_case_id": self.case_id, "reason": reason, "is_patient_settled": "yes"}
        self._coordinator().post(f"/oncall/api/cases/{other}/move-study", moved)
        settled = {"patient_id": PATIENT_ID, "reason": reason}
        self._coordinator().post(f"/oncall/api/cases/{self.case_id}/settle-identity", settled)
        self.node.settle()
        self.say("The coordinator has called: the ID was typed wrong", "settled by name, with the reason")

    def link_is_lost(self) -> None:
        """The hospital's machines answer no more: it is said, and people are told to telephone."""
        self.node.look_at_sites()
        self.scanner.unplug()
        self._wait_for_probes()
        self.expect("mode.degraded_entered")
        self.say("The hospital does not answer any more", "C-ECHO three times unanswered: by telephone from now on")

    def link_is_back(self) -> None:
        """The hospital is heard of again."""
        self.scanner.plug(self.node.scanner_port)
        self._wait_for_probes()
        self.expect("mode.degraded_left")
        self.say("The link is back", "C-ECHO answered")

    def _wait_for_probes(self) -> None:
        """Let so much time pass that machines are asked often enough to be believed."""
        for _ in range(6):
            self.node.pass_time(self.node.now + timedelta(seconds=30))
            self.node.look_at_sites()


def _field(segment: Any, number: int) -> str:
    """Return a field of a segment; '' beyond its end."""
    return str(segment[number]) if len(segment) > number else ""


def _parsed(message: str) -> Any:
    return hl7.parse(message)
