"""C-FIND asked by DCMTK's findscu and by pynetdicom, over real associations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from foundation.database import Database, sqlite_url
from pacs.archive.query import IndexQuery
from pacs.archive.schema import study
from pacs.contracts import InstanceRef
from pacs.scp.find import FindService
from tests.conformance.find_node import running_find_node
from tests.harness.find_catalogue import PATIENTS, findscu, findscu_in_turn, identifier, write_files
from tests.harness.index_rows import PatientRow, insert_patient
from tests.harness.peers import LOOPBACK, TelegardeNode, run_client

STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
MANY = 3000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelegardeNode]:
    """A node with the catalogue, sent by DCMTK's storescu."""
    directory = tmp_path_factory.mktemp("find")
    files = write_files(directory / "files")
    with TelegardeNode(directory / "node", workers=1) as running:
        stored = run_client("storescu", ["-aec", running.ae_title, LOOPBACK, str(running.port), *files])
        assert stored.returncode == 0, stored.stderr
        yield running


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: str(patient.character_set))
def test_findscu_finds_a_name_asked_for_in_its_own_character_set(
    node: TelegardeNode, tmp_path: Path, patient: Any
) -> None:
    keys = {"PatientName": patient.name, "PatientID": "", "IssuerOfPatientID": ""}
    request = identifier("PATIENT", keys, patient.character_set)
    found = findscu(node.port, request, tmp_path / "q", called_aet=node.ae_title, model="-P")
    assert (found.final, found.pending) == (0, [0xFF00])
    (answer,) = found.answers
    answer.decode()
    assert str(answer.PatientName) == patient.name
    assert (answer.PatientID, answer.IssuerOfPatientID) == (patient.patient_id, patient.issuer)
    assert answer.SpecificCharacterSet == patient.character_set


@pytest.mark.parametrize("option", ["-xe", "-xb", "-xi", "-xd"])
def test_findscu_is_answered_in_the_transfer_syntax_it_proposes(
    node: TelegardeNode, tmp_path: Path, option: str
) -> None:
    request = identifier("STUDY", {"StudyInstanceUID": "", "PatientName": "Lefèvre*", "NumberOfStudyRelatedSeries": ""})
    found = findscu(node.port, request, tmp_path / "q", called_aet=node.ae_title, options=[option])
    assert found.final == 0
    assert sorted(answer.StudyInstanceUID for answer in found.answers) == ["1.2.826.1.1", "1.2.826.1.2"]


def test_findscu_is_told_why_a_query_is_refused(node: TelegardeNode, tmp_path: Path) -> None:
    found = findscu(node.port, identifier("SERIES", {"Modality": "CT"}), tmp_path / "q", called_aet=node.ae_title)
    assert (found.answers, found.final) == ([], 0xA900)
    assert "StudyInstanceUID is needed" in found.output


def test_images_are_answered_from_their_stored_headers(node: TelegardeNode, tmp_path: Path) -> None:
    keys = {
        "StudyInstanceUID": "1.2.826.1.1",
        "SeriesInstanceUID": "1.2.826.1.1.1",
        "SOPInstanceUID": "",
        "ImageType": "PRIMARY",
        "BitsStored": None,
        "StudyDescription": "",
    }
    found = findscu(node.port, identifier("IMAGE", keys), tmp_path / "q", called_aet=node.ae_title)
    assert len(found.answers) == 3
    answer = found.answers[0]
    answer.decode()
    assert list(answer.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert answer.BitsStored == 16
    assert answer.StudyDescription == "Tête sans injection"


# --- pynetdicom ----------------------------------------------------------------------------------


def _associate(port: int, *, extended: bytes | None = None, syntax: str = ExplicitVRLittleEndian) -> Association:
    ae = AE(ae_title="VIEWER")
    for model in (STUDY_ROOT, PatientRootQueryRetrieveInformationModelFind):
        ae.add_requested_context(model, syntax)
    negotiation = []
    if extended is not None:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = STUDY_ROOT
        item.service_class_application_information = extended
        negotiation.append(item)
    association = ae.associate(LOOPBACK, port, ae_title="TELEGARDE", ext_neg=negotiation)
    assert association.is_established
    return association


def _ask(association: Association, request: Dataset, model: str = STUDY_ROOT) -> tuple[list[Dataset], int]:
    answers = []
    status = None
    for status_dataset, answer in association.send_c_find(request, model):
        status = int(status_dataset.Status)
        if answer is not None:
            answer.decode()
            answers.append(answer)
    assert status is not None
    return answers, status


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_pynetdicom_is_answered_in_every_transfer_syntax(node: TelegardeNode, syntax: str) -> None:
    association = _associate(node.port, syntax=syntax)
    answers, status = _ask(association, identifier("STUDY", {"StudyInstanceUID": "", "PatientName": "王*"}))
    association.release()
    assert status == 0
    assert sorted(str(answer.PatientName) for answer in answers) == ["Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小東"]


def test_pynetdicom_negotiates_what_standard_queries_do_not_do(node: TelegardeNode) -> None:
    association = _associate(node.port, extended=bytes([1, 1, 1, 1, 1]))
    accepted = association.acceptor.sop_class_extended
    assert accepted == {STUDY_ROOT: bytes([1, 1, 1, 1, 0])}
    relational, _ = _ask(association, identifier("SERIES", {"SeriesInstanceUID": "", "Modality": "MR"}))
    fuzzy, _ = _ask(association, identifier("STUDY", {"StudyInstanceUID": "", "PatientName": "Mary Smitt"}))
    span, _ = _ask(
        association,
        identifier("STUDY", {"StudyInstanceUID": "", "StudyDate": "20240101-20240102", "StudyTime": "1000-0300"}),
    )
    association.release()
    assert len(relational) == 4
    assert [answer.StudyInstanceUID for answer in fuzzy] == ["1.2.826.2.1"]
    assert sorted(answer.StudyInstanceUID for answer in span) == ["1.2.826.1.1", "1.2.826.2.1"]


def test_many_queries_on_one_association_are_each_answered(node: TelegardeNode, tmp_path: Path) -> None:
    # Not by pynetdicom: its reactor may take an answer for itself when a query follows another at once.
    asked = [identifier("STUDY", {"StudyInstanceUID": f"1.2.826.{number % 9}.1"}) for number in range(50)]
    statuses, answers = findscu_in_turn(node.port, asked, tmp_path / "q", called_aet=node.ae_title)
    each = [[0xFF00, 0x0000] if 1 <= number % 9 <= 7 else [0x0000] for number in range(50)]
    assert statuses == [status for one in each for status in one]
    assert {answer.StudyInstanceUID for answer in answers} == {f"1.2.826.{number}.1" for number in range(1, 8)}


# --- many answers --------------------------------------------------------------------------------


class NoHeaders:
    """No header is asked for."""

    def read_dataset(self, ref: InstanceRef) -> Dataset:
        raise AssertionError(ref)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Database]:
    """A database with `MANY` studies of one patient."""
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    with database.write() as connection:
        patient_pk = insert_patient(
            connection, PatientRow(values={"PatientID": "1", "IssuerOfPatientID": "", "PatientName": "MANY"})
        )
        texts = [
            c.name for c in study.c if c.type.python_type is str and c.name not in {"study_instance_uid", "attributes"}
        ]
        rows = [
            {**dict.fromkeys(texts, ""), "study_instance_uid": f"1.2.{number}", "patient_pk": patient_pk}
            for number in range(MANY)
        ]
        connection.execute(study.insert(), rows)
    yield database
    database.close()


def test_every_answer_arrives_once(many: Database, tmp_path: Path) -> None:
    service = FindService(IndexQuery(many, NoHeaders(), answers_max=MANY))
    with running_find_node(tmp_path, many, service) as port:
        association = _associate(port)
        answers, status = _ask(association, identifier("STUDY", {"StudyInstanceUID": "", "PatientID": "1"}))
        association.release()
    assert status == 0
    assert sorted(answer.StudyInstanceUID for answer in answers) == sorted(f"1.2.{n}" for n in range(MANY))


def test_findscu_is_told_that_there_are_more_matches_than_the_cap(many: Database, tmp_path: Path) -> None:
    service = FindService(IndexQuery(many, NoHeaders(), answers_max=20))
    with running_find_node(tmp_path, many, service) as port:
        request = identifier("STUDY", {"StudyInstanceUID": ""})
        found = findscu(port, request, tmp_path / "q", called_aet="TELEGARDE")
    assert len(found.answers) == 20
    assert found.final == 0xA700
    assert "narrow the query" in found.output


def test_findscu_cancels_and_is_told_so(many: Database, tmp_path: Path) -> None:
    service = FindService(IndexQuery(many, NoHeaders(), answers_max=MANY))
    with running_find_node(tmp_path, many, service) as port:
        request = identifier("STUDY", {"StudyInstanceUID": ""})
        found = findscu(port, request, tmp_path / "q", called_aet="TELEGARDE", options=["--cancel", "3"])
    assert found.final == 0xFE00
    assert 3 <= len(found.answers) < MANY


def test_a_peer_that_aborts_in_the_middle_frees_its_connection(many: Database, tmp_path: Path) -> None:
    service = FindService(IndexQuery(many, NoHeaders(), answers_max=MANY))
    with running_find_node(tmp_path, many, service) as port:
        association = _associate(port)
        answers = association.send_c_find(identifier("STUDY", {"StudyInstanceUID": ""}), STUDY_ROOT)
        next(answers)
        association.abort()
        again = _associate(port)
        assert _ask(again, identifier("STUDY", {"StudyInstanceUID": "1.2.7"}))[1] == 0
        again.release()
    assert many.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool has it, Pool does not say
