"""C-MOVE SCP by PS3.4 C.4.2: against DCMTK's movescu and storescp, and against destinations with every fault."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import text as sql

from benchmarks.transfer_syntaxes import with_transfer_syntax
from foundation.errors import Unavailable
from pacs.archive.file_meta import encode
from pacs.archive.reader import InstanceUnreadable, PackReader
from pacs.contracts import InstanceRef
from pacs.scu.association import Timeouts
from pacs.scu.part10 import read_meta
from pacs.status import Status
from tests.conformance.retrieve_node import ALL_RIGHTS, TIMEOUTS, Node, running_node
from tests.conformance.retrieve_scu import (
    PATIENT_MOVE,
    PATIENT_STUDY_MOVE,
    STUDY_MOVE,
    Answer,
    move,
    requesting,
    study_identifier,
)
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, IMPLICIT_LITTLE, image
from tests.harness.peers import free_port, run_client, storescp
from tests.harness.sample_files import pydicom_test_files
from tests.unit.scu.scripted_peer import PeerConnection, scripted_peer

JPEG_2000 = "1.2.840.10008.1.2.4.90"


def write(directory: Path, sop_instance_uid: str, *, sop_class_uid: str = CT_IMAGE, **options: str) -> Path:
    """Write a small image as a file."""
    head = encode(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=EXPLICIT_LITTLE,
        source_aet="CT1",
    )
    path = directory / f"{sop_instance_uid}.dcm"
    data_set = image(sop_instance_uid, sop_class_uid=sop_class_uid, pixels=b"\1\2" * 500, **options)  # type: ignore[arg-type]
    path.write_bytes(head + data_set)
    return path


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running_node(tmp_path / "node") as running:
        yield running


@pytest.fixture
def six(node: Node, tmp_path: Path) -> list[str]:
    """Six images in two series of the study 1.2.3, and one of another study; the six UIDs."""
    uids = [f"1.2.3.{series}.{number}" for series in (1, 2) for number in (1, 2, 3)]
    for uid in uids:
        node.keep(write(tmp_path, uid, series_instance_uid=uid.rpartition(".")[0]))
    node.keep(write(tmp_path, "9.9.9.1", study_instance_uid="9.9.9", series_instance_uid="9.9.9.0"))
    return uids


def movescu(node: Node, *keys: str, model: str = "-S", destination: str = "DEST") -> str:
    arguments = [model, "-v", "-aet", "VIEWER", "-aec", "TELEGARDE", "-aem", destination, "127.0.0.1", str(node.port)]
    for key in keys:
        arguments += ["-k", key]
    done = run_client("movescu", arguments)
    return done.stdout + done.stderr


def answers(node: Node, identifier: Dataset, **options: str) -> list[Answer]:
    with requesting(node.port, options.get("sop_class", STUDY_MOVE)) as association:
        return list(move(association, identifier, **options))


def stored_dataset(path: Path) -> bytes:
    file = path.read_bytes()
    return file[read_meta(file[:4096]).dataset_offset :]


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

    (final,) = answers(node, study_identifier("1.2.3.4.5"))

    assert (final.status, final.completed, final.failed, final.warning) == (0x0000, 0, 0, 0)


def test_an_unknown_destination_is_said_to_be_unknown(node: Node, six: list[str]) -> None:
    (final,) = answers(node, study_identifier("1.2.3"), destination="NOBODY")

    assert final.status == Status.MOVE_DESTINATION_UNKNOWN


@pytest.mark.parametrize(
    "rights",
    [replace(ALL_RIGHTS, move_destinations=frozenset({"OTHER"})), replace(ALL_RIGHTS, move_destinations=frozenset())],
)
def test_a_destination_outside_the_callers_rights_is_not_authorized(tmp_path: Path, rights: object) -> None:
    with running_node(tmp_path / "node", rights=rights) as node:  # type: ignore[arg-type]
        node.add_destination("DEST", free_port())
        (final,) = answers(node, study_identifier("1.2.3"))

    assert final.status == Status.NOT_AUTHORIZED


def test_an_identifier_without_its_unique_key_does_not_match_the_sop_class(node: Node) -> None:
    node.add_destination("DEST", free_port())
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.SeriesInstanceUID = "1.2.3.1"

    (final,) = answers(node, identifier)

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

    (final,) = answers(node, identifier, sop_class=model)

    assert final.status == Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS


def test_a_database_that_is_away_is_never_success(node: Node, six: list[str]) -> None:
    node.add_destination("DEST", free_port())
    with node.archive.database.write() as connection:
        connection.execute(sql("ALTER TABLE study RENAME TO elsewhere"))

    (final,) = answers(node, study_identifier("1.2.3"))

    assert final.status == Status.OUT_OF_RESOURCES_NUMBER_OF_MATCHES
    assert final.comment


def test_the_suboperations_say_who_asked(node: Node, six: list[str]) -> None:
    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 6)
    assert peer.requests[0].calling_ae_title == "TELEGARDE"
    assert [one.command.affected_sop_instance_uid for one in peer.stores] == six
    assert {one.command.move_originator_aet for one in peer.stores} == {"VIEWER"}
    assert {one.command.move_originator_message_id for one in peer.stores} == {7}


# --- counts --------------------------------------------------------------------------------------


def accept_and_serve(peer: PeerConnection) -> None:
    peer.accept()
    peer.serve()


def test_failures_and_warnings_are_counted_and_named(node: Node, six: list[str]) -> None:
    def judge(peer: PeerConnection) -> None:
        peer.accept()
        statuses = {six[1]: 0xA700, six[2]: 0xB000, six[5]: 0x0110}
        while (received := peer.receive_store()) is not None:
            peer.answer(received, statuses.get(received.command.affected_sop_instance_uid, 0))

    with scripted_peer(judge) as peer:
        node.add_destination("DEST", peer.address.port)
        *pending, final = answers(node, study_identifier("1.2.3"))

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
        final = answers(node, study_identifier("1.2.3"))[-1]

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
        first, *_, final = answers(node, study_identifier("1.2.3"))

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
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0xB000, 2, 2)
    assert final.failed_uids == ["1.2.3.1.2", "1.2.3.1.3"]
    assert "cannot be read" in final.comment


def test_more_sop_classes_than_one_association_holds_are_sent_over_several(node: Node, tmp_path: Path) -> None:
    for number in range(70):
        node.keep(write(tmp_path, f"1.2.3.1.{number}", sop_class_uid=f"1.2.840.99999.{number}"))

    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 70)
    assert [len(request.presentation_contexts) for request in peer.requests] == [128, 12]


# --- faults in the middle ------------------------------------------------------------------------


def test_a_connection_lost_in_the_middle_is_made_once_more(node: Node, six: list[str]) -> None:
    def break_once(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            if peer.number == 0 and received.command.affected_sop_instance_uid == six[2]:
                peer.reset()
                return
            peer.answer(received)

    with scripted_peer(break_once) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0x0000, 6, 0)
    assert [one.command.affected_sop_instance_uid for one in peer.stores] == [*six[:3], *six[2:]]


def test_after_the_second_loss_the_rest_has_failed(node: Node, six: list[str]) -> None:
    def break_always(peer: PeerConnection) -> None:
        peer.accept()
        for _ in range(2):
            received = peer.receive_store()
            assert received is not None
            peer.answer(received)
        peer.receive_store()

    with scripted_peer(break_always) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed, final.failed) == (0xB000, 4, 2)
    assert final.failed_uids == six[4:]
    assert len(peer.requests) == 2


def test_contexts_that_differ_after_reconnecting_are_used_as_they_are(node: Node, six: list[str]) -> None:
    def change(peer: PeerConnection) -> None:
        peer.accept((EXPLICIT_LITTLE,) if peer.number == 0 else (IMPLICIT_LITTLE,))
        while (received := peer.receive_store()) is not None:
            if peer.number == 0 and received.command.affected_sop_instance_uid == six[1]:
                return
            peer.answer(received)

    with scripted_peer(change) as peer:
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]

    assert (final.status, final.completed) == (0x0000, 6)
    assert [one.transfer_syntax for one in peer.stores] == [EXPLICIT_LITTLE] * 2 + [IMPLICIT_LITTLE] * 5


def test_a_destination_that_never_answers_does_not_hang_the_move(tmp_path: Path) -> None:
    done = threading.Event()

    def silent(peer: PeerConnection) -> None:
        peer.accept()
        done.wait(20)

    timeouts = Timeouts(connect_s=1, associate_s=1, response_s=1, release_s=1)
    with running_node(tmp_path / "node", timeouts=timeouts) as node, scripted_peer(silent) as peer:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)
        final = answers(node, study_identifier("1.2.3"))[-1]
        done.set()

    assert (final.status, final.completed, final.failed) == (0xA702, 0, 3)
    assert "sent nothing" in final.comment
    assert final.after_s < 5


def test_pending_comes_every_second_while_a_destination_takes_its_time(node: Node, six: list[str]) -> None:
    enough = threading.Event()

    def slow(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        assert enough.wait(20), "too few Pending responses"
        peer.answer(received)
        peer.serve()

    with scripted_peer(slow) as peer:
        node.add_destination("DEST", peer.address.port)
        seen: list[Answer] = []
        with requesting(node.port, STUDY_MOVE) as association:
            for answer in move(association, study_identifier("1.2.3")):
                seen.append(answer)
                if len(seen) == 4:
                    enough.set()

    assert seen[-1].status == 0x0000
    waited = [one.after_s for one in seen[:4]]
    assert [one.remaining for one in seen[:4]] == [6] * 4
    assert waited[0] < 0.5, "the first Pending comes at once"
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(waited))


def test_pending_comes_while_the_connection_is_not_answered(node: Node, six: list[str]) -> None:
    enough = threading.Event()

    def slow(peer: PeerConnection) -> None:
        assert enough.wait(20), "too few Pending responses"
        peer.accept()
        peer.serve()

    with scripted_peer(slow) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            for count, answer in enumerate(move(association, study_identifier("1.2.3")), 1):
                final = answer
                if count == 3:
                    enough.set()

    assert (final.status, final.completed) == (0x0000, 6)


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_cancelled_move_says_so_with_what_is_done_and_what_remains(node: Node, six: list[str], is_slow: bool) -> None:
    cancelled = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        for _ in range(2):
            received = peer.receive_store()
            assert received is not None
            peer.answer(received)
        received = peer.receive_store()
        assert received is not None
        if not is_slow:
            # The cancel is in the node's socket before this answer is.
            assert cancelled.wait(20)
            peer.answer(received)
        # It may be late by one; that one is not answered.
        while peer.receive_store() is not None:
            pass

    with scripted_peer(hold) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            for answer in move(association, study_identifier("1.2.3")):
                final = answer
                if answer.completed == 2 and not cancelled.is_set():
                    association.send_c_cancel(7, query_model=STUDY_MOVE)
                    cancelled.set()

    assert final.status == 0xFE00
    if is_slow:
        # The third was on its way when it was cancelled: nobody confirmed it.
        assert (final.remaining, final.completed, final.failed) == (3, 2, 1)
        assert final.failed_uids == [six[2]]
    else:
        assert (final.completed, final.remaining, final.failed) in {(3, 3, 0), (3, 2, 1)}


def test_a_node_that_stops_ends_the_move_and_names_the_rest(tmp_path: Path) -> None:
    stopped = threading.Event()
    held = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        received = peer.receive_store()
        assert received is not None
        peer.answer(received)
        peer.receive_store()
        held.set()
        assert type(peer.next_event()).__name__ in {"Aborted", "TransportClosed"}

    with running_node(tmp_path / "node", timeouts=TIMEOUTS) as node, scripted_peer(hold) as peer:
        for number in range(3):
            node.keep(write(tmp_path, f"1.2.3.1.{number}"))
        node.add_destination("DEST", peer.address.port)

        def stop() -> None:
            assert held.wait(20)
            node.server.stop()
            assert node.server.drain(20)
            stopped.set()

        thread = threading.Thread(target=stop)
        thread.start()
        with requesting(node.port, STUDY_MOVE) as association:
            final = list(move(association, study_identifier("1.2.3")))[-1]
        thread.join()

    assert stopped.is_set()
    assert (final.status, final.completed, final.failed) == (0xB000, 1, 2)
    assert final.comment == "this node is being stopped"


def test_when_the_caller_is_gone_the_destination_is_aborted(node: Node, six: list[str]) -> None:
    ended: list[str] = []
    held = threading.Event()
    done = threading.Event()

    def hold(peer: PeerConnection) -> None:
        peer.accept()
        peer.receive_store()
        held.set()
        ended.append(type(peer.next_event()).__name__)
        done.set()

    with scripted_peer(hold) as peer:
        node.add_destination("DEST", peer.address.port)
        with requesting(node.port, STUDY_MOVE) as association:
            responses = move(association, study_identifier("1.2.3"))
            next(responses)
            assert held.wait(20)
            association.abort()
            assert done.wait(20)

    assert ended == ["Aborted"]


def test_the_next_move_on_the_same_association_works_after_each_of_these(node: Node, six: list[str]) -> None:
    with scripted_peer(accept_and_serve) as peer:
        node.add_destination("DEST", peer.address.port)
        node.add_destination("CLOSED", free_port())
        with requesting(node.port, STUDY_MOVE, PATIENT_MOVE) as association:
            statuses = [
                list(move(association, study_identifier("1.2.3"), destination=destination))[-1].status
                for destination in ("DEST", "CLOSED", "NOBODY", "DEST")
            ]

    assert statuses == [0x0000, 0xA702, 0xA801, 0x0000]
