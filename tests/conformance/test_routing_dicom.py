"""Forwarding to AEs that nobody here wrote: DCMTK and Orthanc get what came, bit for bit, and nothing twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from foundation.clock import ManualClock, SystemClock
from foundation.database import Database, sqlite_url
from pacs.routing import destinations
from pacs.routing.model import DestinationPolicy, ItemState
from pacs.scu.association import PeerAddress
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.data_sets import IMPLICIT_LITTLE
from tests.harness.peers import LOOPBACK, free_port, orthanc, storescp
from tests.harness.routing import QUICK, START, item_of, items_of, keep_study, later, make_worker, place_order
from tests.unit.scu.scripted_peer import PeerConnection, accept_and_serve, scripted_peer


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    with open_archive(database, tmp_path / "journal") as opened:
        yield opened
    database.close()


def dcmtk(port: int) -> PeerAddress:
    return PeerAddress(host=LOOPBACK, port=port, ae_title="STORESCP")


def test_a_study_arrives_at_dcmtk_with_every_byte(archive: Archive, tmp_path: Path) -> None:
    with storescp(tmp_path / "peer") as peer:
        worker = make_worker(archive, {"away": dcmtk(peer.port)})
        kept = keep_study(archive, images=30, pixels=bytes(range(256)))
        worker.drain()

        received = {dcmread(path).SOPInstanceUID: dcmread(path) for path in peer.files()}
    item = item_of(archive.database)
    assert (item.state, item.instances, item.sent, item.attempts) == (ItemState.SENT, 30, 30, 1)
    assert set(received) == set(kept.uids)
    assert {one.PixelData for one in received.values()} == {bytes(range(256))}
    assert {one.PatientID for one in received.values()} == {"P1"}


def test_orthanc_counts_every_instance_once_although_it_was_away_first(archive: Archive, tmp_path: Path) -> None:
    clock, port = ManualClock(START), free_port()
    peer = PeerAddress(host=LOOPBACK, port=port, ae_title="ORTHANC")
    worker = make_worker(archive, {"away": peer}, clock=clock)
    kept = keep_study(archive, 1, images=12)
    place_order(archive.database, 2, study_uid="1.2.3.2")
    keep_study(archive, 2, images=3)
    worker.drain()
    assert {item.state for item in items_of(archive.database)} == {ItemState.QUEUED}

    with orthanc(tmp_path / "orthanc", port=port) as server:
        later(clock, seconds=QUICK.wait_max_s)
        worker.drain()
        worker.drain()
        count = server.count_instances()
        found = server.post_json("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": "1.2.3.1"}})

    assert (count, len(found)) == (15, len(kept.uids))
    assert {item.state for item in items_of(archive.database)} == {ItemState.SENT}


def test_a_bandwidth_limit_is_kept_towards_a_real_peer(archive: Archive, tmp_path: Path) -> None:
    clock = SystemClock()
    limited = DestinationPolicy(name="away", bandwidth_bytes_per_s=200_000, retry=QUICK)
    with storescp(tmp_path / "peer") as peer:
        worker = make_worker(archive, {"away": dcmtk(peer.port)}, clock=clock, policies=[limited])
        keep_study(archive, images=4, pixels=bytes(50_000))
        began_s = clock.monotonic_s()
        worker.drain()
        took_s = clock.monotonic_s() - began_s
        received = len(peer.files())

    # 200 kB at 200 kB/s with a burst of a quarter of a second; a busy machine only makes it longer.
    assert received == 4
    assert took_s >= 0.7


def test_what_an_ae_refuses_is_shown_with_its_status_and_not_counted_as_sent(archive: Archive) -> None:
    def refuse_the_second(peer: PeerConnection) -> None:
        peer.accept()
        while (received := peer.receive_store()) is not None:
            is_second = received.command.affected_sop_instance_uid.endswith(".1.1")
            peer.answer(received, 0xA700 if is_second else 0xB000)

    with scripted_peer(refuse_the_second) as peer:
        worker = make_worker(archive, {"away": peer.address})
        keep_study(archive, images=3)
        worker.drain()

    item = item_of(archive.database)
    assert (item.state, item.sent, item.reason) == (ItemState.FAILED, 2, "status_A700")


def test_an_ae_that_accepts_no_context_for_an_instance_has_not_got_it(archive: Archive) -> None:
    def accept_nothing(peer: PeerConnection) -> None:
        peer.accept(("1.2.840.10008.1.2.4.50",))
        peer.serve()

    with scripted_peer(accept_nothing) as peer:
        worker = make_worker(archive, {"away": peer.address})
        keep_study(archive)
        worker.drain()

    assert (item_of(archive.database).state, item_of(archive.database).reason) == (ItemState.FAILED, "no_context")


def test_an_ae_that_does_not_know_us_is_away_with_its_reason(archive: Archive) -> None:
    with scripted_peer(lambda peer: peer.reject(1, 1, 3)) as peer:
        worker = make_worker(archive, {"away": peer.address})
        keep_study(archive)
        worker.drain()

    with archive.database.read() as connection:
        reach = destinations.status_of(connection, "away").reach
    assert (reach.is_away, reach.reason) == (True, "rejected_1_1_3")


def test_emergencies_are_sent_with_high_priority(archive: Archive) -> None:
    with scripted_peer(accept_and_serve) as peer:
        worker = make_worker(archive, {"away": peer.address})
        place_order(archive.database, 1, study_uid="1.2.3.1")
        keep_study(archive, 1, images=1)
        keep_study(archive, 2, images=1)
        worker.drain()

    priorities = {one.command.affected_sop_instance_uid: one.command.priority for one in peer.stores}
    assert priorities == {"1.2.3.1.1.0": 1, "1.2.3.2.1.0": 0}


def test_what_only_an_old_peer_can_read_is_transcoded_for_it(archive: Archive) -> None:
    def implicit_only(peer: PeerConnection) -> None:
        peer.accept((IMPLICIT_LITTLE,))
        peer.serve()

    with scripted_peer(implicit_only) as peer:
        worker = make_worker(archive, {"away": peer.address})
        keep_study(archive, images=1)
        worker.drain()

    assert item_of(archive.database).state is ItemState.SENT
    assert {one.transfer_syntax for one in peer.stores} == {IMPLICIT_LITTLE}
