"""A started node on the open loopback: the directory says whose console asks, and findscu is given its worklist."""

from pathlib import Path

from foundation.database import Database, sqlite_url
from oncall.documents_store import publish_directory
from pacs.worklist.order import OrderPriority
from territory.demo_territory import demo_directory
from territory.settings_model import DATABASE_FILE_NAME
from tests.harness.find_catalogue import findscu
from tests.harness.orders import NOW, order
from tests.harness.peers import TelegardeNode
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
        stranger = findscu(
            node.port, asked(), tmp_path / "s", called_aet=node.ae_title, model="-W", options=["-aet", "STRANGER"]
        )
    assert [item.PatientID for item in found.answers] == [f"{HERE.site_id}-2", f"{HERE.site_id}-1"]
    assert (stranger.answers, stranger.final) == ([], 0x0124)
