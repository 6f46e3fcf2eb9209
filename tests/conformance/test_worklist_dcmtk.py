"""The Modality Worklist asked by DCMTK's findscu, and beside DCMTK's own worklist server with the same items."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.worklist import orders
from pacs.worklist.order import OrderPriority
from tests.harness.find_catalogue import Found, findscu
from tests.harness.node import Node
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order
from tests.harness.worklist import FEURS_CONSOLE, ROANNE_CONSOLE, asked, place_all, running_worklist
from tests.harness.worklist_server import ANY_STATION, wlmscpfs


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(sqlite_url(tmp_path_factory.mktemp("worklist") / "index.sqlite"))
    opened.create_tables()
    place_all(
        opened,
        [
            full_order(1),
            order(2, modality="MR", station_aet="MR1_ROANNE", description="MR spine"),
            order(3, station_aet="CT1_ROANNE", scheduled_at=NOW.replace(hour=6), priority=OrderPriority.STAT),
            order(4, station_aet="CT2_ROANNE", scheduled_at=NOW.replace(day=25)),
            order(5, site_id="feurs", station_aet="CT1_FEURS"),
        ],
    )
    with opened.write(durable=True) as connection:
        orders.set_protocol(connection, full_order(1).order_id, STROKE_PROTOCOL, NOW)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def node(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_worklist(database, tmp_path_factory.mktemp("node"), ManualClock(NOW)) as running:
        yield running


def find(
    port: int, request: Dataset, directory: Path, *, aet: str = ROANNE_CONSOLE, called: str = "TELEGARDE"
) -> Found:
    return findscu(port, request, directory, called_aet=called, model="-W", options=["-aet", aet])


def test_findscu_is_given_the_items_of_its_hospital(node: Node, tmp_path: Path) -> None:
    ours = find(node.port, asked(), tmp_path / "roanne")
    assert ours.final == 0
    assert [item.PatientID for item in ours.answers] == ["roanne-3", "roanne-1", "roanne-2", "roanne-4"]
    theirs = find(node.port, asked(), tmp_path / "feurs", aet=FEURS_CONSOLE)
    assert [item.PatientID for item in theirs.answers] == ["feurs-5"]


def test_findscu_of_no_hospital_is_refused(node: Node, tmp_path: Path) -> None:
    refused = find(node.port, asked(), tmp_path / "q", aet="STRANGER")
    assert (refused.answers, refused.final) == ([], 0x0124)


def test_findscu_reads_the_protocol_with_its_parameters(node: Node, tmp_path: Path) -> None:
    (item,) = find(node.port, asked({"PatientID": "roanne-1", "Allergies": ""}), tmp_path / "q").answers
    step = item.ScheduledProcedureStepSequence[0]
    protocol = step.ScheduledProtocolCodeSequence[0]
    assert (protocol.CodeValue, protocol.CodeMeaning) == ("CTSTROKE", "CT stroke")
    assert protocol.ProtocolContextSequence[0].NumericValue == 50
    assert "Perfusion unless creatinine is not known." in step.CommentsOnTheScheduledProcedureStep
    assert (item.Allergies, item.RequestedProcedurePriority) == ("Iode", "STAT")
    item.decode()
    assert item.PatientName == "Lefèvre^Zoë^Anne^Mme^"


# --- beside DCMTK's worklist server --------------------------------------------------------------

QUESTIONS: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({}, {}),
    ({}, {"Modality": "CT"}),
    ({}, {"Modality": "MR", "ScheduledStationAETitle": "MR1_ROANNE"}),
    ({}, {"ScheduledStationAETitle": "CT1_ROANNE"}),
    ({}, {"ScheduledStationAETitle": "CT9"}),
    ({}, {"ScheduledProcedureStepStartDate": "20261121"}),
    ({}, {"ScheduledProcedureStepStartDate": "20261122-"}),
    ({}, {"ScheduledProcedureStepStartDate": "-20261121"}),
    ({}, {"ScheduledProcedureStepStartDate": "20261120-20261122", "Modality": "CT"}),
    ({}, {"ScheduledProcedureStepStartTime": "0700-0800"}),
    ({}, {"ScheduledProcedureStepStartTime": "231500"}),
    ({"PatientName": "Durand*"}, {}),
    ({"PatientName": "Durand?^*"}, {}),
    ({"PatientName": "Nobody"}, {}),
    ({"PatientID": "roanne-2"}, {}),
    ({"PatientID": "feurs-5"}, {}),
    ({"AccessionNumber": "ACC9"}, {}),
    ({"PatientID": "roanne-1"}, {"Modality": "MR"}),
]


@pytest.fixture(scope="module")
def dcmtk(database: Database, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """DCMTK's server on the items that our node gives of each hospital; its port."""
    directory = tmp_path_factory.mktemp("wlmscpfs")
    everything = asked(
        {"RequestedProcedureDescription": "", "PatientBirthDate": "", "PatientSex": "", "PatientWeight": ""}
    )
    given = {
        site: find(node.port, everything, directory / f"asked-{site}", aet=aet).answers
        for site, aet in (("ROANNE", ROANNE_CONSOLE), ("FEURS", FEURS_CONSOLE))
    }
    with wlmscpfs(directory / "files", given) as port:
        yield port


@pytest.mark.parametrize(("keys", "step"), QUESTIONS, ids=lambda value: str(dict(value))[:70])
def test_dcmtks_worklist_server_gives_the_same_items(
    node: Node, dcmtk: int, tmp_path: Path, keys: Mapping[str, Any], step: Mapping[str, Any]
) -> None:
    request = asked(keys, step)
    ours = find(node.port, request, tmp_path / "ours")
    theirs = find(dcmtk, request, tmp_path / "theirs", called="ROANNE")
    assert (ours.final, theirs.final) == (0, 0)
    assert _patients(ours) == _patients(theirs)
    for our, their in zip(_by_patient(ours), _by_patient(theirs), strict=True):
        said, judged = _flat(our), _flat(their)
        assert {name: said.get(name) for name in judged} == judged
        # It knows codes of protocols, but not their parameters.
        assert all("ProtocolContextSequence" in name for name in said.keys() - judged.keys())


def _by_patient(found: Found) -> list[Dataset]:
    return sorted(found.answers, key=lambda item: str(item.PatientID))


def _patients(found: Found) -> list[str]:
    return [str(item.PatientID) for item in _by_patient(found)]


def _flat(item: Dataset) -> dict[str, str]:
    """Return what an item says by attribute; what has no value says nothing."""
    flat: dict[str, str] = {}
    for element in item:
        if element.VR == "SQ":
            for number, one in enumerate(element.value):
                flat |= {f"{element.keyword}.{number}.{name}": value for name, value in _flat(one).items()}
        elif element.value not in ("", None) and element.keyword not in ("SpecificCharacterSet", *ANY_STATION):
            flat[element.keyword] = str(element.value)
    return flat
