"""Documents of reports pushed to DCMTK's storage server, and what the door says when it cannot."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from benchmarks.peers.dcmtk import storescp
from benchmarks.peers.processes import free_port
from oncall.delivery.documents import DICOM_KINDS
from oncall.delivery.making import make
from oncall.report_documents.source import DocumentSource
from pacs.scu.association import PeerAddress
from territory.report_doors import ScuDoor
from tests.harness import reports
from tests.harness.deliveries import describe
from tests.harness.peers import LOOPBACK


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    signed = reports.signed(tmp_path_factory.mktemp("keys"))
    subject, exam = describe(signed)
    made = make(DocumentSource(signed=signed, subject=subject, exam=exam))
    return [made[kind] for kind in DICOM_KINDS]


def door(port: int, aet: str = "STORESCP") -> ScuDoor:
    return ScuDoor(lambda address: PeerAddress(host=LOOPBACK, port=port, ae_title=address or aet), "TELEGARDE_CR")


def test_a_hospitals_ae_has_every_document_when_the_door_says_so(tmp_path: Path, instances: list[bytes]) -> None:
    with storescp(tmp_path / "hospital") as hospital:
        assert door(hospital.port).store("", instances) == ""
        assert door(hospital.port).store("", instances) == ""
        received = [pydicom.dcmread(path) for path in hospital.files()]

    assert sorted(one.Modality for one in received) == ["DOC", "KO", "SR"]
    assert {one.SOPInstanceUID for one in received} == {
        pydicom.dcmread(BytesIO(one)).SOPInstanceUID for one in instances
    }


def test_nobody_listening_is_said_and_so_is_a_refused_instance(tmp_path: Path, instances: list[bytes]) -> None:
    assert door(free_port()).store("", instances) == "no_connection"
    with storescp(tmp_path / "hospital", options=["--refuse"]) as hospital:
        assert door(hospital.port).store("", instances) == "rejected"


def test_an_ae_that_is_not_configured_is_not_called(instances: list[bytes]) -> None:
    assert ScuDoor(lambda _: None, "TELEGARDE_CR").store("UNKNOWN", instances) == "unknown_aet"
    assert ScuDoor(lambda _: PeerAddress(host=LOOPBACK, port=1, ae_title="X"), "T").store("X", [b"no file"]) == (
        "no_dicom_file"
    )
