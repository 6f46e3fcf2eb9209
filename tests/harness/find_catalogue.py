"""A small catalogue of studies for query tests against real peers, and DCMTK's findscu as the one who asks.

Patients have names in the character sets of several countries; the same patient ID occurs in two hospitals.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config, dcmread, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.harness.peers import LOOPBACK, run_client

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
_STATUS = re.compile(r"DIMSE Status\s*: 0x([0-9a-f]{4})")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study to be made; `series` are (modality, number of instances)."""

    uid: str
    date: str
    time: str
    accession: str
    description: str
    series: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One patient to be made."""

    patient_id: str
    issuer: str
    name: str
    character_set: str | list[str]
    sex: str
    birth_date: str
    studies: tuple[Study, ...]


PATIENTS = (
    Patient(
        patient_id="P1",
        issuer="NORTH",
        name="Lefèvre^Zoë",
        character_set="ISO_IR 100",
        sex="F",
        birth_date="19700131",
        studies=(
            Study(
                uid="1.2.826.1.1",
                date="20240101",
                time="101500",
                accession="A1",
                description="Tête sans injection",
                series=(("CT", 3), ("CT", 1)),
            ),
            Study(
                uid="1.2.826.1.2",
                date="20240229",
                time="235959.5",
                accession="A2",
                description="IRM du genou",
                series=(("MR", 2),),
            ),
        ),
    ),
    Patient(
        patient_id="P1",
        issuer="SOUTH",
        name="SMITH^MARY",
        character_set="ISO_IR 100",
        sex="F",
        birth_date="19550707",
        studies=(
            Study(
                uid="1.2.826.2.1",
                date="20240102",
                time="020000",
                accession="A1",
                description="CHEST",
                series=(("CT", 1), ("MR", 1)),
            ),
        ),
    ),
    Patient(
        patient_id="P3",
        issuer="NORTH",
        name="Nuñez^Íñigo",
        character_set="ISO_IR 100",
        sex="M",
        birth_date="19800229",
        studies=(
            Study(
                uid="1.2.826.3.1",
                date="20231231",
                time="0930",
                accession="B1",
                description="CHEST",
                series=(("CT", 1),),
            ),
        ),
    ),
    Patient(
        patient_id="P4",
        issuer="NORTH",
        name="Διονυσιος",
        character_set="ISO_IR 126",
        sex="M",
        birth_date="",
        studies=(
            Study(uid="1.2.826.4.1", date="20240301", time="", accession="", description="", series=(("MR", 1),)),
        ),
    ),
    Patient(
        patient_id="P5",
        issuer="NORTH",
        name="Yamada^Tarou=山田^太郎=やまだ^たろう",
        character_set=["", "ISO 2022 IR 87"],
        sex="O",
        birth_date="19641010",
        studies=(
            Study(
                uid="1.2.826.5.1",
                date="20240301",
                time="120000",
                accession="C1",
                description="HEAD",
                series=(("CT", 1),),
            ),
        ),
    ),
    Patient(
        patient_id="P6",
        issuer="NORTH",
        name="Wang^XiaoDong=王^小东",
        character_set="GB18030",
        sex="M",
        birth_date="19900101",
        studies=(
            Study(
                uid="1.2.826.6.1",
                date="20240302",
                time="120000",
                accession="C2",
                description="head",
                series=(("CT", 1),),
            ),
        ),
    ),
    Patient(
        patient_id="P7",
        issuer="NORTH",
        name="Wang^XiaoDong=王^小東",
        character_set="ISO_IR 192",
        sex="M",
        birth_date="19900102",
        studies=(
            Study(
                uid="1.2.826.7.1",
                date="20240303",
                time="120000",
                accession="C3",
                description="HEAD",
                series=(("MR", 1),),
            ),
        ),
    ),
)


def write_files(directory: Path) -> list[Path]:
    """Write the catalogue as DICOM files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for patient in PATIENTS:
        for study in patient.studies:
            for number, (modality, count) in enumerate(study.series, 1):
                for instance in range(1, count + 1):
                    dataset = _instance(patient, study, modality, number, instance)
                    path = directory / f"{dataset.SOPInstanceUID}.dcm"
                    dcmwrite(path, dataset, enforce_file_format=True)
                    paths.append(path)
    return paths


def _instance(patient: Patient, study: Study, modality: str, series_number: int, number: int) -> FileDataset:
    uid = f"{study.uid}.{series_number}.{number}"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = patient.character_set
    dataset.SOPClassUID = CT if modality == "CT" else MR
    dataset.SOPInstanceUID = uid
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.IssuerOfPatientID = patient.issuer
    dataset.PatientSex = patient.sex
    dataset.PatientBirthDate = patient.birth_date
    dataset.StudyInstanceUID = study.uid
    dataset.StudyDate = study.date
    dataset.StudyTime = study.time
    dataset.StudyID = study.uid[-3:]
    dataset.AccessionNumber = study.accession
    dataset.StudyDescription = study.description
    dataset.ReferringPhysicianName = "HOUSE^GREGORY"
    dataset.SeriesInstanceUID = f"{study.uid}.{series_number}"
    dataset.SeriesNumber = str(series_number)
    dataset.SeriesDescription = f"{modality} {series_number}"
    dataset.Modality = modality
    dataset.BodyPartExamined = "HEAD"
    dataset.ProtocolName = "Routine"
    dataset.InstanceNumber = str(number)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    request = Dataset()
    request.RequestedProcedureID = f"RP{series_number}"
    dataset.RequestAttributesSequence = [request]
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.SamplesPerPixel = 1
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = b"\0" * 8
    return dataset


def identifier(level: str, keys: Mapping[str, Any], character_set: str | list[str] | None = "ISO_IR 192") -> Dataset:
    """Return the identifier of a query; its values need be no values of their VRs."""
    dataset = Dataset()
    if character_set is not None:
        dataset.SpecificCharacterSet = character_set
    for keyword, value in {"QueryRetrieveLevel": level, **keys}.items():
        vr = dictionary_VR(keyword)
        dataset.add(DataElement(keyword, vr, value, validation_mode=config.IGNORE))
    return dataset


@dataclass(frozen=True, kw_only=True)
class Found:
    """What findscu received: answers, the status of each, and the final status (None: no final response)."""

    answers: Sequence[Dataset]
    pending: list[int]
    final: int | None
    output: str


def findscu(
    port: int, request: Dataset, directory: Path, *, called_aet: str, model: str = "-S", options: Sequence[str] = ()
) -> Found:
    """Ask with DCMTK's findscu.

    Parameters
    ----------
    request : Dataset
        The identifier; written to a file, so that its bytes are what pydicom makes of its character set.
    directory : Path
        Created; for the request and the answers.
    model : str
        -P, -S or -O.
    """
    statuses, answers, output = _findscu(
        port, [request], directory, called_aet=called_aet, model=model, options=options
    )
    is_final = bool(statuses) and statuses[-1] not in (0xFF00, 0xFF01)
    return Found(
        answers=answers,
        pending=statuses[:-1] if is_final else statuses,
        final=statuses[-1] if is_final else None,
        output=output,
    )


def findscu_in_turn(
    port: int, requests: Sequence[Dataset], directory: Path, *, called_aet: str
) -> tuple[list[int], list[Dataset]]:
    """Ask one query after another on one association, with DCMTK's findscu; return every status, and the answers."""
    statuses, answers, _ = _findscu(port, requests, directory, called_aet=called_aet, model="-S", options=())
    return statuses, answers


def _findscu(
    port: int, requests: Sequence[Dataset], directory: Path, *, called_aet: str, model: str, options: Sequence[str]
) -> tuple[list[int], list[Dataset], str]:
    answers_directory = directory / "answers"
    answers_directory.mkdir(parents=True)
    paths = [directory / f"request-{number:03}.dcm" for number in range(len(requests))]
    for path, request in zip(paths, requests, strict=True):
        asked = FileDataset("", request, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        asked.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        asked.file_meta.MediaStorageSOPClassUID = UID("1.2.3")
        asked.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
        dcmwrite(path, asked, enforce_file_format=True)
    finished = run_client(
        "findscu",
        ["-d", model, "-X", "-od", answers_directory, "-aec", called_aet, *options, LOOPBACK, str(port), *paths],
    )
    output = finished.stdout + finished.stderr
    statuses = [int(status, 16) for status in _STATUS.findall(output)]
    return statuses, [dcmread(one) for one in sorted(answers_directory.iterdir())], output
