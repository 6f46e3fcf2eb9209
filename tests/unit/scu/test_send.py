"""The sending engine against peers that fail: each instance counts once, and none as sent that was not answered."""

import threading
from pathlib import Path

import pytest

from pacs.archive.file_meta import encode
from pacs.scu.association import Timeouts
from pacs.scu.send import ATTEMPTS_MAX, SendProgress, SendReport, send
from tests.harness.data_sets import CT_IMAGE, EXPLICIT_LITTLE, IMPLICIT_LITTLE, image
from tests.harness.peers import free_port
from tests.unit.scu.scripted_peer import PeerConnection, ScriptedPeer, scripted_peer

JPEG_2000, MPEG_4 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.102"


def write(
    directory: Path, sop_instance_uid: str, *, sop_class_uid: str = CT_IMAGE, transfer_syntax_uid: str = EXPLICIT_LITTLE
) -> None:
    head = encode(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        source_aet="CT1",
    )
    directory.mkdir(exist_ok=True)
    (directory / f"{sop_instance_uid}.dcm").write_bytes(head + image(sop_instance_uid, pixels=b"\1\2" * 100))


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path / "ten", f"1.2.{number}")
    return tmp_path / "ten"


def send_to(peer: ScriptedPeer, path: Path, *, parallel: int = 1, timeouts: Timeouts | None = None) -> SendReport:
    return send(
        [path],
        host=peer.address.host,
        port=peer.address.port,
        calling_aet="US",
        called_aet="PEER",
        parallel=parallel,
        timeouts=timeouts,
    )


def accept_and_serve(peer: PeerConnection) -> None:
    peer.accept()
    peer.serve()


@pytest.mark.parametrize("parallel", [1, 3, 20])
def test_everything_is_sent_once_however_many_associations(ten: Path, parallel: int) -> None:
    with scripted_peer(accept_and_serve) as peer:
        report = send_to(peer, ten, parallel=parallel)

    assert (report.instances, report.sent, report.failed, report.failures) == (10, 10, 0, {})
    assert report.is_complete
    assert sorted(one.command.affected_sop_instance_uid for one in peer.stores) == [f"1.2.{n}" for n in range(10)]
    assert report.bytes_sent == sum(len(one.dataset) for one in peer.stores)
    for one in peer.stores:
        assert one.dataset == image(one.command.affected_sop_instance_uid, pixels=b"\1\2" * 100)


def test_failures_are_counted_by_status_and_warnings_as_sent(ten: Path) -> None:
    def judge(peer: PeerConnection) -> None:
        peer.accept()
        statuses = {"1.2.3": 0xA700, "1.2.4": 0xC000, "1.2.5": 0xA700, "1.2.6": 0xB000}
        while (received := peer.receive_store()) is not None:
            peer.answer(received, statuses.get(received.command.affected_sop_instance_uid, 0))

    with scripted_peer(judge) as peer:
        report = send_to(peer, ten)

    assert (report.sent, report.warnings, report.failed) == (7, 1, 3)
    assert report.failures == {"A700": 2, "C000": 1}


def test_an_association_that_breaks_is_made_anew_and_the_instance_in_hand_sent_again(ten: Path) -> None:
    def break_once(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            if peer.number == 0 and received.command.affected_sop_instance_uid == "1.2.4":
                return
            peer.answer(received)

    with scripted_peer(break_once) as peer:
        report = send_to(peer, ten)

    assert (report.sent, report.failed) == (10, 0)
    assert len(report.errors) == 1
    uids = [one.command.affected_sop_instance_uid for one in peer.stores]
    assert uids == ["1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.4", *(f"1.2.{n}" for n in range(4, 10))]


@pytest.mark.parametrize("parallel", [1, 2])
def test_an_instance_that_ends_every_association_does_not_keep_the_others_back(ten: Path, parallel: int) -> None:
    def allergic(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            if received.command.affected_sop_instance_uid == "1.2.4":
                peer.sock.sendall(peer.upper.abort())
                return
            peer.answer(received)

    with scripted_peer(allergic) as peer:
        report = send_to(peer, ten, parallel=parallel)

    assert (report.sent, report.failed) == (9, 1)
    assert report.failures == {"not_answered": 1}


def test_a_peer_that_always_breaks_is_given_up(ten: Path) -> None:
    with scripted_peer(lambda peer: peer.accept()) as peer:
        report = send_to(peer, ten)

    assert (report.sent, report.failed) == (0, 10)
    assert sum(report.failures.values()) == 10
    assert len(peer.requests) == ATTEMPTS_MAX


def test_a_peer_that_never_answers_is_given_up_in_time(ten: Path) -> None:
    done = threading.Event()

    def silent(peer: PeerConnection) -> None:
        peer.accept()
        done.wait(20)

    with scripted_peer(silent) as peer:
        report = send_to(peer, ten, timeouts=Timeouts(response_s=0.1))
        done.set()

    assert (report.sent, report.failed) == (0, 10)
    assert "sent nothing" in report.errors[0]


def test_a_rejection_and_a_closed_port_fail_everything_and_say_why(ten: Path) -> None:
    with scripted_peer(lambda peer: peer.reject(1, 1, 7)) as peer:
        rejected = send_to(peer, ten)
    refused = send([ten], host="127.0.0.1", port=free_port(), calling_aet="US", called_aet="PEER")

    assert rejected.failures == refused.failures == {"not_sent": 10}
    assert "rejected" in rejected.errors[0]
    assert "Connection refused" in refused.errors[0]
    assert not refused.is_complete


def test_what_the_peer_does_not_accept_fails_and_the_rest_goes(tmp_path: Path) -> None:
    write(tmp_path / "mixed", "1.1", transfer_syntax_uid=MPEG_4)
    write(tmp_path / "mixed", "1.2")
    # Says JPEG 2000 and holds native pixels: it can be neither passed on nor decoded.
    write(tmp_path / "mixed", "1.3", transfer_syntax_uid=JPEG_2000)
    write(tmp_path / "mixed", "1.4", transfer_syntax_uid="1.2.840.10008.1.2.4.999")

    with scripted_peer(accept_and_serve) as peer:
        report = send_to(peer, tmp_path / "mixed")

    assert (report.instances, report.sent, report.failed) == (4, 1, 3)
    assert report.failures == {"not_accepted": 2, "not_transcodable": 1}


def test_a_peer_that_takes_only_implicit_gets_implicit(ten: Path) -> None:
    def accept_implicit(peer: PeerConnection) -> None:
        peer.accept((IMPLICIT_LITTLE,))
        peer.serve()

    with scripted_peer(accept_implicit) as peer:
        report = send_to(peer, ten)

    assert (report.sent, report.transcoded) == (10, 10)
    assert {one.transfer_syntax for one in peer.stores} == {IMPLICIT_LITTLE}
    first = peer.stores[0]
    assert first.dataset == image(first.command.affected_sop_instance_uid, pixels=b"\1\2" * 100, syntax=IMPLICIT_LITTLE)


def test_more_sop_classes_than_one_association_holds_take_several(tmp_path: Path) -> None:
    for number in range(150):
        write(tmp_path / "many", f"1.2.{number}", sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{number}")

    with scripted_peer(accept_and_serve) as peer:
        report = send_to(peer, tmp_path / "many", parallel=2)

    assert (report.sent, report.failed) == (150, 0)
    assert all(len(request.presentation_contexts) <= 128 for request in peer.requests)


def test_nothing_to_send_calls_nobody(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no image")

    report = send([tmp_path], host="127.0.0.1", port=free_port(), calling_aet="US", called_aet="PEER")

    assert (report.instances, report.sent, report.failed, report.errors) == (0, 0, 0, ())
    assert [one.reason for one in report.skipped] == ["not a DICOM file"]


def test_progress_ends_at_the_total_and_an_error_in_it_stops_the_threads(ten: Path) -> None:
    seen: list[SendProgress] = []

    with scripted_peer(accept_and_serve) as peer:
        send([ten], host="127.0.0.1", port=peer.address.port, calling_aet="US", called_aet="P", on_progress=seen.append)
        assert (seen[-1].instances, seen[-1].done) == (10, 10)
        assert [one.done for one in seen] == sorted(one.done for one in seen)

    def fail(_: SendProgress) -> None:
        raise KeyboardInterrupt

    threads = threading.active_count()
    with scripted_peer(accept_and_serve) as peer, pytest.raises(KeyboardInterrupt):
        send([ten], host="127.0.0.1", port=peer.address.port, calling_aet="US", called_aet="P", on_progress=fail)
    assert threading.active_count() == threads


def test_a_title_that_cannot_be_sent_fails_everything_and_says_so(ten: Path) -> None:
    with scripted_peer(lambda peer: None) as peer:
        report = send([ten], host="127.0.0.1", port=peer.address.port, calling_aet="A" * 17, called_aet="PEER")

    assert (report.sent, report.failed, report.failures) == (0, 10, {"not_sent": 10})
    assert report.errors
