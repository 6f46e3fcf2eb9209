"""C-MOVE SCP by PS3.4 C.4.2: against DCMTK's movescu and storescp, and against destinations with every fault."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import text as sql

from benchmarks.transfer_syntaxes import with_transfer_syntax
from foundation.errors import Unavailable
from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef
from pacs.status import Status
from tests.conformance.retrieve_node import ALL_RIGHTS, Node, keep_six, running_node, stored_dataset, write
from tests.conformance.retrieve_scu import (
    PATIENT_STUDY_MOVE,
    STUDY_MOVE,
    answers,
    move,
    requesting,
    study_identifier,
)
from tests.harness.data_sets import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.harness.peers import free_port, run_client, storescp
from tests.harness.sample_files import pydicom_test_files
from tests.unit.scu.scripted_peer import PeerConnection, accept_and_serve, scripted_peer

JPEG_2000 = "1.2.840.10008.1.2.4.90"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running_node(tmp_path / "node") as running:
        yield running


@pytest.fixture
def six(node: Node, tmp_path: Path) -> list[str]:
    return keep_six(node, tmp_path)


def movescu(node: Node, *keys: str, model: str = "-S", destination: str = "DEST") -> str:
    arguments = [model, "-v", "-aet", "VIEWER", "-aec", "TELEGARDE", "-aem", destination, "127.0.0.1", str(node.port)]
    for key in keys:
        arguments += ["-k", key]
    done = run_client("movescu", arguments)
    return done.stdout + done.stderr


# --- real peers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "keys", "expected"),
    [
        ("-S", ["QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"], slice(0, 6)),
        ("-S", ["QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2.3", "SeriesInstanceUID=1.2.3.2"], slice(3, 6)),
        (
            "-P",
            [
                "QueryRetrieveLevel=IMAGE",
                "PatientID=P1",
                "StudyInstanceUID=1.2.3",
                "SeriesInstanceUID=1.2.3.1",
                "SOPInstanceUID=1.2.3.1.2\\1.2.3.1.3",
            ],
            slice(1, 3),
        ),
        ("-O", ["QueryRetrieveLevel=STUDY", "PatientID=P1", "StudyInstanceUID=1.2.3"], slice(0, 6)),
    ],
)
def test_movescu_gets_what_it_names_at_every_level_byte_for_byte(
    node: Node, six: list[str], tmp_path: Path, model: str, keys: list[str], expected: slice
) -> None:
    with storescp(tmp_path / "peer") as peer:
        node.add_destination("DEST", peer.port)
        output = movescu(node, *keys, model=model)
        files = peer.files()

    assert "Received Final Move Response (Success)" in output, output
    received = {pydicom.dcmread(path).SOPInstanceUID: path for path in files}
    assert sorted(received) == six[expected]
    for uid, path in received.items():
        assert stored_dataset(path) == stored_dataset(tmp_path / f"{uid}.dcm")


def test_a_whole_patient_is_moved_with_the_issuer_given(node: Node, six: list[str], tmp_path: Path) -> None:
    node.keep(write(tmp_path, "8.8.8.1", study_instance_uid="8.8.8", series_instance_uid="8.8.8.0", issuer="SOUTH"))
    with storescp(tmp_path / "peer") as peer:
        node.add_destination("DEST", peer.port)
        ambiguous = movescu(node, "QueryRetrieveLevel=PATIENT", "PatientID=P1", model="-P")
        assert peer.files() == []
        named = movescu(node, "QueryRetrieveLevel=PATIENT", "PatientID=P1", "IssuerOfPatientID=SOUTH", model="-P")
        moved = [pydicom.dcmread(path).SOPInstanceUID for path in peer.files()]

    assert "Error: DataSetDoesNotMatchSOPClass" in ambiguous
    assert "Success" in named
    assert moved == ["8.8.8.1"]


def test_what_the_destination_does_not_accept_is_transcoded_without_loss(node: Node, tmp_path: Path) -> None:
    original = next(path for path in pydicom_test_files() if path.name == "CT_small.dcm")
    copy = tmp_path / "ct.dcm"
    copy.write_bytes(original.read_bytes())
    node.keep(with_transfer_syntax(copy, JPEG_2000))
    ds = pydicom.dcmread(original)

    for number, (options, syntax) in enumerate(
        [(("+B", "+xa"), JPEG_2000), (("+B",), EXPLICIT_LITTLE), (("+B", "+xi"), IMPLICIT_LITTLE)]
    ):
        with storescp(tmp_path / f"peer{number}", options=options) as peer:
            node.add_destination("DEST", peer.port)
            output = movescu(node, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={ds.StudyInstanceUID}")
            (path,) = peer.files()
        assert "Success" in output
        moved = pydicom.dcmread(path)
        assert moved.file_meta.TransferSyntaxUID == syntax
        assert moved.SOPInstanceUID == ds.SOPInstanceUID
        assert (moved.pixel_array == ds.pixel_array).all()


# --- answers -------------------------------------------------------------------------------------


def test_nothing_that_matches_is_success_without_suboperations(node: Node) -> None:
    node.add_destination("DEST", free_port())

    (final,) = answers(node.port, study_identifier("1.2.3.4.5"))

    assert (final.status, final.completed, final.failed, final.warning) == (0x0000, 0, 0, 0)


def test_an_unknown_destination_is_said_to_be_unknown(node: Node, six: list[str]) -> None:
    (final,) = answers(node.port, study_identifier("1.2.3"), destination="NOBODY")

    assert final.status == Status.MOVE_DESTINATION_UNKNOWN


@pytest.mark.parametrize(
    "rights",
    [replace(ALL_RIGHTS, move_destinations=frozenset({"OTHER"})), replace(ALL_RIGHTS, move_destinations=frozenset())],
)
def test_a_destination_outside_the_callers_rights_is_not_authorized(tmp_path: Path, rights: object) -> None:
    with running_node(tmp_path / "node", rights=rights) as node:  # type: ignore[arg-type]
        node.add_destination("DEST", free_port())
        (final,) = answers(node.port, study_identifier("1.2.3"))

    assert final.status == Status.NOT_AUTHORIZED


def test_an_identifier_without_its_unique_key_does_not_match_the_sop_class(node: Node) -> None:
    node.add_destination("DEST", free_port())
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.SeriesInstanceUID = "1.2.3.1"

    (final,) = answers(node.port, identifier)

    assert final.status == Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    assert "StudyInstanceUID" in final.comment


def test_with_relational_retrieve_a_series_uid_is_enough(node: Node, six: list[str]) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.SOPInstanceUID = [six[4], six[0]]

    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE, relational=True) as association:
            final = list(move(association, identifier))[-1]

    assert (final.status, final.completed) == (0x0000, 2)


@pytest.mark.parametrize(("model", "level"), [(STUDY_MOVE, "PATIENT"), (PATIENT_STUDY_MOVE, "SERIES")])
def test_a_level_that_the_model_lacks_does_not_match_the_sop_class(node: Node, model: str, level: str) -> None:
    node.add_destination("DEST", free_port())
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.PatientID = "P1"
    identifier.StudyInstanceUID = "1.2.3"
    identifier.SeriesInstanceUID = "1.2.3.1"

    (final,) = answers(node.port, identifier, sop_class=model)

    assert final.status == Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS


def test_a_database_that_is_away_is_never_success(node: Node, six: list[str]) -> None:
    node.add_destination("DEST", free_port())
    with node.archive.database.write() as connection:
        connection.execute(sql("ALTER TABLE study RENAME TO elsewhere"))

    (final,) = answers(node.port, study_identifier("1.2.3"))

    assert final.status == Status.OUT_OF_RESOURCES_NUMBER_OF_MATCHES
    assert final.comment


def test_the_suboperations_say_who_asked(node: Node, six: list[str]) -> None:
    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 6)
    assert peer.requests[0].calling_ae_title == "TELEGARDE"
    assert [one.command.affected_sop_instance_uid for one in peer.stores] == six
    assert {one.command.move_originator_aet for one in peer.stores} == {"VIEWER"}
    assert {one.command.move_originator_message_id for one in peer.stores} == {7}


# --- counts --------------------------------------------------------------------------------------


def test_failures_and_warnings_are_counted_and_named(node: Node, six: list[str]) -> None:
    def judge(peer: PeerConnection) -> None:
        peer.accept()
        statuses = {six[1]: 0xA700, six[2]: 0xB000, six[5]: 0x0110}
        while (received := peer.receive_store()) is not None:
            peer.answer(received, statuses.get(received.command.affected_sop_instance_uid, 0))

    with scripted_peer(judge) as peer:
        node.add_destination("DEST", peer.address.port)
        *pending, final = answers(node.port, study_identifier("1.2.3"))

    assert {one.status for one in pending} == {0xFF00}
    assert (pending[0].remaining, pending[0].completed) == (6, 0)
    assert final.status == Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES
    assert (final.remaining, final.completed, final.failed, final.warning) == (None, 3, 2, 1)
    assert final.failed_uids == [six[1], six[5]]
    assert final.comment == "the destination answered A700H"


def test_when_every_suboperation_fails_the_move_has_failed(node: Node, six: list[str]) -> None:
    def refuse(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            peer.answer(received, 0xC000)

    with scripted_peer(refuse) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert final.status == Status.OUT_OF_RESOURCES_SUBOPERATIONS
    assert (final.completed, final.failed) == (0, 6)
    assert final.failed_uids == six


@pytest.mark.parametrize("kind", ["closed", "rejecting", "no contexts"])
def test_a_destination_that_cannot_be_reached_fails_every_suboperation(node: Node, six: list[str], kind: str) -> None:
    def script(peer: PeerConnection) -> None:
        if kind == "rejecting":
            peer.reject(1, 1, 3)
        else:
            peer.accept(())
            peer.serve()

    with scripted_peer(script) as peer:
        node.add_destination("DEST", free_port() if kind == "closed" else peer.address.port)
        first, *_, final = answers(node.port, study_identifier("1.2.3"))

    assert first.status == 0xFF00, "Pending comes before the destination is tried"
    assert final.status == Status.OUT_OF_RESOURCES_SUBOPERATIONS
    assert (final.completed, final.failed, final.failed_uids) == (0, 6, six)
    assert final.comment


def test_an_instance_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    class Damaged:
        def __init__(self, packs: PackReader) -> None:
            self._packs = packs

        def read_file(self, ref: InstanceRef) -> memoryview:
            if ref.sop_instance_uid == "1.2.3.1.2":
                raise InstanceUnreadable(ref.sop_instance_uid)
            if ref.sop_instance_uid == "1.2.3.1.3":
                raise Unavailable("the tier is away")
            return self._packs.read_file(ref)

    with running_node(tmp_path / "node", reader=Damaged) as node, scripted_peer(accept_and_serve) as peer:
        for number in range(1, 5):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0xB000, 2, 2)
    assert final.failed_uids == ["1.2.3.1.2", "1.2.3.1.3"]
    assert "cannot be read" in final.comment


def test_more_sop_classes_than_one_association_holds_are_sent_over_several(node: Node, tmp_path: Path) -> None:
    for number in range(70):
        node.keep(write(tmp_path, f"1.2.3.1.{number}", sop_class_uid=f"1.2.840.99999.{number}"))

    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node.port, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 70)
    assert {len(request.presentation_contexts) for request in peer.requests} == {128, 12}
