"""The CT scanner of a rehearsal: its worklist, its performed procedure step, its images; all over DICOM.

For: what a radiographer's console does. Not for: a judge of the node's conformance (`tests/conformance`): worklist and
MPPS are asked with pynetdicom, images go by ``telegarde send``'s client, or by DCMTK where it is installed.

Invariant: what it puts into its images comes from the worklist item, as on a real console: nothing is typed again.

References
----------
PS3.4 F.7 (MPPS), K.6 (Modality Worklist); PS3.3 C.4.13 to C.4.15
"""

import datetime
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityWorklistInformationFind, Verification

from benchmarks.studies import write_ct_study
from benchmarks.territory_cast import Hospital, Patient
from pacs.scu.send import send
from territory.demo_node import LOOPBACK, NODE_AET, StepFailed, associated

PHASES: Final = ("Sans injection", "Angio TSA arteriel", "Perfusion")
"""What the scanner's series are called, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exam:
    """An exam on the table: the worklist item that was chosen, and its images, series by series."""

    item: Dataset
    mpps_uid: str
    series: tuple[tuple[Path, ...], ...]

    @property
    def files(self) -> list[Path]:
        """Every image, in the order of acquisition."""
        return [path for series in self.series for path in series]


class Scanner:
    """One CT scanner.

    Parameters
    ----------
    aet : str
        Its AE title.
    port : int
        Of the node.
    directory : Path
        Where it keeps its images.
    """

    def __init__(self, aet: str, port: int, directory: Path) -> None:
        self.aet = aet
        self._port = port
        self._directory = directory
        self._listening: Any = None

    def plug(self, port: int) -> None:
        """Answer C-ECHO on a port, as a machine does that the network reaches."""
        ae = AE(ae_title=self.aet)
        ae.add_supported_context(Verification)
        self._listening = ae.start_server((LOOPBACK, port), block=False)

    def close(self) -> None:
        """End what `plug` began."""
        self.unplug()

    def unplug(self) -> None:
        """Be out of reach."""
        if self._listening is not None:
            self._listening.shutdown()
            self._listening = None

    def worklist(self, **keys: str) -> list[Dataset]:
        """Return the items that the node gives to this scanner, by DCMTK's findscu where it is, else pynetdicom."""
        findscu = shutil.which("findscu")
        return self._by_dcmtk(findscu, keys) if findscu else self._by_pynetdicom(keys)

    def acquire(
        self,
        item: Dataset,
        acquired_at: datetime.datetime,
        *,
        slices: int = 8,
        seed: int = 1,
        patient_id: str | None = None,
        phases: Sequence[str] = PHASES,
    ) -> Exam:
        """Make the images of a worklist item; `patient_id` is what somebody typed wrong."""
        patient = Patient(
            name=str(item.PatientName),
            patient_id=patient_id or str(item.PatientID),
            birth_date=_date(item.get("PatientBirthDate")),
            sex=item.get("PatientSex") or "O",
        )
        issuer = item.get("IssuerOfPatientID") or None
        hospital = Hospital(institution_name="CT 1", issuer_of_patient_id=issuer, station_name=self.aet)
        place = self._directory / f"exam{seed}"
        files = write_ct_study(
            place, seed=seed, slices=slices, series=len(phases), patient=patient, hospital=hospital,
            acquired_at=acquired_at,
        )  # fmt: skip
        by_series: dict[str, list[Path]] = {}
        for path in sorted(files):
            by_series.setdefault(_labelled(path, item, phases, by_series), []).append(path)
        return Exam(item=item, mpps_uid=generate_uid(), series=tuple(map(tuple, by_series.values())))

    def begin(self, exam: Exam, at: datetime.datetime) -> None:
        """Say that the patient is on the table (N-CREATE, IN PROGRESS)."""
        with self._association(ModalityPerformedProcedureStep) as association:
            status, _ = association.send_n_create(
                _in_progress(exam.item, self.aet, at), ModalityPerformedProcedureStep, exam.mpps_uid
            )
        _expect(status, "N-CREATE of the performed procedure step")

    def complete(self, exam: Exam, at: datetime.datetime) -> None:
        """Say that it is done, and which images there are (N-SET, COMPLETED)."""
        with self._association(ModalityPerformedProcedureStep) as association:
            status, _ = association.send_n_set(_completed(exam, at), ModalityPerformedProcedureStep, exam.mpps_uid)
        _expect(status, "N-SET of the performed procedure step")

    def send(self, files: Sequence[Path]) -> None:
        """Send images; returns when each is confirmed."""
        storescu = shutil.which("storescu")
        if storescu is not None:
            command = [storescu, "-aet", self.aet, "-aec", NODE_AET, LOOPBACK, str(self._port), *map(str, files)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise StepFailed(f"storescu: {done.stderr[-500:]}")
            return
        report = send(files, host=LOOPBACK, port=self._port, calling_aet=self.aet, called_aet=NODE_AET, parallel=1)
        if not report.is_complete:
            raise StepFailed(f"{report.failed} images were not taken: {report.failures}")

    def _by_dcmtk(self, findscu: str, keys: dict[str, str]) -> list[Dataset]:
        asked = ["-k", "PatientName", "-k", "PatientID", "-k", "IssuerOfPatientID", "-k", "PatientBirthDate"]
        asked += ["-k", "PatientSex", "-k", "AccessionNumber", "-k", "StudyInstanceUID", "-k", "MedicalAlerts"]
        asked += ["-k", "Allergies", "-k", "PregnancyStatus", "-k", "PatientWeight", "-k", "RequestedProcedureID"]
        asked += ["-k", "RequestedProcedurePriority", "-k", "RequestedProcedureDescription", "-k", "PatientState"]
        asked += ["-k", "RequestedProcedureComments", "-k", "RequestedContrastAgent"]
        step = "ScheduledProcedureStepSequence[0]"
        for keyword in _STEP_KEYS:
            asked += ["-k", f"{step}.{keyword}"]
        for keyword, value in keys.items():
            asked += ["-k", f"{keyword}={value}"]
        with tempfile.TemporaryDirectory() as place:
            command = [findscu, "-W", "-X", "-od", place, "-aet", self.aet, "-aec", NODE_AET, LOOPBACK]
            done = subprocess.run([*command, str(self._port), *asked], capture_output=True, text=True, check=False)
            if done.returncode:
                raise StepFailed(f"findscu -W: {done.stderr[-500:]}")
            return [dcmread(path, force=True) for path in sorted(Path(place).glob("rsp*.dcm"))]

    def _by_pynetdicom(self, keys: dict[str, str]) -> list[Dataset]:
        identifier = _universal(keys)
        with self._association(ModalityWorklistInformationFind) as association:
            answers = list(association.send_c_find(identifier, ModalityWorklistInformationFind))
        _expect(answers[-1][0], "C-FIND of the worklist")
        return [found for _, found in answers[:-1] if found is not None]

    def _association(self, sop_class: str) -> AbstractContextManager[Any]:
        return associated(self._port, self.aet, sop_class)


_STEP_KEYS: Final = (
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
    "ScheduledProtocolCodeSequence",
    "RequestedContrastAgent",
    "PreMedication",
)


def _universal(keys: dict[str, str]) -> Dataset:
    """Return an identifier that asks for everything of every item."""
    identifier, step = Dataset(), Dataset()
    for keyword in (
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"),
        *("StudyInstanceUID", "RequestedProcedureID", "RequestedProcedurePriority", "RequestedProcedureDescription"),
        *("Allergies", "MedicalAlerts", "PatientState", "RequestedProcedureComments"),
    ):
        setattr(identifier, keyword, keys.get(keyword, ""))
    identifier.PregnancyStatus = None
    identifier.PatientWeight = None
    for keyword in _STEP_KEYS:
        setattr(step, keyword, [] if keyword.endswith("Sequence") else "")
    identifier.ScheduledProcedureStepSequence = [step]
    return identifier


def _labelled(path: Path, item: Dataset, phases: Sequence[str], known: dict[str, list[Path]]) -> str:
    """Put what the worklist item says into an image; return its Series Instance UID."""
    ds = dcmread(path)
    series_uid = str(ds.SeriesInstanceUID)
    number = list(known).index(series_uid) if series_uid in known else len(known)
    ds.StudyInstanceUID = item.StudyInstanceUID
    ds.AccessionNumber = item.AccessionNumber
    ds.SeriesDescription = phases[number]
    ds.ProtocolName = phases[number]
    if number:
        ds.ContrastBolusAgent = "IOMERON 400"
    ds.save_as(path)
    return series_uid


def _in_progress(item: Dataset, aet: str, at: datetime.datetime) -> Dataset:
    step = item.ScheduledProcedureStepSequence[0]
    scheduled = Dataset()
    scheduled.StudyInstanceUID = item.StudyInstanceUID
    scheduled.ReferencedStudySequence = []
    scheduled.AccessionNumber = item.AccessionNumber
    scheduled.RequestedProcedureID = item.get("RequestedProcedureID", "")
    scheduled.RequestedProcedureDescription = item.get("RequestedProcedureDescription", "")
    scheduled.ScheduledProcedureStepID = step.get("ScheduledProcedureStepID", "")
    scheduled.ScheduledProcedureStepDescription = step.get("ScheduledProcedureStepDescription", "")
    scheduled.ScheduledProtocolCodeSequence = step.get("ScheduledProtocolCodeSequence", [])
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ScheduledStepAttributesSequence = [scheduled]
    for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"):
        setattr(ds, keyword, item.get(keyword, ""))
    ds.ReferencedPatientSequence = []
    ds.PerformedProcedureStepID = "PPS1"
    ds.PerformedStationAETitle = aet
    ds.PerformedStationName = aet
    ds.PerformedLocation = ""
    ds.PerformedProcedureStepStartDate = f"{at:%Y%m%d}"
    ds.PerformedProcedureStepStartTime = f"{at:%H%M%S}"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.PerformedProcedureStepDescription = "TDM"
    ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = []
    ds.PerformedProcedureStepEndDate = ""
    ds.PerformedProcedureStepEndTime = ""
    ds.Modality = "CT"
    ds.StudyID = ""
    ds.PerformedProtocolCodeSequence = []
    ds.PerformedSeriesSequence = []
    return ds


def _completed(exam: Exam, at: datetime.datetime) -> Dataset:
    ds = Dataset()
    ds.PerformedProcedureStepStatus = "COMPLETED"
    ds.PerformedProcedureStepEndDate = f"{at:%Y%m%d}"
    ds.PerformedProcedureStepEndTime = f"{at:%H%M%S}"
    ds.PerformedProtocolCodeSequence = exam.item.ScheduledProcedureStepSequence[0].get(
        "ScheduledProtocolCodeSequence", []
    )
    ds.PerformedSeriesSequence = [_performed(paths) for paths in exam.series]
    return ds


def _performed(paths: Sequence[Path]) -> Dataset:
    series, images = Dataset(), []
    for path in paths:
        ds = dcmread(path, stop_before_pixels=True)
        image = Dataset()
        image.ReferencedSOPClassUID = ds.SOPClassUID
        image.ReferencedSOPInstanceUID = ds.SOPInstanceUID
        images.append(image)
    series.PerformingPhysicianName = ""
    series.OperatorsName = "Manipulateur^Un"
    series.ProtocolName = ds.ProtocolName
    series.SeriesInstanceUID = ds.SeriesInstanceUID
    series.SeriesDescription = ds.SeriesDescription
    series.RetrieveAETitle = ""
    series.ReferencedImageSequence = images
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    return series


def _date(value: str | None) -> datetime.date:
    return datetime.datetime.strptime(value or "19000101", "%Y%m%d").replace(tzinfo=datetime.UTC).date()


def _expect(status: Dataset, what: str) -> None:
    if status.get("Status") != 0x0000:
        raise StepFailed(f"{what} was answered {status.get('Status', 'not at all')}")
