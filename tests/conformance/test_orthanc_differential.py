"""The same studies in our node and in Debian's Orthanc, the same C-FIND questions to both, the answers compared.

Every difference is listed with its reason and with what we answer; a difference that is not listed, or one that is
listed and no longer there, fails. Compared are the attributes asked for, not those that each adds by itself (Retrieve
AE Title, Specific Character Set), and success or failure, not the code of a failure.

Orthanc is told to answer in UTF-8, which is what the questions are in: it does not look at the request for that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.harness.find_catalogue import Found, findscu, identifier, write_files
from tests.harness.peers import LOOPBACK, OrthancServer, TelegardeNode, orthanc, run_client

HOSPITALS = "we keep one patient ID from two hospitals apart, Orthanc merges them"
HIERARCHY = "PS3.4 C.4.1.2.1 needs the unique keys of the levels above unless relational queries were negotiated"
ACCENTS = "our names match without regard to accents"
TRAILING = "trailing empty components of a name mean nothing (PS3.5 6.2.1.1)"
GROUPS = "our keys are compared with the component groups of a name, Orthanc's with the whole"
MEANING = "PS3.4 C.2.2.2.1.3 note 1: a time is matched by its meaning, 1015 is 10:15"
LETTERS = "? stands for one character, one with an accent too; Orthanc does not find it"
BELOW = "a key of a level below is matched like in a relational query; Orthanc finds nothing"
WARNING = "PS3.4 C.4.1.1.4: FF01 says that a key asked for could not be answered"
INVALID = "a range or date without meaning is a failure, never an empty answer"
UNKNOWN = "a patient without a birth date was not born before 1961"
SEQUENCE = "PS3.4 C.2.2.2.6: sequence matching; Orthanc ignores the item's keys"
SEVERAL = "PS3.4 C.2.2.3: any value of an attribute may match; Orthanc compares all of them as one text"
MODEL = "PS3.4 C.6.2: Study Root has no PATIENT level"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What both are asked. `why` says what is different, `ours` what we then answer: values of the level's own UID."""

    level: str
    keys: dict[str, Any]
    model: str = "-S"
    why: str = ""
    ours: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        asked = {keyword: value for keyword, value in self.keys.items() if isinstance(value, str) and value}
        return f"{self.level} {asked}"


def study(why: str = "", ours: tuple[str, ...] = (), **keys: Any) -> Question:
    return Question(level="STUDY", keys={"StudyInstanceUID": "", **keys}, why=why, ours=ours)


def series(why: str = "", ours: tuple[str, ...] = (), **keys: Any) -> Question:
    return Question(level="SERIES", keys={"SeriesInstanceUID": "", **keys}, why=why, ours=ours)


def image(why: str = "", ours: tuple[str, ...] = (), **keys: Any) -> Question:
    above = {"StudyInstanceUID": "1.2.826.1.1", "SeriesInstanceUID": "1.2.826.1.1.1", "SOPInstanceUID": ""}
    return Question(level="IMAGE", keys={**above, **keys}, why=why, ours=ours)


def patient(why: str = "", ours: tuple[str, ...] = (), **keys: Any) -> Question:
    return Question(level="PATIENT", keys={"PatientID": "", **keys}, model="-P", why=why, ours=ours)


def _procedure(value: str) -> list[Dataset]:
    item = Dataset()
    item.RequestedProcedureID = value
    return [item]


ZOE = ("1.2.826.1.1", "1.2.826.1.2")
ALL_PATIENTS = ("P1", "P1", "P3", "P4", "P5", "P6", "P7")
COUNTS: dict[str, Any] = {
    "NumberOfPatientRelatedStudies": "",
    "NumberOfPatientRelatedSeries": "",
    "NumberOfPatientRelatedInstances": "",
}

QUESTIONS = [
    patient(PatientID="P3", PatientName="", PatientSex="", PatientBirthDate="", IssuerOfPatientID=""),
    patient(PatientID="P3", IssuerOfPatientID="NORTH"),
    patient(PatientID="P3", **COUNTS),
    patient(HOSPITALS, ("P1", "P1"), PatientID="P1", PatientName=""),
    patient(HOSPITALS, ALL_PATIENTS, PatientID="P*"),
    patient(HOSPITALS, ALL_PATIENTS, **COUNTS),
    Question(level="STUDY", model="-P", keys={"PatientID": "P1", "StudyInstanceUID": "", "IssuerOfPatientID": ""}),
    Question(level="STUDY", model="-P", keys={"StudyInstanceUID": ""}, why=HIERARCHY),
    Question(level="PATIENT", model="-S", keys={"PatientID": "P3"}, why=MODEL),
    study(PatientName="Lefèvre^Zoë"),
    study(PatientName="LEFÈVRE*"),
    study(ACCENTS, ZOE, PatientName="lefevre*"),
    study(ACCENTS, ZOE, PatientName="LEFEVRE^ZOE"),
    study(PatientName="SMITH"),
    study(PatientName="smith^mary"),
    study(PatientName="*mary"),
    study(PatientName="SM?TH*"),
    study(TRAILING, ("1.2.826.2.1",), PatientName="SMITH^MARY^^^"),
    study(PatientName="Διονυσιος"),
    study(PatientName="ΔΙΟΝΥΣΙΟΣ"),
    study(PatientName="*山田*"),
    study(PatientName="*王*"),
    study(GROUPS, ("1.2.826.5.1",), PatientName="山田*"),
    study(GROUPS, ("1.2.826.5.1",), PatientName="Yamada^Tarou"),
    study(StudyDate="20240101"),
    study(StudyDate="20240101-20240229"),
    study(StudyDate="20240301-"),
    study(StudyDate="-20231231"),
    study(INVALID, StudyDate="20240115-20240101"),
    study(INVALID, StudyDate="nonsense"),
    study(StudyTime="101500"),
    study(MEANING, ("1.2.826.1.1",), StudyTime="1015"),
    study(MEANING, ("1.2.826.1.1",), StudyTime="10"),
    study(StudyTime="0900-1100"),
    study(StudyTime="2000-"),
    study(StudyDate="20240101-20240102", StudyTime="0000-0300"),
    study(AccessionNumber="A1"),
    study(AccessionNumber="a1"),
    study(AccessionNumber="A*"),
    study(AccessionNumber="A1\\B1"),
    study(StudyDescription="HEAD"),
    study(StudyDescription="*Tête*"),
    study(LETTERS, ("1.2.826.1.1",), StudyDescription="*T?te*"),
    study(ModalitiesInStudy="MR"),
    study(ModalitiesInStudy="CT\\MR"),
    study(ModalitiesInStudy="M*"),
    study(ModalitiesInStudy="PT"),
    study(BELOW, ("1.2.826.2.1",), Modality="MR", AccessionNumber="A1"),
    study(WARNING, ("1.2.826.3.1",), Modality="", AccessionNumber="B1"),
    study(StudyInstanceUID="1.2.826.1.1\\1.2.826.7.1\\1.2.3"),
    study(StudyInstanceUID="1.2.826.*"),
    study(
        PatientID="P1",
        ModalitiesInStudy="",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
        SOPClassesInStudy="",
    ),
    study(ReferringPhysicianName="house*", PatientID="P3"),
    study(PatientSex="O", PatientBirthDate="19641010"),
    study(UNKNOWN, ("1.2.826.2.1",), PatientBirthDate="-19601231"),
    series(
        StudyInstanceUID="1.2.826.1.1",
        Modality="",
        SeriesNumber="",
        SeriesDescription="",
        NumberOfSeriesRelatedInstances="",
        BodyPartExamined="",
    ),
    series(StudyInstanceUID="1.2.826.2.1", Modality="CT"),
    series(StudyInstanceUID="1.2.826.2.1", ProtocolName="Rout*"),
    series(SEQUENCE, ("1.2.826.1.1.1",), StudyInstanceUID="1.2.826.1.1", RequestAttributesSequence=_procedure("RP1")),
    series(StudyInstanceUID="1.2.826.1.1", RequestAttributesSequence=_procedure("")),
    series(HIERARCHY, Modality="CT"),
    image(InstanceNumber="", SOPClassUID=""),
    image(InstanceNumber="2"),
    image(Rows=2, ImageType=""),
    image(
        SEVERAL,
        ("1.2.826.1.1.1.1", "1.2.826.1.1.1.2", "1.2.826.1.1.1.3"),
        ImageType="PRIMARY",
    ),
    Question(level="NONSENSE", keys={"PatientID": "P1"}),
]
OWN_UID = {
    "PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"
}  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TelegardeNode, OrthancServer]]:
    directory = tmp_path_factory.mktemp("differential")
    files = write_files(directory / "files")
    with (
        TelegardeNode(directory / "node", workers=1) as node,
        orthanc(directory / "orthanc", options={"DefaultEncoding": "Utf8"}) as server,
    ):
        for port, title in ((node.port, node.ae_title), (server.port, server.ae_title)):
            stored = run_client("storescu", ["-aec", title, LOOPBACK, str(port), *files])
            assert stored.returncode == 0, stored.stderr
        yield node, server


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_both_answer_alike_but_for_the_differences_that_are_listed(
    both: tuple[TelegardeNode, OrthancServer], question: Question, tmp_path: Path
) -> None:
    node, server = both
    request = identifier(question.level, question.keys)
    ours = findscu(node.port, request, tmp_path / "ours", called_aet=node.ae_title, model=question.model)
    theirs = findscu(server.port, request, tmp_path / "theirs", called_aet=server.ae_title, model=question.model)
    if not question.why:
        assert _comparable(ours, question) == _comparable(theirs, question)
        return
    assert _comparable(ours, question) != _comparable(theirs, question), "a difference is listed that is not there"
    own = OWN_UID[question.level]
    assert sorted(str(answer[own].value) for answer in ours.answers) == sorted(question.ours)
    assert (ours.final == 0) == bool(question.ours)


def _comparable(found: Found, question: Question) -> tuple[bool, set[int], list[str]]:
    """Return whether it ended well, the statuses of the answers, and the answers as far as they were asked for."""
    answers = [str({keyword: _plain(answer, keyword) for keyword in sorted(question.keys)}) for answer in found.answers]
    return found.final == 0, set(found.pending), sorted(answers)


def _plain(dataset: Dataset, keyword: str) -> object:
    if keyword not in dataset:
        return "absent"
    element = dataset[keyword]
    if element.VR == "SQ":
        return [str(item.get("RequestedProcedureID", "absent")) for item in element.value]
    return "" if element.value is None else str(element.value)
