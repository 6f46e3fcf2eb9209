"""A process that delivers reports to a real archive and a real relay: to be killed by crash tests.

Run as ``python -m tests.harness.delivery_process URL ARCHIVE_PORT SMTP_PORT WORKER [DEAD_WORKER...]``. It ends when
nothing is left to do now.
"""

import sys

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation import log
from foundation.clock import SystemClock
from foundation.database import Database
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.delivery.channels.dicom import DicomWay
from oncall.delivery.channels.email import EmailWay
from oncall.delivery.channels.web import WebWay
from oncall.delivery.documents import DocumentStore
from oncall.delivery.making import make
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.worker import DeliveryWorker
from pacs.scu.association import PeerAddress
from territory.report_doors import ScuDoor
from tests.harness.deliveries import describe
from tests.harness.peers import LOOPBACK


def real_worker(database: Database, archive_port: int, smtp_port: int, name: str) -> DeliveryWorker:
    """Return a worker with the page, an archive by C-STORE, and mail."""
    archive = PeerAddress(host=LOOPBACK, port=archive_port, ae_title="TELEGARDE")
    relay = SmtpRelay(host=LOOPBACK, port=smtp_port, sender="garde@telegarde.example", security=Security.NONE)
    ways = [
        WebWay(database),
        DicomWay(DeliveryChannel.ARCHIVE, ScuDoor(lambda _: archive, "TELEGARDE_CR")),
        EmailWay(SmtpChannel(relay), "https://oncall.example/oncall/reports/"),
    ]
    clock = SystemClock()
    return DeliveryWorker(database, ways, DocumentStore(database, describe, make, clock), clock, worker=name)


def _main(url: str, archive_port: str, smtp_port: str, name: str, *dead: str) -> None:
    log.configure(level="ERROR", prefix=f"[{name}] ")
    database = Database(url)
    worker = real_worker(database, int(archive_port), int(smtp_port), name)
    worker.recover(frozenset(dead))
    worker.drain()
    database.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
