"""A started node on the open loopback: the directory says whose console asks, and findscu is given its worklist."""

from pathlib import Path

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import ModalityWorklistInformationFind

from foundation.database import Database, sqlite_url
from oncall.documents_store import publish_directory
from pacs.worklist.order import OrderPriority
from territory.demo_territory import demo_directory
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.find_catalogue import findscu
from tests.harness.orders import NOW, order
from tests.harness.peers import LOOPBACK, TelegardeNode
from tests.harness.worklist import asked, place_all

DIRECTORY = demo_directory()
HERE, THERE = (DIRECTORY.sites[site_id] for site_id in sorted(DIRECTORY.sites)[:2])


def test_each_hospitals_console_is_given_its_own_orders_by_a_started_node(tmp_path: Path) -> None:
    console = sorted(HERE.ae_titles)[0]
    with TelegardeNode(tmp_path / "node", workers=1) as node:
        database = Database(sqlite_url(node.data / DATABASE_FILE_NAME))
        with database.write(durable=True) as connection:
            publish_directory(connection, DIRECTORY, by="test", now=NOW)
        place_all(
            database,
            [
                order(1, site_id=HERE.site_id),
                order(2, site_id=HERE.site_id, priority=OrderPriority.STAT),
                order(3, site_id=THERE.site_id),
            ],
        )
        database.close()
        found = findscu(
            node.port, asked(), tmp_path / "q", called_aet=node.ae_title, model="-W", options=["-aet", console]
        )
        agreed = _agreed(node.port, b"\1\1\1\1")
        stranger = findscu(
            node.port, asked(), tmp_path / "s", called_aet=node.ae_title, model="-W", options=["-aet", "STRANGER"]
        )
    assert [item.PatientID for item in found.answers] == [f"{HERE.site_id}-2", f"{HERE.site_id}-1"]
    assert (stranger.answers, stranger.final) == ([], 0x0124)
    assert agreed == b"\1\1\1\1"


def _agreed(port: int, proposed: bytes) -> bytes:
    """Return what the node agrees to of an extended negotiation (PS3.4 K.5.1.1), by pynetdicom."""
    ae = AE(ae_title="CT1")
    ae.add_requested_context(ModalityWorklistInformationFind)
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = UID(ModalityWorklistInformationFind)
    item.service_class_application_information = proposed
    association = ae.associate(LOOPBACK, port, ae_title="TELEGARDE", ext_neg=[item])
    assert association.is_established
    answered: dict[str, bytes] = association.acceptor.sop_class_extended
    association.release()
    return answered[ModalityWorklistInformationFind]
