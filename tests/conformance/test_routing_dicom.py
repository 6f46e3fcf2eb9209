"""Forwarding to AEs that nobody here wrote: DCMTK and Orthanc get what came, bit for bit, and nothing twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from foundation.database import Database, sqlite_url
from pacs.routing.model import ItemState
from pacs.scu.association import PeerAddress
from tests.harness.archive_parts import Archive, open_archive
from tests.harness.peers import LOOPBACK, storescp
from tests.harness.routing import item_of, keep_study, make_worker


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
